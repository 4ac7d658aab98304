# The compiled shape of partition.py: one struct-like class, read by the server's hot path without Python calls.

cimport cython

from kcore.log cimport Log

cdef class Partition:
    # What every produce and fetch looks at comes first and stays together, as in kcore.log.Log.
    cdef public Log log
    cdef readonly long long log_start_offset
    cdef readonly long long last_stable_offset
    cdef readonly long long high_watermark
    cdef readonly long long log_end_offset
    cdef public list fetch_waiters
    cdef public object queued_append
    cdef public long long flush_messages
    cdef readonly long leader_epoch
    cdef public bint leads
    cdef readonly bint alone
    cdef public bint offline
    cdef readonly bint internal
    cdef public bint transactional
    cdef public object append_waiters

    cdef readonly str topic
    cdef readonly bytes topic_id
    cdef readonly long index
    cdef readonly long broker_id
    cdef public object directory
    cdef readonly long leader_id
    cdef readonly long partition_epoch
    cdef readonly tuple replicas
    cdef readonly tuple isr
    cdef public long min_isr_setting
    cdef readonly long long leader_epoch_start_offset
    cdef readonly dict followers
    cdef public object verifications

    @cython.locals(
        log=Log, end=cython.longlong, start=cython.longlong, mark=cython.longlong, stable=cython.longlong, moved=cython.bint
    )
    cpdef bint advance(self) except -1
    cpdef int set_offsets(self, long long log_start, long long last_stable, long long high_watermark, long long log_end) except -1
    cpdef int epoch_error(self, long current_leader_epoch) except -2
    cpdef long long limit(self, int isolation_level, bint follower) except? -1
