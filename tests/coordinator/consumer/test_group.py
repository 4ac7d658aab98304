"""Consumer groups where scripts do not reach: classic groups, classic members, ties."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from kafka_py.coordinator.consumer import heartbeat, specs, targets
from kafka_py.coordinator.consumer.group import ConsumerGroup, ResolvedRegex, is_homogeneous
from kafka_py.coordinator.consumer.member import Member, MemberState, same_target, target_from
from kafka_py.coordinator.machine import Caller, Moment
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import ConsumerGroupHeartbeatRequest, JoinGroupRequest
from kafka_py.protocol.records_group import ConsumerGroupMemberMetadataValue, GroupMetadataKey
from tests.coordinator.consumer.driver import ShardDriver

CLASSIC = ConsumerGroupMemberMetadataValue.ClassicMemberMetadata(
    session_timeout_ms=10_000,
    supported_protocols=[
        ConsumerGroupMemberMetadataValue.ClassicProtocol(name="range", metadata=b"r"),
        ConsumerGroupMemberMetadataValue.ClassicProtocol(name="sticky", metadata=b"s"),
    ],
)
T = b"t" * 16


def join(driver: ShardDriver, member_id: str, **fields: Any) -> Any:
    fields = {
        "rebalance_timeout_ms": 1000,
        "topic_partitions": [],
        "subscribed_topic_names": ["t"],
        "member_epoch": 0,
        **fields,
    }
    return driver.ask(
        ConsumerGroupHeartbeatRequest(group_id="g", member_id=member_id, **fields)
    ).response


def classic_join(driver: ShardDriver, member_id: str = "", version: int = 3) -> Any:
    protocol = JoinGroupRequest.JoinGroupRequestProtocol(name="range", metadata=b"")
    return driver.ask(
        JoinGroupRequest(
            group_id="g",
            session_timeout_ms=10_000,
            rebalance_timeout_ms=10_000,
            member_id=member_id,
            protocol_type="connect",
            protocols=[protocol],
        ),
        version=version,
    )


def test_an_empty_classic_group_makes_way() -> None:
    driver = ShardDriver()
    driver.make_topic("t", 1)
    classic_join(driver)
    driver.advance(120_000)
    assert driver.shard.groups["g"].state == "Empty"
    written: list[Any] = []
    driver.on_record = lambda key, value: written.append((key, value))
    assert join(driver, "a").error_code == 0
    assert written[0] == (GroupMetadataKey(group="g"), None)
    assert driver.shard.groups["g"].kind == "consumer"
    driver.restart()
    assert driver.shard.groups["g"].kind == "consumer"


def test_a_classic_group_with_members_of_another_kind_does_not() -> None:
    driver = ShardDriver()
    classic_join(driver)
    for epoch in (0, 3, -1):
        response = join(driver, "a", member_epoch=epoch)
        assert response.error_code == ErrorCode.GROUP_ID_NOT_FOUND
        if epoch:
            assert response.error_message == "Group g is not a consumer group."
    assert driver.shard.groups["g"].kind == "classic"


def test_a_new_group_is_none_before_its_records() -> None:
    driver = ShardDriver()
    response = join(driver, "a", subscribed_topic_names=None, subscribed_topic_regex="(")
    assert response.error_code == ErrorCode.INVALID_REGULAR_EXPRESSION
    assert not driver.shard.groups
    assert not driver.shard.deadlines
    assert not driver.shard.topics.resolving


def test_a_pattern_matches_what_the_caller_may_describe() -> None:
    driver = ShardDriver()
    asked: list[tuple[str, list[str]]] = []

    def describable(caller: Caller, topics: Iterable[str]) -> set[str]:
        asked.append((caller.principal, sorted(topics)))
        return set(topics) - {"t-hidden"}

    driver.shard.describable = describable
    for name in ("t-hidden", "t-shown", "u"):
        driver.make_topic(name, 1)
    join(driver, "a", subscribed_topic_names=None, subscribed_topic_regex="t-.*")
    group = driver.shard.groups["g"]
    assert isinstance(group, ConsumerGroup)
    assert group.resolved["t-.*"].topics == {"t-shown"}
    assert asked == [("User:ANONYMOUS", ["t-hidden", "t-shown"])]


def test_ids_do_not_begin_with_a_dash() -> None:
    driver = ShardDriver()
    ids = iter(("f8000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000009"))
    driver.shard.new_id = lambda: next(ids)
    assert heartbeat.new_member_id(driver.shard) == "AAAAAAAAAAAAAAAAAAAACQ"


def test_an_assignor_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        name = "uniform"

        def assign(self, members: Any, topics: Any) -> Any:
            raise specs.AssignorError("no idea")

    monkeypatch.setattr(targets, "ASSIGNORS", {"uniform": Failing()})
    driver = ShardDriver()
    driver.make_topic("t", 1)
    response = join(driver, "a")
    assert response.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert response.error_message == (
        "Failed to compute a new target assignment for epoch 2: no idea"
    )
    assert not driver.log


def a_group(*members: Member) -> ConsumerGroup:
    group = ConsumerGroup("g")
    for member in members:
        group.put_member(member)
    return group


def test_members_of_the_classic_protocol() -> None:
    group = a_group(Member("a", epoch=3, assigned={T: {0: 2}}, classic=CLASSIC))
    assert (group.classic_count, group.classic_protocol_counts) == (1, {"range": 1, "sticky": 1})

    def commit(epoch: int, *, api_version: int = 5) -> ErrorCode:
        return group.validate_offset_commit(
            "a", None, epoch, transactional=False, api_version=api_version
        )

    assert commit(3) is ErrorCode.NONE
    assert commit(4) is ErrorCode.ILLEGAL_GENERATION
    assert commit(2) is ErrorCode.NONE
    assert group.validate_partition_commit("a", 2, T, 0) is ErrorCode.NONE
    assert group.validate_partition_commit("a", 1, T, 0) is ErrorCode.ILLEGAL_GENERATION
    assert group.validate_partition_commit("a", 2, T, 1) is ErrorCode.ILLEGAL_GENERATION
    assert group.validate_offset_fetch("a", 2) is ErrorCode.ILLEGAL_GENERATION
    group.put_member(group.members["a"]._replace(classic=None))
    assert (group.classic_count, group.classic_protocol_counts) == (0, {})
    assert commit(3) is ErrorCode.UNSUPPORTED_VERSION
    assert commit(3, api_version=9) is ErrorCode.NONE
    assert commit(4, api_version=9) is ErrorCode.STALE_MEMBER_EPOCH
    group.put_member(group.members["a"]._replace(classic=CLASSIC))
    group.remove_member("a")
    group.remove_member("a")
    assert (group.classic_count, group.classic_protocol_counts) == (0, {})


def test_commits_of_nobody_in_particular() -> None:
    group = a_group(Member("a", epoch=3))

    def commit(member_id: str, epoch: int, *, transactional: bool) -> ErrorCode:
        return group.validate_offset_commit(
            member_id, None, epoch, transactional=transactional, api_version=9
        )

    assert commit("", -1, transactional=True) is ErrorCode.NONE
    assert commit("", -1, transactional=False) is ErrorCode.UNKNOWN_MEMBER_ID
    assert commit("b", -1, transactional=True) is ErrorCode.UNKNOWN_MEMBER_ID
    assert group.validate_offset_fetch(None, -1) is ErrorCode.NONE
    assert group.validate_offset_fetch(None, 3) is ErrorCode.UNKNOWN_MEMBER_ID
    assert group.validate_delete() is ErrorCode.NON_EMPTY_GROUP
    assert group.validate_offset_delete() is ErrorCode.NONE
    group.remove_member("a")
    assert commit("", -1, transactional=False) is ErrorCode.NONE
    assert group.validate_delete() is ErrorCode.NONE
    assert group.offsets_expire_from_ms(5) == 5


def test_a_commit_is_no_sign_of_life() -> None:
    driver = ShardDriver()
    driver.make_topic("t", 1)
    join(driver, "a")
    at_ms = driver.shard.next_deadline_ms()
    driver.advance(1000)
    driver.shard.groups["g"].committed(driver.shard, "a", Moment(1000, 1000))
    assert driver.shard.next_deadline_ms() == at_ms


def test_the_assignor_that_most_prefer() -> None:
    group = a_group(Member("a", assignor="range"), Member("b", assignor="uniform"))
    # Of equals the first of Java's hash table.
    assert group.preferred_assignor() == "uniform"
    leaves = Member("b", assignor="uniform")
    assert group.preferred_assignor(leaves, leaves._replace(assignor="range")) == "range"
    assert group.preferred_assignor(leaves, leaves._replace(assignor=None)) == "range"
    assert a_group(Member("a")).preferred_assignor() is None


def test_subscribed_topics() -> None:
    group = a_group(Member("a", names=frozenset({"x"}), regex="y.*"))
    assert group.is_subscribed("x")
    assert not group.is_subscribed("y1")
    group.put_resolved("y.*", ResolvedRegex(frozenset({"y1", "x"}), 1, 1))
    assert group.is_subscribed("y1")
    assert group.subscribed_names() == {"x", "y1"}
    group.put_resolved("y.*", ResolvedRegex(frozenset({"y2"}), 1, 1))
    assert group.subscribed_names() == {"x", "y2"}
    group.put_resolved("y.*", None)
    group.put_resolved("y.*", None)
    assert group.subscribed_names() == {"x"}


def test_states() -> None:
    group = a_group()
    assert (group.state, group.is_empty) == ("Empty", True)
    group.put_member(Member("a", epoch=1))
    assert (group.state, group.is_empty) == ("Stable", False)
    group.epoch = 2
    assert group.state == "Assigning"
    group.target_epoch = 2
    assert group.state == "Reconciling"
    group.put_member(Member("a", epoch=2, state=MemberState.UNRELEASED_PARTITIONS))
    assert group.state == "Reconciling"
    group.put_member(Member("a", epoch=-2))
    assert group.state == "Reconciling"


@pytest.mark.parametrize(
    ("names", "by_regex", "regexes", "members", "expected"),
    [
        ({}, {}, {}, 2, True),
        ({"x": 2}, {}, {}, 2, True),
        ({"x": 2, "y": 1}, {}, {}, 2, False),
        ({"x": 2}, {"x": 1}, {}, 2, True),
        ({"x": 2}, {"y": 1}, {}, 2, False),
        ({}, {"x": 1}, {"r": 2}, 2, True),
        ({}, {"x": 1}, {"r": 1}, 2, False),
        ({"x": 1}, {"x": 1}, {"r": 2}, 2, False),
        ({}, {"x": 2}, {"r": 1, "s": 1}, 1, False),
        ({}, {}, {"r": 2}, 2, True),
    ],
)
def test_homogeneous(
    names: dict[str, int],
    by_regex: dict[str, int],
    regexes: dict[str, int],
    members: int,
    expected: bool,
) -> None:
    assert is_homogeneous(names, by_regex, regexes, members) is expected


def test_targets_compare_without_order() -> None:
    one = target_from({T: [2, 0], b"u" * 16: []})
    assert one == {T: (2, 0)}
    assert same_target(one, {T: (0, 2)})
    assert not same_target(one, {T: (0, 1)})
    assert not same_target(one, {T: (0, 2, 3)})
    assert not same_target(one, {})
    assert not same_target(None, {})
