"""The runtime over a log that is made up: what becomes of failures, and of the end."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_py.coordinator.machine import NOTHING, Caller, Delivery, Moment, Reply, Result
from kafka_py.coordinator.runtime import Ask
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetFetchRequest
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
)
from tests.coordinator.made_up import Counter, World, doing, put, reading, setting


@pytest.fixture
def world() -> World:
    return World()


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
