"""The compiled heartbeats against the general path: same answers, same deadlines, or declined."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_py.coordinator.consumer.fencing import SESSION
from kafka_py.coordinator.machine import Caller
from kafka_py.coordinator.shard import GroupShard
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    ConsumerProtocolSubscription,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    SyncGroupRequest,
)
from tests.coordinator.offsets.driver import WALL_MS, Ask, OffsetsDriver
from tests.coordinator.offsets.test_commit_path import Compiled

HOST = "/10.0.0.1"


@pytest.fixture
def compiled(driver: OffsetsDriver) -> Compiled:
    made = Compiled(driver)
    made.shard = driver.shard
    made.path.modern = True
    return made


def general(driver: OffsetsDriver, request: Any, version: int, client: str = "client") -> bytes:
    ask = Ask(request, Caller(client, HOST, version))
    driver.take(driver.shard.handle(request, ask.caller, driver.now, ask))
    return bytes(ask.response.encode(version))


def body_of(frame: bytes, *, flexible: bool) -> bytes:
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert int.from_bytes(frame[4:8], "big") == 77
    return frame[9:] if flexible else frame[8:]


def classic_member(driver: OffsetsDriver) -> tuple[str, int]:
    """The only member of a stable group: its id and generation."""
    subscription = b"\0\0" + ConsumerProtocolSubscription(topics=["t"]).encode(0)
    join = JoinGroupRequest(
        group_id="c",
        session_timeout_ms=30_000,
        rebalance_timeout_ms=30_000,
        protocol_type="consumer",
        protocols=[JoinGroupRequest.JoinGroupRequestProtocol(name="range", metadata=subscription)],
    )
    ask = Ask(join, Caller("client", HOST, 3))
    driver.take(driver.shard.handle(join, ask.caller, driver.now, ask))
    driver.advance(3_000)
    joined = ask.response
    sync = SyncGroupRequest(
        group_id="c",
        generation_id=joined.generation_id,
        member_id=joined.member_id,
        assignments=[
            SyncGroupRequest.SyncGroupRequestAssignment(
                member_id=joined.member_id, assignment=b"\0\0\0\0\0\0\0\0\0\0"
            )
        ],
    )
    general(driver, sync, 3)
    assert driver.shard.groups["c"].state == "Stable"
    return joined.member_id, joined.generation_id


def session_ms(shard: GroupShard, kind: str, group: str, member_id: str) -> int | None:
    return shard.deadlines.get((kind, group, member_id))


@pytest.mark.parametrize("version", range(5))
def test_a_member_of_a_stable_group_is_alive(compiled: Compiled, version: int) -> None:
    driver = compiled.driver
    member_id, generation = classic_member(driver)
    request = HeartbeatRequest(group_id="c", generation_id=generation, member_id=member_id)
    for _ in range(3):
        driver.advance(1_000)
        frame = compiled.path.beat(request.encode(version), version, 77, driver.now.wall_ms)
        assert frame is not None
        quick = session_ms(driver.shard, "classic-session", "c", member_id)
        body = body_of(frame, flexible=version >= 4)
        assert HeartbeatResponse.decode(body, version).error_code == 0
        assert body == general(driver, request, version)
        assert session_ms(driver.shard, "classic-session", "c", member_id) == quick
    assert compiled.path.heartbeats == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"generation_id": 9},
        {"member_id": "stranger"},
        {"member_id": ""},
        {"group_id": ""},
        {"group_id": "new"},
        {"group_id": "elsewhere"},
        {"group_instance_id": "i"},
    ],
)
def test_heartbeats_that_are_refused_or_static_are_declined(
    compiled: Compiled, fields: dict[str, Any]
) -> None:
    member_id, generation = classic_member(compiled.driver)
    known = {"group_id": "c", "generation_id": generation, "member_id": member_id}
    before = session_ms(compiled.shard, "classic-session", "c", member_id)
    compiled.driver.advance(5)
    body = HeartbeatRequest(**{**known, **fields}).encode(4)
    assert compiled.path.beat(body, 4, 77, WALL_MS + 9_999) is None
    for size in range(len(body)):
        assert compiled.path.beat(body[:size], 4, 77, WALL_MS + 9_999) is None
    assert session_ms(compiled.shard, "classic-session", "c", member_id) == before


def test_nothing_is_answered_before_what_was_applied_is_committed(compiled: Compiled) -> None:
    member_id, generation = classic_member(compiled.driver)
    body = HeartbeatRequest(group_id="c", generation_id=generation, member_id=member_id).encode(4)
    compiled.settled = False
    assert compiled.path.beat(body, 4, 77, WALL_MS) is None
    compiled.settled = True
    compiled.batch.add(b"key", b"value", WALL_MS)
    assert compiled.path.beat(body, 4, 77, WALL_MS) is None
    compiled.batch.clear()
    assert compiled.path.beat(body, 4, 77, WALL_MS) is not None


def test_a_group_that_rebalances_is_for_the_general_path(compiled: Compiled) -> None:
    driver = compiled.driver
    member_id, generation = classic_member(driver)
    join = JoinGroupRequest(
        group_id="c",
        session_timeout_ms=30_000,
        rebalance_timeout_ms=30_000,
        protocol_type="consumer",
        protocols=[JoinGroupRequest.JoinGroupRequestProtocol(name="range", metadata=b"")],
    )
    ask = Ask(join, Caller("client", HOST, 3))
    driver.take(driver.shard.handle(join, ask.caller, driver.now, ask))
    assert driver.shard.groups["c"].state == "PreparingRebalance"
    body = HeartbeatRequest(group_id="c", generation_id=generation, member_id=member_id).encode(4)
    assert compiled.path.beat(body, 4, 77, driver.now.wall_ms) is None


def joined(driver: OffsetsDriver, member_id: str = "m") -> int:
    """Join a consumer group, and heartbeat once, which looks at the topics; the member's epoch."""
    request = ConsumerGroupHeartbeatRequest(
        group_id="k",
        member_id=member_id,
        member_epoch=0,
        rebalance_timeout_ms=30_000,
        subscribed_topic_names=["t"],
        topic_partitions=[],
    )
    response = ConsumerGroupHeartbeatResponse.decode(general(driver, request, 1), 1)
    assert response.error_code == 0
    if member_id == "m":
        general(driver, steady(response.member_epoch), 1)
    return response.member_epoch


