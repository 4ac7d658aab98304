"""FindCoordinator (key 10), versions 0-6: which broker coordinates a group or a transactional id.

Behaviour: as Apache Kafka 4.3.1 for both: the leader of the partition of __consumer_offsets, or of
__transaction_state, that the name hashes to; the topic is made at the first question, which is
answered with COORDINATOR_NOT_AVAILABLE, for the client to ask again. It takes DESCRIBE on the
group, or on the transactional id. librdkafka takes the presence of this API for the sign that a
broker understands lz4.

Known differences: share groups are not there: INVALID_REQUEST, with the reason, which clients
report at once instead of asking until they time out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import FindCoordinatorRequest, FindCoordinatorResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.coordinator_partitions import partition_of
from kafka_py.server.coordinators import OFFSETS_TOPIC
from kafka_py.server.dispatch import RequestContext, handles
from kafka_py.server.transaction_coordinators import TRANSACTIONS_TOPIC

if TYPE_CHECKING:
    from kafka_py.server.node import Node

#: Key type -> the topic whose partitions' leaders coordinate.
TOPICS: Final = {0: OFFSETS_TOPIC, 1: TRANSACTIONS_TOPIC}
#: Key type -> why nobody coordinates it.
ABSENT: Final = {
    2: "share groups are not supported by this broker yet",
}
#: Key type -> what takes DESCRIBE; and what those are told who may not.
RESOURCE: Final = {0: ResourceType.GROUP, 1: ResourceType.TRANSACTIONAL_ID}
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
    name = TOPICS.get(key_type)
    if name is None:
        why = ABSENT.get(key_type, ErrorCode.INVALID_REQUEST.message)
        return Located(ErrorCode.INVALID_REQUEST, why)
    topic = node.image.topics.get(name)
    if topic is None:
        await node.auto_create_topics([name], context)
        return Located(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    partition = topic.partitions[partition_of(key, len(topic.partitions))]
    broker = node.image.brokers.get(partition.leader)
    endpoint = None if broker is None else broker.endpoint(context.listener)
    if broker is None or endpoint is None:
        return Located(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return Located(ErrorCode.NONE, None, broker.id, endpoint.host, endpoint.port)
