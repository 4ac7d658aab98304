"""Time as a parameter: the one seam through which the core packages learn what time it is.

Core packages (protocol, config, metadata, controller, replication) import neither `time` nor
`asyncio`; they are handed a `Clock`, or plain `now_ms` numbers.  `RealClock` reads the machine's
clocks; `kafka_py.testing.clock.VirtualClock` is moved by hand, by tests and simulations.
"""

from __future__ import annotations

from typing import Protocol

from kafka_py.real_clock import RealClock

__all__ = ["Clock", "RealClock"]


class Clock(Protocol):
    """What time it is.

    Wall time may jump in either direction and is for what leaves the process: record timestamps,
    expiry dates.  Deadlines are computed from monotonic time only.
    """

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary start; never goes back."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since the same start as `monotonic_ms`; for measuring durations."""
        ...
