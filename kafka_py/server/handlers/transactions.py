"""AddPartitionsToTxn (24, 0-5), AddOffsetsToTxn (25, 0-4), EndTxn (26, 0-5), DescribeTransactions
(65, 0) and ListTransactions (66, 0-2): what producers and administrators ask of coordinators.

Behaviour: as Apache Kafka 4.3.1. Versions of AddPartitionsToTxn from 4 on come from brokers, with
several transactions in one request (KIP-890). EndTxn from 5 on bumps the epoch and says so. Below
version 2 PRODUCER_FENCED is INVALID_PRODUCER_EPOCH. Coordinators are asked before the handlers
return, so what a connection sends takes effect in its order. Producers need WRITE on their
transactional id, and on the topics or READ on the group that they add; brokers need CLUSTER_ACTION.
What may not be described is not found, or left out.

Known differences: a producer that adds partitions while its last transaction is still being ended
is answered when that has happened (at most add.partitions.to.txn.retry.backoff.max.ms later), not
sent away with CONCURRENT_TRANSACTIONS at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator.transactions.requests import AddPartitions, Outcome
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.transactions import (
    AddOffsetsToTxnRequest,
    AddOffsetsToTxnResponse,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    EndTxnRequest,
    EndTxnResponse,
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from kafka_py.replication.partition import INTERNAL_TOPICS
from kafka_py.server.access import Access, access_of
from kafka_py.server.coordinator_partitions import partition_of
from kafka_py.server.coordinators import OFFSETS_TOPIC, caller_of
from kafka_py.server.dispatch import RequestContext, handles
from kafka_py.server.handlers.group_admin import split
from kafka_py.server.handlers.groups import finished

if TYPE_CHECKING:
    from kafka_py.server.node import Node

#: AddPartitionsToTxn from this version on comes from brokers.
BATCHED_VERSION: Final = 4
#: From this version on producers know PRODUCER_FENCED.
FENCED_VERSION: Final = 2

DENIED: Final = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED

TopicResult = AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult
PartitionResult = AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult


@handles(ApiKey.ADD_PARTITIONS_TO_TXN)
def add_partitions_to_txn(
    node: Node, context: RequestContext, request: AddPartitionsToTxnRequest
) -> Any:
    """Add partitions to transactions, or verify that they are there."""
    access = access_of(node, context)
    if context.api_version < BATCHED_VERSION:
        only = AddPartitions(
            request.v3_and_below_transactional_id,
            request.v3_and_below_producer_id,
            request.v3_and_below_producer_epoch,
            partitions_of(request.v3_and_below_topics),
        )
        if not may_write(access, only.transactional_id):
            denied = dict.fromkeys(only.partitions, DENIED)
            return AddPartitionsToTxnResponse(
                results_by_topic_v3_and_below=rows(denied, context.api_version)
            )
        names = (name for name, _ in only.partitions if name not in INTERNAL_TOPICS)
        return finished(
            add(node, context, only, access.topics(Operation.WRITE, names)),
            lambda outcome: AddPartitionsToTxnResponse(
                results_by_topic_v3_and_below=rows(outcome, context.api_version)
            ),
        )
    if not access.cluster(Operation.CLUSTER_ACTION):
        return AddPartitionsToTxnResponse(error_code=int(ErrorCode.CLUSTER_AUTHORIZATION_FAILED))
    asked = [
        AddPartitions(
            one.transactional_id,
            one.producer_id,
            one.producer_epoch,
            partitions_of(one.topics),
            verify_only=one.verify_only,
            client_version=2,
        )
        for one in request.transactions
    ]
    answers = [add(node, context, one) for one in asked]

    async def gathered() -> AddPartitionsToTxnResponse:
        response = AddPartitionsToTxnResponse()
        for one, answer in zip(asked, answers, strict=True):
            outcome = await answer if isawaitable(answer) else answer
            if ErrorCode.UNSUPPORTED_VERSION in outcome.values():
                return AddPartitionsToTxnResponse(error_code=int(ErrorCode.UNSUPPORTED_VERSION))
            response.results_by_transaction.append(
                AddPartitionsToTxnResponse.AddPartitionsToTxnResult(
                    transactional_id=one.transactional_id,
                    topic_results=rows(outcome, context.api_version),
                )
            )
        return response

    return gathered()


def partitions_of(
    topics: Iterable[AddPartitionsToTxnRequest.AddPartitionsToTxnTopic],
) -> tuple[tuple[str, int], ...]:
    """The partitions of a request, once each."""
    named = ((topic.name, index) for topic in topics for index in topic.partitions)
    return tuple(dict.fromkeys(named))


def add(
    node: Node, context: RequestContext, asked: AddPartitions, writable: set[str] | None = None
) -> Any:
    """The outcome, or a future of it. One partition that cannot be added spoils it for all.

    `writable` are the topics that a client may write to; None: a broker asks.
    """
    wrong = {
        one: error
        for one in asked.partitions
        if (error := judged(node, writable, *one)) is not ErrorCode.NONE
    }
    if wrong:
        return {one: wrong.get(one, ErrorCode.OPERATION_NOT_ATTEMPTED) for one in asked.partitions}
    caller = caller_of(context)
    if asked.transactional_id and asked.verify_only:
        return node.transactions.ask(asked.transactional_id, asked, caller)
    return node.transactions.add_patiently(asked, caller)


def judged(node: Node, writable: set[str] | None, name: str, index: int) -> ErrorCode:
    """Whether there is such a partition; clients may not write into Kafka's own topics."""
    if writable is not None and name not in writable:
        return ErrorCode.TOPIC_AUTHORIZATION_FAILED
    topic = node.image.topics.get(name)
    if topic is None or index not in topic.partitions:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return ErrorCode.NONE


