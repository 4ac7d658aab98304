"""The thread that syncs logs: what shares a group, and what it may say is durable."""

from __future__ import annotations

import errno
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_py.real_clock import RealClock
from kafka_py.server.sync_thread import Member, SyncThread
from kcore import syscalls
from kcore.batch_builder import build
from kcore.log import Log
from kcore.log_config import LogConfig
from tests.waiting import PATIENCE_S, eventually

NOW_MS = 1_700_000_000_000
BATCH = build([(b"k", b"v" * 300, (), NOW_MS)])


@pytest.fixture
def thread() -> Iterator[SyncThread]:
    made = SyncThread(RealClock())
    # Groups begin when a test says so.
    made.chained = False
    yield made
    syscalls.clear()
    made.close()


def open_log(path: Path, **settings: Any) -> Log:
    path.mkdir()
    return Log.open(str(path), LogConfig(**settings), now_ms=NOW_MS, clean=True)


def append(log: Log) -> None:
    log.append(BATCH, leader_epoch=0, now_ms=NOW_MS)


def ended(thread: SyncThread, count: int) -> list[Member]:
    """Wait for so many members of ended groups."""
    found: list[Member] = []
    while len(found) < count:
        ready, _, _ = select.select([thread.event_fd], [], [], PATIENCE_S)
        assert ready
        found += thread.collect()
    return found


def synced(thread: SyncThread, log: Log) -> Member:
    """A flush of one log alone."""
    thread.enter("p", log)
    thread.kick()
    (member,) = ended(thread, 1)
    return member


def calls(kind: str) -> int:
    return syscalls.counts()[kind]


def test_what_is_appended_to_a_log_that_is_flushed_already_is_one_system_call(
    thread: SyncThread, tmp_path: Path
) -> None:
    log = open_log(tmp_path / "t-0")
    append(log)
    # The names of a new log are not durable yet: that takes Python.
    assert synced(thread, log).durable == log.flushed_offset == 1
    for _ in range(3):
        append(log)
        thread.enter("p", log)
    before = sum(syscalls.counts().values())
    thread.kick()
    (member,) = ended(thread, 1)
    assert sum(syscalls.counts().values()) == before + 1
    assert (member.key, member.log, member.durable) == ("p", log, 4)
    assert log.flushed_offset == 4
    assert member.took_ns > 0
    log.close()


def test_each_log_of_a_group_is_synced_and_told_once(thread: SyncThread, tmp_path: Path) -> None:
    logs = [open_log(tmp_path / f"t-{i}") for i in range(20)]
    for round_number in (1, 2):
        for log in logs:
            append(log)
            thread.enter(log.path, log)
            thread.enter(log.path, log)
        before = calls("fdatasync")
        thread.kick()
        members = ended(thread, len(logs))
        assert [member.log for member in members] == logs
        assert [member.durable for member in members] == [round_number] * len(logs)
        assert calls("fdatasync") == before + len(logs)
    assert not thread.busy
    for log in logs:
        log.close()


def test_nothing_begins_before_the_kick_where_groups_are_not_chained(
    thread: SyncThread, tmp_path: Path
) -> None:
    log = open_log(tmp_path / "t-0")
    append(log)
    assert synced(thread, log).durable == 1
    append(log)
    thread.enter("p", log)
    assert not select.select([thread.event_fd], [], [], 0.05)[0]
    assert thread.busy
    thread.kick()
    assert ended(thread, 1)[0].durable == 2
    log.close()


def test_where_they_are_chained_the_next_one_begins_when_one_has_ended(
    thread: SyncThread, tmp_path: Path
) -> None:
    log = open_log(tmp_path / "t-0")
    append(log)
    synced(thread, log)
    thread.chained = True
    append(log)
    thread.enter("p", log)
    before = calls("fdatasync")
    syscalls.hold("fdatasync")
    thread.kick()
    eventually(lambda: calls("fdatasync") > before)
    append(log)
    thread.enter("p", log)
    syscalls.clear()
    assert [member.durable for member in ended(thread, 2)] == [2, 3]
    log.close()


def test_a_log_that_rolls_while_the_group_waits_is_flushed_whole(
    thread: SyncThread, tmp_path: Path
) -> None:
    log = open_log(tmp_path / "t-0")
    append(log)
    synced(thread, log)
    append(log)
    thread.enter("p", log)
    log.roll(NOW_MS)
    append(log)
    thread.enter("p", log)
    before = calls("fsync") + calls("fdatasync")
    thread.kick()
    assert ended(thread, 1)[0].durable == 3 == log.flushed_offset
    # Both segments, and the directory.
    assert calls("fsync") + calls("fdatasync") >= before + 3
    append(log)
    before = calls("fsync") + calls("fdatasync")
    assert synced(thread, log).durable == 4
    assert calls("fsync") + calls("fdatasync") == before + 1
    log.close()


