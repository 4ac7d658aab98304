"""What transcripts do not show: refusals before a group is looked at, other kinds of groups."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_py.coordinator.classic import ClassicGroup, State, describe, simple_group, unloaded
from kafka_py.coordinator.classic.group import in_hash_map_order, subscribed_topics
from kafka_py.coordinator.machine import CoordinatorRecord, Delivery, Result
from kafka_py.coordinator.shard import Group
from kafka_py.protocol.errors import ErrorCode, MalformedRequest
from kafka_py.protocol.groups import (
    ConsumerProtocolSubscription,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from kafka_py.protocol.records_group import GroupMetadataKey
from tests.coordinator.classic.driver import Ask, ShardDriver


def join(**fields: Any) -> JoinGroupRequest:
    """A consumer's JoinGroup."""
    values = {
        "group_id": "g",
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 60_000,
        "protocol_type": "consumer",
        "protocols": [JoinGroupRequest.JoinGroupRequestProtocol(name="range", metadata=b"")],
    }
    return JoinGroupRequest(**{**values, **fields})


def error_of(ask: Ask) -> ErrorCode:
    """What it was answered."""
    return ErrorCode.of(ask.response.error_code)


@pytest.mark.parametrize(
    ("session_timeout_ms", "error"),
    [
        (5_999, ErrorCode.INVALID_SESSION_TIMEOUT),
        (6_000, ErrorCode.MEMBER_ID_REQUIRED),
        (1_800_000, ErrorCode.MEMBER_ID_REQUIRED),
        (1_800_001, ErrorCode.INVALID_SESSION_TIMEOUT),
        (-1, ErrorCode.INVALID_SESSION_TIMEOUT),
    ],
)
def test_session_timeouts_have_bounds(session_timeout_ms: int, error: ErrorCode) -> None:
    driver = ShardDriver()
    ask = driver.ask(join(session_timeout_ms=session_timeout_ms), "a", 9)
    assert error_of(ask) is error
    assert ("g" in driver.shard.groups) == (error is ErrorCode.MEMBER_ID_REQUIRED)


@pytest.mark.parametrize(
    ("request_", "version"),
    [
        (join(group_id="", member_id="m"), 9),
        (SyncGroupRequest(group_id="", protocol_type="consumer", protocol_name="range"), 5),
        (HeartbeatRequest(group_id=""), 4),
        (LeaveGroupRequest(group_id=""), 5),
    ],
)
def test_a_group_has_a_name(request_: Any, version: int) -> None:
    ask = ShardDriver().ask(request_, "a", version)
    assert error_of(ask) is ErrorCode.INVALID_GROUP_ID
    if isinstance(request_, JoinGroupRequest):
        assert ask.response.member_id == "m"


@pytest.mark.parametrize(("kind", "name"), [(None, "range"), ("consumer", None)])
def test_a_sync_says_its_protocol_from_version_5_on(kind: str | None, name: str | None) -> None:
    request = SyncGroupRequest(group_id="g", protocol_type=kind, protocol_name=name)
    driver = ShardDriver()
    assert error_of(driver.ask(request, "a", 5)) is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert error_of(driver.ask(request, "a", 4)) is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_id_that_was_given_out_is_no_static_members() -> None:
    driver = ShardDriver()
    member_id = driver.ask(join(), "a", 9).response.member_id
    ask = driver.ask(join(member_id=member_id, group_instance_id="one"), "a", 9)
    assert error_of(ask) is ErrorCode.UNKNOWN_SERVER_ERROR


def test_the_answer_names_no_protocol_where_there_is_none() -> None:
    driver = ShardDriver()
    assert driver.ask(join(), "a", 6).response.protocol_name == ""
    assert driver.ask(join(), "a", 7).response.protocol_name is None


# --- groups of the other protocol -------------------------------------------------------------


class OtherGroup(Group):
    """A group of another protocol."""

    kind = "consumer"
    protocol_type = "consumer"

    def __init__(self, group_id: str, state: str, result: Result | None = None) -> None:
        super().__init__(group_id)
        self._state = state
        self._result = result
        self.served: list[Any] = []

    @property
    def state(self) -> str:
        return self._state

    def tombstones(self) -> list[CoordinatorRecord]:
        return [CoordinatorRecord(GroupMetadataKey(group="of the other protocol"), None)]

    def serve_classic(self, shard: Any, request: Any, caller: Any, now: Any, reply: Any) -> Any:
        self.served.append(request)
        if self._result is not None:
            return Result(replies=[Delivery(reply, HeartbeatResponse(error_code=7))])
        return None


