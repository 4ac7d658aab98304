# kcore.scan: the walk over a segment's bytes that recovery and verification share.

from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    MARKS_MAX = 256

cdef struct Mark:                       # a batch that recovery has to remember
    Py_ssize_t position
    int64_t base_offset
    int64_t last_offset
    int64_t max_timestamp               # of the segment up to and with this batch, -1: none
    int64_t max_timestamp_offset
    int32_t leader_epoch
    bint indexed                        # more than index_interval bytes after the last such one
    bint new_epoch                      # no batch before it has as high a leader epoch

cdef class Scan:                        # where the walk stands, and what it has seen
    cdef const uint8_t* data
    cdef Py_ssize_t position            # end of what is good
    cdef Py_ssize_t end
    cdef Py_ssize_t readable            # bytes that may be touched: it stops in front of a batch that goes beyond
    cdef int64_t base_offset            # what offsets are relative to: none may be more than 2^31 - 1 above
    cdef int64_t next_offset
    cdef int64_t batches
    cdef int64_t records                # as the headers say
    cdef int status                     # STATUS_OK: good up to `position`
    cdef Py_ssize_t index_interval      # -1: nobody asks for marks
    cdef Py_ssize_t indexed             # position of the last batch that was marked as indexed
    cdef int64_t max_timestamp
    cdef int64_t max_timestamp_offset
    cdef int32_t leader_epoch           # the highest so far
    cdef Py_ssize_t producer_position   # of the first batch of a producer with an id, -1: none
    cdef int marks_count
    cdef Mark marks[MARKS_MAX]

    # Goes on until the end, the first bad batch, bytes that are not readable yet, or until there is no room for
    # more marks (whose count the caller resets).
    cdef void run(self, bint check_crc) noexcept nogil
    cdef Py_ssize_t wanted(self) noexcept nogil
    # After a bad batch: step over it, if its length can be trusted (whoever does not cut there).
    cdef bint skip(self) noexcept nogil
    # After a bad batch: whether nothing but zeros is there, as preallocation leaves it.
    cdef bint zeros(self) noexcept nogil

cdef Scan new_scan(const uint8_t* data, Py_ssize_t position, Py_ssize_t end, int64_t base_offset, int64_t next_offset)
cdef str reason_of(int status)
