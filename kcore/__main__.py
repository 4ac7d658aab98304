"""`python -m kcore dump PATH...`: a look into any Kafka directory or file, ours or Apache's.

`python -m kcore verify PATH...` only says whether logs are sound, at the speed of memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kcore
from kcore.dump import PARTITION_NAME, Batch, Directory, File, Partition, Report, inspect
from kcore.scan import verify
from kcore.values import fields

DESCRIPTION = """\
Looks into a Kafka data directory, a partition's directory, or single files: .log, .index,
.timeindex, .txnindex, .snapshot, .checkpoint, and the text files beside them. Checks lengths,
checksums, order, indexes against logs and checkpoints against both, and says what is wrong: the
file, the byte, why. Reads only; stop the broker first for an exact picture.
"""
VERIFY = """\
Walks all batches of .log files, partitions' directories or whole data directories: lengths,
checksums and the order of offsets, without decompressing anything (`dump --deep` does). Reads
only; stop the broker first.
"""
EPILOG = "Exit status: 0 all is sound, 1 something is damaged, 2 a path cannot be read."


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m kcore", description=kcore.__doc__)
    parser.add_argument("--version", action="version", version=f"kcore {kcore.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    dump = commands.add_parser(
        "dump", help="look into Kafka's files", description=DESCRIPTION, epilog=EPILOG
    )
    dump.add_argument("paths", metavar="PATH", nargs="+", help="directory or file")
    dump.add_argument(
        "--entries",
        action="store_true",
        help="list every batch and index entry (files named on the command line: always)",
    )
    dump.add_argument("--records", action="store_true", help="list every record too")
    dump.add_argument(
        "--deep", action="store_true", help="decompress and decode every record, without listing"
    )
    dump.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    sound = commands.add_parser(
        "verify", help="whether logs are sound", description=VERIFY, epilog=EPILOG
    )
    sound.add_argument("paths", metavar="PATH", nargs="+", help="directory or .log file")
    options = parser.parse_args(arguments)
    return _verify(options.paths) if options.command == "verify" else _dump(options)


def _verify(paths: Sequence[str]) -> int:
    """`verify`: a line for each file or partition, one more for each place that is damaged."""
    damaged = False
    for path in paths:
        try:
            inside = sorted(Path(path).iterdir()) if Path(path).is_dir() else []
            partitions = [p for p in inside if p.is_dir() and PARTITION_NAME.match(p.name)]
            for place in [str(p) for p in partitions] or [path]:
                found = verify(place)
                places = f"{len(found.damage)} place{'s' if len(found.damage) != 1 else ''}"
                print(
                    f"{place}: {f'DAMAGED in {places}' if found.damage else 'sound'}:"
                    f" offsets {found.first_offset} to {found.next_offset} (exclusive),"
                    f" {found.files:,} files, {found.batches:,} batches, {found.records:,} records,"
                    f" {found.bytes:,} bytes"
                    + (f", {found.zeros_bytes:,} preallocated" if found.zeros_bytes else "")
                )
                for file, position, offset, reason in found.damage:
                    print(f"  {file}, byte {position}: {reason} (offset {offset})")
                    damaged = True
        except OSError as error:
            print(f"kcore verify: {error.filename or path}: {error.strerror}", file=sys.stderr)
            return 2
    return int(damaged)


def _dump(options: argparse.Namespace) -> int:
    """`dump`: everything is read before anything is printed."""
    reports = []
    for path in options.paths:
        try:
            reports.append(
                inspect(
                    path,
                    entries=options.entries or not Path(path).is_dir(),
                    records=options.records,
                    deep=options.deep,
                )
            )
        except OSError as error:
            print(f"kcore dump: {error.filename or path}: {error.strerror}", file=sys.stderr)
            return 2
    try:
        lines = [as_json(reports)] if options.json else as_text(reports, options.entries)
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(any(report.damage for report in reports))


# ---- JSON ---------------------------------------------------------------------------------------


def as_json(reports: Iterable[Report]) -> str:
    """All reports in one document; bytes are {"text": ...}, or {"hex": ...} when not UTF-8."""
    return json.dumps(
        [{**_plain(report), "damage": _plain(report.damage)} for report in reports], indent=1
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        data = bytes(value)
        try:
            return {"text": data.decode()}
        except UnicodeDecodeError:
            return {"hex": data.hex()}
    if hasattr(value, "__value_fields__"):
        return {name: _plain(getattr(value, name)) for name in fields(value)}
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


# ---- tables -------------------------------------------------------------------------------------


def as_text(reports: Iterable[Report], entries: bool) -> Iterator[str]:
    """All reports as tables, the damage of all at the end."""
    damage = []
    files = batches = records = 0
    for report in reports:
        for directory in report.directories:
            yield from _directory(directory, entries)
        for partition in report.partitions:
            yield from _partition(partition, entries)
        for file in report.files:
            yield from _table([file], file.name)
            yield from _entries(file)
        damage += report.damage
        for file in report.every_file():
            files += 1
            if file.kind in ("log", "raft snapshot"):
                batches += file.entries
                records += file.records
    yield ""
    if not damage:
        yield f"sound: {files:,} files, {batches:,} batches, {records:,} records"
        return
    yield f"DAMAGED in {len(damage)} place{'s' if len(damage) != 1 else ''}:"
    for file_name, position, reason in damage:
        where = "" if position is None else f", byte {position}"
        yield f"  {file_name}{where}: {reason}"


def _directory(directory: Directory, entries: bool) -> Iterator[str]:
    said = {file.kind: file.content[0] for file in directory.files if file.content}
    title = f"directory {directory.path}"
    if meta := said.get("node and cluster"):
        title += f": node {meta['node_id']} of cluster {meta['cluster_id']}"
    if shutdown := said.get("clean shutdown"):
        title += f", stopped cleanly (broker epoch {shutdown['broker_epoch']})"
    yield from _table(directory.files, title)
    if entries:
        for file in directory.files:
            yield from _entries(file)
    for partition in directory.partitions:
        yield ""
        yield from _partition(partition, entries)


def _partition(partition: Partition, entries: bool) -> Iterator[str]:
    logs = [file for file in partition.files if file.kind == "log"]
    title = f"partition {partition.name}"
    for file in partition.files:
        if file.kind == "topic id" and file.content:
            title += f" of topic id {file.content[0]['topic_id']}"
    if logs:
        title += (
            f": offsets {logs[0].first_offset} to {logs[-1].next_offset} (exclusive),"
            f" {sum(file.entries for file in logs):,} batches,"
            f" {sum(file.size_bytes for file in partition.files):,} bytes"
        )
    yield from _table(partition.files, title)
    if entries:
        for file in partition.files:
            yield from _entries(file)


def _table(files: Sequence[File], title: str) -> Iterator[str]:
    yield title
    rows = []
    for file in files:
        offsets = ""
        if file.kind in ("log", "raft snapshot") and file.entries and file.next_offset is not None:
            offsets = f"{file.first_offset}-{file.next_offset - 1}"
        found = [*(["DAMAGED"] if file.damage else []), *file.notes]
        rows.append(
            [
                Path(file.name).name,
                file.kind,
                file.size_bytes,
                file.entries,
                offsets,
                "; ".join(found),
            ]
        )
    yield from _columns(["file", "kind", "bytes", "entries", "offsets", ""], rows)


def _entries(file: File) -> Iterator[str]:
    """A file's content below the tables: batches with their records, or any other rows."""
    if not file.content:
        return
    yield f"  {Path(file.name).name}"
    if not isinstance(file.content[0], Batch):
        rows = [list(row.values()) for row in file.content]
        if "timestamp_ms" in file.content[0]:
            rows = [[_time(row[0]), *row[1:]] for row in rows]
        yield from _columns([key.removesuffix("_ms") for key in file.content[0]], rows, "    ")
        return
    header = [
        "byte",
        "bytes",
        "offsets",
        "records",
        "epoch",
        "producer",
        "codec",
        "crc",
        "timestamps",
        "",
    ]
    rows = [_batch(batch) for batch in file.content]
    lines = _columns(header, rows, "    ")
    yield next(lines)
    for batch, line in zip(file.content, lines, strict=True):
        yield line
        for record in batch.content or ():
            headers = "".join(f" {_text(key)}={_text(value)}" for key, value in record["headers"])
            yield (
                f"      {record['offset']} {_time(record['timestamp_ms'])}"
                f" {_text(record['key'])} {_text(record['value'])}{headers}"
            )


