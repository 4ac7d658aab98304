"""Transactional batches of a Produce: what the transaction coordinator is asked first (KIP-890).

A producer's first batch of a transaction on a partition waits until the coordinator has confirmed
that the partition is in the transaction (requests below version 12), or has added it (12 and
later, transaction version 2). Requests of one producer stay in order meanwhile: each waits for the
appends of the one before.

Errors are those that Apache's broker tells each version: clients below version 11 do not know
TRANSACTION_ABORTABLE, and what the coordinator will answer better in a moment is
NOT_ENOUGH_REPLICAS, which every client sends again without looking for another leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from kafka_py.protocol.errors import ErrorCode
from kafka_py.replication.partition import Partition
from kafka_py.replication.verification import Batch, Verification, begin
from kafka_py.server.produce_errors import error_code
from kafka_py.server.transactions_seam import Outcome, TopicPartition
from kcore.errors import KcoreError

if TYPE_CHECKING:
    from kafka_py.server.handlers.produce import Piece
    from kafka_py.server.node import Node

__all__ = ["ABORTABLE_VERSION", "ADDING_VERSION", "asked_later", "told"]

#: Produce from this version on adds partitions to transactions, and knows TRANSACTION_ABORTABLE.
ADDING_VERSION: Final = 12
ABORTABLE_VERSION: Final = 11
#: The coordinator is busy, loading, elsewhere: worth asking again.
TRANSIENT: Final = frozenset(
    {
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
    }
)


def told(error: ErrorCode, *, knows_abortable: bool) -> ErrorCode:
    """What a producer is told of a coordinator's error, be it a Produce or a TxnOffsetCommit."""
    if error is ErrorCode.PRODUCER_FENCED:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    if error is ErrorCode.TRANSACTION_ABORTABLE and not knows_abortable:
        return ErrorCode.INVALID_TXN_STATE
    return error


def asked_later(
    node: Node,
    version: int,
    transactional_id: str,
    pieces: Sequence[Piece],
    append_all: Callable[[], Any],
) -> Awaitable[Any] | None:
    """The response of `append_all`, called once the coordinator has answered; None when it need not
    be asked, nor waited for: the caller appends now.

    Pieces that the coordinator does not agree to have their error by then. All transactional
    pieces are of one producer.
    """
    transactional = [piece for piece in pieces if piece.batch is not None]
    batch = transactional[0].batch
    assert batch is not None
    adds = version >= ADDING_VERSION
    if not adds and not node.config["transaction.partition.verification.enable"]:
        return None
    producer_id = batch.producer_id
    earlier = node.verifying.get(producer_id)
    if earlier is None and not unverified(node, transactional, adds=adds):
        return None
    place = node.verifying[producer_id] = node.loop.create_future()

    async def later() -> Any:
        try:
            if earlier is not None:
                await asyncio.wait((earlier,))
            await verify(node, version, transactional_id, transactional)
            response = append_all()
            node.touch()
        finally:
            place.set_result(None)
            if node.verifying.get(producer_id) is place:
                del node.verifying[producer_id]
        return await response if isawaitable(response) else response

    return later()


def unverified(
    node: Node, pieces: Sequence[Piece], *, adds: bool
) -> list[tuple[Piece, TopicPartition, Verification]]:
    """The pieces whose transaction is not open in their partition; a fenced producer's fail."""
    found = []
    for piece in pieces:
        partition, batch = piece.partition, piece.batch
        if piece.problem is not None or partition is None or batch is None:
            continue
        verification = started(node, partition, batch, piece, adds=adds)
        if verification is not None:
            found.append((piece, (partition.topic, partition.index), verification))
    return found


def started(
    node: Node, partition: Partition, batch: Batch, piece: Piece, *, adds: bool
) -> Verification | None:
    """One piece's verification; None when none is needed, or the piece has failed."""
    if error := partition.leader_error(-1):
        piece.fail(ErrorCode.of(error))
        return None
    try:
        return begin(partition, batch, adds=adds, now_ms=node.clock.now_ms())
    except KcoreError as problem:
        piece.fail(error_code(problem))
        return None


async def verify(node: Node, version: int, transactional_id: str, pieces: Sequence[Piece]) -> None:
    """Ask the coordinator, and note its answer at every piece."""
    adds = version >= ADDING_VERSION
    asked = unverified(node, pieces, adds=adds)
    if not asked:
        return
    outcome = await ask(node, transactional_id, asked, adds=adds)
    for piece, partition, verification in asked:
        error = told(outcome[partition], knows_abortable=version >= ABORTABLE_VERSION)
        if error is ErrorCode.NONE:
            piece.verified = verification
        else:
            piece.fail(*shown(error, adds=adds))


async def ask(
    node: Node,
    transactional_id: str,
    asked: Sequence[tuple[Piece, TopicPartition, Verification]],
    *,
    adds: bool,
) -> Outcome:
    """The coordinator's answer for each partition."""
    batch = asked[0][0].batch
    assert batch is not None
    question = node.transactions.add if adds else node.transactions.verify
    partitions = list(dict.fromkeys(partition for _, partition, _ in asked))
    answer = question(transactional_id, batch.producer_id, batch.epoch, partitions)
    return await answer if isawaitable(answer) else answer


def shown(error: ErrorCode, *, adds: bool) -> tuple[ErrorCode, str | None]:
    """The error of the partition's append, and its text where Apache has one."""
    if error is ErrorCode.INVALID_TXN_STATE:
        return error, "Partition was not added to the transaction"
    if error in TRANSIENT or (error is ErrorCode.CONCURRENT_TRANSACTIONS and not adds):
        return (
            ErrorCode.NOT_ENOUGH_REPLICAS,
            "Unable to verify the partition has been added to the transaction."
            f" Underlying error: {error.name}",
        )
    return error, None
