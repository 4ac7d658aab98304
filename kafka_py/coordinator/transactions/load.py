"""Replaying a partition of ``__transaction_state``: the last record of each transactional id."""

from __future__ import annotations

import logging
from typing import Final

from kafka_py.coordinator.loading import latest
from kafka_py.coordinator.transactions.shard import TransactionShard
from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.records import TRANSACTION_RECORDS, decode_key
from kafka_py.protocol.records_transaction import TransactionLogKey, TransactionLogValue
from kcore.log import Log

__all__ = ["replay"]

log = logging.getLogger("kafka_py.coordinator")

#: Bytes of the schema's version in front of a value.
PREFIX_BYTES: Final = 2


def replay(partition_log: Log, shard: TransactionShard, end_offset: int) -> int:
    """Apply what the records below `end_offset` come to; how many records there were.

    For a worker thread and a shard that nobody else sees yet. Values of later versions are read as
    the newest known one, and keys of unknown types passed over with a warning, as Kafka's reader
    does. Raises MalformedRequest for a record that is damaged, and kcore's errors for bad batches.
    """
    read_bytes: int = shard.settings["transaction.state.log.load.buffer.size"]
    found, count = latest(partition_log, end_offset, read_bytes)
    for key, value in found.items():
        _apply(shard, key, value)
    return count


def _apply(shard: TransactionShard, key_bytes: bytes, value_bytes: bytes | None) -> None:
    key = decode_key(key_bytes, TRANSACTION_RECORDS)
    if not isinstance(key, TransactionLogKey):
        log.warning("a record of an unknown type is skipped while transactions are loaded")
        return
    if value_bytes is None:
        shard.apply(key, None)
        return
    if len(value_bytes) < PREFIX_BYTES:
        raise MalformedRequest(f"the value of {key.transactional_id} is shorter than its prefix")
    version = int.from_bytes(value_bytes[:PREFIX_BYTES], "big", signed=True)
    first, last = TransactionLogValue.VERSIONS
    if version < first:
        raise MalformedRequest(f"TransactionLogValue has no version {version}")
    value, _ = TransactionLogValue.decode_from(value_bytes, PREFIX_BYTES, min(version, last))
    try:
        shard.apply(key, value)
    except ValueError as error:
        raise MalformedRequest(f"{key.transactional_id}: {error}") from error
