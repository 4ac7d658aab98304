"""Apache's broker and ours with an authorizer: the same rights, the same answers.

Two nodes of their own; see scenarios_acls for how callers are told apart.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator

import pytest

from tests.oracle import apache, scenarios_acl_guests, scenarios_acls
from tests.oracle.conftest import Pair
from tests.oracle.node import Node, free_port_pair
from tests.oracle.raw import Answer, Recorder, differences
from tests.oracle.test_replies import ALLOWED

PROPERTIES = {
    "num.partitions": "2",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "log.retention.check.interval.ms": "3600000",
    "group.consumer.session.timeout.ms": "60000",
}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def acl_pair(oracle_classpath: str) -> Iterator[Pair]:
    """Apache's broker and the one under test, each with an authorizer; the host may everything."""
    with contextlib.ExitStack() as stack:
        made: list[Node] = []
        for kind in ("apache", "ours"):
            directory = stack.enter_context(apache.temporary_directory(f"acls-{kind}"))
            if kind == "apache":
                node: Node = apache.ApacheNode(directory, free_port_pair(), PROPERTIES)
            else:
                node = apache.node_under_test(directory, PROPERTIES)
            made.append(stack.enter_context(node))
            host = Recorder(node.port, 0)
            scenarios_acls.let_the_host_in(host)
            host.close()
        yield Pair(made[0], made[1], int(time.time() * 1000) // 1000 * 1000 - 3_600_000)


def compare(scenario: str, theirs: list[Answer], ours: list[Answer]) -> None:
    """All differences that no line of differences.toml allows, listed."""
    assert theirs
    found: list[str] = []
    state = ""
    for their, our in zip(theirs, ours, strict=True):
        if their.question == "the guest may":
            state = their.answer
        lines = [
            line
            for line in differences(their.answer, our.answer)
            if not allowed(scenario, f"{their.question}\n{line}")
        ]
        if lines:
            found.append("\n    ".join([f"[{state}] {their.question}", *lines]))
    assert not found, f"{len(found)} of {len(theirs)} answers differ\n" + "\n".join(found)


def allowed(scenario: str, text: str) -> bool:
    """Whether a difference is meant."""
    return apache.against() != "apache" and any(
        row["scenario"] == scenario and re.search(row["match"], text, re.DOTALL) for row in ALLOWED
    )


def test_the_three_apis(acl_pair: Pair) -> None:
    """Entries created, described and deleted."""
    recorders = [Recorder(node.port, 0) for node in (acl_pair.apache, acl_pair.ours)]
    for recorder in recorders:
        with contextlib.closing(recorder):
            scenarios_acls.acl_apis(recorder)
    compare("acl_apis", *(recorder.answers for recorder in recorders))


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
    compare(f"acl_{scenario.__name__}", *answers)
