# The compiled OffsetCommit and heartbeats: request bytes in, records and reply bytes out, no message objects between.

from libc.stdint cimport int32_t, int64_t, uint8_t

from kafka_py.coordinator.batch cimport PendingBatch
from kafka_py.coordinator.offsets.committed cimport CommittedOffsets
from kafka_py.coordinator.steady cimport GroupState, SteadyMember
from kafka_py.protocol.cursor cimport Cursor

cdef enum:
    PIECES_MAX = 256
    TOPICS_MAX = 64

cdef struct Text:
    const uint8_t* p
    Py_ssize_t size             # -1: null

cdef struct Piece:              # one partition of a request
    int32_t topic
    int32_t partition
    int32_t leader_epoch
    int64_t offset
    Text metadata


cdef class GroupRow:            # where a group's commits go
    cdef str group_id
    cdef object shard
    cdef dict groups            # of the shard
    cdef object settled         # whether everything that was applied is committed
    cdef CommittedOffsets offsets
    cdef PendingBatch pending


cdef class TopicRow:            # a topic of the image
    cdef str name
    cdef bytes encoded
    cdef bytes topic_id
    cdef object partitions      # index -> whatever


cdef class CommitPath:
    cdef object find
    cdef object now
    cdef object monotonic_ms
    cdef object image
    cdef dict by_group          # bytes of the group id -> GroupRow
    cdef dict by_name           # bytes of the topic's name -> TopicRow
    cdef dict by_id
    cdef public object grants   # of the caller; None: there is nobody to ask
    cdef public bint modern     # the consumer protocol is offered
    cdef object moment          # what time it is, asked for once in a wake-up
    cdef int64_t moment_ms
    cdef int64_t settings       # how often settings may have changed
    cdef Py_ssize_t metadata_max
    cdef PendingBatch taken     # where the last commit's records are; its reply belongs there
    cdef readonly long commits
    cdef readonly long heartbeats
    cdef uint8_t* scratch
    cdef Py_ssize_t scratch_bytes
    cdef int pieces_count
    cdef int topics_count
    cdef Piece pieces[PIECES_MAX]
    cdef Text spans[TOPICS_MAX]
    cdef int sizes[TOPICS_MAX]  # partitions of each topic

    # The reply's whole frame, or None when this is not for here: nothing has happened then.
    cdef bytes commit(self, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation, int64_t now_ms)
    # A Heartbeat, a ConsumerGroupHeartbeat of a member for whom nothing changes: the size of the reply's frame, which is
    # in `scratch` until the next call; 0: not for here.
    cdef Py_ssize_t heartbeat(
        self, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation, int64_t now_ms
    ) except -1
    cdef Py_ssize_t member_heartbeat(
        self, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation, int64_t now_ms,
        const uint8_t* client_id, Py_ssize_t client_id_bytes, str host,
    ) except -1
    cdef SteadyMember steady(self, GroupRow row, GroupState group, const uint8_t* p, Py_ssize_t size)
    cdef bint is_settled(self, GroupRow row) except -1
    cdef object time(self, int64_t now_ms)
    cdef int parse_topics(self, Cursor* c, int version) except -1
    cdef list find_topics(self, int version)
    cdef list texts(self)
    cdef GroupRow find_group(self, const uint8_t* p, Py_ssize_t size)
    cdef int may_commit(self, GroupRow row, list topics, str member_id, object instance_id, int32_t epoch, int version, int64_t now_ms) except -1
    cdef int write(self, GroupRow row, list topics, list texts, int64_t now_ms) except -1
    cdef bytes reply(self, Py_ssize_t room, int version, int32_t correlation)
    cdef int reserve(self, Py_ssize_t n) except -1


# Whether a request is one for here: 0 no, 1 yes, 2 yes and its header ends with tagged fields.
cdef inline int quick_header(int key, int version) noexcept nogil:
    if key == 8:
        return 0 if version < 2 or version > 10 else 1 if version < 8 else 2
    if key == 12:
        return 0 if version < 0 or version > 4 else 1 if version < 4 else 2
    return 2 if key == 68 and 0 <= version <= 1 else 0
