"""The log of one partition: append, read, roll, flush, truncate, retain, recover."""

from typing import Any, Callable, Literal, NamedTuple

from kcore.leader_epoch import LeaderEpochCache
from kcore.log_config import LogConfig
from kcore.producer_state import ProducerStateTable

REPLICA: Literal[0]
CLIENT: Literal[1]
COORDINATOR: Literal[2]
RAFT: Literal[3]

Buffer = bytes | bytearray | memoryview

class LogDirFailure:
    """Shared by all logs of one log directory: the first disk error puts all of it offline for good."""

    def __init__(self, path: str = "") -> None: ...
    path: str
    @property
    def failed(self) -> bool: ...
    @property
    def cause(self) -> BaseException | None: ...
    def fail(self, cause: BaseException) -> None:
        """Marks the directory offline (once) and calls the listeners."""
    def subscribe(self, listener: Callable[[LogDirFailure], None]) -> None:
        """listener(self) runs in the thread that met the error, at once when already failed."""

class Appended(NamedTuple):
    """What an append did; `duplicate` = nothing was written, the offsets are those of the first time."""

    base_offset: int
    last_offset: int
    log_append_time_ms: int
    log_start_offset: int
    duplicate: bool
    max_timestamp_ms: int
    leader_epoch: int

class OffsetAndTimestamp(NamedTuple):
    offset: int
    timestamp_ms: int
    leader_epoch: int

class AbortedTransaction(NamedTuple):
    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int

class SegmentInfo(NamedTuple):
    base_offset: int
    next_offset: int
    size_bytes: int
    max_timestamp_ms: int
    path: str
    active: bool
    mapped: bool

class DeletedSegment(NamedTuple):
    """One segment that retention removed, and why: "size", "time" or "start-offset"."""

    base_offset: int
    next_offset: int
    size_bytes: int
    reason: str

class Cut(NamedTuple):
    """Bytes that recovery threw away: from `position` of `file` to its end."""

    file: str
    position: int
    size_bytes: int
    offset: int
    reason: str

class RecoveryReport(NamedTuple):
    clean: bool
    segments_scanned: int
    bytes_scanned: int
    cuts: tuple[Cut, ...]
    rebuilt_indexes: tuple[str, ...]
    removed_files: tuple[str, ...]

class LogSlice:
    """Whole batches of a log, without a copy. The buffer protocol works on it directly (read-only).

    The bytes never change and stay readable as long as the slice or a view of it lives, whatever
    happens to the segment meanwhile."""

    @property
    def view(self) -> memoryview: ...
    offset: int
    next_offset: int
    position: int
    segment_base_offset: int
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def fd_slice(self) -> tuple[int, int, int]:
        """(fd, position, length) for sendfile; the descriptor is the slice's: do not close it."""
    @property
    def resident(self) -> bool:
        """Whether reading it will touch no disk (mincore; always True for the hot tail)."""

class Log:
    """One partition's directory. Caveats first:

    append, truncate, roll and retention exclude each other by a lock; read takes none. Only flush,
    warm, open and close touch the disk for long, and they let the GIL go. After any failed sync or
    write every method that needs the disk raises LogFailed, for all logs that share `failure`."""

    @staticmethod
    def open(
        path: str,
        config: LogConfig,
        *,
        now_ms: int,
        clean: bool,
        recovery_point: int = 0,
        log_start_offset: int = 0,
        topic_id: bytes | None = None,
        failure: LogDirFailure | None = None,
        truncate_corrupt: bool = False,
    ) -> Log:
        """Opens or creates the log. clean=True trusts the files; otherwise everything from the
        recovery point on is checked, and cut at the first bad batch (see recovery_report).

        Bad bytes below the recovery point are corruption, not a torn tail: CorruptLog, unless
        truncate_corrupt (Apache's behaviour) is given. Raises LogFailed, CorruptLog."""
    path: str
    config: LogConfig
    topic_id: bytes | None
    failure: LogDirFailure
    leader_epochs: LeaderEpochCache
    producers: ProducerStateTable
    recovery_report: RecoveryReport
    log_start_offset: int
    log_end_offset: int
    recovery_point: int
    last_flush_ms: int
    truncations: int
    @property
    def flushed_offset(self) -> int:
        """Everything below is on disk: the same as recovery_point."""
    @property
    def unflushed_messages(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def segments(self) -> list[SegmentInfo]: ...
    def append(
        self, batches: Buffer, *, leader_epoch: int, now_ms: int, origin: int = ...
    ) -> Appended:
        """Appends one batch (CLIENT, COORDINATOR), or one or more (RAFT: offsets assigned;
        REPLICA: offsets and epochs kept, they must follow on).

        Raises CorruptBatch, InvalidRecord, InvalidTimestamp, BatchTooLarge, UnsupportedMagic,
        UnsupportedCompression, OutOfOrderSequence, InvalidProducerEpoch, LogFailed; nothing was
        appended then. A duplicate of an idempotent producer is no error: Appended.duplicate."""
    def read(
        self, offset: int, bytes_max: int, *, end_offset: int | None = None, at_least_one: bool = True
    ) -> LogSlice:
        """Batches from the one that holds `offset` on, none that ends at or above end_offset.

        Raises OffsetOutOfRange unless log_start_offset <= offset <= log_end_offset."""
    def warm(self, slice: LogSlice) -> None:
        """Reads the slice's pages from disk without the GIL: for a worker thread."""
    def flush(self, up_to: int | None = None, *, now_ms: int = -1) -> int:
        """Makes what was appended before the call durable; returns the new durable end offset.

        Thread-safe against appends. Raises LogFailed, and the directory is offline for good."""
    def offset_for_timestamp(self, timestamp_ms: int) -> OffsetAndTimestamp | None:
        """First record whose timestamp is at least that."""
    def max_timestamp(self) -> OffsetAndTimestamp | None:
        """The record with the largest timestamp (the first of several)."""
    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """(epoch, end offset) as in OffsetForLeaderEpoch; (-1, -1) when unknown."""
    def aborted_transactions(self, first_offset: int, last_offset: int) -> list[AbortedTransaction]:
        """Those that a read of [first_offset, last_offset) must know."""
    def first_unstable_offset(self, high_watermark: int) -> int | None: ...
    def last_stable_offset(self, high_watermark: int) -> int:
        """min(high watermark, first unstable offset)."""
    def roll(self, now_ms: int) -> None:
        """Starts a new segment, unless the active one is empty."""
    def truncate_to(self, offset: int) -> bool:
        """Drops everything at or above offset (a batch that spans it goes too); True if any did."""
    def truncate_fully_and_start_at(self, offset: int, log_start_offset: int | None = None) -> None: ...
    def advance_log_start(self, offset: int) -> bool:
        """DeleteRecords: raises OffsetOutOfRange above the end; False when already there."""
    def delete_old_segments(self, now_ms: int, high_watermark: int) -> list[DeletedSegment]: ...
    def delete_files_due(self, now_ms: int) -> int:
        """Removes ".deleted" files whose delay is over; returns how many are still waiting."""
    def update_config(self, config: LogConfig) -> None: ...
    def take_producer_snapshot(self) -> None: ...
    def close(self) -> None:
        """Flushes, trims, writes indexes and the producer snapshot. Twice is fine."""
    def delete(self) -> None:
        """Closes and removes every file and the directory; slices that are out stay readable."""
