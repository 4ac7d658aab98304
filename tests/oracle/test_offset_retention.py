"""Offsets expire on our broker when they do on Apache's, and leave the same tombstones.

With offsets.retention.minutes=1, so it takes 80 seconds; both brokers wait at the same time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_py.protocol.registry import ApiKey
from tests.oracle.comparing import two_nodes
from tests.oracle.group_peers import Peer, Stage, join_and_sync
from tests.oracle.node import Node
from tests.oracle.raw import Recorder, differences
from tests.oracle.scenarios_consumer_groups import FIRST, fields
from tests.oracle.scenarios_offsets import rows, simple
from tests.oracle.test_group_directories import wait_for_groups
from tests.oracle.test_group_replies import records

PROPERTIES = {
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "2",
    "offsets.retention.minutes": "1",
    "offsets.retention.check.interval.ms": "1000",
    "group.max.session.timeout.ms": "1800000",
    "group.consumer.max.session.timeout.ms": "1800000",
    "group.consumer.session.timeout.ms": "1800000",
    "group.consumer.assignment.interval.ms": "0",
}
LONG = {"session_timeout_ms": 1_800_000}
GROUPS = (
    "r-simple",
    "r-twice",
    "r-said",
    "r-deleted",
    "r-member",
    "r-connect",
    "r-left",
    "r-consumer",
    "r-consumer-left",
    "r-nothing",
)
#: Seconds after the first commits at which the brokers are looked at: before anything that was
#: not asked to go earlier has expired, and after.
EARLY_S, LATE_S = 35.0, 76.0


class Told:
    """One broker, and what is done on it."""

    def __init__(self, node: Node, stage: Stage, recorder: Recorder) -> None:
        self.node = node
        self.stage = stage
        self.recorder = recorder
        self.peers: list[Peer] = []

    def commit(self, group: str, topic: str, *offsets: tuple[int, int], **words: Any) -> None:
        """Commit, and see it taken."""
        version = words.pop("version", 9)
        asked = {**simple(group, rows(topic, *offsets)), **words}
        reply = self.recorder.quiet(ApiKey.OFFSET_COMMIT, version, **asked)
        codes = [row.error_code for one in reply.topics for row in one.partitions]
        assert codes == [0] * len(offsets), (self.node.kind, group, reply)

    def begin(self) -> None:
        """Groups of every kind, each with offsets of a topic that it consumes and of another."""
        r = self.recorder
        wait_for_groups(r, GROUPS)
        for topic in ("groups-a", "other-a", "gone-a"):
            r.create(topic, 4)
        self.commit("r-simple", "groups-a", (0, 1), (1, 2), (3, 3))
        self.commit("r-simple", "other-a", (2, 4))
        self.commit("r-twice", "groups-a", (0, 1), (1, 2))
        self.commit("r-said", "groups-a", (0, 1), version=4, retention_time_ms=10_000)
        self.commit("r-said", "groups-a", (1, 1), version=4, retention_time_ms=3_600_000)
        self.commit("r-said", "groups-a", (2, 1), version=4)
        self.commit("r-deleted", "gone-a", (0, 1), (1, 1))
        self.commit("r-deleted", "groups-a", (2, 5))
        self.classic("r-member")
        self.classic("r-connect", protocol_type="connect", protocols=CONNECT)
        peer, member = self.classic("r-left")
        peer.quiet(ApiKey.LEAVE_GROUP, 5, group_id="r-left", members=[{"member_id": member}])
        self.consumer("r-consumer")
        self.consumer("r-consumer-left")
        words = fields("r-consumer-left", "m-r-consumer-left", -1)
        assert r.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words).error_code == 0
        peer, member = self.classic("r-nothing", commits=False)
        peer.quiet(ApiKey.LEAVE_GROUP, 5, group_id="r-nothing", members=[{"member_id": member}])
        r.quiet(ApiKey.DELETE_TOPICS, 5, topic_names=["gone-a"], timeout_ms=9000)

    def classic(self, group: str, *, commits: bool = True, **more: Any) -> tuple[Peer, str]:
        """A classic group with a member that consumes groups-a."""
        peer = self.stage.peer()
        member, generation = join_and_sync(self.stage, peer, group, "A", **LONG, **more)
        if commits:
            words = {"member_id": member, "generation_id_or_member_epoch": generation}
            self.commit(group, "groups-a", (0, 1), (1, 2), **words)
            self.commit(group, "other-a", (0, 3), **words)
        return peer, member

    def consumer(self, group: str) -> None:
        """A group of the new protocol with a member that consumes groups-a."""
        words = fields(group, f"m-{group}", 0, **FIRST, subscribed_topic_names=["groups-a"])
        first = self.recorder.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words)
        assert first.error_code == 0, first
        member = {
            "member_id": f"m-{group}",
            "generation_id_or_member_epoch": first.member_epoch,
        }
        self.commit(group, "groups-a", (0, 1), (1, 2), **member)
        self.commit(group, "other-a", (0, 3), **member)

    def go_on(self) -> None:
        """Half a minute later: an offset is committed again."""
        self.commit("r-twice", "groups-a", (1, 3))

    def look(self) -> dict[str, Any]:
        """The offsets of every group, and the groups that there are."""
        asked = [{"group_id": name, "topics": None, "member_id": None} for name in GROUPS]
        found = self.recorder.quiet(ApiKey.OFFSET_FETCH, 8, groups=asked)
        listed = self.recorder.quiet(ApiKey.LIST_GROUPS, 5)
        return {
            "offsets": {
                one.group_id: sorted(
                    (topic.name, row.partition_index, row.committed_offset)
                    for topic in one.topics
                    for row in topic.partitions
                )
                for one in found.groups
            },
            "groups": sorted(
                (one.group_id, one.group_state, one.group_type) for one in listed.groups
            ),
        }


CONNECT = [{"name": "c", "metadata": "00"}]


@pytest.fixture
def told(oracle_classpath: str) -> Iterator[list[Told]]:
    """Apache's broker and the one under test."""
    with contextlib.ExitStack() as stack:
        made = []
        for node in two_nodes(stack, "retention", PROPERTIES):
            recorder = stack.enter_context(contextlib.closing(Recorder(node.port, 0)))
            made.append(Told(node, stack.enter_context(Stage(recorder)), recorder))
        yield made


