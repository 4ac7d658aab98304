"""Some kills in the fast suite; more are ``python -m tests.crash.churn``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.churn import PROPERTIES, ChurnRun
from tests.oracle import apache


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [301, 302])
def test_ten_kills_while_topics_are_made_anew(seed: int, tmp_path: Path) -> None:
    """Every acknowledged record of the topic that there is, once, in order, from offset 0."""
    run = ChurnRun(apache.node_under_test(tmp_path / "node", PROPERTIES), seed)
    try:
        run.run(10)
    finally:
        run.node.kill()
    assert run.faults["topic_made_anew"] > 3
