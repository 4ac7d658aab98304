"""Committed offsets: a million loaded from the log, and what one commit costs in memory.

Bounds of issue 5: loading in less than 3 s, reading included, on a noisy machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_py.config.broker import BROKER
from kafka_py.coordinator.batch import PendingBatch
from kafka_py.coordinator.loading import replay
from kafka_py.coordinator.machine import Caller, Moment
from kafka_py.coordinator.offsets.commit_path import CommitPath
from kafka_py.coordinator.offsets.commits import commit, simple_group
from kafka_py.coordinator.shard import GroupShard
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol import records_metadata
from kafka_py.protocol.group_offsets import OffsetCommitRequest
from kafka_py.protocol.records import encode_key, encode_value
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
from kcore.batch_builder import BatchBuilder
from kcore.log import COORDINATOR, Log
from kcore.log_config import LogConfig

OFFSETS = 1_000_000
NOW_MS = 1_790_000_000_000
SETTINGS: dict[str, Any] = {name: key.default for name, key in BROKER.keys.items()}
ROUNDS = {"rounds": 3, "iterations": 1, "warmup_rounds": 0}


def shard(image: MetadataImage | None = None) -> GroupShard:
    """One that knows nothing."""
    return GroupShard(0, settings=SETTINGS, image=image or MetadataImage(), new_id=lambda: "id")


def written(path: Path, records_a_batch: int) -> Log:
    """A log of a million offsets: 10,000 groups, ten topics each, ten partitions each."""
    log = Log.open(str(path / "__consumer_offsets-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    value = OffsetCommitValue(offset=7, leader_epoch=1, commit_timestamp=NOW_MS, topic_id=b"i" * 16)
    encoded = encode_value(value, 4)
    builder = BatchBuilder()
    for number in range(OFFSETS):
        key = OffsetCommitKey(
            group=f"group-{number // 100:06d}",
            topic=f"topic-{number // 10 % 10:02d}",
            partition=number % 10,
        )
        builder.append(encode_key(key), encoded, (), NOW_MS)
        if len(builder) == records_a_batch:
            log.append(builder.close(), leader_epoch=0, now_ms=NOW_MS, origin=COORDINATOR)
            builder = BatchBuilder()
    return log


@pytest.fixture(scope="module", params=[100, 1], ids=["100 a batch", "1 a batch"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """A log of commits."""
    made = written(tmp_path_factory.mktemp("offsets"), request.param)
    yield made
    made.close()


def test_load_a_million(benchmark: Any, log: Log) -> None:
    """Seconds from the log on disk (in the page cache) to a shard that can answer."""

    def load() -> GroupShard:
        loaded = shard()
        assert replay(log, loaded, log.log_end_offset) == OFFSETS
        return loaded

    loaded = benchmark.pedantic(load, **ROUNDS)
    assert loaded.offsets.count == OFFSETS
    if benchmark.stats is not None:
        assert benchmark.stats.stats.min < 3.0


def request_bytes(version: int = 9) -> bytes:
    """One partition of one topic."""
    partition = OffsetCommitRequest.OffsetCommitRequestPartition(committed_offset=1_234_567)
    topic = OffsetCommitRequest.OffsetCommitRequestTopic(name="topic", partitions=[partition])
    return OffsetCommitRequest(group_id="group", topics=[topic]).encode(version)


def image() -> MetadataImage:
    """One topic of one partition."""
    working = MetadataImage()
    working.apply(records_metadata.TopicRecord(name="topic", topic_id=b"i" * 16))
    working.apply(
        records_metadata.PartitionRecord(
            topic_id=b"i" * 16,
            replicas=[1],
            isr=[1],
            leader=1,
            leader_epoch=0,
            partition_epoch=0,
            partition_id=0,
        )
    )
    return working.publish()[0]


def test_commit_compiled(benchmark: Any) -> None:
    """A thousand requests: parse, validate, store, encode the record and the reply."""
    machine = shard(image())
    simple_group(machine, "group")
    batch = PendingBatch(lambda: None)
    batch.bytes_max = 1 << 30
    path = CommitPath(
        lambda _: (machine, batch, lambda: True),
        lambda: Moment(0, NOW_MS),
        lambda: 0,
        machine.image,
        4096,
    )
    body = request_bytes()

    def run() -> None:
        for number in range(1000):
            assert path.answer(body, 9, number, NOW_MS) is not None
        batch.take()

    benchmark(run)


def test_commit_general(benchmark: Any) -> None:
    """The same by the message objects, without the runtime: decode, handle, apply, encode."""
    machine = shard(image())
    simple_group(machine, "group")
    caller = Caller("client", "/127.0.0.1", 9)
    body = request_bytes()
    reply: Any = None

    def run() -> None:
        for _ in range(1000):
            request = OffsetCommitRequest.decode(body, 9)
            result = commit(machine, request, caller, Moment(0, NOW_MS), reply)
            for key, value, version in result.records:
                machine.apply(key, value)
                encode_key(key)
                assert value is not None
                encode_value(value, version)
            result.replies[0].response.encode(9)

    benchmark(run)
