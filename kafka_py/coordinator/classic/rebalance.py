"""A classic group's rebalance: waiting for JoinGroups, the new generation, time-outs.

A group that was empty waits ``group.initial.rebalance.delay.ms`` for more members, and again as
long as members keep coming, up to the longest rebalance time-out. Any other rebalance ends as soon
as every member rejoined, or when the rebalance time-out of the slowest has passed: then dynamic
members that did not rejoin are gone, static ones stay.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator.classic.group import ClassicGroup, Member
from kafka_py.coordinator.classic.states import State
from kafka_py.coordinator.classic.turn import Turn
from kafka_py.coordinator.machine import Caller, Moment, Result, Then
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import JoinGroupResponse, SyncGroupResponse

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = [
    "NEW_MEMBER_JOIN_TIMEOUT_MS",
    "arm_session",
    "complete_if_joined",
    "complete_join",
    "disarm_session",
    "expired_join",
    "expired_sync",
    "joined",
    "prepare",
    "prepare_or_complete",
    "propagate",
    "refused_join",
    "response_error",
    "stored",
    "synced",
]

#: How long the first JoinGroup of a member may be parked: its client may be gone, and cannot
#: heartbeat before it knows its member id. Kafka has no setting for it.
NEW_MEMBER_JOIN_TIMEOUT_MS: Final = 300_000

log = logging.getLogger("kafka_py.coordinator")

#: What a client is told when the group's record could not be appended.
_RESPONSE_ERRORS: Final = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
}


def response_error(append_error: ErrorCode) -> ErrorCode:
    """The group error for what went wrong with the log."""
    return _RESPONSE_ERRORS.get(append_error, append_error)


# --- answers ----------------------------------------------------------------------------------


def joined(
    group: ClassicGroup,
    member_id: str,
    caller: Caller,
    *,
    leader: str | None = None,
    with_members: bool = False,
    skip_assignment: bool = False,
) -> JoinGroupResponse:
    """The group's generation, as a member is told of it.

    leader: the group's unless given. with_members: for who has to assign.
    """
    return JoinGroupResponse(
        error_code=ErrorCode.NONE,
        generation_id=group.generation,
        protocol_type=group.protocol_type or None,
        protocol_name=_protocol_name(group.protocol_name, caller),
        leader=(leader if leader is not None else group.leader_id) or "",
        skip_assignment=skip_assignment,
        member_id=member_id,
        members=[
            JoinGroupResponse.JoinGroupResponseMember(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                metadata=member.metadata(group.protocol_name),
            )
            for member in group.members.values()
        ]
        if with_members
        else [],
    )


def refused_join(error: ErrorCode, member_id: str, caller: Caller) -> JoinGroupResponse:
    """A JoinGroup that comes to nothing."""
    return JoinGroupResponse(
        error_code=error, member_id=member_id, protocol_name=_protocol_name(None, caller)
    )


def _protocol_name(name: str | None, caller: Caller) -> str | None:
    # Versions before 7 cannot say null.
    return name or (None if caller.api_version >= 7 else "")


def synced(group: ClassicGroup, member: Member) -> SyncGroupResponse:
    """A member's assignment in this generation."""
    return SyncGroupResponse(
        error_code=ErrorCode.NONE,
        protocol_type=group.protocol_type or None,
        protocol_name=group.protocol_name,
        assignment=member.assignment,
    )


# --- sessions ---------------------------------------------------------------------------------


def arm_session(
    shard: GroupShard,
    group: ClassicGroup,
    member: Member,
    now: Moment,
    timeout_ms: int | None = None,
) -> None:
    """A sign of life: the member's session begins anew."""
    shard.deadlines.set(
        ("classic-session", group.group_id, member.member_id),
        now.ms + (member.session_timeout_ms if timeout_ms is None else timeout_ms),
    )


def disarm_session(shard: GroupShard, group: ClassicGroup, member_id: str) -> None:
    """The member is gone, or never came."""
    shard.deadlines.cancel(("classic-session", group.group_id, member_id))


# --- the join phase ---------------------------------------------------------------------------


def prepare_or_complete(turn: Turn, group: ClassicGroup, reason: str) -> None:
    """Something changed: begin a rebalance, or see whether the one under way is complete."""
    if group.can_rebalance:
        prepare(turn, group, reason)
    else:
        complete_if_joined(turn, group)


def prepare(turn: Turn, group: ClassicGroup, reason: str) -> None:
    """Begin a rebalance: whoever awaits an assignment is sent to rejoin."""
    if group.current is State.COMPLETING:
        propagate(turn, group, {}, ErrorCode.REBALANCE_IN_PROGRESS)
    group.pending_syncs.clear()
    turn.shard.deadlines.cancel(("classic-sync", group.group_id))
    log.info(
        "group %s: rebalance of generation %d (reason: %s)",
        group.group_id,
        group.generation,
        reason,
    )
    if group.current is State.EMPTY:
        delay_ms = turn.shard.settings["group.initial.rebalance.delay.ms"]
        group.initial_wait_ms = delay_ms, max(group.rebalance_timeout_ms - delay_ms, 0)
        _arm_join(turn, group, delay_ms)
        group.enter(State.PREPARING, turn.now)
        return
    group.initial_wait_ms = None
    group.enter(State.PREPARING, turn.now)
    if group.all_joined:
        complete_join(turn, group)
    else:
        _arm_join(turn, group, group.rebalance_timeout_ms)


