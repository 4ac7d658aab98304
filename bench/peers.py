"""`python -m bench.peers`: other brokers beside ours and a warm Apache Kafka, for the same cases.

    kfake     franz-go's fake cluster, a Go module; bench/peers/kfake is the program around it
    nisshi    the broker that was called Tansu, a crate, with its storage in memory

Go and Rust build them once, at the lowest priority, into bench/out/peers. Sides take turns; of each
one's passes the best counts. Both peers keep records in memory and write no log. What a peer could
not do is kept with its error. Results are added to those of earlier runs case by case, and printed
as the table of bench/PEERS.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from confluent_kafka import KafkaException

from bench import measure, memory, report
from bench.cases import CASES, Case
from bench.compare import MEMORY_BYTES, OUT, SERVER_JVM, better, warm_up
from tests.oracle.apache import ApacheNode
from tests.oracle.node import ROOT, Node, NodeFailed, OurNode, free_port_pair

BUILT = OUT / "peers"
NISSHI_VERSION = "0.8.1"
#: A nightly compiler: one of nisshi's own dependencies asks for a newer one than the stable.
NISSHI_TOOLCHAIN = "+nightly"
COMPARED = ("produce-d64", "produce-d16x8", "produce-125k", "fetch-1mb", "fetch-small") + (
    "rdkafka-produce-100",
    "rdkafka-consume-100",
)


class PeerNode(Node):
    """A broker that is one program with its settings on the command line."""

    @classmethod
    def build(cls) -> None:
        """Build the program unless it is there. Raises CalledProcessError, OSError."""
        raise AssertionError("a PeerNode is made through one of its subclasses")

    @classmethod
    def version(cls) -> str:
        """What was built."""
        raise AssertionError("a PeerNode is made through one of its subclasses")


class KfakeNode(PeerNode):
    """franz-go's kfake: one broker, in memory."""

    kind = "kfake"
    source: ClassVar[Path] = ROOT / "bench" / "peers" / "kfake"
    program: ClassVar[Path] = BUILT / "kfake"

    @classmethod
    def build(cls) -> None:
        """By the versions in its go.mod and go.sum."""
        if not cls.program.exists():
            command = ["nice", "-n", "19", "go", "build", "-o", str(cls.program), "."]
            subprocess.run(command, check=True, cwd=cls.source)

    @classmethod
    def version(cls) -> str:
        """The module's version, which is a date and a commit."""
        lines = (cls.source / "go.mod").read_text().splitlines()
        return next(line.split()[-1] for line in lines if "pkg/kfake " in line)

    def command(self) -> Sequence[str]:
        """The program of bench/peers/kfake."""
        return [str(self.program), str(self.port)]


class NisshiNode(PeerNode):
    """Nisshi (once Tansu) with its storage in memory."""

    kind = "nisshi"
    program: ClassVar[Path] = BUILT / "nisshi" / "bin" / "nisshi"

    @classmethod
    def build(cls) -> None:
        """By the lock file that its crate ships."""
        if not cls.program.exists():
            command = [
                *("nice", "-n", "19", "cargo", NISSHI_TOOLCHAIN, "install", "nisshi", "--locked"),
                *("--version", NISSHI_VERSION, "--no-default-features", "--features", "dynostore"),
                *("--root", str(BUILT / "nisshi")),
            ]
            subprocess.run(command, check=True)

    @classmethod
    def version(cls) -> str:
        """The crate's version."""
        return NISSHI_VERSION

    def command(self) -> Sequence[str]:
        """One broker, no schemas, no lake."""
        address = f"tcp://127.0.0.1:{self.port}"
        return [
            *(str(self.program), "broker", "--storage-engine", "memory://bench/"),
            *("--listener-url", address, "--advertised-listener-url", address),
        ]


PEERS: tuple[type[PeerNode], ...] = (KfakeNode, NisshiNode)


@contextlib.contextmanager
def stderr_kept() -> Iterator[Any]:
    """A file that has what is written to descriptor 2 meanwhile, by child processes too."""
    with tempfile.TemporaryFile() as kept:
        saved = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield kept
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def one_pass(case: Case, node: Node, topics: measure.Topics, seconds: float) -> Any:
    """A pass's figures, or in words why there are none."""
    with stderr_kept() as kept:
        try:
            return measure.run(case, node, topics, seconds, 0.5)
        except (subprocess.CalledProcessError, KafkaException) as error:
            kept.seek(0)
            said = kept.read().decode(errors="replace").strip().splitlines()
            # librdkafka's own log lines begin with a percent sign.
            words = [line for line in said if not line.startswith("%")]
            return words[-1] if words else str(error)


