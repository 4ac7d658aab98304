"""Between the transaction coordinators of this node and its partitions: two protocols.

`node.transactions` is a `TransactionCoordinators`, `node.markers` a `MarkerWriter`. Both answer as
the group coordinators do: with the outcome, or an awaitable of it where it has to wait for a log
(`inspect.isawaitable` tells). All on the node's event loop; neither raises: what goes wrong is an
error code at every partition that it concerns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from kafka_py.protocol.errors import ErrorCode

__all__ = ["Answer", "MarkerWriter", "Outcome", "TopicPartition", "TransactionCoordinators"]

#: A topic's name and a partition's index.
TopicPartition = tuple[str, int]
#: What became of each partition; every one that was asked for has a row.
Outcome = dict[TopicPartition, ErrorCode]
Answer = Outcome | Awaitable[Outcome]


class MarkerWriter(Protocol):
    """Writes the control batch that ends a transaction into partitions that this node leads.

    Group offsets of a partition of ``__consumer_offsets`` take effect, or go, with its marker.
    """

    def write(
        self,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        committed: bool,
        partitions: Sequence[TopicPartition],
        transaction_version: int,
    ) -> Answer:
        """Append markers; answered once they are committed (and durable, where acks=all is).

        `coordinator_epoch` is the leader epoch of the coordinator's partition, for a marker that an
        administrator's abort asks for the one of the transaction. `transaction_version` is 0, 1 or
        2 (transaction.version): from 2 on a marker's producer epoch must be above the batches'.

        Errors as Apache's WriteTxnMarkers has them: NONE, UNKNOWN_TOPIC_OR_PARTITION,
        NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS(_AFTER_APPEND), REQUEST_TIMED_OUT,
        KAFKA_STORAGE_ERROR, INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, ...
        """
        ...


class TransactionCoordinators(Protocol):
    """What the participants ask of the coordinator of a transactional id (KIP-890).

    The answers are those of AddPartitionsToTxn v4 and later: NONE, INVALID_PRODUCER_ID_MAPPING,
    PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, TRANSACTION_ABORTABLE, NOT_COORDINATOR,
    COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS, OPERATION_NOT_ATTEMPTED, ... What a
    producer is told of them is up to the asker.
    """

    def verify(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Sequence[TopicPartition],
    ) -> Answer:
        """Whether the partitions are in the producer's ongoing transaction (part 1 of KIP-890)."""
        ...

    def add(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Sequence[TopicPartition],
    ) -> Answer:
        """Add the partitions to the producer's transaction, begin it if need be (part 2)."""
        ...
