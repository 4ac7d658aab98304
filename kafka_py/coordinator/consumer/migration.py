"""Online migration (KIP-848): a group changes its protocol while its members consume.

- A classic group of consumers becomes a consumer group when a member of the consumer protocol
  joins. The classic members stay, served by `classic_members`; the last assignment of their leader
  is the target that the group begins with.
- A consumer group becomes a classic one when the last member of the consumer protocol goes, or a
  static one comes back as a classic member. Their part of the target is the classic members'
  assignment.

``group.consumer.migration.policy`` says which of the two is allowed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from kafka_py.coordinator.classic import group as classic
from kafka_py.coordinator.classic.rebalance import arm_session as arm_classic_session
from kafka_py.coordinator.classic.rebalance import prepare, refused_join
from kafka_py.coordinator.classic.states import State
from kafka_py.coordinator.classic.turn import Turn
from kafka_py.coordinator.consumer import fencing, records
from kafka_py.coordinator.consumer.assignor_order import (
    grown_capacity,
    java_order,
    string_hash,
    timeline_order,
)
from kafka_py.coordinator.consumer.embedded import (
    assigned_to,
    assignment_bytes,
    subscription_of,
    version_of,
)
from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.consumer.member import NO_TOPICS, ClassicMetadata, Member
from kafka_py.coordinator.machine import CoordinatorRecord, Delivery, Moment, Result
from kafka_py.protocol.errors import ApiError, ErrorCode, MalformedRequest
from kafka_py.protocol.groups import SyncGroupResponse
from kafka_py.protocol.records_group import ConsumerGroupMemberMetadataValue

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import Group, GroupShard

__all__ = [
    "classic_metadata",
    "convert_to_classic",
    "downgrade",
    "downgrade_needed",
    "downgrade_needed_for",
    "may_join",
    "released",
    "upgrade",
]

log = logging.getLogger("kafka_py.coordinator")

_POLICIES_UP = ("bidirectional", "upgrade")
_POLICIES_DOWN = ("bidirectional", "downgrade")


def _policy(shard: GroupShard) -> str:
    return str(shard.settings["group.consumer.migration.policy"]).lower()


def may_join(shard: GroupShard) -> bool:
    """Whether classic members may join consumer groups at all."""
    return _policy(shard) in {*_POLICIES_UP, *_POLICIES_DOWN}


def classic_metadata(session_timeout_ms: int, protocols: classic.Protocols) -> ClassicMetadata:
    """What a consumer group keeps of a classic member."""
    return ClassicMetadata(
        session_timeout_ms=session_timeout_ms,
        supported_protocols=[
            ConsumerGroupMemberMetadataValue.ClassicProtocol(name=name, metadata=metadata)
            for name, metadata in protocols
        ],
    )


# -- up ------------------------------------------------------------------------------------------


def upgrade(shard: GroupShard, group: Group, written: list[CoordinatorRecord]) -> ConsumerGroup:
    """The consumer group that a classic group with members becomes when a member of the consumer
    protocol joins; ``written`` gets the records. Raises GROUP_ID_NOT_FOUND when it may not."""
    if not isinstance(group, classic.ClassicGroup):
        raise ApiError(
            ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group.group_id} is not a consumer group."
        )
    _check_upgrade(shard, group)
    upgraded = ConsumerGroup(group.group_id)
    upgraded.epoch = upgraded.target_epoch = group.generation
    in_table = java_order(group.members, string_hash, grown_capacity(len(group.members)))
    for member_id in timeline_order(in_table):
        _take_over(shard, group, group.members[member_id], upgraded)
    names = upgraded.subscribed_names()
    upgraded.metadata_hash = shard.topics.hash_of(names, shard.image)
    written.extend(group.tombstones())
    written.extend(_group_records(upgraded))
    log.info("group %s: from the classic to the consumer protocol", group.group_id)
    return upgraded


def _check_upgrade(shard: GroupShard, group: classic.ClassicGroup) -> None:
    why = ""
    if _policy(shard) not in _POLICIES_UP:
        why = "online upgrade is disabled"
    elif group.protocol_type != classic.CONSUMER:
        why = "the group does not use the consumer embedded protocol"
    elif len(group.members) > shard.settings["group.consumer.max.size"]:
        why = "the group size exceeds the consumer group maximum size"
    if why:
        raise _no_upgrade(group, f" because {why}.")
    if group.protocol_name is None:
        # Its first rebalance is not over: there is no protocol whose metadata could be read.
        raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR)


def _no_upgrade(group: classic.ClassicGroup, why: str) -> ApiError:
    return ApiError(
        ErrorCode.GROUP_ID_NOT_FOUND,
        f"Cannot upgrade classic group {group.group_id} to consumer group{why}",
    )


def _take_over(
    shard: GroupShard, group: classic.ClassicGroup, member: classic.Member, upgraded: ConsumerGroup
) -> None:
    """A classic member as one of the consumer group, at the generation as its epoch."""
    try:
        assigned, has_user_data = assigned_to(member.assignment, shard.image)
        subscription = subscription_of(member.metadata(group.protocol_name))
    except (MalformedRequest, KeyError) as error:
        log.warning("group %s: %s: %s", group.group_id, member.member_id, error)
        raise _no_upgrade(group, " because the embedded consumer protocol is malformed.") from error
    if has_user_data:
        raise _no_upgrade(
            group,
            " because an unsupported custom assignor is in use. Please refer to the documentation "
            "or switch to a default assignor before re-attempting the upgrade.",
        )
    upgraded.targets[member.member_id] = assigned
    upgraded.put_member(
        Member(
            member.member_id,
            epoch=group.generation,
            previous_epoch=group.generation,
            instance_id=member.instance_id,
            rack_id=subscription.rack_id or None,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            client_id=member.client_id,
            client_host=member.client_host,
            names=frozenset(subscription.topics),
            assigned={
                topic_id: dict.fromkeys(partitions, group.generation)
                for topic_id, partitions in assigned.items()
            },
            classic=classic_metadata(member.session_timeout_ms, member.protocols),
        )
    )


def _group_records(group: ConsumerGroup) -> list[CoordinatorRecord]:
    """Everything that a group is, for who takes it over from the log."""
    group_id, members = group.group_id, list(group.members.values())
    return [
        *(records.metadata(group_id, member) for member in members),
        records.epoch(group_id, group.epoch, group.metadata_hash),
        *(
            records.target(group_id, member.member_id, group.targets[member.member_id])
            for member in members
        ),
        records.target_epoch(group_id, group.target_epoch, group.target_made_ms),
        *(records.current(group_id, member) for member in members),
    ]


def released(shard: GroupShard, upgraded: ConsumerGroup, now: Moment) -> list[Delivery]:
    """The answers for who waits in the classic group that ``upgraded`` takes the place of: they are
    to rejoin. Their sessions go on. Nothing when no upgrade is under way."""
    group = shard.groups.get(upgraded.group_id)
    if not isinstance(group, classic.ClassicGroup) or not upgraded.members:
        return []
    deliveries: list[Delivery] = []
    error = ErrorCode.REBALANCE_IN_PROGRESS
    for member in group.members.values():
        join, sync = group.take_join(member), group.take_sync(member)
        if join is not None:
            deliveries.append(Delivery(join, refused_join(error, member.member_id, join.caller)))
        if sync is not None:
            deliveries.append(Delivery(sync, SyncGroupResponse(error_code=error)))
        fencing.arm_session(shard, group.group_id, member.member_id, now, member.session_timeout_ms)
    _forget_classic_timers(shard, group)
    return deliveries


def _forget_classic_timers(shard: GroupShard, group: classic.ClassicGroup) -> None:
    for member_id in (*group.members, *group.pending_joins):
        shard.deadlines.cancel(("classic-session", group.group_id, member_id))
    shard.deadlines.cancel(("classic-join", group.group_id))
    shard.deadlines.cancel(("classic-sync", group.group_id))


# -- down ----------------------------------------------------------------------------------------


def downgrade_needed(shard: GroupShard, group: ConsumerGroup, leaving: Collection[Member]) -> bool:
    """Whether only members of the classic protocol would be left, and the group is to follow."""
    left = len(group.members) - len(leaving)
    classic_left = group.classic_count - sum(member.classic is not None for member in leaving)
    return classic_left == left and left > 0 and _may_downgrade(shard, group, left)


def downgrade_needed_for(shard: GroupShard, group: ConsumerGroup, replaced: Member) -> bool:
    """The same, were this static member replaced by one of the classic protocol."""
    return (
        replaced.classic is None
        and group.classic_count == len(group.members) - 1
        and _may_downgrade(shard, group, len(group.members))
    )


def _may_downgrade(shard: GroupShard, group: ConsumerGroup, size: int) -> bool:
    if _policy(shard) not in _POLICIES_DOWN:
        log.info("group %s: online downgrade is disabled", group.group_id)
        return False
    if size > shard.settings["group.max.size"]:
        log.info("group %s: too large for a classic group", group.group_id)
        return False
    return True


def downgrade(
    shard: GroupShard,
    group: ConsumerGroup,
    leaving: Collection[Member],
    replies: list[Delivery],
    now: Moment,
) -> Result:
    """Turn the group into a classic one without these members, which rebalances."""
    turn = Turn(shard, now)
    turn.replies.extend(replies)
    gone = {member.member_id for member in leaving}
    stay = [
        group.members[m] for m in timeline_order(group.members, group.members_most) if m not in gone
    ]
    turn.records.extend(
        records.group_tombstones(
            group.group_id, timeline_order(group.members, group.members_most), group.resolved
        )
    )
    targets = {member.member_id: member.member_id for member in stay}
    convert_to_classic(turn, group, stay, targets, rebalance="a member left the consumer group")
    return turn.result()


def convert_to_classic(
    turn: Turn,
    group: ConsumerGroup,
    members: Collection[Member],
    targets: dict[str, str],
    *,
    rebalance: str | None,
) -> None:
    """Let a classic group of ``members``, all of the classic protocol, take the group's place.

    ``targets``: member id -> whose part of the target is its assignment. ``rebalance`` is the
    reason for one; None: the group is stable. The caller has written the tombstones.
    """
    shard, now = turn.shard, turn.now
    made = classic.ClassicGroup(
        group.group_id,
        state=State.STABLE,
        state_changed_ms=now.wall_ms,
        generation=group.epoch,
        protocol_type=classic.CONSUMER,
    )
    for member in members:
        made.add(_classic_member(member))
    made.protocol_name = made.select_protocol()
    made.subscribed_topics = made.subscriptions()
    try:
        for one in made.members.values():
            target = group.targets.get(targets[one.member_id], NO_TOPICS)
            version = version_of(one.metadata(made.protocol_name))
            one.assignment = assignment_bytes(target, shard.image, version)
    except MalformedRequest as error:
        raise ApiError(
            ErrorCode.GROUP_ID_NOT_FOUND,
            f"Cannot downgrade the classic group {group.group_id}: {error}.",
        ) from error
    turn.records.append(
        made.record({one.member_id: one.assignment for one in made.members.values()})
    )
    for member_id in {*group.members, *made.members}:
        fencing.cancel_timers(shard, group.group_id, member_id)
    shard.groups[group.group_id] = made
    for one in made.members.values():
        arm_classic_session(shard, made, one, now)
    log.info("group %s: from the consumer to the classic protocol", group.group_id)
    if rebalance is not None:
        prepare(turn, made, rebalance)


def _classic_member(member: Member) -> classic.Member:
    assert member.classic is not None
    return classic.Member(
        member.member_id,
        instance_id=member.instance_id,
        client_id=member.client_id,
        client_host=member.client_host,
        rebalance_timeout_ms=member.rebalance_timeout_ms,
        session_timeout_ms=member.classic.session_timeout_ms,
        protocol_type=classic.CONSUMER,
        protocols=tuple(
            (protocol.name, bytes(protocol.metadata))
            for protocol in member.classic.supported_protocols
        ),
    )
