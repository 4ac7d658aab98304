"""The compiled commit against the general one: same records, same answers, same offsets."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kafka_py.coordinator.batch import PendingBatch
from kafka_py.coordinator.machine import Moment
from kafka_py.coordinator.offsets.commit_path import CommitPath, refused
from kafka_py.coordinator.offsets.commits import simple_group
from kafka_py.coordinator.shard import GroupShard
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetCommitRequest, OffsetCommitResponse
from kafka_py.protocol.records import encode_key, encode_value
from kcore.record_batch import RecordBatch
from tests.coordinator.offsets.driver import WALL_MS, OffsetsDriver, topic_id
from tests.coordinator.offsets.test_offsets_units import Scripted

P = OffsetCommitRequest.OffsetCommitRequestPartition
T = OffsetCommitRequest.OffsetCommitRequestTopic
VERSIONS = range(2, 11)


class Compiled:
    """A `CommitPath` over one shard, and the batches that its commits end up in."""

    def __init__(self, driver: OffsetsDriver) -> None:
        self.driver = driver
        driver.topics(t=1, **{"topic-ü": 2}, u=3)
        self.shard: GroupShard = driver.fresh()
        self.begun = 0
        self.room_bytes = 1 << 20
        self.batch = PendingBatch(self._begun)
        self.found = 0
        self.settled = True
        self.path = CommitPath(
            self._find, self._now, lambda: self.driver.now.ms, driver.image, 4096
        )

    def _begun(self) -> None:
        self.begun += 1
        self.batch.bytes_max = self.room_bytes
        self.batch.compression = 0

    def _find(self, group_id: str) -> tuple[GroupShard, PendingBatch, Callable[[], bool]] | None:
        self.found += 1
        found = self.shard, self.batch, lambda: self.settled
        return None if group_id == "elsewhere" else found

    def _now(self) -> Moment:
        return self.driver.now

    def send(self, request: OffsetCommitRequest, version: int) -> bytes | None:
        """The reply's body, or None when it was declined."""
        return self.send_bytes(request.encode(version), version)

    def send_bytes(self, body: bytes, version: int) -> bytes | None:
        answer = self.path.answer(body, version, 77, WALL_MS)
        if answer is None:
            return None
        frame, batch = answer
        assert batch is self.batch
        assert struct.unpack(">ii", frame[:8]) == (len(frame) - 4, 77)
        if version < 8:
            return frame[8:]
        assert frame[8] == 0
        return frame[9:]

    def records(self) -> list[tuple[bytes | None, bytes | None, int]]:
        """What is pending, taken."""
        batch, _ = self.batch.take()
        return [(row.key, row.value, row.timestamp) for row in RecordBatch(batch)] if batch else []


@pytest.fixture
def compiled(driver: OffsetsDriver) -> Compiled:
    made = Compiled(driver)
    simple_group(made.shard, "g")
    simple_group(driver.shard, "g")
    return made


def request(*topics: T, group: str = "g", **fields: Any) -> OffsetCommitRequest:
    return OffsetCommitRequest(group_id=group, topics=list(topics), **fields)


def topic(name: str, *partitions: P, number: int = 1) -> T:
    return T(name=name, topic_id=topic_id(number), partitions=list(partitions))


def at(index: int, offset: int = 1, epoch: int = -1, metadata: str | None = "") -> P:
    return P(
        partition_index=index,
        committed_offset=offset,
        committed_leader_epoch=epoch,
        committed_metadata=metadata,
    )


def general(driver: OffsetsDriver, asked: OffsetCommitRequest, version: int) -> bytes:
    """The same through the message objects; records go into the driver's log."""
    seen = OffsetCommitRequest.decode(asked.encode(version), version)
    for one in seen.topics:
        if version >= 10:
            one.name = driver.image.topics_by_id[one.topic_id].name
    response: OffsetCommitResponse = driver.ask(seen, version)
    return response.encode(version)


