# cython: annotation_typing=False
"""One partition as this broker sees it: offsets, epochs, ISR, follower progress. Sans-IO.

The four offsets obey ``log_start <= LSO <= HW <= LEO`` at every moment;
:meth:`Partition.set_offsets` is the one place that writes them and asserts it (KAFKA-9196,
KAFKA-16452). The module is compiled through ``partition.pxd``; it holds no clock, takes no lock,
and all calls come from the node's event loop.

Log bytes belong to kcore; what is here is soft state, rebuilt from the image, the log and the high
watermark checkpoint.
"""

from collections import deque
from typing import Any

from kcore.errors import OffsetOutOfRange

__all__ = ["FollowerState", "Partition"]

NONE = 0
OFFSET_OUT_OF_RANGE = 1
NOT_LEADER_OR_FOLLOWER = 6
KAFKA_STORAGE_ERROR = 56
FENCED_LEADER_EPOCH = 74
UNKNOWN_LEADER_EPOCH = 75
READ_COMMITTED = 1
INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})


class FollowerState:
    """What the leader knows of one follower, from its fetches.

    Times are wall-clock milliseconds.
    """

    def __init__(self, broker_epoch: int) -> None:
        self.broker_epoch = broker_epoch
        self.log_start_offset = -1
        self.log_end_offset = -1
        self.caught_up_ms = -1
        self.fetched_ms = -1
        self.leader_end_at_fetch = -1


