"""Classic members of a consumer group, during an online migration (KIP-848).

They join, sync, heartbeat and leave with the requests of the classic protocol; the member's epoch
is their generation, the coordinator assigns, and a Heartbeat sends them to rejoin when there is
another step to make:

- JoinGroup: what the member says of itself, a new target if need be, one step towards it
- SyncGroup: what it may own now, in the consumers' own protocol; nobody has to be waited for
- Heartbeat: REBALANCE_IN_PROGRESS when the target moved on, or partitions are to be given up or
  have come free
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.classic.group import CONSUMER, Protocols, protocols_of
from kafka_py.coordinator.classic.leave import identities, left
from kafka_py.coordinator.classic.rebalance import refused_join
from kafka_py.coordinator.classic.turn import Turn, answer
from kafka_py.coordinator.consumer import fencing, heartbeat, migration, records, regexes
from kafka_py.coordinator.consumer.assignor_order import timeline_order
from kafka_py.coordinator.consumer.embedded import assignment_bytes, subscription_of, version_of
from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.consumer.member import (
    NO_PARTITIONS,
    NO_TOPICS,
    ClassicMetadata,
    Member,
    MemberState,
)
from kafka_py.coordinator.consumer.targets import Share, next_epoch, next_target
from kafka_py.coordinator.machine import Caller, CoordinatorRecord, Delivery, Moment, Reply, Result
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import ApiError, ErrorCode, MalformedRequest
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    ConsumerProtocolSubscription,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    SyncGroupRequest,
    SyncGroupResponse,
)

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["serve"]

#: From this version on a dynamic member joins with an id that it was given before (KIP-394).
_KNOWN_ID_VERSION = 4


def serve(
    shard: GroupShard, group: ConsumerGroup, request: Any, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """Handle a JoinGroup, SyncGroup, Heartbeat or LeaveGroup to a consumer group with members."""
    match request:
        case JoinGroupRequest():
            try:
                return _Joining(shard, group, request, caller, now).result(reply)
            except ApiError as error:
                return answer(reply, refused_join(error.code, "", caller))
        case SyncGroupRequest():
            try:
                return _sync(shard, group, request, now, reply)
            except ApiError as error:
                return answer(reply, SyncGroupResponse(error_code=error.code))
        case HeartbeatRequest():
            return answer(reply, HeartbeatResponse(error_code=_beat(shard, group, request, now)))
        case LeaveGroupRequest():
            return _leave(shard, group, request, caller, now, reply)
    raise AssertionError(f"{type(request).__name__} is no request of a classic member")


# -- joining ---------------------------------------------------------------------------------------


class _Joining:
    """A JoinGroup being worked off."""

    def __init__(
        self,
        shard: GroupShard,
        group: ConsumerGroup,
        request: JoinGroupRequest,
        caller: Caller,
        now: Moment,
    ) -> None:
        self.shard = shard
        self.group = group
        self.request = request
        self.caller = caller
        self.now = now
        self.protocols: Protocols = protocols_of(request.protocols)
        self.written: list[CoordinatorRecord] = []

    def result(self, reply: Reply) -> Result:
        """Raises ApiError."""
        shard, group, request = self.shard, self.group, self.request
        if not migration.may_join(shard):
            raise ApiError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        member_id = request.member_id or heartbeat.new_member_id(shard)
        heartbeat.check_size(shard, group, member_id)
        self._check_protocols()
        if (
            not request.member_id
            and request.group_instance_id is None
            and self.caller.api_version >= _KNOWN_ID_VERSION
        ):
            refusal = refused_join(ErrorCode.MEMBER_ID_REQUIRED, member_id, self.caller)
            return answer(reply, refusal)
        member = self._member(member_id)
        subscription = self._subscription()
        replaced = None
        if request.group_instance_id is not None:
            replaced = group.static_member(request.group_instance_id)
        downgrades = replaced is not None and migration.downgrade_needed_for(shard, group, replaced)
        updated = self._updated(member, subscription)
        changed = False
        if updated != member:
            self.written.append(records.metadata(group.group_id, updated))
            regex_change, _ = regexes.update(group, member, updated, self.written)
            changed = updated.names != member.names or regex_change is not regexes.Change.NONE
        epoch = group.epoch
        looks = changed or self.now.ms >= group.refresh_at_ms or group.epoch < group.refresh_epoch
        if looks:
            epoch = next_epoch(shard, group, member, updated, self.now, self.written, bump=changed)
        owned = _reported(subscription, shard.image)
        if downgrades:
            assert replaced is not None
            return self._downgrade(reply, replaced, updated, epoch, owned, changed)
        share = next_target(
            shard, group, epoch, member, updated, self.now, self.written, changed=looks
        )
        final = self._reconciled(updated, share, owned, changed)
        fencing.arm_classic(
            shard,
            group.group_id,
            member_id,
            self.now,
            request.session_timeout_ms,
            self.rebalance_timeout_ms,
        )
        then = regexes.refresh(shard, group, member, updated, self.caller, self.now, is_new=False)
        replies = [Delivery(reply, self._joined(final))]
        return Result(records=self.written, replies=replies, then=then)

    @property
    def rebalance_timeout_ms(self) -> int:
        """Version 0 has the one time-out for both."""
        if self.caller.api_version == 0:
            return self.request.session_timeout_ms
        return self.request.rebalance_timeout_ms

    def _check_protocols(self) -> None:
        """One of the member's protocols has to be one that all classic members speak."""
        group = self.group
        if self.request.protocol_type != CONSUMER or not any(
            group.classic_protocol_counts.get(name, 0) == group.classic_count
            for name, _ in self.protocols
        ):
            raise ApiError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)

    def _member(self, member_id: str) -> Member:
        instance_id = self.request.group_instance_id
        if instance_id is None:
            return self.group.member(member_id, create=True)
        if self.request.member_id:
            return _holder(self.group, instance_id, member_id)
        return heartbeat.static_member_to_join(
            self.group, member_id, instance_id, self.written, classic=True
        )

    def _subscription(self) -> ConsumerProtocolSubscription:
        try:
            return subscription_of(self.protocols[0][1])
        except MalformedRequest as error:
            raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR) from error

    def _updated(self, member: Member, subscription: ConsumerProtocolSubscription) -> Member:
        """The member with what the request says of it."""
        request, names = self.request, frozenset(subscription.topics)
        timeout_ms = self.rebalance_timeout_ms
        return member._replace(
            instance_id=request.group_instance_id or member.instance_id,
            rack_id=subscription.rack_id or member.rack_id,
            rebalance_timeout_ms=member.rebalance_timeout_ms if timeout_ms == -1 else timeout_ms,
            names=member.names if member.names == names else names,
            regex="",
            client_id=self.caller.client_id,
            client_host=self.caller.client_host,
            classic=_kept(
                member.classic,
                migration.classic_metadata(request.session_timeout_ms, self.protocols),
            ),
        )

    def _reconciled(
        self,
        updated: Member,
        share: Share,
        owned: Sequence[ConsumerGroupHeartbeatRequest.TopicPartitions],
        changed: bool,
    ) -> Member:
        return heartbeat.reconcile(
            self.shard,
            self.group,
            updated,
            share,
            owned,
            self.now,
            self.written,
            subscription_changed=changed,
        )

    def _joined(self, member: Member) -> JoinGroupResponse:
        return JoinGroupResponse(
            error_code=ErrorCode.NONE,
            generation_id=member.epoch,
            protocol_type=CONSUMER,
            protocol_name=self.protocols[0][0],
            leader="",
            member_id=member.member_id,
            members=[],
        )

    def _downgrade(
        self,
        reply: Reply,
        replaced: Member,
        updated: Member,
        epoch: int,
        owned: Sequence[ConsumerGroupHeartbeatRequest.TopicPartitions],
        changed: bool,
    ) -> Result:
        """The last member of the consumer protocol came back as a classic one."""
        group = self.group
        stale = group.target_epoch < epoch
        final = updated
        if not stale:
            share = Share(group.target_epoch, group.target_of(updated))
            final = self._reconciled(updated, share, owned, changed)
        turn = Turn(self.shard, self.now)
        order = timeline_order(group.members, group.members_most)
        turn.records.extend(self.written)
        turn.records.extend(
            records.group_tombstones(
                group.group_id,
                [final.member_id if m == replaced.member_id else m for m in order],
                group.resolved,
            )
        )
        others = [group.members[m] for m in order if m != replaced.member_id]
        targets = {member.member_id: member.member_id for member in others}
        targets[final.member_id] = replaced.member_id
        turn.answer(reply, self._joined(final))
        migration.convert_to_classic(
            turn,
            group,
            [*others, final],
            targets,
            rebalance="its target was stale when the protocol changed" if stale else None,
        )
        return turn.result()


