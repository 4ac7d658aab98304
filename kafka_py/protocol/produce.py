"""Produce: appending record batches to partitions."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int16, int32, int64, record_batches, uuid


class ProduceRequest(Request, key=0, versions=(3, 13), flexible=9):
    """Append record batches to partitions."""

    class PartitionProduceData(Struct):
        index: int32 = 0
        records: record_batches | None = None

    class TopicProduceData(Struct):
        name: str = field("0-12", ignorable=True)
        topic_id: uuid = field("13+", ignorable=True)  # KIP-516
        partition_data: list[ProduceRequest.PartitionProduceData] = []

    transactional_id: str | None = None
    acks: int16 = 0
    timeout_ms: int32 = 0
    topic_data: list[TopicProduceData] = []


class ProduceResponse(Response, key=0, versions=(3, 13), flexible=9):
    """Offsets of the appended batches."""

    class BatchIndexAndErrorMessage(Struct):
        batch_index: int32 = 0
        batch_index_error_message: str | None = None

    class LeaderIdAndEpoch(Struct):
        leader_id: int32 = -1
        leader_epoch: int32 = -1

    class PartitionProduceResponse(Struct):
        index: int32 = 0
        error_code: int16 = 0
        base_offset: int64 = 0
        log_append_time_ms: int64 = -1
        log_start_offset: int64 = field("5+", -1, ignorable=True)
        # KIP-467
        record_errors: list[ProduceResponse.BatchIndexAndErrorMessage] = field("8+", ignorable=True)
        error_message: str | None = field("8+", None, ignorable=True)  # KIP-467
        current_leader: ProduceResponse.LeaderIdAndEpoch = field("10+", tag=0)  # KIP-951

    class TopicProduceResponse(Struct):
        name: str = field("0-12", ignorable=True)
        topic_id: uuid = field("13+", ignorable=True)  # KIP-516
        partition_responses: list[ProduceResponse.PartitionProduceResponse] = []

    class NodeEndpoint(Struct):
        node_id: int32 = 0
        host: str = ""
        port: int32 = 0
        rack: str | None = None

    responses: list[TopicProduceResponse] = []
    throttle_time_ms: int32 = 0
    node_endpoints: list[NodeEndpoint] = field("10+", tag=0)  # KIP-951
