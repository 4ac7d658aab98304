"""The language of the message tables: a message is a class, a field is a line.

Caveat first: a field's name, order, versions and default are wire format. Nothing here checks them
against Kafka; tests/protocol and tests/oracle do, byte for byte.

```python
class ListThingsRequest(Request, key=99, versions=(0, 2), flexible=1):
    \"\"\"List things.\"\"\"

    class Thing(Struct):
        name: str = ""
        ids: list[int32] = []

    things: list[Thing] | None = []
    limit: int32 = field("2+", -1, ignorable=True)  # KIP-1
```

A plain value after the type is Kafka's default, for a field that every version has; `field` says
what deviates. One object serves all versions: a field that a version lacks keeps its default when
decoded, and when encoded is dropped if ``ignorable``, or else must hold its default
(`UnsupportedVersion`). Structs used by nested structs are written ``Message.Struct``, since all
structs of a message lie flat in its class (as in Kafka's generated classes).

Types are checked from the table itself (`dataclass_transform`): keyword constructor, every field
optional.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self, dataclass_transform

from kafka_py.protocol import prepared
from kafka_py.protocol.errors import EncodeError, MalformedRequest, UnsupportedVersion
from kafka_py.protocol.types import (
    BOOL,
    BYTES,
    STRING,
    ZERO_UUID,
    Wire,
    uuid_from_text,
    uuid_to_text,
)

VERSION_MAX = 32767
UNSET: Any = object()
"""Default of a `field` that gives none: Kafka's implicit one (zero, empty, false, a default
struct)."""

Range = tuple[int, int]
Buffer = bytes | bytearray | memoryview


class FieldOptions(NamedTuple):
    """What a table line says beyond name and type; made by `field`."""

    versions: str
    default: Any
    tag: int | None
    nullable: str
    ignorable: bool
    compact: bool
    secret: bool


def field(
    versions: str = "0+",
    default: Any = UNSET,
    *,
    tag: int | None = None,
    nullable: str = "0+",
    ignorable: bool = False,
    compact: bool = True,
    secret: bool = False,
) -> Any:
    """A field that deviates from "in every version, implicit default".

    versions: as Kafka writes them: "3+", "0-12", "2". tag: tagged field of that number. nullable:
    the versions in which a type ``X | None`` may be null. ignorable: silently dropped in versions
    that lack it. compact=False: keeps the old string encoding in flexible versions (one field of
    one header does). secret: `repr` and `to_dict` hide it.
    """
    return FieldOptions(versions, default, tag, nullable, ignorable, compact, secret)


def version_range(text: str) -> Range:
    """Inclusive bounds of Kafka's version notation."""
    first, dash, last = text.partition("-")
    if text.endswith("+"):
        return int(text[:-1]), VERSION_MAX
    return int(first), int(last) if dash else int(first)


class FieldType(NamedTuple):
    """A resolved wire type: a scalar (`wire`), a struct, or an array of `element`."""

    wire: Wire | None
    struct: type[Struct] | None
    element: FieldType | None

    @property
    def name(self) -> str:
        """As describe-api prints it: ``int32``, ``FetchTopic``, ``[]int32``."""
        if self.element is not None:
            return "[]" + self.element.name
        return (
            self.struct.__name__ if self.struct is not None else typing.cast(Wire, self.wire).name
        )


class Field(NamedTuple):
    """One resolved table line."""

    name: str
    type: FieldType
    versions: Range
    nullable: Range | None
    default: Any
    tag: int | None
    ignorable: bool
    compact: bool
    secret: bool

    def present(self, version: int) -> bool:
        """Whether the version carries the field, tagged or not."""
        return self.versions[0] <= version <= self.versions[1]

    def is_nullable(self, version: int) -> bool:
        """Whether null may be written in this version."""
        return self.nullable is not None and self.nullable[0] <= version <= self.nullable[1]

    def new_default(self) -> Any:
        """A default value that the caller owns (a fresh list or struct)."""
        if self.default is UNSET:
            return (
                []
                if self.type.element is not None
                else typing.cast("type[Struct]", self.type.struct)()
            )
        return self.default


IMPLICIT: Mapping[str, Any] = {
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint16", "uint32"), 0),
    "float64": 0.0,
    "uuid": ZERO_UUID,
    "bool": False,
    "string": "",
    "bytes": b"",
    "records": None,
}


