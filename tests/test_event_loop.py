"""The node's event loop: asyncio's work and the reactor's sockets share it."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kafka_py import Broker
from kafka_py.event_loop import ReactorLoop, new_event_loop, reactor_of, run
from kafka_py.network import DEFAULT_SOCKETS, RealNetwork, Sockets
from kafka_py.reactor import REST_S, Acceptor, Reactor

API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 7, -1)
"""A whole request: ApiVersions v0, correlation id 7, null client id."""


def address_of(broker: Broker) -> tuple[str, int]:
    host, port = broker.bootstrap_servers.rsplit(":", 1)
    return host, int(port)


def exactly(sock: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        assert piece, "closed early"
        data += piece
    return data


def asks(sock: socket.socket) -> None:
    """One request and its reply."""
    sock.sendall(API_VERSIONS)
    reply = exactly(sock, int.from_bytes(exactly(sock, 4), "big"))
    assert reply[:6] == struct.pack(">ih", 7, 0)


@contextlib.contextmanager
def busy_client(address: tuple[str, int]) -> Iterator[Callable[[], int]]:
    """A thread that asks without a pause; what is given says how often it was answered."""
    answered = 0
    over = threading.Event()

    def ask() -> None:
        nonlocal answered
        with socket.create_connection(address, timeout=30) as sock:
            while not over.is_set():
                asks(sock)
                answered += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield lambda: answered
    finally:
        over.set()
        thread.join()


async def until(true: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.001)


def test_timers_callbacks_and_other_descriptors_go_on_beside_a_busy_connection() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ReactorLoop)
        async with Broker() as broker:
            with busy_client(address_of(broker)) as answered:
                await until(lambda: answered() > 100)
                for _ in range(50):
                    before = time.monotonic()
                    await asyncio.sleep(0.002)
                    assert time.monotonic() - before >= 0.0015
                got = await loop.run_in_executor(None, lambda: 5)
                assert got == 5
                near, far = socket.socketpair()
                with near, far:
                    near.setblocking(False)
                    far.send(b"x")
                    assert await loop.sock_recv(near, 1) == b"x"
                called = asyncio.Event()
                loop.call_soon_threadsafe(called.set)
                await called.wait()
                seen = answered()
                await until(lambda: answered() > seen + 100)

    run(main())


def test_a_signal_ends_the_wait() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, came.set)
        try:
            loop.call_later(0.05, os.kill, os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(came.wait(), 10)
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    run(main())


def test_a_wait_ends_when_the_time_is_over() -> None:
    reactor = Reactor()
    before = time.monotonic()
    assert reactor.poll(0.05) == []
    assert 0.045 < time.monotonic() - before < 5
    assert reactor.poll(0) == []
    assert reactor.poll(-1) == []
    # What was scheduled after the loop had worked out how long it may wait ends the wait as well.
    reactor.wanted = True
    before = time.monotonic()
    assert reactor.poll(30) == []
    assert time.monotonic() - before < 15
    assert not reactor.wanted


def test_a_descriptor_unregistered_by_a_callback_of_the_same_look_is_passed_over() -> None:
    loop = new_event_loop()
    try:
        pairs = [socket.socketpair() for _ in range(2)]
        called = []

        def first_come(index: int) -> None:
            called.append(index)
            for near, _ in pairs:
                loop.remove_reader(near)
            loop.stop()

        for index, (near, far) in enumerate(pairs):
            loop.add_reader(near, first_come, index)
            far.send(b"x")
        loop.run_forever()
        assert len(called) == 1
        for pair in pairs:
            for one in pair:
                one.close()
    finally:
        loop.close()


def loops() -> list[Any]:
    made: list[Any] = [
        pytest.param(new_event_loop, id="ours"),
        pytest.param(asyncio.SelectorEventLoop, id="asyncio"),
    ]
    try:
        import uvloop
    except ImportError:
        reason = "uvloop is not installed"
        made.append(pytest.param(None, id="uvloop", marks=pytest.mark.skip(reason=reason)))
    else:
        made.append(pytest.param(uvloop.new_event_loop, id="uvloop"))
    return made


@pytest.mark.parametrize("factory", loops())
def test_brokers_on_an_applications_loop(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with Broker() as one, Broker() as other:
            addresses = (address_of(one), address_of(other))
            assert reactor_of(loop) is reactor_of(loop)
            for _ in range(2):
                for address in addresses:
                    await loop.run_in_executor(None, lambda at=address: several(at))
            open_at_stop = socket.create_connection(addresses[0], timeout=30)
            await loop.run_in_executor(None, asks, open_at_stop)
        with open_at_stop:
            open_at_stop.settimeout(30)
            assert open_at_stop.recv(1) == b""
        with pytest.raises(OSError, match=r"refused|reset"):
            socket.create_connection(addresses[0], timeout=5)

    def several(address: tuple[str, int]) -> None:
        with contextlib.ExitStack() as stack:
            socks = [
                stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(5)
            ]
            for _ in range(20):
                for sock in socks:
                    asks(sock)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


class TransportNetwork(RealNetwork):
    """Listeners whose connections are asyncio's transports, as those of TLS are."""

    def bind(self, host: str, port: int, sockets: Sockets = DEFAULT_SOCKETS) -> Any:
        bound: Any = super().bind(host, port, sockets)
        bound.__class__ = _TransportListener
        return bound


