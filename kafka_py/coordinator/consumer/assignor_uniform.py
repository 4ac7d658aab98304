"""The ``uniform`` assignor where all members subscribe to the same topics.

Every member gets its share of all partitions, the remainder going one each to some members, and
keeps as much as fits of what it had. What nobody had, or was given up, goes to those with room in
one pass. The order of members and topics, on which the details depend, is Java's: see
`assignor_order`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kafka_py.coordinator.consumer.assignor_order import (
    Draft,
    collection_capacity,
    grown_capacity,
    int_order,
    java_order,
    named_order,
    string_hash,
    topic_order,
)
from kafka_py.coordinator.consumer.assignor_uniform_mixed import assign_mixed
from kafka_py.coordinator.consumer.specs import Assignment, AssignorError, MemberSpec, TopicsSpec
from kafka_py.protocol.types import uuid_to_text

__all__ = ["UniformAssignor"]


class UniformAssignor:
    """KIP-848's ``uniform``, for groups of like and of unlike subscriptions."""

    name = "uniform"

    def assign(
        self, members: Mapping[str, MemberSpec], topics: TopicsSpec
    ) -> Mapping[str, Assignment]:
        """Member id -> its new target; a member whose target stays has the very object it had.

        Raises AssignorError for a topic that does not exist.
        """
        if not members:
            return {}
        member_ids = java_order(members, string_hash, grown_capacity(len(members)))
        if topics.homogeneous:
            return _assign_alike(member_ids, members, topics)
        return assign_mixed(member_ids, members, topics)


class _Room(NamedTuple):
    """A member that may be given ``places`` more."""

    member_id: str
    places: int


def _assign_alike(
    member_ids: Sequence[str], members: Mapping[str, MemberSpec], topics: TopicsSpec
) -> dict[str, Assignment]:
    """The assignment of a group whose members subscribe to the same topics."""
    wanted = members[member_ids[0]].subscribed_topic_ids
    if not wanted:
        return {}
    subscribed = topic_order(named_order(wanted, topics.names), collection_capacity(len(wanted)))
    total = 0
    for topic_id in subscribed:
        if topic_id not in topics.partition_counts:
            raise AssignorError(
                f"Members are subscribed to topic {uuid_to_text(topic_id)} "
                "which doesn't exist in the topic metadata."
            )
        total += topics.partition_counts[topic_id]
    free = list(_unowned(subscribed, members, topics))
    assignment, room = _keep(member_ids, members, frozenset(subscribed), total, free)
    _hand_out(free, assignment, room)
    return {
        member_id: kept.finished() if isinstance(kept, Draft) else kept
        for member_id, kept in assignment.items()
    }


def _unowned(
    subscribed: Sequence[bytes], members: Mapping[str, MemberSpec], topics: TopicsSpec
) -> Iterator[tuple[bytes, int]]:
    """The partitions that no member had, topic by topic."""
    owned: dict[bytes, set[int]] = {topic_id: set() for topic_id in subscribed}
    for member in members.values():
        for topic_id, partitions in member.assigned.items():
            if topic_id in owned:
                owned[topic_id].update(partitions)
    for topic_id in subscribed:
        taken = owned[topic_id]
        for partition in range(topics.partition_counts[topic_id]):
            if partition not in taken:
                yield topic_id, partition


def _keep(
    member_ids: Sequence[str],
    members: Mapping[str, MemberSpec],
    subscribed: frozenset[bytes],
    total: int,
    free: list[tuple[bytes, int]],
) -> tuple[dict[str, Assignment | Draft], list[_Room]]:
    """What each member keeps of what it had, and who has room.

    A member may keep its share, and one more while there is a remainder left to give. One that
    does not fill its share passes the extra one on, as long as enough members follow to take all
    of the remainder. What has to be given up is added to ``free``.
    """
    share, remainder = divmod(total, len(member_ids))
    assignment: dict[str, Assignment | Draft] = {}
    room: list[_Room] = []
    for following, member_id in zip(range(len(member_ids), 0, -1), member_ids, strict=True):
        had = members[member_id].assigned
        extra = remainder > 0
        quota = share + extra
        draft: Draft | None = None
        order = topic_order(had, grown_capacity(len(had))) if len(had) > 1 else had
        for topic_id in order:
            partitions = had[topic_id]
            if topic_id not in subscribed:
                draft = draft or Draft(had)
                draft.remove_topic(topic_id)
            elif len(partitions) <= quota:
                quota -= len(partitions)
            else:
                draft = draft or Draft(had)
                listed = int_order(partitions, collection_capacity(len(partitions)))
                for partition in listed[quota:]:
                    draft.remove(topic_id, partition)
                    free.append((topic_id, partition))
                quota = 0
        if extra and quota > 0 and following > remainder:
            quota -= 1
            extra = False
        remainder -= extra
        if quota > 0:
            room.append(_Room(member_id, quota))
        assignment[member_id] = had if draft is None else draft
    return assignment, room


def _hand_out(
    free: list[tuple[bytes, int]],
    assignment: dict[str, Assignment | Draft],
    room: Sequence[_Room],
) -> None:
    """Give the free partitions, in order, to the members with room, in order."""
    at = 0
    for member_id, places in room:
        taken = free[at : at + places]
        if not taken:
            break
        at += len(taken)
        kept = assignment[member_id]
        if not isinstance(kept, Draft):
            kept = assignment[member_id] = Draft(kept)
        for topic_id, partition in taken:
            kept.add(topic_id, partition)
    if at < len(free):
        raise AssignorError("Partitions were left unassigned")
