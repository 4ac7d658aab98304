"""Segments are inner parts of a Log; what leaves it are slices."""

from typing import final

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
    def was_resident(self, now_ms: int) -> bool:
        """`resident`, but what was found to be in memory less than 100 ms ago is not asked for
        again."""

    def warm(self) -> None:
        """Faults its pages in without the GIL. Raises OSError."""

@final
class Segment:
    """One .log file and its indexes; reached only through a Log."""

    path: str
    base_offset: int
    rebuilt: bool

def set_open_limit(limit: int) -> int:
    """How many segments of this process may hold a map and a descriptor; returns the old limit.

    Active segments with unsynced data are never closed, so the limit may be exceeded by them."""

def set_first_window(reach: int) -> int:
    """How many bytes of a file its first writable map reaches over; returns what it was.

    For tests."""

def segments_open() -> int:
    """How many segments hold a map now."""
