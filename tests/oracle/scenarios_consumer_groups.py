"""Questions about groups of the consumer protocol (KIP-848), put to both brokers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kafka_py.protocol.registry import ApiKey
from tests.oracle.group_peers import (
    UNENDING_MS,
    Stage,
    assignment,
    join_and_sync,
    join_fields,
    subscription,
)
from tests.oracle.raw import UNKNOWN_ID, Recorder
from tests.oracle.scenarios_offsets import fetch, rows, simple

BEAT = ApiKey.CONSUMER_GROUP_HEARTBEAT
#: What every first heartbeat of a member says.
FIRST: dict[str, Any] = {"rebalance_timeout_ms": UNENDING_MS, "topic_partitions": []}


def fields(group: str, member: str, epoch: int, **more: Any) -> dict[str, Any]:
    """A heartbeat in which nothing has changed, but for ``more``."""
    return {
        "group_id": group,
        "member_id": member,
        "member_epoch": epoch,
        "instance_id": None,
        "rack_id": None,
        "rebalance_timeout_ms": -1,
        "subscribed_topic_names": None,
        "subscribed_topic_regex": None,
        "server_assignor": None,
        "topic_partitions": None,
        **more,
    }


def beat(s: Stage, group: str, member: str, epoch: int, version: int = 1, **more: Any) -> Any:
    """ConsumerGroupHeartbeat, recorded."""
    return s.ask(BEAT, version, **fields(group, member, epoch, **more))


def enter(s: Stage, group: str, member: str, *topics: str, **more: Any) -> Any:
    """The first heartbeat of a member that subscribes by names, recorded."""
    return beat(s, group, member, 0, **{**FIRST, "subscribed_topic_names": [*topics], **more})


def owning(topic_id: str, partitions: Sequence[int]) -> list[dict[str, Any]]:
    """What a member says it holds."""
    return [{"topic_id": topic_id, "partitions": [*partitions]}]


def describe(s: Stage, *groups: str, version: int = 1, **more: Any) -> Any:
    """ConsumerGroupDescribe, recorded."""
    return s.ask(ApiKey.CONSUMER_GROUP_DESCRIBE, version, group_ids=[*groups], **more)


def refused(r: Recorder) -> None:
    """Heartbeats that say too little, too much or nonsense."""
    r.create("groups-a", 4)
    good = fields("kg-refused", "m", 0, **FIRST, subscribed_topic_names=["groups-a"])
    with Stage(r) as s:
        for more in (
            {"group_id": ""},
            {"group_id": " "},
            {"member_id": ""},
            {"member_epoch": -3},
            {"member_epoch": 3},
            {"member_epoch": -1},
            {"member_epoch": -2},
            {"member_epoch": -2, "instance_id": "i"},
            {"rebalance_timeout_ms": -1},
            {"rebalance_timeout_ms": 0},
            {"topic_partitions": None},
            {"topic_partitions": owning(UNKNOWN_ID, [0])},
            {"subscribed_topic_names": None},
            {"subscribed_topic_names": []},
            {"instance_id": ""},
            {"rack_id": ""},
            {"server_assignor": ""},
            {"server_assignor": "nope"},
            {"subscribed_topic_regex": "("},
            {"subscribed_topic_names": None, "subscribed_topic_regex": "a(?=b)"},
            {"subscribed_topic_names": None, "subscribed_topic_regex": "*x"},
            {"subscribed_topic_names": None, "subscribed_topic_regex": ""},
            {"member_id": "m" * 100},
        ):
            # An id that the broker chooses would decide about the assignments that follow.
            for version in (1,) if more == {"member_id": ""} else (0, 1):
                s.ask(BEAT, version, **{**good, **more})
        describe(s, "kg-refused", "kg-nope", "")
        describe(s, "kg-nope", version=0, include_authorized_operations=True)
        describe(s)
        s.describe("kg-refused")


def alone(r: Recorder) -> None:
    """One member: joins, keeps silent, subscribes elsewhere, repeats itself, leaves."""
    topic_id = r.create("groups-a", 4)
    r.create("groups-b", 2)
    group = "kg-alone"
    with Stage(r) as s:
        first = enter(s, group, "m-a", "groups-a")
        describe(s, group, include_authorized_operations=True)
        describe(s, group, version=0)
        epoch = first.member_epoch
        mine = owning(topic_id, [0, 1, 2, 3])
        beat(s, group, "m-a", epoch, topic_partitions=mine)
        beat(s, group, "m-a", epoch)
        describe(s, group)
        # A heartbeat that tells everything gets everything.
        whole = {"rebalance_timeout_ms": UNENDING_MS, "subscribed_topic_names": ["groups-a"]}
        beat(s, group, "m-a", epoch, **whole, topic_partitions=mine)
        for wrong in (epoch - 1, epoch + 1, 99):
            beat(s, group, "m-a", wrong)
        beat(s, group, "m-z", epoch)
        beat(s, group, "m-a", epoch, rebalance_timeout_ms=UNENDING_MS // 2)
        beat(s, group, "m-a", epoch, server_assignor="range")
        describe(s, group)
        epoch = s.r.quiet(BEAT, 1, **fields(group, "m-a", epoch)).member_epoch
        both = beat(s, group, "m-a", epoch, subscribed_topic_names=["groups-a", "groups-b"])
        epoch = both.member_epoch
        nothing = beat(s, group, "m-a", epoch, subscribed_topic_names=["groups-nope"])
        describe(s, group)
        beat(s, group, "m-a", nothing.member_epoch, topic_partitions=[])
        describe(s, group)
        again = enter(s, group, "m-a", "groups-a")
        describe(s, group)
        # Every other API of groups, on a group of this kind.
        s.describe(group)
        s.describe(group, version=5)
        s.ask(ApiKey.DELETE_GROUPS, 2, groups_names=[group])
        s.ask(ApiKey.JOIN_GROUP, 9, **join_fields(group, protocol_type="connect"))
        s.ask(ApiKey.HEARTBEAT, 4, group_id=group, generation_id=1, member_id="m-a")
        beat(s, group, "m-a", -1)
        describe(s, group)
        beat(s, group, "m-a", again.member_epoch)
        beat(s, group, "m-a", -1)
        s.ask(ApiKey.DELETE_GROUPS, 2, groups_names=[group])
        describe(s, group)


def given_id(r: Recorder) -> None:
    """Version 0 lets the broker choose the member's id."""
    r.create("groups-a", 4)
    with Stage(r) as s:
        words = fields("kg-given", "", 0, **FIRST, subscribed_topic_names=["groups-a"])
        reply = r.quiet(BEAT, 0, **words)
        s.name(reply.member_id, "M")
        r.note("given", [reply.error_code, len(reply.member_id) > 20, reply.member_epoch])
        beat(s, "kg-given", reply.member_id, reply.member_epoch, 0)
        beat(s, "kg-given", reply.member_id, -1, 0)


