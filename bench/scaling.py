"""`python -m bench.scaling`: compressed produce on one CPU and on two, ours beside Apache's.

Every batch is checked by the broker (decompressed, record by record) as always; nothing is turned
off. ``small`` batches are checked on our event loop, ``large`` ones by its workers, which is where
a second CPU helps: see what "x" says, the rate on all CPUs over the rate on one.

The broker is held to its CPUs by taskset. The load generator has the others, or shares them where
there are none: then the rate is that of both together, and the broker's CPU the better figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import frames, measure
from bench.cases import Case
from bench.compare import OUT, SERVER_JVM
from bench.measure import Measured, Topics
from kcore.batch_builder import build
from tests.oracle.apache import ApacheNode
from tests.oracle.node import Node, OurNode, free_port_pair

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
#: Records of a batch, and bytes of each; half of the bytes do not compress.
SIZES = {"small": (16, 1000), "large": (400, 1000)}
CONNECTIONS = 4
DEPTH = 2


@dataclass(frozen=True)
class Row:
    """One line of the table: a codec and size on one side, by number of CPUs."""

    side: str
    codec: str
    size: str
    raw_bytes: int
    by_cpus: dict[int, Measured]

    def rate_mb(self, cpus: int) -> float:
        """Megabytes of uncompressed records a second."""
        return float(self.by_cpus[cpus]["requests_per_s"]) * self.raw_bytes / 1e6

    def cpu_ms_mb(self, cpus: int) -> float:
        """The broker's CPU milliseconds for a megabyte of uncompressed records."""
        return float(self.by_cpus[cpus]["broker_cpu_us_per_request"]) / 1e3 / self.raw_bytes * 1e6


def batch(size: str, codec: str) -> bytes:
    """One batch; the same in every run."""
    count, record_bytes = SIZES[size]
    made = random.Random(1)
    filler = b"kafka_py " * (record_bytes // 18 + 1)
    half = record_bytes // 2
    values = [made.randbytes(half) + filler[: record_bytes - half] for _ in range(count)]
    rows = [(None, value, (), frames.TIMESTAMP_MS) for value in values]
    return build(rows, compression=codec)


@contextlib.contextmanager
def kept_off(cpus: Sequence[int]) -> Iterator[None]:
    """This process and its children on the other CPUs, if there are any."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, (before - set(cpus)) or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def held(node: Node, cpus: Sequence[int]) -> Node:
    """The node, which will start on these CPUs."""
    command = node.command

    def on_cpus() -> Sequence[str]:
        return ["taskset", "-c", ",".join(map(str, cpus)), *command()]

    node.command = on_cpus  # type: ignore[method-assign]
    return node


def produce(node: Node, size: str, codec: str, seconds: float, warm: float) -> Measured:
    """One pass over several connections, each with a topic of its own."""
    topics = Topics(node)
    case = Case(f"scaling-{size}-{codec}", "produce", "")
    names = [topics.fresh(case) for _ in range(CONNECTIONS)]
    data = batch(size, codec)
    requests = [frames.produce(name, data, acks=1) for name in names]
    try:
        return measure.load(
            node,
            "produce",
            requests,
            *("--connections", CONNECTIONS, "--depth", DEPTH),
            *("--seconds", seconds, "--warm", warm),
        )
    finally:
        for name in names:
            topics.drop(name)


def run(arguments: argparse.Namespace) -> list[Row]:
    """All rows: each side is started once for each number of CPUs."""
    all_cpus = sorted(os.sched_getaffinity(0))
    found: dict[tuple[str, str, str], dict[int, Measured]] = {}
    kinds = [OurNode] if arguments.only_ours else [OurNode, ApacheNode]
    for count in arguments.cpus:
        cpus = all_cpus[:count]
        for kind in kinds:
            more: dict[str, Any] = {"jvm": SERVER_JVM} if kind is ApacheNode else {}
            with tempfile.TemporaryDirectory(prefix="kafka-py-bench-") as directory:
                node = kind(Path(directory) / "node", free_port_pair(20100, 20198), **more)
                with held(node, cpus), kept_off(cpus):
                    for size in SIZES:
                        for codec in arguments.codecs:
                            warm = arguments.warm if kind is ApacheNode else 0.5
                            figures = produce(node, size, codec, arguments.seconds, warm)
                            found.setdefault((node.kind, codec, size), {})[count] = figures
                            print(node.kind, count, size, codec, file=sys.stderr, flush=True)
    return [
        Row(side, codec, size, SIZES[size][0] * SIZES[size][1], by_cpus)
        for (side, codec, size), by_cpus in found.items()
    ]


def table(rows: Sequence[Row], cpus: Sequence[int]) -> str:
    """The rows as text: MB of raw records a second, and CPU ms a MB, for each number of CPUs."""
    titles = [f"MB/s {n}cpu" for n in cpus] + [f"ms/MB {n}cpu" for n in cpus]
    lines = [f"{'side':<9}{'codec':<8}{'size':<7}" + "".join(f"{t:>12}" for t in titles) + "     x"]
    for row in rows:
        numbers = [row.rate_mb(n) for n in cpus] + [row.cpu_ms_mb(n) for n in cpus]
        times = row.rate_mb(cpus[-1]) / row.rate_mb(cpus[0])
        lines.append(
            f"{row.side:<9}{row.codec:<8}{row.size:<7}"
            + "".join(f"{number:>12.2f}" for number in numbers)
            + f"{times:>6.2f}"
        )
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.scaling", description=__doc__)
    parser.add_argument("--only-ours", action="store_true", help="without Apache")
    parser.add_argument("--seconds", type=float, default=3.0, help="measured seconds a pass")
    parser.add_argument("--warm", type=float, default=8.0, help="seconds of warming Apache a pass")
    parser.add_argument("--codecs", nargs="+", default=list(CODECS), choices=CODECS)
    parser.add_argument("--cpus", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--out", type=Path, default=OUT / "scaling.json")
    arguments = parser.parse_args()
    if shutil.which("taskset") is None:
        parser.error("taskset (util-linux) is not here")
    if max(arguments.cpus) > len(os.sched_getaffinity(0)):
        parser.error(f"there are only {len(os.sched_getaffinity(0))} CPUs")
    # Asked to end, it ends its brokers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = run(arguments)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    plain = [
        {
            "side": row.side,
            "codec": row.codec,
            "size": row.size,
            "raw_bytes": row.raw_bytes,
            "by_cpus": {str(count): figures for count, figures in row.by_cpus.items()},
        }
        for row in rows
    ]
    arguments.out.write_text(json.dumps(plain, indent=1) + "\n")
    print(table(rows, arguments.cpus))
    return 0


if __name__ == "__main__":
    sys.exit(main())
