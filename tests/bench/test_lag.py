"""The lag's program against our node, and what it says of replies that are wrong."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import frames, lag, measure
from tests.oracle.node import Node, OurNode, free_port_pair


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Our node in a process of its own."""
    with OurNode(tmp_path_factory.mktemp("lag"), free_port_pair(20300, 20398)) as running:
        yield running


def test_records_come_back_through_a_fetch_that_waits(node: Node) -> None:
    """The program itself checks that each fetch brings the one batch just produced."""
    measured = lag.waiting_fetch(node, measure.Topics(node), seconds=0.3, warm=0.1)
    assert measured["requests"] > 20
    assert 0 < measured["p50_ms"] <= measured["p99_ms"] <= measured["max_ms"]
    # A gap lies before each round, so that no more of them fit in.
    assert measured["requests_per_s"] < 1e6 / lag.GAP_US
    assert measured["broker_cpu_us_per_request"] > 0


def test_a_topic_that_is_not_empty_is_noticed(node: Node, tmp_path: Path) -> None:
    topics = measure.Topics(node)
    topic = topics.fresh(lag.LAG_CASES[0])
    produced = frames.produce(topic, frames.batch(1, 100), acks=1)
    measure.load(node, "produce", [produced], "--requests", 1, "--seconds", 5, "--warm", 0)
    fetch = frames.fetch(topic, bytes_max=1 << 20, offset=lag.OFFSET_MARK)
    (tmp_path / "produce").write_bytes(produced)
    (tmp_path / "fetch").write_bytes(fetch)
    at = fetch.index(lag.OFFSET_MARK.to_bytes(8, "big"))
    ran = subprocess.run(
        [
            *(str(measure.build(lag.SOURCE)), "--port", str(node.port), "--offset-at", str(at)),
            *("--produce", str(tmp_path / "produce"), "--fetch", str(tmp_path / "fetch")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "produce: base offset 1, 0 was next" in ran.stderr
    topics.drop(topic)


def test_the_tool_s_last_lines_are_read() -> None:
    printed = "0\t1.5\nAvg latency: 0.4821 ms\nPercentiles: 50th = 0, 99th = 2, 99.9th = 7\n"
    assert lag.tool_figures(printed) == {
        "avg_ms": 0.4821,
        "p50_ms": 0.0,
        "p99_ms": 2.0,
        "p999_ms": 7.0,
    }
    with pytest.raises(SystemExit, match="printed no latency"):
        lag.tool_figures("Error: no broker")
