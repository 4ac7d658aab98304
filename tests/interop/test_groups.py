"""Consumer groups with real clients: who owns what when, what is read, what is committed."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.interop.clients import CLIENTS
from tests.interop.groups.events import check
from tests.interop.groups.processes import Member
from tests.interop.groups.scenario import MAX_POLL_MS, Kind, Scenario, kept, scenario
from tests.oracle.node import Node
from tests.oracle.under_test import require

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(400)]

#: Scenarios spend most of their time waiting for time-outs, so some run side by side.
SIDE_BY_SIDE = 3
#: Longer than a round of a cooperative rebalance: a heartbeat, and the joins.
QUIET_S = 2.0

KINDS = [
    Kind("java", "classic", "range"),
    Kind("java", "classic", "roundrobin"),
    Kind("java", "classic", "sticky"),
    Kind("java", "classic", "cooperative-sticky"),
    Kind("java", "consumer", "uniform"),
    Kind("java", "consumer", "range"),
    Kind("librdkafka", "classic", "range"),
    Kind("librdkafka", "classic", "roundrobin"),
    Kind("librdkafka", "classic", "cooperative-sticky"),
    Kind("librdkafka", "consumer", "uniform", leaves_asleep=False),
    Kind("librdkafka", "consumer", "range", leaves_asleep=False),
    Kind("franz-go", "classic", "range", leaves_asleep=False),
    Kind("franz-go", "classic", "cooperative-sticky", leaves_asleep=False),
    Kind("franz-go", "consumer", "uniform", leaves_asleep=False),
    Kind("franz-go", "consumer", "range", leaves_asleep=False),
    Kind("kafkajs", "classic", "roundrobin"),
    Kind("aiokafka", "classic", "range", tells_lost=False),
    Kind("aiokafka", "classic", "roundrobin", tells_lost=False),
    Kind("aiokafka", "classic", "sticky", tells_lost=False),
    Kind("kafka-python", "classic", "range"),
    Kind("kafka-python", "classic", "roundrobin"),
    Kind("kafka-python", "classic", "sticky"),
    Kind("kafka-python", "classic", "cooperative-sticky"),
]


def alone(one: Scenario) -> Member:
    """The first member, in possession of everything.

    A kafka-python member that joins anew a moment after its first join has been seen to be stuck in
    the second one for good, alone in its group: then another one takes its place.
    """
    for number in range(3):
        member = one.start("a" * (number + 1))
        try:
            one.settle(member, timeout_s=20.0)
        except AssertionError:
            if number == 2:
                raise
            member.kill()
        else:
            break
    return member


def life(one: Scenario) -> None:
    """Two members, two late ones; one paused, one killed, one asleep; one leaves; all is read."""
    kind = one.kind
    # Two that join an empty group at once have left a kafka-python member stuck in its second join,
    # at Apache's broker as at ours.
    a = alone(one) if kind.client == "kafka-python" else one.start("a")
    b = one.start("b")
    one.settle(a, b)
    before = [a.owned, b.owned]
    c, d = one.start("c"), one.start("d")
    one.settle(a, b, c, d, quiet_s=QUIET_S if kind.assignor == "cooperative-sticky" else 0.0)
    if kind.keeps:
        assert kept(before, [a.owned, b.owned]), f"{before} became {a.owned}, {b.owned}"
    # The sleeper first: it has left before the others are missed, and is given nothing of theirs.
    # It wakes when the others' sessions have been over for a while: until then a is to be seen
    # alone.
    d.tell(f"sleep {MAX_POLL_MS / 1000 + (10 if kind.leaves_asleep else 3)}")
    one.wait(lambda: bool(d.said("sleeping")), "d sleeps")
    time.sleep(1)
    b.pause()
    c.kill()
    if kind.leaves_asleep:
        one.settle(a)
    else:
        one.wait(lambda: bool(d.said("woke")), "d sleeps no more")
        one.settle(a, d)
    b.resume()
    one.wait(lambda: bool(d.said("woke")), "d sleeps no more")
    one.settle(a, b, d)
    assert a.leave() == 0
    one.settle(b, d)
    one.committed_since_now()
    one.producer.stop()
    one.caught_up()
    assert b.leave() == 0
    one.settle(d)
    assert d.leave() == 0
    owned = check(one.events, one.producer.ends, one.timing)
    if kind.tells_lost:
        assert b.said("lost"), "the paused member never heard that it had lost its partitions"
        assert any(o.lost for o in owned if o.member == "b")
    if kind.client == "java":
        assert d.said("lost"), "the sleeper never heard that it had lost its partitions"
        states = {place: json.loads(path.read_text()) for place, path in state_files(one).items()}
        for place, end in one.producer.ends.items():
            assert states[place] == {"next": end, "count": end, "sum": one.producer.sums[place]}


def state_files(one: Scenario) -> dict:  # type: ignore[type-arg]
    """Where the Java members keep what they know of each partition."""
    return {(t, p): one.state_dir / f"{t}-{p}.json" for t, p in one.places}


class Runs:
    """The scenarios of the selected tests, begun in order and some at a time, before their turn."""

    def __init__(self, node: Node, items: list[pytest.Item]) -> None:
        """``items``: all selected tests."""
        self.pool = ThreadPoolExecutor(SIDE_BY_SIDE)
        self.futures: dict[str, Future[None]] = {}
        for item in items:
            params = getattr(item, "callspec", None)
            kind = params.params.get("kind") if params else None
            ours = isinstance(kind, Kind) and item.name.startswith("test_life[")
            if ours and CLIENTS[kind.client].missing() is None:
                self.futures[kind.name] = self.pool.submit(self._run, node, kind)

    def _run(self, node: Node, kind: Kind) -> None:
        with scenario(node.bootstrap, kind, f"life-{kind.name}") as one:
            life(one)


@pytest.fixture(scope="module")
def runs(node: Node, request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    """Begun with the module's first test that asks."""
    made = Runs(node, request.session.items)
    yield made
    made.pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_life(kind: Kind, request: pytest.FixtureRequest) -> None:
    """As ``life`` has it; the checks are in groups/events.py."""
    require(CLIENTS[kind.client].missing())
    started: Runs = request.getfixturevalue("runs")
    started.futures[kind.name].result(380)
