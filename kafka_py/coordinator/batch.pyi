"""The batch that a runtime fills until the end of the loop's iteration."""

from collections.abc import Callable
from typing import Any, final

class QuickReply:
    """A reply whose answer is ready: it goes out, or the error instead. To be derived from."""

    def committed(self) -> int:
        """The batch is committed."""

    def refuse(self, error: int) -> int:
        """It is not, or nobody knows: an error of the wire."""

def all_committed(quick: list[QuickReply]) -> None:
    """Tell all of them, without a Python call for each of those that are compiled."""

@final
class PendingBatch:
    """Encoded records of one coordinator, not yet appended.

    `base_sequence` is what the batches' headers say, though there is no producer: 0 in Kafka's
    group coordinators, -1 in its transaction coordinators. `begun` is called before the first
    record of every batch: it sets `bytes_max` and `compression`, and sees to it that the batch is
    taken in time. The compiled paths put records and replies in without the runtime's knowing.
    """

    bytes_max: int
    compression: int
    closed: bool
    """The runtime takes nothing more: the compiled paths keep out."""
    settled: bool
    """While the batch is empty: all that was applied is committed, as `Runtime.settled` said."""

    def __init__(self, begun: Callable[[], Any], base_sequence: int = 0) -> None: ...
    def __len__(self) -> int: ...
    @staticmethod
    def size_of(key: bytes, value: bytes | None) -> int:
        """What a record takes in a batch, at most."""

    @property
    def size_bytes(self) -> int:
        """What the batch takes, at most, before compression."""

    @property
    def count(self) -> int:
        """How many records there are."""

    @property
    def room(self) -> int:
        """How many bytes may still come."""

    @property
    def quick(self) -> list[QuickReply]:
        """Who waits for this batch and is not in a `Result`."""

    def add(self, key: bytes, value: bytes | None, timestamp_ms: int) -> None:
        """Add a record; None is a tombstone."""

    def take(self) -> tuple[bytes, list[QuickReply]]:
        """The batch (empty when there are no records) and who waits for it; another one begins."""

    def clear(self) -> None:
        """Forget both."""
