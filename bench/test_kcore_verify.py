"""A whole log, checked and recovered, beside plain passes over the same bytes.

    pytest bench/test_kcore_verify.py --benchmark-enable -s

Three logs of one segment of 1 GiB, in the page cache and on disk. `check` walks the map of a file
whose pages are entered already, beside a loop that only reads those words (and kcore's CRC alone).
`verify` and an unclean `Log.open` map the file themselves, and so does what they stand beside; what
of a recovery is sync finds nothing to write here, as after a kill once the kernel has written.
"""

import mmap
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import beside
from bench.compiled import load
from kcore.batch_builder import build
from kcore.log import REPLICA, Log
from kcore.log_config import LogConfig
from kcore.scan import check, verify

NOW_MS = 1_700_000_000_000
LOG_BYTES = 1 << 30
CONFIG = LogConfig(segment_bytes=LOG_BYTES + (1 << 24))
APPEND_BYTES = 1 << 20
#: Values of so many bytes, one a batch, from a producer with an id or not.
LOGS = {"1k": (950, -1), "16k": (16 << 10, -1), "1k-idempotent": (950, 7)}


@pytest.fixture(scope="module")
def compiled() -> Any:
    """The compiled loops."""
    return load("passes")


@pytest.fixture(scope="module", params=LOGS)
def path(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A log of 1 GiB. A run without --benchmark-enable would write gigabytes for nothing."""
    if not request.config.getoption("benchmark_enable"):
        pytest.skip("a measurement: run with --benchmark-enable")
    value_bytes, producer_id = LOGS[request.param]
    made = Path(tempfile.mkdtemp(prefix="kcore-bench-"))
    log = Log.open(str(made / "t-0"), CONFIG, now_ms=NOW_MS, clean=True)
    while log.size_bytes < LOG_BYTES:
        log.append(
            run(log.log_end_offset, value_bytes, producer_id),
            leader_epoch=0,
            now_ms=NOW_MS,
            origin=REPLICA,
        )
    log.close()
    yield made / "t-0"
    shutil.rmtree(made)


def run(offset: int, value_bytes: int, producer_id: int) -> bytes:
    """Batches of one record each, as a leader would have them."""
    made = []
    for at in range(offset, offset + APPEND_BYTES // value_bytes):
        sequence = at % (1 << 31) if producer_id >= 0 else -1
        made.append(
            build(
                [(None, at.to_bytes(8, "big") * (value_bytes // 8), (), NOW_MS + at)],
                base_offset=at,
                leader_epoch=0,
                producer_id=producer_id,
                producer_epoch=0 if producer_id >= 0 else -1,
                base_sequence=sequence,
            )
        )
    return b"".join(made)


def mapped(path: Path) -> mmap.mmap:
    """The segment's file, mapped anew."""
    with open(path / f"{0:020d}.log", "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def test_check_of_a_mapped_log(benchmark: Any, compiled: Any, path: Path) -> None:
    """Lengths, CRCs and offsets of all batches beside reading the words of the same pages."""
    with mapped(path) as data:
        found = check(data)
        assert (found.bytes, found.damage) == (len(data), ())
        beside.record(
            benchmark,
            len(data),
            lambda: check(data),
            lambda: compiled.read(data),
            rounds=7,
            crc=lambda: compiled.checksum(data),
        )


def test_verify_of_a_log(benchmark: Any, compiled: Any, path: Path) -> None:
    """The same from a path, beside mapping the file and reading its words."""

    def read() -> None:
        with mapped(path) as data:
            compiled.read(data)

    assert verify(path).damage == ()
    beside.record(benchmark, verify(path).bytes, lambda: verify(path), read, rounds=7)


def test_recovery_of_a_log(benchmark: Any, compiled: Any, path: Path) -> None:
    """Opening after an unclean stop, beside mapping the file and one CRC over it."""

    def recover() -> Log:
        log = Log.open(str(path), CONFIG, now_ms=NOW_MS, clean=False)
        log.close()
        return log

    def checksum() -> None:
        with mapped(path) as data:
            compiled.checksum(data)

    report = recover().recovery_report
    assert (report.bytes_scanned >= LOG_BYTES, report.cuts) == (True, ())
    best = beside.record(benchmark, report.bytes_scanned, recover, checksum, rounds=7)
    benchmark.extra_info["seconds"] = round(best, 3)
