"""Questions about classic groups and committed offsets, put to both brokers."""

from __future__ import annotations

import time
from typing import Any

from kafka_py.protocol.registry import API, ApiKey
from tests.oracle.group_peers import (
    Peer,
    Stage,
    admit,
    assignment,
    join_and_sync,
    join_fields,
    subscription,
)
from tests.oracle.raw import Recorder

JOIN, SYNC, BEAT, LEAVE = (
    ApiKey.JOIN_GROUP,
    ApiKey.SYNC_GROUP,
    ApiKey.HEARTBEAT,
    ApiKey.LEAVE_GROUP,
)


def beat(peer: Peer, group: str, generation: int, member: str, version: int = 4, **more: Any):
    """Heartbeat, recorded."""
    return peer.ask(
        BEAT, version, group_id=group, generation_id=generation, member_id=member, **more
    )


def sync_fields(group: str, generation: int, member: str, **more: Any) -> dict[str, Any]:
    """A follower's SyncGroup; ``more`` overrides."""
    return {
        "group_id": group,
        "generation_id": generation,
        "member_id": member,
        "group_instance_id": None,
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": [],
        **more,
    }


def given(**partitions: list[int]) -> str:
    """An assignment of partitions of groups-a."""
    return assignment({"groups-a": partitions.get("p", [])})


def before_the_topic(r: Recorder) -> None:
    """Nobody has asked for a coordinator yet, so __consumer_offsets is not there; then it is."""
    offsets = [{"name": "__consumer_offsets"}]
    with Stage(r) as s:
        s.ask(JOIN, 9, **join_fields("cg-early"))
        s.ask(BEAT, 4, group_id="cg-early", generation_id=1, member_id="x")
        s.ask(ApiKey.OFFSET_FETCH, 8, groups=[{"group_id": "cg-early", "topics": None}])
        s.ask(ApiKey.LIST_GROUPS, 5)
        s.describe("cg-early")
        s.ask(ApiKey.DELETE_GROUPS, 2, groups_names=["cg-early"])
        s.ask(ApiKey.METADATA, 12, topics=offsets, allow_auto_topic_creation=False)
        asked = {"coordinator_keys": ["cg-early"], "key_type": 0}
        r.quiet(ApiKey.FIND_COORDINATOR, 4, **asked)
        deadline = time.monotonic() + 20
        while r.quiet(ApiKey.FIND_COORDINATOR, 4, **asked).coordinators[0].error_code:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        while r.quiet(ApiKey.LIST_GROUPS, 5).error_code:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        r.settle(3)
        s.ask(ApiKey.METADATA, 12, topics=offsets, allow_auto_topic_creation=False)
        row = {"resource_type": 2, "resource_name": "__consumer_offsets"}
        row = {**row, "configuration_keys": ["cleanup.policy", "segment.bytes", "compression.type"]}
        s.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row])
        s.ask(ApiKey.LIST_GROUPS, 5)


def join_errors(r: Recorder) -> None:
    """What JoinGroup refuses, in the first version and the last."""
    r.create("groups-a", 4)
    with Stage(r) as s:
        for more in (
            {"group_id": ""},
            {"session_timeout_ms": 1},
            {"session_timeout_ms": 99_999_999},
            {"session_timeout_ms": -1},
            {"member_id": "never-seen"},
            {"protocols": []},
            {"protocol_type": ""},
            {"protocols": [], "protocol_type": ""},
            {"group_instance_id": "", "member_id": "x"},
            {"group_instance_id": "never-seen", "member_id": "x"},
        ):
            s.ask(JOIN, 5, **{**join_fields("cg-refused"), **more})
            s.ask(JOIN, 9, **{**join_fields("cg-refused"), **more})
        s.describe("cg-refused")
        a = s.peer()
        member, _ = join_and_sync(s, a, "cg-strict", "A")
        for more in (
            {"protocol_type": "connect"},
            {"protocols": [{"name": "other", "metadata": "00"}]},
            {"member_id": "never-seen"},
            {"member_id": member, "protocols": [{"name": "other", "metadata": "00"}]},
            {"member_id": member, "protocol_type": "connect"},
            {"member_id": member, "group_instance_id": "stranger"},
        ):
            for version in (5, 9):
                s.ask(JOIN, version, **{**join_fields("cg-strict"), **more})
        s.describe("cg-strict")


