"""A tiny blocking client over the project's own message tables, for tests of a running broker."""

from __future__ import annotations

import socket
from typing import Any

from kafka_py.protocol.framing import encode_request
from kafka_py.protocol.registry import API, ApiKey
from tests.waiting import PATIENCE_S


class Wire:
    """One connection. `send` and `receive` may be pipelined; `call` does both."""

    def __init__(self, bootstrap: str, timeout_s: float = PATIENCE_S, source: str = "") -> None:
        """`source`: the address to connect from."""
        host, _, port = bootstrap.rpartition(":")
        self.socket = socket.create_connection(
            (host, int(port)), timeout=timeout_s, source_address=(source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0
        self.waiting: list[tuple[int, Any, int]] = []

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def __del__(self) -> None:
        # What a test that failed has left open is not to warn in the test that runs by then.
        if hasattr(self, "socket"):
            self.socket.close()

    def frame(self, message: Any, version: int) -> bytes:
        """The bytes of a request."""
        self.correlation += 1
        self.waiting.append((self.correlation, API[ApiKey(type(message).KEY)], version))
        return b"".join(
            bytes(part) for part in encode_request(message, version, self.correlation, "test")
        )

    def send(self, message: Any, version: int) -> None:
        """Send a request; its reply is read later."""
        self.socket.sendall(self.frame(message, version))

    def exactly(self, count: int) -> bytes:
        """So many bytes. Raises ConnectionError when the broker closes."""
        parts = []
        while count:
            part = self.socket.recv(min(count, 1 << 20))
            if not part:
                raise ConnectionError("the broker closed the connection")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def receive_raw(self) -> bytes:
        """The next reply without its length."""
        return self.exactly(int.from_bytes(self.exactly(4), "big"))

    def receive(self) -> Any:
        """The next reply, decoded; it must be that of the oldest request."""
        raw = self.receive_raw()
        correlation, api, version = self.waiting.pop(0)
        assert int.from_bytes(raw[:4], "big") == correlation
        start = 4 + (api.response_header_version(version) >= 1)
        return api.response.decode(raw[start:], version)

    def call(self, message: Any, version: int) -> Any:
        """Ask and wait for the answer."""
        self.send(message, version)
        return self.receive()

    def closed(self) -> bool:
        """Whether the broker closes the connection (waits for it)."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            return True
        return True
