"""Apache's broker serves the groups in directories that ours wrote, and ours those of Apache's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kafka_py.protocol.registry import ApiKey
from tests.oracle import apache
from tests.oracle.group_peers import Stage, join_and_sync, join_fields
from tests.oracle.node import Node, OurNode, free_port_pair
from tests.oracle.raw import Recorder
from tests.oracle.scenarios_consumer_groups import FIRST, fields, owning
from tests.oracle.scenarios_offsets import rows, simple

#: Who serves the directory in turn, and how each ends.
CHAINS = {
    "ours-first": [("ours", "stop"), ("apache", "kill"), ("ours", "kill"), ("apache", "stop")],
    "apache-first": [("apache", "stop"), ("ours", "kill"), ("apache", "kill"), ("ours", "stop")],
}
GROUPS = ("gd-simple", "gd-empty", "gd-static", "gd-consumer", "gd-gone")


def wait_for_groups(r: Recorder, groups: Sequence[str] = GROUPS, timeout_s: float = 40.0) -> None:
    """Until the coordinator of every partition is there and loaded."""
    deadline = time.monotonic() + timeout_s
    asked = {"coordinator_keys": list(groups), "key_type": 0}
    while any(c.error_code for c in r.quiet(ApiKey.FIND_COORDINATOR, 4, **asked).coordinators) or (
        r.quiet(ApiKey.LIST_GROUPS, 5).error_code
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    rows_of = [{"group_id": g, "topics": None, "member_id": None} for g in groups]
    while any(g.error_code for g in r.quiet(ApiKey.OFFSET_FETCH, 8, groups=rows_of).groups):
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Held:
    """The members whose ids and epochs outlive the broker."""

    static = ""
    generation = 0
    epoch = 0
    topic_id = ""


def begin(r: Recorder, held: Held) -> None:
    """Groups of each kind: offsets only, empty, with a static member, of the new protocol."""
    held.topic_id = r.create("groups-a", 4)
    wait_for_groups(r)
    with Stage(r) as stage:
        text = {"committed_metadata": "kept", "committed_leader_epoch": 0}
        for group in ("gd-simple", "gd-gone"):
            good = rows("groups-a", (0, 11), (3, 13), **text)
            r.quiet(ApiKey.OFFSET_COMMIT, 9, **simple(group, good))
        r.quiet(ApiKey.DELETE_GROUPS, 2, groups_names=["gd-gone"])
        a = stage.peer()
        member, generation = join_and_sync(stage, a, "gd-empty", "A")
        words = {"member_id": member, "generation_id_or_member_epoch": generation}
        r.quiet(
            ApiKey.OFFSET_COMMIT, 9, **{**simple("gd-empty", rows("groups-a", (1, 5))), **words}
        )
        a.quiet(ApiKey.LEAVE_GROUP, 5, group_id="gd-empty", members=[{"member_id": member}])
        long = {"session_timeout_ms": 600_000, "group_instance_id": "one"}
        held.static, held.generation = join_and_sync(stage, a, "gd-static", "S", **long)
        words = fields("gd-consumer", "m-a", 0, **FIRST, subscribed_topic_names=["groups-a"])
        first = r.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words)
        assert first.error_code == 0, first
        held.epoch = first.member_epoch
        mine = owning(held.topic_id, range(4))
        words = fields("gd-consumer", "m-a", held.epoch, topic_partitions=mine)
        assert r.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words).error_code == 0


def proceed(r: Recorder, held: Held, turn: int) -> None:
    """Members go on as if nothing had been; a commit by each, an offset deleted."""
    beat = {"group_id": "gd-static", "generation_id": held.generation, "member_id": held.static}
    reply = r.quiet(ApiKey.HEARTBEAT, 4, **beat, group_instance_id="one")
    assert reply.error_code == 0, reply
    stale = {**beat, "generation_id": held.generation + 1, "group_instance_id": "one"}
    assert r.quiet(ApiKey.HEARTBEAT, 4, **stale).error_code == 22
    words = fields("gd-consumer", "m-a", held.epoch)
    reply = r.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words)
    assert (reply.error_code, reply.member_epoch) == (0, held.epoch), reply
    for group, words in (
        ("gd-simple", {}),
        (
            "gd-static",
            {
                "member_id": held.static,
                "generation_id_or_member_epoch": held.generation,
                "group_instance_id": "one",
            },
        ),
        ("gd-consumer", {"member_id": "m-a", "generation_id_or_member_epoch": held.epoch}),
    ):
        more = rows("groups-a", (turn, 100 + turn), committed_metadata=f"turn {turn}")
        reply = r.quiet(ApiKey.OFFSET_COMMIT, 9, **{**simple(group, more), **words})
        assert reply.topics[0].partitions[0].error_code == 0, (group, reply)
    with Stage(r) as stage:
        # The static member comes back under a new id, and the generation stays.
        again = {"session_timeout_ms": 600_000, "group_instance_id": "one"}
        back = stage.peer().quiet(ApiKey.JOIN_GROUP, 9, **join_fields("gd-static", **again))
        assert (back.error_code, back.generation_id) == (0, held.generation), back
        assert held.static not in ("", back.member_id)
        held.static = back.member_id


def look(r: Recorder) -> dict[str, Any]:
    """Everything that can be asked about the groups, as plain values."""
    asked = [{"group_id": g, "topics": None, "member_id": None} for g in GROUPS]
    fetched = r.quiet(ApiKey.OFFSET_FETCH, 8, groups=asked)
    offsets = {
        g.group_id: sorted(
            (t.name, p.partition_index, p.committed_offset, p.committed_leader_epoch, p.metadata)
            for t in g.topics
            for p in t.partitions
        )
        for g in fetched.groups
    }
    listed = r.quiet(ApiKey.LIST_GROUPS, 5)
    described = r.quiet(ApiKey.DESCRIBE_GROUPS, 6, groups=["gd-empty", "gd-static", "gd-gone"])
    consumer = r.quiet(ApiKey.CONSUMER_GROUP_DESCRIBE, 1, group_ids=["gd-consumer"])
    return {
        "offsets": offsets,
        "listed": sorted(
            (g.group_id, g.protocol_type, g.group_state, g.group_type) for g in listed.groups
        ),
        # Apache's order is that of the partitions' answers.
        "described": sorted(
            (g.to_dict(reveal=True) for g in described.groups), key=lambda g: g["group_id"]
        ),
        "consumer": [g.to_dict(reveal=True) for g in consumer.groups],
    }


@pytest.mark.timeout(240)
@pytest.mark.parametrize("chain", list(CHAINS))
def test_groups_there_and_back(chain: str, tmp_path: Path, oracle_classpath: str) -> None:
    """Groups of both protocols, offsets, static members: each broker goes on with the other's."""
    port = free_port_pair()
    held = Held()
    known: dict[str, Any] = {}
    for turn, (who, end) in enumerate(CHAINS[chain]):
        kind = OurNode if who == "ours" and apache.against() != "apache" else apache.ApacheNode
        settings = {
            "log.dirs": str(tmp_path / "data"),
            "broker.session.timeout.ms": "1000",
            "broker.heartbeat.interval.ms": "200",
            "group.max.session.timeout.ms": "1800000",
        }
        node: Node = kind(tmp_path / f"{turn}-{who}", port, settings)
        with node:
            r = Recorder(port, 0)
            if turn == 0:
                begin(r, held)
            else:
                wait_for_groups(r)
                assert look(r) == known, f"turn {turn}: {who}"
                proceed(r, held, turn)
            known = look(r)
            r.close()
            if end == "stop":
                node.stop()
            else:
                node.kill()
    assert known["offsets"]["gd-gone"] == []
    assert len(known["offsets"]["gd-simple"]) == 4
    assert len(known["offsets"]["gd-consumer"]) == 3