def every_version(r: Recorder) -> None:
    """A lone member's life in every version of the four APIs."""
    r.create("groups-a", 4)
    with Stage(r) as s:
        for version in range(10):
            group, a = f"cg-v{version}", s.peer()
            fields = join_fields(group)
            joined = a.quiet(JOIN, version, **fields)
            member = s.name(joined.member_id, "A")
            r.note(f"first join v{version}", [joined.error_code, joined.generation_id])
            if joined.error_code:
                joined = a.ask(JOIN, version, **{**fields, "member_id": member})
            else:
                r.note("joined", s.masked(str(joined.to_dict())))
            generation = joined.generation_id
            mine = [{"member_id": member, "assignment": given(p=[0, 1])}]
            a.ask(SYNC, min(version, 5), **sync_fields(group, generation, member, assignments=mine))
            beat(a, group, generation, member, min(version, 4))
            s.describe(group, version=min(version, 6))
            # The same again: who is stable gets the same generation, or rebalances as the leader.
            again = a.ask(JOIN, version, **{**fields, "member_id": member, "reason": "again"})
            generation = again.generation_id
            beat(a, group, generation, member, min(version, 4))
            a.ask(SYNC, min(version, 5), **sync_fields(group, generation, member, assignments=mine))
            leaver = {"member_id": member, "group_instance_id": None, "reason": "tired"}
            a.ask(LEAVE, min(version, 5), group_id=group, member_id=member, members=[leaver])
            beat(a, group, generation, member, min(version, 4))
            s.describe(group, version=min(version, 6))


def two_members(r: Recorder) -> None:
    """A rebalance seen from both sides: parked joins and syncs, and every wrong word meanwhile."""
    r.create("groups-a", 4)
    group = "cg-two"
    with Stage(r) as s:
        a, b = s.peer(), s.peer()
        ma, generation = join_and_sync(s, a, group, "A")
        mb = admit(s, b, group, "B")
        beat(a, group, generation, ma)
        b.send(JOIN, 9, **join_fields(group, mb))
        b.parked()
        s.describe(group)
        beat(a, group, generation, ma)
        beat(a, group, generation + 1, ma)
        beat(a, group, generation, "nobody")
        a.ask(SYNC, 5, **sync_fields(group, generation, ma))
        a.ask(JOIN, 9, **join_fields(group, ma))
        joined = b.take()
        r.note("in step", joined.generation_id == generation + 1)
        generation = joined.generation_id
        s.describe(group)
        for more in (
            {"generation_id": generation - 1},
            {"member_id": "nobody"},
            {"protocol_type": "connect"},
            {"protocol_name": "sticky"},
            {"group_id": "cg-nowhere"},
            {"group_id": ""},
            {"group_instance_id": "stranger"},
        ):
            s.ask(SYNC, 5, **{**sync_fields(group, generation, mb), **more})
        beat(a, group, generation, ma)
        b.send(SYNC, 5, **sync_fields(group, generation, mb))
        b.parked()
        shares = [
            {"member_id": ma, "assignment": given(p=[0, 1])},
            {"member_id": mb, "assignment": given(p=[2, 3])},
        ]
        a.ask(SYNC, 5, **sync_fields(group, generation, ma, assignments=shares))
        b.take()
        s.describe(group)
        # Asked again, a stable group tells the same; a follower that joins unchanged as well.
        b.ask(SYNC, 5, **sync_fields(group, generation, mb))
        b.ask(JOIN, 9, **join_fields(group, mb))
        beat(a, group, generation, ma)
        # A follower with other topics makes all join anew.
        other = [{"name": "range", "metadata": subscription("groups-a", "groups-z")}]
        b.send(JOIN, 9, **join_fields(group, mb, protocols=other))
        b.parked()
        beat(a, group, generation, ma)
        a.ask(JOIN, 9, **join_fields(group, ma))
        generation = b.take().generation_id
        # One leaves while the others complete: the next heartbeat says so.
        b.ask(LEAVE, 5, group_id=group, members=[{"member_id": mb, "reason": "done"}])
        beat(a, group, generation, ma)
        s.describe(group)
        a.ask(JOIN, 9, **join_fields(group, ma))
        s.describe(group)


