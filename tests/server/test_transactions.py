"""Transaction coordinators on a running node: restarts, reloads, markers, patience, features."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_py.coordinator.machine import Moment
from kafka_py.metadata.features import SUPPORTED
from kafka_py.protocol.api_versions import ApiVersionsRequest
from kafka_py.protocol.cluster import UpdateFeaturesRequest
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import FindCoordinatorRequest
from kafka_py.protocol.topics import DeleteTopicsRequest
from kafka_py.protocol.transactions import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    DescribeTransactionsRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    ListTransactionsRequest,
)
from kafka_py.server.broker import Broker
from kafka_py.server.coordinator_partitions import PartitionWriter
from kafka_py.server.transaction_coordinators import TRANSACTIONS_TOPIC
from tests.server.conftest import make_topic, on_loop
from tests.server.wire import Wire
from tests.waiting import FOREVER_MS, PATIENCE_S, eventually

PARTITIONS = 3
SETTINGS = {
    "transaction.state.log.num.partitions": str(PARTITIONS),
    "transaction.state.log.segment.bytes": "1048576",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "100",
    "offsets.topic.num.partitions": "3",
}


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(SETTINGS) as running:
        with Wire(running.bootstrap_servers) as wire:
            make_topic(wire, "t", 3)
            await_coordinator(wire)
        yield running


def await_coordinator(wire: Wire) -> None:
    """Ask for the coordinator until there is one, as clients do."""
    request = FindCoordinatorRequest(key_type=1, coordinator_keys=["any"])
    deadline = time.monotonic() + PATIENCE_S
    while wire.call(request, 4).coordinators[0].error_code:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while wire.call(ListTransactionsRequest(), 2).error_code:
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Producer:
    """One transactional id on one connection."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.wire = wire
        self.name = name
        self.id = -1
        self.epoch = -1

    def init(self, *, timeout_ms: int = 60_000, wait: bool = True) -> ErrorCode:
        """InitProducerId, again while a transaction is being ended."""
        request = InitProducerIdRequest(
            transactional_id=self.name, transaction_timeout_ms=timeout_ms
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            reply = self.wire.call(request, 5)
            if reply.error_code != ErrorCode.CONCURRENT_TRANSACTIONS or not wait:
                break
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if not reply.error_code:
            self.id, self.epoch = reply.producer_id, reply.producer_epoch
        return ErrorCode.of(reply.error_code)

    def add(self, *indexes: int, topic: str = "t") -> dict[int, ErrorCode]:
        """AddPartitionsToTxn."""
        row = AddPartitionsToTxnRequest.AddPartitionsToTxnTopic(
            name=topic, partitions=list(indexes)
        )
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.name,
            v3_and_below_producer_id=self.id,
            v3_and_below_producer_epoch=self.epoch,
            v3_and_below_topics=[row],
        )
        (found,) = self.wire.call(request, 3).results_by_topic_v3_and_below
        return {
            one.partition_index: ErrorCode.of(one.partition_error_code)
            for one in found.results_by_partition
        }

    def end(self, commit: bool, version: int = 5) -> ErrorCode:
        """EndTxn."""
        request = EndTxnRequest(
            transactional_id=self.name,
            producer_id=self.id,
            producer_epoch=self.epoch,
            committed=commit,
        )
        reply = self.wire.call(request, version)
        if version >= 5 and not reply.error_code:
            self.id, self.epoch = reply.producer_id, reply.producer_epoch
        return ErrorCode.of(reply.error_code)

    def state(self) -> Any:
        """Its row of DescribeTransactions."""
        request = DescribeTransactionsRequest(transactional_ids=[self.name])
        return self.wire.call(request, 0).transaction_states[0]

    def await_state(self, state: str) -> Any:
        """Wait until it is in a state; the row."""
        deadline = time.monotonic() + PATIENCE_S
        while (row := self.state()).transaction_state != state:
            assert time.monotonic() < deadline, row
            time.sleep(0.01)
        return row


