"""Requests that the server's tests send."""

from __future__ import annotations

import time
from typing import Any

from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.offsets import ListOffsetsRequest
from kafka_py.protocol.produce import ProduceRequest
from kcore import build


def batch(records: int = 1, size: int = 10, **options: Any) -> bytes:
    """A batch of this moment."""
    now = int(time.time() * 1000)
    return build([(b"key", b"v" * size, (), now)] * records, **options)


def produce(topic: str | bytes, *records: bytes | None, acks: int = 1, **fields: Any) -> Any:
    """A Produce request: a batch for each of the topic's first partitions."""
    named = {"topic_id": topic} if isinstance(topic, bytes) else {"name": topic}
    data = [
        ProduceRequest.PartitionProduceData(index=i, records=one) for i, one in enumerate(records)
    ]
    topics = [ProduceRequest.TopicProduceData(partition_data=data, **named)]
    return ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=topics, **fields)


def fetch(topic: str | bytes, *offsets: int, wait_ms: int = 0, **fields: Any) -> Any:
    """A Fetch request: an offset for each of the topic's first partitions."""
    named = {"topic_id": topic} if isinstance(topic, bytes) else {"topic": topic}
    partition_bytes = fields.pop("partition_bytes", 1 << 20)
    wanted = [
        FetchRequest.FetchPartition(
            partition=i, fetch_offset=offset, partition_max_bytes=partition_bytes
        )
        for i, offset in enumerate(offsets)
    ]
    fields = {"min_bytes": 1, "max_bytes": 1 << 20, "session_epoch": -1} | fields
    topics = [FetchRequest.FetchTopic(partitions=wanted, **named)]
    return FetchRequest(max_wait_ms=wait_ms, topics=topics, **fields)


def offsets(topic: str, timestamp: int, partition: int = 0, replica_id: int = -1) -> Any:
    """A ListOffsets request for one partition."""
    asked = ListOffsetsRequest.ListOffsetsPartition(partition_index=partition, timestamp=timestamp)
    return ListOffsetsRequest(
        replica_id=replica_id,
        topics=[ListOffsetsRequest.ListOffsetsTopic(name=topic, partitions=[asked])],
    )
