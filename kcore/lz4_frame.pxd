from libc.stdint cimport int64_t, uint8_t

cdef enum:
    # Bytes behind the room of an output that may be written without meaning: copies are done in whole steps.
    LZ4_SLACK_BYTES = 64

# Walk one frame without decompressing it: the most that its blocks can hold goes to `bound`. Returns what is wrong
# with it, or NULL.
cdef const char* lz4_bound(const uint8_t* p, Py_ssize_t n, int64_t* bound) noexcept nogil
# Decompress a frame that lz4_bound found nothing wrong with. `to` has `room` bytes and LZ4_SLACK_BYTES behind them;
# how many were written goes to `filled`, -1 when there are more than `room`. Returns what is wrong, or NULL.
cdef const char* lz4_decode(const uint8_t* p, Py_ssize_t n, uint8_t* to, int64_t room, int64_t* filled) noexcept nogil
