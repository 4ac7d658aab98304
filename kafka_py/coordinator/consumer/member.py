"""A member of a consumer group: what it said of itself, its epoch, and what it owns (KIP-848).

Members are immutable values; a change makes a new one, and a record of the log carries it. Shapes:

- owned partitions: ``{topic id: {partition: epoch at which the member got it}}`` (KIP-1251)
- a target: ``{topic id: partitions}``, both in the order of its record: assignors go by it

A topic without partitions is in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from kafka_py.protocol.records_group import (
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue,
)

__all__ = [
    "LEAVE_EPOCH",
    "LEAVE_STATIC_EPOCH",
    "NO_PARTITIONS",
    "NO_TOPICS",
    "Member",
    "MemberState",
    "Owned",
    "Target",
    "new_member",
    "owned_from_record",
    "same_target",
    "target_from",
    "with_current",
    "with_metadata",
]

Owned = Mapping[bytes, Mapping[int, int]]
Target = Mapping[bytes, tuple[int, ...]]
ClassicMetadata = ConsumerGroupMemberMetadataValue.ClassicMemberMetadata

#: The member epoch of a heartbeat that leaves the group.
LEAVE_EPOCH: Final = -1
#: The same for a static member that means to come back.
LEAVE_STATIC_EPOCH: Final = -2

#: No topics, and no partitions of a topic.
NO_TOPICS: Final[Mapping[bytes, Any]] = {}
NO_PARTITIONS: Final[Mapping[int, int]] = {}


class MemberState(IntEnum):
    """How far a member is on its way to its target; the value is that of its record."""

    STABLE = 0
    #: It has to give up partitions before it may go on.
    UNREVOKED_PARTITIONS = 1
    #: It waits for partitions that others have to give up.
    UNRELEASED_PARTITIONS = 2
    #: A later version wrote it; the member has to join anew.
    UNKNOWN = 127


class Member(NamedTuple):
    """A member. ``classic`` is there while it uses the classic protocol (online migration).

    Attributes:
        epoch: the epoch of the target it has reached; LEAVE_STATIC_EPOCH while a static member
            is away.
        previous_epoch: the one before; a member whose answer was lost may come with it.
        names: the topics it subscribes to by name.
        regex: the pattern it subscribes to; "" or None for none.
        assigned: what it owns or may take.
        pending: what it has to give up, and still owns until it said that it did.
    """

    member_id: str
    epoch: int = 0
    previous_epoch: int = -1
    state: MemberState = MemberState.STABLE
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int = -1
    names: frozenset[str] = frozenset()
    regex: str | None = ""
    assignor: str | None = None
    assigned: Owned = NO_TOPICS
    pending: Owned = NO_TOPICS
    classic: ClassicMetadata | None = None

    def reconciled_to(self, target_epoch: int) -> bool:
        """Whether there is nothing left to do for it at that epoch of the target."""
        return self.state is MemberState.STABLE and self.epoch == target_epoch

    def assignment_epoch(self, topic_id: bytes, partition: int) -> int | None:
        """Since which epoch it owns a partition, one to be given up included; None: it does not."""
        for owned in (self.assigned, self.pending):
            epoch = owned.get(topic_id, NO_PARTITIONS).get(partition)
            if epoch is not None:
                return epoch
        return None

    def at_epoch(self, epoch: int, **changes: Any) -> Member:
        """The member moved to an epoch; its present one becomes the previous one."""
        return self._replace(epoch=epoch, previous_epoch=self.epoch, **changes)

    def away(self) -> Member:
        """The static member as it is while it is away for a moment (-2)."""
        return self._replace(
            epoch=LEAVE_STATIC_EPOCH,
            pending=NO_TOPICS,
            assigned={
                topic_id: dict.fromkeys(partitions, 0)
                for topic_id, partitions in self.assigned.items()
            },
        )


def new_member(member_id: str) -> Member:
    """A member that has said nothing yet."""
    return Member(member_id)


def target_from(assignment: Mapping[bytes, Iterable[int]]) -> Target:
    """An assignor's answer, or a record's content, as a target."""
    return {
        topic_id: tuple(partitions) for topic_id, partitions in assignment.items() if partitions
    }


def same_target(one: Target | None, other: Target) -> bool:
    """Whether two targets have the same partitions, in whatever order."""
    if one is None or one.keys() != other.keys():
        return False
    return one == other or all(
        len(one[topic_id]) == len(partitions) and set(one[topic_id]) == set(partitions)
        for topic_id, partitions in other.items()
    )


def owned_from_record(
    rows: Iterable[ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions], member_epoch: int
) -> Owned:
    """What a record says that a member owns. Records before 4.3 say no epochs: the member's."""
    owned: dict[bytes, dict[int, int]] = {}
    for row in rows:
        epochs = row.assignment_epochs
        if epochs is None or len(epochs) != len(row.partitions):
            owned[row.topic_id] = dict.fromkeys(row.partitions, max(member_epoch, 0))
        else:
            owned[row.topic_id] = dict(zip(row.partitions, epochs, strict=True))
    return owned


def with_metadata(member: Member, value: ConsumerGroupMemberMetadataValue) -> Member:
    """The member after a record of what it said of itself."""
    return member._replace(
        instance_id=value.instance_id,
        rack_id=value.rack_id,
        client_id=value.client_id,
        client_host=value.client_host,
        names=frozenset(value.subscribed_topic_names),
        regex=value.subscribed_topic_regex,
        rebalance_timeout_ms=value.rebalance_timeout_ms,
        assignor=value.server_assignor,
        classic=value.classic_member_metadata,
    )


_STATES: Final = {int(state): state for state in MemberState}


def with_current(member: Member, value: ConsumerGroupCurrentMemberAssignmentValue) -> Member:
    """The member after a record of what it owns."""
    return member._replace(
        epoch=value.member_epoch,
        previous_epoch=value.previous_member_epoch,
        state=_STATES.get(value.state, MemberState.UNKNOWN),
        assigned=owned_from_record(value.assigned_partitions, value.member_epoch),
        pending=owned_from_record(value.partitions_pending_revocation, value.member_epoch),
    )
