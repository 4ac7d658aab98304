"""One log by the short way of an append, one by the long way; what both say of the same bytes.

A batch of a new leader epoch always goes the long way: the second log's epoch grows every time, and
the two must agree in all but the epoch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kcore.errors import KcoreError
from kcore.log import Log
from kcore.log_config import LogConfig


class TwoWays:
    """The two logs, in directories below `path`, with the same settings."""

    def __init__(self, path: Path, now_ms: int, **settings: Any) -> None:
        self.short, self.long = (
            Log.open(str(path / name / "t-0"), LogConfig(**settings), now_ms=now_ms, clean=True)
            for name in ("short", "long")
        )
        self.turn = 0

    def append(self, data: bytes, now_ms: int) -> tuple[Any, ...]:
        """What callers saw both times: an error's type and text, or the append's fields."""
        self.turn += 1
        expected = outcome(self.long, data, self.turn, now_ms)
        found = outcome(self.short, data, 0, now_ms)
        assert found == expected, (self.turn, data.hex())
        return expected

    def behind_the_end(self) -> bytes:
        """What the short one's file holds after its last batch."""
        segment = self.short.segments[-1]
        return Path(segment.path).read_bytes()[segment.size_bytes :]

    def close(self) -> None:
        """Ends both; their files must be equal but for the epochs."""
        assert stored(self.short) == stored(self.long)


def outcome(log: Log, data: bytes, epoch: int, now_ms: int) -> tuple[Any, ...]:
    """What a caller sees of an append, without the epoch."""
    try:
        found = log.append(data, leader_epoch=epoch, now_ms=now_ms)
    except KcoreError as error:
        return type(error), str(error)
    return (
        found.base_offset,
        found.last_offset,
        found.log_append_time_ms,
        found.log_start_offset,
        found.max_timestamp_ms,
        found.duplicate,
    )


def stored(log: Log) -> list[bytes]:
    """Every file of the log after a clean stop, with the batches' epochs taken out."""
    log.take_producer_snapshot()
    log.close()
    files = []
    for path in sorted(Path(log.path).iterdir()):
        data = bytearray(path.read_bytes())
        at = 0
        while path.suffix == ".log" and at < len(data):
            data[at + 12 : at + 16] = bytes(4)
            at += 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        if path.name != "leader-epoch-checkpoint":
            files.append(path.name.encode() + bytes(data))
    return files