def _wire_type(annotation: Any) -> FieldType:
    if typing.get_origin(annotation) is list:
        return FieldType(None, None, _wire_type(typing.get_args(annotation)[0]))
    if typing.get_origin(annotation) is typing.Annotated:
        return FieldType(annotation.__metadata__[0], None, None)
    for python_type, wire in ((str, STRING), (bytes, BYTES), (bool, BOOL)):
        if annotation is python_type:
            return FieldType(wire, None, None)
    if isinstance(annotation, StructType):
        return FieldType(None, typing.cast("type[Struct]", annotation), None)
    raise TypeError(f"no wire type for {annotation!r}")


def _resolve_field(name: str, annotation: Any, value: Any) -> Field:
    optional = False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [part for part in typing.get_args(annotation) if part is not type(None)]
        optional = len(members) < len(typing.get_args(annotation))
        annotation = members[0]
    options = value if isinstance(value, FieldOptions) else field(default=value)
    kind = _wire_type(annotation)
    default = options.default
    if default is UNSET and kind.wire is not None:
        default = IMPLICIT[kind.wire.name]
    elif isinstance(default, list):
        if default:
            raise TypeError(f"{name}: the default of an array is [] or None")
        default = UNSET
    nullable = version_range(options.nullable) if optional else None
    return Field(
        name,
        kind,
        version_range(options.versions),
        nullable,
        default,
        options.tag,
        options.ignorable,
        options.compact,
        options.secret,
    )


class StructType(type):
    """Metaclass: turns a table class into one with slots, keeping the lines' values for lazy
    resolution."""

    __lines__: dict[str, tuple[str, Any]]
    __fields_cache__: tuple[Field, ...] | None
    __owner__: StructType | None

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any
    ) -> StructType:
        own = namespace.get("__annotations__", {}) if bases and not keywords.get("abstract") else {}
        lines = {key: (text, namespace.pop(key, UNSET)) for key, text in own.items()}
        namespace.setdefault("__slots__", tuple(lines))
        namespace["__lines__"] = lines
        namespace["__fields_cache__"] = None
        namespace["__owner__"] = None
        keywords.pop("abstract", None)
        cls = super().__new__(mcls, name, bases, namespace, **keywords)
        for value in namespace.values():
            if isinstance(value, StructType):
                value.__owner__ = cls
        return cls

    @property
    def __fields__(cls) -> tuple[Field, ...]:
        """The resolved lines in wire order; resolved on first use, so that importing tables stays
        cheap."""
        if cls.__fields_cache__ is None:
            names: dict[str, Any] = {}
            scope: StructType | None = cls
            while scope is not None:
                nested = {
                    k: v
                    for k, v in vars(scope).items()
                    if isinstance(v, StructType) and k != "__owner__"
                }
                names = {**nested, scope.__name__: scope, **names}
                scope = scope.__owner__
            module = vars(sys.modules[cls.__module__])
            cls.__fields_cache__ = tuple(
                _resolve_field(name, eval(text, module, names), value)
                for name, (text, value) in cls.__lines__.items()
            )
        return cls.__fields_cache__