def protocol_choice(r: Recorder) -> None:
    """Which protocol is chosen among those that all know: by votes."""
    r.create("groups-a", 4)
    group = "cg-choice"

    def known(*names: str) -> list[dict[str, str]]:
        return [{"name": n, "metadata": subscription("groups-a")} for n in names]

    with Stage(r) as s:
        a, b = s.peer(), s.peer()
        more = {"protocols": known("range", "roundrobin", "sticky")}
        ma, _ = join_and_sync(s, a, group, "A", **more)
        mb = admit(s, b, group, "B", protocols=known("sticky", "roundrobin"))
        b.send(JOIN, 9, **join_fields(group, mb, protocols=known("sticky", "roundrobin")))
        a.ask(JOIN, 9, **join_fields(group, ma, **more))
        b.take()
        s.describe(group)
        # Now range is not known to all any more.
        a.send(JOIN, 9, **join_fields(group, ma, protocols=known("roundrobin", "sticky")))
        b.ask(JOIN, 9, **join_fields(group, mb, protocols=known("roundrobin")))
        a.take()
        s.ask(JOIN, 9, **join_fields(group, protocols=known("range")))
        s.describe(group)
        connect = "cg-connect"
        words = {
            "protocol_type": "connect",
            "protocols": [{"name": "compatible", "metadata": "00"}],
        }
        c = s.peer()
        join_and_sync(s, c, connect, "C", **words)
        s.describe(connect)


def static_members(r: Recorder) -> None:
    """group.instance.id: replaced without a rebalance, fenced, thrown out by an administrator."""
    r.create("groups-a", 4)
    group = "cg-static"
    with Stage(r) as s:
        a, b, c = s.peer(), s.peer(), s.peer()
        ma, generation = join_and_sync(s, a, group, "A", group_instance_id="one")
        s.describe(group)
        beat(a, group, generation, ma, group_instance_id="one")
        beat(a, group, generation, ma, group_instance_id="two")
        beat(a, group, generation, ma)
        # The same instance comes back: first as an unknown member id, then without one.
        c.ask(JOIN, 9, **join_fields(group, "wrong", group_instance_id="one"))
        for version in (5, 9):
            back = c.quiet(JOIN, version, **join_fields(group, group_instance_id="one"))
            ma2 = s.name(back.member_id, f"A{version}")
            r.note(f"back v{version}", s.masked(str(back.to_dict())))
            mine = [{"member_id": ma2, "assignment": given(p=[0, 1])}]
            fields = sync_fields(group, back.generation_id, ma2, assignments=mine)
            c.ask(SYNC, 5, **{**fields, "group_instance_id": "one"})
            generation = back.generation_id
            s.describe(group)
        beat(a, group, generation, ma, group_instance_id="one")
        a.ask(JOIN, 9, **join_fields(group, ma, group_instance_id="one"))
        a.ask(SYNC, 5, **sync_fields(group, generation, ma, group_instance_id="one"))
        one = [{"name": "groups-a", "partitions": [{"partition_index": 0, "committed_offset": 1}]}]
        mine = {"group_id": group, "generation_id_or_member_epoch": generation, "topics": one}
        a.ask(ApiKey.OFFSET_COMMIT, 9, **mine, member_id=ma, group_instance_id="one")
        a.ask(ApiKey.OFFSET_COMMIT, 9, **mine, member_id=ma2, group_instance_id="one")
        a.ask(ApiKey.OFFSET_COMMIT, 9, **mine, member_id=ma2, group_instance_id="nobody")
        # It comes back with other topics: that is a rebalance.
        other = [{"name": "range", "metadata": subscription("groups-a", "groups-z")}]
        changed = join_fields(group, group_instance_id="one", protocols=other)
        back = b.quiet(JOIN, 9, **changed)
        ma3 = s.name(back.member_id, "A3")
        r.note("back with other topics", s.masked(str(back.to_dict())))
        s.describe(group)
        mine = [{"member_id": ma3, "assignment": given(p=[0])}]
        fields = sync_fields(group, back.generation_id, ma3, assignments=mine)
        b.ask(SYNC, 5, **{**fields, "group_instance_id": "one"})
        for rows in (
            [{"member_id": "wrong", "group_instance_id": "one"}],
            [{"member_id": "", "group_instance_id": "nobody"}],
            [{"member_id": "nobody", "group_instance_id": None}],
            [
                {"member_id": "", "group_instance_id": "one"},
                {"member_id": "x", "group_instance_id": None},
            ],
            [{"member_id": "", "group_instance_id": "one"}],
            [],
        ):
            s.ask(LEAVE, 5, group_id=group, members=rows)
        s.describe(group)


