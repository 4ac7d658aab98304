"""Fuzzing the append: `python -m tests.fuzz.append --seconds N [--seed S]`.

The batch fuzzer's bytes go into two logs, one of which takes the short way where it can and the
other never: both say the same, store the same, and of what they refuse nothing stays behind the
log's end. Every so many appends the logs are closed, compared and begun anew. Run it under the asan
profile: the short way copies with wide registers from wherever the bytes lie.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from tests.fuzz.batch import NOW_MS, cases
from tests.fuzz.driver import command_line, write_down
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
                data = b"".join(len(batch).to_bytes(4, "big") + batch for batch in batches)
                name = write_down("append", data)
                print(f"cases from {count} on of seed {seed}: {name}", file=sys.stderr)
                raise
        count += len(batches)
    print(f"{count} appends of seed {seed}, {accepted} accepted, no finding")
    return count


if __name__ == "__main__":
    command_line("Fuzz the append of a log.", fuzz)
