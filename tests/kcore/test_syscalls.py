"""The table of file calls: counting, failing on demand, replacing files."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kcore import syscalls
from kcore.batch_builder import build
from kcore.log import Log
from kcore.log_config import LogConfig
from tests.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def healed() -> Iterator[None]:
    yield
    syscalls.clear()


def test_calls_are_counted(tmp_path: Path) -> None:
    before = syscalls.counts()
    syscalls.replace_file(str(tmp_path / "f"), b"content")
    after = syscalls.counts()
    assert set(before) == set(syscalls.CALLS)
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert grown == {"open": 2, "close": 2, "pwrite": 1, "fsync": 2, "rename": 1}


def test_nothing_below_a_volatile_directory_is_synced(tmp_path: Path) -> None:
    directory = tmp_path / "t"
    directory.mkdir()
    syscalls.set_volatile(str(directory), True)
    try:
        before = syscalls.counts()
        syscalls.replace_file(str(directory / "f"), b"longer content")
        syscalls.replace_file(str(directory / "f"), b"content")
        assert (directory / "f").read_bytes() == b"content"
        assert syscalls.counts()["rename"] == before["rename"]
        syscalls.fsync_file(str(directory / "f"))
        syscalls.fsync_dir(str(directory))
        log = Log.open(directory / "t-0", LogConfig(), now_ms=0, clean=True)
        log.append(build([(b"k", b"v", (), 0)]), leader_epoch=0, now_ms=0)
        assert log.flush() == 1
        log.close()
        after = syscalls.counts()
        assert (after["fsync"], after["fdatasync"]) == (before["fsync"], before["fdatasync"])
        syscalls.replace_file(str(tmp_path / "tt"), b"content")
        assert syscalls.counts()["fsync"] == before["fsync"] + 2
    finally:
        syscalls.set_volatile(str(directory), False)
    syscalls.replace_file(str(directory / "f"), b"content")
    assert syscalls.counts()["fsync"] == before["fsync"] + 4


def test_the_nth_call_of_a_kind_fails(tmp_path: Path) -> None:
    syscalls.inject("fsync", 2, errno.EIO, times=2)
    syscalls.write_file(str(tmp_path / "a"), b"1")
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            syscalls.write_file(str(tmp_path / "a"), b"2")
        assert caught.value.errno == errno.EIO
        assert caught.value.filename == str(tmp_path / "a")
    syscalls.write_file(str(tmp_path / "a"), b"3")
    assert syscalls.fired() == 2
    assert syscalls.read_file(str(tmp_path / "a")) == b"3"


def test_calls_of_a_kind_are_held_from_the_nth_on(tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    syscalls.hold("fsync", 2)
    syscalls.write_file(path, b"1")
    before = syscalls.counts()["fsync"]
    thread = threading.Thread(target=syscalls.write_file, args=(path, b"2"))
    thread.start()
    while syscalls.counts()["fsync"] == before:
        time.sleep(0.001)
    thread.join(0.05)
    assert thread.is_alive()
    assert syscalls.read_file(path) == b"2"
    syscalls.clear()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_unknown_names_and_counts_are_refused() -> None:
    with pytest.raises(KeyError):
        syscalls.inject("fork", 1, errno.EIO)
    with pytest.raises(ValueError, match="count from 1"):
        syscalls.inject("open", 0, errno.EIO)
    with pytest.raises(ValueError, match="counts from 1"):
        syscalls.hold("open", 0)


@pytest.mark.parametrize("call", ["open", "pwrite", "fsync", "rename"])
def test_a_failed_replacement_leaves_the_old_file(call: str, tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    syscalls.replace_file(path, b"old")
    syscalls.inject(call, 1, errno.EIO)
    with pytest.raises(OSError):
        syscalls.replace_file(path, b"new and longer")
    assert syscalls.read_file(path) == b"old"


def test_short_writes_are_finished(tmp_path: Path) -> None:
    syscalls.inject("pwrite", 1, 0, times=5)
    syscalls.write_file(str(tmp_path / "f"), bytes(range(200)))
    assert syscalls.fired() == 5
    assert (tmp_path / "f").read_bytes() == bytes(range(200))


def test_write_at_extends_and_write_file_cuts(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    syscalls.write_at(path, 0, b"abcdef")
    syscalls.write_at(path, 6, b"gh")
    assert syscalls.read_file(path) == b"abcdefgh"
    syscalls.write_file(path, b"x", durable=False)
    assert syscalls.read_file(path) == b"x"
    syscalls.write_file(path, b"")
    assert syscalls.read_file(path) == b""
    assert oct(os.stat(path).st_mode & 0o777) == "0o600"


def test_names(tmp_path: Path) -> None:
    syscalls.write_file(str(tmp_path / "a"), b"1")
    syscalls.rename(str(tmp_path / "a"), str(tmp_path / "b"))
    syscalls.fsync_dir(str(tmp_path))
    syscalls.fsync_file(str(tmp_path / "b"))
    syscalls.unlink(str(tmp_path / "b"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        syscalls.unlink(str(tmp_path / "b"))
    with pytest.raises(FileNotFoundError):
        syscalls.read_file(str(tmp_path / "b"))
