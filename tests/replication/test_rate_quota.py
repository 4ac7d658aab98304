"""Bytes a second over windows, as Kafka's replication quotas count them."""

from __future__ import annotations

import pytest

from kafka_py.replication.rate_quota import RateQuota


def test_the_first_windows_may_be_spent_at_once() -> None:
    """The rate is over ten seconds at least, so ten seconds' worth goes without a wait."""
    quota = RateQuota(11, 1000)
    assert quota.wait_ms(100, 0) == 0
    quota.record(1000, 0)
    assert quota.wait_ms(100, 0) == 0
    quota.record(1, 0)
    assert quota.wait_ms(100, 0) > 0


def test_it_says_when_the_rate_is_right_again() -> None:
    quota = RateQuota(3, 1000)
    quota.record(300, 0)
    wait = quota.wait_ms(100, 0)
    assert 0 < wait <= 1001
    assert quota.wait_ms(100, wait - 2) > 0
    assert quota.wait_ms(100, 3000) == 0, "the window is forgotten"


@pytest.mark.parametrize("limit", [1, 1000, 50_000])
def test_over_a_long_time_it_keeps_the_rate(limit: int) -> None:
    quota, now, moved = RateQuota(11, 1000), 0, 0
    chunk = max(1, limit // 5)
    while now < 120_000:
        wait = quota.wait_ms(limit, now)
        if wait:
            now += wait
            continue
        quota.record(chunk, now)
        moved += chunk
        now += 1
    assert 0.8 * limit * 120 <= moved <= limit * 120 + 10 * limit + chunk


def test_nothing_may_move() -> None:
    quota = RateQuota(2, 500)
    assert quota.wait_ms(0, 0) == 500
    quota.record(1, 0)
    assert quota.wait_ms(0, 100) == 900
