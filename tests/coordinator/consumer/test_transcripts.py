"""Scripted groups: each file in `transcripts/` is commands and, below `----`, what came of them.

The commands are those of `tests.coordinator.consumer.player`. Rewrite the transcripts with
``pytest tests/coordinator --rewrite`` and review them as a diff.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.coordinator.consumer.player import Player

SCRIPTS = sorted(Path(__file__).with_name("transcripts").glob("*.txt"))


def transcript(text: str) -> str:
    """A script with the transcript that it leads to now; comments stay."""
    player = Player()
    out: list[str] = []
    skipping = False
    for line in text.splitlines():
        if skipping:
            skipping = bool(line.strip())
        elif not line.strip() or line.startswith("#"):
            out.append(line)
        elif line == "----":
            skipping = True
        else:
            out += [line, "----", *filter(None, [player.play(line)]), ""]
    return re.sub(r"\n\n\n+", "\n\n", "\n".join(out)).rstrip() + "\n"


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 15


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    now = transcript(text)
    if request.config.getoption("--rewrite"):
        path.write_text(now)
    else:
        assert now == text
