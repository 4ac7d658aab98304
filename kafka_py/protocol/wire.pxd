"""Bounds-checked reading and unchecked writing of Kafka's wire types, for the compiled paths.

Reading goes through one cursor, whose status is sticky: after the first error every read gives 0 and moves nothing, so
checks stand at the loops rather than at every field. Writing goes through a pointer into room that the caller reserved.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy


cdef enum:
    # Statuses of the parsers; `raise_status` turns one into MalformedRequest.
    HOT_OK = 0
    HOT_SHORT = 1           # the bytes end early
    HOT_LENGTH = 2          # a length that may not be, or is beyond what arrived
    HOT_COUNT = 3           # more elements than may be, or than arrived
    HOT_VARINT = 4          # longer than 5 bytes, or above 32 bits
    HOT_UTF8 = 5            # a string that is not UTF-8
    HOT_TAGS = 6            # tagged fields: too many, out of order, or of a wrong length
    HOT_TRAILING = 7        # bytes left over
    HOT_VERSION = 8         # a version that the parser does not know
    HOT_API = 9             # an API key that Kafka 4 does not have
    HOT_MEMORY = 10         # no memory

cdef enum:
    # The table codec's limits (codegen.py), which hot_requests compares with these when it is imported.
    COUNT_MAX = 1000000
    COUNT_TOTAL_MAX = 4000000
    STRING_MAX = 32767
    TAG_COUNT_MAX = 64


cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end
    int64_t budget                  # elements that all arrays together may still have
    int status
    bint flexible

cdef inline void start(Cursor* c, const uint8_t* p, Py_ssize_t n, bint flexible) noexcept nogil:
    c.at = p
    c.end = p + n
    c.budget = COUNT_TOTAL_MAX
    c.status = HOT_OK
    c.flexible = flexible

cdef inline void stop(Cursor* c, int status) noexcept nogil:
    if c.status == HOT_OK:
        c.status = status
    c.at = c.end

cdef inline const uint8_t* take(Cursor* c, Py_ssize_t n) noexcept nogil:
    """The next n bytes; NULL (and HOT_SHORT) when there are fewer."""
    cdef const uint8_t* p = c.at
    if c.end - p < n:
        stop(c, HOT_SHORT)
        return NULL
    c.at = p + n
    return p

cdef inline int32_t load16(const uint8_t* p) noexcept nogil:
    return <int16_t>((<uint16_t>p[0] << 8) | p[1])

cdef inline int32_t load32(const uint8_t* p) noexcept nogil:
    return <int32_t>((<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3])

cdef inline int64_t load64(const uint8_t* p) noexcept nogil:
    return (<int64_t>load32(p) << 32) | <uint32_t>load32(p + 4)

cdef inline int32_t read8(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 1)
    return <int8_t>p[0] if p != NULL else 0

cdef inline int32_t read16(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 2)
    return load16(p) if p != NULL else 0

cdef inline int32_t read32(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 4)
    return load32(p) if p != NULL else 0

cdef inline int64_t read64(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 8)
    return load64(p) if p != NULL else 0

cdef inline int64_t read_uvarint(Cursor* c) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef const uint8_t* p
    while True:
        p = take(c, 1)
        if p == NULL:
            return 0
        value |= <uint64_t>(p[0] & 127) << shift
        if p[0] < 128:
            break
        shift += 7
        if shift > 28:
            stop(c, HOT_VARINT)
            return 0
    if value > <uint64_t>0xFFFFFFFF:
        stop(c, HOT_VARINT)
        return 0
    return <int64_t>value

cdef inline bint is_utf8(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    cdef const uint8_t* end = p + n
    cdef uint8_t lead, low, high
    cdef int more
    while p < end:
        lead = p[0]
        p += 1
        if lead < 0x80:
            continue
        low, high = 0x80, 0xBF
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:
                high = 0x9F             # surrogates
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F             # above U+10FFFF
        else:
            return False
        if end - p < more or p[0] < low or p[0] > high:
            return False
        for k in range(1, more):
            if p[k] & 0xC0 != 0x80:
                return False
        p += more
    return True

cdef inline const uint8_t* read_string(Cursor* c, int32_t* n, bint nullable, bint compact) noexcept nogil:
    cdef int64_t size = read_uvarint(c) - 1 if compact else read16(c)
    cdef const uint8_t* p
    n[0] = -1
    if c.status != HOT_OK:
        return NULL
    if size < 0:
        if size < -1 or not nullable:
            stop(c, HOT_LENGTH)
        return NULL
    if size > STRING_MAX or size > c.end - c.at:
        stop(c, HOT_LENGTH)
        return NULL
    p = take(c, size)
    if not is_utf8(p, size):
        stop(c, HOT_UTF8)
        return NULL
    n[0] = <int32_t>size
    return p

cdef inline Py_ssize_t read_count(Cursor* c, Py_ssize_t least) noexcept nogil:
    """The count of a non-null array whose elements take at least so many bytes; 0 after an error."""
    cdef int64_t count = read_uvarint(c) - 1 if c.flexible else read32(c)
    if c.status != HOT_OK:
        return 0
    if count < 0:
        stop(c, HOT_LENGTH)
        return 0
    c.budget -= count
    if count > COUNT_MAX or count * least > c.end - c.at or c.budget < 0:
        stop(c, HOT_COUNT)
        return 0
    return <Py_ssize_t>count

cdef inline int64_t tag_count(Cursor* c) noexcept nogil:
    """How many tagged fields follow; 0 in versions without them."""
    cdef int64_t count = read_uvarint(c) if c.flexible else 0
    if count > TAG_COUNT_MAX:
        stop(c, HOT_TAGS)
        return 0
    return count

cdef inline const uint8_t* tag_begin(Cursor* c, int64_t* last, int64_t* tag) noexcept nogil:
    """Reads a tag and its size; gives the end of its data, or NULL."""
    cdef int64_t size
    tag[0] = read_uvarint(c)
    size = read_uvarint(c)
    if c.status != HOT_OK:
        return NULL
    if tag[0] <= last[0] or size > c.end - c.at:
        stop(c, HOT_TAGS)
        return NULL
    last[0] = tag[0]
    return c.at + size

cdef inline void tag_end(Cursor* c, const uint8_t* end) noexcept nogil:
    if c.status == HOT_OK and c.at != end:
        stop(c, HOT_TAGS)

cdef inline void skip_tags(Cursor* c) noexcept nogil:
    cdef int64_t count = tag_count(c)
    cdef int64_t last = -1, tag = 0
    cdef const uint8_t* end
    while count > 0 and c.status == HOT_OK:
        end = tag_begin(c, &last, &tag)
        if end != NULL:
            c.at = end
        count -= 1

cdef inline void* grow(void* items, Py_ssize_t* capacity, Py_ssize_t count, Py_ssize_t width) noexcept nogil:
    """Room for one more item; the array grows with what was parsed, never with what a count claims."""
    cdef Py_ssize_t wanted
    cdef void* bigger
    if count < capacity[0]:
        return items
    wanted = capacity[0] * 2 if capacity[0] else 8
    bigger = realloc(items, wanted * width)
    if bigger != NULL:
        capacity[0] = wanted
    return bigger

cdef inline uint8_t* put8(uint8_t* p, int32_t value) noexcept nogil:
    p[0] = <uint8_t>value
    return p + 1

cdef inline uint8_t* put16(uint8_t* p, int32_t value) noexcept nogil:
    p[0] = <uint8_t>(value >> 8)
    p[1] = <uint8_t>value
    return p + 2

cdef inline uint8_t* put32(uint8_t* p, int64_t value) noexcept nogil:
    p[0] = <uint8_t>(value >> 24)
    p[1] = <uint8_t>(value >> 16)
    p[2] = <uint8_t>(value >> 8)
    p[3] = <uint8_t>value
    return p + 4

cdef inline uint8_t* put64(uint8_t* p, int64_t value) noexcept nogil:
    return put32(put32(p, value >> 32), value)

cdef inline uint8_t* put_uvarint(uint8_t* p, uint64_t value) noexcept nogil:
    while value > 127:
        p[0] = <uint8_t>(value & 127 | 128)
        p += 1
        value >>= 7
    p[0] = <uint8_t>value
    return p + 1

cdef inline Py_ssize_t uvarint_bytes(uint64_t value) noexcept nogil:
    cdef Py_ssize_t n = 1
    while value > 127:
        value >>= 7
        n += 1
    return n

cdef inline uint8_t* put_count(uint8_t* p, int64_t count, bint flexible) noexcept nogil:
    return put_uvarint(p, <uint64_t>(count + 1)) if flexible else put32(p, count)

cdef inline uint8_t* put_string(uint8_t* p, const uint8_t* text, Py_ssize_t n, bint flexible) noexcept nogil:
    p = put_uvarint(p, <uint64_t>(n + 1)) if flexible else put16(p, <int32_t>n)
    if n > 0:
        memcpy(p, text, n)
        p += n
    return p
