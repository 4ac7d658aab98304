"""What the build wrote out is what the generators make, and it is not used when it is older."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_py.metadata.features import METADATA_VERSION_LATEST, record_version
from kafka_py.protocol import decoding, encoding, prepare, prepared
from kafka_py.protocol.arbitrary import Arbitrary
from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.schema import Message, Record, constructor_source

VERSIONS = [
    pytest.param(cls, version, id=f"{cls.__name__}-{version}")
    for cls, versions in prepare.CODECS
    for version in versions
]


@pytest.fixture(scope="module")
def factories() -> dict[tuple[object, ...], Any]:
    """What a build of this tree writes, whether or not one was made."""
    names: dict[str, Any] = {}
    exec(compile(prepare.module_source(), "start_codecs.py", "exec"), names)
    assert names["SOURCES_CRC"] == prepared.sources_crc()
    made: dict[tuple[object, ...], Any] = names["FACTORIES"]
    return made


def outcome(decode: Any, data: bytes) -> Any:
    """What decoding leads to: message and end, or the error's text."""
    try:
        return decode(data, 0, len(data))
    except MalformedRequest as reason:
        return str(reason)


@pytest.mark.parametrize(("cls", "version"), VERSIONS)
def test_prepared_codecs_do_what_the_generated_ones_do(
    cls: type[Message], version: int, factories: Any
) -> None:
    key = (cls.__module__, cls.__qualname__, version)
    decode, encode = factories[(*key, "decoder")](cls), factories[(*key, "encoder")](cls)
    generated_decode = decoding.decoder(cls, version)
    generated_encode = encoding.encoder(cls, version)
    randomness = random.Random(7)
    arbitrary = Arbitrary(randomness)
    for _ in range(30):
        message = arbitrary.message(cls, version)
        parts, records = generated_encode(message)
        assert encode(message) == (parts, records)
        body = b"".join(parts)
        assert decode(body, 0, len(body)) == (message, len(body))
        at = randomness.randrange(len(body)) if body else 0
        for hurt in (body[:at], body[:at] + b"\xff\xff\xff\xff\x07" + body[at:]):
            assert outcome(decode, hurt) == outcome(generated_decode, hurt)


def test_prepared_constructors_do_what_the_generated_ones_do(factories: Any) -> None:
    for cls in prepare.CONSTRUCTED:
        for made in prepare.structs_of(cls):
            init = factories[(made.__module__, made.__qualname__)](cls)
            source, names = constructor_source(made)
            exec(source, names)
            prepared_one, generated = object.__new__(made), object.__new__(made)
            init(prepared_one)
            names["__init__"](generated)
            assert prepared_one == generated
            some = {f.name: f.new_default() for f in made.__fields__}
            init(prepared_one, **some)
            assert prepared_one == generated
            with pytest.raises(TypeError):
                init(prepared_one, no_such_field=1)


def test_records_are_prepared_as_the_latest_metadata_version_writes_them() -> None:
    for cls, versions in prepare.CODECS:
        if issubclass(cls, Record) and cls.__module__.endswith("records_metadata"):
            assert versions == (record_version(cls(), METADATA_VERSION_LATEST),)


def test_what_another_source_led_to_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def built(crc: int) -> Any:
        return SimpleNamespace(SOURCES_CRC=crc, FACTORIES={"some": "thing"})

    now = prepared.sources_crc()
    assert now is not None
    for crc, found in ((now, {"some": "thing"}), (now ^ 1, {})):
        monkeypatch.setattr("kafka_py.protocol.start_codecs", built(crc), raising=False)
        assert prepared.factories.__wrapped__() == found
    # Where only bytecode is installed, nothing can have changed.
    monkeypatch.setattr(prepared, "SOURCES", ("no_such_module",))
    assert prepared.factories.__wrapped__() == {"some": "thing"}


def test_bound_messages_need_no_compiler(factories: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise AssertionError("compiled")

    for name in ("decoding.decoder", "encoding.encoder", "schema.constructor_source"):
        monkeypatch.setattr(f"kafka_py.protocol.{name}", fails)
    for cls, _ in prepare.CODECS:
        monkeypatch.setattr(cls, "_decoders", {})
        monkeypatch.setattr(cls, "_encoders", {})
    monkeypatch.setattr(prepared, "factories", lambda: factories)
    prepared.bind()
    for cls, versions in prepare.CODECS:
        assert set(cls._decoders) == set(cls._encoders) == set(versions)
        for version in versions:
            assert cls.decode(cls().encode(version), version) == cls()


def test_the_sources_are_all_that_the_prepared_code_follows_from() -> None:
    used = {cls.__module__ for cls in prepare.CONSTRUCTED}
    assert used <= {f"kafka_py.protocol.{name}" for name in prepared.SOURCES}
