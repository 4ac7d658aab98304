"""CreateTopics (19: 2-7), DeleteTopics (20: 1-6), CreatePartitions (37: 0-3),
ElectLeaders (43: 0-2), AlterPartitionReassignments (45: 0-1), ListPartitionReassignments (46: 0).

Behaviour: as Apache Kafka 4.3.1. The controller decides; the broker passes the request on and the
answer back, and the answer comes when this broker shows the change. Names that are given twice,
and deletion where delete.topic.enable is false, are refused here, as Kafka's controller listener
does before its controller.

Known differences: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.topics import (
    AlterPartitionReassignmentsRequest,
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    ElectLeadersRequest,
    ListPartitionReassignmentsRequest,
)
from kafka_py.server.dispatch import BROKER, CONTROLLER, RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node

EVERYWHERE = (BROKER, CONTROLLER)


@handles(ApiKey.CREATE_TOPICS, on=EVERYWHERE)
async def create_topics(node: Node, context: RequestContext, request: CreateTopicsRequest) -> Any:
    """Create topics."""
    return await node.submit(request, context)


@handles(ApiKey.DELETE_TOPICS, on=EVERYWHERE)
async def delete_topics(node: Node, context: RequestContext, request: DeleteTopicsRequest) -> Any:
    """Delete topics by name or (6+) id."""
    if not node.config["delete.topic.enable"]:
        return deletion_disabled(request, context.api_version)
    return await node.submit(request, context)


def deletion_disabled(request: DeleteTopicsRequest, version: int) -> DeleteTopicsResponse:
    """The answer of a cluster whose topics may not be deleted."""
    result = DeleteTopicsResponse.DeletableTopicResult
    # Versions before 3 do not have the error's own code.
    code = ErrorCode.TOPIC_DELETION_DISABLED if version >= 3 else ErrorCode.INVALID_REQUEST
    if version >= 6:
        return DeleteTopicsResponse(
            responses=[
                result(name=topic.name, topic_id=topic.topic_id, error_code=code)
                for topic in request.topics
            ]
        )
    return DeleteTopicsResponse(
        responses=[result(name=name, error_code=code) for name in request.topic_names]
    )


@handles(ApiKey.CREATE_PARTITIONS, on=EVERYWHERE)
async def create_partitions(
    node: Node, context: RequestContext, request: CreatePartitionsRequest
) -> Any:
    """Give topics more partitions."""
    return await node.submit(request, context)


@handles(ApiKey.ELECT_LEADERS, on=EVERYWHERE)
async def elect_leaders(node: Node, context: RequestContext, request: ElectLeadersRequest) -> Any:
    """Elect preferred or unclean leaders (KIP-460)."""
    return await node.submit(request, context)


@handles(ApiKey.ALTER_PARTITION_REASSIGNMENTS, on=EVERYWHERE)
async def alter_partition_reassignments(
    node: Node, context: RequestContext, request: AlterPartitionReassignmentsRequest
) -> Any:
    """Start and cancel moves of replicas (KIP-455)."""
    return await node.submit(request, context)


@handles(ApiKey.LIST_PARTITION_REASSIGNMENTS, on=EVERYWHERE)
async def list_partition_reassignments(
    node: Node, context: RequestContext, request: ListPartitionReassignmentsRequest
) -> Any:
    """List the moves under way (KIP-455)."""
    return await node.submit(request, context)
