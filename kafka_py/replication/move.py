"""One replica on its way from one log directory to another (KIP-113).

::

    a/t-0                      source: leads, takes appends, answers fetches
    b/t-0.HEX-future           future: filled from the source by `copy_some`, in a worker thread

    `swap` (on the loop, nobody appends meanwhile)
    a/t-0                      still there, no longer looked at
    b/t-0                      the partition's log from now on

    `settle`, in a worker      b/t-0 is on disk, name and bytes: nothing hangs on a/t-0 any more
    `retire`, on the loop      a/t-0.HEX-delete

The source is whole until everything that anybody was promised is on the other disk. What a crash
leaves in between is told apart at the next start, by :mod:`kafka_py.replication.moves`.
"""

from pathlib import Path
from typing import Final

from kafka_py.replication.log_directory import LogDirectory, PartitionKey, directory_name
from kafka_py.replication.partition import Partition
from kcore.errors import LogFailed, OffsetOutOfRange
from kcore.log import REPLICA, Log

__all__ = ["COPY_BYTES", "Move", "fit", "remove"]

#: Bytes copied in one go, or one batch: what needs the GIL of it takes a tenth of a millisecond.
COPY_BYTES: Final = 1 << 18
#: A future log is flushed whenever so much was copied, so that the last flush is a short one.
FLUSH_BYTES: Final = 32 << 20
#: Rounds of copying what came during the round before, while nobody else may append.
LAST_ROUNDS: Final = 8


