"""Groups with clients of both protocols under random schedules; `mixed` says what holds."""

from __future__ import annotations

import pytest

from tests.coordinator.consumer.mixed import MixedSchedule


@pytest.mark.parametrize("cooperative", [True, False], ids=["cooperative", "eager"])
@pytest.mark.parametrize("block", range(6))
def test_schedules(block: int, cooperative: bool) -> None:
    kinds = set()
    for seed in range(block * 10, block * 10 + 10):
        schedule = MixedSchedule(seed, cooperative=cooperative)
        schedule.run(80)
        kinds |= schedule.kinds
    assert kinds == {"classic", "consumer"}
