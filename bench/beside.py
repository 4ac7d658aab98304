"""Two ways to do the same work, by turns in one run: only ratios of one run count."""

from __future__ import annotations

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


def by_turns(rounds: int, *ways: Callable[[], object]) -> list[float]:
    """The least seconds of each way over the rounds."""
    times = [max(1, int(ROUND_S / max(seconds(work, 1), 1e-9))) for work in ways]
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for i, work in enumerate(ways):
            best[i] = min(best[i], seconds(work, times[i]))
    return best


def record(
    benchmark: Any,
    bytes_each: int,
    ours: Callable[[], object],
    limit: Callable[[], object],
    *,
    rounds: int = 25,
    **others: Callable[[], object],
) -> float:
    """Measure ours, its limit and others; rates go into the benchmark's extra information.

    Returns the seconds of ours. pytest-benchmark times it once more by itself; when it is disabled,
    ours runs once and nothing is measured.
    """
    if not benchmark.enabled:
        benchmark.pedantic(ours, rounds=1)
        return float("nan")
    best, bound, *rest = by_turns(rounds, ours, limit, *others.values())
    benchmark.extra_info.update(
        bytes=bytes_each,
        mb_per_s=round(bytes_each / best / 1e6, 1),
        limit_mb_per_s=round(bytes_each / bound / 1e6, 1),
        share=round(bound / best, 3),
    )
    for name, taken in zip(others, rest, strict=True):
        benchmark.extra_info[f"{name}_mb_per_s"] = round(bytes_each / taken / 1e6, 1)
    print(f"\n{benchmark.name}: {benchmark.extra_info}")
    benchmark.pedantic(ours, rounds=1)
    return best
