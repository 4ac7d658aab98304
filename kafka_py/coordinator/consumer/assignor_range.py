"""The ``range`` assignor: of every topic each member gets one contiguous range.

Members are ordered, static ones first by instance id, the others by member id; each topic's
partitions are cut in that order, the first ranges being the longer ones. Where all members
subscribe to the same topics, and these have equally many partitions, each member so gets the same
partition numbers of every topic (co-partitioning). What a member had before plays no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from kafka_py.coordinator.consumer.assignor_order import (
    grown_capacity,
    java_order,
    named_order,
    string_hash,
    table_capacity,
    topic_order,
)
from kafka_py.coordinator.consumer.specs import Assignment, AssignorError, MemberSpec, TopicsSpec

__all__ = ["RangeAssignor"]


def _utf16(text: str) -> bytes:
    """A key by which texts sort as Java's strings do."""
    return text.encode("utf-16-be", "surrogatepass")


def _ordered(members: Mapping[str, MemberSpec]) -> list[str]:
    """Member ids: static members by instance id, then the others by member id."""

    def place(member_id: str) -> tuple[bool, bytes]:
        instance_id = members[member_id].instance_id
        if instance_id is None:
            return True, _utf16(member_id)
        return False, _utf16(instance_id)

    # Two members with one instance id are not told apart: they stay as Java's table has them.
    return sorted(java_order(members, string_hash, grown_capacity(len(members))), key=place)


class RangeAssignor:
    """KIP-848's ``range``. See the module's text."""

    name = "range"

    def assign(
        self, members: Mapping[str, MemberSpec], topics: TopicsSpec
    ) -> Mapping[str, Assignment]:
        """Member id -> its new target. Raises AssignorError for a topic that does not exist."""
        ordered = _ordered(members)
        wanted_by = {member_id: members[member_id].subscribed_topic_ids for member_id in ordered}
        if topics.homogeneous and ordered:
            # Java asks the first member only.
            wanted_by = dict.fromkeys(ordered, wanted_by[ordered[0]])
        subscribers: dict[bytes, int] = {}
        for wanted in wanted_by.values():
            for topic_id in wanted:
                subscribers[topic_id] = subscribers.get(topic_id, 0) + 1
        ranges = {}
        for topic_id, count in subscribers.items():
            partitions = topics.partition_counts.get(topic_id)
            if partitions is None:
                raise AssignorError("Member is subscribed to a non-existent topic")
            ranges[topic_id] = iter(_cut(partitions, count))
        orders: dict[frozenset[bytes], list[bytes]] = {}
        assignment: dict[str, Assignment] = {}
        for member_id, wanted in wanted_by.items():
            order = orders.get(wanted)
            if order is None:
                # Java makes the table for all topics that the member wants.
                capacity = table_capacity(len(wanted) * 4 // 3 + 1)
                named = named_order(wanted, topics.names)
                order = orders[wanted] = topic_order(named, capacity)
            assignment[member_id] = {
                topic_id: cut for topic_id in order if (cut := next(ranges[topic_id]))
            }
        return assignment


def _cut(partitions: int, members: int) -> list[tuple[int, ...]]:
    """``members`` ranges, the first ``partitions % members`` of them longer by one."""
    size, longer = divmod(partitions, members)
    starts = [index * size + min(index, longer) for index in range(members + 1)]
    return [tuple(range(*bounds)) for bounds in pairwise(starts)]
