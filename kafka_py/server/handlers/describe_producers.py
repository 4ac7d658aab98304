"""DescribeProducers (key 61), version 0: the producers that a partition remembers (KIP-664).

Behaviour: as Apache Kafka 4.3.1: every producer id with its epoch, last sequence, last timestamp
and open transaction. Topics take READ.

Known differences: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.transactions import DescribeProducersRequest, DescribeProducersResponse
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node

Said = DescribeProducersResponse.PartitionResponse


@handles(ApiKey.DESCRIBE_PRODUCERS, versions=(0, 0))
def describe_producers(
    node: Node, context: RequestContext, request: DescribeProducersRequest
) -> DescribeProducersResponse:
    """Answer for every partition."""
    allowed = access_of(node, context).topics(Operation.READ, (t.name for t in request.topics))
    return DescribeProducersResponse(
        topics=[
            DescribeProducersResponse.TopicResponse(
                name=topic.name,
                partitions=[
                    describe(node, topic.name, index) if topic.name in allowed else denied(index)
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics
        ]
    )


def denied(index: int) -> Said:
    """The answer to who may not read the topic."""
    error = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    return Said(partition_index=index, error_code=int(error), error_message=error.message)


def describe(node: Node, topic: str, index: int) -> Said:
    """One partition's producers."""
    known = node.image.topics.get(topic)
    partition = node.replicas.partition(topic, index)
    error = ErrorCode.NONE
    if known is None:
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return Said(partition_index=index, error_code=int(error), error_message=error.message)
    if index not in known.partitions:
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    elif partition is None:
        error = ErrorCode.NOT_LEADER_OR_FOLLOWER
    else:
        error = ErrorCode.of(partition.leader_error(-1))
    if error is not ErrorCode.NONE or partition is None:
        return Said(partition_index=index, error_code=int(error))
    return Said(
        partition_index=index,
        active_producers=[
            DescribeProducersResponse.ProducerState(
                producer_id=one.producer_id,
                producer_epoch=one.producer_epoch,
                last_sequence=one.last_sequence,
                last_timestamp=one.last_timestamp_ms,
                coordinator_epoch=one.coordinator_epoch,
                current_txn_start_offset=one.transaction_start_offset,
            )
            for one in partition.log.producers.active()
        ],
    )
