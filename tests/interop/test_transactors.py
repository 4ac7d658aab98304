"""Transactions with the clients of other languages: each sees what was committed, exactly once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from tests.interop.jvm import group_offsets
from tests.interop.test_transactions import read, until_equal, write
from tests.interop.transactors import TRANSACTORS, Transaction
from tests.oracle import apache
from tests.oracle.node import Node
from tests.oracle.raw import Recorder
from tests.oracle.under_test import require

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]

RECORDS = 200
WORK = [
    Transaction(("a0", "a1", "a2"), True),
    Transaction(("b0", "b1"), False),
    Transaction(("c0",), True),
    Transaction(("d0",), False),
    Transaction(("e0", "e1"), True),
]
COMMITTED = ["a0", "a2", "c0", "e0", "a1", "e1"]
ALL = ["a0", "a2", "b0", "c0", "d0", "e0", "a1", "b1", "e1"]


@pytest.mark.parametrize("name", list(TRANSACTORS))
def test_what_is_committed_is_read(name: str, node: Node) -> None:
    """Commits and aborts in turn; then the same producer starts once more."""
    kind = TRANSACTORS[name]
    require(kind.missing())
    topic = f"transact-{name}"
    Recorder(node.port, 0).create(topic, 2)
    kind().transact(node.bootstrap, f"id-{name}", topic, WORK)
    until_equal(lambda: read(node.bootstrap, topic, 2), COMMITTED)
    until_equal(lambda: read(node.bootstrap, topic, 2, "read_uncommitted"), ALL)
    kind().transact(node.bootstrap, f"id-{name}", topic, [Transaction(("f0",), True)])
    until_equal(lambda: "f0" in read(node.bootstrap, topic, 2), True)


class Writer(threading.Thread):
    """Writes transactions of one record a partition, one after another, until it is told to stop.

    ``outcome`` says of each how it ended: committed, aborted, or None where nobody can know.
    """

    def __init__(self, bootstrap: str, number: int) -> None:
        super().__init__(daemon=True)
        self.bootstrap = bootstrap
        self.number = number
        self.outcome: dict[int, bool | None] = {}
        self.stopping = threading.Event()

    def run(self) -> None:
        random_ = random.Random(self.number)
        count = 0
        while not self.stopping.is_set():
            try:
                producer = self.producer()
                while not self.stopping.is_set():
                    self.transaction(producer, count, commit=random_.random() < 0.7)
                    count += 1
            except (KafkaException, BufferError):
                # Fenced by itself, or the node was away for too long: another one goes on.
                count += 1

    def producer(self) -> Producer:
        settings = {
            "bootstrap.servers": self.bootstrap,
            "transactional.id": f"writer-{self.number}",
            "log_level": 0,
            "reconnect.backoff.max.ms": 200,
            "transaction.timeout.ms": 10_000,
        }
        producer = Producer(settings)
        producer.init_transactions(30)
        return producer

    def transaction(self, producer: Producer, count: int, *, commit: bool) -> None:
        producer.begin_transaction()
        self.outcome[count] = None
        for partition in range(3):
            value = f"{self.number}:{count}:{partition}"
            producer.produce("killed-often", value.encode(), partition=partition)
        if commit:
            producer.commit_transaction(20)
        else:
            producer.flush(20)
            producer.abort_transaction(20)
        self.outcome[count] = commit


@pytest.mark.timeout(240)
def test_whole_transactions_though_the_node_is_killed(tmp_path: Path) -> None:
    """kill -9 again and again while three write: what was said to be committed is there, whole and
    once; what was aborted is not; what nobody can know is there as a whole or not at all."""
    with apache.node_under_test(tmp_path, {"num.partitions": "3"}) as node:
        Recorder(node.port, 0).create("killed-often", 3)
        writers = [Writer(node.bootstrap, number) for number in range(3)]
        for writer in writers:
            writer.start()
        pauses = random.Random(17)
        for _ in range(5):
            time.sleep(pauses.uniform(1.0, 2.5))
            node.kill()
            node.start()
        time.sleep(2)
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join(90)
            assert not writer.is_alive()
        # What the last producers left open is aborted when they start again.
        for writer in writers:
            writer.producer()
        values = Counter(read(node.bootstrap, "killed-often", 3))
    assert set(values.values()) == {1}
    ended: Counter[bool | None] = Counter()
    for writer in writers:
        for count, outcome in writer.outcome.items():
            there = sum(values[f"{writer.number}:{count}:{p}"] for p in range(3))
            expected = {True: {3}, False: {0}, None: {0, 3}}[outcome]
            assert there in expected, (writer.number, count, outcome, there)
            ended[outcome] += 1
    assert ended[True] > 30, ended
    assert ended[False] > 10, ended


@pytest.mark.parametrize("name", list(TRANSACTORS))
def test_a_copy_is_exact(name: str, node: Node) -> None:
    """Records and the offsets of the group that read them are committed together."""
    kind = TRANSACTORS[name]
    require(kind.missing())
    group = f"copied-by-{name}"
    recorder = Recorder(node.port, 0)
    recorder.create(f"{group}-in", 2)
    recorder.create(f"{group}-out", 3)
    write(node.bootstrap, f"{group}-in", RECORDS)
    kind().copy(node.bootstrap, group, RECORDS)
    until_equal(lambda: sum(group_offsets(node.bootstrap, group).values()), RECORDS)
    expected = sorted(map(str, range(RECORDS)))
    until_equal(lambda: sorted(read(node.bootstrap, f"{group}-out", 3)), expected)
