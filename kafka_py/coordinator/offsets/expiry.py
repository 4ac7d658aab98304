"""Offsets that nobody needs any more go, and then their groups.

Every ``offsets.retention.check.interval.ms`` all groups are looked through: an offset expires
``offsets.retention.minutes`` after the moment its group names (`Group.offsets_expire_from_ms`),
or when the request that committed it said (versions 2 to 4). Topics that a member consumes keep
theirs, and so do partitions that an open transaction holds an offset for. A group without members
that has nothing left is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator.machine import NOTHING, CoordinatorRecord, Moment, Result
from kafka_py.coordinator.offsets.deletions import tombstone

if TYPE_CHECKING:
    from kafka_py.coordinator.offsets.committed import Committed
    from kafka_py.coordinator.shard import Group, GroupShard

__all__ = ["EXPIRY", "expire_offsets", "expired", "schedule"]

EXPIRY: Final = "offsets-expiry"
"""The kind of the deadline at which all groups are looked through."""


def schedule(shard: GroupShard, now: Moment) -> list[Result]:
    """The machine was loaded: look through the groups in one interval's time."""
    interval_ms = shard.settings["offsets.retention.check.interval.ms"]
    shard.deadlines.set((EXPIRY,), now.ms + interval_ms)
    return []


def expired(shard: GroupShard, key: Any, now: Moment) -> Result:
    """The interval is over: delete what has expired, and come back after another one."""
    schedule(shard, now)
    records: list[CoordinatorRecord] = []
    for group in list(shard.groups.values()):
        if expire_offsets(shard, group, now, records) and group.is_empty:
            records += group.tombstones()
    return Result(records=records, atomic=False) if records else NOTHING


def expire_offsets(
    shard: GroupShard, group: Group, now: Moment, records: list[CoordinatorRecord]
) -> bool:
    """Add the tombstones of a group's expired offsets; whether nothing of it is left then."""
    group_id = group.group_id
    offsets = shard.offsets
    nothing_left = not offsets.has_open_transactions(group_id)
    retention_ms = shard.settings["offsets.retention.minutes"] * 60_000
    for topic, partitions in offsets.of_group(group_id).items():
        if group.is_subscribed(topic):
            nothing_left = False
            continue
        for partition, committed in partitions.items():
            if is_expired(group, committed, now.wall_ms, retention_ms) and not offsets.is_pending(
                group_id, topic, partition
            ):
                records.append(tombstone(group_id, topic, partition))
            else:
                nothing_left = False
    return nothing_left


def is_expired(group: Group, committed: Committed, wall_ms: int, retention_ms: int) -> bool:
    """Whether an offset's time is over; never while its group's offsets do not expire at all."""
    from_ms = group.offsets_expire_from_ms(committed.commit_ms)
    if from_ms is None:
        return False
    if committed.expire_ms != -1:
        return wall_ms >= committed.expire_ms
    return wall_ms - from_ms >= retention_ms
