"""What an unclean open makes anew on its one walk is what the slower ways make."""

import shutil
from pathlib import Path

import pytest

from kcore.batch_builder import build, build_end_marker
from kcore.errors import OutOfOrderSequence
from kcore.log import COORDINATOR, Log
from kcore.log_config import LogConfig

NOW_MS = 1_700_000_000_000
INDEXES = ("*.index", "*.timeindex", "*.txnindex", "leader-epoch-checkpoint")


def opened(
    path: Path, clean: bool, interval: int, segment_bytes: int = 30_000, **options: object
) -> Log:
    """The log, in small segments unless said otherwise."""
    config = LogConfig(segment_bytes=segment_bytes, index_interval_bytes=interval)
    return Log.open(str(path), config, now_ms=NOW_MS, clean=clean, **options)  # type: ignore[arg-type]


def contents(path: Path) -> dict[str, bytes]:
    """The files that are derived from the batches."""
    return {p.name: p.read_bytes() for pattern in INDEXES for p in path.glob(pattern)}


def written(path: Path, interval: int, producer_id: int, batches: int = 400) -> Log:
    """A log of batches of changing size, epochs that ascend and timestamps that do not."""
    log = opened(path, True, interval)
    for i in range(batches):
        options = {}
        if producer_id >= 0 and i >= batches // 2:
            options = {"producer_id": producer_id, "producer_epoch": 0, "base_sequence": 0}
            options["producer_id"] += i
        sent = build([(b"k", b"v" * (i % 700), (), NOW_MS + (i * 37) % 1000)], **options)
        log.append(sent, leader_epoch=i // 50, now_ms=NOW_MS)
    return log


@pytest.mark.parametrize("interval", [0, 500, 4096, 1 << 20])
@pytest.mark.parametrize("producer_id", [-1, 7])
def test_indexes_epochs_and_producers(tmp_path: Path, interval: int, producer_id: int) -> None:
    path = tmp_path / "t-0"
    origin = written(path, interval, producer_id)
    end = origin.log_end_offset
    assert len(origin.segments) > 2
    assert len(origin.producers.active()) == (200 if producer_id >= 0 else 0)
    copy = tmp_path / "copy" / "t-0"
    shutil.copytree(path, copy)
    for pattern in ("*.snapshot", *INDEXES):
        for file in copy.glob(pattern):
            file.unlink()
    log = opened(copy, False, interval)
    assert (log.log_end_offset, log.recovery_report.cuts) == (end, ())
    assert log.producers.active() == origin.producers.active()
    assert [tuple(e) for e in log.leader_epochs.entries()] == [
        (epoch, epoch * 50) for epoch in range(8)
    ]
    for offset in range(end):
        assert log.read(offset, 1).next_offset == offset + 1
    # The last time entry of the active segment comes when a log that was written to is closed.
    for each in (origin, log):
        sent = build([(None, b"more", (), NOW_MS)])
        each.append(sent, leader_epoch=8, now_ms=NOW_MS)
        each.close()
    assert contents(copy) == contents(path)


def test_more_marks_than_one_walk_holds_and_a_cut_behind_them(tmp_path: Path) -> None:
    path = tmp_path / "t-0"
    log = opened(path, True, 0, 1 << 20)
    sent = build([(None, b"", (), NOW_MS)])
    for i in range(700):
        log.append(sent, leader_epoch=i, now_ms=NOW_MS)
    log.close()
    (file,) = path.glob("*.log")
    content = bytearray(file.read_bytes())
    content[600 * len(sent) + 30] ^= 1
    file.write_bytes(content)
    log = opened(path, False, 0, 1 << 20)
    assert log.log_end_offset == 600
    assert [cut.offset for cut in log.recovery_report.cuts] == [600]
    assert [e.epoch for e in log.leader_epochs.entries()] == list(range(600))
    assert log.offset_for_timestamp(NOW_MS).offset == 0
    log.append(sent, leader_epoch=600, now_ms=NOW_MS)
    log.close()
    (index,) = path.glob("*.index")
    # Every batch but the first.
    assert index.stat().st_size == 8 * 600


def test_transactions_behind_batches_without_producers(tmp_path: Path) -> None:
    path = tmp_path / "t-0"
    log = written(path, 4096, -1)
    end = log.log_end_offset
    options = {"producer_id": 5, "producer_epoch": 1, "transactional": True}
    log.append(
        build([(None, b"x", (), NOW_MS)], base_sequence=0, **options), leader_epoch=9, now_ms=NOW_MS
    )
    marker = build_end_marker(
        False, producer_id=5, producer_epoch=1, coordinator_epoch=0, timestamp=NOW_MS
    )
    log.append(marker, leader_epoch=9, now_ms=NOW_MS, origin=COORDINATOR)
    aborted = log.aborted_transactions(end, end + 1)
    assert len(aborted) == 1
    log.close()
    for pattern in ("*.txnindex", "*.snapshot"):
        for file in path.glob(pattern):
            file.unlink()
    shutil.copytree(path, tmp_path / "copy-0")
    log = opened(tmp_path / "copy-0", False, 4096)
    assert log.aborted_transactions(end, end + 1) == aborted
    assert log.log_end_offset == end + 2
    log.close()


def test_a_log_below_its_start_offset_keeps_no_epochs(tmp_path: Path) -> None:
    path = tmp_path / "t-0"
    log = written(path, 4096, -1)
    end = log.log_end_offset
    log.close()
    log = opened(path, False, 4096, log_start_offset=end + 10)
    assert (log.log_start_offset, log.log_end_offset) == (end + 10, end + 10)
    assert log.leader_epochs.entries() == []
    log.close()


def numbered(sequence: int, size: int, *, producer_id: int = 7, epoch: int = 0) -> bytes:
    """One record of a producer, by its sequence."""
    return build(
        [(None, bytes([1 + sequence % 255]) * size, (), NOW_MS)],
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
    )


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("rolled_after", [5, 6, 7, 8, 9])
def test_what_was_in_flight_over_a_snapshot_is_still_known(
    tmp_path: Path, clean: bool, rolled_after: int
) -> None:
    """Kafka's snapshot has one batch of each producer, a retry may repeat five."""
    path = tmp_path / "t-0"
    log = opened(path, True, 100)
    for sequence in range(10):
        log.append(numbered(sequence, 300), leader_epoch=0, now_ms=NOW_MS)
        if sequence == 0:
            log.append(numbered(0, 300, producer_id=8), leader_epoch=0, now_ms=NOW_MS)
        if sequence == rolled_after:
            log.roll(NOW_MS)
    end = log.log_end_offset
    if clean:
        log.close()
    else:
        log.flush()
        log.abandon()
    log = opened(path, clean, 100, recovery_point=end)
    for _ in range(2):
        for sequence in range(5, 10):
            again = log.append(numbered(sequence, 300), leader_epoch=0, now_ms=NOW_MS)
            # Behind the first record stands another producer's.
            assert (again.duplicate, again.base_offset) == (True, sequence + 1)
    with pytest.raises(OutOfOrderSequence):
        log.append(numbered(4, 300), leader_epoch=0, now_ms=NOW_MS)
    with pytest.raises(OutOfOrderSequence):
        log.append(numbered(11, 300), leader_epoch=0, now_ms=NOW_MS)
    assert not log.append(numbered(10, 300), leader_epoch=0, now_ms=NOW_MS).duplicate
    for sequence in range(6, 11):
        assert log.append(numbered(sequence, 300), leader_epoch=0, now_ms=NOW_MS).duplicate
    assert log.log_end_offset == end + 1
    log.close()


def test_batches_of_an_older_epoch_are_not_recalled(tmp_path: Path) -> None:
    path = tmp_path / "t-0"
    log = opened(path, True, 100)
    for sequence in range(4):
        log.append(numbered(sequence, 300), leader_epoch=0, now_ms=NOW_MS)
    log.append(numbered(0, 300, epoch=1), leader_epoch=0, now_ms=NOW_MS)
    log.close()
    log = opened(path, True, 100)
    with pytest.raises(OutOfOrderSequence):
        log.append(numbered(3, 300, epoch=1), leader_epoch=0, now_ms=NOW_MS)
    again = log.append(numbered(0, 300, epoch=1), leader_epoch=0, now_ms=NOW_MS)
    assert (again.duplicate, again.base_offset) == (True, 4)
    log.close()
