"""The group's epoch and its target assignment: when they change, and the records that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from kafka_py.coordinator.consumer import records
from kafka_py.coordinator.consumer.assignor_order import (
    grown_capacity,
    java_order,
    string_hash,
    timeline_order,
)
from kafka_py.coordinator.consumer.assignors import ASSIGNORS
from kafka_py.coordinator.consumer.group import ConsumerGroup, is_homogeneous
from kafka_py.coordinator.consumer.member import NO_TOPICS, Member, Target, same_target, target_from
from kafka_py.coordinator.consumer.reconcile import subscribed_topic_ids
from kafka_py.coordinator.consumer.settings import group_setting
from kafka_py.coordinator.consumer.specs import AssignorError, MemberSpec, TopicsSpec
from kafka_py.coordinator.machine import CoordinatorRecord, Moment
from kafka_py.protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["REFRESH_INTERVAL_MS", "Share", "default_assignor", "next_epoch", "next_target"]

#: How long a hash of the topics is good for; changes of topics make it stale before.
REFRESH_INTERVAL_MS: Final = 2**31 - 1


class Share(NamedTuple):
    """The target's epoch and one member's share of it."""

    epoch: int
    target: Target


def default_assignor(shard: GroupShard) -> str:
    """The assignor of groups whose members prefer none."""
    return str(shard.settings["group.consumer.assignors"][0])


def next_epoch(
    shard: GroupShard,
    group: ConsumerGroup,
    old: Member,
    new: Member,
    now: Moment,
    written: list[CoordinatorRecord],
    *,
    bump: bool,
) -> int:
    """The group's epoch once ``old`` is ``new``; it grows with ``bump``, and when the topics differ
    from what the group's hash was made of."""
    names, by_regex = group.names_with(old, new)
    metadata_hash = shard.topics.hash_of({*names, *by_regex}, shard.image)
    epoch = group.epoch
    if bump or metadata_hash != group.metadata_hash:
        epoch += 1
        written.append(records.epoch(group.group_id, epoch, metadata_hash))
    group.refresh_at_ms, group.refresh_epoch = now.ms + REFRESH_INTERVAL_MS, epoch
    if group.has_partition_metadata:
        written.append(records.partition_metadata_tombstone(group.group_id))
    return epoch


def next_target(
    shard: GroupShard,
    group: ConsumerGroup,
    epoch: int,
    old: Member,
    new: Member,
    now: Moment,
    written: list[CoordinatorRecord],
    *,
    changed: bool,
) -> Share:
    """The target for ``epoch``, and ``new``'s share of it. ``changed``: `next_epoch` gave it.

    It is made anew when the group's epoch is ahead of it, at most once in an assignment interval
    (KIP-1263). Raises UNKNOWN_SERVER_ERROR when the assignor can not assign.
    """
    if epoch <= group.target_epoch or not _is_due(shard, group, now):
        return Share(group.target_epoch, group.target_of(new))
    name = group.preferred_assignor(old, new) or default_assignor(shard)
    specs = _specs(shard, group, new)
    topics = _topics(shard, specs)._replace(
        homogeneous=_is_homogeneous(group, old, new, changed=changed)
    )
    try:
        assigned = ASSIGNORS[name].assign(specs, topics)
    except AssignorError as error:
        raise ApiError(
            ErrorCode.UNKNOWN_SERVER_ERROR,
            f"Failed to compute a new target assignment for epoch {epoch}: {error}",
        ) from error
    mine: Target = NO_TOPICS
    for member_id in _record_order(group, specs):
        target = target_from(assigned.get(member_id, NO_TOPICS))
        if not same_target(group.targets.get(member_id), target):
            written.append(records.target(group.group_id, member_id, target))
        if member_id == new.member_id:
            mine = target
    written.append(records.target_epoch(group.group_id, epoch, now.wall_ms))
    return Share(epoch, mine)


def _record_order(group: ConsumerGroup, specs: Mapping[str, MemberSpec]) -> list[str]:
    """The members in the order in which Kafka's hash tables give them back."""
    put = timeline_order(group.members, group.members_most)
    put += [member_id for member_id in specs if member_id not in group.members]
    capacity = grown_capacity(len(put))
    return [i for i in java_order(put, string_hash, capacity) if i in specs]


def _is_homogeneous(group: ConsumerGroup, old: Member, new: Member, *, changed: bool) -> bool:
    """Whether all subscribe to the same topics: with ``changed`` once ``old`` is ``new``, else as
    the group is now.

    So Apache has it: a member that joins with a pattern not resolved yet may so be assigned what
    it does not want, until it is resolved. One that joins without any subscription would keep that
    from the others for good, so it counts here.
    """
    if not changed and (new.names or new.regex):
        return is_homogeneous(
            group.name_counts, group.regex_topic_counts, group.regex_counts, len(group.members)
        )
    names, by_regex = group.names_with(old, new)
    joins = new.member_id not in group.members and (
        new.instance_id is None or new.instance_id not in group.static_members
    )
    return is_homogeneous(names, by_regex, group.regexes_with(old, new), len(group.members) + joins)


def _topics(shard: GroupShard, specs: Mapping[str, MemberSpec]) -> TopicsSpec:
    counts: dict[bytes, int] = {}
    names: dict[bytes, str] = {}
    for wanted in {spec.subscribed_topic_ids for spec in specs.values()}:
        for topic_id in wanted:
            topic = shard.image.topics_by_id[topic_id]
            counts[topic_id], names[topic_id] = len(topic.partitions), topic.name
    return TopicsSpec(counts, names=names)


def _is_due(shard: GroupShard, group: ConsumerGroup, now: Moment) -> bool:
    interval_ms = group_setting(shard, group.group_id, "consumer.assignment.interval.ms")
    made_ms = group.target_made_ms
    return made_ms == 0 or interval_ms == 0 or now.wall_ms >= made_ms + interval_ms


def _specs(shard: GroupShard, group: ConsumerGroup, new: Member) -> dict[str, MemberSpec]:
    """The members as the assignor sees them, ``new`` in the place of the one it replaces."""
    ids: dict[tuple[frozenset[str], str | None], frozenset[bytes]] = {}

    def spec(member: Member, assigned: Target) -> MemberSpec:
        subscription = (member.names, member.regex)
        wanted = ids.get(subscription)
        if wanted is None:
            wanted = ids[subscription] = subscribed_topic_ids(group, member, shard.image)
        return MemberSpec(member.instance_id, member.rack_id, wanted, assigned)

    targets = group.targets
    specs = {
        member_id: spec(group.members[member_id], targets.get(member_id, NO_TOPICS))
        for member_id in timeline_order(group.members, group.members_most)
    }
    before = new.member_id
    if new.instance_id is not None:
        before = group.static_members.get(new.instance_id, before)
        if before != new.member_id:
            specs.pop(before, None)
    specs[new.member_id] = spec(new, targets.get(before, NO_TOPICS))
    return specs
