"""The small text files beside the logs, byte for byte as Apache Kafka 4.3 writes them.

Caveats first. Every `write` replaces the file whole (temporary file, fsync, rename, fsync of the
directory: `kcore.syscalls.replace_file`), so a reader sees the old content or the new one; OSError
passes through. Every `decode` raises `CorruptFile` naming the file and the byte, and accepts only
what Kafka accepts. An absent file is None, an empty checkpoint file is an empty checkpoint (Kafka
creates them so).

| file | class |
|---|---|
| recovery-point-, log-start-, replication- and cleaner-offset-checkpoint | `OffsetCheckpoint` |
| leader-epoch-checkpoint | `encode_leader_epochs`, `decode_leader_epochs` |
| meta.properties | `MetaProperties` |
| partition.metadata | `PartitionMetadata` |
| .kafka_cleanshutdown | `CleanShutdown` |
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kcore.errors import CorruptFile
from kcore.values import field, frozen

__all__ = [
    "CLEANER_OFFSET_CHECKPOINT",
    "CLEAN_SHUTDOWN_FILE",
    "LEADER_EPOCH_CHECKPOINT",
    "LOG_START_OFFSET_CHECKPOINT",
    "META_PROPERTIES",
    "OFFSET_CHECKPOINTS",
    "PARTITION_METADATA",
    "RECOVERY_POINT_CHECKPOINT",
    "REPLICATION_OFFSET_CHECKPOINT",
    "CleanShutdown",
    "MetaProperties",
    "OffsetCheckpoint",
    "PartitionMetadata",
    "decode_leader_epochs",
    "decode_properties",
    "encode_leader_epochs",
    "encode_properties",
]

RECOVERY_POINT_CHECKPOINT = "recovery-point-offset-checkpoint"
LOG_START_OFFSET_CHECKPOINT = "log-start-offset-checkpoint"
REPLICATION_OFFSET_CHECKPOINT = "replication-offset-checkpoint"
CLEANER_OFFSET_CHECKPOINT = "cleaner-offset-checkpoint"
OFFSET_CHECKPOINTS = (
    RECOVERY_POINT_CHECKPOINT,
    LOG_START_OFFSET_CHECKPOINT,
    REPLICATION_OFFSET_CHECKPOINT,
    CLEANER_OFFSET_CHECKPOINT,
)
LEADER_EPOCH_CHECKPOINT = "leader-epoch-checkpoint"
META_PROPERTIES = "meta.properties"
PARTITION_METADATA = "partition.metadata"
CLEAN_SHUTDOWN_FILE = ".kafka_cleanshutdown"

_READ_BYTES = 1 << 20
# Many partitions have the same short text: those of a topic its id, most logs one epoch. Parsing
# 10,000 of each took 0.3 s of a start.
_REMEMBERED_BYTES_MAX = 64
_REMEMBERED_TEXTS = 64
_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1


def _in(directory: str | os.PathLike[str], name: str) -> str:
    # Without pathlib a start in process has a twentieth fewer instructions.
    return os.path.join(os.fspath(directory), name)


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        parts = []
        while part := os.read(fd, _READ_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def _write(path: str, data: bytes) -> None:
    # Imported late: a reader of foreign directories (kcore.dump) needs no compiled module for it.
    from kcore.syscalls import replace_file

    replace_file(path, data)


# ---- version, count, one entry a line ----------------------------------------------------------


def _lines(data: bytes, where: str) -> list[tuple[int, str]]:
    """The lines with the byte at which each begins."""
    lines = []
    position = 0
    for raw in data.split(b"\n"):
        try:
            lines.append((position, raw.removesuffix(b"\r").decode("utf-8")))
        except UnicodeDecodeError as error:
            raise CorruptFile("not UTF-8 text", where, position + error.start) from None
        position += len(raw) + 1
    if lines[-1][1] == "":
        lines.pop()
    return lines


def _number(text: str, maximum: int, what: str, where: str, position: int) -> int:
    if len(text) < 10 and text.isascii() and text.isdigit():
        return int(text)  # as nearly always; below any maximum
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19:
        raise CorruptFile(f"{what} is {text!r}, not a number", where, position)
    number = int(text)
    if not -maximum - 1 <= number <= maximum:
        raise CorruptFile(f"{what} {number} is out of range", where, position)
    return number


def _encode_checkpoint(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in ["0", str(len(lines)), *lines]).encode()


def _decode_checkpoint(data: bytes, where: str) -> list[tuple[int, list[str]]]:
    """The fields of each entry with the byte at which its line begins."""
    if not data:
        return []
    lines = _lines(data, where)
    version = _number(lines[0][1], _INT32_MAX, "the version", where, 0) if lines else None
    if version != 0:
        raise CorruptFile(f"version {version}, not 0", where, 0)
    if len(lines) < 2:
        raise CorruptFile("the count of entries is missing", where, len(data))
    count = _number(lines[1][1], _INT32_MAX, "the count of entries", where, lines[1][0])
    entries = lines[2:]
    if count != len(entries):
        raise CorruptFile(f"{count} entries announced, {len(entries)} there", where, lines[1][0])
    return [(position, text.split()) for position, text in entries]


def encode_leader_epochs(entries: Iterable[tuple[int, int]]) -> bytes:
    """The text of leader-epoch-checkpoint for (epoch, start offset) pairs."""
    return _encode_checkpoint([f"{epoch} {start_offset}" for epoch, start_offset in entries])


def decode_leader_epochs(
    data: bytes, where: str = LEADER_EPOCH_CHECKPOINT
) -> list[tuple[int, int]]:
    """(epoch, start offset) pairs, ascending in both; raises CorruptFile."""
    if len(data) <= _REMEMBERED_BYTES_MAX:
        try:
            return list(_remembered_leader_epochs(data))
        except CorruptFile:
            pass  # to be told with its place
    return _decode_leader_epochs(data, where)


@functools.lru_cache(maxsize=_REMEMBERED_TEXTS)
def _remembered_leader_epochs(data: bytes) -> tuple[tuple[int, int], ...]:
    return tuple(_decode_leader_epochs(data, LEADER_EPOCH_CHECKPOINT))


def _decode_leader_epochs(data: bytes, where: str) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for position, fields in _decode_checkpoint(data, where):
        if len(fields) != 2:
            raise CorruptFile("an entry is not `epoch start_offset`", where, position)
        epoch = _number(fields[0], _INT32_MAX, "the epoch", where, position)
        start = _number(fields[1], _INT64_MAX, "the start offset", where, position)
        if epoch < 0 or start < 0:
            raise CorruptFile("a negative epoch or start offset", where, position)
        if pairs and (epoch <= pairs[-1][0] or start <= pairs[-1][1]):
            raise CorruptFile(
                f"epoch {epoch} from {start} does not lie after epoch {pairs[-1][0]}"
                f" from {pairs[-1][1]}",
                where,
                position,
            )
        pairs.append((epoch, start))
    return pairs


class OffsetCheckpoint:
    """One offset a partition: recovery points, log start offsets, high watermarks and the like."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return Path(self._path)

    @staticmethod
    def encode(offsets: Mapping[tuple[str, int], int]) -> bytes:
        """{(topic, partition): offset} as text, in the mapping's order."""
        return _encode_checkpoint(
            [f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()]
        )

    @staticmethod
    def decode(data: bytes, where: str = "offset checkpoint") -> dict[tuple[str, int], int]:
        """The reverse; raises CorruptFile, also for a partition that stands there twice."""
        offsets: dict[tuple[str, int], int] = {}
        topics: dict[str, str] = {}  # one object a name, however many partitions it has
        for position, fields in _decode_checkpoint(data, where):
            if len(fields) != 3:
                raise CorruptFile("an entry is not `topic partition offset`", where, position)
            topic = topics.setdefault(fields[0], fields[0])
            partition = _number(fields[1], _INT32_MAX, "the partition", where, position)
            offset = _number(fields[2], _INT64_MAX, "the offset", where, position)
            if partition < 0 or offset < 0:
                raise CorruptFile("a negative partition or offset", where, position)
            if (topic, partition) in offsets:
                raise CorruptFile(f"{topic}-{partition} stands there twice", where, position)
            offsets[topic, partition] = offset
        return offsets

    def read(self) -> dict[tuple[str, int], int]:
        """The file's offsets; empty when there is no file. Raises CorruptFile, OSError."""
        data = _read(self._path)
        return {} if data is None else self.decode(data, self._path)

    def write(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Replaces the file durably. Raises OSError; the old content stands then."""
        _write(self._path, self.encode(offsets))


# ---- Java properties ----------------------------------------------------------------------------

_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
#: What every text may hold as it is: ASCII's visible characters but for five.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\\=:#!")


def _escape(text: str, is_key: bool) -> str:
    """As java.util.Properties.store escapes: a value's first blank, a key's every blank."""
    if not text.strip(_PLAIN):
        return text
    parts = []
    for index, character in enumerate(text):
        if character == " " and (is_key or index == 0):
            parts.append("\\ ")
        elif character in "\\=:#!":
            parts.append("\\" + character)
        elif character in _ESCAPED:
            parts.append(_ESCAPED[character])
        elif " " <= character <= "~":
            parts.append(character)
        else:
            units = character.encode("utf-16-be")
            parts.extend(f"\\u{units[i] << 8 | units[i + 1]:04X}" for i in range(0, len(units), 2))
    return "".join(parts)


def _unescape(text: str, where: str, position: int) -> str:
    units: list[str] = []
    index = 0
    while index < len(text):
        character = text[index]
        index += 1
        if character != "\\" or index == len(text):
            units.append(character)
            continue
        character = text[index]
        index += 1
        if character == "u":
            try:
                units.append(chr(int(text[index : index + 4], 16)))
            except ValueError:
                raise CorruptFile("a malformed \\u escape", where, position) from None
            index += 4
        else:
            units.append(_ESCAPES.get(character, character))
    return "".join(units).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encode_properties(
    properties: Mapping[str, str], *, now_ms: int, comment: str | None = None
) -> bytes:
    """A Java properties file as java.util.Properties.store writes it, dated in UTC."""
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms)
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    dated = (
        f"#{days[when.weekday()]} {months[when.month - 1]} {when.day:02d}"
        f" {when:%H:%M:%S} UTC {when.year}"
    )
    lines = [] if comment is None else [f"#{comment}"]
    lines.append(dated)
    lines += [f"{_escape(key, True)}={_escape(value, False)}" for key, value in properties.items()]
    return "".join(f"{line}\n" for line in lines).encode("latin-1")


def decode_properties(data: bytes, where: str = "properties") -> dict[str, str]:
    """The keys and values of a Java properties file; a later key overrules an earlier one."""
    properties: dict[str, str] = {}
    position = 0
    pending: tuple[int, str] | None = None
    for raw in data.decode("latin-1").split("\n"):
        start, line = position, raw.removesuffix("\r").lstrip(" \t\f")
        position += len(raw) + 1
        if pending is not None:
            start, line = pending[0], pending[1] + line
            pending = None
        elif not line or line[0] in "#!":
            continue
        if (len(line) - len(line.rstrip("\\"))) % 2:
            pending = (start, line[:-1])
            continue
        key, value = _split_property(line)
        properties[_unescape(key, where, start)] = _unescape(value, where, start)
    if pending is not None:
        key, value = _split_property(pending[1])
        properties[_unescape(key, where, pending[0])] = _unescape(value, where, pending[0])
    return properties


def _split_property(line: str) -> tuple[str, str]:
    """Key and value, still escaped: the first unescaped `=`, `:` or blank parts them."""
    index = 0
    while index < len(line) and line[index] not in "=: \t\f":
        index += 2 if line[index] == "\\" else 1
    rest = line[index:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return line[:index], rest


@frozen
class MetaProperties:
    """meta.properties: which node and cluster a log directory belongs to (KIP-631, KIP-858).

    `other` holds keys that Kafka does not know; they are kept when the file is written again.
    """

    cluster_id: str
    node_id: int
    directory_id: str | None = None
    version: int = 1
    other: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, now_ms: int) -> bytes:
        """The file's bytes; the comment lines are an empty one and the date."""
        # Kafka keeps a hash table and these are the places of its four keys in it.
        known: list[tuple[str, str | None]] = [
            ("node.id", str(self.node_id)),
            ("directory.id", self.directory_id),
            ("version", str(self.version)),
            ("cluster.id", self.cluster_id),
        ]
        properties = {key: value for key, value in known if value is not None}
        return encode_properties({**properties, **self.other}, now_ms=now_ms, comment="")

    @classmethod
    def decode(cls, data: bytes, where: str = META_PROPERTIES) -> MetaProperties:
        """Raises CorruptFile for a version other than 0 and 1 and for missing or malformed keys."""
        properties = decode_properties(data, where)
        version = _number(properties.pop("version", "0"), _INT32_MAX, "version", where, 0)
        if version not in (0, 1):
            raise CorruptFile(f"version {version} is neither 0 nor 1", where, 0)
        id_key = "node.id" if version == 1 else "broker.id"
        for key in ("cluster.id", id_key):
            if key not in properties:
                raise CorruptFile(f"{key} is missing", where, len(data))
        return cls(
            cluster_id=properties.pop("cluster.id"),
            node_id=_number(properties.pop(id_key), _INT32_MAX, id_key, where, 0),
            directory_id=properties.pop("directory.id", None),
            version=version,
            other=properties,
        )

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> MetaProperties | None:
        """Of a log directory; None when it was never formatted. Raises CorruptFile, OSError."""
        path = _in(directory, META_PROPERTIES)
        data = _read(path)
        return None if data is None else cls.decode(data, path)

    def write(self, directory: str | os.PathLike[str], *, now_ms: int) -> None:
        """Replaces the directory's file durably."""
        _write(_in(directory, META_PROPERTIES), self.encode(now_ms=now_ms))


# ---- one partition, one shutdown ----------------------------------------------------------------


@frozen
class PartitionMetadata:
    """partition.metadata: the topic id that a partition directory belongs to (KIP-516).

    `topic_id` is 16 bytes, not all zero.
    """

    topic_id: bytes
    version: int = 0

    def encode(self) -> bytes:
        """Two lines; Kafka ends the second without a newline."""
        text = base64.urlsafe_b64encode(self.topic_id).decode().rstrip("=")
        return f"version: {self.version}\ntopic_id: {text}".encode()

    @classmethod
    def decode(cls, data: bytes, where: str = PARTITION_METADATA) -> PartitionMetadata:
        """Raises CorruptFile."""
        if len(data) <= _REMEMBERED_BYTES_MAX:
            try:
                return _remembered_metadata(data)
            except CorruptFile:
                pass  # to be told with its place
        return cls._decode(data, where)

    @classmethod
    def _decode(cls, data: bytes, where: str) -> PartitionMetadata:
        lines = _lines(data, where) if data else []
        fields: list[str] = []
        for (position, line), key in zip(lines, ("version", "topic_id"), strict=False):
            name, colon, value = line.partition(":")
            if name.strip() != key or not colon:
                raise CorruptFile(f"the line is not `{key}: ...`", where, position)
            fields.append(value.strip())
        if len(fields) < 2:
            raise CorruptFile("version and topic_id lines are missing", where, len(data))
        version = _number(fields[0], _INT32_MAX, "the version", where, 0)
        if version < 0:
            raise CorruptFile(f"version {version} is negative", where, 0)
        try:
            topic_id = base64.b64decode(fields[1] + "==", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            topic_id = b""
        if len(topic_id) != 16 or topic_id == bytes(16):
            raise CorruptFile(f"topic id {fields[1]!r} is not that of a topic", where, lines[1][0])
        return cls(topic_id, version)

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> PartitionMetadata | None:
        """Of a partition's directory; None when the file is not there."""
        path = _in(directory, PARTITION_METADATA)
        data = _read(path)
        return None if data is None else cls.decode(data, path)

    def write(self, directory: str | os.PathLike[str]) -> None:
        """Replaces the directory's file durably."""
        _write(_in(directory, PARTITION_METADATA), self.encode())


@functools.lru_cache(maxsize=_REMEMBERED_TEXTS)
def _remembered_metadata(data: bytes) -> PartitionMetadata:
    return PartitionMetadata._decode(data, PARTITION_METADATA)


@frozen
class CleanShutdown:
    """.kafka_cleanshutdown: in a log directory from a clean stop to the next start (KIP-966).

    Delete it, durably, before the first log of the directory is opened for writing: what it
    promises ends there.
    """

    broker_epoch: int
    version: int = 0

    def encode(self) -> bytes:
        """One line of JSON without a newline."""
        return f'{{"version":{self.version},"brokerEpoch":{self.broker_epoch}}}'.encode()

    @classmethod
    def decode(cls, data: bytes, where: str = CLEAN_SHUTDOWN_FILE) -> CleanShutdown:
        """Raises CorruptFile. Kafka treats a file that it cannot read as "clean, epoch unknown"."""
        try:
            parsed = json.loads(data)
            version, epoch = parsed["version"], parsed["brokerEpoch"]
        except (ValueError, KeyError, TypeError):
            raise CorruptFile("not JSON with version and brokerEpoch", where, 0) from None
        if version != 0 or type(epoch) is not int or not -1 <= epoch <= _INT64_MAX:
            raise CorruptFile(f"version {version!r}, broker epoch {epoch!r}", where, 0)
        return cls(epoch, version)

    @classmethod
    def exists(cls, directory: str | os.PathLike[str]) -> bool:
        """Whether the directory was shut down cleanly, whatever the file says."""
        return os.path.exists(_in(directory, CLEAN_SHUTDOWN_FILE))

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> CleanShutdown | None:
        """None when there is no such file. Raises CorruptFile, OSError."""
        path = _in(directory, CLEAN_SHUTDOWN_FILE)
        data = _read(path)
        return None if data is None else cls.decode(data, path)

    def write(self, directory: str | os.PathLike[str]) -> None:
        """Replaces the directory's file durably: the last act of a clean stop."""
        _write(_in(directory, CLEAN_SHUTDOWN_FILE), self.encode())

    @classmethod
    def delete(cls, directory: str | os.PathLike[str]) -> bool:
        """Removes the file durably; True when it was there."""
        from kcore.syscalls import fsync_dir

        try:
            os.unlink(_in(directory, CLEAN_SHUTDOWN_FILE))
        except FileNotFoundError:
            return False
        fsync_dir(os.fspath(directory))
        return True
