"""kcore.Log against memcpy: append and read, in one run on one machine.

    pytest bench/test_kcore_log.py --benchmark-enable

The claim: an append of a 1 KiB or 16 KiB batch (check, CRC, offsets, one copy, indexes) keeps 60 %
of the rate of a plain copy into a map whose pages are there already. Measured through Python, so
the small sizes show the call's own price; the compiled path (append_client) has none of it.
Smallest time of several rounds: the machine is shared.
"""

import mmap
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kcore.batch_builder import build
from kcore.log import Log
from kcore.log_config import LogConfig

NOW_MS = 1_700_000_000_000
SIZES = [100, 1024, 16384, 131072]
BYTES_MAX = 128 << 20


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="kcore-bench-"))
    yield made
    shutil.rmtree(made)


def batch_of(size: int) -> bytes:
    """One record with a value of that size."""
    return build([(None, b"x" * size, (), NOW_MS)])


def appends(size: int) -> int:
    """How many of them a round takes."""
    return max(10, min(20_000, BYTES_MAX // (6 * size)))


@pytest.mark.parametrize("size", SIZES)
def test_copy_into_a_populated_map(benchmark: Any, directory: Path, size: int) -> None:
    """The yardstick: slice assignment into pages that are there."""
    data = batch_of(size)
    count = appends(size)
    with open(directory / "map", "w+b") as file:
        file.write(bytes(len(data) * count))
        file.flush()
        target = mmap.mmap(file.fileno(), len(data) * count)
        target[::4096] = bytes(len(range(0, len(target), 4096)))

        def copy() -> None:
            place = 0
            for _ in range(count):
                target[place : place + len(data)] = data
                place += len(data)

        benchmark.extra_info["bytes"] = len(data) * count
        benchmark.pedantic(copy, rounds=5)
        assert target[: len(data)] == data
        target.close()


@pytest.mark.parametrize("size", SIZES)
def test_append(benchmark: Any, directory: Path, size: int) -> None:
    """Taking disk space and memory ahead of the tail is part of it, unlike in the copy above."""
    data = batch_of(size)
    count = appends(size)
    log = Log.open(str(directory / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)

    def append() -> None:
        for _ in range(count):
            log.append(data, leader_epoch=0, now_ms=NOW_MS)

    benchmark.extra_info["bytes"] = len(data) * count
    benchmark.pedantic(append, rounds=5, warmup_rounds=1)
    assert log.log_end_offset % count == 0
    assert log.size_bytes == log.log_end_offset * len(data)
    log.close()


@pytest.mark.parametrize("bytes_max", [1, 65536, 1 << 20])
def test_read(benchmark: Any, directory: Path, bytes_max: int) -> None:
    """1,000 reads of 1 KiB batches, up to bytes_max each."""
    log = Log.open(str(directory / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    for _ in range(20_000):
        log.append(batch_of(1024), leader_epoch=0, now_ms=NOW_MS)
    seen = 0

    def read() -> None:
        nonlocal seen
        offset = 0
        for _ in range(1000):
            found = log.read(offset, bytes_max)
            seen += len(found)
            offset = found.next_offset if found.next_offset < log.log_end_offset else 0

    benchmark.pedantic(read, rounds=5)
    assert seen > 0
    log.close()


def test_recovery(benchmark: Any, directory: Path) -> None:
    """Checks and opens 128 MiB that no flush covered."""
    config = LogConfig(segment_bytes=64 << 20)
    log = Log.open(str(directory / "t-0"), config, now_ms=NOW_MS, clean=True)
    data = batch_of(16384)
    while log.size_bytes < BYTES_MAX:
        log.append(data, leader_epoch=0, now_ms=NOW_MS)
    end = log.log_end_offset
    log.close()

    def recover() -> None:
        opened = Log.open(str(directory / "t-0"), config, now_ms=NOW_MS, clean=False)
        assert opened.log_end_offset == end
        assert opened.recovery_report.bytes_scanned >= BYTES_MAX
        opened.close()

    benchmark.extra_info["bytes"] = BYTES_MAX
    benchmark.pedantic(recover, rounds=3)


def test_clean_open(benchmark: Any, directory: Path) -> None:
    """A partition after a clean stop: what 10,000 of them cost is this, 10,000 times."""
    config = LogConfig()
    log = Log.open(str(directory / "t-0"), config, now_ms=NOW_MS, clean=True)
    for _ in range(100):
        log.append(batch_of(1024), leader_epoch=0, now_ms=NOW_MS)
    log.close()

    def open_and_close() -> None:
        opened = Log.open(str(directory / "t-0"), config, now_ms=NOW_MS, clean=True)
        assert opened.log_end_offset == 100
        opened.close()

    benchmark(open_and_close)
