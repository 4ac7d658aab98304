"""What connections may cost: who is let in, what they may hold, when they are closed."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_py.protocol.api_versions import ApiVersionsRequest
from kafka_py.protocol.registry import ApiKey
from kafka_py.server import dispatch
from kafka_py.server.broker import Broker
from kafka_py.server.limits import Limits
from kafka_py.testing.clock import VirtualClock
from kcore import syscalls
from kcore.values import replace
from tests.server.conftest import make_topic, on_loop
from tests.server.messages import batch, fetch, produce
from tests.server.wire import Wire
from tests.waiting import FOREVER_MS, PATIENCE_S, eventually

HELLO = ApiVersionsRequest(client_software_name="test", client_software_version="1")
FETCH_BYTES = 1 << 20


def greeted(wire: Wire) -> bool:
    """Whether the broker answers (else it has closed)."""
    try:
        return wire.call(HELLO, 4).error_code == 0
    except (ConnectionError, BrokenPipeError):
        return False


def sweep(broker: Broker, now_s: float) -> None:
    """What the broker would close at a moment of the monotonic clock, if nothing came meanwhile.

    So much after the beginning of a test is sooner after what happened in it; so much after now is
    later.
    """
    limits = broker._limits

    def look() -> None:
        limits.sweep(broker._hub.unusual(now_s, limits.idle_ms / 1000), now_s)

    on_loop(broker, look)


def now() -> float:
    """The monotonic clock, in seconds."""
    return time.monotonic()


class Served(Wire):
    """A connection whose other end, the broker's, is known as well."""

    def __init__(self, broker: Broker) -> None:
        before = set(broker._hub.connections)
        super().__init__(broker.bootstrap_servers)
        try:
            (self.end,) = eventually(lambda: set(broker._hub.connections) - before)
        except BaseException:
            self.socket.close()
            raise


def await_only(broker: Broker, count: int) -> None:
    """Until those that a test has opened are the only ones."""
    eventually(lambda: len(broker._hub.connections) == count)


# ------------------------------------------------------------------------------------ who is let in


def test_connections_in_all() -> None:
    with Broker({"max.connections": "3"}) as broker:
        servers = broker.bootstrap_servers
        wires = [Wire(servers) for _ in range(3)]
        assert all(greeted(wire) for wire in wires)
        with Wire(servers) as refused:
            assert not greeted(refused)
        assert broker.node.metrics["connections.refused"] == 1
        assert broker.node.metrics["connections"] == 3
        wires[0].socket.close()
        eventually(lambda: broker._limits.total == 2)
        with Wire(servers) as taken:
            assert greeted(taken)
        assert all(greeted(wire) for wire in wires[1:])
        for wire in wires[1:]:
            wire.socket.close()


def test_connections_of_an_address() -> None:
    config = {"max.connections.per.ip": "2", "max.connections.per.ip.overrides": "127.0.0.3:1"}
    with Broker(config) as broker, contextlib.ExitStack() as stack:
        for source, allowed in (("127.0.0.1", 2), ("127.0.0.2", 2), ("127.0.0.3", 1)):
            for i in range(3):
                wire = stack.enter_context(Wire(broker.bootstrap_servers, source=source))
                assert greeted(wire) == (i < allowed), (source, i)


def test_connections_of_a_listener() -> None:
    config = {
        "listeners": "PLAINTEXT://127.0.0.1:0,OTHER://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "listener.name.other.max.connections": "1",
    }
    with Broker(config) as broker, contextlib.ExitStack() as stack:
        ports = {name: one.port for name, one in broker.node.listeners.items()}
        for name, allowed in (("OTHER", 1), ("PLAINTEXT", 3)):
            for i in range(3):
                wire = stack.enter_context(Wire(f"127.0.0.1:{ports[name]}"))
                assert greeted(wire) == (i < allowed), (name, i)


def test_the_rate_of_new_connections() -> None:
    """Those who come too fast are let in and read from later, each by as much as its place asks."""
    with Broker({"max.connection.creation.rate": "20"}) as broker, contextlib.ExitStack() as stack:
        began = now()
        wires = [stack.enter_context(Wire(broker.bootstrap_servers)) for _ in range(6)]
        for wire in wires:
            wire.send(HELLO, 4)
        took = []
        for wire in wires:
            assert wire.receive().error_code == 0
            took.append(now() - began)
        assert all(took[i] >= 0.05 * i - 0.01 for i in range(6)), took


