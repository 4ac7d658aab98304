"""The same questions to Apache's broker and to ours: the answers agree field by field."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kafka_py.protocol.registry import ApiKey
from tests.oracle.comparing import ALLOWED, compare
from tests.oracle.conftest import Pair
from tests.oracle.raw import Recorder
from tests.oracle.scenarios_admin import SCENARIOS as ADMIN
from tests.oracle.scenarios_data import SCENARIOS as DATA

SOFTWARE = {"client_software_name": "oracle", "client_software_version": "1"}


@pytest.mark.parametrize("scenario", [*ADMIN, *DATA], ids=lambda s: s.__name__)
def test_same_answers(scenario: Callable[[Recorder], None], pair: Pair) -> None:
    """All differences that no line of differences.toml allows, listed."""
    compare(scenario, pair.apache, pair.ours, pair.first_timestamp)


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
