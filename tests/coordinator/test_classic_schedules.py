"""Classic groups under random schedules; `tests.coordinator.classic.schedules` says what holds.

``SEEDS=5000 pytest tests/coordinator/test_classic_schedules.py`` looks at more of them.
"""

from __future__ import annotations

import os

import pytest

from tests.coordinator.classic.schedules import run

SEEDS = int(os.environ.get("SEEDS", "300"))
BLOCK = 25


@pytest.mark.parametrize("start", range(0, SEEDS, BLOCK))
def test_schedules(start: int) -> None:
    for seed in range(start, min(start + BLOCK, SEEDS)):
        try:
            run(seed, events=150)
        except Exception as problem:
            problem.add_note(f"seed {seed}")
            raise
