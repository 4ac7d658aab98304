"""FindCoordinator (key 10), versions 0-6: which broker coordinates a group.

Behaviour: as Apache Kafka 4.3.1 for groups: the leader of the partition of __consumer_offsets that
the group's name hashes to; the topic is made at the first question, which is answered with
COORDINATOR_NOT_AVAILABLE, for the client to ask again. It takes DESCRIBE on the group, or on the
transactional id. librdkafka takes the presence of this API for the sign that a broker understands
lz4.

Known differences: transactions and share groups are not there: INVALID_REQUEST, with the reason,
which clients report at once instead of asking until they time out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import FindCoordinatorRequest, FindCoordinatorResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.coordinators import OFFSETS_TOPIC, partition_of
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node

GROUP: Final = 0
#: Key type -> why nobody coordinates it.
ABSENT: Final = {
    1: "transactions are not supported by this broker yet",
    2: "share groups are not supported by this broker yet",
}
#: Key type -> what takes DESCRIBE; and what those are told who may not.
RESOURCE: Final = {GROUP: ResourceType.GROUP, 1: ResourceType.TRANSACTIONAL_ID}
DENIED: Final = {
    ResourceType.GROUP: ErrorCode.GROUP_AUTHORIZATION_FAILED,
    ResourceType.TRANSACTIONAL_ID: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
BATCHED_VERSION: Final = 4


class Located(NamedTuple):
    """A coordinator, or why there is none."""

    error: ErrorCode
    message: str | None = None
    node_id: int = -1
    host: str = ""
    port: int = -1


@handles(ApiKey.FIND_COORDINATOR, versions=(0, 6))
async def find_coordinator(
    node: Node, context: RequestContext, request: FindCoordinatorRequest
) -> FindCoordinatorResponse:
    """Locate one coordinator, or (4+) several of one type."""
    if context.api_version < BATCHED_VERSION:
        found = await locate(node, context, request.key_type, request.key)
        return FindCoordinatorResponse(
            error_code=int(found.error),
            error_message=found.message or found.error.message,
            node_id=found.node_id,
            host=found.host,
            port=found.port,
        )
    response = FindCoordinatorResponse()
    for key in request.coordinator_keys:
        found = await locate(node, context, request.key_type, key)
        response.coordinators.append(
            FindCoordinatorResponse.Coordinator(
                key=key,
                node_id=found.node_id,
                host=found.host,
                port=found.port,
                error_code=int(found.error),
                error_message=found.message or "",
            )
        )
    return response


async def locate(node: Node, context: RequestContext, key_type: int, key: str) -> Located:
    """The coordinator of one key."""
    kind = RESOURCE.get(key_type)
    if kind is not None and not access_of(node, context).may(Operation.DESCRIBE, kind, key):
        return Located(DENIED[kind])
    if key_type != GROUP:
        why = ABSENT.get(key_type, ErrorCode.INVALID_REQUEST.message)
        return Located(ErrorCode.INVALID_REQUEST, why)
    topic = node.image.topics.get(OFFSETS_TOPIC)
    if topic is None:
        await node.auto_create_topics([OFFSETS_TOPIC], context)
        return Located(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    partition = topic.partitions[partition_of(key, len(topic.partitions))]
    broker = node.image.brokers.get(partition.leader)
    endpoint = None if broker is None else broker.endpoint(context.listener)
    if broker is None or endpoint is None:
        return Located(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return Located(ErrorCode.NONE, None, broker.id, endpoint.host, endpoint.port)
