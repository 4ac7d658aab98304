"""JoinGroup: a member comes, or comes again.

Whoever changes the group starts a rebalance and has its reply parked until that is over. Whoever
only lost an answer gets it again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kafka_py.coordinator.classic.group import ClassicGroup, Member, Protocols, protocols_of
from kafka_py.coordinator.classic.rebalance import (
    NEW_MEMBER_JOIN_TIMEOUT_MS,
    arm_session,
    complete_if_joined,
    disarm_session,
    joined,
    prepare,
    prepare_or_complete,
    refused_join,
    response_error,
)
from kafka_py.coordinator.classic.states import State
from kafka_py.coordinator.classic.turn import Turn, answer
from kafka_py.coordinator.machine import Caller, Moment, Reply, Result, Then
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import JoinGroupRequest, JoinGroupResponse, SyncGroupResponse

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["join_group"]

log = logging.getLogger("kafka_py.coordinator")


class _Joining(Turn):
    """A JoinGroup being worked off."""

    __slots__ = ("caller", "group", "protocols", "reply", "request")

    def __init__(
        self,
        shard: GroupShard,
        now: Moment,
        group: ClassicGroup,
        request: JoinGroupRequest,
        reply: Reply,
        caller: Caller,
    ) -> None:
        super().__init__(shard, now)
        self.group = group
        self.request = request
        self.reply = reply
        self.caller = caller
        self.protocols: Protocols = protocols_of(request.protocols)

    @property
    def rebalance_timeout_ms(self) -> int:
        """Version 0 has the one time-out for both."""
        request = self.request
        if self.caller.api_version == 0:
            return request.session_timeout_ms
        return request.rebalance_timeout_ms

    def refuse(self, error: ErrorCode, member_id: str) -> None:
        """Answer with an error."""
        self.answer(self.reply, refused_join(error, member_id, self.caller))

    def why(self, what: str) -> str:
        """The reason of a rebalance, with what the client says of it (KIP-800)."""
        return f"{what}; client reason: {self.request.reason or 'not provided'}"


def join_group(
    shard: GroupShard, request: JoinGroupRequest, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """Handle a JoinGroup of any version."""
    member_id = request.member_id

    def refuse(error: ErrorCode, named: str) -> Result:
        return answer(reply, refused_join(error, named, caller))

    if not request.group_id:
        return refuse(ErrorCode.INVALID_GROUP_ID, member_id)
    settings = shard.settings
    if not (
        settings["group.min.session.timeout.ms"]
        <= request.session_timeout_ms
        <= settings["group.max.session.timeout.ms"]
    ):
        return refuse(ErrorCode.INVALID_SESSION_TIMEOUT, member_id)

    replaced = None
    group = shard.groups.get(request.group_id)
    if group is not None and not isinstance(group, ClassicGroup):
        if not group.is_empty:
            result = group.serve_classic(shard, request, caller, now, reply)
            return result or refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, "")
        replaced, group = group, None
    if group is None:
        if member_id:
            return refuse(ErrorCode.UNKNOWN_MEMBER_ID, member_id)
        group = ClassicGroup(request.group_id, state_changed_ms=now.wall_ms)
        shard.groups[request.group_id] = group
        turn = _Joining(shard, now, group, request, reply, caller)
        # Kafka writes that the group exists, whatever becomes of the request; an empty group of
        # the other protocol goes with the same batch.
        created = group.created_record()
        _accept(turn)
        turn.records[:0] = [*(replaced.tombstones() if replaced is not None else ()), created]
        turn.then = _created(turn)
        return turn.result()
    turn = _Joining(shard, now, group, request, reply, caller)
    _accept(turn)
    return turn.result()


def _created(turn: _Joining) -> Then:
    """A group that could not be written does not exist: its first member may try again.

    When it is only not known yet whether it is written, the group goes on.
    """
    shard, group = turn.shard, turn.group

    def then(error: ErrorCode, now: Moment) -> Result:
        undone = Turn(shard, now)
        if not error or error is ErrorCode.REQUEST_TIMED_OUT:
            return undone.result()
        if shard.groups.get(group.group_id) is group:
            del shard.groups[group.group_id]
            for member in group.members.values():
                reply = group.take_join(member)
                if reply is not None:
                    undone.answer(reply, refused_join(response_error(error), "", reply.caller))
        return undone.result()

    return then


def _accept(turn: _Joining) -> None:
    group, member_id = turn.group, turn.request.member_id
    if not _has_room(turn):
        group.remove(member_id)
        turn.refuse(ErrorCode.GROUP_MAX_SIZE_REACHED, "")
    elif group.current is State.DEAD:
        turn.refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE, member_id)
    elif not group.speaks(turn.request.protocol_type, turn.protocols):
        turn.refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, member_id)
    elif not member_id:
        _join_unknown(turn)
    elif member_id in group.pending_joins:
        _join_pending(turn)
    else:
        _rejoin(turn)


def _has_room(turn: _Joining) -> bool:
    """Whether ``group.max.size`` lets the caller in.

    While the group rebalances, those who already wait count: so a group that is over its size
    shrinks by those who rejoin last.
    """
    group, size_max = turn.group, turn.shard.settings["group.max.size"]
    member = group.members.get(turn.request.member_id)
    if group.current is State.PREPARING:
        awaited = member is not None and member.parked_join is not None
        return awaited or group.waiting < size_max
    if group.current in (State.COMPLETING, State.STABLE):
        return member is not None or len(group.members) < size_max
    return True


# --- who is new -------------------------------------------------------------------------------


def _join_unknown(turn: _Joining) -> None:
    group, request = turn.group, turn.request
    instance_id = request.group_instance_id
    prefix = turn.caller.client_id if instance_id is None else instance_id
    member_id = f"{prefix}-{turn.shard.new_id()}"
    if instance_id is not None:
        old_id = group.static_members.get(instance_id)
        if old_id is None:
            _add(turn, member_id)
        else:
            _replace_static(turn, instance_id, old_id, member_id)
    elif turn.caller.api_version >= 4:
        # KIP-394: a client that never comes back shall not hold up a rebalance.
        group.pending_joins.add(member_id)
        turn.shard.deadlines.set(
            ("classic-session", group.group_id, member_id), turn.now.ms + request.session_timeout_ms
        )
        turn.refuse(ErrorCode.MEMBER_ID_REQUIRED, member_id)
    else:
        _add(turn, member_id)


def _join_pending(turn: _Joining) -> None:
    if turn.request.group_instance_id is not None:
        # An id that was given to a dynamic member, claimed for a static one: no client does it.
        turn.refuse(ErrorCode.UNKNOWN_SERVER_ERROR, "")
        return
    _add(turn, turn.request.member_id)


def _add(turn: _Joining, member_id: str) -> None:
    group, request = turn.group, turn.request
    member = Member(
        member_id,
        instance_id=request.group_instance_id,
        client_id=turn.caller.client_id,
        client_host=turn.caller.client_host,
        rebalance_timeout_ms=turn.rebalance_timeout_ms,
        session_timeout_ms=request.session_timeout_ms,
        protocol_type=request.protocol_type,
        protocols=turn.protocols,
    )
    member.is_new = True
    if group.current is State.PREPARING and group.previous_state is State.EMPTY:
        group.joined_meanwhile = True
    group.add(member, turn.reply)
    arm_session(turn.shard, group, member, turn.now, NEW_MEMBER_JOIN_TIMEOUT_MS)
    instance = f" with instance id {member.instance_id}" if member.instance_id is not None else ""
    prepare_or_complete(turn, group, turn.why(f"new member {member_id}{instance}"))


# --- who is known -----------------------------------------------------------------------------


def _rejoin(turn: _Joining) -> None:
    group, member_id = turn.group, turn.request.member_id
    error = group.check_member(member_id, turn.request.group_instance_id)
    if error:
        turn.refuse(error, member_id)
        return
    if group.current is State.EMPTY:
        turn.refuse(ErrorCode.UNKNOWN_MEMBER_ID, member_id)
        return
    member = group.members[member_id]
    leads = member_id == group.leader_id
    unchanged = member.protocols == turn.protocols
    if group.current is State.PREPARING:
        _update(turn, member, f"member {member_id} joins")
    elif not unchanged:
        _update(turn, member, f"member {member_id} changed its metadata")
    elif leads and group.current is State.STABLE:
        # So a leader asks for a new assignment that no metadata of a member tells of: its topics
        # have other partitions, say.
        _update(turn, member, f"leader {member_id} rejoins")
    else:
        # The answer was lost.
        turn.answer(
            turn.reply,
            joined(group, member_id, turn.caller, with_members=leads),
        )


def _update(turn: _Joining, member: Member, what: str) -> None:
    turn.group.update(
        member,
        turn.protocols,
        turn.rebalance_timeout_ms,
        turn.request.session_timeout_ms,
        turn.reply,
    )
    prepare_or_complete(turn, turn.group, turn.why(what))


# --- static members ---------------------------------------------------------------------------


def _replace_static(turn: _Joining, instance_id: str, old_id: str, new_id: str) -> None:
    """A static member came back without its id: it takes the old one's place under a new id."""
    group, shard = turn.group, turn.shard
    old_leader = group.leader_id
    old = group.members[old_id]
    _fence(turn, old)
    disarm_session(shard, group, old_id)
    member = group.replace_static(instance_id, old_id, new_id)
    arm_session(shard, group, member, turn.now)
    group.update(
        member,
        turn.protocols,
        turn.rebalance_timeout_ms,
        turn.request.session_timeout_ms,
        turn.reply,
    )
    if group.current is State.STABLE:
        if group.select_protocol() == (group.protocol_name or ""):
            # No rebalance: the new id is written, then the member told of the generation as it is.
            assignments = {one.member_id: one.assignment for one in group.members.values()}
            turn.records.append(group.record(assignments))
            turn.then = _replaced(turn, old, member, old_leader)
        else:
            prepare_or_complete(
                turn, group, turn.why(f"static member {new_id} changes the selected protocol")
            )
    elif group.current is State.COMPLETING:
        # The leader may assign to the old id: the new one would get nothing.
        prepare(turn, group, turn.why(f"static member {new_id} replaces {old_id}"))
    else:
        complete_if_joined(turn, group)


