# gzip members through zlib's C functions, without the GIL.

from libc.stdint cimport int64_t, uint8_t

cdef enum GunzipOutcome:
    GUNZIP_DONE = 0
    GUNZIP_FULL = 1             # there is more output than there is room for
    GUNZIP_CUT = 2              # the input ends within a member
    GUNZIP_BROKEN = 3           # see `wrong`

cdef enum:
    # Behind the room of an output: what lets the end of a member be read when the output is as long as it may be.
    GUNZIP_SLACK_BYTES = 1

# Whether zlib's functions were found; looks for them once.
cdef bint gunzip_load() except -1

# An inflate state, for one thread at a time; made by gunzip_reader(), as new after begin().
cdef class GunzipReader:
    cdef void* stream
    cdef Py_ssize_t at          # bytes of the input that were read
    cdef int64_t filled         # bytes of the output that were written
    cdef const char* wrong
    cdef void begin(self) noexcept nogil
    # Members one after the other, up to the input's end. `to` has `room` bytes and GUNZIP_SLACK_BYTES behind them. After
    # GUNZIP_FULL it goes on where it was, with more room and what was filled so far at the beginning of it.
    cdef GunzipOutcome decode(self, const uint8_t* p, Py_ssize_t n, uint8_t* to, int64_t room) noexcept nogil

cdef GunzipReader gunzip_reader()
