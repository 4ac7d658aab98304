"""A consumer group as its records say it (KIP-848): members, epochs, target, who owns what.

Everything here changes by the appliers alone, except what is named soft below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kafka_py.coordinator.consumer import records
from kafka_py.coordinator.consumer.assignor_order import timeline_order
from kafka_py.coordinator.consumer.member import (
    LEAVE_EPOCH,
    NO_PARTITIONS,
    NO_TOPICS,
    Member,
    MemberState,
    Owned,
    Target,
    new_member,
)
from kafka_py.coordinator.consumer.settings import group_setting
from kafka_py.coordinator.machine import Caller, CoordinatorRecord, Moment, Reply, Result
from kafka_py.coordinator.shard import Group
from kafka_py.coordinator.steady import GroupState, SteadyMember
from kafka_py.protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["INITIAL_EPOCH", "SESSION", "ConsumerGroup", "ResolvedRegex", "is_homogeneous"]

#: The kind of a member's deadline; a key is (kind, group id, member id).
SESSION: Final = "consumer-session"
#: OffsetCommit: the first version that carries a member epoch.
_MEMBER_EPOCH_VERSION: Final = 9

#: The epoch of a group and of its target before anything happened; no record says it.
INITIAL_EPOCH: Final = 1


class ResolvedRegex(NamedTuple):
    """What a pattern matched: topics, the metadata's version, and when (wall clock)."""

    topics: frozenset[str]
    version: int
    resolved_ms: int


