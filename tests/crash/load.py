"""acks=all load by idempotent producers, and the judgement of what a broker kept of it.

Each producer owns one partition and keeps up to five batches in flight. When the broker dies, the
unanswered ones stay in order; after the restart they are sent again, byte for byte. So the log of
the partition must always be exactly the batches sent so far, once each, in order: all that were
acknowledged, at the offset that was acknowledged, and perhaps some that were in flight.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tests.crash import wire

IN_FLIGHT = 5
FIRST_TIMESTAMP_MS_AGO = 3_600_000
#: Of a batch's values: up to five come to 64 KiB and more mostly, and to no more than is allowed.
LONG_BYTES_MAX = 150_000
LONG_SHARE = 0.03


class Violation(AssertionError):
    """The broker broke a promise; the text says which."""


@dataclass
class Batch:
    """One batch as it was sent; ``offset`` once acknowledged, ``seen`` once read back."""

    sequence: int
    count: int
    data: bytes
    offset: int | None = None
    seen: int | None = None


@dataclass
class Producer:
    """One idempotent producer and the whole history of its partition."""

    topic: str
    partition: int
    seed: int
    producer_id: int = -1
    epoch: int = -1
    sequence: int = 0
    batches: list[Batch] = field(default_factory=list)
    acknowledged: int = 0
    resent: int = 0
    values_bytes_max: int = 2000
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._timestamp = int(time.time() * 1000) - FIRST_TIMESTAMP_MS_AGO

    def next_batch(self) -> Batch:
        """Build the next one: 1 to 5 records that name producer and row."""
        rng = self._random
        count = rng.randint(1, 5)
        # Long ones go another way into the log (kcore/mapped_file.pyx).
        value_bytes_max = LONG_BYTES_MAX if rng.random() < LONG_SHARE else self.values_bytes_max
        codec = rng.choice((0, 0, 0, 1, 3))
        builder = DefaultRecordBatchBuilder(
            2, codec, False, self.producer_id, self.epoch, self.sequence, 1 << 20
        )
        for i in range(count):
            row = self.sequence + i
            self._timestamp += rng.randint(0, 3)
            value = b"%d:%d:" % (self.partition, row)
            value += rng.randbytes(8) * rng.randint(0, value_bytes_max // 8)
            builder.append(i, self._timestamp, b"%d" % row, value, [])
        batch = Batch(self.sequence, count, bytes(builder.build()))
        self.sequence += count
        self.batches.append(batch)
        return batch

    def run(self, port: int, stop: threading.Event) -> None:
        """Produce until told to stop (then drain) or the broker is gone. Keeps a Violation."""
        try:
            with wire.Connection(port) as conn:
                self._run(conn, stop)
        except OSError:
            return
        except BaseException as e:
            self.error = e

    def _run(self, conn: wire.Connection, stop: threading.Event) -> None:
        if self.producer_id < 0:
            error, producer_id, epoch = wire.init_producer_id(conn)
            while error in wire.RETRIABLE and not stop.is_set():
                time.sleep(0.02)
                error, producer_id, epoch = wire.init_producer_id(conn)
            if error:
                raise Violation(f"InitProducerId answered error {error}")
            self.producer_id, self.epoch = producer_id, epoch
        waiting = self.batches[self.acknowledged :]
        self.resent += len(waiting)
        while True:
            for batch in waiting:
                self._send(conn, batch)
            waiting = self._exchange(conn, len(waiting), stop)
            if not waiting:
                return
            time.sleep(0.02)

    def _send(self, conn: wire.Connection, batch: Batch) -> None:
        body = wire.produce_body(self.topic, self.partition, batch.data)
        conn.send(wire.PRODUCE, 7, body)

    def _exchange(
        self, conn: wire.Connection, in_flight: int, stop: threading.Event
    ) -> list[Batch]:
        """Keep the pipeline full and take answers; what has to be sent again after an error."""
        answered = self.acknowledged
        refused = False
        while True:
            while in_flight < IN_FLIGHT and not refused and not stop.is_set():
                self._send(conn, self.next_batch())
                in_flight += 1
            if not in_flight:
                return self.batches[self.acknowledged :]
            error, offset = wire.produce_reply(conn.receive())
            in_flight -= 1
            batch = self.batches[answered]
            answered += 1
            if error == wire.NONE and not refused:
                self._acknowledge(batch, offset)
            elif error in wire.RETRIABLE or (refused and error == wire.OUT_OF_ORDER_SEQUENCE):
                refused = True
            elif error != wire.NONE:
                raise Violation(
                    f"partition {self.partition} sequence {batch.sequence}: error {error}"
                )
            else:
                raise Violation(f"sequence {batch.sequence} accepted after one that was refused")

    def _acknowledge(self, batch: Batch, offset: int) -> None:
        if batch.seen is not None and batch.seen != offset:
            raise Violation(
                f"partition {self.partition} sequence {batch.sequence}: a retry was answered with"
                f" offset {offset}, the batch is at {batch.seen}"
            )
        batch.offset = offset
        self.acknowledged += 1

    def verify(self, conn: wire.Connection, *, complete: bool = False) -> int:
        """Read the whole partition and judge it: the number of records. Raises Violation."""
        stored = self._read(conn)
        where = f"partition {self.partition}"
        if len(stored) < self.acknowledged:
            lost = self.batches[len(stored)]
            raise Violation(
                f"{where}: LOST {self.acknowledged - len(stored)} acknowledged batches, the first"
                f" has sequence {lost.sequence}, acknowledged at {lost.offset}"
            )
        if len(stored) > len(self.batches):
            raise Violation(f"{where}: {len(stored)} batches, only {len(self.batches)} were sent")
        if complete and len(stored) != len(self.batches):
            raise Violation(f"{where}: {len(stored)} of {len(self.batches)} batches")
        due = 0
        for sent, kept in zip(self.batches, stored, strict=False):
            if kept.data[wire.FIXED_FROM :] != sent.data[wire.FIXED_FROM :]:
                raise Violation(
                    f"{where}: at offset {kept.base_offset} stands sequence {kept.base_sequence}"
                    f" of producer {kept.producer_id}; {sent.sequence} of {self.producer_id} is due"
                )
            if kept.base_offset != due:
                raise Violation(f"{where}: offset {kept.base_offset} where {due} is due")
            if sent.offset is not None and sent.offset != kept.base_offset:
                raise Violation(f"{where}: acknowledged at {sent.offset}, found at {due}")
            sent.seen = kept.base_offset
            due += sent.count
        return due

    def _read(self, conn: wire.Connection, timeout_s: float = 45.0) -> list[wire.Stored]:
        deadline = time.monotonic() + timeout_s
        offset = 0
        out: list[wire.Stored] = []
        while True:
            error, end = wire.end_offset(conn, self.topic, self.partition)
            if error == wire.NONE and offset >= end:
                return out
            if error == wire.NONE:
                error, _, data = wire.fetch(conn, self.topic, self.partition, offset)
            if error == wire.NONE:
                for batch in wire.batches(data):
                    out.append(batch)
                    offset = batch.base_offset + batch.count
            elif error not in wire.RETRIABLE:
                raise Violation(f"partition {self.partition}: reading answers error {error}")
            if time.monotonic() > deadline:
                raise Violation(
                    f"partition {self.partition}: {offset} of {end} readable, error {error}"
                )
            if error != wire.NONE:
                time.sleep(0.02)


class Load:
    """Some producers on one topic, run as threads."""

    def __init__(
        self, seed: int, partitions: int = 3, configs: Mapping[str, str] | None = None
    ) -> None:
        """``configs``: of the topic; small segments by default, so that crashes meet rolls."""
        self.topic = "crash"
        self.configs = dict(configs or {"segment.bytes": "1048576"})
        self.producers = [Producer(self.topic, p, seed * 1000 + p) for p in range(partitions)]
        self._gone = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def create(self, port: int, timeout_s: float = 45.0) -> None:
        """Make the topic; retried while the broker says that it is not there yet."""
        deadline = time.monotonic() + timeout_s
        while True:
            with wire.Connection(port) as conn:
                error = wire.create_topic(conn, self.topic, len(self.producers), self.configs)
            if error in (0, 36):
                return
            if time.monotonic() > deadline:
                raise Violation(f"CreateTopics answered error {error}")
            time.sleep(0.05)

    def remake(self, port: int, seed: int) -> None:
        """Delete the topic and make it anew under its name, while nobody produces."""
        self._gone = self.acknowledged
        with wire.Connection(port) as conn:
            error = wire.delete_topic(conn, self.topic)
        if error:
            raise Violation(f"DeleteTopics answered error {error}")
        self.producers = [
            Producer(self.topic, p, seed * 1000 + p) for p in range(len(self.producers))
        ]
        self.create(port)

    def start(self, port: int) -> None:
        """Start or go on; what was in flight goes first."""
        self._stop.clear()
        self._threads = [
            threading.Thread(target=p.run, args=(port, self._stop)) for p in self.producers
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the producers (their broker is gone, or ``drain``). Raises their Violation."""
        for thread in self._threads:
            thread.join()
        for producer in self.producers:
            if producer.error is not None:
                raise producer.error

    def drain(self) -> None:
        """Send nothing new, take all answers."""
        self._stop.set()
        self.join()

    def verify(self, port: int, *, complete: bool = False) -> int:
        """All partitions: the number of records. Raises Violation."""
        with wire.Connection(port) as conn:
            return sum(p.verify(conn, complete=complete) for p in self.producers)

    @property
    def acknowledged(self) -> int:
        """Records that the broker has answered for, those of deleted topics too."""
        answered = (b for p in self.producers for b in p.batches[: p.acknowledged])
        return self._gone + sum(b.count for b in answered)

    @property
    def resent(self) -> int:
        """Batches that were sent again after a crash."""
        return sum(p.resent for p in self.producers)
