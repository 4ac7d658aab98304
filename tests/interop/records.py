"""What the clients write: the manifest that every reader's finding is compared with."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

PARTITIONS = 3
RECORDS = 48


@dataclass(frozen=True)
class Record:
    """One record as an application sees it. ``timestamp`` in ms."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int

    def to_json(self) -> dict[str, object]:
        """As the drivers take it: bytes in base64."""
        return {
            "partition": self.partition,
            "key": _text(self.key),
            "value": _text(self.value),
            "headers": [[name, _text(value)] for name, value in self.headers],
            "timestamp": self.timestamp,
        }


@dataclass(frozen=True)
class Found:
    """One record as a reader found it."""

    topic: str
    offset: int
    record: Record


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def found_from_json(node: dict) -> Found:  # type: ignore[type-arg]
    """As the drivers give it."""
    return Found(
        node["topic"],
        node["offset"],
        Record(
            node["partition"],
            _bytes(node["key"]),
            _bytes(node["value"]),
            tuple((name, _bytes(value)) for name, value in node["headers"] or ()),
            node["timestamp"],
        ),
    )


def plan(writer: str, codec: str, first_timestamp: int) -> list[Record]:
    """The records of one topic: every shape of key, value and header, a second apart."""
    shapes: list[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]] = [
        (b"plain", b"a value", ()),
        (None, b"without a key", ()),
        (b"tombstone", None, ()),
        (b"", b"", ()),
        (b"\x00\xff\xfe\n\t", bytes(range(256)), ()),
        ("schlüssel".encode(), "Straße, 東京".encode(), (("h", b"one"),)),
        (b"twice", b"v", (("same", b"first"), ("same", b"second"))),
        (b"empty header", b"v", (("e", b""),)),
        (b"null header", b"v", (("n", None), ("after", b"x"))),
        (b"compresses", b"flight " * 700, (("size", b"4900"),)),
    ]
    out = []
    for i in range(RECORDS):
        key, value, headers = shapes[i % len(shapes)]
        if i % len(shapes) == 0:
            value = json.dumps({"writer": writer, "codec": codec, "row": i}).encode()
        partition = (i * i + i // PARTITIONS) % PARTITIONS
        out.append(Record(partition, key, value, headers, first_timestamp + i * 1000))
    return out


def without_null_headers(records: Iterable[Record]) -> list[Record]:
    """For clients that cannot write a null header: written as an empty one."""
    return [
        replace(r, headers=tuple((name, value or b"") for name, value in r.headers))
        for r in records
    ]


def by_partition(records: Iterable[Record]) -> dict[int, list[Record]]:
    """The records of each partition, in order."""
    out: dict[int, list[Record]] = {}
    for record in records:
        out.setdefault(record.partition, []).append(record)
    return out
