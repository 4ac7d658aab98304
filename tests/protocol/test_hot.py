"""The compiled Produce, Fetch and ApiVersions paths against the table codec, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_py.protocol import hot_requests, hot_responses
from kafka_py.protocol.api_versions import ApiVersionsResponse
from kafka_py.protocol.arbitrary import NO_CHOICE, Arbitrary, versions
from kafka_py.protocol.errors import MalformedRequest, UnsupportedVersion
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.framing import decode_header, encode_request, encode_response
from kafka_py.protocol.produce import ProduceRequest, ProduceResponse
from kafka_py.protocol.registry import API, ApiKey
from kafka_py.protocol.schema import Field, Message, Struct

ROUNDS = 60
PARSERS = [(ProduceRequest, hot_requests.ProduceParser), (FetchRequest, hot_requests.FetchParser)]
CASES = [(cls, parser, v) for cls, parser in PARSERS for v in versions(cls)]


def damaged(random_: random.Random, body: bytes) -> Iterator[bytes]:
    """Variants of a message: cut, lengthened, with bytes changed to telling values or replaced."""
    yield body[: random_.randrange(len(body) + 1)]
    yield body + random_.randbytes(1)
    for _ in range(6):
        changed = bytearray(body)
        for _ in range(random_.randrange(1, 4)):
            at = random_.randrange(len(changed))
            changed[at] = random_.choice((0, 1, 0x7F, 0x80, 0xFF, random_.randrange(256)))
        yield bytes(changed)


@pytest.mark.parametrize(("cls", "parser_class", "version"), CASES)
def test_parsers_read_what_the_table_reads(
    cls: type[Message], parser_class: Any, version: int
) -> None:
    chance = random.Random(version)
    arbitrary = Arbitrary(chance, unknown_tags=True)
    parser = parser_class()
    for _ in range(ROUNDS):
        body = arbitrary.message(cls, version).encode(version)
        parser.load(b"head" + body, version, 4)
        assert parser.message() == without_unknown_tags(cls.decode(body, version))


@pytest.mark.parametrize(("cls", "parser_class", "version"), CASES)
def test_parsers_refuse_what_the_table_refuses(
    cls: type[Message], parser_class: Any, version: int
) -> None:
    chance = random.Random(100 + version)
    arbitrary = Arbitrary(chance, unknown_tags=True)
    parser = parser_class()
    refused = 0
    for _ in range(ROUNDS):
        for body in damaged(chance, arbitrary.message(cls, version).encode(version)):
            try:
                expected = without_unknown_tags(cls.decode(body, version))
            except MalformedRequest:
                refused += 1
                with pytest.raises(MalformedRequest):
                    parser.load(body, version)
            else:
                parser.load(body, version)
                assert parser.message() == expected
    assert refused > ROUNDS


def without_unknown_tags(message: Any) -> Any:
    """The message with unknown tagged fields taken off, at every depth."""
    message.unknown_tags = None
    for f in type(message).__fields__:
        value = getattr(message, f.name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Struct):
                without_unknown_tags(item)
    return message


@pytest.mark.parametrize("parser_class", [hot_requests.ProduceParser, hot_requests.FetchParser])
def test_parsers_refuse_versions_that_do_not_exist(parser_class: Any) -> None:
    for version in (-1, 2, 99):
        with pytest.raises(UnsupportedVersion):
            parser_class().load(b"", version)


def no_tagged_defaults(struct: type[Struct], f: Field) -> Any:
    """Produce's record errors are the one thing that the compiled writer leaves to the table."""
    return [] if f.name == "record_errors" else NO_CHOICE


@pytest.mark.parametrize("version", versions(ProduceResponse))
def test_produce_responses_are_the_tables(version: int) -> None:
    arbitrary = Arbitrary(random.Random(200 + version), choose=no_tagged_defaults)
    parser = hot_requests.ProduceParser()
    for number in range(ROUNDS):
        response = arbitrary.message(ProduceResponse, version)
        request = ProduceRequest(
            topic_data=[
                ProduceRequest.TopicProduceData(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partition_data=[
                        ProduceRequest.PartitionProduceData(index=part.index)
                        for part in topic.partition_responses
                    ],
                )
                for topic in response.responses
            ]
        )
        parser.load(request.encode(version), version)
        expected = b"".join(encode_response(API[ApiKey.PRODUCE], version, number, response))
        assert hot_responses.encode_produce_response(parser, response, number) == expected


