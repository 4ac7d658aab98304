"""The clocks: real ones move, the virtual one only when it is told to."""

from __future__ import annotations

import pytest

from kafka_py.clock import Clock, RealClock
from kafka_py.testing.clock import VirtualClock


def test_a_virtual_clock_stands_still_until_moved() -> None:
    clock = VirtualClock(1000)
    assert (clock.now_ms(), clock.monotonic_ms(), clock.monotonic_ns()) == (1000, 0, 0)
    clock.advance(2.5)
    assert (clock.now_ms(), clock.monotonic_ms(), clock.monotonic_ns()) == (1002, 2, 2_500_000)
    clock.jump(-500)
    assert (clock.now_ms(), clock.monotonic_ms()) == (502, 2)
    with pytest.raises(ValueError, match="time cannot go back by 1 ms"):
        clock.advance(-1)


def test_a_real_clock_moves_forward() -> None:
    clock: Clock = RealClock()
    first = clock.monotonic_ns()
    assert clock.monotonic_ns() >= first
    assert clock.now_ms() > 1_600_000_000_000
    assert abs(clock.monotonic_ms() - clock.monotonic_ns() // 1_000_000) < 1000
