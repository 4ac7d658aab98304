"""Produces to thousands of partitions in turns: what is asked for ahead changes no answer."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

import kafka_py
from kafka_py.protocol.topics import DeleteTopicsRequest
from kafka_py.replication.purgatory import FetchPurgatory
from kafka_py.server.fast_path import FastPath
from kafka_py.server.foresight import look_over
from tests.server.conftest import make_topic
from tests.server.messages import batch, produce
from tests.server.wire import Wire

PARTITIONS = 1_250


def produce_in_turns(
    wire: Wire, rng: random.Random, partitions: int, appended: Counter[int]
) -> None:
    """One batch to each partition, 250 requests at once; ``appended`` counts those of each."""
    order = rng.sample(range(partitions), partitions)
    for at in range(0, partitions, 250):
        frames = []
        for index in order[at : at + 250]:
            request = produce("many", batch(1, 100 + index % 700), acks=1)
            request.topic_data[0].partition_data[0].index = index
            frames.append(wire.frame(request, rng.choice([3, 8, 9, 11])))
        wire.socket.sendall(b"".join(frames))
        for index in order[at : at + 250]:
            answer = wire.receive().responses[0].partition_responses[0]
            assert (answer.index, answer.error_code) == (index, 0)
            assert answer.base_offset == appended[index]
            appended[index] += 1


def test_pipelined_produces_to_thousands_of_partitions() -> None:
    rng = random.Random(11)
    appended: Counter[int] = Counter()
    with kafka_py.Broker() as broker, Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "many", PARTITIONS)
        fast = broker._fast
        assert fast.wanders == 0
        for _ in range(5):
            produce_in_turns(wire, rng, PARTITIONS, appended)
        assert fast.wanders > 0
        # One request to many of them, then one partition alone: it is not foreseen for ever.
        request = produce("many", batch(1, 100), acks=1)
        one = request.topic_data[0].partition_data[0]
        request.topic_data[0].partition_data = [
            type(one)(index=i, records=one.records) for i in range(250)
        ]
        wire.send(request, 9)
        answers = wire.receive().responses[0].partition_responses
        assert [a.base_offset for a in answers] == [appended[i] for i in range(250)]
        for _ in range(70):
            assert wire.call(produce("many", batch(1, 100), acks=1), 9).responses
        assert fast.wanders == 0
        # The topic is made anew: what the slots remember of its logs is gone.
        reply = wire.call(DeleteTopicsRequest(topic_names=["many"], timeout_ms=30_000), 5)
        assert reply.responses[0].error_code == 0
        make_topic(wire, "many", 250)
        appended.clear()
        for _ in range(3):
            produce_in_turns(wire, rng, 250, appended)
        assert fast.wanders > 0


@pytest.fixture
def fast() -> FastPath:
    """A node without a partition."""
    replicas: Any = SimpleNamespace(by_name={}, by_id={}, fetches=FetchPurgatory())
    return FastPath(replicas, wait_for_flush=False, fetch_bytes_max=1 << 20, off_loop_bytes=1 << 16)


def frame(version: int) -> bytes:
    wire = Wire.__new__(Wire)
    wire.correlation, wire.waiting = 0, []
    return wire.frame(produce("t", batch(1, 100), acks=1), version)


@pytest.mark.parametrize("version", [3, 8, 9, 12, 13])
def test_whole_frames_are_looked_over_32_at_once(fast: FastPath, version: int) -> None:
    whole = frame(version)
    assert look_over(fast, b"") == 0
    assert look_over(fast, whole) == len(whole)
    assert look_over(fast, whole * 31 + b"\0\0\0\4abcd") == len(whole) * 31 + 8
    assert look_over(fast, whole * 40) == len(whole) * 32
    # What is not there yet is nobody's to look at: it counts as seen, since nothing follows it.
    assert look_over(fast, whole * 3 + whole[:-1]) == len(whole) * 4 - 1
    assert look_over(fast, whole * 3 + b"\xff\xff\xff\xff" + whole) == len(whole) * 4 + 4


def test_cut_and_damaged_frames(fast: FastPath) -> None:
    rng = random.Random(5)
    for version in (3, 9, 13):
        body = frame(version)[4:]
        for cut in range(len(body)):
            damaged = bytearray(body[:cut])
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            stream = len(damaged).to_bytes(4, "big") + damaged
            assert look_over(fast, stream) == len(stream)