def test_a_truncation_before_the_sync_is_told_leaves_the_recovery_point_where_it_put_it(
    thread: SyncThread, tmp_path: Path
) -> None:
    log = open_log(tmp_path / "t-0")
    for _ in range(3):
        append(log)
    synced(thread, log)
    append(log)
    thread.enter("p", log)
    thread.kick()
    assert select.select([thread.event_fd], [], [], PATIENCE_S)[0]
    # The disk has four of them; then the leader says that there were two, and others come.
    log.truncate_to(2)
    append(log)
    append(log)
    (member,) = thread.collect()
    assert member.durable == log.flushed_offset == 2
    assert synced(thread, log).durable == 4
    log.close()


def test_a_failed_sync_makes_nothing_durable_and_takes_the_directory_offline(
    thread: SyncThread, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = open_log(tmp_path / "bad"), open_log(tmp_path / "good")
    for log in (bad, good):
        append(log)
        synced(thread, log)
    for log in (bad, good):
        append(log)
        thread.enter(log.path, log)
    syscalls.inject("fdatasync", nth=1, errno=errno.EIO)
    thread.kick()
    first, second = ended(thread, 2)
    assert (first.log, first.durable) == (bad, -1)
    assert (second.log, second.durable) == (good, 2)
    assert bad.failure.failed
    assert bad.flushed_offset == 1
    assert f"flushing {bad.path} failed" in caplog.text
    # For good: an offline directory is not synced again.
    thread.enter("bad", bad)
    thread.kick()
    assert ended(thread, 1)[0].durable == -1
    good.close()


def test_another_log_of_a_directory_that_failed_meanwhile_is_not_durable_either(
    thread: SyncThread, tmp_path: Path
) -> None:
    log = open_log(tmp_path / "t-0")
    append(log)
    synced(thread, log)
    append(log)
    thread.enter("p", log)
    thread.kick()
    assert select.select([thread.event_fd], [], [], PATIENCE_S)[0]
    log.failure.fail(OSError(errno.EIO, "the disk"))
    assert thread.collect()[0].durable == -1
    assert log.flushed_offset == 1


def test_a_log_closed_or_deleted_meanwhile_is_no_complaint(
    thread: SyncThread, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed, deleted, gone = (open_log(tmp_path / name) for name in ("closed", "deleted", "gone"))
    for log in (closed, deleted, gone):
        append(log)
        synced(thread, log)
    for log in (closed, deleted, gone):
        append(log)
        thread.enter(log.path, log)
    gone.delete()
    thread.kick()
    assert select.select([thread.event_fd], [], [], PATIENCE_S)[0]
    closed.close()
    deleted.delete()
    assert [member.durable for member in ended(thread, 3)] == [-1, -1, -1]
    assert "failed" not in caplog.text


def test_nothing_is_synced_in_a_volatile_directory(thread: SyncThread, tmp_path: Path) -> None:
    syscalls.set_volatile(str(tmp_path), True)
    try:
        log = open_log(tmp_path / "t-0")
        append(log)
        synced(thread, log)
        append(log)
        before = sum(syscalls.counts().values())
        member = synced(thread, log)
        assert sum(syscalls.counts().values()) == before
        assert (member.durable, member.took_ns) == (2, -1)
        log.close()
    finally:
        syscalls.set_volatile(str(tmp_path), False)


def test_groups_of_which_nobody_has_heard_yet_are_told_together_and_in_order(
    thread: SyncThread, tmp_path: Path
) -> None:
    log = open_log(tmp_path / "t-0")
    append(log)
    synced(thread, log)
    told: list[int] = []
    for _ in range(3):
        append(log)
        before = calls("fdatasync")
        thread.enter("p", log)
        thread.kick()
        eventually(lambda before=before: calls("fdatasync") > before)  # type: ignore[misc]
    told = [member.durable for member in ended(thread, 3)]
    assert sorted(told) == told
    assert told[-1] == 4 == log.flushed_offset
    log.close()


def test_whoever_was_entered_and_not_begun_is_not_begun_after_close(tmp_path: Path) -> None:
    thread = SyncThread(RealClock())
    log = open_log(tmp_path / "t-0")
    append(log)
    thread.enter("p", log)
    thread.close()
    thread.kick()
    thread.close()
    assert log.flushed_offset == 0
    log.close()
