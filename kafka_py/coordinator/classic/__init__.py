"""The classic group protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup; a leader assigns.

`HANDLERS`, `APPLIERS`, `DEADLINES`, `LOADED` and `CHANGED` are what `kafka_py.coordinator.shard`
joins into its tables. `describe` answers DescribeGroups, `simple_group` makes the group that holds
nothing but offsets, `unloaded` ends what is parked when the partition goes.
"""

from __future__ import annotations

from kafka_py.coordinator.classic.describe import describe
from kafka_py.coordinator.classic.group import ClassicGroup, Member, simple_group
from kafka_py.coordinator.classic.heartbeat import expired_session, heartbeat
from kafka_py.coordinator.classic.join import join_group
from kafka_py.coordinator.classic.leave import leave_group
from kafka_py.coordinator.classic.load import CHANGED, LOADED, apply_group_metadata, unloaded
from kafka_py.coordinator.classic.rebalance import expired_join, expired_sync
from kafka_py.coordinator.classic.states import State
from kafka_py.coordinator.classic.sync import sync_group
from kafka_py.protocol.groups import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from kafka_py.protocol.records_group import GroupMetadataKey

__all__ = [
    "APPLIERS",
    "CHANGED",
    "DEADLINES",
    "HANDLERS",
    "LOADED",
    "ClassicGroup",
    "Member",
    "State",
    "describe",
    "simple_group",
    "unloaded",
]

HANDLERS = {
    JoinGroupRequest: join_group,
    SyncGroupRequest: sync_group,
    HeartbeatRequest: heartbeat,
    LeaveGroupRequest: leave_group,
}

APPLIERS = {GroupMetadataKey: apply_group_metadata}

DEADLINES = {
    "classic-session": expired_session,
    "classic-join": expired_join,
    "classic-sync": expired_sync,
}
