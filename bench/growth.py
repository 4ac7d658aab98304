"""`python -m bench.growth`: start, memory and growth; no peer, bounds of issue 4.

    start       import, in process, standalone, 10,000 partitions after a clean stop
    memory      idle; what a partition and a connection add
    growth      broker CPU a request from 1 to 10,000 partitions and connections, and from a log of
                1 MB to one of 8 GB (the bound says 50; a bench should not write that)

Each figure is the best of its passes: what the machine did besides only adds. The partitions and
the log are made by the broker itself. Exit status 1 when a bound does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import frames, growth_load, measure
from bench.compare import OUT
from kafka_py.protocol.produce import ProduceRequest
from tests.oracle.node import ROOT, OurNode, answers, free_port_pair

TOPICS, PARTITIONS_EACH = 100, 100
PARTITIONS = TOPICS * PARTITIONS_EACH
CONNECTIONS = 10_000
SMALL_LOG_BYTES, LARGE_LOG_BYTES = 1 << 20, 8 << 30
FILL_BYTES = 1_000_000
GROWTH_MAX = 1.5
PASSES = 3
PAIRS = 9
#: Prints how long the import takes and how long from the call to the first reply, in milliseconds.
IN_PROCESS = """
import socket, struct, sys, time
"127.0.0.1".encode("idna")  # the client's first connection would load it
began = time.perf_counter()
import kafka_py
package = time.perf_counter()
kafka_py.Broker
broker_class = time.perf_counter()
with kafka_py.Broker() as broker:
    host, port = broker.bootstrap_servers.split(":")
    with socket.create_connection((host, int(port))) as conn:
        conn.sendall(struct.pack(">ihhih", 15, 18, 0, 7, 5) + b"probe")
        assert conn.recv(10, socket.MSG_WAITALL)[4:] == struct.pack(">ih", 7, 0)
        ended = time.perf_counter()
print((package - began) * 1e3, (broker_class - began) * 1e3, (ended - broker_class) * 1e3)
"""
#: What the same machine needs for an import that everybody knows, in milliseconds: interpreted code
#: that is run for the first time, as a start is. Hosts differ by a factor of two and more.
YARDSTICK = """
import time
began = time.perf_counter()
import asyncio
print((time.perf_counter() - began) * 1e3)
"""
#: `import asyncio` on the host that the bounds were written for.
YARDSTICK_MS = 45


@dataclass(frozen=True)
class Figure:
    """One measured number and the bound that it must not exceed (None: for the record)."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds."""
        return None if self.bound is None else self.value <= self.bound


def best(passes: int, measured: Callable[[], float]) -> float:
    """The smallest of some passes."""
    return min(measured() for _ in range(passes))


@contextlib.contextmanager
def node_in(directory: Path) -> Iterator[OurNode]:
    """A node that was not started yet, ended with the block."""
    node = OurNode(directory, free_port_pair(20300, 20398))
    try:
        yield node
    finally:
        node.kill()


def start_seconds(node: OurNode) -> float:
    """From the command to the first reply; asked every two milliseconds."""
    began = time.perf_counter()
    node.launch()
    while not answers(node.port):
        assert node.running, node.log_tail()
        time.sleep(0.002)
    return time.perf_counter() - began


# ------------------------------------------------------------------------------------------ start


def start_runs(trees: list[Path]) -> list[list[tuple[float, ...]]]:
    """What `IN_PROCESS` prints, by tree and then by figure: all its runs; the trees take turns."""
    for tree in trees[1:]:
        measure.compile_bytecode(tree)
    runs: list[list[list[float]]] = [[] for _ in trees]
    for _ in range(3 * PASSES):
        for tree, rows in zip(trees, runs, strict=True):
            rows.append(printed(IN_PROCESS, tree) + printed(YARDSTICK, tree))
    return [list(zip(*rows, strict=True)) for rows in runs]


def printed(program: str, tree: Path) -> list[float]:
    """The numbers that a fresh interpreter prints."""
    ran = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, cwd=tree
    )
    return [float(text) for text in ran.stdout.split()]


