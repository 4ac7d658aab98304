"""Commits on a running broker: the compiled path and the general one, in one pipeline."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import (
    OffsetCommitRequest,
    OffsetDeleteRequest,
    OffsetFetchRequest,
)
from kafka_py.protocol.groups import FindCoordinatorRequest, ListGroupsRequest
from kafka_py.server.broker import Broker
from tests.server.conftest import make_topic
from tests.server.wire import Wire
from tests.waiting import PATIENCE_S

P = OffsetCommitRequest.OffsetCommitRequestPartition
T = OffsetCommitRequest.OffsetCommitRequestTopic


@pytest.fixture(scope="module")
def ready() -> Iterator[tuple[Broker, dict[str, bytes]]]:
    """A broker with topics t and u, whose coordinators are loaded."""
    with Broker() as broker, Wire(broker.bootstrap_servers) as wire:
        topics = {name: make_topic(wire, name, 4) for name in ("t", "u")}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            reply = wire.call(FindCoordinatorRequest(key_type=0, coordinator_keys=["g"]), 4)
            if not reply.coordinators[0].error_code and not codes(
                wire.call(commit("warm", ("t", 0, 1)), 9)
            ).count(ErrorCode.NOT_COORDINATOR):
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # The listing answers when every coordinator does.
        while wire.call(ListGroupsRequest(), 5).error_code:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield broker, topics


def commit(
    group: str, *rows: tuple[str, int, int], ids: dict[str, bytes] | None = None, **fields: Any
) -> OffsetCommitRequest:
    """A request; a row is topic, partition, offset."""
    return OffsetCommitRequest(
        group_id=group,
        topics=[
            T(
                name=name,
                topic_id=(ids or {}).get(name, bytes(16)),
                partitions=[P(partition_index=index, committed_offset=offset)],
            )
            for name, index, offset in rows
        ],
        **fields,
    )


def codes(response: Any) -> list[ErrorCode]:
    return [ErrorCode(row.error_code) for topic in response.topics for row in topic.partitions]


def fetched(wire: Wire, group: str) -> dict[tuple[str, int], int]:
    asked = OffsetFetchRequest.OffsetFetchRequestGroup(group_id=group, topics=None)
    answer = wire.call(OffsetFetchRequest(groups=[asked], require_stable=True), 9).groups[0]
    assert answer.error_code == 0
    return {
        (topic.name, row.partition_index): row.committed_offset
        for topic in answer.topics
        for row in topic.partitions
    }


@pytest.mark.parametrize("version", range(2, 11))
def test_a_pipeline_of_both_kinds(ready: tuple[Broker, dict[str, bytes]], version: int) -> None:
    broker, ids = ready
    path = broker.node.groups.commits
    rng = random.Random(version)
    group = f"pipeline-{version}"
    expected: dict[tuple[str, int], int] = {}
    with Wire(broker.bootstrap_servers) as wire:
        # The first one makes the group, in the general path.
        assert codes(wire.call(commit(group, ("t", 0, 1), ids=ids), version)) == [0]
        expected["t", 0] = 1
        before, quick, wanted, frames = path.commits, 0, [], []
        for number in range(200):
            name, index = rng.choice("tu"), rng.randrange(4)
            kind = rng.random()
            if kind < 0.1:
                frames.append(wire.frame(commit(group, ("nope", 0, 1)), version))
                wanted.append(
                    [
                        ErrorCode.UNKNOWN_TOPIC_ID
                        if version >= 10
                        else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                    ]
                )
            elif kind < 0.2:
                asked = commit(
                    group,
                    (name, index, number),
                    ids=ids,
                    member_id="stranger",
                    generation_id_or_member_epoch=3,
                )
                frames.append(wire.frame(asked, version))
                wanted.append([ErrorCode.UNKNOWN_MEMBER_ID])
            else:
                frames.append(wire.frame(commit(group, (name, index, number), ids=ids), version))
                wanted.append([ErrorCode.NONE])
                expected[name, index] = number
                quick += 1
        wire.socket.sendall(b"".join(frames))
        assert [codes(wire.receive()) for _ in frames] == wanted
        assert path.commits == before + quick
        assert fetched(wire, group) == expected


def test_a_fetch_right_behind_a_commit_sees_it(ready: tuple[Broker, dict[str, bytes]]) -> None:
    broker, _ = ready
    with Wire(broker.bootstrap_servers) as wire:
        for number in range(20):
            wire.send(commit("order", ("t", 1, number)), 9)
            asked = OffsetFetchRequest.OffsetFetchRequestGroup(group_id="order", topics=None)
            wire.send(OffsetFetchRequest(groups=[asked]), 9)
            assert codes(wire.receive()) == [0]
            rows = wire.receive().groups[0].topics[0].partitions
            assert [row.committed_offset for row in rows] == [number]


def test_a_deleted_offset_stays_deleted(ready: tuple[Broker, dict[str, bytes]]) -> None:
    broker, _ = ready
    topic = OffsetDeleteRequest.OffsetDeleteRequestTopic(
        name="t", partitions=[OffsetDeleteRequest.OffsetDeleteRequestPartition(partition_index=2)]
    )
    with Wire(broker.bootstrap_servers) as wire:
        for _ in range(2):
            wire.send(commit("gone", ("t", 2, 5), ("u", 0, 6)), 9)
        wire.send(OffsetDeleteRequest(group_id="gone", topics=[topic]), 0)
        assert [codes(wire.receive()) for _ in range(3)] == [[0, 0], [0, 0], [0]]
        assert fetched(wire, "gone") == {("u", 0): 6}


def test_header_tags_are_for_the_general_path(ready: tuple[Broker, dict[str, bytes]]) -> None:
    broker, _ = ready
    with Wire(broker.bootstrap_servers) as wire:
        assert codes(wire.call(commit("tags", ("t", 0, 1)), 9)) == [0]
        before = broker.node.groups.commits.commits
        frame = wire.frame(commit("tags", ("t", 0, 2)), 9)
        # The header's empty tags stand behind the client id "test".
        at = 14 + 4
        assert frame[at] == 0
        tagged = frame[4:at] + b"\x01\x63\x01x" + frame[at + 1 :]
        wire.socket.sendall(len(tagged).to_bytes(4, "big") + tagged)
        assert codes(wire.receive()) == [0]
        assert broker.node.groups.commits.commits == before
        assert fetched(wire, "tags") == {("t", 0): 2}


def test_everything_is_there_after_a_restart(tmp_path: Any) -> None:
    rng = random.Random(1)
    expected: dict[str, dict[tuple[str, int], int]] = {}
    with Broker(data=tmp_path) as broker, Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "t", 4)
        for number in range(20):
            wait_until_loaded(wire, f"g{number}")
        for number in range(300):
            group, index = f"g{rng.randrange(20)}", rng.randrange(4)
            wire.send(commit(group, ("t", index, number)), rng.choice((5, 7, 9)))
            expected.setdefault(group, {})["t", index] = number
        assert all(codes(wire.receive()) == [0] for _ in range(300))
        assert broker.node.groups.commits.commits >= 250
    with Broker(data=tmp_path) as broker, Wire(broker.bootstrap_servers) as wire:
        for group, offsets in expected.items():
            wait_until_loaded(wire, group)
            assert fetched(wire, group) == offsets


def wait_until_loaded(wire: Wire, group: str) -> None:
    """Until the group's coordinator answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        wire.call(FindCoordinatorRequest(key_type=0, coordinator_keys=[group]), 4)
        asked = OffsetFetchRequest.OffsetFetchRequestGroup(group_id=group, topics=None)
        if not wire.call(OffsetFetchRequest(groups=[asked]), 9).groups[0].error_code:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("version", [2, 9, 10])
