"""What comes due, by key: sessions, rebalances, transactions' time-outs. All times are numbers of
milliseconds on whatever clock the caller has."""

from collections.abc import Hashable, Iterator
from typing import final

@final
class Deadline:
    """One key's entry in `Deadlines`, for compiled paths that move it again and again."""

    @property
    def key(self) -> Hashable:
        """Whose it is."""

    @property
    def at_ms(self) -> int:
        """When it comes due."""

    @property
    def armed(self) -> bool:
        """Whether it does. An entry that was taken stays False: who is set then has another one."""

@final
class Deadlines:
    """Deadlines by key, earliest first; moving one is as cheap as a dict entry.

    A heap holds at most one live place a key; a place whose key was moved to a later time is put
    back when it comes up, so a member's heartbeat costs no heap operation.
    """

    def __len__(self) -> int: ...
    def __contains__(self, key: Hashable) -> bool: ...
    def __iter__(self) -> Iterator[Hashable]:
        """The keys that come due, as they are now, in no order."""

    @property
    def queued(self) -> int:
        """Places in the heap, stale ones included: what memory it takes."""

    def set(self, key: Hashable, at_ms: int) -> None:
        """Let ``key`` come due at ``at_ms``, whatever was said of it before."""

    def get(self, key: Hashable) -> int | None:
        """When ``key`` comes due; None when it does not."""

    def entry(self, key: Hashable) -> Deadline | None:
        """The entry of ``key``; None when it does not come due."""

    def cancel(self, key: Hashable) -> None:
        """Forget ``key``; unknown keys are fine."""

    def next_ms(self) -> int | None:
        """When to look next: never after the earliest deadline; None when there is none."""

    def due(self, now_ms: int) -> list[Hashable]:
        """Take the keys whose time has come, earliest first; ties in the order they were set."""

    def take_due(self, now_ms: int) -> Hashable | None:
        """Take the first key whose time has come; None when there is none (more)."""
