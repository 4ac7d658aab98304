"""Drives a coordinator's machine over the log of its partition. Sans-IO: callbacks and seams only.

Four steps, always in this order: the machine handles a request (`Result`); its records are checked
for size, applied and put into the pending batch; the batch is appended at the end of the loop's
iteration (or when it is full); replies go out once everything that was applied before them is
committed. A result without records parks behind what was applied last, so that nobody is told what
could still be lost.

If an append fails nothing of the machine can be trusted any more: whoever waits gets the error, the
machine is dropped, and the owner loads a new one from the log. A result that does not fit into one
batch fails alone, before anything is applied.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from kafka_py.coordinator import answers
from kafka_py.coordinator.batch import PendingBatch, all_committed
from kafka_py.coordinator.machine import (
    NOTHING,
    Caller,
    Delivery,
    Moment,
    Reply,
    Result,
    Then,
    TransactionEnd,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records import encode_key, encode_value
from kafka_py.protocol.schema import Record
from kcore.batch_builder import build

if TYPE_CHECKING:
    from kafka_py.coordinator.batch import QuickReply

__all__ = ["AppendFailed", "Ask", "Machine", "Runtime", "TransactionalMachine", "Writer"]

log = logging.getLogger("kafka_py.coordinator")

#: What a record batch takes without records, and a record besides key and value, at most.
BATCH_BYTES: Final = 61
RECORD_BYTES_MAX: Final = 30


class AppendFailed(Exception):
    """The log did not take the records; `error` is the wire's code for why."""

    def __init__(self, error: ErrorCode, reason: str = "") -> None:
        super().__init__(reason or error.name)
        self.error = error


class Writer(Protocol):
    """The log of the partition, as a runtime needs it."""

    def bytes_max(self) -> int:
        """How large a batch may be: max.message.bytes."""
        ...

    def compression(self) -> int:
        """The codec's number for the batches; 0 for none."""
        ...

    def append(self, batch: bytes, now: Moment) -> int:
        """Append one batch and return the log's end offset. Raises AppendFailed."""
        ...

    def append_marker(self, end: TransactionEnd, now: Moment) -> int:
        """Append the control batch that ends a transaction, else as `append`."""
        ...

    def committed_offset(self) -> int:
        """Everything below is committed, and durable where the broker promises that."""
        ...

    def when_committed(self, end_offset: int, done: Callable[[ErrorCode], None]) -> None:
        """Call `done` once: NONE when everything below `end_offset` is committed, or why it will
        not be known (REQUEST_TIMED_OUT, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR)."""
        ...


class Machine(Protocol):
    """What a runtime drives; `GroupShard` is one."""

    def handle(self, request: Any, caller: Caller, now: Moment, reply: Reply) -> Result:
        """What becomes of a request."""
        ...

    def apply(self, key: Record, value: Record | None) -> None:
        """Take over one record."""
        ...

    def loaded(self, now: Moment) -> Iterable[Result]:
        """The log was replayed and this node leads."""
        ...

    def unloaded(self) -> Iterable[Delivery]:
        """It is driven no more: the answers for what it has parked itself."""
        ...

    def expire(self, now: Moment) -> Iterable[Result]:
        """Work off what has come due."""
        ...

    def next_deadline_ms(self) -> int | None:
        """When `expire` has something to do (monotonic)."""
        ...


class TransactionalMachine(Machine, Protocol):
    """A machine whose records may be parts of producers' transactions."""

    def apply_pending(self, producer_id: int, key: Record, value: Record | None) -> None:
        """Take over one record of an open transaction."""
        ...

    def end_transaction(self, producer_id: int, committed: bool) -> None:
        """What the producer's transaction has written counts from now on, or never."""
        ...


