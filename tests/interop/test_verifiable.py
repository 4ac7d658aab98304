"""Kafka's own system-test clients, VerifiableProducer and VerifiableConsumer, come and go."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.jvm import Program, end_offsets, group_offsets
from tests.oracle import apache
from tests.oracle.node import Node
from tests.oracle.raw import Recorder
from tests.oracle.under_test import require

PARTITIONS = 6
PROPERTIES = {
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "5000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.min.session.timeout.ms": "3000",
}


@pytest.fixture(scope="module")
def quick_node() -> Iterator[Node]:
    """A node that notices dead members after a few seconds."""
    require(apache.missing())
    with (
        apache.temporary_directory("verifiable") as directory,
        apache.node_under_test(directory, PROPERTIES) as node,
    ):
        yield node
        apache.tools.close()


class Consumer:
    """A VerifiableConsumer, by the events that it prints."""

    def __init__(self, node: Node, topic: str, protocol: str, instance: str | None = None) -> None:
        """Starts it in the group of the topic's name."""
        words = ["--bootstrap-server", node.bootstrap, "--topic", topic, "--group-id", topic]
        words += ["--group-protocol", protocol, "--reset-policy", "earliest"]
        if protocol == "classic":
            words += ["--session-timeout", "5000"]
        if instance:
            words += ["--group-instance-id", instance]
        main = "org.apache.kafka.tools.VerifiableConsumer"
        self.program = Program(apache.class_path(), main, *words)

    def leave(self) -> None:
        """SIGTERM: it commits, closes, and says that it is done."""
        assert self.program.stop() == 143, self.program.tail()
        assert self.events("shutdown_complete"), self.program.tail()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of one name so far."""
        rows = [json.loads(m[0]) for m in self.program.found(r"^\{.*\}$")]
        return [row for row in rows if row["name"] == name]

    def held(self) -> set[int]:
        """The partitions that it was given and has not given back."""
        out: set[int] = set()
        for match in self.program.found(r'^\{.*"name":"partitions_(assigned|revoked)".*\}$'):
            numbers = {row["partition"] for row in json.loads(match[0])["partitions"]}
            out = out | numbers if match[1] == "assigned" else out - numbers
        return out

    def ranges(self) -> list[tuple[int, int, int]]:
        """(partition, first, last offset) of all that it consumed."""
        return [
            (row["partition"], row["minOffset"], row["maxOffset"])
            for event in self.events("records_consumed")
            for row in event["partitions"]
        ]


def produce(node: Node, topic: str, count: int) -> None:
    """VerifiableProducer with acks=all: every record acknowledged."""
    words = ("--bootstrap-server", node.bootstrap, "--topic", topic, "--max-messages", count)
    words = (*words, "--repeating-keys", 40)
    main = "org.apache.kafka.tools.VerifiableProducer"
    with Program(apache.class_path(), main, *words, "--acks", "-1") as producer:
        assert producer.wait(60) == 0, producer.tail()
        rows = [json.loads(m[0]) for m in producer.found(r"^\{.*\}$")]
    assert not [row for row in rows if row["name"] == "producer_send_error"]
    assert len([row for row in rows if row["name"] == "producer_send_success"]) == count


def covered(consumers: list[Consumer], ends: dict[tuple[str, int], int]) -> bool:
    """Whether every offset up to the ends was consumed by somebody."""
    seen: dict[int, set[int]] = {}
    for consumer in consumers:
        for partition, first, last in consumer.ranges():
            seen.setdefault(partition, set()).update(range(first, last + 1))
    return all(seen.get(p, set()) >= set(range(end)) for (_, p), end in ends.items())


@pytest.mark.timeout(240)
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_come_and_go(protocol: str, static: bool, quick_node: Node) -> None:
    """Three members; one is killed, one leaves, one comes back; all consumed, all committed."""
    topic = f"verifiable-{protocol}-{'static' if static else 'dynamic'}"
    recorder = Recorder(quick_node.port, 0)
    recorder.create(topic, PARTITIONS)
    recorder.close()
    everything = set(range(PARTITIONS))

    def start(number: int) -> Consumer:
        return Consumer(quick_node, topic, protocol, f"instance-{number}" if static else None)

    def balanced(*members: Consumer) -> bool:
        shares = [m.held() for m in members]
        whole = set().union(*shares) == everything
        return whole and sum(map(len, shares)) == PARTITIONS and all(shares)

    with contextlib.ExitStack() as stack:
        members = [start(n) for n in range(3)]
        for member in members:
            stack.enter_context(member.program)
        a, b, c = members
        a.program.until(lambda: balanced(a, b, c), "three shares")
        produce(quick_node, topic, 500)
        ends = end_offsets(quick_node.bootstrap, topic, PARTITIONS)
        a.program.until(lambda: covered(members, ends), "all of the first records")
        # Killed: its session must run out first.
        b.program.kill()
        a.program.until(lambda: balanced(a, c), "two shares")
        produce(quick_node, topic, 500)
        # It comes back under the same instance id, or as a new member.
        again = start(1)
        stack.enter_context(again.program)
        members.append(again)
        again.program.until(lambda: balanced(a, c, again), "three shares again")
        before = (a.held(), again.held())
        # A clean stop: a dynamic member leaves at once, a static one keeps its share.
        c.leave()
        a.program.until(lambda: balanced(a, again), "two shares at last")
        assert a.held() >= before[0] or again.held() >= before[1]
        produce(quick_node, topic, 500)
        ends = end_offsets(quick_node.bootstrap, topic, PARTITIONS)
        assert sum(ends.values()) == 1500
        a.program.until(lambda: covered(members, ends), "all records")
        for member in (a, again):
            member.leave()
        # Who has never seen a record of a partition need not commit for it.
        committed = group_offsets(quick_node.bootstrap, topic)
        assert {p: o for p, o in committed.items() if o} == {p: o for p, o in ends.items() if o}