def steady(epoch: int, **fields: Any) -> ConsumerGroupHeartbeatRequest:
    """What a member sends while nothing changes."""
    defaults: dict[str, Any] = {
        "group_id": "k",
        "member_id": "m",
        "member_epoch": epoch,
        "subscribed_topic_names": None,
        "topic_partitions": None,
    }
    return ConsumerGroupHeartbeatRequest(**{**defaults, **fields})


@pytest.mark.parametrize("version", [0, 1])
def test_a_member_for_whom_nothing_changes_is_alive(compiled: Compiled, version: int) -> None:
    driver = compiled.driver
    request = steady(joined(driver))
    for _ in range(3):
        driver.advance(1_000)
        frame = compiled.path.beat(
            request.encode(version), version, 77, driver.now.wall_ms, "client", HOST
        )
        assert frame is not None
        quick = session_ms(driver.shard, SESSION, "k", "m")
        written = len(driver.written)
        assert body_of(frame, flexible=True) == general(driver, request, version)
        assert session_ms(driver.shard, SESSION, "k", "m") == quick
        assert len(driver.written) == written
    assert compiled.path.heartbeats == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"member_id": "stranger"},
        {"member_epoch": 0},
        {"member_epoch": -1},
        {"member_epoch": 99},
        {"group_id": "c"},
        {"instance_id": "i"},
        {"rack_id": "r"},
        {"rebalance_timeout_ms": 5},
        {"subscribed_topic_names": ["t"]},
        {"subscribed_topic_names": []},
        {"subscribed_topic_regex": "t.*"},
        {"server_assignor": "range"},
        {"topic_partitions": []},
    ],
)
def test_a_member_that_says_anything_is_declined(
    compiled: Compiled, fields: dict[str, Any]
) -> None:
    epoch = joined(compiled.driver)
    body = steady(epoch, **fields).encode(1)
    assert compiled.path.beat(body, 1, 77, compiled.driver.now.wall_ms, "client", HOST) is None


def test_what_else_is_declined(compiled: Compiled) -> None:
    driver = compiled.driver
    epoch = joined(driver)
    body = steady(epoch).encode(1)
    wall_ms = driver.now.wall_ms

    def declined(client: str = "client", host: str = HOST) -> bool:
        return compiled.path.beat(body, 1, 77, wall_ms, client, host) is None

    assert not declined()
    assert declined(client="another")
    assert declined(host="/10.0.0.2")
    assert all(
        compiled.path.beat(body[:size], 1, 77, wall_ms, "client", HOST) is None
        for size in range(len(body))
    )
    compiled.path.modern = False
    assert declined()
    compiled.path.modern = True
    # Somebody joins: the group's epoch is ahead of the member's.
    joined(driver, "n")
    assert declined()


def test_a_topic_that_changed_is_for_the_general_path(compiled: Compiled) -> None:
    driver = compiled.driver
    body = steady(joined(driver)).encode(1)
    assert compiled.path.beat(body, 1, 77, driver.now.wall_ms, "client", HOST) is not None
    driver.topics(t=9)
    assert compiled.path.beat(body, 1, 77, driver.now.wall_ms, "client", HOST) is None