def test_the_rate_delays_nobody_who_comes_late_enough() -> None:
    """As the limits say it, with a clock of the test."""
    clock = VirtualClock()
    config = {"max.connection.creation.rate": "20"}
    with Broker(config) as broker:
        limits = Limits(broker.config, clock, broker.node.metrics)
    newcomer, listening = SimpleNamespace(host="10.0.0.1"), SimpleNamespace(name="PLAINTEXT")
    delays = []
    for later_ms in (0, 0, 10, 40, 50, 500):
        clock.advance(later_ms)
        delays.append(round(limits.admit(newcomer, listening), 3))  # type: ignore[arg-type]
    assert delays == [0, 0.05, 0.09, 0.1, 0.1, 0]


# ------------------------------------------------------------------------------------- bytes coming


@pytest.fixture(scope="module")
def small() -> Iterator[Broker]:
    """A broker with small limits."""
    config = {
        "kafka_py.connection.inflight.requests.max": "2",
        "kafka_py.connection.unsent.bytes.max": "100000",
        "socket.request.max.bytes": str(2**31 - 1),
    }
    with Broker(config) as broker:
        yield broker


@pytest.mark.parametrize("key", [17, 18, 36])
def test_a_long_first_request_is_closed_at_its_claim(small: Broker, key: int) -> None:
    with Wire(small.bootstrap_servers) as wire:
        wire.socket.sendall(struct.pack(">ih", 65537, key))
        assert wire.closed()


def test_a_long_first_produce_is_fine_and_so_is_a_second_request(small: Broker) -> None:
    with Wire(small.bootstrap_servers) as wire:
        make_topic(wire, "long", max_message_bytes="2000000")
    with Wire(small.bootstrap_servers) as wire:
        reply = wire.call(produce("long", batch(1, 500_000)), 9)
        assert reply.responses[0].partition_responses[0].error_code == 0
        # Served once, it may send a long frame of any kind: its end is awaited.
        wire.socket.sendall(struct.pack(">ih", 65537, 18))
        wire.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)


