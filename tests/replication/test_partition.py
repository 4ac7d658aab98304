"""One partition over a real log: offsets, epochs, followers, in-sync replicas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_py.replication.partition import (
    FENCED_LEADER_EPOCH,
    KAFKA_STORAGE_ERROR,
    NOT_LEADER_OR_FOLLOWER,
    UNKNOWN_LEADER_EPOCH,
    Partition,
)
from kcore import build
from kcore.errors import OffsetOutOfRange
from kcore.log import REPLICA, Log
from kcore.log_config import LogConfig

ME, OTHER, THIRD = 1, 2, 3
NOW_MS = 1_700_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    opened = Log.open(str(tmp_path / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    yield opened
    opened.close()


def partition_of(log: Log, high_watermark: int = 0) -> Partition:
    partition = Partition("t", b"i" * 16, 0, ME)
    partition.attach(log, None, high_watermark)
    return partition


def lead(
    partition: Partition, replicas: tuple[int, ...] = (ME,), epoch: int = 0, **fields: Any
) -> bool:
    options = {"partition_epoch": epoch, "isr": replicas, "now_ms": 0} | fields
    return partition.become_leader(leader_epoch=epoch, replicas=replicas, **options)


def append(partition: Partition, records: int = 1) -> None:
    partition.log.append(
        build([(b"k", b"v", (), NOW_MS)] * records),
        leader_epoch=partition.leader_epoch,
        now_ms=NOW_MS,
    )


def follow(
    partition: Partition, replica: int, offset: int, now_ms: int = 0, epoch: int = 5
) -> bool:
    return partition.record_follower(
        replica, broker_epoch=epoch, fetch_offset=offset, log_start_offset=0, now_ms=now_ms
    )


def ends(partition: Partition) -> tuple[int, int, int, int]:
    return (
        partition.log_start_offset,
        partition.last_stable_offset,
        partition.high_watermark,
        partition.log_end_offset,
    )


@pytest.mark.parametrize("wrong", [(-1, 0, 0, 0), (1, 0, 1, 1), (0, 2, 1, 2), (0, 1, 3, 2)])
def test_offsets_out_of_order_are_a_broken_invariant(log: Log, wrong: tuple[int, ...]) -> None:
    partition = partition_of(log)
    partition.set_offsets(0, 1, 2, 3)
    with pytest.raises(AssertionError, match="out of order"):
        partition.set_offsets(*wrong)
    assert ends(partition) == (0, 1, 2, 3)


def test_alone_the_high_watermark_is_the_end(log: Log) -> None:
    partition = partition_of(log)
    assert lead(partition)
    assert partition.alone
    append(partition, 3)
    assert partition.advance()
    assert ends(partition) == (0, 3, 3, 3)
    assert not partition.advance()


def test_a_checkpointed_high_watermark_is_bounded_by_the_log(log: Log) -> None:
    first = partition_of(log)
    lead(first)
    append(first, 4)
    assert ends(partition_of(log, 99)) == (0, 4, 4, 4)
    assert ends(partition_of(log, 2)) == (0, 2, 2, 4)
    log.advance_log_start(3)
    assert ends(partition_of(log, 0)) == (3, 3, 3, 4)


def test_the_high_watermark_waits_for_the_in_sync_replicas(log: Log) -> None:
    partition = partition_of(log)
    lead(partition, (ME, OTHER, THIRD))
    append(partition, 5)
    partition.advance()
    assert ends(partition) == (0, 0, 0, 5)
    assert not follow(partition, OTHER, 5)
    assert follow(partition, THIRD, 3)
    assert partition.high_watermark == 3
    # It never goes back, whatever a follower says next.
    assert not follow(partition, THIRD, 1)
    assert partition.high_watermark == 3
    # A shrunk ISR waits for fewer.
    lead(partition, (ME, OTHER, THIRD), partition_epoch=1, isr=(ME, OTHER))
    assert partition.high_watermark == 5


def test_below_min_isr_the_high_watermark_stands_still(log: Log) -> None:
    """KIP-966: what fewer replicas hold is not committed."""
    partition = partition_of(log)
    partition.min_isr_setting = 2
    lead(partition, (ME, OTHER), isr=(ME,))
    append(partition)
    partition.advance()
    assert partition.under_min_isr
    assert partition.high_watermark == 0
    lead(partition, (ME, OTHER), partition_epoch=1, isr=(ME, OTHER))
    assert not partition.under_min_isr
    assert follow(partition, OTHER, 1)


def test_min_isr_is_never_above_the_number_of_replicas(log: Log) -> None:
    partition = partition_of(log)
    partition.min_isr_setting = 3
    lead(partition)
    assert partition.min_isr == 1
    append(partition)
    assert partition.advance()


def test_a_stranger_or_an_older_run_of_a_follower_moves_nothing(log: Log) -> None:
    """KIP-903: a broker epoch that went back belongs to a broker that is no more."""
    partition = partition_of(log)
    lead(partition, (ME, OTHER))
    append(partition, 2)
    partition.advance()
    assert not follow(partition, 77, 2)
    assert follow(partition, OTHER, 1, epoch=9)
    assert not follow(partition, OTHER, 2, epoch=8)
    assert partition.high_watermark == 1


def test_a_new_leader_epoch_forgets_what_followers_had(log: Log) -> None:
    partition = partition_of(log)
    lead(partition, (ME, OTHER))
    append(partition, 2)
    follow(partition, OTHER, 1)
    assert lead(partition, (ME, OTHER), epoch=1)
    assert partition.followers[OTHER].log_end_offset == -1
    assert partition.leader_epoch_start_offset == 2
    assert partition.high_watermark == 1
    assert not lead(partition, (ME, OTHER), epoch=0), "an older image changes nothing"
    assert partition.leader_epoch == 1


def test_epochs_and_leadership_answer_with_the_right_error(log: Log) -> None:
    partition = partition_of(log)
    lead(partition, epoch=4)
    assert [partition.epoch_error(e) for e in (-1, 4, 3, 5)] == [
        0,
        0,
        FENCED_LEADER_EPOCH,
        UNKNOWN_LEADER_EPOCH,
    ]
    partition.offline = True
    assert partition.leader_error(4) == KAFKA_STORAGE_ERROR
    partition.offline = False
    assert partition.become_follower(
        leader_id=OTHER, leader_epoch=5, partition_epoch=5, replicas=(ME, OTHER), isr=(OTHER,)
    )
    assert partition.leader_error(-1) == NOT_LEADER_OR_FOLLOWER
    assert partition.leader_error(4) == FENCED_LEADER_EPOCH
    assert not partition.followers


def test_isr_candidates(log: Log) -> None:
    partition = partition_of(log)
    lead(partition, (ME, OTHER, THIRD), isr=(ME, OTHER))
    append(partition, 2)
    partition.advance()
    follow(partition, OTHER, 2, now_ms=0)
    assert partition.isr_candidates(0, 30_000) == (ME, OTHER)
    follow(partition, THIRD, 2, now_ms=10)
    assert partition.isr_candidates(10, 30_000) == (ME, OTHER, THIRD)
    append(partition)
    partition.advance()
    assert partition.isr_candidates(30_000, 30_000) == (ME, OTHER, THIRD)
    assert partition.isr_candidates(30_001, 30_000) == (ME, THIRD), "THIRD has all below the HW"
    follow(partition, OTHER, 3, now_ms=30_002)
    assert partition.high_watermark == 3
    assert partition.isr_candidates(30_003, 30_000) == (ME, OTHER)


def test_a_follower_that_reads_what_was_the_end_was_caught_up_then(log: Log) -> None:
    """KIP-16: lag is time since the follower last had everything, not a number of records."""
    partition = partition_of(log)
    lead(partition, (ME, OTHER))
    append(partition, 2)
    partition.advance()
    follow(partition, OTHER, 0, now_ms=1000)
    append(partition, 2)
    partition.advance()
    follow(partition, OTHER, 2, now_ms=2000)
    assert partition.followers[OTHER].caught_up_ms == 1000
    follow(partition, OTHER, 4, now_ms=3000)
    assert partition.followers[OTHER].caught_up_ms == 3000


def test_diverging_epochs(log: Log) -> None:
    partition = partition_of(log)
    lead(partition, epoch=1)
    append(partition, 3)
    lead(partition, epoch=4)
    append(partition, 2)
    partition.advance()
    assert partition.diverging_epoch(-1, 2) is None
    assert partition.diverging_epoch(1, 3) is None
    assert partition.diverging_epoch(4, 5) is None
    assert partition.diverging_epoch(1, 4) == (1, 3)
    assert partition.diverging_epoch(2, 3) == (1, 3)
    assert partition.diverging_epoch(0, 1) == (0, 0), "an epoch from before the log"
    with pytest.raises(OffsetOutOfRange):
        partition.diverging_epoch(9, 1)


def test_delete_records(log: Log) -> None:
    partition = partition_of(log)
    lead(partition, (ME, OTHER))
    append(partition, 5)
    partition.advance()
    follow(partition, OTHER, 3)
    for wrong in (4, -2):
        with pytest.raises(OffsetOutOfRange):
            partition.delete_records(wrong)
    assert partition.delete_records(2) == 0, "the low watermark is that of the slowest replica"
    assert ends(partition) == (2, 3, 3, 5)
    assert partition.delete_records(1) == 0
    assert partition.log_start_offset == 2
    partition.delete_records(-1)
    assert ends(partition) == (3, 3, 3, 5)
    partition.record_follower(OTHER, broker_epoch=5, fetch_offset=5, log_start_offset=3, now_ms=0)
    assert partition.low_watermark() == 3


def test_a_follower_learns_the_high_watermark_and_may_be_truncated(log: Log) -> None:
    partition = partition_of(log)
    partition.become_follower(
        leader_id=OTHER, leader_epoch=0, partition_epoch=0, replicas=(ME, OTHER), isr=(OTHER, ME)
    )
    log.append(
        build([(b"k", b"v", (), NOW_MS)] * 4, leader_epoch=0),
        leader_epoch=0,
        now_ms=NOW_MS,
        origin=REPLICA,
    )
    partition.advance()
    assert ends(partition) == (0, 0, 0, 4)
    partition.follower_high_watermark(9)
    assert ends(partition) == (0, 4, 4, 4)
    log.truncate_to(0)
    partition.truncated()
    assert ends(partition) == (0, 0, 0, 0)


def test_an_open_transaction_holds_the_last_stable_offset(log: Log) -> None:
    from kcore.batch_builder import build_end_marker

    partition = partition_of(log)
    lead(partition)
    append(partition, 2)
    options = {"producer_id": 7, "producer_epoch": 0, "base_sequence": 0, "transactional": True}
    log.append(build([(b"k", b"v", (), NOW_MS)], **options), leader_epoch=0, now_ms=NOW_MS)
    again = partition_of(log)
    lead(again)
    assert ends(again) == (0, 2, 3, 3)
    assert [again.limit(level, False) for level in (0, 1)] == [3, 2]
    assert again.limit(1, True) == 3
    marker = build_end_marker(
        False, producer_id=7, producer_epoch=0, coordinator_epoch=0, timestamp=NOW_MS
    )
    log.append(marker, leader_epoch=0, now_ms=NOW_MS, origin=2)
    assert again.advance()
    assert ends(again) == (0, 4, 4, 4)


def test_a_detached_partition_is_offline(log: Log) -> None:
    partition = partition_of(log)
    lead(partition)
    assert partition.detach() is log
    assert partition.leader_error(-1) == KAFKA_STORAGE_ERROR
