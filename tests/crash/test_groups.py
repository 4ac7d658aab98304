"""Five kills of a broker with groups in the fast suite, and the judge of committed offsets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.groups import PARTITIONS, PROPERTIES, GroupsRun, History, told
from tests.crash.load import Violation
from tests.oracle import apache


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_kills(tmp_path: Path) -> None:
    """Acknowledged commits stay, members commit again."""
    run = GroupsRun(apache.node_under_test(tmp_path / "node", PROPERTIES), 101)
    try:
        run.run(5)
    finally:
        run.node.kill()
    assert run.faults["kill"] == 5


def history() -> History:
    """Five was acknowledged everywhere, seven was sent, four was seen before."""
    made = History("g")
    made.acknowledged = dict.fromkeys(range(PARTITIONS), 5)
    made.sent = dict.fromkeys(range(PARTITIONS), 7)
    made.seen = dict.fromkeys(range(PARTITIONS), 4)
    return made


@pytest.mark.parametrize("offset", [5, 6, 7])
def test_what_is_right_passes(offset: int) -> None:
    """What was acknowledged, or what was in flight."""
    made = history()
    found = {number: (offset, told("g", offset)) for number in range(PARTITIONS)}
    made.judge(dict(made.acknowledged), found)
    assert made.seen == dict.fromkeys(range(PARTITIONS), offset)


@pytest.mark.parametrize(
    ("row", "seen", "reason"),
    [
        ((4, told("g", 4)), 4, "LOST"),
        ((-1, ""), 4, "LOST"),
        ((8, told("g", 8)), 4, "only 7 was sent"),
        ((6, told("g", 5)), 4, "has metadata"),
        ((5, told("g", 5)), 6, "went back"),
    ],
)
def test_what_is_wrong_is_found(row: tuple[int, str], seen: int, reason: str) -> None:
    """Each kind of damage alone, in one partition."""
    made = history()
    found = {number: (5, told("g", 5)) for number in range(PARTITIONS)}
    found[3] = row
    made.seen[3] = seen
    with pytest.raises(Violation, match=reason):
        made.judge(dict(made.acknowledged), found)
