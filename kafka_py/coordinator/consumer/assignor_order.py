"""The order in which Java's hash tables give their keys back.

Which member gets the extra partition, which partition a member gives up, and the order of the
records that say so depend in Apache Kafka on the iteration order of ``java.util.HashMap``. That
order is determined: keys come bucket by bucket, and inside a bucket in the order they were put. So
it is a stable sort of the keys, in the order they were put, by their bucket in a table of the size
that it has grown to. (Java 17's tables; buckets of eight and more keys, which Java makes trees of,
are taken for lists.)
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeVar

__all__ = [
    "Draft",
    "collection_capacity",
    "grown_capacity",
    "int_order",
    "java_order",
    "named_order",
    "sorted_names",
    "string_hash",
    "table_capacity",
    "timeline_order",
    "topic_hash",
    "topic_order",
]

#: A table without a stated capacity.
DEFAULT_CAPACITY: Final = 16

_words = struct.Struct(">4I")

K = TypeVar("K")


@lru_cache(maxsize=1 << 16)
def string_hash(text: str) -> int:
    """``String.hashCode`` of a text, as an unsigned 32 bit number."""
    value = 0
    if text.isascii():
        for unit in text.encode():
            value = value * 31 + unit
        return value & 0xFFFFFFFF
    units = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        value = value * 31 + (units[at] << 8 | units[at + 1])
    return value & 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def topic_hash(topic_id: bytes) -> int:
    """``Uuid.hashCode`` of 16 bytes, as an unsigned 32 bit number."""
    a, b, c, d = _words.unpack(topic_id)
    return int(a ^ b ^ c ^ d)


def table_capacity(wanted: int) -> int:
    """The size of the table of a ``HashMap(wanted)``: the power of two at or above it."""
    return 1 << (wanted - 1).bit_length() if wanted > 1 else 1


def collection_capacity(count: int) -> int:
    """The size of the table of a ``HashSet(collection)`` of ``count`` keys."""
    return table_capacity(max(count * 4 // 3 + 1, DEFAULT_CAPACITY))


def grown_capacity(count: int, capacity: int = DEFAULT_CAPACITY) -> int:
    """The size of a table that began with ``capacity``, after ``count`` keys were put."""
    while count > capacity * 3 // 4:
        capacity *= 2
    return capacity


def java_order(keys: Iterable[K], hash_of: Callable[[K], int], capacity: int) -> list[K]:
    """``keys``, given in the order they were put, as a table of ``capacity`` gives them back."""
    mask = capacity - 1

    def bucket(key: K) -> int:
        value = hash_of(key)
        return (value ^ value >> 16) & mask

    return sorted(keys, key=bucket)


def int_order(numbers: Iterable[int], capacity: int) -> list[int]:
    """``numbers`` (non-negative) as a ``HashSet<Integer>`` gives them back."""
    mask = capacity - 1
    return sorted(numbers, key=lambda number: (number ^ number >> 16) & mask)


def timeline_order(keys: Collection[str], most: int = 0) -> list[str]:
    """``keys``, given in the order they were put, as Kafka's ``TimelineHashMap`` gives them back.

    So it has the members of a consumer group: slot by slot, and of a slot the last one put first.
    ``most`` is how many there were at most: such a table grows and never shrinks.
    """
    capacity = 2
    while max(len(keys), most) * 3 > capacity * 4:
        capacity *= 2
    shift = 65 - capacity.bit_length()

    def slot(key: str) -> int:
        # Fibonacci hashing of the signed hash; the slot is the upper bits.
        value = string_hash(key)
        signed = value - (1 << 32) if value >> 31 else value
        return (signed * -7046029254386353131 & 0xFFFFFFFFFFFFFFFF) >> shift

    last_put_first = list(keys)[::-1]
    return sorted(last_put_first, key=slot)


def topic_order(topic_ids: Iterable[bytes], capacity: int) -> list[bytes]:
    """Topic ids as a table keyed by ``Uuid`` gives them back."""
    return java_order(topic_ids, topic_hash, capacity)


def sorted_names(names: Iterable[str]) -> list[str]:
    """Names sorted as Java sorts strings: by UTF-16 code units."""
    found = list(names)
    if all(name.isascii() for name in found):
        return sorted(found)
    return sorted(found, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def named_order(topic_ids: Collection[bytes], names: Mapping[bytes, str]) -> list[bytes]:
    """Topic ids as a member's set of topic names gives them back; by id where names are unknown."""
    by_name = {names[topic_id]: topic_id for topic_id in topic_ids if topic_id in names}
    if len(by_name) != len(topic_ids):
        return sorted(topic_ids)
    order = java_order(sorted_names(by_name), string_hash, collection_capacity(len(topic_ids)))
    return [by_name[name] for name in order]


class Draft:
    """A member's assignment while it is altered: a ``HashMap`` of ``HashSet``.

    It begins as a copy, as Java makes it, of ``{topic id: partitions}`` in the order of the record
    that said so.
    """

    __slots__ = ("_capacities", "_capacity", "_topics")

    def __init__(self, assigned: Mapping[bytes, Sequence[int]]) -> None:
        count = len(assigned)
        self._capacity = grown_capacity(count, table_capacity(count))
        self._topics: dict[bytes, dict[int, None]] = {}
        self._capacities: dict[bytes, int] = {}
        order = topic_order(assigned, grown_capacity(count)) if count > 1 else list(assigned)
        for topic_id in order:
            partitions = assigned[topic_id]
            capacity = collection_capacity(len(partitions))
            self._topics[topic_id] = dict.fromkeys(int_order(partitions, capacity))
            self._capacities[topic_id] = capacity

    def add(self, topic_id: bytes, partition: int, capacity: int = DEFAULT_CAPACITY) -> None:
        """Add a partition; ``capacity`` is that of the set, if the topic is new here."""
        # HashMap.computeIfAbsent: a full table grows before it is looked at, even for a key that is
        # there, and a new key becomes the first of its bucket.
        self._capacity = grown_capacity(len(self._topics), self._capacity)
        partitions = self._topics.get(topic_id)
        if partitions is None:
            partitions = {}
            self._topics = {topic_id: partitions, **self._topics}
            self._capacities[topic_id] = capacity
        partitions[partition] = None
        if len(partitions) > self._capacities[topic_id] * 3 // 4:
            self._capacities[topic_id] *= 2

    def remove(self, topic_id: bytes, partition: int) -> None:
        """Remove a partition that is there, and the topic with its last."""
        partitions = self._topics[topic_id]
        del partitions[partition]
        if not partitions:
            self.remove_topic(topic_id)

    def remove_topic(self, topic_id: bytes) -> None:
        """Remove a topic that is there."""
        del self._topics[topic_id]
        del self._capacities[topic_id]

    def finished(self) -> dict[bytes, tuple[int, ...]]:
        """The assignment, in the order in which Java writes it."""
        topics, capacities = self._topics, self._capacities
        order = topic_order(topics, self._capacity) if len(topics) > 1 else list(topics)
        return {
            topic_id: tuple(int_order(topics[topic_id], capacities[topic_id])) for topic_id in order
        }
