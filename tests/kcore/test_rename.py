"""A log whose directory gets another name while it is in use, and one that is given up."""

import threading
from pathlib import Path

import pytest

from kcore import syscalls
from kcore.batch_builder import build, build_end_marker
from kcore.errors import LogFailed
from kcore.log import COORDINATOR, Log, LogDirFailure
from kcore.log_config import LogConfig
from kcore.record_batch import batches

NOW_MS = 1_700_000_000_000
CONFIG = LogConfig(segment_bytes=4000, index_interval_bytes=300, file_delete_delay_ms=0)


def opened(path: Path, failure: LogDirFailure | None = None, *, clean: bool = True) -> Log:
    return Log.open(str(path), CONFIG, now_ms=NOW_MS, clean=clean, failure=failure)


def append(log: Log, count: int) -> None:
    for _ in range(count):
        log.append(build([(b"k", b"v" * 300, (), NOW_MS)]), leader_epoch=2, now_ms=NOW_MS)


def offsets(log: Log) -> list[int]:
    found: list[int] = []
    while not found or found[-1] + 1 < log.log_end_offset:
        view = log.read(found[-1] + 1 if found else log.log_start_offset, 1 << 20).view
        found += [one.base_offset for one in batches(view)]
    return found


def names(path: Path) -> set[str]:
    return {one.name for one in path.iterdir()}


def test_a_renamed_log_goes_on(tmp_path: Path) -> None:
    """Closed segments are read by their new names, new ones are made there, a flush finds all."""
    old, new = tmp_path / "t-0.x-future", tmp_path / "t-0"
    log = opened(old)
    append(log, 30)
    log.advance_log_start(12)
    log.delete_old_segments(NOW_MS, 30)
    start = log.log_start_offset
    held = log.read(15, 1 << 20)
    log.rename(str(new))
    assert log.path == str(new)
    assert not old.exists()
    assert bytes(held) == bytes(log.read(15, 1 << 20))
    append(log, 30)
    log.append(
        build(
            [(b"k", b"v", (), NOW_MS)],
            producer_id=5,
            producer_epoch=0,
            base_sequence=0,
            transactional=True,
        ),
        leader_epoch=2,
        now_ms=NOW_MS,
    )
    abort = build_end_marker(
        False, producer_id=5, producer_epoch=0, coordinator_epoch=0, timestamp=NOW_MS
    )
    log.append(abort, leader_epoch=2, now_ms=NOW_MS, origin=COORDINATOR)
    assert log.flush() == log.log_end_offset == 62
    assert log.delete_files_due(NOW_MS) == 0
    assert not [name for name in names(new) if name.endswith(".deleted")]
    assert [name for name in names(new) if name.endswith(".txnindex")]
    log.close()
    again = opened(new, clean=False)
    again.advance_log_start(start)
    assert (again.log_start_offset, again.log_end_offset) == (start, 62)
    assert offsets(again) == list(range(again.log_start_offset, 62))
    assert len(again.aborted_transactions(0, 62)) == 1
    again.close()


def test_a_name_that_is_taken_is_refused_and_nothing_happens(tmp_path: Path) -> None:
    failure = LogDirFailure(str(tmp_path))
    log = opened(tmp_path / "a", failure)
    append(log, 1)
    (tmp_path / "b").mkdir()
    with pytest.raises(LogFailed, match="is there already"):
        log.rename(str(tmp_path / "b"))
    assert not failure.failed
    append(log, 1)
    assert log.path == str(tmp_path / "a")
    log.close()


def test_a_rename_that_the_disk_refuses_takes_the_directory_offline(tmp_path: Path) -> None:
    failure = LogDirFailure(str(tmp_path))
    log = opened(tmp_path / "a", failure)
    syscalls.inject("rename", 1, 5)
    try:
        with pytest.raises(LogFailed):
            log.rename(str(tmp_path / "b"))
    finally:
        syscalls.clear()
    assert failure.failed
    log.close()


def test_an_abandoned_log_is_over_and_its_directory_is_not(tmp_path: Path) -> None:
    failure = LogDirFailure(str(tmp_path))
    log = opened(tmp_path / "t-0", failure)
    append(log, 30)
    held = log.read(0, 1 << 20)
    before = bytes(held)
    log.abandon()
    log.abandon()
    (tmp_path / "t-0").rename(tmp_path / "t-0.x-delete")
    for use in (
        lambda: append(log, 1),
        lambda: log.read(0, 100),
        lambda: log.read_cold(0, 100),
        log.flush,
        lambda: log.roll(NOW_MS),
        lambda: log.delete_old_segments(NOW_MS, 30),
    ):
        with pytest.raises(LogFailed, match="closed"):
            use()
    assert bytes(held) == before
    log.close()
    assert not failure.failed


def test_a_log_is_abandoned_under_the_hands_of_others(tmp_path: Path) -> None:
    """Flushes, rolls and reads in threads meet names that are gone: no failure of the disk."""
    for _ in range(8):
        failure = LogDirFailure(str(tmp_path))
        path = tmp_path / "t-0"
        log = opened(path, failure)
        append(log, 20)
        ready = threading.Barrier(4)

        def use(work: object, log: Log = log, ready: threading.Barrier = ready) -> None:
            ready.wait()
            try:
                while True:
                    work(log)  # type: ignore[operator]
            except LogFailed:
                pass

        def work(log: Log) -> None:
            append(log, 1)
            log.flush()

        threads = [
            threading.Thread(target=use, args=(one,))
            for one in (work, lambda log: log.read_cold(0, 4000), lambda log: log.roll(NOW_MS))
        ]
        for thread in threads:
            thread.start()
        ready.wait()
        append(log, 5)
        log.abandon()
        path.rename(tmp_path / "gone")
        for thread in threads:
            thread.join()
        assert not failure.failed, failure.cause
        for one in (tmp_path / "gone").iterdir():
            one.unlink()
        (tmp_path / "gone").rmdir()
