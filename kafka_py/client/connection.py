"""One connection to a broker: requests out, replies in, each reply to its request.

The first request is ApiVersions; all others go out in the highest version that both sides know.
Requests may be sent ahead of replies; a broker answers one connection's requests in order, so
whatever waits on the broker (a fetch, a join) wants a connection of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Final, TypeVar, cast

from kafka_py.client.errors import Disconnected, NotReachable, NotSupported, TimedOut
from kafka_py.protocol.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kafka_py.protocol.errors import ErrorCode, MalformedRequest, UnsupportedVersion
from kafka_py.protocol.framing import FrameSplitter, decode_response, encode_request
from kafka_py.protocol.registry import API, Api, ApiKey
from kafka_py.protocol.schema import Range, Request, Response

R = TypeVar("R", bound=Response)

API_VERSIONS_FIRST: Final = 4
"""The version to ask in; a broker that lacks it says so, in version 0, with its own range."""
FRAME_BYTES_MAX: Final = 0x7FFFFFFF
SOFTWARE: Final = "kafka-py"


class Connection(asyncio.Protocol):
    """One connection; made by `open_connection`. Closed for good when it fails."""

    def __init__(self, address: str, client_id: str, request_timeout_ms: int) -> None:
        self.address = address
        self.client_id = client_id
        self.request_timeout_ms = request_timeout_ms
        self.versions: dict[int, Range] = {}
        self._splitter = FrameSplitter(FRAME_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, tuple[Api, int, asyncio.Future[Response]]] = {}
        self._next_correlation_id = 0
        self._closed: Exception | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closed is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            for frame in self._splitter.feed(data):
                self._answer(frame)
        except MalformedRequest as reason:
            self._fail(Disconnected(f"{self.address} does not speak Kafka's protocol: {reason}"))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        why = f" ({error})" if error is not None else ""
        self._fail(Disconnected(f"{self.address} closed the connection{why}"))

    def close(self) -> None:
        """Close it; calls that wait for a reply raise `Disconnected`."""
        self._fail(Disconnected(f"the connection to {self.address} was closed"))

    def knows(self, key: ApiKey, version: int = 0) -> bool:
        """Whether the broker serves an API in this version or a later one."""
        return key in self.versions and self.versions[key][1] >= version

    def version_for(self, key: ApiKey, *, lowest: int = 0, highest: int = 0x7FFF) -> int:
        """The highest version that both know, within bounds. Raises `NotSupported`."""
        api = API[key]
        first, last = self.versions.get(key, (0, -1))
        version = min(last, api.versions[1], highest)
        if version < max(first, api.versions[0], lowest):
            theirs = f"has versions {first}-{last} of it" if last >= 0 else "does not serve it"
            raise NotSupported(f"{api.name} cannot be asked: {self.address} {theirs}")
        return version

    async def call(
        self,
        request: Request,
        answer: type[R],
        *,
        lowest: int = 0,
        highest: int = 0x7FFF,
        timeout_ms: int | None = None,
    ) -> R:
        """Send a request and wait for its reply.

        Raises `Disconnected`, `TimedOut` (which closes the connection), and `NotSupported` where
        the broker lacks the API, a version within bounds, or a field that is set.
        """
        version = self.version_for(ApiKey(request.KEY or 0), lowest=lowest, highest=highest)
        return await self._call(request, answer, version, timeout_ms)

    async def negotiate(self, software_version: str) -> None:
        """Learn the broker's versions. Raises like `call`."""
        version = API_VERSIONS_FIRST
        for _ in range(2):
            request = ApiVersionsRequest(
                client_software_name=SOFTWARE, client_software_version=software_version
            )
            reply = await self._call(request, ApiVersionsResponse, version, None)
            self.versions = {
                row.api_key: (row.min_version, row.max_version) for row in reply.api_keys
            }
            if reply.error_code != ErrorCode.UNSUPPORTED_VERSION:
                return
            version = min(self.versions.get(ApiKey.API_VERSIONS, (0, 0))[1], API_VERSIONS_FIRST)
        raise NotSupported(f"{self.address} answers ApiVersions with an error")

    async def _call(
        self, request: Request, answer: type[R], version: int, timeout_ms: int | None
    ) -> R:
        if self._closed is not None or self._transport is None:
            raise Disconnected(str(self._closed))
        api = API[ApiKey(request.KEY or 0)]
        correlation_id = self._next_correlation_id
        self._next_correlation_id = (correlation_id + 1) & 0x7FFFFFFF
        try:
            frame = encode_request(request, version, correlation_id, self.client_id)
        except UnsupportedVersion as reason:
            raise NotSupported(
                f"{self.address} is too old for this: {api.name} version {version}: {reason}"
            ) from None
        reply: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = (api, version, reply)
        self._transport.writelines(frame)
        limit_ms = self.request_timeout_ms if timeout_ms is None else timeout_ms
        try:
            async with asyncio.timeout(limit_ms / 1000):
                response = await reply
        except TimeoutError:
            error = TimedOut(f"{self.address} gave no answer to {api.name} within {limit_ms} ms")
            self._fail(Disconnected(str(error)))
            raise error from None
        finally:
            if not reply.done():
                reply.cancel()
        assert isinstance(response, answer)
        return response

    def _answer(self, frame: bytes) -> None:
        correlation_id = int.from_bytes(frame[:4], "big", signed=True)
        waiting = self._waiting.pop(correlation_id, None)
        if waiting is None:
            raise MalformedRequest(f"a reply to request {correlation_id}, which was not sent")
        api, version, reply = waiting
        # A call that was cancelled has nobody who waits; its reply is still due on the wire.
        if reply.done():
            return
        try:
            reply.set_result(decode_response(api, version, frame)[1])
        except MalformedRequest as reason:
            reply.set_exception(Disconnected(f"{self.address}: a {api.name} reply: {reason}"))
            raise

    def _fail(self, error: Exception) -> None:
        if self._closed is None:
            self._closed = error
            if self._transport is not None:
                self._transport.abort()
        waiting, self._waiting = self._waiting, {}
        for _, _, reply in waiting.values():
            if not reply.done():
                reply.set_exception(Disconnected(str(error)))


async def open_connection(
    host: str,
    port: int,
    *,
    client_id: str,
    software_version: str,
    connect_timeout_ms: int,
    request_timeout_ms: int,
) -> Connection:
    """Connect and negotiate versions. Raises `NotReachable`, `Disconnected`, `NotSupported`."""
    shown = f"[{host}]" if ":" in host else host
    address = f"{shown}:{port}"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(connect_timeout_ms / 1000):
            _, connection = await loop.create_connection(
                lambda: Connection(address, client_id, request_timeout_ms), host, port
            )
    except TimeoutError:
        raise NotReachable([address], f"no answer within {connect_timeout_ms} ms") from None
    except socket.gaierror:
        raise NotReachable([address], f"the name {host} is not known") from None
    except OSError as error:
        raise NotReachable([address], connect_failure(error)) from None
    try:
        await connection.negotiate(software_version)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_failure(error: OSError) -> str:
    """Why a connection was not made, without address and number."""
    if error.errno is not None:
        return os.strerror(error.errno)
    return "connection refused" if "refused" in str(error).lower() else str(error)
