"""The table language and its codecs: versions, defaults, tags, nulls, limits, text forms."""

from __future__ import annotations

import importlib
import linecache
import random
import tracemalloc

import pytest

from kafka_py.protocol import codegen
from kafka_py.protocol.arbitrary import Arbitrary, versions
from kafka_py.protocol.errors import EncodeError, MalformedRequest, UnsupportedVersion
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.metadata import MetadataRequest
from kafka_py.protocol.produce import ProduceRequest
from kafka_py.protocol.registry import API, MODULES, ApiKey, all_messages
from kafka_py.protocol.sasl import SaslAuthenticateRequest
from kafka_py.protocol.schema import Blob, Message, Request, Struct, field, version_range
from kafka_py.protocol.types import (
    ZERO_UUID,
    int16,
    int32,
    int64,
    uuid,
    uuid_from_text,
    uuid_to_text,
)

MESSAGES = all_messages()


class Sample(Blob, versions=(0, 3), flexible=2):
    """Every feature of the language."""

    class Inner(Struct):
        number: int32 = 7
        late: int16 = field("3+", -1)

    class Outer(Struct):
        inner: Sample.Inner = field()
        inners: list[Sample.Inner] = []

    flag: bool = False
    text: str | None = field("0+", "", nullable="1+")
    ratio: int64 = field("0-1", ignorable=True)
    limit: int32 = field("1+", 9)
    outers: list[Outer] | None = field("0+", nullable="2+")
    maybe: Inner | None = field("3+", None)
    tagged_id: uuid = field("2+", tag=1)
    tagged_text: str | None = field("3+", None, tag=0)


def sample() -> Sample:
    return Sample(flag=True, text="é", outers=[Sample.Outer(inners=[Sample.Inner(number=1)])])


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_a_message_is_what_its_encoding_decodes_to(cls: type[Message]) -> None:
    arbitrary = Arbitrary(random.Random(cls.__name__), unknown_tags=True)
    for version in versions(cls):
        for _ in range(4):
            message = arbitrary.message(cls, version)
            encoded = message.encode(version)
            assert cls.decode(encoded, version) == message
            assert cls.decode(memoryview(encoded), version) == message
            assert b"".join(message.encode_parts(version)) == encoded
            assert cls.from_dict(message.to_dict(reveal=True)) == message


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_any_bytes_are_a_message_or_refused(cls: type[Message]) -> None:
    chance = random.Random(cls.__name__)
    arbitrary = Arbitrary(chance, unknown_tags=True)
    for version in versions(cls):
        body = arbitrary.message(cls, version).encode(version)
        for cut in range(len(body)):
            if cut % 7 == 0 or len(body) < 60:
                with pytest.raises(MalformedRequest):
                    cls.decode(body[:cut], version)
        with pytest.raises(MalformedRequest, match="left over"):
            cls.decode(body + b"\0", version)
        for _ in range(8):
            changed = bytearray(body or b"\0")
            at = chance.randrange(len(changed))
            changed[at : at + 4] = chance.randbytes(4)
            try:
                cls.decode(bytes(changed), version)
            except MalformedRequest:
                continue


def test_layout_of_each_version() -> None:
    inner_v0, inner_v3 = b"\0\0\0\x07", b"\0\0\0\x07\xff\xff\0"
    assert sample().encode(0) == b"".join(
        (b"\x01\0\x02\xc3\xa9", bytes(8), b"\0\0\0\x01", inner_v0, b"\0\0\0\x01", b"\0\0\0\x01")
    )
    expected = b"".join((b"\x01\x03\xc3\xa9", b"\0\0\0\x09\x02", inner_v3, b"\x02"))
    assert sample().encode(3) == expected + b"\0\0\0\x01\xff\xff\0\0\xff\0"


def test_tagged_fields_are_written_in_order_and_only_when_set() -> None:
    message = Sample(tagged_id=b"i" * 16, tagged_text="t")
    message.unknown_tags = {9: b"nine"}
    tail = b"\x03\x00\x02\x02t\x01\x10" + b"i" * 16 + b"\x09\x04nine"
    assert message.encode(3).endswith(tail)
    assert Sample.decode(message.encode(3), 3) == message
    with pytest.raises(EncodeError, match="twice"):
        _twice().encode(3)


