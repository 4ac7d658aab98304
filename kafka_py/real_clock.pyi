"""The machine's own clocks: a broker asks them for every request."""

from typing import final

@final
class RealClock:
    """A `kafka_py.clock.Clock`. Stateless; any number of instances agree with each other."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970-01-01 UTC."""

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary start; never goes back."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since the same start as `monotonic_ms`."""
