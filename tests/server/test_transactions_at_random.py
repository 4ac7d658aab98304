"""Random schedules of transactional producers, with restarts.

What readers of committed records, and of committed offsets, see is what was committed.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from kafka_py.client.records import readable
from kafka_py.client.types import TopicPartition
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.transactions import EndTxnRequest
from kafka_py.server.broker import Broker
from kcore import build
from tests.server.conftest import make_topic
from tests.server.group_requests import await_coordinator
from tests.server.messages import fetch, produce
from tests.server.test_transactional_data import GROUP, Producer, commit, fetched
from tests.server.wire import Wire
from tests.waiting import PATIENCE_S

TOPIC, PARTITIONS, PRODUCERS, STEPS = "random", 3, 3, 120
SETTINGS = {"transaction.state.log.num.partitions": "2", "offsets.topic.num.partitions": "2"}
AGAIN = {
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.CONCURRENT_TRANSACTIONS,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
}


class Open:
    """What a producer's transaction has written: records, and at most one offset."""

    def __init__(self) -> None:
        self.records: list[tuple[int, int, bytes]] = []
        self.offset: tuple[int, int] | None = None


class World:
    """A broker, its producers, and what must be seen of them."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.random = random.Random(seed)
        self.directory = directory
        self.running = False
        self.wire: Any = None
        self.committed: list[tuple[int, int, bytes]] = []
        self.offset = (0, -1)
        self.written = 0
        self.producers: list[Producer] = []
        self.open = [Open() for _ in range(PRODUCERS)]
        self.sequences: dict[tuple[int, int, int], int] = {}

    def start(self) -> None:
        """Start, or start again: the producers connect anew and go on."""
        self.broker = Broker(SETTINGS, data=self.directory)
        self.broker.__enter__()
        self.running = True
        self.wire = Wire(self.broker.bootstrap_servers)
        await_coordinator(self.wire, GROUP)
        if not self.producers:
            make_topic(self.wire, TOPIC, PARTITIONS)
            self.producers = [
                Producer(self.broker, f"p{number}", TOPIC) for number in range(PRODUCERS)
            ]
        for producer in self.producers:
            producer.wire.socket.close()
            producer.wire = Wire(self.broker.bootstrap_servers)

    def stop(self) -> None:
        """Stop; open transactions stay open."""
        wires = [one.wire for one in self.producers]
        for wire in wires if self.wire is None else [self.wire, *wires]:
            wire.socket.close()
        if self.running:
            self.running = False
            self.broker.__exit__(None, None, None)

    def insist(self, ask: Any) -> Any:
        """Ask until the answer is none of those that ask for patience: (code, the rest)."""
        deadline = time.monotonic() + PATIENCE_S
        while (answer := ask())[0] in AGAIN:
            assert time.monotonic() < deadline, answer
            time.sleep(0.005)
        assert answer[0] is ErrorCode.NONE, answer
        return answer

    def write(self, number: int) -> None:
        """One batch or several, sent together."""
        producer = self.producers[number]
        rows: dict[int, bytes] = {}
        for partition in self.random.sample(range(PARTITIONS), self.random.randint(1, PARTITIONS)):
            self.written += 1
            rows[partition] = b"%d" % self.written
        left = dict(rows)

        def ask() -> tuple[ErrorCode, None]:
            for partition, value in left.items():
                place = (producer.id, producer.epoch, partition)
                options: dict[str, Any] = {
                    "producer_id": producer.id,
                    "producer_epoch": producer.epoch,
                    "base_sequence": self.sequences.get(place, 0),
                    "transactional": True,
                }
                records = build([(b"k", value, (), int(time.time() * 1000))], **options)
                request = produce(TOPIC, records, acks=-1, transactional_id=producer.name)
                request.topic_data[0].partition_data[0].index = partition
                producer.wire.send(request, 12)
            worst = ErrorCode.NONE
            for partition, value in list(left.items()):
                said = producer.wire.receive().responses[0].partition_responses[0]
                if said.error_code:
                    worst = ErrorCode.of(said.error_code)
                    continue
                place = (producer.id, producer.epoch, partition)
                self.sequences[place] = self.sequences.get(place, 0) + 1
                self.open[number].records.append((partition, said.base_offset, value))
                del left[partition]
            return worst, None

        self.insist(ask)

    def commit_offset(self, number: int) -> None:
        """The group's offset of partition 0, as a part of the transaction."""
        self.written += 1
        producer, offset = self.producers[number], self.written
        self.insist(lambda: (ErrorCode.of(commit(producer.wire, producer, offset)), None))
        self.open[number].offset = (self.written, offset)

    def end(self, number: int, *, committed: bool) -> None:
        """Commit or abort, if there is something."""
        producer, done = self.producers[number], self.open[number]
        if not done.records and done.offset is None:
            return
        asked = EndTxnRequest(
            transactional_id=producer.name,
            producer_id=producer.id,
            producer_epoch=producer.epoch,
            committed=committed,
        )

        def ask() -> tuple[ErrorCode, Any]:
            reply = producer.wire.call(asked, 5)
            return ErrorCode.of(reply.error_code), reply

        _, reply = self.insist(ask)
        producer.id, producer.epoch = reply.producer_id, reply.producer_epoch
        if committed:
            self.committed += done.records
            if done.offset is not None:
                self.offset = max(self.offset, done.offset)
        self.open[number] = Open()

    def step(self) -> None:
        """Something happens to somebody."""
        number = self.random.randrange(PRODUCERS)
        what = self.random.random()
        if what < 0.5:
            self.write(number)
        elif what < 0.6:
            self.commit_offset(number)
        elif what < 0.92:
            self.end(number, committed=self.random.random() < 0.6)
        elif what < 0.98:
            # Another producer of the id: what is open is aborted.
            self.producers[number].init()
            self.open[number] = Open()
        else:
            self.stop()
            self.start()
            self.check()

    def check(self) -> int:
        """Readers see all that is committed, as far as the last stable offset; the sum of these."""
        total = 0
        for partition in range(PARTITIONS):
            offsets = [-1] * PARTITIONS
            offsets[partition] = 0
            request = fetch(TOPIC, *offsets, isolation_level=1)
            asked = request.topics[0].partitions
            request.topics[0].partitions = [asked[partition]]
            said = self.wire.call(request, 12).responses[0].partitions[0]
            assert said.error_code == 0
            aborted = [(a.first_offset, a.producer_id) for a in said.aborted_transactions]
            data = bytes(said.records or b"")
            found = readable(TopicPartition(TOPIC, partition), data, 0, aborted)
            expected = sorted(
                (offset, value)
                for where, offset, value in self.committed
                if where == partition and offset < said.last_stable_offset
            )
            assert [(r.offset, r.value) for r in found] == expected
            total += said.last_stable_offset
        return total

    def check_all(self) -> None:
        """The end: nothing is open, everything is stable."""
        for number in range(PRODUCERS):
            self.end(number, committed=True)
        deadline = time.monotonic() + PATIENCE_S
        ends = sum(
            self.broker.node.replicas.partition(TOPIC, p).log_end_offset  # type: ignore[union-attr]
            for p in range(PARTITIONS)
        )
        while (stable := self.check()) < ends or fetched(self.wire, TOPIC, stable=True) != (
            self.offset[1],
            0,
        ):
            assert time.monotonic() < deadline, (stable, ends, self.offset)
            time.sleep(0.01)
            ends = sum(
                self.broker.node.replicas.partition(TOPIC, p).log_end_offset  # type: ignore[union-attr]
                for p in range(PARTITIONS)
            )


@pytest.mark.parametrize("seed", range(3))
def test_what_is_committed_is_seen_and_nothing_else(seed: int, tmp_path: Path) -> None:
    world = World(seed, tmp_path)
    try:
        world.start()
        for _ in range(STEPS):
            world.step()
        world.check_all()
    finally:
        world.stop()
    assert len(world.committed) > 20
