"""Share groups (KIP-932): membership, fetching, acknowledging, offsets."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int8, int16, int32, int64, record_batches, uuid


class ShareGroupHeartbeatRequest(Request, key=76, versions=(1, 1), flexible=1):
    """Join, stay in or leave a share group."""

    group_id: str = ""
    member_id: str = ""
    member_epoch: int32 = 0
    rack_id: str | None = None
    subscribed_topic_names: list[str] | None = None


class ShareGroupHeartbeatResponse(Response, key=76, versions=(1, 1), flexible=1):
    """Answer to `ShareGroupHeartbeatRequest`."""

    class TopicPartitions(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[int32] = []

    class Assignment(Struct):
        topic_partitions: list[ShareGroupHeartbeatResponse.TopicPartitions] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
    member_id: str | None = None
    member_epoch: int32 = 0
    heartbeat_interval_ms: int32 = 0
    assignment: Assignment | None = None


class ShareGroupDescribeRequest(Request, key=77, versions=(1, 1), flexible=1):
    """Describe share groups."""

    group_ids: list[str] = []
    include_authorized_operations: bool = False


class ShareGroupDescribeResponse(Response, key=77, versions=(1, 1), flexible=1):
    """Answer to `ShareGroupDescribeRequest`."""

    class TopicPartitions(Struct):
        topic_id: uuid = ZERO_UUID
        topic_name: str = ""
        partitions: list[int32] = []

    class Assignment(Struct):
        topic_partitions: list[ShareGroupDescribeResponse.TopicPartitions] = []

    class Member(Struct):
        member_id: str = ""
        rack_id: str | None = None
        member_epoch: int32 = 0
        client_id: str = ""
        client_host: str = ""
        subscribed_topic_names: list[str] = []
        assignment: ShareGroupDescribeResponse.Assignment = field()

    class DescribedGroup(Struct):
        error_code: int16 = 0
        error_message: str | None = None
        group_id: str = ""
        group_state: str = ""
        group_epoch: int32 = 0
        assignment_epoch: int32 = 0
        assignor_name: str = ""
        members: list[ShareGroupDescribeResponse.Member] = []
        authorized_operations: int32 = -2147483648

    throttle_time_ms: int32 = 0
    groups: list[DescribedGroup] = []


class ShareFetchRequest(Request, key=78, versions=(1, 2), flexible=1):
    """Acquire and read records; may acknowledge earlier ones."""

    class AcknowledgementBatch(Struct):
        first_offset: int64 = 0
        last_offset: int64 = 0
        acknowledge_types: list[int8] = []

    class FetchPartition(Struct):
        partition_index: int32 = 0
        acknowledgement_batches: list[ShareFetchRequest.AcknowledgementBatch] = []

    class FetchTopic(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[ShareFetchRequest.FetchPartition] = []

    class ForgottenTopic(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[int32] = []

    group_id: str | None = None
    member_id: str | None = ""
    share_session_epoch: int32 = 0
    max_wait_ms: int32 = 0
    min_bytes: int32 = 0
    max_bytes: int32 = 0x7FFFFFFF
    max_records: int32 = 0
    batch_size: int32 = 0
    share_acquire_mode: int8 = field("2+", ignorable=True)
    is_renew_ack: bool = field("2+")
    topics: list[FetchTopic] = []
    forgotten_topics_data: list[ForgottenTopic] = []


class ShareFetchResponse(Response, key=78, versions=(1, 2), flexible=1):
    """Acquired records, and results of acknowledgements."""

    class LeaderIdAndEpoch(Struct):
        leader_id: int32 = 0
        leader_epoch: int32 = 0

    class AcquiredRecords(Struct):
        first_offset: int64 = 0
        last_offset: int64 = 0
        delivery_count: int16 = 0

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None
        acknowledge_error_code: int16 = 0
        acknowledge_error_message: str | None = None
        current_leader: ShareFetchResponse.LeaderIdAndEpoch = field()
        records: record_batches = b""
        acquired_records: list[ShareFetchResponse.AcquiredRecords] = []

    class ShareFetchableTopicResponse(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[ShareFetchResponse.PartitionData] = []

    class NodeEndpoint(Struct):
        node_id: int32 = 0
        host: str = ""
        port: int32 = 0
        rack: str | None = None

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
    acquisition_lock_timeout_ms: int32 = 0
    responses: list[ShareFetchableTopicResponse] = []
    node_endpoints: list[NodeEndpoint] = []


class ShareAcknowledgeRequest(Request, key=79, versions=(1, 2), flexible=1):
    """Acknowledge acquired records."""

    class AcknowledgementBatch(Struct):
        first_offset: int64 = 0
        last_offset: int64 = 0
        acknowledge_types: list[int8] = []

    class AcknowledgePartition(Struct):
        partition_index: int32 = 0
        acknowledgement_batches: list[ShareAcknowledgeRequest.AcknowledgementBatch] = []

    class AcknowledgeTopic(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[ShareAcknowledgeRequest.AcknowledgePartition] = []

    group_id: str | None = None
    member_id: str | None = ""
    share_session_epoch: int32 = 0
    is_renew_ack: bool = field("2+")  # KIP-1222
    topics: list[AcknowledgeTopic] = []


class ShareAcknowledgeResponse(Response, key=79, versions=(1, 2), flexible=1):
    """Answer to `ShareAcknowledgeRequest`."""

    class LeaderIdAndEpoch(Struct):
        leader_id: int32 = 0
        leader_epoch: int32 = 0

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None
        current_leader: ShareAcknowledgeResponse.LeaderIdAndEpoch = field()

    class ShareAcknowledgeTopicResponse(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[ShareAcknowledgeResponse.PartitionData] = []

    class NodeEndpoint(Struct):
        node_id: int32 = 0
        host: str = ""
        port: int32 = 0
        rack: str | None = None

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
    acquisition_lock_timeout_ms: int32 = field("2+", ignorable=True)  # KIP-1222
    responses: list[ShareAcknowledgeTopicResponse] = []
    node_endpoints: list[NodeEndpoint] = []


class DescribeShareGroupOffsetsRequest(Request, key=90, versions=(0, 1), flexible=0):
    """Read the start offsets of share groups."""

    class DescribeShareGroupOffsetsRequestTopic(Struct):
        topic_name: str = ""
        partitions: list[int32] = []

    class DescribeShareGroupOffsetsRequestGroup(Struct):
        group_id: str = ""
        topics: (
            list[DescribeShareGroupOffsetsRequest.DescribeShareGroupOffsetsRequestTopic] | None
        ) = []

    groups: list[DescribeShareGroupOffsetsRequestGroup] = []


class DescribeShareGroupOffsetsResponse(Response, key=90, versions=(0, 1), flexible=0):
    """Answer to `DescribeShareGroupOffsetsRequest`."""

    class DescribeShareGroupOffsetsResponsePartition(Struct):
        partition_index: int32 = 0
        start_offset: int64 = 0
        leader_epoch: int32 = 0
        lag: int64 = field("1+", -1, ignorable=True)  # KIP-1226
        error_code: int16 = 0
        error_message: str | None = None

    class DescribeShareGroupOffsetsResponseTopic(Struct):
        topic_name: str = ""
        topic_id: uuid = ZERO_UUID
        partitions: list[
            DescribeShareGroupOffsetsResponse.DescribeShareGroupOffsetsResponsePartition
        ] = []

    class DescribeShareGroupOffsetsResponseGroup(Struct):
        group_id: str = ""
        topics: list[DescribeShareGroupOffsetsResponse.DescribeShareGroupOffsetsResponseTopic] = []
        error_code: int16 = 0
        error_message: str | None = None

    throttle_time_ms: int32 = 0
    groups: list[DescribeShareGroupOffsetsResponseGroup] = []


class AlterShareGroupOffsetsRequest(Request, key=91, versions=(0, 0), flexible=0):
    """Set the start offsets of a share group."""

    class AlterShareGroupOffsetsRequestPartition(Struct):
        partition_index: int32 = 0
        start_offset: int64 = 0

    class AlterShareGroupOffsetsRequestTopic(Struct):
        topic_name: str = ""
        partitions: list[AlterShareGroupOffsetsRequest.AlterShareGroupOffsetsRequestPartition] = []

    group_id: str = ""
    topics: list[AlterShareGroupOffsetsRequestTopic] = []


class AlterShareGroupOffsetsResponse(Response, key=91, versions=(0, 0), flexible=0):
    """Answer to `AlterShareGroupOffsetsRequest`."""

    class AlterShareGroupOffsetsResponsePartition(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None

    class AlterShareGroupOffsetsResponseTopic(Struct):
        topic_name: str = ""
        topic_id: uuid = ZERO_UUID
        partitions: list[
            AlterShareGroupOffsetsResponse.AlterShareGroupOffsetsResponsePartition
        ] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
    responses: list[AlterShareGroupOffsetsResponseTopic] = []


class DeleteShareGroupOffsetsRequest(Request, key=92, versions=(0, 0), flexible=0):
    """Delete the start offsets of a share group."""

    class DeleteShareGroupOffsetsRequestTopic(Struct):
        topic_name: str = ""

    group_id: str = ""
    topics: list[DeleteShareGroupOffsetsRequestTopic] = []


class DeleteShareGroupOffsetsResponse(Response, key=92, versions=(0, 0), flexible=0):
    """Answer to `DeleteShareGroupOffsetsRequest`."""

    class DeleteShareGroupOffsetsResponseTopic(Struct):
        topic_name: str = ""
        topic_id: uuid = ZERO_UUID
        error_code: int16 = 0
        error_message: str | None = None

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
    responses: list[DeleteShareGroupOffsetsResponseTopic] = []
