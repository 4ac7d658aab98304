# kcore.truncation: how a log gets shorter and how it ends. The Log's lock is held in all of these.

from libc.stdint cimport int64_t

from kcore.log cimport Log
from kcore.segment cimport Segment

cdef int drop_files(Log log, Segment segment, bint snapshot) except -1      # ".deleted" names
cdef int remove_snapshots(Log log, int64_t above) except -1
cdef int cut_tail(Log log, int64_t offset) except -1
cdef int start_over(Log log, int64_t offset, int64_t log_start_offset) except -1
cdef int move_start(Log log, int64_t offset) except -1
cdef int64_t age_of(Segment segment, int64_t now_ms) except? -1
cdef list chosen(Log log, int64_t now_ms, int64_t high_watermark)           # what retention deletes
cdef bint is_untouched(Log log) noexcept