def sorted_expiries(rows: list[Any]) -> list[Any]:
    """Records with every run of tombstones sorted: Apache's are in the order of a hash map."""
    out: list[Any] = []
    for is_tombstone, run in itertools.groupby(rows, lambda row: row["value"] is None):
        of_run = list(run)
        out += sorted(of_run, key=json.dumps) if is_tombstone else of_run
    return out


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_offsets_expire_as_apaches_do(told: list[Told]) -> None:
    """What is left early and late, and every record and tombstone of every group."""
    for one in told:
        one.begin()
    began = time.monotonic()
    time.sleep(EARLY_S)
    early = [one.look() for one in told]
    for one in told:
        one.go_on()
    time.sleep(max(0.0, began + LATE_S - time.monotonic()))
    late = [one.look() for one in told]
    assert not differences(early[0], early[1])
    assert not differences(late[0], late[1])
    kept = {group for group, offsets in late[0]["offsets"].items() if offsets}
    assert kept == {"r-twice", "r-said", "r-member", "r-connect", "r-consumer"}
    assert late[0]["offsets"]["r-twice"] == [("groups-a", 1, 3)]
    assert late[0]["offsets"]["r-member"] == [("groups-a", 0, 1), ("groups-a", 1, 2)]
    for one in told:
        one.recorder.close()
        one.node.stop()
    theirs, ours = (
        {group: sorted_expiries(rows) for group, rows in records(one.node.data).items()}
        for one in told
    )
    tombstones = [row for group in GROUPS for row in theirs.get(group, ()) if row["value"] is None]
    assert len(tombstones) > 15
    lines = [
        f"{group} {line}"
        for group in sorted({*theirs, *ours})
        for line in differences(theirs.get(group, []), ours.get(group, []))
    ]
    assert not lines, f"{len(lines)} differences\n" + "\n".join(lines[:100])
