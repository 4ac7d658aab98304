"""Replies that compiled paths put into a runtime's pending batch: given with it, or refused."""

from __future__ import annotations

import pytest

from kafka_py.coordinator.batch import QuickReply
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records import encode_key, encode_value
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
from tests.coordinator.test_runtime import World, setting


class Quick(QuickReply):
    """Notes what it was told."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def committed(self) -> int:
        self.told.append(ErrorCode.NONE)
        return 0

    def refuse(self, error: int) -> int:
        self.told.append(error)
        return 0


@pytest.fixture
def world() -> World:
    return World()


def put(world: World, offset: int = 1) -> Quick:
    """What a compiled path does."""
    key = encode_key(OffsetCommitKey(group="g", topic="quick", partition=0))
    world.runtime.pending.add(key, encode_value(OffsetCommitValue(offset=offset), 4), 5)
    quick = Quick()
    world.runtime.pending.quick.append(quick)
    return quick


def test_it_is_given_when_the_batch_is_committed(world: World) -> None:
    first, asked, second = put(world), world.ask(setting("a", 1)), put(world, 2)
    assert len(world.soon) == 1
    world.turn()
    assert [len(batch) for batch in world.log.records()] == [3]
    assert (first.told, asked.done, second.told) == ([], False, [])
    third = put(world)
    world.turn()
    world.log.commit(3)
    assert (first.told, asked.done, second.told, third.told) == ([0], True, [0], [])
    world.log.commit(4)
    assert third.told == [0]
    assert world.runtime.idle


def test_a_log_that_commits_at_once(world: World) -> None:
    world.log.at_once = True
    quick = put(world)
    assert not world.runtime.idle
    world.turn()
    assert quick.told == [0]


def test_a_failed_append_refuses_what_waits_as_clients_are_told_it(world: World) -> None:
    parked = put(world)
    world.turn()
    pending = put(world)
    world.log.error = ErrorCode.KAFKA_STORAGE_ERROR
    world.turn()
    assert (parked.told, pending.told) == ([ErrorCode.NOT_COORDINATOR], [ErrorCode.NOT_COORDINATOR])
    assert world.failures == 1
    assert world.runtime.pending.closed


def test_a_close_refuses_what_waits(world: World) -> None:
    parked = put(world)
    world.turn()
    pending = put(world)
    world.runtime.close()
    world.turn()
    assert (parked.told, pending.told) == ([ErrorCode.NOT_COORDINATOR], [ErrorCode.NOT_COORDINATOR])
    assert len(world.log.batches) == 1


def test_who_waits_too_long_is_told_so_and_the_machine_goes_on(world: World) -> None:
    quick = put(world)
    world.turn()
    world.log.time_out()
    assert quick.told == [ErrorCode.COORDINATOR_NOT_AVAILABLE]
    later = put(world)
    world.turn()
    world.log.commit(2)
    assert later.told == [0]
    assert world.failures == 0


def test_a_batch_that_was_begun_and_stayed_empty_is_begun_again(world: World) -> None:
    world.runtime._begun()
    world.turn()
    assert world.log.batches == []
    quick = put(world)
    world.turn()
    world.log.commit(1)
    assert quick.told == [0]
