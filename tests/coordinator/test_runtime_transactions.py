"""The runtime with transactional records and the markers that end their transactions."""

from __future__ import annotations

import pytest

from kafka_py.coordinator.machine import Delivery, Producer, Result, TransactionEnd
from kafka_py.coordinator.runtime import Ask
from kafka_py.protocol.errors import ErrorCode
from kcore.record_batch import RecordBatch
from tests.coordinator.made_up import World, doing, put, reading, setting

PRODUCER = Producer(7, 3)


@pytest.fixture
def world() -> World:
    return World()


def in_transaction(group: str, offset: int, topic: str = "t", metadata: str = "") -> Ask:
    return doing(
        lambda machine, reply: Result(
            [put(group, offset, topic, metadata)], [Delivery(reply, "done")], producer=PRODUCER
        )
    )


def end(world: World, *, committed: bool = True) -> list[ErrorCode]:
    told: list[ErrorCode] = []
    world.runtime.end_transaction(TransactionEnd(7, 3, 0, committed, 0), told.append)
    return told


def test_a_batch_of_its_own_behind_what_is_pending(world: World) -> None:
    plain = world.ask(setting("a", 1))
    ask = world.ask(in_transaction("a", 2))
    following = world.ask(setting("b", 3))
    assert len(world.log.batches) == 2, "appended at once"
    batch = RecordBatch(world.log.batches[1])
    assert (batch.is_transactional, batch.producer_id, batch.producer_epoch) == (True, 7, 3)
    assert (batch.base_sequence, batch.records_count) == (0, 1)
    assert world.machine.open == {7: {"a": 2}}
    assert world.machine.state == {"a": 1, "b": 3}
    world.log.commit(1)
    assert (plain.done, ask.done) == (True, False)
    world.log.commit(2)
    assert ask.response == "done"
    world.turn()
    world.log.commit(3)
    assert following.done


def test_a_marker_is_told_of_when_it_is_committed(world: World) -> None:
    world.ask(in_transaction("a", 2))
    world.ask(setting("b", 1))
    told = end(world)
    assert RecordBatch(world.log.batches[-1]).is_control
    assert len(world.log.batches) == 3, "what was pending comes before it"
    assert world.machine.state == {"a": 2, "b": 1}
    read = world.ask(reading("a"))
    world.log.commit(2)
    assert (told, read.done) == ([], False)
    world.log.commit(3)
    assert (told, read.response) == ([ErrorCode.NONE], 2)


def test_an_abort(world: World) -> None:
    world.ask(in_transaction("a", 2))
    end(world, committed=False)
    assert (world.machine.state, world.machine.open) == ({}, {})


@pytest.mark.parametrize("error", [ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.NOT_ENOUGH_REPLICAS])
def test_a_refused_append_leaves_the_machine_alone(world: World, error: ErrorCode) -> None:
    world.log.error = error
    ask = world.ask(in_transaction("a", 2))
    assert ask.response.error_code != ErrorCode.NONE
    assert end(world) == [error]
    assert (world.failures, world.machine.open) == (0, {})
    world.log.error = ErrorCode.NONE
    assert not world.ask(in_transaction("a", 2)).done
    assert world.machine.open == {7: {"a": 2}}


def test_records_that_do_not_fit(world: World) -> None:
    ask = world.ask(in_transaction("a", 2, metadata="m" * 2000))
    assert ask.response.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert world.log.batches == []


def test_a_record_that_cannot_be_applied_drops_the_machine(world: World) -> None:
    ask = world.ask(in_transaction("a", 2, topic="bad"))
    assert ask.response.error_code != ErrorCode.NONE
    assert world.failures == 1


def test_after_the_end(world: World) -> None:
    world.runtime.close()
    assert end(world) == [ErrorCode.NOT_COORDINATOR]


def test_who_waits_for_a_marker_is_told_when_the_coordinator_goes(world: World) -> None:
    told = end(world)
    world.runtime.close()
    assert told == [ErrorCode.NOT_COORDINATOR]


def test_a_pending_batch_that_fails_takes_the_marker_along(world: World) -> None:
    world.ask(setting("a", 1))
    world.log.error = ErrorCode.KAFKA_STORAGE_ERROR
    assert end(world) == [ErrorCode.NOT_COORDINATOR]
    assert world.failures == 1
