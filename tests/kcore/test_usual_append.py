"""The short way of an append does what the long way does, and refuses what it refuses."""

import random
import struct
from pathlib import Path
from typing import Any

import pytest

from kcore.batch_builder import build
from kcore.crc32c import crc32c
from tests.kcore.two_ways import TwoWays

NOW_MS = 1_700_000_000_000
CONFIGS: list[dict[str, Any]] = [
    {},
    {"compact": True},
    {"timestamp_before_max_ms": 1_000, "timestamp_after_max_ms": 1_000},
    {"timestamp_type": 1},
    {"compression": "uncompressed", "index_interval_bytes": 200},
    {"compression": "gzip"},
    {"segment_bytes": 3_000, "index_interval_bytes": 0},
    {"max_message_bytes": 900},
    {"segment_ms": 600},
]


class Source:
    """Batches of a few producers: mostly right ones, and each kind of wrong one now and then."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sequences: dict[int, int] = {}

    def records(self) -> list[tuple[bytes | None, bytes | None, Any, int]]:
        chance = self.random
        made = []
        for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
            key = chance.choice((None, b"", b"key", b"key", chance.randbytes(70)))
            value = chance.choice(
                (None, b"", b"v" * 40, chance.randbytes(chance.choice((1, 63, 64, 200, 900))))
            )
            headers = chance.choice(((), (), (), ((b"h", b"x"), (b"i", None))))
            made.append(
                (key, value, headers, NOW_MS + chance.choice((0, 0, 1, -500, 500, -1_001, 1_001)))
            )
        if chance.random() < 0.1:
            made = [(key, value, headers, -1) for key, value, headers, _ in made]
        return made

    def batch(self) -> bytes:
        chance = self.random
        records = self.records()
        options: dict[str, Any] = {}
        if chance.random() < 0.7:
            producer = chance.randrange(4)
            sequence = self.sequences.get(producer, 0)
            if chance.random() < 0.1:
                sequence = max(0, sequence + chance.choice((-1, 1, -len(records))))
            options = {"producer_id": producer, "producer_epoch": 0, "base_sequence": sequence}
            options["transactional"] = chance.random() < 0.05
            self.sequences[producer] = sequence + len(records)
        if chance.random() < 0.1:
            options["compression"] = chance.choice(("gzip", "snappy", "lz4", "zstd"))
        if chance.random() < 0.03:
            options["base_offset"] = 3
        made = build(records, **options)
        return self.spoil(made) if chance.random() < 0.25 else made

    def spoil(self, good: bytes) -> bytes:
        """A byte changed, the end cut or something after it; most with a CRC that fits again."""
        chance = self.random
        bad = bytearray(good)
        kind = chance.randrange(6)
        if kind == 0:
            del bad[chance.randrange(len(bad)) :]
        elif kind == 1:
            bad += b"\0"
        else:
            bad[chance.randrange(8 if kind == 2 else 57, min(len(bad), 90))] ^= (
                1 << chance.randrange(8)
            )
        if kind > 2 and len(bad) >= 61:
            struct.pack_into(">i", bad, 8, len(bad) - 12)
            struct.pack_into(">I", bad, 17, crc32c(bytes(bad[21:])))
        return bytes(bad)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_the_short_way_is_the_long_way(tmp_path: Path, config: dict[str, Any], seed: int) -> None:
    source, logs = Source(seed), TwoWays(tmp_path, NOW_MS, **config)
    accepted = 0
    for turn in range(1, 300):
        found = logs.append(source.batch(), NOW_MS + turn // 3)
        accepted += not isinstance(found[0], type)
        if turn % 50 == 0:
            assert set(logs.behind_the_end()) <= {0}
    assert accepted > 20
    logs.close()
