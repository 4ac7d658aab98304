"""Online migration between the protocols: who may, what is written, and the time-outs.

Whole conversations are compared with Apache's broker in `tests/oracle/test_migration.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from kafka_py.coordinator.classic import ClassicGroup, State
from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from tests.coordinator.consumer.driver import Ask, ShardDriver

POLICY = "group.consumer.migration.policy"


def subscription(*topics: str, version: int = 3, **owned: list[int]) -> bytes:
    row = ConsumerProtocolSubscription.TopicPartition
    body = ConsumerProtocolSubscription(
        topics=list(topics or ("t",)),
        owned_partitions=[row(topic=t, partitions=p) for t, p in owned.items()],
    )
    return version.to_bytes(2, "big") + body.encode(version)


class World:
    """A shard with a topic ``t`` of four partitions, and requests in short."""

    def __init__(self, **settings: Any) -> None:
        self.driver = ShardDriver({"group.initial.rebalance.delay.ms": 0, **settings})
        self.topic_id = self.driver.make_topic("t", 4)
        self.types: list[str] = []
        self.driver.on_record = lambda key, value: self.types.append(
            type(key).__name__.removeprefix("ConsumerGroup").removesuffix("Key")
            + ("" if value is not None else " tombstone")
        )

    @property
    def group(self) -> Any:
        return self.driver.shard.groups["g"]

    @property
    def consumer_group(self) -> ConsumerGroup:
        assert isinstance(self.group, ConsumerGroup)
        return self.group

    def written(self) -> list[str]:
        """The records since the last time, by type."""
        written, self.types = self.types, []
        return written

    # -- classic -------------------------------------------------------------------------------

    def send_join(
        self, member_id: str = "", version: int = 9, instance: str | None = None, **more: Any
    ) -> Ask:
        protocols = more.pop("protocols", [("range", subscription())])
        fields = {
            "group_id": "g",
            "session_timeout_ms": 10_000,
            "rebalance_timeout_ms": 20_000,
            "member_id": member_id,
            "group_instance_id": instance,
            "protocol_type": "consumer",
            "protocols": [
                JoinGroupRequest.JoinGroupRequestProtocol(name=n, metadata=m) for n, m in protocols
            ],
            **more,
        }
        asked = self.driver.ask(JoinGroupRequest(**fields), "client", version)
        self.driver.advance(0)  # The initial rebalance waits for no time at all.
        return asked

    def join(self, member_id: str = "", **more: Any) -> Any:
        response = self.send_join(member_id, **more).response
        if response.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            response = self.send_join(response.member_id, **more).response
        return response

    def sync(
        self, member_id: str, generation: int, instance: str | None = None, **more: Any
    ) -> Any:
        fields = {
            "group_id": "g",
            "member_id": member_id,
            "generation_id": generation,
            "group_instance_id": instance,
            "protocol_type": "consumer",
            "protocol_name": "range",
            **more,
        }
        return self.driver.ask(SyncGroupRequest(**fields), "client", 5).response

    def beat(self, member_id: str, generation: int, instance: str | None = None) -> ErrorCode:
        request = HeartbeatRequest(
            group_id="g",
            member_id=member_id,
            generation_id=generation,
            group_instance_id=instance,
        )
        return ErrorCode(self.driver.ask(request, "client", 4).response.error_code)

    def leave(self, *members: tuple[str, str | None], version: int = 5) -> Any:
        request = LeaveGroupRequest(
            group_id="g",
            member_id=members[0][0],
            members=[
                LeaveGroupRequest.MemberIdentity(member_id=m, group_instance_id=i)
                for m, i in members
            ],
        )
        return self.driver.ask(request, "client", version).response

    def classic_leader(self, **more: Any) -> Any:
        """A classic group of one, which owns all of t: its JoinGroup's response."""
        joined = self.join(**more)
        assignment = b"\0\3" + ConsumerProtocolAssignment(
            assigned_partitions=[
                ConsumerProtocolAssignment.TopicPartition(topic="t", partitions=[0, 1, 2, 3])
            ]
        ).encode(3)
        one = SyncGroupRequest.SyncGroupRequestAssignment(
            member_id=joined.member_id, assignment=assignment
        )
        synced = self.sync(
            joined.member_id, joined.generation_id, more.get("instance"), assignments=[one]
        )
        assert synced.error_code == 0
        self.written()
        return joined

    # -- consumer ------------------------------------------------------------------------------

    def consume(self, member_id: str, epoch: int = 0, **more: Any) -> Any:
        first = {
            "rebalance_timeout_ms": 20_000,
            "subscribed_topic_names": ["t"],
            "topic_partitions": [],
        }
        fields = {**(first if epoch == 0 else {}), **more}
        request = ConsumerGroupHeartbeatRequest(
            group_id="g", member_id=member_id, member_epoch=epoch, **fields
        )
        return self.driver.ask(request).response

    def mixed(self) -> tuple[str, int]:
        """A consumer group of ``c`` and a classic member in its epoch: that one's id and epoch."""
        a = self.classic_leader()
        assert self.consume("c").error_code == 0
        joined = self.join(a.member_id, protocols=[("range", subscription(t=[0, 1, 2, 3]))])
        # It has to give up half of what it owns, and says so with another JoinGroup.
        self.sync(joined.member_id, joined.generation_id)
        joined = self.join(a.member_id, protocols=[("range", subscription(t=[0, 1]))])
        self.sync(joined.member_id, joined.generation_id)
        self.written()
        return joined.member_id, joined.generation_id


