"""ConsumerGroupHeartbeat: join, stay in and leave a consumer group (KIP-848)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kafka_py.coordinator.consumer import fencing, migration, records, regexes
from kafka_py.coordinator.consumer.assignor_order import (
    DEFAULT_CAPACITY,
    java_order,
    string_hash,
)
from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.consumer.member import (
    LEAVE_EPOCH,
    LEAVE_STATIC_EPOCH,
    NO_TOPICS,
    Member,
    Owned,
)
from kafka_py.coordinator.consumer.reconcile import Reported, next_step
from kafka_py.coordinator.consumer.settings import group_setting
from kafka_py.coordinator.consumer.targets import Share, next_epoch, next_target
from kafka_py.coordinator.machine import (
    Caller,
    CoordinatorRecord,
    Delivery,
    Moment,
    Reply,
    Result,
)
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from kafka_py.protocol.types import uuid_to_text

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = [
    "check_size",
    "find_or_create_group",
    "group_of",
    "handle",
    "new_member_id",
    "reconcile",
    "static_member_to_join",
    "supported_assignors",
    "validate",
]

#: From this version on members make their own ids.
_OWN_ID_VERSION: Final = 1


def handle(
    shard: GroupShard,
    request: ConsumerGroupHeartbeatRequest,
    caller: Caller,
    now: Moment,
    reply: Reply,
) -> Result:
    """Answer a heartbeat; an error changes nothing."""
    try:
        validate(shard, request, caller.api_version)
        if request.member_epoch in (LEAVE_EPOCH, LEAVE_STATIC_EPOCH):
            return _leave(shard, request, now, reply)
        return _stay(shard, request, caller, now, reply)
    except ApiError as error:
        message = None if error.message == error.code.message else error.message
        return Result(
            replies=[
                Delivery(
                    reply,
                    ConsumerGroupHeartbeatResponse(
                        error_code=int(error.code), error_message=message
                    ),
                )
            ]
        )


# -- what a request may say ------------------------------------------------------------------------


def supported_assignors(shard: GroupShard) -> list[str]:
    """The assignors' names as Kafka's error text lists them: in the order of a Java hash set."""
    names = shard.settings["group.consumer.assignors"]
    return java_order(names, string_hash, DEFAULT_CAPACITY)


def validate(shard: GroupShard, request: ConsumerGroupHeartbeatRequest, api_version: int) -> None:
    """Raise INVALID_REQUEST or UNSUPPORTED_ASSIGNOR for a request that contradicts itself."""
    epoch = request.member_epoch
    if api_version >= _OWN_ID_VERSION or epoch > 0 or epoch == LEAVE_EPOCH:
        _not_blank(request.member_id, "MemberId can't be empty.")
    _not_blank(request.group_id, "GroupId can't be empty.")
    _not_blank(request.instance_id, "InstanceId can't be empty.")
    _not_blank(request.rack_id, "RackId can't be empty.")
    if epoch == 0:
        _validate_join(request)
    elif epoch == LEAVE_STATIC_EPOCH:
        if request.instance_id is None:
            raise ApiError(ErrorCode.INVALID_REQUEST, "InstanceId can't be null.")
    elif epoch < LEAVE_STATIC_EPOCH:
        raise ApiError(ErrorCode.INVALID_REQUEST, "MemberEpoch is invalid.")
    assignor = request.server_assignor
    if assignor is not None and assignor not in shard.settings["group.consumer.assignors"]:
        raise ApiError(
            ErrorCode.UNSUPPORTED_ASSIGNOR,
            f"ServerAssignor {assignor} is not supported. "
            f"Supported assignors: {', '.join(supported_assignors(shard))}.",
        )


def _validate_join(request: ConsumerGroupHeartbeatRequest) -> None:
    if request.rebalance_timeout_ms == -1:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, "RebalanceTimeoutMs must be provided in first request."
        )
    if request.topic_partitions is None or request.topic_partitions:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, "TopicPartitions must be empty when (re-)joining."
        )
    if request.subscribed_topic_names is None and request.subscribed_topic_regex is None:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
            "(re-)joining.",
        )


def _not_blank(value: str | None, message: str) -> None:
    if value is not None and all(letter <= " " for letter in value):
        raise ApiError(ErrorCode.INVALID_REQUEST, message)


# -- groups and members ----------------------------------------------------------------------------


def group_of(shard: GroupShard, group_id: str) -> ConsumerGroup:
    """That consumer group. Raises GROUP_ID_NOT_FOUND."""
    group = shard.groups.get(group_id)
    if isinstance(group, ConsumerGroup):
        return group
    if group is None:
        raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a consumer group.")


def find_or_create_group(
    shard: GroupShard, group_id: str, written: list[CoordinatorRecord], *, joins: bool
) -> ConsumerGroup:
    """The group of a heartbeat: with ``joins`` a new one where there is none, and in the place of
    a classic one (an empty one goes; one with members is upgraded as far as that is allowed).

    Raises GROUP_ID_NOT_FOUND.
    """
    group = shard.groups.get(group_id)
    if isinstance(group, ConsumerGroup):
        return group
    if group is None:
        if joins:
            return ConsumerGroup(group_id)
        raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Consumer group {group_id} not found.")
    if joins and group.kind == "classic":
        if group.is_empty:
            written.extend(group.tombstones())
            return ConsumerGroup(group_id)
        return migration.upgrade(shard, group, written)
    raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a consumer group.")


def new_member_id(shard: GroupShard) -> str:
    """A fresh id in Kafka's text form; one that begins with a dash would trouble its tools."""
    while True:
        text = uuid_to_text(bytes.fromhex(shard.new_id().replace("-", "")))
        if not text.startswith("-"):
            return text


