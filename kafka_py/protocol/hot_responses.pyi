"""Compiled writers of Produce and Fetch responses; hot_responses.pxd has the C side."""

from typing import final

from kafka_py.protocol.fetch import FetchResponse
from kafka_py.protocol.hot_requests import ProduceParser
from kafka_py.protocol.produce import ProduceResponse

__all__ = ("CachedResponses", "FetchWriter", "OutBuffer", "encode_produce_response")

@final
class OutBuffer:
    """A growing buffer for response frames; its views stay valid through `reset` and growth."""

    def reset(self) -> None: ...
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...

@final
class FetchWriter:
    """Writes fetch response frames, v4-18, into its buffer."""

    def __new__(cls, out: OutBuffer | None = None) -> FetchWriter: ...
    @property
    def out(self) -> OutBuffer: ...
    def encode(
        self, version: int, correlation_id: int, response: FetchResponse
    ) -> list[bytes | memoryview]: ...

@final
class CachedResponses:
    """Whole response frames by version; only the correlation id is changed on the way out."""

    def put(self, version: int, frame: bytes) -> None: ...
    def clear(self) -> None: ...
    def get(self, version: int, correlation_id: int) -> bytes | None: ...

def encode_produce_response(
    request: ProduceParser, response: ProduceResponse, correlation_id: int
) -> bytes: ...
