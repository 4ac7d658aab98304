"""Record batches as the metadata log and its snapshots hold them.

A batch is Kafka's record batch v2, uncompressed, of one leader epoch: either data (metadata
records, no keys) or control (one key of version and type, see `ControlType`).  Offsets and epochs
are final when it is made: raft gives the base offset, so that a record may name its own offset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from kcore.batch_builder import BatchBuilder, control_key, parse_control_key
from kcore.errors import CorruptBatch, InvalidRecord, UnsupportedMagic
from kcore.record_batch import RecordBatch, batches

__all__ = ["Batch", "ControlType", "LogRecord", "encode_batch", "parse_batches", "records_of"]


class ControlType(IntEnum):
    """The types of control records that raft writes (KIP-595, 630, 853)."""

    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


class Batch(NamedTuple):
    """One batch and what raft wants to know of it; `data` holds all of its bytes."""

    base_offset: int
    last_offset: int
    epoch: int
    is_control: bool
    timestamp_ms: int
    data: bytes

    @property
    def next_offset(self) -> int:
        """The offset after its last record."""
        return self.last_offset + 1


class LogRecord(NamedTuple):
    """One record of a batch; `control_type` is None for data."""

    offset: int
    timestamp_ms: int
    control_type: int | None
    value: bytes


def encode_batch(
    values: Sequence[bytes],
    *,
    base_offset: int,
    epoch: int,
    timestamp_ms: int,
    control_types: Sequence[int] | None = None,
) -> Batch:
    """A batch of these record values; with `control_types` (one each) a control batch.

    Raises ValueError when there is nothing to write.
    """
    if not values:
        raise ValueError("a batch holds at least one record")
    is_control = control_types is not None
    builder = BatchBuilder(base_offset=base_offset, leader_epoch=epoch, control=is_control)
    if control_types is None:
        for value in values:
            builder.append(None, value, (), timestamp_ms)
    else:
        for kind, value in zip(control_types, values, strict=True):
            builder.append(control_key(kind), value, (), timestamp_ms)
    last_offset = base_offset + len(values) - 1
    return Batch(base_offset, last_offset, epoch, is_control, timestamp_ms, builder.close())


def parse_batches(data: bytes | memoryview, *, allow_partial: bool = False) -> Iterator[Batch]:
    """The batches of a buffer, each with its checksum verified.

    Raises CorruptBatch; a batch cut short at the end only unless `allow_partial` (a fetch answer
    may end so).
    """
    try:
        for found in batches(data, allow_partial=allow_partial):
            found.check_crc()
            if found.last_offset_delta < 0:
                raise CorruptBatch(f"the batch at offset {found.base_offset} ends before it begins")
            yield Batch(
                found.base_offset,
                found.last_offset,
                found.leader_epoch,
                found.is_control,
                found.max_timestamp,
                bytes(found.view),
            )
    except UnsupportedMagic as error:
        raise CorruptBatch(str(error)) from None


def records_of(batch: Batch) -> Iterator[LogRecord]:
    """The records of a batch. Raises CorruptBatch when they do not parse or are compressed."""
    view = RecordBatch(batch.data)
    if view.codec:
        raise CorruptBatch("a compressed batch in the metadata log")
    try:
        for offset, timestamp, key, value, _ in view:
            control_type = None
            if batch.is_control:
                if key is None:
                    raise CorruptBatch(f"the control record at offset {offset} has no type")
                control_type = parse_control_key(key)[1]
            yield LogRecord(offset, timestamp, control_type, value or b"")
    except InvalidRecord as error:
        raise CorruptBatch(f"the batch at offset {batch.base_offset}: {error}") from None
