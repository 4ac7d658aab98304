"""Reads one log or index file for `kcore.dump` and says where it is wrong.

A log is walked batch by batch through a read-only map; what the index checks need of it is kept
in a `Shape`. An index entry is wrong when a look-up through it could answer wrongly.
"""

from __future__ import annotations

import mmap
import re
import struct
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kcore.crc32c import crc32c
from kcore.errors import CorruptBatch, KcoreError
from kcore.record_batch import RecordBatch

__all__ = ["INDEX_SUFFIXES", "Batch", "Damage", "File", "Shape", "Wanted", "read_index", "read_log"]

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
CONTROL_TYPES = {
    0: "abort",
    1: "commit",
    2: "leader change",
    3: "snapshot header",
    4: "snapshot footer",
    5: "kraft version",
    6: "kraft voters",
}
SEGMENT_FILE = re.compile(r"^(\d{20})\.(log|index|timeindex|txnindex|snapshot)(\.deleted)?$")
RAFT_SNAPSHOT = re.compile(r"^(\d{20})-(\d{10})\.checkpoint(\.deleted)?$")


class Damage(NamedTuple):
    """What is wrong: the file, the byte where it is wrong (None: the file as a whole), and why."""

    file: str
    position: int | None
    reason: str


class Batch(NamedTuple):
    """One record batch as it lies in a file. Timestamps in milliseconds, -1 when there is none."""

    position: int
    size_bytes: int
    base_offset: int
    last_offset: int
    records: int
    leader_epoch: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    codec: str
    timestamp_type: str
    transactional: bool
    control: str | None  # what a control batch says: "commit", "abort", "leader change" ...
    base_timestamp_ms: int
    max_timestamp_ms: int
    crc: int
    crc_ok: bool
    content: list[dict[str, Any]] | None = None


@dataclass
class File:
    """One file: what kind it is, how much is in it, its entries where they were asked for."""

    name: str
    kind: str
    size_bytes: int
    entries: int = 0
    first_offset: int | None = None
    next_offset: int | None = None
    records: int = 0
    notes: list[str] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    content: list[Any] = field(default_factory=list)


@dataclass
class Shape:
    """What the index checks need to know of a log file: one item a batch, ascending offsets."""

    positions: list[int] = field(default_factory=list)
    base_offsets: list[int] = field(default_factory=list)
    last_offsets: list[int] = field(default_factory=list)
    max_timestamps: list[int] = field(default_factory=list)  # of the file up to and with the batch
    producer_ids: list[int] = field(default_factory=list)  # of control batches, -2 for others
    epochs: list[int] = field(default_factory=list)
    sound: int = 0  # so many batches before the first one with a wrong CRC
    whole: bool = True  # read to its end


@dataclass(frozen=True)
class Wanted:
    """How much to read and keep: every batch and index entry, their records, decoding or not."""

    entries: bool = False
    records: bool = False
    deep: bool = False


# ---- logs --------------------------------------------------------------------------------------


