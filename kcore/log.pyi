"""The log of one partition: append, read, roll, flush, truncate, retain, recover."""

from typing import Literal

from kcore.index import AbortedTransaction as AbortedTransaction
from kcore.leader_epoch import LeaderEpochCache
from kcore.log_config import LogConfig
from kcore.log_dir import LogDirFailure as LogDirFailure
from kcore.log_values import Appended as Appended
from kcore.log_values import Cut as Cut
from kcore.log_values import DeletedSegment as DeletedSegment
from kcore.log_values import OffsetAndTimestamp as OffsetAndTimestamp
from kcore.log_values import RecoveryReport as RecoveryReport
from kcore.log_values import SegmentInfo as SegmentInfo
from kcore.producer_state import ProducerStateTable
from kcore.segment import LogSlice as LogSlice

REPLICA: Literal[0]
CLIENT: Literal[1]
COORDINATOR: Literal[2]
RAFT: Literal[3]

_Buffer = bytes | bytearray | memoryview

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
    closed: bool
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
        self, batches: _Buffer, *, leader_epoch: int, now_ms: int, origin: int = ...
    ) -> Appended:
        """Appends one batch (CLIENT, COORDINATOR), or one or more (RAFT: offsets assigned;
        REPLICA: offsets and epochs kept, they must follow on).

        Raises CorruptBatch, InvalidRecord, InvalidTimestamp, BatchTooLarge, UnsupportedMagic,
        UnsupportedCompression, OutOfOrderSequence, InvalidProducerEpoch, LogFailed; nothing was
        appended then. A duplicate of an idempotent producer is no error: Appended.duplicate."""
    def append_marker(
        self, marker: _Buffer, *, leader_epoch: int, now_ms: int, transaction_version: int = 0
    ) -> Appended:
        """Appends the control batch that ends a producer's transaction, for the transaction
        coordinator; `transaction_version` is that of the transaction (KIP-890: from 2 on the marker
        has a higher producer epoch than the records).

        Raises InvalidProducerEpoch and CoordinatorFenced for the marker of a zombie, InvalidRecord
        when it is no marker, LogFailed; nothing was appended then."""
    def read(
        self,
        offset: int,
        bytes_max: int,
        *,
        end_offset: int | None = None,
        at_least_one: bool = True,
    ) -> LogSlice:
        """Batches from the one that holds `offset` on, none that ends at or above end_offset.

        Raises OffsetOutOfRange unless log_start_offset <= offset <= log_end_offset."""
    def is_cold(self, offset: int, bytes_max: int) -> bool:
        """Whether read() there may wait for the disk: then use read_cold in a worker thread."""
    def read_cold(
        self,
        offset: int,
        bytes_max: int,
        *,
        end_offset: int | None = None,
        at_least_one: bool = True,
    ) -> LogSlice:
        """read() for a worker thread: everything it touches is faulted in without the GIL."""
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
    def aborted_transactions_of(self, piece: LogSlice) -> list[AbortedTransaction]:
        """Those that a read_committed reader of what `read` returned is told by Apache's broker: up
        to where the offset index points behind it, which may be more than it must know."""
    def first_unstable_offset(self, high_watermark: int) -> int | None: ...
    def last_stable_offset(self, high_watermark: int) -> int:
        """min(high watermark, first unstable offset)."""
    def expire_producers(self, now_ms: int) -> int:
        """Forgets producers that were idle for producer_id_expiration_ms; how many."""
    def assign_leader_epoch(self, epoch: int, start_offset: int) -> None:
        """Notes that a leader epoch begins at that offset; on disk with the next flush.

        Raises LogFailed."""
    def roll(self, now_ms: int) -> None:
        """Starts a new segment, unless the active one is empty."""
    def truncate_to(self, offset: int) -> bool:
        """Drops everything at or above offset (a batch that spans it goes too); True if any did.

        The log then ends where its last batch does, below offset if a gap follows. Write the
        (lower) recovery_point to its checkpoint before the next flush: an old one makes a later
        torn tail look like corruption."""
    def truncate_fully_and_start_at(
        self, offset: int, log_start_offset: int | None = None
    ) -> None: ...
    def advance_log_start(self, offset: int) -> bool:
        """DeleteRecords: raises OffsetOutOfRange above the end; False when already there."""
    def delete_old_segments(self, now_ms: int, high_watermark: int) -> list[DeletedSegment]: ...
    def delete_files_due(self, now_ms: int) -> int:
        """Removes ".deleted" files whose delay is over; returns how many are still waiting."""
    def update_config(self, config: LogConfig) -> None: ...
    def take_producer_snapshot(self) -> None: ...
    def rename(self, path: str) -> None:
        """Gives its directory another name on the same file system, while it is in use.

        The caller makes the name durable (fsync_dir of the parent). Waits for a flush under way.
        Raises LogFailed."""
    def abandon(self) -> None:
        """Ends the log and writes nothing down: for one whose records are elsewhere by now.

        Does not wait for a flush. Slices that are out stay readable; everything else raises
        LogFailed from now on, without a failure of the directory. Twice is fine."""
    def close(self) -> None:
        """Flushes, trims, writes indexes and the producer snapshot. Twice is fine."""
    def delete(self) -> None:
        """Closes and removes every file and the directory; slices that are out stay readable."""
