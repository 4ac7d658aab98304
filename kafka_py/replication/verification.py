"""Transactional appends: no record without a transaction that its coordinator knows of (KIP-890).

A transaction that nobody ends holds the last stable offset back for good, so a producer's first
batch of a transaction on a partition is appended only after the coordinator said that the partition
is in the transaction. Between the question and the append a marker may end that transaction, and
another one may begin: the answer is good for the very :class:`Verification` that was asked about,
which the next append, or a marker, forgets.

Sans-IO: the server asks the coordinator, these functions say whether it has to and whether the
answer still holds. All on the node's event loop.
"""

from __future__ import annotations

from typing import Any

from kafka_py.replication.partition import Partition
from kcore.errors import InvalidProducerEpoch, InvalidTxnState, KcoreError, OutOfOrderSequence

__all__ = [
    "Batch",
    "Verification",
    "Verifications",
    "append_marker",
    "begin",
    "check",
    "note_appended",
]

HEADER_BYTES = 61
AT_ATTRIBUTES = 21
AT_PRODUCER_ID = 43
AT_PRODUCER_EPOCH = 51
AT_BASE_SEQUENCE = 53
TRANSACTIONAL = 0x10
NO_SEQUENCE = -1


class Verification:
    """One producer's transaction while it is verified.

    Attributes:
        epoch: the producer's latest.
        lowest_sequence: of the batches that were verified; higher ones must not overtake it.
        adds: the producer's batches add their partition to the transaction (transaction version
            2), so a marker may come that is of the transaction before.
        started_ms: wall clock, for those that nobody finishes.
    """

    __slots__ = ("adds", "epoch", "lowest_sequence", "started_ms")

    def __init__(self, epoch: int, sequence: int, *, adds: bool, started_ms: int) -> None:
        self.epoch = epoch
        self.lowest_sequence = sequence
        self.adds = adds
        self.started_ms = started_ms


class Verifications:
    """Those of one partition, by producer id."""

    def __init__(self) -> None:
        self._of: dict[int, Verification] = {}

    def __len__(self) -> int:
        return len(self._of)

    def begin(
        self, producer_id: int, epoch: int, sequence: int, *, adds: bool, now_ms: int
    ) -> Verification:
        """The producer's verification: that under way, or a new one."""
        found = self._of.get(producer_id)
        if found is None:
            found = self._of[producer_id] = Verification(
                epoch, sequence, adds=adds, started_ms=now_ms
            )
        elif epoch > found.epoch:
            found.epoch, found.lowest_sequence = epoch, sequence
        elif epoch == found.epoch:
            found.lowest_sequence = min(found.lowest_sequence, sequence)
        return found

    def of(self, producer_id: int) -> Verification | None:
        """The producer's verification, None when none is under way."""
        return self._of.get(producer_id)

    def appended(self, producer_id: int, epoch: int, *, marker: bool) -> None:
        """A transactional batch, or a marker, of the producer is in the log."""
        found = self._of.get(producer_id)
        if found is not None and not (marker and found.adds and found.epoch == epoch):
            # A marker with the epoch of a transaction that has begun already ends the one before.
            del self._of[producer_id]

    def expire(self, now_ms: int, expiration_ms: int) -> None:
        """Forget those that nobody has finished."""
        for producer_id, found in list(self._of.items()):
            if now_ms - found.started_ms >= expiration_ms:
                self._of.pop(producer_id, None)


class Batch:
    """What the rules need of a record batch: its producer and its place in the producer's order."""

    __slots__ = ("epoch", "producer_id", "sequence")

    def __init__(self, producer_id: int, epoch: int, sequence: int = NO_SEQUENCE) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        self.sequence = sequence

    @classmethod
    def transactional(cls, records: Any) -> Batch | None:
        """The header of a transactional batch with a producer id; None for every other one."""
        if records is None or len(records) < HEADER_BYTES:
            return None
        if not records[AT_ATTRIBUTES + 1] & TRANSACTIONAL:
            return None

        def number(at: int, size: int) -> int:
            return int.from_bytes(records[at : at + size], "big", signed=True)

        producer_id = number(AT_PRODUCER_ID, 8)
        if producer_id < 0:
            return None
        return cls(producer_id, number(AT_PRODUCER_EPOCH, 2), number(AT_BASE_SEQUENCE, 4))


