"""Looks into Kafka's directories and files and says exactly what is wrong with them.

Caveats first. It only reads, takes no lock, and is meant for a stopped broker; of a running one it
sees a moment (checkpoints are read before logs, so that a live directory is not called damaged
for being written to). By default it checks each batch's header and CRC-32C; `deep` also
decompresses and decodes every record. What it calls damage is what Kafka would refuse, or what
would make a look-up answer wrongly; what is merely unusual (zero bytes of preallocation, a high
watermark above a log that was not closed cleanly) is a note. After a batch whose length cannot be
trusted the rest of that file is not read.

`inspect(path)` takes a data directory, a partition's directory or one file, of ours or of Apache's.
The command line is `python -m kcore dump`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kcore import checkpoints
from kcore.dump_files import (
    INDEX_SUFFIXES,
    RAFT_SNAPSHOT,
    SEGMENT_FILE,
    Batch,
    Damage,
    File,
    Shape,
    Wanted,
    read_index,
    read_log,
)
from kcore.errors import CorruptFile
from kcore.producer_snapshot import read_snapshot

__all__ = ["Batch", "Damage", "Directory", "File", "Partition", "Report", "inspect"]

PARTITION_NAME = re.compile(r"^(?P<topic>.+)-(?P<partition>\d+)(?P<state>\.[0-9a-f]{32}-\w+)?$")


@dataclass
class Partition:
    """A partition's directory."""

    name: str
    path: str
    files: list[File] = field(default_factory=list)
    log_end_offset: int | None = None


@dataclass
class Directory:
    """A log directory: its own files and its partitions."""

    path: str
    files: list[File] = field(default_factory=list)
    partitions: list[Partition] = field(default_factory=list)


@dataclass
class Report:
    """All that `inspect` found under one path."""

    path: str
    directories: list[Directory] = field(default_factory=list)
    partitions: list[Partition] = field(default_factory=list)
    files: list[File] = field(default_factory=list)

    def every_file(self) -> Iterator[File]:
        """Each file once, in the order in which they were read."""
        yield from self.files
        for directory in self.directories:
            yield from directory.files
        for partition in self.every_partition():
            yield from partition.files

    def every_partition(self) -> Iterator[Partition]:
        """Each partition once."""
        yield from self.partitions
        for directory in self.directories:
            yield from directory.partitions

    @property
    def damage(self) -> list[Damage]:
        """Everything that is wrong; empty means sound."""
        return [damage for file in self.every_file() for damage in file.damage]


def inspect(
    path: str | Path, *, entries: bool = False, records: bool = False, deep: bool = False
) -> Report:
    """Reads a data directory, a partition's directory or a file.

    `entries` keeps each batch and index entry in `File.content`, `records` the records too, `deep`
    decodes them without keeping. Raises FileNotFoundError, PermissionError and the like for what
    cannot be read at all; damage is in the report.
    """
    path = Path(path)
    wanted = Wanted(entries or records, records, deep or records)
    report = Report(str(path))
    if path.is_dir():
        if any(SEGMENT_FILE.match(item.name) for item in path.iterdir()):
            report.partitions.append(_partition(path, wanted))
        else:
            report.directories.append(_directory(path, wanted))
    else:
        beside = path.with_suffix(".log")
        shape = None
        if path.suffix in INDEX_SUFFIXES and beside.exists():
            shape = read_log(beside, Wanted())[1]
        report.files.append(_file(path, wanted, shape)[0])
    return report


# ---- directories -------------------------------------------------------------------------------


def _directory(path: Path, wanted: Wanted) -> Directory:
    found = Directory(str(path))
    for item in sorted(path.iterdir()):
        if item.is_file():
            found.files.append(_file(item, wanted, None)[0])
    for item in sorted(path.iterdir()):
        if item.is_dir() and PARTITION_NAME.match(item.name):
            found.partitions.append(_partition(item, wanted))
    ends = {
        (match["topic"], int(match["partition"])): partition.log_end_offset
        for partition in found.partitions
        if (match := PARTITION_NAME.match(partition.name)) and not match["state"]
    }
    clean = any(Path(file.name).name == checkpoints.CLEAN_SHUTDOWN_FILE for file in found.files)
    for file in found.files:
        if file.kind == "offset checkpoint":
            _check_ends(file, ends, clean)
    return found


