"""Fetches that wait without a message object: every version, and what ends the wait."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.topics import DeleteTopicsRequest
from kafka_py.server.broker import Broker
from kcore.batch_builder import build_end_marker
from kcore.log import COORDINATOR
from tests.server.conftest import make_topic, on_loop
from tests.server.messages import batch, fetch, produce
from tests.server.test_fetch import partition_of
from tests.server.wire import Wire
from tests.waiting import FOREVER_MS, eventually

BATCH = batch(2, 100)
WAITED_MS = 500


def waiters(broker: Broker, topic: str, index: int = 0) -> list[Any]:
    """Who waits for a partition."""
    partition = partition_of(broker, topic, index)
    return [one for one in partition.fetch_waiters or () if not one.done]


def kinds(broker: Broker, topic: str) -> set[str]:
    """Of what classes they are."""
    return {type(one).__name__ for one in waiters(broker, topic)}


@pytest.mark.parametrize("version", range(4, 19))
def test_every_version_gets_the_bytes_that_come(broker: Broker, version: int) -> None:
    with Wire(broker.bootstrap_servers) as writer, Wire(broker.bootstrap_servers) as reader:
        topic = f"waits-{version}"
        topic_id = make_topic(writer, topic, 2)
        asked = topic_id if version >= 13 else topic
        request = fetch(asked, 0, 0, wait_ms=FOREVER_MS)
        reader.send(request, version)
        eventually(lambda: waiters(broker, topic, 1))
        assert kinds(broker, topic) == {"WaitingFetch"}
        writer.call(second(topic), 9)
        found = reader.receive()
        again = reader.call(fetch(asked, 0, 0), version)
        assert found == again
        first, other = found.responses[0].partitions
        assert not first.records
        assert bytes(other.records)[-40:] == BATCH[-40:]
        assert not waiters(broker, topic)


def second(topic: str) -> Any:
    """A produce to the topic's second partition."""
    request = produce(topic, BATCH)
    request.topic_data[0].partition_data[0].index = 1
    return request


@pytest.mark.parametrize("version", [4, 11, 12, 18])
def test_the_time_is_up(broker: Broker, version: int) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        topic = f"late-{version}"
        topic_id = make_topic(wire, topic)
        asked = topic_id if version >= 13 else topic
        wire.call(produce(topic, BATCH), 9)
        began = time.monotonic()
        found = wire.call(fetch(asked, 0, wait_ms=120, min_bytes=1 << 19), version)
        assert time.monotonic() - began > 0.11
        assert len(found.responses[0].partitions[0].records) == len(BATCH)
        assert found == wire.call(fetch(asked, 0), version)


def test_a_minimum_that_a_limit_makes_impossible_is_not_waited_for(wire: Wire, topic: str) -> None:
    for _ in range(3):
        wire.call(produce(topic, BATCH), 9)
    limit = 2 * len(BATCH) + 10
    found = wire.call(
        fetch(topic, 0, wait_ms=FOREVER_MS, min_bytes=limit, partition_bytes=limit), 12
    )
    assert len(found.responses[0].partitions[0].records) == 2 * len(BATCH)
    found = wire.call(fetch(topic, 0, wait_ms=FOREVER_MS, min_bytes=1 << 20, max_bytes=limit), 12)
    assert len(found.responses[0].partitions[0].records) == 2 * len(BATCH)


def test_an_unusual_end_is_the_general_paths(broker: Broker, wire: Wire, topic: str) -> None:
    with Wire(broker.bootstrap_servers) as reader:
        reader.send(fetch(topic, 0, wait_ms=FOREVER_MS), 12)
        eventually(lambda: waiters(broker, topic))
        wire.call(DeleteTopicsRequest(topic_names=[topic], timeout_ms=5000), 5)
        found = reader.receive().responses[0].partitions[0]
        assert found.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert reader.call(fetch(topic, 0), 12).error_code == 0


def test_what_the_general_path_takes_over_waits_no_longer_than_asked(
    broker: Broker, wire: Wire, topic: str
) -> None:
    """An aborted transaction is there suddenly, which is not compiled to who reads committed."""
    partition = partition_of(broker, topic)
    producer = {"producer_id": 77, "producer_epoch": 0}
    data = batch(1, 10, transactional=True, base_sequence=0, **producer)
    marker = build_end_marker(False, timestamp=0, coordinator_epoch=0, **producer)
    with Wire(broker.bootstrap_servers) as reader:
        asked = fetch(topic, 0, wait_ms=FOREVER_MS, min_bytes=5000, isolation_level=1)
        reader.send(asked, 12)
        (compiled,) = eventually(lambda: waiters(broker, topic))
        time.sleep(WAITED_MS / 1000)

        def abort() -> None:
            for one in (data, marker):
                partition.log.append(one, leader_epoch=0, now_ms=0, origin=COORDINATOR)
            partition.advance()
            broker.node.replicas.fetches.touch(partition)
            broker.node.touch()

        on_loop(broker, abort)
        eventually(lambda: kinds(broker, topic) == {"Fetch"})
        # Nobody else waits, so the broker's next deadline is its. Asked for anew, its whole time
        # would be later by what it has waited already.
        moved_ms = on_loop(broker, broker.node.replicas.fetches.next_deadline_ms)
        assert 0 <= moved_ms - compiled.deadline_ms < WAITED_MS * 0.9
        wire.call(produce(topic, batch(1, 5000)), 9)
        found = reader.receive().responses[0].partitions[0]
        assert [one.producer_id for one in found.aborted_transactions] == [77]


def test_replies_keep_their_order(broker: Broker, wire: Wire, topic: str) -> None:
    with Wire(broker.bootstrap_servers) as reader:
        reader.send(fetch(topic, 0, wait_ms=FOREVER_MS), 12)
        reader.send(fetch(topic, 0), 12)
        reader.send(fetch(topic, 0, wait_ms=FOREVER_MS), 12)
        eventually(lambda: len(waiters(broker, topic)) == 2)
        wire.call(produce(topic, BATCH), 9)
        sizes = [len(reader.receive().responses[0].partitions[0].records) for _ in range(3)]
        assert sizes == [len(BATCH), 0, len(BATCH)]


@pytest.mark.parametrize("half", [True, False], ids=["sends no more", "gone"])
def test_who_leaves_is_not_waited_for(broker: Broker, topic: str, half: bool) -> None:
    reader = Wire(broker.bootstrap_servers)
    reader.send(fetch(topic, 0, wait_ms=FOREVER_MS), 12)
    eventually(lambda: waiters(broker, topic))
    if half:
        reader.socket.shutdown(1)
        assert reader.closed()
    reader.socket.close()
    eventually(lambda: not waiters(broker, topic))
