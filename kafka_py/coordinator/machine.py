"""The nouns of a coordinator: records, results, replies.

A machine answers a request with a `Result`: the records that make the change, and the replies that
may go out once those records are committed. It neither appends nor sends; it holds no clock and no
randomness of its own. The runtime appends the records to the partition's log, applies them, and
parks the replies until the high watermark has passed them. See ARCHITECTURE.md, "Coordinators".

Two kinds of state live in a machine. What records say (committed offsets, the members of a consumer
group, the last stable generation of a classic group) changes in ``apply`` only, so that replaying
the log gives it back. What no record says (a classic group's members while it rebalances, sessions,
parked replies) is soft: ``handle`` may change it, and it is lost with the coordinator, as Kafka's
is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.schema import Record
from kcore.values import field, frozen, mutable

__all__ = [
    "NOTHING",
    "Caller",
    "CoordinatorRecord",
    "Delivery",
    "Moment",
    "Producer",
    "Reply",
    "Result",
    "Then",
    "TransactionEnd",
]


class CoordinatorRecord(NamedTuple):
    """One record of a coordinator's topic; a value of None is a tombstone.

    ``value_version`` is the version of the value's schema to write (Kafka's writer's choice).
    """

    key: Record
    value: Record | None
    value_version: int = 0


class Producer(NamedTuple):
    """Who writes records as a part of its transaction."""

    producer_id: int
    epoch: int


class TransactionEnd(NamedTuple):
    """The end of a producer's transaction, as a marker says it.

    Attributes:
        coordinator_epoch: leader epoch of the transaction coordinator's partition; a lower one than
            the last is fenced.
        transaction_version: 0, 1 or 2; from 2 on the producer epoch must be above the records'.
    """

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    committed: bool
    transaction_version: int


@frozen
class Caller:
    """Who asks: what a machine may know of a request's sender.

    client_host is the address as Kafka writes it (``/127.0.0.1``); api_version that of the request.
    """

    client_id: str
    client_host: str
    api_version: int
    principal: str = "User:ANONYMOUS"


class Moment(NamedTuple):
    """What time it is: ``ms`` is monotonic and for deadlines, ``wall_ms`` for what is written."""

    ms: int
    wall_ms: int


class Reply(Protocol):
    """Where an answer goes: opaque to the machine, which only hands it back in a `Result`.

    A reply is given at most once; the request that it belongs to stays open until then.
    """

    request: Any
    caller: Caller


class Delivery(NamedTuple):
    """A response and the reply that it answers."""

    reply: Reply
    response: Any


Then = Callable[[ErrorCode, Moment], "Result"]


@mutable
class Result:
    """What a machine answers: nothing of it has happened yet.

    Attributes:
        records: to be appended together, or not at all.
        replies: given once the records, and everything that was applied before them, are committed.
            If the append fails they get that error instead.
        replay: whether the runtime applies the records after the append. False where ``handle`` has
            changed soft state that already says what the records say (the classic group).
        then: called with (error, now) once the records are committed (NONE), or could not be
            appended; what it returns is handled like any other result. The error is the log's own
            (MESSAGE_TOO_LARGE, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, ...), not a client's.
        atomic: False lets the runtime spread the records over several batches, for tombstones that
            need not be together.
        producer: the records belong to this producer's open transaction. They are a batch of their
            own, which is appended at once, and applied (`apply_pending`) when the log has taken it:
            a producer that was fenced does no harm. Nothing of `replay` and `atomic` holds.
    """

    records: list[CoordinatorRecord] = field(default_factory=list)
    replies: list[Delivery] = field(default_factory=list)
    replay: bool = True
    then: Then | None = None
    atomic: bool = True
    producer: Producer | None = None


#: No records, no replies. Never mutate it.
NOTHING: Final = Result()
