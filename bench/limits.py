"""What bare programs reach with the same bytes: the third side of `make bench`, named "limit".

An epoll loop that answers each frame with as many bytes as a broker would and does nothing else
(load/echo.c) for requests over the network; one writer with fdatasync (load/disk.c) for produce at
acks=all. Python's own work is none: both are measured by what load.c and disk.c print.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from bench import frames, measure
from bench.cases import Case
from kafka_py.protocol.produce import ProduceResponse

SOURCES = measure.LOAD_SOURCE.parent
#: Correlation id, and the reply's length before it.
HEADER_BYTES = 8
FETCH_REPLY_BYTES = 80


def reply_bytes(case: Case) -> int:
    """How long a broker's reply to the case's request is, about (fetch) or exactly (produce)."""
    if case.kind == "fetch":
        batch = len(frames.batch(case.records, case.record_bytes))
        return FETCH_REPLY_BYTES + max(case.fetch_bytes, batch)
    partitions = [ProduceResponse.PartitionProduceResponse(index=i) for i in range(case.partitions)]
    topic = ProduceResponse.TopicProduceResponse(
        name="bench-" + case.name + "-1", partition_responses=partitions
    )
    body = ProduceResponse(responses=[topic]).encode(frames.PRODUCE_VERSION)
    return HEADER_BYTES + 1 + len(body)


@contextlib.contextmanager
def echo(case: Case, port: int) -> Iterator[SimpleNamespace]:
    """The epoll loop, started for one case; what it gives has a node's ``port`` and ``pid``."""
    program = measure.build(SOURCES / "echo.c")
    command = [str(program), "--port", str(port), "--reply-bytes", str(reply_bytes(case))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"echo did not start on port {port}")
            yield SimpleNamespace(port=port, pid=process.pid)
        finally:
            process.kill()


def disk(case: Case, directory: Path, seconds: float) -> measure.Measured:
    """What one writer gets onto the disk, a flush for as many requests as are in flight."""
    request_bytes = len(frames.batch(case.records, case.record_bytes)) * case.partitions
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        command = [
            *(str(measure.build(SOURCES / "disk.c")), "--file", file.name),
            *("--bytes", str(request_bytes), "--at-once", str(case.depth * case.connections)),
            *("--seconds", str(seconds)),
        ]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    measured: measure.Measured = json.loads(ran.stdout)
    return measured


def run(case: Case, directory: Path, port: int, seconds: float) -> measure.Measured | None:
    """One pass of the case's limit; None where it has none."""
    if case.limit == "disk":
        return disk(case, directory, seconds)
    if case.limit != "echo":
        return None
    with echo(case, port) as server:
        request, wanted = measure.request(case, "bench-" + case.name + "-1")
        shape = ("--connections", case.connections, "--depth", case.depth)
        window = ("--seconds", seconds, "--warm", 0.5)
        return measure.load(server, "echo", [request], *window, *shape, "--min-bytes", wanted)
