"""Writes ``start_codecs.py``: the codecs and constructors that every start of a node needs.

`python -m kafka_py.protocol.prepare PATH`; the build does it (setup.py). What is missing here is
compiled on first use, half a millisecond to four each; what is here costs an import the bytecode's
reading. The functions are the generators' own, with the names that those bind written out before
them; `prepared` says how they are found, and when they are not used.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kafka_py.protocol import api_versions, brokers, headers, prepared
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol import records_raft as raft
from kafka_py.protocol.decoding import write_decoder
from kafka_py.protocol.encoding import write_encoder
from kafka_py.protocol.schema import Message, Struct, StructType, constructor_source

__all__ = ["CODECS", "CONSTRUCTED", "module_source"]

CODECS: tuple[tuple[type[Message], tuple[int, ...]], ...] = (
    (headers.RequestHeader, (1, 2)),
    (headers.ResponseHeader, (0, 1)),
    # The versions in which clients of today, and the oldest, begin a connection.
    (api_versions.ApiVersionsRequest, (0, 3, 4)),
    (api_versions.ApiVersionsResponse, (0, 3, 4)),
    # As the latest metadata.version writes them.
    (r.BeginTransactionRecord, (0,)),
    (r.EndTransactionRecord, (0,)),
    (r.FeatureLevelRecord, (0,)),
    (r.ConfigRecord, (0,)),
    (r.RegisterControllerRecord, (0,)),
    (r.RegisterBrokerRecord, (4,)),
    (r.BrokerRegistrationChangeRecord, (0,)),
    (r.NoOpRecord, (0,)),
    (r.TopicRecord, (0,)),
    (r.PartitionRecord, (2,)),
    (r.PartitionChangeRecord, (2,)),
    (raft.LeaderChangeMessage, (0,)),
    (raft.SnapshotHeaderRecord, (0,)),
    (raft.SnapshotFooterRecord, (0,)),
)
"""The messages and versions whose decoder and encoder are written out."""
CONSTRUCTED: tuple[type[Message], ...] = (
    *(cls for cls, _ in CODECS),
    # What a node and its controller say to each other before the first client is answered.
    brokers.BrokerRegistrationRequest,
    brokers.BrokerRegistrationResponse,
    brokers.BrokerHeartbeatRequest,
    brokers.BrokerHeartbeatResponse,
    brokers.ControllerRegistrationRequest,
    brokers.ControllerRegistrationResponse,
)
"""The messages whose constructors are, with those of the structs in them."""

HEAD = """\
# Written by kafka_py.protocol.prepare when the package was built; not to be edited.
from struct import Struct as Packing
from struct import error as StructError
from struct import pack, unpack_from

from kafka_py.protocol.codegen import (
    UVARINTS, fail, lacks, tag_bytes, uvarint_bytes, uvarint_rest
)
from kafka_py.protocol.errors import EncodeError, MalformedRequest
from kafka_py.protocol.schema import UNSET

new = object.__new__
"""
_KNOWN = frozenset(
    ("Packing", "StructError", "pack", "unpack_from", "UVARINTS", "fail", "lacks", "tag_bytes")
    + ("uvarint_bytes", "uvarint_rest", "EncodeError", "MalformedRequest", "UNSET", "new")
    + ("__builtins__",)
)
"""Names that the generators bind and that `HEAD` has."""


def structs_of(cls: type[Message]) -> list[type[Struct]]:
    """The message and the structs in it."""
    return [cls, *(inner for inner in vars(cls).values() if _is_inner(inner, cls))]


def _is_inner(value: object, cls: type[Message]) -> bool:
    return isinstance(value, StructType) and value.__owner__ is cls


def _expression(value: Any, cls: type[Message]) -> str:
    """How the value is written in a factory whose argument is the message class."""
    if value is None or type(value) in (bool, int, str, bytes, float):
        return repr(value)
    if isinstance(value, struct.Struct):
        return f"Packing({value.format!r})"
    packing = getattr(value, "__self__", None)
    if isinstance(packing, struct.Struct):
        return f"Packing({packing.format!r}).{value.__name__}"
    if isinstance(value, Struct):
        return f"{_expression(type(value), cls)}()"
    if value is cls:
        return "cls"
    if _is_inner(value, cls):
        return f"cls.{value.__name__}"
    raise TypeError(f"{cls.__name__}: no expression for {value!r}")


def _factory(
    name: str, cls: type[Message], source: str, function: str, names: dict[str, Any]
) -> Iterator[str]:
    yield f"\n\ndef {name}(cls):"
    for bound, value in names.items():
        if bound not in _KNOWN:
            yield f"    {bound} = {_expression(value, cls)}"
    yield from ("    " + line for line in source.splitlines())
    yield f"    return {function}"


def module_source() -> str:
    """The text of ``start_codecs.py``."""
    lines, table = [HEAD, f"SOURCES_CRC = {prepared.sources_crc()}"], ["FACTORIES = {"]

    def add(key: tuple[object, ...], cls: type[Message], *made: Any) -> None:
        name = f"_{len(table)}"
        lines.extend(_factory(name, cls, *made))
        table.append(f"    {key!r}: {name},")

    for cls, versions in CODECS:
        for version in versions:
            key = (cls.__module__, cls.__qualname__, version)
            decoder, encoder = write_decoder(cls, version), write_encoder(cls, version)
            add((*key, "decoder"), cls, decoder.source, "decode", decoder.names)
            add((*key, "encoder"), cls, encoder.source, "encode", encoder.names)
    for cls in CONSTRUCTED:
        for made in structs_of(cls):
            source, names = constructor_source(made)
            add((made.__module__, made.__qualname__), cls, source, "__init__", names)
    return "\n".join([*lines, "", "", *table, "}", ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(module_source())
