"""What kafka-consumer-groups and kafka-groups print of our node is what they print of Apache's."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle import apache
from tests.oracle.conftest import Pair
from tests.oracle.group_peers import UNENDING_MS
from tests.oracle.node import Node, free_port_pair
from tests.oracle.scenarios_group_tools import COMMANDS, Set, files, prepare

TOOLS = {
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "groups": "org.apache.kafka.tools.GroupsCommand",
}
PROPERTIES = {
    "group.consumer.max.session.timeout.ms": str(UNENDING_MS),
    "group.consumer.session.timeout.ms": str(UNENDING_MS),
}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def printed(node: Node, line: str, folder: Path) -> tuple[int, list[str]]:
    """Exit status and masked lines, sorted (the tools print sets as they come)."""
    tool, *args = line.replace("FOLDER", str(folder)).split()
    words = (*args, "--bootstrap-server", node.bootstrap)
    ran = apache.tools.run(TOOLS[tool], *words, timeout_s=90)
    errors = [
        f"stderr: {text}"
        for text in ran.err.splitlines()
        if text.strip() and not text.startswith(("\tat ", "\t... ", "[", "Caused by: "))
    ]
    text = "\n".join([*ran.out.splitlines(), *errors]).replace(str(node.port), "<port>")
    text = _UUID.sub("<uuid>", text)
    rows = [re.sub(r"[ \t]+", " ", row).strip() for row in text.splitlines()]
    return ran.exit, sorted(row for row in rows if row)


class Outputs:
    """The commands run on both, in order, as far as somebody has asked."""

    def __init__(self, pair: Pair, folder: Path) -> None:
        """Both brokers are brought into the same state."""
        files(folder)
        self._pair = pair
        self._folder = folder
        self.sets: list[Set] = [prepare(node) for node in (pair.apache, pair.ours)]
        self._out: list[list[tuple[int, list[str]]]] = []

    def upto(self, number: int) -> list[tuple[int, list[str]]]:
        """[Apache's, ours] of that command, after all those before it."""
        while len(self._out) <= number:
            line = COMMANDS[len(self._out)]
            found = []
            for node, state in zip((self._pair.apache, self._pair.ours), self.sets, strict=True):
                state.stay()
                found.append(printed(node, line, self._folder))
            self._out.append(found)
        return self._out[number]


@pytest.fixture(scope="module")
def outputs(oracle_classpath: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outputs]:
    """Two nodes of their own: the lists of groups are theirs alone."""
    with contextlib.ExitStack() as stack:
        made: list[Node] = []
        for ours in (False, True):
            directory = stack.enter_context(apache.temporary_directory("group-tools"))
            node: Node = (
                apache.node_under_test(directory, PROPERTIES)
                if ours
                else apache.ApacheNode(directory, free_port_pair(), PROPERTIES)
            )
            made.append(stack.enter_context(node))
            _make_coordinator(node)
        found = Outputs(Pair(made[0], made[1], 0), tmp_path_factory.mktemp("plans"))
        yield found
        for state in found.sets:
            state.close()


def _make_coordinator(node: Node) -> None:
    """Have __consumer_offsets made and wait for it."""
    import time

    from kafka_py.protocol.registry import ApiKey
    from tests.oracle.raw import Recorder

    recorder = Recorder(node.port, 0)
    deadline = time.monotonic() + 30
    asked = {"coordinator_keys": ["any"], "key_type": 0}
    while (
        recorder.quiet(ApiKey.FIND_COORDINATOR, 4, **asked).coordinators[0].error_code
        or recorder.quiet(ApiKey.LIST_GROUPS, 5).error_code
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    recorder.close()


@pytest.mark.parametrize(
    "number", range(len(COMMANDS)), ids=[f"{i}: {line}" for i, line in enumerate(COMMANDS)]
)
def test_same_output(number: int, outputs: Outputs) -> None:
    """Exit status and every printed line."""
    theirs, ours = outputs.upto(number)
    assert theirs[1] or theirs[0] == 0
    assert ours == theirs
