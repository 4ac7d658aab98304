"""The runtime over a log that is made up: when replies go out, and what becomes of failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pytest

from kafka_py.coordinator.machine import (
    NOTHING,
    Caller,
    CoordinatorRecord,
    Deadlines,
    Delivery,
    Moment,
    Reply,
    Result,
)
from kafka_py.coordinator.runtime import AppendFailed, Ask, Runtime, split
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetFetchRequest
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
)
from kafka_py.protocol.records import GROUP_RECORDS, decode_key, decode_value
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
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


@pytest.fixture
def world() -> World:
    return World()


# ------------------------------------------------------------------------------------ the usual way


def test_a_reply_waits_for_its_records(world: World) -> None:
    first = world.ask(setting("a", 1))
    assert world.machine.state == {"a": 1}, "applied at once"
    assert not first.done
    assert not world.log.batches
    world.turn()
    assert len(world.log.batches) == 1
    assert not first.done
    world.log.commit(1)
    assert (first.done, first.response) == (True, None)


def test_one_batch_an_iteration(world: World) -> None:
    asks = [world.ask(setting("a", number)) for number in range(1, 4)]
    assert len(world.soon) == 1
    world.turn()
    assert [[value.offset for _, value in batch] for batch in world.log.records()] == [[1, 2, 3]]
    world.log.commit(2)
    assert not any(ask.done for ask in asks), "a batch is committed as a whole"
    world.log.commit(3)
    assert [ask.response for ask in asks] == [None, 1, 2]


def test_committed_when_the_append_returns(world: World) -> None:
    world.log.at_once = True
    ask = world.ask(setting("a", 1))
    world.turn()
    assert ask.done
    assert world.log.waiting == []


def test_a_read_alone_is_answered_at_once(world: World) -> None:
    ask = world.ask(reading("a"))
    assert ask.done
    assert world.soon == []
    assert world.log.waiting == []


def test_a_read_does_not_tell_what_could_be_lost(world: World) -> None:
    write = world.ask(setting("a", 1))
    in_batch = world.ask(reading("a"))
    world.turn()
    parked = world.ask(reading("a"))
    assert not in_batch.done
    assert not parked.done
    later = world.ask(setting("a", 2))
    after = world.ask(reading("a"))
    world.turn()
    world.log.commit(1)
    assert [ask.done for ask in (write, in_batch, parked, later, after)] == [True] * 3 + [False] * 2
    assert (in_batch.response, parked.response) == (1, 1)
    world.log.commit(2)
    assert (later.response, after.response) == (1, 2)
    assert world.ask(reading("a")).done


def test_the_end_of_the_replay_is_waited_for_too() -> None:
    world = World()
    world.log.end_offset = 7
    runtime = Runtime(
        world.machine,
        world.log,
        end_offset=7,
        now=lambda: Moment(0, 0),
        soon=world.soon.append,
        wake_at=world.woken.append,
        failed=world._failed,
    )
    ask = reading("a")
    runtime.submit(ask)
    assert not ask.done
    world.log.commit(7)
    assert ask.done


def test_an_answer_is_called_back_and_given_once(world: World) -> None:
    said: list[Any] = []
    ask = world.ask(setting("a", 1))
    ask.on_answer = said.append
    world.turn()
    world.log.commit(1)
    ask.give("again")
    ask.fail(ErrorCode.NOT_COORDINATOR)
    assert said == [None]
    assert ask.response is None


def test_records_that_the_machine_knows_already(world: World) -> None:
    ask = world.ask(setting("a", 1, replay=False))
    assert world.machine.state == {}
    world.turn()
    world.log.commit(1)
    assert ask.done
    assert [key.group for key, _ in world.log.records()[0]] == ["a"]


def test_tombstones_and_times(world: World) -> None:
    world.ms = 5
    record = put("a", 1)
    world.ask(doing(lambda machine, reply: Result([record, CoordinatorRecord(record.key, None)])))
    world.ms = 6
    world.turn()
    ((first, second),) = world.log.records()
    assert (first[1].offset, second[1]) == (1, None)
    batch = RecordBatch(world.log.batches[0])
    assert [one.timestamp for one in batch] == [1_000_005] * 2, "when it was decided"
    assert (batch.producer_id, batch.producer_epoch) == (-1, -1)


def test_a_compressed_topic(world: World) -> None:
    world.log.codec = 2
    world.ask(setting("a", 1))
    world.turn()
    assert RecordBatch(world.log.batches[0]).codec == 2
    assert world.log.records()[0][0][1].offset == 1


# --------------------------------------------------------------------------------------- following


def test_then_follows_the_commit(world: World) -> None:
    said: list[tuple[ErrorCode, int]] = []

    def what(machine: Counter, reply: Reply) -> Result:
        machine.held.append(reply)

        def then(error: ErrorCode, now: Moment) -> Result:
            said.append((error, now.ms))
            machine.held.remove(reply)
            return Result([put("b", 2)], [Delivery(reply, "then")])

        return Result([put("a", 1)], then=then)

    ask = world.ask(doing(what))
    world.turn()
    assert said == []
    world.ms = 9
    world.log.commit(1)
    assert said == [(ErrorCode.NONE, 9)]
    assert not ask.done, "what follows has records of its own"
    world.turn()
    world.log.commit(2)
    assert ask.response == "then"


def test_a_held_reply_is_given_by_another_request(world: World) -> None:
    def hold(machine: Counter, reply: Reply) -> Result:
        machine.held.append(reply)
        return NOTHING

    def release(machine: Counter, reply: Reply) -> Result:
        held, machine.held = machine.held, []
        return Result(replies=[Delivery(one, "released") for one in (*held, reply)])

    first = world.ask(doing(hold))
    assert not first.done
    second = world.ask(doing(release))
    assert (first.response, second.response) == ("released", "released")
    assert world.runtime._open == {}


def test_expiry_one_by_one(world: World) -> None:
    seen: list[dict[str, int]] = []

    def expiry(number: int) -> Callable[[], Result]:
        def run() -> Result:
            seen.append(dict(world.machine.state))
            return Result([put("a", number)])

        return run

    world.machine.deadlines.set("x", 10)
    world.machine.deadlines.set("y", 10)
    world.machine.on_expire = [expiry(1), expiry(2)]
    world.ask(reading("a"))
    assert world.woken[-1] == 10
    world.ms = 10
    world.runtime.expire()
    assert seen == [{}, {"a": 1}], "the second sees what the first did"
    world.turn()
    assert [len(batch) for batch in world.log.records()] == [2]
    assert world.runtime.next_deadline_ms() is None


def test_loading_may_write(world: World) -> None:
    world.machine.on_loaded = [Result([put("a", 4)])]
    world.machine.deadlines.set("x", 3)
    world.runtime.start()
    assert world.machine.state == {"a": 4}
    assert world.woken == [3]


# ------------------------------------------------------------------------------------------- sizes


def test_a_full_batch_is_written_before_the_next(world: World) -> None:
    world.log.limit = 300
    for number in range(8):
        world.ask(setting("a", number))
    world.turn()
    written = [[value.offset for _, value in batch] for batch in world.log.records()]
    assert list(chain(*written)) == list(range(8))
    assert len(written) > 1


def test_what_does_not_fit_fails_alone(world: World) -> None:
    errors: list[ErrorCode] = []

    def large(machine: Counter, reply: Reply) -> Result:
        def then(error: ErrorCode, now: Moment) -> Result:
            errors.append(error)
            return NOTHING

        records = [put("a", 1, metadata="x" * 600), put("b", 1, metadata="x" * 600)]
        return Result(records, [Delivery(reply, "done")], then=then)

    before = world.ask(setting("c", 1))
    ask = world.ask(doing(large))
    assert ask.response == HeartbeatResponse(error_code=ErrorCode.UNKNOWN_SERVER_ERROR)
    assert errors == [ErrorCode.MESSAGE_TOO_LARGE]
    assert world.machine.state == {"c": 1}
    world.turn()
    world.log.commit(1)
    assert before.done
    assert world.failures == 0


def test_what_need_not_be_together_is_spread(world: World) -> None:
    records = [put(f"g{number}", number, metadata="x" * 300) for number in range(7)]
    ask = world.ask(
        doing(lambda machine, reply: Result(records, [Delivery(reply, "done")], atomic=False))
    )
    world.turn()
    written = [[value.offset for _, value in batch] for batch in world.log.records()]
    assert list(chain(*written)) == list(range(7))
    assert len(written) > 1
    world.log.commit(6)
    assert not ask.done
    world.log.commit(7)
    assert ask.done


def test_split() -> None:
    assert split([], 10) == []
    assert split([4, 4, 4], 10) == [range(2), range(2, 3)]
    assert split([20, 1], 10) == [range(1), range(1, 2)]
    assert split([5, 5, 5, 5], 10) == [range(2), range(2, 4)]


# ---------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR),
    ],
)
def test_an_append_that_fails(world: World, error: ErrorCode, told: ErrorCode) -> None:
    world.log.error = error
    errors: list[ErrorCode] = []

    def hold(machine: Counter, reply: Reply) -> Result:
        machine.held.append(reply)
        return NOTHING

    def with_then(machine: Counter, reply: Reply) -> Result:
        def then(error: ErrorCode, now: Moment) -> Result:
            errors.append(error)
            return Result([put("never", 1)], [Delivery(held, "never")])

        held = reply
        return Result([put("b", 1)], then=then)

    written = world.ask(setting("a", 1))
    read = world.ask(reading("a"))
    held = world.ask(doing(hold))
    following = world.ask(doing(with_then))
    world.turn()
    for ask in (written, read):
        assert ask.response == HeartbeatResponse(error_code=told)
    assert held.response == "unloaded"
    assert errors == [error]
    assert following.response == HeartbeatResponse(error_code=ErrorCode.NOT_COORDINATOR)
    assert world.failures == 1
    assert world.runtime.closed
    assert "never" not in world.machine.state
    late = world.ask(setting("a", 1))
    assert late.response == HeartbeatResponse(error_code=ErrorCode.NOT_COORDINATOR)
    assert world.log.batches == []


def test_the_log_ends_elsewhere(world: World) -> None:
    world.log.shift = 1
    ask = world.ask(setting("a", 1))
    world.turn()
    assert ask.response == HeartbeatResponse(error_code=ErrorCode.NOT_COORDINATOR)
    assert world.failures == 1


def test_a_record_that_cannot_be_applied(world: World, caplog: pytest.LogCaptureFixture) -> None:
    good = world.ask(setting("a", 1))
    bad = world.ask(
        doing(lambda machine, reply: Result([put("b", 1, topic="bad")], [Delivery(reply, "no")]))
    )
    for ask in (good, bad):
        assert ask.response == HeartbeatResponse(error_code=ErrorCode.UNKNOWN_SERVER_ERROR)
    assert world.failures == 1
    world.turn()
    assert world.log.batches == []
    assert "could not be applied" in caplog.text


def test_a_handler_that_raises(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def raising(machine: Counter, reply: Reply) -> Result:
        raise ValueError("a bug")

    ask = world.ask(doing(raising))
    assert ask.response == HeartbeatResponse(error_code=ErrorCode.UNKNOWN_SERVER_ERROR)
    assert world.failures == 0
    assert world.ask(reading("a")).done
    assert "a bug" in caplog.text


def test_too_late(world: World) -> None:
    errors: list[ErrorCode] = []

    def with_then(machine: Counter, reply: Reply) -> Result:
        def then(error: ErrorCode, now: Moment) -> Result:
            errors.append(error)
            return NOTHING

        return Result([put("b", 1)], [Delivery(reply, "b")], then=then)

    first = world.ask(doing(with_then))
    world.turn()
    second = world.ask(setting("a", 1))
    world.turn()
    world.log.time_out()
    assert first.response == HeartbeatResponse(error_code=ErrorCode.COORDINATOR_NOT_AVAILABLE)
    assert errors == [ErrorCode.REQUEST_TIMED_OUT]
    assert not second.done
    assert world.failures == 0
    assert world.machine.state == {"b": 1, "a": 1}, "the records are in the log"
    world.log.commit(2)
    assert second.done


def test_closing_answers_everybody(world: World) -> None:
    def hold(machine: Counter, reply: Reply) -> Result:
        machine.held.append(reply)
        return NOTHING

    def forget(machine: Counter, reply: Reply) -> Result:
        return NOTHING

    parked = world.ask(setting("a", 1))
    world.turn()
    pending = world.ask(setting("a", 2))
    held = world.ask(doing(hold))
    forgotten = world.ask(doing(forget))
    world.runtime.close()
    world.runtime.close()
    refused = HeartbeatResponse(error_code=ErrorCode.NOT_COORDINATOR)
    assert [ask.response for ask in (parked, pending, forgotten)] == [refused] * 3
    assert held.response == "unloaded"
    world.turn()
    assert len(world.log.batches) == 1
    world.log.commit(1)
    assert world.failures == 0
    assert world.runtime.next_deadline_ms() is None


def test_before_a_stop_the_log_is_waited_for(world: World) -> None:
    def forget(machine: Counter, reply: Reply) -> Result:
        return NOTHING

    written = world.ask(setting("a", 1))
    waiting = world.ask(doing(forget))
    assert not world.runtime.idle
    world.runtime.flush()
    world.runtime.release_held()
    assert waiting.response == HeartbeatResponse(error_code=ErrorCode.NOT_COORDINATOR)
    assert not written.done
    world.log.commit(1)
    assert written.done
    assert world.runtime.idle


def test_errors_in_the_form_of_the_api() -> None:
    def told(request: Any, version: int, error: ErrorCode, message: str | None = None) -> Any:
        ask = Ask(request, Caller("c", "/h", version))
        ask.fail(error, message)
        return ask.response

    timed_out, moved = ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert told(JoinGroupRequest(), 9, moved) == JoinGroupResponse(
        error_code=ErrorCode.NOT_COORDINATOR, protocol_name=None
    )
    loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert told(HeartbeatRequest(), 4, loading).error_code == ErrorCode.NONE
    fetched = told(OffsetFetchRequest(group_id="g"), 5, timed_out)
    assert fetched.error_code == ErrorCode.NOT_COORDINATOR
    topic = OffsetFetchRequest.OffsetFetchRequestTopic(name="t", partition_indexes=[3])
    (row,) = told(OffsetFetchRequest(topics=[topic]), 1, moved).topics[0].partitions
    assert (row.partition_index, row.committed_offset) == (3, -1)
    assert row.error_code == ErrorCode.NOT_COORDINATOR
    beat = told(ConsumerGroupHeartbeatRequest(), 1, ErrorCode.FENCED_MEMBER_EPOCH, "fenced")
    assert (beat.error_code, beat.error_message) == (ErrorCode.FENCED_MEMBER_EPOCH, "fenced")
    assert told(ConsumerGroupHeartbeatRequest(), 1, moved, "the log's").error_message is None
