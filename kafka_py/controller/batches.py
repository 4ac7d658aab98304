"""Record batches as the metadata log and its snapshots hold them.

A batch is Kafka's record batch v2, uncompressed, of one leader epoch: either data (metadata
records, no keys) or control (one key of version and type, see `ControlType`).  Offsets and epochs
are final when it is made: raft gives the base offset, so that a record may name its own offset.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from kcore.crc32c import crc32c
from kcore.errors import CorruptBatch

__all__ = ["Batch", "ControlType", "LogRecord", "encode_batch", "parse_batches", "records_of"]

_HEADER = struct.Struct(">qiibIhiqqqhii")
_CRC_FROM = 21
_CONTROL_KEY = struct.Struct(">hh")
_ATTRIBUTE_CONTROL = 0x20
_ATTRIBUTE_CODEC = 0x07

HEADER_BYTES = 61
LOG_OVERHEAD = 12


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


def _put_varint(out: bytearray, value: int) -> None:
    zigzag = (value << 1) ^ (value >> 63)
    while zigzag > 0x7F:
        out.append((zigzag & 0x7F) | 0x80)
        zigzag >>= 7
    out.append(zigzag)


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
    body = bytearray()
    record = bytearray()
    for delta, value in enumerate(values):
        record.clear()
        record += b"\x00\x00"  # attributes; timestamp delta
        _put_varint(record, delta)
        if control_types is None:
            record.append(1)  # no key
        else:
            _put_varint(record, _CONTROL_KEY.size)
            record += _CONTROL_KEY.pack(0, control_types[delta])
        _put_varint(record, len(value))
        record += value
        record.append(0)  # no headers
        _put_varint(body, len(record))
        body += record
    count = len(values)
    attributes = 0 if control_types is None else _ATTRIBUTE_CONTROL
    length = HEADER_BYTES - LOG_OVERHEAD + len(body)
    rest = (attributes, count - 1, timestamp_ms, timestamp_ms, -1, -1, -1, count)
    header = _HEADER.pack(base_offset, length, epoch, 2, 0, *rest)
    crc = crc32c(header[_CRC_FROM:] + bytes(body))
    data = _HEADER.pack(base_offset, length, epoch, 2, crc, *rest) + bytes(body)
    last_offset = base_offset + count - 1
    return Batch(base_offset, last_offset, epoch, control_types is not None, timestamp_ms, data)


def parse_batches(data: bytes | memoryview, *, allow_partial: bool = False) -> Iterator[Batch]:
    """The batches of a buffer, each with its checksum verified.

    Raises CorruptBatch; a batch cut short at the end only unless `allow_partial` (a fetch answer
    may end so).
    """
    view = memoryview(data)
    position = 0
    while position < len(view):
        rest = len(view) - position
        length = HEADER_BYTES
        if rest >= HEADER_BYTES:
            header = _HEADER.unpack_from(view, position)
            base_offset, batch_length, epoch, magic, crc, attributes, last_delta = header[:7]
            length = LOG_OVERHEAD + batch_length
            if magic != 2 or length < HEADER_BYTES or last_delta < 0:
                raise CorruptBatch(f"no record batch v2 at byte {position}")
        if rest < length:
            if allow_partial:
                return
            raise CorruptBatch(f"a batch of {length} bytes is cut short after {rest}")
        raw = bytes(view[position : position + length])
        if crc32c(raw[_CRC_FROM:]) != crc:
            raise CorruptBatch(f"wrong checksum of the batch at offset {base_offset}")
        is_control = bool(attributes & _ATTRIBUTE_CONTROL)
        yield Batch(base_offset, base_offset + last_delta, epoch, is_control, header[8], raw)
        position += length


class _Cursor:
    """Reads varints and bytes of one batch; every read is checked against its end."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position

    def varint(self) -> int:
        value = shift = 0
        while True:
            if self.position >= len(self.data) or shift > 63:
                raise CorruptBatch("a record ends inside a number")
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7

    def take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise CorruptBatch(f"a record claims {count} bytes beyond its batch")
        taken = self.data[self.position : end]
        self.position = end
        return taken


def records_of(batch: Batch) -> Iterator[LogRecord]:
    """The records of a batch. Raises CorruptBatch when they do not parse or are compressed."""
    header = _HEADER.unpack_from(batch.data, 0)
    attributes, base_timestamp, count = header[5], header[7], header[12]
    if attributes & _ATTRIBUTE_CODEC:
        raise CorruptBatch("a compressed batch in the metadata log")
    cursor = _Cursor(batch.data, HEADER_BYTES)
    for _ in range(count):
        end = cursor.varint()
        end += cursor.position
        cursor.take(1)
        timestamp = base_timestamp + cursor.varint()
        offset = batch.base_offset + cursor.varint()
        key_length = cursor.varint()
        key = None if key_length < 0 else cursor.take(key_length)
        value_length = cursor.varint()
        value = b"" if value_length < 0 else cursor.take(value_length)
        for _ in range(cursor.varint()):
            cursor.take(cursor.varint())
            cursor.take(max(cursor.varint(), 0))
        if cursor.position != end:
            raise CorruptBatch(f"the record at offset {offset} has a wrong length")
        control_type = None
        if batch.is_control:
            if key is None or len(key) < _CONTROL_KEY.size:
                raise CorruptBatch(f"the control record at offset {offset} has no type")
            control_type = _CONTROL_KEY.unpack_from(key)[1]
        yield LogRecord(offset, timestamp, control_type, value)
    if cursor.position != len(batch.data):
        raise CorruptBatch(f"bytes after the last record of the batch at {batch.base_offset}")
