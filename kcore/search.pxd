# kcore.search: questions to a log by timestamp and by transaction.

from libc.stdint cimport int64_t

from kcore.log cimport Log
from kcore.record_batch cimport BatchHeader
from kcore.segment cimport LogSlice, Segment

cdef int64_t largest_timestamp(Segment segment) except? -2
# OffsetAndTimestamp of the first record at or after both timestamp and offset, or None.
cdef object record_in(
    Log log, Segment segment, Py_ssize_t position, const BatchHeader* h, int64_t target, int64_t start
)
cdef int64_t upper_bound(Log log, LogSlice piece) except -1
