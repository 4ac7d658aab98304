"""Members that leave, are fenced or time out; the deadlines of those that stay."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator.consumer import migration, records
from kafka_py.coordinator.consumer.group import SESSION, ConsumerGroup
from kafka_py.coordinator.consumer.member import Member, MemberState
from kafka_py.coordinator.consumer.settings import group_setting
from kafka_py.coordinator.machine import CoordinatorRecord, Delivery, Moment, Result

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = [
    "JOIN",
    "REBALANCE",
    "SESSION",
    "SYNC",
    "arm_classic",
    "arm_join_if_absent",
    "arm_rebalance",
    "arm_session",
    "cancel_timers",
    "drop_regexes",
    "fence",
    "loaded",
    "rebalance_expired",
    "session_expired",
    "synced",
]

log = logging.getLogger("kafka_py.coordinator")

#: The kinds of deadlines; a key is (kind, group id, member id).
REBALANCE: Final = "consumer-rebalance"
#: Those of classic members: to rejoin when they were told to, and to sync once they joined.
JOIN: Final = "consumer-join"
SYNC: Final = "consumer-sync"


def arm_session(
    shard: GroupShard, group_id: str, member_id: str, now: Moment, timeout_ms: int | None = None
) -> None:
    """The member is heard of: its session lasts from now. ``timeout_ms`` None: as configured."""
    if timeout_ms is None:
        timeout_ms = group_setting(shard, group_id, "consumer.session.timeout.ms")
    shard.deadlines.set((SESSION, group_id, member_id), now.ms + timeout_ms)


def arm_rebalance(shard: GroupShard, group: ConsumerGroup, member: Member, now: Moment) -> None:
    """The member has to leave its epoch within its rebalance time-out, if it has to revoke."""
    key = (REBALANCE, group.group_id, member.member_id)
    if member.state is MemberState.UNREVOKED_PARTITIONS:
        group.revoking[member.member_id] = member.epoch
        shard.deadlines.set(key, now.ms + member.rebalance_timeout_ms)
    else:
        group.revoking.pop(member.member_id, None)
        shard.deadlines.cancel(key)


def arm_join_if_absent(shard: GroupShard, group_id: str, member: Member, now: Moment) -> None:
    """A classic member was told to rejoin: it has its rebalance time-out from the first time on."""
    key = (JOIN, group_id, member.member_id)
    if key not in shard.deadlines:
        shard.deadlines.set(key, now.ms + member.rebalance_timeout_ms)


def arm_classic(
    shard: GroupShard,
    group_id: str,
    member_id: str,
    now: Moment,
    session_timeout_ms: int,
    rebalance_timeout_ms: int,
) -> None:
    """A classic member joined: its session lasts from now, and it has to sync in time."""
    shard.deadlines.cancel((JOIN, group_id, member_id))
    arm_session(shard, group_id, member_id, now, session_timeout_ms)
    shard.deadlines.set((SYNC, group_id, member_id), now.ms + rebalance_timeout_ms)


def synced(
    shard: GroupShard, group_id: str, member_id: str, now: Moment, session_timeout_ms: int
) -> None:
    """A classic member asked for what it may own: its session lasts from now."""
    shard.deadlines.cancel((SYNC, group_id, member_id))
    arm_session(shard, group_id, member_id, now, session_timeout_ms)


def cancel_timers(shard: GroupShard, group_id: str, member_id: str) -> None:
    """Forget the member's deadlines."""
    for kind in (SESSION, REBALANCE, JOIN, SYNC):
        shard.deadlines.cancel((kind, group_id, member_id))


def drop_regexes(
    group: ConsumerGroup, leaving: Collection[Member], written: list[CoordinatorRecord]
) -> set[str]:
    """Delete what was resolved for patterns that nobody but these members subscribes to."""
    counts: dict[str, int] = {}
    for member in leaving:
        if member.regex:
            counts[member.regex] = counts.get(member.regex, 0) + 1
    dropped = {regex for regex, count in counts.items() if group.regex_counts.get(regex) == count}
    written.extend(
        records.regex_tombstone(group.group_id, regex) for regex in counts if regex in dropped
    )
    return dropped


def fence(
    shard: GroupShard,
    group: ConsumerGroup,
    leaving: Collection[Member],
    replies: list[Delivery],
    now: Moment,
) -> Result:
    """Remove members and let the group's epoch grow; the rest is assigned anew with the next
    heartbeat. Turns the group into a classic one when only classic members are left."""
    if not leaving:
        return Result(replies=replies)
    if migration.downgrade_needed(shard, group, leaving):
        return migration.downgrade(shard, group, leaving, replies, now)
    written: list[CoordinatorRecord] = []
    for member in leaving:
        written.extend(records.member_tombstones(group.group_id, member.member_id))
    dropped = drop_regexes(group, leaving, written)
    names, by_regex = group.names_without(leaving, dropped)
    metadata_hash = shard.topics.hash_of({*names, *by_regex}, shard.image)
    written.append(records.epoch(group.group_id, group.epoch + 1, metadata_hash))
    for member in leaving:
        cancel_timers(shard, group.group_id, member.member_id)
    return Result(records=written, replies=replies)


def _member(shard: GroupShard, key: Any) -> tuple[ConsumerGroup, Member] | None:
    _, group_id, member_id = key
    group = shard.groups.get(group_id)
    if not isinstance(group, ConsumerGroup):
        return None
    member = group.members.get(member_id)
    return None if member is None else (group, member)


def session_expired(shard: GroupShard, key: Any, now: Moment) -> Result:
    """Nothing was heard of the member for its session time-out, or of a classic one its JoinGroup
    or SyncGroup for its rebalance time-out."""
    found = _member(shard, key)
    if found is None:
        return Result()
    group, member = found
    log.info(
        "group %s: member %s was not heard of in time (%s) and is fenced",
        group.group_id,
        member.member_id,
        key[0],
    )
    return fence(shard, group, [member], [], now)


def rebalance_expired(shard: GroupShard, key: Any, now: Moment) -> Result:
    """The member did not give up its partitions within its rebalance time-out."""
    found = _member(shard, key)
    if found is None:
        return Result()
    group, member = found
    if group.revoking.pop(member.member_id, None) != member.epoch:
        return Result()
    log.info(
        "group %s: member %s did not leave epoch %d within %d ms and is fenced",
        group.group_id,
        member.member_id,
        member.epoch,
        member.rebalance_timeout_ms,
    )
    return fence(shard, group, [member], [], now)


def loaded(shard: GroupShard, now: Moment) -> list[Result]:
    """After the log was replayed every member gets a session from now."""
    for group in shard.groups.values():
        if isinstance(group, ConsumerGroup):
            for member in group.members.values():
                arm_session(shard, group.group_id, member.member_id, now)
                if member.state is MemberState.UNREVOKED_PARTITIONS:
                    arm_rebalance(shard, group, member, now)
    return []
