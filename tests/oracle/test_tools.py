"""What Kafka's tools print against our node is what they print against Apache's."""

from __future__ import annotations

import re

import pytest

from tests.oracle import apache
from tests.oracle.conftest import Pair
from tests.oracle.node import Node

#: One list: later commands see what earlier ones did. BOOTSTRAP is added to each.
COMMANDS = """
topics --create --topic t-one --partitions 3 --replication-factor 1
topics --create --topic t-one --partitions 3 --replication-factor 1
topics --create --if-not-exists --topic t-one
topics --create --topic t-two --partitions 1 --config retention.ms=60000 --config flush.ms=10
topics --create --topic t.dot --partitions 1
topics --create --topic t_dot --partitions 1
topics --create --topic bad/name --partitions 1
topics --create --topic t-three --partitions 1 --config no.such=1
topics --create --topic t-four --replica-assignment 1,1
topics --create --topic t-five --partitions 1 --replication-factor 3
topics --describe --topic t-one
topics --describe --topic t-two
topics --describe --topic t-nope
topics --describe --topic t-.*
topics --describe --under-replicated-partitions
topics --describe --unavailable-partitions
topics --alter --topic t-one --partitions 4
topics --alter --topic t-one --partitions 2
topics --describe --topic t-one
topics --list --topic t-.*
configs --describe --topic t-two
configs --describe --topic t-two --all
configs --describe --topic t-nope
configs --alter --topic t-two --add-config retention.ms=120000,cleanup.policy=[compact,delete]
configs --describe --topic t-two
configs --alter --topic t-two --delete-config flush.ms
configs --alter --topic t-two --add-config retention.ms=soon
configs --alter --topic t-two --add-config no.such=1
configs --describe --topic t-two
configs --alter --broker 1 --add-config log.cleaner.threads=2
configs --describe --broker 1
configs --alter --broker 1 --delete-config log.cleaner.threads
configs --alter --broker 1 --add-config node.id=7
configs --alter --entity-type brokers --entity-default --add-config log.retention.ms=99999999
configs --describe --entity-type brokers --entity-default
configs --alter --entity-type brokers --entity-default --delete-config log.retention.ms
features describe
features upgrade --feature no.such=1
features upgrade --feature metadata.version=9999
features downgrade --feature metadata.version=3
metadata-quorum describe --status
metadata-quorum describe --replication
log-dirs --describe --topic-list t-one,t-two
cluster cluster-id
cluster list-endpoints
get-offsets --topic t-one
get-offsets --topic t-one --time earliest
get-offsets --topic t-one --time max-timestamp
get-offsets --topic t-nope
get-offsets --topic-partitions t-one:1,t-two:0
topics --delete --topic t-four
topics --delete --topic t-nope
topics --delete --topic t-.*
topics --list --topic t-.*
""".strip().splitlines()

_MASKS = [
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
    (re.compile(r"(TopicId: )[\w-]{22}"), r"\1<id>"),
    (re.compile(r"((?:ClusterId|Cluster ID): +)[\w-]{22}"), r"\1<id>"),
    (re.compile(r"((?:LeaderEpoch|HighWatermark): +)\d+"), r"\1<n>"),
    (re.compile(r"(Epoch: )\d+"), r"\1<n>"),
    (re.compile(r'("logDir":")[^"]*'), r"\1<path>"),
    (re.compile(r"127\.0\.0\.1( +)\d{4,5}"), r"127.0.0.1 <port>"),
    # The quorum's replication table: directory id, end offset, lag, two times.
    (re.compile(r"^1\s+[\w-]{22}(\s+\d+){4}\s+", re.MULTILINE), "1 <id> <four numbers> "),
]


def printed(node: Node, line: str) -> tuple[int, str]:
    """Exit status and masked output of one command; of stderr, no stack traces."""
    tool, *args = line.split()
    where = ("--bootstrap-server", node.bootstrap)
    before = tool in ("features", "metadata-quorum")
    words = (*where, *args) if before else (*args, *where)
    try:
        ran = apache.tools.run(tool, *words, timeout_s=30)
    except apache.OracleFailed as e:
        return -1, str(e)
    errors = [
        text
        for text in ran.err.splitlines()
        if not text.startswith(("\tat ", "\t... ", "[main] ", "Caused by: ")) and text.strip()
    ]
    text = ran.out + "".join(f"stderr: {e}\n" for e in errors)
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return ran.exit, text


class Outputs:
    """The commands run on both, in order, as far as somebody has asked."""

    def __init__(self, pair: Pair) -> None:
        """Nothing is run yet."""
        self._pair = pair
        self._out: list[tuple[tuple[int, str], tuple[int, str]]] = []

    def upto(self, number: int) -> tuple[tuple[int, str], tuple[int, str]]:
        """(Apache's, ours) of that command, after all those before it."""
        while len(self._out) <= number:
            line = COMMANDS[len(self._out)]
            self._out.append((printed(self._pair.apache, line), printed(self._pair.ours, line)))
        return self._out[number]


@pytest.fixture(scope="module")
def outputs(pair: Pair) -> Outputs:
    """Shared by all commands: later ones see what earlier ones did."""
    return Outputs(pair)


@pytest.mark.parametrize(
    "number", range(len(COMMANDS)), ids=[f"{i}: {line}" for i, line in enumerate(COMMANDS)]
)
def test_same_output(number: int, outputs: Outputs) -> None:
    """Exit status and every printed line."""
    theirs, ours = outputs.upto(number)
    assert theirs[0] >= 0, theirs[1]
    assert ours == theirs
