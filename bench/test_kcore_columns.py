"""Batches of 100-byte records decoded into numpy columns, beside what no decoder is spared.

    pytest bench/test_kcore_columns.py --benchmark-enable -s

The limit is the CRC of the same batches and writing memory of the columns' size (40 bytes a
record) that is there already. A fetch answer is 1 MiB, a segment 64 MiB.
"""

import random
from typing import Any

import numpy
import pytest

from bench import beside
from bench.compiled import load
from kcore import build, decode_columns

NOW_MS = 1_700_000_000_000
#: Values of so many bytes make records of 100 with their framing, without and with a key of 8.
SHAPES = {"no-key": (None, 92), "key": (b"key%05d", 84)}
CASES = [
    ("no-key", 150, 1),
    ("no-key", 150, 64),
    ("no-key", 1000, 64),
    ("key", 150, 1),
    ("key", 150, 64),
]


@pytest.fixture(scope="module")
def compiled() -> Any:
    """The compiled loops."""
    return load("passes")


def batches_of(shape: str, count: int, size: int) -> tuple[bytes, int, int]:
    """Batches of `count` records, about `size` bytes; how long each is; the records in all."""
    key, value_bytes = SHAPES[shape]
    source = random.Random(3)
    batch = build(
        [
            (key and key % i, source.randbytes(value_bytes), (), NOW_MS + i // 3)
            for i in range(count)
        ]
    )
    times = max(1, size // len(batch))
    return batch * times, len(batch), count * times


@pytest.mark.parametrize(("shape", "count", "mib"), CASES)
def test_columns_of_100_byte_records(
    benchmark: Any, compiled: Any, shape: str, count: int, mib: int
) -> None:
    """Records a second in the extra information; the rates are of bytes decoded."""
    if not benchmark.enabled:
        mib = 1
    data, bytes_each, records = batches_of(shape, count, mib << 20)
    columns = decode_columns(data)
    assert len(columns["offset"]) == records
    assert 95 <= len(data) / records <= 105
    del columns
    memory = numpy.zeros(5 * records, numpy.int64)

    def limit() -> None:
        compiled.checksums(data, bytes_each)
        memory.fill(1)

    best = beside.record(benchmark, len(data), lambda: decode_columns(data), limit)
    if benchmark.enabled:
        benchmark.extra_info["million_records_per_s"] = round(records / best / 1e6, 1)
        print(f"{benchmark.extra_info['million_records_per_s']} M records/s")
