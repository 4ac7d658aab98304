"""A classic group and its members: who they are, what they speak, whom they wait for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from kafka_py.coordinator.classic.states import FOLLOWS, REBALANCES_FROM, State
from kafka_py.coordinator.machine import CoordinatorRecord, Moment, Reply
from kafka_py.coordinator.shard import Group
from kafka_py.protocol.errors import ErrorCode, MalformedRequest
from kafka_py.protocol.groups import ConsumerProtocolSubscription, JoinGroupRequest
from kafka_py.protocol.records_group import GroupMetadataKey, GroupMetadataValue

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["CONSUMER", "ClassicGroup", "Member", "Protocols", "protocols_of", "simple_group"]

#: The protocol type of consumers; their metadata says which topics they read.
CONSUMER: Final = "consumer"

#: The version of GroupMetadataValue that Kafka 4.3 writes.
VALUE_VERSION: Final = 3

# Asking an enumeration's class for a member takes longer than all else that a commit asks here.
NONE: Final = ErrorCode.NONE
DEAD, EMPTY, STABLE = State.DEAD, State.EMPTY, State.STABLE
PREPARING, COMPLETING = State.PREPARING, State.COMPLETING

#: A member's protocols, the one it likes best first, each with its metadata.
Protocols = tuple[tuple[str, bytes], ...]

log = logging.getLogger("kafka_py.coordinator")


def protocols_of(protocols: Iterable[JoinGroupRequest.JoinGroupRequestProtocol]) -> Protocols:
    """What a JoinGroup says of its protocols, as a value that can be compared."""
    return tuple((protocol.name, bytes(protocol.metadata)) for protocol in protocols)


class Member:
    """One member: its identity, time-outs and protocols, and the requests of it that wait.

    Attributes:
        assignment: what the leader gave it; empty while there is none.
        is_new: its first JoinGroup still waits, so it knows no member id and cannot heartbeat.
        parked_join, parked_sync: replies that it waits for.
    """

    __slots__ = (
        "assignment",
        "client_host",
        "client_id",
        "instance_id",
        "is_new",
        "member_id",
        "parked_join",
        "parked_sync",
        "protocol_type",
        "protocols",
        "rebalance_timeout_ms",
        "session_timeout_ms",
    )

    def __init__(
        self,
        member_id: str,
        *,
        instance_id: str | None,
        client_id: str,
        client_host: str,
        rebalance_timeout_ms: int,
        session_timeout_ms: int,
        protocol_type: str,
        protocols: Protocols,
        assignment: bytes = b"",
    ) -> None:
        self.member_id = member_id
        self.instance_id = instance_id
        self.client_id = client_id
        self.client_host = client_host
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.session_timeout_ms = session_timeout_ms
        self.protocol_type = protocol_type
        self.protocols = protocols
        self.assignment = assignment
        self.is_new = False
        self.parked_join: Reply | None = None
        self.parked_sync: Reply | None = None

    def metadata(self, protocol: str | None) -> bytes:
        """Its metadata under that protocol; KeyError when it does not speak it."""
        for name, metadata in self.protocols:
            if name == protocol:
                return metadata
        raise KeyError(protocol)

    def vote(self, candidates: set[str]) -> str:
        """Its favourite of the candidates, of which it speaks at least one."""
        return next(name for name, _ in self.protocols if name in candidates)

    @property
    def is_excused(self) -> bool:
        """Whether it need not heartbeat: it waits for the coordinator, and knows its member id."""
        return not self.is_new and (self.parked_join is not None or self.parked_sync is not None)


class ClassicGroup(Group):
    """A group whose leader, one of the members, assigns.

    Everything but what its GroupMetadata record says is soft state (see
    `kafka_py.coordinator.machine`). The module's functions beside this one (`join`, `sync`,
    `heartbeat`, `leave`, `rebalance`) drive it; it only keeps its own parts consistent.

    Attributes:
        generation: counts the completed joins.
        protocol_type: "" for a group that no member ever joined.
        protocol_name: the selected protocol; None while there are no members.
        leader_id: who assigns; None without members.
        members: member id -> member, in the order they came.
        static_members: group.instance.id -> member id.
        pending_joins: member ids given out, whose JoinGroup has not come yet.
        pending_syncs: members of this generation that have not asked for their assignment.
        waiting: how many members' JoinGroups are parked.
        storing: the leader's assignment for this generation is being written.
        previous_state: where the group was before ``state``.
        state_changed_ms: since when it is in ``state`` (wall clock); -1: an old record that did not
            say.
        subscribed_topics: what its consumers read; None when that is not known.
        joined_meanwhile: members came while the initial rebalance waited for more.
        initial_wait_ms: (this wait, what is left after it) of an initial rebalance, else None.
    """

    kind = "classic"

    def __init__(
        self,
        group_id: str,
        *,
        state: State = State.EMPTY,
        state_changed_ms: int = -1,
        generation: int = 0,
        protocol_type: str = "",
        protocol_name: str | None = None,
        leader_id: str | None = None,
    ) -> None:
        super().__init__(group_id)
        self.current = state
        self.previous_state = State.DEAD
        self.state_changed_ms = state_changed_ms
        self.generation = generation
        self.protocol_type = protocol_type
        self.protocol_name = protocol_name
        self.leader_id = leader_id
        self.members: dict[str, Member] = {}
        self.static_members: dict[str, str] = {}
        self.pending_joins: set[str] = set()
        self.pending_syncs: set[str] = set()
        self.waiting = 0
        self.storing = False
        self.subscribed_topics: frozenset[str] | None = None
        self.joined_meanwhile = False
        self.initial_wait_ms: tuple[int, int] | None = None
        self._speakers: dict[str, int] = {}

    # --- state --------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Its name, as clients see it."""
        return self.current.value

    @property
    def is_empty(self) -> bool:
        """Empty; members that were only given an id do not count."""
        return self.current is State.EMPTY

    @property
    def is_simple(self) -> bool:
        """Nothing but committed offsets: no member ever joined, no record says that it exists."""
        return not self.protocol_type and self.is_empty and not self.pending_joins

    @property
    def can_rebalance(self) -> bool:
        """Whether a rebalance may begin now."""
        return self.current in REBALANCES_FROM

    def enter(self, state: State, now: Moment) -> None:
        """Move on to ``state``; AssertionError when the table does not allow it."""
        if self.current not in FOLLOWS[state]:
            raise AssertionError(f"group {self.group_id}: {state} cannot follow {self.current}")
        self.previous_state = self.current
        self.current = state
        self.state_changed_ms = now.wall_ms

    def next_generation(self, now: Moment) -> None:
        """The join phase is over: count on, choose the protocol, await the leader."""
        self.generation += 1
        if self.members:
            self.protocol_name = self.select_protocol()
            self.enter(State.COMPLETING, now)
        else:
            self.protocol_name = None
            self.enter(State.EMPTY, now)
        self.subscribed_topics = self.subscriptions()
        self.pending_syncs.clear()
        self.storing = False

    # --- members ------------------------------------------------------------------------------

    def add(self, member: Member, reply: Reply | None = None) -> None:
        """Take a member in; the first becomes leader and says the protocol type."""
        if member.instance_id is not None:
            if member.instance_id in self.static_members:
                raise AssertionError(f"instance {member.instance_id} is already a member")
            self.static_members[member.instance_id] = member.member_id
        if not self.members:
            self.protocol_type = member.protocol_type
        if self.leader_id is None:
            self.leader_id = member.member_id
        self.members[member.member_id] = member
        self._count(member, 1)
        self.park_join(member, reply)
        self.pending_joins.discard(member.member_id)

    def remove(self, member_id: str) -> None:
        """Let a member, or an id that was given out, go; another becomes leader if it led."""
        member = self.members.pop(member_id, None)
        if member is not None:
            self._count(member, -1)
            if member.parked_join is not None:
                self.waiting -= 1
            if member.instance_id is not None:
                self.static_members.pop(member.instance_id, None)
        if member_id == self.leader_id:
            self.leader_id = next(iter(self.members), None)
        self.pending_joins.discard(member_id)
        self.pending_syncs.discard(member_id)

    def update(
        self,
        member: Member,
        protocols: Protocols,
        rebalance_timeout_ms: int,
        session_timeout_ms: int,
        reply: Reply | None,
    ) -> None:
        """Take over what a member's JoinGroup says of it, and park its reply."""
        self._count(member, -1)
        member.protocols = protocols
        self._count(member, 1)
        member.rebalance_timeout_ms = rebalance_timeout_ms
        member.session_timeout_ms = session_timeout_ms
        self.park_join(member, reply)

    def replace_static(self, instance_id: str, old_id: str, new_id: str) -> Member:
        """Let ``new_id`` stand for the member ``old_id``, whose parked replies were taken."""
        old = self.members.pop(old_id)
        new = Member(
            new_id,
            instance_id=old.instance_id,
            client_id=old.client_id,
            client_host=old.client_host,
            rebalance_timeout_ms=old.rebalance_timeout_ms,
            session_timeout_ms=old.session_timeout_ms,
            protocol_type=old.protocol_type,
            protocols=old.protocols,
            assignment=old.assignment,
        )
        self.members[new_id] = new
        if self.leader_id == old_id:
            self.leader_id = new_id
        self.static_members[instance_id] = new_id
        return new

    def park_join(self, member: Member, reply: Reply | None) -> None:
        """Let ``reply`` be what the member waits for; an earlier one's client has given up."""
        self.waiting += (reply is not None) - (member.parked_join is not None)
        member.parked_join = reply

    def take_join(self, member: Member) -> Reply | None:
        """Its parked JoinGroup, no longer parked; None when there is none."""
        reply = member.parked_join
        self.park_join(member, None)
        return reply

    def take_sync(self, member: Member) -> Reply | None:
        """Its parked SyncGroup, no longer parked; None when there is none."""
        reply, member.parked_sync = member.parked_sync, None
        return reply

    @property
    def all_joined(self) -> bool:
        """Nobody has to be waited for: every member's JoinGroup is here, and every id given out."""
        return self.waiting == len(self.members) and not self.pending_joins

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long members may take to rejoin: the longest that one of them asked for."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def elect_joined_leader(self) -> bool:
        """Have a leader whose JoinGroup is here, another one if need be; False: there is none."""
        leader = self.members.get(self.leader_id or "")
        if leader is not None and leader.parked_join is not None:
            return True
        if self.leader_id is None:
            return False
        for member in self.members.values():
            if member.parked_join is not None:
                log.info(
                    "group %s: leader %s did not rejoin in time, %s leads",
                    self.group_id,
                    self.leader_id,
                    member.member_id,
                )
                self.leader_id = member.member_id
                return True
        return False

    def check_member(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Whether such a member is here: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID or NONE."""
        if instance_id is not None:
            holder = self.static_members.get(instance_id)
            if holder is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if holder != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    # --- protocols ----------------------------------------------------------------------------

    def _count(self, member: Member, step: int) -> None:
        for name in {name for name, _ in member.protocols}:
            self._speakers[name] = self._speakers.get(name, 0) + step
            if not self._speakers[name]:
                del self._speakers[name]

    def speaks(self, protocol_type: str, protocols: Protocols) -> bool:
        """Whether one of these protocols is one that every member speaks."""
        if self.current is State.EMPTY:
            return bool(protocol_type and protocols)
        everyone = len(self.members)
        return protocol_type == self.protocol_type and any(
            self._speakers.get(name, 0) == everyone for name, _ in protocols
        )

    def select_protocol(self) -> str:
        """The protocol that most members like best of those that all speak."""
        everyone = len(self.members)
        candidates = {name for name, count in self._speakers.items() if count == everyone}
        votes: dict[str, int] = {}
        for member in self.members.values():
            vote = member.vote(candidates)
            votes[vote] = votes.get(vote, 0) + 1
        return max(in_hash_map_order(votes), key=votes.__getitem__)

    def subscriptions(self) -> frozenset[str] | None:
        """The topics that its consumers read; None when they are none or it cannot be told."""
        if self.protocol_type != CONSUMER:
            return None
        if not self.members:
            return frozenset()
        if self.protocol_name is None:
            return None
        topics: set[str] = set()
        try:
            for member in self.members.values():
                topics.update(subscribed_topics(member.metadata(self.protocol_name)))
        except (MalformedRequest, KeyError) as error:
            log.warning("group %s: its subscriptions cannot be read: %s", self.group_id, error)
            return None
        return frozenset(topics)

    def is_subscribed(self, topic: str) -> bool:
        """Whether a consumer reads ``topic``; consumers whose subscription is unknown might."""
        if self.subscribed_topics is None:
            return self.protocol_type == CONSUMER
        return topic in self.subscribed_topics

    # --- judgements ---------------------------------------------------------------------------

    def validate_offset_commit(
        self,
        member_id: str,
        instance_id: str | None,
        epoch: int,
        *,
        transactional: bool,
        api_version: int,
    ) -> ErrorCode:
        """Whether such a member may commit.

        Without a generation (an admin's or a lone consumer's commit) the group has to be empty;
        transactions of old clients name neither member nor generation and may commit at any time.
        A member that commits between its JoinGroup and the assignment is told to rejoin.
        """
        if self.current is DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if epoch < 0 and self.current is EMPTY:
            return NONE
        if epoch >= 0 or member_id or instance_id is not None:
            error = self.check_member(member_id, instance_id)
            if error:
                return error
            if epoch != self.generation:
                return ErrorCode.ILLEGAL_GENERATION
        elif not transactional and self.current is not EMPTY:
            return ErrorCode.UNKNOWN_MEMBER_ID
        if not transactional and self.current is COMPLETING:
            return ErrorCode.REBALANCE_IN_PROGRESS
        return NONE

    def validate_offset_fetch(self, member_id: str | None, epoch: int) -> ErrorCode:
        """Anyone may read its offsets."""
        return ErrorCode.GROUP_ID_NOT_FOUND if self.current is State.DEAD else ErrorCode.NONE

    def validate_delete(self) -> ErrorCode:
        """Only an empty group may go."""
        if self.current is State.DEAD:
            return ErrorCode.GROUP_ID_NOT_FOUND
        return ErrorCode.NONE if self.current is State.EMPTY else ErrorCode.NON_EMPTY_GROUP

    def validate_offset_delete(self) -> ErrorCode:
        """Offsets of topics that nobody reads may go; only consumers say what they read."""
        if self.current is State.DEAD:
            return ErrorCode.GROUP_ID_NOT_FOUND
        if self.current is State.EMPTY or self.protocol_type == CONSUMER:
            return ErrorCode.NONE
        return ErrorCode.NON_EMPTY_GROUP

    def committed(self, shard: GroupShard, member_id: str, now: Moment) -> None:
        """A commit is a sign of life, except while the leader assigns."""
        member = self.members.get(member_id)
        if member is not None and self.current in (STABLE, PREPARING):
            shard.deadlines.set(
                ("classic-session", self.group_id, member_id), now.ms + member.session_timeout_ms
            )

    def quick_heartbeat(
        self, shard: GroupShard, member_id: str, generation: int, now: Moment
    ) -> bool:
        """A member of the current generation of a stable group is alive."""
        member = self.members.get(member_id)
        if member is None or generation != self.generation or self.current is not STABLE:
            return False
        shard.deadlines.set(
            ("classic-session", self.group_id, member_id), now.ms + member.session_timeout_ms
        )
        return True

    def offsets_expire_from_ms(self, committed_ms: int) -> int | None:
        """See `Group`. A stable group of consumers loses what none of them reads any more."""
        if not self.protocol_type:
            return committed_ms
        if self.current is State.EMPTY:
            return committed_ms if self.state_changed_ms == -1 else self.state_changed_ms
        if (
            self.protocol_type == CONSUMER
            and self.subscribed_topics is not None
            and self.current is State.STABLE
        ):
            return committed_ms
        return None

    # --- records ------------------------------------------------------------------------------

    def tombstones(self) -> list[CoordinatorRecord]:
        """The record that deletes it."""
        return [CoordinatorRecord(GroupMetadataKey(group=self.group_id), None)]

    def record(self, assignments: Mapping[str, bytes]) -> CoordinatorRecord:
        """What a loaded coordinator has to know of this generation, with these assignments."""
        return CoordinatorRecord(
            GroupMetadataKey(group=self.group_id),
            GroupMetadataValue(
                protocol_type=self.protocol_type,
                generation=self.generation,
                protocol=self.protocol_name,
                leader=self.leader_id,
                current_state_timestamp=self.state_changed_ms,
                members=[
                    GroupMetadataValue.MemberMetadata(
                        member_id=member.member_id,
                        group_instance_id=member.instance_id,
                        client_id=member.client_id,
                        client_host=member.client_host,
                        rebalance_timeout=member.rebalance_timeout_ms,
                        session_timeout=member.session_timeout_ms,
                        subscription=member.metadata(self.protocol_name),
                        assignment=assignments[member.member_id],
                    )
                    for member in self.members.values()
                ],
            ),
            VALUE_VERSION,
        )

    def created_record(self) -> CoordinatorRecord:
        """What says that it exists, before a first generation does."""
        return CoordinatorRecord(
            GroupMetadataKey(group=self.group_id),
            GroupMetadataValue(
                protocol_type="",
                generation=0,
                protocol=None,
                leader=None,
                current_state_timestamp=self.state_changed_ms,
                members=[],
            ),
            VALUE_VERSION,
        )

    @classmethod
    def from_record(cls, group_id: str, value: GroupMetadataValue) -> ClassicGroup:
        """The group as its last record has it, of whichever version: stable, or empty."""
        group = cls(
            group_id,
            state=State.STABLE if value.members else State.EMPTY,
            state_changed_ms=value.current_state_timestamp,
            generation=value.generation,
            protocol_type=value.protocol_type or "",
            protocol_name=value.protocol,
            leader_id=value.leader,
        )
        for member in value.members:
            group.add(
                Member(
                    member.member_id,
                    instance_id=member.group_instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    rebalance_timeout_ms=(
                        member.session_timeout
                        if member.rebalance_timeout == -1
                        else member.rebalance_timeout
                    ),
                    session_timeout_ms=member.session_timeout,
                    protocol_type=value.protocol_type,
                    protocols=((value.protocol or "", bytes(member.subscription)),),
                    assignment=bytes(member.assignment),
                )
            )
        group.subscribed_topics = group.subscriptions()
        return group


def simple_group(shard: GroupShard, group_id: str) -> Group:
    """The group of that id, of whichever protocol; a simple one is made when there is none.

    Offsets alone make a group: no record says that it exists.
    """
    group = shard.groups.get(group_id)
    if group is None:
        group = shard.groups[group_id] = ClassicGroup(group_id)
    return group


def subscribed_topics(metadata: bytes) -> list[str]:
    """The topics in a consumer's subscription; MalformedRequest when it is none.

    Read as version 0, whose fields every version begins with, so that later ones can be read too.
    """
    if len(metadata) < 2:
        raise MalformedRequest("a subscription begins with its version")
    subscription, _ = ConsumerProtocolSubscription.decode_from(metadata, 2, 0)
    return subscription.topics


def in_hash_map_order(names: Mapping[str, object]) -> Iterator[str]:
    """The names as Java's HashMap would give them: of protocols with as many votes, Kafka takes the
    first in that order."""
    buckets = 16
    while len(names) > buckets * 3 // 4:
        buckets *= 2
    return iter(sorted(names, key=lambda name: _spread_hash(name) & (buckets - 1)))


def _spread_hash(text: str) -> int:
    value = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        value = (31 * value + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return value ^ value >> 16
