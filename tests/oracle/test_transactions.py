"""The same words about transactions to Apache's coordinator and to ours: answers and records agree.

Pairs of nodes of their own, once with transaction.version 2 (KIP-890, Kafka's default) and once
with 1 and 0, with short time-outs, so that they can be waited for.
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

from kafka_py.protocol.registry import ApiKey
from tests.oracle.comparing import (
    compare,
    compare_records,
    decoded,
    dumped,
    in_one_order,
    two_nodes,
)
from tests.oracle.conftest import Pair
from tests.oracle.raw import Recorder
from tests.oracle.scenarios_transactions import LONG, SCENARIOS

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
    with contextlib.ExitStack() as stack:

        class Lazily(dict[int, Pair]):
            def __missing__(self, level: int) -> Pair:
                nodes = two_nodes(stack, f"transactions-{level}", PROPERTIES)
                for node in nodes:
                    set_level(node.port, level)
                self[level] = Pair(*nodes, 0)
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
    pair = pairs[level]
    compare(scenario, pair.apache, pair.ours)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", LONG, ids=lambda s: s.__name__)
def test_same_answers_at_length(
    scenario: Callable[[Recorder], None], pairs: dict[int, Pair]
) -> None:
    """Those that take their time."""
    compare(scenario, pairs[2].apache, pairs[2].ours)


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
        return in_one_order([masked("", item, ids) for item in value])
    if name in _TIMES:
        return "<time>" if value > 0 else value
    if name in _IDS:
        return ids.setdefault(value, f"<{len(ids)}>") if value >= 0 else value
    return value


def records(data: Path) -> dict[str, list[Any]]:
    """transactional id -> its records in order, masked, as Apache's tool decodes them; and what
    the headers of their batches say."""
    text = dumped(data, "__transaction_state", "--transaction-log-decoder")
    out: dict[str, list[Any]] = defaultdict(list)
    ids: dict[str, dict[int, str]] = defaultdict(dict)
    out["batches"] = sorted({_ITS_OWN.sub("", header) for header in _BATCH.findall(text)})
    for key, value in decoded(text):
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
    assert len(found[0]) > 8
    compare_records(*found)
