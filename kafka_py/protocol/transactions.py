"""Producer ids and transactions."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int8, int16, int32, int64, uuid


class InitProducerIdRequest(Request, key=22, versions=(0, 6), flexible=2, stable=5):
    """Get a producer id and epoch, fencing earlier producers."""

    transactional_id: str | None = ""
    transaction_timeout_ms: int32 = 0
    producer_id: int64 = field("3+", -1)
    producer_epoch: int16 = field("3+", -1)
    enable_2pc: bool = field("6+")  # KIP-939
    keep_prepared_txn: bool = field("6+")  # KIP-939


class InitProducerIdResponse(Response, key=22, versions=(0, 6), flexible=2, stable=5):
    """The producer id and epoch to use."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    producer_id: int64 = -1
    producer_epoch: int16 = 0
    ongoing_txn_producer_id: int64 = field("6+", -1)  # KIP-939
    ongoing_txn_producer_epoch: int16 = field("6+", -1)  # KIP-939


class AddPartitionsToTxnRequest(Request, key=24, versions=(0, 5), flexible=3):
    """Add partitions to transactions, or verify that they are in them (KIP-890)."""

    class AddPartitionsToTxnTopic(Struct):
        name: str = ""
        partitions: list[int32] = []

    class AddPartitionsToTxnTransaction(Struct):
        transactional_id: str = ""
        producer_id: int64 = 0
        producer_epoch: int16 = 0
        verify_only: bool = False
        topics: list[AddPartitionsToTxnRequest.AddPartitionsToTxnTopic] = []

    transactions: list[AddPartitionsToTxnTransaction] = field("4+")
    v3_and_below_transactional_id: str = field("0-3")
    v3_and_below_producer_id: int64 = field("0-3")
    v3_and_below_producer_epoch: int16 = field("0-3")
    v3_and_below_topics: list[AddPartitionsToTxnTopic] = field("0-3")


