"""Which function answers which request: the table that ApiVersions is made from.

A handler is registered by ``@handles(ApiKey.METADATA)`` and called as ``handler(node, context,
request)``. It returns the response message, or an awaitable of it, or ``None`` for a request that
has no reply (Produce with acks=0). A request whose key or version is not in the table closes the
connection, as Kafka does; so does a handler that raises: errors that a client should see belong
into the response.

The compiled Produce and Fetch paths live in :mod:`kafka_py.server.connection`; whatever they
decline comes here.
"""

import importlib
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.api_versions import ApiVersionsResponse
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import API, Api, ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.refusals import refuse
from kcore.values import frozen, mutable

if TYPE_CHECKING:
    from kafka_py.server.node import Node

__all__ = [
    "BROKER",
    "CONTROLLER",
    "CloseConnection",
    "Handler",
    "RequestContext",
    "Route",
    "advertised",
    "dispatch",
    "encode_response",
    "handles",
    "load_handlers",
    "route",
    "unsupported_api_versions",
]

BROKER: Final = "broker"
CONTROLLER: Final = "controller"

Handler = Callable[["Node", "RequestContext", Any], Any]
Parts = list[bytes | memoryview]


class CloseConnection(Exception):
    """Raised by a handler whose only right answer is to close the connection.

    A failed produce with acks=0 is one.
    """


@mutable
class RequestContext:
    """Where a request came from; ``listener`` is a name, ``role`` is BROKER or CONTROLLER."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    listener: str
    client_host: str
    principal: str
    now_ms: int
    role: str = BROKER
    connection: Any = None
    request_bytes: int = 0
    #: Of a CreateTopics: the topics whose configs the caller may see; None for all.
    describable_topics: frozenset[str] | None = None
    #: Of a Fetch: the session that has taken it already (its epoch, what it adds and forgets).
    fetch_session: Any = None


@frozen
class Route:
    """One row of the table: the handler of an API on one kind of listener, and its versions.

    `cluster`: what must be allowed on the cluster for the handler to be called at all.
    """

    api: Api
    handler: Handler
    lowest: int
    highest: int
    advertised_lowest: int
    cluster: Operation | None = None

    @property
    def key(self) -> int:
        """The wire's api key."""
        return int(self.api.key)


_ROUTES: dict[str, dict[int, Route]] = {BROKER: {}, CONTROLLER: {}}


def handles(
    key: ApiKey,
    *,
    versions: tuple[int, int] | None = None,
    on: tuple[str, ...] = (BROKER,),
    advertised_lowest: int | None = None,
    cluster: Operation | None = None,
) -> Callable[[Handler], Handler]:
    """Register the decorated function for ``key`` on the listeners ``on``.

    ``versions`` narrows the schema's own range (inclusive) to what the handler really does;
    ``advertised_lowest`` is for Produce alone, whose versions 0-2 are advertised for librdkafka's
    sake and refused (KAFKA-18659). ``cluster`` is the operation that a caller must be allowed on
    the cluster: others get CLUSTER_AUTHORIZATION_FAILED for the whole request. What an API asks of
    single topics, groups or transactional ids, its handler checks (`kafka_py.server.access`).
    """

    def register(handler: Handler) -> Handler:
        api = API[key]
        lowest, highest = versions or api.versions
        made = Route(
            api,
            handler,
            lowest,
            highest,
            lowest if advertised_lowest is None else advertised_lowest,
            cluster,
        )
        for role in on:
            assert key not in _ROUTES[role], f"two handlers for {api.name} on the {role} listener"
            _ROUTES[role][int(key)] = made
        return handler

    return register


def load_handlers() -> None:
    """Import every module of :mod:`kafka_py.server.handlers`, which need this one first."""
    importlib.import_module("kafka_py.server.handlers")


def route(role: str, key: int, version: int) -> Route | None:
    """The row for a request, or None when the listener does not have this key in this version."""
    found = _ROUTES[role].get(key)
    if found is None or not found.lowest <= version <= found.highest:
        return None
    return found


def advertised(role: str) -> list[tuple[int, int, int]]:
    """What ApiVersions says on this kind of listener: (api key, lowest, highest), by key."""
    return [(key, row.advertised_lowest, row.highest) for key, row in sorted(_ROUTES[role].items())]


_HEADER: Final = struct.Struct(">ii")


def encode_response(
    row: Route, version: int, correlation_id: int, response: Any
) -> list[bytes | memoryview]:
    """A response as the parts of one frame: length, header, body.

    Records stay the memoryviews that they were.
    """
    parts: list[bytes | memoryview] = response.encode_parts(version)
    flexible = row.api.response_header_version(version) >= 1
    length = 4 + flexible + sum(len(part) for part in parts)
    head = _HEADER.pack(length, correlation_id)
    return [head + b"\0" if flexible else head, *parts]


def unsupported_api_versions(context: RequestContext) -> list[bytes | memoryview]:
    """The version 0 answer to ApiVersions of an unknown version (KIP-511).

    It says the error, and which versions of ApiVersions there are.
    """
    versions = [
        ApiVersionsResponse.ApiVersion(api_key=key, min_version=lowest, max_version=highest)
        for key, lowest, highest in advertised(context.role)
        if key == ApiKey.API_VERSIONS
    ]
    response = ApiVersionsResponse(error_code=int(ErrorCode.UNSUPPORTED_VERSION), api_keys=versions)
    row = _ROUTES[context.role][int(ApiKey.API_VERSIONS)]
    return encode_response(row, 0, context.correlation_id, response)


def dispatch(
    node: "Node", row: Route, context: RequestContext, body: memoryview | bytes
) -> "Parts | Awaitable[Parts | None] | None":
    """Decode ``body``, call the handler, encode its answer; awaitable when the handler's is.

    Raises MalformedRequest when the body is not what its version says, and whatever the handler
    raises: the caller closes the connection.
    """
    version = context.api_version
    # Bytes behind the request are passed over, as Apache's broker does: librdkafka's Metadata
    # request for all topics has three too many.
    request, _ = row.api.request.decode_from(body, 0, version)
    if row.cluster is not None and not access_of(node, context).cluster(row.cluster):
        refused = refuse(request, version, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        return encode_response(row, version, context.correlation_id, refused)
    answer = row.handler(node, context, request)
    if isinstance(answer, Awaitable):
        return _encode_later(row, context, answer)
    if answer is None:
        return None
    return encode_response(row, version, context.correlation_id, answer)


async def _encode_later(
    row: Route, context: RequestContext, answer: Awaitable[Any]
) -> list[bytes | memoryview] | None:
    response = await answer
    if response is None:
        return None
    return encode_response(row, context.api_version, context.correlation_id, response)