def _kept(old: ClassicMetadata | None, new: ClassicMetadata) -> ClassicMetadata:
    """The old one when both say the same, so that equal members are seen to be equal."""
    return old if old is not None and old == new else new


def _reported(
    subscription: ConsumerProtocolSubscription, image: MetadataImage
) -> list[ConsumerGroupHeartbeatRequest.TopicPartitions]:
    """What the member says that it owns, of the topics that exist."""
    rows = []
    for row in subscription.owned_partitions:
        topic = image.topics.get(row.topic)
        if topic is not None:
            rows.append(
                ConsumerGroupHeartbeatRequest.TopicPartitions(
                    topic_id=topic.id, partitions=row.partitions
                )
            )
    return rows


# -- members that are there ------------------------------------------------------------------------


def _holder(group: ConsumerGroup, instance_id: str, member_id: str) -> Member:
    """The holder of an instance id, which has to be that member."""
    member = group.static_member(instance_id)
    if member is None:
        raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID)
    if member.member_id != member_id:
        raise ApiError(ErrorCode.FENCED_INSTANCE_ID)
    return member


def _classic_member(
    group: ConsumerGroup, member_id: str, instance_id: str | None, generation: int
) -> tuple[Member, ClassicMetadata]:
    """A classic member of that generation. Raises ApiError."""
    if instance_id is None:
        member = group.member(member_id)
    else:
        member = _holder(group, instance_id, member_id)
    if member.classic is None:
        raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID)
    if member.epoch != generation:
        raise ApiError(ErrorCode.ILLEGAL_GENERATION)
    return member, member.classic


