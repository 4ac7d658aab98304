"""What a coordinator asks for when a transaction is to end: markers in all of its partitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from kafka_py.coordinator.transactions.transaction import TopicPartition, Transaction
from kafka_py.protocol.errors import ErrorCode
from kcore.values import frozen

__all__ = ["MARKER_RETRY_MS", "MarkerJob", "MarkerSender", "Remaining"]

#: When markers that could not be written are tried again.
MARKER_RETRY_MS: Final = 100

#: Markers that are as good as written: there is nothing that they could end.
NEEDLESS: Final = frozenset(
    {ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT, ErrorCode.UNSUPPORTED_VERSION}
)
#: The log has seen a later producer or coordinator: writing more would be wrong.
SUPERSEDED: Final = frozenset(
    {ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.TRANSACTION_COORDINATOR_FENCED}
)


@frozen
class MarkerJob:
    """Markers to be written; compared by identity, so that a late outcome of another job is seen.

    `transaction_version` is that of the client that the transaction was ended with: 0, or 2.
    """

    transactional_id: str
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool
    transaction_version: int
    partitions: tuple[TopicPartition, ...]

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class MarkerSender(Protocol):
    """Brings markers to the leaders of their partitions."""

    def send(self, job: MarkerJob) -> None:
        """Begin; never calls back before it returns.

        The coordinator is told later, once a job, through `TransactionShard.markers_written`: an
        error code for each of the job's partitions, NONE as well for those that exist no more.
        """
        ...


class Remaining:
    """The partitions of one transaction whose markers are still to be written."""

    __slots__ = ("job", "partitions")

    def __init__(self, partitions: Collection[TopicPartition]) -> None:
        self.partitions = set(partitions)
        self.job: MarkerJob | None = None

    def begin(self, known: Transaction, coordinator_epoch: int) -> MarkerJob:
        """The job for what remains."""
        self.job = MarkerJob(
            transactional_id=known.transactional_id,
            producer_id=known.producer_id,
            producer_epoch=known.producer_epoch,
            coordinator_epoch=coordinator_epoch,
            commit=known.commits,
            transaction_version=known.client_version,
            partitions=tuple(sorted(self.partitions)),
        )
        return self.job

    def take(self, outcome: Mapping[TopicPartition, ErrorCode]) -> dict[TopicPartition, ErrorCode]:
        """Strike out what is written; the errors of the others."""
        self.job = None
        errors: dict[TopicPartition, ErrorCode] = {}
        for partition, error in outcome.items():
            if error is ErrorCode.NONE or error in NEEDLESS:
                self.partitions.discard(partition)
            else:
                errors[partition] = error
        return errors
