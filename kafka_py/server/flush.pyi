"""Types of kafka_py.server.flush; what it does is said in flush.pyx."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from kafka_py.clock import Clock
from kafka_py.replication.partition import Partition
from kafka_py.replication.replica_manager import ReplicaManager
from kafka_py.server.sync_thread import SyncThread

WAITING_POLICIES: Final[frozenset[str]]
CREDIT_MIN: Final[int]
CREDIT_MAX: Final[int]
SLOW_COST: Final[int]
LONG_COST: Final[int]

class Flusher:
    """Flushes logs that acknowledgements wait for; on the event loop, with a thread."""

    policy: str
    group_ms: int
    inline_us_max: int
    gather_percent: int
    syncs: SyncThread
    flushes: int
    flushes_at_once: int
    credit: int
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        replicas: ReplicaManager,
        *,
        policy: str,
        group_ms: int,
        answering: Callable[[], Any],
        clock: Clock,
        inline_us_max: int = 0,
        gather_percent: int = 0,
    ) -> None: ...
    @property
    def waits(self) -> bool:
        """Whether acks=all waits for the disk."""
    def appended(self, partition: Partition) -> int:
        """Somebody waits for all that ``partition`` holds now."""
    def start(self) -> None:
        """Let the thread begin."""
    def at_once(self, partition: Partition, alone: bool) -> bool:
        """Flush here and now, and answer who waits; False when a thread has to."""
    def advanced(self, partition: Partition) -> None:
        """The high watermark moved by itself (a follower)."""
    def close(self) -> None:
        """Finish the flush under way, answer nobody any more."""