def leaving(r: Recorder) -> None:
    """LeaveGroup of unknown groups and members, of those about to join, of several."""
    r.create("groups-a", 4)
    with Stage(r) as s:
        nobody = [{"member_id": "nobody", "group_instance_id": None}]
        s.ask_all(LEAVE, 0, 5, group_id="cg-nowhere", member_id="nobody", members=nobody)
        s.ask_all(LEAVE, 2, 5, group_id="", member_id="nobody", members=nobody)
        for version in range(6):
            group = f"cg-leave{version}"
            a, b = s.peer(), s.peer()
            ma, _ = join_and_sync(s, a, group, "A")
            mb = admit(s, b, group, "B")
            rows = [*nobody, {"member_id": mb}, {"member_id": ma}]
            s.ask(LEAVE, version, group_id=group, member_id=mb, members=rows)
            s.ask(LEAVE, version, group_id=group, member_id=ma, members=rows)
            s.describe(group)
            b.ask(JOIN, 9, **join_fields(group, mb))


def crowding(r: Recorder) -> None:
    """group.max.size (3 here): the fourth is sent away, whether it waits or the group is stable."""
    r.create("groups-a", 4)
    group = "cg-crowd"
    quick = {"session_timeout_ms": 1500, "rebalance_timeout_ms": 1500}
    with Stage(r) as s:
        a, b, c, d = (s.peer() for _ in range(4))
        ma, _ = join_and_sync(s, a, group, "A")
        mb, mc = admit(s, b, group, "B"), admit(s, c, group, "C")
        b.send(JOIN, 9, **join_fields(group, mb))
        c.send(JOIN, 9, **join_fields(group, mc))
        c.parked()
        # What counts in a rebalance is who waits for it: there is room for one more.
        s.ask(JOIN, 9, **join_fields(group, **quick))
        d.send(JOIN, 3, **join_fields(group))
        d.parked()
        for version in (3, 5, 9):
            s.ask(JOIN, version, **join_fields(group))
            s.ask(JOIN, version, **join_fields(group, group_instance_id="x"))
        a.ask(JOIN, 9, **join_fields(group, ma))
        ids: list[str] = []
        for peer, name in ((b, "B"), (c, "C"), (d, "D")):
            ids.append(s.name(peer.take(record=False).member_id, name))
        s.describe(group)
        for version in (3, 9):
            s.ask(JOIN, version, **join_fields(group))
            s.ask(JOIN, version, **join_fields(group, ma))
        for member in ids:
            s.ask(LEAVE, 5, group_id=group, members=[{"member_id": member}])
        s.describe(group)


def timing_out(r: Recorder) -> None:
    """Sessions, rebalances and syncs that take too long; members that only fetched an id."""
    r.create("groups-a", 4)
    with Stage(r) as s:
        quick = {"session_timeout_ms": 1500, "rebalance_timeout_ms": 1500}
        a, b, c, d = (s.peer() for _ in range(4))
        # A session ends.
        ma, generation = join_and_sync(s, a, "cg-session", "A", **quick)
        # A member does not come to the rebalance: the other becomes the leader.
        join_and_sync(s, b, "cg-late", "B", rebalance_timeout_ms=2500)
        mc = admit(s, c, "cg-late", "C")
        began = time.monotonic()
        c.send(JOIN, 9, **join_fields("cg-late", mc, rebalance_timeout_ms=2500))
        c.parked()
        joined = c.take()
        r.note("after its time", time.monotonic() - began > 2.2)
        s.describe("cg-late")
        # The new leader does not send the assignment: both are thrown out in the end.
        beat(c, "cg-late", joined.generation_id, mc)
        s.wait_for_state("cg-late", "Empty")
        s.describe("cg-late")
        beat(c, "cg-late", joined.generation_id, mc)
        s.wait_for_state("cg-session", "Empty")
        s.describe("cg-session")
        beat(a, "cg-session", generation, ma)
        a.ask(JOIN, 9, **join_fields("cg-session", ma))
        # Somebody has an id and does not join: a rebalance waits until the id is forgotten.
        me, _ = join_and_sync(s, a, "cg-pending", "E")
        began = time.monotonic()
        md = admit(s, d, "cg-pending", "D", session_timeout_ms=3000)
        a.send(JOIN, 9, **join_fields("cg-pending", me))
        a.parked()
        a.take()
        r.note("waited for the one that only has an id", time.monotonic() - began > 2.7)
        d.ask(JOIN, 9, **join_fields("cg-pending", md))


