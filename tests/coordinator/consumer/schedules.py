"""Consumers that come, go, die, lose answers and outlive coordinators, in the order of a seed.

`Schedule` drives one group over one shard. After every step `check` says what must hold at all
times; `converge` lets whoever is alive heartbeat until nothing moves, and says what must hold then.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.consumer.reconcile import subscribed_topic_ids
from kafka_py.coordinator.shard import GroupShard
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import ConsumerGroupHeartbeatRequest
from tests.coordinator.consumer.driver import Ask, Entry, ShardDriver, compacted

GROUP = "g"
TOPICS = ("a1", "a2", "b1", "b2")
#: Errors after which a consumer gives everything up and joins anew.
FENCED = (ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.GROUP_ID_NOT_FOUND)

Partition = tuple[bytes, int]


@dataclass
class Consumer:
    """A client: what it believes.

    Attributes:
        owned: the partitions that it works on.
        told: the assignment that it was given last; None when there is nothing to do about it.
        alive: it heartbeats.
    """

    member_id: str
    instance_id: str | None
    subscription: dict[str, Any]
    epoch: int = 0
    owned: set[Partition] = field(default_factory=set)
    told: set[Partition] | None = None
    alive: bool = True
    says_all: bool = True
    asked: Ask | None = None


class Schedule:
    """A group under a seed."""

    def __init__(self, seed: int, *, regexes: bool) -> None:
        self.random = random.Random(seed)
        self.driver = ShardDriver(
            {
                "group.consumer.assignment.interval.ms": self.random.choice((0, 0, 700)),
                "group.consumer.max.size": self.random.choice((2**31 - 1, 4)),
            }
        )
        self.regexes = regexes
        self.consumers: list[Consumer] = []
        self.made = 0
        self.epochs = (0, 0)
        self.committed = 0
        self.steps = {
            self.join: 5,
            self.beat: 40,
            self.acknowledge: 20,
            self.lose_answer: 4,
            self.leave: 2,
            self.go_away: 2,
            self.die: 2,
            self.pass_time: 8,
            self.resubscribe: 3,
            self.change_topics: 2,
            self.fail_over: 1,
            self.hold: 2,
        }
        for name in TOPICS[:2]:
            self.driver.make_topic(name, self.random.randint(1, 7))

    # -- the group -----------------------------------------------------------------------------

    @property
    def group(self) -> ConsumerGroup | None:
        """The group as the coordinator sees it."""
        group = self.driver.shard.groups.get(GROUP)
        assert group is None or isinstance(group, ConsumerGroup)
        return group

    def run(self, steps: int) -> None:
        """Take that many random steps, checking after each."""
        moves, weights = zip(*self.steps.items(), strict=True)
        for _ in range(steps):
            self.random.choices(moves, weights)[0]()
            self.check()
        self.release()
        self.converge()

    def _one(self, *, alive: bool = True) -> Consumer | None:
        found = [c for c in self.consumers if c.alive is alive and c.asked is None]
        return self.random.choice(found) if found else None

    # -- steps ---------------------------------------------------------------------------------

    def _subscription(self) -> dict[str, Any]:
        if self.regexes and self.random.random() < 0.4:
            regex = self.random.choice(("a.*", "b.*", ".*", "a1|b2"))
            return {"subscribed_topic_regex": regex, "subscribed_topic_names": []}
        names = self.random.sample(TOPICS, self.random.randint(0, 3))
        if self.random.random() < 0.5:
            names = ["a1", "a2"]
        return {"subscribed_topic_names": names, "subscribed_topic_regex": ""}

    def join(self) -> None:
        """A new consumer; at times under an instance id that may be taken."""
        if len([c for c in self.consumers if c.alive]) > 5:
            return
        self.made += 1
        instance = f"i{self.random.randint(1, 3)}" if self.random.random() < 0.3 else None
        consumer = Consumer(f"m{self.made}", instance, self._subscription())
        self.consumers.append(consumer)
        self._send(consumer)

    def beat(self) -> None:
        """A heartbeat of somebody."""
        consumer = self._one()
        if consumer is not None:
            self._send(consumer)

    def acknowledge(self) -> None:
        """Somebody gives up what it was told to, takes what it was given, and says so."""
        consumer = self._one()
        if consumer is not None and consumer.told is not None:
            consumer.owned, consumer.told = set(consumer.told), None
            consumer.says_all = True
            self._send(consumer)

    def lose_answer(self) -> None:
        """Somebody's answer is lost; it will say everything with its next heartbeat."""
        consumer = self._one()
        if consumer is not None:
            self._send(consumer, lost=True)
            consumer.says_all = True

    def leave(self) -> None:
        """Somebody leaves for good."""
        consumer = self._one()
        if consumer is not None:
            self._ask(consumer, member_epoch=-1)
            self.consumers.remove(consumer)

    def go_away(self) -> None:
        """A static member leaves to come back; another one may take its place."""
        consumer = self._one()
        if consumer is not None and consumer.instance_id is not None:
            self._ask(consumer, member_epoch=-2)
            self.consumers.remove(consumer)

    def die(self) -> None:
        """Somebody is not heard of any more."""
        consumer = self._one()
        if consumer is not None:
            consumer.alive = False
            self.consumers.remove(consumer)

    def pass_time(self) -> None:
        """Time passes, now and then so much that sessions expire."""
        self.driver.advance(self.random.choice((10, 500, 1000, 5000, 5000, 20_000, 46_000)))

    def resubscribe(self) -> None:
        """Somebody wants other topics, or another assignor."""
        consumer = self._one()
        if consumer is None:
            return
        consumer.subscription = self._subscription()
        if self.random.random() < 0.3:
            consumer.subscription["server_assignor"] = self.random.choice(("range", "uniform"))
        self._send(consumer, **consumer.subscription)

    def change_topics(self) -> None:
        """A topic comes, grows or goes."""
        name = self.random.choice(TOPICS)
        topic = self.driver.image.topics.get(name)
        if topic is None:
            self.driver.make_topic(name, self.random.randint(1, 5))
        elif self.random.random() < 0.3:
            self.driver.remove_topic(name)
            gone = topic.id
            for consumer in self.consumers:
                # A client learns of it from its own metadata; what it owned is gone for it too.
                consumer.owned = {p for p in consumer.owned if p[0] != gone}
        else:
            have = len(topic.partitions)
            self.driver.add_partitions(name, have, have + self.random.randint(1, 3))

    def hold(self) -> None:
        """What is appended is not committed for a while, and nobody is answered."""
        if self.driver.holding:
            self.release()
        else:
            self.committed = len(self.driver.log)
            self.driver.holding = True

    def release(self) -> None:
        """Everything appended is committed."""
        self.driver.holding = False
        self.driver.commit()
        for consumer in self.consumers:
            self._take_answer(consumer)

    def fail_over(self) -> None:
        """Another coordinator: what was not committed may be there or not; answers are lost."""
        keep = None
        if self.driver.holding and self.random.random() < 0.5:
            keep = self.committed
            self.epochs = (0, 0)
        self.driver.holding = False
        for consumer in self.consumers:
            if consumer.asked is not None:
                consumer.asked, consumer.says_all = None, True
        if self.random.random() < 0.3:
            kept = self.driver.log if keep is None else self.driver.log[:keep]
            self.driver.log, keep = compacted(kept), None
        self.driver.restart(keep=keep)

    # -- requests ------------------------------------------------------------------------------

    def _ask(self, consumer: Consumer, **fields: Any) -> Ask:
        return self.driver.ask(
            ConsumerGroupHeartbeatRequest(
                group_id=GROUP,
                member_id=consumer.member_id,
                instance_id=consumer.instance_id,
                **fields,
            )
        )

    def _send(self, consumer: Consumer, *, lost: bool = False, **fields: Any) -> None:
        if consumer.epoch == 0:
            consumer.owned, consumer.told = set(), None
        if consumer.epoch == 0 or consumer.says_all:
            rows: dict[bytes, list[int]] = {}
            for topic_id, partition in sorted(consumer.owned):
                rows.setdefault(topic_id, []).append(partition)
            row = ConsumerGroupHeartbeatRequest.TopicPartitions
            fields = {
                "rebalance_timeout_ms": 30_000,
                "topic_partitions": [row(topic_id=t, partitions=p) for t, p in rows.items()],
                **consumer.subscription,
                **fields,
            }
            consumer.says_all = False
        consumer.asked = self._ask(consumer, member_epoch=consumer.epoch, **fields)
        if lost:
            consumer.asked = None
        self._take_answer(consumer)

    def _take_answer(self, consumer: Consumer) -> None:
        if consumer.asked is None or consumer.asked.response is None:
            return
        response, consumer.asked = consumer.asked.response, None
        error = ErrorCode(response.error_code)
        if error in FENCED:
            consumer.epoch, consumer.owned, consumer.told = 0, set(), None
            consumer.says_all = True
        elif error is not ErrorCode.NONE:
            assert error in (
                ErrorCode.UNRELEASED_INSTANCE_ID,
                ErrorCode.FENCED_INSTANCE_ID,
                ErrorCode.GROUP_MAX_SIZE_REACHED,
            ), response
            consumer.alive = False
            self.consumers.remove(consumer)
        else:
            assert response.member_id == consumer.member_id
            consumer.epoch = response.member_epoch
            if response.assignment is not None:
                consumer.told = {
                    (row.topic_id, partition)
                    for row in response.assignment.topic_partitions
                    for partition in row.partitions
                }

    # -- what holds ----------------------------------------------------------------------------

    def check(self) -> None:
        """What must hold after every step."""
        group = self.group
        if group is None:
            return
        owners: dict[Partition, str] = {}
        for member in group.members.values():
            for owned in (member.assigned, member.pending):
                for topic_id, partitions in owned.items():
                    for partition in partitions:
                        other = owners.setdefault((topic_id, partition), member.member_id)
                        assert other == member.member_id, "a partition with two owners"
        assert (group.epoch, group.target_epoch) >= self.epochs, "an epoch that shrinks"
        assert group.target_epoch <= group.epoch
        self.epochs = (group.epoch, group.target_epoch)
        for consumer in self.consumers:
            member = group.members.get(consumer.member_id)
            if consumer.epoch > 0 and member is not None and member.epoch >= consumer.epoch:
                # Those whom the coordinator has given up may not know yet; nobody else works on a
                # partition that is not its own.
                for partition in consumer.owned:
                    assert owners.get(partition) == consumer.member_id
        before = picture(self.driver.shard)
        assert picture(self.driver.replayed(self.driver.log)) == before
        assert picture(self.driver.replayed(compacted(self.driver.log))) == before

    def converge(self) -> None:
        """Everybody alive heartbeats on; soon all own exactly what they should."""
        for _ in range(40):
            for consumer in list(self.consumers):
                if consumer.told is not None:
                    self.acknowledge_now(consumer)
                else:
                    self._send(consumer)
            self.driver.advance(3000)
        self.check()
        group = self.group
        if group is None or not group.members:
            assert not self.consumers
            return
        assert set(group.members) == {c.member_id for c in self.consumers}
        assert group.state == "Stable", group.state
        wanted: set[Partition] = set()
        for consumer in self.consumers:
            member = group.members[consumer.member_id]
            assert consumer.epoch == member.epoch == group.epoch == group.target_epoch
            owned = {(t, p) for t, partitions in member.assigned.items() for p in partitions}
            assert consumer.owned == owned
            target = group.targets.get(member.member_id, {})
            assert owned == {(t, p) for t, partitions in target.items() for p in partitions}
            for topic_id in subscribed_topic_ids(group, member, self.driver.published):
                topic = self.driver.published.topics_by_id[topic_id]
                wanted |= {(topic_id, index) for index in topic.partitions}
        assert wanted == {p for c in self.consumers for p in c.owned}

    def acknowledge_now(self, consumer: Consumer) -> None:
        """The consumer does what it was told, and says so."""
        assert consumer.told is not None
        consumer.owned, consumer.told, consumer.says_all = set(consumer.told), None, True
        self._send(consumer)


def picture(shard: GroupShard) -> dict[str, Any]:
    """All that records say of the shard's consumer groups, as values to compare."""
    soft = {"refresh_at_ms", "refresh_epoch", "revoking", "members_most", "regexes_most"}
    compiled = ("epoch", "target_epoch", "classic_count", "regex_counts")
    return {
        group_id: {
            name: dict(value) if isinstance(value, dict) else value
            for name, value in (
                *vars(group).items(),
                *((name, getattr(group, name, None)) for name in compiled),
            )
            if name not in soft
        }
        for group_id, group in shard.groups.items()
    }


__all__ = ["Consumer", "Entry", "Schedule", "picture"]