def may_write(access: Access, transactional_id: str) -> bool:
    """Whether the caller may use the transactional id."""
    return access.may(Operation.WRITE, ResourceType.TRANSACTIONAL_ID, transactional_id)


def shown(error: ErrorCode, version: int) -> int:
    """An error in the words of that version."""
    if error is ErrorCode.PRODUCER_FENCED and version < FENCED_VERSION:
        return int(ErrorCode.INVALID_PRODUCER_EPOCH)
    return int(error)


def rows(outcome: Outcome, version: int) -> list[TopicResult]:
    """An outcome by topic."""
    found: dict[str, TopicResult] = {}
    for (topic, index), error in outcome.items():
        row = found.setdefault(topic, TopicResult(name=topic))
        row.results_by_partition.append(
            PartitionResult(partition_index=index, partition_error_code=shown(error, version))
        )
    return list(found.values())


@handles(ApiKey.ADD_OFFSETS_TO_TXN)
def add_offsets_to_txn(node: Node, context: RequestContext, request: AddOffsetsToTxnRequest) -> Any:
    """Add the partition of a group's offsets to a transaction."""
    if not request.transactional_id:
        return AddOffsetsToTxnResponse(error_code=int(ErrorCode.INVALID_REQUEST))
    access = access_of(node, context)
    if not may_write(access, request.transactional_id):
        return AddOffsetsToTxnResponse(error_code=int(DENIED))
    if not access.may(Operation.READ, ResourceType.GROUP, request.group_id):
        return AddOffsetsToTxnResponse(error_code=int(ErrorCode.GROUP_AUTHORIZATION_FAILED))
    topic = node.image.topics.get(OFFSETS_TOPIC)
    count = node.config["offsets.topic.num.partitions"] if topic is None else len(topic.partitions)
    partition = (OFFSETS_TOPIC, partition_of(request.group_id, count))
    asked = AddPartitions(
        request.transactional_id, request.producer_id, request.producer_epoch, (partition,)
    )
    return finished(
        node.transactions.add_patiently(asked, caller_of(context)),
        lambda outcome: AddOffsetsToTxnResponse(
            error_code=shown(outcome[partition], context.api_version)
        ),
    )


@handles(ApiKey.END_TXN)
def end_txn(node: Node, context: RequestContext, request: EndTxnRequest) -> Any:
    """Commit or abort."""
    if not request.transactional_id:
        return EndTxnResponse(error_code=int(ErrorCode.INVALID_REQUEST))
    if not may_write(access_of(node, context), request.transactional_id):
        return EndTxnResponse(error_code=int(DENIED))

    def told(response: EndTxnResponse) -> EndTxnResponse:
        response.error_code = shown(ErrorCode.of(response.error_code), context.api_version)
        return response

    return finished(
        node.transactions.ask(request.transactional_id, request, caller_of(context)), told
    )


@handles(ApiKey.DESCRIBE_TRANSACTIONS)
def describe_transactions(
    node: Node, context: RequestContext, request: DescribeTransactionsRequest
) -> Any:
    """Transactions by transactional id, in the order of the request."""
    access, kind = access_of(node, context), ResourceType.TRANSACTIONAL_ID
    wrong = {
        one: DENIED if one else ErrorCode.INVALID_REQUEST
        for one in request.transactional_ids
        if not one or not access.may(Operation.DESCRIBE, kind, one)
    }
    asked = split(
        node.transactions,
        context,
        [one for one in request.transactional_ids if one not in wrong],
        lambda some: DescribeTransactionsRequest(transactional_ids=some),
        lambda response: list(response.transaction_states),
    )

    async def merged() -> DescribeTransactionsResponse:
        found = await asked
        for state in found:
            # Only of topics that the caller may describe it says that they take part.
            shown = access.topics(Operation.DESCRIBE, (topic.topic for topic in state.topics))
            state.topics = [topic for topic in state.topics if topic.topic in shown]
        states = iter(found)
        return DescribeTransactionsResponse(
            transaction_states=[
                next(states)
                if one not in wrong
                else DescribeTransactionsResponse.TransactionState(
                    transactional_id=one, error_code=int(wrong[one])
                )
                for one in request.transactional_ids
            ]
        )

    return merged()


@handles(ApiKey.LIST_TRANSACTIONS)
def list_transactions(node: Node, context: RequestContext, request: ListTransactionsRequest) -> Any:
    """The transactions of all coordinators here; one that is still loading fails the whole."""
    from kafka_py.coordinator.consumer.regex import InvalidPattern, compile_pattern
    from kafka_py.coordinator.transactions.listing import unknown_states

    if request.transactional_id_pattern:
        try:
            compile_pattern(request.transactional_id_pattern)
        except InvalidPattern:
            return ListTransactionsResponse(error_code=int(ErrorCode.INVALID_REGULAR_EXPRESSION))
    answers = node.transactions.ask_all(request, caller_of(context))
    access, kind = access_of(node, context), ResourceType.TRANSACTIONAL_ID

    async def merged() -> ListTransactionsResponse:
        response = ListTransactionsResponse(unknown_state_filters=unknown_states(request))
        failed = 0
        for answer in answers:
            part: ListTransactionsResponse = await answer if isawaitable(answer) else answer
            if part.error_code == ErrorCode.NOT_COORDINATOR:
                continue
            failed = failed or part.error_code
            response.transaction_states += [
                one
                for one in part.transaction_states
                if access.may(Operation.DESCRIBE, kind, one.transactional_id)
            ]
        return ListTransactionsResponse(error_code=failed) if failed else response

    return merged()
