"""Log directories: locks, identity, checkpoints, what is found in them, what becomes of strays."""

from __future__ import annotations

import base64
import random
import subprocess
import sys
from pathlib import Path

import pytest

from kafka_py.replication.log_directory import (
    DirectoryLock,
    LogDirectory,
    LogDirectoryError,
    parse_partition_directory,
)
from kcore import build
from kcore.checkpoints import CleanShutdown, MetaProperties
from kcore.errors import DirectoryLocked
from kcore.log_config import LogConfig

NOW_MS = 1_700_000_000_000
DIRECTORY_ID = bytes(range(16))


def format_directory(path: Path, **fields: object) -> None:
    text = base64.urlsafe_b64encode(DIRECTORY_ID).decode().rstrip("=")
    values: dict[str, object] = {"cluster_id": "c", "node_id": 1, "directory_id": text} | fields
    MetaProperties(**values).write(path, now_ms=NOW_MS)  # type: ignore[arg-type]


def opened(path: Path, *, node_id: int = 1, cluster_id: str | None = "c") -> LogDirectory:
    lock = DirectoryLock(path)
    try:
        return LogDirectory(
            path, lock, node_id=node_id, cluster_id=cluster_id, random=random.Random(1)
        )
    except BaseException:
        lock.release()
        raise


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("t-0", ("t", 0)),
        ("a-b.c_d-12", ("a-b.c_d", 12)),
        ("t-0-delete", None),
        ("t-0.0123-delete", None),
        ("t-0.0123-stray", None),
        ("t-0.0123-future", None),
        ("t-01", None),
        ("t", None),
        ("-1", None),
        ("t--1", ("t-", 1)),
        ("t\n-1", None),
        ("ü-1", None),
    ],
)
def test_names_of_partition_directories(name: str, key: object) -> None:
    assert parse_partition_directory(name) == key


def test_the_lock_excludes_within_the_process(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    for _ in range(2):
        with pytest.raises(DirectoryLocked, match="this process"):
            DirectoryLock(tmp_path)
    lock.release()
    lock.release()
    again = DirectoryLock(tmp_path)
    again.release()


def test_the_lock_excludes_other_processes(tmp_path: Path) -> None:
    """Even after an attempt within the process failed, which must not drop the POSIX lock."""
    code = """if True:
        import sys, pathlib
        from kafka_py.replication.log_directory import DirectoryLock
        from kcore.errors import DirectoryLocked
        try:
            DirectoryLock(pathlib.Path(sys.argv[1]))
        except DirectoryLocked as error:
            print(error)
    """

    def other() -> str:
        ran = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
        )
        return ran.stdout

    lock = DirectoryLock(tmp_path)
    with pytest.raises(DirectoryLocked):
        DirectoryLock(tmp_path)
    assert "another process" in other()
    lock.release()
    assert other() == ""


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"cluster_id": "other"}, "belongs to cluster other"),
        ({"node_id": 7}, "belongs to node 7"),
        ({"directory_id": None}, "no directory.id"),
    ],
)
def test_a_foreign_directory_is_refused(
    tmp_path: Path, fields: dict[str, object], text: str
) -> None:
    format_directory(tmp_path, **fields)
    with pytest.raises(LogDirectoryError, match=text):
        opened(tmp_path)


def test_an_unformatted_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogDirectoryError, match="not formatted"):
        opened(tmp_path)


def test_the_clean_marker_goes_with_the_first_write(tmp_path: Path) -> None:
    format_directory(tmp_path)
    first = opened(tmp_path)
    assert not first.clean
    assert first.directory_id == DIRECTORY_ID
    first.begin_run()
    first.end_run(12)
    first.close()
    second = opened(tmp_path)
    assert (second.clean, second.broker_epoch_at_stop) == (True, 12)
    second.begin_run()
    assert not CleanShutdown.exists(tmp_path)
    second.close()


def test_checkpoints_come_back(tmp_path: Path) -> None:
    format_directory(tmp_path)
    first = opened(tmp_path)
    first.write_recovery_points({("t", 0): 5})
    first.write_log_starts({("t", 0): 2})
    first.write_high_watermarks({("t", 0): 4, ("u", 1): 9})
    first.close()
    second = opened(tmp_path)
    assert second.recovery_points == {("t", 0): 5}
    assert second.log_starts == {("t", 0): 2}
    assert second.high_watermarks == {("t", 0): 4, ("u", 1): 9}
    second.close()


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    format_directory(tmp_path)
    (tmp_path / "recovery-point-offset-checkpoint").write_text("nonsense")
    directory = opened(tmp_path)
    assert directory.recovery_points == {}
    directory.close()


@pytest.mark.parametrize("threads", [1, 4])
def test_logs_open_with_what_the_checkpoints_know(tmp_path: Path, threads: int) -> None:
    format_directory(tmp_path)
    directory = opened(tmp_path)
    for index in range(3):
        log = directory.open_log(("t", index), LogConfig(), now_ms=NOW_MS, topic_id=b"i" * 16)
        log.append(build([(b"k", b"v", (), NOW_MS)] * 5), leader_epoch=0, now_ms=NOW_MS)
        log.advance_log_start(2)
        log.close()
    (tmp_path / f"t-9.{'0123456789abcdef' * 2}-delete").mkdir()
    (tmp_path / "__cluster_metadata-0").mkdir()
    (tmp_path / "notes-1").write_text("a file")
    directory.write_log_starts({("t", index): 2 for index in range(3)})
    directory.close()
    again = opened(tmp_path)
    assert again.partition_keys() == [("t", 0), ("t", 1), ("t", 2)]
    logs, errors = again.open_logs(lambda _: LogConfig(), now_ms=NOW_MS, threads=threads)
    assert not errors
    assert {key: (log.log_start_offset, log.log_end_offset) for key, log in logs.items()} == {
        ("t", index): (2, 5) for index in range(3)
    }
    assert all(log.topic_id == b"i" * 16 for log in logs.values())
    assert again.remove_leftovers() == 1
    for log in logs.values():
        log.close()
    target = again.set_aside(("t", 1), "stray")
    assert target.name.startswith("t-1.")
    assert target.name.endswith("-stray")
    assert again.partition_keys() == [("t", 0), ("t", 2)]
    again.close()


def test_a_very_long_topic_can_be_set_aside(tmp_path: Path) -> None:
    format_directory(tmp_path)
    directory = opened(tmp_path)
    name = "x" * 249
    (tmp_path / f"{name}-0").mkdir()
    target = directory.set_aside((name, 0), "delete")
    assert len(target.name) <= 255
    assert parse_partition_directory(target.name) is None
    directory.close()


def test_a_failed_checkpoint_takes_the_directory_offline(tmp_path: Path) -> None:
    import errno

    from kcore import syscalls

    format_directory(tmp_path)
    directory = opened(tmp_path)
    syscalls.inject("fsync", 1, errno.EIO)
    try:
        directory.write_recovery_points({("t", 0): 1})
    finally:
        syscalls.clear()
    assert directory.offline
    directory.end_run(1)
    assert not CleanShutdown.exists(tmp_path), "what failed does not look cleanly stopped"
    directory.close()
