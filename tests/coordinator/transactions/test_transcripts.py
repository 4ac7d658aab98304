"""Scripted transactions: the commands are those of `tests.coordinator.transactions.player`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.coordinator import transcripts
from tests.coordinator.transactions.player import Player
from tests.coordinator.transactions.world import World

SCRIPTS = transcripts.scripts(__file__)


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 7


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, request: pytest.FixtureRequest) -> None:
    transcripts.check(path, Player(World()).play, request)
