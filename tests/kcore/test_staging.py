"""An append copies a batch behind the end while it sums it; of a refused one nothing stays."""

from pathlib import Path

import pytest

from kcore.batch_builder import build
from kcore.errors import BadCrc, InvalidRecord, InvalidTimestamp, KcoreError
from kcore.log import Log
from kcore.log_config import LogConfig

NOW_MS = 1_700_000_000_000
SIZES = (600, 3_000, 70_000, 900_000)


def open_log(path: Path, **settings: object) -> Log:
    return Log.open(str(path / "t-0"), LogConfig(**settings), now_ms=NOW_MS, clean=True)  # type: ignore[arg-type]


def batch(size: int, timestamp: int = NOW_MS, **options: object) -> bytes:
    return build([(b"k", bytes(range(256)) * (size // 256), (), timestamp)], **options)


def behind_the_end(log: Log) -> bytes:
    """What the file of the active segment holds after its last batch."""
    return Path(log.segments[-1].path).read_bytes()[log.segments[-1].size_bytes :]


def damaged(good: bytes) -> bytes:
    return good[:-1] + bytes([good[-1] ^ 1])


@pytest.mark.parametrize("size", SIZES)
def test_a_refused_batch_leaves_zeros(tmp_path: Path, size: int) -> None:
    log = open_log(tmp_path)
    refused: list[tuple[bytes, type[KcoreError]]] = [
        (damaged(batch(size)), BadCrc),
        (batch(size, timestamp=NOW_MS + 10**9), InvalidTimestamp),
        (batch(size, base_offset=5), InvalidRecord),
    ]
    log.append(batch(size), leader_epoch=0, now_ms=NOW_MS)
    for data, error in refused:
        with pytest.raises(error):
            log.append(data, leader_epoch=0, now_ms=NOW_MS)
        assert set(behind_the_end(log)) <= {0}
    log.append(batch(size), leader_epoch=0, now_ms=NOW_MS)
    stored = bytes(log.read(0, 1 << 24).view)
    assert len(stored) == 2 * len(batch(size))
    assert stored[61 : len(batch(size))] == batch(size)[61:]
    log.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_duplicate_leaves_zeros(tmp_path: Path, size: int) -> None:
    log = open_log(tmp_path)
    data = batch(size, producer_id=7, producer_epoch=0, base_sequence=0)
    assert not log.append(data, leader_epoch=0, now_ms=NOW_MS).duplicate
    assert log.append(data, leader_epoch=0, now_ms=NOW_MS).duplicate
    assert set(behind_the_end(log)) <= {0}
    log.close()


def test_a_batch_that_rolls_is_whole_in_the_new_segment(tmp_path: Path) -> None:
    """The first record's time decides, which is known only when the batch has been staged."""
    log = open_log(tmp_path, segment_ms=1000)
    first, second = batch(5_000), batch(5_000, timestamp=NOW_MS + 5_000)
    log.append(first, leader_epoch=0, now_ms=NOW_MS)
    log.append(second, leader_epoch=0, now_ms=NOW_MS + 5_000)
    assert len(log.segments) == 2
    assert Path(log.segments[0].path).stat().st_size == len(first)
    assert bytes(log.read(1, 1 << 20).view)[61:] == second[61:]
    log.close()


def test_a_refused_batch_after_a_roll_touches_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch(5_000), leader_epoch=0, now_ms=NOW_MS)
    log.roll(NOW_MS)
    with pytest.raises(BadCrc):
        log.append(damaged(batch(5_000)), leader_epoch=0, now_ms=NOW_MS)
    log.append(batch(5_000), leader_epoch=0, now_ms=NOW_MS)
    assert log.log_end_offset == 2
    log.close()