def _fence(turn: _Joining, member: Member) -> None:
    """Another process has taken the member's instance id: what it waits for will not come."""
    join, sync = turn.group.take_join(member), turn.group.take_sync(member)
    error = ErrorCode.FENCED_INSTANCE_ID
    if join is not None:
        turn.answer(join, refused_join(error, member.member_id, join.caller))
    if sync is not None:
        turn.answer(sync, SyncGroupResponse(error_code=error))


def _replaced(turn: _Joining, old: Member, member: Member, old_leader: str | None) -> Then:
    """What follows the new id being written; when it could not be, the old one is back."""
    shard, group, caller = turn.shard, turn.group, turn.caller

    def then(error: ErrorCode, now: Moment) -> Result:
        ended = Turn(shard, now)
        if (
            shard.groups.get(group.group_id) is not group
            or group.members.get(member.member_id) is not member
        ):
            return ended.result()
        if error:
            reply = group.take_join(member)
            if reply is not None:
                refusal = joined(group, "", caller, leader=old_leader)
                refusal.error_code = response_error(error)
                ended.answer(reply, refusal)
            _restore(ended, group, old, member)
        elif group.current is State.STABLE:
            # Otherwise a rebalance began meanwhile, and the member has joined it.
            reply = group.take_join(member)
            if reply is not None:
                # A session that ended while it was being written was excused.
                arm_session(shard, group, member, now)
                ended.answer(reply, _unmoved(group, member.member_id, caller, old_leader))
        return ended.result()

    return then


def _unmoved(
    group: ClassicGroup, member_id: str, caller: Caller, old_leader: str | None
) -> JoinGroupResponse:
    """The generation as it is, for a static member that came back into it.

    KIP-814: from version 9 on a leader is told that it leads, but has not to assign. Before, it is
    told of its old id as the leader, so that it takes itself for a follower.
    """
    if caller.api_version < 9:
        return joined(group, member_id, caller, leader=old_leader)
    leads = member_id == group.leader_id
    return joined(group, member_id, caller, with_members=leads, skip_assignment=leads)


def _restore(turn: Turn, group: ClassicGroup, old: Member, member: Member) -> None:
    assert old.instance_id is not None
    group.update(member, old.protocols, old.rebalance_timeout_ms, old.session_timeout_ms, None)
    disarm_session(turn.shard, group, member.member_id)
    restored = group.replace_static(old.instance_id, member.member_id, old.member_id)
    arm_session(turn.shard, group, restored, turn.now)
