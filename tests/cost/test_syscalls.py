"""System calls a request of a served node: at most 3.2 at depth 1, at most 0.3 at depth 64.

Depth 1 is wait, receive, send. Fetches and produces at acks=1, all threads of the node counted.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bench import frames
from tests.cost import counting
from tests.oracle.node import answers, free_port_pair

ROUNDS: Final = 200


class Traced:
    """A node under the counter, with one connection to it."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, port: int) -> None:
        self.process = process
        self.out = out
        self.conn = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        self.broker_pid = int(children.split()[0])

    def exchange(self, request: bytes, count: int) -> None:
        """Send a request so often at once; read all the replies."""
        self.conn.sendall(request * count)
        for _ in range(count):
            size = int.from_bytes(self.conn.recv(4, socket.MSG_WAITALL), "big")
            reply = self.conn.recv(size, socket.MSG_WAITALL)
            assert len(reply) == size

    def calls(self, request: bytes, depth: int, rounds: int) -> float:
        """System calls a request, of all the node's threads."""
        self.exchange(request, 1)
        lines = len(self.out.read_text().splitlines())
        os.kill(self.broker_pid, signal.SIGUSR1)
        for _ in range(rounds):
            self.exchange(request, depth)
        os.kill(self.broker_pid, signal.SIGUSR2)
        until = time.monotonic() + 20
        while len(windows := self.out.read_text().splitlines()) == lines:
            assert time.monotonic() < until, "the counter wrote nothing"
            time.sleep(0.01)
        made: counting.Window = json.loads(windows[-1])
        return sum(made.values()) / (depth * rounds)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A node that serves one topic of one partition, created by an automatic Metadata."""
    directory = tmp_path_factory.mktemp("traced")
    port = free_port_pair()
    out = directory / "windows"
    try:
        counter = counting.counter()
    except counting.CannotCount as why:
        pytest.skip(str(why))
    command = [
        *(counter, "syscalls", out, sys.executable, "-m", "kafka_py", "serve"),
        *("--listen", f"127.0.0.1:{port}", "--data", directory / "data"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + 60
            while not answers(port):
                if process.poll() == 125:
                    pytest.skip(process.stderr.read().decode() if process.stderr else "")
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            made = Traced(process, out, port)
            make_topic(port)
            yield made
            made.conn.close()
        finally:
            # The node ends with the counter that traces it.
            process.kill()
            process.wait(60)


def make_topic(port: int) -> None:
    """The topic "counted", of one partition."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 2})
    admin.create_topics([NewTopic("counted", 1, 1)])["counted"].result(60)


PRODUCE: Final = frames.produce("counted", frames.batch(1, 100), acks=1)
FETCH: Final = frames.fetch("counted", bytes_max=1)


@pytest.mark.parametrize("request_bytes", [PRODUCE, FETCH], ids=["produce", "fetch"])
def test_depth_1(traced: Traced, request_bytes: bytes) -> None:
    """One request at a time."""
    assert traced.calls(request_bytes, 1, ROUNDS) <= 3.2


@pytest.mark.parametrize("request_bytes", [PRODUCE, FETCH], ids=["produce", "fetch"])
def test_depth_64(traced: Traced, request_bytes: bytes) -> None:
    """64 requests that arrive together."""
    assert traced.calls(request_bytes, 64, ROUNDS // 10) <= 0.3