def _check_ends(file: File, ends: dict[tuple[str, int], int | None], clean: bool) -> None:
    """No checkpoint may lie above the end of its log.

    After an unclean stop the high watermark may: its checkpoint does not wait for the log's flush.
    """
    name = Path(file.name).name
    durable = (checkpoints.RECOVERY_POINT_CHECKPOINT, checkpoints.LOG_START_OFFSET_CHECKPOINT)
    for row in file.content:
        end = ends.get((row["topic"], row["partition"]))
        if end is None or row["offset"] <= end:
            continue
        reason = f"{row['topic']}-{row['partition']}: {row['offset']} is above the log's end, {end}"
        if clean or name in durable:
            file.damage.append(Damage(file.name, None, reason))
        else:
            file.notes.append(reason)


def _partition(path: Path, wanted: Wanted) -> Partition:
    partition = Partition(path.name, str(path))
    items = sorted(item for item in path.iterdir() if item.is_file())
    epochs: list[tuple[int, int]] = []
    shapes: dict[str, Shape] = {}
    logs = [item for item in items if item.suffix == ".log"]
    for item in sorted(items, key=lambda item: (item not in logs, item.name)):
        file, shape = _file(item, wanted, shapes.get(item.stem))
        partition.files.append(file)
        if shape is not None and item in logs:
            shapes[item.stem] = shape
        if item.name == checkpoints.LEADER_EPOCH_CHECKPOINT and not file.damage:
            epochs = checkpoints.decode_leader_epochs(item.read_bytes())
    _check_order(partition, logs)
    _check_epochs(partition, shapes, epochs)
    return partition


def _check_order(partition: Partition, logs: list[Path]) -> None:
    """Segments must not overlap; the end of the last one is the end of the log."""
    by_name = {file.name: file for file in partition.files}
    before: File | None = None
    for path in logs:
        file = by_name[str(path)]
        base = int(path.stem) if path.stem.isdigit() else 0
        if before is not None and before.next_offset is not None and before.next_offset > base:
            file.damage.append(
                Damage(
                    file.name,
                    None,
                    f"begins at offset {base}, and the segment before it goes up to"
                    f" {before.next_offset - 1}",
                )
            )
        before = file
        partition.log_end_offset = file.next_offset
    end = partition.log_end_offset
    for file in partition.files:
        if file.kind == "producer snapshot" and not file.damage and end is not None:
            offset = int(Path(file.name).name[:20])
            if offset > end and not file.name.endswith(".deleted"):
                file.damage.append(
                    Damage(file.name, None, f"of offset {offset}, and the log ends at {end}")
                )


def _check_epochs(
    partition: Partition, shapes: dict[str, Shape], epochs: list[tuple[int, int]]
) -> None:
    """Every batch's leader epoch must be the one that the checkpoint has for its offset."""
    starts = [start for _, start in epochs]
    for file in partition.files:
        shape = shapes.get(Path(file.name).stem) if file.kind == "log" else None
        if shape is None or not epochs:
            continue
        for i, offset in enumerate(shape.base_offsets):
            place = bisect_right(starts, offset) - 1
            if place >= 0 and shape.epochs[i] >= 0 and epochs[place][0] != shape.epochs[i]:
                file.damage.append(
                    Damage(
                        file.name,
                        shape.positions[i],
                        f"the batch of offset {offset} has leader epoch {shape.epochs[i]}, and"
                        f" {checkpoints.LEADER_EPOCH_CHECKPOINT} has {epochs[place][0]} there",
                    )
                )
                return


# ---- one file ----------------------------------------------------------------------------------