def _sync(
    shard: GroupShard, group: ConsumerGroup, request: SyncGroupRequest, now: Moment, reply: Reply
) -> Result:
    member, classic = _classic_member(
        group, request.member_id, request.group_instance_id, request.generation_id
    )
    protocol = classic.supported_protocols[0]
    if request.protocol_type not in (None, CONSUMER) or request.protocol_name not in (
        None,
        protocol.name,
    ):
        raise ApiError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if group.target_epoch > member.epoch and member.state is not MemberState.UNREVOKED_PARTITIONS:
        fencing.arm_join_if_absent(shard, group.group_id, member, now)
        raise ApiError(ErrorCode.REBALANCE_IN_PROGRESS)
    fencing.synced(shard, group.group_id, member.member_id, now, classic.session_timeout_ms)
    try:
        version = version_of(bytes(protocol.metadata))
    except MalformedRequest as error:
        raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR) from error
    response = SyncGroupResponse(
        error_code=ErrorCode.NONE,
        protocol_type=request.protocol_type,
        protocol_name=request.protocol_name,
        assignment=assignment_bytes(member.assigned, shard.image, version),
    )
    return answer(reply, response)


def _beat(
    shard: GroupShard, group: ConsumerGroup, request: HeartbeatRequest, now: Moment
) -> ErrorCode:
    try:
        member, classic = _classic_member(
            group, request.member_id, request.group_instance_id, request.generation_id
        )
    except ApiError as error:
        return error.code
    fencing.arm_session(shard, group.group_id, member.member_id, now, classic.session_timeout_ms)
    if (
        member.epoch < group.target_epoch
        or member.state is MemberState.UNREVOKED_PARTITIONS
        or (member.state is MemberState.UNRELEASED_PARTITIONS and not _waits(group, member))
    ):
        fencing.arm_join_if_absent(shard, group.group_id, member, now)
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE


def _waits(group: ConsumerGroup, member: Member) -> bool:
    """Whether partitions of its target are still owned by others."""
    return any(
        partition not in member.assigned.get(topic_id, NO_PARTITIONS)
        and group.partition_epoch(topic_id, partition) != -1
        for topic_id, partitions in group.targets.get(member.member_id, NO_TOPICS).items()
        for partition in partitions
    )


def _leave(
    shard: GroupShard,
    group: ConsumerGroup,
    request: LeaveGroupRequest,
    caller: Caller,
    now: Moment,
    reply: Reply,
) -> Result:
    leaving = identities(request, caller)
    members: dict[str, Member] = {}
    errors: list[ErrorCode] = []
    for one in leaving:
        try:
            if one.group_instance_id is None:
                member = group.member(one.member_id)
            else:
                # An administrator removes a static member without knowing its id.
                holder = group.static_member(one.group_instance_id)
                known = one.member_id or (holder.member_id if holder is not None else "")
                member = _holder(group, one.group_instance_id, known)
        except ApiError as error:
            errors.append(error.code)
            continue
        members[member.member_id] = member
        errors.append(ErrorCode.NONE)
    replies = [Delivery(reply, left(leaving, errors, caller))]
    return fencing.fence(shard, group, list(members.values()), replies, now)
