"""DescribeTransactions and ListTransactions (KIP-664, KIP-994, KIP-1152) over transactions."""

from __future__ import annotations

from collections.abc import Iterable

from kafka_py.coordinator.consumer.regex import compile_pattern
from kafka_py.coordinator.transactions.transaction import State, Transaction, by_topic
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.transactions import (
    DescribeTransactionsResponse,
    ListTransactionsRequest,
    ListTransactionsResponse,
)

__all__ = ["described", "listed", "unknown_states"]

#: A state as the tools name it -> the state.
STATES = {state.name: state for state in State}


def described(
    transactional_id: str, known: Transaction | None
) -> DescribeTransactionsResponse.TransactionState:
    """A row of DescribeTransactions."""
    row = DescribeTransactionsResponse.TransactionState(transactional_id=transactional_id)
    if known is None:
        row.error_code = int(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
        return row
    row.producer_id = known.producer_id
    row.producer_epoch = known.producer_epoch
    row.transaction_state = known.state.name
    row.transaction_timeout_ms = known.timeout_ms
    row.transaction_start_time_ms = known.started_ms
    row.topics = [
        DescribeTransactionsResponse.TopicData(topic=topic, partitions=indexes)
        for topic, indexes in by_topic(known.partitions).items()
    ]
    return row


def unknown_states(request: ListTransactionsRequest) -> list[str]:
    """The filters of a request that name no state, once each."""
    return [name for name in dict.fromkeys(request.state_filters) if name not in STATES]


def listed(
    transactions: Iterable[Transaction], request: ListTransactionsRequest, now_ms: int
) -> list[ListTransactionsResponse.TransactionState]:
    """The rows of ListTransactions that all filters let through.

    A filter of states that names only unknown ones lets nothing through. Raises InvalidPattern for
    a pattern that is none.
    """
    states = {STATES[name] for name in request.state_filters if name in STATES}
    producer_ids = set(request.producer_id_filters)
    text = request.transactional_id_pattern
    pattern = compile_pattern(text) if text else None
    return [
        ListTransactionsResponse.TransactionState(
            transactional_id=one.transactional_id,
            producer_id=one.producer_id,
            transaction_state=one.state.name,
        )
        for one in transactions
        if (not producer_ids or one.producer_id in producer_ids)
        and (not request.state_filters or one.state in states)
        and (request.duration_filter < 0 or now_ms - one.started_ms > request.duration_filter)
        and (pattern is None or pattern.matches(one.transactional_id))
    ]
