"""Consumer groups under random schedules; `schedules` in consumer/ says what holds."""

from __future__ import annotations

import pytest

from tests.coordinator.consumer.schedules import Schedule


@pytest.mark.parametrize("block", range(30))
def test_schedules_by_name(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        Schedule(seed, regexes=False).run(60)


@pytest.mark.parametrize("block", range(15))
def test_schedules_by_pattern(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        Schedule(seed, regexes=True).run(60)
