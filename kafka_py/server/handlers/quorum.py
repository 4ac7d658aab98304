"""DescribeQuorum (key 55), versions 0-2: the voters of the metadata quorum and how far they are.

Behaviour: as Apache Kafka 4.3.1. The request must name partition 0 of __cluster_metadata and no
other; anything else is answered with UNKNOWN_TOPIC_OR_PARTITION for every partition named. A node
that does not lead the quorum passes the request on to the controller.

Known differences: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.config.names import METADATA_TOPIC
from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.quorum import DescribeQuorumRequest, DescribeQuorumResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.types import ZERO_UUID
from kafka_py.server.dispatch import BROKER, CONTROLLER, RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node


@handles(ApiKey.DESCRIBE_QUORUM, on=(BROKER, CONTROLLER), cluster=Operation.DESCRIBE)
async def describe_quorum(
    node: Node, context: RequestContext, request: DescribeQuorumRequest
) -> Any:
    """Answer about the metadata partition."""
    if not request.topics:
        return DescribeQuorumResponse()
    named = [
        (topic.topic_name, p.partition_index) for topic in request.topics for p in topic.partitions
    ]
    if named != [(METADATA_TOPIC, 0)]:
        return unknown(request)
    response = await node.submit(request, context)
    return response if context.api_version >= 2 else without_nodes(response)


def without_nodes(response: DescribeQuorumResponse) -> DescribeQuorumResponse:
    """The answer without what versions 0 and 1 cannot carry: nodes and directory ids (KIP-853)."""
    response.nodes = []
    for topic in response.topics:
        for partition in topic.partitions:
            for replica in (*partition.current_voters, *partition.observers):
                replica.replica_directory_id = ZERO_UUID
    return response


def unknown(request: DescribeQuorumRequest) -> DescribeQuorumResponse:
    """UNKNOWN_TOPIC_OR_PARTITION for everything named."""
    error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return DescribeQuorumResponse(
        topics=[
            DescribeQuorumResponse.TopicData(
                topic_name=topic.topic_name,
                partitions=[
                    DescribeQuorumResponse.PartitionData(
                        partition_index=partition.partition_index,
                        error_code=error,
                        error_message=error.message,
                    )
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
