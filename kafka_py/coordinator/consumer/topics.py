"""What consumer groups know of topics: ids and sizes, a hash of them, and when topics were new.

A group keeps one hash of the topics it subscribes to; when it changes, partitions are assigned
anew (KIP-1101). The hash is Apache Kafka's bit for bit, so that either can take over a group.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack
from typing import Final

from kafka_py.coordinator.consumer.assignor_order import sorted_names
from kafka_py.coordinator.consumer.xxh3 import xxh3_64
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import TopicImage

__all__ = ["TopicWatch", "group_hash", "topic_hash", "topic_ids"]

#: The version of what is hashed; the first byte of it.
_MAGIC: Final = 0


def _text(value: str) -> bytes:
    units = value.encode("utf-16-le", "surrogatepass")
    return units + pack("<i", len(units) // 2)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def topic_hash(topic: TopicImage, image: MetadataImage) -> int:
    """The hash of a topic's id, name, number of partitions and the racks of their replicas."""
    parts = [
        pack("<bqq", _MAGIC, *(int.from_bytes(topic.id[i : i + 8], signed=True) for i in (0, 8))),
        _text(topic.name),
        pack("<i", len(topic.partitions)),
    ]
    brokers = image.brokers
    for index in range(len(topic.partitions)):
        parts.append(pack("<i", index))
        partition = topic.partitions.get(index)
        if partition is None:
            continue
        found = (brokers.get(replica) for replica in partition.replicas)
        racks = sorted(b.rack for b in found if b is not None and b.rack is not None)
        for rack in racks:
            parts.append(pack("<i", len(rack.encode("utf-16-le", "surrogatepass")) // 2))
            parts.append(_text(rack))
    return _signed(xxh3_64(b"".join(parts)))


def group_hash(hashes: Iterable[int]) -> int:
    """The hash of the topics' hashes, which come in the order of the topics' names; 0 for none."""
    packed = b"".join(pack("<q", value) for value in hashes)
    return _signed(xxh3_64(packed)) if packed else 0


def topic_ids(names: Iterable[str], image: MetadataImage) -> frozenset[bytes]:
    """The ids of those topics that exist."""
    topics = image.topics
    found = (topics.get(name) for name in names)
    return frozenset(topic.id for topic in found if topic is not None)


class TopicWatch:
    """A shard's memory of its topics: hashes by topic, and the version that last had new topics.

    ``new_topics_version`` is the offset of the image in which a topic was last created; patterns
    that were resolved before it have to be resolved again. ``resolving`` has the ids of the groups
    whose patterns are about to be resolved.
    """

    def __init__(self, image: MetadataImage) -> None:
        self._hashes: dict[str, tuple[TopicImage, int]] = {}
        self._image = image
        self.new_topics_version = image.offset
        self.resolving: set[str] = set()

    def hash_of(self, names: Iterable[str], image: MetadataImage) -> int:
        """The hash of those of the topics that exist."""
        hashes = []
        for name in sorted_names(names):
            topic = image.topics.get(name)
            if topic is None:
                continue
            known = self._hashes.get(name)
            if known is None or known[0] is not topic:
                known = self._hashes[name] = (topic, topic_hash(topic, image))
            hashes.append(known[1])
        return group_hash(hashes)

    def changed(self, image: MetadataImage, names: Iterable[str]) -> None:
        """A new image: topics of these names were created, changed or deleted."""
        before, self._image = self._image, image
        for name in names:
            topic, old = image.topics.get(name), before.topics.get(name)
            if topic is None:
                self._hashes.pop(name, None)
            elif old is None or old.id != topic.id:
                self.new_topics_version = image.offset
