"""Fetch: reading record batches, by consumers and by followers."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int8, int16, int32, int64, record_batches, uuid


class FetchRequest(Request, key=1, versions=(4, 18), flexible=12, listeners="broker controller"):
    """Read record batches from partitions; followers replicate with it."""

    class ReplicaState(Struct):
        replica_id: int32 = -1
        replica_epoch: int64 = -1

    class FetchPartition(Struct):
        partition: int32 = 0
        current_leader_epoch: int32 = field("9+", -1, ignorable=True)  # KIP-320
        fetch_offset: int64 = 0
        last_fetched_epoch: int32 = field("12+", -1)
        log_start_offset: int64 = field("5+", -1, ignorable=True)
        partition_max_bytes: int32 = 0
        replica_directory_id: uuid = field("17+", tag=0, ignorable=True)  # KIP-853
        high_watermark: int64 = field("18+", 0x7FFFFFFFFFFFFFFF, tag=1, ignorable=True)  # KIP-1166

    class FetchTopic(Struct):
        topic: str = field("0-12", ignorable=True)
        topic_id: uuid = field("13+", ignorable=True)  # KIP-516
        partitions: list[FetchRequest.FetchPartition] = []

    class ForgottenTopic(Struct):
        topic: str = field("7-12", ignorable=True)
        topic_id: uuid = field("13+", ignorable=True)  # KIP-516
        partitions: list[int32] = []

    cluster_id: str | None = field("12+", None, tag=0, ignorable=True)
    replica_id: int32 = field("0-14", -1)
    replica_state: ReplicaState = field("15+", tag=1)  # KIP-903
    max_wait_ms: int32 = 0
    min_bytes: int32 = 0
    max_bytes: int32 = 0x7FFFFFFF
    isolation_level: int8 = 0
    session_id: int32 = field("7+", ignorable=True)
    session_epoch: int32 = field("7+", -1, ignorable=True)
    topics: list[FetchTopic] = []
    forgotten_topics_data: list[ForgottenTopic] = field("7+")
    rack_id: str = field("11+", ignorable=True)


class FetchResponse(Response, key=1, versions=(4, 18), flexible=12):
    """Record batches, high watermarks and aborted transactions."""

    class EpochEndOffset(Struct):
        epoch: int32 = -1
        end_offset: int64 = -1

    class LeaderIdAndEpoch(Struct):
        leader_id: int32 = -1
        leader_epoch: int32 = -1

    class SnapshotId(Struct):
        end_offset: int64 = -1
        epoch: int32 = -1

    class AbortedTransaction(Struct):
        producer_id: int64 = 0
        first_offset: int64 = 0

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        high_watermark: int64 = 0
        last_stable_offset: int64 = -1
        log_start_offset: int64 = field("5+", -1, ignorable=True)
        diverging_epoch: FetchResponse.EpochEndOffset = field("12+", tag=0)
        current_leader: FetchResponse.LeaderIdAndEpoch = field("12+", tag=1)
        snapshot_id: FetchResponse.SnapshotId = field("12+", tag=2)
        aborted_transactions: list[FetchResponse.AbortedTransaction] | None = []
        preferred_read_replica: int32 = field("11+", -1)
        records: record_batches | None = None

    class FetchableTopicResponse(Struct):
        topic: str = field("0-12", ignorable=True)
        topic_id: uuid = field("13+", ignorable=True)  # KIP-516
        partitions: list[FetchResponse.PartitionData] = []

    class NodeEndpoint(Struct):
        node_id: int32 = 0
        host: str = ""
        port: int32 = 0
        rack: str | None = None

    throttle_time_ms: int32 = 0
    error_code: int16 = field("7+", ignorable=True)
    session_id: int32 = field("7+")
    responses: list[FetchableTopicResponse] = []
    node_endpoints: list[NodeEndpoint] = field("16+", tag=0)  # KIP-951