def compare(
    case: Case, sides: list[Node], arguments: argparse.Namespace
) -> tuple[dict[str, measure.Measured], dict[str, str]]:
    """One case: the best pass of every side, and the errors of those that have none."""
    best: dict[str, measure.Measured] = {}
    errors: dict[str, str] = {}
    topics = {node.kind: measure.Topics(node) for node in sides}
    for node in sides:
        if node.kind == "apache":
            warm_up(case, node, topics["apache"], arguments.warm)
    with contextlib.ExitStack() as stack:
        if case.fills_memory:
            stack.enter_context(memory.at_hand(MEMORY_BYTES))
        for _ in range(arguments.passes):
            for node in sides:
                if node.kind in errors:
                    continue
                made = one_pass(case, node, topics[node.kind], arguments.seconds)
                if isinstance(made, str):
                    best.pop(node.kind, None)
                    errors[node.kind] = made
                else:
                    best[node.kind] = better(best.get(node.kind), made)
    return best, errors


# ---------------------------------------------------------------------------------------- the table


def cell(side: Any, error: str | None, case: Case) -> str:
    """One side in the table of bench/PEERS.md."""
    if side is None:
        return f"**no answer:** {error}" if error else "not run"
    rate, latency, cpu = report.figures(side, case)
    p50 = f", p50 {latency.split(' / ')[0]} ms" if latency else ""
    return f"{rate}{p50}, {cpu} us"


def markdown(kept: dict[str, Any]) -> str:
    """Rate, median and broker CPU a request of every side."""
    sides = ["kafka_py", "apache", *(peer.kind for peer in PEERS)]
    lines = [
        "| case | " + " | ".join(kept["versions"].get(side, side) for side in sides) + " |",
        "|---" * (len(sides) + 1) + "|",
    ]
    for case in CASES:
        if found := kept["results"].get(case.name):
            errors = kept["errors"].get(case.name, {})
            cells = (cell(found.get(side), errors.get(side), case) for side in sides)
            lines.append(f"| {case.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def keep(path: Path, versions: dict[str, str], results: Any, errors: Any) -> dict[str, Any]:
    """Add to what earlier runs left; return all of it."""
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    kept["machine"] = report.this_machine()
    for key, new in (("versions", versions), ("results", results), ("errors", errors)):
        kept[key] = kept.get(key, {}) | new
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1))
    return kept


def started(stack: contextlib.ExitStack, peers: Sequence[type[PeerNode]]) -> list[Node]:
    """Every broker, started; a peer that does not start is left out with its reason on stderr."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-py-bench-")))
    sides: list[Node] = [
        stack.enter_context(OurNode(directory / "ours", free_port_pair(20100, 20198))),
        stack.enter_context(
            ApacheNode(directory / "apache", free_port_pair(20200, 20298), jvm=SERVER_JVM)
        ),
    ]
    for peer in peers:
        try:
            node = peer(directory / peer.kind, free_port_pair(20400, 20598))
            sides.append(stack.enter_context(node))
        except NodeFailed as error:
            print(error, file=sys.stderr)
    return sides


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", help=f"names of cases (default: {' '.join(COMPARED)})")
    parser.add_argument("--without", nargs="*", default=[], choices=[peer.kind for peer in PEERS])
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds a pass")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--warm", type=float, default=20.0, help="seconds of warming Apache a case")
    parser.add_argument("--out", type=Path, default=OUT / "peers.json")
    arguments = parser.parse_args()
    # Asked to end, it ends its brokers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known = {case.name: case for case in CASES}
    if wrong := [name for name in arguments.cases if name not in known]:
        parser.error(f"no such case: {', '.join(wrong)}")
    peers = [peer for peer in PEERS if peer.kind not in arguments.without]
    BUILT.mkdir(parents=True, exist_ok=True)
    for peer in peers:
        peer.build()
    versions = {"kafka_py": "kafka_py", "apache": "Apache Kafka 4.3.1, warm"}
    versions |= {peer.kind: f"{peer.kind} {peer.version()}" for peer in peers}
    kept: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        sides = started(stack, peers)
        for name in arguments.cases or COMPARED:
            best, errors = compare(known[name], sides, arguments)
            kept = keep(arguments.out, versions, {name: best}, {name: errors})
            print(name, json.dumps([best, errors]), file=sys.stderr, flush=True)
    print(report.machine_text(kept["machine"]))
    print(markdown(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