class Ask:
    """A request that waits for its one answer; the `Reply` that machines see.

    `response` is there once `done`; `on_answer`, where it is set by then, is called with it.
    """

    __slots__ = ("caller", "done", "on_answer", "request", "response")

    def __init__(self, request: Any, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.done = False
        self.response: Any = None
        self.on_answer: Callable[[Any], None] | None = None

    def give(self, response: Any) -> None:
        """Answer. A second answer is ignored."""
        if self.done:
            return
        self.done = True
        self.response = response
        if self.on_answer is not None:
            self.on_answer(response)

    def fail(self, error: ErrorCode, message: str | None = None) -> None:
        """Answer with an error, in the form that this API has for it."""
        if not self.done:
            version = self.caller.api_version
            self.give(answers.refusal(self.request, version, error, message))


class Waiting:
    """Results whose records, or whose predecessors' records, are one batch."""

    __slots__ = ("end_offset", "quick", "results")

    def __init__(self) -> None:
        self.end_offset = -1
        self.quick: list[QuickReply] = []
        self.results: list[Result] = []


class Runtime:
    """One machine over one partition; made when the machine has been loaded from the log.

    Args:
        machine: the loaded machine.
        writer: the log.
        end_offset: up to where the machine has replayed it.
        now: what time it is.
        soon: calls its argument at the end of the loop's iteration.
        wake_at: is told a deadline (monotonic milliseconds) whenever an earlier one may have come.
        failed: is told that the machine was dropped, so that the owner loads another.
        base_sequence: of the batches; see `PendingBatch`.
    """

    def __init__(
        self,
        machine: Machine,
        writer: Writer,
        *,
        end_offset: int,
        now: Callable[[], Moment],
        soon: Callable[[Callable[[], None]], Any],
        wake_at: Callable[[int], None],
        failed: Callable[[], None],
        base_sequence: int = 0,
    ) -> None:
        self.machine = machine
        self.closed = False
        self._writer = writer
        self._end_offset = end_offset
        self._now = now
        self._soon = soon
        self._wake_at = wake_at
        self._failed = failed
        self._open: dict[Ask, None] = {}
        #: Compiled paths put records and replies in, too; see `PendingBatch`.
        self.pending = PendingBatch(self._begun, base_sequence)
        self._current = Waiting()
        self._parked: deque[Waiting] = deque()
        self._flush_scheduled = False

    # ------------------------------------------------------------------------------ what comes in

    def start(self) -> None:
        """Let the machine arm its timers; once, before the first request."""
        now = self._now()
        self._take_all(self.machine.loaded(now), now)

    def submit(self, ask: Ask) -> None:
        """Let the machine handle a request; it may be answered when this returns."""
        now = self._now()
        try:
            result = self.machine.handle(ask.request, ask.caller, now, ask)
        except Exception:
            log.exception("handling %s failed", type(ask.request).__name__)
            ask.fail(ErrorCode.UNKNOWN_SERVER_ERROR)
            return
        self.take(result, now)
        if not ask.done:
            if self.closed:
                ask.fail(ErrorCode.NOT_COORDINATOR)
                return
            self._open[ask] = None
        self._rearm()

    def expire(self) -> None:
        """Let the machine work off what has come due."""
        if not self.closed:
            now = self._now()
            self._take_all(self.machine.expire(now), now)

    def take_all(self, results: Callable[[Moment], Iterable[Result]]) -> None:
        """Handle what the machine wants on its own account, as after a change of metadata."""
        if not self.closed:
            now = self._now()
            self._take_all(results(now), now)

    def _take_all(self, results: Iterable[Result], now: Moment) -> None:
        for result in results:
            self.take(result, now)
        self._rearm()

    def next_deadline_ms(self) -> int | None:
        """When `expire` has something to do; None: never."""
        return None if self.closed else self.machine.next_deadline_ms()

    def _rearm(self) -> None:
        if not self.closed:
            deadline_ms = self.machine.next_deadline_ms()
            if deadline_ms is not None:
                self._wake_at(deadline_ms)

    # ------------------------------------------------------------------------------------ results

    def take(self, result: Result, now: Moment) -> None:
        """Append what the result says, and let its replies wait for it."""
        if result.records:
            if self.closed:
                self._refuse(result, ErrorCode.NOT_COORDINATOR, now)
            elif result.producer is not None:
                self._write_transactional(result, now)
            else:
                self._write(result, now)
        elif not result.replies and result.then is None:
            return
        elif self.pending.count:
            self._current.results.append(result)
        elif self._parked:
            self._parked[-1].results.append(result)
        elif self._writer.committed_offset() >= self._end_offset or self.closed:
            self._complete(result, now)
        else:
            self._park(Waiting(), [result])

    def _write(self, result: Result, now: Moment) -> None:
        encoded = [
            (
                encode_key(key),
                None if value is None else encode_value(value, version),
            )
            for key, value, version in result.records
        ]
        sizes = [len(key) + len(value or b"") + RECORD_BYTES_MAX for key, value in encoded]
        bytes_max = self._writer.bytes_max()
        pieces = [range(len(encoded))] if result.atomic else split(sizes, bytes_max - BATCH_BYTES)
        for piece in pieces:
            # Nearly always the upper bound says that it fits.
            if sum(sizes[at] for at in piece) + 2 * BATCH_BYTES <= bytes_max:
                continue
            size = batch_bytes([encoded[at] for at in piece], self._writer.compression())
            if size > bytes_max - BATCH_BYTES:
                log.error("%d records of %d bytes do not fit into one batch", len(piece), size)
                self._refuse(result, ErrorCode.MESSAGE_TOO_LARGE, now)
                return
        for piece in pieces:
            size = sum(sizes[at] for at in piece)
            if self.pending.size_bytes + size > bytes_max:
                self.flush()
                if self.closed:
                    self._refuse(result, ErrorCode.NOT_COORDINATOR, now)
                    return
            try:
                if result.replay:
                    for at in piece:
                        self.machine.apply(result.records[at].key, result.records[at].value)
            except Exception:
                log.exception("a record could not be applied; the machine is loaded anew")
                self._current.results.append(result)
                self._drop(ErrorCode.UNKNOWN_SERVER_ERROR)
                return
            for at in piece:
                self.pending.add(*encoded[at], now.wall_ms)
        self._current.results.append(result)

    def _begun(self) -> None:
        """The first record of a batch is about to come."""
        self.pending.bytes_max = self._writer.bytes_max()
        self.pending.compression = self._writer.compression()
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._soon(self._flush_soon)

    def _flush_soon(self) -> None:
        self._flush_scheduled = False
        if not self.closed:
            self.flush()

    def flush(self) -> None:
        """Append the pending batch now."""
        count, waiting = self.pending.count, self._current
        batch, quick = self.pending.take()
        if not count:
            return
        waiting.quick = quick
        now = self._now()
        try:
            end_offset = self._writer.append(batch, now)
        except AppendFailed as failure:
            log.error("appending %d coordinator records failed: %s", count, failure)
            self._drop(failure.error)
            return
        self._current = Waiting()
        self._appended(waiting, end_offset, count, now)

    def _appended(self, waiting: Waiting, end_offset: int, count: int, now: Moment) -> None:
        """The log took a batch: its results are completed when it is committed."""
        if end_offset != self._end_offset + count:
            log.error(
                "the log ends at %d and not at %d: the machine is loaded anew",
                end_offset,
                self._end_offset + count,
            )
            self._current = waiting
            self._drop(ErrorCode.NOT_LEADER_OR_FOLLOWER)
            return
        self._end_offset = end_offset
        self.pending.settled = False
        if not self._parked and self._writer.committed_offset() >= end_offset:
            self._complete_all(waiting, now)
            self._rearm()
        else:
            self._park(waiting, ())

    # -------------------------------------------------------------------------------- transactions

    def _write_transactional(self, result: Result, now: Moment) -> None:
        """A batch of its own, behind what is pending."""
        producer = result.producer
        assert producer is not None
        records = [
            (encode_key(key), None if value is None else encode_value(value, version))
            for key, value, version in result.records
        ]
        compression = self._writer.compression()
        if batch_bytes(records, compression) > self._writer.bytes_max():
            self._refuse(result, ErrorCode.MESSAGE_TOO_LARGE, now)
            return
        batch = build(
            [(key, value, (), now.wall_ms) for key, value in records],
            compression=compression,
            producer_id=producer.producer_id,
            producer_epoch=producer.epoch,
            # So Kafka's coordinators number all their batches.
            base_sequence=0,
            transactional=True,
        )
        end_offset = self._append_alone(lambda: self._writer.append(batch, now))
        if isinstance(end_offset, ErrorCode):
            self._refuse(result, end_offset, now)
            return
        waiting = Waiting()
        waiting.results.append(result)
        machine = cast(TransactionalMachine, self.machine)
        try:
            for key, value, _ in result.records:
                machine.apply_pending(producer.producer_id, key, value)
        except Exception:
            log.exception("a record could not be applied; the machine is loaded anew")
            self._current = waiting
            self._drop(ErrorCode.UNKNOWN_SERVER_ERROR)
            return
        self._appended(waiting, end_offset, len(records), now)

    def end_transaction(self, end: TransactionEnd, tell: Callable[[ErrorCode], None]) -> None:
        """Append a transaction's marker and apply it; `tell` once it is committed, or refused.

        The errors are the log's own, and NOT_COORDINATOR.
        """
        now = self._now()
        end_offset = self._append_alone(lambda: self._writer.append_marker(end, now))
        if isinstance(end_offset, ErrorCode):
            tell(end_offset)
            return

        def then(error: ErrorCode, _: Moment) -> Result:
            tell(error)
            return NOTHING

        waiting = Waiting()
        waiting.results.append(Result(then=then))
        cast(TransactionalMachine, self.machine).end_transaction(end.producer_id, end.committed)
        self._appended(waiting, end_offset, 1, now)

    def _append_alone(self, append: Callable[[], int]) -> int | ErrorCode:
        """Append behind what is pending: the log's end offset, or why not."""
        if not self.closed:
            self.flush()
        if self.closed:
            return ErrorCode.NOT_COORDINATOR
        try:
            return append()
        except AppendFailed as failure:
            # Nothing of it was applied.
            log.info("a transactional append was refused: %s", failure)
            return failure.error

    # ------------------------------------------------------------------------------------ parking

    def _park(self, waiting: Waiting, more: Iterable[Result]) -> None:
        waiting.results.extend(more)
        waiting.end_offset = self._end_offset
        self._parked.append(waiting)
        self._writer.when_committed(self._end_offset, self._progressed)

    def _progressed(self, error: ErrorCode) -> None:
        """The committed offset moved, or somebody waited too long for it."""
        if self.closed:
            return
        now = self._now()
        committed_offset = self._writer.committed_offset()
        while self._parked and self._parked[0].end_offset <= committed_offset:
            self._complete_all(self._parked.popleft(), now)
        if error is not ErrorCode.NONE and self._parked:
            # Too late for who waits here; the records are in the log, so the machine goes on.
            self._refuse_all(self._parked.popleft(), error, now)
        self._rearm()

    def _complete_all(self, waiting: Waiting, now: Moment) -> None:
        all_committed(waiting.quick)
        for result in waiting.results:
            self._complete(result, now)

    def _refuse_all(self, waiting: Waiting, error: ErrorCode, now: Moment) -> None:
        for reply in waiting.quick:
            reply.refuse(answers.shown(error))
        for result in waiting.results:
            self._refuse(result, error, now)

    def _complete(self, result: Result, now: Moment) -> None:
        for reply, response in result.replies:
            self._open.pop(reply, None)  # type: ignore[call-overload]
            reply.give(response)  # type: ignore[attr-defined]
        if result.then is not None:
            self._then(result.then, ErrorCode.NONE, now)

    def _refuse(self, result: Result, error: ErrorCode, now: Moment) -> None:
        for reply, _ in result.replies:
            self._open.pop(reply, None)  # type: ignore[call-overload]
            reply.fail(error)  # type: ignore[attr-defined]
        if result.then is not None:
            self._then(result.then, error, now)

    def _then(self, then: Then, error: ErrorCode, now: Moment) -> None:
        try:
            following = then(error, now)
        except Exception:
            log.exception("what follows an append failed; the machine is loaded anew")
            self._drop(ErrorCode.UNKNOWN_SERVER_ERROR)
            return
        self.take(following, now)

    # ---------------------------------------------------------------------------------- the end

    def _drop(self, error: ErrorCode) -> None:
        """Nothing of this machine holds any more: who waits is told, the owner loads another."""
        if self.closed:
            return
        self.close(error)
        self._failed()

    def close(self, error: ErrorCode = ErrorCode.NOT_COORDINATOR) -> None:
        """Answer everybody with an error, take nothing more. Twice is fine."""
        if self.closed:
            return
        self.closed = True
        now = self._now()
        waiting = [*self._parked, self._current]
        self._current.quick += self.pending.quick
        self._parked.clear()
        self._current = Waiting()
        self.pending.closed = True
        self.pending.clear()
        for one in waiting:
            self._refuse_all(one, error, now)
        still_open, self._open = self._open, {}
        for reply, response in self.machine.unloaded():
            reply.give(response)  # type: ignore[attr-defined]
        for ask in still_open:
            ask.fail(ErrorCode.NOT_COORDINATOR)

    def release_held(self, error: ErrorCode = ErrorCode.NOT_COORDINATOR) -> None:
        """Answer who waits for other members rather than for the log, as before a stop."""
        for reply, response in self.machine.unloaded():
            self._open.pop(reply, None)  # type: ignore[call-overload]
            reply.give(response)  # type: ignore[attr-defined]
        written = {
            reply
            for waiting in (*self._parked, self._current)
            for result in waiting.results
            for reply, _ in result.replies
        }
        for ask in [ask for ask in self._open if ask not in written]:
            del self._open[ask]
            ask.fail(error)

    def settled(self) -> bool:
        """Whether everything that was applied is committed, so that answers need not wait."""
        settled = (
            not self._parked
            and not self.pending.count
            and self._writer.committed_offset() >= self._end_offset
        )
        # What is committed stays so: the compiled paths need not ask before the next append.
        self.pending.settled = settled
        return settled

    @property
    def idle(self) -> bool:
        """Nobody waits for the log."""
        return not self._parked and not self.pending.count


def batch_bytes(records: list[tuple[bytes, bytes | None]], compression: int) -> int:
    """The size of a batch of these records as Kafka's broker reckons it before it makes one.

    Exact without compression; with it a guess, as Kafka's is.
    """
    size = BATCH_BYTES
    for delta, (key, value) in enumerate(records):
        body = 3 + varint_bytes(delta) + varint_bytes(len(key)) + len(key)
        body += 1 if value is None else varint_bytes(len(value)) + len(value)
        size += varint_bytes(body) + body
    return size if compression == 0 else min(max(size // 2, 1024), 1 << 16)


def varint_bytes(number: int) -> int:
    """How many bytes a number that is not negative takes as a zigzag varint."""
    return max(1, ((number << 1).bit_length() + 6) // 7)


def split(sizes: list[int], bytes_max: int) -> list[range]:
    """Runs of indexes whose sizes together stay within a limit; one that does not is alone."""
    pieces: list[range] = []
    start = total = 0
    for at, size in enumerate(sizes):
        if at > start and total + size > bytes_max:
            pieces.append(range(start, at))
            start, total = at, 0
        total += size
    if start < len(sizes):
        pieces.append(range(start, len(sizes)))
    return pieces
