# kcore.leader_epoch: leader epoch -> first offset written under it. No lock: the Log's covers it.

from libc.stdint cimport int32_t, int64_t

cdef struct EpochEntry:
    int32_t epoch
    int64_t start_offset


cdef class LeaderEpochCache:
    cdef EpochEntry* items          # ascending in both fields
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity

    # 1 when an entry was made (the checkpoint file must be written), 0 when the epoch was there already.
    cdef int assign_entry(self, int32_t epoch, int64_t start_offset) except -1
    cdef int32_t epoch_at(self, int64_t offset) noexcept nogil      # -1: unknown
    cdef int reserve(self, Py_ssize_t wanted) except -1


cdef inline int32_t newest_epoch(LeaderEpochCache cache) noexcept:
    """The epoch that is written to now, -1 when there is none: no call on the append path."""
    return cache.items[cache.count - 1].epoch if cache.count else -1
