"""CreateTopics (19: 2-7), DeleteTopics (20: 1-6), CreatePartitions (37: 0-3),
ElectLeaders (43: 0-2), AlterPartitionReassignments (45: 0-1), ListPartitionReassignments (46: 0).

Behaviour: as Apache Kafka 4.3.1. The controller decides; the broker passes the request on and the
answer back, and the answer comes when this broker shows the change. Names that are given twice,
and deletion where delete.topic.enable is false, are refused here, as Kafka's controller listener
does before its controller. To create takes CREATE on the cluster or the topic, to delete DELETE on
the cluster or the topic, to add partitions ALTER on the topic; elections and reassignments take
ALTER on the cluster, to list reassignments DESCRIBE.

Known differences: none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kafka_py.config.names import METADATA_TOPIC
from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.topics import (
    AlterPartitionReassignmentsRequest,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    ElectLeadersRequest,
    ListPartitionReassignmentsRequest,
)
from kafka_py.protocol.types import ZERO_UUID
from kafka_py.server.access import Access, access_of
from kafka_py.server.dispatch import BROKER, CONTROLLER, RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.metadata.image import MetadataImage
    from kafka_py.server.node import Node

Deleted = DeleteTopicsResponse.DeletableTopicResult
EVERYWHERE = (BROKER, CONTROLLER)


@handles(ApiKey.CREATE_TOPICS, on=EVERYWHERE)
async def create_topics(node: Node, context: RequestContext, request: CreateTopicsRequest) -> Any:
    """Create topics: all by CREATE on the cluster, else those with CREATE on their own name."""
    access = access_of(node, context)
    if access.open:
        return await node.submit(request, context)
    names = [topic.name for topic in request.topics]
    context.describable_topics = frozenset(
        access.topics(Operation.DESCRIBE_CONFIGS, names, quietly=True)
    )
    if access.cluster(Operation.CREATE, quietly=True):
        return await node.submit(request, context)
    allowed = access.topics(Operation.CREATE, once(names))
    refused = [
        CreateTopicsResponse.CreatableTopicResult(
            name=name,
            error_code=int(ErrorCode.TOPIC_AUTHORIZATION_FAILED),
            error_message="Authorization failed.",
        )
        for name in once(names)
        if name not in allowed
    ]
    return await submit_rest(node, context, request, refused, "topics")


def once(names: Iterable[str]) -> list[str]:
    """The names that stand there once: what is asked for twice is refused before all else."""
    return [name for name, count in Counter(names).items() if count == 1 and name != METADATA_TOPIC]


async def submit_rest(
    node: Node, context: RequestContext, request: Any, refused: list[Any], rows: str
) -> Any:
    """The controller's answer about the topics that were not refused, and the refused ones.

    `rows` names the list of results in the response.
    """
    names = {row.name for row in refused}
    request.topics = [topic for topic in request.topics if topic.name not in names]
    response = await node.submit(request, context)
    setattr(response, rows, [*getattr(response, rows), *refused])
    return response


@handles(ApiKey.DELETE_TOPICS, on=EVERYWHERE)
async def delete_topics(node: Node, context: RequestContext, request: DeleteTopicsRequest) -> Any:
    """Delete topics by name or (6+) id."""
    if not node.config["delete.topic.enable"]:
        return deletion_disabled(request, context.api_version)
    access = access_of(node, context)
    if access.open or access.cluster(Operation.DELETE, quietly=True):
        return await node.submit(request, context)
    refused = refuse_deletions(node.image, access, request)
    response = await node.submit(request, context)
    response.responses += refused
    return response


def refuse_deletions(
    image: MetadataImage, access: Access, request: DeleteTopicsRequest
) -> list[Deleted]:
    """Take what may not be deleted out of a request: the answers about it.

    Names that may not be described are not told from those that do not exist; ids are no secret,
    but their names are.
    """
    failed = int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    text = ErrorCode.TOPIC_AUTHORIZATION_FAILED.message
    by_id = image.topics_by_id
    names = [*request.topic_names, *(t.name for t in request.topics if t.name is not None)]
    known = {t.topic_id: by_id[t.topic_id].name for t in request.topics if t.topic_id in by_id}
    describable = access.topics(Operation.DESCRIBE, [*names, *known.values()])
    deletable = access.topics(Operation.DELETE, [*names, *known.values()])
    single = set(once(names))
    ids = Counter(topic.topic_id for topic in request.topics if topic.name is None)

    def hidden(name: str) -> bool:
        if name not in single or name in deletable & describable:
            return False
        return name not in describable or name in image.topics

    refused = [Deleted(name=n, error_code=failed, error_message=text) for n in names if hidden(n)]
    request.topic_names = [name for name in request.topic_names if not hidden(name)]
    kept = []
    for topic in request.topics:
        if topic.name is not None and (topic.topic_id != ZERO_UUID or not hidden(topic.name)):
            kept.append(topic)
        elif topic.name is None:
            name = known.get(topic.topic_id)
            if name is None or name in deletable or ids[topic.topic_id] > 1:
                kept.append(topic)
                continue
            shown = name if name in describable else None
            refused.append(
                Deleted(name=shown, topic_id=topic.topic_id, error_code=failed, error_message=text)
            )
    request.topics = kept
    return refused


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
    access = access_of(node, context)
    if access.open:
        return await node.submit(request, context)
    names = once(topic.name for topic in request.topics)
    allowed = access.topics(Operation.ALTER, names)
    refused = [
        CreatePartitionsResponse.CreatePartitionsTopicResult(
            name=name,
            error_code=int(ErrorCode.TOPIC_AUTHORIZATION_FAILED),
            error_message=None,
        )
        for name in names
        if name not in allowed
    ]
    return await submit_rest(node, context, request, refused, "results")


@handles(ApiKey.ELECT_LEADERS, on=EVERYWHERE, cluster=Operation.ALTER)
async def elect_leaders(node: Node, context: RequestContext, request: ElectLeadersRequest) -> Any:
    """Elect preferred or unclean leaders (KIP-460)."""
    return await node.submit(request, context)


@handles(ApiKey.ALTER_PARTITION_REASSIGNMENTS, on=EVERYWHERE, cluster=Operation.ALTER)
async def alter_partition_reassignments(
    node: Node, context: RequestContext, request: AlterPartitionReassignmentsRequest
) -> Any:
    """Start and cancel moves of replicas (KIP-455)."""
    return await node.submit(request, context)


@handles(ApiKey.LIST_PARTITION_REASSIGNMENTS, on=EVERYWHERE, cluster=Operation.DESCRIBE)
async def list_partition_reassignments(
    node: Node, context: RequestContext, request: ListPartitionReassignmentsRequest
) -> Any:
    """List the moves under way (KIP-455)."""
    return await node.submit(request, context)