def complete_if_joined(turn: Turn, group: ClassicGroup) -> None:
    """End the join phase when nobody is missing; an initial rebalance waits its time regardless."""
    if (
        group.current is State.PREPARING
        and group.previous_state is not State.EMPTY
        and group.all_joined
    ):
        complete_join(turn, group)


def complete_join(turn: Turn, group: ClassicGroup) -> None:
    """End the join phase: who did not rejoin goes, everyone else hears of the new generation."""
    shard = turn.shard
    shard.deadlines.cancel(("classic-join", group.group_id))
    missing = [
        member
        for member in group.members.values()
        if member.parked_join is None and member.instance_id is None
    ]
    for member in missing:
        group.remove(member.member_id)
        disarm_session(shard, group, member.member_id)
    if missing:
        log.info(
            "group %s: members that did not rejoin are removed: %s",
            group.group_id,
            ", ".join(member.member_id for member in missing),
        )
    if not group.elect_joined_leader() and group.members:
        # Only static members are left and none of them rejoined: their sessions decide, and the
        # rebalance is tried again.
        group.initial_wait_ms = None
        _arm_join(turn, group, group.rebalance_timeout_ms)
        return
    group.initial_wait_ms = None
    group.next_generation(turn.now)
    if group.current is State.EMPTY:
        log.info("group %s: empty since generation %d", group.group_id, group.generation)
        turn.records.append(group.record({}))
        return
    log.info(
        "group %s: generation %d has %d members",
        group.group_id,
        group.generation,
        len(group.members),
    )
    for member in group.members.values():
        reply = group.take_join(member)
        if reply is not None:
            leads = member.member_id == group.leader_id
            turn.answer(reply, joined(group, member.member_id, reply.caller, with_members=leads))
        arm_session(shard, group, member, turn.now)
        member.is_new = False
        group.pending_syncs.add(member.member_id)
    shard.deadlines.set(("classic-sync", group.group_id), turn.now.ms + group.rebalance_timeout_ms)


def _arm_join(turn: Turn, group: ClassicGroup, timeout_ms: int) -> None:
    turn.shard.deadlines.set(("classic-join", group.group_id), turn.now.ms + timeout_ms)


def expired_join(shard: GroupShard, key: Any, now: Moment) -> Result:
    """The join phase's time is up; an initial rebalance may wait for more members once more."""
    group = shard.groups.get(key[1])
    turn = Turn(shard, now)
    if not isinstance(group, ClassicGroup) or group.current is not State.PREPARING:
        return turn.result()
    if group.initial_wait_ms is not None:
        waited_ms, left_ms = group.initial_wait_ms
        if group.joined_meanwhile and left_ms:
            group.joined_meanwhile = False
            wait_ms = min(shard.settings["group.initial.rebalance.delay.ms"], left_ms)
            group.initial_wait_ms = wait_ms, max(left_ms - waited_ms, 0)
            _arm_join(turn, group, wait_ms)
            return turn.result()
    complete_join(turn, group)
    return turn.result()


# --- the sync phase ---------------------------------------------------------------------------


def propagate(
    turn: Turn, group: ClassicGroup, assignments: dict[str, bytes], error: ErrorCode
) -> None:
    """Give every member its assignment (none with an error), and an answer to who awaits one.

    A session that ended while its member waited was excused, so it begins anew with the answer.
    """
    for member in group.members.values():
        member.assignment = assignments.get(member.member_id, b"")
        reply = group.take_sync(member)
        if reply is not None:
            response = SyncGroupResponse(error_code=error) if error else synced(group, member)
            turn.answer(reply, response)
            arm_session(turn.shard, group, member, turn.now)


def stored(group: ClassicGroup, shard: GroupShard, assignments: dict[str, bytes]) -> Then:
    """What follows the leader's assignment being committed: the group is stable.

    Members may have come meanwhile, and another generation begun: then nothing follows.
    """
    generation = group.generation

    def then(error: ErrorCode, now: Moment) -> Result:
        turn = Turn(shard, now)
        if shard.groups.get(group.group_id) is not group:
            # It was deleted, or has changed to the other protocol.
            return turn.result()
        if group.current is not State.COMPLETING or group.generation != generation:
            return turn.result()
        group.storing = False
        if error:
            answer = response_error(error)
            propagate(turn, group, {}, answer)
            prepare_or_complete(turn, group, f"{answer.name} when its assignment was stored")
        else:
            propagate(turn, group, assignments, ErrorCode.NONE)
            group.enter(State.STABLE, now)
        return turn.result()

    return then


def expired_sync(shard: GroupShard, key: Any, now: Moment) -> Result:
    """Members that never asked for their assignment are removed, the others rebalance."""
    group = shard.groups.get(key[1])
    turn = Turn(shard, now)
    if not isinstance(group, ClassicGroup) or not group.pending_syncs:
        return turn.result()
    if group.current not in (State.COMPLETING, State.STABLE):
        return turn.result()
    late = sorted(group.pending_syncs)
    for member_id in late:
        group.remove(member_id)
        disarm_session(shard, group, member_id)
    prepare(turn, group, f"no SyncGroup came from {', '.join(late)}")
    return turn.result()
