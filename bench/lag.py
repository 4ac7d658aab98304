"""`python -m bench.lag`: from produce to a waiting consumer, ours beside a warm Apache Kafka.

    lag        bench/load/lag.c against both: a record of 100 B at acks=1 comes back by a Fetch that
               waits for it; the time from the producer's send to the whole reply of the fetch
    lag-tool   Apache's own EndToEndLatency (a Java producer and consumer) against both; it prints
               whole milliseconds, and an average

The two sides take turns; of each one's passes the one with the lowest median (average) counts.
Exit status 1 when a bound of bench/cases.py does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import frames, measure, report
from bench.cases import LAG_CASES
from bench.compare import OUT, SERVER_JVM
from bench.measure import Measured, Topics
from tests.oracle.apache import ApacheNode, class_path
from tests.oracle.node import ROOT, Node, OurNode, free_port_pair

SOURCE = ROOT / "bench" / "load" / "lag.c"
RECORD_BYTES = 100
#: A fetch has long been parked after this much, on either side.
GAP_US = 1000
#: An offset that no other part of the frame looks like; lag.c puts the round's own there.
OFFSET_MARK = 0x0123_4567_89AB_CDEF
TOOL_RECORDS = 10_000
TOOL = "org.apache.kafka.tools.EndToEndLatency"


def waiting_fetch(node: Node, topics: Topics, seconds: float, warm: float) -> Measured:
    """One pass of lag.c on a topic of its own.

    Raises CalledProcessError when a reply was wrong.
    """
    topic = topics.fresh(LAG_CASES[0])
    fetch = frames.fetch(topic, bytes_max=1 << 20, offset=OFFSET_MARK)
    try:
        with tempfile.TemporaryDirectory() as directory:
            produced, fetched = Path(directory) / "produce", Path(directory) / "fetch"
            produced.write_bytes(frames.produce(topic, frames.batch(1, RECORD_BYTES), acks=1))
            fetched.write_bytes(fetch)
            command: list[object] = [
                *(measure.build(SOURCE), "--port", node.port, "--pid", node.pid),
                *("--produce", produced, "--fetch", fetched),
                *("--offset-at", fetch.index(OFFSET_MARK.to_bytes(8, "big"))),
                *("--seconds", seconds, "--warm", warm, "--gap-us", GAP_US),
            ]
            ran = subprocess.run(
                [str(part) for part in command], stdout=subprocess.PIPE, check=True
            )
    finally:
        topics.drop(topic)
    measured: Measured = json.loads(ran.stdout)
    return measured


def tool_figures(printed: str) -> Measured:
    """What EndToEndLatency printed at its end; whole milliseconds except for the average."""
    average = re.search(r"Avg latency: ([0-9.]+) ms", printed)
    parts = re.search(r"50th = (\d+), 99th = (\d+), 99\.9th = (\d+)", printed)
    if not average or not parts:
        raise SystemExit(f"{TOOL} printed no latency:\n{printed[-2000:]}")
    p50, p99, p999 = (float(part) for part in parts.groups())
    return {"avg_ms": float(average[1]), "p50_ms": p50, "p99_ms": p99, "p999_ms": p999}


def apache_tool(node: Node, topics: Topics, records: int) -> Measured:
    """One run of Apache's tool in a JVM of its own."""
    topic = topics.fresh(LAG_CASES[1])
    try:
        ran = subprocess.run(
            [
                *("java", "-Xmx512m", "-cp", class_path()),
                *("-Dorg.slf4j.simpleLogger.defaultLogLevel=error", TOOL),
                *("--bootstrap-server", node.bootstrap, "--topic", topic),
                *("--num-records", str(records), "--producer-acks", "1"),
                *("--record-size", str(RECORD_BYTES)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        topics.drop(topic)
    if ran.returncode:
        raise SystemExit(f"{TOOL} ended with {ran.returncode}:\n{ran.stdout[-2000:]}")
    return tool_figures(ran.stdout)


def passes(sides: list[Node], arguments: argparse.Namespace) -> dict[str, dict[str, Measured]]:
    """Both cases on every side: the best pass of each."""
    topics = {node.kind: Topics(node) for node in sides}
    results: dict[str, dict[str, Measured]] = {}
    for case in LAG_CASES:
        if case.name == "lag-tool" and arguments.no_tool:
            continue
        best: dict[str, Measured] = {}
        key = "p50_ms" if case.name == "lag" else "avg_ms"
        for number in range(arguments.passes):
            for node in sides:
                if case.name == "lag":
                    # The whole JIT time comes before the first pass that counts.
                    warm = arguments.warm if node.kind == "apache" and not number else 1.0
                    figures = waiting_fetch(node, topics[node.kind], arguments.seconds, warm)
                else:
                    figures = apache_tool(node, topics[node.kind], arguments.tool_records)
                if node.kind not in best or figures[key] < best[node.kind][key]:
                    best[node.kind] = figures
        results[case.name] = best
        print(case.name, json.dumps(best), file=sys.stderr, flush=True)
    return results


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.lag", description=__doc__)
    parser.add_argument("--only-ours", action="store_true", help="without Apache")
    parser.add_argument("--no-tool", action="store_true", help="without Apache's tool")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds a pass")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--warm", type=float, default=20.0, help="seconds of warming Apache")
    parser.add_argument("--tool-records", type=int, default=TOOL_RECORDS)
    parser.add_argument("--out", type=Path, default=OUT / "lag.json")
    arguments = parser.parse_args()
    # Asked to end, it ends its brokers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-py-bench-")))
        sides: list[Node] = [OurNode(directory / "ours", free_port_pair(20100, 20198))]
        if not arguments.only_ours:
            port = free_port_pair(20200, 20298)
            sides.append(ApacheNode(directory / "apache", port, jvm=SERVER_JVM))
        for node in sides:
            stack.enter_context(node)
        results = passes(sides, arguments)
    made = report.save(results, arguments.out)
    report.print_table(made)
    return 1 if any(row.ok is False for row in made) else 0


if __name__ == "__main__":
    sys.exit(main())
