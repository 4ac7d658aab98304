"""The same transactional records, markers and offsets to Apache's broker and to ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.oracle.comparing import compare
from tests.oracle.conftest import Pair
from tests.oracle.raw import Recorder
from tests.oracle.scenarios_transactional_data import ADDING, SCENARIOS
from tests.oracle.test_transactions import LEVELS
from tests.oracle.test_transactions import pairs as pairs

RUNS = [(scenario, level) for level in LEVELS for scenario in SCENARIOS]
RUNS += [(scenario, 2) for scenario in ADDING]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("scenario", "level"), RUNS, ids=[f"{s.__name__}-{level}" for s, level in RUNS]
)
def test_same_answers(
    scenario: Callable[[Recorder], None], level: int, pairs: dict[int, Pair]
) -> None:
    """All differences that no line of differences.toml allows, listed."""
    pair = pairs[level]
    compare(scenario, pair.apache, pair.ours)
