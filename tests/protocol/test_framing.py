"""Headers, frames, registry: which header version, what closes a connection, what is advertised."""

from __future__ import annotations

import struct

import pytest

from kafka_py.protocol.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kafka_py.protocol.errors import MalformedRequest, UnsupportedVersion
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.framing import (
    HEADER_BYTES_MAX,
    FrameSplitter,
    decode_header,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    frame_bytes,
)
from kafka_py.protocol.registry import API, Api, ApiKey, message_class


@pytest.mark.parametrize("api", list(API.values()), ids=lambda api: api.name)
def test_every_api_round_trips_through_frames(api: Api) -> None:
    for version in range(api.versions[0], api.versions[1] + 1):
        parts = encode_request(api.request(), version, 41, "me")
        frame = b"".join(parts)
        assert frame_bytes(frame) == len(frame) - 4
        head, body = decode_request(frame[4:])
        assert (head.api, head.version, head.correlation_id, head.client_id) == (
            api,
            version,
            41,
            "me",
        )
        assert head.version_known
        assert body == api.request()
        response = api.response()
        try:
            answer = b"".join(encode_response(api, version, 42, response))
        except UnsupportedVersion:
            continue  # a default that the version cannot carry
        assert decode_response(api, version, answer[4:]) == (42, response)


def test_header_versions() -> None:
    fetch, versions = API[ApiKey.FETCH], API[ApiKey.API_VERSIONS]
    assert [fetch.request_header_version(v) for v in (4, 11, 12, 18)] == [1, 1, 2, 2]
    assert [fetch.response_header_version(v) for v in (4, 11, 12, 18)] == [0, 0, 1, 1]
    assert [versions.request_header_version(v) for v in (0, 2, 3, 99)] == [1, 1, 2, 2]
    assert [versions.response_header_version(v) for v in (0, 3, 5)] == [0, 0, 0]
    handshake = API[ApiKey.SASL_HANDSHAKE]
    assert (handshake.request_header_version(1), handshake.response_header_version(1)) == (1, 0)


def test_what_kafka_advertises() -> None:
    assert API[ApiKey.PRODUCE].advertised == (0, 13)
    assert API[ApiKey.FETCH].advertised == (4, 18)
    assert API[ApiKey.INIT_PRODUCER_ID].versions == (0, 5)  # v6 is not stable
    assert API[ApiKey.INIT_PRODUCER_ID].request.VERSIONS == (0, 6)
    assert not {4, 5, 6, 7} & set(API)
    assert len(API) == 91
    assert API[ApiKey.VOTE].listeners == {"controller"}
    assert message_class("FetchResponse") is FetchResponse
    with pytest.raises(KeyError):
        message_class("Nothing")


def test_an_unknown_api_is_malformed() -> None:
    for key in (-1, 7, 999):
        with pytest.raises(MalformedRequest, match="API key"):
            decode_header(struct.pack(">hhih", key, 0, 1, -1))


def test_a_version_too_high_can_still_be_answered() -> None:
    frame = struct.pack(">hhih", ApiKey.API_VERSIONS, 99, 5, 2) + b"me\0" + b"whatever"
    head = decode_header(frame)
    assert (head.version, head.correlation_id, head.client_id) == (99, 5, "me")
    assert not head.version_known
    with pytest.raises(UnsupportedVersion):
        decode_request(frame)


def test_negative_versions_and_short_headers_are_malformed() -> None:
    with pytest.raises(MalformedRequest):
        decode_header(struct.pack(">hhih", ApiKey.FETCH, -1, 1, -1))
    whole = b"".join(encode_request(ApiVersionsRequest(), 3, 1, "client"))[4:]
    start = decode_header(whole).body_start
    for cut in range(start):
        with pytest.raises(MalformedRequest):
            decode_header(whole[:cut])


def test_a_header_has_a_limit_of_its_own() -> None:
    frame = b"".join(encode_request(FetchRequest(), 12, 1, "x" * HEADER_BYTES_MAX))[4:]
    with pytest.raises(MalformedRequest):
        decode_header(frame)


def test_bytes_left_over_are_malformed() -> None:
    frame = b"".join(encode_request(FetchRequest(), 12, 1, None))[4:]
    with pytest.raises(MalformedRequest, match="left over"):
        decode_request(frame + b"\0")
    api = API[ApiKey.API_VERSIONS]
    answer = b"".join(encode_response(api, 0, 1, ApiVersionsResponse()))[4:]
    with pytest.raises(MalformedRequest, match="left over"):
        decode_response(api, 0, answer + b"\0")


@pytest.mark.parametrize("size", [-1, -(2**31), 101])
def test_frame_lengths_have_bounds(size: int) -> None:
    with pytest.raises(MalformedRequest):
        frame_bytes(struct.pack(">i", size), 100)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 1000])
def test_frames_come_out_whatever_the_pieces(step: int) -> None:
    frames = [b"", b"a", b"bc" * 10, b"", b"d" * 99]
    stream = b"".join(struct.pack(">i", len(frame)) + frame for frame in frames)
    splitter = FrameSplitter(bytes_max=100)
    found = []
    for at in range(0, len(stream), step):
        found += splitter.feed(stream[at : at + step])
    assert found == frames
    assert splitter.held_bytes == 0


def test_a_splitter_holds_what_came_not_what_was_claimed() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(struct.pack(">i", 90 << 20) + b"abc") == []
    assert splitter.held_bytes == 7
    with pytest.raises(MalformedRequest):
        FrameSplitter(bytes_max=10).feed(struct.pack(">i", 11))


def test_records_stay_parts_of_a_response() -> None:
    records = memoryview(bytes(10))
    part = FetchResponse.PartitionData(records=records)
    response = FetchResponse(responses=[FetchResponse.FetchableTopicResponse(partitions=[part])])
    parts = encode_response(API[ApiKey.FETCH], 12, 1, response)
    assert any(part is records for part in parts)
    assert frame_bytes(parts[0]) == sum(map(len, parts)) - 4