def reconciling(r: Recorder) -> None:
    """Three members come and go; each step of giving up and taking over."""
    topic_id = r.create("groups-a", 4)
    group = "kg-three"
    with Stage(r) as s:
        a = enter(s, group, "m-a", "groups-a")
        beat(s, group, "m-a", a.member_epoch, topic_partitions=owning(topic_id, range(4)))
        b = enter(s, group, "m-b", "groups-a")
        describe(s, group)
        beat(s, group, "m-b", b.member_epoch, topic_partitions=[])
        told = beat(s, group, "m-a", a.member_epoch)
        kept = [p for t in told.assignment.topic_partitions for p in t.partitions]
        beat(s, group, "m-a", told.member_epoch)
        describe(s, group)
        c = enter(s, group, "m-c", "groups-a")
        done = beat(s, group, "m-a", told.member_epoch, topic_partitions=owning(topic_id, kept))
        describe(s, group)
        beat(s, group, "m-b", b.member_epoch)
        beat(s, group, "m-c", c.member_epoch)
        epochs = {"m-a": done.member_epoch, "m-b": b.member_epoch, "m-c": c.member_epoch}
        _settle(s, group, topic_id, epochs)
        describe(s, group)
        enter(s, group, "m-d", "groups-a")
        beat(s, group, "m-b", -1)
        del epochs["m-b"]
        _settle(s, group, topic_id, epochs)
        describe(s, group)
        # A member that lost the answer says its former epoch and what it held then.
        beat(s, group, "m-a", epochs["m-a"] - 1)
        beat(s, group, "m-a", epochs["m-a"] - 1, topic_partitions=owning(topic_id, range(4)))
        for member in epochs:
            beat(s, group, member, -1)
        describe(s, group)


