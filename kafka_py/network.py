"""The network as a parameter: where a node listens, real or simulated.

`RealNetwork` binds sockets of this machine; a simulation offers the same two steps over memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Protocol

from kafka_py.event_loop import reactor_of
from kafka_py.reactor import Acceptor
from kcore.values import frozen

__all__ = ["AddressInUse", "Bound", "Network", "RealNetwork", "Sockets"]


@frozen
class Sockets:
    """What a listener's sockets get from the kernel.

    ``backlog`` connections may wait to be accepted; ``receive_bytes`` and ``send_bytes`` are the
    buffers of a connection, -1 leaves them to the kernel, which sizes them by need.
    """

    backlog: int = 4096
    receive_bytes: int = -1
    send_bytes: int = -1


DEFAULT_SOCKETS = Sockets()


class AddressInUse(OSError):
    """A listener's address is taken; the text says which and what to do."""


class Bound(Protocol):
    """A bound address that does not accept yet."""

    @property
    def port(self) -> int:
        """The port it got (a free one, where 0 was asked for)."""
        ...

    async def serve(self, guest: Callable[[], Any]) -> None:
        """Accept connections on the running loop from now on, each with a guest of its own.

        A guest is a `kafka_py.server.connection.ServedConnection`: an asyncio ``BufferedProtocol``
        for any transport, and what a reactor can serve by itself.
        """
        ...

    def close(self) -> None:
        """Accept no more and let the address go; connections stay. Twice is fine."""
        ...


class Network(Protocol):
    """Where listeners come from."""

    def bind(self, host: str, port: int, sockets: Sockets = DEFAULT_SOCKETS) -> Bound:
        """Bind an address ("" is every address of the machine). Raises AddressInUse, OSError."""
        ...


class _Listener:
    """A listening socket of this machine."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._acceptor: Acceptor | None = None
        self.port: int = sock.getsockname()[1]

    async def serve(self, guest: Callable[[], Any]) -> None:
        self._acceptor = Acceptor(reactor_of(asyncio.get_running_loop()), self._socket, guest)

    def close(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
        else:
            self._socket.close()


class RealNetwork:
    """TCP on this machine."""

    def bind(self, host: str, port: int, sockets: Sockets = DEFAULT_SOCKETS) -> Bound:
        """See `Network`; binds IPv4, or IPv6 where the host is such an address or empty."""
        family = socket.AF_INET6 if ":" in host or not host else socket.AF_INET
        if not host and not socket.has_dualstack_ipv6():
            family = socket.AF_INET
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if not host else 1)
            # Set before listening: the window scale of a connection is fixed when it is accepted.
            if sockets.receive_bytes != -1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, sockets.receive_bytes)
            if sockets.send_bytes != -1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sockets.send_bytes)
            try:
                sock.bind((host, port))
                sock.listen(sockets.backlog)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    where = f"{host or '*'}:{port}"
                    raise AddressInUse(
                        error.errno, f"{where} is in use; stop who listens there or choose another"
                    ) from None
                raise OSError(
                    error.errno, f"{host}:{port}: {os.strerror(error.errno or 0)}"
                ) from None
            sock.setblocking(False)
            stack.pop_all()
        return _Listener(sock)
