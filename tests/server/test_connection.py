"""Connections, seen as bytes on a socket: framing, order, and what closes them."""

import socket
import struct
from collections.abc import Iterator

import pytest

from kafka_py import Broker

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
    with socket.create_connection(address, timeout=5) as connection:
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
    with socket.create_connection(address, timeout=5) as bad:
        bad.sendall(struct.pack(">i", -1))
        assert is_closed(bad)
    sock.sendall(frame(API_VERSIONS, 0, 3))
    assert receive_frame(sock)[:6] == struct.pack(">ih", 3, 0)