class AddPartitionsToTxnResponse(Response, key=24, versions=(0, 5), flexible=3):
    """Answer to `AddPartitionsToTxnRequest`."""

    class AddPartitionsToTxnPartitionResult(Struct):
        partition_index: int32 = 0
        partition_error_code: int16 = 0

    class AddPartitionsToTxnTopicResult(Struct):
        name: str = ""
        results_by_partition: list[
            AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult
        ] = []

    class AddPartitionsToTxnResult(Struct):
        transactional_id: str = ""
        topic_results: list[AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = field("4+", ignorable=True)
    results_by_transaction: list[AddPartitionsToTxnResult] = field("4+")
    results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = field("0-3")


class AddOffsetsToTxnRequest(Request, key=25, versions=(0, 4), flexible=3):
    """Add a group's offsets to a transaction."""

    transactional_id: str = ""
    producer_id: int64 = 0
    producer_epoch: int16 = 0
    group_id: str = ""


class AddOffsetsToTxnResponse(Response, key=25, versions=(0, 4), flexible=3):
    """Answer to `AddOffsetsToTxnRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0


class EndTxnRequest(Request, key=26, versions=(0, 5), flexible=3):
    """Commit or abort a transaction."""

    transactional_id: str = ""
    producer_id: int64 = 0
    producer_epoch: int16 = 0
    committed: bool = False


class EndTxnResponse(Response, key=26, versions=(0, 5), flexible=3):
    """Answer to `EndTxnRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    producer_id: int64 = field("5+", -1, ignorable=True)  # KIP-890
    producer_epoch: int16 = field("5+", -1, ignorable=True)  # KIP-890


class WriteTxnMarkersRequest(Request, key=27, versions=(1, 2), flexible=1):
    """Write commit or abort markers to partitions."""

    class WritableTxnMarkerTopic(Struct):
        name: str = ""
        partition_indexes: list[int32] = []

    class WritableTxnMarker(Struct):
        producer_id: int64 = 0
        producer_epoch: int16 = 0
        transaction_result: bool = False
        topics: list[WriteTxnMarkersRequest.WritableTxnMarkerTopic] = []
        coordinator_epoch: int32 = 0
        transaction_version: int8 = field("2+", ignorable=True)  # KIP-1228

    markers: list[WritableTxnMarker] = []


class WriteTxnMarkersResponse(Response, key=27, versions=(1, 2), flexible=1):
    """Answer to `WriteTxnMarkersRequest`."""

    class WritableTxnMarkerPartitionResult(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0

    class WritableTxnMarkerTopicResult(Struct):
        name: str = ""
        partitions: list[WriteTxnMarkersResponse.WritableTxnMarkerPartitionResult] = []

    class WritableTxnMarkerResult(Struct):
        producer_id: int64 = 0
        topics: list[WriteTxnMarkersResponse.WritableTxnMarkerTopicResult] = []

    markers: list[WritableTxnMarkerResult] = []


class TxnOffsetCommitRequest(Request, key=28, versions=(0, 6), flexible=3):
    """Commit offsets as part of a transaction."""

    class TxnOffsetCommitRequestPartition(Struct):
        partition_index: int32 = 0
        committed_offset: int64 = 0
        committed_leader_epoch: int32 = field("2+", -1, ignorable=True)
        committed_metadata: str | None = ""

    class TxnOffsetCommitRequestTopic(Struct):
        name: str = field("0-5", ignorable=True)
        topic_id: uuid = field("6+", ignorable=True)  # KIP-1319
        partitions: list[TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition] = []

    transactional_id: str = ""
    group_id: str = ""
    producer_id: int64 = 0
    producer_epoch: int16 = 0
    generation_id_or_member_epoch: int32 = field("3+", -1)
    member_id: str = field("3+")
    group_instance_id: str | None = field("3+", None)
    topics: list[TxnOffsetCommitRequestTopic] = []


class TxnOffsetCommitResponse(Response, key=28, versions=(0, 6), flexible=3):
    """Answer to `TxnOffsetCommitRequest`."""

    class TxnOffsetCommitResponsePartition(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0

    class TxnOffsetCommitResponseTopic(Struct):
        name: str = field("0-5", ignorable=True)
        topic_id: uuid = field("6+", ignorable=True)  # KIP-1319
        partitions: list[TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition] = []

    throttle_time_ms: int32 = 0
    topics: list[TxnOffsetCommitResponseTopic] = []


class DescribeTransactionsRequest(Request, key=65, versions=(0, 0), flexible=0):
    """Describe transactions by transactional id."""

    transactional_ids: list[str] = []


class DescribeTransactionsResponse(Response, key=65, versions=(0, 0), flexible=0):
    """Answer to `DescribeTransactionsRequest`."""

    class TopicData(Struct):
        topic: str = ""
        partitions: list[int32] = []

    class TransactionState(Struct):
        error_code: int16 = 0
        transactional_id: str = ""
        transaction_state: str = ""
        transaction_timeout_ms: int32 = 0
        transaction_start_time_ms: int64 = 0
        producer_id: int64 = 0
        producer_epoch: int16 = 0
        topics: list[DescribeTransactionsResponse.TopicData] = []

    throttle_time_ms: int32 = 0
    transaction_states: list[TransactionState] = []


class ListTransactionsRequest(Request, key=66, versions=(0, 2), flexible=0):
    """List transactions by state, producer, age and pattern."""

    state_filters: list[str] = []
    producer_id_filters: list[int64] = []
    duration_filter: int64 = field("1+", -1)
    transactional_id_pattern: str | None = field("2+", None)


class ListTransactionsResponse(Response, key=66, versions=(0, 2), flexible=0):
    """Answer to `ListTransactionsRequest`."""

    class TransactionState(Struct):
        transactional_id: str = ""
        producer_id: int64 = 0
        transaction_state: str = ""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    unknown_state_filters: list[str] = []
    transaction_states: list[TransactionState] = []


class DescribeProducersRequest(Request, key=61, versions=(0, 0), flexible=0):
    """Describe the active producers of partitions."""

    class TopicRequest(Struct):
        name: str = ""
        partition_indexes: list[int32] = []

    topics: list[TopicRequest] = []


class DescribeProducersResponse(Response, key=61, versions=(0, 0), flexible=0):
    """Answer to `DescribeProducersRequest`."""

    class ProducerState(Struct):
        producer_id: int64 = 0
        producer_epoch: int32 = 0
        last_sequence: int32 = -1
        last_timestamp: int64 = -1
        coordinator_epoch: int32 = 0
        current_txn_start_offset: int64 = -1

    class PartitionResponse(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None
        active_producers: list[DescribeProducersResponse.ProducerState] = []

    class TopicResponse(Struct):
        name: str = ""
        partitions: list[DescribeProducersResponse.PartitionResponse] = []

    throttle_time_ms: int32 = 0
    topics: list[TopicResponse] = []
