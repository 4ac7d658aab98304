"""How far a segment's writable map reaches, and what slices see when a longer one replaces it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kcore import syscalls
from kcore.batch_builder import build
from kcore.errors import LogFailed
from kcore.log import Log
from kcore.log_config import LogConfig
from kcore.mapped_file import set_faults_reach
from kcore.segment import set_first_window

pytestmark = pytest.mark.usefixtures("no_map_is_left_over")

NOW_MS = 1_700_000_000_000
KIB = 1024
MIB = 1024 * KIB


def open_log(path: Path, *, clean: bool = True, **settings: object) -> Log:
    config = LogConfig(max_message_bytes=200 * MIB, **settings)  # type: ignore[arg-type]
    return Log.open(str(path), config, now_ms=NOW_MS, clean=clean)


def put(log: Log, size: int) -> bytes:
    """Appends a record whose bytes tell its offset."""
    value = (b"%d " % log.log_end_offset * (size // 2 + 1))[:size]
    log.append(build([(None, value, (), NOW_MS)]), leader_epoch=0, now_ms=NOW_MS)
    return value


def maps(path: Path) -> list[int]:
    """Bytes of address space, by map of the log's first file; neighbours are one for the kernel."""
    name = os.path.realpath(path / "00000000000000000000.log")
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(name):
            start, _, stop = line.split()[0].partition("-")
            found.append(int(stop, 16) - int(start, 16))
    return found


def descriptors(path: Path) -> int:
    """How many descriptors this process holds of the log's first file."""
    name = os.path.realpath(path / "00000000000000000000.log")
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link) == name for link in links if os.path.lexists(link))


def test_it_reaches_further_as_the_segment_grows(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", segment_bytes=100 * MIB)
    seen = []
    for size in (100, 255 * KIB, 2 * KIB, 3 * MIB, MIB, 62 * MIB, MIB):
        put(log, size)
        seen.append(sum(maps(tmp_path / "t-0")))
        assert descriptors(tmp_path / "t-0") == 1
    kept = [256 * KIB, 256 * KIB, 4 * MIB, 4 * MIB, 64 * MIB, 100 * MIB, 100 * MIB]
    assert seen == kept
    log.close()


def test_one_long_batch_skips_what_is_too_short_for_it(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    put(log, 100)
    value = put(log, 10 * MIB)
    assert maps(tmp_path / "t-0") == [64 * MIB]
    assert value in bytes(log.read(1, 20 * MIB))
    log.close()


@pytest.mark.parametrize("reach", ["look", "folio", "page"])
def test_slices_of_the_shorter_map_stay_as_they_are(tmp_path: Path, reach: str) -> None:
    set_faults_reach(reach)
    try:
        log = open_log(tmp_path / "t-0")
        values, slices = [], []
        for _ in range(400):
            values.append(put(log, 15_000))
            slices.append(log.read(len(values) - 1, 1))
            if len(values) % 7 == 0:
                log.flush()
    finally:
        set_faults_reach("look")
    assert len(maps(tmp_path / "t-0")) == 3
    for value, piece in zip(values, slices, strict=True):
        assert value in bytes(piece)
        fd, position, size = piece.fd_slice()
        assert os.pread(fd, size, position) == bytes(piece)
    again = log.read(0, 10 * MIB, end_offset=log.log_end_offset)
    assert all(value in bytes(again) for value in values)
    del slices, piece, again
    assert len(maps(tmp_path / "t-0")) == 1
    log.close()
    log = open_log(tmp_path / "t-0", clean=False)
    assert log.log_end_offset == len(values)
    assert values[-1] in bytes(log.read(len(values) - 1, 1))
    log.close()


def test_preallocated_it_reaches_over_the_segment_at_once(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", segment_bytes=8 * MIB, preallocate_bytes=True)
    put(log, 100)
    assert maps(tmp_path / "t-0") == [8 * MIB]
    log.close()


def test_nothing_is_appended_where_no_longer_map_is_to_be_had(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    values = [put(log, 100_000), put(log, 100_000)]
    before = log.read(0, MIB)
    syscalls.inject("mmap", 1, errno.ENOMEM)
    with pytest.raises(LogFailed, match="Cannot allocate memory"):
        put(log, 100_000)
    assert log.log_end_offset == 2
    assert all(value in bytes(before) for value in values)
    log.close()
    syscalls.clear()
    log = open_log(tmp_path / "t-0", clean=False)
    assert log.log_end_offset == 2
    put(log, 100_000)
    assert log.log_end_offset == 3
    log.close()


def test_truncated_below_its_window_it_goes_on(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    values = [put(log, 50_000) for _ in range(30)]
    held = log.read(20, 1)
    log.truncate_to(2)
    values[2:] = [put(log, 60_000) for _ in range(30)]
    assert b"20 20 20" in bytes(held)
    assert all(value in bytes(log.read(0, 10 * MIB)) for value in values)
    log.close()


def test_a_first_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="one byte"):
        set_first_window(0)
