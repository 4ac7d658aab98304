"""Records of `__consumer_offsets`: offsets, classic groups, consumer groups, share groups."""

from __future__ import annotations

from kafka_py.protocol.schema import Record, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int8, int32, int64, uuid


class LegacyOffsetCommitKey(Record, key=0, versions=(0, 0)):
    """Key: a committed offset, under the oldest record type."""

    group: str = ""
    topic: str = ""
    partition: int32 = 0


class LegacyOffsetCommitValue(Record, key=0, versions=(0, 0)):
    """A committed offset in the layout of the oldest record type; the current one reads it too."""

    offset: int64 = 0
    metadata: str = ""
    commit_timestamp: int64 = 0


class OffsetCommitKey(Record, key=1, versions=(0, 0)):
    """Key: a group's committed offset of a partition."""

    group: str = ""
    topic: str = ""
    partition: int32 = 0


class OffsetCommitValue(Record, key=1, versions=(0, 4), flexible=4):
    """The committed offset, its metadata and times."""

    offset: int64 = 0
    leader_epoch: int32 = field("3+", -1, ignorable=True)
    metadata: str = ""
    commit_timestamp: int64 = 0
    expire_timestamp: int64 = field("1", -1, ignorable=True)
    topic_id: uuid = field("4+", tag=0, ignorable=True)


class GroupMetadataKey(Record, key=2, versions=(0, 0)):
    """Key: a classic group."""

    group: str = ""


class GroupMetadataValue(Record, key=2, versions=(0, 4), flexible=4):
    """A classic group's generation, leader and members."""

    class MemberMetadata(Struct):
        member_id: str = ""
        group_instance_id: str | None = field("3+", None, ignorable=True)
        client_id: str = ""
        client_host: str = ""
        rebalance_timeout: int32 = field("1+", -1, ignorable=True)
        session_timeout: int32 = 0
        subscription: bytes = b""
        assignment: bytes = b""

    protocol_type: str = ""
    generation: int32 = 0
    protocol: str | None = ""
    leader: str | None = ""
    current_state_timestamp: int64 = field("2+", -1, ignorable=True)
    members: list[MemberMetadata] = []


class ConsumerGroupMetadataKey(Record, key=3, versions=(0, 0)):
    """Key: a consumer group."""

    group_id: str = ""


class ConsumerGroupMetadataValue(Record, key=3, versions=(0, 0), flexible=0):
    """The group's epoch and the hash of the topics it subscribes to."""

    epoch: int32 = 0
    metadata_hash: int64 = field(tag=0)


class ConsumerGroupPartitionMetadataKey(Record, key=4, versions=(0, 0)):
    """Key: what a consumer group knew of its topics; a hash in its record took its place."""

    group_id: str = ""


class ConsumerGroupPartitionMetadataValue(Record, key=4, versions=(0, 0), flexible=0):
    """Partition counts and racks of the subscribed topics."""

    class PartitionMetadata(Struct):
        partition: int32 = 0
        racks: list[str] = []

    class TopicMetadata(Struct):
        topic_id: uuid = ZERO_UUID
        topic_name: str = ""
        num_partitions: int32 = 0
        partition_metadata: list[ConsumerGroupPartitionMetadataValue.PartitionMetadata] = []

    topics: list[TopicMetadata] = []


class ConsumerGroupMemberMetadataKey(Record, key=5, versions=(0, 0)):
    """Key: a member of a consumer group."""

    group_id: str = ""
    member_id: str = ""


class ConsumerGroupMemberMetadataValue(Record, key=5, versions=(0, 0), flexible=0):
    """What the member said of itself: subscription, client, time-outs."""

    class ClassicProtocol(Struct):
        name: str = ""
        metadata: bytes = b""

    class ClassicMemberMetadata(Struct):
        session_timeout_ms: int32 = 0
        supported_protocols: list[ConsumerGroupMemberMetadataValue.ClassicProtocol] = []

    instance_id: str | None = ""
    rack_id: str | None = ""
    client_id: str = ""
    client_host: str = ""
    subscribed_topic_names: list[str] = []
    subscribed_topic_regex: str | None = ""
    rebalance_timeout_ms: int32 = -1
    server_assignor: str | None = ""
    classic_member_metadata: ClassicMemberMetadata | None = field(tag=0)


class ConsumerGroupTargetAssignmentMetadataKey(Record, key=6, versions=(0, 0)):
    """Key: a consumer group's target assignment."""

    group_id: str = ""


class ConsumerGroupTargetAssignmentMetadataValue(Record, key=6, versions=(0, 0), flexible=0):
    """The group epoch that the target assignment was made for."""

    assignment_epoch: int32 = 0
    assignment_timestamp: int64 = field(tag=0)


