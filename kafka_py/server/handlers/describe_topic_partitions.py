"""DescribeTopicPartitions (key 75), version 0: topics page by page (KIP-966).

Behaviour: as Apache Kafka 4.3.1. Topics come sorted by name, with at most
max.request.partition.size.limit partitions an answer; the cursor says where the next page begins.
An empty list asks for all topics. Topics take DESCRIBE: others are left out of all topics, and
TOPIC_AUTHORIZATION_FAILED where they were asked for.

Known differences: an empty topic name is answered with INVALID_TOPIC_EXCEPTION for that entry;
Kafka answers the whole request with UNKNOWN_SERVER_ERROR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.config.names import INTERNAL_TOPICS
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.metadata import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
)
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles
from kafka_py.server.handlers.metadata import (
    missing_error,
    offline_replicas,
    reachable,
)

if TYPE_CHECKING:
    from kafka_py.metadata.image import MetadataImage
    from kafka_py.metadata.types import PartitionImage, TopicImage
    from kafka_py.server.node import Node

Topic = DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic
Partition = DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponsePartition
Cursor = DescribeTopicPartitionsResponse.Cursor


def describe_partition(
    image: MetadataImage, index: int, partition: PartitionImage, listener: str
) -> Partition:
    """One partition, eligible leaders included."""
    leader = image.brokers.get(partition.leader)
    error = ErrorCode.NONE
    leader_id = partition.leader
    if not reachable(leader, listener):
        leader_id = -1
        error = ErrorCode.LEADER_NOT_AVAILABLE
        if leader is not None and not leader.fenced:
            error = ErrorCode.LISTENER_NOT_FOUND
    return Partition(
        error_code=error,
        partition_index=index,
        leader_id=leader_id,
        leader_epoch=partition.leader_epoch,
        replica_nodes=list(partition.replicas),
        isr_nodes=list(partition.isr),
        eligible_leader_replicas=list(partition.elr),
        last_known_elr=list(partition.last_known_elr),
        offline_replicas=offline_replicas(image, partition, listener),
    )


def describe_page(
    image: MetadataImage, topic: TopicImage, listener: str, first: int, room: int, operations: int
) -> tuple[Topic, int | None]:
    """Up to ``room`` partitions of a topic from index ``first``; and the next index, if any."""
    indexes = [index for index in sorted(topic.partitions) if index >= first]
    page = indexes[:room]
    described = Topic(
        name=topic.name,
        topic_id=topic.id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=[
            describe_partition(image, index, topic.partitions[index], listener) for index in page
        ],
        topic_authorized_operations=operations,
    )
    return described, indexes[room] if len(indexes) > room else None


@handles(ApiKey.DESCRIBE_TOPIC_PARTITIONS)
def describe_topic_partitions(
    node: Node, context: RequestContext, request: DescribeTopicPartitionsRequest
) -> DescribeTopicPartitionsResponse:
    """Answer one page."""
    image = node.image
    cursor = request.cursor
    names = {topic.name for topic in request.topics} or set(image.topics)
    if cursor is not None and (
        cursor.partition_index < 0 or (request.topics and cursor.topic_name not in names)
    ):
        return DescribeTopicPartitionsResponse(
            topics=[
                Topic(error_code=ErrorCode.INVALID_REQUEST, name=topic.name)
                for topic in request.topics
            ]
        )
    start = "" if cursor is None else cursor.topic_name
    limit = node.config["max.request.partition.size.limit"]
    room = max(min(limit, request.response_partition_limit), 1)
    response = DescribeTopicPartitionsResponse(topics=[])
    access = access_of(node, context)
    wanted = sorted(name for name in names if name >= start)
    shown = access.topics(Operation.DESCRIBE, wanted)
    for name in wanted:
        if name not in shown:
            continue
        operations = access.operations(ResourceType.TOPIC, name)
        topic = image.topics.get(name)
        if topic is None:
            if request.topics:
                missing = Topic(error_code=missing_error(name), name=name)
                missing.topic_authorized_operations = operations
                response.topics.append(missing)
            continue
        if room == 0:
            response.next_cursor = Cursor(topic_name=name, partition_index=0)
            break
        first = cursor.partition_index if cursor is not None and name == start else 0
        described, following = describe_page(
            image, topic, context.listener, first, room, operations
        )
        response.topics.append(described)
        room -= len(described.partitions)
        if following is not None:
            response.next_cursor = Cursor(topic_name=name, partition_index=following)
            break
    if request.topics:
        denied = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        response.topics += [
            Topic(error_code=denied, name=name) for name in wanted if name not in shown
        ]
    return response
