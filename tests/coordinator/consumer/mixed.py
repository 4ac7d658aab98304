"""Clients of both protocols in one group, in an order that a seed gives.

`Classic` is a consumer of the classic protocol, cooperative or eager, with a leader that assigns
while the group is a classic one; the clients of the consumer protocol are those of `schedules`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kafka_py.coordinator.classic import ClassicGroup
from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from tests.coordinator.consumer.driver import Ask, compacted
from tests.coordinator.consumer.schedules import GROUP, Consumer, Partition, Schedule, picture

TOPICS = ["a1", "a2"]
Named = tuple[str, int]


@dataclass
class Classic:
    """A client of the classic protocol: what it believes.

    Attributes:
        phase: what it does next: "join", "sync" or "beat"; it waits while ``asked`` is unanswered.
        owned: the partitions that it works on.
        members: of the generation that it is to assign to, as it leads; else empty.
    """

    name: str
    instance_id: str | None
    member_id: str = ""
    generation: int = -1
    phase: str = "join"
    owned: set[Named] = field(default_factory=set)
    members: list[JoinGroupResponse.JoinGroupResponseMember] = field(default_factory=list)
    asked: Ask | None = None
    alive: bool = True


class MixedSchedule(Schedule):
    """A group with clients of both protocols under a seed."""

    def __init__(self, seed: int, *, cooperative: bool) -> None:
        super().__init__(seed, regexes=False)
        self.cooperative = cooperative
        self.protocol = "cooperative-sticky" if cooperative else "range"
        self.driver.settings["group.consumer.max.size"] = 2**31 - 1
        self.driver.settings["group.initial.rebalance.delay.ms"] = 0
        self.classics: list[Classic] = []
        self.kinds: set[str] = set()
        self.steps = {
            self.join: 3,
            self.join_classic: 5,
            self.beat: 20,
            self.acknowledge: 15,
            self.step_classic: 60,
            self.lose_answer: 2,
            self.leave: 3,
            self.leave_classic: 2,
            self.swap: 3,
            self.die: 2,
            self.die_classic: 2,
            self.pass_time: 8,
            self.fail_over: 1,
        }

    @property
    def group(self) -> ConsumerGroup | None:
        """The group, as long as it is one of the consumer protocol."""
        group = self.driver.shard.groups.get(GROUP)
        return group if isinstance(group, ConsumerGroup) else None

    def _subscription(self) -> dict[str, Any]:
        return {"subscribed_topic_names": TOPICS, "subscribed_topic_regex": ""}

    # -- steps ---------------------------------------------------------------------------------

    def join_classic(self) -> None:
        """A new client of the classic protocol; at times under an instance id."""
        if len(self.classics) > 4:
            return
        self.made += 1
        taken = {c.instance_id for c in (*self.classics, *self.consumers)}
        instance = f"i{self.random.randint(1, 3)}" if self.random.random() < 0.3 else None
        if instance in taken:
            instance = None
        self.classics.append(Classic(f"c{self.made}", instance))

    def step_classic(self) -> None:
        """One of them does what it does next."""
        if self.classics:
            self.work(self.random.choice(self.classics))

    def leave_classic(self) -> None:
        """One of them leaves."""
        client = self._member()
        if client is not None:
            self.classics.remove(client)
            one = LeaveGroupRequest.MemberIdentity(
                member_id=client.member_id, group_instance_id=client.instance_id
            )
            request = LeaveGroupRequest(group_id=GROUP, members=[one])
            self.driver.ask(request, client.name, 5)

    def die_classic(self) -> None:
        """One of them is not heard of any more."""
        if self.classics:
            self.classics.remove(self.random.choice(self.classics))

    def swap(self) -> None:
        """A client restarts with the other protocol: a static one under its instance id."""
        classic, consumer = self._member(), self._one()
        self.made += 1
        if classic is not None and self.random.random() < 0.5:
            self.classics.remove(classic)
            new = Consumer(f"m{self.made}", classic.instance_id, self._subscription())
            self.consumers.append(new)
            self._send(new)
        elif consumer is not None:
            self.consumers.remove(consumer)
            if consumer.instance_id is None or self.random.random() < 0.5:
                self._ask(consumer, member_epoch=-1 if consumer.instance_id is None else -2)
            self.classics.append(Classic(f"c{self.made}", consumer.instance_id))

    def fail_over(self) -> None:
        """Another coordinator; what waits is not answered."""
        for client in self.classics:
            if client.asked is not None:
                client.asked = None
        super().fail_over()

    def _member(self) -> Classic | None:
        found = [c for c in self.classics if c.member_id and c.asked is None]
        return self.random.choice(found) if found else None

    # -- a classic client ----------------------------------------------------------------------

    def work(self, client: Classic) -> None:
        """Take an answer that has come, or send what is next."""
        if client.asked is not None:
            if client.asked.response is not None:
                self._taken(client, client.asked.response)
            return
        client.asked = getattr(self, f"_{client.phase}")(client)
        self.work(client)

    def _join(self, client: Classic) -> Ask:
        if not self.cooperative:
            client.owned = set()
        rows: dict[str, list[int]] = {}
        for topic, partition in sorted(client.owned):
            rows.setdefault(topic, []).append(partition)
        row = ConsumerProtocolSubscription.TopicPartition
        subscription = ConsumerProtocolSubscription(
            topics=TOPICS,
            owned_partitions=[row(topic=t, partitions=p) for t, p in rows.items()],
            generation_id=client.generation,
        )
        protocol = JoinGroupRequest.JoinGroupRequestProtocol(
            name=self.protocol, metadata=b"\0\3" + subscription.encode(3)
        )
        request = JoinGroupRequest(
            group_id=GROUP,
            session_timeout_ms=10_000,
            rebalance_timeout_ms=30_000,
            member_id=client.member_id,
            group_instance_id=client.instance_id,
            protocol_type="consumer",
            protocols=[protocol],
        )
        return self.driver.ask(request, client.name, 9)

    def _sync(self, client: Classic) -> Ask:
        request = SyncGroupRequest(
            group_id=GROUP,
            generation_id=client.generation,
            member_id=client.member_id,
            group_instance_id=client.instance_id,
            protocol_type="consumer",
            protocol_name=self.protocol,
            assignments=self._assigned(client),
        )
        return self.driver.ask(request, client.name, 5)

    def _beat(self, client: Classic) -> Ask:
        request = HeartbeatRequest(
            group_id=GROUP,
            generation_id=client.generation,
            member_id=client.member_id,
            group_instance_id=client.instance_id,
        )
        return self.driver.ask(request, client.name, 4)

    def _assigned(self, leader: Classic) -> list[SyncGroupRequest.SyncGroupRequestAssignment]:
        """What the leader assigns: as before where that is even, and nothing that others own."""
        if not leader.members:
            return []
        owned: dict[Named, str] = {}
        for one in leader.members:
            said, _ = ConsumerProtocolSubscription.decode_from(bytes(one.metadata), 2, 3)
            for row in said.owned_partitions:
                owned.update({(row.topic, p): one.member_id for p in row.partitions})
        every = [
            (topic, p)
            for topic in TOPICS
            if topic in self.driver.published.topics
            for p in sorted(self.driver.published.topics[topic].partitions)
        ]
        ids = sorted(one.member_id for one in leader.members)
        most = -(-len(every) // len(ids))
        parts: dict[str, list[Named]] = {member_id: [] for member_id in ids}
        free = []
        for partition in every:
            holder = owned.get(partition)
            if holder in parts and len(parts[holder]) < most:
                parts[holder].append(partition)
            else:
                free.append(partition)
        for partition in free:
            least = min(ids, key=lambda member_id: len(parts[member_id]))
            if partition not in owned:
                parts[least].append(partition)
        row = ConsumerProtocolAssignment.TopicPartition
        return [
            SyncGroupRequest.SyncGroupRequestAssignment(
                member_id=member_id,
                assignment=b"\0\3"
                + ConsumerProtocolAssignment(
                    assigned_partitions=[
                        row(topic=t, partitions=[p for u, p in part if u == t]) for t in TOPICS
                    ]
                ).encode(3),
            )
            for member_id, part in parts.items()
        ]

    def _taken(self, client: Classic, response: Any) -> None:
        client.asked = None
        error = ErrorCode(response.error_code)
        if error in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.ILLEGAL_GENERATION):
            if error is ErrorCode.UNKNOWN_MEMBER_ID:
                client.member_id = ""
            client.generation, client.owned, client.phase = -1, set(), "join"
        elif error is ErrorCode.FENCED_INSTANCE_ID:
            self.classics.remove(client)
        elif error is ErrorCode.REBALANCE_IN_PROGRESS:
            client.phase = "join"
        elif error is ErrorCode.MEMBER_ID_REQUIRED:
            client.member_id = response.member_id
        else:
            assert error is ErrorCode.NONE, response
            getattr(self, f"_{client.phase}_done")(client, response)

    def _join_done(self, client: Classic, response: JoinGroupResponse) -> None:
        client.member_id, client.generation = response.member_id, response.generation_id
        leads = response.leader == response.member_id and not response.skip_assignment
        client.members = list(response.members) if leads else []
        client.phase = "sync"

    def _sync_done(self, client: Classic, response: Any) -> None:
        client.phase, client.members = "beat", []
        rows: list[Any] = []
        if response.assignment:
            rows = ConsumerProtocolAssignment.decode_from(bytes(response.assignment), 2, 3)[
                0
            ].assigned_partitions
        told = {(row.topic, partition) for row in rows for partition in row.partitions}
        if client.owned - told:
            # A cooperative client gives partitions up, then says so.
            client.phase = "join"
        client.owned = told

    def _beat_done(self, client: Classic, response: Any) -> None:
        """Alive."""

    # -- what holds ----------------------------------------------------------------------------

    def _take_answer(self, consumer: Consumer) -> None:
        asked = consumer.asked
        if asked is not None and asked.response is not None:
            error = ErrorCode(asked.response.error_code)
            if error is ErrorCode.UNKNOWN_SERVER_ERROR:
                # The classic group's first rebalance is not over: it tries again.
                consumer.asked, consumer.epoch, consumer.says_all = None, 0, True
                return
        super()._take_answer(consumer)

    def check(self) -> None:
        """What must hold after every step."""
        group: Any = self.driver.shard.groups.get(GROUP)
        if group is None:
            return
        self.kinds.add(group.kind)
        replayed = self.driver.replayed(self.driver.log)
        assert replayed.groups[GROUP].kind == group.kind
        assert self.driver.replayed(compacted(self.driver.log)).groups[GROUP].kind == group.kind
        if isinstance(group, ConsumerGroup):
            assert picture(replayed) == picture(self.driver.shard)
            self.epochs = (0, 0) if group.epoch < self.epochs[0] else self.epochs
            super().check()
        self._no_partition_twice(group)

    def _no_partition_twice(self, group: ConsumerGroup | ClassicGroup) -> None:
        owners: dict[Named, str] = {}
        for client in self.classics:
            member: Any = group.members.get(client.member_id)
            if member is None or client.phase != "beat":
                continue
            if isinstance(group, ConsumerGroup):
                if member.epoch != client.generation or member.classic is None:
                    continue
            elif group.generation != client.generation:
                continue
            for partition in client.owned:
                assert owners.setdefault(partition, client.member_id) == client.member_id
        if isinstance(group, ConsumerGroup):
            names = {topic.id: topic.name for topic in self.driver.published.topics.values()}
            for consumer in self.consumers:
                member = group.members.get(consumer.member_id)
                if member is not None and member.epoch == consumer.epoch:
                    for topic_id, index in consumer.owned:
                        key = names[topic_id], index
                        assert owners.setdefault(key, member.member_id) == member.member_id

    def converge(self) -> None:
        """Everybody alive goes on; soon all own what they should, in a group of the right kind."""
        for _ in range(60):
            for client in list(self.classics):
                for _ in range(3):
                    if client in self.classics:
                        self.work(client)
            for consumer in list(self.consumers):
                if consumer.told is not None:
                    self.acknowledge_now(consumer)
                else:
                    self._send(consumer)
            self.driver.advance(2500)
            self.check()
        group: Any = self.driver.shard.groups.get(GROUP)
        everyone = [*self.classics, *self.consumers]
        if not everyone:
            assert group is None or not group.members
            return
        assert group.kind == ("consumer" if self.consumers else "classic")
        assert set(group.members) == {client.member_id for client in everyone}
        assert group.state == "Stable", group.state
        names = {topic.id: topic.name for topic in self.driver.published.topics.values()}
        owned: list[Partition | Named] = [p for client in self.classics for p in client.owned]
        owned += [(names[t], p) for consumer in self.consumers for t, p in consumer.owned]
        every = [(t, p) for t in TOPICS for p in self.driver.published.topics[t].partitions]
        assert sorted(owned) == sorted(every)


__all__ = ["Classic", "MixedSchedule"]
