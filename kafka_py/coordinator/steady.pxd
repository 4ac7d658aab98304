# What a compiled heartbeat of a consumer group's member looks at, as C fields.

from libc.stdint cimport int32_t, int64_t, uint8_t

from kafka_py.coordinator.deadlines cimport Deadline


cdef class GroupState:              # of a group; ConsumerGroup derives from it
    cdef public int64_t epoch
    cdef public int64_t target_epoch
    cdef public int64_t refresh_at_ms
    cdef public int64_t refresh_epoch
    cdef public int64_t classic_count
    cdef public dict regex_counts
    cdef int64_t settings           # the count of changes of settings that what is known here is of
    cdef dict steady                # bytes of the member's id -> SteadyMember

    cdef bint is_at(self, int64_t epoch, int64_t now_ms) noexcept


cdef class SteadyMember:            # of a member that has what its target says
    cdef bytes client_id            # as its requests have it
    cdef str client_host
    cdef Deadline session
    cdef int64_t epoch
    cdef int64_t timeout_ms
    cdef int32_t interval_ms

    cdef bint is_from(self, const uint8_t* client_id, Py_ssize_t client_id_bytes, str host)
