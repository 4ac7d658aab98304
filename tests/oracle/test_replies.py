"""The same questions to Apache's broker and to ours: the answers agree field by field."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from kafka_py.protocol.registry import ApiKey
from tests.oracle import apache
from tests.oracle.conftest import Pair
from tests.oracle.raw import Recorder, differences
from tests.oracle.scenarios_admin import SCENARIOS as ADMIN
from tests.oracle.scenarios_data import SCENARIOS as DATA

#: Every difference that is meant, each with its reason.
ALLOWED = tomllib.loads((Path(__file__).parent / "differences.toml").read_text())["difference"]
SOFTWARE = {"client_software_name": "oracle", "client_software_version": "1"}


@pytest.mark.parametrize("scenario", [*ADMIN, *DATA], ids=lambda s: s.__name__)
def test_same_answers(scenario: Callable[[Recorder], None], pair: Pair) -> None:
    """All differences that no line of differences.toml allows, listed."""
    recorders = [Recorder(node.port, pair.first_timestamp) for node in (pair.apache, pair.ours)]
    for recorder in recorders:
        with contextlib.closing(recorder):
            scenario(recorder)
    theirs, ours = (recorder.answers for recorder in recorders)
    assert theirs
    assert [a.question for a in theirs] == [a.question for a in ours] or len(theirs) == len(ours)
    found: list[str] = []
    for their, our in zip(theirs, ours, strict=True):
        lines = [
            line
            for line in differences(their.answer, our.answer)
            if not _allowed(scenario.__name__, f"{their.question}\n{line}")
        ]
        if lines:
            found.append("\n    ".join([their.question, *lines]))
    assert not found, f"{len(found)} answers differ\n" + "\n".join(found)


def _allowed(scenario: str, text: str) -> bool:
    return apache.against() != "apache" and any(
        row["scenario"] in (scenario, "*") and re.search(row["match"], text, re.DOTALL)
        for row in ALLOWED
    )


def test_every_difference_has_a_reason() -> None:
    """The list is for what is meant, not for what is not done."""
    for row in ALLOWED:
        assert set(row) == {"scenario", "match", "reason"}, row
        assert len(row["reason"]) > 20, row


def test_versions_advertised(pair: Pair) -> None:
    """Whatever ours advertises, Apache's does in the same range (or 4.4's, one version more)."""
    ranges = []
    for node in (pair.apache, pair.ours):
        recorder = Recorder(node.port, 0)
        reply = recorder.quiet(ApiKey.API_VERSIONS, 4, **SOFTWARE)
        ranges.append({k.api_key: (k.min_version, k.max_version) for k in reply.api_keys})
        recorder.close()
    theirs, ours = ranges
    from_4_4 = {18: (0, 5)}
    for key, span in ours.items():
        assert span in (theirs.get(key), from_4_4.get(key)), (ApiKey(key).name, span, theirs[key])
    assert ours


def test_finalized_features(pair: Pair) -> None:
    """The same features at the same levels."""
    features = []
    for node in (pair.apache, pair.ours):
        recorder = Recorder(node.port, 0)
        reply = recorder.quiet(ApiKey.API_VERSIONS, 4, **SOFTWARE)
        finalized = {f.name: f.max_version_level for f in reply.finalized_features}
        supported = {f.name: (f.min_version, f.max_version) for f in reply.supported_features}
        features.append((finalized, supported))
        recorder.close()
    assert features[0][0]
    assert features[0] == features[1]
