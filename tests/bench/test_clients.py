"""librdkafka's cases in their small form, and the clock that they read the broker's CPU from."""

import os
import time
from collections.abc import Iterator

import pytest

from bench import clients, measure
from bench.cases import CASES, Case
from tests.oracle.node import Node, OurNode, free_port_pair


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Our node in a process of its own."""
    with OurNode(tmp_path_factory.mktemp("clients"), free_port_pair(20300, 20398)) as running:
        yield running


def test_every_client_case_has_a_bound_on_both_sides() -> None:
    """Issue 4's row: half of Apache's CPU on produce, 0.8 on consume, records/s no less."""
    bounds = {
        case.name: (case.rate_min, case.cpu_max)
        for case in CASES
        if case.kind.startswith("client-")
    }
    produced = (0.97, 0.5)
    assert bounds == {
        "rdkafka-produce-100": produced,
        "rdkafka-produce-lz4": produced,
        "rdkafka-produce-1k": produced,
        "rdkafka-produce-100-synced": produced,
        "rdkafka-produce-lz4-synced": produced,
        "rdkafka-produce-1k-synced": produced,
        "rdkafka-produce-100-acks1": produced,
        "rdkafka-produce-lz4-acks1": produced,
        "rdkafka-produce-1k-acks1": produced,
        "rdkafka-consume-100": (0.97, 0.8),
        "rdkafka-consume-1k": (0.97, 0.8),
    }


@pytest.mark.parametrize(("codec", "acks"), [("none", 1), ("lz4", -1)])
def test_what_librdkafka_produced_it_reads_back(node: Node, codec: str, acks: int) -> None:
    """The consumer checks every value's size and ends when it has all of them."""
    case = Case(f"clients-{codec}", "client-consume", "", 3000, 100, codec=codec, acks=acks)
    measured = measure.run(case, node, measure.Topics(node), 0, 0)
    assert measured["requests"] == 3000
    assert 0 < measured["broker_cpu_s"] < 1


def test_values_are_of_the_size_and_differ() -> None:
    made = clients.values(1000, 100)
    assert {len(one) for one in made} == {100}
    assert len(set(made)) == 1000
    assert made == clients.values(1000, 100)


def test_cpu_seconds_is_the_clock_of_the_whole_process() -> None:
    before = time.process_time()
    seen = clients.cpu_seconds(os.getpid())
    assert before <= seen <= time.process_time()
