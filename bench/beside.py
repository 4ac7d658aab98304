"""Two ways to do the same work, by turns in one run: only ratios of one run count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

#: A round lasts so long at least, so that the clock and one interruption do not show.
ROUND_S = 0.004


def seconds(work: Callable[[], object], times: int) -> float:
    """What one of so many calls took."""
    begun = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begun) / times


def by_turns(rounds: int, *ways: Callable[[], object]) -> list[list[float]]:
    """The seconds of one call in every round, of each way.

    The ways follow one another at once, forth in one round and back in the next, so that what slows
    the machine slows them alike.
    """
    times = [max(1, int(ROUND_S / max(seconds(work, 1), 1e-9))) for work in ways]
    taken: list[list[float]] = [[] for _ in ways]
    for number in range(rounds):
        order = range(len(ways)) if number % 2 == 0 else reversed(range(len(ways)))
        for i in order:
            taken[i].append(seconds(ways[i], times[i]))
    return taken


def record(
    benchmark: Any,
    bytes_each: int,
    ours: Callable[[], object],
    limit: Callable[[], object],
    *,
    rounds: int = 25,
    **others: Callable[[], object],
) -> float:
    """Measure ours, its limit and others; the findings are the benchmark's extra information.

    Rates are those of the best round. The share of the limit is the median of the rounds' own
    shares: a round is as fast as the machine was just then, for both. Returns the seconds of ours.
    pytest-benchmark times it once more by itself; when it is disabled, ours runs once and nothing
    is measured.
    """
    if not benchmark.enabled:
        benchmark.pedantic(ours, rounds=1)
        return float("nan")
    taken = by_turns(rounds, ours, limit, *others.values())
    best, bound, *rest = (min(each) for each in taken)
    shares = (theirs / own for own, theirs in zip(taken[0], taken[1], strict=True))
    benchmark.extra_info.update(
        bytes=bytes_each,
        mb_per_s=round(bytes_each / best / 1e6, 1),
        limit_mb_per_s=round(bytes_each / bound / 1e6, 1),
        share=round(statistics.median(shares), 3),
    )
    for name, least in zip(others, rest, strict=True):
        benchmark.extra_info[f"{name}_mb_per_s"] = round(bytes_each / least / 1e6, 1)
    print(f"\n{benchmark.name}: {benchmark.extra_info}")
    benchmark.pedantic(ours, rounds=1)
    return best