class ConsumerGroup(Group, GroupState):
    """A group of the consumer protocol. What every heartbeat looks at is in `GroupState`.

    Attributes:
        epoch: grows with every change of members or topics; INITIAL_EPOCH before the first.
        metadata_hash: of the topics subscribed to, as of ``epoch``.
        target_epoch: the group epoch that the target was made for.
        target_made_ms: when it was made (wall clock); 0 when that is not known.
        targets: member id -> its share of the target.
        members: member id -> member.
        static_members: instance id -> member id.
        partition_epochs: topic id -> partition -> epoch of the member that owns it.
        name_counts: topic -> how many members subscribe to it by name.
        regex_counts: pattern -> how many members subscribe to it.
        resolved: pattern -> what it matched.
        regex_topic_counts: topic -> how many resolved patterns matched it.
        assignor_counts: assignor -> how many members prefer it.
        classic_protocol_counts: protocol -> how many classic members offer it.
        has_partition_metadata: a record of Kafka 4.0 is to be deleted.
        refresh_at_ms, refresh_epoch: soft; when the hash is computed again (monotonic), and the
            group epoch that was given out with it.
        members_most, regexes_most: how many members and patterns there were at once; the order of
            Kafka's hash tables depends on it.
        revoking: soft; member id -> the epoch it has to leave before its rebalance time-out.
    """

    kind = "consumer"
    protocol_type = "consumer"

    def __init__(self, group_id: str) -> None:
        super().__init__(group_id)
        self.epoch = INITIAL_EPOCH
        self.metadata_hash = 0
        self.target_epoch = INITIAL_EPOCH
        self.target_made_ms = 0
        self.targets: dict[str, Target] = {}
        self.members: dict[str, Member] = {}
        self.static_members: dict[str, str] = {}
        self.partition_epochs: dict[bytes, dict[int, int]] = {}
        self.name_counts: dict[str, int] = {}
        self.resolved: dict[str, ResolvedRegex] = {}
        self.regex_topic_counts: dict[str, int] = {}
        self.assignor_counts: dict[str, int] = {}
        self.classic_protocol_counts: dict[str, int] = {}
        self.has_partition_metadata = False
        self.members_most = self.regexes_most = 0
        self.revoking: dict[str, int] = {}

    # -- what the shard asks -------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Empty, Assigning, Reconciling or Stable."""
        if not self.members:
            return "Empty"
        if self.epoch > self.target_epoch:
            return "Assigning"
        if all(member.reconciled_to(self.target_epoch) for member in self.members.values()):
            return "Stable"
        return "Reconciling"

    @property
    def is_empty(self) -> bool:
        """No member is left, not even a static one that is away."""
        return not self.members

    def is_subscribed(self, topic: str) -> bool:
        """Whether a member subscribes to the topic by name, or a resolved pattern matched it."""
        return topic in self.name_counts or topic in self.regex_topic_counts

    def subscribed_names(self) -> set[str]:
        """Every topic that is subscribed to, existing or not."""
        return {*self.name_counts, *self.regex_topic_counts}

    def validate_offset_commit(
        self,
        member_id: str,
        instance_id: str | None,
        epoch: int,
        *,
        transactional: bool,
        api_version: int,
    ) -> ErrorCode:
        """Whether this member may commit. NONE for an older epoch too: then every partition is
        judged by `validate_partition_commit` (KIP-1251)."""
        if epoch < 0 and not self.members:
            return ErrorCode.NONE
        if transactional and epoch == -1 and not member_id and instance_id is None:
            return ErrorCode.NONE
        member = self.members.get(member_id)
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        if not transactional and member.classic is None and api_version < _MEMBER_EPOCH_VERSION:
            return ErrorCode.UNSUPPORTED_VERSION
        return self._stale(member) if epoch > member.epoch else ErrorCode.NONE

    def validate_partition_commit(
        self, member_id: str, epoch: int, topic_id: bytes, partition: int
    ) -> ErrorCode:
        """Whether a member with an older epoch owns the partition since that epoch or longer."""
        member = self.members.get(member_id)
        if member is None or epoch == member.epoch:
            return ErrorCode.NONE
        since = member.assignment_epoch(topic_id, partition)
        return self._stale(member) if since is None or epoch < since else ErrorCode.NONE

    @staticmethod
    def _stale(member: Member) -> ErrorCode:
        if member.classic is not None:
            return ErrorCode.ILLEGAL_GENERATION
        return ErrorCode.STALE_MEMBER_EPOCH

    def validate_offset_fetch(self, member_id: str | None, epoch: int) -> ErrorCode:
        """Whether the member may read offsets; nobody in particular always may."""
        if member_id is None and epoch < 0:
            return ErrorCode.NONE
        member = None if member_id is None else self.members.get(member_id)
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if epoch == member.epoch else self._stale(member)

    def steady_member(self, shard: GroupShard, member_id: str) -> SteadyMember | None:
        """What a compiled heartbeat of the member is held against, while it has all that its target
        says. None: every heartbeat of it is for the general path."""
        member = self.members.get(member_id)
        session = shard.deadlines.entry((SESSION, self.group_id, member_id))
        if member is None or member.state is not MemberState.STABLE or session is None:
            return None
        return SteadyMember(
            member.epoch,
            member.client_id,
            member.client_host,
            session,
            group_setting(shard, self.group_id, "consumer.session.timeout.ms"),
            group_setting(shard, self.group_id, "consumer.heartbeat.interval.ms"),
        )

    def validate_delete(self) -> ErrorCode:
        """NON_EMPTY_GROUP while there are members."""
        return ErrorCode.NON_EMPTY_GROUP if self.members else ErrorCode.NONE

    def validate_offset_delete(self) -> ErrorCode:
        """Always: the topics that are subscribed to are refused one by one."""
        return ErrorCode.NONE

    def committed(self, shard: GroupShard, member_id: str, now: Moment) -> None:
        """A commit is no sign of life here: heartbeats alone are."""

    def offsets_expire_from_ms(self, committed_ms: int) -> int | None:
        """Retention counts from the commit."""
        return committed_ms

    def serve_classic(
        self, shard: GroupShard, request: Any, caller: Caller, now: Moment, reply: Reply
    ) -> Result | None:
        """A classic member's request; a group without members has none to serve."""
        # Here, since that module builds on this one.
        from kafka_py.coordinator.consumer.classic_members import serve

        return serve(shard, self, request, caller, now, reply) if self.members else None

    def tombstones(self) -> list[CoordinatorRecord]:
        """What deletes the group, members included."""
        return records.group_tombstones(
            self.group_id, timeline_order(self.members, self.members_most), self.resolved
        )

    # -- members -------------------------------------------------------------------------------

    def member(self, member_id: str, *, create: bool = False) -> Member:
        """That member; with ``create`` a new one, not yet of the group. UNKNOWN_MEMBER_ID."""
        found = self.members.get(member_id)
        if found is not None:
            return found
        if create:
            return new_member(member_id)
        raise ApiError(
            ErrorCode.UNKNOWN_MEMBER_ID,
            f"Member {member_id} is not a member of group {self.group_id}.",
        )

    def static_member(self, instance_id: str) -> Member | None:
        """The member that holds an instance id."""
        member_id = self.static_members.get(instance_id)
        return None if member_id is None else self.members.get(member_id)

    def target_of(self, member: Member) -> Target:
        """Its share of the target; that of the member it replaces when it is static."""
        member_id: str | None = member.member_id
        if member.instance_id is not None:
            member_id = self.static_members.get(member.instance_id)
        return self.targets.get(member_id, NO_TOPICS) if member_id is not None else NO_TOPICS

    def partition_epoch(self, topic_id: bytes, partition: int) -> int:
        """The epoch of the member that owns the partition; -1 when nobody does."""
        return self.partition_epochs.get(topic_id, NO_PARTITIONS).get(partition, -1)

    # -- changes, by the appliers --------------------------------------------------------------

    def put_member(self, member: Member) -> None:
        """Take over a member, new or changed."""
        old = self.members.get(member.member_id)
        self.members[member.member_id] = member
        self.member_changed(member.member_id)
        if old is None or old.names is not member.names:
            self._count(self.name_counts, old.names if old else (), member.names)
        if old is None or old.assignor != member.assignor:
            self._count(self.assignor_counts, _one(old and old.assignor), _one(member.assignor))
        if old is None or old.regex != member.regex:
            self._count(self.regex_counts, _one(old and old.regex), _one(member.regex))
        self.members_most = max(self.members_most, len(self.members))
        self.regexes_most = max(self.regexes_most, len(self.regex_counts))
        if old is not None:
            self._release(old.assigned, old.epoch)
            self._release(old.pending, old.epoch)
        self._claim(member.assigned, member.epoch)
        self._claim(member.pending, member.epoch)
        if member.instance_id is not None:
            self.static_members[member.instance_id] = member.member_id
        self._count_classic(old, member)

    def remove_member(self, member_id: str) -> None:
        """Forget a member and what it owned; unknown ones are fine."""
        old = self.members.pop(member_id, None)
        if old is None:
            return
        self.member_changed(member_id)
        self._count(self.name_counts, old.names, ())
        self._count(self.assignor_counts, _one(old.assignor), ())
        self._count(self.regex_counts, _one(old.regex), ())
        self._release(old.assigned, old.epoch)
        self._release(old.pending, old.epoch)
        if old.instance_id is not None and self.static_members.get(old.instance_id) == member_id:
            del self.static_members[old.instance_id]
        self._count_classic(old, None)
        self.revoking.pop(member_id, None)

    def release_member(self, member_id: str) -> None:
        """A tombstone of what the member owns: its epoch is that of a member that leaves."""
        old = self.members.get(member_id)
        if old is not None:
            self.put_member(
                old._replace(
                    epoch=LEAVE_EPOCH,
                    previous_epoch=LEAVE_EPOCH,
                    assigned=NO_TOPICS,
                    pending=NO_TOPICS,
                )
            )

    def put_resolved(self, expression: str, resolved: ResolvedRegex | None) -> None:
        """Take over what a pattern matched; None: it is not resolved any more."""
        old = self.resolved.pop(expression, None)
        if resolved is not None:
            self.resolved[expression] = resolved
        self._count(
            self.regex_topic_counts,
            old.topics if old is not None else (),
            resolved.topics if resolved is not None else (),
        )

    def _count_classic(self, old: Member | None, new: Member | None) -> None:
        before = old.classic if old is not None else None
        after = new.classic if new is not None else None
        if before is after:
            return
        self.classic_count += (after is not None) - (before is not None)
        self._count(
            self.classic_protocol_counts,
            [p.name for p in before.supported_protocols] if before is not None else (),
            [p.name for p in after.supported_protocols] if after is not None else (),
        )

    @staticmethod
    def _count(counts: dict[str, int], minus: Iterable[str], plus: Iterable[str]) -> None:
        for key in plus:
            counts[key] = counts.get(key, 0) + 1
        for key in minus:
            left = counts.get(key, 0) - 1
            if left > 0:
                counts[key] = left
            else:
                counts.pop(key, None)

    def _claim(self, owned: Owned, epoch: int) -> None:
        for topic_id, partitions in owned.items():
            epochs = self.partition_epochs.setdefault(topic_id, {})
            for partition in partitions:
                # The record of a later epoch wins: a compacted log can show an owner of before.
                if epochs.get(partition, epoch) <= epoch:
                    epochs[partition] = epoch

    def _release(self, owned: Owned, epoch: int) -> None:
        for topic_id, partitions in owned.items():
            epochs = self.partition_epochs.get(topic_id)
            if epochs is None:
                continue
            for partition in partitions:
                if epochs.get(partition) == epoch:
                    del epochs[partition]
            if not epochs:
                del self.partition_epochs[topic_id]

    # -- what a change would make of it --------------------------------------------------------

    def names_with(
        self, old: Member | None, new: Member | None
    ) -> tuple[dict[str, int], dict[str, int]]:
        """``name_counts`` and ``regex_topic_counts`` were the member changed so.

        Topics of a pattern that only this member had go; those of a new one come when it is
        resolved.
        """
        names = dict(self.name_counts)
        self._count(names, old.names if old else (), new.names if new else ())
        by_regex = self.regex_topic_counts
        before, after = (old.regex or None) if old else None, (new.regex or None) if new else None
        if before is not None and before != after and self.regex_counts.get(before) == 1:
            resolved = self.resolved.get(before)
            if resolved is not None:
                by_regex = dict(by_regex)
                self._count(by_regex, resolved.topics, ())
        return names, by_regex

    def names_without(
        self, leaving: Collection[Member], expressions: Collection[str]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """The same were these members and these resolved patterns gone."""
        names, by_regex = dict(self.name_counts), dict(self.regex_topic_counts)
        for member in leaving:
            self._count(names, member.names, ())
        for expression in expressions:
            resolved = self.resolved.get(expression)
            if resolved is not None:
                self._count(by_regex, resolved.topics, ())
        return names, by_regex

    def regexes_with(self, old: Member | None, new: Member | None) -> dict[str, int]:
        """``regex_counts`` were the member changed so."""
        counts = dict(self.regex_counts)
        self._count(counts, _one(old and old.regex), _one(new and new.regex))
        return counts

    def preferred_assignor(
        self, old: Member | None = None, new: Member | None = None
    ) -> str | None:
        """The assignor that most members prefer, were the member changed so; None: nobody does.

        Of equals Kafka takes the first in the order of its hash tables. There a name stands in
        front once it is put into the copy that it counts in, be it new or just taken away.
        """
        counts = {name: self.assignor_counts[name] for name in timeline_order(self.assignor_counts)}
        self._count(counts, _one(old and old.assignor), ())
        name = new.assignor if new is not None else None
        if name is not None:
            counts = (
                {name: 1, **counts} if name not in counts else counts | {name: counts[name] + 1}
            )
        return max(counts, key=counts.__getitem__, default=None)


def _one(value: str | None) -> tuple[str, ...]:
    return (value,) if value else ()


def is_homogeneous(
    names: Mapping[str, int],
    by_regex: Mapping[str, int],
    regexes: Mapping[str, int],
    members: int,
) -> bool:
    """Whether every member subscribes to the same topics (which takes assignors a shorter way)."""
    if not regexes:
        return all(names.get(topic) == members for topic in {*names, *by_regex})
    if next(iter(regexes.values())) != members:
        return False
    return not names and all(count == 1 for count in by_regex.values())
