"""Load over plain sockets for bench/growth.py, where load.c's one frame a connection is too little.

The broker's CPU is what is measured, so the loader may be slow; every reply is checked.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.clients import cpu_seconds

_APIS = struct.pack(">ihhih", 15, 18, 0, 7, 5) + b"probe"


def connect(port: int) -> socket.socket:
    """A connection that the broker has accepted and answered on."""
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.sendall(_APIS)
    size = struct.unpack(">i", made.recv(4, socket.MSG_WAITALL))[0]
    body = made.recv(size, socket.MSG_WAITALL)
    if len(body) != size or body[:6] != struct.pack(">ih", 7, 0):
        raise RuntimeError("ApiVersions was not answered")
    return made


@contextlib.contextmanager
def idle_connections(port: int, count: int) -> Iterator[None]:
    """So many connections that said hello and then say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(connect(port))
        yield


def replies(conn: socket.socket, wanted: int) -> list[bytes]:
    """The next replies, without their lengths."""
    found: list[bytes] = []
    data = bytearray()
    while len(found) < wanted:
        more = conn.recv(1 << 20)
        if not more:
            raise RuntimeError("the broker closed a connection")
        data += more
        at = 0
        while len(data) - at >= 4:
            size = struct.unpack_from(">i", data, at)[0]
            if len(data) - at < 4 + size:
                break
            found.append(bytes(data[at + 4 : at + 4 + size]))
            at += 4 + size
        del data[:at]
    return found


def check_produced(topic: str) -> Callable[[bytes], None]:
    """What a Produce reply of version 9 to 12 must be: one partition of the topic, no error."""
    error_at = 4 + 1 + 1 + 1 + len(topic) + 1 + 4

    def check(reply: bytes) -> None:
        if reply[error_at : error_at + 2] != b"\0\0":
            raise RuntimeError(f"Produce was answered {reply!r}")

    return check


def check_fetched(topic: str, bytes_min: int) -> Callable[[bytes], None]:
    """What a Fetch reply of version 12 must be: one partition, no error, so many bytes at least."""
    partition_error_at = 4 + 1 + 4 + 2 + 4 + 1 + 1 + len(topic) + 1 + 4

    def check(reply: bytes) -> None:
        errors = reply[9:11] + reply[partition_error_at : partition_error_at + 2]
        if errors != bytes(4) or len(reply) < partition_error_at + bytes_min:
            raise RuntimeError(f"Fetch was answered {reply!r}")

    return check


def request_cpu_us(
    port: int,
    pid: int,
    frames: Sequence[bytes],
    check: Callable[[bytes], None],
    *,
    depth: int,
    warm: int,
    requests: int,
) -> float:
    """Broker CPU a request, in microseconds, over one connection.

    The frames take turns; `depth` of them leave in one write and are answered before the next do,
    so that a wake-up of the broker has the same work in every run. `warm` requests go first and do
    not count.
    """
    conn = connect(port)
    with conn:
        sent = counted_from = 0
        begin = 0.0
        while sent < warm + requests:
            if sent <= warm < sent + depth:
                begin, counted_from = cpu_seconds(pid), sent
            conn.sendall(b"".join(frames[(sent + i) % len(frames)] for i in range(depth)))
            for reply in replies(conn, depth):
                check(reply)
            sent += depth
        return (cpu_seconds(pid) - begin) / (sent - counted_from) * 1e6


def resident_bytes(pid: int) -> int:
    """VmRSS, once it has stopped to move (or after five seconds)."""
    last = -1
    for _ in range(10):
        status = Path(f"/proc/{pid}/status").read_text()
        now = int(status.split("VmRSS:")[1].split()[0]) * 1024
        if abs(now - last) < 64 * 1024:
            return now
        last = now
        time.sleep(0.5)
    return last
