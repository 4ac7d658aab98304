"""The ``uniform`` assignor where members subscribe to different topics.

Three steps. Members keep what they had of the topics that they still want. Topics with the most
partitions a subscriber come first, and their free partitions go to the least loaded of their
subscribers, one each, like water that fills a vessel from the lowest place. Then topic after
topic is levelled: partitions move from the most to the least loaded subscribers as long as that
narrows the gap, until a whole round over the topics changes nothing (or after 16 rounds).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from kafka_py.coordinator.consumer.assignor_order import Draft, table_capacity
from kafka_py.coordinator.consumer.specs import Assignment, AssignorError, MemberSpec, TopicsSpec
from kafka_py.protocol.types import uuid_to_text

__all__ = ["assign_mixed"]

#: Overlapping subscriptions can take long to level; each round about halves the gaps.
MAX_ROUNDS: Final = 16

_NOBODY: Final = -1
_halves = struct.Struct(">2q")


def assign_mixed(
    member_ids: Sequence[str], members: Mapping[str, MemberSpec], topics: TopicsSpec
) -> dict[str, Assignment]:
    """Member id -> its new target; a member whose target stays has the very object it had.

    ``member_ids`` is in Java's order: of equally loaded members the first is filled first.
    Raises AssignorError for a topic that does not exist.
    """
    state = _State(member_ids, members, topics)
    if not state.subscribers:
        return {}
    state.keep()
    state.fill()
    state.level()
    return {
        member_id: had if draft is None else draft.finished()
        for member_id, had, draft in zip(member_ids, state.had, state.drafts, strict=True)
    }


class _Receivers:
    """A topic's subscribers from the least loaded up: who gets the next partition.

    ``order`` is by load; the first ``_end`` of them are at ``level`` and get one each, then the
    level has risen by one and takes in those whom it has reached.
    """

    def __init__(self, order: Sequence[int], sizes: Sequence[int]) -> None:
        self._order = order
        self._sizes = sizes
        self._end = 0
        self._next = 0
        self.level = sizes[order[0]] - 1

    def take(self) -> int:
        """The member to give to; the caller raises its size."""
        if self._next >= self._end:
            self.level += 1
            while (
                self._end < len(self._order) and self._sizes[self._order[self._end]] == self.level
            ):
                self._end += 1
            self._next = 0
        self._next += 1
        return self._order[self._next - 1]


class _Givers:
    """A topic's subscribers from the most loaded down: who gives the next partition.

    ``_round`` holds those at ``level``, who give one each; who has no partition of the topic (left)
    drops out, and the first takes his place. Then the level sinks to the next load.
    """

    def __init__(
        self, order: Sequence[int], sizes: Sequence[int], owned: Mapping[int, list[int]]
    ) -> None:
        self._lower = list(order)
        self._sizes = sizes
        self._owned = owned
        self._round: list[int] = []
        self._next = 0
        self.level = sizes[order[-1]] + 1

    def take(self) -> int | None:
        """The member to take from; None when nobody has anything left."""
        while True:
            if self._next >= len(self._round):
                self._sink()
            if self._next >= len(self._round):
                return None
            member = self._round[self._next]
            if self._owned.get(member):
                self._next += 1
                return member
            self._round[self._next] = self._round[0]
            del self._round[0]

    def _sink(self) -> None:
        if self._round or not self._lower:
            self.level -= 1
        else:
            self.level = self._sizes[self._lower[-1]]
        while self._lower and self._sizes[self._lower[-1]] == self.level:
            self._round.append(self._lower.pop())
        self._next = 0


class _State:
    """Who has what; members are numbers, their places in ``member_ids``."""

    def __init__(
        self, member_ids: Sequence[str], members: Mapping[str, MemberSpec], topics: TopicsSpec
    ) -> None:
        specs = [members[member_id] for member_id in member_ids]
        self.counts = topics.partition_counts
        self.wanted = [spec.subscribed_topic_ids for spec in specs]
        self.had = [spec.assigned for spec in specs]
        self.drafts: list[Draft | None] = [None] * len(specs)
        self.sizes = [0] * len(specs)
        self.subscribers: dict[bytes, list[int]] = {}
        for member, wanted in enumerate(self.wanted):
            for topic_id in wanted:
                if topic_id not in self.counts:
                    raise AssignorError(
                        f"Members are subscribed to topic {uuid_to_text(topic_id)} "
                        "which doesn't exist in the topic metadata."
                    )
                self.subscribers.setdefault(topic_id, []).append(member)
        self.owners = {topic_id: [_NOBODY] * self.counts[topic_id] for topic_id in self.subscribers}

    def keep(self) -> None:
        """Take over what members had of the topics that they want."""
        for member, had in enumerate(self.had):
            for topic_id, partitions in had.items():
                if topic_id not in self.wanted[member]:
                    self._draft(member).remove_topic(topic_id)
                    continue
                self.sizes[member] += len(partitions)
                owners = self.owners[topic_id]
                for partition in partitions:
                    owners[partition] = member

    def fill(self) -> None:
        """Give the partitions that nobody has to the least loaded subscribers."""
        for topic_id in self._ordered():
            owners = self.owners[topic_id]
            free = [partition for partition, owner in enumerate(owners) if owner == _NOBODY]
            if free:
                receivers = _Receivers(self._by_load(topic_id), self.sizes)
                for partition in free:
                    self._give(topic_id, partition, receivers.take())

    def level(self) -> None:
        """Move partitions until no topic's subscribers can be brought closer together."""
        order = [topic_id for topic_id in self._ordered() if len(self.subscribers[topic_id]) > 1]
        last_moved: bytes | None = None
        for _ in range(MAX_ROUNDS):
            for topic_id in order:
                if topic_id == last_moved:
                    return
                if self._level_topic(topic_id) or last_moved is None:
                    last_moved = topic_id

    def _level_topic(self, topic_id: bytes) -> bool:
        """Move partitions of one topic; whether any moved."""
        order = self._by_load(topic_id)
        if self.sizes[order[-1]] - self.sizes[order[0]] <= 1:
            return False
        owned: dict[int, list[int]] = {}
        for partition, owner in enumerate(self.owners[topic_id]):
            owned.setdefault(owner, []).append(partition)
        givers = _Givers(order, self.sizes, owned)
        receivers = _Receivers(order, self.sizes)
        moved = False
        while (giver := givers.take()) is not None:
            receiver = receivers.take()
            if givers.level - receivers.level <= 1:
                break
            partition = owned[giver].pop()
            self._draft(giver).remove(topic_id, partition)
            self.sizes[giver] -= 1
            self._give(topic_id, partition, receiver)
            moved = True
        return moved

    def _give(self, topic_id: bytes, partition: int, member: int) -> None:
        subscribers = len(self.subscribers[topic_id])
        expected = (self.counts[topic_id] + subscribers - 1) // subscribers
        self._draft(member).add(topic_id, partition, table_capacity(expected * 4 // 3 + 1))
        self.owners[topic_id][partition] = member
        self.sizes[member] += 1

    def _draft(self, member: int) -> Draft:
        draft = self.drafts[member]
        if draft is None:
            draft = self.drafts[member] = Draft(self.had[member])
        return draft

    def _by_load(self, topic_id: bytes) -> list[int]:
        """A topic's subscribers, the least loaded first."""
        return sorted(self.subscribers[topic_id], key=self.sizes.__getitem__)

    def _ordered(self) -> list[bytes]:
        """Topics: most partitions a subscriber first, then fewest subscribers, then by id.

        Ids compare as Java's do: two signed 64 bit halves.
        """

        def place(topic_id: bytes) -> tuple[float, int, int, int]:
            subscribers = len(self.subscribers[topic_id])
            upper, lower = _halves.unpack(topic_id)
            return -(self.counts[topic_id] / subscribers), subscribers, upper, lower

        return sorted(self.subscribers, key=place)
