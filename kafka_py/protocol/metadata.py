"""Where topics and partitions live."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int16, int32, uuid


class MetadataRequest(Request, key=3, versions=(0, 13), flexible=9):
    """Ask for brokers, topics, partitions and their leaders."""

    class MetadataRequestTopic(Struct):
        topic_id: uuid = field("10+", ignorable=True)
        name: str | None = field(nullable="10+")

    topics: list[MetadataRequestTopic] | None = field(nullable="1+")
    allow_auto_topic_creation: bool = field("4+", True)
    include_cluster_authorized_operations: bool = field("8-10")
    include_topic_authorized_operations: bool = field("8+")


class MetadataResponse(Response, key=3, versions=(0, 13), flexible=9):
    """Brokers, topics and partitions."""

    class MetadataResponseBroker(Struct):
        node_id: int32 = 0
        host: str = ""
        port: int32 = 0
        rack: str | None = field("1+", None, ignorable=True)

    class MetadataResponsePartition(Struct):
        error_code: int16 = 0
        partition_index: int32 = 0
        leader_id: int32 = 0
        leader_epoch: int32 = field("7+", -1, ignorable=True)
        replica_nodes: list[int32] = []
        isr_nodes: list[int32] = []
        offline_replicas: list[int32] = field("5+", ignorable=True)

    class MetadataResponseTopic(Struct):
        error_code: int16 = 0
        name: str | None = field(nullable="12+")
        topic_id: uuid = field("10+", ignorable=True)
        is_internal: bool = field("1+", ignorable=True)
        partitions: list[MetadataResponse.MetadataResponsePartition] = []
        topic_authorized_operations: int32 = field("8+", -2147483648)

    throttle_time_ms: int32 = field("3+", ignorable=True)
    brokers: list[MetadataResponseBroker] = []
    cluster_id: str | None = field("2+", None, ignorable=True)
    controller_id: int32 = field("1+", -1, ignorable=True)
    topics: list[MetadataResponseTopic] = []
    cluster_authorized_operations: int32 = field("8-10", -2147483648)
    error_code: int16 = field("13+", ignorable=True)


class DescribeTopicPartitionsRequest(Request, key=75, versions=(0, 0), flexible=0):
    """Describe partitions of topics page by page (KIP-966)."""

    class TopicRequest(Struct):
        name: str = ""

    class Cursor(Struct):
        topic_name: str = ""
        partition_index: int32 = 0

    topics: list[TopicRequest] = []
    response_partition_limit: int32 = 2000
    cursor: Cursor | None = None


class DescribeTopicPartitionsResponse(Response, key=75, versions=(0, 0), flexible=0):
    """A page of partitions, and the cursor of the next."""

    class DescribeTopicPartitionsResponsePartition(Struct):
        error_code: int16 = 0
        partition_index: int32 = 0
        leader_id: int32 = 0
        leader_epoch: int32 = -1
        replica_nodes: list[int32] = []
        isr_nodes: list[int32] = []
        eligible_leader_replicas: list[int32] | None = None
        last_known_elr: list[int32] | None = None
        offline_replicas: list[int32] = []

    class DescribeTopicPartitionsResponseTopic(Struct):
        error_code: int16 = 0
        name: str | None = ""
        topic_id: uuid = ZERO_UUID
        is_internal: bool = False
        partitions: list[
            DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponsePartition
        ] = []
        topic_authorized_operations: int32 = -2147483648

    class Cursor(Struct):
        topic_name: str = ""
        partition_index: int32 = 0

    throttle_time_ms: int32 = 0
    topics: list[DescribeTopicPartitionsResponseTopic] = []
    next_cursor: Cursor | None = None
