"""One node for all clients, and one object of each client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.interop.client import Client
from tests.interop.clients import CLIENTS
from tests.oracle import apache
from tests.oracle.node import Node
from tests.oracle.under_test import require

#: Sessions of the consumer protocol are the broker's to set; these let a test wait for one to end.
SHORT_SESSIONS = {
    "group.consumer.min.session.timeout.ms": "5000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
}


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The node under test, three partitions by default, as a user would start it."""
    with apache.temporary_directory("interop") as directory:
        with apache.node_under_test(
            directory, {"num.partitions": "3", **SHORT_SESSIONS}
        ) as started:
            yield started
        apache.tools.close()


@pytest.fixture(scope="session")
def client(node: Node) -> Iterator[Callable[[str], Client]]:
    """The client of a name; skips (in CI: fails) when its language is not here."""
    made: dict[str, Client] = {}

    def get(name: str) -> Client:
        kind = CLIENTS[name]
        require(kind.missing())
        if name not in made:
            made[name] = kind(node.bootstrap)
        return made[name]

    yield get
    for one in made.values():
        one.close()
