# The compiled shape of fetch_session.py: what session_fetch.pyx reads and writes for every request.

from libc.stdint cimport int32_t, int64_t

cdef class SessionPartition:
    cdef readonly tuple key                     # (topic id or name, index)
    cdef readonly bytes hosted_as
    cdef readonly int32_t index
    cdef readonly int32_t current_leader_epoch
    cdef readonly int32_t last_fetched_epoch
    cdef readonly int32_t partition_max_bytes
    cdef readonly int64_t fetch_offset
    cdef readonly int64_t reader_log_start_offset
    cdef readonly int64_t high_watermark
    cdef readonly int64_t log_start_offset


cdef class FetchSession:
    cdef readonly int32_t id
    cdef readonly int32_t epoch                 # of its next request
    cdef readonly bint privileged
    cdef readonly bint by_id
    cdef readonly int64_t created_ms
    cdef readonly int64_t used_ms
    cdef public dict partitions                 # by key, in the order of serving


cdef class FetchSessions:
    cdef readonly long slots
    cdef object _random
    cdef dict _sessions
    cdef FetchSession _newest

    cpdef object use(self, FetchSession session, long long now_ms)


cpdef long next_epoch(long epoch)
