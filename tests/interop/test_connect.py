"""Kafka Connect, distributed: a file into a topic and out again, while a worker is killed."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from kafka_py.protocol.registry import ApiKey
from tests.interop.jvm import Program
from tests.oracle import apache
from tests.oracle.node import Node
from tests.oracle.raw import Recorder
from tests.oracle.under_test import require

HERE = Path(__file__).resolve().parent


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Worker:
    """One Connect worker and its REST interface."""

    def __init__(self, node: Node, directory: Path, class_path: str, name: str) -> None:
        """Starts it; see ``ready``."""
        self.port = free_port()
        config = directory / f"{name}.properties"
        settings = {
            "bootstrap.servers": node.bootstrap,
            "group.id": "connect-cluster",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "config.storage.topic": "connect-configs",
            "offset.storage.topic": "connect-offsets",
            "status.storage.topic": "connect-status",
            "config.storage.replication.factor": "1",
            "offset.storage.replication.factor": "1",
            "offset.storage.partitions": "3",
            "status.storage.replication.factor": "1",
            "status.storage.partitions": "2",
            "offset.flush.interval.ms": "300",
            "session.timeout.ms": "6000",
            "heartbeat.interval.ms": "1000",
            "scheduled.rebalance.max.delay.ms": "1000",
            "listeners": f"http://127.0.0.1:{self.port}",
            "plugin.discovery": "service_load",
        }
        config.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        main = "org.apache.kafka.connect.cli.ConnectDistributed"
        self.program = Program(class_path, main, config)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One REST call; None for 404 and 409 (a rebalance is under way), and while it starts."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as e:
            with e:
                if e.code not in (404, 409, 500, 503):
                    raise
            return None
        except OSError:
            return None

    def wait(self, path: str, condition: Any, what: str, timeout_s: float = 90.0) -> Any:
        """Ask until the answer is as wanted."""
        found: Any = None

        def asked() -> bool:
            nonlocal found
            found = self.call("GET", path)
            return found is not None and condition(found)

        self.program.until(asked, what, timeout_s)
        return found

    def placed(self) -> dict[str, tuple[str, str]]:
        """connector -> (worker of its task, state of its task), as far as known."""
        out = {}
        for name in ("file-source", "file-sink"):
            status = self.call("GET", f"/connectors/{name}/status")
            if status is not None and status["tasks"]:
                out[name] = (status["tasks"][0]["worker_id"], status["tasks"][0]["state"])
        return out


@pytest.mark.timeout(300)
def test_file_to_file(node: Node, tmp_path: Path) -> None:
    """Every line arrives, in order; a worker that had a task is killed, the other takes it."""
    require(apache.missing())
    class_path = f"{apache.fetch_class_path(HERE / 'connect' / 'pom.xml')}/*"
    source, sink = tmp_path / "in.txt", tmp_path / "out.txt"
    package = "org.apache.kafka.connect.file"
    connectors = {
        "file-source": {
            "connector.class": f"{package}.FileStreamSourceConnector",
            "tasks.max": "1",
            "file": str(source),
            "topic": "connect-lines",
            "batch.size": "50",
        },
        "file-sink": {
            "connector.class": f"{package}.FileStreamSinkConnector",
            "tasks.max": "1",
            "file": str(sink),
            "topics": "connect-lines",
        },
    }
    _append(source, 0, 200)
    one = Worker(node, tmp_path, class_path, "one")
    with one.program:
        one.wait("/", lambda found: True, "its REST interface")
        for name, config in connectors.items():
            one.program.until(
                lambda n=name, c=config: one.call("PUT", f"/connectors/{n}/config", c) is not None,
                f"creation of {name}",
            )
        one.program.until(lambda: _arrived(sink) == 200, "the first lines")
        two = Worker(node, tmp_path, class_path, "two")
        with two.program:
            two.program.until(
                lambda: (
                    sorted(w for w, state in two.placed().values() if state == "RUNNING")
                    == sorted(f"127.0.0.1:{w.port}" for w in (one, two))
                ),
                "one task on each worker",
                120,
            )
            _append(source, 200, 200)
            two.program.until(lambda: _arrived(sink) == 400, "the lines of both")
            time.sleep(1)
            one.program.kill()
            mine = f"127.0.0.1:{two.port}"
            _append(source, 400, 100)
            two.program.until(lambda: _arrived(sink) == 500, "the last lines", 120)
            two.program.until(
                lambda: set(two.placed().values()) == {(mine, "RUNNING")}, "both tasks on one", 60
            )
            assert two.program.stop() in (0, 143)
    _check_internal_topics(node)


def _append(path: Path, first: int, count: int) -> None:
    with path.open("a") as file:
        file.write("".join(f"line {n:06}\n" for n in range(first, first + count)))


def _arrived(path: Path) -> int:
    """How many different lines have come; in order, but that a restart may repeat some."""
    numbers = (
        [int(line.split()[1]) for line in path.read_text().splitlines()] if (path.exists()) else []
    )
    unique = list(dict.fromkeys(numbers))
    assert unique == list(range(len(unique)))
    return len(unique)


def _check_internal_topics(node: Node) -> None:
    recorder = Recorder(node.port, 0)
    for topic, partitions in (
        ("connect-configs", 1),
        ("connect-offsets", 3),
        ("connect-status", 2),
    ):
        named = recorder.quiet(
            ApiKey.METADATA, 12, topics=[{"name": topic}], allow_auto_topic_creation=False
        )
        assert len(named.topics[0].partitions) == partitions
        row = {"resource_type": 2, "resource_name": topic, "configuration_keys": ["cleanup.policy"]}
        reply = recorder.quiet(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row])
        assert reply.results[0].configs[0].value == "compact"
    recorder.close()