def read_log(path: Path, wanted: Wanted) -> tuple[File, Shape]:
    """Walks a log file or a raft snapshot: what is in it, and its shape for the indexes."""
    file = File(str(path), "log", path.stat().st_size)
    shape = Shape()
    match = SEGMENT_FILE.match(path.name)
    base = int(match[1]) if match else None
    file.first_offset = file.next_offset = base
    if RAFT_SNAPSHOT.match(path.name) or path.name.startswith("bootstrap"):
        file.kind = "raft snapshot"
    if file.size_bytes == 0:
        return file, shape
    with (
        path.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        view = memoryview(mapped)
        try:
            _scan(file, shape, view, base, wanted)
        finally:
            view.release()
    return file, shape


def _scan(file: File, shape: Shape, view: memoryview, base: int | None, wanted: Wanted) -> None:
    """Walks the batches; the views that it makes are gone when it returns."""
    position = 0
    size = len(view)
    while position < size:
        head = bytes(view[position : position + 12])
        if not any(head):
            _zeros(file, shape, view, position)
            return
        try:
            batch = RecordBatch(view, position)
        except KcoreError as error:
            reason = error.reason if isinstance(error, CorruptBatch) else str(error)
            length = struct.unpack_from(">i", head.ljust(12, b"\0"), 8)[0]
            file.damage.append(
                Damage(
                    file.name,
                    position,
                    f"{reason} (length field {length}); the {size - position} bytes from here on"
                    " hold no batch that can be read",
                )
            )
            shape.whole = False
            return
        _one_batch(file, shape, batch, position, base, wanted)
        position += batch.size_bytes


def _zeros(file: File, shape: Shape, view: memoryview, position: int) -> None:
    """The zero bytes that a preallocating writer leaves after the last batch."""
    step = 1 << 20
    for start in range(position, len(view), step):
        piece = bytes(view[start : start + step])
        if piece.count(0) != len(piece):
            shape.whole = False
            at = start + len(piece) - len(piece.lstrip(b"\0"))
            file.damage.append(
                Damage(
                    file.name,
                    at,
                    f"bytes after the end: the batches end at byte {position}, zeros follow, and"
                    " here they do not",
                )
            )
            return
    file.notes.append(f"{len(view) - position} preallocated zero bytes after byte {position}")


def _one_batch(
    file: File, shape: Shape, batch: RecordBatch, position: int, base: int | None, wanted: Wanted
) -> None:
    crc_ok = True
    try:
        batch.check_crc()
    except CorruptBatch:
        crc_ok = False
        computed = crc32c(batch.view[21:])
        file.damage.append(
            Damage(
                file.name,
                position,
                f"the batch of offset {batch.base_offset} has CRC 0x{batch.crc:08x}, and that of"
                f" its bytes is 0x{computed:08x}",
            )
        )
    expected = shape.last_offsets[-1] + 1 if shape.last_offsets else base
    if expected is not None and batch.base_offset < expected:
        file.damage.append(
            Damage(
                file.name,
                position,
                f"the batch begins at offset {batch.base_offset}, and {expected} is the least that"
                " may follow here",
            )
        )
    if shape.epochs and 0 <= batch.leader_epoch < shape.epochs[-1]:
        file.damage.append(
            Damage(
                file.name,
                position,
                f"leader epoch {batch.leader_epoch} after {shape.epochs[-1]}: epochs never go back",
            )
        )
    content = None
    if crc_ok and wanted.deep:
        content = _records(file, batch, position)
    if file.first_offset is None or file.entries == 0:
        file.first_offset = batch.base_offset
    file.entries += 1
    file.records += batch.records_count
    file.next_offset = batch.last_offset + 1
    before = shape.max_timestamps[-1] if shape.max_timestamps else -1
    shape.positions.append(position)
    shape.base_offsets.append(batch.base_offset)
    # Of a batch with a wrong CRC only the position and the base offset (outside the CRC) count.
    shape.last_offsets.append(batch.last_offset if crc_ok else batch.base_offset)
    if crc_ok and shape.sound == len(shape.positions) - 1:
        shape.sound += 1
    shape.max_timestamps.append(max(before, batch.max_timestamp))
    shape.producer_ids.append(batch.producer_id if batch.is_control else -2)
    shape.epochs.append(batch.leader_epoch)
    if wanted.entries:
        file.content.append(_row(batch, position, crc_ok, content if wanted.records else None))


def _row(
    batch: RecordBatch, position: int, crc_ok: bool, content: list[dict[str, Any]] | None
) -> Batch:
    codec = batch.codec
    return Batch(
        position,
        batch.size_bytes,
        batch.base_offset,
        batch.last_offset,
        batch.records_count,
        batch.leader_epoch,
        batch.producer_id,
        batch.producer_epoch,
        batch.base_sequence,
        CODECS[codec] if codec < len(CODECS) else f"codec {codec}",
        "append" if batch.timestamp_type else "create",
        batch.is_transactional,
        _control(batch) if batch.is_control else None,
        batch.base_timestamp,
        batch.max_timestamp,
        batch.crc,
        crc_ok,
        content,
    )


def _control(batch: RecordBatch) -> str:
    """What the first record of a control batch stands for, by its key's type."""
    try:
        number = struct.unpack(">hh", (next(iter(batch)).key or b"")[:4])[1]
    except StopIteration:
        return "emptied"
    except (KcoreError, struct.error):
        return "unreadable"
    return CONTROL_TYPES.get(number, f"type {number}")


def _records(file: File, batch: RecordBatch, position: int) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] = []
    try:
        found.extend(
            {
                "offset": record.offset,
                "timestamp_ms": record.timestamp,
                "key": record.key,
                "value": record.value,
                "headers": [list(header) for header in record.headers],
            }
            for record in batch
        )
    except KcoreError as error:
        file.damage.append(
            Damage(
                file.name,
                position,
                f"the batch of offset {batch.base_offset} after {len(found)} good records: {error}",
            )
        )
        return None
    return found


# ---- indexes -----------------------------------------------------------------------------------

Reader = Callable[["File", Shape | None, int, list[tuple[int, ...]], int], list[dict[str, int]]]


