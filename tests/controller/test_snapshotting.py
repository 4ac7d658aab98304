"""Snapshotting: when one is due, and that two do not overlap."""

from __future__ import annotations

from typing import Any

from kafka_py.controller.raft_types import SnapshotId, VoterSet
from kafka_py.controller.settings import ControllerSettings
from kafka_py.controller.snapshotting import Snapshotting
from kafka_py.metadata.image import MetadataImage
from kafka_py.testing.clock import VirtualClock
from kafka_py.testing.raft_log import MemoryLogStore


def make(**settings: Any) -> tuple[Snapshotting, MemoryLogStore, list[Any], list[Any], Any]:
    store, clock = MemoryLogStore(), VirtualClock()
    work: list[Any] = []
    failures: list[BaseException] = []
    keeper = Snapshotting(
        store,
        ControllerSettings(**settings),
        clock,
        lambda job, then: work.append((job, then)),
        failures.append,
    )
    return keeper, store, work, failures, clock


def take(keeper: Snapshotting, offset: int) -> SnapshotId | None:
    return keeper.take(
        SnapshotId(offset, 1),
        MetadataImage(),
        last_timestamp_ms=0,
        kraft_version=0,
        voters=VoterSet({}),
    )


def test_due_by_bytes_and_by_time() -> None:
    keeper, _, _, _, clock = make(snapshot_bytes=100, snapshot_interval_ms=1000)
    assert not keeper.is_due(clock.monotonic_ms())
    keeper.note_appended(99)
    assert not keeper.is_due(clock.monotonic_ms())
    keeper.note_appended(1)
    assert keeper.is_due(clock.monotonic_ms())
    keeper, _, _, _, clock = make(snapshot_bytes=100, snapshot_interval_ms=1000)
    clock.advance(1000)
    assert not keeper.is_due(clock.monotonic_ms())  # nothing came
    keeper.note_appended(1)
    clock.advance(1000)
    assert keeper.is_due(clock.monotonic_ms())


def test_one_at_a_time_and_never_the_same_twice() -> None:
    keeper, store, work, failures, clock = make(snapshot_bytes=1)
    assert take(keeper, 5) == SnapshotId(5, 1)
    assert take(keeper, 6) is None
    keeper.note_appended(10)
    assert not keeper.is_due(clock.monotonic_ms())
    job, then = work.pop()
    then(job())
    assert store.latest_snapshot == SnapshotId(5, 1)
    assert take(keeper, 5) is None
    assert take(keeper, 7) == SnapshotId(7, 1)
    _, then = work.pop()
    error = OSError(28, "full")
    then(error)
    assert failures == [error]