def begin(partition: Partition, batch: Batch, *, adds: bool, now_ms: int) -> Verification | None:
    """What the coordinator has to be asked about before the append; None: nothing, since the
    transaction is open here already.

    Raises InvalidProducerEpoch for a producer that was fenced.
    """
    if _is_open(partition, batch):
        return None
    if partition.verifications is None:
        partition.verifications = Verifications()
    found: Verification = partition.verifications.begin(
        batch.producer_id, batch.epoch, batch.sequence, adds=adds, now_ms=now_ms
    )
    return found


def _is_open(partition: Partition, batch: Batch) -> bool:
    """Whether a transaction of that producer epoch is open here. Raises InvalidProducerEpoch."""
    entry = partition.log.producers.last_entry(batch.producer_id)
    if entry is None:
        return False
    if batch.epoch < entry.producer_epoch:
        raise InvalidProducerEpoch(
            f"epoch {batch.epoch} of producer {batch.producer_id} is smaller than"
            f" {entry.producer_epoch}, the last one seen"
        )
    is_open: bool = entry.transaction_start_offset >= 0 and entry.producer_epoch == batch.epoch
    return is_open


def check(
    partition: Partition,
    batch: Batch,
    records: Any,
    verified: Verification | None,
    *,
    required: bool,
) -> None:
    """Whether a transactional batch of a client may be appended, as far as transactions go.

    Args:
        records: its bytes; a batch that the log has already is always fine.
        verified: what the coordinator said yes to.
        required: transaction.partition.verification.enable.

    Raises InvalidProducerEpoch, InvalidTxnState, OutOfOrderSequence. Call :func:`note_appended`
    after the append.
    """
    producers = partition.log.producers
    try:
        if producers.check_batch(records) is not None:
            return
    except KcoreError:
        # The append will say it again; what is wrong with the transaction comes first.
        pass
    check_verified(partition, batch, verified, required=required)
    pending = None
    if partition.verifications is not None:
        pending = partition.verifications.of(batch.producer_id)
    if pending is None:
        return
    entry = producers.last_entry(batch.producer_id)
    if pending.adds and batch.sequence != 0 and (entry is None or entry.last_offset < 0):
        raise OutOfOrderSequence(
            f"sequence {batch.sequence} of producer {batch.producer_id}, of which nothing is known"
        )
    if batch.sequence > pending.lowest_sequence:
        raise OutOfOrderSequence(
            f"sequence {batch.sequence} of producer {batch.producer_id} would overtake"
            f" {pending.lowest_sequence}"
        )


def check_verified(
    partition: Partition, batch: Batch, verified: Verification | None, *, required: bool
) -> None:
    """Whether the transaction is open here, or the coordinator knows of it, still.

    Raises InvalidProducerEpoch, InvalidTxnState.
    """
    if _is_open(partition, batch) or not required:
        return
    pending = None
    if partition.verifications is not None:
        pending = partition.verifications.of(batch.producer_id)
    if pending is None or pending is not verified:
        raise InvalidTxnState(f"producer {batch.producer_id} has no ongoing transaction here")


def note_appended(partition: Partition, batch: Batch) -> None:
    """A transactional batch is in the log: the last stable offset has to be asked for.

    Before :meth:`Partition.advance`.
    """
    partition.transactional = True
    if partition.verifications is not None:
        partition.verifications.appended(batch.producer_id, batch.epoch, marker=False)


def append_marker(
    partition: Partition, marker: bytes, batch: Batch, *, transaction_version: int, now_ms: int
) -> Any:
    """Append the control batch that ends a transaction; ``batch`` is its producer.

    Returns kcore's Appended; :meth:`Partition.advance` comes next. Raises InvalidProducerEpoch,
    CoordinatorFenced, LogFailed.
    """
    appended = partition.log.append_marker(
        marker,
        leader_epoch=partition.leader_epoch,
        now_ms=now_ms,
        transaction_version=transaction_version,
    )
    if partition.verifications is not None:
        partition.verifications.appended(batch.producer_id, batch.epoch, marker=True)
    return appended
