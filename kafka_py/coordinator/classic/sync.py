"""SyncGroup: the leader says who gets what, the others ask for theirs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kafka_py.coordinator.classic.group import ClassicGroup
from kafka_py.coordinator.classic.rebalance import stored, synced
from kafka_py.coordinator.classic.states import State
from kafka_py.coordinator.classic.turn import Turn, answer
from kafka_py.coordinator.machine import Caller, Moment, Reply, Result
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import SyncGroupRequest, SyncGroupResponse

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["sync_group"]

log = logging.getLogger("kafka_py.coordinator")


def sync_group(
    shard: GroupShard, request: SyncGroupRequest, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """Handle a SyncGroup of any version."""

    def refuse(error: ErrorCode) -> Result:
        return answer(reply, SyncGroupResponse(error_code=error))

    if caller.api_version >= 5 and (request.protocol_type is None or request.protocol_name is None):
        # KIP-559: these versions have to say both.
        return refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if not request.group_id:
        return refuse(ErrorCode.INVALID_GROUP_ID)
    group = shard.groups.get(request.group_id)
    if group is None or group.is_empty:
        return refuse(ErrorCode.UNKNOWN_MEMBER_ID)
    if not isinstance(group, ClassicGroup):
        result = group.serve_classic(shard, request, caller, now, reply)
        return result or refuse(ErrorCode.UNKNOWN_MEMBER_ID)
    error = _check(group, request)
    if error:
        return refuse(error)
    turn = Turn(shard, now)
    if group.current is State.COMPLETING:
        _park(turn, group, request, reply)
    else:
        _has_synced(turn, group, request.member_id)
        turn.answer(reply, synced(group, group.members[request.member_id]))
    return turn.result()


def _check(group: ClassicGroup, request: SyncGroupRequest) -> ErrorCode:
    if group.current is State.DEAD:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    error = group.check_member(request.member_id, request.group_instance_id)
    if error:
        return error
    if request.generation_id != group.generation:
        return ErrorCode.ILLEGAL_GENERATION
    if _differs(request.protocol_type, group.protocol_type or None) or _differs(
        request.protocol_name, group.protocol_name
    ):
        return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    if group.current is State.PREPARING:
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE


def _differs(said: str | None, known: str | None) -> bool:
    return said is not None and known is not None and said != known


def _park(turn: Turn, group: ClassicGroup, request: SyncGroupRequest, reply: Reply) -> None:
    """Let the member wait for its assignment, and write the assignments when they are here."""
    group.members[request.member_id].parked_sync = reply
    _has_synced(turn, group, request.member_id)
    if request.member_id != group.leader_id or group.storing:
        # A leader that lost its answer may have assigned anew. What counts is what is being
        # written: a second record would be what the next coordinator believes, while the members
        # have been told the first.
        return
    group.storing = True
    given = {one.member_id: bytes(one.assignment) for one in request.assignments}
    assignments = {member_id: given.get(member_id, b"") for member_id in group.members}
    idle = [member_id for member_id in group.members if member_id not in given]
    if idle:
        log.warning(
            "group %s: the leader of generation %d assigned nothing to %s",
            group.group_id,
            group.generation,
            ", ".join(idle),
        )
    turn.records.append(group.record(assignments))
    turn.then = stored(group, turn.shard, assignments)


def _has_synced(turn: Turn, group: ClassicGroup, member_id: str) -> None:
    group.pending_syncs.discard(member_id)
    if not group.pending_syncs:
        turn.shard.deadlines.cancel(("classic-sync", group.group_id))
