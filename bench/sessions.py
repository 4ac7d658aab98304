"""`python -m bench.sessions`: broker CPU of a Fetch within a session (KIP-227), by either path.

    moves   the request names one partition with its next offset, and gets one small batch: what a
            consumer does that follows a log
    idle    the request names nothing, and nothing is news

The two paths take turns in one run, on sessions of their own: the handler gets the same requests
with a tagged field in their headers, which no compiled path takes. The least of the passes counts.
"""

from __future__ import annotations

import argparse
import resource
import struct
import sys
import tempfile
from pathlib import Path

from bench import frames, growth_load, measure
from bench.growth import create, node_in
from kafka_py.protocol.fetch import FetchRequest, FetchResponse

BATCHES = 64
TOPIC = "followed"


def framed(body: bytes, tagged: bool) -> bytes:
    """A Fetch frame; `tagged`: with an unknown tagged field in its header."""
    tags = b"\x01\x7f\x00" if tagged else b"\x00"
    header = struct.pack(">hhih", 1, frames.FETCH_VERSION, 0, 5) + b"bench" + tags
    return struct.pack(">i", len(header) + len(body)) + header + body


def open_session(port: int, partitions: int) -> int:
    """A session of the topic's first partitions, all at their beginnings."""
    request = FetchRequest(session_epoch=0, max_bytes=1, topics=[named(range(partitions), 0)])
    with growth_load.connect(port) as conn:
        conn.sendall(framed(request.encode(frames.FETCH_VERSION), False))
        (reply,) = growth_load.replies(conn, 1)
    session_id: int = FetchResponse.decode(reply[5:], frames.FETCH_VERSION).session_id
    if not session_id:
        raise RuntimeError("no session was begun")
    return session_id


def named(indexes: range, offset: int) -> FetchRequest.FetchTopic:
    """Those partitions from that offset on."""
    wanted = [
        FetchRequest.FetchPartition(partition=i, fetch_offset=offset, partition_max_bytes=1)
        for i in indexes
    ]
    return FetchRequest.FetchTopic(topic=TOPIC, partitions=wanted)


def requests(session_id: int, count: int, *, moves: bool, tagged: bool) -> list[bytes]:
    """The session's next requests, one epoch each."""
    made = []
    for epoch in range(2, count + 2):
        # An idle consumer is at the logs' ends; with no minimum of bytes it does not wait.
        topics = [named(range(1), epoch % BATCHES)] if moves else []
        request = FetchRequest(
            session_id=session_id, session_epoch=epoch, max_bytes=1 << 20, topics=topics
        )
        made.append(framed(request.encode(frames.FETCH_VERSION), tagged))
    return made


def check(reply: bytes) -> None:
    """No error, and a session."""
    if reply[9:11] != b"\0\0" or reply[11:15] == bytes(4):
        raise RuntimeError(f"Fetch was answered {reply!r}")


def settle(port: int, session_id: int, partitions: int) -> None:
    """The session's first request: all partitions at their ends."""
    request = FetchRequest(
        session_id=session_id,
        session_epoch=1,
        topics=[named(range(partitions), BATCHES)],
    )
    with growth_load.connect(port) as conn:
        conn.sendall(framed(request.encode(frames.FETCH_VERSION), False))
        check(growth_load.replies(conn, 1)[0])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.sessions", description=__doc__)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with (
        tempfile.TemporaryDirectory(prefix="kafka-py-sessions-") as text,
        node_in(Path(text) / "node") as node,
    ):
        node.start()
        create(node, {TOPIC: 100})
        small = [frames.produce(TOPIC, frames.batch(1, 100), acks=1, partitions=100)]
        measure.load(node, "produce", small, "--requests", BATCHES, "--warm", 0)

        def cpu(partitions: int, depth: int, *, moves: bool, tagged: bool) -> float:
            session_id = open_session(node.port, partitions)
            settle(node.port, session_id, partitions)
            warm = 10 * depth
            count = arguments.requests // (10 if depth == 1 else 1)
            sent = requests(session_id, warm + count + depth, moves=moves, tagged=tagged)
            return growth_load.request_cpu_us(
                *(node.port, node.pid, sent, check), depth=depth, warm=warm, requests=count
            )

        for partitions, depth in ((1, 1), (1, 64), (100, 64)):
            for moves in (True, False):
                pairs = [
                    [cpu(partitions, depth, moves=moves, tagged=tagged) for tagged in (False, True)]
                    for _ in range(arguments.passes)
                ]
                compiled, handler = (min(column) for column in zip(*pairs, strict=True))
                kind = "moves" if moves else "idle"
                print(
                    f"{kind:6} {partitions:4} partitions, depth {depth:3}: "
                    f"{compiled:8.2f} us compiled, {handler:8.2f} us by the handler, "
                    f"{handler / compiled:.1f}x"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
