"""Fixtures of the server's tests: a broker in a thread, and topics on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kafka_py.protocol.topics import CreateTopicsRequest
from kafka_py.server.broker import Broker
from tests.server.wire import Wire
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker that a module's tests share."""
    with Broker() as running:
        yield running


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    """A connection to it."""
    with Wire(broker.bootstrap_servers) as connection:
        yield connection


def on_loop(broker: Broker, work: Callable[[], Any]) -> Any:
    """Call a function on the broker's event loop; what it returned or raised."""

    async def run() -> Any:
        return work()

    return asyncio.run_coroutine_threadsafe(run(), broker.loop).result(PATIENCE_S)


def make_topic(connection: Wire, name: str, partitions: int = 1, **configs: str) -> bytes:
    """Create a topic; its id. In names of configs _ stands for a dot."""
    topic = CreateTopicsRequest.CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=1,
        configs=[
            CreateTopicsRequest.CreatableTopicConfig(name=key.replace("_", "."), value=value)
            for key, value in configs.items()
        ],
    )
    reply = connection.call(CreateTopicsRequest(topics=[topic], timeout_ms=10_000), 7)
    assert reply.topics[0].error_code == 0, reply
    topic_id: bytes = reply.topics[0].topic_id
    return topic_id


@pytest.fixture
def topic(wire: Wire, request: pytest.FixtureRequest) -> str:
    """A topic of one partition, named after the test."""
    name = "".join(c if c.isalnum() else "." for c in request.node.name)
    make_topic(wire, name)
    return name


@pytest.fixture
def new_topic(wire: Wire) -> Callable[..., Any]:
    """Makes topics."""
    return lambda name, partitions=1, **configs: make_topic(wire, name, partitions, **configs)
