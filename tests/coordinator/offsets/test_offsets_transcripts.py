"""Scripted offsets: the commands are those of `tests.coordinator.offsets.player`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.coordinator import transcripts
from tests.coordinator.offsets.driver import OffsetsDriver
from tests.coordinator.offsets.player import Player

SCRIPTS = transcripts.scripts(__file__)


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 6


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, driver: OffsetsDriver, request: pytest.FixtureRequest) -> None:
    transcripts.check(path, Player(driver).play, request)
