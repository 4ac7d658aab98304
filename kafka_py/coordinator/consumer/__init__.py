"""Consumer groups of KIP-848: the broker assigns, members follow one heartbeat at a time.

All state but sessions changes through records. `heartbeat` is the front door, `targets` makes the
assignment, `reconcile` leads a member to it, `fencing` has leaving and time-outs, `replay` the
appliers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.consumer import describe, fencing, heartbeat, replay
from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.machine import Moment, Result
from kafka_py.protocol.groups import ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["APPLIERS", "CHANGED", "DEADLINES", "HANDLERS", "LOADED"]


def _changed(shard: GroupShard, topics: Iterable[str], now: Moment) -> list[Result]:
    """Groups that subscribe to a changed topic look at it with their next heartbeat."""
    names = list(topics)
    shard.topics.changed(shard.image, names)
    for group in shard.groups.values():
        if isinstance(group, ConsumerGroup) and any(map(group.is_subscribed, names)):
            group.refresh_at_ms = group.refresh_epoch = 0
    return []


HANDLERS: dict[type, Any] = {
    ConsumerGroupHeartbeatRequest: heartbeat.handle,
    ConsumerGroupDescribeRequest: describe.handle,
}
APPLIERS: dict[type, Any] = replay.APPLIERS
DEADLINES: dict[str, Any] = {
    fencing.SESSION: fencing.session_expired,
    fencing.REBALANCE: fencing.rebalance_expired,
    fencing.JOIN: fencing.session_expired,
    fencing.SYNC: fencing.session_expired,
}
LOADED = fencing.loaded
CHANGED = _changed
