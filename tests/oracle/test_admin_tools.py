"""What Apache's admin tools print of our node and of Apache's: settings and endpoints.

Every step runs against both nodes; ids, addresses, paths, sizes and times are masked, lines of sets
are sorted. Exit statuses must agree as well.
"""

# ruff: noqa: E501 (a command is one line)

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.oracle import apache
from tests.oracle.conftest import Pair
from tests.oracle.node import Node

ID = r"(?<![\w-])[A-Za-z0-9_-]{22}(?![\w-])"


@dataclass(frozen=True)
class Step:
    """One run of a tool; ``mask`` changes what it printed before it is compared."""

    tool: str
    words: str
    mask: Callable[[str], str] = field(default=lambda text: text)


def sort_lines(text: str) -> str:
    """Lines in an order of their own: the tools print sets as they come."""
    return "\n".join(sorted(text.splitlines()))


def only_kafkas(text: str) -> str:
    """Without our own kafka_py.* keys, sorted."""
    return sort_lines("\n".join(row for row in text.splitlines() if "kafka_py." not in row))


STEPS = {
    "configs of brokers": [
        Step("configs", "--describe --entity-type brokers --entity-name 1", sort_lines),
        Step("configs", "--describe --entity-type brokers --entity-name 1 --all", only_kafkas),
        Step("configs", "--describe --entity-type brokers --entity-default", sort_lines),
        Step("configs", "--alter --entity-type brokers --entity-name 1 --add-config log.retention.ms=900000000"),
        Step("configs", "--alter --entity-type brokers --entity-default --add-config log.retention.ms=800000000"),
        Step("configs", "--describe --entity-type brokers --entity-name 1", sort_lines),
        Step("configs", "--describe --entity-type brokers --entity-default", sort_lines),
        Step("configs", "--alter --entity-type brokers --entity-name 1 --add-config node.id=7"),
        Step("configs", "--alter --entity-type brokers --entity-name 1 --delete-config log.retention.ms"),
        Step("configs", "--alter --entity-type brokers --entity-default --delete-config log.retention.ms"),
        Step("configs", "--describe --entity-type brokers --entity-name 1", sort_lines),
    ],
    "configs of groups and client metrics": [
        Step("configs", "--alter --entity-type groups --entity-name tools-g --add-config consumer.session.timeout.ms=50000"),
        Step("configs", "--alter --entity-type groups --entity-name tools-g --add-config consumer.session.timeout.ms=5"),
        Step("configs", "--alter --entity-type client-metrics --entity-name tools-m --add-config metrics=[a.b,c],interval.ms=1000"),
        Step("configs", "--describe --entity-type client-metrics --entity-name tools-m", sort_lines),
        Step("configs", "--alter --entity-type client-metrics --entity-name tools-m --add-config interval.ms=5"),
    ],
    "cluster": [
        Step("cluster", "cluster-id"),
        Step("cluster", "list-endpoints", lambda text: re.sub(r"[ \t]+", " ", text)),
        Step("cluster", "list-endpoints --include-fenced-brokers", lambda text: re.sub(r"[ \t]+", " ", text)),
        Step("cluster", "unregister --id 77"),
    ],
    "versions": [
        Step("cluster", "list-endpoints --bootstrap-controller", lambda text: re.sub(r"[ \t]+", " ", text)),
    ],
}  # fmt: skip


def masked(text: str, node: Node) -> str:
    """Without what differs between any two nodes."""
    text = text.replace(str(node.data), "<data>").replace(str(node.directory), "<dir>")
    text = re.sub(
        rf":{node.port + 1}\b", ":<controller>", re.sub(rf":{node.port}\b", ":<port>", text)
    )
    text = re.sub(rf"\b{node.port}\b", "<port>", text).replace(str(node.port + 1), "<controller>")
    text = re.sub(r"^\[\d{4}-.*$", "", text, flags=re.M)
    return re.sub(ID, "ID", text)


def play(node: Node, steps: list[Step]) -> list[tuple[str, int, str]]:
    """(command, exit status, what was printed) of each step."""
    out = []
    for step in steps:
        words = step.words.split()
        if "--bootstrap-controller" in words:
            words.append(f"127.0.0.1:{node.port + 1}")
        else:
            words += ["--bootstrap-server", node.bootstrap]
        ran = apache.tools.run(step.tool, *words)
        printed = step.mask(masked(ran.out, node)).strip()
        out.append((f"{step.tool} {step.words}", ran.exit, printed))
    return out


@pytest.mark.parametrize("name", STEPS)
def test_the_tools_see_the_same(name: str, pair: Pair) -> None:
    """Line by line."""
    expected, found = play(pair.apache, STEPS[name]), play(pair.ours, STEPS[name])
    assert found == expected
