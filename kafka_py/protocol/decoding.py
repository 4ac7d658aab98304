"""Generates decoders: ``(buffer, position, limit) -> (message, end)``.

A decoder never allocates for a count before it knows that the bytes for it arrived, and whatever
the bytes are it returns a message or raises MalformedRequest. Limits are named in `codegen`.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

from kafka_py.protocol.codegen import (
    ELEMENTS_MAX,
    ELEMENTS_TOTAL_MAX,
    STRING_BYTES_MAX,
    TAGS_MAX,
    Writer,
)
from kafka_py.protocol.schema import Decoder, Field, FieldType, Message, Struct


class DecodeWriter(Writer):
    """Source of a decoder. `run` holds (struct code, target) of fixed-width reads not yet written
    out."""

    def __init__(self, cls: type[Message], version: int) -> None:
        super().__init__(cls, version)
        self.run: list[tuple[str, str]] = []
        self.budgeted = False

    def flush(self) -> None:
        """Write the pending fixed-width reads as one unpack."""
        if not self.run:
            return
        codes = "".join(code for code, _ in self.run)
        packing = self.packing(codes)
        targets = ", ".join(target for _, target in self.run)
        if codes == "B":
            self.line(f"{targets} = buf[pos]")
        else:
            self.line(f"{targets}{',' if len(self.run) == 1 else ''} = {packing}_u(buf, pos)")
            self.names[f"{packing}_u"] = self.names[packing].unpack_from
        self.line(f"pos += {self.names[packing].size}")
        self.run = []

    def length(self, compact: bool, old_code: str) -> str:
        """Read a length or count; returns a variable that holds it, or -1 for null."""
        name = self.fresh("n")
        self.run.append(("B" if compact else old_code, name))
        self.flush()
        if compact:
            with self.block(f"if {name} > 127:"):
                self.line(f"{name}, pos = uvarint_rest(buf, pos, {name})")
            self.line(f"{name} -= 1")
        return name

    def value(self, f: Field, kind: FieldType, target: str, nullable: bool) -> None:
        """Read one value of the type into the target expression."""
        if kind.element is not None:
            self.array(f, kind.element, target, nullable)
        elif kind.struct is not None:
            self.nested(f, kind.struct, target, nullable)
        elif kind.wire is not None and kind.wire.width:
            self.run.append((kind.wire.code, target))
        else:
            self.sized(f, kind.name, target, nullable)

    def sized(self, f: Field, wire: str, target: str, nullable: bool) -> None:
        """Read a string, bytes or records value."""
        size = self.length(self.flexible and f.compact, "h" if wire == "string" else "i")
        with self.block(f"if {size} >= 0:"):
            end = self.fresh("e")
            self.line(f"{end} = pos + {size}")
            too_long = f" or {size} > {STRING_BYTES_MAX}" if wire == "string" else ""
            with self.block(f"if {end} > limit{too_long}:"):
                self.line(f"fail('{f.name} is longer than it may be or than what arrived')")
            read = {
                "string": f"str(buf[pos:{end}], 'utf-8')",
                "bytes": f"bytes(buf[pos:{end}])",
                "records": f"view[pos:{end}]",
            }[wire]
            self.line(f"{target} = {read}")
            self.line(f"pos = {end}")
        self.null(f, size, target, nullable)

    def null(self, f: Field, size: str, target: str, nullable: bool) -> None:
        """The else branch of a read whose length was negative."""
        if nullable:
            with self.block(f"elif {size} == -1:"):
                self.line(f"{target} = None")
        with self.block("else:"):
            self.line(f"fail('{f.name} has a length of %d' % {size})")

    def array(self, f: Field, element: FieldType, target: str, nullable: bool) -> None:
        """Read an array; the count is checked against the bytes that are left before anything is
        made."""
        count = self.length(self.flexible, "i")
        least = max(1, self.min_bytes(element))
        self.budgeted = True
        with self.block(f"if {count} >= 0:"):
            with self.block(f"if {count} * {least} > limit - pos or {count} > {ELEMENTS_MAX}:"):
                self.line(f"fail('{f.name} has more elements than may be or than arrived')")
            self.line(f"budget -= {count}")
            with self.block("if budget < 0:"):
                self.line("fail('the message has too many elements')")
            if element.wire is not None and element.wire.code in tuple("bhiqHId?"):
                self.line(
                    f"{target} = list(unpack_from(f'>{{{count}}}{element.wire.code}', buf, pos))"
                )
                self.line(f"pos += {count} * {element.wire.width}")
            else:
                self.elements(f, element, target, count)
        self.null(f, count, target, nullable)

    def elements(self, f: Field, element: FieldType, target: str, count: str) -> None:
        """The loop of an array whose elements are not plain numbers."""
        add, item = self.fresh("a"), self.fresh("x")
        self.line(f"{target} = {add}l = []")
        self.line(f"{add} = {add}l.append")
        with self.block(f"for _ in range({count}):"):
            self.value(f, element, item, False)
            self.flush()
            self.line(f"{add}({item})")

    def nested(self, f: Field, struct: type[Struct], target: str, nullable: bool) -> None:
        """Read a struct value; a nullable one has a marker byte before it.

        Kafka's generated classes mark null by -1, but by 0 in a tagged field.
        """
        if not nullable:
            self.struct(struct, target)
            return
        marker = self.fresh("m")
        self.run.append(("b", marker))
        self.flush()
        with self.block(f"if {marker} {'<' if f.tag is None else '<='} 0:"):
            self.line(f"{target} = None")
        with self.block("else:"):
            self.struct(struct, target)
            self.flush()

    def struct(self, struct: type[Struct], target: str) -> None:
        """Read all fields of a struct into a fresh object, which is bound to the target at once."""
        self.flush()
        obj = self.fresh("o")
        self.line(f"{obj} = {target} = new({self.constant(struct)})")
        plain, tagged = self.fields(struct)
        self.line(f"{obj}.unknown_tags = None")
        for f in struct.__fields__:
            if f not in plain:
                self.line(f"{obj}.{f.name} = {self.default(f)}")
        for f in plain:
            self.value(f, f.type, f"{obj}.{f.name}", f.is_nullable(self.version))
        if self.flexible:
            self.tags(tagged, obj)

    def tags(self, tagged: list[Field], obj: str) -> None:
        """Read the tagged-fields section."""
        count, tag, last, size, end = (self.fresh(stem) for stem in ("t", "g", "l", "z", "e"))
        self.run.append(("B", count))
        self.flush()
        with self.block(f"if {count}:"):
            with self.block(f"if {count} > 127:"):
                self.line(f"{count}, pos = uvarint_rest(buf, pos, {count})")
            with self.block(f"if {count} > {TAGS_MAX}:"):
                self.line("fail('a struct has too many tagged fields')")
            self.line(f"{last} = -1")
            with self.block(f"for _ in range({count}):"):
                for name in (tag, size):
                    self.line(f"{name} = buf[pos]")
                    self.line("pos += 1")
                    with self.block(f"if {name} > 127:"):
                        self.line(f"{name}, pos = uvarint_rest(buf, pos, {name})")
                self.line(f"{end} = pos + {size}")
                with self.block(f"if {end} > limit or {tag} <= {last}:"):
                    self.line("fail('a tagged field is out of order or longer than what arrived')")
                self.line(f"{last} = {tag}")
                for number, f in enumerate(tagged):
                    with self.block(f"{'el' if number else ''}if {tag} == {f.tag}:"):
                        self.value(f, f.type, f"{obj}.{f.name}", f.is_nullable(self.version))
                        self.flush()
                if tagged:
                    with self.block("else:"):
                        self.unknown(obj, tag, end)
                else:
                    self.unknown(obj, tag, end)
                with self.block(f"if pos != {end}:"):
                    self.line("fail('a tagged field is not as long as it says')")

    def unknown(self, obj: str, tag: str, end: str) -> None:
        """Keep a tagged field that the table does not know."""
        with self.block(f"if {obj}.unknown_tags is None:"):
            self.line(f"{obj}.unknown_tags = {{}}")
        self.line(f"{obj}.unknown_tags[{tag}] = bytes(buf[pos:{end}])")
        self.line(f"pos = {end}")


def has_records(struct: type[Struct]) -> bool:
    """Whether a field of the struct, or of one inside it, is of type records."""
    return any(kind.name == "records" for kind in field_types(struct))


def field_types(struct: type[Struct]) -> Iterator[FieldType]:
    """All types in a struct, arrays unwrapped, nested structs included."""
    for f in struct.__fields__:
        kind = f.type
        while kind.element is not None:
            kind = kind.element
        yield kind
        if kind.struct is not None:
            yield from field_types(kind.struct)


def write_decoder(cls: type[Message], version: int) -> DecodeWriter:
    """The source of a message version's decoder, a function called ``decode``."""
    w = DecodeWriter(cls, version)
    w.struct(cls, "message")
    w.flush()
    body = w.lines
    w.lines, w.indent = [], 0
    w.line("def decode(buf, pos, limit):")
    w.indent = 1
    if has_records(cls):
        w.line("view = memoryview(buf)")
    else:
        # Slices of bytes are cheaper than those of a view, and this message needs no view.
        w.line("buf = bytes(buf) if type(buf) is not bytes else buf")
    if w.budgeted:
        w.line(f"budget = {ELEMENTS_TOTAL_MAX}")
        w.names["unpack_from"] = unpack_from
    w.line("try:")
    w.lines += body
    w.line("except (StructError, IndexError):")
    w.line(f"    raise MalformedRequest('{cls.__name__} v{version} ends early') from None")
    w.line("except UnicodeDecodeError:")
    w.line(
        f"    raise MalformedRequest('{cls.__name__} v{version}: a string is not UTF-8') from None"
    )
    w.line("except MalformedRequest as reason:")
    w.line(f"    raise MalformedRequest(f'{cls.__name__} v{version}: {{reason}}') from None")
    w.line("return message, pos")
    return w


def decoder(cls: type[Message], version: int) -> Decoder:
    """The compiled decoder of a message version."""
    compiled: Decoder = write_decoder(cls, version).compile("decode", "decoder")
    return compiled
