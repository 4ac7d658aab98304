"""One transactional id: its producer, its epoch, the state of its transaction, its partitions.

A `Transaction` never changes: what changes it makes another one (`transitions`), which takes the
place of the old one when its record is applied. Everything but `last_producer_epoch` is in the
record, so a coordinator that was loaded knows what the one before it knew.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from kafka_py.coordinator.machine import CoordinatorRecord
from kafka_py.protocol.records_transaction import TransactionLogKey, TransactionLogValue
from kcore.values import frozen

__all__ = [
    "EPOCH_MAX",
    "NO_EPOCH",
    "NO_PRODUCER_ID",
    "State",
    "TopicPartition",
    "Transaction",
    "from_record",
    "is_exhausted",
    "to_record",
    "tombstone",
]

#: A topic's name and a partition's index.
TopicPartition = tuple[str, int]

NO_PRODUCER_ID: Final = -1
NO_EPOCH: Final = -1
EPOCH_MAX: Final = (1 << 15) - 1
NO_TIMESTAMP_MS: Final = -1


class State(IntEnum):
    """States of a transactional id; the numbers are the log's, the names those of the tools."""

    Empty = 0
    Ongoing = 1
    PrepareCommit = 2
    PrepareAbort = 3
    CompleteCommit = 4
    CompleteAbort = 5
    Dead = 6
    PrepareEpochFence = 7


#: Nothing is open, and nothing is on its way to an end.
AT_REST: Final = frozenset({State.Empty, State.CompleteCommit, State.CompleteAbort})
#: The end is decided and in the log; its markers are not all written.
PREPARED: Final = frozenset({State.PrepareCommit, State.PrepareAbort})


@frozen
class Transaction:
    """What a coordinator knows of a transactional id. Times are wall clock milliseconds.

    Attributes:
        previous_producer_id: the producer id before the last change of any kind; who retries a
            request that gave him another id still has that one.
        next_producer_id: the one that the producer gets once its exhausted one has ended its last
            transaction; -1 for none (KIP-890).
        last_producer_epoch: the epoch before the last bump, for retries of it; -1 when the bump
            was not the producer's own.
        client_version: transaction.version as the client used it: 0, or 2 for a bump with each end.
        started_ms: when the first partition came; -1 in Empty.
        updated_ms: the last change, from which the id's expiration counts.
    """

    transactional_id: str
    producer_id: int
    timeout_ms: int
    producer_epoch: int = NO_EPOCH
    previous_producer_id: int = NO_PRODUCER_ID
    next_producer_id: int = NO_PRODUCER_ID
    last_producer_epoch: int = NO_EPOCH
    state: State = State.Empty
    partitions: frozenset[TopicPartition] = frozenset()
    started_ms: int = NO_TIMESTAMP_MS
    updated_ms: int = NO_TIMESTAMP_MS
    client_version: int = 0

    @property
    def exhausted(self) -> bool:
        """Whether the producer id has no epoch left that a producer may have.

        The highest one is kept for fencing.
        """
        return is_exhausted(self.producer_epoch)

    @property
    def commits(self) -> bool:
        """Whether a prepared transaction is to be committed."""
        return self.state is State.PrepareCommit


def is_exhausted(epoch: int) -> bool:
    """Whether a producer's epoch is its id's last."""
    return epoch >= EPOCH_MAX - 1


def to_record(transaction: Transaction, transaction_version: int) -> CoordinatorRecord:
    """The record that says what a transaction is.

    transaction.version 1 and later writes version 1 of the value, whose tagged fields (KIP-890)
    version 0 does not have. Topics and partitions are sorted, where Kafka's order is a hash map's.
    """
    value = TransactionLogValue(
        producer_id=transaction.producer_id,
        producer_epoch=transaction.producer_epoch,
        transaction_timeout_ms=transaction.timeout_ms,
        transaction_status=int(transaction.state),
        transaction_partitions=None,
        transaction_last_update_timestamp_ms=transaction.updated_ms,
        transaction_start_timestamp_ms=transaction.started_ms,
    )
    if transaction.state is not State.Empty:
        value.transaction_partitions = [
            TransactionLogValue.PartitionsSchema(topic=topic, partition_ids=indexes)
            for topic, indexes in by_topic(transaction.partitions).items()
        ]
    version = 1 if transaction_version >= 1 else 0
    if version:
        value.previous_producer_id = transaction.previous_producer_id
        value.next_producer_id = transaction.next_producer_id
        value.client_transaction_version = transaction.client_version
    return CoordinatorRecord(
        TransactionLogKey(transactional_id=transaction.transactional_id), value, version
    )


def tombstone(transactional_id: str) -> CoordinatorRecord:
    """The record by which a transactional id is forgotten."""
    return CoordinatorRecord(TransactionLogKey(transactional_id=transactional_id), None)


def from_record(
    transactional_id: str, value: TransactionLogValue, last_producer_epoch: int = NO_EPOCH
) -> Transaction:
    """What a record says. Raises ValueError for a state that there is none of."""
    return Transaction(
        transactional_id=transactional_id,
        producer_id=value.producer_id,
        timeout_ms=value.transaction_timeout_ms,
        producer_epoch=value.producer_epoch,
        previous_producer_id=value.previous_producer_id,
        next_producer_id=value.next_producer_id,
        last_producer_epoch=last_producer_epoch,
        state=State(value.transaction_status),
        partitions=frozenset(
            (topic.topic, index)
            for topic in value.transaction_partitions or ()
            for index in topic.partition_ids
        ),
        started_ms=value.transaction_start_timestamp_ms,
        updated_ms=value.transaction_last_update_timestamp_ms,
        client_version=value.client_transaction_version,
    )


def by_topic(partitions: frozenset[TopicPartition]) -> dict[str, list[int]]:
    """Topic -> its partitions, both sorted."""
    found: dict[str, list[int]] = {}
    for topic, index in sorted(partitions):
        found.setdefault(topic, []).append(index)
    return found
