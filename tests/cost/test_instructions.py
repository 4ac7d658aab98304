"""The instructions of a small produce, a small fetch, an append and a recovery, held within 5 %.

What is counted depends on the compiler: another one skips. What the interpreter, its C library and
the checksum contribute depends on the machine: each is held where it is what was recorded. A count
that went down by more than 5 % fails too, so that the record says what is; `--rewrite` records.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from kcore.crc32c import implementations
from tests.cost import counting
from tests.cost.subjects import SUBJECTS

RECORD: Final = Path(__file__).parent / "instructions.json"
TOLERANCE: Final = 0.05
#: A few instructions more or less are no matter of percent.
SLACK: Final = 12


def is_checksum(path: str) -> bool:
    """Whether a mapped file is the module of the CRC."""
    return Path(path).name.startswith("crc32c.")


def summed(window: counting.Window, times: int) -> dict[str, float]:
    """Of one operation: instructions in our modules, in the checksum, and everywhere."""
    checksum = sum(count for path, count in window.items() if is_checksum(path))
    return {
        "ours": round((counting.ours(window) - checksum) / times, 1),
        "checksum": round(checksum / times, 1),
        "everywhere": round(sum(window.values()) / times, 1),
    }


def counted() -> dict[str, dict[str, float]]:
    """All subjects' counts of one run."""
    windows = counting.instructions(sys.executable, "-m", "tests.cost.subjects")
    assert len(windows) == len(SUBJECTS)
    made = {
        name: summed(window, times)
        for (name, times), window in zip(SUBJECTS.items(), windows, strict=True)
    }
    loop = made.pop("nothing")["everywhere"]
    for name, counts in made.items():
        counts["everywhere"] = round(counts["everywhere"] - loop / SUBJECTS[name], 1)
    return made


@pytest.fixture(scope="module")
def conditions() -> dict[str, str]:
    """What the counts depend on."""
    return {
        "compiler": counting.compiler_of_ours(),
        "interpreter": counting.interpreter(),
        "checksum": implementations()[0],
    }


@pytest.fixture(scope="module")
def counts() -> dict[str, dict[str, float]]:
    """One run for all tests."""
    try:
        return counted()
    except counting.CannotCount as why:
        pytest.skip(str(why))


def test_record(
    request: pytest.FixtureRequest, counts: dict[str, dict[str, float]], conditions: dict[str, str]
) -> None:
    """The record names every subject; with --rewrite it is made anew."""
    if request.config.getoption("--rewrite"):
        RECORD.write_text(json.dumps({"conditions": conditions, "counts": counts}, indent=1) + "\n")
    recorded = json.loads(RECORD.read_text())
    assert set(recorded["counts"]) == set(counts) == set(SUBJECTS) - {"nothing"}


@pytest.mark.parametrize("part", ["ours", "checksum", "everywhere"])
@pytest.mark.parametrize("subject", [name for name in SUBJECTS if name != "nothing"])
def test_within_five_percent(
    subject: str, part: str, counts: dict[str, dict[str, float]], conditions: dict[str, str]
) -> None:
    """Each subject, each part of it that is comparable here."""
    record: dict[str, Any] = json.loads(RECORD.read_text())
    known = record["conditions"]
    depends_on = {"ours": (), "checksum": ("checksum",), "everywhere": tuple(known)}[part]
    for name in ("compiler", *depends_on):
        if known[name] != conditions[name]:
            pytest.skip(f"recorded with {name} {known[name]!r}, here it is {conditions[name]!r}")
    now, then = counts[subject][part], record["counts"][subject][part]
    assert abs(now - then) <= max(TOLERANCE * then, SLACK), (
        f"{subject}: {now:,.0f} instructions ({part}), {then:,.0f} are recorded; if that is meant, "
        f"pytest tests/cost --rewrite"
    )


def test_the_counter_counts() -> None:
    """A hundred more turns of a loop are so many more instructions, always the same."""
    try:
        counts = [
            sum(counting.instructions(sys.executable, "-c", LOOP.format(turns=turns))[0].values())
            for turns in (1, 101, 201)
        ]
    except counting.CannotCount as why:
        pytest.skip(str(why))
    assert counts[0] < counts[1] < counts[2]
    assert counts[2] - counts[1] == pytest.approx(counts[1] - counts[0], rel=0.01)


LOOP: Final = """
import os, signal
def turn(n):
    for _ in range(n): pass
turn(100)
os.kill(os.getpid(), signal.SIGUSR1)
turn({turns})
os.kill(os.getpid(), signal.SIGUSR2)
"""
