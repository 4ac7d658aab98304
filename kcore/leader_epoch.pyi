from typing import NamedTuple, Self

UNDEFINED_EPOCH: int
UNDEFINED_OFFSET: int

class EpochStart(NamedTuple):
    """The first offset that was written under a leader epoch."""

    epoch: int
    start_offset: int

class LeaderEpochCache:
    """Leader epochs of one partition and where each began; ascending in both.

    Not thread-safe: the Log's lock covers every call."""

    def __new__(cls, entries: list[tuple[int, int]] | None = None) -> Self: ...
    def __len__(self) -> int: ...
    def assign(self, epoch: int, start_offset: int) -> bool:
        """Notes that `epoch` begins at `start_offset`; removes entries that contradict it.

        True when something changed: the checkpoint file must then be on disk before data of this
        epoch is. Raises ValueError for negative numbers."""
    @property
    def latest(self) -> int | None:
        """The newest epoch."""
    @property
    def earliest(self) -> EpochStart | None: ...
    def entries(self) -> list[EpochStart]: ...
    def previous_epoch(self, epoch: int) -> int | None: ...
    def end_offset_for(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """(largest known epoch <= epoch, the offset where it ended); (-1, -1) when unknown.

        The latest epoch ends at log_end_offset (KIP-101, OffsetForLeaderEpoch)."""
    def epoch_for_offset(self, offset: int) -> int | None:
        """The epoch under which `offset` was written."""
    def truncate_from_end(self, end_offset: int) -> bool:
        """Removes epochs that begin at or after end_offset; True when any did."""
    def truncate_from_start(self, start_offset: int) -> bool:
        """Removes epochs that ended before start_offset; the one it lies in now begins there."""
    def clear(self) -> None: ...
    def encode(self) -> bytes:
        """The text of leader-epoch-checkpoint."""
    @staticmethod
    def decode(data: bytes, where: str = "leader-epoch-checkpoint") -> LeaderEpochCache:
        """Reads that text; raises CorruptFile."""
