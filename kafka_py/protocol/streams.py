"""Streams groups (KIP-1071)."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int8, int16, int32, int64, uint16


class StreamsGroupHeartbeatRequest(Request, key=88, versions=(0, 1), flexible=0):
    """Join, stay in or leave a streams group."""

    class KeyValue(Struct):
        key: str = ""
        value: str = ""

    class TopicInfo(Struct):
        name: str = ""
        partitions: int32 = 0
        replication_factor: int16 = 0
        topic_configs: list[StreamsGroupHeartbeatRequest.KeyValue] = []

    class CopartitionGroup(Struct):
        source_topics: list[int16] = []
        source_topic_regex: list[int16] = []
        repartition_source_topics: list[int16] = []

    class Subtopology(Struct):
        subtopology_id: str = ""
        source_topics: list[str] = []
        source_topic_regex: list[str] = []
        state_changelog_topics: list[StreamsGroupHeartbeatRequest.TopicInfo] = []
        repartition_sink_topics: list[str] = []
        repartition_source_topics: list[StreamsGroupHeartbeatRequest.TopicInfo] = []
        copartition_groups: list[StreamsGroupHeartbeatRequest.CopartitionGroup] = []

    class Topology(Struct):
        epoch: int32 = 0
        subtopologies: list[StreamsGroupHeartbeatRequest.Subtopology] = []

    class TaskIds(Struct):
        subtopology_id: str = ""
        partitions: list[int32] = []

    class Endpoint(Struct):
        host: str = ""
        port: uint16 = 0

    class TaskOffset(Struct):
        subtopology_id: str = ""
        partition: int32 = 0
        offset: int64 = 0

    group_id: str = ""
    member_id: str = ""
    member_epoch: int32 = 0
    endpoint_information_epoch: int32 = 0
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int32 = -1
    topology: Topology | None = None
    active_tasks: list[TaskIds] | None = None
    standby_tasks: list[TaskIds] | None = None
    warmup_tasks: list[TaskIds] | None = None
    process_id: str | None = None
    user_endpoint: Endpoint | None = None
    client_tags: list[KeyValue] | None = None
    task_offsets: list[TaskOffset] | None = None
    task_end_offsets: list[TaskOffset] | None = None
    shutdown_application: bool = False


class StreamsGroupHeartbeatResponse(Response, key=88, versions=(0, 1), flexible=0):
    """Answer to `StreamsGroupHeartbeatRequest`."""

    class Status(Struct):
        status_code: int8 = 0
        status_detail: str = ""

    class TaskIds(Struct):
        subtopology_id: str = ""
        partitions: list[int32] = []

    class Endpoint(Struct):
        host: str = ""
        port: uint16 = 0

    class TopicPartition(Struct):
        topic: str = ""
        partitions: list[int32] = []

    class EndpointToPartitions(Struct):
        user_endpoint: StreamsGroupHeartbeatResponse.Endpoint = field()
        active_partitions: list[StreamsGroupHeartbeatResponse.TopicPartition] = []
        standby_partitions: list[StreamsGroupHeartbeatResponse.TopicPartition] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
    member_id: str = ""
    member_epoch: int32 = 0
    heartbeat_interval_ms: int32 = 0
    acceptable_recovery_lag_legacy: int32 = field("0")
    task_offset_interval_ms: int32 = 0
    acceptable_recovery_lag: int64 = field("1+", -1, ignorable=True)  # int64 since 4.4, KIP-1357
    status: list[Status] | None = []
    active_tasks: list[TaskIds] | None = None
    standby_tasks: list[TaskIds] | None = None
    warmup_tasks: list[TaskIds] | None = None
    topology_description_required: bool = field("1+")  # KIP-1331
    endpoint_information_epoch: int32 = 0
    partitions_by_user_endpoint: list[EndpointToPartitions] | None = None


class StreamsGroupDescribeRequest(Request, key=89, versions=(0, 1), flexible=0):
    """Describe streams groups."""

    group_ids: list[str] = []
    include_authorized_operations: bool = False
    include_topology_description: bool = field("1+")  # KIP-1331


class StreamsGroupDescribeResponse(Response, key=89, versions=(0, 1), flexible=0):
    """Answer to `StreamsGroupDescribeRequest`."""

    class KeyValue(Struct):
        key: str = ""
        value: str = ""

    class TopicInfo(Struct):
        name: str = ""
        partitions: int32 = 0
        replication_factor: int16 = 0
        topic_configs: list[StreamsGroupDescribeResponse.KeyValue] = []

    class Subtopology(Struct):
        subtopology_id: str = ""
        source_topics: list[str] = []
        repartition_sink_topics: list[str] = []
        state_changelog_topics: list[StreamsGroupDescribeResponse.TopicInfo] = []
        repartition_source_topics: list[StreamsGroupDescribeResponse.TopicInfo] = []

    class Topology(Struct):
        epoch: int32 = 0
        subtopologies: list[StreamsGroupDescribeResponse.Subtopology] | None = None

    class Endpoint(Struct):
        host: str = ""
        port: uint16 = 0

    class TaskOffset(Struct):
        subtopology_id: str = ""
        partition: int32 = 0
        offset: int64 = 0

    class TaskIds(Struct):
        subtopology_id: str = ""
        partitions: list[int32] = []

    class Assignment(Struct):
        active_tasks: list[StreamsGroupDescribeResponse.TaskIds] = []
        standby_tasks: list[StreamsGroupDescribeResponse.TaskIds] = []
        warmup_tasks: list[StreamsGroupDescribeResponse.TaskIds] = []

    class Member(Struct):
        member_id: str = ""
        member_epoch: int32 = 0
        instance_id: str | None = None
        rack_id: str | None = None
        client_id: str = ""
        client_host: str = ""
        topology_epoch: int32 = 0
        process_id: str = ""
        user_endpoint: StreamsGroupDescribeResponse.Endpoint | None = None
        client_tags: list[StreamsGroupDescribeResponse.KeyValue] = []
        task_offsets: list[StreamsGroupDescribeResponse.TaskOffset] = []
        task_end_offsets: list[StreamsGroupDescribeResponse.TaskOffset] = []
        assignment: StreamsGroupDescribeResponse.Assignment = field()
        target_assignment: StreamsGroupDescribeResponse.Assignment = field()
        is_classic: bool = False

    class TopologyDescriptionNode(Struct):
        name: str = ""
        node_type: int8 = 0
        source_topics: list[str] = []
        sink_topic: str | None = None
        stores: list[str] = []
        successors: list[str] = []

    class TopologyDescriptionSubtopology(Struct):
        subtopology_id: str = ""
        nodes: list[StreamsGroupDescribeResponse.TopologyDescriptionNode] = []

    class TopologyDescriptionGlobalStore(Struct):
        source: StreamsGroupDescribeResponse.TopologyDescriptionNode = field()
        processor: StreamsGroupDescribeResponse.TopologyDescriptionNode = field()

    class TopologyDescription(Struct):
        subtopologies: list[StreamsGroupDescribeResponse.TopologyDescriptionSubtopology] = []
        global_stores: list[StreamsGroupDescribeResponse.TopologyDescriptionGlobalStore] = []

    class DescribedGroup(Struct):
        error_code: int16 = 0
        error_message: str | None = None
        group_id: str = ""
        group_state: str = ""
        group_epoch: int32 = 0
        assignment_epoch: int32 = 0
        topology: StreamsGroupDescribeResponse.Topology | None = None
        members: list[StreamsGroupDescribeResponse.Member] = []
        authorized_operations: int32 = -2147483648
        topology_description: StreamsGroupDescribeResponse.TopologyDescription | None = field(
            "1+", None
        )
        topology_description_status: int8 = field("1+")
        assignor_name: str | None = field("1+", None, ignorable=True)

    throttle_time_ms: int32 = 0
    groups: list[DescribedGroup] = []


class StreamsGroupTopologyDescriptionUpdateRequest(Request, key=93, versions=(0, 0), flexible=0):
    """Hand in the description of a topology (KIP-1331, since 4.4)."""

    class TopologyDescriptionNode(Struct):
        name: str = ""
        node_type: int8 = 0
        source_topics: list[str] = []
        sink_topic: str | None = None
        stores: list[str] = []
        successors: list[str] = []

    class TopologyDescriptionSubtopology(Struct):
        subtopology_id: str = ""
        nodes: list[StreamsGroupTopologyDescriptionUpdateRequest.TopologyDescriptionNode] = []

    class TopologyDescriptionGlobalStore(Struct):
        source: StreamsGroupTopologyDescriptionUpdateRequest.TopologyDescriptionNode = field()
        processor: StreamsGroupTopologyDescriptionUpdateRequest.TopologyDescriptionNode = field()

    class TopologyDescription(Struct):
        subtopologies: list[
            StreamsGroupTopologyDescriptionUpdateRequest.TopologyDescriptionSubtopology
        ] = []
        global_stores: list[
            StreamsGroupTopologyDescriptionUpdateRequest.TopologyDescriptionGlobalStore
        ] = []

    group_id: str = ""
    member_id: str = ""
    topology_epoch: int32 = 0
    topology_description: TopologyDescription = field()


class StreamsGroupTopologyDescriptionUpdateResponse(Response, key=93, versions=(0, 0), flexible=0):
    """Answer to `StreamsGroupTopologyDescriptionUpdateRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
