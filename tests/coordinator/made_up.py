"""A log and a machine that are made up, for tests of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kafka_py.coordinator.deadlines import Deadlines
from kafka_py.coordinator.machine import (
    Caller,
    CoordinatorRecord,
    Delivery,
    Moment,
    Reply,
    Result,
    TransactionEnd,
)
from kafka_py.coordinator.runtime import AppendFailed, Ask, Runtime
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import HeartbeatRequest
from kafka_py.protocol.records import GROUP_RECORDS, decode_key, decode_value
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
from kcore.batch_builder import build_end_marker
from kcore.record_batch import RecordBatch

CALLER = Caller("client", "/127.0.0.1", 4)


class Log:
    """A writer whose committed offset the test moves."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []
        self.end_offset = 0
        self.committed = 0
        self.at_once = False
        self.limit = 1000
        self.codec = 0
        self.error = ErrorCode.NONE
        self.shift = 0
        self.waiting: list[tuple[int, Callable[[ErrorCode], None]]] = []

    def bytes_max(self) -> int:
        return self.limit

    def compression(self) -> int:
        return self.codec

    def append(self, batch: bytes, now: Moment) -> int:
        if self.error:
            raise AppendFailed(self.error, "as the test wants it")
        assert len(batch) <= self.limit
        self.batches.append(batch)
        self.end_offset += len(list(RecordBatch(batch))) + self.shift
        if self.at_once:
            self.committed = self.end_offset
        return self.end_offset

    def append_marker(self, end: TransactionEnd, now: Moment) -> int:
        marker = build_end_marker(
            end.committed,
            producer_id=end.producer_id,
            producer_epoch=end.producer_epoch,
            coordinator_epoch=end.coordinator_epoch,
            timestamp=now.wall_ms,
        )
        return self.append(marker, now)

    def committed_offset(self) -> int:
        return self.committed

    def when_committed(self, end_offset: int, done: Callable[[ErrorCode], None]) -> None:
        self.waiting.append((end_offset, done))

    def commit(self, offset: int, error: ErrorCode = ErrorCode.NONE) -> None:
        """Move the committed offset, and tell those who wait for it."""
        self.committed = offset
        due = [done for end, done in self.waiting if end <= offset]
        self.waiting = [(end, done) for end, done in self.waiting if end > offset]
        for done in due:
            done(error)

    def time_out(self) -> None:
        """The oldest of those who wait has waited too long."""
        self.waiting.pop(0)[1](ErrorCode.REQUEST_TIMED_OUT)

    def records(self) -> list[list[tuple[Any, Any]]]:
        """Batch by batch (key, value or None)."""
        decoded = []
        for batch in self.batches:
            rows = []
            for record in RecordBatch(batch):
                key = decode_key(record.key, GROUP_RECORDS)
                value = None
                if record.value is not None:
                    value, _ = decode_value(OffsetCommitValue, record.value)
                rows.append((key, value))
            decoded.append(rows)
        return decoded


#: What the machine does for a question.
HANDLED: dict[Any, Callable[[Counter, Reply], Result]] = {}


class Counter:
    """A machine whose state is what its records say; a question is a function of it."""

    def __init__(self) -> None:
        self.state: dict[str, int] = {}
        self.open: dict[int, dict[str, int]] = {}
        self.deadlines = Deadlines()
        self.held: list[Reply] = []
        self.on_loaded: list[Result] = []
        self.on_expire: list[Callable[[], Result]] = []

    def handle(self, request: Any, caller: Caller, now: Moment, reply: Reply) -> Result:
        return HANDLED[reply](self, reply)

    def apply(self, key: Any, value: Any) -> None:
        if key.topic == "bad":
            raise RuntimeError("a record that cannot be applied")
        if value is None:
            self.state.pop(key.group, None)
        else:
            self.state[key.group] = value.offset

    def apply_pending(self, producer_id: int, key: Any, value: Any) -> None:
        if key.topic == "bad":
            raise RuntimeError("a record that cannot be applied")
        self.open.setdefault(producer_id, {})[key.group] = value.offset

    def end_transaction(self, producer_id: int, committed: bool) -> None:
        written = self.open.pop(producer_id, {})
        if committed:
            self.state.update(written)

    def loaded(self, now: Moment) -> list[Result]:
        return self.on_loaded

    def unloaded(self) -> list[Delivery]:
        held, self.held = self.held, []
        return [Delivery(reply, "unloaded") for reply in held]

    def expire(self, now: Moment) -> Iterator[Result]:
        for _ in self.deadlines.due(now.ms):
            yield self.on_expire.pop(0)()

    def next_deadline_ms(self) -> int | None:
        return self.deadlines.next_ms()


def doing(what: Callable[[Counter, Reply], Result]) -> Ask:
    """A question whose handling is this function; refused as a heartbeat is."""
    ask = Ask(HeartbeatRequest(group_id="g"), CALLER)
    HANDLED[ask] = what
    return ask


def put(group: str, offset: int, topic: str = "t", metadata: str = "") -> CoordinatorRecord:
    """A record that sets the group's number."""
    key = OffsetCommitKey(group=group, topic=topic, partition=0)
    return CoordinatorRecord(key, OffsetCommitValue(offset=offset, metadata=metadata), 3)


def setting(group: str, offset: int, **options: Any) -> Ask:
    """A question that sets a number; the answer is what it was."""
    return doing(
        lambda machine, reply: Result(
            [put(group, offset)], [Delivery(reply, machine.state.get(group))], **options
        )
    )


def reading(group: str) -> Ask:
    """A question for a number."""
    return doing(lambda machine, reply: Result(replies=[Delivery(reply, machine.state.get(group))]))


class World:
    """A runtime, its log, its machine, its loop."""

    def __init__(self) -> None:
        self.log = Log()
        self.machine = Counter()
        self.soon: list[Callable[[], None]] = []
        self.ms = 0
        self.woken: list[int] = []
        self.failures = 0
        self.runtime = Runtime(
            self.machine,
            self.log,
            end_offset=0,
            now=lambda: Moment(self.ms, 1_000_000 + self.ms),
            soon=self.soon.append,
            wake_at=self.woken.append,
            failed=self._failed,
        )

    def _failed(self) -> None:
        self.failures += 1

    def ask(self, ask: Ask) -> Ask:
        """Submit a question."""
        self.runtime.submit(ask)
        return ask

    def turn(self) -> None:
        """The loop's iteration ends."""
        calls, self.soon[:] = list(self.soon), []
        for call in calls:
            call()