def check_size(shard: GroupShard, group: ConsumerGroup, member_id: str) -> None:
    """Raise GROUP_MAX_SIZE_REACHED when a member would be one too many."""
    most = shard.settings["group.consumer.max.size"]
    if len(group.members) >= most and member_id not in group.members:
        raise ApiError(
            ErrorCode.GROUP_MAX_SIZE_REACHED,
            f"The consumer group has reached its maximum capacity of {most} members.",
        )


def _check_epoch(member: Member, epoch: int, reported: Reported) -> None:
    """An older epoch is taken when it is the one before and the member owns nothing that it lost:
    the answer with the new one may not have reached it. Who begins anew may always do so."""
    if epoch in (0, member.epoch):
        return
    if epoch < member.epoch:
        if epoch == member.previous_epoch and _is_subset(reported, member.assigned):
            return
        size = "smaller"
    else:
        size = "greater"
    raise ApiError(
        ErrorCode.FENCED_MEMBER_EPOCH,
        f"The consumer group member has a {size} member epoch ({epoch}) than the one known by the "
        f"group coordinator ({member.epoch}). The member must abandon all its partitions and "
        "rejoin.",
    )


def _is_subset(reported: Reported, assigned: Owned) -> bool:
    if reported is None:
        return False
    for row in reported:
        owned = assigned.get(row.topic_id)
        if owned is None or any(partition not in owned for partition in row.partitions):
            return False
    return True


def static_member_to_join(
    group: ConsumerGroup,
    member_id: str,
    instance_id: str,
    written: list[CoordinatorRecord],
    *,
    classic: bool = False,
) -> Member:
    """The member that joins under an instance id: new, or in the place of the one that held it.

    Between members of the consumer protocol the one before has to have left (-2). Raises
    UNRELEASED_INSTANCE_ID.
    """
    existing = group.static_member(instance_id)
    if existing is None:
        return group.member(member_id, create=True)
    if not classic and existing.classic is None and existing.epoch != LEAVE_STATIC_EPOCH:
        raise ApiError(
            ErrorCode.UNRELEASED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} cannot join the group "
            f"because the instance id is owned by {existing.member_id} member.",
        )
    member = existing._replace(member_id=member_id, epoch=0, previous_epoch=0)
    target = group.targets.get(existing.member_id, NO_TOPICS)
    written.extend(records.member_tombstones(group.group_id, existing.member_id))
    written.append(records.metadata(group.group_id, member))
    written.append(records.target(group.group_id, member_id, target))
    written.append(records.current(group.group_id, member))
    return member


def _static_member(group: ConsumerGroup, member_id: str, instance_id: str) -> Member:
    """The holder of an instance id, which has to be that member."""
    existing = group.static_member(instance_id)
    if existing is None:
        raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
    if existing.member_id != member_id:
        raise ApiError(
            ErrorCode.FENCED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} was fenced by member "
            f"{existing.member_id}.",
        )
    return existing


def _find_member(
    group: ConsumerGroup,
    request: ConsumerGroupHeartbeatRequest,
    member_id: str,
    written: list[CoordinatorRecord],
) -> Member:
    joins = request.member_epoch == 0
    instance_id = request.instance_id
    if instance_id is None:
        member = group.member(member_id, create=joins)
    elif joins:
        return static_member_to_join(group, member_id, instance_id, written)
    else:
        member = _static_member(group, member_id, instance_id)
    _check_epoch(member, request.member_epoch, request.topic_partitions)
    return member


