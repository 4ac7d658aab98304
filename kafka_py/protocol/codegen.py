"""What the generated codecs share: limits, varints, and the writer of their source.

`decoding` and `encoding` compile (message class, version) into one function of straight-line
Python, in which structs, arrays and tagged fields are inlined and runs of fixed-width fields (with
the length, count or tag byte that follows them) are one ``struct`` call. Sources are registered in
``linecache``, so a traceback shows the generated line.
"""

from __future__ import annotations

import linecache
from struct import Struct as Packing
from struct import error as StructError
from typing import Any

from kafka_py.protocol.errors import EncodeError, MalformedRequest, UnsupportedVersion
from kafka_py.protocol.schema import UNSET, Field, FieldType, Message, Struct

STRING_BYTES_MAX = 32767
"""Longest string, in UTF-8 bytes, in either encoding (Kafka's limit)."""
ELEMENTS_MAX = 1_000_000
"""Most elements of one array (as Kafka 4.4's readers)."""
ELEMENTS_TOTAL_MAX = 4_000_000
"""Most elements of all arrays of one message."""
TAGS_MAX = 64
"""Most tagged fields of one struct."""

UVARINTS = tuple(bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1024))
"""Encodings of the small lengths that nearly every message has."""


def uvarint_bytes(value: int) -> bytes:
    """Unsigned varint of a non-negative number."""
    if value < 1024:
        return UVARINTS[value]
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def uvarint_rest(buffer: Any, position: int, first: int) -> tuple[int, int]:
    """The 32-bit varint that goes on after `first` (a byte above 127): value and end; at most 5
    bytes."""
    value, shift = first & 127, 7
    while True:
        byte = buffer[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 28:
            raise MalformedRequest("a varint is longer than 5 bytes")
    if value > 0xFFFFFFFF:
        raise MalformedRequest("a varint exceeds 32 bits")
    return value, position


def tag_bytes(tags: list[tuple[int, bytes]]) -> bytes:
    """The tagged-fields section: count, then each in ascending order of its tag."""
    tags.sort()
    parts = [uvarint_bytes(len(tags))]
    for number, (tag, data) in enumerate(tags):
        if number and tags[number - 1][0] == tag:
            raise EncodeError(f"tagged field {tag} is set twice")
        parts += (uvarint_bytes(tag), uvarint_bytes(len(data)), data)
    return b"".join(parts)


def fail(reason: str) -> None:
    """Refuse the bytes."""
    raise MalformedRequest(reason)


def lacks(name: str, version: int) -> None:
    """Refuse to encode a set field that the version cannot carry."""
    raise UnsupportedVersion(f"{name} is set, which version {version} cannot carry")


class Writer:
    """Lines of a function under construction, the names it uses, and fresh variable names."""

    def __init__(self, cls: type[Message], version: int) -> None:
        self.cls = cls
        self.version = version
        self.flexible = cls.is_flexible(version)
        self.lines: list[str] = []
        self.indent = 2
        self.counter = 0
        self.names: dict[str, Any] = {
            "StructError": StructError,
            "MalformedRequest": MalformedRequest,
            "EncodeError": EncodeError,
            "UVARINTS": UVARINTS,
            "uvarint_bytes": uvarint_bytes,
            "uvarint_rest": uvarint_rest,
            "tag_bytes": tag_bytes,
            "fail": fail,
            "lacks": lacks,
            "new": object.__new__,
        }

    def line(self, text: str) -> None:
        """Append a line at the current indentation."""
        self.lines.append("    " * self.indent + text)

    def block(self, opening: str) -> Block:
        """``with writer.block("if x:")``: the lines inside go one level deeper."""
        self.line(opening)
        return Block(self)

    def fresh(self, stem: str) -> str:
        """A variable name not yet used in the function."""
        self.counter += 1
        return f"{stem}{self.counter}"

    def constant(self, value: Any) -> str:
        """An expression for a value: its literal if it is plain, or else a name bound to it."""
        if value is None or type(value) in (int, bool, str, bytes, float):
            return repr(value)
        for name, known in self.names.items():
            if known is value:
                return name
        name = self.fresh("k")
        self.names[name] = value
        return name

    def packing(self, codes: str) -> str:
        """A name bound to the compiled big-endian ``struct`` of these codes."""
        name = "s_" + codes.replace("?", "o")
        self.names.setdefault(name, Packing(">" + codes))
        return name

    def fields(self, struct: type[Struct]) -> tuple[list[Field], list[Field]]:
        """The fields of the version in wire order, then its tagged fields by tag."""
        present = [f for f in struct.__fields__ if f.present(self.version)]
        plain = [f for f in present if f.tag is None]
        return plain, sorted((f for f in present if f.tag is not None), key=lambda f: f.tag or 0)

    def min_bytes(self, kind: FieldType, nullable: bool = False) -> int:
        """The fewest bytes that a value of the type takes in this version."""
        if kind.wire is not None and kind.wire.width:
            return kind.wire.width
        if kind.struct is None:
            size = 2 if kind.name == "string" else 4
            return 1 if self.flexible else size
        plain, _ = self.fields(kind.struct)
        return (
            1
            if nullable
            else int(self.flexible)
            + sum(self.min_bytes(f.type, f.is_nullable(self.version)) for f in plain)
        )

    def default(self, f: Field) -> str:
        """An expression for the default of a field that is not on the wire."""
        if f.default is not UNSET:
            return self.constant(f.default)
        return "[]" if f.type.element is not None else f"{self.constant(f.type.struct)}()"

    @property
    def source(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines) + "\n"

    def compile(self, function: str, kind: str) -> Any:
        """Execute the source; the function found in it."""
        filename = f"<kafka_py codec: {self.cls.__name__} v{self.version} {kind}>"
        source = self.source
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        exec(compile(source, filename, "exec"), self.names)
        return self.names[function]


class Block:
    """Context manager of `Writer.block`."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def __enter__(self) -> None:
        self.writer.indent += 1

    def __exit__(self, *exc: object) -> None:
        self.writer.indent -= 1