def resident_kib() -> int:
    """Physical memory of this process."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_a_giant_claim_costs_what_arrives(small: Broker) -> None:
    with contextlib.ExitStack() as stack:
        before = resident_kib()
        wires = [stack.enter_context(Wire(small.bootstrap_servers)) for _ in range(20)]
        for wire in wires:
            wire.socket.sendall(struct.pack(">ihh", 1 << 30, 0, 9))
            for _ in range(10):
                wire.socket.sendall(b"\0" * 1000)
        eventually(
            lambda: sum(one.frame_bytes for one in list(small._hub.connections)) == 20 * 10_008
        )
        assert resident_kib() - before < 20 * 1024


def test_a_frame_has_its_time(small: Broker) -> None:
    began = now()
    with Served(small) as dripping, Wire(small.bootstrap_servers) as whole:
        assert greeted(dripping)
        assert greeted(whole)
        dripping.socket.sendall(struct.pack(">ih", 1000, 18) + b"\0" * 100)
        connection = dripping.end
        eventually(lambda: connection.frame_bytes == 106)
        sweep(small, began + 29)
        assert not connection.closed
        dripping.socket.sendall(b"\0")
        eventually(lambda: connection.frame_bytes == 107)
        sweep(small, now() + 31)
        assert dripping.closed()
        assert greeted(whole)


def test_the_first_request_has_its_time(small: Broker) -> None:
    await_only(small, 0)
    began = now()
    with Wire(small.bootstrap_servers) as silent, Wire(small.bootstrap_servers) as greeting:
        assert greeted(greeting)
        await_only(small, 2)
        sweep(small, began + 9)
        assert len(small._hub.connections) == 2
        sweep(small, now() + 11)
        assert silent.closed()
        assert greeted(greeting)


def test_idle_connections_are_closed_and_waiting_ones_are_not(small: Broker) -> None:
    await_only(small, 0)
    began = now()
    with Served(small) as waiting, Wire(small.bootstrap_servers) as idle:
        make_topic(waiting, "idle")
        assert greeted(idle)
        waiting.send(fetch("idle", 0, wait_ms=FOREVER_MS), 12)
        eventually(lambda: waiting.end.waiting_replies)
        sweep(small, began + 599)
        assert len(small._hub.connections) == 2
        sweep(small, now() + 601)
        assert idle.closed()
        with Wire(small.bootstrap_servers) as other:
            other.call(produce("idle", batch()), 9)
        assert waiting.receive().responses[0].partitions[0].high_watermark == 1


# ------------------------------------------------------------------------------------ bytes going


def test_a_slow_reader_holds_little_and_is_closed(small: Broker) -> None:
    """64 MB of fetches are asked for by one who reads nothing."""
    began = now()
    with Served(small) as wire:
        make_topic(wire, "slow", max_message_bytes="2000000")
        for _ in range(2):
            wire.call(produce("slow", batch(1, FETCH_BYTES - 200)), 9)
        frame = wire.frame(fetch("slow", 0, partition_bytes=FETCH_BYTES), 12)
        reader_bytes = 64
        wire.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(reader_bytes):
                wire.socket.send(frame)
        connection = wire.end
        eventually(lambda: connection.unsent_bytes)
        time.sleep(0.05)
        assert connection.unsent_bytes <= 100_000 + 2 * FETCH_BYTES
        sweep(small, began + 29)
        assert not connection.closed
        sweep(small, now() + 31)
        assert connection.closed
        wire.socket.settimeout(PATIENCE_S)
        assert wire.closed()


def test_a_slow_reader_gets_everything_that_it_asked_for(small: Broker) -> None:
    with Served(small) as wire:
        make_topic(wire, "late", max_message_bytes="2000000")
        wire.call(produce("late", batch(1, FETCH_BYTES - 200)), 9)
        wanted = 30
        data = b"".join(
            wire.frame(fetch("late", 0, partition_bytes=FETCH_BYTES), 12) for _ in range(wanted)
        )
        wire.socket.sendall(data)
        eventually(lambda: wire.end.unsent_bytes)
        time.sleep(0.05)
        for _ in range(wanted):
            found = wire.receive().responses[0].partitions[0]
            assert len(found.records) > FETCH_BYTES - 300
        assert greeted(wire)


def test_a_held_back_frame_is_not_the_clients_fault(small: Broker) -> None:
    """A reader that goes on reading is not closed for the request that the broker did not take."""
    with Served(small) as wire:
        make_topic(wire, "held", max_message_bytes="2000000")
        wire.call(produce("held", batch(1, FETCH_BYTES - 200)), 9)
        for _ in range(20):
            wire.send(fetch("held", 0, partition_bytes=FETCH_BYTES), 12)
        connection = wire.end
        eventually(lambda: connection.unsent_bytes and connection.frame_at)

        class Reading:
            """The same, a minute later, whose peer has read a little just now."""

            sent_at = active_at = now() + 60

            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

        assert small._limits._overdue(Reading(), Reading.sent_at, connection.unsent_bytes) is None
        for _ in range(20):
            wire.receive()


def test_unsent_bytes_of_all() -> None:
    """Above the limit, who holds the most goes, and only he."""
    config = {"kafka_py.connection.unsent.bytes.max": "100000000"}
    with Broker(config) as broker, contextlib.ExitStack() as stack:
        modest, greedy = [stack.enter_context(Served(broker)) for _ in range(2)]
        make_topic(modest, "all", max_message_bytes="10000000")
        modest.call(produce("all", batch(1, 8_000_000)), 9)
        for wire, times in ((modest, 1), (greedy, 4)):
            for _ in range(times):
                wire.send(fetch("all", 0, partition_bytes=1 << 24, max_bytes=1 << 24), 12)
        held = [modest.end, greedy.end]
        # Answered, all of it, and sent as far as the sockets take it.
        eventually(lambda: held[0].unsent_bytes and held[1].unsent_bytes > 16_000_000)

        def at_the_limit(above: int) -> list[bool]:
            """Who is closed when that many bytes are held above the limit."""
            unsent = [one.unsent_bytes for one in held]
            assert unsent[0] < unsent[1]
            broker._limits.unsent_bytes_total_max = sum(unsent) - above
            broker._limits.sweep(broker._hub.connections, now())
            return [one.closed for one in held]

        # Both looks on the loop, which sends nothing meanwhile.
        assert on_loop(broker, lambda: at_the_limit(0)) == [False, False]
        assert on_loop(broker, lambda: at_the_limit(1)) == [False, True]
        assert greedy.closed()
        assert modest.receive().responses[0].partitions[0].error_code == 0


# --------------------------------------------------------------------------------- requests in work


def test_requests_in_work_stop_the_reading(small: Broker) -> None:
    """Two wait, the others are not taken before; all are answered, in order."""
    with Served(small) as wire, Wire(small.bootstrap_servers) as other:
        make_topic(wire, "work")
        for _ in range(10):
            wire.send(fetch("work", 0, wait_ms=FOREVER_MS), 12)
        connection = wire.end
        eventually(lambda: connection.waiting_replies == 2)
        time.sleep(0.05)
        assert connection.waiting_replies == 2
        other.call(produce("work", batch()), 9)
        for _ in range(10):
            assert wire.receive().responses[0].partitions[0].high_watermark == 1


def test_a_begun_frame_has_its_time_from_when_it_is_read_again(small: Broker) -> None:
    """While the broker does not read, the rest of a frame cannot come."""
    with Served(small) as wire, Wire(small.bootstrap_servers) as other:
        make_topic(wire, "begun")
        last = wire.frame(HELLO, 4)
        hello, _, _ = wire.waiting.pop()
        data = b"".join(wire.frame(fetch("begun", 0, wait_ms=FOREVER_MS), 12) for _ in range(5))
        wire.socket.sendall(data + last[:10])
        connection = wire.end
        eventually(lambda: connection.waiting_replies == 2)
        time.sleep(0.1)
        released = now()
        other.call(produce("begun", batch()), 9)
        for _ in range(5):
            assert wire.receive().responses[0].partitions[0].high_watermark == 1
        eventually(lambda: connection.frame_at >= released)
        assert connection.frame_bytes == 10
        wire.socket.sendall(last[10:])
        assert int.from_bytes(wire.receive_raw()[:4], "big") == hello


@pytest.mark.parametrize(
    "name", ["kafka_py.connection.inflight.bytes.max", "queued.max.request.bytes"]
)
def test_bytes_in_work_stop_the_reading(name: str, tmp_path: Path) -> None:
    """Produces that wait for the disk are bytes in work, of a connection and of all."""
    with (
        Broker({name: "3000", "socket.request.max.bytes": "3000"}, data=tmp_path) as broker,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(syscalls.clear)
        wires = [stack.enter_context(Served(broker)) for _ in range(3)]
        make_topic(wires[0], "bytes")
        syscalls.hold("fdatasync")
        for wire in wires:
            for _ in range(20):
                wire.send(produce("bytes", batch(1, 900), acks=-1), 9)
        eventually(lambda: broker._hub.inflight_bytes > 3000)
        time.sleep(0.1)
        held = [wire.end for wire in wires]
        assert on_loop(broker, lambda: sum(one.inflight_bytes for one in held)) == on_loop(
            broker, lambda: broker._hub.inflight_bytes
        )
        assert all(one.inflight_bytes <= 3000 + 1100 for one in held)
        if name.startswith("queued"):
            # One request of each connection is always taken, so that none starves.
            assert broker._hub.inflight_bytes <= 3000 + 3 * 1100
        syscalls.clear()
        for wire in wires:
            for _ in range(20):
                assert wire.receive().responses[0].partition_responses[0].error_code == 0
        assert broker._hub.inflight_bytes == 0
        # A connection that goes gives its bytes back.
        syscalls.hold("fdatasync")
        for wire in wires:
            wire.send(produce("bytes", batch(1, 900), acks=-1), 9)
        eventually(lambda: broker._hub.inflight_bytes > 2000)
        for wire in wires:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.socket.close()
        eventually(lambda: broker._hub.inflight_bytes == 0)


# --------------------------------------------------------------------------------- broken handlers


@pytest.mark.parametrize("later", [False, True])
def test_a_broken_handler_closes_its_connection_only(
    small: Broker, later: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = dispatch._ROUTES[dispatch.BROKER]
    key = int(ApiKey.API_VERSIONS)

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("broken on purpose")

    async def broken_later(*_: Any) -> Any:
        raise ZeroDivisionError("broken on purpose")

    with Wire(small.bootstrap_servers) as bad, Wire(small.bootstrap_servers) as good:
        assert greeted(bad)
        assert greeted(good)
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            handler = broken_later if later else broken
            patch.setitem(rows, key, replace(rows[key], handler=handler))
            bad.send(HELLO, 4)
            assert bad.closed()
        assert "a request failed" in caplog.text
        assert greeted(good)
