"""Static members and subscriptions by pattern, with real clients."""

from __future__ import annotations

import pytest

from tests.interop.clients import CLIENTS
from tests.interop.groups.events import check
from tests.interop.groups.processes import Member
from tests.interop.groups.scenario import Kind, create_topic, scenario
from tests.oracle.node import Node
from tests.oracle.under_test import require

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(150)]

STATIC = [
    Kind("java", "classic", "range"),
    Kind("java", "consumer", "uniform"),
    Kind("librdkafka", "classic", "range"),
    Kind("librdkafka", "consumer", "uniform"),
    Kind("kafka-python", "classic", "range"),
]
PATTERN = [
    Kind("java", "consumer", "uniform"),
    Kind("librdkafka", "consumer", "uniform"),
    Kind("librdkafka", "classic", "range"),
]


def _refused(member: Member) -> bool:
    """Whether it was told that another has its instance id."""
    told = [
        str(e.data["error"])
        for n in ("error", "fetch_error", "commit_failed")
        for e in member.said(n)
    ]
    return any("fenced" in text.lower() or "instance" in text.lower() for text in told)


@pytest.mark.parametrize("kind", STATIC, ids=lambda k: k.name)
def test_static_members(kind: Kind, node: Node) -> None:
    """One comes back to what it had and nobody notices; a twin is refused, or takes over."""
    require(CLIENTS[kind.client].missing())
    with scenario(node.bootstrap, kind, f"static-{kind.name}") as one:
        # One after another, for kafka-python's sake: see test_groups.py.
        for name in "abc":
            one.start(name, instance=f"static-{name}")
            one.settle(*one.members)
        a, b, c = one.members
        # Begun beforehand: a JVM may take longer to start than a session lasts.
        again, twin = (
            one.start(name, instance="static-b", waits=True) for name in ("b-again", "twin")
        )
        one.wait(lambda: bool(again.said("waiting") and twin.said("waiting")), "two more wait")
        had, seen = b.owned, [a.rebalances(), c.rebalances()]
        assert b.leave() == 0
        again.tell("join")
        one.wait(lambda: again.owned == had, f"it has {had} again", 20)
        assert [a.rebalances(), c.rebalances()] == seen
        if kind.protocol == "classic":
            # The newcomer takes over, the one before is fenced.
            again.replaced()
            twin.tell("join")
            one.wait(lambda: _refused(again), "the one before is fenced", 20)
            one.wait(lambda: twin.owned == had, f"the twin has {had}", 20)
            goes, stays = again, twin
        else:
            # The newcomer is refused as long as the one before has not left.
            twin.tell("join")
            one.wait(lambda: _refused(twin), "the twin is refused", 20)
            assert again.owned == had
            goes, stays = twin, again
        goes.kill()
        assert [a.rebalances(), c.rebalances()] == seen
        c.kill()
        one.settle(a, stays)
        one.committed_since_now()
        one.producer.stop()
        one.caught_up()
        assert a.leave() == 0
        assert stays.leave() == 0
        check(one.events, one.producer.ends, one.timing)


@pytest.mark.parametrize("kind", PATTERN, ids=lambda k: k.name)
def test_subscribed_by_pattern(kind: Kind, node: Node) -> None:
    """Topics that match are read, also one that comes later; others are not."""
    require(CLIENTS[kind.client].missing())
    name = f"pattern-{kind.name}"
    create_topic(node.bootstrap, f"not-{name}", 1)
    with scenario(node.bootstrap, kind, f"{name}-1", partitions=6) as one:
        a, b = (one.start(n, pattern=f"{name}-[0-9]") for n in "ab")
        one.settle(a, b)
        create_topic(node.bootstrap, f"{name}-2", 4)
        create_topic(node.bootstrap, f"{name}-x", 1)
        one.places |= {(f"{name}-2", p) for p in range(4)}
        one.settle(a, b, timeout_s=60)
        c = one.start("c", pattern=f"{name}-[0-9]")
        one.wait(lambda: bool(c.owned) and a.owned | b.owned | c.owned == one.places, "c has some")
        c.kill()
        one.settle(a, b)
        one.committed_since_now()
        one.producer.stop()
        one.caught_up()
        assert a.leave() == 0
        assert b.leave() == 0
        check(one.events, one.producer.ends, one.timing)