def _settle(
    s: Stage, group: str, topic_id: str, epochs: dict[str, int], rounds: int = 6
) -> dict[str, list[int]]:
    """Heartbeats in turn, doing what is asked for, until nothing changes: what each holds."""
    held: dict[str, list[int]] = {}
    for _ in range(rounds):
        for member in epochs:
            words: dict[str, Any] = {}
            if member in held:
                words["topic_partitions"] = owning(topic_id, held[member]) if held[member] else []
            reply = beat(s, group, member, epochs[member], **words)
            if reply.error_code:
                continue
            epochs[member] = reply.member_epoch
            if reply.assignment is not None:
                found = reply.assignment.topic_partitions
                held[member] = [p for t in found for p in t.partitions]
    return held


def static(r: Recorder) -> None:
    """Instance ids: leaving for a while, coming back, being replaced too early."""
    topic_id = r.create("groups-a", 4)
    group = "kg-static"
    with Stage(r) as s:
        a = enter(s, group, "m-a", "groups-a", instance_id="one")
        enter(s, group, "m-b", "groups-a", instance_id="one")
        enter(s, group, "m-c", "groups-a", instance_id="two")
        beat(s, group, "m-a", a.member_epoch, topic_partitions=owning(topic_id, [0, 1]))
        beat(s, group, "m-a", a.member_epoch, instance_id="two")
        beat(s, group, "m-a", a.member_epoch, instance_id="one")
        beat(s, group, "m-a", a.member_epoch, instance_id="three")
        describe(s, group)
        beat(s, group, "m-a", -2, instance_id="one")
        describe(s, group)
        beat(s, group, "m-a", a.member_epoch, instance_id="one")
        back = enter(s, group, "m-a2", "groups-a", instance_id="one")
        describe(s, group)
        beat(s, group, "m-a", back.member_epoch, instance_id="one")
        beat(s, group, "m-a2", -1, instance_id="one")
        beat(s, group, "m-c", -2, instance_id="two")
        beat(s, group, "m-c", -1, instance_id="two")
        beat(s, group, "m-c", -2, instance_id="never")
        describe(s, group)


def assignors(r: Recorder) -> None:
    """Range and uniform, votes for one of them, members with unequal subscriptions, racks."""
    topic_id = r.create("groups-a", 4)
    r.create("groups-seven", 7)
    with Stage(r) as s:
        for assignor in ("range", "uniform"):
            group = f"kg-{assignor}"
            for member in ("m-a", "m-b", "m-c"):
                enter(s, group, member, "groups-seven", server_assignor=assignor, rack_id="r1")
            describe(s, group)
        group = "kg-votes"
        a = enter(s, group, "m-a", "groups-a", server_assignor="range")
        describe(s, group)
        b = enter(s, group, "m-b", "groups-a", server_assignor="uniform")
        enter(s, group, "m-c", "groups-a", server_assignor="uniform")
        describe(s, group)
        epochs = {"m-a": a.member_epoch, "m-b": b.member_epoch}
        _settle(s, group, topic_id, epochs, 2)
        group = "kg-unequal"
        enter(s, group, "m-a", "groups-a", "groups-seven")
        enter(s, group, "m-b", "groups-a")
        enter(s, group, "m-c", "groups-nope")
        describe(s, group)


def regexes(r: Recorder) -> None:
    """A subscription by pattern, alone and beside names; topics that come later."""
    r.create("regex-one", 2)
    group = "kg-regex"
    with Stage(r) as s:
        words = {**FIRST, "subscribed_topic_regex": "regex-.*"}
        first = r.quiet(BEAT, 1, **fields(group, "m-a", 0, **words))
        epoch = _await(r, group, "m-a", first.member_epoch, first)
        describe(s, group)
        both = fields(group, "m-b", 0, **words, subscribed_topic_names=["groups-a"])
        r.quiet(BEAT, 1, **both)
        r.settle(3)
        describe(s, group)
        r.quiet(BEAT, 1, **fields(group, "m-b", -1))
        beat(s, group, "m-a", epoch, subscribed_topic_regex="(")
        gone = fields(group, "m-a", epoch, subscribed_topic_regex="")
        r.quiet(BEAT, 1, **gone)
        r.settle(3)
        describe(s, group)


def _await(r: Recorder, group: str, member: str, epoch: int, reply: Any) -> int:
    """Heartbeats until there is an assignment (resolving a pattern takes a moment)."""
    deadline = time.monotonic() + 30
    while reply.assignment is None or not reply.assignment.topic_partitions:
        assert time.monotonic() < deadline, reply
        time.sleep(0.1)
        reply = r.quiet(BEAT, 1, **fields(group, member, epoch))
        epoch = reply.member_epoch
    return epoch


