"""`make bench`: the node's cases beside a warm Apache Kafka in the same run.

Each case warms Apache with its own load first (a cold JIT is two to three times slower and proves
nothing), then the two sides take turns, each coming first every other time, and each side's best
pass counts. Exit status 1 when a bound of bench/cases.py does not hold, or a case failed.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import limits, measure, memory, report
from bench.cases import CASES, Case
from tests.oracle.apache import ApacheNode
from tests.oracle.node import Node, NodeFailed, OurNode, free_port_pair

#: What Kafka's own start script gives its broker.
SERVER_JVM = (
    *("-Xmx1g", "-Xms1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
    *("-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"),
)
#: Both sides give the memory of a deleted topic back at once. Apache goes by the broker's delay (60
#: s), not by the topic's: what its warm-up had written, up to 16 GB, left passes no free memory.
PROMPT_DELETION = {"log.segment.delete.delay.ms": "100"}
#: More than a pass writes.
MEMORY_BYTES = 8 << 30
#: A pass of large requests ends after that time at the latest, and before Linux makes its writer
#: wait for the disk (memory.py): of 1 MB, 4 s came to 500 MB/s, 1 s to 1,600, 0.4 s to 3,500. The
#: share is what may be unwritten then; the glance says how fast that comes, if nothing disturbs it.
FILL_SECONDS_MAX = 0.4
FILL_SHARE = 0.8
GLANCE_SECONDS = 0.2
#: Such passes are short, so there are more of them: what other guests of the host take (steal, cold
#: memory) halves one pass and not the next.
FILL_PASSES = 3
LIMIT_PORT = 20399
OUT = Path(__file__).parent / "out"


def start_time(node: Node) -> measure.Measured:
    """Stop and start the node: seconds from the command to its first reply, as a rate."""
    node.stop()
    began = time.perf_counter()
    node.start()
    seconds = time.perf_counter() - began
    return {"requests_per_s": 1 / seconds, "broker_cpu_us_per_request": 0}


def idle_memory(node: Node) -> measure.Measured:
    """Resident megabytes right after a start, as a rate (so that more is better here too)."""
    node.stop()
    node.start()
    time.sleep(2)
    status = Path(f"/proc/{node.pid}/status").read_text()
    kib = int(status.split("VmRSS:")[1].split()[0])
    return {"requests_per_s": 1000 / (kib / 1000), "broker_cpu_us_per_request": 0}


def one_pass(
    case: Case, node: Node, topics: measure.Topics, seconds: float, warm: float
) -> measure.Measured:
    """One pass of a case of any kind."""
    if case.kind == "start":
        return start_time(node)
    if case.kind == "memory":
        return idle_memory(node)
    if case.fills_memory:
        memory.settle()
    return measure.run(case, node, topics, seconds, warm)


def better(a: measure.Measured | None, b: measure.Measured) -> measure.Measured:
    """The pass with the higher rate."""
    return b if a is None or b["requests_per_s"] > a["requests_per_s"] else a


def warm_up(case: Case, node: Node, topics: measure.Topics, seconds: float) -> None:
    """Give the JIT the case's own load until it has had its time."""
    if case.kind in ("start", "memory"):
        return
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        measure.run(case, node, topics, min(5.0, seconds), 0)


def window(
    case: Case, sides: list[Node], topics: dict[str, measure.Topics], seconds: float
) -> tuple[float, float]:
    """How long the passes of a case last, and how long they warm up before: of all sides alike."""
    if not case.fills_disk:
        return seconds, 1.0
    glances = [
        one_pass(case, node, topics[node.kind], GLANCE_SECONDS, GLANCE_SECONDS / 2)
        for node in sides
    ]
    bytes_per_s = max(glance["request_mb_per_s"] for glance in glances) * 1e6
    filled = FILL_SHARE * memory.unwritten_max() / bytes_per_s
    seconds = min(seconds, FILL_SECONDS_MAX, filled / 1.5)
    return seconds, seconds / 2