def _batch(batch: Batch) -> list[object]:
    producer = ""
    if batch.producer_id >= 0:
        producer = f"{batch.producer_id}/{batch.producer_epoch}/{batch.base_sequence}"
    marks = [
        word
        for word, is_so in (
            ("transactional", batch.transactional),
            (batch.control or "", batch.control),
            ("append time", batch.timestamp_type == "append"),
        )
        if is_so
    ]
    times = _time(batch.base_timestamp_ms)
    if batch.max_timestamp_ms != batch.base_timestamp_ms:
        times += f" to {_time(batch.max_timestamp_ms)}"
    return [
        batch.position,
        batch.size_bytes,
        f"{batch.base_offset}-{batch.last_offset}",
        batch.records,
        batch.leader_epoch,
        producer,
        batch.codec,
        "ok" if batch.crc_ok else "BAD",
        times,
        ", ".join(marks),
    ]


def _time(timestamp_ms: int) -> str:
    if timestamp_ms < 0:
        return "-" if timestamp_ms == -1 else str(timestamp_ms)
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return str(timestamp_ms)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{timestamp_ms % 1000:03d}Z"


def _text(value: bytes | None) -> str:
    if value is None:
        return "null"
    try:
        text = bytes(value).decode()
        return text if text.isprintable() and text else repr(text)
    except UnicodeDecodeError:
        return f"0x{bytes(value).hex()}"


def _columns(
    header: Sequence[str], rows: Sequence[Sequence[object]], indent: str = "  "
) -> Iterator[str]:
    """Aligned columns, numbers to the right; empty columns are left out."""
    if not rows:
        yield f"{indent}(nothing)"
        return
    kept = [i for i in range(len(header)) if any(row[i] not in ("", None) for row in rows)]
    cells = [["" if row[i] is None else str(row[i]) for i in kept] for row in rows]
    right = [all(isinstance(row[i], int) for row in rows) for i in kept]
    names = [header[i] for i in kept]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for row in [names, *cells]:
        padded = [
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(row, widths, right, strict=True)
        ]
        yield indent + "  ".join(padded).rstrip()


if __name__ == "__main__":
    sys.exit(main())
