"""The seven requests that the crash harness needs, written out by hand.

On purpose without kafka_py.protocol: what judges the broker must not share its mistakes. Old,
inflexible versions: Produce 7, Fetch 4, ListOffsets 1, OffsetFetch 1, CreateTopics 2,
DeleteTopics 1, InitProducerId 0.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PRODUCE, FETCH, LIST_OFFSETS, OFFSET_FETCH = 0, 1, 2, 9
CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID = 19, 20, 22

NONE = 0
OUT_OF_ORDER_SEQUENCE = 45
#: Errors that a client retries: unknown topic, leader not available, not leader, timed out,
#: coordinator loading or not available, not enough replicas, storage error.
RETRIABLE = {3, 5, 6, 7, 14, 15, 19, 20, 56}
HEADER_BYTES = 61
#: A batch's bytes from its CRC on: all that the broker may not change.
FIXED_FROM = 17


class Disconnected(OSError):
    """The broker closed the connection."""


def string(text: str | None) -> bytes:
    """A nullable string of the inflexible versions."""
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode()
    return struct.pack(">h", len(data)) + data


class Connection:
    """One blocking connection; requests may be sent ahead of the replies."""

    def __init__(self, port: int, timeout_s: float = 10.0) -> None:
        """Connect to 127.0.0.1:``port``. Raises OSError."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = 0
        self._received = 0

    def send(self, key: int, version: int, body: bytes) -> None:
        """Send one request; correlation ids count up from 0."""
        head = struct.pack(">hhi", key, version, self._sent) + string("crash")
        self._sent += 1
        self._socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)

    def receive(self) -> bytes:
        """The body of the next reply. Raises Disconnected or another OSError."""
        (size,) = struct.unpack(">i", self._exactly(4))
        reply = self._exactly(size)
        (correlation,) = struct.unpack_from(">i", reply)
        if correlation != self._received:
            raise AssertionError(f"reply {correlation} where {self._received} was due")
        self._received += 1
        return reply[4:]

    def call(self, key: int, version: int, body: bytes) -> bytes:
        """One request and its reply."""
        self.send(key, version, body)
        return self.receive()

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            part = self._socket.recv(min(count, 1 << 20))
            if not part:
                raise Disconnected("the broker closed the connection")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def create_topic(conn: Connection, topic: str, partitions: int, configs: Mapping[str, str]) -> int:
    """Create a topic of one replica: the error code."""
    body = (
        struct.pack(">i", 1) + string(topic) + struct.pack(">ihii", partitions, 1, 0, len(configs))
    )
    for name, value in configs.items():
        body += string(name) + string(value)
    reply = conn.call(CREATE_TOPICS, 2, body + struct.pack(">i?", 20_000, False))
    at = 8
    (length,) = struct.unpack_from(">h", reply, at)
    return struct.unpack_from(">h", reply, at + 2 + length)[0]


def delete_topic(conn: Connection, topic: str) -> int:
    """Delete a topic: the error code."""
    reply = conn.call(
        DELETE_TOPICS, 1, struct.pack(">i", 1) + string(topic) + struct.pack(">i", 20_000)
    )
    at = 8
    (length,) = struct.unpack_from(">h", reply, at)
    return struct.unpack_from(">h", reply, at + 2 + length)[0]


def init_producer_id(conn: Connection) -> tuple[int, int, int]:
    """(error code, producer id, epoch) of a new idempotent producer."""
    reply = conn.call(INIT_PRODUCER_ID, 0, string(None) + struct.pack(">i", 60_000))
    return struct.unpack(">ihqh", reply)[1:]


def produce_body(topic: str, partition: int, batch: bytes, acks: int = -1) -> bytes:
    """Produce v7 of one batch."""
    return (
        string(None)
        + struct.pack(">hii", acks, 20_000, 1)
        + string(topic)
        + struct.pack(">iii", 1, partition, len(batch))
        + batch
    )


def produce_reply(reply: bytes) -> tuple[int, int]:
    """(error code, base offset) of the one partition."""
    (length,) = struct.unpack_from(">h", reply, 4)
    _, _, error, offset = struct.unpack_from(">iihq", reply, 6 + length)
    return error, offset


def end_offset(conn: Connection, topic: str, partition: int) -> tuple[int, int]:
    """(error code, end offset) by ListOffsets v1."""
    body = struct.pack(">ii", -1, 1) + string(topic) + struct.pack(">iiq", 1, partition, -1)
    reply = conn.call(LIST_OFFSETS, 1, body)
    (length,) = struct.unpack_from(">h", reply, 4)
    _, _, error, _, offset = struct.unpack_from(">iihqq", reply, 6 + length)
    return error, offset


def fetch(
    conn: Connection, topic: str, partition: int, offset: int, bytes_max: int = 4 << 20
) -> tuple[int, int, bytes]:
    """(error code, high watermark, record bytes) by Fetch v4; does not wait for more."""
    body = struct.pack(">iiiibi", -1, 0, 1, bytes_max, 0, 1) + string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, bytes_max)
    reply = conn.call(FETCH, 4, body)
    (length,) = struct.unpack_from(">h", reply, 8)
    at = 10 + length + 4
    _, error, high, _, aborted = struct.unpack_from(">ihqqi", reply, at)
    at += 26 + max(aborted, 0) * 16
    (size,) = struct.unpack_from(">i", reply, at)
    return error, high, reply[at + 4 : at + 4 + max(size, 0)]


@dataclass(frozen=True)
class Stored:
    """One batch of the log as a fetch gave it."""

    base_offset: int
    count: int
    producer_id: int
    base_sequence: int
    data: bytes


def batches(data: bytes) -> Iterator[Stored]:
    """The whole batches in what a fetch returned; a cut one at the end is left out."""
    at = 0
    while at + HEADER_BYTES <= len(data):
        base_offset, length = struct.unpack_from(">qi", data, at)
        end = at + 12 + length
        if end > len(data):
            return
        producer_id, _, base_sequence, count = struct.unpack_from(">qhii", data, at + 43)
        yield Stored(base_offset, count, producer_id, base_sequence, data[at:end])
        at = end


def committed_offsets(
    conn: Connection, group: str, topic: str, partitions: int
) -> dict[int, tuple[int, str, int]]:
    """Partition -> (committed offset or -1, metadata, error code) by OffsetFetch v1."""
    body = string(group) + struct.pack(">i", 1) + string(topic)
    body += struct.pack(f">i{partitions}i", partitions, *range(partitions))
    reply = conn.call(OFFSET_FETCH, 1, body)
    (length,) = struct.unpack_from(">h", reply, 4)
    at = 6 + length
    (count,) = struct.unpack_from(">i", reply, at)
    at += 4
    found = {}
    for _ in range(count):
        number, offset, size = struct.unpack_from(">iqh", reply, at)
        at += 14
        text = reply[at : at + max(size, 0)].decode()
        at += max(size, 0)
        (error,) = struct.unpack_from(">h", reply, at)
        at += 2
        found[number] = (offset, text, error)
    return found
