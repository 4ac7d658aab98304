# cython: auto_pickle=False, freethreading_compatible=True
"""What groups committed, in memory: group -> topic -> partition -> offset. See the stub for the contract."""

cimport cython
from libc.stdint cimport int32_t, int64_t

from types import MappingProxyType

from kafka_py.coordinator.offsets.pending import PendingOffsets

NO_TOPIC_ID = bytes(16)
NOTHING_OF_GROUP = MappingProxyType({})


@cython.final
@cython.no_gc
@cython.freelist(512)
cdef class Committed:
    """One committed offset; a value."""

    def __init__(
        self,
        int64_t offset,
        int32_t leader_epoch=-1,
        str metadata not None="",
        int64_t commit_ms=-1,
        int64_t expire_ms=-1,
        bytes topic_id not None=NO_TOPIC_ID,
    ):
        self.offset = offset
        self.leader_epoch = leader_epoch
        self.metadata = metadata
        self.commit_ms = commit_ms
        self.expire_ms = expire_ms
        self.topic_id = topic_id

    def __eq__(self, other):
        cdef Committed that
        if not isinstance(other, Committed):
            return NotImplemented
        that = <Committed>other
        return (
            self.offset == that.offset
            and self.leader_epoch == that.leader_epoch
            and self.commit_ms == that.commit_ms
            and self.expire_ms == that.expire_ms
            and self.metadata == that.metadata
            and self.topic_id == that.topic_id
        )

    __hash__ = None

    def __repr__(self):
        return (
            f"Committed(offset={self.offset}, leader_epoch={self.leader_epoch}, metadata={self.metadata!r}, "
            f"commit_ms={self.commit_ms}, expire_ms={self.expire_ms}, topic_id={self.topic_id.hex()})"
        )


cdef Committed new_committed(
    int64_t offset, int32_t leader_epoch, str metadata, int64_t commit_ms, int64_t expire_ms, bytes topic_id
):
    cdef Committed made = Committed.__new__(Committed)
    made.offset = offset
    made.leader_epoch = leader_epoch
    made.metadata = metadata
    made.commit_ms = commit_ms
    made.expire_ms = expire_ms
    made.topic_id = topic_id
    return made


@cython.final
cdef class CommittedOffsets:
    """The offsets of all groups of one partition of ``__consumer_offsets``."""

    def __init__(self):
        self.groups = {}
        self.count = 0
        self.pending = PendingOffsets()

    def __len__(self):
        return self.count

    def __eq__(self, other):
        if not isinstance(other, CommittedOffsets):
            return NotImplemented
        return (
            self.groups == (<CommittedOffsets>other).groups
            and self.pending == (<CommittedOffsets>other).pending
        )

    __hash__ = None

    def __repr__(self):
        return f"<CommittedOffsets: {self.count} offsets of {len(self.groups)} groups>"

    def get(self, str group, str topic, partition):
        topics = self.groups.get(group)
        if topics is None:
            return None
        partitions = (<dict>topics).get(topic)
        return None if partitions is None else (<dict>partitions).get(partition)

    def of_group(self, str group):
        topics = self.groups.get(group)
        return NOTHING_OF_GROUP if topics is None else MappingProxyType(topics)

    def group_ids(self):
        return list(self.groups)

    cdef dict partitions_of(self, str group, str topic):
        topics = self.groups.get(group)
        if topics is None:
            topics = self.groups[group] = {}
        partitions = (<dict>topics).get(topic)
        if partitions is None:
            partitions = (<dict>topics)[topic] = {}
        return <dict>partitions

    cdef int store(self, str group, str topic, partition, Committed value) except -1:
        cdef dict partitions = self.partitions_of(group, topic)
        cdef Py_ssize_t before = len(partitions)
        partitions[partition] = value
        self.count += len(partitions) - before
        if self.pending.open:
            self.pending.supersede(group, topic, partition)
        return 0

    def put(self, str group not None, str topic not None, int32_t partition, Committed value not None):
        self.store(group, topic, partition, value)

    def remove(self, str group, str topic, int32_t partition):
        if self.pending.open:
            self.pending.remove(group, topic, partition)
        topics = self.groups.get(group)
        if topics is None:
            return False
        partitions = (<dict>topics).get(topic)
        if partitions is None or (<dict>partitions).pop(partition, None) is None:
            return False
        self.count -= 1
        if not partitions:
            del (<dict>topics)[topic]
            if not topics:
                del self.groups[group]
        return True

    def apply(self, key, value):
        if value is None:
            self.remove(key.group, key.topic, key.partition)
        else:
            self.store(key.group, key.topic, key.partition, from_record(value))

    def apply_pending(self, int64_t producer_id, key, value):
        if value is None:
            self.remove(key.group, key.topic, key.partition)
        else:
            self.pending.put(producer_id, key.group, key.topic, key.partition, from_record(value))

    def end_transaction(self, int64_t producer_id, bint committed):
        for (group, topic, partition), value in self.pending.end(producer_id, committed):
            partitions = self.partitions_of(group, topic)
            if partition not in partitions:
                self.count += 1
            partitions[partition] = value

    def is_pending(self, str group, str topic, partition):
        return bool(self.pending.open) and self.pending.holds(group, topic, partition)

    def has_open_transactions(self, str group):
        return group in self.pending.open


cdef Committed from_record(value):
    # The oldest record type has neither epoch nor expiry nor topic id.
    return new_committed(
        value.offset,
        getattr(value, "leader_epoch", -1),
        value.metadata,
        value.commit_timestamp,
        getattr(value, "expire_timestamp", -1),
        getattr(value, "topic_id", NO_TOPIC_ID),
    )
