"""The members as processes: built where they must be, started, told, paused, killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.interop.client import Client
from tests.interop.clients import CLIENTS
from tests.interop.groups.events import Event, Place
from tests.oracle import apache

HERE = Path(__file__).resolve().parent
JAVA = HERE.parent / "java"
MEMBER_JVM = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


def java_classes(source: Path, pom: Path) -> Path:
    """The folder with the classes of one source file, compiled once for each of its versions."""
    jars = apache.fetch_class_path(pom)
    digest = hashlib.sha256(source.read_bytes() + pom.read_bytes()).hexdigest()[:16]
    folder = apache.cache_home() / f"interop-{source.stem}-{digest}"
    if not folder.is_dir():
        made = folder.with_name(f"{folder.name}.{os.getpid()}.{threading.get_ident()}")
        subprocess.run(
            ["javac", "-cp", f"{jars}/*", "-d", str(made), str(source)], check=True, timeout=300
        )
        try:
            made.rename(folder)
        except OSError:
            shutil.rmtree(made)  # another process was quicker
    return folder


def java_command(source: Path, main: str, jvm: Sequence[str] = MEMBER_JVM) -> list[str]:
    """The command that runs a main class of ``java/``, compiled."""
    pom = JAVA / "pom.xml"
    classes = java_classes(source, pom)
    jars = apache.fetch_class_path(pom)
    level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"
    return ["java", *jvm, "-cp", f"{classes}:{jars}/*", level, main]


def _java() -> list[str]:
    return java_command(JAVA / "GroupMember.java", "GroupMember")


def _driven(name: str, *words: str) -> Callable[[], list[str]]:
    """The command of a client that the matrix drives too, with other arguments."""

    def command() -> list[str]:
        kind: type[Client] = CLIENTS[name]
        return [*kind("").command(), *words]  # type: ignore[attr-defined]

    return command


def _kafkajs() -> list[str]:
    # The driver's command installs KafkaJS; the member is the program beside it.
    node, driver = _driven("kafkajs")()
    return [node, str(Path(driver).with_name("member.js"))]


def _python(name: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-S", str(HERE / "member_python.py"), name]


#: Client -> the command of a member; its JSON argument follows.
COMMANDS: dict[str, Callable[[], list[str]]] = {
    "java": _java,
    "franz-go": _driven("franz-go", "member"),
    "kafkajs": _kafkajs,
    "librdkafka": _python("librdkafka"),
    "kafka-python": _python("kafka-python"),
    "aiokafka": _python("aiokafka"),
}

_commands: dict[str, list[str]] = {}
_building = threading.Lock()


def command_of(client: str) -> list[str]:
    """As above, built once for this process."""
    with _building:
        if client not in _commands:
            _commands[client] = COMMANDS[client]()
        return _commands[client]


class Member:
    """One member's process and everything it has said."""

    def __init__(self, client: str, spec: dict[str, Any]) -> None:
        """Starts it. ``spec["client"]`` is its name in the events."""
        self.name = str(spec["client"])
        self.events: list[Event] = []
        self._owned: set[Place] = set()
        self._lock = threading.Lock()
        self.process = subprocess.Popen(
            [*command_of(client), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._stderr: list[str] = []
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._read, self._read_err)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                data = json.loads(line)
            except ValueError:
                self._stderr.append(line)  # cut off by a kill, or a client that prints
                continue
            self.note(Event(data.pop("t"), self.name, data.pop("event"), data))

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        self._stderr += self.process.stderr

    def note(self, event: Event) -> None:
        """One more event, its own or the test's."""
        with self._lock:
            self.events.append(event)
            if event.name == "assigned":
                self._owned |= set(event.places)
            elif event.name in ("revoked", "lost"):
                self._owned -= set(event.places)
            elif event.name in ("closed", "error", "killed"):
                self._owned = set()

    def _did(self, name: str) -> None:
        self.note(Event(time.time(), self.name, name, {}))

    @property
    def owned(self) -> set[Place]:
        """What it owns by its own account."""
        with self._lock:
            return set(self._owned)

    def said(self, name: str) -> list[Event]:
        """Its events of one name."""
        with self._lock:
            return [e for e in self.events if e.name == name]

    def tell(self, line: str) -> None:
        """One command: ``sleep SECONDS`` or ``close``."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def replaced(self) -> None:
        """Another with its instance id is about to come."""
        self._did("replaced")

    def rebalances(self) -> int:
        """How often partitions came or went."""
        return sum(bool(e.places) for n in ("assigned", "revoked", "lost") for e in self.said(n))

    def pause(self) -> None:
        """SIGSTOP: it heartbeats no longer, and does not know."""
        self._did("paused")
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)
        self._did("resumed")

    def kill(self) -> None:
        """SIGKILL, as far as it still runs; everything it said is here afterwards."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self._did("killed")
        for thread in self._threads:
            thread.join(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def leave(self, timeout_s: float = 20.0) -> int:
        """Close in order; the exit status."""
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.tell("close")
        status = self.process.wait(timeout_s)
        self.kill()
        return status

    def story(self) -> str:
        """Everything but the records, for a failure's text."""
        lines = [f"{self.name}: exit {self.process.poll()}"]
        last = ""
        for e in self.events:
            if e.name in ("records", "committed"):
                continue
            if "partitions" in e.data:
                text = f"{e.name} {' '.join(f'{t}-{p}' for t, p in e.places)}"
            else:
                text = f"{e.name} {json.dumps(dict(e.data)) if e.data else ''}"
            if text != last:
                lines.append(f"  {e.t:.3f} {text}")
            last = text
        return "\n".join(lines + self._stderr[-40:])