def test_a_transaction_and_its_markers(broker: Broker, wire: Wire) -> None:
    p = Producer(wire, "simple")
    assert p.init() == ErrorCode.NONE
    assert p.add(0, 2) == {0: ErrorCode.NONE, 2: ErrorCode.NONE}
    row = p.state()
    assert (row.transaction_state, row.producer_id, row.producer_epoch) == ("Ongoing", p.id, 0)
    assert [(one.topic, one.partitions) for one in row.topics] == [("t", [0, 2])]
    before = ends(broker)
    assert p.end(True) == ErrorCode.NONE
    assert p.epoch == 1
    row = p.await_state("CompleteCommit")
    assert (row.topics, row.producer_epoch) == ([], 1)
    after = ends(broker)
    assert [after[index] - before[index] for index in range(3)] == [1, 0, 1]


def ends(broker: Broker) -> list[int]:
    """The end offsets of t."""

    def look() -> list[int]:
        partitions = [broker.node.replicas.partition("t", index) for index in range(3)]
        return [partition.log_end_offset for partition in partitions if partition is not None]

    found: list[int] = on_loop(broker, look)
    return found


def test_the_topic_is_as_the_settings_say(broker: Broker) -> None:
    topic = broker.node.image.topics[TRANSACTIONS_TOPIC]
    assert len(topic.partitions) == PARTITIONS
    log = broker.node.replicas.partition(TRANSACTIONS_TOPIC, 0).log
    assert log.config.segment_bytes == 1048576


def test_another_producer_ends_it(wire: Wire) -> None:
    p, q = Producer(wire, "fenced"), Producer(wire, "fenced")
    p.init()
    p.add(1)
    assert q.init(wait=False) == ErrorCode.CONCURRENT_TRANSACTIONS
    assert q.init() == ErrorCode.NONE
    assert q.epoch == p.epoch + 2
    assert p.add(0) == {0: ErrorCode.PRODUCER_FENCED}
    assert p.end(True) == ErrorCode.PRODUCER_FENCED


def test_time_is_up(wire: Wire) -> None:
    p = Producer(wire, "late")
    p.init(timeout_ms=50)
    p.add(0)
    p.await_state("CompleteAbort")
    assert p.end(True) == ErrorCode.INVALID_TXN_STATE
    assert p.add(0) == {0: ErrorCode.PRODUCER_FENCED}