def test_a_topic_without_partitions_is_not_answered(
    ready: tuple[Broker, dict[str, bytes]], version: int
) -> None:
    """As Kafka: it has no row in the answer, alone or beside another topic."""
    broker, topics = ready
    bare = T(name="t", topic_id=topics["t"], partitions=[])
    with Wire(broker.bootstrap_servers) as wire:
        alone = OffsetCommitRequest(group_id="bare", topics=[bare])
        assert wire.call(alone, version).topics == []
        beside = commit("bare", ("u", 0, 5), ids=topics)
        beside.topics.insert(0, bare)
        answer = wire.call(beside, version)
        assert [len(topic.partitions) for topic in answer.topics] == [1]
        assert codes(answer) == [ErrorCode.NONE]


@pytest.mark.parametrize("kind", [-1, 3, 99])
def test_a_kind_of_coordinator_that_is_unknown(
    ready: tuple[Broker, dict[str, bytes]], kind: int
) -> None:
    """INVALID_REQUEST with that error's own text, in the batched versions as well."""
    broker, _ = ready
    with Wire(broker.bootstrap_servers) as wire:
        found = wire.call(FindCoordinatorRequest(key_type=kind, coordinator_keys=["x"]), 4)
        row = found.coordinators[0]
        assert row.error_code == ErrorCode.INVALID_REQUEST
        assert row.error_message == ErrorCode.INVALID_REQUEST.message