def _updated(member: Member, request: ConsumerGroupHeartbeatRequest, caller: Caller) -> Member:
    """The member with what the request says of it; what it leaves out stays."""
    names = request.subscribed_topic_names
    timeout_ms = request.rebalance_timeout_ms
    # A set that says the same is kept, so that equal members are seen to be equal at once.
    kept = names is None or member.names == frozenset(names)
    updated = member._replace(
        instance_id=member.instance_id if request.instance_id is None else request.instance_id,
        rack_id=member.rack_id if request.rack_id is None else request.rack_id,
        rebalance_timeout_ms=member.rebalance_timeout_ms if timeout_ms == -1 else timeout_ms,
        assignor=member.assignor if request.server_assignor is None else request.server_assignor,
        names=member.names if kept or names is None else frozenset(names),
        regex=(
            member.regex
            if request.subscribed_topic_regex is None
            else request.subscribed_topic_regex
        ),
        client_id=caller.client_id,
        client_host=caller.client_host,
        classic=None,
    )
    return member if updated == member else updated


# -- staying ---------------------------------------------------------------------------------------


def _stay(
    shard: GroupShard,
    request: ConsumerGroupHeartbeatRequest,
    caller: Caller,
    now: Moment,
    reply: Reply,
) -> Result:
    written: list[CoordinatorRecord] = []
    joins = request.member_epoch == 0
    group = find_or_create_group(shard, request.group_id, written, joins=joins)
    check_size(shard, group, request.member_id)
    member_id = request.member_id or new_member_id(shard)
    member = _find_member(group, request, member_id, written)
    updated = _updated(member, request, caller)
    bump = changed = is_new_regex = False
    if updated is not member:
        written.append(records.metadata(group.group_id, updated))
        names_changed = updated.names != member.names
        regex_change, is_new_regex = regexes.update(group, member, updated, written)
        changed = names_changed or regex_change is not regexes.Change.NONE
        bump = names_changed or regex_change is regexes.Change.RESOLVED
    epoch = group.epoch
    looks = bump or now.ms >= group.refresh_at_ms or group.epoch < group.refresh_epoch
    if looks:
        epoch = next_epoch(shard, group, member, updated, now, written, bump=bump)
    share = next_target(shard, group, epoch, member, updated, now, written, changed=looks)
    reported = request.topic_partitions
    final = reconcile(
        shard, group, updated, share, reported, now, written, subscription_changed=changed
    )
    fencing.arm_session(shard, group.group_id, member_id, now)
    response = ConsumerGroupHeartbeatResponse(
        member_id=member_id,
        member_epoch=final.epoch,
        heartbeat_interval_ms=group_setting(
            shard, group.group_id, "consumer.heartbeat.interval.ms"
        ),
    )
    if joins or _is_full(request) or final.assigned != member.assigned:
        response.assignment = _assignment(final.assigned)
    then = regexes.refresh(shard, group, member, updated, caller, now, is_new=is_new_regex)
    replies = [*migration.released(shard, group, now), Delivery(reply, response)]
    return Result(records=written, replies=replies, then=then)


def reconcile(
    shard: GroupShard,
    group: ConsumerGroup,
    member: Member,
    share: Share,
    reported: Reported,
    now: Moment,
    written: list[CoordinatorRecord],
    *,
    subscription_changed: bool,
) -> Member:
    """One step towards the member's share of the target, its record, and its rebalance timer."""
    if not subscription_changed and member.reconciled_to(share.epoch):
        return member
    stepped = next_step(
        group,
        member,
        shard.image,
        share.epoch,
        share.target,
        reported,
        subscription_changed=subscription_changed,
    )
    if stepped != member:
        written.append(records.current(group.group_id, stepped))
        if stepped.classic is None:
            fencing.arm_rebalance(shard, group, stepped, now)
    return stepped


def _is_full(request: ConsumerGroupHeartbeatRequest) -> bool:
    """Whether the member said everything, as it does when it does not know where it stands."""
    return (
        request.rebalance_timeout_ms != -1
        and request.topic_partitions is not None
        and (
            request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None
        )
    )


def _assignment(assigned: Owned) -> ConsumerGroupHeartbeatResponse.Assignment:
    row = ConsumerGroupHeartbeatResponse.TopicPartitions
    return ConsumerGroupHeartbeatResponse.Assignment(
        topic_partitions=[
            row(topic_id=topic_id, partitions=sorted(assigned[topic_id]))
            for topic_id in sorted(assigned)
        ]
    )


# -- leaving ---------------------------------------------------------------------------------------


def _leave(
    shard: GroupShard, request: ConsumerGroupHeartbeatRequest, now: Moment, reply: Reply
) -> Result:
    group = group_of(shard, request.group_id)
    member_id, instance_id = request.member_id, request.instance_id
    response = ConsumerGroupHeartbeatResponse(
        member_id=member_id, member_epoch=request.member_epoch
    )
    replies = [Delivery(reply, response)]
    if instance_id is None:
        return fencing.fence(shard, group, [group.member(member_id)], replies, now)
    member = _static_member(group, member_id, instance_id)
    if request.member_epoch == LEAVE_STATIC_EPOCH:
        return Result(records=[records.current(group.group_id, member.away())], replies=replies)
    return fencing.fence(shard, group, [member], replies, now)
