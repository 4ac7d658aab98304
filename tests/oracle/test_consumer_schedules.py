"""Consumer groups under random schedules: Apache's broker and our shard say and write the same.

A member that joins without any subscription is left out: Apache may then assign it, for good, what
it does not want (see `targets`), and there ours differs on purpose.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_py.protocol.groups import ConsumerGroupHeartbeatRequest
from tests.oracle import apache
from tests.oracle.consumer_twin import Twin
from tests.oracle.node import Node, free_port_pair

PROPERTIES = {
    "offsets.topic.num.partitions": "1",
    "group.consumer.assignment.interval.ms": "0",
    "auto.create.topics.enable": "false",
}
STEPS = 70
TOPICS = ("a1", "a2", "b1")


@pytest.fixture(scope="module")
def broker(oracle_classpath: str) -> Iterator[Node]:
    """Apache's broker, for these groups only."""
    with (
        apache.temporary_directory("consumer-schedules") as directory,
        apache.ApacheNode(directory, free_port_pair(), PROPERTIES) as node,
    ):
        yield node


class Story:
    """The members of one group, and what they do next."""

    def __init__(self, twin: Twin, seed: int, *, regexes: bool) -> None:
        self.twin = twin
        self.random = random.Random(seed)
        self.regexes = regexes
        self.mark = f".{seed}.{time.time_ns()}"
        self.sizes = {name: self.random.randint(1, 6) for name in TOPICS}
        for name, size in self.sizes.items():
            twin.make_topic(name + self.mark, size)
        self.names = {topic_id: name for name, topic_id in twin.ids.items()}
        self.epochs: dict[str, int] = {}
        self.told: dict[str, dict[str, list[int]]] = {}
        self.instances: dict[str, str | None] = {}
        self.live: list[str] = []
        self.changes = 0
        self.moves = {
            self.join: 12,
            self.beat: 45,
            self.report: 25,
            self.resubscribe: 6,
            self.prefer: 3,
            self.leave: 3,
            self.go_away: 3,
            self.change_topics: 2,
            twin.describe: 2,
        }

    def run(self) -> None:
        """Some steps at random, then the records."""
        moves, weights = zip(*self.moves.items(), strict=True)
        for _ in range(STEPS):
            self.random.choices(moves, weights)[0]()
        self.twin.describe()
        self.twin.check_records()

    # -- what members say ----------------------------------------------------------------------

    def _subscription(self) -> dict[str, Any]:
        names = self.random.sample([*TOPICS, "none"], self.random.randint(1, 3))
        if self.random.random() < 0.5:
            names = ["a1", "a2"]
        said: dict[str, Any] = {"subscribed_topic_names": [name + self.mark for name in names]}
        if self.regexes and self.random.random() < 0.4:
            if self.random.random() < 0.7:
                said["subscribed_topic_names"] = []
            regex = self.random.choice(("a.", "b.", "..", "(a1|b1)", "x"))
            said["subscribed_topic_regex"] = regex + self.mark.replace(".", "[.]")
        elif self.regexes and self.random.random() < 0.5:
            said["subscribed_topic_regex"] = ""
        return said

    def _say(self, member_id: str, epoch: int, **fields: Any) -> None:
        instance = self.instances[member_id]
        if instance is not None and self.random.random() < 0.95:
            fields["instance_id"] = instance
        response = self.twin.beat(member_id, epoch, **fields)
        if response.error_code:
            return
        self.epochs[member_id] = response.member_epoch
        if response.assignment is not None:
            self.told[member_id] = {
                self.names[row.topic_id]: sorted(row.partitions)
                for row in response.assignment.topic_partitions
            }

    def _epoch(self, member_id: str) -> int:
        """The member's epoch; now and then the one before."""
        return max(0, self.epochs.get(member_id, 0) - (self.random.random() < 0.1))

    def _anew(self, member_id: str) -> dict[str, Any]:
        if self.epochs.get(member_id, 0) > 0:
            return {}
        return {"rebalance_timeout_ms": 60_000, "topic_partitions": [], **self._subscription()}

    # -- moves ---------------------------------------------------------------------------------

    def join(self) -> None:
        """A new member."""
        if len(self.live) > 4:
            return
        member_id = f"m{len(self.instances) + 1}"
        self.instances[member_id] = self.random.choice((None, None, "i1", "i2"))
        self.live.append(member_id)
        more: dict[str, Any] = {}
        if self.random.random() < 0.2:
            more["rack_id"] = "r"
        if self.random.random() < 0.3:
            more["server_assignor"] = self.random.choice(("range", "uniform"))
        self._say(member_id, 0, **self._anew(member_id), **more)

    def beat(self) -> None:
        """A heartbeat that says nothing."""
        if self.live:
            member_id = self.random.choice(self.live)
            self._say(member_id, self._epoch(member_id), **self._anew(member_id))

    def report(self) -> None:
        """A heartbeat that says what the member owns, not always the truth."""
        if not self.live:
            return
        member_id = self.random.choice(self.live)
        owned = dict(sorted(self.told.get(member_id, {}).items()))
        if self.random.random() < 0.2:
            owned = {n: [p for p in ps if self.random.random() < 0.6] for n, ps in owned.items()}
        if self.random.random() < 0.1:
            owned["a1" + self.mark] = list(range(self.sizes["a1"]))
        row = ConsumerGroupHeartbeatRequest.TopicPartitions
        fields: dict[str, Any] = {
            "topic_partitions": [
                row(topic_id=self.twin.ids[name], partitions=partitions)
                for name, partitions in owned.items()
            ]
        }
        if self.random.random() < 0.2:
            fields |= {"rebalance_timeout_ms": 60_000, **self._subscription()}
        self._say(member_id, max(1, self._epoch(member_id)), **fields)

    def resubscribe(self) -> None:
        """Somebody wants other topics."""
        if self.live:
            member_id = self.random.choice(self.live)
            fields = {**self._anew(member_id), **self._subscription()}
            self._say(member_id, self.epochs.get(member_id, 0), **fields)

    def prefer(self) -> None:
        """Somebody prefers an assignor."""
        if self.live:
            member_id = self.random.choice(self.live)
            assignor = self.random.choice(("range", "uniform"))
            epoch = self.epochs.get(member_id, 0)
            self._say(member_id, epoch, server_assignor=assignor, **self._anew(member_id))

    def leave(self) -> None:
        """Somebody leaves."""
        if self.live:
            member_id = self.random.choice(self.live)
            self.live.remove(member_id)
            self._say(member_id, -1)

    def go_away(self) -> None:
        """Somebody leaves to come back; who is not static may not."""
        if self.live:
            member_id = self.random.choice(self.live)
            if self.instances[member_id] is not None:
                self.live.remove(member_id)
            self._say(member_id, -2)

    def change_topics(self) -> None:
        """A topic grows, or goes."""
        if self.changes == 3:
            return
        self.changes += 1
        name = self.random.choice([n for n in TOPICS if n in self.sizes])
        if name == "b1" and self.random.random() < 0.5:
            del self.sizes[name]
            self.twin.remove_topic(name + self.mark)
        else:
            self.sizes[name] += 1
            self.twin.grow_topic(name + self.mark, self.sizes[name])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(20))
def test_schedules_by_name(broker: Node, seed: int) -> None:
    with Twin(broker.port, broker.data, f"names-{seed}") as twin:
        Story(twin, seed, regexes=False).run()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(12))
def test_schedules_by_pattern(broker: Node, seed: int) -> None:
    with Twin(broker.port, broker.data, f"patterns-{seed}") as twin:
        Story(twin, seed, regexes=True).run()
