"""Apache's broker and ours with an authorizer: the same rights, the same answers.

Two nodes of their own; see scenarios_acls for how callers are told apart.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.oracle import scenarios_acl_guests, scenarios_acls
from tests.oracle.comparing import compare, compare_answers, two_nodes
from tests.oracle.conftest import Pair
from tests.oracle.group_peers import UNENDING_MS
from tests.oracle.raw import Answer, Recorder

PROPERTIES = {
    "num.partitions": "2",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "log.retention.check.interval.ms": "3600000",
    "group.consumer.max.session.timeout.ms": str(UNENDING_MS),
    "group.consumer.session.timeout.ms": str(UNENDING_MS),
}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def acl_pair(oracle_classpath: str) -> Iterator[Pair]:
    """Apache's broker and the one under test, each with an authorizer; the host may everything."""
    with contextlib.ExitStack() as stack:
        nodes = two_nodes(stack, "acls", PROPERTIES)
        for node in nodes:
            host = Recorder(node.port, 0)
            scenarios_acls.let_the_host_in(host)
            host.close()
        yield Pair(*nodes, int(time.time() * 1000) // 1000 * 1000 - 3_600_000)


def test_the_three_apis(acl_pair: Pair) -> None:
    """Entries created, described and deleted."""
    compare(scenarios_acls.acl_apis, acl_pair.apache, acl_pair.ours)


@pytest.mark.parametrize(
    ("scenario", "port"),
    [
        (scenarios_acl_guests.guest, 0),
        (scenarios_acl_guests.controller_listener, 1),
        (scenarios_acl_guests.patterns, 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_guest_may(
    scenario: Callable[[Recorder, Recorder], None], port: int, acl_pair: Pair
) -> None:
    """Every API in every state of rights, on a broker's listener and on a controller's."""
    answers: list[list[Answer]] = []
    for node in (acl_pair.apache, acl_pair.ours):
        start = acl_pair.first_timestamp
        host = Recorder(node.port, start)
        stranger = Recorder(node.port + port, start, source=scenarios_acls.GUEST)
        with contextlib.closing(host), contextlib.closing(stranger):
            scenario(host, stranger)
        answers.append(stranger.answers)
    compare_answers(f"acl_{scenario.__name__}", *answers)
