"""One timer for everything that has a deadline: it fires at the earliest, never polls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kafka_py.clock import Clock

__all__ = ["Timer"]


class Timer:
    """Calls `due()` at the earliest deadline it was told of; lives on the event loop.

    `due()` does what is due and says when it wants to be called next (monotonic milliseconds, None
    for not at all). `at()` asks for an earlier call.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, due: Callable[[], int | None]
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._due = due
        self._handle: asyncio.TimerHandle | None = None
        self._at_ms = 0
        self._closed = False

    def at(self, deadline_ms: int) -> None:
        """Call `due()` at this time, or before."""
        if self._closed or (self._handle is not None and self._at_ms <= deadline_ms):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._at_ms = deadline_ms
        delay_s = max(0, deadline_ms - self._clock.monotonic_ms()) / 1000
        self._handle = self._loop.call_later(delay_s, self._fire)

    def _fire(self) -> None:
        self._handle = None
        if self._closed:
            return
        following = self._due()
        if following is not None:
            self.at(following)

    def close(self) -> None:
        """Fire no more."""
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
