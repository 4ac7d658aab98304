"""A coordinator over a log that is made up, with markers and a clock that the test moves.

The runtime is the real one, so that what waits for a commit waits here too. `crash` loses what is
not committed, and loads another machine with the loader that the broker uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from kafka_py.config.broker import BROKER
from kafka_py.coordinator.machine import Caller, Moment
from kafka_py.coordinator.runtime import AppendFailed, Ask, Runtime
from kafka_py.coordinator.transactions.load import replay
from kafka_py.coordinator.transactions.markers import MarkerJob
from kafka_py.coordinator.transactions.shard import TransactionShard
from kafka_py.coordinator.transactions.transaction import NO_EPOCH, Transaction, from_record
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records import TRANSACTION_RECORDS, decode_key, decode_value
from kafka_py.protocol.records_transaction import TransactionLogKey, TransactionLogValue
from kcore.record_batch import batches
from kcore.values import replace

SETTINGS: dict[str, Any] = {name: key.default for name, key in BROKER.keys.items()}
#: The wall clock when the monotonic one stands at 0.
WALL_MS = 1_700_000_000_000
#: (transactional id, what its record says or None for a tombstone, version of the value).
Row = tuple[str, TransactionLogValue | None, int]


class FakeLog:
    """A `Writer` whose committed offset the test moves, and enough of a log to be replayed."""

    def __init__(self) -> None:
        #: (end offset, bytes, records) of each batch.
        self.batches: list[tuple[int, bytes, list[Row]]] = []
        self.end_offset = 0
        self.committed = 0
        self.log_start_offset = 0
        self.limit = 1 << 20
        self.error = ErrorCode.NONE
        self.config = SimpleNamespace(decompressed_bytes_max=1 << 30)
        self.waiting: list[tuple[int, Callable[[ErrorCode], None]]] = []

    def bytes_max(self) -> int:
        return self.limit

    def compression(self) -> int:
        return 0

    def append(self, batch: bytes, now: Moment) -> int:
        if self.error:
            raise AppendFailed(self.error)
        rows = list(decoded(batch))
        self.end_offset += len(rows)
        self.batches.append((self.end_offset, batch, rows))
        return self.end_offset

    def committed_offset(self) -> int:
        return self.committed

    def when_committed(self, end_offset: int, done: Callable[[ErrorCode], None]) -> None:
        self.waiting.append((end_offset, done))

    def commit(self) -> None:
        """All that is there is committed now."""
        self.committed = self.end_offset
        due, self.waiting = self.waiting, []
        for _, done in due:
            done(ErrorCode.NONE)

    def time_out(self) -> None:
        """The oldest of those who wait has waited too long."""
        if self.waiting:
            self.waiting.pop(0)[1](ErrorCode.REQUEST_TIMED_OUT)

    def crash(self) -> None:
        """What is not committed is lost, and nobody waits any more."""
        self.batches = [one for one in self.batches if one[0] <= self.committed]
        self.end_offset = self.committed = self.batches[-1][0] if self.batches else 0
        self.waiting = []

    def read_cold(self, at: int, _bytes_max: int, *, end_offset: int) -> Any:
        view = memoryview(
            b"".join(batch for end, batch, _ in self.batches if at < end <= end_offset)
        )
        return SimpleNamespace(view=view, next_offset=end_offset)

    def rows(self, *, committed: bool = False) -> Iterator[Row]:
        """The records in order, decoded."""
        for end, _, rows in self.batches:
            if committed and end > self.committed:
                return
            yield from rows


def decoded(batch: bytes) -> Iterator[Row]:
    """The records of a batch."""
    for record in next(batches(batch)):
        assert record.key is not None
        key = decode_key(record.key, TRANSACTION_RECORDS)
        assert isinstance(key, TransactionLogKey)
        if record.value is None:
            yield key.transactional_id, None, -1
        else:
            yield key.transactional_id, *decode_value(TransactionLogValue, record.value)


class World:
    """One coordinator. With `at_once` everything is committed as soon as it is written."""

    def __init__(self, *, version: int = 2, at_once: bool = True, **settings: Any) -> None:
        self.settings = {**SETTINGS, **settings}
        self.now = Moment(0, WALL_MS)
        self.version = version
        self.at_once = at_once
        self.log = FakeLog()
        self.producer_ids = 0
        self.has_producer_ids = True
        self.coordinator_epoch = 0
        self.jobs: list[MarkerJob] = []
        self.soon: list[Callable[[], None]] = []
        self.dropped = 0
        self._load()

    def _load(self) -> None:
        self.shard = TransactionShard(
            coordinator_epoch=self.coordinator_epoch,
            settings=self.settings,
            transaction_version=lambda: self.version,
            new_producer_id=self._new_producer_id,
            sender=self,
        )
        replay(self.log, self.shard, self.log.end_offset)  # type: ignore[arg-type]
        #: What the machine knew before it was driven.
        self.loaded = self.known()
        self.jobs = []
        self.soon = []
        self.runtime = Runtime(
            self.shard,
            self.log,
            end_offset=self.log.end_offset,
            now=lambda: self.now,
            soon=self.soon.append,
            wake_at=lambda _at_ms: None,
            failed=self._failed,
        )
        self.runtime.start()
        self.settle()

    def _failed(self) -> None:
        self.dropped += 1

    def _new_producer_id(self) -> int | None:
        if not self.has_producer_ids:
            return None
        self.producer_ids += 1
        return 100 * self.producer_ids

    def send(self, job: MarkerJob) -> None:
        """The machine asks for markers."""
        self.jobs.append(job)

    # ---------------------------------------------------------------------------- what tests call

    def ask(self, request: Any, version: int = 5) -> Ask:
        """Ask; the answer is there at once if nothing is held back."""
        ask = Ask(request, Caller("client", "/127.0.0.1", version))
        self.runtime.submit(ask)
        self.settle()
        return ask

    def settle(self) -> None:
        """End the iteration of the loop, and commit what it wrote if nothing is held back."""
        while True:
            calls, self.soon[:] = list(self.soon), []
            for call in calls:
                call()
            if self.at_once and self.log.committed < self.log.end_offset:
                self.log.commit()
            elif not self.soon:
                return

    def commit(self) -> None:
        """Commit what is written."""
        self.log.commit()
        self.settle()

    def written(self, job: MarkerJob, errors: Mapping[tuple[str, int], ErrorCode]) -> None:
        """The outcome of a job: errors of some partitions, all others are written."""
        if job in self.jobs:
            self.jobs.remove(job)
        outcome = {one: errors.get(one, ErrorCode.NONE) for one in job.partitions}
        self.runtime.take_all(lambda now: self.shard.markers_written(job, outcome, now))
        self.settle()

    def advance(self, duration_ms: int) -> None:
        """Let time pass, with everything that comes due on the way."""
        end_ms = self.now.ms + duration_ms
        while (at_ms := self.runtime.next_deadline_ms()) is not None and at_ms <= end_ms:
            self._move(max(at_ms, self.now.ms))
            self.runtime.expire()
            self.settle()
        self._move(end_ms)

    def _move(self, to_ms: int) -> None:
        self.now = Moment(to_ms, self.now.wall_ms + to_ms - self.now.ms)

    def crash(self) -> None:
        """The node dies; the next one leads with another epoch."""
        self.runtime.closed = True
        self.log.crash()
        self.log.error = ErrorCode.NONE
        self.coordinator_epoch += 1
        self._load()

    def committed_state(self) -> dict[str, Transaction]:
        """What the committed records come to."""
        found: dict[str, Transaction] = {}
        for name, value, _ in self.log.rows(committed=True):
            if value is None:
                found.pop(name, None)
            else:
                found[name] = from_record(name, value)
        return found

    def known(self) -> dict[str, Transaction]:
        """What the machine knows, without what no record says."""
        return {
            name: replace(one, last_producer_epoch=NO_EPOCH)
            for name, one in self.shard.transactions.items()
        }