@dataclass_transform(kw_only_default=True)
class Struct(metaclass=StructType, abstract=True):
    """Base of all message structs. Comparable by value, not hashable.

    `unknown_tags`: tagged fields that this table does not know, number -> bytes, kept through
    decode and encode.
    """

    __slots__ = ("unknown_tags",)
    unknown_tags: dict[int, bytes] | None

    def __init__(self, *args: Any, **values: Any) -> None:
        cls = type(self)
        cls.__init__ = _constructor(cls)  # type: ignore[method-assign]
        cls.__init__(self, *args, **values)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            getattr(self, f.name) == getattr(other, f.name) for f in type(self).__fields__
        ) and ((self.unknown_tags or None) == (other.unknown_tags or None))

    def __repr__(self) -> str:
        shown = [
            f"{f.name}={_shown(f, getattr(self, f.name))}"
            for f in type(self).__fields__
            if getattr(self, f.name) != f.new_default()
        ]
        if self.unknown_tags:
            shown.append(f"unknown_tags={self.unknown_tags!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def to_dict(self, *, reveal: bool = False) -> dict[str, Any]:
        """Plain JSON-able values: ids as Kafka's text, bytes and records as hex; secrets as
        "(hidden)" unless `reveal`."""
        plain: dict[str, Any] = {}
        for f in type(self).__fields__:
            hidden = f.secret and not reveal and getattr(self, f.name)
            plain[f.name] = (
                "(hidden)" if hidden else _to_plain(f.type, getattr(self, f.name), reveal)
            )
        if self.unknown_tags:
            plain["unknown_tags"] = {
                str(tag): data.hex() for tag, data in self.unknown_tags.items()
            }
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The reverse of `to_dict(reveal=True)`; absent keys take defaults; ValueError on an
        unknown key."""
        known = {f.name: f for f in cls.__fields__}
        values: dict[str, Any] = {}
        tags = None
        for key, value in plain.items():
            if key == "unknown_tags":
                tags = {int(tag): bytes.fromhex(data) for tag, data in value.items()}
            elif key not in known:
                raise ValueError(f"{cls.__name__} has no field {key}")
            else:
                values[key] = _from_plain(known[key].type, value)
        made = cls(**values)
        made.unknown_tags = tags
        return made


def _shown(f: Field, value: Any) -> str:
    if f.secret and value:
        return "(hidden)"
    if isinstance(value, memoryview):
        return f"<{value.nbytes} bytes>"
    if isinstance(value, bytes) and f.type.name == "uuid":
        return uuid_to_text(value)
    if f.type.element is not None and f.type.element.name == "uuid" and value:
        return f"[{', '.join(map(uuid_to_text, value))}]"
    return repr(value)


def _to_plain(kind: FieldType, value: Any, reveal: bool) -> Any:
    if value is None:
        return None
    if kind.element is not None:
        return [_to_plain(kind.element, item, reveal) for item in value]
    if kind.struct is not None:
        return value.to_dict(reveal=reveal)
    if kind.name == "uuid":
        return uuid_to_text(value)
    return value.hex() if kind.name in ("bytes", "records") else value


def _from_plain(kind: FieldType, value: Any) -> Any:
    if value is None:
        return None
    if kind.element is not None:
        return [_from_plain(kind.element, item) for item in value]
    if kind.struct is not None:
        return kind.struct.from_dict(value)
    if kind.name == "uuid":
        return uuid_from_text(value)
    return bytes.fromhex(value) if kind.name in ("bytes", "records") else value


def constructor_source(cls: type[Struct]) -> tuple[str, dict[str, Any]]:
    """A straight-line ``__init__`` with the table's defaults, and what its names stand for."""
    names: dict[str, Any] = {"UNSET": UNSET}
    parameters, body = [], ["    self.unknown_tags = None"]
    for number, f in enumerate(cls.__fields__):
        if f.default is not UNSET:
            names[f"d{number}"] = f.default
            parameters.append(f"{f.name}=d{number}")
            body.append(f"    self.{f.name} = {f.name}")
            continue
        made = "[]" if f.type.element is not None else f"s{number}()"
        if f.type.element is None:
            names[f"s{number}"] = f.type.struct
        parameters.append(f"{f.name}=UNSET")
        body.append(f"    self.{f.name} = {made} if {f.name} is UNSET else {f.name}")
    star = ["*", *parameters] if parameters else []
    return f"def __init__({', '.join(['self', *star])}):\n" + "\n".join(body) + "\n", names


def _constructor(cls: type[Struct]) -> Callable[..., None]:
    init: Callable[..., None] | None = prepared.constructor(cls)
    if init is None:
        source, names = constructor_source(cls)
        exec(source, names)
        init = typing.cast("Callable[..., None]", names["__init__"])
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


Decoder = Callable[[Any, int, int], tuple[Any, int]]
Encoder = Callable[[Any], tuple[list[Any], list[int]]]


class Message(Struct, abstract=True):
    """A struct with versions of its own: request, response, header, record or embedded blob.

    Class facts (from the class line): `VERSIONS` inclusive, `FLEXIBLE` the first version with
    compact types and tagged fields (None: never), `KEY` the API key or record type, `STABLE` the
    highest version that Kafka calls stable.
    """

    __slots__ = ()
    VERSIONS: ClassVar[Range] = (0, 0)
    FLEXIBLE: ClassVar[int | None] = None
    KEY: ClassVar[int | None] = None
    STABLE: ClassVar[int] = 0
    LISTENERS: ClassVar[frozenset[str]] = frozenset()
    _decoders: ClassVar[dict[int, Decoder]]
    _encoders: ClassVar[dict[int, Encoder]]

    def __init_subclass__(
        cls,
        *,
        versions: Range = (0, 0),
        flexible: int | None = None,
        key: int | None = None,
        stable: int | None = None,
        listeners: str = "broker",
    ) -> None:
        cls.VERSIONS, cls.FLEXIBLE, cls.KEY = versions, flexible, key
        cls.LISTENERS = frozenset(listeners.split())
        cls.STABLE = versions[1] if stable is None else stable
        cls._decoders, cls._encoders = {}, {}

    @classmethod
    def is_flexible(cls, version: int) -> bool:
        """Whether the version has compact types and tagged fields."""
        return cls.FLEXIBLE is not None and version >= cls.FLEXIBLE

    @classmethod
    def prepare(cls, version: int) -> None:
        """Compile a version's codecs now, which takes milliseconds, rather than at first use."""
        if version not in cls._decoders:
            cls._decoders[version] = _compiled(cls, version, "decoder")
        cls._encoder(version)

    @classmethod
    def decode(cls, buffer: Buffer, version: int) -> Self:
        """The message in exactly these bytes.

        Record fields are views into `buffer`. Raises MalformedRequest when the bytes are no such
        message or when some are left over, UnsupportedVersion when the table has no such version.
        """
        message, end = cls.decode_from(buffer, 0, version)
        if end != len(buffer):
            raise MalformedRequest(
                f"{cls.__name__} v{version}: {len(buffer) - end} bytes left over"
            )
        return message

    @classmethod
    def decode_from(cls, buffer: Buffer, start: int, version: int) -> tuple[Self, int]:
        """Like `decode` from an offset on, for what is followed by more; returns also where it
        ended."""
        decoder = cls._decoders.get(version)
        if decoder is None:
            decoder = cls._decoders[version] = _compiled(cls, version, "decoder")
        return decoder(buffer, start, len(buffer))

    def encode(self, version: int) -> bytes:
        """The wire bytes.

        Raises UnsupportedVersion when a field that this version lacks (and that is not ignorable)
        is set, EncodeError when a value does not fit its type.
        """
        parts, _ = self._encoder(version)(self)
        return b"".join(parts)

    def encode_parts(self, version: int) -> list[bytes | memoryview]:
        """`encode` with record fields left as the objects they are, never copied; the rest joined
        around them."""
        parts, records = self._encoder(version)(self)
        if not records:
            return [b"".join(parts)]
        joined: list[bytes | memoryview] = []
        start = 0
        for at in records:
            joined.append(b"".join(parts[start:at]))
            joined.append(parts[at])
            start = at + 1
        if start < len(parts):
            joined.append(b"".join(parts[start:]))
        return joined

    @classmethod
    def _encoder(cls, version: int) -> Encoder:
        encoder = cls._encoders.get(version)
        if encoder is None:
            encoder = cls._encoders[version] = _compiled(cls, version, "encoder")
        return encoder


class Request(Message, abstract=True):
    """A request body; `KEY` is its API key."""

    __slots__ = ()


class Response(Message, abstract=True):
    """A response body; `KEY` is its API key."""

    __slots__ = ()


class Record(Message, abstract=True):
    """The key or value of a record in an internal topic; `KEY` is its type where it has one."""

    __slots__ = ()


class Blob(Message, abstract=True):
    """A header, or a schema carried inside a bytes field of another message."""

    __slots__ = ()


def _compiled(cls: type[Message], version: int, kind: str) -> Any:
    codec = prepared.codec(cls, version, kind)
    if codec is not None:
        return codec
    from kafka_py.protocol import decoding, encoding

    if not cls.VERSIONS[0] <= version <= cls.VERSIONS[1]:
        raise UnsupportedVersion(
            f"{cls.__name__} has versions {cls.VERSIONS[0]}-{cls.VERSIONS[1]}, not {version}"
        )
    return decoding.decoder(cls, version) if kind == "decoder" else encoding.encoder(cls, version)


__all__ = [
    "EncodeError",
    "MalformedRequest",
    "Message",
    "Record",
    "Request",
    "Response",
    "Struct",
    "field",
]
