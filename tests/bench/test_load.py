"""The benches' cases in their small form, so that they do not rot: each against our node."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import frames, measure, report
from bench.cases import CASES, Case
from tests.oracle.node import Node, OurNode, free_port_pair

REPLAYED = [case for case in CASES if case.kind in ("produce", "fetch")]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Our node in a process of its own."""
    with OurNode(tmp_path_factory.mktemp("bench"), free_port_pair(20300, 20398)) as running:
        yield running


@pytest.fixture(scope="module")
def topics(node: Node) -> measure.Topics:
    """The topics of the passes."""
    return measure.Topics(node)


@pytest.mark.parametrize("case", REPLAYED, ids=lambda case: case.name)
def test_case_runs_and_every_reply_is_right(case: Case, node: Node, topics: measure.Topics) -> None:
    small = dataclasses.replace(case, batches=min(case.batches, 200))
    measured = measure.run(small, node, topics, seconds=0.2, warm=0.05)
    assert measured["requests"] > 10
    assert measured["p50_ms"] <= measured["p99_ms"] <= measured["p999_ms"]


def test_fetched_batches_are_those_that_were_produced(node: Node, topics: measure.Topics) -> None:
    case = Case("verify", "fetch", "", records=3, record_bytes=100, fetch_bytes=1 << 20)
    topic = topics.fresh(case)
    produced = frames.produce(topic, frames.batch(3, 100), acks=-1)
    measure.load(node, "produce", [produced], "--requests", 7, "--seconds", 5, "--warm", 0)
    fetched = frames.fetch(topic, bytes_max=1 << 20)
    window = ("--requests", 1, "--seconds", 5, "--warm", 0)
    seen = measure.load(node, "fetch", [fetched], *window, "--verify")
    assert seen["records_seen"] == 21
    topics.drop(topic)


def test_the_report_compares_the_two_sides(tmp_path: Path) -> None:
    side = {"requests_per_s": 100.0, "broker_cpu_us_per_request": 10.0, "request_mb_per_s": 1.0}
    side |= {"p50_ms": 1.0, "p99_ms": 2.0}
    faster = side | {"requests_per_s": 600.0, "broker_cpu_us_per_request": 2.0}
    rows = report.rows({"produce-d64": {"kafka_py": faster, "apache": side}})
    assert [(row.rate, row.cpu, row.ok) for row in rows] == [(6.0, 0.2, True)]
    slower = report.rows({"produce-d64": {"kafka_py": side, "apache": faster}})
    assert slower[0].ok is False
