"""OffsetForLeaderEpoch (key 23), versions 2-4: where a leader epoch ended.

Behaviour: as Apache Kafka 4.3.1 (KIP-101, KIP-320): the largest known epoch that is not above the
one asked for, and its end offset; the latest epoch ends at the log's end; -1, -1 when unknown.
It takes CLUSTER_ACTION on the cluster, or DESCRIBE on the topic.

Known differences: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.offsets import OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node

Said = OffsetForLeaderEpochResponse.EpochEndOffset
Asked = OffsetForLeaderEpochRequest.OffsetForLeaderPartition


@handles(ApiKey.OFFSET_FOR_LEADER_EPOCH, versions=(2, 4))
def offset_for_leader_epoch(
    node: Node, context: RequestContext, request: OffsetForLeaderEpochRequest
) -> OffsetForLeaderEpochResponse:
    """Answer for every partition."""
    result = OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult
    access = access_of(node, context)
    names = [topic.topic for topic in request.topics]
    allowed = set(names)
    if not access.cluster(Operation.CLUSTER_ACTION, quietly=True):
        allowed = access.topics(Operation.DESCRIBE, names)
    denied = int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    return OffsetForLeaderEpochResponse(
        topics=[
            result(
                topic=topic.topic,
                partitions=[
                    end_of_epoch(node, topic.topic, one)
                    if topic.topic in allowed
                    else Said(partition=one.partition, error_code=denied)
                    for one in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )


def end_of_epoch(node: Node, topic: str, asked: Asked) -> Said:
    """One partition's answer."""
    known = node.image.topics.get(topic)
    partition = node.replicas.partition(topic, asked.partition)
    if known is None or asked.partition not in known.partitions:
        error = int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    elif partition is None:
        error = int(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    else:
        error = partition.leader_error(asked.current_leader_epoch)
        if not error:
            epoch, end_offset = partition.log.end_offset_for_epoch(asked.leader_epoch)
            return Said(partition=asked.partition, leader_epoch=epoch, end_offset=end_offset)
    return Said(partition=asked.partition, error_code=error)
