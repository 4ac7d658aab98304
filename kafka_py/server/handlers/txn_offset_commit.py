"""TxnOffsetCommit (key 28), versions 0-5: a consumer group's offsets as a part of a transaction.

Behaviour: as Apache Kafka 4.3.1. That the transaction has the group's partition of
__consumer_offsets is confirmed with its coordinator before the first of its commits there (version
4 and below), or the partition is added (5, transaction version 2). Topics that do not exist are
sorted out here; the group's coordinator does the rest (`kafka_py.coordinator.offsets`). Takes WRITE
on the transactional id, READ on the group and on the topics.

Known differences: none.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator.answers import invalid, refusal
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.transactions import TxnOffsetCommitRequest, TxnOffsetCommitResponse
from kafka_py.replication.verification import Batch, Verification, begin, check_verified
from kafka_py.server.access import access_of
from kafka_py.server.coordinators import OFFSETS_TOPIC, caller_of
from kafka_py.server.dispatch import RequestContext, handles
from kafka_py.server.produce_errors import error_code
from kafka_py.server.produce_transactions import told
from kcore.errors import KcoreError

if TYPE_CHECKING:
    from kafka_py.replication.partition import Partition
    from kafka_py.server.node import Node

#: TxnOffsetCommit from this version on adds the partition, and knows TRANSACTION_ABORTABLE.
ADDING_VERSION: Final = 5
ABORTABLE_VERSION: Final = 4

Topic = TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic
SaidTopic = TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic
Said = TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition


@handles(ApiKey.TXN_OFFSET_COMMIT, versions=(0, 5))
async def txn_offset_commit(
    node: Node, context: RequestContext, request: TxnOffsetCommitRequest
) -> TxnOffsetCommitResponse:
    """Commit what exists; what does not has an error of its own."""
    refused: list[SaidTopic] = []
    access, version = access_of(node, context), context.api_version
    name = request.transactional_id
    if not access.may(Operation.WRITE, ResourceType.TRANSACTIONAL_ID, name):
        return refused_whole(request, version, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    if not access.may(Operation.READ, ResourceType.GROUP, request.group_id):
        return refused_whole(request, version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    readable = access.topics(Operation.READ, (topic.name for topic in request.topics))
    request.topics = sort_out(node, readable, request.topics, refused)
    if not request.topics:
        return TxnOffsetCommitResponse(topics=refused)
    response: TxnOffsetCommitResponse = await commit(node, context, request)
    by_name = {topic.name: topic for topic in refused}
    for topic in response.topics:
        known = by_name.get(topic.name)
        if known is None:
            refused.append(topic)
        else:
            known.partitions += topic.partitions
    response.topics = refused
    return response


def refused_whole(
    request: TxnOffsetCommitRequest, version: int, error: ErrorCode
) -> TxnOffsetCommitResponse:
    """Every partition gets the error."""
    response: TxnOffsetCommitResponse = invalid(request, version, error)
    return response


def sort_out(
    node: Node, readable: set[str], topics: list[Topic], refused: list[SaidTopic]
) -> list[Topic]:
    """The topics and partitions that exist and may be read; the others go to `refused`."""
    kept = []
    missing = int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    denied = int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    for topic in topics:
        if topic.name not in readable:
            said = [
                Said(partition_index=p.partition_index, error_code=denied) for p in topic.partitions
            ]
            refused.append(SaidTopic(name=topic.name, partitions=said))
            continue
        known = node.image.topics.get(topic.name)
        there = {} if known is None else known.partitions
        lost = [p.partition_index for p in topic.partitions if p.partition_index not in there]
        if lost:
            rows = [Said(partition_index=index, error_code=missing) for index in lost]
            refused.append(SaidTopic(name=topic.name, partitions=rows))
        topic.partitions = [p for p in topic.partitions if p.partition_index in there]
        if topic.partitions:
            kept.append(topic)
    return kept


async def commit(node: Node, context: RequestContext, request: TxnOffsetCommitRequest) -> Any:
    """The coordinator's answer, once the transaction is known to be open."""
    version = context.api_version
    if not request.group_id:
        return invalid(request, version, ErrorCode.INVALID_GROUP_ID)
    place = (OFFSETS_TOPIC, node.groups.index_of(request.group_id))
    partition = node.replicas.partition(*place)
    if partition is None:
        return refusal(request, version, ErrorCode.NOT_COORDINATOR)
    batch = Batch(request.producer_id, request.producer_epoch)
    verified: Verification | None = None
    adds = version >= ADDING_VERSION
    required = node.config["transaction.partition.verification.enable"]
    if adds or required:
        verified, error = await confirmed(node, version, request, partition, batch)
        if error is not ErrorCode.NONE:
            return refusal(request, version, error)
    # From here to the append nothing else happens on the loop.
    if node.groups.is_active(request.group_id) and not partition.offline:
        try:
            check_verified(partition, batch, verified, required=required)
        except KcoreError as problem:
            return refusal(request, version, error_code(problem))
    answer = node.groups.ask(request.group_id, request, caller_of(context))
    return await answer if isawaitable(answer) else answer


async def confirmed(
    node: Node,
    version: int,
    request: TxnOffsetCommitRequest,
    partition: Partition,
    batch: Batch,
) -> tuple[Verification | None, ErrorCode]:
    """What the transaction coordinator has confirmed, None if it need not; or why it has not."""
    adds = version >= ADDING_VERSION
    if error := partition.leader_error(-1):
        return None, ErrorCode.of(error)
    try:
        verification = begin(partition, batch, adds=adds, now_ms=node.clock.now_ms())
    except KcoreError as problem:
        return None, error_code(problem)
    if verification is None:
        return None, ErrorCode.NONE
    question = node.transactions.add if adds else node.transactions.verify
    place = (partition.topic, partition.index)
    answer = question(request.transactional_id, batch.producer_id, batch.epoch, [place])
    outcome = await answer if isawaitable(answer) else answer
    error_told = told(outcome[place], knows_abortable=version >= ABORTABLE_VERSION)
    return verification, error_told