class Move:
    """A future replica, and what it is copied from.

    Attributes:
        partition, key: what is moved. source, source_directory: from where; log, directory: to.
        asked: the controller was told that the replica will lie in ``directory``; assigned: and the
        metadata says so.
        ended: nothing more is to be done with ``log``: it was given up, or its directory failed.
        swapped, retired: how far the end has come.
    """

    def __init__(
        self, partition: Partition, log: Log, directory: LogDirectory, *, assigned: bool
    ) -> None:
        self.partition = partition
        self.key: PartitionKey = (partition.topic, partition.index)
        self.source: Log = partition.log
        self.source_directory: LogDirectory = partition.directory
        self.log = log
        self.directory = directory
        self.asked = assigned
        self.assigned = assigned
        self.ended = False
        self.swapped = False
        self.retired = False
        self.truncations_noted = log.truncations
        self._unflushed_bytes = 0

    def __repr__(self) -> str:
        return (
            f"<Move {self.key[0]}-{self.key[1]} from {self.source_directory.path} to "
            f"{self.directory.path}, {self.lag} behind>"
        )

    @property
    def lag(self) -> int:
        """Offsets that are still to be copied."""
        return self.source.log_end_offset - self.log.log_end_offset

    # In a worker thread

    def copy_some(self, bytes_max: int = COPY_BYTES, *, now_ms: int) -> int:
        """Copy the next batches and follow the source's log start; bytes copied, 0: caught up.

        Raises LogFailed when either log is closed or its directory failed.
        """
        source, future = self.source, self.log
        start, end = source.log_start_offset, source.log_end_offset
        copied = 0
        try:
            if future.log_end_offset < start:
                self._start_over(start, end)
            if future.log_end_offset < end:
                # The first batch may begin before the log start, which lies within it then.
                at = max(future.log_end_offset, start)
                piece = source.read_cold(at, bytes_max, end_offset=end)
                copied = len(piece)
                if copied:
                    # Under the batches' own epochs: this one is for records without any.
                    future.append(piece.view, leader_epoch=0, now_ms=now_ms, origin=REPLICA)
        except OffsetOutOfRange:
            if source.log_start_offset <= start:
                raise
            # Retention was faster; the next round begins at the new start.
            return self.copy_some(bytes_max, now_ms=now_ms)
        if future.log_start_offset < start <= future.log_end_offset:
            future.advance_log_start(start)
        self._unflushed_bytes += copied
        return copied

    def _start_over(self, start: int, end: int) -> None:
        """Begin with the batch that holds the source's first offset, which may begin before it."""
        base = start
        if start < end:
            first = self.source.read_cold(start, 1, end_offset=end)
            base = min(base, int.from_bytes(first.view[:8], "big"))
        if base != self.log.log_end_offset:
            self.log.truncate_fully_and_start_at(base)

    @property
    def wants_flush(self) -> bool:
        """Whether so much was copied that it had better be flushed."""
        return self._unflushed_bytes >= FLUSH_BYTES

    def flush(self, *, now_ms: int) -> None:
        """Make what was copied durable. Raises LogFailed."""
        self._unflushed_bytes = 0
        self.log.flush(now_ms=now_ms)

    def copy_rest(self, *, now_ms: int) -> None:
        """Copy what is left, while hardly anybody appends, and flush it. Raises LogFailed."""
        for _ in range(LAST_ROUNDS):
            if not self.copy_some(now_ms=now_ms):
                break
        self.flush(now_ms=now_ms)

    def settle(self, *, now_ms: int) -> None:
        """After the swap: name and bytes on disk. Raises LogFailed."""
        try:
            self.directory.sync_names()
        except OSError as error:
            self.directory.failure.fail(error)
            raise LogFailed(f"{self.directory.path}: {error}") from error
        self.log.flush(now_ms=now_ms)

    # On the event loop

    def swap(self, *, now_ms: int) -> None:
        """Make the future log the partition's. Raises KcoreError, and the partition is as before.

        The caller sees to it that no worker appends to the source meanwhile. What the coordinators
        appended since the last copy is copied here: it is little.
        """
        partition, future = self.partition, self.log
        while self.copy_some(now_ms=now_ms):
            pass
        if future.log_end_offset != self.source.log_end_offset:
            raise LogFailed(
                f"{future.path} ends at {future.log_end_offset}, and not at "
                f"{self.source.log_end_offset} as {self.source.path} does"
            )
        for epoch, start_offset in self.source.leader_epochs.entries():
            # Epochs that nothing was written under are not in the batches.
            if epoch > (-1 if future.leader_epochs.latest is None else future.leader_epochs.latest):
                future.assign_leader_epoch(epoch, start_offset)
        if future.log_start_offset < self.source.log_start_offset:
            future.advance_log_start(self.source.log_start_offset)
        future.rename(str(self.directory.path / directory_name(self.key)))
        self.directory.forget(self.key)
        partition.replace_log(future, self.directory)
        self.swapped = True

    def retire(self) -> Path | None:
        """Give the source up and its directory the name of what is to be deleted; the new path.

        None when it is done already, or cannot be.
        """
        if self.retired or not self.swapped:
            return None
        self.retired = True
        self.source.abandon()
        self.source_directory.forget(self.key)
        if self.source_directory.offline:
            return None
        return self._aside(self.source_directory, directory_name(self.key))

    def give_up(self) -> Path | None:
        """Drop the future log; the path of what is to be deleted, None when there is nothing."""
        if self.ended or self.swapped:
            return None
        self.ended = True
        self.log.abandon()
        self.directory.forget(self.key)
        if self.directory.offline:
            return None
        return self._aside(self.directory, Path(self.log.path).name)

    def _aside(self, directory: LogDirectory, name: str) -> Path | None:
        try:
            return directory.rename_aside(self.key, "delete", name=name)
        except OSError as error:
            directory.failure.fail(error)
            return None


def remove(path: Path) -> None:
    """Delete what was given up, after its new name is durable. For a worker thread."""
    import shutil  # not at a start

    shutil.rmtree(path, ignore_errors=True)


def fit(future: Log, source: Log) -> None:
    """Cut from a future log what the source does not have: the way of KIP-101.

    Between the two runs the source may have lost a tail that was copied already. Raises LogFailed.
    """
    while future.log_end_offset > 0:
        epoch = future.leader_epochs.latest
        if epoch is None:
            future.truncate_to(source.log_end_offset)
            return
        known, end_offset = source.end_offset_for_epoch(epoch)
        if known < 0:
            future.truncate_fully_and_start_at(source.log_start_offset)
            return
        if known == epoch:
            future.truncate_to(end_offset)
            return
        _, own_end = future.end_offset_for_epoch(known)
        if not future.truncate_to(end_offset if own_end < 0 else min(end_offset, own_end)):
            # Its latest epoch has no batches here: copied anew is always right.
            future.truncate_fully_and_start_at(source.log_start_offset)
            return
