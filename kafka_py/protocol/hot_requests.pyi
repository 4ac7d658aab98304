"""Compiled parsers of Produce and Fetch requests; hot_requests.pxd has the C side."""

from typing import final

from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.produce import ProduceRequest
from kafka_py.protocol.schema import Buffer

__all__ = ("FetchParser", "ProduceParser", "request_head")

@final
class ProduceParser:
    """A produce request, v3-13; reusable. Keeps the frame that it loaded alive."""

    def load(self, frame: Buffer, version: int, begin: int = 0) -> None: ...
    def message(self) -> ProduceRequest: ...

@final
class FetchParser:
    """A fetch request, v4-18; reusable. Keeps the frame that it loaded alive."""

    def load(self, frame: Buffer, version: int, begin: int = 0) -> None: ...
    def message(self) -> FetchRequest: ...

def request_head(frame: Buffer) -> tuple[int, int, int, str | None, int]: ...
