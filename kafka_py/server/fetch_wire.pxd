# Parts of Fetch (and Produce) requests and replies that both compiled fetches have: without a session, and in one.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from kafka_py.protocol.cursor cimport Cursor, has, read16, read_uvarint
from kafka_py.replication.partition cimport Partition
from kafka_py.server.output cimport Output, put, put8, put16, put32, put64, put_uvarint
from kcore.segment cimport LogSlice

cdef enum:
    COPIED_MAX = 16384

# The head of a Fetch request: what it says before its topics.
cdef struct FetchHead:
    int32_t max_wait_ms
    int32_t min_bytes
    Py_ssize_t bytes_max        # at most the broker's fetch.max.bytes
    int32_t session_id
    int32_t epoch
    int isolation

cdef inline bint is_ascii(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    """Whether text is surely well formed; other text is judged by the general path."""
    cdef Py_ssize_t i
    for i in range(n):
        if p[i] >= 0x80:
            return False
    return True

cdef inline Py_ssize_t read_topic(Cursor* c, bint by_id, bint flexible, const uint8_t** name) noexcept nogil:
    """A topic's id or name: where it is, and its size; the cursor is bad when there is none."""
    cdef int64_t size
    if by_id:
        size = 16
    elif flexible:
        size = read_uvarint(c) - 1
    else:
        size = read16(c)
    if size <= 0 or not has(c, size):
        c.bad = True
        return 0
    name[0] = c.p
    c.p += size
    return size

cdef inline int put_count(Output out, Py_ssize_t count, bint flexible) except -1:
    if flexible:
        return put_uvarint(out, count + 1)
    return put32(out, <int32_t>count)

cdef inline int put_topic(Output out, bint by_id, bint flexible, const uint8_t* name, Py_ssize_t size) except -1:
    if not by_id:
        if flexible:
            put_uvarint(out, size + 1)
        else:
            put16(out, <int16_t>size)
    return put(out, name, size)

cdef inline int put_fetched_partition(
    Output out, int version, int32_t index, Partition partition, int isolation, LogSlice piece
) except -1:
    """What a reply says of one partition; no records where `piece` is None."""
    cdef bint flexible = version >= 12
    cdef Py_ssize_t size = 0 if piece is None else piece.size
    put32(out, index)
    put16(out, 0)
    put64(out, partition.high_watermark)
    put64(out, partition.last_stable_offset)
    if version >= 5:
        put64(out, partition.log_start_offset)
    # Aborted transactions: null for read_uncommitted, an empty list for read_committed.
    if flexible:
        put8(out, 1 if isolation else 0)
    else:
        put32(out, 0 if isolation else -1)
    if version >= 11:
        put32(out, -1)
    put_count(out, size, flexible)
    if size:
        if size <= COPIED_MAX:
            put(out, piece.data, size)
        else:
            out.put_external(piece, size)
    if flexible:
        put8(out, 0)
    return 0
