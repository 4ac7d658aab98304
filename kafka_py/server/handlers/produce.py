"""Produce (key 0), versions 3-13; 0-2 are advertised and refused, as Kafka does (KAFKA-18659).

Behaviour: as Apache Kafka 4.3.1. One batch of magic 2 a partition; acks 0 (no reply; a failure
closes the connection), 1, and all, which waits for the high watermark and, by our default, for the
disk. Errors are each partition's own. Topics take WRITE, transactional batches WRITE on the
transactional id.

The compiled path (`fast_path.pyx`) answers what is usual; this handler answers everything, and the
same. Long compressed batches are checked by a worker thread; what follows on their partition queues
up behind them, so that appends keep their order.

Transactional batches are appended when their transaction is open in the partition, or its
coordinator says that it is (`kafka_py.server.produce_transactions`); all of a request are of one
producer.

Known differences: a damaged batch is CORRUPT_MESSAGE or INVALID_RECORD where Apache's broker says
UNKNOWN_SERVER_ERROR in places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.produce import ProduceRequest, ProduceResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.types import ZERO_UUID
from kafka_py.replication.partition import Partition
from kafka_py.replication.verification import Batch, Verification, check, note_appended
from kafka_py.server.access import Access, access_of
from kafka_py.server.dispatch import CloseConnection, RequestContext, handles
from kafka_py.server.produce_errors import ProduceProblem, describe
from kafka_py.server.produce_transactions import asked_later
from kcore.errors import KcoreError

if TYPE_CHECKING:
    from kafka_py.server.node import Node

ALL: Final = -1
HEADER_BYTES: Final = 61
AT_MAGIC: Final = 16
AT_ATTRIBUTES: Final = 22
CODEC: Final = 7
ZSTD: Final = 4
TRANSACTIONAL: Final = 0x10
#: What is said of an error of the whole request, where Apache's broker says something.
WHOLE_TEXTS: Final = {
    ErrorCode.INVALID_PRODUCER_ID_MAPPING: (
        "Transactional records contained more than one producer ID"
    )
}
#: Longer compressed batches leave the event loop.
OFF_LOOP_BYTES: Final = 64 * 1024
ADMIN_CLIENT: Final = "__admin_client"

PartitionResponse = ProduceResponse.PartitionProduceResponse


class Piece:
    """One partition of a request: what is to be appended, and what came of it.

    `batch` is there for a transactional one, `verified` when the coordinator had to be asked.
    """

    __slots__ = ("appended", "batch", "index", "partition", "problem", "records", "verified")

    def __init__(self, index: int, records: Any) -> None:
        self.index = index
        self.records = records
        self.partition: Partition | None = None
        self.problem: ProduceProblem | None = None
        self.appended: Any = None
        self.batch: Batch | None = None
        self.verified: Verification | None = None

    def fail(self, code: ErrorCode, message: str | None = None) -> None:
        """It was not appended."""
        self.problem = ProduceProblem(int(code), message)

    @property
    def slow(self) -> bool:
        """Whether its append must not run on the event loop now."""
        partition = self.partition
        if self.problem is not None or partition is None:
            return False
        if partition.queued_append is not None or partition.flush_messages >= 0:
            return True
        return len(self.records) > OFF_LOOP_BYTES and bool(self.records[AT_ATTRIBUTES] & CODEC)


class Waiter:
    """An acks=all request whose pieces are appended: an AppendWaiter of the purgatory."""

    def __init__(self, pieces: list[Piece], deadline_ms: int, *, durable: bool) -> None:
        """`durable`: to be replicated is not enough, the disk has to have it."""
        self.pieces = pieces
        self.durable = durable
        self.deadline_ms = deadline_ms
        self.done = False
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = len(pieces)

    def satisfied(self) -> None:
        """One of the partitions is replicated and durable."""
        self._waiting -= 1
        if self._waiting == 0:
            self._complete()

    def fail(self, error: int) -> None:
        """One of the partitions lost leadership or its disk."""
        for piece in self.pieces:
            partition = piece.partition
            if partition is not None and (not partition.leads or partition.offline):
                piece.fail(ErrorCode.of(error))
        self.satisfied()

    def expire(self) -> None:
        """Time is up: what is not replicated, or not durable as promised, timed out."""
        for piece in self.pieces:
            if piece.problem is None and not self._there(piece):
                piece.fail(ErrorCode.REQUEST_TIMED_OUT)
        self._complete()

    def _there(self, piece: Piece) -> bool:
        partition, last_offset = piece.partition, piece.appended.last_offset
        if partition is None or partition.log is None:
            return False
        if self.durable and partition.log.recovery_point <= last_offset:
            return False
        replicated: bool = partition.high_watermark > last_offset
        return replicated

    def _complete(self) -> None:
        self.done = True
        if not self.future.done():
            self.future.set_result(None)


@handles(ApiKey.PRODUCE, versions=(3, 13), advertised_lowest=0)
def produce(node: Node, context: RequestContext, request: ProduceRequest) -> Any:
    """Append every partition's batch; answer now, or later for acks=all and slow batches."""
    topics = [[Piece(p.index, p.records) for p in t.partition_data] for t in request.topic_data]
    pieces = [piece for of_topic in topics for piece in of_topic]
    access = access_of(node, context)
    refused = whole_error(access, request, pieces)
    denied = () if access.open else unwritable(node, context, access, request)
    whole = refused is ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    for topic, of_topic in zip(request.topic_data, topics, strict=True):
        key = topic.topic_id if context.api_version >= 13 else topic.name
        for piece in of_topic:
            if key in denied and not whole:
                piece.fail(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
            elif refused is not None:
                piece.fail(refused, WHOLE_TEXTS.get(refused))
            else:
                find(node, context, request, topic, piece)

    def append_all() -> Any:
        return append_and_answer(node, context, request, topics)

    if request.transactional_id is not None and any(piece.batch for piece in pieces):
        later = asked_later(node, context.api_version, request.transactional_id, pieces, append_all)
        if later is not None:
            return later
    return append_all()


def append_and_answer(
    node: Node, context: RequestContext, request: ProduceRequest, topics: list[list[Piece]]
) -> Any:
    """Append what has no error yet; the response, or an awaitable of it."""
    pieces = [piece for of_topic in topics for piece in of_topic]
    if any(piece.slow for piece in pieces):
        return append_slowly(node, context, request, topics, reserve(pieces))
    for piece in pieces:
        append(node, context, piece)
    if request.acks != ALL:
        return answer(node, context, request, topics)
    waiter = wait_for(node, request, pieces)
    if waiter is None:
        return answer(node, context, request, topics)
    return answer_later(node, context, request, topics, waiter)


def unwritable(
    node: Node, context: RequestContext, access: Access, request: ProduceRequest
) -> set[str | bytes]:
    """The names, or (13+) ids, of topics that the caller may not write to."""
    if context.api_version < 13:
        names = {topic.name for topic in request.topic_data}
        return {*(names - access.topics(Operation.WRITE, names))}
    by_id = node.image.topics_by_id
    ids = {topic.topic_id for topic in request.topic_data if topic.topic_id in by_id}
    allowed = access.topics(Operation.WRITE, (by_id[topic_id].name for topic_id in ids))
    return {topic_id for topic_id in ids if by_id[topic_id].name not in allowed}


def whole_error(access: Access, request: ProduceRequest, pieces: list[Piece]) -> ErrorCode | None:
    """The error of the request as a whole, None when there is none."""
    if request.acks not in (-1, 0, 1):
        return ErrorCode.INVALID_REQUIRED_ACKS
    transactional = [
        piece
        for piece in pieces
        if piece.records is not None
        and len(piece.records) >= HEADER_BYTES
        and piece.records[AT_ATTRIBUTES] & TRANSACTIONAL
    ]
    if not transactional:
        return None
    name = request.transactional_id
    if name is None or not access.may(Operation.WRITE, ResourceType.TRANSACTIONAL_ID, name):
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    for piece in transactional:
        piece.batch = Batch.transactional(piece.records)
    producers = {(one.producer_id, one.epoch) for piece in pieces if (one := piece.batch)}
    return ErrorCode.INVALID_PRODUCER_ID_MAPPING if len(producers) > 1 else None


def find(
    node: Node,
    context: RequestContext,
    request: ProduceRequest,
    topic: ProduceRequest.TopicProduceData,
    piece: Piece,
) -> None:
    """Find a piece's partition and check what needs no look at the records."""
    version = context.api_version
    if version >= 13:
        partition = node.replicas.partition_by_id(topic.topic_id, piece.index)
        known = topic.topic_id in node.image.topics_by_id
    else:
        partition = node.replicas.partition(topic.name, piece.index)
        known = topic.name in node.image.topics
    if partition is None:
        by_id = version >= 13 and not known
        piece.fail(ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return
    check_batch(piece, version)
    if piece.problem is not None:
        return
    if partition.internal and context.client_id != ADMIN_CLIENT:
        piece.fail(ErrorCode.INVALID_TOPIC_EXCEPTION)
    elif error := partition.leader_error(-1):
        piece.fail(ErrorCode.of(error))
    elif request.acks == ALL and partition.under_min_isr:
        piece.fail(ErrorCode.NOT_ENOUGH_REPLICAS)
    piece.partition = partition


def check_batch(piece: Piece, version: int) -> None:
    """What Kafka checks of a batch before any partition sees it."""
    records = piece.records
    if records is None or len(records) < HEADER_BYTES or records[AT_MAGIC] < 2:
        piece.fail(ErrorCode.INVALID_RECORD)
    elif records[AT_ATTRIBUTES] & CODEC == ZSTD and version < 7:
        piece.fail(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)


def append(node: Node, context: RequestContext, piece: Piece) -> None:
    """Append on the event loop, and note what moved."""
    partition = piece.partition
    if piece.problem is not None or partition is None:
        return
    try:
        check_transaction(node, piece, partition)
        piece.appended = partition.log.append(
            piece.records, leader_epoch=partition.leader_epoch, now_ms=context.now_ms
        )
    except KcoreError as error:
        piece.problem = describe(error, partition)
        return
    appended(node, piece, partition)


def check_transaction(node: Node, piece: Piece, partition: Partition) -> None:
    """Whether a transactional batch's transaction is open, still. Raises KcoreError."""
    if piece.batch is not None:
        required = node.config["transaction.partition.verification.enable"]
        check(partition, piece.batch, piece.records, piece.verified, required=required)


def appended(node: Node, piece: Piece, partition: Partition) -> None:
    """Note what moved with an append."""
    if piece.batch is not None and not piece.appended.duplicate:
        note_appended(partition, piece.batch)
    if partition.advance():
        node.replicas.progressed(partition)


# ----------------------------------------------------------------------------------- slow appends


def reserve(pieces: list[Piece]) -> list[asyncio.Future[None] | None]:
    """Queue every piece up at its partition, at once; returns whom each waits for.

    All places of a request are taken together, so two requests never wait for each other.
    """
    loop = asyncio.get_running_loop()
    previous: list[asyncio.Future[None] | None] = []
    for piece in pieces:
        partition = piece.partition
        if piece.problem is None and partition is not None:
            previous.append(partition.queued_append)
            partition.queued_append = loop.create_future()
        else:
            previous.append(None)
    return previous


def append_slowly(
    node: Node,
    context: RequestContext,
    request: ProduceRequest,
    topics: list[list[Piece]],
    previous: list[asyncio.Future[None] | None],
) -> Coroutine[Any, Any, ProduceResponse | None]:
    """Append in worker threads where that is better; the places in the queues are taken already."""
    pieces = [piece for of_topic in topics for piece in of_topic]
    places = [
        piece.partition.queued_append
        if piece.problem is None and piece.partition is not None
        else None
        for piece in pieces
    ]

    async def work() -> ProduceResponse | None:
        for piece, earlier, place in zip(pieces, previous, places, strict=True):
            if place is None:
                continue
            try:
                if earlier is not None:
                    await earlier
                await append_off_loop(node, context, piece)
            finally:
                place.set_result(None)
                if piece.partition is not None and piece.partition.queued_append is place:
                    piece.partition.queued_append = None
        node.touch()
        waiter = wait_for(node, request, pieces) if request.acks == ALL else None
        if waiter is not None:
            await waiter.future
        return answer(node, context, request, topics)

    return work()


async def append_off_loop(node: Node, context: RequestContext, piece: Piece) -> None:
    """Append one piece in a worker thread, flush it there if flush.messages asks for it."""
    partition = piece.partition
    assert partition is not None
    error = partition.leader_error(-1)
    if error:
        piece.fail(ErrorCode.of(error))
        return
    log, epoch = partition.log, partition.leader_epoch

    def work() -> Any:
        done = log.append(piece.records, leader_epoch=epoch, now_ms=context.now_ms)
        if 0 <= partition.flush_messages <= log.unflushed_messages:
            log.flush(now_ms=context.now_ms)
        return done

    try:
        check_transaction(node, piece, partition)
        # Before the worker's append is seen here, others may ask for the last stable offset.
        partition.transactional = partition.transactional or piece.batch is not None
        piece.appended = await node.in_worker(work)
    except KcoreError as problem:
        piece.problem = describe(problem, partition)
        return
    if partition.log is log:
        appended(node, piece, partition)


# ----------------------------------------------------------------------------------- acks=all


def wait_for(node: Node, request: ProduceRequest, pieces: list[Piece]) -> Waiter | None:
    """Who waits for the pieces that are not replicated or durable yet; None when all are."""
    waiting = []
    for piece in pieces:
        partition = piece.partition
        if piece.problem is not None or partition is None or piece.appended is None:
            continue
        if error := partition.leader_error(-1):
            # Leadership or the disk went while a worker appended.
            piece.fail(ErrorCode.of(error))
            continue
        last_offset = piece.appended.last_offset
        unflushed = node.flusher.waits and partition.log.recovery_point <= last_offset
        if partition.high_watermark <= last_offset or unflushed:
            waiting.append(piece)
    if not waiting:
        return None
    deadline_ms = node.clock.monotonic_ms() + max(0, request.timeout_ms)
    waiter = Waiter(waiting, deadline_ms, durable=node.flusher.waits)
    for piece in waiting:
        assert piece.partition is not None
        end_offset = piece.appended.last_offset + 1
        node.replicas.appends.watch(waiter, piece.partition, end_offset)
        node.flusher.appended(piece.partition)
    return waiter


async def answer_later(
    node: Node,
    context: RequestContext,
    request: ProduceRequest,
    topics: list[list[Piece]],
    waiter: Waiter,
) -> ProduceResponse | None:
    """The answer once everything is replicated and durable, or the time is up."""
    await waiter.future
    return answer(node, context, request, topics)


# ----------------------------------------------------------------------------------- the answer


def answer(
    node: Node, context: RequestContext, request: ProduceRequest, topics: list[list[Piece]]
) -> ProduceResponse | None:
    """The response; for acks=0 none, and a failure closes the connection."""
    if request.acks == 0:
        failed = next((p for of in topics for p in of if p.problem is not None), None)
        if failed is not None and failed.problem is not None:
            name = ErrorCode.of(failed.problem.code).name
            raise CloseConnection(f"a produce with acks=0 failed: {name}")
        return None
    by_id = context.api_version >= 13
    response = ProduceResponse(
        responses=[
            ProduceResponse.TopicProduceResponse(
                name="" if by_id else topic.name,
                topic_id=topic.topic_id if by_id else ZERO_UUID,
                partition_responses=[one_answer(context, piece) for piece in of_topic],
            )
            for topic, of_topic in zip(request.topic_data, topics, strict=True)
        ]
    )
    if context.api_version >= 10:
        add_leaders(node, context, response, topics)
    return response


def one_answer(context: RequestContext, piece: Piece) -> PartitionResponse:
    """What is said of one partition."""
    problem, done = piece.problem, piece.appended
    if problem is not None:
        return PartitionResponse(
            index=piece.index,
            error_code=problem.code,
            base_offset=-1,
            log_start_offset=problem.log_start_offset,
            error_message=problem.message,
            record_errors=[
                ProduceResponse.BatchIndexAndErrorMessage(
                    batch_index=index, batch_index_error_message=text
                )
                for index, text in problem.record_errors
            ],
        )
    return PartitionResponse(
        index=piece.index,
        base_offset=done.base_offset,
        log_append_time_ms=done.log_append_time_ms,
        log_start_offset=done.log_start_offset,
    )


def add_leaders(
    node: Node,
    context: RequestContext,
    response: ProduceResponse,
    topics: list[list[Piece]],
) -> None:
    """Where the leader of partitions is that this broker does not lead (KIP-951)."""
    brokers: dict[int, Any] = {}
    for topic, of_topic in zip(response.responses, topics, strict=True):
        for said, piece in zip(topic.partition_responses, of_topic, strict=True):
            partition = piece.partition
            moved = said.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
            if not moved or partition is None:
                continue
            said.current_leader = ProduceResponse.LeaderIdAndEpoch(
                leader_id=partition.leader_id, leader_epoch=partition.leader_epoch
            )
            broker = node.image.brokers.get(partition.leader_id)
            endpoint = None if broker is None else broker.endpoint(context.listener)
            if broker is not None and endpoint is not None:
                brokers[broker.id] = ProduceResponse.NodeEndpoint(
                    node_id=broker.id, host=endpoint.host, port=endpoint.port, rack=broker.rack
                )
    response.node_endpoints = list(brokers.values())
