"""Run one case against one node and return what load.c, or librdkafka, measured."""

import compileall
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from bench import frames
from bench.cases import Case
from tests.oracle.node import ROOT, Node

Measured = dict[str, Any]
LOAD_SOURCE = ROOT / "bench" / "load" / "load.c"
#: How long a broker may take to lead all of a new topic's partitions.
LED_S = 120.0
LOAD = ROOT / "bench" / "out" / "load"


def build(source: Path) -> Path:
    """Compile a C program of the bench when its source is newer than what was made of it."""
    program = LOAD.parent / source.stem
    program.parent.mkdir(parents=True, exist_ok=True)
    changed = max(one.stat().st_mtime for one in (source, *source.parent.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < changed:
        flags = ["-O2", "-Wall", "-Wextra", "-Werror"]
        subprocess.run(["cc", *flags, "-o", program, source], check=True)
    return program


def compile_bytecode(tree: Path = ROOT) -> None:
    """As pip does at an installation.

    Without it an import takes two to three times as long, and the compiler's memory stays with the
    node, 8 MB. PYTHONDONTWRITEBYTECODE in the environment keeps Python from doing it by itself.
    """
    for package in ("kafka_py", "kcore"):
        compileall.compile_dir(tree / package, quiet=1)


def build_load() -> Path:
    """The load generator, compiled."""
    return build(LOAD_SOURCE)


class Served(Protocol):
    """What the load generator needs to know of a server: a node, or a program like echo.c."""

    port: int

    @property
    def pid(self) -> int:
        """Its process, whose CPU is read."""
        ...


def load(node: Served, api: str, requests: list[bytes], *args: object) -> Measured:
    """Replay frames against a node. Raises CalledProcessError when a reply was wrong."""
    with tempfile.TemporaryDirectory() as directory:
        command: list[object] = [build_load(), "--port", node.port, "--pid", node.pid, "--api", api]
        for i, request in enumerate(requests):
            path = Path(directory) / str(i)
            path.write_bytes(request)
            command += ["--request", path]
        ran = subprocess.run(
            [str(part) for part in [*command, *args]],
            stdout=subprocess.PIPE,
            check=True,
        )
    measured: Measured = json.loads(ran.stdout)
    return measured


class Topics:
    """Creates and deletes the topics of a node's cases; every pass gets a fresh one.

    A topic of many partitions stays for all passes of its case, until ``forget``: Apache's broker
    takes seconds to make a hundred logs and to delete them, and works at both behind its answer.
    """

    def __init__(self, node: Node) -> None:
        """Connects on first use."""
        from confluent_kafka.admin import AdminClient

        self._admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 2})
        self._apache = node.kind == "apache"
        self._serial = 0
        self._kept: dict[str, str] = {}

    def fresh(self, case: Case) -> str:
        """Make a topic for one pass and return its name."""
        from confluent_kafka.admin import NewTopic

        if case.name in self._kept:
            return self._kept[case.name]
        self._serial += 1
        name = f"bench-{case.name}-{self._serial}"
        config = {"file.delete.delay.ms": "100", "retention.ms": "-1"}
        if self._apache:
            config |= case.apache_config
        new = NewTopic(name, case.partitions, 1, config=config)
        self._admin.create_topics([new])[name].result(30)
        self._until_led(name, case.partitions)
        if case.partitions > 1:
            self._kept[case.name] = name
        return name

    def _until_led(self, name: str, partitions: int) -> None:
        """Wait until the broker itself leads every partition: clients are told of a topic before.

        Raises TimeoutError.
        """
        from confluent_kafka import KafkaException, TopicPartition
        from confluent_kafka.admin import OffsetSpec

        asked = {TopicPartition(name, i): OffsetSpec.latest() for i in range(partitions)}
        until = time.monotonic() + LED_S
        while True:
            time.sleep(0.2)
            try:
                for answer in self._admin.list_offsets(asked, request_timeout=10).values():
                    answer.result(10)
                return
            except KafkaException:
                if time.monotonic() > until:
                    raise TimeoutError(f"{name}: not every partition is led") from None

    def drop(self, name: str) -> None:
        """Delete a topic again, unless it stays."""
        if name in self._kept.values():
            return
        self._admin.delete_topics([name])[name].result(30)

    def forget(self, case: Case) -> None:
        """Delete the topic that the passes of a case shared, if they did."""
        name = self._kept.pop(case.name, None)
        if name is not None:
            self.drop(name)


def client(action: str, node: Node, topic: str, case: Case) -> Measured:
    """Run librdkafka in its own process."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "bench.clients", action, node.bootstrap, topic),
            *(str(case.records), str(case.record_bytes), "--pid", str(node.pid)),
            *("--codec", case.codec, "--acks", str(case.acks)),
        ],
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    measured: Measured = json.loads(ran.stdout)
    return measured


def prefill(node: Node, topic: str, case: Case) -> None:
    """Write the batches that a fetch case reads.

    One connection at depth 1, ``case.batches`` or more.
    """
    batch = frames.batch(case.records, case.record_bytes, case.codec)
    request = frames.produce(topic, batch, acks=1)
    written = 0
    while written < case.batches:
        window = ("--seconds", 0.05) if case.batches > 1 else ("--requests", 1)
        written += int(load(node, "produce", [request], *window, "--warm", 0)["requests"])


def request(case: Case, topic: str) -> tuple[bytes, int]:
    """The frame that a produce or fetch case repeats, and the record bytes a reply must have."""
    if case.kind == "produce":
        batch = frames.batch(case.records, case.record_bytes, case.codec)
        return frames.produce(topic, batch, acks=case.acks, partitions=case.partitions), 0
    wanted = int(case.fetch_bytes * 0.9) if case.fetch_bytes > 1 else 1
    return frames.fetch(topic, bytes_max=case.fetch_bytes), wanted


def send(case: Case, node: Node, topic: str, seconds: float, warm: float) -> Measured:
    """A pass of a case over a topic that is there (and filled, for fetches)."""
    if case.kind in ("produce", "fetch"):
        frame, wanted = request(case, topic)
        window = ("--seconds", seconds, "--warm", warm)
        shape = ("--connections", case.connections, "--depth", case.depth)
        return load(node, case.kind, [frame], *window, *shape, "--min-bytes", wanted)
    if case.kind == "client-produce":
        return client("produce", node, topic, case)
    client("produce", node, topic, case)
    return client("consume", node, topic, case)


def run(case: Case, node: Node, topics: Topics, seconds: float, warm: float) -> Measured:
    """One pass of one case: ``warm`` seconds that do not count, then ``seconds`` that do."""
    topic = topics.fresh(case)
    try:
        if case.kind == "fetch":
            prefill(node, topic, case)
        return send(case, node, topic, seconds, warm)
    finally:
        topics.drop(topic)
