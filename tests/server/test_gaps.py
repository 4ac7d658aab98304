"""What is advertised and what is a gap are together what Apache Kafka advertises."""

import json
import subprocess
import sys

import pytest

from kafka_py.server.dispatch import BROKER, CONTROLLER, advertised, load_handlers
from kafka_py.server.gaps import APACHE, GAPS, gaps


@pytest.mark.parametrize("role", [BROKER, CONTROLLER])
def test_advertised_and_gaps_are_apaches_apis(role: str) -> None:
    load_handlers()
    ours = {(key, v) for key, low, high in advertised(role) for v in range(low, high + 1)}
    missing = {(gap.key, v) for gap in GAPS[role] for v in range(gap.lowest, gap.highest + 1)}
    theirs = {
        (key, version)
        for key, (low, high) in APACHE[role].items()
        for version in range(low, high + 1)
    }
    assert not ours & missing, "listed as gaps, and there"
    assert ours | missing == theirs


@pytest.mark.parametrize("role", [BROKER, CONTROLLER])
def test_every_gap_has_a_reason(role: str) -> None:
    assert all(len(gap.reason) > 10 for gap in GAPS[role])
    assert len(gaps(role)) == len(GAPS[role])


def test_the_list_is_read_by_machines() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "kafka_py.server.gaps", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {row["key"] for row in json.loads(ran.stdout)[BROKER]} >= {17, 36, 76}
