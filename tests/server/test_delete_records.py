"""DeleteRecords and DescribeProducers on a running broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.topics import DeleteRecordsRequest
from kafka_py.protocol.transactions import DescribeProducersRequest
from kafka_py.server.broker import Broker
from tests.server.conftest import make_topic
from tests.server.messages import batch, fetch, offsets, produce
from tests.server.wire import Wire
from tests.waiting import FOREVER_MS


def delete(wire: Wire, topic: str, offset: int, partition: int = 0, version: int = 2) -> Any:
    """(error, low watermark)."""
    row = DeleteRecordsRequest.DeleteRecordsPartition(partition_index=partition, offset=offset)
    topics = [DeleteRecordsRequest.DeleteRecordsTopic(name=topic, partitions=[row])]
    reply = wire.call(DeleteRecordsRequest(timeout_ms=5000, topics=topics), version)
    (said,) = reply.topics[0].partitions
    assert (reply.topics[0].name, said.partition_index) == (topic, partition)
    return said.error_code, said.low_watermark


def start_of(wire: Wire, topic: str) -> int:
    """What ListOffsets calls the earliest."""
    offset: int = wire.call(offsets(topic, -2), 7).topics[0].partitions[0].offset
    return offset


def test_the_start_moves_up_and_never_back(wire: Wire, topic: str) -> None:
    for _ in range(3):
        wire.call(produce(topic, batch(4)), 9)
    for version, before, start in ((0, 3, 3), (1, 5, 5), (2, 2, 5), (2, 0, 5), (2, 5, 5)):
        assert delete(wire, topic, before, version=version) == (0, start)
        assert start_of(wire, topic) == start
    refused = wire.call(fetch(topic, 4), 12).responses[0].partitions[0]
    assert refused.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
    found = wire.call(fetch(topic, 5), 12).responses[0].partitions[0]
    assert (found.error_code, found.log_start_offset, found.high_watermark) == (0, 5, 12)
    assert delete(wire, topic, -1) == (0, 12)
    assert delete(wire, topic, -1) == (0, 12)
    assert start_of(wire, topic) == 12
    wire.call(produce(topic, batch(1)), 9)
    assert start_of(wire, topic) == 12


@pytest.mark.parametrize("before", [4, -2, 2**62])
def test_offsets_that_are_not_there(wire: Wire, topic: str, before: int) -> None:
    wire.call(produce(topic, batch(3)), 9)
    assert delete(wire, topic, before) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
    assert start_of(wire, topic) == 0


def test_who_may_be_cut(wire: Wire, new_topic: Callable[..., Any]) -> None:
    new_topic("compacted", cleanup_policy="compact")
    assert delete(wire, "compacted", 0) == (ErrorCode.POLICY_VIOLATION, -1)
    new_topic("both", cleanup_policy="compact,delete")
    assert delete(wire, "both", 0) == (0, 0)
    assert delete(wire, "nowhere", 0) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)
    assert delete(wire, "both", 0, partition=3) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)


def test_only_the_leader_deletes(broker: Broker, wire: Wire, topic: str) -> None:
    partition = broker.node.replicas.partition(topic, 0)
    assert partition is not None
    partition.leads = False
    try:
        assert delete(wire, topic, 0) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)
    finally:
        partition.leads = True


def test_a_waiting_reader_learns_of_it(broker: Broker, wire: Wire, topic: str) -> None:
    wire.call(produce(topic, batch(3)), 9)
    wire.call(produce(topic, batch(3)), 9)
    with Wire(broker.bootstrap_servers) as reader:
        reader.send(fetch(topic, 3, wait_ms=FOREVER_MS, min_bytes=1 << 19), 12)
        wire.call(produce(topic, batch(1)), 9)
        assert delete(wire, topic, 6) == (0, 6)
        said = reader.receive().responses[0].partitions[0]
        assert said.error_code == ErrorCode.OFFSET_OUT_OF_RANGE


def test_the_start_survives(tmp_path: Path) -> None:
    with Broker(data=tmp_path) as broker, Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "kept", retention_ms="-1")
        wire.call(produce("kept", batch(5)), 9)
        assert delete(wire, "kept", 3) == (0, 3)
    with Broker(data=tmp_path) as broker, Wire(broker.bootstrap_servers) as wire:
        assert start_of(wire, "kept") == 3


def describe(wire: Wire, topic: str, *indexes: int) -> Any:
    """The answers about partitions of one topic."""
    asked = DescribeProducersRequest.TopicRequest(name=topic, partition_indexes=list(indexes))
    reply = wire.call(DescribeProducersRequest(topics=[asked]), 0)
    (said,) = reply.topics
    assert said.name == topic
    return said.partitions


def test_producers_are_described(wire: Wire, topic: str) -> None:
    assert describe(wire, topic, 0)[0].active_producers == []
    for producer_id, epoch, sequence in ((50, 0, 0), (50, 0, 3), (51, 2, 0)):
        wire.call(
            produce(
                topic,
                batch(3, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence),
            ),
            9,
        )
    wire.call(produce(topic, batch(1)), 9)
    (said,) = describe(wire, topic, 0)
    found = [(p.producer_id, p.producer_epoch, p.last_sequence) for p in said.active_producers]
    assert found == [(50, 0, 5), (51, 2, 2)]
    assert all(p.current_txn_start_offset == -1 for p in said.active_producers)
    assert all(p.last_timestamp > 0 for p in said.active_producers)


def test_producers_of_unknown_partitions(wire: Wire, topic: str) -> None:
    errors = [p.error_code for p in describe(wire, topic, 4, 0)]
    assert errors == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 0]
    assert describe(wire, "nowhere", 0)[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
