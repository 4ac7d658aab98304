"""Random messages made from the table itself: for tests, fuzzers and load without a schema of their
own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import unpack
from typing import Any, Protocol, TypeVar

from kafka_py.protocol.schema import Field, FieldType, Message, Struct

MessageT = TypeVar("MessageT", bound=Message)
ValueT = TypeVar("ValueT")


class Randomness(Protocol):
    """What is used of ``random.Random``."""

    def random(self) -> float:
        """A number in [0, 1)."""

    def randrange(self, start: int, stop: int, /) -> int:
        """An integer in [start, stop)."""

    def choice(self, seq: Sequence[ValueT], /) -> ValueT:
        """One of them."""

    def randbytes(self, n: int, /) -> bytes:
        """So many bytes."""


INTEGER_BITS = {
    "int8": 8,
    "int16": 16,
    "int32": 32,
    "int64": 64,
    "uint16": 16,
    "uint32": 32,
}
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789._-ABCÄéß€漢字😀 "
NO_CHOICE: Any = object()


def _no_choice(_struct: type[Struct], _field: Field) -> Any:
    return NO_CHOICE


class Arbitrary:
    """Makes random messages: every field of the version, edge values often, nulls and defaults
    sometimes.

    random: the only source of chance. elements_max: longest array. unknown_tags: also add tagged
    fields that the table does not know. choose(struct, field): may return a value of its own for a
    field, or `NO_CHOICE`.
    """

    def __init__(
        self,
        random: Randomness,
        *,
        elements_max: int = 3,
        unknown_tags: bool = False,
        choose: Callable[[type[Struct], Field], Any] = _no_choice,
    ) -> None:
        self.random = random
        self.elements_max = elements_max
        self.unknown_tags = unknown_tags
        self.choose = choose

    def message(self, cls: type[MessageT], version: int) -> MessageT:
        """A message that `version` can carry: it is equal to what its encoding decodes to."""
        made = self._struct(cls, version, cls.is_flexible(version))
        assert isinstance(made, cls)
        return made

    def _struct(self, cls: type[Struct], version: int, flexible: bool) -> Struct:
        made = cls()
        for f in cls.__fields__:
            if not f.present(version) or (f.tag is not None and self.random.random() < 0.4):
                continue
            chosen = self.choose(cls, f)
            if chosen is NO_CHOICE:
                null = f.is_nullable(version) and self.random.random() < 0.2
                chosen = None if null else self._value(f.type, version, flexible)
            setattr(made, f.name, chosen)
        if flexible and self.unknown_tags and self.random.random() < 0.1:
            tags = sorted({self.random.randrange(100, 20000) for _ in range(3)})
            made.unknown_tags = {
                tag: self.random.randbytes(self.random.randrange(0, 300)) for tag in tags
            }
        return made

    def _value(self, kind: FieldType, version: int, flexible: bool) -> Any:
        if kind.element is not None:
            count = self.random.randrange(0, self.elements_max + 1)
            return [self._value(kind.element, version, flexible) for _ in range(count)]
        if kind.struct is not None:
            return self._struct(kind.struct, version, flexible)
        if kind.name in INTEGER_BITS:
            return self._integer(INTEGER_BITS[kind.name], kind.name[0] == "u")
        if kind.name == "string":
            length = self.random.choice((0, 1, 3, 9, 60, 130))
            return "".join(self.random.choice(ALPHABET) for _ in range(length))
        if kind.name == "bool":
            return self.random.random() < 0.5
        if kind.name == "uuid":
            return bytes(16) if self.random.random() < 0.1 else self.random.randbytes(16)
        if kind.name == "float64":
            return self._float()
        return self.random.randbytes(self.random.choice((0, 1, 61, 200, 1500)))

    def _integer(self, bits: int, unsigned: bool) -> int:
        low, high = (0, 1 << bits) if unsigned else (-(1 << bits - 1), 1 << bits - 1)
        roll = self.random.random()
        if roll < 0.25:
            return self.random.choice((low, high - 1, 0, 1, low if unsigned else -1))
        if roll < 0.6:
            return self.random.randrange(0, min(high, 1000))
        return self.random.randrange(low, high)

    def _float(self) -> float:
        while True:
            (value,) = unpack(">d", self.random.randbytes(8))
            if value == value:
                return float(value)


def versions(cls: type[Message]) -> range:
    """All versions that the table knows of a message."""
    return range(cls.VERSIONS[0], cls.VERSIONS[1] + 1)
