"""Programs on the JVM that tests talk with by the lines they print.

``fetch`` and ``build`` put jars into the cache directory of tests/oracle/apache.py, once for each
content of the pom and the sources.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.oracle import apache

SMALL_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


def build(project: Path, goal: str = "package") -> str:
    """Build a Maven project in the cache: its class path (its classes and its libraries)."""
    sources = sorted(f for f in project.rglob("*") if f.is_file() and "target" not in f.parts)
    digest = hashlib.sha256()
    for file in sources:
        digest.update(str(file.relative_to(project)).encode() + b"\0" + file.read_bytes())
    folder = apache.cache_home() / f"{project.name}-{digest.hexdigest()[:16]}"
    with apache._locked(folder.with_suffix(".lock")):
        if not (folder / ".done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(project, folder, ignore=shutil.ignore_patterns("target"))
            ran = subprocess.run(
                ["mvn", "-q", "-B", goal],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if ran.returncode:
                raise apache.OracleFailed(f"mvn could not build {project.name}:\n{ran.stdout}")
            (folder / ".done").touch()
    return f"{folder}/target/classes:{folder}/target/libs/*"


class Program:
    """One JVM; its lines (stdout and stderr) are kept as they come."""

    def __init__(
        self,
        class_path: str,
        main: str,
        *args: object,
        jvm: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``main``, a class or a source file. Logs of slf4j-simple are warnings and worse."""
        level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        words = ["java", *SMALL_JVM, "-cp", class_path, level, *jvm, main, *map(str, args)]
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def found(self, pattern: str) -> list[re.Match[str]]:
        """All matches of a pattern in the lines so far, one a line."""
        with self._changed:
            lines = list(self.lines)
        return [m for line in lines if (m := re.search(pattern, line))]

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Wait until ``condition`` holds; AssertionError with the program's last lines if not."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, f"ended before {what}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"no {what} in {timeout_s} s:\n{self.tail()}"
            with self._changed:
                self._changed.wait(0.1)

    def tail(self, count: int = 40) -> str:
        """The last lines."""
        with self._changed:
            return "\n".join(self.lines[-count:])

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for the end: the exit status."""
        status = self.process.wait(timeout_s)
        self._reader.join(5)
        return status

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM and wait: the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL: no goodbye to the group."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def group_offsets(bootstrap: str, group: str) -> dict[tuple[str, int], int]:
    """What a group has committed, asked by a raw client."""
    from kafka_py.protocol.registry import ApiKey
    from tests.oracle.raw import Recorder

    recorder = Recorder(int(bootstrap.rpartition(":")[2]), 0)
    asked = {"group_id": group, "topics": None, "member_id": None, "member_epoch": -1}
    reply = recorder.quiet(ApiKey.OFFSET_FETCH, 8, groups=[asked], require_stable=False)
    recorder.close()
    assert reply.groups[0].error_code == 0, reply
    return {
        (t.name, p.partition_index): p.committed_offset
        for t in reply.groups[0].topics
        for p in t.partitions
    }


def end_offsets(bootstrap: str, topic: str, partitions: int) -> dict[tuple[str, int], int]:
    """The end of each partition of a topic."""
    from kafka_py.protocol.registry import ApiKey
    from tests.oracle.raw import Recorder

    recorder = Recorder(int(bootstrap.rpartition(":")[2]), 0)
    rows = [{"partition_index": p, "timestamp": -1} for p in range(partitions)]
    asked = [{"name": topic, "partitions": rows}]
    reply = recorder.quiet(ApiKey.LIST_OFFSETS, 7, topics=asked, replica_id=-1)
    recorder.close()
    return {(topic, p.partition_index): p.offset for p in reply.topics[0].partitions}