def _twice() -> Sample:
    message = Sample(tagged_text="t")
    message.unknown_tags = {0: b""}
    return message


def test_fields_that_a_version_lacks() -> None:
    assert Sample(ratio=5).encode(2) == Sample().encode(2)
    for message, version in (
        (Sample(limit=1), 0),
        (Sample(maybe=Sample.Inner()), 2),
        (Sample(tagged_id=b"i" * 16), 1),
        (_twice(), 1),
    ):
        with pytest.raises(UnsupportedVersion):
            message.encode(version)


def test_versions_outside_the_table_are_refused() -> None:
    for version in (-1, 4):
        with pytest.raises(UnsupportedVersion):
            Sample().encode(version)
        with pytest.raises(UnsupportedVersion):
            Sample.decode(b"", version)


def test_nulls_only_where_the_version_allows_them() -> None:
    assert Sample.decode(Sample(text=None).encode(1), 1).text is None
    assert Sample.decode(Sample(outers=None).encode(2), 2).outers is None
    for message, version in ((Sample(text=None), 0), (Sample(outers=None), 1)):
        with pytest.raises(EncodeError):
            message.encode(version)
    with pytest.raises(MalformedRequest, match="length of -1"):
        Sample.decode(b"\0\xff\xff" + bytes(12), 0)


@pytest.mark.parametrize(
    "message",
    [
        Sample(limit=1 << 31),
        Sample(text="x" * 32768),
        Sample(tagged_id=b"short"),
        Sample(outers=[None]),  # type: ignore[list-item]
        Sample(flag=True, outers=5),  # type: ignore[arg-type]
    ],
)
def test_values_that_do_not_fit_are_refused(message: Sample) -> None:
    with pytest.raises(EncodeError):
        message.encode(3)


def test_constructor_and_attributes() -> None:
    first, second = Sample(), Sample()
    assert first == second
    assert first != Sample(limit=10)
    assert first.outers is not second.outers
    with pytest.raises(TypeError):
        Sample(True)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Sample(flog=True)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        first.flog = True  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        hash(first)


def test_repr_and_dict() -> None:
    assert repr(Sample()) == "Sample()"
    assert repr(Sample(limit=1, tagged_id=ZERO_UUID)) == "Sample(limit=1)"
    plain = sample().to_dict()
    assert plain["tagged_id"] == "A" * 22
    assert plain["outers"][0]["inners"] == [{"number": 1, "late": -1}]
    with pytest.raises(ValueError, match="no field flog"):
        Sample.from_dict({"flog": 1})


def test_secrets_are_hidden() -> None:
    message = SaslAuthenticateRequest(auth_bytes=b"\0user\0hunter2")
    assert "hunter2" not in repr(message)
    assert message.to_dict() == {"auth_bytes": "(hidden)"}
    assert bytes.fromhex(message.to_dict(reveal=True)["auth_bytes"]) == b"\0user\0hunter2"


def test_records_are_views_and_never_copied() -> None:
    records = memoryview(b"r" * 100)
    part = ProduceRequest.PartitionProduceData(index=3, records=records)
    request = ProduceRequest(topic_data=[ProduceRequest.TopicProduceData(partition_data=[part])])
    parts = request.encode_parts(9)
    assert sum(part is records for part in parts) == 1
    frame = bytearray(b"".join(parts))
    decoded = ProduceRequest.decode(frame, 9).topic_data[0].partition_data[0].records
    assert isinstance(decoded, memoryview)
    frame[frame.index(b"r") + 99] = ord("x")
    assert decoded[99] == ord("x")


@pytest.mark.parametrize(("text", "bounds"), [("3+", (3, 32767)), ("0-12", (0, 12)), ("2", (2, 2))])
def test_version_ranges(text: str, bounds: tuple[int, int]) -> None:
    assert version_range(text) == bounds


