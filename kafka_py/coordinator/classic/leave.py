"""LeaveGroup: members go, one or (version 3 and later, KIP-345) many at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kafka_py.coordinator.classic.group import ClassicGroup
from kafka_py.coordinator.classic.heartbeat import let_go
from kafka_py.coordinator.classic.rebalance import (
    complete_if_joined,
    disarm_session,
    prepare_or_complete,
)
from kafka_py.coordinator.classic.states import State
from kafka_py.coordinator.classic.turn import Turn, answer
from kafka_py.coordinator.machine import Caller, Moment, Reply, Result
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import LeaveGroupRequest, LeaveGroupResponse

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["identities", "leave_group", "left"]

log = logging.getLogger("kafka_py.coordinator")

Identity = LeaveGroupRequest.MemberIdentity


def identities(request: LeaveGroupRequest, caller: Caller) -> list[Identity]:
    """Who is to go; the versions before 3 name one member."""
    if caller.api_version < 3:
        return [Identity(member_id=request.member_id)]
    return request.members


def left(leaving: list[Identity], errors: list[ErrorCode], caller: Caller) -> LeaveGroupResponse:
    """The answer for these members; the versions before 3 have the one error for all of it."""
    if caller.api_version < 3:
        return LeaveGroupResponse(error_code=errors[0])
    return LeaveGroupResponse(
        error_code=ErrorCode.NONE,
        members=[
            LeaveGroupResponse.MemberResponse(
                member_id=one.member_id,
                group_instance_id=one.group_instance_id,
                error_code=error,
            )
            for one, error in zip(leaving, errors, strict=True)
        ],
    )


def leave_group(
    shard: GroupShard, request: LeaveGroupRequest, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """Handle a LeaveGroup of any version."""
    if not request.group_id:
        return answer(reply, LeaveGroupResponse(error_code=ErrorCode.INVALID_GROUP_ID))
    leaving = identities(request, caller)
    group = shard.groups.get(request.group_id)
    if not isinstance(group, ClassicGroup):
        result = None
        if group is not None:
            result = group.serve_classic(shard, request, caller, now, reply)
        return result or answer(
            reply, left(leaving, [ErrorCode.UNKNOWN_MEMBER_ID] * len(leaving), caller)
        )
    if group.current is State.DEAD:
        return answer(reply, LeaveGroupResponse(error_code=ErrorCode.COORDINATOR_NOT_AVAILABLE))
    turn = Turn(shard, now)
    errors = [_leave(turn, group, one) for one in leaving]
    turn.answer(reply, left(leaving, errors, caller))
    if ErrorCode.NONE in errors:
        if group.current in (State.STABLE, State.COMPLETING):
            gone = ", ".join(
                one.member_id or str(one.group_instance_id)
                for one, error in zip(leaving, errors, strict=True)
                if not error
            )
            prepare_or_complete(turn, group, f"{gone} left")
        else:
            complete_if_joined(turn, group)
    return turn.result()


def _leave(turn: Turn, group: ClassicGroup, leaving: Identity) -> ErrorCode:
    member_id, instance_id = leaving.member_id, leaving.group_instance_id
    if not member_id:
        # An administrator removes a static member, whose id it does not know.
        if instance_id is None or instance_id not in group.static_members:
            return ErrorCode.UNKNOWN_MEMBER_ID
        member_id = group.static_members[instance_id]
    elif member_id in group.pending_joins:
        group.remove(member_id)
        disarm_session(turn.shard, group, member_id)
        return ErrorCode.NONE
    else:
        error = group.check_member(member_id, instance_id)
        if error:
            return error
    log.info(
        "group %s: %s leaves; client reason: %s",
        group.group_id,
        member_id,
        leaving.reason or "not provided",
    )
    disarm_session(turn.shard, group, member_id)
    let_go(turn, group, group.members[member_id])
    return ErrorCode.NONE
