"""Keys and values of coordinator records: a schema with a 16-bit prefix.

The prefix of a key is its record type, that of a value the version of its schema. Metadata records
are framed otherwise: see `records_metadata`.
"""

from __future__ import annotations

from struct import pack
from typing import TypeVar

from kafka_py.protocol import records_group, records_share, records_streams, records_transaction
from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.schema import Record

RecordT = TypeVar("RecordT", bound=Record)


def _types(*modules: object) -> dict[int, tuple[type[Record], type[Record]]]:
    """Record type -> its key and value classes, paired by name."""
    found: dict[int, tuple[type[Record], type[Record]]] = {}
    for module in modules:
        names = vars(module)
        for name, key in names.items():
            if name.endswith("Key") and isinstance(key, type) and issubclass(key, Record):
                assert key.KEY is not None
                found[key.KEY] = (key, names[name.removesuffix("Key") + "Value"])
    return found


GROUP_RECORDS = _types(records_group, records_streams)
"""Record types of ``__consumer_offsets``: type -> (key class, value class)."""
TRANSACTION_RECORDS = _types(records_transaction)
"""Record types of ``__transaction_state``."""
SHARE_RECORDS = _types(records_share)
"""Record types of ``__share_group_state``."""


def encode_key(key: Record) -> bytes:
    """The bytes of a record's key."""
    return pack(">h", key.KEY) + key.encode(key.VERSIONS[0])


def encode_value(value: Record, version: int) -> bytes:
    """The bytes of a record's value in that version of its schema."""
    return pack(">h", version) + value.encode(version)


def decode_key(
    buffer: bytes | memoryview, types: dict[int, tuple[type[Record], type[Record]]]
) -> Record | None:
    """The key in these bytes; None for a type that the table lacks, which Kafka's readers skip.

    Raises MalformedRequest for damage.
    """
    found = types.get(_prefix(buffer))
    if found is None:
        return None
    return _whole(found[0], buffer, found[0].VERSIONS[0])


def decode_value(cls: type[RecordT], buffer: bytes | memoryview) -> tuple[RecordT, int]:
    """The value in these bytes and its version; raises MalformedRequest for an unknown version or
    damage."""
    version = _prefix(buffer)
    if not cls.VERSIONS[0] <= version <= cls.VERSIONS[1]:
        raise MalformedRequest(f"{cls.__name__} has no version {version}")
    return _whole(cls, buffer, version), version


def _prefix(buffer: bytes | memoryview) -> int:
    if len(buffer) < 2:
        raise MalformedRequest("a coordinator record is shorter than its prefix")
    return int.from_bytes(buffer[:2], "big", signed=True)


def _whole(cls: type[RecordT], buffer: bytes | memoryview, version: int) -> RecordT:
    record, end = cls.decode_from(buffer, 2, version)
    if end != len(buffer):
        raise MalformedRequest(f"{cls.__name__} v{version}: {len(buffer) - end} bytes left over")
    return record
