# kcore.segment: one .log file with its indexes.

from libc.stdint cimport int32_t, int64_t, uint8_t

from kcore.index cimport OffsetIndex, TimeIndex, TransactionIndex
from kcore.mapped_file cimport Mapping
from kcore.record_batch cimport BatchHeader

cdef class LogSlice:
    cdef Mapping mapping                    # pinned: neither unmapped nor changed below data + size
    cdef Segment segment
    cdef const uint8_t* data                # NULL when size is 0
    cdef Py_ssize_t size
    cdef readonly int64_t offset            # as asked for
    cdef readonly int64_t next_offset       # where to go on
    cdef readonly int64_t segment_base_offset
    cdef readonly Py_ssize_t position       # of the first byte within the segment file
    cdef bint hot                           # within what was appended last: in memory for sure
    cdef Py_ssize_t shape[1]


cdef class Segment:
    cdef readonly str path                  # without suffix
    cdef readonly int64_t base_offset
    cdef Mapping mapping                    # None while idle
    cdef Py_ssize_t end                     # bytes of whole batches; published last
    cdef int64_t next_offset
    cdef int64_t max_timestamp              # -1: none known
    cdef int64_t max_timestamp_offset
    cdef bint max_timestamp_known
    cdef int64_t first_timestamp            # of the first batch, -1: none
    cdef bint first_timestamp_known
    cdef int64_t created_ms
    cdef int64_t largest_file_time_ms
    cdef int64_t jitter_ms
    cdef Py_ssize_t bytes_since_index
    cdef Py_ssize_t size_max                # segment.bytes when it was made
    cdef Py_ssize_t index_interval
    cdef Py_ssize_t index_bytes
    cdef OffsetIndex offset_index           # None while idle
    cdef TimeIndex time_index
    cdef TransactionIndex transaction_index
    cdef bint active
    cdef bint preallocate
    cdef bint deleted
    cdef int64_t hint_offset                # the last read ended here ...
    cdef Py_ssize_t hint_position           # ... at this byte
    cdef int64_t used                       # tick of the last use, for the pool of open maps

    cdef int append(self, const uint8_t* p, Py_ssize_t n, const BatchHeader* h, int64_t base_offset, int32_t leader_epoch, int64_t append_time_ms) except -1
    cdef int open_write(self) except -1
    cdef int open_read(self) except -1
    cdef int load_indexes(self) except -1
    # Position of the batch that holds the offset or follows it; end when there is none. h filled unless end.
    cdef Py_ssize_t position_of(self, int64_t offset, BatchHeader* h) except -1
    cdef LogSlice read(self, int64_t offset, Py_ssize_t bytes_max, int64_t end_offset, bint at_least_one)
    cdef bint should_roll(self, Py_ssize_t n, int64_t last_offset, int64_t max_timestamp, int64_t now_ms, int64_t segment_bytes, int64_t segment_ms) except -1
    cdef int become_inactive(self) except -1
    cdef int load_timestamps(self) except -1
    cdef int truncate(self, int64_t offset) except -1
    cdef int idle(self) except -1