@pytest.mark.parametrize("version", VERSIONS)
def test_random_commits_are_alike(compiled: Compiled, version: int) -> None:
    driver = compiled.driver
    rng = random.Random(version)
    texts = ["", "", "x", "ä€\U0001f600", "y" * 200, None]
    names = {"t": 1, "topic-ü": 2, "u": 3}
    for _ in range(60):
        asked = request(
            *(
                topic(
                    name,
                    *(
                        at(
                            rng.randrange(8),
                            rng.choice((0, -1, 1 << 50, rng.randrange(1 << 31))),
                            rng.choice((-1, 0, 7)) if version >= 6 else -1,
                            rng.choice(texts),
                        )
                        for _ in range(rng.randrange(1, 6))
                    ),
                    number=names[name],
                )
                for name in rng.choices(list(names), k=rng.randrange(1, 4))
            )
        )
        driver.written.clear()
        expected = general(driver, asked, version)
        assert compiled.send(asked, version) == expected
        wanted = [
            (encode_key(key), encode_value(value, value_version), WALL_MS)
            for key, value, value_version in driver.written
            if value is not None
        ]
        assert compiled.records() == wanted
        assert compiled.shard.offsets == driver.shard.offsets
        assert compiled.shard.offsets.count == driver.shard.offsets.count
    assert compiled.path.commits == 60
    assert compiled.found == 1


def declined() -> list[tuple[str, OffsetCommitRequest, int]]:
    """What is for the general path: a name, the request, its version."""
    ok = at(0)
    return [
        ("unknown group", request(topic("t", ok), group="new"), 9),
        ("no coordinator", request(topic("t", ok), group="elsewhere"), 9),
        ("unknown topic", request(topic("t", ok), topic("nope", ok)), 9),
        ("unknown topic id", request(topic("t", ok, number=9)), 10),
        ("unknown partition", request(topic("t", ok, at(8))), 9),
        ("negative partition", request(topic("t", at(-1))), 9),
        ("long metadata", request(topic("t", ok, at(1, metadata="x" * 4097))), 9),
        ("no topics", request(), 9),
        ("no partitions", request(topic("t")), 9),
        ("retention", request(topic("t", ok), retention_time_ms=5), 4),
        (
            "a member of nothing",
            request(topic("t", ok), member_id="m", generation_id_or_member_epoch=1),
            9,
        ),
        ("a generation", request(topic("t", ok), generation_id_or_member_epoch=0), 9),
        ("many topics", request(*[topic("t", ok)] * 65), 9),
        ("many partitions", request(topic("t", *[ok] * 257)), 9),
        ("a long group id", request(topic("t", ok), group="g" * 32767), 9),
    ]


@pytest.mark.parametrize(
    ("asked", "version"),
    [row[1:] for row in declined()],
    ids=[row[0] for row in declined()],
)
def test_what_is_unusual_is_declined_and_nothing_has_happened(
    compiled: Compiled, asked: OffsetCommitRequest, version: int
) -> None:
    assert compiled.send(asked, version) is None
    assert compiled.records() == []
    assert compiled.shard.offsets.count == 0
    assert list(compiled.shard.groups) == ["g"]


def test_a_batch_without_room_declines(compiled: Compiled) -> None:
    compiled.room_bytes = 330
    asked = request(topic("t", at(0)))
    assert compiled.send(asked, 9) is not None
    assert compiled.send(asked, 9) is not None
    assert compiled.send(asked, 9) is None
    assert len(compiled.records()) == 2
    assert compiled.send(asked, 9) is not None
    assert compiled.begun == 2


def test_unknown_tags_and_malformed_bytes_are_declined(compiled: Compiled) -> None:
    asked = request(topic("t", at(0, metadata="abc")), member_id="")
    asked.unknown_tags = {5: b"x"}
    assert compiled.send(asked, 9) is None
    asked.unknown_tags = None
    for version in VERSIONS:
        body = asked.encode(version)
        for size in range(len(body)):
            assert compiled.send_bytes(body[:size], version) is None
    assert compiled.records() == []


def test_random_damage_is_answered_as_the_general_path_would_or_declined(
    compiled: Compiled,
) -> None:
    rng = random.Random(3)
    for _ in range(3000):
        version = rng.choice(VERSIONS)
        asked = request(topic("t", at(0, metadata="abc"), at(1)), topic("u", at(2), number=3))
        body = bytearray(asked.encode(version))
        for _ in range(rng.choice((1, 2, 4))):
            body[rng.randrange(len(body))] = rng.choice((0, 1, 2, 127, 128, 255, 64))
        reply = compiled.send_bytes(bytes(body), version)
        if reply is not None:
            seen, _ = OffsetCommitRequest.decode_from(bytes(body), 0, version)
            compiled.driver.written.clear()
            assert reply == general(compiled.driver, seen, version)
            assert [row[0] for row in compiled.records()] == [
                encode_key(record.key) for record in compiled.driver.written
            ]


