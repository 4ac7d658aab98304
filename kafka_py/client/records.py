"""What a fetch brought of one partition: whole batches, decoded when they are looked into."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import kcore
from kafka_py.client.types import TopicPartition

if TYPE_CHECKING:
    from kcore.columns import Columns

ABORT = 0
"""The type of a control record that ends a transaction without effect."""


class ConsumerRecord(NamedTuple):
    """One record. `timestamp_ms` is -1 when there is none; header values may be None."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()


class PartitionRecords:
    """Records of one partition with offsets from `start` up to (not with) `end`, in order.

    Iterate for `ConsumerRecord` objects, or take `columns` for many records at no Python each.
    """

    __slots__ = ("_count", "batches", "end", "partition", "start")

    def __init__(
        self, partition: TopicPartition, batches: list[kcore.RecordBatch], start: int, end: int
    ) -> None:
        self.partition = partition
        self.batches = batches
        self.start = start
        self.end = end
        self._count = -1

    def __iter__(self) -> Iterator[ConsumerRecord]:
        topic, number = self.partition
        for batch in self.batches:
            for offset, timestamp, key, value, headers in batch:
                if self.start <= offset < self.end:
                    yield ConsumerRecord(topic, number, offset, timestamp, key, value, headers)

    def __len__(self) -> int:
        if self._count < 0:
            self._count = sum(len(columns["offset"]) for columns in self.columns())
        return self._count

    def columns(self) -> list[Columns]:
        """The records of each batch as kcore's columns (without headers), cut to the bounds."""
        found = []
        for batch in self.batches:
            columns = kcore.decode_columns(batch.view, check_crc=False)
            if batch.base_offset < self.start or batch.last_offset >= self.end:
                offsets = columns["offset"]
                inside = (offsets >= self.start) & (offsets < self.end)
                for name in columns:
                    if name != "arena":
                        columns[name] = columns[name][inside]  # type: ignore[literal-required]
            found.append(columns)
        return found

    def split(self, count: int) -> tuple[PartitionRecords, PartitionRecords | None]:
        """The first `count` records, and the rest if there is one."""
        left = count
        for columns in self.columns():
            offsets = columns["offset"]
            if left < len(offsets):
                at = int(offsets[left])
                return (
                    PartitionRecords(
                        self.partition,
                        [batch for batch in self.batches if batch.base_offset < at],
                        self.start,
                        at,
                    ),
                    PartitionRecords(
                        self.partition,
                        [batch for batch in self.batches if batch.last_offset >= at],
                        at,
                        self.end,
                    ),
                )
            left -= len(offsets)
        return self, None


def readable(
    partition: TopicPartition,
    data: memoryview | bytes,
    start: int,
    aborted: Iterable[tuple[int, int]] = (),
) -> PartitionRecords:
    """What a consumer may see of fetched batches, from offset `start` on.

    Control batches are left out, and the batches of transactions in `aborted`, which are
    (first offset, producer id), as a fetch of committed records tells them. Checks each batch's
    CRC. Raises kcore's errors for damage.
    """
    starting = list(aborted)
    heapq.heapify(starting)
    open_aborted: set[int] = set()
    kept = []
    end = start
    for batch in kcore.batches(data, allow_partial=True):
        batch.check_crc()
        while starting and starting[0][0] <= batch.last_offset:
            open_aborted.add(heapq.heappop(starting)[1])
        end = max(end, batch.next_offset)
        if batch.is_control:
            if batch.producer_id in open_aborted and is_abort(batch):
                open_aborted.discard(batch.producer_id)
            continue
        void = batch.is_transactional and batch.producer_id in open_aborted
        if not void and batch.last_offset >= start and batch.records_count:
            kept.append(batch)
    return PartitionRecords(partition, kept, start, end)


def is_abort(batch: kcore.RecordBatch) -> bool:
    """Whether a control batch is the marker of an aborted transaction."""
    for record in batch:
        return record.key is not None and kcore.parse_control_key(record.key)[1] == ABORT
    return False
