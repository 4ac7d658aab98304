"""InitProducerId (key 22), versions 0-5: ids and epochs for idempotent and transactional producers.

Behaviour: as Apache Kafka 4.3.1. Without a transactional id a fresh id of epoch 0 for each request,
to who may write idempotently to the cluster or write to any topic (KIP-679). Ids come in blocks
from the controller and are never handed out twice (KIP-730). With one its coordinator answers
(KIP-98, KIP-360), to who may WRITE on the transactional id; below version 4 PRODUCER_FENCED is
INVALID_PRODUCER_EPOCH.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING

from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.transactions import InitProducerIdRequest, InitProducerIdResponse
from kafka_py.server.access import Access, access_of
from kafka_py.server.coordinators import caller_of
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node

#: From this version on producers know PRODUCER_FENCED.
FENCED_VERSION = 4


@handles(ApiKey.INIT_PRODUCER_ID, versions=(0, 5))
async def init_producer_id(
    node: Node, context: RequestContext, request: InitProducerIdRequest
) -> InitProducerIdResponse:
    """Hand out a producer id."""
    if error := denied(access_of(node, context), request):
        return InitProducerIdResponse(error_code=int(error), producer_epoch=-1)
    if error := refused(node, request):
        return InitProducerIdResponse(error_code=int(error), producer_epoch=-1)
    if request.transactional_id is not None:
        return await transactional(node, context, request)
    try:
        producer_id = await node.next_producer_id()
    except ApiError as problem:
        return InitProducerIdResponse(error_code=int(problem.code), producer_epoch=-1)
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def denied(access: Access, request: InitProducerIdRequest) -> ErrorCode | None:
    """What the caller may not: WRITE on the transactional id, or without one IDEMPOTENT_WRITE on
    the cluster or WRITE on any topic (KIP-679)."""
    name = request.transactional_id
    if name is not None:
        if access.may(Operation.WRITE, ResourceType.TRANSACTIONAL_ID, name):
            return None
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if access.cluster(Operation.IDEMPOTENT_WRITE, quietly=True):
        return None
    if access.anywhere(Operation.WRITE, ResourceType.TOPIC):
        return None
    return ErrorCode.CLUSTER_AUTHORIZATION_FAILED


def refused(node: Node, request: InitProducerIdRequest) -> ErrorCode | None:
    """Why there is no id to have, whoever coordinates."""
    if (request.producer_id == -1) != (request.producer_epoch == -1):
        return ErrorCode.INVALID_REQUEST
    if request.transactional_id is None:
        return None
    if not request.transactional_id:
        return ErrorCode.INVALID_REQUEST
    if not 0 < request.transaction_timeout_ms <= node.config["transaction.max.timeout.ms"]:
        return ErrorCode.INVALID_TRANSACTION_TIMEOUT
    return None


async def transactional(
    node: Node, context: RequestContext, request: InitProducerIdRequest
) -> InitProducerIdResponse:
    """Ask the transactional id's coordinator."""
    await node.await_producer_ids()
    assert request.transactional_id
    answer = node.transactions.ask(request.transactional_id, request, caller_of(context))
    response: InitProducerIdResponse = await answer if isawaitable(answer) else answer
    if response.error_code == ErrorCode.PRODUCER_FENCED and context.api_version < FENCED_VERSION:
        response.error_code = int(ErrorCode.INVALID_PRODUCER_EPOCH)
    return response
