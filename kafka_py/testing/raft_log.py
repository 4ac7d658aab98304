"""A raft replica's log in memory: `kafka_py.controller.log_store.LogStore` for simulations."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from kafka_py.controller.batches import Batch
from kafka_py.controller.raft_types import QuorumState, SnapshotChunk, SnapshotId, VoterSet

__all__ = ["MemoryLogStore"]


class MemoryLogStore:
    """A `LogStore` in memory. `crash()` gives what a power cut would have left."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._bases: list[int] = []
        self._flushed = 0
        self._start: SnapshotId | None = None
        self._snapshots: dict[SnapshotId, bytes] = {}
        self._partial = bytearray()
        self._quorum_state = QuorumState()
        self.kraft_version = 0

    def crash(self) -> MemoryLogStore:
        """The store after a power cut: flushed batches, quorum state and snapshots."""
        survivor = MemoryLogStore()
        survivor._batches = [b for b in self._batches if b.next_offset <= self._flushed]
        survivor._bases = [b.base_offset for b in survivor._batches]
        survivor._flushed = survivor.end_offset
        survivor._start = self._start
        survivor._snapshots = dict(self._snapshots)
        survivor._quorum_state = self._quorum_state
        survivor._flushed = survivor.end_offset
        return survivor

    @property
    def start_offset(self) -> int:
        """See `RaftLog`."""
        return self._start.offset if self._start else 0

    @property
    def end_offset(self) -> int:
        """See `RaftLog`."""
        return self._batches[-1].next_offset if self._batches else self.start_offset

    @property
    def last_epoch(self) -> int:
        """See `RaftLog`."""
        if self._batches:
            return self._batches[-1].epoch
        return self._start.epoch if self._start else 0

    @property
    def latest_snapshot(self) -> SnapshotId | None:
        """See `RaftLog`."""
        return max(self._snapshots, default=None)

    @property
    def start_snapshot(self) -> SnapshotId | None:
        """See `RaftLog`."""
        return self._start

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """See `RaftLog`."""
        index = bisect.bisect_right(self._batches, epoch, key=lambda batch: batch.epoch)
        if index:
            return self._batches[index - 1].epoch, self._batches[index - 1].next_offset
        return (self._start.epoch, self._start.offset) if self._start else (0, 0)

    def read(self, offset: int, bytes_max: int) -> bytes:
        """See `RaftLog`."""
        out = bytearray()
        index = bisect.bisect_right(self._bases, offset) - 1
        for batch in self._batches[max(index, 0) :]:
            if out and len(out) + len(batch.data) > bytes_max:
                break
            out += batch.data
        return bytes(out)

    def read_snapshot(
        self, snapshot: SnapshotId, position: int, bytes_max: int
    ) -> tuple[int, bytes] | None:
        """See `RaftLog`."""
        data = self._snapshots.get(snapshot)
        return None if data is None else (len(data), data[position : position + bytes_max])

    def read_quorum_state(self) -> QuorumState:
        """See `LogStore`."""
        return self._quorum_state

    def write_quorum_state(self, state: QuorumState, voters: VoterSet) -> None:
        """See `LogStore`."""
        self._quorum_state = state

    def append(self, batches: list[Batch]) -> None:
        """See `LogStore`."""
        for batch in batches:
            assert batch.base_offset == self.end_offset, "a gap in the log"
            assert batch.epoch >= self.last_epoch, "an epoch goes back"
            self._batches.append(batch)
            self._bases.append(batch.base_offset)

    def flush(self) -> int:
        """See `LogStore`."""
        self._flushed = self.end_offset
        return self._flushed

    def truncate_to(self, offset: int) -> None:
        """See `LogStore`."""
        self._batches = [batch for batch in self._batches if batch.next_offset <= offset]
        self._bases = [batch.base_offset for batch in self._batches]
        self._flushed = min(self._flushed, self.end_offset)

    def write_snapshot(self, snapshot: SnapshotId, batches: Iterable[bytes]) -> None:
        """See `LogStore`."""
        self._snapshots[snapshot] = b"".join(batches)

    def write_snapshot_chunk(self, chunk: SnapshotChunk) -> None:
        """See `LogStore`."""
        if chunk.position == 0:
            self._partial.clear()
        self._partial += chunk.data
        if chunk.last:
            self._snapshots[chunk.id] = bytes(self._partial)
            self._partial.clear()
            self._batches, self._bases = [], []
            self._start = chunk.id
            self._flushed = chunk.id.offset

    def read_snapshot_file(self, snapshot: SnapshotId) -> bytes:
        """See `LogStore`."""
        return self._snapshots[snapshot]

    def clean(self, retention_bytes: int, retention_ms: int, now_ms: int) -> bool:
        """See `LogStore`; age is not kept in memory."""
        cleaned = False
        while len(self._snapshots) > 1:
            size = sum(map(len, self._snapshots.values())) + sum(
                len(batch.data) for batch in self._batches
            )
            if size <= retention_bytes:
                break
            oldest, following = sorted(self._snapshots)[:2]
            del self._snapshots[oldest]
            self._start = following
            self._batches = [b for b in self._batches if b.base_offset >= following.offset]
            self._bases = [b.base_offset for b in self._batches]
            cleaned = True
        return cleaned

    def close(self) -> None:
        """See `LogStore`."""
        self.flush()
