"""Requests of this coordinator that are not messages of the wire, and how all are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafka_py.coordinator.transactions.transaction import TopicPartition
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    EndTxnRequest,
    EndTxnResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from kcore.values import frozen

__all__ = ["REFUSALS", "AddPartitions", "Outcome"]

Outcome = dict[TopicPartition, ErrorCode]


@frozen
class AddPartitions:
    """One transaction of AddPartitionsToTxn; answered with an `Outcome`.

    `verify_only` asks whether they are in it. `client_version` is 0 for a request of a client and 2
    for one of a broker that got a batch.
    """

    transactional_id: str
    producer_id: int
    producer_epoch: int
    partitions: tuple[TopicPartition, ...]
    verify_only: bool = False
    client_version: int = 0


def _init(_request: InitProducerIdRequest, error: ErrorCode) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=int(error), producer_id=-1, producer_epoch=-1)


def _add(request: AddPartitions, error: ErrorCode) -> Outcome:
    return dict.fromkeys(request.partitions, error)


def _end(_request: EndTxnRequest, error: ErrorCode) -> EndTxnResponse:
    return EndTxnResponse(error_code=int(error))


def _describe(
    request: DescribeTransactionsRequest, error: ErrorCode
) -> DescribeTransactionsResponse:
    return DescribeTransactionsResponse(
        transaction_states=[
            DescribeTransactionsResponse.TransactionState(
                transactional_id=transactional_id, error_code=int(error)
            )
            for transactional_id in request.transactional_ids
        ]
    )


def _list(_request: ListTransactionsRequest, error: ErrorCode) -> ListTransactionsResponse:
    return ListTransactionsResponse(error_code=int(error))


def _row(refuse: Callable[[Any, ErrorCode], Any]) -> Callable[[Any, int, ErrorCode, Any], Any]:
    return lambda request, _version, error, _message: refuse(request, error)


#: For `kafka_py.coordinator.answers`: request class -> its response that says an error.
REFUSALS: Final[dict[type, Callable[[Any, int, ErrorCode, Any], Any]]] = {
    InitProducerIdRequest: _row(_init),
    AddPartitions: _row(_add),
    EndTxnRequest: _row(_end),
    DescribeTransactionsRequest: _row(_describe),
    ListTransactionsRequest: _row(_list),
}