def start_figures(directory: Path, beside: Path | None) -> Iterator[Figure]:
    """Import, in process, standalone; the memory of a node that does nothing."""
    ours, *other = start_runs([ROOT] if beside is None else [ROOT, beside])
    yardstick = statistics.median(ours[-1])
    note = f"median {yardstick:.1f}, the reference's {YARDSTICK_MS}"
    yield Figure("this host: import asyncio", min(ours[-1]), "ms", None, note)
    for place, (name, bound) in enumerate(
        (
            ("import kafka_py", 150),
            ("import kafka_py and its Broker", 150),
            ("in process, call to first reply", 5),
        )
    ):
        median = statistics.median(ours[place])
        note = f"median {median:.1f}{by_reference(median, yardstick)}"
        for tree in other:
            best_there, median_there = min(tree[place]), statistics.median(tree[place])
            note += f"; beside it {best_there:.1f}, median {median_there:.1f}"
        yield Figure(name, min(ours[place]), "ms", bound, note)
    seconds = []
    for i in range(2 * PASSES):
        with node_in(directory / f"empty-{i}") as node:
            seconds.append(start_seconds(node))
    median = statistics.median(seconds) * 1e3
    note = f"median {median:.0f}{by_reference(median, yardstick)}"
    yield Figure("standalone, command to first reply", min(seconds) * 1e3, "ms", 300, note)


def by_reference(figure_ms: float, yardstick_ms: float) -> str:
    """What a median would be on the reference's host, by the yardstick's of the same run."""
    return f"; {figure_ms * YARDSTICK_MS / yardstick_ms:.1f} by the yardstick"


def memory_figures(directory: Path) -> Iterator[Figure]:
    """Idle, and what 10,000 connections add."""
    with node_in(directory / "idle") as node:
        node.start()
        time.sleep(2)
        idle = growth_load.resident_bytes(node.pid)
        yield Figure("resident, idle", idle / 1e6, "MB", 45)
        with growth_load.idle_connections(node.port, CONNECTIONS):
            loaded = growth_load.resident_bytes(node.pid)
        each = (loaded - idle) / CONNECTIONS
        yield Figure("memory a connection, idle", each, "bytes", 4096, f"of {CONNECTIONS:,}")


# ------------------------------------------------------------------------------------- partitions


def topic_name(number: int) -> str:
    """Names of one length, so that their frames are too."""
    return f"many-{number:03d}"


def produce_to(topic: str, index: int, records: bytes) -> bytes:
    """A Produce request for one partition."""
    data = ProduceRequest.PartitionProduceData(index=index, records=records)
    request = ProduceRequest(
        acks=1,
        timeout_ms=30_000,
        topic_data=[ProduceRequest.TopicProduceData(name=topic, partition_data=[data])],
    )
    return frames.frame(0, frames.PRODUCE_VERSION, request.encode(frames.PRODUCE_VERSION))


