"""How a transactional id changes: the transaction before -> the one after, or why not.

Pure functions, one for each cause. A refusal is raised as `Refused`; the caller writes the record
of what is returned. State changes that Kafka's coordinator has no arrow for are assertions.

    Empty, CompleteCommit, CompleteAbort  --partitions-->  Ongoing
    Ongoing  --end-->  PrepareCommit, PrepareAbort  --all markers-->  CompleteCommit, CompleteAbort
    Ongoing  --another producer, time-out-->  PrepareAbort, epoch bumped (PrepareEpochFence)
    Empty, Complete*  --abort of nothing (transaction.version 2)-->  PrepareAbort
    Empty, Complete*  --init-->  Empty          Empty, Complete*  --expiration-->  gone (Dead)
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from kafka_py.coordinator.transactions.transaction import (
    AT_REST,
    EPOCH_MAX,
    NO_EPOCH,
    NO_PRODUCER_ID,
    NO_TIMESTAMP_MS,
    PREPARED,
    State,
    TopicPartition,
    Transaction,
    is_exhausted,
)
from kafka_py.protocol.errors import ErrorCode
from kcore.values import replace

__all__ = ["Refused", "added", "completed", "ended", "fenced", "initialized", "verified"]

#: Hands out a producer id that nobody else has, or raises `Refused`.
NewProducerId = Callable[[], int]


class Refused(Exception):
    """The request is not followed; `error` says why. NONE: there is nothing (left) to do."""

    def __init__(self, error: ErrorCode) -> None:
        super().__init__(error.name)
        self.error = error


def initialized(
    known: Transaction,
    *,
    expected: tuple[int, int] | None,
    timeout_ms: int,
    new_producer_id: NewProducerId,
    now_ms: int,
) -> Transaction:
    """InitProducerId: a producer (re)starts with this transactional id (KIP-98, KIP-360).

    `known` may be new, with the epoch -1. `expected` is the producer's own id and epoch, where it
    goes on after an error; None where it starts.

    Of a transaction that is ongoing nothing is returned but its fenced abort (`fenced`): the
    producer asks again. Refused with PRODUCER_FENCED for an id or epoch that is not the current
    one's, CONCURRENT_TRANSACTIONS while markers are written.
    """
    if expected is not None and not _may_be(known, *expected):
        raise Refused(ErrorCode.PRODUCER_FENCED)
    if known.state in PREPARED:
        raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
    if known.state is State.Ongoing:
        return known
    assert known.state in AT_REST, known
    epoch = None if expected is None else expected[1]
    if known.exhausted and epoch in (None, known.producer_epoch):
        producer_id, next_epoch = new_producer_id(), 0
        last_epoch = NO_EPOCH if epoch is None else known.producer_epoch
    else:
        producer_id = known.producer_id
        next_epoch, last_epoch = _next_epoch(known, epoch)
    return replace(
        known,
        producer_id=producer_id,
        previous_producer_id=known.producer_id,
        producer_epoch=next_epoch,
        last_producer_epoch=last_epoch,
        timeout_ms=timeout_ms,
        state=State.Empty,
        partitions=frozenset(),
        started_ms=NO_TIMESTAMP_MS,
        updated_ms=now_ms,
    )


def _may_be(known: Transaction, producer_id: int, epoch: int) -> bool:
    """Whether a producer that says who it is can be this one: a new one, itself, or itself retrying
    the request that gave it another id."""
    return (
        known.producer_epoch == NO_EPOCH
        or producer_id == known.producer_id
        or (producer_id == known.previous_producer_id and is_exhausted(epoch))
    )


def _next_epoch(known: Transaction, epoch: int | None) -> tuple[int, int]:
    """The producer's epoch and the last one, by the epoch that it says it has."""
    if epoch is None:
        return known.producer_epoch + 1, NO_EPOCH
    if known.producer_epoch == NO_EPOCH or epoch == known.producer_epoch:
        return known.producer_epoch + 1, known.producer_epoch
    if epoch == known.last_producer_epoch:
        # The bump was made already, and its answer lost. A new producer would have set the last
        # epoch to -1.
        return known.producer_epoch, known.last_producer_epoch
    raise Refused(ErrorCode.PRODUCER_FENCED)


def _check_producer(known: Transaction, producer_id: int, epoch: int) -> None:
    if known.producer_id != producer_id:
        raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if known.producer_epoch != epoch:
        raise Refused(ErrorCode.PRODUCER_FENCED)
    if known.state in PREPARED:
        raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)


def added(
    known: Transaction,
    *,
    producer_id: int,
    epoch: int,
    partitions: Collection[TopicPartition],
    client_version: int,
    now_ms: int,
) -> Transaction:
    """Partitions come into the transaction; the first ones begin it.

    Refused with NONE when they are all there, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED,
    CONCURRENT_TRANSACTIONS.
    """
    _check_producer(known, producer_id, epoch)
    ongoing = known.state is State.Ongoing
    if ongoing and known.partitions.issuperset(partitions):
        raise Refused(ErrorCode.NONE)
    return replace(
        known,
        previous_producer_id=known.producer_id,
        state=State.Ongoing,
        partitions=known.partitions.union(partitions),
        started_ms=known.started_ms if ongoing else now_ms,
        updated_ms=now_ms,
        client_version=client_version,
    )