def test_a_topic_that_is_gone_needs_no_marker(wire: Wire) -> None:
    make_topic(wire, "going", 2)
    p = Producer(wire, "goes")
    p.init()
    p.add(0, 1, topic="going")
    p.add(0)
    wire.call(DeleteTopicsRequest(topic_names=["going"], timeout_ms=30_000), 5)
    assert p.end(False) == ErrorCode.NONE
    p.await_state("CompleteAbort")
    assert p.add(0, topic="going") == {0: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
    mixed = AddPartitionsToTxnRequest.AddPartitionsToTxnTopic
    request = AddPartitionsToTxnRequest(
        v3_and_below_transactional_id=p.name,
        v3_and_below_producer_id=p.id,
        v3_and_below_producer_epoch=p.epoch,
        v3_and_below_topics=[mixed(name="t", partitions=[0]), mixed(name="going", partitions=[0])],
    )
    first, second = wire.call(request, 3).results_by_topic_v3_and_below
    errors = {row.name: row.results_by_partition[0].partition_error_code for row in (first, second)}
    assert errors == {
        "t": int(ErrorCode.OPERATION_NOT_ATTEMPTED),
        "going": int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    }


def test_a_group_s_partition_is_added(broker: Broker, wire: Wire) -> None:
    p = Producer(wire, "with-offsets")
    p.init()
    request = AddOffsetsToTxnRequest(
        transactional_id=p.name, producer_id=p.id, producer_epoch=p.epoch, group_id="some group"
    )
    assert wire.call(request, 4).error_code == 0
    (row,) = p.state().topics
    assert row.topic == "__consumer_offsets"
    assert p.end(False) == ErrorCode.NONE
    p.await_state("CompleteAbort")


def test_who_comes_while_markers_are_written_waits(
    broker: Broker, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition that adds itself (KIP-890), and a producer that adds one, wait for the end of the
    transaction before."""
    p = Producer(wire, "patient")
    p.init()
    p.add(0)
    node = broker.node
    markers = type(node.markers)
    real = markers.write
    go = threading.Event()

    async def slowly(answer: Any) -> Any:
        while not go.is_set():
            await asyncio.sleep(0.005)
        return await answer if asyncio.iscoroutine(answer) or asyncio.isfuture(answer) else answer

    def write(self: Any, *arguments: Any) -> Any:
        return slowly(real(self, *arguments))

    monkeypatch.setattr(markers, "write", write)
    assert p.end(True) == ErrorCode.NONE

    def add() -> Any:
        return node.transactions.add("patient", p.id, p.epoch, [("t", 1)])

    async def added() -> Any:
        return await add()

    config = "add.partitions.to.txn.retry.backoff.max.ms"
    assert broker.config[config] == 100
    began = time.monotonic()
    found = asyncio.run_coroutine_threadsafe(added(), broker.loop).result(PATIENCE_S)
    assert found == {("t", 1): ErrorCode.CONCURRENT_TRANSACTIONS}
    assert time.monotonic() - began >= 0.09
    began = time.monotonic()
    assert p.add(2) == {2: ErrorCode.CONCURRENT_TRANSACTIONS}
    assert time.monotonic() - began >= 0.09
    # Long enough for who waits to be waiting still when the markers are there.
    monkeypatch.setitem(broker.config.values_now, config, FOREVER_MS)
    waiting = asyncio.run_coroutine_threadsafe(added(), broker.loop)
    eventually(lambda: node.transactions._awaiting)
    go.set()
    assert waiting.result(PATIENCE_S) == {("t", 1): ErrorCode.NONE}
    row = p.state()
    assert (row.transaction_state, row.topics[0].partitions) == ("Ongoing", [1])
    assert on_loop(broker, lambda: node.transactions.verify("", p.id, p.epoch, [("t", 1)])) == {
        ("t", 1): ErrorCode.INVALID_REQUEST
    }
    p.end(False)


def load_anew(broker: Broker, name: str) -> None:
    """Drop a coordinator and load it again."""
    transactions = broker.node.transactions

    def drop() -> None:
        led = transactions._led[transactions.index_of(name)]
        assert led.runtime is not None
        led.runtime.close()
        transactions._reload(led)

    on_loop(broker, drop)


def test_another_coordinator_writes_the_markers(
    broker: Broker, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was prepared is completed by who comes after; an outcome for the one before is late."""
    p = Producer(wire, "handed-over")
    p.init()
    p.add(0, 1)
    markers = type(broker.node.markers)
    real = markers.write
    held: list[asyncio.Future[Any]] = []

    def write(self: Any, *arguments: Any) -> Any:
        held.append(broker.loop.create_future())
        return held[-1]

    monkeypatch.setattr(markers, "write", write)
    assert p.end(True) == ErrorCode.NONE
    p.await_state("PrepareCommit")
    eventually(lambda: held)
    assert p.end(True, 5) == ErrorCode.PRODUCER_FENCED  # The epoch after this end is for the next.
    monkeypatch.setattr(markers, "write", real)
    load_anew(broker, p.name)
    deadline = time.monotonic() + PATIENCE_S
    while (row := p.state()).transaction_state != "CompleteCommit":
        assert time.monotonic() < deadline, row
        time.sleep(0.01)
    on_loop(
        broker, lambda: held[0].set_result({("t", 0): ErrorCode.NONE, ("t", 1): ErrorCode.NONE})
    )
    assert p.add(2) == {2: ErrorCode.NONE}
    assert p.end(False) == ErrorCode.NONE


def test_an_append_that_fails(broker: Broker, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked is told to look for the coordinator again, and it knows what it knew."""
    from kafka_py.coordinator.runtime import AppendFailed

    p = Producer(wire, "unlucky")
    p.init()
    p.add(0)
    real = PartitionWriter.append
    failing = True

    def append(self: PartitionWriter, batch: bytes, now: Moment) -> int:
        if failing and self._partition.topic == TRANSACTIONS_TOPIC:
            raise AppendFailed(ErrorCode.NOT_ENOUGH_REPLICAS)
        return real(self, batch, now)

    monkeypatch.setattr(PartitionWriter, "append", append)
    assert p.end(True) == ErrorCode.COORDINATOR_NOT_AVAILABLE
    failing = False
    assert p.await_state("Ongoing").producer_epoch == 0
    assert p.end(True) == ErrorCode.NONE
    p.await_state("CompleteCommit")


def test_filters(wire: Wire) -> None:
    p = Producer(wire, "filtered")
    p.init()

    def listed(**filters: Any) -> list[str]:
        reply = wire.call(ListTransactionsRequest(**filters), 2)
        assert reply.error_code == 0
        return [row.transactional_id for row in reply.transaction_states]

    assert "filtered" in listed()
    assert listed(transactional_id_pattern="filt.*", state_filters=["Empty"]) == ["filtered"]
    assert listed(transactional_id_pattern="filt") == []
    assert listed(producer_id_filters=[p.id]) == ["filtered"]
    reply = wire.call(ListTransactionsRequest(state_filters=["Nope", "Nope"]), 0)
    assert (reply.unknown_state_filters, reply.transaction_states) == (["Nope"], [])
    reply = wire.call(ListTransactionsRequest(transactional_id_pattern="("), 2)
    assert reply.error_code == ErrorCode.INVALID_REGULAR_EXPRESSION


@pytest.mark.parametrize("how", ["stop", "image"])
def test_a_restart_in_the_middle(how: str, tmp_path: Path) -> None:
    """What is ongoing is ongoing, what is complete complete, with the ids and epochs there were."""
    data = tmp_path / "data"
    with Broker(SETTINGS, data=data) as broker, Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "t", 3)
        await_coordinator(wire)
        names = [f"{how}-{number}" for number in range(6)]
        producers = [Producer(wire, name) for name in names]
        for number, one in enumerate(producers):
            one.init()
            one.add(number % 3)
            if number % 2:
                one.end(number == 1)
                one.await_state("CompleteCommit" if number == 1 else "CompleteAbort")
        if how == "image":
            for one in producers:
                load_anew(broker, one.name)
                await_coordinator(wire)
        before = {one.name: one.state() for one in producers}
        last_id = max(one.id for one in producers)
    with Broker(SETTINGS, data=data) as broker, Wire(broker.bootstrap_servers) as wire:
        await_coordinator(wire)
        for one in producers:
            one.wire = wire
            assert one.state() == before[one.name]
            if one.state().transaction_state == "Ongoing":
                assert one.end(True) == ErrorCode.NONE
                one.await_state("CompleteCommit")
        fresh = Producer(wire, "fresh")
        assert fresh.init() == ErrorCode.NONE
        assert fresh.id > last_id


def test_the_level_of_the_feature() -> None:
    """transaction.version is 2 from the start; 0 takes back what 1 and 2 brought."""
    with Broker(SETTINGS) as broker, Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "t", 1)
        await_coordinator(wire)
        assert level(wire) == SUPPORTED["transaction.version"].max == 2
        p = Producer(wire, "levels")
        p.init()
        p.add(0)
        for wanted in (1, 0):
            update = UpdateFeaturesRequest.FeatureUpdateKey(
                feature="transaction.version", max_version_level=wanted, upgrade_type=2
            )
            request = UpdateFeaturesRequest(feature_updates=[update], timeout_ms=30_000)
            assert wire.call(request, 2).error_code == 0
            assert level(wire) == wanted
            if wanted == 1:
                assert p.end(True) == ErrorCode.NONE
                p.await_state("CompleteCommit")
                p.add(0)
        assert p.end(True, 5) == ErrorCode.UNSUPPORTED_VERSION
        assert p.end(True, 4) == ErrorCode.NONE
        p.await_state("CompleteCommit")


def level(wire: Wire) -> int:
    """The finalized level of transaction.version."""
    request = ApiVersionsRequest(client_software_name="t", client_software_version="1")
    reply = wire.call(request, 4)
    levels = {one.name: one.max_version_level for one in reply.finalized_features}
    found: int = levels.get("transaction.version", 0)
    return found
