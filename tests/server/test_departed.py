"""Clients that leave while they are waited for, and newcomers that are made to wait."""

from __future__ import annotations

import contextlib
import socket
import time

from kafka_py.protocol.api_versions import ApiVersionsRequest
from kafka_py.server.broker import Broker
from tests.server.conftest import make_topic
from tests.server.messages import batch, fetch, produce
from tests.server.wire import Wire
from tests.waiting import eventually

HELLO = ApiVersionsRequest(client_software_name="test", client_software_version="1")


def test_a_fetch_whose_connection_is_gone_waits_for_nobody() -> None:
    """Else a max_wait_ms of weeks would hold memory for weeks."""
    with Broker() as broker:
        fetches = broker.node.replicas.fetches
        for reset in (False, True):
            with Wire(broker.bootstrap_servers) as wire:
                if not reset:
                    make_topic(wire, "t")
                wire.send(fetch("t", 0, wait_ms=2**31 - 1), 11)
                eventually(lambda: len(fetches) == 1)
                if reset:
                    linger = (1).to_bytes(4, "little") + bytes(4)
                    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            eventually(lambda: len(fetches) == 0)
            eventually(lambda: not broker._hub.connections)


def test_who_has_said_all_still_gets_the_answers() -> None:
    """A half-closed client reads what it asked for, but for fetches that wait for bytes."""
    with Broker() as broker, Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "t")
        for _ in range(3):
            wire.send(produce("t", batch(), acks=-1), 9)
        wire.send(fetch("t", 99, wait_ms=0), 11)
        wire.socket.shutdown(socket.SHUT_WR)
        for offset in range(3):
            answer = wire.receive().responses[0].partition_responses[0]
            assert (answer.error_code, answer.base_offset) == (0, offset)
        assert wire.receive().responses[0].partitions[0].error_code == 1
        assert wire.closed()


def test_a_made_newcomer_that_waits_may_send_at_once() -> None:
    """What arrives before the creation rate allows the reading is kept, and answered later."""
    with Broker({"max.connection.creation.rate": "20"}) as broker, contextlib.ExitStack() as stack:
        began = time.monotonic()
        wires = [stack.enter_context(Wire(broker.bootstrap_servers)) for _ in range(5)]
        for wire in wires:
            for _ in range(3):
                wire.send(HELLO, 3)
        for wire in wires:
            for _ in range(3):
                assert wire.receive().error_code == 0
        assert time.monotonic() - began > 0.19
