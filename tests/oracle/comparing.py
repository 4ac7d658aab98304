"""Two nodes side by side: what a scenario is answered by both, and what it left in their logs."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.oracle import apache
from tests.oracle.node import Node, free_port_pair
from tests.oracle.raw import Answer, Recorder, differences

#: Every difference that is meant, each with its reason.
ALLOWED = tomllib.loads((Path(__file__).parent / "differences.toml").read_text())["difference"]

_RECORD = re.compile(r"^\| offset: \d+ .*? key: (\{.*?\}) payload: (.*)$", re.MULTILINE)


def two_nodes(
    stack: contextlib.ExitStack, name: str, properties: Mapping[str, str]
) -> tuple[Node, Node]:
    """Apache's broker and the one under test, both started, by the same properties."""
    made = []
    for kind in ("apache", "ours"):
        directory = stack.enter_context(apache.temporary_directory(f"{name}-{kind}"))
        if kind == "apache":
            node: Node = apache.ApacheNode(directory, free_port_pair(), properties)
        else:
            node = apache.node_under_test(directory, properties)
        made.append(stack.enter_context(node))
    return made[0], made[1]


def allowed(scenario: str, text: str) -> bool:
    """Whether differences.toml has a reason for it."""
    return apache.against() != "apache" and any(
        row["scenario"] == scenario and re.search(row["match"], text, re.DOTALL) for row in ALLOWED
    )


def compare_answers(scenario: str, theirs: list[Answer], ours: list[Answer]) -> None:
    """All differences that no line of differences.toml allows, listed."""
    assert theirs
    found: list[str] = []
    state = ""
    for number, (their, our) in enumerate(zip(theirs, ours, strict=False)):
        if their.question == "the guest may":
            state = f"[{their.answer}] "
        lines = [
            line
            for line in differences(their.answer, our.answer)
            if not allowed(scenario, f"{their.question}\n{line}")
        ]
        if lines:
            found.append("\n    ".join([f"{number}: {state}{their.question}", *lines]))
    assert not found, f"{len(found)} of {len(theirs)} answers differ\n" + "\n".join(found)
    assert len(theirs) == len(ours)


def compare(
    scenario: Callable[[Recorder], None], theirs: Node, ours: Node, first_timestamp: int = 0
) -> None:
    """Run a scenario against both, and list where the answers differ."""
    recorders = [Recorder(node.port, first_timestamp) for node in (theirs, ours)]
    for recorder in recorders:
        with contextlib.closing(recorder):
            scenario(recorder)
    compare_answers(scenario.__name__, *(recorder.answers for recorder in recorders))


def dumped(data: Path, topic: str, decoder: str) -> str:
    """What Apache's tool prints of a coordinator's topic."""
    files = sorted(data.glob(f"{topic}-*/*.log"))
    assert files
    return apache.tools.run("dump-log", decoder, "--files", ",".join(map(str, files))).ok()


def decoded(text: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """The records in such a text: key, and value (None: a tombstone)."""
    for key, value in _RECORD.findall(text):
        yield json.loads(key), None if value == "<DELETE>" else json.loads(value)


def in_one_order(items: list[Any]) -> list[Any]:
    """A list whose order means nothing, sorted."""
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def compare_records(theirs: Mapping[str, list[Any]], ours: Mapping[str, list[Any]]) -> None:
    """All differences between records by name that no line of differences.toml allows, listed."""
    lines = [
        f"{name} {line}"
        for name in sorted({*theirs, *ours})
        for line in differences(theirs.get(name, []), ours.get(name, []))
        if not allowed("records", f"{name}\n{line}")
    ]
    assert not lines, f"{len(lines)} differences\n" + "\n".join(lines[:200])
