"""Groups in a directory that Apache's broker and ours serve in turn: members stay, offsets stay."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetFetchRequest
from kafka_py.protocol.groups import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest,
    DeleteGroupsRequest,
    DescribeGroupsRequest,
    ListGroupsRequest,
)
from tests.oracle import apache
from tests.oracle.node import Node, OurNode, free_port_pair
from tests.server.conftest import make_topic
from tests.server.group_requests import (
    await_coordinator,
    commit,
    errors,
    fetch_group,
    heartbeat,
    leave,
    offsets_of,
    stable_member,
)
from tests.server.wire import Wire

PROPERTIES = {
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
    "offsets.topic.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
}
CHAIN = [
    ("ours", "stop"), ("apache", "stop"), ("ours", "kill"), ("apache", "kill"), ("ours", "stop"),
]  # fmt: skip
MODERN = "A" * 22

Picture = dict[str, Any]


def beat(epoch: int, **fields: Any) -> ConsumerGroupHeartbeatRequest:
    """A heartbeat of the consumer protocol."""
    return ConsumerGroupHeartbeatRequest(
        group_id="modern", member_id=MODERN, member_epoch=epoch, **fields
    )


def picture(wire: Wire) -> Picture:
    """Everything that the group APIs say of all groups, once the coordinators are loaded."""
    deadline = time.monotonic() + 20
    listed = wire.call(ListGroupsRequest(), 5)
    while listed.error_code or not listed.groups:
        assert time.monotonic() < deadline, listed
        time.sleep(0.05)
        listed = wire.call(ListGroupsRequest(), 5)
    names = sorted(group.group_id for group in listed.groups)
    fetch = OffsetFetchRequest(groups=[fetch_group(name, None) for name in names])
    classic = wire.call(DescribeGroupsRequest(groups=names), 5).groups
    modern = wire.call(ConsumerGroupDescribeRequest(group_ids=names), 1).groups
    return {
        "listed": sorted(map(str, listed.groups)),
        "classic": sorted(str(group) for group in classic if group.group_state != "Dead"),
        "modern": sorted(str(group) for group in modern if not group.error_code),
        "offsets": {
            group.group_id: sorted(
                (topic, sorted(partitions.items()))
                for topic, partitions in offsets_of(group).items()
            )
            for group in wire.call(fetch, 9).groups
        },
    }


class Members:
    """A member of either protocol, and what they commit."""

    def __init__(self, wire: Wire) -> None:
        make_topic(wire, "t", 3)
        self.generation, self.member = stable_member(wire, "classic")
        joined = wire.call(
            beat(0, rebalance_timeout_ms=5000, subscribed_topic_names=["t"], topic_partitions=[]),
            1,
        )
        assert joined.error_code == 0, joined
        self.epoch = joined.member_epoch
        _, gone = stable_member(wire, "empty")
        wire.call(commit("empty", {"t": {2: 1}}), 9)
        wire.call(leave("empty", gone), 5)

    def go_on(self, wire: Wire, number: int) -> None:
        """Both are still members; everybody commits; groups come and go."""
        assert wire.call(heartbeat("classic", self.generation, self.member), 4).error_code == 0
        answer = wire.call(beat(self.epoch), 1)
        assert (answer.error_code, answer.member_epoch) == (0, self.epoch)
        for group, epoch, member in (
            ("classic", self.generation, self.member),
            ("modern", self.epoch, MODERN),
            ("simple", -1, ""),
            (f"turn{number}", -1, ""),
        ):
            request = commit(group, {"t": {0: number, 1: 100 + number}}, generation=epoch)
            request.member_id = member
            assert errors(wire.call(request, 9)) == {"t": {0: 0, 1: 0}}
        wire.call(commit(f"old{number}", {"t": {0: 5}}), 9)
        names = [f"old{number}", f"turn{number - 1}", "classic"]
        rows = wire.call(DeleteGroupsRequest(groups_names=names), 2).results
        assert {row.group_id: row.error_code for row in rows} == {
            names[0]: 0,
            names[1]: 0 if number else int(ErrorCode.GROUP_ID_NOT_FOUND),
            names[2]: int(ErrorCode.NON_EMPTY_GROUP),
        }


@pytest.mark.timeout(240)
def test_there_and_back(tmp_path: Path, oracle_classpath: str) -> None:
    """What one broker says of the groups the next one says too; their members notice nothing."""
    port = free_port_pair()
    members: Members | None = None
    known: Picture = {}
    for turn, (who, end) in enumerate(CHAIN):
        kind = OurNode if who == "ours" and apache.against() != "apache" else apache.ApacheNode
        settings = {**PROPERTIES, "log.dirs": str(tmp_path / "data")}
        node: Node = kind(tmp_path / f"{turn}-{who}", port, settings)
        with node, Wire(node.bootstrap) as wire:
            await_coordinator(wire)
            if members is None:
                members = Members(wire)
            else:
                assert picture(wire) == known, f"turn {turn}: {who}"
            members.go_on(wire, turn)
            known = picture(wire)
            assert {name for name in known["offsets"] if name.startswith("turn")} == {f"turn{turn}"}
            if end == "stop":
                node.stop()
            else:
                node.kill()
