"""Heartbeat: a member is alive, and hears whether it has to rejoin. And what if none comes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.classic.group import ClassicGroup, Member
from kafka_py.coordinator.classic.rebalance import (
    arm_session,
    complete_join,
    prepare_or_complete,
    refused_join,
)
from kafka_py.coordinator.classic.states import State
from kafka_py.coordinator.classic.turn import Turn, answer
from kafka_py.coordinator.machine import Caller, Moment, Reply, Result
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import HeartbeatRequest, HeartbeatResponse, SyncGroupResponse

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["expired_session", "heartbeat", "let_go"]

log = logging.getLogger("kafka_py.coordinator")


def heartbeat(
    shard: GroupShard, request: HeartbeatRequest, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """Handle a Heartbeat of any version."""
    if not request.group_id:
        return answer(reply, HeartbeatResponse(error_code=ErrorCode.INVALID_GROUP_ID))
    group = shard.groups.get(request.group_id)
    if isinstance(group, ClassicGroup):
        return answer(reply, HeartbeatResponse(error_code=_beat(shard, group, request, now)))
    if group is not None:
        result = group.serve_classic(shard, request, caller, now, reply)
        if result is not None:
            return result
    return answer(reply, HeartbeatResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))


def _beat(
    shard: GroupShard, group: ClassicGroup, request: HeartbeatRequest, now: Moment
) -> ErrorCode:
    if group.current is State.DEAD:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    error = group.check_member(request.member_id, request.group_instance_id)
    if error:
        return error
    if request.generation_id != group.generation:
        return ErrorCode.ILLEGAL_GENERATION
    arm_session(shard, group, group.members[request.member_id], now)
    if group.current is State.PREPARING:
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE


def expired_session(shard: GroupShard, key: Any, now: Moment) -> Result:
    """A session's time is up: its member goes, unless it waits for the coordinator itself."""
    _, group_id, member_id = key
    group = shard.groups.get(group_id)
    turn = Turn(shard, now)
    if not isinstance(group, ClassicGroup):
        return turn.result()
    if member_id in group.pending_joins:
        log.info("group %s: %s never came back with its new id", group_id, member_id)
        group.remove(member_id)
        _complete_if_all_joined(turn, group)
        return turn.result()
    member = group.members.get(member_id)
    if member is not None and not member.is_excused:
        log.info("group %s: the session of %s ended", group_id, member_id)
        let_go(turn, group, member)
        if group.current in (State.STABLE, State.COMPLETING):
            prepare_or_complete(turn, group, f"the session of {member_id} ended")
        else:
            _complete_if_all_joined(turn, group)
    return turn.result()


def let_go(turn: Turn, group: ClassicGroup, member: Member) -> None:
    """Remove a member; if a request of it is still parked, its client may come as a new one."""
    join, sync = group.take_join(member), group.take_sync(member)
    error = ErrorCode.UNKNOWN_MEMBER_ID
    if join is not None:
        turn.answer(join, refused_join(error, "", join.caller))
    if sync is not None:
        turn.answer(sync, SyncGroupResponse(error_code=error))
    group.remove(member.member_id)


def _complete_if_all_joined(turn: Turn, group: ClassicGroup) -> None:
    if group.current is State.PREPARING and group.all_joined:
        complete_join(turn, group)