def owned(response: Any) -> dict[str, list[int]]:
    data = bytes(response.assignment)
    rows = ConsumerProtocolAssignment.decode_from(data, 2, data[1])[0].assigned_partitions
    return {row.topic: list(row.partitions) for row in rows}


# -- up --------------------------------------------------------------------------------------------


def test_a_classic_group_becomes_a_consumer_group() -> None:
    world = World()
    a = world.classic_leader()
    response = world.consume("c")
    assert (response.error_code, response.member_epoch) == (0, 2)
    assert response.assignment.topic_partitions == []
    assert world.written() == [
        "GroupMetadata tombstone",
        "MemberMetadata",
        "Metadata",
        "TargetAssignmentMember",
        "TargetAssignmentMetadata",
        "CurrentMemberAssignment",
        # c joins
        "MemberMetadata",
        "Metadata",
        *["TargetAssignmentMember"] * 2,
        "TargetAssignmentMetadata",
        "CurrentMemberAssignment",
    ]
    member = world.consumer_group.members[a.member_id]
    assert member.epoch == a.generation_id == 1
    assert member.assigned == {world.topic_id: dict.fromkeys(range(4), 1)}
    assert member.classic is not None
    assert [p.name for p in member.classic.supported_protocols] == ["range"]
    assert world.beat(a.member_id, 1) is ErrorCode.REBALANCE_IN_PROGRESS


def test_who_waits_in_the_classic_group_is_sent_to_rejoin() -> None:
    world = World()
    a = world.classic_leader()
    b_id = world.send_join().response.member_id
    waiting = world.send_join(b_id)
    assert waiting.response is None
    assert world.group.current is State.PREPARING
    assert world.consume("c").error_code == 0
    assert waiting.response.error_code == ErrorCode.REBALANCE_IN_PROGRESS
    assert waiting.response.member_id == b_id
    assert set(world.consumer_group.members) == {a.member_id, b_id, "c"}
    # Whoever waited for its assignment hears it as well.
    world = World()
    a = world.join()
    b = world.send_join(world.send_join().response.member_id)
    world.send_join(a.member_id)
    assert b.response.generation_id == 2
    request = SyncGroupRequest(
        group_id="g",
        member_id=b.response.member_id,
        generation_id=2,
        protocol_type="consumer",
        protocol_name="range",
    )
    syncing = world.driver.ask(request, "client", 5)
    assert syncing.response is None
    assert world.consume("c").error_code == 0
    assert syncing.response.error_code == ErrorCode.REBALANCE_IN_PROGRESS


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("disabled", "online upgrade is disabled"),
        ("DOWNGRADE", "online upgrade is disabled"),
        ("upgrade", None),
        ("Bidirectional", None),
    ],
)
def test_the_policy_for_upgrades(policy: str, why: str | None) -> None:
    world = World(**{POLICY: policy})
    world.classic_leader()
    response = world.consume("c")
    if why is None:
        assert response.error_code == 0
    else:
        assert response.error_code == ErrorCode.GROUP_ID_NOT_FOUND
        assert response.error_message == (
            f"Cannot upgrade classic group g to consumer group because {why}."
        )
        assert world.group.state == "Stable"


