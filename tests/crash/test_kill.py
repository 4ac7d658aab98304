"""Thirty kills in the fast suite; the thousand are ``python -m tests.crash.kill``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.kill import PROPERTIES, KillRun
from tests.oracle import apache


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [101, 102, 103])
def test_ten_kills(seed: int, tmp_path: Path) -> None:
    """Every acknowledged record is there, once, in order, at its offset; retries are exact."""
    run = KillRun(apache.node_under_test(tmp_path / "node", PROPERTIES), seed)
    try:
        run.run(10)
    finally:
        run.node.kill()
    assert run.faults["kill"] == 10
    assert run.records == run.load.acknowledged
