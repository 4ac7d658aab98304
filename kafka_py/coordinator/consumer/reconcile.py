"""From what a member owns to what it is to own: one step a heartbeat (KIP-848).

A partition is never given out while another member owns it. A member first gives up what it shall
not keep, in the epoch it is in; when it no longer reports those partitions it moves to the
target's epoch and gets what is free, and the rest as others give it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.consumer.member import (
    NO_PARTITIONS,
    NO_TOPICS,
    Member,
    MemberState,
    Owned,
    Target,
)
from kafka_py.coordinator.consumer.topics import topic_ids
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.groups import ConsumerGroupHeartbeatRequest

__all__ = ["next_step", "subscribed_topic_ids"]

Reported = Iterable[ConsumerGroupHeartbeatRequest.TopicPartitions] | None
_STABLE = MemberState.STABLE
_UNREVOKED = MemberState.UNREVOKED_PARTITIONS
_UNRELEASED = MemberState.UNRELEASED_PARTITIONS


def subscribed_topic_ids(
    group: ConsumerGroup, member: Member, image: MetadataImage
) -> frozenset[bytes]:
    """The existing topics that a member wants, by name and by its pattern as far as resolved."""
    return topic_ids(_subscribed_names(group, member), image)


def _subscribed_names(group: ConsumerGroup, member: Member) -> Set[str]:
    resolved = group.resolved.get(member.regex) if member.regex else None
    return member.names if resolved is None else member.names | resolved.topics


def next_step(
    group: ConsumerGroup,
    member: Member,
    image: MetadataImage,
    target_epoch: int,
    target: Target,
    reported: Reported,
    *,
    subscription_changed: bool,
) -> Member:
    """The member after one more step towards ``target``; the same object when there is none.

    ``reported`` is what the member says that it owns; None: it did not say. Raises
    FENCED_MEMBER_EPOCH for a member in a state of a later version that has not started over.
    """
    step = _Step(group, member, image, target_epoch, target, reported)
    if member.state is _STABLE:
        if member.epoch != target_epoch:
            return step.reconcile(member.epoch)
        return step.drop_unsubscribed() if subscription_changed else member
    if member.state is _UNREVOKED:
        if step.still_owns(member.pending):
            return step.drop_unsubscribed() if subscription_changed else member
        return step.reconcile(member.epoch)
    if member.state is _UNRELEASED:
        return step.reconcile(member.epoch)
    if reported is None or list(reported):
        raise ApiError(
            ErrorCode.FENCED_MEMBER_EPOCH,
            "The consumer group member is in a unknown state. "
            "The member must abandon all its partitions and rejoin.",
        )
    return step.reconcile(target_epoch)


class _Step:
    """The inputs of one step."""

    def __init__(
        self,
        group: ConsumerGroup,
        member: Member,
        image: MetadataImage,
        target_epoch: int,
        target: Target,
        reported: Reported,
    ) -> None:
        self.group = group
        self.member = member
        self.target_epoch = target_epoch
        self.target = target
        self.reported = reported
        self.subscribed = subscribed_topic_ids(group, member, image)

    def still_owns(self, partitions: Owned) -> bool:
        """Whether the member may still own one of these; yes as long as it does not say."""
        if self.reported is None:
            return True
        return any(
            partition in partitions.get(row.topic_id, NO_PARTITIONS)
            for row in self.reported
            for partition in row.partitions
        )

    def drop_unsubscribed(self) -> Member:
        """Take topics from it that it unsubscribed from, without waiting for a new target."""
        member = self.member
        dropped = {t: p for t, p in member.assigned.items() if t not in self.subscribed}
        wants_nothing = not _subscribed_names(self.group, member)
        if not dropped and (member.pending or not wants_nothing):
            return member
        kept = {t: p for t, p in member.assigned.items() if t in self.subscribed}
        pending = dict(member.pending)
        for topic_id, partitions in dropped.items():
            pending[topic_id] = {**pending.get(topic_id, {}), **partitions}
        if pending and self.still_owns(pending):
            return member.at_epoch(member.epoch, state=_UNREVOKED, assigned=kept, pending=pending)
        return member.at_epoch(member.epoch, assigned=kept)

    def reconcile(self, epoch: int) -> Member:
        """Keep what the target has, give up the rest; once that is done take what is free."""
        member = self.member
        kept: dict[bytes, dict[int, int]] = {}
        revoked: dict[bytes, dict[int, int]] = {}
        gained: dict[bytes, list[int]] = {}
        waits = False
        for topic_id in {**self.target, **member.assigned}:
            wanted = self.target.get(topic_id, ()) if topic_id in self.subscribed else ()
            owned = member.assigned.get(topic_id, NO_PARTITIONS)
            keep = set(wanted).intersection(owned)
            if keep:
                kept[topic_id] = {p: owned[p] for p in owned if p in keep}
            if len(keep) < len(owned):
                revoked[topic_id] = {p: owned[p] for p in owned if p not in keep}
            pending = member.pending.get(topic_id, NO_PARTITIONS)
            free = []
            for partition in wanted:
                if partition in keep:
                    continue
                # Its own partitions that it has just given up are free: it alone owned them.
                if self.group.partition_epoch(topic_id, partition) == -1 or partition in pending:
                    free.append(partition)
                else:
                    waits = True
            if free:
                gained[topic_id] = free
        if revoked and self.still_owns(revoked):
            return member.at_epoch(epoch, state=_UNREVOKED, assigned=kept, pending=revoked)
        for topic_id, partitions in gained.items():
            kept.setdefault(topic_id, {}).update(dict.fromkeys(partitions, self.target_epoch))
        return member.at_epoch(
            self.target_epoch,
            state=_UNRELEASED if waits else _STABLE,
            assigned=kept,
            pending=NO_TOPICS,
        )
