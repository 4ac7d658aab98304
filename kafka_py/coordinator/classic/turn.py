"""What one event leads to, gathered while it is worked off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.machine import CoordinatorRecord, Delivery, Moment, Reply, Result, Then

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["Turn", "answer"]


class Turn:
    """One request or deadline: which shard, when, and the records and answers it has come to.

    A classic group changes its soft state while a turn runs, so its records are never replayed on
    the live group (``Result.replay`` is False).
    """

    __slots__ = ("now", "records", "replies", "shard", "then")

    def __init__(self, shard: GroupShard, now: Moment) -> None:
        self.shard = shard
        self.now = now
        self.records: list[CoordinatorRecord] = []
        self.replies: list[Delivery] = []
        self.then: Then | None = None

    def answer(self, reply: Reply, response: Any) -> None:
        """Let ``reply`` get this response once the turn's records are committed."""
        self.replies.append(Delivery(reply, response))

    def result(self) -> Result:
        """Everything as the runtime takes it."""
        return Result(self.records, self.replies, replay=False, then=self.then)


def answer(reply: Reply, response: Any) -> Result:
    """A result that only answers."""
    return Result([], [Delivery(reply, response)], replay=False)
