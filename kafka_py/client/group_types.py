"""What Admin tells of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kafka_py.client.types import Node, TopicPartition

CLASSIC, CONSUMER = "Classic", "Consumer"
"""Types of groups that commit offsets, as brokers name them."""
EMPTY, STABLE, DEAD = "Empty", "Stable", "Dead"
"""The states that decide something here; brokers have more."""
MEMBER_TYPES: Final = {0: CLASSIC, 1: CONSUMER}
"""ConsumerGroupDescribe's member types (KIP-1099)."""


@dataclass(frozen=True, slots=True)
class GroupListing:
    """One line of a list of groups. `type` and `state` are "" from brokers that do not tell."""

    group: str
    type: str
    state: str
    protocol_type: str


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One member. `epoch` is -1 and `target` None in a classic group."""

    member_id: str
    instance_id: str | None
    client_id: str
    host: str
    assignment: tuple[TopicPartition, ...]
    target: tuple[TopicPartition, ...] | None = None
    epoch: int = -1
    type: str = CLASSIC
    rack: str | None = None
    topics: tuple[str, ...] = ()
    topic_regex: str | None = None


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """One group. `assignor`: the strategy's name, "" while there is none.

    `epoch`, `assignment_epoch`: -1 in a classic group. `protocol_type`: "consumer" for groups of
    consumers, "connect" and others for what else uses the classic protocol.
    """

    group: str
    type: str
    state: str
    protocol_type: str
    assignor: str
    coordinator: Node
    members: tuple[GroupMember, ...]
    epoch: int = -1
    assignment_epoch: int = -1

    def owner(self, partition: TopicPartition) -> GroupMember | None:
        """The member that has a partition."""
        for member in self.members:
            if partition in member.assignment:
                return member
        return None
