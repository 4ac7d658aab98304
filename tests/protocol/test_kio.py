"""Every message and version that kio knows: our bytes, read and rewritten by kio, are the same."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

import pytest
from kio.schema.errors import ErrorCode as KioErrorCode
from kio.schema.index import schema_name_map
from kio.serial import entity_reader, entity_writer

from kafka_py.protocol.arbitrary import NO_CHOICE, Arbitrary
from kafka_py.protocol.registry import all_messages
from kafka_py.protocol.schema import Field, Message, Struct

ROUNDS = 5
CHANCE = random.Random(1)
KIO_ERRORS = [int(code) for code in KioErrorCode]
OURS = {cls.__name__: cls for cls in all_messages()}


def kio_entities() -> Iterator[tuple[str, int, str]]:
    """Class name, version and path of everything in kio's index."""
    for versions in schema_name_map.values():
        for version, entities in versions.items():
            for path in entities.values():
                yield path.rpartition(":")[2], version, path


ENTITIES = list(kio_entities())
NAMES = sorted({name for name, _, _ in ENTITIES})


def representable(_struct: type[Struct], f: Field) -> Any:
    """Values that kio's richer types can hold: known error codes, times within datetime's range."""
    if f.name.endswith("error_code"):
        return CHANCE.choice(KIO_ERRORS)
    if f.type.name == "int64" and ("time" in f.name or f.name.endswith("_ms")):
        return CHANCE.randrange(0, 10**12)
    return NO_CHOICE


def test_kio_knows_most_of_the_protocol() -> None:
    assert len(ENTITIES) > 580
    assert set(NAMES) <= set(OURS)


@pytest.mark.parametrize("name", NAMES)
def test_kio_writes_the_same_bytes(name: str) -> None:
    arbitrary = Arbitrary(random.Random(name), choose=representable)
    cls: type[Message] = OURS[name]
    for found, version, path in ENTITIES:
        if found != name:
            continue
        assert cls.VERSIONS[0] <= version <= cls.VERSIONS[1]
        entity = resolve_name(path)
        read, write = entity_reader(entity), entity_writer(entity)
        for _ in range(ROUNDS):
            message = arbitrary.message(cls, version)
            encoded = message.encode(version)
            theirs, size = read(encoded, 0)
            assert size == len(encoded)
            out = io.BytesIO()
            write(out, theirs)
            assert out.getvalue() == encoded, f"v{version} {message}"
            assert cls.decode(out.getvalue(), version) == message