def create(node: OurNode, topics: dict[str, int]) -> None:
    """Create topics with so many partitions each."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 2})
    for name, partitions in topics.items():
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(120)


def partition_figures(directory: Path) -> Iterator[Figure]:
    """A clean start with 10,000 partitions of a few records, their memory, and CPU a request."""
    with node_in(directory / "many") as node:
        node.start()
        time.sleep(2)
        empty = growth_load.resident_bytes(node.pid)
        create(node, {topic_name(i): PARTITIONS_EACH for i in range(TOPICS)})
        batch = frames.batch(3, 100)
        for i in range(TOPICS):
            request = frames.produce(topic_name(i), batch, acks=1, partitions=PARTITIONS_EACH)
            measure.load(node, "produce", [request], "--requests", 1, "--warm", 0)
        node.stop(120)
        seconds = []
        for _ in range(PASSES):
            seconds.append(start_seconds(node))
            resident = growth_load.resident_bytes(node.pid)
            if len(seconds) < PASSES:
                node.stop(120)
        note = f"{TOPICS} topics of {PARTITIONS_EACH}, after a clean stop"
        yield Figure(f"start with {PARTITIONS:,} partitions", min(seconds), "s", 3, note)
        each = (resident - empty) / PARTITIONS
        yield Figure("memory a partition, idle", each, "bytes", 6144, f"of {PARTITIONS:,}")
        yield from partition_cpu(node)


def partition_cpu(node: OurNode) -> Iterator[Figure]:
    """Produce of one record of 100 B: always the same partition, or all in turn.

    One request a wake-up, and 64: then nothing hides that each log's end is out of the processor's
    caches.
    """
    batch = frames.batch(1, 100)
    names = [topic_name(i) for i in range(TOPICS)]
    every = [produce_to(name, i, batch) for name in names for i in range(PARTITIONS_EACH)]

    def cpu(chosen: list[bytes], depth: int, requests: int) -> float:
        check = growth_load.check_produced(names[0])
        return growth_load.request_cpu_us(
            *(node.port, node.pid, chosen, check),
            depth=depth,
            warm=len(chosen),
            requests=requests,
        )

    # The first round opens every log for writing.
    cpu(every, 64, len(every))
    for depth, requests in ((1, 60_000), (64, 300_000)):
        pairs = [
            (cpu(every[:1], depth, requests), cpu(every, depth, requests)) for _ in range(PAIRS)
        ]
        one, many = (min(column) for column in zip(*pairs, strict=True))
        yield Figure(f"CPU a produce, 1 partition, depth {depth}", one, "us")
        yield Figure(f"CPU a produce, {PARTITIONS:,} partitions, depth {depth}", many, "us")
        # The machine is as fast as it is just then, for both of a pair.
        growth = statistics.median(many / one for one, many in pairs)
        name = f"... 1 to {PARTITIONS:,} partitions, depth {depth}"
        note = f"median of {PAIRS} pairs; of the best passes {many / one:.2f}"
        yield Figure(name, growth, "x", GROWTH_MAX, note)


# ------------------------------------------------------------------------------------ connections


def connection_figures(directory: Path) -> Iterator[Figure]:
    """CPU of a produce of one record of 100 B: one connection or 10,000, busy and idle ones."""
    with node_in(directory / "connections") as node:
        node.start()
        create(node, {"one": 1})
        request = [frames.produce("one", frames.batch(1, 100), acks=1)]

        def busy(connections: int) -> float:
            shape = ("--connections", connections, "--depth", 1)
            measured = measure.load(node, "produce", request, *shape, "--seconds", 3, "--warm", 1)
            return float(measured["broker_cpu_us_per_request"])

        def pipelined() -> float:
            check = growth_load.check_produced("one")
            return growth_load.request_cpu_us(
                *(node.port, node.pid, request, check), depth=64, warm=10_000, requests=300_000
            )

        one, many = best(PASSES, lambda: busy(1)), best(PASSES, lambda: busy(CONNECTIONS))
        yield Figure("CPU a produce, 1 connection, depth 1", one, "us")
        yield Figure(f"CPU a produce, {CONNECTIONS:,} connections, depth 1", many, "us")
        yield Figure(f"... 1 to {CONNECTIONS:,} busy connections", many / one, "x", GROWTH_MAX)
        alone = best(PASSES, pipelined)
        with growth_load.idle_connections(node.port, CONNECTIONS):
            crowded = best(PASSES, pipelined)
        yield Figure("CPU a produce, 1 connection, depth 64", alone, "us")
        yield Figure(f"... beside {CONNECTIONS:,} idle ones", crowded / alone, "x", GROWTH_MAX)


# ---------------------------------------------------------------------------------------- log size


def fill(node: OurNode, topic: str, size_bytes: int) -> None:
    """Grow the topic's log to that size with batches of one megabyte."""
    request = [frames.produce(topic, frames.batch(100, FILL_BYTES // 100), acks=1)]
    wanted = -(-size_bytes // FILL_BYTES)
    # A disk of 100 MB/s is waited for.
    seconds = max(150, size_bytes // 100_000_000)
    measure.load(node, "produce", request, "--requests", wanted, "--seconds", seconds, "--warm", 0)


def log_figures(directory: Path, large_bytes: int) -> Iterator[Figure]:
    """CPU of requests to a small log and a large one beside it, in turns, at both ends of each."""
    with node_in(directory / "log") as node:
        node.start()
        create(node, {"small": 1, "large": 1})
        batch = frames.batch(1, 100)
        begins, ends = {}, {}
        for topic, size_bytes in (("small", SMALL_LOG_BYTES), ("large", large_bytes)):
            little = [frames.produce(topic, batch, acks=1)]
            # Small batches that the fetches return: their replies are of one size at all places.
            measure.load(node, "produce", little, "--requests", 100, "--warm", 0)
            fill(node, topic, size_bytes)
            measure.load(node, "produce", little, "--requests", 100, "--warm", 0)
            begins[topic], ends[topic] = 40, log_end(node, topic) - 40
        # What the kernel does to write that much is not the broker's.
        os.sync()

        def cpu(request: list[bytes], check: Callable[[bytes], None]) -> float:
            return growth_load.request_cpu_us(
                *(node.port, node.pid, request, check), depth=64, warm=10_000, requests=100_000
            )

        def fetch(topic: str, first: int) -> float:
            # As many neighbours as there are between two entries of the index.
            request = [frames.fetch(topic, bytes_max=1, offset=first + i) for i in range(32)]
            return cpu(request, growth_load.check_fetched(topic, 100))

        def produce(topic: str) -> float:
            request = [frames.produce(topic, batch, acks=1)]
            return cpu(request, growth_load.check_produced(topic))

        gigabytes = large_bytes / (1 << 30)
        kinds: tuple[tuple[str, Callable[[str], float]], ...] = (
            ("fetch at the end", lambda topic: fetch(topic, ends[topic])),
            ("fetch at the beginning", lambda topic: fetch(topic, begins[topic])),
            ("produce", produce),
        )
        for what, measured in kinds:
            pairs = [(measured("small"), measured("large")) for _ in range(2 * PASSES)]
            one, many = (min(column) for column in zip(*pairs, strict=True))
            yield Figure(f"CPU a {what}, small log", one, "us")
            yield Figure(f"CPU a {what}, log of {gigabytes:.0f} GB", many, "us")
            name = f"... 1 MB to {gigabytes:.0f} GB of log: {what}"
            yield Figure(name, many / one, "x", GROWTH_MAX)


def log_end(node: OurNode, topic: str) -> int:
    """The end offset of partition 0."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "bench"})
    try:
        end: int = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1]
        return end
    finally:
        consumer.close()


# ------------------------------------------------------------------------------------------- table


def print_table(figures: list[Figure]) -> None:
    """The figures beside their bounds."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="kafka_py: start, memory, growth (best of the passes)")
    for name in ("measure", "figure", "bound", "note"):
        table.add_column(name, justify="right" if name in ("figure", "bound") else "left")
    for figure in figures:
        colour = {True: "green", False: "red", None: "dim"}[figure.holds]
        bound = "" if figure.bound is None else f"<= {figure.bound:,g} {figure.unit}"
        shown = f"[{colour}]{figure.value:,.4g} {figure.unit}[/]"
        table.add_row(figure.name, shown, bound, figure.note)
    Console(width=120).print(table)


def write(figures: list[Figure], path: Path) -> None:
    """growth.json: when, where, and every figure with its verdict."""
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "kernel": platform.release()}
    rows = [{**asdict(figure), "holds": figure.holds} for figure in figures]
    run = {"date": time.strftime("%Y-%m-%d %H:%M"), "machine": machine, "figures": rows}
    path.write_text(json.dumps(run, indent=1) + "\n")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("parts", nargs="*", help="start, memory, partitions, connections, log")
    parser.add_argument("--log-bytes", type=int, default=LARGE_LOG_BYTES)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument(
        "--beside", type=Path, help="another built tree, whose starts in process take turns"
    )
    arguments = parser.parse_args()
    # Asked to end, it ends its brokers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures: list[Figure] = []
    measure.compile_bytecode()
    with tempfile.TemporaryDirectory(prefix="kafka-py-growth-") as text:
        directory = Path(text)
        parts: dict[str, Callable[[], Iterator[Figure]]] = {
            "start": lambda: start_figures(directory, arguments.beside),
            "memory": lambda: memory_figures(directory),
            "partitions": lambda: partition_figures(directory),
            "connections": lambda: connection_figures(directory),
            "log": lambda: log_figures(directory, arguments.log_bytes),
        }
        if wrong := set(arguments.parts) - set(parts):
            parser.error(f"no such part: {', '.join(sorted(wrong))}")
        for name in arguments.parts or parts:
            for figure in parts[name]():
                print(json.dumps(asdict(figure)), file=sys.stderr, flush=True)
                figures.append(figure)
    print_table(figures)
    write(figures, arguments.out / "growth.json")
    return 1 if any(figure.holds is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
