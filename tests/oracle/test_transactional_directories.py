"""Open and completed transactions in directories that both brokers serve in turn."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from kafka_py.protocol.registry import ApiKey
from tests.oracle import apache
from tests.oracle.node import Node, OurNode, free_port_pair
from tests.oracle.raw import Recorder, differences
from tests.oracle.scenarios_transactional_data import (
    GROUP,
    Writer,
    fetch_offsets,
    read,
    stable,
)
from tests.oracle.scenarios_transactions import DESCRIBE, LIST, ready

#: Who serves the directory in turn, and how each ends.
CHAINS = {
    "ours-first": [("ours", "stop"), ("apache", "kill"), ("ours", "kill"), ("apache", "stop")],
    "apache-first": [("apache", "stop"), ("ours", "kill"), ("apache", "kill"), ("ours", "stop")],
}
TOPIC = "txn-dirs"
NAMES = ("dirs-open", "dirs-other", "dirs-offsets")


class Held:
    """The producers outlive the brokers."""

    def __init__(self, r: Recorder) -> None:
        self.writers = [Writer(r, name, timeout_ms=900_000) for name in NAMES]

    def of(self, r: Recorder) -> tuple[Writer, Writer, Writer]:
        """They, talking to that broker."""
        for one in self.writers:
            one.r = r
        opened, other, offsets = self.writers
        return opened, other, offsets


def begin(r: Recorder) -> Held:
    """One commits and aborts; two have a transaction open, of records and of offsets."""
    ready(r, *NAMES, topic=TOPIC)
    held = Held(r)
    opened, other, offsets = held.of(r)
    for one in held.writers:
        one.init()
    other.write(topic=TOPIC)
    other.end(True)
    opened.settled().write(topic=TOPIC)
    other.settled().write(topic=TOPIC)
    other.end(False)
    other.settled()
    offsets.commit_offsets(5, 6, topic=TOPIC)
    return held


def proceed(r: Recorder, held: Held, turn: int) -> None:
    """Those that are open go on; the other one commits or aborts once more."""
    opened, other, offsets = held.of(r)
    answered = opened.write(topic=TOPIC).responses[0].partition_responses[0]
    assert answered.error_code == 0, answered
    other.settled().write(topic=TOPIC)
    assert other.end(turn % 2 == 0).error_code == 0
    other.settled()
    committed = offsets.commit_offsets(5 + 10 * turn, topic=TOPIC).topics[0].partitions
    assert [p.error_code for p in committed] == [0]


def end(r: Recorder, held: Held) -> None:
    """What was open through all of it is committed."""
    opened, _, offsets = held.of(r)
    assert opened.end(True).error_code == 0
    assert offsets.end(True).error_code == 0
    opened.settled()
    offsets.settled()


def wait_until_ready(r: Recorder, timeout_s: float = 40.0) -> None:
    """The coordinators are loaded, and the partition has its leader."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = r.quiet(DESCRIBE, transactional_ids=list(NAMES)).transaction_states
        asked = {"group_id": GROUP, "topics": None, "member_id": None, "member_epoch": -1}
        group = r.quiet(ApiKey.OFFSET_FETCH, 9, groups=[asked]).groups[0]
        if not group.error_code and not any(row.error_code for row in found):
            break
        assert time.monotonic() < deadline, (found, group)
        time.sleep(0.05)
    stable(r, TOPIC, 0)


def look(r: Recorder) -> list[Any]:
    """Everything that can be asked about them, as plain values."""
    r.answers.clear()
    r.masks = {"producer_id": lambda v: v}
    wait_until_ready(r)
    r.ask(DESCRIBE, transactional_ids=list(NAMES))
    r.ask(LIST, 2, transactional_id_pattern="dirs-.*", duration_filter=-1)
    r.ask(ApiKey.DESCRIBE_PRODUCERS, 0, topics=[{"name": TOPIC, "partition_indexes": [0]}])
    read(r, TOPIC, 0)
    for require in (False, True):
        row = {"name": TOPIC, "partition_indexes": [0, 1]}
        asked = {"group_id": GROUP, "topics": [row], "member_id": None, "member_epoch": -1}
        r.ask(ApiKey.OFFSET_FETCH, 9, groups=[asked], require_stable=require)
    fetch_offsets(r)
    return [[answer.question, answer.answer] for answer in r.answers]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("chain", list(CHAINS))
def test_transactions_there_and_back(chain: str, tmp_path: Path, oracle_classpath: str) -> None:
    """Each broker sees what the other left, and goes on with it."""
    port = free_port_pair()
    held: Held | None = None
    known: list[Any] = []
    for turn, (who, how) in enumerate(CHAINS[chain]):
        kind = OurNode if who == "ours" and apache.against() != "apache" else apache.ApacheNode
        settings = {
            "log.dirs": str(tmp_path / "data"),
            "broker.session.timeout.ms": "1000",
            "broker.heartbeat.interval.ms": "200",
            "transaction.state.log.num.partitions": "3",
            "offsets.topic.num.partitions": "3",
        }
        node: Node = kind(tmp_path / f"{turn}-{who}", port, settings)
        r = Recorder(port, int(time.time() * 1000))
        with node, contextlib.closing(r):
            if held is None:
                held = begin(r)
            else:
                lines = differences(known, look(r))
                assert not lines, f"turn {turn}: {who}\n" + "\n".join(lines)
                proceed(r, held, turn)
            if turn == len(CHAINS[chain]) - 1:
                end(r, held)
            known = look(r)
            if how == "stop":
                node.stop()
            else:
                node.kill()
    text = repr(known)
    assert "Ongoing" not in text
    assert "'committed_offset': 35" in text
