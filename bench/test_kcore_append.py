"""kcore's append against memcpy, both in compiled loops, in one run.

    pytest bench/test_kcore_append.py --benchmark-enable -s

The claim: an append (header, CRC, records, sequence, offsets, indexes) into space that was taken
before keeps 60 % of the rate of a plain copy of the same bytes into a map whose pages are there.
The second row of a size adds what the copy is spared: taking disk space and page cache on the way,
which costs about as much as the copy itself. Best of several rounds by turns: the machine is
shared. A round of the copy goes over pages that the rounds before it have touched.
"""

import mmap
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.compiled import load
from kcore.batch_builder import build
from kcore.log import Log
from kcore.log_config import LogConfig

NOW_MS = 1_700_000_000_000
SIZES = [100, 1024, 16384, 131072]
SOURCE_BYTES = 256 << 10
ROUNDS = 5


@pytest.fixture(scope="module")
def compiled() -> Any:
    """The compiled loops."""
    return load("append")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="kcore-bench-"))
    yield made
    shutil.rmtree(made)


def batches_of(size: int) -> tuple[bytearray, int]:
    """Distinct batches one after the other, of one record each, and the bytes of each."""
    source = random.Random(size)
    made = [
        build(
            [(None, source.randbytes(size), (), NOW_MS)],
            producer_id=7,
            producer_epoch=0,
            base_sequence=0,
        )
        for _ in range(8)
    ]
    return bytearray(b"".join(made) * max(1, SOURCE_BYTES // (8 * len(made[0])))), len(made[0])


def copy_s(compiled: Any, directory: Path, batches: bytearray, size: int, count: int) -> float:
    """One round of the yardstick."""
    path = directory / "map"
    with open(path, "w+b") as file:
        os.posix_fallocate(file.fileno(), 0, size * count)
        with mmap.mmap(file.fileno(), size * count) as target:
            target[::4096] = bytes(len(range(0, len(target), 4096)))
            view = memoryview(target)
            best = min(compiled.copy(view, batches, size, count) for _ in range(2))
            view.release()
    path.unlink()
    return float(best)


def append_s(
    compiled: Any, directory: Path, batches: bytearray, size: int, count: int, ahead: bool
) -> float:
    """One round of appends, with the room for them taken before or on the way."""
    log = Log.open(str(directory / "t-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    log.append(build([(None, b"first", (), NOW_MS)]), leader_epoch=0, now_ms=NOW_MS)
    if ahead:
        compiled.populate(log, size * (count + 2))
    taken = compiled.append(log, batches, size, count, NOW_MS)
    assert log.log_end_offset == count + 1
    log.close()
    shutil.rmtree(directory / "t-0")
    return float(taken)


@pytest.mark.parametrize("size", SIZES)
def test_append_beside_a_copy(benchmark: Any, compiled: Any, directory: Path, size: int) -> None:
    """Both, and the ratio in the benchmark's extra information."""
    if not benchmark.enabled:
        pytest.skip("a measurement: run with --benchmark-enable")
    batches, bytes_each = batches_of(size)
    count = min((128 << 20) // bytes_each, 500_000)
    copied, ahead, whole = [], [], []
    for _ in range(ROUNDS):
        copied.append(copy_s(compiled, directory, batches, bytes_each, count))
        ahead.append(append_s(compiled, directory, batches, bytes_each, count, True))
        whole.append(append_s(compiled, directory, batches, bytes_each, count, False))
    yardstick, best, on_the_way = min(copied), min(ahead), min(whole)
    benchmark.extra_info.update(
        bytes=bytes_each,
        copy_ns=round(yardstick / count * 1e9),
        append_ns=round(best / count * 1e9),
        append_with_pages_ns=round(on_the_way / count * 1e9),
        share_of_copy=round(yardstick / best, 2),
        share_of_copy_with_pages=round(yardstick / on_the_way, 2),
    )
    print(f"\n{size} B: {benchmark.extra_info}")
    benchmark.pedantic(lambda: None, rounds=1)