def compare_case(
    case: Case,
    sides: list[Node],
    topics: dict[str, measure.Topics],
    arguments: argparse.Namespace,
    directory: Path,
) -> dict[str, measure.Measured]:
    """One case on every side, and its limit: the best pass of each."""
    best: dict[str, measure.Measured] = {}
    for node in sides:
        if node.kind == "apache":
            warm_up(case, node, topics["apache"], arguments.warm)
    with contextlib.ExitStack() as stack:
        if not arguments.cold_memory and case.fills_memory:
            stack.enter_context(memory.at_hand(MEMORY_BYTES))
        seconds, warm = window(case, sides, topics, arguments.seconds)
        for number in range(arguments.passes * (FILL_PASSES if case.fills_disk else 1)):
            # Who comes second finds the disk and the memory as the first has left them.
            for node in sides if number % 2 == 0 else reversed(sides):
                measured = one_pass(case, node, topics[node.kind], seconds, warm)
                best[node.kind] = better(best.get(node.kind), measured)
            limit = limits.run(case, directory, LIMIT_PORT, seconds / 2)
            if limit is not None:
                best["limit"] = better(best.get("limit"), limit)
    return best


def compare(
    sides: list[Node], cases: list[Case], arguments: argparse.Namespace, directory: Path
) -> tuple[dict[str, dict[str, measure.Measured]], list[str]]:
    """Every case on every side; and the cases that failed, after which all sides start anew.

    A side that does not lead a new topic, or dies, costs its case and not the results of the run.
    """
    from confluent_kafka import KafkaException

    topics = {node.kind: measure.Topics(node) for node in sides}
    results: dict[str, dict[str, measure.Measured]] = {}
    failed: list[str] = []
    for case in cases:
        try:
            results[case.name] = compare_case(case, sides, topics, arguments, directory)
            for node in sides:
                topics[node.kind].forget(case)
        except (OSError, RuntimeError, subprocess.SubprocessError, KafkaException) as error:
            print(f"{case.name} failed: {error!r}", file=sys.stderr)
            failed.append(case.name)
            for node in sides:
                print(f"{node.kind} said last:\n{node.log_tail()}", file=sys.stderr, flush=True)
                with contextlib.suppress(NodeFailed):
                    node.stop()
                node.start()
            topics = {node.kind: measure.Topics(node) for node in sides}
        else:
            print(case.name, json.dumps(results[case.name]), file=sys.stderr, flush=True)
    return results, failed


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.compare", description=__doc__)
    parser.add_argument("cases", nargs="*", help="names of cases (default: all)")
    parser.add_argument("--only-ours", action="store_true", help="without Apache")
    parser.add_argument("--only-apache", action="store_true", help="without kafka_py")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds a pass")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--warm", type=float, default=20.0, help="seconds of warming Apache a case")
    parser.add_argument(
        "--cold-memory", action="store_true", help="no memory at hand: see bench/memory.py"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    # Asked to end, it ends its brokers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known = {case.name for case in CASES}
    if wrong := [name for name in arguments.cases if name not in known]:
        parser.error(f"no such case: {', '.join(wrong)}; there are {', '.join(sorted(known))}")
    cases = [case for case in CASES if not arguments.cases or case.name in arguments.cases]
    measure.compile_bytecode()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-py-bench-")))
        sides: list[Node] = []
        if not arguments.only_apache:
            sides.append(OurNode(directory / "ours", free_port_pair(20100, 20198), PROMPT_DELETION))
        if not arguments.only_ours:
            port = free_port_pair(20200, 20298)
            sides.append(ApacheNode(directory / "apache", port, PROMPT_DELETION, jvm=SERVER_JVM))
        for node in sides:
            stack.enter_context(node)
        results, failed = compare(sides, cases, arguments, directory)
    made = report.write(results, arguments.out)
    report.print_table(made)
    if failed:
        print("failed:", ", ".join(failed), file=sys.stderr)
    return 1 if failed or any(row.ok is False for row in made) else 0


if __name__ == "__main__":
    sys.exit(main())
