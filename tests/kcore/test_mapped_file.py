"""Maps: what they cost on disk, how long they live, that none is left over."""

import errno
import os
from pathlib import Path

import pytest

from kcore import syscalls
from kcore.batch_builder import build
from kcore.errors import LogFailed
from kcore.log import Log
from kcore.log_config import LogConfig

pytestmark = pytest.mark.usefixtures("no_map_is_left_over")

NOW_MS = 1_700_000_000_000


def open_log(path: Path, **settings: object) -> Log:
    return Log.open(
        str(path),
        LogConfig(**settings),  # type: ignore[arg-type]
        now_ms=NOW_MS,
        clean=True,
    )


def file_of(path: Path) -> os.stat_result:
    return (path / "00000000000000000000.log").stat()


def test_a_small_topic_takes_little_disk(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    log.append(build([(None, b"v" * 100)]), leader_epoch=0, now_ms=NOW_MS)
    assert file_of(tmp_path / "t-0").st_size == 65536
    assert file_of(tmp_path / "t-0").st_blocks * 512 <= 131072
    log.close()
    assert file_of(tmp_path / "t-0").st_size == log.size_bytes < 300


def test_chunks_grow_with_the_file(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    before = syscalls.counts()["fallocate"]
    batch = build([(None, b"v" * 60_000)])
    for _ in range(300):
        log.append(batch, leader_epoch=0, now_ms=NOW_MS)
    assert syscalls.counts()["fallocate"] - before < 20
    size = file_of(tmp_path / "t-0").st_size
    assert log.size_bytes <= size <= log.size_bytes + (4 << 20) + 65536
    log.close()


def test_preallocation_takes_the_segment_at_once(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", preallocate_bytes=True, segment_bytes=1 << 20)
    log.append(build([(None, b"v")]), leader_epoch=0, now_ms=NOW_MS)
    assert file_of(tmp_path / "t-0").st_size == 1 << 20
    assert file_of(tmp_path / "t-0").st_blocks * 512 >= 1 << 20
    log.close()
    assert file_of(tmp_path / "t-0").st_size == log.size_bytes


def test_a_full_disk_is_an_error_and_nothing_was_appended(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    log.append(build([(None, b"v" * 60_000)]), leader_epoch=0, now_ms=NOW_MS)
    syscalls.inject("fallocate", 1, errno.ENOSPC)
    with pytest.raises(LogFailed, match="No space left"):
        log.append(build([(None, b"v" * 60_000)]), leader_epoch=0, now_ms=NOW_MS)
    assert log.log_end_offset == 1
    assert log.failure.failed
    log.close()


def test_a_kernel_without_populate_still_works(tmp_path: Path) -> None:
    syscalls.inject("madvise", 1, errno.EINVAL, times=1000)
    log = open_log(tmp_path / "t-0")
    batch = build([(None, b"v" * 60_000)])
    for _ in range(30):
        log.append(batch, leader_epoch=0, now_ms=NOW_MS)
    found = log.read(0, 10_000_000)
    log.warm(found)
    assert len(found) == log.size_bytes
    del found
    log.close()


def test_a_slice_outlives_its_log_and_its_file(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    log.append(build([(None, b"stays")]), leader_epoch=0, now_ms=NOW_MS)
    view = log.read(0, 1000).view
    expected = bytes(view)
    log.delete()
    assert not (tmp_path / "t-0").exists()
    assert bytes(view) == expected
    assert b"stays" in expected
    with pytest.raises(TypeError):
        view[0] = 1
    view.release()
