"""Deadlines: what comes due, in which order, and how little moving one costs."""

from __future__ import annotations

import random

from kafka_py.coordinator.deadlines import Deadlines
from kafka_py.coordinator.machine import NOTHING, Result


def test_what_is_due_comes_in_the_order_of_time() -> None:
    deadlines = Deadlines()
    for key, at_ms in (("late", 30), ("early", 10), ("middle", 20), ("also early", 10)):
        deadlines.set(key, at_ms)
    assert (len(deadlines), deadlines.next_ms()) == (4, 10)
    assert deadlines.due(9) == []
    assert deadlines.due(20) == ["early", "also early", "middle"]
    assert (len(deadlines), deadlines.next_ms()) == (1, 30)
    assert deadlines.take_due(30) == "late"
    assert deadlines.take_due(30) is None
    assert deadlines.next_ms() is None


def test_moved_back_moved_forward_cancelled() -> None:
    deadlines = Deadlines()
    deadlines.set("session", 10)
    deadlines.set("session", 50)
    deadlines.set("other", 20)
    assert deadlines.get("session") == 50
    assert deadlines.next_ms() == 20
    deadlines.set("session", 15)
    assert deadlines.next_ms() == 15
    deadlines.cancel("session")
    deadlines.cancel("nobody")
    assert "session" not in deadlines
    assert deadlines.get("session") is None
    assert deadlines.next_ms() == 20
    assert deadlines.due(100) == ["other"]


def test_a_cancelled_key_may_come_back() -> None:
    deadlines = Deadlines()
    deadlines.set("a", 10)
    deadlines.cancel("a")
    deadlines.set("a", 5)
    deadlines.cancel("a")
    deadlines.set("a", 40)
    assert deadlines.due(39) == []
    assert deadlines.due(40) == ["a"]
    assert deadlines.due(1000) == []


def test_a_heartbeat_leaves_the_heap_as_it_is() -> None:
    deadlines = Deadlines()
    for at_ms in range(100, 10_100):
        deadlines.set("session", at_ms)
    assert deadlines.queued == 1
    assert deadlines.next_ms() == 10_099


def test_as_a_table_sorted_by_time() -> None:
    rng = random.Random(5)
    deadlines = Deadlines()
    expected: dict[int, int] = {}
    now_ms = 0
    for _ in range(20_000):
        key = rng.randrange(40)
        what = rng.random()
        if what < 0.6:
            at_ms = now_ms + rng.randrange(-3, 50)
            deadlines.set(key, at_ms)
            expected[key] = at_ms
        elif what < 0.8:
            deadlines.cancel(key)
            expected.pop(key, None)
        else:
            now_ms += rng.randrange(20)
            due = deadlines.due(now_ms)
            assert {key: expected[key] for key in due} == {
                key: at_ms for key, at_ms in expected.items() if at_ms <= now_ms
            }
            assert [expected[key] for key in due] == sorted(expected[key] for key in due)
            for key in due:
                del expected[key]
        assert len(deadlines) == len(expected)
        assert deadlines.next_ms() == min(expected.values(), default=None)


def test_nothing_stays_nothing() -> None:
    assert Result() == NOTHING
    assert (NOTHING.records, NOTHING.replies, NOTHING.then) == ([], [], None)
