"""Transactional records, markers and offsets through a running broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetFetchRequest
from kafka_py.protocol.groups import FindCoordinatorRequest
from kafka_py.protocol.transactions import (
    DescribeProducersRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
    WriteTxnMarkersRequest,
)
from kafka_py.server.broker import Broker
from kafka_py.server.transactions_seam import Outcome
from tests.server.conftest import make_topic, on_loop
from tests.server.group_requests import await_coordinator
from tests.server.messages import batch, fetch, offsets, produce
from tests.server.wire import Wire
from tests.waiting import FOREVER_MS, PATIENCE_S, eventually

GROUP = "txn-group"
MARKER = WriteTxnMarkersRequest.WritableTxnMarker
TOPIC = WriteTxnMarkersRequest.WritableTxnMarkerTopic


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(
        {"transaction.state.log.num.partitions": "2", "offsets.topic.num.partitions": "2"}
    ) as running:
        yield running


class Producer:
    """A transactional producer over a connection of its own."""

    def __init__(self, broker: Broker, name: str, topic: str) -> None:
        self.wire = Wire(broker.bootstrap_servers)
        self.name = name
        self.topic = topic
        self.sequence = 0
        self.id = self.epoch = -1
        try:
            find = FindCoordinatorRequest(key_type=1, coordinator_keys=[name])
            eventually(lambda: not self.wire.call(find, 4).coordinators[0].error_code)
            self.init()
        except BaseException:
            self.wire.socket.close()
            raise

    def init(self) -> None:
        asked = InitProducerIdRequest(transactional_id=self.name, transaction_timeout_ms=60_000)
        deadline = time.monotonic() + PATIENCE_S
        while (reply := self.wire.call(asked, 5)).error_code:
            assert time.monotonic() < deadline, reply
            time.sleep(0.01)
        self.id, self.epoch, self.sequence = reply.producer_id, reply.producer_epoch, 0

    def batch(self, sequence: int | None = None, **options: Any) -> bytes:
        return batch(
            **{
                "producer_id": self.id,
                "producer_epoch": self.epoch,
                "base_sequence": self.sequence if sequence is None else sequence,
                "transactional": True,
                **options,
            }
        )

    def request(self, records: bytes, **fields: Any) -> Any:
        return produce(self.topic, records, **{"acks": -1, "transactional_id": self.name, **fields})

    def write(self, version: int = 12, **options: Any) -> ErrorCode:
        code = code_of(self.wire.call(self.request(self.batch(**options)), version))
        if code is ErrorCode.NONE:
            self.sequence += 1
        return code

    def end(self, commit: bool) -> None:
        reply = self.wire.call(
            EndTxnRequest(
                transactional_id=self.name,
                producer_id=self.id,
                producer_epoch=self.epoch,
                committed=commit,
            ),
            5,
        )
        assert reply.error_code == 0, reply
        self.id, self.epoch, self.sequence = reply.producer_id, reply.producer_epoch, 0


def code_of(reply: Any) -> ErrorCode:
    (topic,) = reply.responses
    (one,) = topic.partition_responses
    return ErrorCode.of(one.error_code)


@pytest.fixture
def producer(broker: Broker, topic: str) -> Iterator[Producer]:
    """A producer of the test's own id, for the test's topic."""
    made = Producer(broker, f"id-{topic}", topic)
    yield made
    made.wire.socket.close()


def stable(wire: Wire, topic: str) -> tuple[int, int]:
    """(last stable offset, high watermark) by ListOffsets."""
    found = []
    for level in (1, 0):
        asked = offsets(topic, -1)
        asked.isolation_level = level
        found.append(wire.call(asked, 7).topics[0].partitions[0].offset)
    return found[0], found[1]


def settle(wire: Wire, topic: str, end: int) -> None:
    """Wait for markers."""
    deadline = time.monotonic() + PATIENCE_S
    while stable(wire, topic)[0] < end:
        assert time.monotonic() < deadline
        time.sleep(0.005)


# ---------------------------------------------------------------------------------------- produce


def test_an_open_transaction_holds_readers_back(wire: Wire, producer: Producer) -> None:
    topic = producer.topic
    assert (
        wire.call(produce(topic, batch()), 12).responses[0].partition_responses[0].error_code == 0
    )
    assert producer.write() is ErrorCode.NONE
    assert producer.write() is ErrorCode.NONE
    assert stable(wire, topic) == (1, 3)
    committed = wire.call(fetch(topic, 0, isolation_level=1), 12).responses[0].partitions[0]
    assert (committed.last_stable_offset, committed.records is not None) == (1, True)
    plain = wire.call(fetch(topic, 0), 12).responses[0].partitions[0]
    assert len(plain.records) > 2 * len(committed.records)
    # A reader who waits at the last stable offset is woken by the marker.
    wire.send(fetch(topic, 1, isolation_level=1, wait_ms=FOREVER_MS), 12)
    producer.end(True)
    woken = wire.receive().responses[0].partitions[0]
    assert woken.last_stable_offset == 4
    assert woken.records
    assert woken.aborted_transactions == []


def test_aborted_ones_are_listed(wire: Wire, producer: Producer) -> None:
    producer.write()
    aborted = producer.id
    producer.end(False)
    settle(wire, producer.topic, 2)
    for version, epoch in ((4, -1), (12, -1), (12, 0)):
        request = fetch(producer.topic, 0, isolation_level=1, session_epoch=epoch)
        found = wire.call(request, version).responses[0].partitions[0]
        assert [(a.producer_id, a.first_offset) for a in found.aborted_transactions] == [
            (aborted, 0)
        ]
        assert found.records


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (9, ErrorCode.INVALID_TXN_STATE),
        (11, ErrorCode.TRANSACTION_ABORTABLE),
        (12, ErrorCode.NONE),
    ],
)
def test_a_partition_that_was_not_added(
    wire: Wire, producer: Producer, version: int, code: ErrorCode
) -> None:
    assert producer.write(version) is code
    assert stable(wire, producer.topic) == (0, 1 if code is ErrorCode.NONE else 0)


def test_requests_of_one_producer_stay_in_order(producer: Producer) -> None:
    """The second is sent while the coordinator is asked about the first."""
    wire = producer.wire
    for sequence in range(4):
        wire.send(producer.request(producer.batch(sequence)), 12)
    found = [wire.receive().responses[0].partition_responses[0] for _ in range(4)]
    assert [(one.error_code, one.base_offset) for one in found] == [(0, n) for n in range(4)]


def test_a_large_compressed_batch_goes_through_a_worker(wire: Wire, producer: Producer) -> None:
    import random

    noise = random.Random(1).randbytes(100_000)
    from kcore import build

    large = build(
        [(b"k", noise, (), int(time.time() * 1000))],
        compression="gzip",
        producer_id=producer.id,
        producer_epoch=producer.epoch,
        base_sequence=0,
        transactional=True,
    )
    assert code_of(producer.wire.call(producer.request(large), 12)) is ErrorCode.NONE
    assert code_of(producer.wire.call(producer.request(large), 12)) is ErrorCode.NONE, "a duplicate"
    assert stable(wire, producer.topic) == (0, 1)
    producer.end(True)
    settle(wire, producer.topic, 2)


def test_refusals(producer: Producer, broker: Broker) -> None:
    other = Producer(broker, f"{producer.name}-2", producer.topic)
    other.wire.socket.close()
    wire = producer.wire
    request = producer.request(producer.batch(), transactional_id=None)
    assert code_of(wire.call(request, 12)) is ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    both = produce(
        producer.topic, producer.batch(), other.batch(), acks=-1, transactional_id=producer.name
    )
    rows = wire.call(both, 12).responses[0].partition_responses
    assert [r.error_code for r in rows] == [ErrorCode.INVALID_PRODUCER_ID_MAPPING] * 2
    assert producer.write() is ErrorCode.NONE
    assert producer.write(transactional=False) is ErrorCode.INVALID_TXN_STATE
    assert producer.write(producer_epoch=producer.epoch - 1) is not ErrorCode.NONE
    old = producer.epoch
    producer.init()
    assert producer.write(producer_epoch=old) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert producer.write() is ErrorCode.NONE


SAID = [
    (ErrorCode.NOT_COORDINATOR, 12, ErrorCode.NOT_ENOUGH_REPLICAS),
    (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, 11, ErrorCode.NOT_ENOUGH_REPLICAS),
    (ErrorCode.CONCURRENT_TRANSACTIONS, 11, ErrorCode.NOT_ENOUGH_REPLICAS),
    (ErrorCode.CONCURRENT_TRANSACTIONS, 12, ErrorCode.CONCURRENT_TRANSACTIONS),
    (ErrorCode.PRODUCER_FENCED, 12, ErrorCode.INVALID_PRODUCER_EPOCH),
    (ErrorCode.TRANSACTION_ABORTABLE, 10, ErrorCode.INVALID_TXN_STATE),
    (ErrorCode.INVALID_PRODUCER_ID_MAPPING, 12, ErrorCode.INVALID_PRODUCER_ID_MAPPING),
]


class Scripted:
    """Coordinators that say what a test wants."""

    def __init__(self, error: ErrorCode) -> None:
        self.error = error
        self.asked: list[str] = []

    def answer(self, what: str, partitions: Any) -> Outcome:
        self.asked.append(what)
        return dict.fromkeys(partitions, self.error)

    def verify(self, _id: str, _producer: int, _epoch: int, partitions: Any) -> Outcome:
        return self.answer("verify", partitions)

    async def add(self, _id: str, _producer: int, _epoch: int, partitions: Any) -> Outcome:
        return self.answer("add", partitions)


@pytest.mark.parametrize(("error", "version", "said"), SAID)
def test_what_a_producer_is_told(
    error: ErrorCode,
    version: int,
    said: ErrorCode,
    broker: Broker,
    producer: Producer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripted = Scripted(error)
    monkeypatch.setattr(broker.node, "transactions", scripted)
    assert producer.write(version) is said
    assert set(scripted.asked) == {"add" if version >= 12 else "verify"}


def test_an_open_transaction_needs_no_question(
    broker: Broker, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted(ErrorCode.NONE)
    monkeypatch.setattr(broker.node, "transactions", scripted)
    assert [producer.write(12) for _ in range(3)] == [ErrorCode.NONE] * 3
    assert scripted.asked == ["add"]


# ---------------------------------------------------------------------------------------- markers


def mark(wire: Wire, producer: Producer, *places: tuple[str, int], **fields: Any) -> dict[Any, int]:
    """WriteTxnMarkers for one producer: {(topic, partition): code}."""
    options = {
        "producer_id": producer.id,
        "producer_epoch": producer.epoch,
        "transaction_result": False,
        "coordinator_epoch": 0,
    } | fields
    topics = [TOPIC(name=name, partition_indexes=[index]) for name, index in places]
    reply = wire.call(WriteTxnMarkersRequest(markers=[MARKER(topics=topics, **options)]), 2)
    return {
        (topic.name, one.partition_index): one.error_code
        for topic in reply.markers[0].topics
        for one in topic.partitions
    }


def test_markers_over_the_wire(wire: Wire, producer: Producer) -> None:
    here, nowhere = (producer.topic, 0), ("nope", 3)
    producer.write()
    epoch = producer.epoch
    fenced = mark(wire, producer, here, nowhere, producer_epoch=epoch - 1)
    if epoch > 0:
        assert fenced[here] == ErrorCode.INVALID_PRODUCER_EPOCH
    assert fenced[nowhere] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    late = mark(wire, producer, here, transaction_version=2)
    assert late == {here: ErrorCode.INVALID_PRODUCER_EPOCH}
    assert mark(wire, producer, here, coordinator_epoch=4) == {here: ErrorCode.NONE}
    assert stable(wire, producer.topic) == (2, 2)
    stale = mark(wire, producer, here, coordinator_epoch=3)
    assert stale == {here: ErrorCode.TRANSACTION_COORDINATOR_FENCED}
    asked = DescribeProducersRequest.TopicRequest(name=producer.topic, partition_indexes=[0])
    reply = wire.call(DescribeProducersRequest(topics=[asked]), 0)
    (state,) = reply.topics[0].partitions[0].active_producers
    assert (state.coordinator_epoch, state.current_txn_start_offset) == (4, -1)


def test_a_marker_waits_its_turn_behind_a_worker(
    broker: Broker, wire: Wire, producer: Producer
) -> None:
    """What a worker thread is about to append to a partition comes first."""
    partition = broker.node.replicas.partition(producer.topic, 0)
    assert partition is not None
    held: list[Any] = []

    def hold() -> None:
        partition.queued_append = broker.loop.create_future()
        held.append(partition.queued_append)

    on_loop(broker, hold)
    options: dict[str, Any] = {"producer_id": producer.id, "producer_epoch": producer.epoch}
    topics = [TOPIC(name=producer.topic, partition_indexes=[0])]
    wire.send(WriteTxnMarkersRequest(markers=[MARKER(topics=topics, **options)]), 1)
    with Wire(broker.bootstrap_servers) as other:
        assert stable(other, producer.topic) == (0, 0)
        on_loop(broker, lambda: held[0].set_result(None))
        reply = wire.receive()
        assert reply.markers[0].topics[0].partitions[0].error_code == 0
        assert stable(other, producer.topic) == (1, 1)
    assert partition.queued_append is None


# ---------------------------------------------------------------------------------------- offsets


def commit(wire: Wire, producer: Producer, offset: int, version: int = 5, **fields: Any) -> int:
    row = TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition(
        partition_index=0, committed_offset=offset
    )
    topic = TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic(
        name=fields.pop("topic", producer.topic), partitions=[row]
    )
    options = {
        "transactional_id": producer.name,
        "group_id": GROUP,
        "producer_id": producer.id,
        "producer_epoch": producer.epoch,
    } | fields
    reply = wire.call(TxnOffsetCommitRequest(topics=[topic], **options), version)
    code: int = reply.topics[0].partitions[0].error_code
    return code


def fetched(wire: Wire, topic: str, *, stable: bool = False) -> tuple[int, int]:
    """(offset, code)."""
    asked = OffsetFetchRequest.OffsetFetchRequestGroup(
        group_id=GROUP,
        topics=[OffsetFetchRequest.OffsetFetchRequestTopics(name=topic, partition_indexes=[0])],
    )
    reply = wire.call(OffsetFetchRequest(groups=[asked], require_stable=stable), 9)
    one = reply.groups[0].topics[0].partitions[0]
    return one.committed_offset, one.error_code


def test_offsets_of_a_transaction(wire: Wire, producer: Producer) -> None:
    await_coordinator(wire, GROUP)
    topic = producer.topic
    assert commit(wire, producer, 7, version=4) == ErrorCode.TRANSACTION_ABORTABLE
    assert commit(wire, producer, 7, version=3) == ErrorCode.INVALID_TXN_STATE
    assert commit(wire, producer, 7) == ErrorCode.NONE
    assert fetched(wire, topic) == (-1, 0)
    assert fetched(wire, topic, stable=True) == (-1, ErrorCode.UNSTABLE_OFFSET_COMMIT)
    assert commit(wire, producer, 8, topic="nope") == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert commit(wire, producer, 8, group_id="") == ErrorCode.INVALID_GROUP_ID
    assert commit(wire, producer, 8, generation_id_or_member_epoch=3) == ErrorCode.UNKNOWN_MEMBER_ID
    if producer.epoch > 0:
        old = commit(wire, producer, 8, producer_epoch=producer.epoch - 1)
        assert old == ErrorCode.INVALID_PRODUCER_EPOCH
    producer.end(True)
    until_fetched(wire, topic, (7, 0))
    assert commit(wire, producer, 9) == ErrorCode.NONE
    producer.end(False)
    until_fetched(wire, topic, (7, 0))


def until_fetched(wire: Wire, topic: str, expected: tuple[int, int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (got := fetched(wire, topic, stable=True)) != expected and time.monotonic() < deadline:
        time.sleep(0.005)
    assert got == expected


def test_everything_is_there_after_a_restart(tmp_path: Any) -> None:
    """Open transactions, of records and of offsets, go on with the next run."""
    settings = {
        "transaction.state.log.num.partitions": "2",
        "offsets.topic.num.partitions": "2",
    }
    with Broker(settings, data=tmp_path) as first, Wire(first.bootstrap_servers) as wire:
        make_topic(wire, "kept")
        await_coordinator(wire, GROUP)
        producer = Producer(first, "kept", "kept")
        with producer.wire:
            assert producer.write() is ErrorCode.NONE
            assert commit(wire, producer, 5) == ErrorCode.NONE
    with (
        Broker(settings, data=tmp_path) as second,
        Wire(second.bootstrap_servers) as wire,
        Wire(second.bootstrap_servers) as producer.wire,
    ):
        await_coordinator(wire, GROUP)
        until_fetched(wire, "kept", (-1, ErrorCode.UNSTABLE_OFFSET_COMMIT))
        assert stable(wire, "kept") == (0, 1)
        deadline = time.monotonic() + PATIENCE_S
        while (code := producer.write()) is ErrorCode.NOT_ENOUGH_REPLICAS:
            assert time.monotonic() < deadline
        assert code is ErrorCode.NONE
        ended = EndTxnRequest(
            transactional_id="kept",
            producer_id=producer.id,
            producer_epoch=producer.epoch,
            committed=True,
        )
        while wire.call(ended, 5).error_code:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        settle(wire, "kept", 3)
        until_fetched(wire, "kept", (5, 0))
