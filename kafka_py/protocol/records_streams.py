"""Records of `__consumer_offsets`: streams groups."""

from __future__ import annotations

from kafka_py.protocol.schema import Record, Struct, field
from kafka_py.protocol.types import int8, int16, int32, int64, uint16


class StreamsGroupMetadataKey(Record, key=17, versions=(0, 0)):
    """Key: a streams group."""

    group_id: str = ""


class StreamsGroupMetadataValue(Record, key=17, versions=(0, 0), flexible=0):
    """The group's epochs, and since 4.4 where its topology description stands (KIP-1331)."""

    class LastAssignmentConfig(Struct):
        key: str = ""
        value: str = ""

    epoch: int32 = 0
    metadata_hash: int64 = 0
    validated_topology_epoch: int32 = field(default=-1, tag=0)
    last_assignment_configs: list[LastAssignmentConfig] | None = field(tag=1)
    stored_description_topology_epoch: int32 = field(default=-1, tag=2)
    failed_description_topology_epoch: int32 = field(default=-1, tag=3)


class StreamsGroupMemberMetadataKey(Record, key=19, versions=(0, 0)):
    """Key: a member of a streams group."""

    group_id: str = ""
    member_id: str = ""


class StreamsGroupMemberMetadataValue(Record, key=19, versions=(0, 0), flexible=0):
    """What the member said of itself: process, endpoint, tags."""

    class Endpoint(Struct):
        host: str = ""
        port: uint16 = 0

    class KeyValue(Struct):
        key: str = ""
        value: str = ""

    instance_id: str | None = ""
    rack_id: str | None = ""
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int32 = -1
    topology_epoch: int32 = 0
    process_id: str = ""
    user_endpoint: Endpoint | None = None
    client_tags: list[KeyValue] = []


class StreamsGroupTargetAssignmentMetadataKey(Record, key=20, versions=(0, 0)):
    """Key: a streams group's target assignment."""

    group_id: str = ""


class StreamsGroupTargetAssignmentMetadataValue(Record, key=20, versions=(0, 0), flexible=0):
    """The group epoch that the target assignment was made for."""

    assignment_epoch: int32 = 0
    assignment_timestamp: int64 = field(tag=0)


class StreamsGroupTargetAssignmentMemberKey(Record, key=21, versions=(0, 0)):
    """Key: a member's share of the target assignment."""

    group_id: str = ""
    member_id: str = ""


class StreamsGroupTargetAssignmentMemberValue(Record, key=21, versions=(0, 0), flexible=0):
    """The active, standby and warm-up tasks that the member is to have."""

    class TaskIds(Struct):
        subtopology_id: str = ""
        partitions: list[int32] = []

    active_tasks: list[TaskIds] = []
    standby_tasks: list[TaskIds] = []
    warmup_tasks: list[TaskIds] = []


class StreamsGroupCurrentMemberAssignmentKey(Record, key=22, versions=(0, 0)):
    """Key: what a member of a streams group has now."""

    group_id: str = ""
    member_id: str = ""


class StreamsGroupCurrentMemberAssignmentValue(Record, key=22, versions=(0, 0), flexible=0):
    """The member's epoch, its tasks, and those it still has to give up."""

    class TaskIds(Struct):
        subtopology_id: str = ""
        partitions: list[int32] = []
        assignment_epochs: list[int32] | None = field(tag=0)

    member_epoch: int32 = 0
    previous_member_epoch: int32 = 0
    state: int8 = 0
    active_tasks: list[TaskIds] = []
    standby_tasks: list[TaskIds] = []
    warmup_tasks: list[TaskIds] = []
    active_tasks_pending_revocation: list[TaskIds] = []
    standby_tasks_pending_revocation: list[TaskIds] = []
    warmup_tasks_pending_revocation: list[TaskIds] = []


class StreamsGroupTopologyKey(Record, key=23, versions=(0, 0)):
    """Key: the topology of a streams group."""

    group_id: str = ""


class StreamsGroupTopologyValue(Record, key=23, versions=(0, 0), flexible=0):
    """Its subtopologies with their source, sink and internal topics."""

    class TopicConfig(Struct):
        key: str = ""
        value: str = ""

    class TopicInfo(Struct):
        name: str = ""
        partitions: int32 = 0
        replication_factor: int16 = 0
        topic_configs: list[StreamsGroupTopologyValue.TopicConfig] = []

    class CopartitionGroup(Struct):
        source_topics: list[int16] = []
        source_topic_regex: list[int16] = []
        repartition_source_topics: list[int16] = []

    class Subtopology(Struct):
        subtopology_id: str = ""
        source_topics: list[str] = []
        source_topic_regex: list[str] = []
        state_changelog_topics: list[StreamsGroupTopologyValue.TopicInfo] = []
        repartition_sink_topics: list[str] = []
        repartition_source_topics: list[StreamsGroupTopologyValue.TopicInfo] = []
        copartition_groups: list[StreamsGroupTopologyValue.CopartitionGroup] = []

    epoch: int32 = 0
    subtopologies: list[Subtopology] = []
