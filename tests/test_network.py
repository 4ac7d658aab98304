"""Listening sockets of this machine get what the settings say."""

import socket
from typing import Any

from kafka_py.network import RealNetwork, Sockets


def buffers(sockets: Sockets) -> tuple[int, int]:
    """The receive and send buffer of a listener, as the kernel reports them (doubled)."""
    bound: Any = RealNetwork().bind("127.0.0.1", 0, sockets)
    try:
        return tuple(
            bound._socket.getsockopt(socket.SOL_SOCKET, option)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF)
        )
    finally:
        bound.close()


def test_buffers_are_the_settings() -> None:
    assert buffers(Sockets(receive_bytes=40_000, send_bytes=50_000)) == (80_000, 100_000)


def test_buffers_left_to_the_kernel() -> None:
    plain = socket.socket()
    usual = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    plain.close()
    assert buffers(Sockets())[0] == usual
