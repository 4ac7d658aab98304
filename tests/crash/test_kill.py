"""Thirty kills in the fast suite; the thousand are ``python -m tests.crash.kill``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.kill import PROPERTIES, KillRun
from tests.crash.moving import MovingLoad
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


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [201, 202])
def test_ten_kills_while_partitions_move(seed: int, tmp_path: Path) -> None:
    """The same, with every partition on its way from one log directory to another and back."""
    paths = ",".join(str(tmp_path / name) for name in ("one", "two", "three"))
    settings = {**PROPERTIES, "log.dirs": paths}
    run = KillRun(apache.node_under_test(tmp_path / "node", settings), seed)
    try:
        run.run(10)
    finally:
        run.node.kill()
    assert isinstance(run.load, MovingLoad)
    assert run.load.moves_asked > 20
    assert run.records == run.load.acknowledged
