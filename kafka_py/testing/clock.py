"""A clock that stands still until it is told to move."""

from __future__ import annotations

__all__ = ["VirtualClock"]


class VirtualClock:
    """A `kafka_py.clock.Clock` for tests and simulations; not thread-safe.

    `advance` moves wall and monotonic time together; `jump` moves the wall clock alone, in either
    direction, as an administrator or a broken time server would.
    """

    __slots__ = ("_monotonic_ns", "_wall_ms_offset")

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._monotonic_ns = 0
        self._wall_ms_offset = now_ms

    def now_ms(self) -> int:
        """Virtual wall time in milliseconds since 1970-01-01 UTC."""
        return self._wall_ms_offset + self._monotonic_ns // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds advanced since the clock was made."""
        return self._monotonic_ns // 1_000_000

    def monotonic_ns(self) -> int:
        """Nanoseconds advanced since the clock was made."""
        return self._monotonic_ns

    def advance(self, delta_ms: float) -> None:
        """Move forward by `delta_ms`; raises ValueError when that is negative."""
        if delta_ms < 0:
            raise ValueError(f"time cannot go back by {-delta_ms} ms; jump() moves the wall clock")
        self._monotonic_ns += round(delta_ms * 1_000_000)

    def jump(self, delta_ms: int) -> None:
        """Set the wall clock forward or back; monotonic time does not notice."""
        self._wall_ms_offset += delta_ms
