"""AllocateProducerIds: blocks of producer ids for brokers (KIP-730)."""

from __future__ import annotations

from kafka_py.controller.brokers import check_broker_epoch
from kafka_py.controller.result import Result, View
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.brokers import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from kafka_py.protocol.errors import ApiError, ErrorCode

__all__ = ["BLOCK_IDS", "allocate_producer_ids"]

#: Ids of a block, as in Kafka.
BLOCK_IDS = 1000

_PRODUCER_ID_MAX = (1 << 63) - 1


def allocate_producer_ids(view: View, request: AllocateProducerIdsRequest) -> Result:
    """The next block, for a registered broker."""
    check_broker_epoch(view, request.broker_id, request.broker_epoch)
    first = view.image.producer_ids_next
    if first > _PRODUCER_ID_MAX - BLOCK_IDS:
        raise ApiError(
            ErrorCode.UNKNOWN_SERVER_ERROR,
            "Exhausted all producerIds as the next block's end producerId has exceeded the "
            "int64 type limit",
        )
    record = r.ProducerIdsRecord(
        broker_id=request.broker_id,
        broker_epoch=request.broker_epoch,
        next_producer_id=first + BLOCK_IDS,
    )
    reply = AllocateProducerIdsResponse(producer_id_start=first, producer_id_len=BLOCK_IDS)
    return Result([record], reply)