def test_a_produce_response_answers_its_request() -> None:
    parser = hot_requests.ProduceParser()
    parser.load(ProduceRequest().encode(9), 9)
    row = ProduceResponse.TopicProduceResponse(
        partition_responses=[ProduceResponse.PartitionProduceResponse()]
    )
    with pytest.raises(ValueError, match="not the request's"):
        hot_responses.encode_produce_response(parser, ProduceResponse(responses=[row]), 1)


@pytest.mark.parametrize("version", versions(FetchResponse))
def test_fetch_responses_are_the_tables(version: int) -> None:
    arbitrary = Arbitrary(random.Random(300 + version))
    writer = hot_responses.FetchWriter()
    for number in range(ROUNDS):
        response = arbitrary.message(FetchResponse, version)
        expected = b"".join(encode_response(API[ApiKey.FETCH], version, number, response))
        parts = writer.encode(version, number, response)
        assert b"".join(parts) == expected


def test_records_are_not_copied_into_a_fetch_response() -> None:
    records = memoryview(bytes(100))
    response = FetchResponse(
        responses=[
            FetchResponse.FetchableTopicResponse(
                topic="t", partitions=[FetchResponse.PartitionData(records=records)]
            )
        ]
    )
    assert any(part is records for part in hot_responses.FetchWriter().encode(12, 1, response))


def test_a_reply_in_flight_survives_the_next() -> None:
    """A view of the buffer keeps its bytes while the buffer is cleared, grown and filled again."""
    writer = hot_responses.FetchWriter()
    first = writer.encode(12, 1, FetchResponse())
    kept = b"".join(first)
    big = FetchResponse(
        responses=[FetchResponse.FetchableTopicResponse(topic="x" * 2000) for _ in range(50)]
    )
    second = writer.encode(12, 2, big)
    assert b"".join(first) == kept
    assert len(b"".join(second)) > 100_000
    del first, second
    assert b"".join(writer.encode(12, 1, FetchResponse())) == kept


@pytest.mark.parametrize("api", list(API.values()), ids=lambda api: api.name)
def test_request_heads_are_the_tables(api: Any) -> None:
    chance = random.Random(api.key)
    for version in versions(api.request):
        for client_id in (None, "", "me", "Ä" * 40):
            frame = b"".join(encode_request(api.request(), version, -5, client_id))[4:]
            head = decode_header(frame)
            expected = (api.key, version, -5, client_id, head.body_start)
            assert hot_requests.request_head(frame) == expected
            for body in damaged(chance, frame[: head.body_start]):
                try:
                    found = decode_header(body)
                except MalformedRequest:
                    with pytest.raises(MalformedRequest):
                        hot_requests.request_head(body)
                else:
                    assert hot_requests.request_head(body)[3:] == (
                        found.client_id,
                        found.body_start,
                    )


def test_a_header_has_at_most_four_kibibytes() -> None:
    frame = b"".join(encode_request(FetchRequest(), 12, 1, "x" * 5000))[4:]
    for parse in (decode_header, hot_requests.request_head):
        with pytest.raises(MalformedRequest):
            parse(frame)


@pytest.mark.parametrize(
    "damage",
    [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf0\x8f\xbf\xbf"],
)
def test_names_must_be_utf8(damage: bytes) -> None:
    body = FetchRequest(rack_id="x" * len(damage)).encode(12)
    hurt = body.replace(b"x" * len(damage), damage)
    for decode in (FetchRequest.decode, lambda data, v: hot_requests.FetchParser().load(data, v)):
        with pytest.raises(MalformedRequest, match="UTF-8"):
            decode(hurt, 12)


def test_cached_responses_change_only_the_correlation_id() -> None:
    cache = hot_responses.CachedResponses()
    api = API[ApiKey.API_VERSIONS]
    for version in (0, 3):
        cache.put(version, b"".join(encode_response(api, version, 0, ApiVersionsResponse())))
    for version in (0, 3):
        expected = b"".join(encode_response(api, version, 77, ApiVersionsResponse()))
        assert cache.get(version, 77) == expected
    assert cache.get(1, 77) is None
    with pytest.raises(ValueError, match="not a response frame"):
        cache.put(1, b"1234567890")
