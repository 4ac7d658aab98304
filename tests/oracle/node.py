"""A Kafka node in a process of its own, Apache's or ours, behind one interface.

Caveat: ``stop`` and ``kill`` end only the process that this object started. The module knows
nothing of pytest: the benches and the crash harness use it too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: What a node of one gets unless told otherwise: small internal topics, no wait for members.
SINGLE_NODE: dict[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.num.partitions": "5",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.num.partitions": "5",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
}


class NodeFailed(RuntimeError):
    """The node did not start, or ended by itself; the text ends with the tail of its log."""


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Whether 127.0.0.1:``port`` answers an ApiVersions v0 request without an error."""
    request = struct.pack(">hhih", 18, 0, 7, 5) + b"probe"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as conn:
            conn.sendall(struct.pack(">i", len(request)) + request)
            reply = conn.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(reply) == 10 and struct.unpack(">iih", reply)[1:] == (7, 0)


def free_port_pair(first: int = 19980, last: int = 20098) -> int:
    """A port of 127.0.0.1 that is free together with the one above it.

    Every process begins its search elsewhere, so that two test runs do not meet.
    """
    pairs = (last - first) // 2
    for i in range(pairs):
        port = first + 2 * ((os.getpid() * 7 + i) % pairs)
        with contextlib.ExitStack() as stack:
            try:
                for number in (port, port + 1):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return port
    raise NodeFailed(f"no free pair of ports in {first}..{last}")


class Node:
    """One node with its own directory: ``server.properties``, ``server.log`` and ``data/``.

    The next port up is the controller's. Stopping and starting again keeps directory and port.
    """

    kind = "node"

    def __init__(
        self, directory: Path, port: int, properties: Mapping[str, str] | None = None
    ) -> None:
        """Nothing is started. ``properties`` override ``SINGLE_NODE`` and the addresses."""
        self.directory = Path(directory)
        self.port = port
        self.properties: dict[str, str] = {
            **SINGLE_NODE,
            "controller.quorum.voters": f"1@127.0.0.1:{port + 1}",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}",
            "log.dirs": str(self.directory / "data"),
            **(properties or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address that clients are given."""
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """The (first) log directory."""
        return Path(self.properties["log.dirs"].split(",")[0])

    @property
    def config_path(self) -> Path:
        """The server.properties that the node reads; written at each start."""
        return self.directory / "server.properties"

    @property
    def log_path(self) -> Path:
        """What the process printed, all starts one after another."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int:
        """The process id; the node must have been started."""
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def command(self) -> Sequence[str]:
        """The command line that serves in the foreground."""
        raise AssertionError("a Node is made through one of its subclasses")

    def environment(self) -> dict[str, str]:
        """The process environment."""
        return dict(os.environ)

    def prepare(self) -> None:
        """What has to be done before the command may run (Apache's needs a formatted directory)."""

    def start(self, timeout_s: float = 60.0) -> Node:
        """Start, and return once it answers ApiVersions. Raises NodeFailed."""
        self.launch()
        self.wait_ready(timeout_s)
        return self

    def launch(self) -> None:
        """Start the process and do not wait for anything."""
        assert not self.running, "it runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text("".join(f"{k}={v}\n" for k, v in self.properties.items()))
        self.prepare()
        with self.log_path.open("ab") as log:
            log.write(f"--- start {time.time():.3f}\n".encode())
            log.flush()
            self._log_offset = log.tell()
            self.process = subprocess.Popen(
                list(self.command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self.environment(),
                start_new_session=True,
            )

    def log_tail(self, bytes_max: int = 3000) -> str:
        """The end of what this start has printed."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_offset)
            return log.read()[-bytes_max:].decode(errors="replace")

    def said_ready(self) -> bool:
        """Whether the node says by itself that it serves; it is asked over TCP in any case."""
        return True

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until it answers. Raises NodeFailed when it ends or the time is over."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.running:
                raise NodeFailed(f"{self.kind} ended at its start:\n{self.log_tail()}")
            if self.said_ready() and answers(self.port):
                return
            time.sleep(0.01)
        self.kill()
        raise NodeFailed(f"{self.kind} gave no answer in {timeout_s} s:\n{self.log_tail()}")

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM and wait: the exit status. Raises NodeFailed (after a kill) if it hangs."""
        if self.process is None:
            return 0
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise NodeFailed(
                    f"{self.kind} did not stop in {timeout_s} s:\n{self.log_tail()}"
                ) from None
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL and wait."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()

    def __enter__(self) -> Node:
        return self if self.running else self.start()

    def __exit__(self, *exc: object) -> None:
        self.kill()


class OurNode(Node):
    """``python -m kafka_py serve`` from this tree."""

    kind = "kafka_py"

    def command(self) -> Sequence[str]:
        """Serve by the same server.properties that Apache's node reads."""
        return [sys.executable, "-m", "kafka_py", "serve", "--config", str(self.config_path)]

    def environment(self) -> dict[str, str]:
        """As ours, with the tree importable whatever the working directory is."""
        env = dict(os.environ)
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH", "")]))
        return env