def heartbeats(r: Recorder) -> None:
    """Heartbeat to groups and members that are not there, in every version."""
    with Stage(r) as s:
        words = {"generation_id": 1, "member_id": "nobody"}
        s.ask_all(BEAT, 0, 4, group_id="cg-nowhere", **words)
        s.ask_all(BEAT, 0, 4, group_id="", **words)
        s.ask_all(SYNC, 0, 5, **sync_fields("cg-nowhere", 1, "nobody"))
        a = s.peer()
        ma, generation = join_and_sync(s, a, "cg-beat", "A")
        for wrong in (generation - 1, generation + 1, -1):
            s.ask_all(BEAT, 0, 4, group_id="cg-beat", generation_id=wrong, member_id=ma)
        s.ask_all(BEAT, 3, 4, group_id="cg-beat", generation_id=generation, member_id="")
        s.ask(SYNC, 5, **sync_fields("cg-beat", generation, ma, protocol_type=None))
        s.ask(SYNC, 5, **sync_fields("cg-beat", generation, ma, protocol_name=None))


def _listed(s: Stage, prefix: str, version: int = 5, **filters: Any) -> None:
    reply = s.r.quiet(ApiKey.LIST_GROUPS, version, **filters)
    rows = [g.to_dict() for g in reply.groups if g.group_id.startswith(prefix)]
    rows.sort(key=lambda row: row["group_id"])
    s.r.note(f"ListGroups v{version} {filters}", [reply.error_code, rows])


def listing(r: Recorder) -> None:
    """ListGroups by state and type, DescribeGroups of many, DeleteGroups."""
    r.create("groups-a", 4)
    with Stage(r) as s:
        a, b = s.peer(), s.peer()
        join_and_sync(s, a, "cl-stable", "A")
        mb = admit(s, b, "cl-joining", "B")
        b.ask(JOIN, 9, **join_fields("cl-joining", mb))
        one = [{"name": "groups-a", "partitions": [{"partition_index": 0, "committed_offset": 1}]}]
        simple = {"generation_id_or_member_epoch": -1, "member_id": "", "topics": one}
        s.ask(ApiKey.OFFSET_COMMIT, 9, group_id="cl-simple", **simple)
        for version in range(6):
            _listed(s, "cl-", version)
        for states in (
            ["Stable"],
            ["stable"],
            ["STABLE", "Empty"],
            ["CompletingRebalance"],
            ["Completing-Rebalance"],
            ["PreparingRebalance", "Dead", "Assigning", "Reconciling"],
            ["NoSuchState"],
            [""],
        ):
            _listed(s, "cl-", 4, states_filter=states)
            _listed(s, "cl-", 5, states_filter=states)
        for types in (
            ["classic"],
            ["Classic"],
            ["consumer"],
            ["share"],
            ["nope"],
            ["classic", "x"],
        ):
            _listed(s, "cl-", 5, types_filter=types)
            _listed(s, "cl-", 5, types_filter=types, states_filter=["Empty"])
        names = ["cl-stable", "cl-simple", "cl-nope", "", "cl-stable"]
        for version in range(7):
            s.ask(
                ApiKey.DESCRIBE_GROUPS,
                version,
                groups=names,
                include_authorized_operations=True,
            )
        s.ask(ApiKey.DESCRIBE_GROUPS, 6, groups=[])
        for version in range(4):
            s.ask(ApiKey.OFFSET_COMMIT, 9, group_id="cl-gone", **simple)
            names = ["cl-stable", "cl-joining", "cl-gone", "cl-nope", "", "cl-gone"]
            s.ask(ApiKey.DELETE_GROUPS, version, groups_names=names)
            s.describe("cl-gone")
        s.ask(ApiKey.DELETE_GROUPS, 3, groups_names=[])
        _listed(s, "cl-")


def coordinators(r: Recorder) -> None:
    """FindCoordinator for groups, in every version."""
    low, high = API[ApiKey.FIND_COORDINATOR].versions
    with Stage(r) as s:
        s.ask_all(ApiKey.FIND_COORDINATOR, low, 3, key="cg-any", key_type=0)
        s.ask_all(ApiKey.FIND_COORDINATOR, low, 3, key="", key_type=0)
        keys = ["cg-any", "cg-b", "cg-any", ""]
        s.ask_all(ApiKey.FIND_COORDINATOR, 4, high, coordinator_keys=keys, key_type=0)
        s.ask_all(ApiKey.FIND_COORDINATOR, 4, high, coordinator_keys=[], key_type=0)
        for kind in (-1, 3, 99):
            s.ask_all(ApiKey.FIND_COORDINATOR, 4, high, coordinator_keys=["x"], key_type=kind)
            s.ask(ApiKey.FIND_COORDINATOR, 3, key="x", key_type=kind)


#: The first one needs a node on which no group has been used.
SCENARIOS = (
    before_the_topic,
    join_errors,
    every_version,
    two_members,
    protocol_choice,
    static_members,
    leaving,
    crowding,
    timing_out,
    heartbeats,
    listing,
    coordinators,
)
