# Replaying a partition of __consumer_offsets: what was found in the batches, and where it goes.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from kafka_py.coordinator.offsets.committed cimport Committed, CommittedOffsets
from kcore.record_batch cimport BatchHeader

cdef enum Kind:
    COMMIT = 0
    TOMBSTONE = 1       # of a committed offset
    OTHER = 2           # whatever is no committed offset, or none that is understood at once
    END_ABORT = 3
    END_COMMIT = 4
    IGNORED = 5         # a control record of another kind

cdef struct Place:
    Kind kind
    int32_t partition
    int32_t leader_epoch
    int32_t metadata_size
    int16_t group_size
    int16_t topic_size
    int32_t key_size
    int32_t value_size
    const uint8_t* key          # of the record; group and topic follow each other from key + 2
    const uint8_t* value
    const uint8_t* metadata
    const uint8_t* topic_id     # NULL: none
    int64_t record_offset
    int64_t producer_id
    int64_t offset
    int64_t commit_ms
    int64_t expire_ms


cdef class _Chunk:                      # records found, in an array that grows
    cdef Place* places
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef Py_ssize_t position            # of the next batch to look at
    cdef bint at_compressed             # `scan` stopped before a compressed batch
    cdef BatchHeader h                  # of the batch that was looked at last

    cdef int reserve(self, Py_ssize_t more) noexcept nogil
    # The records of the batch whose header is h, uncompressed; a status.
    cdef int add(self, const uint8_t* p, Py_ssize_t n) noexcept nogil
    cdef int scan(self, const uint8_t* p, Py_ssize_t n) noexcept nogil
    cdef object unpack(self, const uint8_t* p, int64_t bytes_max)


cdef class _Replay:                     # the shard, and what the record before had, which the next often has too
    cdef object shard
    cdef CommittedOffsets offsets
    cdef dict shard_groups
    cdef dict names                     # of topics, ids: one object a value
    cdef object make_group
    cdef dict partitions                # of the last record's group and topic; None: look them up
    cdef const uint8_t* last_key
    cdef Py_ssize_t last_size
    cdef bytes last_id
    cdef set skipped_types

    cdef int apply(self, _Chunk chunk) except -1
    cdef int commit(self, Place* place) except -1
    cdef int rare(self, Place* place) except -1
    cdef int other(self, Place* place) except -1
    cdef str group_of(self, Place* place)
    cdef str topic_of(self, Place* place)
    cdef Committed value_of(self, Place* place)
