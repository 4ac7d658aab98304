"""Generates encoders: ``message -> (parts, indexes of the parts that are record fields)``.

The bytes are those of Kafka's generated Java classes: a tagged field is left out when it holds its
default, and a field that the version lacks must hold its default unless it is ignorable.
"""

from __future__ import annotations

from struct import pack

from kafka_py.protocol.codegen import STRING_BYTES_MAX, Writer
from kafka_py.protocol.schema import UNSET, Encoder, Field, FieldType, Message, Struct


class EncodeWriter(Writer):
    """Source of an encoder. `run` holds (struct code, expression) of fixed-width writes not yet
    written out."""

    def __init__(self, cls: type[Message], version: int) -> None:
        super().__init__(cls, version)
        self.run: list[tuple[str, str]] = []

    def flush(self, extra: tuple[tuple[str, str], ...] = ()) -> None:
        """Write the pending fixed-width writes (and `extra`) as one pack."""
        run = [*self.run, *extra]
        self.run = []
        if not run:
            return
        packing = self.packing("".join(code for code, _ in run))
        self.names[f"{packing}_p"] = self.names[packing].pack
        self.line(f"w({packing}_p({', '.join(value for _, value in run)}))")

    def uvarint(self, expression: str) -> None:
        """Write an unsigned varint."""
        self.flush()
        self.line(
            f"w(UVARINTS[{expression}] if {expression} < 1024 else uvarint_bytes({expression}))"
        )

    def length(self, f: Field, compact: bool, old_code: str, size: str) -> None:
        """Write the length or count that stands in the variable `size`."""
        if compact:
            self.line(f"{size} += 1")
            self.uvarint(size)
        else:
            self.run.append((old_code, size))
            self.flush()

    def null(self, compact: bool, old_code: str) -> None:
        """Write a null length."""
        if compact:
            self.line("w(b'\\0')")
        else:
            minus_one = b"\xff" * (2 if old_code == "h" else 4)
            self.line(f"w({minus_one!r})")

    def value(self, f: Field, kind: FieldType, source: str, nullable: bool) -> None:
        """Write one value of the type from the source expression."""
        if kind.wire is not None and kind.wire.width:
            if kind.name == "uuid":
                self.uuid(source)
            else:
                self.run.append((kind.wire.code, source))
            return
        if kind.struct is not None and not nullable:
            name = self.fresh("o")
            self.line(f"{name} = {source}")
            self.struct(kind.struct, name)
            return
        self.flush()
        name = self.fresh("v")
        self.line(f"{name} = {source}")
        compact = self.flexible and f.compact
        code = "h" if kind.name == "string" else "i"
        if nullable:
            with self.block(f"if {name} is None:"):
                if kind.struct is not None:
                    # Null is -1, but 0 in a tagged field: so do Kafka's generated classes.
                    self.line("w(b'\\xff')" if f.tag is None else "w(b'\\0')")
                else:
                    self.null(compact, code)
            with self.block("else:"):
                self.present(f, kind, name, compact, code)
        else:
            self.present(f, kind, name, compact, code)

    def uuid(self, source: str) -> None:
        """Write a 16-byte id; ``struct`` alone would cut or pad one of another length."""
        name = self.fresh("u")
        self.line(f"{name} = {source}")
        with self.block(f"if len({name}) != 16:"):
            self.line("raise ValueError('an id has 16 bytes')")
        self.run.append(("16s", name))

    def present(self, f: Field, kind: FieldType, name: str, compact: bool, code: str) -> None:
        """Write a variable-length value (or nullable struct) that is not null."""
        if kind.struct is not None:
            self.run.append(("b", "1"))
            self.struct(kind.struct, name)
            self.flush()
        elif kind.element is not None:
            self.array(f, kind.element, name, compact)
        else:
            if kind.name == "string":
                self.line(f"{name} = {name}.encode()")
            size = self.fresh("n")
            self.line(f"{size} = len({name})")
            if kind.name == "string":
                with self.block(f"if {size} > {STRING_BYTES_MAX}:"):
                    self.line(
                        f"raise ValueError('{f.name} is longer than {STRING_BYTES_MAX} bytes')"
                    )
            self.length(f, compact, code, size)
            if kind.name == "records":
                self.line("records.append(len(parts))")
            self.line(f"w({name})")

    def array(self, f: Field, element: FieldType, name: str, compact: bool) -> None:
        """Write an array that is not null."""
        size = self.fresh("n")
        self.line(f"{size} = len({name})")
        numbers = element.wire is not None and element.wire.code in tuple("bhiqHId?")
        if numbers and not compact:
            self.names["pack"] = pack
            self.line(f"w(pack(f'>i{{{size}}}{element.wire.code}', {size}, *{name}))")  # type: ignore[union-attr]
            return
        self.length(f, compact, "i", size)
        if numbers:
            self.names["pack"] = pack
            with self.block(f"if {name}:"):
                self.line(f"w(pack(f'>{{len({name})}}{element.wire.code}', *{name}))")  # type: ignore[union-attr]
            return
        item = self.fresh("x")
        with self.block(f"for {item} in {name}:"):
            before = len(self.lines)
            self.value(f, element, item, False)
            self.flush()
            if len(self.lines) == before:
                self.line("pass")

    def struct(self, struct: type[Struct], name: str) -> None:
        """Write all fields of a struct."""
        plain, tagged = self.fields(struct)
        for f in struct.__fields__:
            if not f.present(self.version) and not f.ignorable:
                with self.block(f"if {self.deviates(f, f'{name}.{f.name}')}:"):
                    self.line(f"lacks('{struct.__qualname__}.{f.name}', {self.version})")
        for f in plain:
            self.value(f, f.type, f"{name}.{f.name}", f.is_nullable(self.version))
        if self.flexible:
            self.tags(tagged, name)
        else:
            with self.block(f"if {name}.unknown_tags:"):
                self.line(f"lacks('{struct.__qualname__}.unknown_tags', {self.version})")

    def deviates(self, f: Field, source: str) -> str:
        """A condition: the field does not hold its default."""
        if f.default is None:
            return f"{source} is not None"
        if f.default is not UNSET:
            return f"{source} != {self.constant(f.default)}"
        if f.type.element is not None:
            return f"{source} is None or {source}" if f.nullable else source
        assert f.type.struct is not None
        return f"{source} != {self.constant(f.type.struct())}"

    def tags(self, tagged: list[Field], name: str) -> None:
        """Write the tagged-fields section, which is one zero byte nearly always."""
        pending = list(self.run)
        conditions = [f"({self.deviates(f, f'{name}.{f.name}')})" for f in tagged]
        with self.block(f"if {' or '.join([*conditions, f'{name}.unknown_tags'])}:"):
            self.flush()
            tags = self.fresh("t")
            self.line(f"{tags} = []")
            for f, condition in zip(tagged, conditions, strict=True):
                with self.block(f"if {condition}:"):
                    self.tag(f, f"{name}.{f.name}", tags)
            with self.block(f"if {name}.unknown_tags:"):
                self.line(f"{tags} += {name}.unknown_tags.items()")
            self.line(f"w(tag_bytes({tags}))")
        with self.block("else:"):
            self.run = pending
            self.flush((("B", "0"),))

    def tag(self, f: Field, source: str, tags: str) -> None:
        """Write one tagged field: its bytes are gathered on the parts list, then taken off it
        again."""
        mark = self.fresh("p")
        self.line(f"{mark} = len(parts)")
        self.value(f, f.type, source, f.is_nullable(self.version))
        self.flush()
        self.line(f"{tags}.append(({f.tag}, b''.join(parts[{mark}:])))")
        self.line(f"del parts[{mark}:]")


def write_encoder(cls: type[Message], version: int) -> EncodeWriter:
    """The source of a message version's encoder, a function called ``encode``."""
    w = EncodeWriter(cls, version)
    w.struct(cls, "message")
    w.flush()
    body = w.lines
    w.lines, w.indent = [], 0
    w.line("def encode(message):")
    w.indent = 1
    w.line("parts = []")
    w.line("records = []")
    w.line("w = parts.append")
    w.line("try:")
    w.lines += body or ["        pass"]
    w.line("except (StructError, TypeError, ValueError, AttributeError) as reason:")
    w.line(f"    raise EncodeError(f'{cls.__name__} v{version}: {{reason}}') from reason")
    w.line("return parts, records")
    return w


def encoder(cls: type[Message], version: int) -> Encoder:
    """The compiled encoder of a message version."""
    compiled: Encoder = write_encoder(cls, version).compile("encode", "encoder")
    return compiled
