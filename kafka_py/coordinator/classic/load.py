"""A classic group from and to the log: its record replayed, its timers armed, its end here."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kafka_py.coordinator.classic.group import ClassicGroup
from kafka_py.coordinator.classic.rebalance import arm_session, prepare, refused_join
from kafka_py.coordinator.classic.states import State
from kafka_py.coordinator.classic.turn import Turn
from kafka_py.coordinator.machine import Delivery, Moment, Result
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import SyncGroupResponse
from kafka_py.protocol.records_group import GroupMetadataKey, GroupMetadataValue

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["CHANGED", "LOADED", "apply_group_metadata", "unloaded"]

log = logging.getLogger("kafka_py.coordinator")


def apply_group_metadata(
    shard: GroupShard, key: GroupMetadataKey, value: GroupMetadataValue | None
) -> None:
    """Replay a GroupMetadata record of any version; a tombstone ends a classic group."""
    if value is not None:
        shard.groups[key.group] = ClassicGroup.from_record(key.group, value)
    elif isinstance(shard.groups.get(key.group), ClassicGroup):
        del shard.groups[key.group]


def LOADED(shard: GroupShard, now: Moment) -> list[Result]:
    """Arm the members' sessions; a group over ``group.max.size`` rebalances, to shrink."""
    results: list[Result] = []
    size_max = shard.settings["group.max.size"]
    for group in list(shard.groups.values()):
        if not isinstance(group, ClassicGroup):
            continue
        for member in group.members.values():
            arm_session(shard, group, member, now)
        if len(group.members) > size_max:
            turn = Turn(shard, now)
            prepare(turn, group, f"{len(group.members)} members are more than {size_max}")
            results.append(turn.result())
    return results


def CHANGED(shard: GroupShard, topics: Iterable[str], now: Moment) -> list[Result]:
    """Topics came, went or grew: a classic group's members find out by themselves."""
    return []


def unloaded(shard: GroupShard) -> list[Delivery]:
    """The partition goes to another broker: the answers for all that is parked here."""
    deliveries: list[Delivery] = []
    error = ErrorCode.NOT_COORDINATOR
    for group in shard.groups.values():
        if not isinstance(group, ClassicGroup):
            continue
        for member in group.members.values():
            join, sync = group.take_join(member), group.take_sync(member)
            if join is not None:
                deliveries.append(
                    Delivery(join, refused_join(error, member.member_id, join.caller))
                )
            if sync is not None:
                deliveries.append(Delivery(sync, SyncGroupResponse(error_code=error)))
        group.previous_state, group.current = group.current, State.DEAD
    return deliveries
