"""What record batches cost: checksum, validation on the append path, codecs, columns, building.

Run by `make bench` (pytest-benchmark); without it each case runs once, for its assertions. Claims:
CRC-32C at memory speed, a batch of 1 KiB validated in well under a microsecond from Python, columns
of 100-byte records at tens of millions a second.
"""

from typing import Any

import pytest

import kcore
from kcore import Codec, RecordBatch, build, decode_columns, validate
from kcore.crc32c import crc32c_with, implementations

NOW_MS = 1_700_000_000_000


def batch_of(count: int, value_bytes: int, codec: int = 0) -> bytes:
    """A batch of like records, whose values differ a little so that codecs have some work."""
    records = [
        (
            b"key%05d" % i,
            (b"%08d" % i) * (value_bytes // 8) + bytes(value_bytes % 8),
            (),
            NOW_MS + i,
        )
        for i in range(count)
    ]
    return build(records, compression=codec)


@pytest.mark.parametrize("implementation", implementations())
@pytest.mark.parametrize("size", [1 << 10, 16 << 10, 1 << 20])
def test_crc32c(benchmark: Any, implementation: str, size: int) -> None:
    """The checksum alone, by each implementation."""
    data = bytes(range(256)) * (size // 256)
    benchmark.extra_info["bytes"] = size
    assert benchmark(crc32c_with, implementation, data) == crc32c_with("table", data)


@pytest.mark.parametrize(("count", "value_bytes"), [(1, 100), (1, 950), (15, 1000), (1000, 100)])
def test_validate(benchmark: Any, count: int, value_bytes: int) -> None:
    """The append path's check of an uncompressed batch, called from Python."""
    raw = batch_of(count, value_bytes)
    benchmark.extra_info.update(bytes=len(raw), records=count)
    assert not benchmark(validate, raw, now_ms=NOW_MS).rewrite_timestamps


@pytest.mark.parametrize("codec", list(Codec)[1:], ids=lambda codec: codec.name.lower())
def test_validate_compressed(benchmark: Any, codec: Codec) -> None:
    """The same where the payload has to be unpacked first."""
    raw = batch_of(150, 100, codec)
    benchmark.extra_info.update(bytes=len(raw), records=150)
    assert benchmark(validate, raw, now_ms=NOW_MS).decompressed_bytes > 15_000


def test_iterate(benchmark: Any) -> None:
    """Records as Python objects."""
    raw = batch_of(1000, 100)
    benchmark.extra_info["records"] = 1000
    assert len(benchmark(lambda: list(RecordBatch(raw)))) == 1000


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.LZ4], ids=lambda codec: codec.name.lower())
def test_columns(benchmark: Any, codec: Codec) -> None:
    """A run of small batches as numpy columns."""
    segment = batch_of(150, 80, codec) * 200
    benchmark.extra_info.update(bytes=len(segment), records=30_000)
    assert len(benchmark(decode_columns, segment)["offset"]) == 30_000


def test_build(benchmark: Any) -> None:
    """A thousand records into one batch."""
    records = [(b"key", b"v" * 100, (), NOW_MS)] * 1000
    benchmark.extra_info["records"] = 1000
    assert RecordBatch(benchmark(build, records)).records_count == 1000


def test_recompress(benchmark: Any) -> None:
    """Rebuilding a batch for another compression.type."""
    raw = batch_of(150, 100)
    benchmark.extra_info.update(bytes=len(raw), records=150)
    assert RecordBatch(benchmark(kcore.recompress, raw, Codec.LZ4)).codec == Codec.LZ4
