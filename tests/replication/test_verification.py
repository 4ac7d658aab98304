"""Transactional appends by the rules of KIP-890, over a real log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_py.replication.partition import Partition
from kafka_py.replication.verification import (
    Batch,
    Verification,
    append_marker,
    begin,
    check,
    check_verified,
    note_appended,
)
from kcore import build
from kcore.batch_builder import build_end_marker
from kcore.errors import InvalidProducerEpoch, InvalidTxnState, OutOfOrderSequence
from kcore.log import Log
from kcore.log_config import LogConfig

NOW_MS = 1_700_000_000_000
PRODUCER = 7


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[Partition]:
    opened = Log.open(str(tmp_path / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    made = Partition("t", b"i" * 16, 0, 1)
    made.attach(opened, None, 0)
    made.become_leader(leader_epoch=0, partition_epoch=0, replicas=(1,), isr=(1,), now_ms=0)
    yield made
    opened.close()


def records(sequence: int = 0, epoch: int = 0, count: int = 1) -> bytes:
    return build(
        [(b"k", b"v", (), NOW_MS)] * count,
        producer_id=PRODUCER,
        producer_epoch=epoch,
        base_sequence=sequence,
        transactional=True,
    )


def batch_of(data: bytes) -> Batch:
    found = Batch.transactional(data)
    assert found is not None
    return found


def started(partition: Partition, data: bytes, *, adds: bool = False) -> Verification | None:
    return begin(partition, batch_of(data), adds=adds, now_ms=NOW_MS)


def append(
    partition: Partition, data: bytes, verified: Verification | None, *, required: bool = True
) -> int:
    """The base offset that it got."""
    check(partition, batch_of(data), data, verified, required=required)
    done: Any = partition.log.append(data, leader_epoch=0, now_ms=NOW_MS)
    if not done.duplicate:
        note_appended(partition, batch_of(data))
    partition.advance()
    base_offset: int = done.base_offset
    return base_offset


def end(partition: Partition, epoch: int = 0, *, committed: bool = True, version: int = 0) -> None:
    marker = build_end_marker(
        committed,
        producer_id=PRODUCER,
        producer_epoch=epoch,
        coordinator_epoch=0,
        timestamp=NOW_MS,
    )
    append_marker(
        partition, marker, Batch(PRODUCER, epoch), transaction_version=version, now_ms=NOW_MS
    )
    partition.advance()


def test_what_a_batch_says_of_itself() -> None:
    found = batch_of(records(5, 3, 2))
    assert (found.producer_id, found.epoch, found.sequence) == (PRODUCER, 3, 5)
    assert Batch.transactional(build([(b"k", b"v", (), NOW_MS)])) is None
    assert Batch.transactional(records()[:60]) is None
    assert Batch.transactional(None) is None


def test_the_first_batch_is_verified_and_the_next_are_not(partition: Partition) -> None:
    first = started(partition, records())
    assert first is not None
    assert append(partition, records(), first) == 0
    assert len(partition.verifications) == 0
    assert partition.transactional
    assert (partition.last_stable_offset, partition.high_watermark) == (0, 1)
    assert started(partition, records(1)) is None
    assert append(partition, records(1), None) == 1
    end(partition)
    assert (partition.last_stable_offset, partition.high_watermark) == (3, 3)
    assert not partition.transactional
    assert started(partition, records(2)) is not None, "the next transaction is another one"


def test_without_an_answer_nothing_is_appended(partition: Partition) -> None:
    with pytest.raises(InvalidTxnState):
        append(partition, records(), None)
    assert started(partition, records()) is not None
    with pytest.raises(InvalidTxnState):
        append(partition, records(), None)
    assert append(partition, records(), None, required=False) == 0


def test_an_answer_is_void_when_a_marker_came_between(partition: Partition) -> None:
    """Also when another verification has begun since (an ABA)."""
    asked = started(partition, records())
    end(partition)
    with pytest.raises(InvalidTxnState):
        append(partition, records(), asked)
    again = started(partition, records())
    assert again is not asked
    with pytest.raises(InvalidTxnState):
        append(partition, records(), asked)
    assert append(partition, records(), again) == 1


def test_a_late_marker_does_not_void_the_next_transaction(partition: Partition) -> None:
    """With transaction version 2 a marker has the epoch in which the next transaction begins."""
    assert append(partition, records(), started(partition, records(), adds=True)) == 0
    following = records(0, 1)
    asked = started(partition, following, adds=True)
    assert asked is not None, "another epoch is another transaction"
    end(partition, 1, version=2)
    assert append(partition, following, asked) == 2


def test_fenced_producers(partition: Partition) -> None:
    assert append(partition, records(0, 2), started(partition, records(0, 2))) == 0
    with pytest.raises(InvalidProducerEpoch):
        started(partition, records(0, 1))
    with pytest.raises(InvalidProducerEpoch):
        append(partition, records(0, 1), None)
    with pytest.raises(InvalidProducerEpoch):
        check_verified(partition, Batch(PRODUCER, 1), None, required=True)


def test_a_duplicate_needs_no_transaction(partition: Partition) -> None:
    assert append(partition, records(), started(partition, records())) == 0
    end(partition)
    assert append(partition, records(), None) == 0
    assert partition.log_end_offset == 2
    assert not partition.transactional


def test_a_later_batch_does_not_overtake_one_that_is_verified(partition: Partition) -> None:
    first = started(partition, records(3))
    assert started(partition, records(4)) is first
    with pytest.raises(OutOfOrderSequence):
        append(partition, records(4), first)
    assert append(partition, records(3), first) == 0
    assert append(partition, records(4), None) == 1


def test_a_higher_epoch_starts_its_sequences_anew(partition: Partition) -> None:
    first = started(partition, records(3, 0))
    assert started(partition, records(0, 1)) is first
    assert first is not None
    assert (first.epoch, first.lowest_sequence) == (1, 0)
    started(partition, records(9, 0))
    assert (first.epoch, first.lowest_sequence) == (1, 0)


def test_a_producer_that_adds_begins_with_sequence_zero(partition: Partition) -> None:
    """Transaction version 2: its state is never forgotten while it has a transaction."""
    asked = started(partition, records(4), adds=True)
    with pytest.raises(OutOfOrderSequence):
        append(partition, records(4), asked)


def test_verifications_that_nobody_finishes_expire(partition: Partition) -> None:
    asked = started(partition, records())
    partition.verifications.expire(NOW_MS + 999, 1000)
    assert started(partition, records()) is asked
    partition.verifications.expire(NOW_MS + 1000, 1000)
    assert len(partition.verifications) == 0


def test_a_decided_transaction_holds_until_its_marker_is_replicated(tmp_path: Path) -> None:
    log = Log.open(str(tmp_path / "u-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    made = Partition("u", b"i" * 16, 0, 1)
    made.attach(log, None, 0)
    made.become_leader(leader_epoch=0, partition_epoch=0, replicas=(1, 2), isr=(1, 2), now_ms=0)
    append(made, records(), started(made, records()))
    end(made)
    follow = {"broker_epoch": 1, "log_start_offset": 0, "now_ms": 0}
    made.record_follower(2, fetch_offset=1, **follow)
    assert (made.last_stable_offset, made.high_watermark) == (0, 1)
    made.record_follower(2, fetch_offset=2, **follow)
    assert (made.last_stable_offset, made.high_watermark) == (2, 2)
    assert log.producers.transactions() == [], "what is below the high watermark is forgotten"
    log.close()