def test_groups_that_cannot_follow() -> None:
    world = World(**{"group.consumer.max.size": 1})
    world.classic_leader()
    b = world.send_join(world.send_join().response.member_id)
    response = world.consume("c")
    assert response.error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert "the group size exceeds the consumer group maximum size." in response.error_message
    assert b.response is None, "an upgrade that is refused leaves the group as it is"

    world = World()
    world.classic_leader(protocols=[("range", b"\0")])
    response = world.consume("c")
    assert response.error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert "the embedded consumer protocol is malformed." in response.error_message


def test_an_empty_classic_group_just_goes() -> None:
    world = World(**{POLICY: "disabled"})
    a = world.classic_leader()
    world.leave((a.member_id, None))
    assert world.group.state == "Empty"
    assert world.consume("c").member_epoch == 2
    assert isinstance(world.group, ConsumerGroup)


# -- classic members of a consumer group -----------------------------------------------------------


def test_a_classic_member_gives_up_and_takes_over() -> None:
    world = World()
    a = world.classic_leader()
    world.consume("c")
    joined = world.join(a.member_id, protocols=[("range", subscription(t=[0, 1, 2, 3]))])
    # It stays in its epoch until it has given up what it shall not keep.
    assert (joined.error_code, joined.generation_id, joined.leader) == (0, 1, "")
    synced = world.sync(a.member_id, 1)
    assert owned(synced) == {"t": [0, 1]}
    assert world.beat(a.member_id, 1) is ErrorCode.REBALANCE_IN_PROGRESS
    joined = world.join(a.member_id, protocols=[("range", subscription(t=[0, 1]))])
    assert joined.generation_id == 2
    assert owned(world.sync(a.member_id, 2)) == {"t": [0, 1]}
    assert world.beat(a.member_id, 2) is ErrorCode.NONE
    rows = world.consume("c", 2).assignment.topic_partitions
    assert [row.partitions for row in rows] == [[2, 3]]


def test_a_classic_member_rejoins_when_partitions_have_come_free() -> None:
    world = World()
    world.consume("c")
    joined = world.join()
    assert joined.error_code == 0
    assert owned(world.sync(joined.member_id, joined.generation_id)) == {}
    # c still owns everything: nothing to do yet.
    assert world.beat(joined.member_id, joined.generation_id) is ErrorCode.NONE
    row = ConsumerGroupHeartbeatRequest.TopicPartitions
    world.consume("c", 2)
    half = [row(topic_id=world.topic_id, partitions=[0, 1])]
    world.consume("c", 2, topic_partitions=half)
    assert world.beat(joined.member_id, joined.generation_id) is ErrorCode.REBALANCE_IN_PROGRESS
    again = world.join(joined.member_id)
    assert owned(world.sync(again.member_id, again.generation_id)) == {"t": [2, 3]}


def test_joining_needs_an_id_unless_it_is_old_or_static() -> None:
    world = World()
    world.consume("c")
    response = world.send_join().response
    assert response.error_code == ErrorCode.MEMBER_ID_REQUIRED
    assert response.member_id
    assert world.written()[-1] != "MemberMetadata"
    assert response.member_id not in world.consumer_group.members
    assert world.send_join(version=3).response.error_code == 0
    assert world.send_join(instance="i").response.error_code == 0
    assert len(world.consumer_group.members) == 3


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_an_assignment_is_in_the_version_of_the_members_subscription(version: int) -> None:
    world = World()
    world.consume("c")
    world.consume("c", -1)
    a = world.join()
    world.consume("c")
    joined = world.join(a.member_id, protocols=[("range", subscription(version=version))])
    data = bytes(world.sync(a.member_id, joined.generation_id).assignment)
    assert data[:2] == version.to_bytes(2, "big")


def test_version_0_has_one_timeout() -> None:
    world = World()
    world.consume("c")
    joined = world.send_join(version=0, session_timeout_ms=7_000).response
    assert world.consumer_group.members[joined.member_id].rebalance_timeout_ms == 7_000


