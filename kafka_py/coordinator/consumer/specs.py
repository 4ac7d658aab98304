"""What an assignor is told: the members and the topics they subscribe to.

The interface between the consumer group and the assignors (KIP-848): an assignor is given every
member of a group with the target assignment that it had, and gives back a new target for each.

Shapes: a topic id is its 16 bytes; an assignment is ``{topic id: partition indexes}``, both in the
order of the record that says so, which is the order in which Java's tables give them back. An
assignor's choices depend on that order, so records keep it and nobody sorts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

__all__ = ["Assignment", "Assignor", "AssignorError", "MemberSpec", "TopicsSpec"]

#: Topic id (16 bytes) -> partition indexes, in the record's order. Never mutated once made.
Assignment = Mapping[bytes, Sequence[int]]


class AssignorError(Exception):
    """The assignor can not assign; the text is for the log (clients see UNKNOWN_SERVER_ERROR)."""


class MemberSpec(NamedTuple):
    """A member as an assignor sees it.

    Attributes:
        instance_id: ``group.instance.id`` of a static member, else None.
        rack_id: where the member says it is, else None.
        subscribed_topic_ids: the topics it wants that exist, by name and by regular expression.
        assigned: the target assignment that it had before.
    """

    instance_id: str | None
    rack_id: str | None
    subscribed_topic_ids: frozenset[bytes]
    assigned: Assignment


class TopicsSpec(NamedTuple):
    """The topics that a group's members subscribe to.

    Attributes:
        partition_counts: topic id -> number of partitions, for every topic of the metadata image
            that a member may subscribe to.
        homogeneous: whether all members subscribe to the same topics.
        names: topic id -> name, for the topics that members subscribe to: Java's sets of names
            decide the order of topics whose ids share a bucket. Without it that order is by id.
    """

    partition_counts: Mapping[bytes, int]
    homogeneous: bool = True
    names: Mapping[bytes, str] = MappingProxyType({})


class Assignor(Protocol):
    """A server-side assignor (``group.consumer.assignors``)."""

    name: str

    def assign(
        self, members: Mapping[str, MemberSpec], topics: TopicsSpec
    ) -> Mapping[str, Assignment]:
        """Member id -> its new target. Members without partitions may be absent or empty.

        Raises AssignorError.
        """
        ...
