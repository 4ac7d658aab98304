"""Populating writes zeros behind the tail: nothing appended or still shown may be hit."""

import errno
import itertools
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from kcore import mapped_file, syscalls
from kcore.batch_builder import build
from kcore.crc32c import crc32c
from kcore.errors import BadCrc, LogFailed
from kcore.log import Log
from kcore.log_config import LogConfig

NOW_MS = 1_700_000_000_000
CONFIG = LogConfig(segment_bytes=3 << 20)


def open_log(path: Path, *, clean: bool = True) -> Log:
    return Log.open(str(path / "t-0"), CONFIG, now_ms=NOW_MS, clean=clean)


def value(index: int, size: int) -> bytes:
    """Differs from its neighbours and is never zero: lost or zeroed bytes show."""
    return bytes([1 + index % 255]) * size


def append(log: Log, index: int, size: int) -> None:
    log.append(build([(None, value(index, size), (), NOW_MS)]), leader_epoch=0, now_ms=NOW_MS)


def append_many(log: Log, count: int) -> None:
    for index in range(count):
        append(log, index, 15_000)


def content(log: Log) -> bytes:
    parts, offset = [], log.log_start_offset
    while offset < log.log_end_offset:
        found = log.read(offset, 1 << 20)
        parts.append(bytes(found))
        offset = found.next_offset
    return b"".join(parts)


def test_small_and_large_batches_mixed(tmp_path: Path) -> None:
    rng = random.Random(3)
    log = open_log(tmp_path)
    sizes = [rng.choice([100, 1024, 20_000, 33_000, 140_000]) for _ in range(600)]
    for index, size in enumerate(sizes):
        append(log, index, size)
    before = content(log)
    for index, size in enumerate(sizes):
        assert value(index, size) in before
    log.close()
    again = open_log(tmp_path, clean=False)
    assert again.log_end_offset == len(sizes)
    assert content(again) == before
    again.close()


def test_truncations_rolls_and_pinned_slices_between_fast_appends(tmp_path: Path) -> None:
    rng = random.Random(7)
    log = open_log(tmp_path)
    sizes: list[int] = []
    pinned = []
    for _ in range(40):
        for _ in range(60):
            size = rng.choice([500, 15_000, 40_000])
            append(log, len(sizes), size)
            sizes.append(size)
        if rng.random() < 0.5:
            slice_ = log.read(max(0, log.log_end_offset - 20), 1 << 20)
            pinned.append((slice_, bytes(slice_)))
        if rng.random() < 0.3:
            log.roll(NOW_MS)
        if rng.random() < 0.6:
            del sizes[max(0, len(sizes) - rng.randrange(1, 90)) :]
            log.truncate_to(len(sizes))
    seen = content(log)
    place = 0
    for index, size in enumerate(sizes):
        place = seen.index(value(index, size), place) + size
    for slice_, expected in pinned:
        assert bytes(slice_) == expected
    log.close()


def test_deleting_after_fast_appends_leaves_no_map(tmp_path: Path) -> None:
    maps = mapped_file.mappings_open()
    for _ in range(20):
        log = open_log(tmp_path)
        for index in range(150):
            append(log, index, 15_000)
        log.delete()
    assert mapped_file.mappings_open() == maps


