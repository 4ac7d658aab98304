"""Prebuilt request frames, length included, as load.c replays them."""

import struct

from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.produce import ProduceRequest
from kcore.batch_builder import build

PRODUCE_VERSION = 11
FETCH_VERSION = 12
#: Far above every base timestamp check, and the same in each run so that bytes can be compared.
TIMESTAMP_MS = 1_790_000_000_000


def frame(key: int, version: int, body: bytes) -> bytes:
    """A flexible request frame (header v2) with client id "bench".

    The correlation id is load.c's.
    """
    header = struct.pack(">hhih", key, version, 0, 5) + b"bench\x00"
    return struct.pack(">i", len(header) + len(body)) + header + body


def value(size: int, seed: int) -> bytes:
    """``size`` bytes that do not compress to nothing and differ from record to record."""
    word = (seed * 0x9E3779B97F4A7C15) & ((1 << 64) - 1)
    return (struct.pack(">Q", word) * (size // 8 + 1))[:size]


def batch(records: int, record_bytes: int, codec: str = "none") -> bytes:
    """One record batch v2 of ``records`` keyless records."""
    return build(
        [(None, value(record_bytes, i), (), TIMESTAMP_MS) for i in range(records)],
        compression=codec,
    )


def produce(topic: str, records: bytes, *, acks: int, partitions: int = 1) -> bytes:
    """A Produce request with the same batch for each of the topic's first partitions."""
    data = [
        ProduceRequest.PartitionProduceData(index=i, records=records) for i in range(partitions)
    ]
    request = ProduceRequest(
        acks=acks,
        timeout_ms=30_000,
        topic_data=[ProduceRequest.TopicProduceData(name=topic, partition_data=data)],
    )
    return frame(0, PRODUCE_VERSION, request.encode(PRODUCE_VERSION))


def fetch(topic: str, *, bytes_max: int, offset: int = 0, partitions: int = 1) -> bytes:
    """A sessionless Fetch of the topic's first partitions."""
    wanted = [
        FetchRequest.FetchPartition(partition=i, fetch_offset=offset, partition_max_bytes=bytes_max)
        for i in range(partitions)
    ]
    request = FetchRequest(
        max_wait_ms=500,
        min_bytes=1,
        max_bytes=max(bytes_max * partitions, 1),
        session_id=0,
        session_epoch=-1,
        topics=[FetchRequest.FetchTopic(topic=topic, partitions=wanted)],
    )
    return frame(1, FETCH_VERSION, request.encode(FETCH_VERSION))