def _file(path: Path, wanted: Wanted, shape: Shape | None) -> tuple[File, Shape | None]:
    name = path.name.removesuffix(".deleted")
    suffix = Path(name).suffix
    if suffix == ".log" or RAFT_SNAPSHOT.match(path.name) or name == "bootstrap.checkpoint":
        return read_log(path, wanted)
    if suffix in INDEX_SUFFIXES:
        return read_index(path, wanted, shape), None
    file = File(str(path), _TEXT_KINDS.get(name, "other"), path.stat().st_size)
    if suffix == ".snapshot":
        file.kind = "producer snapshot"
        _guarded(file, path, _producer_snapshot)
    elif name in _TEXT:
        _guarded(file, path, _TEXT[name])
    return file, None


def _guarded(file: File, path: Path, read: Callable[[File, bytes], None]) -> None:
    try:
        read(file, path.read_bytes())
    except CorruptFile as error:
        file.damage.append(Damage(file.name, error.position, error.reason))


def _offset_checkpoint(file: File, data: bytes) -> None:
    offsets = checkpoints.OffsetCheckpoint.decode(data, file.name)
    file.entries = len(offsets)
    file.content = [
        {"topic": topic, "partition": partition, "offset": offset}
        for (topic, partition), offset in offsets.items()
    ]


def _leader_epochs(file: File, data: bytes) -> None:
    pairs = checkpoints.decode_leader_epochs(data, file.name)
    file.entries = len(pairs)
    file.content = [{"epoch": epoch, "start_offset": start} for epoch, start in pairs]


def _meta_properties(file: File, data: bytes) -> None:
    meta = checkpoints.MetaProperties.decode(data, file.name)
    file.entries = 1
    file.content = [
        {
            "cluster_id": meta.cluster_id,
            "node_id": meta.node_id,
            "directory_id": meta.directory_id,
            "version": meta.version,
        }
    ]


def _partition_metadata(file: File, data: bytes) -> None:
    metadata = checkpoints.PartitionMetadata.decode(data, file.name)
    file.entries = 1
    file.content = [{"topic_id": metadata.encode().decode().rpartition(" ")[2]}]


def _clean_shutdown(file: File, data: bytes) -> None:
    file.entries = 1
    file.content = [
        {"broker_epoch": checkpoints.CleanShutdown.decode(data, file.name).broker_epoch}
    ]


def _producer_snapshot(file: File, data: bytes) -> None:
    states = read_snapshot(data, file.name)
    file.entries = len(states)
    file.content = [state._asdict() for state in states]
    match = SEGMENT_FILE.match(Path(file.name).name)
    for i, state in enumerate(states):
        if match and max(state.last_offset, state.transaction_start_offset) >= int(match[1]):
            file.damage.append(
                Damage(
                    file.name,
                    10 + 46 * i,
                    f"producer {state.producer_id} wrote at {state.last_offset}, which is not below"
                    f" the snapshot's own offset {int(match[1])}",
                )
            )


_TEXT: dict[str, Callable[[File, bytes], None]] = {
    **dict.fromkeys(checkpoints.OFFSET_CHECKPOINTS, _offset_checkpoint),
    checkpoints.LEADER_EPOCH_CHECKPOINT: _leader_epochs,
    checkpoints.META_PROPERTIES: _meta_properties,
    checkpoints.PARTITION_METADATA: _partition_metadata,
    checkpoints.CLEAN_SHUTDOWN_FILE: _clean_shutdown,
}
_TEXT_KINDS = {
    **dict.fromkeys(checkpoints.OFFSET_CHECKPOINTS, "offset checkpoint"),
    checkpoints.LEADER_EPOCH_CHECKPOINT: "leader epochs",
    checkpoints.META_PROPERTIES: "node and cluster",
    checkpoints.PARTITION_METADATA: "topic id",
    checkpoints.CLEAN_SHUTDOWN_FILE: "clean shutdown",
    "quorum-state": "raft vote",
    ".lock": "lock",
}
