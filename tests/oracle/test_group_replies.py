"""The same words about groups to Apache's broker and to ours: answers and records agree.

Two nodes of their own, with time-outs of about a second, so that expiry can be waited for.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.oracle import apache, scenarios_consumer_groups, scenarios_groups, scenarios_offsets
from tests.oracle.conftest import Pair
from tests.oracle.node import free_port_pair
from tests.oracle.raw import Recorder, differences
from tests.oracle.test_replies import ALLOWED

PROPERTIES = {
    "num.partitions": "2",
    "log.retention.check.interval.ms": "3600000",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "3",
    "group.min.session.timeout.ms": "500",
    "group.max.size": "3",
    "group.consumer.max.size": "3",
    "group.consumer.min.session.timeout.ms": "500",
    "group.consumer.assignment.interval.ms": "0",
    "group.consumer.min.heartbeat.interval.ms": "100",
}
SCENARIOS = [
    *scenarios_groups.SCENARIOS,
    *scenarios_offsets.SCENARIOS,
    *scenarios_consumer_groups.SCENARIOS,
]


@pytest.fixture(scope="module")
def group_pair(oracle_classpath: str) -> Iterator[Pair]:
    """Apache's broker and the one under test, for groups only."""
    with contextlib.ExitStack() as stack:
        made = []
        for kind in ("apache", "ours"):
            directory = stack.enter_context(apache.temporary_directory(f"groups-{kind}"))
            if kind == "apache":
                node = apache.ApacheNode(directory, free_port_pair(), PROPERTIES)
            else:
                node = apache.node_under_test(directory, PROPERTIES)
            made.append(stack.enter_context(node))
        yield Pair(made[0], made[1], int(time.time() * 1000) // 1000 * 1000 - 3_600_000)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=lambda s: f"{s.__module__.split('_', 1)[1]}-{s.__name__}"
)
def test_same_answers(scenario: Callable[[Recorder], None], group_pair: Pair) -> None:
    """All differences that no line of differences.toml allows, listed."""
    recorders = [Recorder(n.port, 0) for n in (group_pair.apache, group_pair.ours)]
    for recorder in recorders:
        with contextlib.closing(recorder):
            scenario(recorder)
    theirs, ours = (recorder.answers for recorder in recorders)
    assert theirs
    found: list[str] = []
    for number, (their, our) in enumerate(zip(theirs, ours, strict=False)):
        lines = [
            line
            for line in differences(their.answer, our.answer)
            if not _allowed(scenario.__name__, f"{their.question}\n{line}")
        ]
        if lines:
            found.append("\n    ".join([f"{number}: {their.question}", *lines]))
    assert not found, f"{len(found)} answers differ\n" + "\n".join(found)
    assert len(theirs) == len(ours)


def _allowed(scenario: str, text: str) -> bool:
    return apache.against() != "apache" and any(
        row["scenario"] == scenario and re.search(row["match"], text, re.DOTALL) for row in ALLOWED
    )


_RECORD = re.compile(r"^\| offset: \d+ .*? key: (\{.*?\}) payload: (.*)$", re.MULTILINE)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KAFKA_ID = re.compile(r"^[A-Za-z0-9_-]{22}$")
_TIMES = {
    "commitTimestamp",
    "expireTimestamp",
    "currentStateTimestamp",
    "timestamp",
    "assignmentTimestamp",
}


def _masked(name: str, value: Any, member_ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _masked(key, item, member_ids) for key, item in value.items()}
    if isinstance(value, list):
        items = [_masked("", item, member_ids) for item in value]
        return sorted(items, key=lambda i: json.dumps(i, sort_keys=True))
    if name in _TIMES:
        return "<time>" if value > 0 else value
    if name == "topicId":
        return "<id>"
    if name == "metadataHash":
        return "<hash>" if value else value
    if name == "version" and isinstance(value, int):
        return "<offset of the metadata>"  # Of a resolved regex; schema versions are texts.
    if name in ("memberId", "leader") and value and _KAFKA_ID.match(value):
        return member_ids.setdefault(value, f"<{len(member_ids)}>")
    if isinstance(value, str):
        return _UUID.sub(lambda m: member_ids.setdefault(m[0], f"<{len(member_ids)}>"), value)
    return value


def records(data: Path) -> dict[str, list[Any]]:
    """group id -> its records in order, masked, as Apache's tool decodes them."""
    files = sorted(data.glob("__consumer_offsets-*/*.log"))
    assert files
    names = ",".join(map(str, files))
    text = apache.tools.run("dump-log", "--offsets-decoder", "--files", names).ok()
    out: dict[str, list[Any]] = defaultdict(list)
    ids: dict[str, dict[str, str]] = defaultdict(dict)
    for key_text, value_text in _RECORD.findall(text):
        key = json.loads(key_text)
        value = None if value_text == "<DELETE>" else json.loads(value_text)
        group = next(key["data"][name] for name in ("group", "groupId") if name in key["data"])
        row = {"key": key, "value": value}
        out[group].append(_masked("", row, ids[group]))
    return out


def test_same_records(group_pair: Pair) -> None:
    """What all the scenarios left in __consumer_offsets, group by group, record by record."""
    found = []
    for node in (group_pair.apache, group_pair.ours):
        node.stop()
        found.append(records(node.data))
    theirs, ours = found
    assert len(theirs) > 20
    lines = [
        f"{group} {line}"
        for group in sorted({*theirs, *ours})
        for line in differences(theirs.get(group, []), ours.get(group, []))
        if not _allowed("records", f"{group}\n{line}")
    ]
    assert not lines, f"{len(lines)} differences\n" + "\n".join(lines[:200])
