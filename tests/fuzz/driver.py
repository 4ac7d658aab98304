"""What the fuzzers share: their command line, and how a case that failed is written down."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from kcore.crc32c import crc32c

CRASHES = Path(__file__).parent / "crashes"


def write_down(stem: str, data: bytes) -> str:
    """Keeps the bytes of a case; returns the file's name below `CRASHES`."""
    CRASHES.mkdir(exist_ok=True)
    path = CRASHES / f"{stem}-{crc32c(data):08x}"
    path.write_bytes(data)
    return path.name


def command_line(description: str, fuzz: Callable[[float, int], int]) -> None:
    """`--seconds N --seed S`, handed to `fuzz`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fuzz(options.seconds, options.seed)
