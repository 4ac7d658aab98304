"""One timer for all deadlines: it fires at the earliest and never earlier."""

from __future__ import annotations

from collections.abc import Callable

from kafka_py.server.timers import Timer


class Handle:
    """A call that the loop has been asked for."""

    def __init__(self, at_s: float, call: Callable[[], None]) -> None:
        self.at_s = at_s
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop and a clock of which only time is left."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.handles: list[Handle] = []

    def monotonic_ms(self) -> int:
        return round(self.now_s * 1000)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Handle:
        assert delay_s >= 0
        self.handles.append(Handle(self.now_s + delay_s, call))
        return self.handles[-1]

    @property
    def pending(self) -> list[Handle]:
        return sorted((h for h in self.handles if not h.cancelled), key=lambda h: h.at_s)

    def advance(self, seconds: float) -> None:
        """Let time pass, firing what comes due on the way."""
        until = self.now_s + seconds
        while self.pending and self.pending[0].at_s <= until:
            handle = self.pending[0]
            self.now_s = max(self.now_s, handle.at_s)
            self.handles.remove(handle)
            handle.call()
        self.now_s = until


def timer_of(loop: Loop, answers: list[int | None], fired: list[int]) -> Timer:
    """A timer that notes when it fired and then answers with the next deadline."""

    def due() -> int | None:
        fired.append(loop.monotonic_ms())
        return answers.pop(0) if answers else None

    return Timer(loop, loop, due)  # type: ignore[arg-type]


def test_the_earliest_deadline_wins() -> None:
    loop, fired = Loop(), list[int]()
    timer = timer_of(loop, [], fired)
    timer.at(100_500)
    timer.at(100_200)
    timer.at(100_900)
    assert len(loop.pending) == 1
    loop.advance(2)
    assert fired == [100_200]
    assert not loop.pending


def test_what_is_due_says_when_it_is_next() -> None:
    loop, fired = Loop(), list[int]()
    timer = timer_of(loop, [100_300, 100_350, None], fired)
    timer.at(100_100)
    loop.advance(5)
    assert fired == [100_100, 100_300, 100_350]
    timer.at(105_100)
    loop.advance(1)
    assert fired[3:] == [105_100]


def test_a_deadline_in_the_past_is_now() -> None:
    loop, fired = Loop(), list[int]()
    timer_of(loop, [], fired).at(5)
    loop.advance(0)
    assert fired == [100_000]


def test_an_earlier_deadline_from_within() -> None:
    """What runs may ask for an earlier call than the one it then returns."""
    loop, fired = Loop(), list[int]()

    def due() -> int | None:
        fired.append(loop.monotonic_ms())
        if len(fired) == 1:
            timer.at(100_150)
            return 100_900
        return None

    timer = Timer(loop, loop, due)  # type: ignore[arg-type]
    timer.at(100_100)
    loop.advance(5)
    assert fired == [100_100, 100_150]


def test_closed_it_fires_no_more() -> None:
    loop, fired = Loop(), list[int]()
    timer = timer_of(loop, [100_300], fired)
    timer.at(100_100)
    timer.close()
    timer.at(100_200)
    loop.advance(5)
    assert fired == []
    timer.close()
