"""Producer ids: never the same one twice, whoever asks and however often the broker starts."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from kafka_py.controller.producer_ids import BLOCK_IDS
from kafka_py.protocol.brokers import AllocateProducerIdsResponse
from kafka_py.protocol.transactions import InitProducerIdRequest
from kafka_py.server.broker import Broker
from tests.server.messages import batch, produce
from tests.server.wire import Wire


def asked(**fields: Any) -> InitProducerIdRequest:
    """A request of a producer without transactions."""
    return InitProducerIdRequest(**{"transactional_id": None, **fields})


@pytest.mark.parametrize("version", range(6))
def test_every_version(broker: Broker, version: int) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        first, second = (wire.call(asked(), version) for _ in range(2))
    for reply in (first, second):
        assert (reply.error_code, reply.producer_epoch, reply.throttle_time_ms) == (0, 0, 0)
    assert second.producer_id == first.producer_id + 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"transactional_id": ""}, 42),
        ({"transactional_id": "t"}, 50),
        ({"transactional_id": "t", "transaction_timeout_ms": 900_001}, 50),
        ({"transactional_id": "t", "transaction_timeout_ms": 1}, 16),
        ({"producer_id": 5}, 42),
        ({"producer_epoch": 0}, 42),
    ],
)
def test_refused(broker: Broker, fields: dict[str, Any], error: int) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        reply = wire.call(asked(**fields), 4)
        assert (reply.error_code, reply.producer_id, reply.producer_epoch) == (error, -1, -1)


def test_a_known_producer_without_transactions_gets_a_fresh_id(broker: Broker) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        first = wire.call(asked(), 4).producer_id
        again = wire.call(asked(producer_id=first, producer_epoch=0), 4)
        assert (again.error_code, again.producer_epoch) == (0, 0)
        assert again.producer_id > first


def test_many_ask_at_once_across_blocks() -> None:
    """More ids than a block has, asked for by several connections, are all different."""
    with Broker() as broker:
        each, clients = BLOCK_IDS // 3, 4
        taken: list[list[int]] = [[] for _ in range(clients)]

        def ask(into: list[int]) -> None:
            with Wire(broker.bootstrap_servers) as wire:
                for _ in range(0, each, 100):
                    for _ in range(100):
                        wire.send(asked(), 4)
                    into += [wire.receive().producer_id for _ in range(100)]

        threads = [threading.Thread(target=ask, args=(into,)) for into in taken]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ids = [one for into in taken for one in into]
        assert len(ids) >= each * clients > BLOCK_IDS
        assert len(set(ids)) == len(ids)
        assert min(ids) >= 0


def test_a_restart_never_hands_an_id_out_again(tmp_path: Path) -> None:
    taken = []
    for _ in range(3):
        with Broker(data=tmp_path) as broker, Wire(broker.bootstrap_servers) as wire:
            taken += [wire.call(asked(), 4).producer_id for _ in range(3)]
    assert taken == [block * BLOCK_IDS + i for block in range(3) for i in range(3)]


def test_while_there_is_none_to_have_clients_retry(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = broker.node

    async def refuse(*_: Any) -> Any:
        await asyncio.sleep(0)
        return AllocateProducerIdsResponse(error_code=41)

    with monkeypatch.context() as patch, Wire(broker.bootstrap_servers) as wire:
        patch.setattr(node, "submit", refuse)
        patch.setattr(node, "_producer_id_next", node._producer_id_end)
        load_in_progress = 14
        assert wire.call(asked(), 4).error_code == load_in_progress
    with Wire(broker.bootstrap_servers) as wire:
        assert wire.call(asked(), 4).error_code == 0


def test_an_id_works(broker: Broker, topic: str) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        given = wire.call(asked(), 4)
        records = batch(
            2, producer_id=given.producer_id, producer_epoch=given.producer_epoch, base_sequence=0
        )
        for _ in range(2):
            reply = wire.call(produce(topic, records, acks=-1), 9)
            said = reply.responses[0].partition_responses[0]
            assert (said.error_code, said.base_offset) == (0, 0)