def timing_out(r: Recorder) -> None:
    """Sessions by the group's own config; partitions that are not given up in time."""
    topic_id = r.create("groups-a", 4)
    with Stage(r) as s:
        for group, name, value in (
            ("kg-session", "consumer.session.timeout.ms", "300"),
            ("kg-session", "consumer.heartbeat.interval.ms", "300"),
            ("kg-session", "consumer.session.timeout.ms", "1000"),
            ("kg-slow", "consumer.heartbeat.interval.ms", "200"),
        ):
            row = {"name": name, "config_operation": 0, "value": value}
            resource = {"resource_type": 32, "resource_name": group, "configs": [row]}
            s.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, resources=[resource])
        r.settle(3)
        a = enter(s, "kg-session", "m-a", "groups-a")
        one = enter(s, "kg-slow", "m-a", "groups-a", rebalance_timeout_ms=1000)
        beat(s, "kg-slow", "m-a", one.member_epoch, topic_partitions=owning(topic_id, range(4)))
        enter(s, "kg-slow", "m-b", "groups-a")
        told = beat(s, "kg-slow", "m-a", one.member_epoch)
        time.sleep(2)
        beat(s, "kg-session", "m-a", a.member_epoch)
        describe(s, "kg-session")
        beat(s, "kg-slow", "m-a", told.member_epoch)
        describe(s, "kg-slow")
        enter(s, "kg-session", "m-a", "groups-a")


def assignment_interval(r: Recorder) -> None:
    """A group that is to be assigned at most once in two seconds (the other groups: at once)."""
    topic_id = r.create("groups-a", 4)
    group = "kg-interval"
    row = {"name": "consumer.assignment.interval.ms", "config_operation": 0, "value": "2000"}
    resource = {"resource_type": 32, "resource_name": group, "configs": [row]}
    with Stage(r) as s:
        s.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, resources=[resource])
        r.settle(3)
        a = enter(s, group, "m-a", "groups-a")
        b = enter(s, group, "m-b", "groups-a")
        beat(s, group, "m-a", a.member_epoch, topic_partitions=owning(topic_id, range(4)))
        describe(s, group)
        time.sleep(2.2)
        beat(s, group, "m-b", b.member_epoch)
        beat(s, group, "m-a", a.member_epoch)
        describe(s, group)


def crowding(r: Recorder) -> None:
    """group.consumer.max.size (3 here)."""
    r.create("groups-a", 4)
    with Stage(r) as s:
        for member in ("m-a", "m-b", "m-c", "m-d"):
            enter(s, "kg-crowd", member, "groups-a")
        enter(s, "kg-crowd", "m-a", "groups-a")
        describe(s, "kg-crowd")


def metadata_changes(r: Recorder) -> None:
    """Partitions are added, a subscribed topic comes into being, one goes."""
    r.create("grows", 1)
    group = "kg-grows"
    with Stage(r) as s:
        epoch = enter(s, group, "m-a", "grows", "grows-later").member_epoch
        more = [{"name": "grows", "count": 3, "assignments": None}]
        r.quiet(ApiKey.CREATE_PARTITIONS, 3, topics=more, timeout_ms=9000)
        r.settle(3)
        epoch = beat(s, group, "m-a", epoch).member_epoch
        describe(s, group)
        r.create("grows-later", 1)
        r.settle(3)
        epoch = beat(s, group, "m-a", epoch).member_epoch
        describe(s, group)
        r.quiet(ApiKey.DELETE_TOPICS, 5, topic_names=["grows-later"], timeout_ms=9000)
        r.settle(3)
        beat(s, group, "m-a", epoch)
        describe(s, group)