REQUESTS: list[tuple[Any, int, ErrorCode]] = [
    (join(), 9, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
    (SyncGroupRequest(group_id="g"), 4, ErrorCode.UNKNOWN_MEMBER_ID),
    (HeartbeatRequest(group_id="g"), 4, ErrorCode.UNKNOWN_MEMBER_ID),
    (LeaveGroupRequest(group_id="g", member_id="m"), 2, ErrorCode.UNKNOWN_MEMBER_ID),
]


@pytest.mark.parametrize(("request_", "version", "error"), REQUESTS)
def test_another_group_refuses_classic_members(
    request_: Any, version: int, error: ErrorCode
) -> None:
    driver = ShardDriver()
    group = driver.shard.groups["g"] = OtherGroup("g", "Stable")
    assert error_of(driver.ask(request_, "a", version)) is error
    assert group.served == [request_]


@pytest.mark.parametrize(("request_", "version", "_error"), REQUESTS)
def test_another_group_serves_classic_members(
    request_: Any, version: int, _error: ErrorCode
) -> None:
    driver = ShardDriver()
    driver.shard.groups["g"] = OtherGroup("g", "Stable", Result())
    ask = driver.ask(request_, "a", 4)
    assert isinstance(ask.response, HeartbeatResponse)
    assert ask.response.error_code == 7


def test_an_empty_group_of_another_protocol_becomes_classic() -> None:
    driver = ShardDriver()
    written: list[tuple[str, bool]] = []
    driver.on_record = lambda key, value, _: written.append((key.group, value is None))
    driver.shard.groups["g"] = OtherGroup("g", "Empty")
    stranger = driver.ask(join(member_id="m"), "a", 9)
    assert error_of(stranger) is ErrorCode.UNKNOWN_MEMBER_ID
    assert isinstance(driver.shard.groups["g"], OtherGroup)
    assert error_of(driver.ask(join(), "a", 9)) is ErrorCode.MEMBER_ID_REQUIRED
    assert isinstance(driver.shard.groups["g"], ClassicGroup)
    assert written == [("of the other protocol", True), ("g", False)]


def test_another_group_is_not_described() -> None:
    driver = ShardDriver()
    driver.shard.groups["g"] = OtherGroup("g", "Stable")
    described = describe(driver.shard, "g", 6)
    assert described.error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert described.error_message == "Group g is not a classic group."
    assert described.group_state == "Dead"
    assert describe(driver.shard, "g", 5).error_code == 0


def test_a_classic_tombstone_leaves_another_group_alone() -> None:
    driver = ShardDriver()
    group = driver.shard.groups["g"] = OtherGroup("g", "Stable")
    driver.take(Result([CoordinatorRecord(GroupMetadataKey(group="g"), None)]))
    assert driver.shard.groups["g"] is group


# --- the rest ---------------------------------------------------------------------------------


def test_offsets_alone_make_a_simple_group() -> None:
    driver = ShardDriver()
    group = simple_group(driver.shard, "g")
    assert isinstance(group, ClassicGroup)
    assert group.is_simple
    assert group.is_empty
    assert group.state == "Empty"
    assert simple_group(driver.shard, "g") is group
    assert group.offsets_expire_from_ms(5) == 5
    ask = driver.ask(join(), "a", 9)
    assert error_of(ask) is ErrorCode.MEMBER_ID_REQUIRED
    assert not group.is_simple
    # Its first generation will be the first record of it.
    assert driver.log == []


def test_what_is_parked_is_told_when_the_partition_goes() -> None:
    driver = ShardDriver()
    parked = [driver.ask(join(), "a", 3), driver.ask(join(group_id="h"), "a", 3)]
    driver.advance(3_000)
    waiting = driver.ask(join(), "b", 3)
    member_id = parked[1].response.member_id
    syncing = driver.ask(
        SyncGroupRequest(group_id="h", generation_id=1, member_id=member_id), "a", 3
    )
    # Only the leader's is written, and nobody tells of it.
    assert error_of(syncing) is ErrorCode.NONE
    deliveries = unloaded(driver.shard)
    assert [reply for reply, _ in deliveries] == [waiting]
    assert deliveries[0].response.error_code == ErrorCode.NOT_COORDINATOR
    group = driver.shard.groups["g"]
    assert isinstance(group, ClassicGroup)
    assert group.current is State.DEAD
    for request, version in [
        (join(), 9),
        (join(member_id="m"), 9),
        (SyncGroupRequest(group_id="g"), 3),
        (HeartbeatRequest(group_id="g"), 4),
        (LeaveGroupRequest(group_id="g", member_id="m"), 2),
    ]:
        assert error_of(driver.ask(request, "a", version)) is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert group.validate_delete() is ErrorCode.GROUP_ID_NOT_FOUND
    assert group.validate_offset_delete() is ErrorCode.GROUP_ID_NOT_FOUND
    assert group.validate_offset_fetch(None, -1) is ErrorCode.GROUP_ID_NOT_FOUND
    assert (
        group.validate_offset_commit("", None, -1, transactional=False, api_version=9)
        is ErrorCode.COORDINATOR_NOT_AVAILABLE
    )


def test_states_follow_the_table() -> None:
    group = ClassicGroup("g")
    with pytest.raises(AssertionError, match="Stable cannot follow Empty"):
        group.enter(State.STABLE, ShardDriver().now)


def test_subscriptions_of_any_version_are_read() -> None:
    said = ConsumerProtocolSubscription(topics=["t", "u"], user_data=b"x", rack_id="r")
    for version in range(4):
        assert subscribed_topics(bytes([0, version]) + said.encode(version)) == ["t", "u"]
    assert subscribed_topics(b"\x00\x09" + said.encode(3) + b"what comes later") == ["t", "u"]
    for damaged in (b"", b"\0", b"\0\0", b"\0\0\0\0\0\1"):
        with pytest.raises(MalformedRequest):
            subscribed_topics(damaged)


@pytest.mark.parametrize(
    "expected",
    [
        ["sticky", "range", "roundrobin", "cooperative-sticky"],
        ["a", "b", "😀", "日本", "ü"],
        ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p12", "p11", "p13"],
    ],
)
def test_the_order_of_javas_hash_map(expected: list[str]) -> None:
    # As Java prints the key set of a HashMap that has them.
    assert list(in_hash_map_order(dict.fromkeys(sorted(expected)))) == expected
