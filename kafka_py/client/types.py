"""The nouns of the client side."""

from __future__ import annotations

from typing import NamedTuple

from kafka_py.protocol.types import ZERO_UUID

EARLIEST_TIMESTAMP, LATEST_TIMESTAMP = -2, -1
"""Instead of a time in `Admin.list_offsets`: the first offset, and the one after the last."""


class TopicPartition(NamedTuple):
    """One partition."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class OffsetAndMetadata(NamedTuple):
    """A committed offset: the next one to read. `leader_epoch` is -1 where unknown."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""


class ListedOffset(NamedTuple):
    """An offset found by time; -1 and -1 when no record is that young. `timestamp_ms` is that of
    the record, -1 for the ends."""

    offset: int
    timestamp_ms: int = -1
    leader_epoch: int = -1


class Node(NamedTuple):
    """A broker's address."""

    node_id: int
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Partition(NamedTuple):
    """One partition as metadata has it. `leader`: -1 without one."""

    number: int
    leader: int
    leader_epoch: int = -1
    replicas: tuple[int, ...] = ()
    isr: tuple[int, ...] = ()
    error_code: int = 0


class Topic(NamedTuple):
    """One topic as metadata has it. `error_code`: not 0 where the broker would not tell."""

    name: str
    topic_id: bytes = ZERO_UUID
    partitions: tuple[Partition, ...] = ()
    is_internal: bool = False
    error_code: int = 0

    def all_partitions(self) -> list[TopicPartition]:
        """Every partition, by number."""
        return [TopicPartition(self.name, partition.number) for partition in self.partitions]


def by_topic(partitions: list[TopicPartition]) -> dict[str, list[int]]:
    """Partition numbers by topic, as requests group them; both sorted."""
    found: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        found.setdefault(topic, []).append(partition)
    return found


def parse_addresses(bootstrap: str) -> list[tuple[str, int]]:
    """``host:port,host:port`` (IPv6 in brackets). Raises ValueError that says what is wanted."""
    found = []
    for text in filter(None, (part.strip() for part in bootstrap.split(","))):
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} is no address: HOST:PORT is wanted, such as 127.0.0.1:9092")
        found.append((host, int(port)))
    if not found:
        raise ValueError("no address given: HOST:PORT is wanted, such as 127.0.0.1:9092")
    return found
