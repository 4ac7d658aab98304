"""What kafka-transactions prints of our node is what it prints of Apache's, for the same state."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

import pytest

from tests.oracle import apache
from tests.oracle.conftest import Pair
from tests.oracle.node import Node, free_port_pair
from tests.oracle.raw import Recorder
from tests.oracle.scenarios_transactional_data import Writer, stable
from tests.oracle.scenarios_transactions import ready

#: Without verification a producer can leave a transaction that no coordinator knows of.
PROPERTIES = {
    "transaction.partition.verification.enable": "false",
    "transaction.state.log.num.partitions": "3",
    "offsets.topic.num.partitions": "3",
}
TOPIC = "tools"
COMMANDS = (
    "list",
    "list --duration-filter 0",
    "list --transactional-id-pattern tool-o.*",
    "list --transactional-id-pattern (",
    "describe --transactional-id tool-open",
    "describe --transactional-id tool-done",
    "describe --transactional-id tool-nobody",
    "describe-producers --topic tools --partition 0",
    "describe-producers --topic tools --partition 1",
    "describe-producers --broker-id 1 --topic tools --partition 1",
    "find-hanging --topic tools",
    "find-hanging --topic tools --partition 0",
    "find-hanging --topic tools --partition 1 --max-transaction-timeout 5",
    "find-hanging --broker-id 1",
    "find-hanging --topic tools --max-transaction-timeout 600",
    "abort --topic tools --partition 1 --start-offset 5",
    "abort --topic tools --partition 1 --start-offset 0",
    "abort --topic tools --partition 1 --start-offset 0",
    "find-hanging --topic tools",
    "describe-producers --topic tools --partition 1",
    "forceTerminateTransaction --transactionalId tool-open",
    "describe --transactional-id tool-open",
    "describe-producers --topic tools --partition 0",
    "list",
)


def prepare(node: Node) -> None:
    """One transaction that is open, one that is done, one that hangs since an hour ago."""
    r = Recorder(node.port, int(time.time() * 1000) - 3_600_000)
    with contextlib.closing(r):
        ready(r, "tool-open", "tool-done", "tool-hang", topic=TOPIC)
        done, opened, hanging = (Writer(r, f"tool-{name}") for name in ("done", "open", "hang"))
        for one in (done, opened, hanging):
            one.init()
        done.write(topic=TOPIC)
        done.end(True)
        done.settled()
        stable(r, TOPIC, 2)
        opened.write(topic=TOPIC)
        hanging.write(1, topic=TOPIC, version=11)


def printed(node: Node, line: str) -> tuple[int, list[str]]:
    """Exit status and lines, without times and durations."""
    ran = apache.tools.run(
        "transactions", "--bootstrap-server", node.bootstrap, *line.split(), timeout_s=40
    )
    errors = [t for t in ran.err.splitlines() if t.strip() and not t.startswith(("\tat ", "["))]
    rows = []
    for text in [*ran.out.splitlines(), *errors]:
        row = re.sub(r"\s+", " ", text).strip().replace(str(node.port), "<port>")
        row = re.sub(r"\b\d{13}\b", "<time>", row)
        if not line.startswith("describe-producers"):
            row = re.sub(r"<time> \d+", "<time> <duration>", row)
        rows.append(row)
    return ran.exit, sorted(row for row in rows if row)


@pytest.fixture(scope="module")
def pair(oracle_classpath: str) -> Iterator[Pair]:
    """Two nodes in the same state."""
    with contextlib.ExitStack() as stack:
        made: list[Node] = []
        for ours in (False, True):
            directory = stack.enter_context(apache.temporary_directory("transaction-tools"))
            if ours:
                node = apache.node_under_test(directory, PROPERTIES)
            else:
                node = apache.ApacheNode(directory, free_port_pair(), PROPERTIES)
            made.append(stack.enter_context(node))
            prepare(node)
        yield Pair(made[0], made[1], 0)
        apache.tools.close()


@pytest.mark.timeout(240)
def test_the_tool_prints_the_same(pair: Pair) -> None:
    """Command by command; each is run on both brokers before the next."""
    found = []
    for line in COMMANDS:
        theirs, ours = (printed(node, line) for node in (pair.apache, pair.ours))
        print(line, theirs, ours, sep="\n    ")
        if theirs != ours:
            found.append(f"{line}\n    Apache {theirs}\n    ours   {ours}")
    assert not found, "\n".join(found)