@pytest.mark.parametrize("version", [6, 7, 9, 10])
def test_the_group_is_asked_as_the_handler_asks_it(compiled: Compiled, version: int) -> None:
    fields: dict[str, Any] = {"member_id": "mü", "generation_id_or_member_epoch": 4}
    if version >= 7:
        fields["group_instance_id"] = "i"
    asked = request(topic("t", at(0), at(1)), topic("u", at(2), number=3), **fields)
    groups = []
    for shard in (compiled.shard, compiled.driver.shard):
        group = shard.groups["g"] = Scripted("g")
        groups.append(group)
    assert compiled.send(asked, version) == general(compiled.driver, asked, version)
    assert groups[0].asked == groups[1].asked
    assert len(groups[0].asked) == 1 + 3 + 1


@pytest.mark.parametrize(
    "says",
    [{"commit": ErrorCode.STALE_MEMBER_EPOCH}, {"partitions": {1: ErrorCode.STALE_MEMBER_EPOCH}}],
)
def test_a_refusal_of_the_group_is_the_general_paths_to_tell(
    compiled: Compiled, says: dict[str, Any]
) -> None:
    compiled.shard.groups["g"] = group = Scripted("g", **says)
    assert compiled.send(request(topic("t", at(0), at(1)), member_id="m"), 9) is None
    assert compiled.records() == []
    assert not [asked for asked in group.asked if asked[0] == "alive"]


def test_an_open_transaction_is_overtaken(compiled: Compiled) -> None:
    from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue

    offsets = compiled.shard.offsets
    offsets.apply_pending(
        5, OffsetCommitKey(group="g", topic="t", partition=0), OffsetCommitValue(offset=9)
    )
    assert compiled.send(request(topic("t", at(0, 10))), 9) is not None
    offsets.end_transaction(5, True)
    committed = offsets.get("g", "t", 0)
    assert committed is not None
    assert committed.offset == 10


def test_coordinators_and_topics_that_change_are_looked_up_anew(compiled: Compiled) -> None:
    asked = request(topic("t", at(0)))
    assert compiled.send(asked, 9) is not None
    assert compiled.send(asked, 9) is not None
    assert compiled.found == 1
    compiled.path.groups_moved()
    assert compiled.send(asked, 9) is not None
    assert compiled.found == 2
    compiled.batch.closed = True
    compiled.batch = PendingBatch(compiled._begun)
    assert compiled.send(asked, 9) is not None
    assert compiled.found == 3
    compiled.driver.topics(u=3)
    compiled.path.image_changed(compiled.driver.image)
    assert compiled.send(asked, 9) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_made_reply_can_still_be_refused(compiled: Compiled, version: int) -> None:
    asked = request(topic("t", at(0), at(3)), topic("topic-ü", at(1), number=2))
    answer = compiled.path.answer(asked.encode(version), version, 5, WALL_MS)
    assert answer is not None
    frame = refused(answer[0], version, 16)
    header = 9 if version >= 8 else 8
    assert struct.unpack(">ii", frame[:8]) == (len(frame) - 4, 5)
    response = OffsetCommitResponse.decode(frame[header:], version)
    codes = [
        (row.partition_index, row.error_code) for one in response.topics for row in one.partitions
    ]
    assert codes == [(0, 16), (3, 16), (1, 16)]


def test_a_pending_batch_counts_what_it_may_take(tmp_path: Path) -> None:
    begun: list[int] = []
    batch = PendingBatch(lambda: begun.append(1))
    batch.bytes_max = 1000
    rows = [(b"key", b"value"), (b"k" * 200, None), (b"", b"")]
    for key, value in rows:
        before = batch.size_bytes
        batch.add(key, value, WALL_MS)
        assert batch.size_bytes == before + PendingBatch.size_of(key, value)
    assert (len(batch), batch.room, begun) == (3, 1000 - batch.size_bytes, [1])
    size_bytes = batch.size_bytes
    built, quick = batch.take()
    assert len(built) <= size_bytes
    assert quick == []
    assert [(row.key, row.value) for row in RecordBatch(built)] == rows
    assert batch.take() == (b"", [])
    batch.add(b"k", b"v", WALL_MS)
    assert begun == [1, 1]
    batch.clear()
    assert (batch.count, batch.take()) == (0, (b"", []))