def offsets(r: Recorder) -> None:
    """Commits and fetches by members of this kind, and by others."""
    topic_id = r.create("groups-a", 4)
    group = "kg-offsets"
    good = rows("groups-a", (0, 5), topic_id=topic_id)
    asked = [{"name": "groups-a", "topic_id": topic_id, "partition_indexes": [0]}]
    with Stage(r) as s:
        epoch = enter(s, group, "m-a", "groups-a").member_epoch
        for version in (2, 8, 9, 10):
            for member, number in (
                ("m-a", epoch),
                ("m-a", epoch + 1),
                ("m-a", epoch - 1),
                ("m-a", -1),
                ("nobody", epoch),
                ("", -1),
            ):
                words = {"member_id": member, "generation_id_or_member_epoch": number}
                s.ask(ApiKey.OFFSET_COMMIT, version, **{**simple(group, good), **words})
        for version in (8, 9, 10):
            for member, number in (
                ("m-a", epoch),
                ("m-a", epoch + 1),
                ("m-a", -1),
                ("nobody", 0),
                (None, -1),
                ("", -1),
            ):
                fetch(s, version, group, asked, member_id=member, member_epoch=number)
        gone = [{"name": "groups-a", "partitions": [{"partition_index": 0}]}]
        s.ask(ApiKey.OFFSET_DELETE, group_id=group, topics=gone)
        beat(s, group, "m-a", -1)
        s.ask(ApiKey.OFFSET_COMMIT, 9, **simple(group, good))
        s.ask(ApiKey.OFFSET_DELETE, group_id=group, topics=gone)
        s.ask(ApiKey.DELETE_GROUPS, 2, groups_names=[group])
        fetch(s, 9, group, None)


def migrating(r: Recorder) -> None:
    """Online, both ways: a classic member and one of the new protocol in one group."""
    topic_id = r.create("groups-a", 4)
    group = "kg-migrates"
    metadata = [{"name": "range", "metadata": subscription("groups-a")}]
    with Stage(r) as s:
        a = s.peer()
        ma, generation = join_and_sync(s, a, group, "A")
        words = {"member_id": ma, "generation_id_or_member_epoch": generation}
        good = rows("groups-a", (0, 5), topic_id=topic_id)
        s.ask(ApiKey.OFFSET_COMMIT, 9, **{**simple(group, good), **words})
        b = enter(s, group, "m-b", "groups-a")
        describe(s, group)
        s.describe(group)
        a.ask(ApiKey.HEARTBEAT, 4, group_id=group, generation_id=generation, member_id=ma)
        held = {"groups-a": [0, 1]}
        mine = [{"name": "range", "metadata": subscription("groups-a", owned=held)}]
        joined = a.ask(ApiKey.JOIN_GROUP, 9, **join_fields(group, ma, protocols=mine))
        sync = {
            "group_id": group,
            "generation_id": joined.generation_id,
            "member_id": ma,
            "group_instance_id": None,
            "protocol_type": "consumer",
            "protocol_name": "range",
            "assignments": [{"member_id": ma, "assignment": assignment(held)}],
        }
        a.ask(ApiKey.SYNC_GROUP, 5, **sync)
        beat(s, group, "m-b", b.member_epoch, topic_partitions=[])
        generation = joined.generation_id
        a.ask(ApiKey.HEARTBEAT, 4, group_id=group, generation_id=generation, member_id=ma)
        describe(s, group)
        fetch(s, 9, group, None)
        # The last member of the new protocol goes: a classic group again.
        beat(s, group, "m-b", -1)
        s.describe(group)
        describe(s, group)
        a.ask(ApiKey.HEARTBEAT, 4, group_id=group, generation_id=generation, member_id=ma)
        a.ask(ApiKey.JOIN_GROUP, 9, **join_fields(group, ma, protocols=metadata))
        s.describe(group)
        # Groups of other kinds do not migrate.
        c = s.peer()
        words = {"protocol_type": "connect", "protocols": [{"name": "c", "metadata": "00"}]}
        join_and_sync(s, c, "kg-connect", "C", **words)
        enter(s, "kg-connect", "m-a", "groups-a")
        # An empty classic group becomes one of the new kind at once, its offsets stay.
        s.ask(ApiKey.OFFSET_COMMIT, 9, **simple("kg-empty", good))
        enter(s, "kg-empty", "m-a", "groups-a")
        fetch(s, 9, "kg-empty", None)
        # A classic member into a group of the new kind.
        d = s.peer()
        first = d.quiet(ApiKey.JOIN_GROUP, 9, **join_fields("kg-empty"))
        md = s.name(first.member_id, "D")
        r.note("classic first", [first.error_code, first.generation_id])
        d.ask(ApiKey.JOIN_GROUP, 9, **join_fields("kg-empty", md, protocols=mine))
        describe(s, "kg-empty")
        d.ask(ApiKey.LEAVE_GROUP, 5, group_id="kg-empty", members=[{"member_id": md}])
        describe(s, "kg-empty")


SCENARIOS = (
    refused,
    alone,
    given_id,
    reconciling,
    static,
    assignors,
    regexes,
    timing_out,
    assignment_interval,
    crowding,
    metadata_changes,
    offsets,
    migrating,
)
