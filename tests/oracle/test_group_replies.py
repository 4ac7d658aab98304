"""The same words about groups to Apache's broker and to ours: answers and records agree.

Two nodes of their own, which allow time-outs of about a second, so that expiry can be waited for;
what is not to expire does not before the logs are compared.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.oracle import scenarios_consumer_groups, scenarios_groups, scenarios_offsets
from tests.oracle.comparing import (
    compare,
    compare_records,
    decoded,
    dumped,
    in_one_order,
    two_nodes,
)
from tests.oracle.conftest import Pair
from tests.oracle.group_peers import UNENDING_MS
from tests.oracle.raw import Recorder

PROPERTIES = {
    "num.partitions": "2",
    "log.retention.check.interval.ms": "3600000",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "3",
    "group.min.session.timeout.ms": "500",
    "group.max.size": "3",
    "group.consumer.max.size": "3",
    "group.consumer.min.session.timeout.ms": "500",
    "group.consumer.max.session.timeout.ms": str(UNENDING_MS),
    "group.consumer.session.timeout.ms": str(UNENDING_MS),
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
        nodes = two_nodes(stack, "groups", PROPERTIES)
        yield Pair(*nodes, int(time.time() * 1000) // 1000 * 1000 - 3_600_000)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=lambda s: f"{s.__module__.split('_', 1)[1]}-{s.__name__}"
)
def test_same_answers(scenario: Callable[[Recorder], None], group_pair: Pair) -> None:
    """All differences that no line of differences.toml allows, listed."""
    compare(scenario, group_pair.apache, group_pair.ours)


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
        return in_one_order([_masked("", item, member_ids) for item in value])
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
    out: dict[str, list[Any]] = defaultdict(list)
    ids: dict[str, dict[str, str]] = defaultdict(dict)
    for key, value in decoded(dumped(data, "__consumer_offsets", "--offsets-decoder")):
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
    assert len(found[0]) > 20
    compare_records(*found)
