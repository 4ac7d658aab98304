"""Types of kafka_py.reactor; what it does is said in reactor.pyx."""

import socket
from collections.abc import Callable
from typing import Any

REST_S: float

class Watched:
    """A descriptor of a reactor; its methods are compiled ones."""

class Turns:
    """Who wants to know when all of one look have been served."""

class Reactor:
    """Sockets served by compiled code. Raises OSError."""

    wanted: bool
    serving: bool
    later: Callable[[float, Callable[[], object]], object] | None
    def __init__(self, epoll_fd: int = -1) -> None: ...
    def fileno(self) -> int:
        """The epoll's descriptor: readable when something here is ready."""
    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Serve until the loop has work of its own; what else is ready, as (fd, epoll's events)."""
    def turn(self) -> None:
        """One look without waiting."""

class Acceptor(Watched):
    """A listening socket: each connection that comes is handed to a guest of its own."""

    def __init__(
        self, reactor: Reactor, sock: socket.socket, factory: Callable[[], Any]
    ) -> None: ...
    def again(self) -> None:
        """Accept again, unless it was closed meanwhile."""
    def close(self) -> None:
        """Accept no more and let the address go. Twice is fine."""
