"""Request and response headers; `framing` picks their versions."""

from __future__ import annotations

from kafka_py.protocol.schema import Blob, field
from kafka_py.protocol.types import int16, int32


class RequestHeader(Blob, versions=(1, 2), flexible=2):
    """What precedes every request. Its client id keeps the old string encoding even in v2."""

    request_api_key: int16 = 0
    request_api_version: int16 = 0
    correlation_id: int32 = 0
    client_id: str | None = field(compact=False)


class ResponseHeader(Blob, versions=(0, 1), flexible=1):
    """What precedes every response."""

    correlation_id: int32 = 0