@pytest.mark.parametrize("value", [0, 1, 127, 128, 1023, 1024, 16383, 16384, 0xFFFFFFFF])
def test_uvarints(value: int) -> None:
    encoded = codegen.uvarint_bytes(value)
    assert len(encoded) == max(1, -(-value.bit_length() // 7))
    if value > 127:
        assert codegen.uvarint_rest(encoded, 1, encoded[0]) == (value, len(encoded))


@pytest.mark.parametrize(
    "encoded", [b"\xff" * 6, b"\x80\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\x7f"]
)
def test_uvarints_beyond_32_bits_are_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedRequest, match="varint"):
        codegen.uvarint_rest(encoded, 1, encoded[0])


class Wide(Blob, versions=(0, 1), flexible=1):
    """Counts of small things."""

    flags: list[bool] = []
    texts: list[str] = []


def test_limits_have_names() -> None:
    count = codegen.ELEMENTS_MAX + 1
    with pytest.raises(MalformedRequest, match="more elements"):
        Wide.decode(count.to_bytes(4, "big") + bytes(count + 8), 0)
    tags = bytes((codegen.TAGS_MAX + 1,))
    many = b"".join(bytes((number, 0)) for number in range(codegen.TAGS_MAX + 1))
    with pytest.raises(MalformedRequest, match="too many tagged"):
        Wide.decode(b"\x01\x01" + tags + many, 1)
    with pytest.raises(MalformedRequest, match="out of order"):
        Wide.decode(b"\x01\x01\x02\x05\x00\x05\x00", 1)
    with pytest.raises(MalformedRequest, match="longer than it may"):
        Wide.decode(b"\x01\x02" + codegen.uvarint_bytes(32769) + b"x" * 32768 + b"\0", 1)


@pytest.mark.parametrize(
    "cls", [FetchRequest, FetchResponse, MetadataRequest, ProduceRequest, Wide]
)
def test_a_claim_allocates_nothing(cls: type[Message]) -> None:
    """Wherever a count or length stands, a huge one costs no more than the bytes that came."""
    arbitrary = Arbitrary(random.Random(3))
    for version in versions(cls):
        body = arbitrary.message(cls, version).encode(version)
        cls.decode(body, version)  # compiles the decoder, which is not to be counted
        for value in (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07"):
            for at in range(min(len(body), 80)):
                hurt = body[:at] + value + body[at + len(value) :]
                tracemalloc.start()
                try:
                    cls.decode(hurt, version)
                except MalformedRequest:
                    pass
                finally:
                    _, peak = tracemalloc.get_traced_memory()
                    tracemalloc.stop()
                assert peak < 64 * len(hurt) + (256 << 10), (version, at)


def test_generated_lines_show_in_tracebacks() -> None:
    Sample().encode(3)
    names = [name for name in linecache.cache if "Sample v3 encoder" in name]
    assert names
    assert any("message.text" in line for line in linecache.getlines(names[0]))


def test_uuid_text() -> None:
    for value in (ZERO_UUID, bytes(range(16)), b"\xff" * 16):
        assert uuid_from_text(uuid_to_text(value)) == value
    assert uuid_to_text(b"\xff" * 16) == "_____________________w"
    for text in ("", "A" * 21, "A" * 23, "*" * 22):
        with pytest.raises(ValueError):
            uuid_from_text(text)
    with pytest.raises(ValueError):
        uuid_to_text(b"")


def test_the_registry_knows_where_every_api_is() -> None:
    tables = {
        module: sorted(
            value.KEY
            for value in vars(importlib.import_module(f"kafka_py.protocol.{module}")).values()
            if isinstance(value, type) and issubclass(value, Request) and value.KEY is not None
        )
        for module in MODULES
    }
    assert tables == {module: sorted(keys) for module, keys in MODULES.items()}
    assert sorted(key for keys in MODULES.values() for key in keys) == sorted(ApiKey)
    assert list(API) == [api.key for api in API.values()] == list(ApiKey)
    assert 4 not in API
    with pytest.raises(KeyError):
        API[4]  # type: ignore[index]
