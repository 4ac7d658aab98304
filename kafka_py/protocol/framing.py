"""From frames to requests and from responses to frames, without doing input or output.

A frame is a 32-bit length and that many bytes: header, then body. The header's version follows from
the API and version that it begins with. ApiVersions is the exception: its response always has
header v0, so that a client that asked for too high a version can read the answer.
"""

from __future__ import annotations

from struct import Struct as Packing
from struct import pack
from typing import NamedTuple

from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.headers import RequestHeader, ResponseHeader
from kafka_py.protocol.registry import API, Api, ApiKey
from kafka_py.protocol.schema import Buffer, Message, Request, Response

FRAME_BYTES_MAX = 100 * 1024 * 1024
"""Largest frame by default (Kafka's socket.request.max.bytes)."""
HEADER_BYTES_MAX = 4096
"""Largest request header: the client id and tagged fields are all that can grow."""

_FIXED = Packing(">hhi")

for _version in (1, 2):
    RequestHeader.prepare(_version)
    ResponseHeader.prepare(_version - 1)


class RequestFrame(NamedTuple):
    """A request's header, and where in the frame the body begins.

    `version_known`: the tables can decode the body. Where it is false, only ApiVersions is answered
    (with v0 and UNSUPPORTED_VERSION, KIP-511); for any other API the connection is closed.
    """

    api: Api
    version: int
    correlation_id: int
    client_id: str | None
    body_start: int

    @property
    def version_known(self) -> bool:
        """Whether the tables have this version."""
        first, last = self.api.request.VERSIONS
        return first <= self.version <= last


def frame_bytes(prefix: Buffer, bytes_max: int = FRAME_BYTES_MAX) -> int:
    """The length in a frame's first four bytes; MalformedRequest when it is negative or above the
    limit."""
    size = int.from_bytes(prefix[:4], "big", signed=True)
    if size < 0 or size > bytes_max:
        raise MalformedRequest(f"a frame of {size} bytes (limit {bytes_max})")
    return size


def decode_header(frame: bytes | memoryview) -> RequestFrame:
    """The header of a request frame (without its length prefix).

    Raises MalformedRequest for an API key that Kafka 4 does not have, and for damage.
    """
    if len(frame) < _FIXED.size:
        raise MalformedRequest("a frame is shorter than a request header")
    key, version, correlation_id = _FIXED.unpack_from(frame, 0)
    try:
        api = API[ApiKey(key)]
    except ValueError:
        raise MalformedRequest(f"API key {key} is unknown") from None
    if version < 0:
        raise MalformedRequest(f"{api.name} has no version {version}")
    head = frame[:HEADER_BYTES_MAX]
    try:
        header, start = RequestHeader.decode_from(head, 0, api.request_header_version(version))
    except MalformedRequest as reason:
        if len(frame) > HEADER_BYTES_MAX:
            reason.add_note(f"a request header has at most {HEADER_BYTES_MAX} bytes")
        raise
    return RequestFrame(api, version, correlation_id, header.client_id, start)


def decode_request(frame: bytes | memoryview) -> tuple[RequestFrame, Request]:
    """Header and body of a request frame; raises MalformedRequest, or UnsupportedVersion for its
    version."""
    head = decode_header(frame)
    body, end = head.api.request.decode_from(frame, head.body_start, head.version)
    _complete(body, end, len(frame))
    return head, body


def encode_response(
    api: Api, version: int, correlation_id: int, response: Response
) -> list[bytes | memoryview]:
    """A whole response frame, length prefix first, as parts; record fields are never copied."""
    header = ResponseHeader(correlation_id=correlation_id)
    return _framed(header.encode(api.response_header_version(version)), response, version)


def encode_request(
    request: Request, version: int, correlation_id: int, client_id: str | None
) -> list[bytes | memoryview]:
    """A whole request frame, length prefix first, as parts."""
    api = API[ApiKey(request.KEY or 0)]
    header = RequestHeader(
        request_api_key=api.key,
        request_api_version=version,
        correlation_id=correlation_id,
        client_id=client_id,
    )
    return _framed(header.encode(api.request_header_version(version)), request, version)


def decode_response(api: Api, version: int, frame: bytes | memoryview) -> tuple[int, Response]:
    """Correlation id and body of a response frame (without its length prefix); raises
    MalformedRequest."""
    header, start = ResponseHeader.decode_from(frame, 0, api.response_header_version(version))
    body, end = api.response.decode_from(frame, start, version)
    _complete(body, end, len(frame))
    return header.correlation_id, body


def _framed(header: bytes, message: Message, version: int) -> list[bytes | memoryview]:
    parts = message.encode_parts(version)
    size = len(header) + sum(len(part) for part in parts)
    parts[0] = b"".join((pack(">i", size), header, parts[0]))
    return parts


def _complete(message: Message, end: int, size: int) -> None:
    if end != size:
        raise MalformedRequest(f"{type(message).__name__}: {size - end} bytes left over")


class FrameSplitter:
    """Cuts a byte stream into frames. Holds no more than what was fed, whatever a prefix claims."""

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self._held = bytearray()

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """The frames (without their prefixes) that are complete now; MalformedRequest for a bad
        length."""
        self._held += data
        frames = []
        start = 0
        while len(self._held) - start >= 4:
            size = frame_bytes(self._held[start : start + 4], self.bytes_max)
            end = start + 4 + size
            if len(self._held) < end:
                break
            frames.append(bytes(memoryview(self._held)[start + 4 : end]))
            start = end
        del self._held[:start]
        return frames

    @property
    def held_bytes(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._held)