def test_who_may_not_join() -> None:
    world = World(**{"group.consumer.max.size": 2})
    a_id, _ = world.mixed()
    full = world.send_join().response
    assert full.error_code == ErrorCode.GROUP_MAX_SIZE_REACHED
    for more in (
        {"protocol_type": "connect"},
        {"protocols": [("sticky", subscription())]},
        {"protocols": []},
    ):
        response = world.send_join(a_id, **more).response
        assert response.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL, more
    malformed = world.send_join(a_id, protocols=[("range", b"\0\3\0")]).response
    assert malformed.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert world.written() == []
    world.driver.settings[POLICY] = "disabled"
    response = world.send_join(a_id).response
    assert response.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_who_may_not_sync_or_heartbeat() -> None:
    world = World()
    a_id, epoch = world.mixed()
    for error, member_id, generation, more in (
        (ErrorCode.UNKNOWN_MEMBER_ID, "nobody", epoch, {}),
        (ErrorCode.UNKNOWN_MEMBER_ID, "c", epoch, {}),
        (ErrorCode.ILLEGAL_GENERATION, a_id, epoch - 1, {}),
        (ErrorCode.UNKNOWN_MEMBER_ID, a_id, epoch, {"instance": "i"}),
    ):
        assert world.sync(member_id, generation, **more).error_code == error
        assert world.beat(member_id, generation, **more) is error
    for more in ({"protocol_type": "connect"}, {"protocol_name": "sticky"}):
        response = world.sync(a_id, epoch, **more)
        assert response.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    # Another member came: there is a new target.
    world.consume("d")
    response = world.sync(a_id, epoch)
    assert response.error_code == ErrorCode.REBALANCE_IN_PROGRESS


def test_static_members_are_fenced_by_who_takes_their_place() -> None:
    world = World()
    world.consume("c")
    old = world.join(instance="i")
    new = world.join(instance="i")
    assert new.error_code == 0
    assert new.member_id != old.member_id
    fenced = ErrorCode.FENCED_INSTANCE_ID
    assert world.beat(old.member_id, old.generation_id, "i") is fenced
    assert world.sync(old.member_id, old.generation_id, "i").error_code == fenced
    assert world.send_join(old.member_id, instance="i").response.error_code == fenced
    unknown = world.send_join("x", instance="j").response
    assert unknown.error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_leaving() -> None:
    world = World()
    a_id, _ = world.mixed()
    static = world.join(instance="i")
    response = world.leave(("nobody", None), ("x", "i"), ("x", "j"), ("", "i"), (a_id, None))
    assert [row.error_code for row in response.members] == [
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.NONE,
        ErrorCode.NONE,
    ]
    assert static.member_id not in world.consumer_group.members
    assert set(world.consumer_group.members) == {"c"}
    # One epoch for both; and nothing for nobody.
    epoch = world.consumer_group.epoch
    assert world.leave(("nobody", None)).members[0].error_code == ErrorCode.UNKNOWN_MEMBER_ID
    assert world.consumer_group.epoch == epoch
    assert world.leave(("nobody", None), version=0).error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_time_outs_of_classic_members() -> None:
    # No heartbeat for the session time-out.
    world = World()
    a_id, epoch = world.mixed()
    world.driver.advance(9_000)
    assert world.beat(a_id, epoch) is ErrorCode.NONE
    world.driver.advance(9_999)
    assert a_id in world.consumer_group.members
    world.driver.advance(1)
    assert a_id not in world.consumer_group.members

    # Told to rejoin, but it only heartbeats: the rebalance time-out counts from the first time on.
    world = World()
    a_id, epoch = world.mixed()
    world.consume("d")
    for _ in range(4):
        assert world.beat(a_id, epoch) is ErrorCode.REBALANCE_IN_PROGRESS
        world.driver.advance(5_000)
        world.consume("c", world.consumer_group.members["c"].epoch)
    assert a_id not in world.consumer_group.members

    # Joined, but never asked for its assignment.
    world = World()
    world.consume("c")
    joined = world.join()
    for _ in range(4):
        assert world.beat(joined.member_id, joined.generation_id) is ErrorCode.NONE
        world.driver.advance(5_000)
    assert joined.member_id not in world.consumer_group.members


