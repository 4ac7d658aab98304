"""The three sparse indexes of a segment, in Kafka's own bytes; see index.pyx for the layouts."""

from typing import Any, NamedTuple, Self

class AbortedTransaction(NamedTuple):
    """One aborted transaction: its marker stands at last_offset."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int

class Entries:
    """The bytes of one index, read-only; what a view sees never changes."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class OffsetIndex:
    """Last offset of a batch -> its file position, every index_interval_bytes."""

    path: str
    base_offset: int
    def __new__(cls, path: str, base_offset: int, bytes_max: int = ...) -> Self: ...
    def load(self, log_bytes: int) -> None:
        """Reads the file. Raises CorruptFile when it is no sane index of a log of that size."""
    def add(self, offset: int, position: int) -> None:
        """Raises ValueError when the offset does not follow, or does not fit into 32 bits."""
    def lookup(self, offset: int) -> int:
        """Position of the last entry at or below the offset, 0 when there is none."""
    def truncate_to(self, offset: int) -> None: ...
    def write(self) -> None: ...
    def __len__(self) -> int: ...
    @property
    def view(self) -> memoryview: ...
    def as_array(self) -> Any:
        """numpy view with the fields offset (relative) and position."""

class TimeIndex:
    """Largest timestamp so far -> the offset that has it."""

    path: str
    base_offset: int
    def __new__(cls, path: str, base_offset: int, bytes_max: int = ...) -> Self: ...
    def load(self, next_offset: int) -> None:
        """Reads the file. Raises CorruptFile when it is no sane index of a log that ends there."""
    def add(self, timestamp: int, offset: int, when_full: bool = False) -> None:
        """Ignored unless the timestamp is above the last one. Raises ValueError when full."""
    def lookup(self, timestamp: int) -> int:
        """Offset of the last entry at or below the timestamp, else the base offset."""
    def truncate_to(self, offset: int) -> None: ...
    def write(self) -> None: ...
    def __len__(self) -> int: ...
    @property
    def view(self) -> memoryview: ...
    def as_array(self) -> Any:
        """numpy view with the fields timestamp and offset (relative)."""

class TransactionIndex:
    """Aborted transactions of one segment, by ascending offset of their marker."""

    path: str
    aborted: list[AbortedTransaction]
    def __new__(cls, path: str) -> Self: ...
    def load(self) -> None: ...
    def reset(self) -> None: ...
    def append(self, entry: AbortedTransaction) -> None: ...
    def rewrite(self) -> None: ...
    def truncate_to(self, offset: int) -> None: ...
    def collect(
        self, first_offset: int, upper_offset: int
    ) -> tuple[list[AbortedTransaction], bool]:
        """Transactions that overlap [first, upper), and whether later segments can hold none."""
    def __len__(self) -> int: ...
    @property
    def exists(self) -> bool: ...
