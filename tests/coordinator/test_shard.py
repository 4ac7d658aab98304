"""The shard: its tables, deadlines that fail, listing and deleting groups of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kafka_py.config.broker import BrokerConfig
from kafka_py.config.standalone import standalone_properties
from kafka_py.coordinator import shard as shard_module
from kafka_py.coordinator.machine import Caller, CoordinatorRecord, Moment, Result
from kafka_py.coordinator.shard import Group, GroupShard, tables
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    DeleteGroupsRequest,
    DescribeGroupsRequest,
    ListGroupsRequest,
)
from kafka_py.protocol.records_group import (
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
    ShareGroupMetadataKey,
    ShareGroupMetadataValue,
)

NOW = Moment(1000, 1_700_000_000_000)
CALLER = Caller("client", "/127.0.0.1", 6)


class Reply:
    """Where an answer would go."""

    request: Any = None
    caller = CALLER


@pytest.fixture
def shard() -> GroupShard:
    return GroupShard(
        0,
        settings=BrokerConfig(standalone_properties("data", port=0)),
        image=MetadataImage(),
        new_id=lambda: "id",
    )


def asked(shard: GroupShard, request: Any) -> tuple[Any, list[CoordinatorRecord]]:
    """(the answer, the records) of a request; the records are applied."""
    reply = Reply()
    result = shard.handle(request, CALLER, NOW, reply)
    for record in result.records:
        shard.apply(record.key, record.value)
    ((given, response),) = result.replies
    assert given is reply
    return response, result.records


def commit(shard: GroupShard, group: str, topic: str = "t", partition: int = 0) -> None:
    """An offset out of the log."""
    shard.apply(
        OffsetCommitKey(group=group, topic=topic, partition=partition),
        OffsetCommitValue(offset=3, commit_timestamp=NOW.wall_ms),
    )


def classic(shard: GroupShard, group: str, *members: str) -> None:
    """A classic group out of the log."""
    shard.apply(
        GroupMetadataKey(group=group),
        GroupMetadataValue(
            protocol_type="consumer",
            generation=3,
            protocol="range" if members else None,
            leader=members[0] if members else None,
            current_state_timestamp=NOW.wall_ms,
            members=[
                GroupMetadataValue.MemberMetadata(
                    member_id=member, client_id="c", client_host="/h", session_timeout=10_000
                )
                for member in members
            ],
        ),
    )


def test_every_request_has_a_handler_and_every_kind_of_deadline_is_one_packages(
    shard: GroupShard,
) -> None:
    joined = tables()
    assert tables() is joined
    names = {request.__name__ for request in joined.handlers}
    assert names == {
        "ConsumerGroupDescribeRequest",
        "ConsumerGroupHeartbeatRequest",
        "DeleteGroupsRequest",
        "DescribeGroupsRequest",
        "HeartbeatRequest",
        "JoinGroupRequest",
        "LeaveGroupRequest",
        "ListGroupsRequest",
        "OffsetCommitRequest",
        "OffsetDeleteRequest",
        "OffsetFetchRequest",
        "SyncGroupRequest",
        "TxnOffsetCommitRequest",
    }
    assert len(joined.loaded) == len(joined.changed) == 3


def test_records_of_what_is_not_here_are_passed_over(shard: GroupShard) -> None:
    shard.apply(ShareGroupMetadataKey(group_id="s"), ShareGroupMetadataValue(epoch=1))
    shard.apply(ShareGroupMetadataKey(group_id="s"), None)
    assert shard.groups == {}


def test_groups_are_listed_by_state_and_type(shard: GroupShard) -> None:
    commit(shard, "simple")
    classic(shard, "empty")
    classic(shard, "stable", "m")

    def listed(**filters: list[str]) -> list[tuple[str, str, str, str]]:
        response, records = asked(shard, ListGroupsRequest(**filters))
        assert records == []
        return [
            (one.group_id, one.protocol_type, one.group_state, one.group_type)
            for one in response.groups
        ]

    simple = ("simple", "", "Empty", "classic")
    empty = ("empty", "consumer", "Empty", "classic")
    stable = ("stable", "consumer", "Stable", "classic")
    assert listed() == [simple, empty, stable]
    assert listed(states_filter=["eMPTY"]) == [simple, empty]
    assert listed(states_filter=["Dead", "stable"]) == [stable]
    assert listed(states_filter=["no such state"]) == []
    assert listed(types_filter=["CLASSIC"]) == [simple, empty, stable]
    assert listed(types_filter=["consumer"]) == []
    assert listed(types_filter=["no such type"]) == []
    assert listed(types_filter=["classic"], states_filter=["Stable"]) == [stable]


def test_a_row_for_every_group_that_is_described(shard: GroupShard) -> None:
    classic(shard, "stable", "m")
    response, _ = asked(shard, DescribeGroupsRequest(groups=["nobody", "stable", "nobody"]))
    assert [(row.group_id, row.group_state, row.error_code) for row in response.groups] == [
        ("nobody", "Dead", ErrorCode.GROUP_ID_NOT_FOUND),
        ("stable", "Stable", ErrorCode.NONE),
        ("nobody", "Dead", ErrorCode.GROUP_ID_NOT_FOUND),
    ]


def test_a_group_goes_with_everything_it_committed(shard: GroupShard) -> None:
    classic(shard, "empty")
    for partition in range(2):
        commit(shard, "empty", "t", partition)
    commit(shard, "empty", "u")
    commit(shard, "other")
    classic(shard, "busy", "m")
    response, records = asked(
        shard, DeleteGroupsRequest(groups_names=["empty", "busy", "nobody", "other"])
    )
    assert [(row.group_id, row.error_code) for row in response.results] == [
        ("empty", ErrorCode.NONE),
        ("busy", ErrorCode.NON_EMPTY_GROUP),
        ("nobody", ErrorCode.GROUP_ID_NOT_FOUND),
        ("other", ErrorCode.NONE),
    ]
    assert all(record.value is None for record in records)
    offsets = {
        (key.group, key.topic, key.partition)
        for key, *_ in records
        if isinstance(key, OffsetCommitKey)
    }
    assert offsets == {("empty", "t", 0), ("empty", "t", 1), ("empty", "u", 0), ("other", "t", 0)}
    assert [key.group for key, *_ in records if isinstance(key, GroupMetadataKey)] == [
        "empty",
        "other",
    ]
    assert list(shard.groups) == ["busy"]
    assert shard.offsets.count == 0
    response, records = asked(shard, DeleteGroupsRequest(groups_names=["empty"]))
    assert response.results[0].error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert records == []


class Expiries:
    """A table of one kind of deadline; the result names the key."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.broken = False

    def __call__(self, shard: GroupShard, key: Any, now: Moment) -> Result:
        self.seen.append(key)
        if self.broken:
            raise ValueError("a bug")
        if key[1] == "first":
            shard.deadlines.cancel(("test", "second"))
            shard.deadlines.set(("test", "again"), now.ms)
        return Result()