class Partition:
    """A replica of one partition.

    Attributes (read from anywhere, written only by the methods here):
        log: the kcore Log, None while the log directory is offline.
        leads: this broker is the leader; alone: and the only replica.
        log_start_offset, last_stable_offset, high_watermark, log_end_offset: in this order, never
        decreasing but by
            truncation.
        fetch_waiters: delayed fetches to look at again when the high watermark moves, None when
            there are none (an append to one of thousands does not have to touch an empty list).
        append_waiters: deque of (required end offset, waiter) for acks=all, ascending; None
            before the first (an empty deque is as large as all the rest of an idle partition).
        queued_append: tail of the chain of off-loop appends, None when there is none.
        flush_messages: flush.messages where it is set, else -1.
        internal: one of Kafka's own topics, which clients may not write to.
        transactional: the log may hold open transactions, so the last stable offset has to be asked
        for.
        verifications: what is known of producers whose transaction is being verified, None before
            the first.
    """

    def __init__(self, topic: str, topic_id: bytes, index: int, broker_id: int) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.broker_id = broker_id
        self.log: Any = None
        self.directory: Any = None
        self.leader_id = -1
        self.leader_epoch = -1
        self.partition_epoch = -1
        self.replicas: tuple[int, ...] = ()
        self.isr: tuple[int, ...] = ()
        self.leads = False
        self.alone = False
        self.offline = False
        self.min_isr_setting = 1
        self.log_start_offset = 0
        self.last_stable_offset = 0
        self.high_watermark = 0
        self.log_end_offset = 0
        self.leader_epoch_start_offset = 0
        self.followers: dict[int, FollowerState] = {}
        self.fetch_waiters: list[Any] | None = None
        self.append_waiters: deque[tuple[int, Any]] | None = None
        self.queued_append: Any = None
        self.transactional = False
        self.verifications: Any = None
        self.flush_messages = -1
        self.internal = topic in INTERNAL_TOPICS

    def __repr__(self) -> str:
        return (
            f"<Partition {self.topic}-{self.index} leader {self.leader_id}@{self.leader_epoch} "
            f"offsets {self.log_start_offset}..{self.last_stable_offset}.."
            f"{self.high_watermark}..{self.log_end_offset}>"
        )

    def attach(self, log: Any, directory: Any, high_watermark: int) -> None:
        """Take over an opened log, and the checkpointed high watermark within its bounds."""
        self.log = log
        self.directory = directory
        self.offline = False
        bounded = max(log.log_start_offset, min(high_watermark, log.log_end_offset))
        self.set_offsets(
            log.log_start_offset, self._stable(bounded, log), bounded, log.log_end_offset
        )

    def detach(self) -> Any:
        """Let go of the log (deleted, or its directory failed) and return it.

        The replica is then offline.
        """
        log = self.log
        self.log = None
        self.offline = True
        return log

    def replace_log(self, log: Any, directory: Any) -> None:
        """Go on in another log of the same records: the replica has moved to ``directory``."""
        assert log.log_end_offset == self.log.log_end_offset, (log.path, self.log.path)
        self.log = log
        self.directory = directory
        self.transactional = log.first_unstable_offset(log.log_end_offset) is not None
        mark = max(self.high_watermark, log.log_start_offset)
        self.set_offsets(log.log_start_offset, self._stable(mark, log), mark, log.log_end_offset)

    def set_offsets(
        self, log_start: int, last_stable: int, high_watermark: int, log_end: int
    ) -> int:
        """The only writer of the four offsets.

        A broken order is a bug here and stops the request, not the data.
        """
        assert 0 <= log_start <= last_stable <= high_watermark <= log_end, (
            f"{self.topic}-{self.index}: offsets out of order: log start {log_start}, "
            f"last stable {last_stable}, high watermark {high_watermark}, log end {log_end}"
        )
        self.log_start_offset = log_start
        self.last_stable_offset = last_stable
        self.high_watermark = high_watermark
        self.log_end_offset = log_end
        return 0

    def _stable(self, high_watermark: int, log: Any) -> int:
        """The last stable offset, and whether it has to be asked for the next time as well."""
        log.producers.on_high_watermark(high_watermark)
        first = log.first_unstable_offset(high_watermark)
        self.transactional = first is not None
        if first is None:
            return high_watermark
        stable: int = max(log.log_start_offset, min(first, high_watermark))
        return stable

    # Leadership

    def become_leader(
        self,
        *,
        leader_epoch: int,
        partition_epoch: int,
        replicas: tuple[int, ...],
        isr: tuple[int, ...],
        now_ms: int,
    ) -> bool:
        """Lead under ``leader_epoch``; False when nothing is new.

        The epoch's start is on record before any append.
        """
        if partition_epoch < self.partition_epoch or leader_epoch < self.leader_epoch:
            return False
        new_epoch = leader_epoch > self.leader_epoch or not self.leads
        self.leader_id = self.broker_id
        self.leader_epoch = leader_epoch
        self.partition_epoch = partition_epoch
        self.replicas = replicas
        self.isr = isr
        self.leads = True
        self.alone = replicas == (self.broker_id,)
        if new_epoch:
            self.followers = {
                replica: FollowerState(-1) for replica in replicas if replica != self.broker_id
            }
            for state in self.followers.values():
                state.caught_up_ms = now_ms
            if self.log is not None:
                self.leader_epoch_start_offset = self.log.log_end_offset
                self.log.assign_leader_epoch(leader_epoch, self.log.log_end_offset)
        else:
            for replica in replicas:
                if replica != self.broker_id and replica not in self.followers:
                    self.followers[replica] = FollowerState(-1)
            for replica in list(self.followers):
                if replica not in replicas:
                    del self.followers[replica]
        if self.log is not None:
            self.advance()
        return new_epoch

    def become_follower(
        self,
        *,
        leader_id: int,
        leader_epoch: int,
        partition_epoch: int,
        replicas: tuple[int, ...],
        isr: tuple[int, ...],
    ) -> bool:
        """Follow ``leader_id`` (-1: nobody leads); False when nothing is new."""
        if partition_epoch < self.partition_epoch or leader_epoch < self.leader_epoch:
            return False
        changed = self.leads or leader_epoch > self.leader_epoch or leader_id != self.leader_id
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.partition_epoch = partition_epoch
        self.replicas = replicas
        self.isr = isr
        self.leads = False
        self.alone = False
        self.followers = {}
        return changed

    @property
    def min_isr(self) -> int:
        """min.insync.replicas, but never more than there are replicas (as Kafka counts)."""
        return min(self.min_isr_setting, max(1, len(self.replicas)))

    @property
    def under_min_isr(self) -> bool:
        """Whether acks=all has to be refused."""
        return len(self.isr) < self.min_isr

    # Offsets

    def advance(self) -> bool:
        """Read the log's ends again after an append, a deletion or a follower's fetch.

        True when the HW moved.
        """
        log = self.log
        end = log.log_end_offset
        start = log.log_start_offset
        mark = self.high_watermark
        if self.alone:
            mark = end
        elif self.leads and len(self.isr) >= self.min_isr:
            mark = self._replicated(end)
        if mark < start:
            mark = start
        moved = mark > self.high_watermark
        if self.transactional:
            stable = self._stable(mark, log)
            moved = moved or stable > self.last_stable_offset
        else:
            stable = mark
        self.set_offsets(start, stable, mark, end)
        return moved

    def _replicated(self, end: int) -> int:
        """The offset that every in-sync replica has; never below the present high watermark."""
        lowest = end
        for replica in self.isr:
            if replica == self.broker_id:
                continue
            state = self.followers.get(replica)
            reached = -1 if state is None else state.log_end_offset
            lowest = min(lowest, reached)
        return max(self.high_watermark, lowest)

    def truncated(self) -> None:
        """Take the log's ends over after a truncation; the one way that offsets go back."""
        log = self.log
        mark = max(log.log_start_offset, min(self.high_watermark, log.log_end_offset))
        self.set_offsets(log.log_start_offset, self._stable(mark, log), mark, log.log_end_offset)

    def follower_high_watermark(self, leader_high_watermark: int) -> None:
        """What a follower learns from its leader's fetch reply, bounded by its own log."""
        assert not self.leads
        log = self.log
        mark = max(log.log_start_offset, min(leader_high_watermark, log.log_end_offset))
        mark = max(mark, min(self.high_watermark, log.log_end_offset))
        self.set_offsets(log.log_start_offset, self._stable(mark, log), mark, log.log_end_offset)

    def epoch_error(self, current_leader_epoch: int) -> int:
        """The wire's error for who believes in that leader epoch (-1: does not say), else 0."""
        if current_leader_epoch < 0 or current_leader_epoch == self.leader_epoch:
            return NONE
        return (
            FENCED_LEADER_EPOCH
            if current_leader_epoch < self.leader_epoch
            else UNKNOWN_LEADER_EPOCH
        )

    def leader_error(self, current_leader_epoch: int) -> int:
        """Like :meth:`epoch_error` and also whether this broker leads and its log works."""
        error = self.epoch_error(current_leader_epoch)
        if error:
            return error
        if not self.leads:
            return NOT_LEADER_OR_FOLLOWER
        return KAFKA_STORAGE_ERROR if self.offline else NONE

    def limit(self, isolation_level: int, follower: bool) -> int:
        """The end of what a reader may see.

        A follower all, read_committed below the LSO, others below the HW.
        """
        if follower:
            return self.log_end_offset
        return self.last_stable_offset if isolation_level == READ_COMMITTED else self.high_watermark

    def diverging_epoch(self, last_fetched_epoch: int, fetch_offset: int) -> tuple[int, int] | None:
        """(epoch, end offset) where a reader's history leaves ours, None if it does not (KIP-595).

        Raises OffsetOutOfRange when the log knows nothing of such an epoch any more.
        """
        if last_fetched_epoch < 0:
            return None
        epoch, end_offset = self.log.end_offset_for_epoch(last_fetched_epoch)
        if epoch < 0 or end_offset < 0:
            raise OffsetOutOfRange(
                f"{self.topic}-{self.index}: no end offset for epoch {last_fetched_epoch}"
            )
        if epoch < last_fetched_epoch or end_offset < fetch_offset:
            return epoch, end_offset
        return None

    def delete_records(self, before_offset: int) -> int:
        """Move the log start up to ``before_offset`` (-1: the high watermark); the low watermark.

        Raises OffsetOutOfRange above the high watermark or for other negative numbers.
        """
        target = self.high_watermark if before_offset == -1 else before_offset
        if target < 0 or target > self.high_watermark:
            raise OffsetOutOfRange(
                f"{self.topic}-{self.index}: {before_offset} is not below the high watermark "
                f"{self.high_watermark}"
            )
        if target > self.log_start_offset:
            self.log.advance_log_start(target)
            self.advance()
        return self.low_watermark()

    def low_watermark(self) -> int:
        """The lowest log start offset of the live replicas, as far as this leader knows."""
        lowest = self.log_start_offset
        for state in self.followers.values():
            if state.log_start_offset >= 0:
                lowest = min(lowest, state.log_start_offset)
        return lowest

    # Followers

    def record_follower(
        self,
        replica_id: int,
        *,
        broker_epoch: int,
        fetch_offset: int,
        log_start_offset: int,
        now_ms: int,
    ) -> bool:
        """Note a follower's fetch; True when the high watermark moved.

        An unknown replica is ignored (KIP-903).
        """
        state = self.followers.get(replica_id)
        if state is None or (broker_epoch >= 0 and broker_epoch < state.broker_epoch):
            return False
        # A follower that reads from where the leader ended at its previous fetch was caught up then
        # (KIP-16).
        if fetch_offset >= self.log_end_offset:
            state.caught_up_ms = now_ms
        elif state.leader_end_at_fetch >= 0 and fetch_offset >= state.leader_end_at_fetch:
            state.caught_up_ms = max(state.caught_up_ms, state.fetched_ms)
        state.broker_epoch = max(state.broker_epoch, broker_epoch)
        state.log_end_offset = fetch_offset
        state.log_start_offset = log_start_offset
        state.leader_end_at_fetch = self.log_end_offset
        state.fetched_ms = now_ms
        return self.advance()

    def isr_candidates(self, now_ms: int, lag_max_ms: int) -> tuple[int, ...]:
        """The in-sync replicas as they should be.

        Expanded by who caught up, shrunk by who lags over ``lag_max_ms``.
        """
        wanted = []
        for replica in self.replicas:
            if replica == self.broker_id:
                wanted.append(replica)
                continue
            state = self.followers[replica]
            if replica in self.isr:
                lags = (
                    state.log_end_offset < self.log_end_offset
                    and now_ms - state.caught_up_ms > lag_max_ms
                )
                if not lags:
                    wanted.append(replica)
            elif (
                state.log_end_offset >= self.high_watermark
                and state.log_end_offset >= self.leader_epoch_start_offset
            ):
                wanted.append(replica)
        return tuple(wanted)
