"""The raw produce requests that both brokers get, and what is looked at afterwards.

Every codec, idempotent producers, LogAppendTime, several segments (by size), compaction policy,
an upgrade of the producer's epoch: prebuilt, so that equal requests mean equal bytes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from kafka_py.protocol.registry import ApiKey
from tests.oracle.raw import CODECS, Recorder, batch

#: topic -> (partitions, configs). Names of configs with _ for a dot.
TOPICS: dict[str, tuple[int, dict[str, str]]] = {
    "w-codecs": (2, {}),
    "w-idempotent": (1, {}),
    "w-rolls": (1, {"segment_bytes": "1048576", "index_interval_bytes": "4096"}),
    "w-dense": (1, {"index_interval_bytes": "0"}),
    "w-append-time": (1, {"message_timestamp_type": "LogAppendTime"}),
    "w-compact": (1, {"cleanup_policy": "compact"}),
    "w-recompress": (1, {"compression_type": "gzip"}),
}
#: Topics whose bytes depend on the time or on the codec's library: compared by their records.
UNEQUAL_BYTES = {"w-append-time", "w-recompress"}


@dataclass(frozen=True)
class Sent:
    """One batch: where it went, and the answer's base offset."""

    topic: str
    partition: int
    data: bytes
    base_offset: int


def rows(rng: random.Random, count: int, size: int) -> list[tuple[bytes | None, bytes | None]]:
    """Records half of which compress."""
    return [
        (b"key-%d" % rng.randrange(50), rng.randbytes(size // 2) + b"a" * (size - size // 2))
        for _ in range(count)
    ]


def run(recorder: Recorder, seed: int = 5) -> list[Sent]:
    """Create the topics and send everything, one request after another."""
    rng = random.Random(seed)
    sent: list[Sent] = []
    clock = recorder.first_timestamp

    def send(topic: str, data: bytes, partition: int = 0) -> None:
        row = {"index": partition, "records": data.hex()}
        reply = recorder.quiet(
            ApiKey.PRODUCE,
            12,
            acks=-1,
            timeout_ms=10_000,
            topic_data=[{"name": topic, "partition_data": [row]}],
        )
        found = reply.responses[0].partition_responses[0]
        assert found.error_code == 0, (topic, found)
        sent.append(Sent(topic, partition, data, found.base_offset))

    for topic, (partitions, configs) in TOPICS.items():
        recorder.create(topic, partitions, **configs)
    for i in range(40):
        for codec in CODECS:
            clock += rng.randint(-5, 200)
            data = batch(rows(rng, rng.randint(1, 20), 300), first_timestamp=clock, codec=codec)
            send("w-codecs", data, i % 2)
    for producer in (900, 901):
        for sequence in range(0, 60, 3):
            clock += 7
            data = batch(
                rows(rng, 3, 100),
                first_timestamp=clock,
                producer_id=producer,
                epoch=0,
                sequence=sequence,
            )
            send("w-idempotent", data)
    data = batch(rows(rng, 2, 50), first_timestamp=clock, producer_id=900, epoch=1, sequence=0)
    send("w-idempotent", data)
    for _ in range(24):
        clock += 1000
        send("w-rolls", batch(rows(rng, 50, 4000), first_timestamp=clock))
    for _ in range(60):
        clock += 10
        send("w-dense", batch(rows(rng, 1, 40), first_timestamp=clock))
    for topic in ("w-append-time", "w-compact", "w-recompress"):
        for codec in CODECS:
            clock += 50
            send(topic, batch(rows(rng, 5, 80), first_timestamp=clock, codec=codec))
    return sent


def read_all(recorder: Recorder) -> dict[tuple[str, int], bytes]:
    """All bytes of every partition, as fetches give them."""
    out = {}
    for topic, (partitions, _) in TOPICS.items():
        for partition in range(partitions):
            out[topic, partition] = read_partition(recorder, topic, partition)
    return out


def read_partition(recorder: Recorder, topic: str, partition: int) -> bytes:
    """All bytes of one partition from its beginning."""
    data = b""
    offset = 0
    while True:
        size = 1 << 22
        row = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": size}
        reply = recorder.quiet(
            ApiKey.FETCH,
            12,
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=size,
            topics=[{"topic": topic, "partitions": [row]}],
        )
        found = reply.responses[0].partitions[0]
        assert found.error_code == 0, (topic, partition, found)
        data += bytes(found.records or b"")
        for last in batch_bounds(bytes(found.records or b"")):
            offset = last + 1
        if offset >= found.high_watermark:
            return data


def batch_bounds(data: bytes) -> list[int]:
    """The last offset of each batch."""
    out = []
    at = 0
    while at + 61 <= len(data):
        base = int.from_bytes(data[at : at + 8], "big")
        size = int.from_bytes(data[at + 8 : at + 12], "big")
        out.append(base + int.from_bytes(data[at + 23 : at + 27], "big"))
        at += 12 + size
    assert at == len(data), "a fetch ends within a batch"
    return out