def test_a_failing_write_is_reported_and_nothing_follows(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for index in range(100):
        append(log, index, 15_000)
    syscalls.inject("pwrite", 1, 5, times=1_000_000)
    try:
        with pytest.raises(LogFailed):
            append_many(log, 200)
    finally:
        syscalls.clear()
    with pytest.raises(LogFailed):
        append(log, 0, 100)


@pytest.fixture(params=["look", "folio", "page"])
def reach(request: pytest.FixtureRequest) -> Iterator[str]:
    mapped_file.set_faults_reach(request.param)
    yield request.param
    mapped_file.set_faults_reach("look")


@pytest.mark.parametrize("size", [100, 15_000, 128_000, 900_000])
def test_however_far_a_page_fault_reaches(tmp_path: Path, reach: str, size: int) -> None:
    log = Log.open(str(tmp_path / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    count = max(20, min(400, (12 << 20) // size))
    before = syscalls.counts()["madvise"]
    for index in range(count):
        append(log, index, size)
        if index % 50 == 7:
            log.flush()
    assert syscalls.counts()["madvise"] > before
    stored = content(log)
    place = 0
    for index in range(count):
        place = stored.index(value(index, size), place) + size
    log.close()
    assert (tmp_path / "t-0" / "00000000000000000000.log").read_bytes() == stored


def test_the_first_page_that_is_looked_at_stays_zero_behind_the_end(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, 0, 100)
    file = (tmp_path / "t-0" / "00000000000000000000.log").read_bytes()
    assert len(file) == 65536
    assert set(file[log.size_bytes :]) == {0}
    log.close()


def test_steps_end_at_multiples(tmp_path: Path) -> None:
    """Large batches, never synced: zeros are written in whole steps, so that folios are large."""
    log = Log.open(str(tmp_path / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    for index in range(8):
        append(log, index, 990_000)
    before = syscalls.counts()["pwrite"]
    written = log.size_bytes
    for index in range(64):
        append(log, index, 990_000)
    steps = (log.size_bytes - written) / (512 << 10)
    assert syscalls.counts()["pwrite"] - before <= steps + 1
    log.close()


@pytest.mark.parametrize(("synced", "largest"), [(False, 65_536), (True, 16_384)])
def test_steps_of_small_batches_grow_until_somebody_syncs(
    tmp_path: Path, synced: bool, largest: int
) -> None:
    """A sync writes all that is populated, so who syncs gets short steps."""
    log = Log.open(str(tmp_path / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    append(log, 0, 100)
    if synced:
        log.flush()
    grown_at = []
    for index in range(1, 780):
        before = syscalls.counts()["pwrite"]
        append(log, index, 100)
        if syscalls.counts()["pwrite"] > before:
            grown_at.append(log.size_bytes & ~4095)
    steps = [b - a for a, b in itertools.pairwise(grown_at)]
    assert max(steps) == largest, grown_at
    log.close()


def test_long_batches_between_syncs_are_written(tmp_path: Path) -> None:
    """Their pages are in no page table: nothing is asked for, and a sync has nothing to protect."""
    log = Log.open(str(tmp_path / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    for index in range(40):
        before = syscalls.counts()["madvise"]
        append(log, index, 130_000)
        # Until its first sync nobody knows that the log is synced all the time.
        assert (syscalls.counts()["madvise"] == before) == (index > 0)
        log.flush()
    for index in range(40, 80):
        append(log, index, 130_000)
    assert syscalls.counts()["madvise"] > before, "never synced, they are copied"
    stored = content(log)
    log.close()
    assert (tmp_path / "t-0" / "00000000000000000000.log").read_bytes() == stored
    assert [stored.index(value(index, 130_000)) for index in range(80)] == sorted(
        stored.index(value(index, 130_000)) for index in range(80)
    )


def as_stored(batch: bytes, offset: int, *, append_time: bool) -> bytes:
    """What the log makes of a batch: offset, epoch and, where the topic says so, its time."""
    stored = bytearray(batch)
    struct.pack_into(">q", stored, 0, offset)
    struct.pack_into(">i", stored, 12, 0)
    if append_time:
        stored[22] |= 8
        struct.pack_into(">q", stored, 35, NOW_MS)
        struct.pack_into(">I", stored, 17, crc32c(stored[21:]))
    return bytes(stored)


@pytest.mark.parametrize("append_time", [False, True])
def test_batches_are_the_same_bytes_however_they_get_there(
    tmp_path: Path, append_time: bool
) -> None:
    """Copied or written, in any order with syncs, small batches, rolls and slices that are out."""
    rng = random.Random(11)
    config = LogConfig(segment_bytes=3 << 20, timestamp_type=int(append_time))
    log = Log.open(str(tmp_path / "t-0"), config, now_ms=NOW_MS, clean=True)
    expected, pinned = [], []
    for index in range(200):
        size = rng.choice([100, 12_100, 12_200, 30_000, 65_000, 140_000, 600_000])
        batch = build([(None, value(index, size), (), NOW_MS - 5)])
        log.append(batch, leader_epoch=0, now_ms=NOW_MS)
        expected.append(as_stored(batch, index, append_time=append_time))
        if rng.random() < 0.6:
            log.flush()
        if rng.random() < 0.2:
            pinned.append((log.read(index, 1 << 20), expected[-1]))
    assert content(log) == b"".join(expected)
    assert all(bytes(piece) == wanted for piece, wanted in pinned)
    log.close()
    files = sorted((tmp_path / "t-0").glob("*.log"))
    assert len(files) > 5
    assert b"".join(path.read_bytes() for path in files) == b"".join(expected)


def test_batches_are_written_while_few_of_them_are_unsynced(tmp_path: Path) -> None:
    """From 12 KiB on, up to 32 of their length: body and header. The next ones come by the map."""
    log = open_log(tmp_path)
    append(log, 0, 1000)
    log.flush()  # who is never synced is not written to
    calls = []
    for index in range(48):
        before = syscalls.counts()["pwrite"]
        append(log, index, 20_000)
        calls.append(syscalls.counts()["pwrite"] - before)
    assert (min(calls[:31]), sorted(calls[:31])[28]) == (2, 2)  # an index takes space, too
    assert sum(calls[33:]) < 15
    log.flush()
    before = syscalls.counts()["pwrite"]
    append(log, 48, 20_000)
    assert syscalls.counts()["pwrite"] - before in (0, 2)  # 0: zeros of before have room for it
    append(log, 49, 1000)
    log.flush()
    assert content(log).count(value(3, 20_000)) == 1
    log.close()


def test_a_long_batch_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, 0, 100)
    log.flush()
    bad = bytearray(build([(None, value(1, 130_000), (), NOW_MS)]))
    bad[100_000] ^= 1
    with pytest.raises(BadCrc):
        log.append(bytes(bad), leader_epoch=0, now_ms=NOW_MS)
    file = (tmp_path / "t-0" / "00000000000000000000.log").read_bytes()
    assert set(file[log.size_bytes :]) == {0}
    append(log, 2, 130_000)
    assert log.log_end_offset == 2
    log.close()


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_disk_that_fails_while_a_long_batch_is_written(tmp_path: Path, nth: int) -> None:
    """Up to its header, which comes last: zeros are where it would have been."""
    log = open_log(tmp_path)
    append(log, 0, 100_000)
    log.flush()
    size = log.size_bytes
    syscalls.inject("pwrite", nth, errno.EIO)
    try:
        with pytest.raises(LogFailed):
            append(log, 1, 800_000)
        assert syscalls.fired() == 1
    finally:
        syscalls.clear()
    file = (tmp_path / "t-0" / "00000000000000000000.log").read_bytes()
    assert (log.size_bytes, set(file[size:])) == (size, {0})


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_disk_that_is_full_in_the_middle_of_a_large_batch(tmp_path: Path, nth: int) -> None:
    """Large batches are copied as space is taken: what was copied before is zeros again."""
    log = open_log(tmp_path)
    append(log, 0, 100_000)
    size = log.size_bytes
    syscalls.inject("pwrite", nth, errno.ENOSPC)
    try:
        with pytest.raises(LogFailed, match="No space"):
            append(log, 1, 1_040_000)
        assert syscalls.fired() == 1
    finally:
        syscalls.clear()
    file = (tmp_path / "t-0" / "00000000000000000000.log").read_bytes()
    assert (log.size_bytes, set(file[size:])) == (size, {0})
    again = open_log(tmp_path, clean=False)
    append(again, 1, 1_040_000)
    stored = content(again)
    assert stored.index(value(0, 100_000)) < stored.index(value(1, 1_040_000))
    assert again.log_end_offset == 2
    again.close()
