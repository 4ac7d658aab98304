"""InitProducerId (key 22), versions 0-5: ids for idempotent producers.

Behaviour: as Apache Kafka 4.3.1 for producers without a transactional id: a fresh id of epoch 0 for
each request, to who may write idempotently to the cluster or write to any topic (KIP-679). Ids come
in blocks from the controller and are never handed out twice (KIP-730).

Known differences: transactions are not there yet, so a transactional id is answered with
UNSUPPORTED_VERSION, which producers report at once instead of asking until they time out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.transactions import InitProducerIdRequest, InitProducerIdResponse
from kafka_py.server.access import Access, access_of
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node


@handles(ApiKey.INIT_PRODUCER_ID, versions=(0, 5))
async def init_producer_id(
    node: Node, context: RequestContext, request: InitProducerIdRequest
) -> InitProducerIdResponse:
    """Hand out a producer id."""
    if error := denied(access_of(node, context), request):
        return InitProducerIdResponse(error_code=int(error), producer_epoch=-1)
    if error := refused(request):
        return InitProducerIdResponse(error_code=int(error), producer_epoch=-1)
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


def refused(request: InitProducerIdRequest) -> ErrorCode | None:
    """Why there is no id to have."""
    if (request.producer_id == -1) != (request.producer_epoch == -1):
        return ErrorCode.INVALID_REQUEST
    if request.transactional_id is None:
        return None
    if not request.transactional_id:
        return ErrorCode.INVALID_REQUEST
    return ErrorCode.UNSUPPORTED_VERSION
