"""The runtime over a log that is made up: when replies go out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from kafka_py.coordinator.machine import NOTHING, CoordinatorRecord, Delivery, Moment, Reply, Result
from kafka_py.coordinator.runtime import Runtime, batch_bytes, split
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import HeartbeatResponse
from kafka_py.protocol.records import encode_key, encode_value
from kcore.record_batch import RecordBatch
from tests.coordinator.made_up import Counter, World, doing, put, reading, setting


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
    # As Kafka's coordinators write them: no producer, and a sequence nevertheless.
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (-1, -1, 0)


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


@pytest.mark.parametrize("count", [1, 70, 200])
def test_what_just_fits(world: World, count: int) -> None:
    records = [put(f"g{number}", 1) for number in range(count)]
    encoded = [(encode_key(key), encode_value(value, 3)) for key, value, _ in records if value]
    size = batch_bytes(encoded, 0)
    world.log.limit = size + 60
    refused = world.ask(doing(lambda machine, reply: Result(records, [Delivery(reply, 1)])))
    assert refused.done
    # Kafka counts the batch's own bytes twice.
    world.log.limit = size + 61
    fits = world.ask(doing(lambda machine, reply: Result(records, [Delivery(reply, 1)])))
    assert not fits.done
    world.turn()
    assert [len(batch) for batch in world.log.batches] == [size]


def test_sizes_with_compression_are_guesses() -> None:
    records = [(b"k" * 100, b"v" * 900), (b"k", None)]
    assert batch_bytes(records, 1) == 1024
    assert batch_bytes(records * 10, 1) == (batch_bytes(records * 10, 0)) // 2
    assert batch_bytes(records * 1000, 1) == 1 << 16


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
