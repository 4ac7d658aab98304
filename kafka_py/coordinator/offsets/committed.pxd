# Committed offsets as the loader and the compiled commit see them.

from libc.stdint cimport int32_t, int64_t


cdef class Committed:
    cdef readonly int64_t offset
    cdef readonly int64_t commit_ms
    cdef readonly int64_t expire_ms             # -1: as the broker's retention says
    cdef readonly int32_t leader_epoch          # -1: unknown
    cdef readonly str metadata
    cdef readonly bytes topic_id                # 16 bytes; zeros: unknown


cdef class CommittedOffsets:
    cdef dict groups                            # group -> topic -> partition -> Committed
    cdef readonly Py_ssize_t count
    cdef readonly object pending                # PendingOffsets

    cdef int store(self, str group, str topic, partition, Committed value) except -1
    # One topic of one group, whose dict the caller may keep for the next partition until something is removed.
    cdef dict partitions_of(self, str group, str topic)


cdef bytes NO_TOPIC_ID
cdef Committed new_committed(
    int64_t offset, int32_t leader_epoch, str metadata, int64_t commit_ms, int64_t expire_ms, bytes topic_id
)
