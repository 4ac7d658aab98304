# One record of a batch: the walk that validation, iteration and columns share. Inline, since it runs once a record.
# The layout is drawn in record_batch.pyx.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from kcore.varint cimport read_uvarint_short, read_varint, read_varlong, unzigzag

cdef enum:
    STATUS_OK = 0
    STATUS_SHORT               # the buffer ends before the batch does
    STATUS_BAD_LENGTH          # batch_length below 49
    STATUS_BAD_MAGIC
    STATUS_BAD_CRC
    STATUS_BAD_COUNT           # records count negative, or not that of the last offset delta
    STATUS_BAD_VARINT          # over-long, or cut short
    STATUS_BAD_RECORD_LENGTH   # a record, key, value or header that leaves its enclosure, or a length below -1
    STATUS_BAD_OFFSET_DELTA    # not 0, 1, 2, ...
    STATUS_BAD_HEADERS         # a negative count, or one that the bytes left cannot hold
    STATUS_TRAILING            # bytes left over after the last record

cdef enum:
    RECORD_BODY_MIN = 6        # attributes, two deltas, two lengths, a headers count
    RECORD_HEAD_MAX = 31       # the same, as long as they may be: 1 + 10 + 4 * 5
    RECORD_HEAD_AFTER_KEY = 10 # the last two of them

cdef struct RecordHead:        # one record up to its headers; the pointers are into the payload
    const uint8_t* end
    const uint8_t* key
    const uint8_t* value
    int64_t timestamp_delta
    int32_t offset_delta
    int32_t key_length         # -1: null
    int32_t value_length       # -1: null
    int32_t headers_count

cdef extern from *:
    """
    /* Records of a batch are often equally long, and a walk of long ones is a line from far away each: the one some
     * records on is asked for (1,000 records of 1,000 B: KCORE.md). Short ones the CPU foresees itself. */
    #define KCORE_STRIDE_MIN 192
    static inline void kcore_record_ask_ahead(const unsigned char *p, const unsigned char *next, const unsigned char *end) {
        Py_ssize_t stride = next - p;
        if (stride >= KCORE_STRIDE_MIN && stride * 4 < end - next) __builtin_prefetch(next + stride * 4);
    }
    """
    void kcore_record_ask_ahead(const uint8_t* p, const uint8_t* next, const uint8_t* end) noexcept nogil

cdef inline const uint8_t* record_head(const uint8_t* p, const uint8_t* end, RecordHead* out,
                                       int* status) noexcept nogil:
    """Read one record up to its headers; returns where they begin, or NULL with the status set."""
    cdef int32_t length
    status[0] = STATUS_BAD_VARINT
    p = read_varint(p, end, &length)
    if p == NULL:
        return NULL
    if length < RECORD_BODY_MIN or length > end - p:
        status[0] = STATUS_BAD_RECORD_LENGTH
        return NULL
    end = p + length
    out.end = end
    # Java's reader ignores the attributes of a record, and so has every writer's byte to be let through.
    p = read_varlong(p + 1, end, &out.timestamp_delta)
    if p == NULL:
        return NULL
    p = read_varint(p, end, &out.offset_delta)
    if p == NULL:
        return NULL
    p = read_varint(p, end, &out.key_length)
    if p == NULL:
        return NULL
    out.key = p
    if out.key_length < -1 or out.key_length > end - p:
        status[0] = STATUS_BAD_RECORD_LENGTH
        return NULL
    if out.key_length > 0:
        p += out.key_length
    p = read_varint(p, end, &out.value_length)
    if p == NULL:
        return NULL
    out.value = p
    if out.value_length < -1 or out.value_length > end - p:
        status[0] = STATUS_BAD_RECORD_LENGTH
        return NULL
    if out.value_length > 0:
        p += out.value_length
    p = read_varint(p, end, &out.headers_count)
    if p == NULL:
        return NULL
    # A header is two bytes at least.
    if out.headers_count < 0 or out.headers_count > (end - p) >> 1:
        status[0] = STATUS_BAD_HEADERS
        return NULL
    status[0] = STATUS_OK
    return p


cdef inline const uint8_t* short_bytes(const uint8_t* p, const uint8_t** start, int32_t* length) noexcept nogil:
    """A key or a value, or null, whose length takes three bytes at most. Returns where it ends, which may be anywhere
    up to 1 MiB behind what is there, or NULL."""
    cdef uint32_t x
    p = read_uvarint_short(p, &x)
    if p == NULL:
        return NULL
    start[0] = p
    if x & 1:
        length[0] = -1
        return p if x == 1 else NULL
    length[0] = x >> 1
    return p + (x >> 1)


cdef inline const uint8_t* record_head_usual(const uint8_t* p, const uint8_t* end, RecordHead* out) noexcept nogil:
    """record_head for what nearly every record is, without a look at the end before every number: a body of
    RECORD_HEAD_MAX bytes to 1 MiB, no headers, no number but for the timestamp's of more than three bytes. NULL for
    all others, right or wrong: they are record_head's.

    It pays where many records are walked; for a batch of one, what it adds in front is more than what it saves.
    Nothing that is not inline sees `out`, which therefore stays in registers: give it no struct that others see."""
    cdef const uint8_t* behind
    cdef uint32_t x
    cdef Py_ssize_t length
    cdef int64_t far
    if end - p < RECORD_HEAD_MAX:
        return NULL
    p = read_uvarint_short(p, &x)
    # An odd number is a negative one.
    if p == NULL or x & 1:
        return NULL
    length = x >> 1
    if length < RECORD_HEAD_MAX or length > end - p:
        return NULL
    end = p + length
    out.end = end
    behind = read_uvarint_short(p + 1, &x)
    if behind != NULL:
        out.timestamp_delta = unzigzag(x)
    else:
        # More than 17 minutes from the first record: events that carry their own time.
        behind = read_varlong(p + 1, end, &far)
        if behind == NULL:
            return NULL
        out.timestamp_delta = far
    p = read_uvarint_short(behind, &x)
    if p == NULL or x & 1:
        return NULL
    out.offset_delta = x >> 1
    p = short_bytes(p, &out.key, &out.key_length)
    if p == NULL or p > end - RECORD_HEAD_AFTER_KEY:
        return NULL
    p = short_bytes(p, &out.value, &out.value_length)
    if p == NULL:
        return NULL
    # Nearly every record ends here, with a headers count of 0.
    if p + 1 != end or p[0] != 0:
        return NULL
    out.headers_count = 0
    return end


cdef inline int record_headers_skip(const uint8_t* p, const RecordHead* head) noexcept nogil:
    """Walk the headers of a record; they have to end where it does."""
    cdef int32_t i, length
    for i in range(head.headers_count):
        p = read_varint(p, head.end, &length)
        if p == NULL:
            return STATUS_BAD_VARINT
        if length < 0 or length > head.end - p:
            return STATUS_BAD_RECORD_LENGTH
        p = read_varint(p + length, head.end, &length)
        if p == NULL:
            return STATUS_BAD_VARINT
        if length < -1 or length > head.end - p:
            return STATUS_BAD_RECORD_LENGTH
        if length > 0:
            p += length
    return STATUS_OK if p == head.end else STATUS_BAD_RECORD_LENGTH
