"""Topic and partition administration."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int8, int16, int32, int64, uuid


class CreateTopicsRequest(
    Request, key=19, versions=(2, 7), flexible=5, listeners="broker controller"
):
    """Create topics."""

    class CreatableReplicaAssignment(Struct):
        partition_index: int32 = 0
        broker_ids: list[int32] = []

    class CreatableTopicConfig(Struct):
        name: str = ""
        value: str | None = ""

    class CreatableTopic(Struct):
        name: str = ""
        num_partitions: int32 = 0
        replication_factor: int16 = 0
        assignments: list[CreateTopicsRequest.CreatableReplicaAssignment] = []
        configs: list[CreateTopicsRequest.CreatableTopicConfig] = []

    topics: list[CreatableTopic] = []
    timeout_ms: int32 = 60000
    validate_only: bool = False


class CreateTopicsResponse(Response, key=19, versions=(2, 7), flexible=5):
    """Result for each topic, with its id and configuration."""

    class CreatableTopicConfigs(Struct):
        name: str = ""
        value: str | None = ""
        read_only: bool = False
        config_source: int8 = -1
        is_sensitive: bool = False

    class CreatableTopicResult(Struct):
        name: str = ""
        topic_id: uuid = field("7+", ignorable=True)
        error_code: int16 = 0
        error_message: str | None = ""
        topic_config_error_code: int16 = field("5+", tag=0, ignorable=True)  # KIP-525
        num_partitions: int32 = field("5+", -1, ignorable=True)  # KIP-525
        replication_factor: int16 = field("5+", -1, ignorable=True)  # KIP-525
        # KIP-525
        configs: list[CreateTopicsResponse.CreatableTopicConfigs] | None = field(
            "5+", ignorable=True
        )

    throttle_time_ms: int32 = 0
    topics: list[CreatableTopicResult] = []


class DeleteTopicsRequest(
    Request, key=20, versions=(1, 6), flexible=4, listeners="broker controller"
):
    """Delete topics by name or id."""

    class DeleteTopicState(Struct):
        name: str | None = None
        topic_id: uuid = ZERO_UUID

    topics: list[DeleteTopicState] = field("6+")
    topic_names: list[str] = field("0-5", ignorable=True)
    timeout_ms: int32 = 0


class DeleteTopicsResponse(Response, key=20, versions=(1, 6), flexible=4):
    """Answer to `DeleteTopicsRequest`."""

    class DeletableTopicResult(Struct):
        name: str | None = field(nullable="6+")
        topic_id: uuid = field("6+", ignorable=True)
        error_code: int16 = 0
        error_message: str | None = field("5+", None, ignorable=True)  # KIP-599

    throttle_time_ms: int32 = 0
    responses: list[DeletableTopicResult] = []


class CreatePartitionsRequest(
    Request, key=37, versions=(0, 3), flexible=2, listeners="broker controller"
):
    """Give topics more partitions."""

    class CreatePartitionsAssignment(Struct):
        broker_ids: list[int32] = []

    class CreatePartitionsTopic(Struct):
        name: str = ""
        count: int32 = 0
        assignments: list[CreatePartitionsRequest.CreatePartitionsAssignment] | None = []

    topics: list[CreatePartitionsTopic] = []
    timeout_ms: int32 = 0
    validate_only: bool = False


class CreatePartitionsResponse(Response, key=37, versions=(0, 3), flexible=2):
    """Answer to `CreatePartitionsRequest`."""

    class CreatePartitionsTopicResult(Struct):
        name: str = ""
        error_code: int16 = 0
        error_message: str | None = None

    throttle_time_ms: int32 = 0
    results: list[CreatePartitionsTopicResult] = []


class DeleteRecordsRequest(Request, key=21, versions=(0, 2), flexible=2):
    """Drop the records below an offset."""

    class DeleteRecordsPartition(Struct):
        partition_index: int32 = 0
        offset: int64 = 0

    class DeleteRecordsTopic(Struct):
        name: str = ""
        partitions: list[DeleteRecordsRequest.DeleteRecordsPartition] = []

    topics: list[DeleteRecordsTopic] = []
    timeout_ms: int32 = 0


class DeleteRecordsResponse(Response, key=21, versions=(0, 2), flexible=2):
    """Answer to `DeleteRecordsRequest`."""

    class DeleteRecordsPartitionResult(Struct):
        partition_index: int32 = 0
        low_watermark: int64 = 0
        error_code: int16 = 0

    class DeleteRecordsTopicResult(Struct):
        name: str = ""
        partitions: list[DeleteRecordsResponse.DeleteRecordsPartitionResult] = []

    throttle_time_ms: int32 = 0
    topics: list[DeleteRecordsTopicResult] = []


class ElectLeadersRequest(
    Request, key=43, versions=(0, 2), flexible=2, listeners="broker controller"
):
    """Elect preferred or unclean leaders."""

    class TopicPartitions(Struct):
        topic: str = ""
        partitions: list[int32] = []

    election_type: int8 = field("1+")  # KIP-460
    topic_partitions: list[TopicPartitions] | None = []
    timeout_ms: int32 = 60000


class ElectLeadersResponse(Response, key=43, versions=(0, 2), flexible=2):
    """Answer to `ElectLeadersRequest`."""

    class PartitionResult(Struct):
        partition_id: int32 = 0
        error_code: int16 = 0
        error_message: str | None = ""

    class ReplicaElectionResult(Struct):
        topic: str = ""
        partition_result: list[ElectLeadersResponse.PartitionResult] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = field("1+")
    replica_election_results: list[ReplicaElectionResult] = []


class AlterPartitionReassignmentsRequest(
    Request, key=45, versions=(0, 1), flexible=0, listeners="broker controller"
):
    """Start or cancel moves of replicas (KIP-455)."""

    class ReassignablePartition(Struct):
        partition_index: int32 = 0
        replicas: list[int32] | None = None

    class ReassignableTopic(Struct):
        name: str = ""
        partitions: list[AlterPartitionReassignmentsRequest.ReassignablePartition] = []

    timeout_ms: int32 = 60000
    allow_replication_factor_change: bool = field("1+", True)
    topics: list[ReassignableTopic] = []


class AlterPartitionReassignmentsResponse(Response, key=45, versions=(0, 1), flexible=0):
    """Answer to `AlterPartitionReassignmentsRequest`."""

    class ReassignablePartitionResponse(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        error_message: str | None = ""

    class ReassignableTopicResponse(Struct):
        name: str = ""
        partitions: list[AlterPartitionReassignmentsResponse.ReassignablePartitionResponse] = []

    throttle_time_ms: int32 = 0
    allow_replication_factor_change: bool = field("1+", True, ignorable=True)
    error_code: int16 = 0
    error_message: str | None = ""
    responses: list[ReassignableTopicResponse] = []


class ListPartitionReassignmentsRequest(
    Request, key=46, versions=(0, 0), flexible=0, listeners="broker controller"
):
    """List moves of replicas under way (KIP-455)."""

    class ListPartitionReassignmentsTopics(Struct):
        name: str = ""
        partition_indexes: list[int32] = []

    timeout_ms: int32 = 60000
    topics: list[ListPartitionReassignmentsTopics] | None = None


class ListPartitionReassignmentsResponse(Response, key=46, versions=(0, 0), flexible=0):
    """Answer to `ListPartitionReassignmentsRequest`."""

    class OngoingPartitionReassignment(Struct):
        partition_index: int32 = 0
        replicas: list[int32] = []
        adding_replicas: list[int32] = []
        removing_replicas: list[int32] = []

    class OngoingTopicReassignment(Struct):
        name: str = ""
        partitions: list[ListPartitionReassignmentsResponse.OngoingPartitionReassignment] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""
    topics: list[OngoingTopicReassignment] = []
