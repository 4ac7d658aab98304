"""Group commit: one fdatasync in a worker thread for every acks=all append that waits for it.

A partition is flushed at once when no flush is under way (or ``kafka_py.flush.group.ms`` later,
where that is set); whatever is appended meanwhile shares the next one. A failed flush takes the log
directory offline (kcore does that, for good) and no acknowledgement follows it.

Clients answer an acknowledgement with their next request. Begun at once, the next flush would miss
those, and producers fall into two halves that wait for each other's flushes. So the thread waits
until as many requests are there as were waiting when the last flush ended, those that it answered
included: but only for a share of what that flush took (``kafka_py.flush.gather.percent``).

Handing a flush to a thread and hearing of its end takes longer than a fast disk does. So where one
connection alone is served, request by request, and the disk has been fast for a while, the event
loop flushes itself (`Flusher.at_once`): nobody else waits for it. Disks have outliers, some of
every hundred flushes take milliseconds; so what counts is the share of slow ones, and only one that
takes very long ends it at once, for the next thousand.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

from kafka_py.clock import Clock
from kafka_py.replication.partition import Partition
from kafka_py.replication.replica_manager import ReplicaManager
from kcore.errors import KcoreError

__all__ = ["WAITING_POLICIES", "Flusher"]

log = logging.getLogger("kafka_py.server")

WAITING_POLICIES: Final = frozenset({"group", "batch"})
#: The event loop flushes while the disk's credit is that much. Each fast flush earns one ...
CREDIT_MIN: Final = 64
CREDIT_MAX: Final = 128
#: ... and each slow one costs so many: about one of twenty may be slow.
SLOW_COST: Final = 16
#: A flush that took so many times the limit makes the loop keep its hands off ...
LONG_FACTOR: Final = 40
#: ... for so many flushes more.
LONG_COST: Final = 1000
#: A disk that takes very long is not waited for longer than this.
GATHER_NS_MAX: Final = 10_000_000


class Flusher:
    """Flushes logs that acknowledgements wait for.

    Lives on the event loop, works in a thread of its own.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        replicas: ReplicaManager,
        *,
        policy: str,
        group_ms: int,
        progressed: Callable[[], None],
        clock: Clock,
        inline_us_max: int = 0,
        gather_percent: int = 0,
    ) -> None:
        """``progressed()`` is called on the loop after waiters may have been answered.

        A disk whose flushes take no longer than ``inline_us_max`` (microseconds, 0 for never) is
        one that the loop itself may wait for. ``gather_percent`` of a flush's time is what the next
        one waits for those whom it has answered.
        """
        self.policy = policy
        self.group_ms = group_ms
        self.inline_us_max = inline_us_max
        self.gather_percent = gather_percent
        self._clock = clock
        self._credit = 0
        self._loop = loop
        self._replicas = replicas
        self._progressed = progressed
        #: What waits for the next flush, with the log that it was appended to, and how many
        #: requests those are; the thread takes them. Under `_lock`.
        self._dirty: dict[Partition, Any] = {}
        self._requests = 0
        self._lock = threading.Lock()
        self._under_way = False
        self._scheduled = False
        self._calls: SimpleQueue[bool] = SimpleQueue()
        #: How many requests the thread gathers, until when; set when they are there.
        self._gathers = 1
        self._gathers_until_ns = 0
        self._gathered = threading.Event()
        self._thread: threading.Thread | None = None
        self.flushes = 0
        self.flushes_at_once = 0

    @property
    def waits(self) -> bool:
        """Whether acks=all waits for the disk."""
        return self.policy in WAITING_POLICIES

    def appended(self, partition: Partition, end_offset: int) -> None:
        """Somebody waits for ``partition`` up to ``end_offset``: flush it if the policy says so."""
        if not self.waits or partition.log is None:
            return
        with self._lock:
            self._dirty[partition] = partition.log
            self._requests += 1
            if self._requests >= self._gathers:
                self._gathered.set()
        if self._under_way or self._scheduled:
            return
        self._scheduled = True
        if self.group_ms > 0 and self.policy == "group":
            self._loop.call_later(self.group_ms / 1000, self._start)
        else:
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        if self._under_way or not self._dirty:
            return
        self._under_way = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="kafka-py-flush", daemon=True)
            self._thread.start()
        self._calls.put(True)

    def at_once(self, partition: Partition) -> bool:
        """Flush ``partition`` here and now, and answer who waits; False when a thread has to.

        For a request that nobody else's can share a flush with, on a loop that has nothing else to
        do: see the module's text.
        """
        if self._credit < CREDIT_MIN or self._under_way or self._dirty or self.group_ms:
            return False
        if not self.waits or partition.log is None or partition.offline:
            return False
        self.flushes += 1
        self.flushes_at_once += 1
        offset = self._sync(partition.log)
        if offset >= 0:
            self._replicas.appends.reached(partition, min(offset, partition.high_watermark))
        return True

    def _sync(self, opened: Any) -> int:
        """How far a log is durable now, -1: that failed. Judges the disk's speed."""
        began_ns = self._clock.monotonic_ns()
        try:
            durable: int = opened.flush()
        except KcoreError as error:
            # A log that was closed meanwhile is deleted, or has moved to another directory.
            if not opened.closed:
                log.error("flushing %s failed: %s", opened.path, error)
            return -1
        took_us = (self._clock.monotonic_ns() - began_ns) // 1000
        if took_us <= self.inline_us_max:
            self._credit = min(self._credit + 1, CREDIT_MAX)
        elif took_us <= LONG_FACTOR * self.inline_us_max:
            self._credit = max(self._credit - SLOW_COST, min(self._credit, 0))
        else:
            self._credit = -LONG_COST
        return durable

    def _work(self) -> None:
        """The thread's life."""
        while self._calls.get():
            left_ns = self._gathers_until_ns - self._clock.monotonic_ns()
            if left_ns > 0:
                self._gathered.wait(left_ns / 1e9)
            self._flush()

    def _flush(self) -> None:
        """In the thread: sync each log that waits, tell the loop how far each is durable."""
        with self._lock:
            batch, self._dirty = self._dirty, {}
            answered, self._requests = self._requests, 0
            self._gathered.clear()
        began_ns = self._clock.monotonic_ns()
        durable = [
            -1 if partition.offline else self._sync(opened) for partition, opened in batch.items()
        ]
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            self._gathers = answered + self._requests
            share_ns = (now_ns - began_ns) * self.gather_percent // 100
            self._gathers_until_ns = now_ns + min(share_ns, GATHER_NS_MAX)
            self._gathered.clear()
        try:
            self._loop.call_soon_threadsafe(self._done, batch, durable)
        except RuntimeError:
            log.debug("the event loop ended during a flush")

    def _done(self, batch: dict[Partition, Any], durable: list[int]) -> None:
        self._under_way = False
        self.flushes += 1
        for (partition, opened), offset in zip(batch.items(), durable, strict=True):
            if partition.log is None:
                continue  # deleted, or its directory failed: who waits has been told
            if partition.log is not opened:
                # It moved to another directory: how far that one has it is what counts now.
                self.advanced(partition)
            elif offset >= 0:
                self._replicas.appends.reached(partition, min(offset, partition.high_watermark))
        if self._dirty:
            self._start()
        self._progressed()

    def advanced(self, partition: Partition) -> None:
        """The high watermark moved by itself (a follower): answer those who need no more."""
        if partition.append_waiters:
            log_now = partition.log
            durable = (
                log_now.recovery_point
                if self.waits and log_now is not None
                else partition.high_watermark
            )
            self._replicas.appends.reached(partition, min(partition.high_watermark, durable))

    def close(self) -> None:
        """Finish the flush under way. Twice is fine."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.put(False)
            thread.join()
