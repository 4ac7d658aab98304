"""Segments: when they roll, what a slice promises, how few maps stay open."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kcore.batch_builder import build
from kcore.log import REPLICA, Log
from kcore.log_config import LogConfig
from kcore.mapped_file import residency_asked
from kcore.segment import segments_open, set_open_limit

NOW_MS = 1_700_000_000_000


def open_log(path: Path, *, clean: bool = True, **settings: object) -> Log:
    return Log.open(
        str(path),
        LogConfig(timestamp_after_max_ms=10**13, **settings),  # type: ignore[arg-type]
        now_ms=NOW_MS,
        clean=clean,
    )


@pytest.fixture
def few_maps() -> Iterator[None]:
    old = set_open_limit(8)
    yield
    set_open_limit(old)


def put(log: Log, size: int = 100, timestamp: int = NOW_MS) -> int:
    batch = build([(None, b"v" * size, (), timestamp)])
    return log.append(batch, leader_epoch=0, now_ms=NOW_MS).base_offset


def bases(log: Log) -> list[int]:
    return [s.base_offset for s in log.segments]


def test_rolls_by_size(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", segment_bytes=1000)
    for _ in range(12):
        put(log, 100)
    assert all(s.size_bytes <= 1000 for s in log.segments)
    assert bases(log) == [0, 5, 10]
    for info in log.segments[:-1]:
        assert os.path.getsize(info.path) == info.size_bytes
    log.close()


def test_rolls_by_the_time_between_batches(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", segment_ms=1000)
    for timestamp in (0, 500, 1000, 1001, 1500, 2001, 2002):
        put(log, timestamp=NOW_MS + timestamp)
    assert bases(log) == [0, 3, 6]
    log.close()


def test_jitter_takes_something_off_and_stays_the_same(tmp_path: Path) -> None:
    def where(name: str) -> int:
        log = open_log(tmp_path / name, segment_ms=1000, segment_jitter_ms=900)
        for timestamp in range(0, 1100, 10):
            put(log, timestamp=NOW_MS + timestamp)
        log.close()
        return bases(log)[1]

    found = {name: where(name) for name in ("a-0", "b-0", "c-0")}
    assert len(set(found.values())) > 1
    assert all(place <= 101 for place in found.values())


def test_rolls_when_an_index_is_full(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", segment_index_bytes=40, index_interval_bytes=100)
    for n in range(20):
        put(log, 200, timestamp=NOW_MS + n)
    assert len(bases(log)) > 4
    log.close()
    for info in log.segments:
        assert os.path.getsize(info.path.replace(".log", ".index")) <= 40
        assert os.path.getsize(info.path.replace(".log", ".timeindex")) <= 40


def test_rolls_before_a_relative_offset_overflows(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    put(log)
    for base in (2**31 - 1, 2**31, 2**31 + 5):
        batch = build([(None, b"v")], base_offset=base, leader_epoch=0)
        log.append(batch, leader_epoch=-1, now_ms=NOW_MS, origin=REPLICA)
    assert bases(log) == [0, 2**31]
    assert log.read(5, 10).next_offset == 2**31
    log.close()


def test_what_was_in_memory_is_not_asked_for_again_for_a_while(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    for _ in range(200):
        put(log, 2000)
    log.close()
    log = open_log(tmp_path / "t-0", clean=True)

    def asked(offset: int, now_ms: int, bytes_max: int = 1) -> int:
        """How often the kernel was asked for one fetch."""
        found, before = log.read(offset, bytes_max), residency_asked()
        assert found.was_resident(now_ms)
        return residency_asked() - before

    assert asked(0, NOW_MS) == 1
    assert [asked(offset, NOW_MS + 99) for offset in range(30)] == [0] * 30, "the same 64 KiB"
    assert asked(0, NOW_MS + 100) == 1, "not for ever"
    assert asked(0, NOW_MS + 99) == 1, "a clock that was set back"
    assert asked(0, NOW_MS + 150, 200_000) == 3, "the windows that are not known yet"
    assert asked(1, NOW_MS + 150, 200_000) == 0
    assert asked(0, NOW_MS + 150, 400_000) == 1, "larger than what is remembered: as it is"
    assert asked(150, NOW_MS + 150) == 1
    assert asked(150, NOW_MS + 151) == 0
    log.close()


def test_slices_are_whole_batches_and_say_where_they_lie(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", index_interval_bytes=300)
    for _ in range(50):
        put(log, 100)
    size = log.size_bytes // 50
    found = log.read(7, 5 * size + 3)
    assert len(found) == 5 * size
    assert (found.offset, found.next_offset) == (7, 12)
    assert found.position == 7 * size
    assert found.resident
    fd, position, length = found.fd_slice()
    assert os.pread(fd, length, position) == bytes(found) == bytes(found.view)
    assert found.view.readonly
    assert len(log.read(7, 1)) == size
    assert len(log.read(7, 1, at_least_one=False)) == 0
    assert len(log.read(7, 10**6, end_offset=9)) == 2 * size
    assert log.read(50, 100).fd_slice()[2] == 0
    log.close()


def test_truncation_leaves_slices_as_they_were(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    for n in range(20):
        put(log, 50 + n)
    held = log.read(0, 10**6)
    fd, position, length = held.fd_slice()
    before = bytes(held)
    assert log.truncate_to(10)
    for n in range(20):
        put(log, 90 + n)
    assert bytes(held) == before
    assert os.pread(fd, length, position) == before
    assert log.read(0, 10**6).view[: len(before)] != before
    log.close()


def test_idle_segments_hold_neither_map_nor_descriptor(tmp_path: Path, few_maps: None) -> None:
    before = segments_open()
    logs = [open_log(tmp_path / f"t-{n}", segment_bytes=1000) for n in range(20)]
    for log in logs:
        for _ in range(20):
            put(log)
        log.flush()
    for log in logs:
        for offset in range(20):
            assert log.read(offset, 10).next_offset == offset + 1
    assert segments_open() - before <= 8
    descriptors = len(os.listdir("/proc/self/fd"))
    for log in logs:
        put(log)
        log.flush()
    assert len(os.listdir("/proc/self/fd")) - descriptors <= 8
    for log in logs:
        log.close()
        assert log.log_end_offset == 21


def test_a_missing_or_lying_index_is_built_anew(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", segment_bytes=5000, index_interval_bytes=300)
    for n in range(100):
        put(log, timestamp=NOW_MS + n)
    log.close()
    good = {p.name: p.read_bytes() for p in (tmp_path / "t-0").glob("*index")}
    first = tmp_path / "t-0" / "00000000000000000000.index"
    first.write_bytes(b"\0" * len(good[first.name]))
    (tmp_path / "t-0" / "00000000000000000000.timeindex").unlink()
    log = open_log(tmp_path / "t-0", segment_bytes=5000, index_interval_bytes=300)
    for offset in range(100):
        assert log.read(offset, 1).next_offset == offset + 1
    found = log.offset_for_timestamp(NOW_MS + 20)
    assert found is not None
    assert found.offset == 20
    log.close()
