"""Offsets that open transactions have written: they count when the transaction commits.

What counts in the end is what was written last. A transaction that began early may end late, so
every pending offset remembers when it was written, and one that was overtaken by another commit of
the same partition stays pending (readers who require stable offsets must still wait for it) but is
dropped when its transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kafka_py.coordinator.offsets.committed import Committed

__all__ = ["PendingOffsets"]

Place = tuple[str, str, int]
"""Group, topic, partition."""


class _Pending(NamedTuple):
    """``value`` is None once something newer counts; ``order`` grows with every write."""

    order: int
    value: Committed | None


class PendingOffsets:
    """Offsets of open transactions, by producer id and by group.

    Attributes:
        open: group -> (topic, partition) -> ids of the producers that hold an offset there.
    """

    def __init__(self) -> None:
        self.open: dict[str, dict[tuple[str, int], set[int]]] = {}
        self._by_producer: dict[int, dict[Place, _Pending]] = {}
        self._order = 0

    def __len__(self) -> int:
        return sum(map(len, self._by_producer.values()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PendingOffsets):
            return NotImplemented
        return self._content() == other._content()

    __hash__ = None  # type: ignore[assignment]

    def _content(self) -> dict[int, dict[Place, Committed | None]]:
        return {
            producer_id: {place: pending.value for place, pending in places.items()}
            for producer_id, places in self._by_producer.items()
        }

    def put(
        self, producer_id: int, group: str, topic: str, partition: int, value: Committed
    ) -> None:
        """An offset was written by that producer's transaction."""
        self._order += 1
        places = self._by_producer.setdefault(producer_id, {})
        places[group, topic, partition] = _Pending(self._order, value)
        holders = self.open.setdefault(group, {}).setdefault((topic, partition), set())
        holders.add(producer_id)

    def supersede(self, group: str, topic: str, partition: int, before: int | None = None) -> None:
        """Something newer counts for the partition: than everything pending, or than ``before``."""
        place = (group, topic, partition)
        for producer_id in self.open.get(group, {}).get((topic, partition), ()):
            pending = self._by_producer[producer_id][place]
            if before is None or pending.order < before:
                self._by_producer[producer_id][place] = pending._replace(value=None)

    def remove(self, group: str, topic: str, partition: int) -> None:
        """A tombstone: no transaction brings the offset back."""
        for producer_id in self._close(group, topic, partition):
            self._forget(producer_id, (group, topic, partition))

    def end(self, producer_id: int, committed: bool) -> list[tuple[Place, Committed]]:
        """The transaction ended: what counts from now on; nothing if it was aborted."""
        counting: list[tuple[Place, Committed]] = []
        for place, (order, value) in self._by_producer.pop(producer_id, {}).items():
            group, topic, partition = place
            holders = self.open[group][topic, partition]
            holders.discard(producer_id)
            if not holders:
                self._close(group, topic, partition)
            if committed and value is not None:
                counting.append((place, value))
                self.supersede(group, topic, partition, order)
        return counting

    def holds(self, group: str, topic: str, partition: int) -> bool:
        """Whether an open transaction holds an offset for that partition."""
        return (topic, partition) in self.open.get(group, ())

    def partitions(self, group: str) -> list[tuple[str, int]]:
        """The (topic, partition) pairs of a group that open transactions hold offsets for."""
        return list(self.open.get(group, ()))

    def places(self) -> Iterator[tuple[Place, Committed | None]]:
        """All pending offsets, transaction by transaction; None for one that will not count."""
        for places in self._by_producer.values():
            for place, pending in places.items():
                yield place, pending.value

    def _close(self, group: str, topic: str, partition: int) -> set[int]:
        partitions = self.open.get(group, {})
        holders = partitions.pop((topic, partition), set())
        if not partitions:
            self.open.pop(group, None)
        return holders

    def _forget(self, producer_id: int, place: Place) -> None:
        places = self._by_producer[producer_id]
        del places[place]
        if not places:
            del self._by_producer[producer_id]
