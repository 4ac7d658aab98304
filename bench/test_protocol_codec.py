"""What the wire codecs cost: the table's, and kio's on the same bytes.

Run by `make bench` (pytest-benchmark); without it each case runs once, for its assertions. Claims:
the table codec decodes a Fetch request of 100 partitions in tens of microseconds and encodes it in
fewer; compiling a codec takes a few milliseconds.
"""

import io
from typing import Any

import pytest
from kio.schema.fetch.v12.request import FetchRequest as KioFetchRequest
from kio.serial import entity_reader, entity_writer

from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.produce import ProduceRequest
from kafka_py.protocol.schema import Message

FETCH = FetchRequest(
    max_wait_ms=500,
    min_bytes=1,
    topics=[
        FetchRequest.FetchTopic(
            topic="flights",
            partitions=[
                FetchRequest.FetchPartition(
                    partition=index, fetch_offset=index * 1000, partition_max_bytes=1 << 20
                )
                for index in range(100)
            ],
        )
    ],
)
PRODUCE = ProduceRequest(
    acks=-1,
    timeout_ms=30_000,
    topic_data=[
        ProduceRequest.TopicProduceData(
            name="flights",
            partition_data=[ProduceRequest.PartitionProduceData(records=bytes(1024))],
        )
    ],
)
CASES = [pytest.param(FETCH, 12, id="fetch_100"), pytest.param(PRODUCE, 9, id="produce_1")]


@pytest.mark.parametrize(("message", "version"), CASES)
def test_table_decode(benchmark: Any, message: Message, version: int) -> None:
    """Bytes to objects."""
    raw = message.encode(version)
    benchmark.extra_info["bytes"] = len(raw)
    assert benchmark(type(message).decode, raw, version) == message


@pytest.mark.parametrize(("message", "version"), CASES)
def test_table_encode(benchmark: Any, message: Message, version: int) -> None:
    """Objects to parts, records uncopied."""
    parts = benchmark(message.encode_parts, version)
    assert b"".join(parts) == message.encode(version)


def test_kio_decode(benchmark: Any) -> None:
    """kio's reader (Rust) on the same bytes, for comparison."""
    raw = FETCH.encode(12)
    _, size = benchmark(entity_reader(KioFetchRequest), raw, 0)
    assert size == len(raw)


def test_kio_encode(benchmark: Any) -> None:
    """kio's writer on the same message, for comparison."""
    message, _ = entity_reader(KioFetchRequest)(FETCH.encode(12), 0)
    write = entity_writer(KioFetchRequest)

    def encode() -> bytes:
        out = io.BytesIO()
        write(out, message)
        return out.getvalue()

    assert benchmark(encode) == FETCH.encode(12)


def test_compile(benchmark: Any) -> None:
    """Making the codecs of one message version."""

    def compile_codecs() -> None:
        FetchRequest._decoders.pop(17, None)
        FetchRequest._encoders.pop(17, None)
        FetchRequest.prepare(17)

    benchmark(compile_codecs)
    assert 17 in FetchRequest._decoders
