# cython: annotation_typing=False
"""Requests that wait: fetches for bytes, acks=all appends for an offset.

Deadlines are monotonic milliseconds.

A waiter is looked at again when one of its partitions moved, and given up at its deadline. Moves
are only noted (:meth:`FetchPurgatory.touch`) and worked off once a wake-up of the event loop, so
that a burst of appends costs a waiting consumer one look.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Final, Protocol

from kafka_py.replication.partition import Partition

__all__ = ["AppendPurgatory", "AppendWaiter", "DelayedFetch", "FetchPurgatory"]

#: How many deadlines are kept before those of answered waiters are looked for.
DEADLINES_MIN: Final = 256


class DelayedFetch(Protocol):
    """A fetch that does not have its minimum of bytes yet."""

    done: bool

    def attempt(self) -> bool:
        """Answer if the minimum is there or an error came up; True when answered."""
        ...

    def expire(self) -> None:
        """Answer with what there is."""
        ...


class AppendWaiter(Protocol):
    """An acks=all request whose data is appended."""

    done: bool
    deadline_ms: int

    def satisfied(self) -> None:
        """One partition has replicated (and flushed, if the policy says so) what was appended."""
        ...

    def expire(self) -> None:
        """Answer with REQUEST_TIMED_OUT for the partitions that are not there yet."""
        ...

    def fail(self, error: int) -> None:
        """One of its partitions lost leadership or its disk.

        That one's answer is the wire's ``error``.
        """
        ...


class FetchPurgatory:
    """Delayed fetches by partition and by deadline."""

    def __init__(self) -> None:
        self._deadlines: list[tuple[int, int, DelayedFetch]] = []
        self._tidy_at = DEADLINES_MIN
        self._sequence = count()
        self._touched: dict[Partition, None] = {}

    def __len__(self) -> int:
        return sum(not waiter.done for _, _, waiter in self._deadlines)

    def watch(
        self, waiter: DelayedFetch, partitions: Iterable[Partition], deadline_ms: int
    ) -> None:
        """Look at ``waiter`` when one of ``partitions`` moves; expire it at ``deadline_ms``."""
        for partition in partitions:
            waiters = partition.fetch_waiters
            if waiters is None:
                partition.fetch_waiters = [waiter]
                continue
            # Waiters answered through another partition are dropped before the list can grow on
            # them.
            if len(waiters) >= 16 and sum(w.done for w in waiters) > len(waiters) // 2:
                partition.fetch_waiters = waiters = [w for w in waiters if not w.done]
            waiters.append(waiter)
        heapq.heappush(self._deadlines, (deadline_ms, next(self._sequence), waiter))
        if len(self._deadlines) >= self._tidy_at:
            self._tidy()

    def _tidy(self) -> None:
        """Drop who was answered long before a late deadline; amortized one step a waiter."""
        self._deadlines = [entry for entry in self._deadlines if not entry[2].done]
        heapq.heapify(self._deadlines)
        self._tidy_at = max(DEADLINES_MIN, 2 * len(self._deadlines))

    def touch(self, partition: Partition) -> None:
        """Note that a partition moved; cheap, and nothing is answered yet."""
        if partition.fetch_waiters:
            self._touched[partition] = None

    @property
    def has_touched(self) -> bool:
        """Whether :meth:`work_off` has something to do."""
        return bool(self._touched)

    def work_off(self) -> None:
        """Look at every waiter of the partitions that moved."""
        while self._touched:
            touched, self._touched = self._touched, {}
            for partition in touched:
                waiters = partition.fetch_waiters
                if not waiters:
                    continue
                partition.fetch_waiters = None
                kept = [w for w in waiters if not w.done and not w.attempt()]
                # An answer may have let somebody new wait here meanwhile.
                partition.fetch_waiters = kept + (partition.fetch_waiters or []) or None

    def next_deadline_ms(self) -> int | None:
        """When :meth:`expire` has work next, None when nobody waits."""
        while self._deadlines and self._deadlines[0][2].done:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def expire(self, now_ms: int) -> None:
        """Answer every waiter whose deadline has come."""
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            waiter = heapq.heappop(self._deadlines)[2]
            if not waiter.done:
                waiter.expire()


class AppendPurgatory:
    """acks=all requests by the offset that each of their partitions has to reach.

    There is no timer a request: nearly all are answered within milliseconds, so :meth:`expire`
    sweeps those that are left.
    """

    def __init__(self) -> None:
        self._waiting: set[Partition] = set()

    def watch(self, waiter: AppendWaiter, partition: Partition, end_offset: int) -> None:
        """Call ``waiter.satisfied()`` once ``partition`` has reached ``end_offset``."""
        waiters = partition.append_waiters
        if waiters is None:
            waiters = partition.append_waiters = deque()
        waiters.append((end_offset, waiter))
        self._waiting.add(partition)

    @property
    def idle(self) -> bool:
        """Nobody waits."""
        return not self._waiting

    def reached(self, partition: Partition, offset: int) -> None:
        """``partition`` is replicated and durable below ``offset``."""
        waiters = partition.append_waiters
        while waiters and waiters[0][0] <= offset:
            waiters.popleft()[1].satisfied()
        if not waiters:
            self._waiting.discard(partition)

    def fail(self, partition: Partition) -> list[AppendWaiter]:
        """Forget everyone who waits for ``partition`` and return them.

        It lost leadership or its disk.
        """
        failed = [waiter for _, waiter in partition.append_waiters or ()]
        partition.append_waiters = None
        self._waiting.discard(partition)
        return failed

    def expire(self, now_ms: int) -> None:
        """Expire the waiters whose deadline has come."""
        for partition in list(self._waiting):
            waiters = partition.append_waiters or ()
            late = [w for _, w in waiters if w.deadline_ms <= now_ms]
            if not late:
                continue
            kept = [item for item in waiters if item[1].deadline_ms > now_ms]
            partition.append_waiters = deque(kept)
            if not kept:
                self._waiting.discard(partition)
            for waiter in late:
                if not waiter.done:
                    waiter.expire()
