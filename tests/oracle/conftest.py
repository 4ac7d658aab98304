"""Apache's broker and the one under test, both by the same properties, once for all tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.oracle import apache
from tests.oracle.node import Node, free_port_pair
from tests.oracle.under_test import require

PROPERTIES = {"num.partitions": "2", "log.retention.check.interval.ms": "3600000"}


@dataclass(frozen=True)
class Pair:
    """Two running nodes. ``first_timestamp``: for records, the same on both, an hour ago (ms)."""

    apache: Node
    ours: Node
    first_timestamp: int


@pytest.fixture(scope="session")
def oracle_classpath() -> Iterator[str]:
    """The class path of Apache Kafka; skips (in CI: fails) without Java and Maven."""
    require(apache.missing())
    yield apache.class_path()
    apache.tools.close()


@pytest.fixture(scope="session")
def apache_broker(oracle_classpath: str) -> Iterator[Node]:
    """Apache's broker."""
    with (
        apache.temporary_directory("oracle-apache") as directory,
        apache.ApacheNode(directory, free_port_pair(), PROPERTIES) as node,
    ):
        yield node


@pytest.fixture(scope="session")
def our_broker(oracle_classpath: str) -> Iterator[Node]:
    """The broker under test."""
    with (
        apache.temporary_directory("oracle-ours") as directory,
        apache.node_under_test(directory, PROPERTIES) as node,
    ):
        yield node


@pytest.fixture(scope="session")
def pair(apache_broker: Node, our_broker: Node) -> Pair:
    """Both."""
    return Pair(apache_broker, our_broker, int(time.time() * 1000) // 1000 * 1000 - 3_600_000)
