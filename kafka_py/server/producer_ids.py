"""Blocks of producer ids from the controller (KIP-730)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.protocol.brokers import AllocateProducerIdsRequest
from kafka_py.protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from kafka_py.server.node import Node

__all__ = ["allocate"]


async def allocate(node: Node) -> tuple[int, int]:
    """(first id, how many) of a block that is this node's alone.

    Raises ApiError(COORDINATOR_LOAD_IN_PROGRESS), which clients retry, while there is none to have.
    """
    request = AllocateProducerIdsRequest(broker_id=node.node_id, broker_epoch=node.broker_epoch)
    response = await node.submit(request)
    if response.error_code:
        raise ApiError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    return response.producer_id_start, response.producer_id_len
