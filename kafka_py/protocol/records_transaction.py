"""Records of `__transaction_state`, markers and transaction index entries."""

from __future__ import annotations

from kafka_py.protocol.schema import Blob, Record, Struct, field
from kafka_py.protocol.types import int8, int16, int32, int64


class TransactionLogKey(Record, key=0, versions=(0, 0)):
    """Key in __transaction_state."""

    transactional_id: str = ""


class TransactionLogValue(Record, key=0, versions=(0, 1), flexible=1):
    """State of a transaction in __transaction_state."""

    class PartitionsSchema(Struct):
        topic: str = ""
        partition_ids: list[int32] = []

    producer_id: int64 = 0
    previous_producer_id: int64 = field("1+", -1, tag=0)  # KIP-890
    next_producer_id: int64 = field("1+", -1, tag=1)  # KIP-890
    producer_epoch: int16 = 0
    next_producer_epoch: int16 = field("1+", -1, tag=3)  # KIP-890
    transaction_timeout_ms: int32 = 0
    transaction_status: int8 = 0
    transaction_partitions: list[PartitionsSchema] | None = []
    transaction_last_update_timestamp_ms: int64 = 0
    transaction_start_timestamp_ms: int64 = 0
    client_transaction_version: int16 = field("1+", tag=2)  # KIP-890


class EndTxnMarker(Blob, versions=(0, 0)):
    """Value of a commit or abort marker."""

    coordinator_epoch: int32 = 0


class AbortedTxn(Blob, versions=(0, 0)):
    """An entry of a transaction index, after its 16-bit version."""

    producer_id: int64 = 0
    first_offset: int64 = 0
    last_offset: int64 = 0
    last_stable_offset: int64 = 0
