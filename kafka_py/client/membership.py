"""What the two group protocols have in common, seen from a member."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from kafka_py.client.cluster import Cluster
from kafka_py.client.types import TopicPartition

log = logging.getLogger("kafka_py.client")

GROUP_LANE: Final = "group"
"""Joins wait on the broker, so membership has a connection of its own."""


class GroupSettings(NamedTuple):
    """How a member behaves; Kafka's names and defaults, times in milliseconds."""

    group: str
    topics: tuple[str, ...]
    instance_id: str | None = None
    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 3000
    max_poll_interval_ms: int = 300_000
    assignors: tuple[str, ...] = ("range", "roundrobin")
    server_assignor: str | None = None


class Holder(Protocol):
    """Who holds the partitions that a membership brings and takes."""

    owned: set[TopicPartition]

    async def take(self, partitions: set[TopicPartition]) -> None:
        """These are ours from now on."""
        ...

    async def give_up(self, partitions: set[TopicPartition]) -> None:
        """These are still ours and are to be given up: the time to commit."""
        ...

    async def lose(self, partitions: set[TopicPartition]) -> None:
        """These are not ours any more; others may read them already."""
        ...


class Membership:
    """A member's part in its group. `advance` is called whenever the owner polls.

    `member_id`, `epoch`: what commits carry; the epoch is the generation in the classic protocol.
    `pending`: there is something for `advance` to do.
    """

    #: Whether commits and offset fetches by `member_id` and `epoch` are checked against these.
    fetches_as_member = False

    def __init__(
        self, cluster: Cluster, settings: GroupSettings, holder: Holder, wake: Callable[[], None]
    ) -> None:
        self.cluster = cluster
        self.settings = settings
        self.holder = holder
        self.wake = wake
        self.member_id = ""
        self.epoch = -1
        self.failure: Exception | None = None
        self.lost = False
        self.polled_ms = cluster.clock.monotonic_ms()

    @property
    def pending(self) -> bool:
        """Whether `advance` has something to do."""
        return self.lost or self.failure is not None

    def polled(self) -> None:
        """The owner is alive: puts off the end of max.poll.interval.ms."""
        self.polled_ms = self.cluster.clock.monotonic_ms()

    def poll_is_overdue(self) -> bool:
        """Whether the owner has not polled for max.poll.interval.ms."""
        silent_ms = self.cluster.clock.monotonic_ms() - self.polled_ms
        return silent_ms >= self.settings.max_poll_interval_ms

    async def advance(self, timeout_ms: int) -> None:
        """Do what is due: join, take, give up. Raises `MemberFailed` and other `ClientError`."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        if self.lost:
            self.lost = False
            await self.holder.lose(set(self.holder.owned))

    def lose(self, reason: str) -> None:
        """The group has put this member out; what it had is lost."""
        log.warning("group %s: %s", self.settings.group, reason)
        self.lost = True
        self.wake()

    def fail(self, error: Exception) -> None:
        """Let the next `advance` raise."""
        self.failure = error
        self.wake()

    async def leave(self) -> None:
        """Leave the group and do nothing more."""


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a background task and wait for its end."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
