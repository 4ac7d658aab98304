"""Transcripts: files of commands and, below ``----``, what came of each of them.

Rewrite them with ``pytest tests/coordinator --rewrite`` and review them as a diff.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

#: Plays one command; what came of it, "" for nothing.
Play = Callable[[str], str]


def scripts(beside: str) -> list[Path]:
    """The transcripts of the test module at that path."""
    return sorted(Path(beside).with_name("transcripts").glob("*.txt"))


def transcript(text: str, play: Play) -> str:
    """A script with the transcript that it leads to now; comments stay."""
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
            out += [line, "----", *filter(None, [play(line)]), ""]
    return re.sub(r"\n\n\n+", "\n\n", "\n".join(out)).rstrip() + "\n"


def check(path: Path, play: Play, request: pytest.FixtureRequest) -> None:
    """The file says what happens now, or is made to with --rewrite."""
    text = path.read_text()
    now = transcript(text, play)
    if request.config.getoption("--rewrite"):
        path.write_text(now)
    else:
        assert now == text
