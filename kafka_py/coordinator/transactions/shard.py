"""One partition of ``__transaction_state`` as a machine: its transactional ids.

What a transaction is comes from its records only (`apply`); a record is the whole of it, so the
latest one counts. Nothing is said to anybody, and no marker is written, before the record that
decided it is committed: that is `Result.replies` and `Result.then`.

Kafka's coordinator keeps a change out of sight until it is committed and tells who comes meanwhile
CONCURRENT_TRANSACTIONS; here it shows at once, and the answers of whoever saw it wait for it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from kafka_py.coordinator.deadlines import Deadlines
from kafka_py.coordinator.machine import (
    NOTHING,
    Caller,
    Delivery,
    Moment,
    Reply,
    Result,
)
from kafka_py.coordinator.transactions import listing, transitions
from kafka_py.coordinator.transactions.markers import (
    MARKER_RETRY_MS,
    SUPERSEDED,
    MarkerJob,
    MarkerSender,
    Remaining,
)
from kafka_py.coordinator.transactions.requests import AddPartitions
from kafka_py.coordinator.transactions.transaction import (
    AT_REST,
    NO_EPOCH,
    NO_PRODUCER_ID,
    PREPARED,
    State,
    TopicPartition,
    Transaction,
    from_record,
    to_record,
    tombstone,
)
from kafka_py.coordinator.transactions.transitions import Refused
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records_transaction import TransactionLogKey, TransactionLogValue
from kafka_py.protocol.schema import Record
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

__all__ = ["TransactionShard"]

log = logging.getLogger("kafka_py.coordinator")

#: EndTxn from this version on bumps the epoch (KIP-890, transaction.version 2).
BUMPING_END_VERSION: Final = 5

_TIMEOUTS: Final = ("time-outs",)
_EXPIRY: Final = ("expiry",)
#: Deadline -> the setting that says how often it comes.
SWEEPS: Final = {
    _TIMEOUTS: "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    _EXPIRY: "transaction.remove.expired.transaction.cleanup.interval.ms",
}


class TransactionShard:
    """The coordinator of the transactional ids of one partition.

    Args:
        coordinator_epoch: the leader epoch of the partition, written into markers.
        settings: the broker's configuration.
        transaction_version: the finalized level of the feature, asked for when it matters.
        new_producer_id: a producer id that nobody else has; None while there is none to have.
        sender: brings markers to their partitions.
    """

    def __init__(
        self,
        *,
        coordinator_epoch: int,
        settings: Mapping[str, Any],
        transaction_version: Callable[[], int],
        new_producer_id: Callable[[], int | None],
        sender: MarkerSender,
    ) -> None:
        self.coordinator_epoch = coordinator_epoch
        self.settings = settings
        self.transactions: dict[str, Transaction] = {}
        self.deadlines = Deadlines()
        #: Transactions whose markers are on their way; soft.
        self.remaining: dict[str, Remaining] = {}
        self._ongoing: set[str] = set()
        #: The one thing that records do not say, for the record that is applied next.
        self._last_epochs: dict[str, int] = {}
        self._transaction_version = transaction_version
        self._take_producer_id = new_producer_id
        self._sender = sender
        self._handlers: dict[type, Callable[[Any, Caller, Moment, Reply], Result]] = {
            InitProducerIdRequest: self._init_producer_id,
            AddPartitions: self._add_partitions,
            EndTxnRequest: self._end_txn,
            DescribeTransactionsRequest: self._describe,
            ListTransactionsRequest: self._list,
        }

    # ------------------------------------------------------------------------- what runtimes call

    def handle(self, request: Any, caller: Caller, now: Moment, reply: Reply) -> Result:
        """What becomes of a request."""
        self._arm(now)
        return self._handlers[type(request)](request, caller, now, reply)

    def apply(self, key: Record, value: Record | None) -> None:
        """Take over one record: the only mutator of `transactions`."""
        assert isinstance(key, TransactionLogKey)
        transactional_id = key.transactional_id
        last_epoch = self._last_epochs.pop(transactional_id, NO_EPOCH)
        self._ongoing.discard(transactional_id)
        if value is None:
            self.transactions.pop(transactional_id, None)
            return
        assert isinstance(value, TransactionLogValue)
        made = from_record(transactional_id, value, last_epoch)
        self.transactions[transactional_id] = made
        if made.state is State.Ongoing:
            self._ongoing.add(transactional_id)

    def loaded(self, now: Moment) -> Iterator[Result]:
        """The log was replayed: what is prepared goes on to its end."""
        if self.transactions:
            self._arm(now)
        for known in list(self.transactions.values()):
            if known.state in PREPARED:
                yield self._markers(known.transactional_id)

    def unloaded(self) -> list[Delivery]:
        """Nobody is parked here; markers on their way are left to the next coordinator."""
        self.remaining.clear()
        return []

    def expire(self, now: Moment) -> Iterator[Result]:
        """Abort what took too long, forget what nobody uses, try markers again."""
        for key in self.deadlines.due(now.ms):
            if key == _TIMEOUTS:
                yield from self._abort_timed_out(now)
            elif key == _EXPIRY:
                yield self._forget_expired(now)
            else:
                yield self._markers(key[1])  # type: ignore[index]
        if self.transactions:
            self._arm(now)

    def next_deadline_ms(self) -> int | None:
        """When `expire` has something to do (monotonic)."""
        return self.deadlines.next_ms()

    # -------------------------------------------------------------------------------- what is asked

    def _init_producer_id(
        self, request: InitProducerIdRequest, _caller: Caller, now: Moment, reply: Reply
    ) -> Result:
        """A producer starts, or goes on after an error. The time-out was judged by the caller."""
        transactional_id = request.transactional_id
        assert transactional_id
        expected = None
        if request.producer_id != -1:
            expected = (request.producer_id, request.producer_epoch)
        try:
            known = self.transactions.get(transactional_id)
            if known is None:
                known = Transaction(
                    transactional_id, self._new_producer_id(), request.transaction_timeout_ms
                )
            made = transitions.initialized(
                known,
                expected=expected,
                timeout_ms=request.transaction_timeout_ms,
                new_producer_id=self._new_producer_id,
                now_ms=now.wall_ms,
            )
            if made.state is State.Ongoing:
                told = _init_error(ErrorCode.CONCURRENT_TRANSACTIONS)
                return self._fence(made, now, [Delivery(reply, told)], "another producer starts")
        except Refused as refused:
            return _reply(reply, _init_error(refused.error))
        response = InitProducerIdResponse(
            producer_id=made.producer_id, producer_epoch=made.producer_epoch
        )
        return self._written(made, [Delivery(reply, response)])

    def _add_partitions(
        self, request: AddPartitions, _caller: Caller, now: Moment, reply: Reply
    ) -> Result:
        """Partitions come into a transaction, or are looked for in it."""
        known = self.transactions.get(request.transactional_id)
        outcome = dict.fromkeys(request.partitions, ErrorCode.NONE)
        try:
            if known is None:
                raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
            if request.verify_only:
                outcome = transitions.verified(
                    known,
                    producer_id=request.producer_id,
                    epoch=request.producer_epoch,
                    partitions=request.partitions,
                )
                return _reply(reply, outcome)
            made = transitions.added(
                known,
                producer_id=request.producer_id,
                epoch=request.producer_epoch,
                partitions=request.partitions,
                client_version=request.client_version,
                now_ms=now.wall_ms,
            )
            self._check_version(made)
        except Refused as refused:
            return _reply(reply, dict.fromkeys(request.partitions, refused.error))
        return self._written(made, [Delivery(reply, outcome)])

    def _end_txn(self, request: EndTxnRequest, caller: Caller, now: Moment, reply: Reply) -> Result:
        """A producer commits or aborts: answered when that is decided, before markers are out."""
        known = self.transactions.get(request.transactional_id)
        bumps = caller.api_version >= BUMPING_END_VERSION
        try:
            if known is None:
                raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
            made = transitions.ended(
                known,
                producer_id=request.producer_id,
                epoch=request.producer_epoch,
                commit=request.committed,
                bumps=bumps,
                new_producer_id=self._new_producer_id,
                now_ms=now.wall_ms,
            )
            self._check_version(made)
        except Refused as refused:
            response = EndTxnResponse(error_code=int(refused.error))
            if refused.error is ErrorCode.NONE and bumps and known is not None:
                response.producer_id = known.producer_id
                response.producer_epoch = known.producer_epoch
            elif refused.error is ErrorCode.INVALID_TXN_STATE and known is not None:
                what = "commit" if request.committed else "abort"
                log.warning("%s: no %s in %s", known.transactional_id, what, known.state.name)
            return _reply(reply, response)
        response = EndTxnResponse()
        if bumps:
            rotates = made.next_producer_id != NO_PRODUCER_ID
            response.producer_id = made.next_producer_id if rotates else made.producer_id
            response.producer_epoch = 0 if rotates else made.producer_epoch
        return self._decided(made, [Delivery(reply, response)])

    def _describe(
        self, request: DescribeTransactionsRequest, _caller: Caller, _now: Moment, reply: Reply
    ) -> Result:
        rows = [
            listing.described(one, self.transactions.get(one)) for one in request.transactional_ids
        ]
        return _reply(reply, DescribeTransactionsResponse(transaction_states=rows))

    def _list(
        self, request: ListTransactionsRequest, _caller: Caller, now: Moment, reply: Reply
    ) -> Result:
        rows = listing.listed(self.transactions.values(), request, now.wall_ms)
        return _reply(reply, ListTransactionsResponse(transaction_states=rows))

    def _check_version(self, made: Transaction) -> None:
        """Records of version 0 cannot say that a client used transaction.version 2."""
        if made.client_version > 0 and self._transaction_version() < 1:
            raise Refused(ErrorCode.UNSUPPORTED_VERSION)

    def _new_producer_id(self) -> int:
        taken = self._take_producer_id()
        if taken is None:
            raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return taken

    # ------------------------------------------------------------------------------ what is written

    def _written(self, made: Transaction, replies: list[Delivery]) -> Result:
        self._last_epochs[made.transactional_id] = made.last_producer_epoch
        return Result([to_record(made, self._transaction_version())], replies)

    def _decided(self, made: Transaction, replies: list[Delivery]) -> Result:
        """The end of a transaction: in the log first, markers when it is committed there."""
        result = self._written(made, replies)
        transactional_id = made.transactional_id

        def then(error: ErrorCode, now: Moment) -> Result:
            if error is ErrorCode.NONE:
                return self._send_markers(transactional_id, now)
            # Not known to be committed in time, but in the log: it is looked at again.
            self.deadlines.set(("markers", transactional_id), now.ms + MARKER_RETRY_MS)
            return NOTHING

        result.then = then
        return result

    def _fence(self, known: Transaction, now: Moment, replies: list[Delivery], why: str) -> Result:
        """Abort in the producer's stead. Raises Refused when that takes an id and there is none."""
        made = transitions.fenced(
            known,
            transaction_version=self._transaction_version(),
            new_producer_id=self._new_producer_id,
            now_ms=now.wall_ms,
        )
        log.info("%s: the transaction is aborted: %s", known.transactional_id, why)
        return self._decided(made, replies)

    # -------------------------------------------------------------------------------------- markers

    def _markers(self, transactional_id: str) -> Result:
        """Write the markers once everything that was applied so far is committed."""

        def then(error: ErrorCode, now: Moment) -> Result:
            if error is ErrorCode.NONE:
                return self._send_markers(transactional_id, now)
            self.deadlines.set(("markers", transactional_id), now.ms + MARKER_RETRY_MS)
            return NOTHING

        return Result(then=then)

    def _send_markers(self, transactional_id: str, now: Moment) -> Result:
        """Ask for the markers that are not written yet; complete when there are none."""
        known = self.transactions.get(transactional_id)
        if known is None or known.state not in PREPARED:
            return NOTHING
        remaining = self.remaining.get(transactional_id)
        if remaining is None:
            remaining = self.remaining[transactional_id] = Remaining(known.partitions)
        if not remaining.partitions:
            return self._complete(known, now)
        if remaining.job is None:
            self._sender.send(remaining.begin(known, self.coordinator_epoch))
        return NOTHING

    def markers_written(
        self, job: MarkerJob, outcome: Mapping[TopicPartition, ErrorCode], now: Moment
    ) -> Iterator[Result]:
        """What became of a job. An outcome that is not the current job's is passed over."""
        transactional_id = job.transactional_id
        remaining = self.remaining.get(transactional_id)
        if remaining is None or remaining.job is not job:
            return
        errors = remaining.take(outcome)
        if not SUPERSEDED.isdisjoint(errors.values()):
            # As Kafka: the transaction is left to whoever took over, or to the next coordinator.
            log.warning("%s: markers are refused for good: %s", transactional_id, _shown(errors))
        elif errors:
            log.info("%s: markers are tried again: %s", transactional_id, _shown(errors))
            self.deadlines.set(("markers", transactional_id), now.ms + MARKER_RETRY_MS)
        else:
            yield self._send_markers(transactional_id, now)

    def _complete(self, known: Transaction, now: Moment) -> Result:
        del self.remaining[known.transactional_id]
        self.deadlines.cancel(("markers", known.transactional_id))
        return self._written(transitions.completed(known, now_ms=now.wall_ms), [])

    # ----------------------------------------------------------------------------------- over time

    def _arm(self, now: Moment) -> None:
        """The two sweeps come at Kafka's intervals; they stop where there is nothing to look at."""
        for key, setting in SWEEPS.items():
            if key not in self.deadlines:
                self.deadlines.set(key, now.ms + self.settings[setting])

    def _abort_timed_out(self, now: Moment) -> Iterator[Result]:
        for transactional_id in sorted(self._ongoing):
            known = self.transactions[transactional_id]
            if known.started_ms + known.timeout_ms < now.wall_ms:
                with contextlib.suppress(Refused):  # The next sweep has an id.
                    yield self._fence(known, now, [], "it took too long")

    def _forget_expired(self, now: Moment) -> Result:
        before_ms = now.wall_ms - self.settings["transactional.id.expiration.ms"]
        gone = [
            tombstone(one.transactional_id)
            for one in self.transactions.values()
            if one.state in AT_REST and one.updated_ms <= before_ms
        ]
        return Result(gone, atomic=False) if gone else NOTHING


def _reply(reply: Reply, response: Any) -> Result:
    return Result(replies=[Delivery(reply, response)])


def _init_error(error: ErrorCode) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=int(error), producer_id=-1, producer_epoch=-1)


def _shown(errors: Mapping[TopicPartition, ErrorCode]) -> str:
    return ", ".join(f"{topic}-{index} {error.name}" for (topic, index), error in errors.items())
