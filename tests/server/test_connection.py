"""Connections, seen as bytes on a socket: framing, order, and what closes them."""

import random
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kafka_py import Broker
from kafka_py.protocol.produce import ProduceRequest
from kcore import build

API_VERSIONS = 18


def frame(key: int, version: int, correlation: int, body: bytes = b"") -> bytes:
    """A request with header version 1 and a null client id."""
    payload = struct.pack(">hhih", key, version, correlation, -1) + body
    return struct.pack(">i", len(payload)) + payload


def receive_exactly(sock: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise EOFError(f"closed after {len(data)} of {n} bytes")
        data += piece
    return data


def receive_frame(sock: socket.socket) -> bytes:
    return receive_exactly(sock, struct.unpack(">i", receive_exactly(sock, 4))[0])


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with Broker() as broker:
        host, port = broker.bootstrap_servers.split(",")[0].rsplit(":", 1)
        yield host, int(port)


@pytest.fixture
def sock(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def test_request_split_at_every_byte(sock: socket.socket) -> None:
    request = frame(API_VERSIONS, 0, 1)
    sock.sendall(request)
    whole = receive_frame(sock)
    assert whole[:6] == struct.pack(">ih", 1, 0)
    for cut in range(1, len(request)):
        sock.sendall(request[:cut])
        sock.sendall(request[cut:])
        assert receive_frame(sock) == whole
    for byte in request:
        sock.sendall(bytes((byte,)))
    assert receive_frame(sock) == whole


def test_pipelined_requests_are_answered_in_order(sock: socket.socket) -> None:
    sock.sendall(b"".join(frame(API_VERSIONS, 0, n) for n in range(200)))
    for n in range(200):
        assert receive_frame(sock)[:6] == struct.pack(">ih", n, 0)


def test_unknown_version_of_api_versions_is_answered_in_version_0(sock: socket.socket) -> None:
    sock.sendall(frame(API_VERSIONS, 99, 7, b"\0"))
    assert receive_frame(sock)[:6] == struct.pack(">ih", 7, 35)
    sock.sendall(frame(API_VERSIONS, 0, 8))
    assert receive_frame(sock)[:6] == struct.pack(">ih", 8, 0)


@pytest.mark.parametrize(("key", "version"), [(9999, 0), (-1, 0), (4, 0), (3, 99), (3, -1)])
def test_unknown_api_closes_after_the_earlier_answers(
    sock: socket.socket, key: int, version: int
) -> None:
    sock.sendall(frame(API_VERSIONS, 0, 1) + frame(key, version, 2, b"\0" * 16))
    assert receive_frame(sock)[:6] == struct.pack(">ih", 1, 0)
    assert is_closed(sock)


@pytest.mark.parametrize("length", [-1, -(2**31), 104857601, 2**31 - 1])
def test_impossible_lengths_close(sock: socket.socket, length: int) -> None:
    sock.sendall(struct.pack(">i", length))
    assert is_closed(sock)


def test_a_bad_connection_leaves_the_others_alone(
    address: tuple[str, int], sock: socket.socket
) -> None:
    with socket.create_connection(address, timeout=30) as bad:
        bad.sendall(struct.pack(">i", -1))
        assert is_closed(bad)
    sock.sendall(frame(API_VERSIONS, 0, 3))
    assert receive_frame(sock)[:6] == struct.pack(">ih", 3, 0)


def produce_frame(topic: str, size: int, correlation: int) -> bytes:
    """A Produce v9 of one record of about that size, acks=1."""
    batch = build([(None, correlation.to_bytes(4, "big") * (size // 4))])
    partition = ProduceRequest.PartitionProduceData(index=0, records=batch)
    request = ProduceRequest(
        acks=1,
        timeout_ms=1000,
        topic_data=[ProduceRequest.TopicProduceData(name=topic, partition_data=[partition])],
    )
    payload = struct.pack(">hhih", 0, 9, correlation, -1) + b"\0" + request.encode(9)
    return struct.pack(">i", len(payload)) + payload


@pytest.mark.parametrize("seed", range(6))
def test_large_and_small_frames_in_pieces_of_any_size(
    address: tuple[str, int], sock: socket.socket, seed: int
) -> None:
    """However frames of changing sizes are cut on their way, each record arrives as it was sent."""
    chance = random.Random(seed)
    topic = f"pieces-{seed}"
    where = {"bootstrap.servers": "{}:{}".format(*address), "log_level": 2}
    admin = AdminClient(where)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(60)
    usual = chance.choice([40_000, 130_000, 500_000])
    sizes = [
        usual
        if chance.random() < 0.7
        else chance.choice(
            [8, 30_000, usual + 4, usual * 6 // 5, usual * 2, min(usual * 3, 1_000_000), 700_000]
        )
        for _ in range(30)
    ]
    stream = b"".join(produce_frame(topic, size, n) for n, size in enumerate(sizes))
    answers: list[bytes] = []

    def read_answers() -> None:
        answers.extend(receive_frame(sock) for _ in sizes)

    reader = threading.Thread(target=read_answers)
    reader.start()
    at = 0
    while at < len(stream):
        piece = chance.choice([1, 5, 4096, 65_536, usual // 2, usual + 300, 300_000])
        sock.sendall(stream[at : at + piece])
        at += piece
    reader.join(30)
    assert [answer[:4] for answer in answers] == [n.to_bytes(4, "big") for n in range(len(sizes))]
    consumer = Consumer({**where, "group.id": "pieces"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    for n, size in enumerate(sizes):
        (message,) = consumer.consume(1, timeout=60)
        assert message.value() == n.to_bytes(4, "big") * (size // 4)
    consumer.close()
