"""Group commit: one fdatasync in a worker thread for every acks=all append that waits for it.

A partition is flushed at once when no flush is under way (or ``kafka_py.flush.group.ms`` later,
where that is set); whatever is appended meanwhile shares the next one. A failed flush takes the log
directory offline (kcore does that, for good) and no acknowledgement follows it.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from kafka_py.replication.partition import Partition
from kafka_py.replication.replica_manager import ReplicaManager
from kcore.errors import KcoreError

__all__ = ["WAITING_POLICIES", "Flusher"]

log = logging.getLogger("kafka_py.server")

WAITING_POLICIES: Final = frozenset({"group", "batch"})


class Flusher:
    """Flushes logs that acknowledgements wait for.

    Lives on the event loop, works in two threads of its own.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        replicas: ReplicaManager,
        *,
        policy: str,
        group_ms: int,
        progressed: Callable[[], None],
    ) -> None:
        """``progressed()`` is called on the loop after waiters may have been answered."""
        self.policy = policy
        self.group_ms = group_ms
        self._loop = loop
        self._replicas = replicas
        self._progressed = progressed
        self._dirty: dict[Partition, None] = {}
        self._under_way = False
        self._scheduled = False
        self._pool: ThreadPoolExecutor | None = None
        self.flushes = 0

    @property
    def waits(self) -> bool:
        """Whether acks=all waits for the disk."""
        return self.policy in WAITING_POLICIES

    def appended(self, partition: Partition, end_offset: int) -> None:
        """Somebody waits for ``partition`` up to ``end_offset``: flush it if the policy says so."""
        if not self.waits:
            return
        self._dirty[partition] = None
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
        batch = [p for p in self._dirty if p.log is not None and not p.offline]
        self._dirty.clear()
        if not batch:
            return
        self._under_way = True
        if self._pool is None:
            self._pool = ThreadPoolExecutor(2, thread_name_prefix="kafka-py-flush")
        self._pool.submit(self._flush, batch, [p.log for p in batch])

    def _flush(self, batch: list[Partition], logs: list[Any]) -> None:
        """In a worker thread: sync each log, tell the loop how far each is durable (-1: failed)."""
        durable = []
        for opened in logs:
            try:
                durable.append(opened.flush())
            except KcoreError as error:
                # A log that was closed meanwhile is deleted, or has moved to another directory.
                if not opened.closed:
                    log.error("flushing %s failed: %s", opened.path, error)
                durable.append(-1)
        try:
            self._loop.call_soon_threadsafe(self._done, batch, logs, durable)
        except RuntimeError:
            log.debug("the event loop ended during a flush")

    def _done(self, batch: list[Partition], logs: list[Any], durable: list[int]) -> None:
        self._under_way = False
        self.flushes += 1
        for partition, opened, offset in zip(batch, logs, durable, strict=True):
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
        """Finish the flush under way."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
