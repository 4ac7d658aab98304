"""How the leader of a classic group divides partitions: Kafka's range and roundrobin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from kafka_py.client.types import TopicPartition

Assignment = dict[str, list[TopicPartition]]


class Subscriber(NamedTuple):
    """One member as the leader sees it."""

    member_id: str
    instance_id: str | None
    topics: tuple[str, ...]

    def order(self) -> tuple[bool, str]:
        """Static members by their instance id, before the others by their member id: an order
        that lasts over restarts as far as there is one."""
        if self.instance_id is not None:
            return (False, self.instance_id)
        return (True, self.member_id)


Assignor = Callable[[list[Subscriber], Mapping[str, int]], Assignment]


def range_assignor(members: list[Subscriber], partition_counts: Mapping[str, int]) -> Assignment:
    """Each topic by itself: a run of neighbouring partitions a member, longer ones first.

    `partition_counts`: of the topics that exist. Members get lists even when these are empty.
    """
    assignment: Assignment = {member.member_id: [] for member in members}
    for topic in sorted({topic for member in members for topic in member.topics}):
        count = partition_counts.get(topic, 0)
        takers = sorted(
            (member for member in members if topic in member.topics), key=Subscriber.order
        )
        each, longer = divmod(count, len(takers))
        at = 0
        for place, member in enumerate(takers):
            size = each + (place < longer)
            assignment[member.member_id] += [TopicPartition(topic, at + i) for i in range(size)]
            at += size
    return assignment


def roundrobin_assignor(
    members: list[Subscriber], partition_counts: Mapping[str, int]
) -> Assignment:
    """All partitions of all topics in turn to the members, passing over who did not subscribe."""
    assignment: Assignment = {member.member_id: [] for member in members}
    circle = sorted(members, key=Subscriber.order)
    at = 0
    for topic in sorted({topic for member in members for topic in member.topics}):
        for number in range(partition_counts.get(topic, 0)):
            while topic not in circle[at % len(circle)].topics:
                at += 1
            assignment[circle[at % len(circle)].member_id].append(TopicPartition(topic, number))
            at += 1
    return assignment


ASSIGNORS: Final[Mapping[str, Assignor]] = {
    "range": range_assignor,
    "roundrobin": roundrobin_assignor,
}
"""By the names that members vote for."""
