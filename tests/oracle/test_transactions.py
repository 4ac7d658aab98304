"""The same words about transactions to Apache's coordinator and to ours: answers and records agree.

Pairs of nodes of their own, once with transaction.version 2 (KIP-890, Kafka's default) and once
with 1 and 0, with short time-outs, so that they can be waited for.
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

from kafka_py.protocol.registry import ApiKey
from tests.oracle import apache
from tests.oracle.conftest import Pair
from tests.oracle.node import free_port_pair
from tests.oracle.raw import Recorder, differences
from tests.oracle.scenarios_transactions import LONG, SCENARIOS
from tests.oracle.test_replies import ALLOWED

PROPERTIES = {
    "num.partitions": "2",
    "log.retention.check.interval.ms": "3600000",
    "auto.create.topics.enable": "false",
    "transaction.state.log.num.partitions": "3",
    "offsets.topic.num.partitions": "3",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
}
LEVELS = (2, 1, 0)
RUNS = [(scenario, level) for level in LEVELS for scenario in SCENARIOS]


@pytest.fixture(scope="module")
def pairs(oracle_classpath: str) -> Iterator[dict[int, Pair]]:
    """Apache's broker and the one under test, for each level of transaction.version."""
    made: dict[int, Pair] = {}
    with contextlib.ExitStack() as stack:

        class Lazily(dict[int, Pair]):
            def __missing__(self, level: int) -> Pair:
                nodes = []
                for kind in ("apache", "ours"):
                    directory = stack.enter_context(
                        apache.temporary_directory(f"transactions-{level}-{kind}")
                    )
                    if kind == "apache":
                        node = apache.ApacheNode(directory, free_port_pair(), PROPERTIES)
                    else:
                        node = apache.node_under_test(directory, PROPERTIES)
                    nodes.append(stack.enter_context(node))
                    set_level(node.port, level)
                self[level] = Pair(nodes[0], nodes[1], 0)
                made[level] = self[level]
                return self[level]

        yield Lazily()


def set_level(port: int, level: int) -> None:
    """Finalize a level of transaction.version, and wait until the broker shows it."""
    r = Recorder(port, 0)
    with contextlib.closing(r):
        row = {"feature": "transaction.version", "max_version_level": level}
        if level < 2:
            row["upgrade_type"] = 2
        reply = r.quiet(ApiKey.UPDATE_FEATURES, 2, feature_updates=[row], timeout_ms=10_000)
        assert reply.error_code == 0, reply
        deadline = time.monotonic() + 10
        while True:
            who = {"client_software_name": "oracle", "client_software_version": "1"}
            found = r.quiet(ApiKey.API_VERSIONS, 4, **who).finalized_features
            levels = {f.name: f.max_version_level for f in found}
            if levels.get("transaction.version", 0) == level:
                return
            assert time.monotonic() < deadline, levels
            time.sleep(0.05)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("scenario", "level"), RUNS, ids=[f"{s.__name__}-{level}" for s, level in RUNS]
)
def test_same_answers(
    scenario: Callable[[Recorder], None], level: int, pairs: dict[int, Pair]
) -> None:
    """All differences that no line of differences.toml allows, listed."""
    compare(scenario, pairs[level])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", LONG, ids=lambda s: s.__name__)
def test_same_answers_at_length(
    scenario: Callable[[Recorder], None], pairs: dict[int, Pair]
) -> None:
    """Those that take their time."""
    compare(scenario, pairs[2])


def compare(scenario: Callable[[Recorder], None], pair: Pair) -> None:
    """Run it against both, and list where they differ."""
    recorders = [Recorder(n.port, 0) for n in (pair.apache, pair.ours)]
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
            if not allowed(scenario.__name__, f"{their.question}\n{line}")
        ]
        if lines:
            found.append("\n    ".join([f"{number}: {their.question}", *lines]))
    assert not found, f"{len(found)} answers differ\n" + "\n".join(found)
    assert len(theirs) == len(ours)


def allowed(scenario: str, text: str) -> bool:
    """Whether differences.toml has a reason for it."""
    return apache.against() != "apache" and any(
        row["scenario"] == scenario and re.search(row["match"], text, re.DOTALL) for row in ALLOWED
    )


_RECORD = re.compile(r"^\| offset: \d+ .*? key: (\{.*?\}) payload: (.*)$", re.MULTILINE)
_BATCH = re.compile(r"^baseOffset: .*$", re.MULTILINE)
#: What a batch's header says of this batch alone.
_ITS_OWN = re.compile(r"(baseOffset|lastOffset|count|CreateTime|crc|position|size): \d+ ")
_TIMES = {"transactionLastUpdateTimestampMs", "transactionStartTimestampMs"}
_IDS = {"producerId", "previousProducerId", "nextProducerId"}


def masked(name: str, value: Any, ids: dict[int, str]) -> Any:
    """Without times; producer ids by their order; lists in one order."""
    if isinstance(value, dict):
        return {key: masked(key, item, ids) for key, item in value.items()}
    if isinstance(value, list):
        items = [masked("", item, ids) for item in value]
        return sorted(items, key=lambda i: json.dumps(i, sort_keys=True))
    if name in _TIMES:
        return "<time>" if value > 0 else value
    if name in _IDS:
        return ids.setdefault(value, f"<{len(ids)}>") if value >= 0 else value
    return value


def records(data: Path) -> dict[str, list[Any]]:
    """transactional id -> its records in order, masked, as Apache's tool decodes them; and what
    the headers of their batches say."""
    files = sorted(data.glob("__transaction_state-*/*.log"))
    assert files
    names = ",".join(map(str, files))
    text = apache.tools.run("dump-log", "--transaction-log-decoder", "--files", names).ok()
    out: dict[str, list[Any]] = defaultdict(list)
    ids: dict[str, dict[int, str]] = defaultdict(dict)
    out["batches"] = sorted({_ITS_OWN.sub("", header) for header in _BATCH.findall(text)})
    for key_text, value_text in _RECORD.findall(text):
        key = json.loads(key_text)
        value = None if value_text == "<DELETE>" else json.loads(value_text)
        name = key["data"]["transactionalId"]
        out[name].append(masked("", {"key": key, "value": value}, ids[name]))
    return out


@pytest.mark.timeout(120)
@pytest.mark.parametrize("level", LEVELS)
def test_same_records(level: int, pairs: dict[int, Pair]) -> None:
    """What the scenarios left in __transaction_state, id by id, record by record."""
    pair = pairs[level]
    found = []
    for node in (pair.apache, pair.ours):
        node.stop()
        found.append(records(node.data))
    theirs, ours = found
    assert len(theirs) > 8
    lines = [
        f"{name} {line}"
        for name in sorted({*theirs, *ours})
        for line in differences(theirs.get(name, []), ours.get(name, []))
        if not allowed("records", f"{name}\n{line}")
    ]
    assert not lines, f"{len(lines)} differences\n" + "\n".join(lines[:200])
