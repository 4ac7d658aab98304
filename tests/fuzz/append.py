"""Fuzzing the append: `python -m tests.fuzz.append --seconds N [--seed S]`.

The batch fuzzer's bytes go into two logs, one of which takes the short way where it can and the
other never: both say the same, store the same, and of what they refuse nothing stays behind the
log's end. Every so many appends the logs are closed, compared and begun anew. Run it under the asan
profile: the short way copies with wide registers from wherever the bytes lie.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from kcore.crc32c import crc32c
from tests.fuzz.batch import CRASHES, NOW_MS, cases
from tests.kcore.two_ways import TwoWays

CASES_EACH = 2_000
SEGMENT_BYTES = 256 << 10


def run(batches: list[bytes], directory: Path) -> int:
    """Both logs with these batches; returns how many were accepted. Raises AssertionError."""
    logs = TwoWays(directory, NOW_MS, segment_bytes=SEGMENT_BYTES)
    accepted = 0
    for place, data in enumerate(batches):
        accepted += not isinstance(logs.append(data, NOW_MS)[0], type)
        if place % 100 == 0:
            assert set(logs.behind_the_end()) <= {0}, "a refused batch left something"
    logs.close()
    return accepted


def fuzz(seconds: float, seed: int) -> int:
    """Run mutations for so long; returns the number of cases. What failed is written down."""
    end = time.monotonic() + seconds
    source = cases(seed)
    count = accepted = 0
    while time.monotonic() < end:
        batches = list(islice(source, CASES_EACH))
        with tempfile.TemporaryDirectory() as directory:
            try:
                accepted += run(batches, Path(directory))
            except BaseException:
                CRASHES.mkdir(exist_ok=True)
                data = b"".join(len(batch).to_bytes(4, "big") + batch for batch in batches)
                path = CRASHES / f"append-{crc32c(data):08x}"
                path.write_bytes(data)
                print(f"cases from {count} on of seed {seed}: {path.name}", file=sys.stderr)
                raise
        count += len(batches)
    print(f"{count} appends of seed {seed}, {accepted} accepted, no finding")
    return count


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz the append of a log.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fuzz(options.seconds, options.seed)


if __name__ == "__main__":
    main()
