"""What is kept and printed of other brokers; building them is left to `python -m bench.peers`."""

import argparse
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import measure, peers
from bench.cases import CASES, Case
from tests.oracle.node import Node

SIDE = {"requests_per_s": 20_000.0, "broker_cpu_us_per_request": 19.5, "p50_ms": 3.0, "p99_ms": 9.0}


class NoTopics:
    """In place of a node's topics."""

    def __init__(self, node: Node) -> None:
        """Asks nothing of the node."""


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Node]:
    """Two nodes, not started."""
    monkeypatch.setattr(measure, "Topics", NoTopics)
    return [peers.KfakeNode(tmp_path, 1), peers.NisshiNode(tmp_path, 3)]


def test_a_side_that_fails_is_kept_with_what_it_said(
    sides: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = iter([100.0, 300.0, 200.0])

    def run(case: Case, node: Node, *rest: Any) -> dict[str, float]:
        if node.kind == "nisshi":
            subprocess.run(
                ["sh", "-c", "echo '%3|log' >&2; echo 'load: no' >&2; exit 1"], check=True
            )
        return {"requests_per_s": next(rates)}

    monkeypatch.setattr(measure, "run", run)
    arguments = argparse.Namespace(passes=3, seconds=0, warm=0)
    best, errors = peers.compare(CASES[0], sides, arguments)
    assert best == {"kfake": {"requests_per_s": 300.0}}
    assert errors == {"nisshi": "load: no"}


def test_runs_add_up_to_one_table(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    versions = {"kafka_py": "kafka_py", "kfake": "kfake v1"}
    peers.keep(path, versions, {"produce-d64": {"kafka_py": SIDE}}, {"produce-d64": {}})
    sides = {"kafka_py": SIDE, "kfake": SIDE | {"requests_per_s": 9.0}}
    kept = peers.keep(path, versions, {"fetch-small": sides}, {"fetch-small": {"nisshi": "gone"}})
    ours = "20.0 k/s, p50 3.000 ms, 19.50 us"
    assert peers.markdown(kept).splitlines() == [
        "| case | kafka_py | apache | kfake v1 | nisshi |",
        "|---|---|---|---|---|",
        f"| 1 x 100 B, depth 64, one connection | {ours} | not run | not run | not run |",
        "| fetch one small batch, depth 64"
        f" | {ours} | not run | 9.00/s, p50 3.000 ms, 19.50 us | **no answer:** gone |",
    ]


def test_versions_are_those_that_are_built() -> None:
    assert peers.KfakeNode.version().startswith("v0.0.0-")
    assert peers.KfakeNode.version() in (peers.KfakeNode.source / "go.sum").read_text()
    assert set(peers.COMPARED) <= {case.name for case in CASES}