def read_index(path: Path, wanted: Wanted, shape: Shape | None) -> File:
    """Reads an index; with the `shape` of its log it is compared with that."""
    kind, entry_bytes, read = _INDEXES[Path(path.name.removesuffix(".deleted")).suffix]
    file = File(str(path), kind, path.stat().st_size)
    data = path.read_bytes()
    layout = {8: ">ii", 12: ">qi", 34: ">hqqqq"}[entry_bytes]
    match = SEGMENT_FILE.match(path.name)
    base = int(match[1]) if match else 0
    used = len(data.rstrip(b"\0"))
    if entry_bytes != 34:
        # A running broker preallocates these; an entry of zeros can only be room for one.
        whole = -(-used // entry_bytes) * entry_bytes
        if whole < len(data) and len(data) % entry_bytes == 0:
            zeros = (len(data) - whole) // entry_bytes
            file.notes.append(f"{zeros} unused entries after byte {whole}")
            data = data[:whole]
    if len(data) % entry_bytes:
        at = len(data) - len(data) % entry_bytes
        file.damage.append(
            Damage(file.name, at, f"{len(data) - at} bytes left over: an entry has {entry_bytes}")
        )
        data = data[:at]
    raw = [tuple(entry) for entry in struct.iter_unpack(layout, data)]
    rows = read(file, shape, base, raw, entry_bytes)
    file.entries = len(raw)
    if wanted.entries:
        file.content = rows
    return file


def _wrong(file: File, i: int, entry_bytes: int, reason: str) -> None:
    file.damage.append(Damage(file.name, i * entry_bytes, f"entry {i}: {reason}"))


def _offset_index(
    file: File, shape: Shape | None, base: int, raw: list[tuple[int, ...]], entry_bytes: int
) -> list[dict[str, int]]:
    rows = []
    unusual = 0
    for i, (relative, position) in enumerate(raw):
        offset = base + relative
        rows.append({"offset": offset, "position": position})
        if relative < 0 or position < 0:
            _wrong(file, i, entry_bytes, f"relative offset {relative}, position {position}")
        elif i and (relative <= raw[i - 1][0] or position <= raw[i - 1][1]):
            _wrong(
                file,
                i,
                entry_bytes,
                f"offset {offset} at {position} does not lie after offset"
                f" {base + raw[i - 1][0]} at {raw[i - 1][1]}",
            )
        elif shape is not None:
            place = bisect_left(shape.positions, position)
            if place == len(shape.positions) or shape.positions[place] != position:
                if shape.whole or place < len(shape.positions):
                    _wrong(file, i, entry_bytes, f"no batch begins at byte {position} of the log")
            elif offset < shape.base_offsets[place]:
                _wrong(
                    file,
                    i,
                    entry_bytes,
                    f"offset {offset}, and the batch at byte {position} begins at"
                    f" {shape.base_offsets[place]}",
                )
            elif place < shape.sound and offset != shape.last_offsets[place]:
                unusual += 1
    if unusual:
        file.notes.append(f"{unusual} entries do not have the last offset of their batch")
    return rows


def _time_index(
    file: File, shape: Shape | None, base: int, raw: list[tuple[int, ...]], entry_bytes: int
) -> list[dict[str, int]]:
    rows = []
    for i, (timestamp, relative) in enumerate(raw):
        offset = base + relative
        rows.append({"timestamp_ms": timestamp, "offset": offset})
        if i and (timestamp <= raw[i - 1][0] or relative < raw[i - 1][1]):
            _wrong(
                file,
                i,
                entry_bytes,
                f"timestamp {timestamp} at offset {offset} does not lie after"
                f" {raw[i - 1][0]} at {base + raw[i - 1][1]}",
            )
        elif relative < 0:
            _wrong(file, i, entry_bytes, f"relative offset {relative}")
        elif shape is not None and (shape.base_offsets or shape.whole):
            place = bisect_left(shape.last_offsets, offset)
            if place == len(shape.last_offsets):
                if shape.whole and not (timestamp <= 0 and not shape.last_offsets):
                    _wrong(file, i, entry_bytes, f"offset {offset} is not in the log")
            elif place < shape.sound and shape.max_timestamps[place] != timestamp:
                _wrong(
                    file,
                    i,
                    entry_bytes,
                    f"timestamp {timestamp} at offset {offset}; the log's largest up to that batch"
                    f" is {shape.max_timestamps[place]}",
                )
    return rows


def _transaction_index(
    file: File, shape: Shape | None, base: int, raw: list[tuple[int, ...]], entry_bytes: int
) -> list[dict[str, int]]:
    rows = []
    for i, (version, producer_id, first, last, stable) in enumerate(raw):
        rows.append(
            {
                "producer_id": producer_id,
                "first_offset": first,
                "last_offset": last,
                "last_stable_offset": stable,
            }
        )
        if version != 0:
            _wrong(file, i, entry_bytes, f"version {version}, not 0")
        elif producer_id < 0 or not 0 <= first <= last or last < base:
            _wrong(file, i, entry_bytes, f"offsets {first} to {last} of producer {producer_id}")
        elif i and last <= raw[i - 1][3]:
            _wrong(file, i, entry_bytes, f"last offset {last} after {raw[i - 1][3]}")
        elif shape is not None and shape.whole:
            place = bisect_left(shape.last_offsets, last)
            if place == len(shape.last_offsets) or (
                place < shape.sound and shape.producer_ids[place] != producer_id
            ):
                _wrong(
                    file,
                    i,
                    entry_bytes,
                    f"no marker of producer {producer_id} stands at offset {last}",
                )
    return rows


_INDEXES: dict[str, tuple[str, int, Reader]] = {
    ".index": ("offset index", 8, _offset_index),
    ".timeindex": ("time index", 12, _time_index),
    ".txnindex": ("transaction index", 34, _transaction_index),
}

#: The suffixes that `read_index` knows.
INDEX_SUFFIXES = frozenset(_INDEXES)
