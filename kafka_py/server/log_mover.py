"""Moves replicas between log directories: copies in worker threads, swaps on the event loop.

A move's steps are in :mod:`kafka_py.replication.move`. While the last of them is taken, appends of
producers queue up behind it as they do behind a long compressed batch; nothing else waits.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kafka_py.replication.log_directory import LogDirectory, PartitionKey
from kafka_py.replication.move import COPY_BYTES, Move, remove
from kafka_py.replication.rate_quota import RateQuota
from kafka_py.server.assignments import Assignments
from kcore.errors import KcoreError

if TYPE_CHECKING:
    from kafka_py.server.node import Node

__all__ = ["LogMover"]

log = logging.getLogger("kafka_py.server")

#: A round that copied less was the last one but for what comes in meanwhile.
NEARLY_BYTES: Final = COPY_BYTES // 4
#: How often one looks whether something else is through.
LOOK_S: Final = 0.02
#: Seconds after which a move that failed is tried again, unless it is over.
RETRY_S: Final = 5.0


class LogMover:
    """Runs the moves of a node's replica manager, some of them at a time. On the event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        config = node.config
        self.assignments = Assignments(node)
        threads = config["num.replica.alter.log.dirs.threads"] or len(node.replicas.log_dirs)
        self._slots = asyncio.Semaphore(threads)
        self._quota = RateQuota(
            config["alter.log.dirs.replication.quota.window.num"],
            config["alter.log.dirs.replication.quota.window.size.seconds"] * 1000,
        )
        self._settling: dict[PartitionKey, asyncio.Task[None]] = {}
        replicas, moves = node.replicas, node.replicas.moves
        replicas.misplaced = self.assignments.lies_where_it_is
        moves.unassigned = self.assignments.lies_where_it_is
        moves.started = self._start
        moves.given_up = self._delete_later

    def _start(self, move: Move) -> None:
        self._node.spawn(self._run(move))

    async def _run(self, move: Move) -> None:
        while not move.ended and not move.swapped:
            try:
                async with self._slots:
                    await self._step(move)
            except KcoreError as error:
                if move.ended or move.swapped:
                    return
                log.error("%s-%d: the move to %s failed: %s", *move.key, move.directory.path, error)
                await asyncio.sleep(RETRY_S)

    async def _step(self, move: Move) -> None:
        await self._copy(move)
        await self._earlier(move)
        if not move.ended and not move.assigned:
            await self._assign(move)
        if not move.ended and move.assigned and await self._swap(move):
            settling = self._settling[move.key] = self._node.spawn(self._settle(move))
            settling.add_done_callback(lambda _: self._settling.pop(move.key, None))

    def _now_ms(self) -> int:
        return self._node.clock.now_ms()

    async def _copy(self, move: Move) -> None:
        """Copy until hardly anything is missing."""
        node, clock = self._node, self._node.clock
        while not move.ended:
            limit = node.config["replica.alter.log.dirs.io.max.bytes.per.second"]
            wait_ms = self._quota.wait_ms(limit, clock.monotonic_ms())
            if wait_ms:
                backoff_ms = node.config["replica.fetch.backoff.ms"]
                await asyncio.sleep(min(wait_ms, max(1, backoff_ms)) / 1000)
                continue
            copied = await node.in_worker(self._copy_once, move)
            self._quota.record(copied, clock.monotonic_ms())
            if copied < NEARLY_BYTES:
                return

    def _copy_once(self, move: Move) -> int:
        """In a worker thread."""
        now_ms = self._now_ms()
        copied = move.copy_some(now_ms=now_ms)
        if move.wants_flush:
            self._flush(move, now_ms)
        return copied

    def _flush(self, move: Move, now_ms: int) -> None:
        if move.log.truncations != move.truncations_noted:
            # A checkpoint from before would make a torn tail look like damage.
            move.truncations_noted = move.log.truncations
            self._node.replicas.write_recovery_points()
        move.flush(now_ms=now_ms)

    async def _earlier(self, move: Move) -> None:
        """Wait for the end of the partition's move before this one.

        The log that the partition has left still has its name until then: if the metadata named a
        third directory already, a start that finds both would not know which of them it is.
        """
        settling = self._settling.get(move.key)
        if settling is not None:
            await asyncio.wait([settling])

    async def _assign(self, move: Move) -> None:
        """Let the metadata say where the replica will be; copy what comes in meanwhile."""
        move.asked = True
        known = self.assignments.assign(move.partition, move.directory.directory_id)
        while not known.done():
            await asyncio.wait([known], timeout=LOOK_S)
            await self._copy(move)
            if move.ended:
                return
        move.assigned = known.result()

    async def _swap(self, move: Move) -> bool:
        """Wait for the partition's turn, copy the rest, and let it go on in the other log."""
        partition, moves = move.partition, self._node.replicas.moves
        earlier, place = partition.queued_append, self._node.loop.create_future()
        partition.queued_append = place
        try:
            if earlier is not None:
                await earlier
            if move.ended:
                return False
            await self._node.in_worker(self._copy_rest, move)
            swapped: bool = moves.swap(move, now_ms=self._now_ms())
            return swapped
        finally:
            place.set_result(None)
            if partition.queued_append is place:
                partition.queued_append = None

    def _copy_rest(self, move: Move) -> None:
        """In a worker thread."""
        now_ms = self._now_ms()
        if move.log.truncations != move.truncations_noted:
            self._flush(move, now_ms)
        move.copy_rest(now_ms=now_ms)

    async def _settle(self, move: Move) -> None:
        """Once the other disk has everything, let the old log go."""
        node, partition = self._node, move.partition
        node.replicas.progressed(partition)
        await node.in_worker(self._settle_once, move)
        if partition.log is move.log:
            node.flusher.advanced(partition)
        node.replicas.moves.retire(move)
        await node.in_worker(self._retired, move)
        node.touch()
        log.info("%s-%d: the move to %s is done", *move.key, move.directory.path)

    def _settle_once(self, move: Move) -> None:
        move.settle(now_ms=self._now_ms())

    def _retired(self, move: Move) -> None:
        """Not even after a power cut is the old log there under its name."""
        directory = move.source_directory
        if not directory.offline:
            try:
                directory.sync_names()
            except OSError as error:
                directory.failure.fail(error)
        self._node.replicas.write_checkpoints()

    def _delete_later(self, directory: LogDirectory, path: Path) -> None:
        self._node.spawn(self._delete(directory, path))

    async def _delete(self, directory: LogDirectory, path: Path) -> None:
        """Delete what has its ``-delete`` name; what a stop leaves goes with the next start."""
        node = self._node
        try:
            await node.in_worker(directory.sync_names)
        except OSError as error:
            directory.failure.fail(error)
            return
        await asyncio.sleep(node.config["log.segment.delete.delay.ms"] / 1000)
        await node.in_worker(remove, path)
