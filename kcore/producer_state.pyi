from typing import NamedTuple, Self

from kcore.producer_snapshot import ProducerState

ORIGIN_REPLICA: int
ORIGIN_CLIENT: int
ORIGIN_COORDINATOR: int
ORIGIN_RAFT: int
BATCHES_RETAINED: int

class Transaction(NamedTuple):
    """A transaction that holds the last stable offset back; last_offset is -1 while undecided."""

    producer_id: int
    first_offset: int
    last_offset: int

class Completed(NamedTuple):
    """A transaction that a marker decided; aborted ones belong into the transaction index."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int
    aborted: bool

class Duplicate(NamedTuple):
    """Where the batch that a producer sent again was stored the first time."""

    base_offset: int
    last_offset: int
    timestamp_ms: int

class ProducerStateTable:
    """Producer ids of one partition: sequences, epochs, open transactions.

    Not thread-safe: the Log's writer lock covers every call."""

    expiration_ms: int
    def __new__(cls, expiration_ms: int = 86_400_000) -> Self: ...
    def __len__(self) -> int: ...
    def check_batch(self, batch: bytes | memoryview, origin: int = ...) -> Duplicate | None:
        """check() for Python: raises OutOfOrderSequence, InvalidProducerEpoch, InvalidTxnState."""
    def check_marker_batch(self, batch: bytes | memoryview, transaction_version: int = 0) -> None:
        """Raises InvalidProducerEpoch or CoordinatorFenced for the marker of a zombie."""
    def update_batch(self, batch: bytes | memoryview) -> None:
        """Remembers one stored batch, whose base offset is final."""
    def take_completed(self) -> list[Completed]:
        """Transactions decided since the last call, oldest first."""
    def first_unstable_offset(self, high_watermark: int) -> int | None:
        """First offset of the oldest transaction that is undecided, or whose marker is at or above
        the high watermark; None when none is (the high watermark is the last stable offset)."""
    def on_high_watermark(self, high_watermark: int) -> None:
        """Forgets decided transactions whose marker lies below the high watermark."""
    def on_log_start_offset(self, log_start_offset: int) -> None:
        """Forgets decided transactions that lie wholly below the new log start offset."""
    def expire(self, now_ms: int) -> int:
        """Drops producers idle for expiration_ms without an open transaction; returns how many."""
    def clear(self) -> None:
        """Forgets everything (truncation, before a snapshot is loaded and the log replayed)."""
    def take_snapshot(self) -> bytes:
        """The bytes of Kafka's .snapshot file (version 1, with its CRC)."""
    def load(
        self, data: bytes | memoryview, *, now_ms: int = -1, where: str = "producer snapshot"
    ) -> int:
        """Adds the producers of a snapshot file, without those expired at now_ms (-1: keep all).

        Returns how many were added; raises CorruptFile, and then nothing was added."""
    def active(self) -> list[ProducerState]:
        """Every producer, in order of arrival."""
    def last_entry(self, producer_id: int) -> ProducerState | None: ...
    def transactions(self) -> list[Transaction]:
        """Undecided and decided-but-unreplicated transactions by first offset."""
    def oldest_transaction_timestamp_ms(self) -> int:
        """Last timestamp of the producer of the oldest undecided transaction, -1 when none."""
