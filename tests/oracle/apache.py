"""Apache Kafka 4.3.1 from Maven Central: its broker, and its tools in one warm JVM.

Needs Java 17 or later and Maven; ``missing()`` says what is not there. The jars (about 130 MB) are
fetched once into ``$KAFKA_PY_ORACLE_HOME`` (default: ``kafka-py/oracle`` in the user's cache
directory), in a folder named by the hash of this directory's pom.xml. No pytest in here.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.oracle.node import Node, OurNode, free_port_pair

HERE = Path(__file__).resolve().parent
CLUSTER_ID = "a2Fma2EtcHktb3JhY2xlMA"

#: Short names for the main classes of Kafka's distribution.
TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "configs": "kafka.admin.ConfigCommand",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "producer-perf": "org.apache.kafka.tools.ProducerPerformance",
    "api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "storage": "kafka.tools.StorageTool",
    "shell": "org.apache.kafka.shell.MetadataShell",
}

#: Starts in half the time of a server JVM; wrong for benches, which give their own flags.
QUICK_JVM = ("-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class OracleFailed(RuntimeError):
    """The class path could not be fetched, or the tool JVM died."""


def missing() -> str | None:
    """Why Apache Kafka cannot run here, or None."""
    absent = [name for name in ("java", "mvn") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not found" if absent else None


def cache_home() -> Path:
    """Where fetched things are kept between runs."""
    named = os.environ.get("KAFKA_PY_ORACLE_HOME")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kafka-py" / "oracle"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_class_path(pom: Path) -> Path:
    """The folder with the runtime jars of ``pom``, fetched by Maven on first use.

    Raises OracleFailed with Maven's output. Safe to call from several processes.
    """
    folder = cache_home() / hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    with _locked(folder.with_suffix(".lock")):
        if (folder / ".done").exists():
            return folder
        ran = subprocess.run(
            [
                *("mvn", "-q", "-B", "-f", str(pom)),
                "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
                f"-DoutputDirectory={folder}",
                "-DincludeScope=runtime",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise OracleFailed(f"mvn could not fetch the class path of {pom}:\n{ran.stdout}")
        (folder / ".done").touch()
    return folder


def class_path() -> str:
    """The class path of Apache Kafka's broker and tools, as ``java -cp`` takes it."""
    return f"{fetch_class_path(HERE / 'pom.xml')}/*"


@dataclass(frozen=True)
class Ran:
    """What a tool left: exit status and what it printed."""

    exit: int
    out: str
    err: str

    def ok(self) -> str:
        """What it printed on stdout; an AssertionError with everything if it failed."""
        assert self.exit == 0, f"exit {self.exit}\n{self.out}\n{self.err}"
        return self.out


class ToolRunner:
    """Kafka's tools in one JVM, started on first use; calls are taken one at a time."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def run(self, tool: str, *args: object, timeout_s: float = 90.0) -> Ran:
        """Run a tool by its short name or main class. Raises OracleFailed when it hangs or dies."""
        request = {"main": TOOLS.get(tool, tool), "args": [str(a) for a in args]}
        with self._lock:
            process = self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            timer = threading.Timer(timeout_s, process.kill)
            timer.start()
            try:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            finally:
                timer.cancel()
        if not line:
            raise OracleFailed(f"the tool JVM ended within {timeout_s} s at {request}")
        reply = json.loads(line)
        return Ran(reply["exit"], reply["out"], reply["err"])

    def _start(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [
                    *("java", *QUICK_JVM, "-cp", class_path()),
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                    str(HERE / "java" / "ToolRunner.java"),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        return self._process

    def close(self) -> None:
        """End the JVM if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    assert pipe is not None
                    pipe.close()
            self._process = None


#: The one that everybody in this process shares.
tools = ToolRunner()


class ApacheNode(Node):
    """Apache Kafka 4.3.1, combined broker and controller. 1.5 to 4 s to start, 350 MB."""

    kind = "apache"

    def __init__(
        self,
        directory: Path,
        port: int,
        properties: Mapping[str, str] | None = None,
        *,
        jvm: Sequence[str] = QUICK_JVM,
        log_level: str = "info",
        format_args: Sequence[str] = (),
    ) -> None:
        """``jvm``: flags before the class path. ``format_args``: more words for kafka-storage."""
        super().__init__(directory, port, properties)
        self.jvm = tuple(jvm)
        self.log_level = log_level
        self.format_args = tuple(format_args)

    def prepare(self) -> None:
        """Format the log directory unless it has been already (by whomever)."""
        if not (self.data / "meta.properties").exists():
            tools.run(
                *("storage", "format", "--cluster-id", CLUSTER_ID),
                *("--config", self.config_path, *self.format_args),
            ).ok()

    def command(self) -> Sequence[str]:
        """The server's own main class."""
        level = f"-Dorg.slf4j.simpleLogger.defaultLogLevel={self.log_level}"
        return ["java", *self.jvm, "-cp", class_path(), level, "kafka.Kafka", str(self.config_path)]

    def said_ready(self) -> bool:
        """It listens a good while before the broker is unfenced; its log tells when."""
        if self.log_level != "info":
            return True
        with self.log_path.open("rb") as log:
            log.seek(self._log_offset)
            return b"Kafka Server started" in log.read()


def against() -> str:
    """Whose broker is under test: ``kafka_py``, or ``apache`` by ``KAFKA_PY_AGAINST=apache``.

    What fails against Apache's own broker is a fault of the test.
    """
    return os.environ.get("KAFKA_PY_AGAINST", "kafka_py")


def node_under_test(directory: Path, properties: Mapping[str, str] | None = None) -> Node:
    """The node under test on free ports; not started yet."""
    kind = ApacheNode if against() == "apache" else OurNode
    return kind(directory, free_port_pair(), properties)


@contextlib.contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """A directory that is removed at the end unless KAFKA_PY_KEEP is set."""
    path = Path(tempfile.mkdtemp(prefix=f"kafka-py-{prefix}-"))
    try:
        yield path
    finally:
        if not os.environ.get("KAFKA_PY_KEEP"):
            shutil.rmtree(path, ignore_errors=True)
