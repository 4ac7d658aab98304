# A place in a request's bytes, for the compiled paths of Produce, Fetch, OffsetCommit and the heartbeats. Inline:
# these run a few times for every request.
#
# A read beyond the end gives 0 and marks the cursor bad for good, so that a parser looks once, when it is done, and
# leaves a bad request to the table codec, which says what is wrong with it.

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

from kcore.endian cimport load_be16, load_be32, load_be64

cdef struct Cursor:
    const uint8_t* p
    const uint8_t* end
    bint bad

cdef inline void point(Cursor* c, const uint8_t* p, Py_ssize_t n) noexcept nogil:
    c.p = p
    c.end = p + n
    c.bad = False

cdef inline bint has(Cursor* c, Py_ssize_t n) noexcept nogil:
    if c.bad or n < 0 or c.end - c.p < n:
        c.bad = True
        return False
    return True

cdef inline int read8(Cursor* c) noexcept nogil:
    if not has(c, 1):
        return 0
    c.p += 1
    return <int8_t>(c.p - 1)[0]

cdef inline int read16(Cursor* c) noexcept nogil:
    if not has(c, 2):
        return 0
    c.p += 2
    return <short>load_be16(c.p - 2)

cdef inline int32_t read32(Cursor* c) noexcept nogil:
    if not has(c, 4):
        return 0
    c.p += 4
    return <int32_t>load_be32(c.p - 4)

cdef inline int64_t read64(Cursor* c) noexcept nogil:
    if not has(c, 8):
        return 0
    c.p += 8
    return <int64_t>load_be64(c.p - 8)

cdef inline int64_t read_uvarint(Cursor* c) noexcept nogil:
    """At most five bytes; the declined rest is judged by the general path."""
    cdef int64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while shift < 35:
        if not has(c, 1):
            return 0
        byte = c.p[0]
        c.p += 1
        value |= <int64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
    c.bad = True
    return 0

cdef inline int64_t read_count(Cursor* c, bint flexible) noexcept nogil:
    """An array's or a byte string's length; -1 for null."""
    return read_uvarint(c) - 1 if flexible else read32(c)

cdef inline void no_tags(Cursor* c, bint flexible) noexcept nogil:
    """Tagged fields are none of a compiled path's business."""
    if flexible and read_uvarint(c) != 0:
        c.bad = True
