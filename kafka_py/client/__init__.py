"""Kafka's client side for asyncio: what the command line uses, and what our clients grow from.

**Provisional**: names and signatures here may change in any release until the clients are
announced. Works with any broker from Kafka 2.1 on, not only with ours.

- `connection`: one connection: frames, versions, time-outs.
- `cluster`: bootstrap, metadata, leaders, coordinators, retries.
- `admin`: groups, their offsets, topics, offsets by time.
- `fetching`, `records`: reading partitions; batches are decoded by kcore.
- `group_consumer`: a member of a consumer group, by the classic protocol or KIP-848's.
"""

from __future__ import annotations

from kafka_py.client.admin import Admin
from kafka_py.client.cluster import Cluster
from kafka_py.client.errors import BrokerError, ClientError, Disconnected, NotReachable, TimedOut
from kafka_py.client.group_consumer import GroupConsumer
from kafka_py.client.types import OffsetAndMetadata, TopicPartition

__all__ = [
    "Admin",
    "BrokerError",
    "ClientError",
    "Cluster",
    "Disconnected",
    "GroupConsumer",
    "NotReachable",
    "OffsetAndMetadata",
    "TimedOut",
    "TopicPartition",
]