def test_classic_members_survive_a_restart_and_get_a_new_session() -> None:
    world = World()
    a_id, epoch = world.mixed()
    world.driver.restart()
    assert world.beat(a_id, epoch) is ErrorCode.NONE
    assert owned(world.sync(a_id, epoch)) == {"t": [0, 1]}


def test_commits_of_classic_members() -> None:
    world = World()
    a_id, epoch = world.mixed()
    for generation, error in ((epoch, ErrorCode.NONE), (epoch + 1, ErrorCode.ILLEGAL_GENERATION)):
        found = world.group.validate_offset_commit(
            a_id, None, generation, transactional=False, api_version=5
        )
        assert found is error


# -- down ------------------------------------------------------------------------------------------


def test_the_last_member_of_the_consumer_protocol_leaves() -> None:
    world = World()
    a_id, epoch = world.mixed()
    world.consume("c", -1)
    assert world.written() == [
        *["CurrentMemberAssignment tombstone"] * 2,
        *["TargetAssignmentMember tombstone"] * 2,
        "TargetAssignmentMetadata tombstone",
        *["MemberMetadata tombstone"] * 2,
        "PartitionMetadata tombstone",
        "Metadata tombstone",
        "GroupMetadata",
    ]
    group = world.group
    assert isinstance(group, ClassicGroup)
    assert (group.current, group.generation, group.leader_id) == (State.PREPARING, epoch, a_id)
    assert world.beat(a_id, epoch) is ErrorCode.REBALANCE_IN_PROGRESS
    joined = world.join(a_id)
    assert (joined.generation_id, joined.leader) == (epoch + 1, a_id)
    # Another coordinator finds the group with the classic members' parts of the last target.
    replayed: Any = world.driver.replayed(world.driver.log).groups["g"]
    assert isinstance(replayed, ClassicGroup)
    assert owned(replayed.members[a_id]) == {"t": [0, 1]}


def test_it_is_fenced() -> None:
    world = World()
    a_id, epoch = world.mixed()
    for _ in range(10):
        world.beat(a_id, epoch)
        world.driver.advance(5_000)
    assert isinstance(world.group, ClassicGroup)
    assert set(world.group.members) == {a_id}


def test_a_member_that_is_not_heard_of_after_the_downgrade_goes() -> None:
    world = World()
    world.mixed()
    world.consume("c", -1)
    world.driver.advance(10_000)
    assert world.group.state == "Empty"
    assert world.group.members == {}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({POLICY: "upgrade"}, "consumer"),
        ({POLICY: "downgrade"}, "classic"),
        ({"group.max.size": 0}, "consumer"),
    ],
)
def test_who_follows_downwards(settings: dict[str, Any], kind: str) -> None:
    world = World()
    world.mixed()
    world.driver.settings.update(settings)
    world.consume("c", -1)
    assert world.group.kind == kind


def test_a_group_without_members_is_not_downgraded() -> None:
    world = World()
    world.consume("c")
    world.consume("c", -1)
    assert world.consumer_group.state == "Empty"


def test_a_static_member_comes_back_as_a_classic_one() -> None:
    world = World()
    a = world.classic_leader()
    first = world.consume("c", instance_id="i")
    assert first.error_code == 0
    world.written()
    joined = world.join(instance="i")
    assert joined.error_code == 0
    group = world.group
    assert isinstance(group, ClassicGroup)
    # The target was up to date, so nobody has to rejoin.
    assert group.current is State.STABLE
    assert set(group.members) == {a.member_id, joined.member_id}
    assert owned(group.members[joined.member_id]) == {"t": [2, 3]}
    assert owned(group.members[a.member_id]) == {"t": [0, 1]}
    written = world.written()
    assert written[-1] == "GroupMetadata"
    assert written.count("MemberMetadata tombstone") == 3
    replayed: Any = world.driver.replayed(world.driver.log).groups["g"]
    assert set(replayed.members) == set(group.members)


def test_it_comes_back_with_other_topics() -> None:
    world = World()
    world.driver.make_topic("u", 1)
    a = world.classic_leader()
    world.consume("c", instance_id="i")
    joined = world.join(instance="i", protocols=[("range", subscription("u"))])
    assert joined.error_code == 0
    assert world.group.current is State.PREPARING
    assert world.beat(a.member_id, world.group.generation) is ErrorCode.REBALANCE_IN_PROGRESS