@pytest.fixture
def expiries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Expiries]:
    made = Expiries()
    monkeypatch.setitem(tables().expired, "test", made)
    return made


def test_what_one_deadline_cancels_is_not_worked_off(shard: GroupShard, expiries: Expiries) -> None:
    shard.deadlines.set(("test", "first"), 10)
    shard.deadlines.set(("test", "second"), 11)
    assert shard.next_deadline_ms() == 10
    assert list(shard.expire(Moment(9, 0))) == []
    assert len(list(shard.expire(Moment(20, 0)))) == 2
    assert expiries.seen == [("test", "first"), ("test", "again")]
    assert shard.next_deadline_ms() is None


def test_a_deadline_that_fails_comes_again(
    shard: GroupShard, expiries: Expiries, caplog: pytest.LogCaptureFixture
) -> None:
    expiries.broken = True
    shard.deadlines.set(("test", "x"), 10)
    assert list(shard.expire(Moment(10, 0))) == []
    assert shard.next_deadline_ms() == 10 + shard_module.RETRY_MS
    assert "a bug" in caplog.text


def test_a_group_without_a_class_answers_nothing() -> None:
    group = Group("g")
    with pytest.raises(AssertionError):
        _ = group.state
    with pytest.raises(AssertionError):
        group.tombstones()