class ConsumerGroupTargetAssignmentMemberKey(Record, key=7, versions=(0, 0)):
    """Key: a member's share of the target assignment."""

    group_id: str = ""
    member_id: str = ""


class ConsumerGroupTargetAssignmentMemberValue(Record, key=7, versions=(0, 0), flexible=0):
    """The partitions that the member is to own."""

    class TopicPartition(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[int32] = []

    topic_partitions: list[TopicPartition] = []


class ConsumerGroupCurrentMemberAssignmentKey(Record, key=8, versions=(0, 0)):
    """Key: what a member of a consumer group owns now."""

    group_id: str = ""
    member_id: str = ""


class ConsumerGroupCurrentMemberAssignmentValue(Record, key=8, versions=(0, 0), flexible=0):
    """The member's epoch, its partitions, and those it still has to give up."""

    class TopicPartitions(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[int32] = []
        assignment_epochs: list[int32] | None = field(tag=0)

    member_epoch: int32 = 0
    previous_member_epoch: int32 = 0
    state: int8 = 0
    assigned_partitions: list[TopicPartitions] = []
    partitions_pending_revocation: list[TopicPartitions] = []


class ShareGroupMemberMetadataKey(Record, key=10, versions=(0, 0)):
    """Key: a member of a share group."""

    group_id: str = ""
    member_id: str = ""


class ShareGroupMemberMetadataValue(Record, key=10, versions=(0, 0), flexible=0):
    """What the member said of itself."""

    rack_id: str | None = ""
    client_id: str = ""
    client_host: str = ""
    subscribed_topic_names: list[str] = []


class ShareGroupMetadataKey(Record, key=11, versions=(0, 0)):
    """Key: a share group."""

    group_id: str = ""


class ShareGroupMetadataValue(Record, key=11, versions=(0, 0), flexible=0):
    """The group's epoch and the hash of its topics."""

    epoch: int32 = 0
    metadata_hash: int64 = 0


class ShareGroupTargetAssignmentMetadataKey(Record, key=12, versions=(0, 0)):
    """Key: a share group's target assignment."""

    group_id: str = ""


class ShareGroupTargetAssignmentMetadataValue(Record, key=12, versions=(0, 0), flexible=0):
    """The group epoch that the target assignment was made for."""

    assignment_epoch: int32 = 0
    assignment_timestamp: int64 = field(tag=0)


class ShareGroupTargetAssignmentMemberKey(Record, key=13, versions=(0, 0)):
    """Key: a member's share of the target assignment."""

    group_id: str = ""
    member_id: str = ""


class ShareGroupTargetAssignmentMemberValue(Record, key=13, versions=(0, 0), flexible=0):
    """The partitions that the member is to read."""

    class TopicPartition(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[int32] = []

    topic_partitions: list[TopicPartition] = []


class ShareGroupCurrentMemberAssignmentKey(Record, key=14, versions=(0, 0)):
    """Key: what a member of a share group reads now."""

    group_id: str = ""
    member_id: str = ""


class ShareGroupCurrentMemberAssignmentValue(Record, key=14, versions=(0, 0), flexible=0):
    """The member's epoch and partitions."""

    class TopicPartitions(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[int32] = []

    member_epoch: int32 = 0
    previous_member_epoch: int32 = 0
    state: int8 = 0
    assigned_partitions: list[TopicPartitions] = []


class ShareGroupStatePartitionMetadataKey(Record, key=15, versions=(0, 0)):
    """Key: the share partitions of a group."""

    group_id: str = ""


class ShareGroupStatePartitionMetadataValue(Record, key=15, versions=(0, 0), flexible=0):
    """Which partitions have state, are to get it, or are to lose it."""

    class TopicPartitionsInfo(Struct):
        topic_id: uuid = ZERO_UUID
        topic_name: str = ""
        partitions: list[int32] = []

    class TopicInfo(Struct):
        topic_id: uuid = ZERO_UUID
        topic_name: str = ""

    initializing_topics: list[TopicPartitionsInfo] = []
    initialized_topics: list[TopicPartitionsInfo] = []
    deleting_topics: list[TopicInfo] = []


class ConsumerGroupRegularExpressionKey(Record, key=16, versions=(0, 0)):
    """Key: a regular expression that a consumer group subscribes to."""

    group_id: str = ""
    regular_expression: str = ""


class ConsumerGroupRegularExpressionValue(Record, key=16, versions=(0, 0), flexible=0):
    """The topics that the expression matched, and when it was resolved."""

    topics: list[str] = []
    version: int64 = 0
    timestamp: int64 = 0
