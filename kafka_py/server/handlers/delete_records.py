"""DeleteRecords (key 21), versions 0-2: move the start of logs up (KIP-107).

Behaviour: as Apache Kafka 4.3.1. -1 is the high watermark; above it, or below -1, is
OFFSET_OUT_OF_RANGE; topics that are only compacted are POLICY_VIOLATION, Kafka's own topics
INVALID_TOPIC_EXCEPTION. Segments that lie wholly below the new start go with the next retention.
Topics take DELETE.

Known differences: none with one replica (with more, the answer would wait for the followers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.topics import DeleteRecordsRequest, DeleteRecordsResponse
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles
from kcore.errors import KcoreError, OffsetOutOfRange

if TYPE_CHECKING:
    from kafka_py.server.node import Node

Said = DeleteRecordsResponse.DeleteRecordsPartitionResult


@handles(ApiKey.DELETE_RECORDS, versions=(0, 2))
def delete_records(
    node: Node, context: RequestContext, request: DeleteRecordsRequest
) -> DeleteRecordsResponse:
    """Answer for every partition."""
    result = DeleteRecordsResponse.DeleteRecordsTopicResult
    allowed = access_of(node, context).topics(Operation.DELETE, (t.name for t in request.topics))
    response = DeleteRecordsResponse(
        topics=[
            result(
                name=topic.name,
                partitions=[
                    delete(node, topic.name, one.partition_index, one.offset)
                    if topic.name in allowed
                    else denied(one.partition_index)
                    for one in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
    node.touch()
    return response


def denied(index: int) -> Said:
    """The answer to who may not delete records of the topic."""
    error = int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    return Said(partition_index=index, low_watermark=-1, error_code=error)


def delete(node: Node, topic: str, index: int, before_offset: int) -> Said:
    """One partition's answer."""
    known = node.image.topics.get(topic)
    partition = node.replicas.partition(topic, index)
    error = ErrorCode.NONE
    if known is None or index not in known.partitions:
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    elif partition is None:
        error = ErrorCode.NOT_LEADER_OR_FOLLOWER
    elif partition.internal:
        error = ErrorCode.INVALID_TOPIC_EXCEPTION
    else:
        error = ErrorCode.of(partition.leader_error(-1))
        if error is ErrorCode.NONE and not partition.log.config.delete:
            error = ErrorCode.POLICY_VIOLATION
    low_watermark = -1
    if error is ErrorCode.NONE and partition is not None:
        try:
            low_watermark = partition.delete_records(before_offset)
            node.replicas.progressed(partition)
        except OffsetOutOfRange:
            error = ErrorCode.OFFSET_OUT_OF_RANGE
        except KcoreError:
            error = ErrorCode.KAFKA_STORAGE_ERROR
    return Said(partition_index=index, low_watermark=low_watermark, error_code=int(error))