class _TransportListener:
    _socket: socket.socket
    _server: asyncio.Server

    async def serve(self, guest: Callable[[], Any]) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(guest, sock=self._socket)

    def close(self) -> None:
        if hasattr(self, "_server"):
            self._server.close()
        else:
            self._socket.close()


def test_connections_of_asyncios_transports() -> None:
    with (
        Broker({"num.partitions": "1"}, network=TransportNetwork()) as broker,
        socket.create_connection(address_of(broker), timeout=30) as sock,
    ):
        for _ in range(3):
            asks(sock)
        sock.sendall(API_VERSIONS * 500)
        for _ in range(500):
            assert exactly(sock, int.from_bytes(exactly(sock, 4), "big"))[:4] == b"\0\0\0\7"
        for byte in API_VERSIONS:
            sock.sendall(bytes((byte,)))
        exactly(sock, int.from_bytes(exactly(sock, 4), "big"))
        # Half-closed: what was asked is answered, then the broker closes.
        sock.sendall(API_VERSIONS)
        sock.shutdown(socket.SHUT_WR)
        exactly(sock, int.from_bytes(exactly(sock, 4), "big"))
        assert sock.recv(1) == b""


class FullTable:
    """A listening socket whose accept fails as on a machine without descriptors."""

    def __init__(self, sock: socket.socket, error: OSError) -> None:
        self._sock = sock
        self.error: OSError | None = error
        self.asked = 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def accept(self) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self._sock.accept()

    def close(self) -> None:
        self._sock.close()


@pytest.mark.parametrize("code", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
def test_without_descriptors_nobody_is_accepted_for_a_while(code: str) -> None:
    import errno

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    full: Any = FullTable(listener, OSError(getattr(errno, code), code))
    reactor = Reactor()
    asked_later: list[tuple[float, Callable[[], object]]] = []
    reactor.later = lambda delay_s, work: asked_later.append((delay_s, work))
    served = 0

    def guest() -> Any:
        nonlocal served
        served += 1
        raise RuntimeError("a guest that cannot be made loses its own connection alone")

    acceptor = Acceptor(reactor, full, guest)
    with socket.create_connection(listener.getsockname(), timeout=30) as client:
        reactor.turn()
        reactor.turn()
        assert full.asked == 1, "it has to rest"
        ((delay_s, again),) = asked_later
        assert delay_s == REST_S
        full.error = None
        again()
        reactor.turn()
        assert served == 1
        client.settimeout(30)
        assert client.recv(1) == b""
    with socket.create_connection(listener.getsockname(), timeout=30):
        reactor.turn()
        assert served == 2
    acceptor.close()
    acceptor.close()
    again()
    assert reactor.poll(0) == []