def verified(
    known: Transaction, *, producer_id: int, epoch: int, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, ErrorCode]:
    """Whether partitions are in the transaction (KIP-890): NONE or TRANSACTION_ABORTABLE.

    Refused as a whole with INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS.
    """
    _check_producer(known, producer_id, epoch)
    return {
        one: ErrorCode.NONE if one in known.partitions else ErrorCode.TRANSACTION_ABORTABLE
        for one in partitions
    }


def fenced(
    known: Transaction, *, transaction_version: int, new_producer_id: NewProducerId, now_ms: int
) -> Transaction:
    """An ongoing transaction is aborted, and its producer shut out by an epoch that nobody gets.

    For another producer of the same transactional id, or because its time is up. Under
    transaction.version 2 the producer that had the epoch before may go on (InitProducerId with it
    is told the new one), and an id that is exhausted gives way to the next.
    """
    assert known.state is State.Ongoing, known
    bumps = transaction_version >= 2
    if not bumps:
        epoch = min(known.producer_epoch + 1, EPOCH_MAX)
        known = replace(known, producer_epoch=epoch, last_producer_epoch=NO_EPOCH)
    return _prepared(
        known,
        State.PrepareAbort,
        bump=bumps,
        client_version=2 if bumps else 0,
        next_producer_id=new_producer_id() if bumps and known.exhausted else NO_PRODUCER_ID,
        started_ms=known.started_ms,
        now_ms=now_ms,
    )


def _prepared(
    known: Transaction,
    state: State,
    *,
    bump: bool,
    client_version: int,
    next_producer_id: int,
    started_ms: int,
    now_ms: int,
) -> Transaction:
    epoch = known.producer_epoch
    return replace(
        known,
        previous_producer_id=known.producer_id,
        next_producer_id=next_producer_id,
        producer_epoch=min(epoch + 1, EPOCH_MAX) if bump else epoch,
        last_producer_epoch=epoch if bump else known.last_producer_epoch,
        state=state,
        started_ms=started_ms,
        updated_ms=now_ms,
        client_version=client_version,
    )


def ended(
    known: Transaction,
    *,
    producer_id: int,
    epoch: int,
    commit: bool,
    bumps: bool,
    new_producer_id: NewProducerId,
    now_ms: int,
) -> Transaction:
    """EndTxn: the producer commits or aborts. `bumps` for version 5 and later (KIP-890).

    Refused with NONE when it is so already (a retry), INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED,
    CONCURRENT_TRANSACTIONS while the markers are written, INVALID_TXN_STATE.
    """
    check = _check_end_2 if bumps else _check_end
    check(known, producer_id, epoch, commit)
    next_producer_id = NO_PRODUCER_ID
    if bumps and known.exhausted:
        next_producer_id = new_producer_id()
    return _prepared(
        known,
        State.PrepareCommit if commit else State.PrepareAbort,
        bump=bumps,
        client_version=2 if bumps else 0,
        next_producer_id=next_producer_id,
        # An abort of nothing has no start, but a transaction that ends needs one.
        started_ms=known.started_ms if known.state is State.Ongoing else now_ms,
        now_ms=now_ms,
    )


def _check_end(known: Transaction, producer_id: int, epoch: int, commit: bool) -> None:
    """Below version 5: the epoch is the current one, and what was ended stays as it was ended."""
    if known.producer_id != producer_id:
        raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if known.producer_epoch != epoch:
        raise Refused(ErrorCode.PRODUCER_FENCED)
    state = known.state
    if state is State.Ongoing:
        return
    if state is (State.CompleteCommit if commit else State.CompleteAbort):
        raise Refused(ErrorCode.NONE)
    if state is (State.PrepareCommit if commit else State.PrepareAbort):
        raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
    raise Refused(ErrorCode.INVALID_TXN_STATE)


def _check_end_2(known: Transaction, producer_id: int, epoch: int, commit: bool) -> None:
    """Version 5 and later: the epoch tells a retry (one less than now) from the next end."""
    overflowed = (
        known.previous_producer_id == producer_id
        and epoch == EPOCH_MAX - 1
        and known.producer_epoch == 0
    )
    retry = known.producer_epoch == epoch + 1 or overflowed
    current = known.producer_epoch == epoch
    state = known.state
    if known.producer_id != producer_id and not overflowed:
        raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if state in PREPARED:
        valid = known.producer_epoch == epoch + 1
    elif state in (State.CompleteCommit, State.CompleteAbort):
        valid = retry or current
    else:
        valid = current
    if not valid:
        raise Refused(ErrorCode.PRODUCER_FENCED)
    if state is State.Ongoing:
        return
    if state is (State.PrepareCommit if commit else State.PrepareAbort):
        raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
    if retry and state is (State.CompleteCommit if commit else State.CompleteAbort):
        raise Refused(ErrorCode.NONE)
    # What is at rest can be aborted once more: the producer wrote nothing, or nothing arrived.
    if commit or retry or state not in AT_REST:
        raise Refused(ErrorCode.INVALID_TXN_STATE)


def completed(known: Transaction, *, now_ms: int) -> Transaction:
    """All markers are written."""
    assert known.state in PREPARED, known
    rotates = known.client_version >= 2 and known.next_producer_id != NO_PRODUCER_ID
    return replace(
        known,
        producer_id=known.next_producer_id if rotates else known.producer_id,
        previous_producer_id=known.producer_id,
        next_producer_id=NO_PRODUCER_ID,
        producer_epoch=0 if rotates else known.producer_epoch,
        state=State.CompleteCommit if known.commits else State.CompleteAbort,
        partitions=frozenset(),
        updated_ms=now_ms,
    )
