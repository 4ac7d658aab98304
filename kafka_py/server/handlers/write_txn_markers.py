"""WriteTxnMarkers (key 27), versions 1-2: a coordinator's markers for partitions led here.

Behaviour: as Apache Kafka 4.3.1. Each marker stands for itself; its partitions fail or succeed one
by one. Version 2 tells the transaction version (KIP-1228), by which a marker's producer epoch is
judged; what version 1 writes is judged as version 0. kafka-transactions.sh aborts a hanging
transaction this way. Takes ALTER or CLUSTER_ACTION on the cluster.

Known differences: Apache's broker answers in the order of its hash tables, this one in the
request's.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.transactions import WriteTxnMarkersRequest, WriteTxnMarkersResponse
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles
from kafka_py.server.transactions_seam import Outcome

if TYPE_CHECKING:
    from kafka_py.server.node import Node

Result = WriteTxnMarkersResponse.WritableTxnMarkerResult
TopicResult = WriteTxnMarkersResponse.WritableTxnMarkerTopicResult
PartitionResult = WriteTxnMarkersResponse.WritableTxnMarkerPartitionResult


@handles(ApiKey.WRITE_TXN_MARKERS, versions=(1, 2))
async def write_txn_markers(
    node: Node, context: RequestContext, request: WriteTxnMarkersRequest
) -> WriteTxnMarkersResponse:
    """Write all of them, then wait for all."""
    access = access_of(node, context)
    if not access.cluster(Operation.ALTER, quietly=True) and not access.cluster(
        Operation.CLUSTER_ACTION
    ):
        return WriteTxnMarkersResponse(
            markers=[
                Result(
                    producer_id=marker.producer_id,
                    topics=by_topic(
                        {
                            (topic.name, index): ErrorCode.CLUSTER_AUTHORIZATION_FAILED
                            for topic in marker.topics
                            for index in topic.partition_indexes
                        }
                    ),
                )
                for marker in request.markers
            ]
        )
    answers = [
        node.markers.write(
            marker.producer_id,
            marker.producer_epoch,
            marker.coordinator_epoch,
            marker.transaction_result,
            [(topic.name, index) for topic in marker.topics for index in topic.partition_indexes],
            marker.transaction_version,
        )
        for marker in request.markers
    ]
    by_producer: dict[int, Outcome] = {}
    for marker, answer in zip(request.markers, answers, strict=True):
        outcome = await answer if isawaitable(answer) else answer
        by_producer.setdefault(marker.producer_id, {}).update(outcome)
    return WriteTxnMarkersResponse(
        markers=[
            Result(producer_id=producer_id, topics=by_topic(outcome))
            for producer_id, outcome in by_producer.items()
        ]
    )


def by_topic(outcome: Outcome) -> list[TopicResult]:
    """The partitions' errors, topic by topic."""
    topics: dict[str, TopicResult] = {}
    for (name, index), error in outcome.items():
        said = topics.setdefault(name, TopicResult(name=name, partitions=[]))
        said.partitions.append(PartitionResult(partition_index=index, error_code=int(error)))
    return list(topics.values())
