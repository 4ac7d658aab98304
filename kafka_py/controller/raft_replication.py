"""What a KRaft leader and its followers do with the log; the base of `raft.RaftReplica`.

Replication is by pull.  A follower fetches from its log end with the epoch of its last record; the
leader answers with records, with the point where the two logs diverge (KIP-595: the follower cuts
its log there and asks again), or with a snapshot to fetch first (KIP-630).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kafka_py.controller import raft_messages as m
from kafka_py.controller.batches import Batch, parse_batches
from kafka_py.controller.raft_progress import LeaderProgress, ParkedFetch
from kafka_py.controller.raft_states import State
from kafka_py.controller.raft_types import (
    Inbound,
    RaftLog,
    Ready,
    Reply,
    Request,
    SnapshotChunk,
    SnapshotId,
    VoterSet,
)
from kafka_py.controller.settings import ControllerSettings
from kafka_py.protocol.errors import ErrorCode
from kcore.errors import CorruptBatch

__all__ = ["Replication"]

_NEVER = 1 << 62
_RETRY_BACKOFF_MS = 50
_MAX_WAIT_MS = 500
_HIGH_WATERMARK_UNSUPPORTED = (1 << 63) - 1


class _InFlight(NamedTuple):
    id: int
    deadline_ms: int


class _SnapshotFetch(NamedTuple):
    id: SnapshotId
    position: int


class Replication:
    """Requests in flight, the leader's answers to fetches, the follower's fetching."""

    node_id: int
    directory_id: bytes
    cluster_id: str
    epoch: int
    leader_id: int
    endpoints: dict[str, tuple[str, int]]
    _deadline_ms: int

    def __init__(
        self, log: RaftLog, voters: VoterSet, settings: ControllerSettings, random: Any
    ) -> None:
        self.log = log
        self.voters = voters
        self.settings = settings
        self.random = random
        self.state = State.UNATTACHED
        self.progress: LeaderProgress | None = None
        latest = log.latest_snapshot
        #: Offsets below are committed; -1 while unknown.  What a snapshot holds is committed.
        self.high_watermark = latest.offset if latest else -1
        self._out = Ready()
        self._inflight: dict[int, _InFlight] = {}
        self._retry_at: dict[int, int] = {}
        self._last_request_id = 0
        self._has_fetched = False
        self._retries = 0
        self._snapshot_fetch: _SnapshotFetch | None = None
        self._pending_end = -1

    @property
    def is_voter(self) -> bool:
        """Whether this replica takes part in elections."""
        return self.node_id in self.voters

    @property
    def sole_voter(self) -> bool:
        """Whether the quorum is this replica alone."""
        return self.is_voter and len(self.voters.voters) == 1

    def ready(self) -> Ready:
        """What the host must do now; each thing is said once."""
        out, self._out = self._out, Ready()
        self._pending_end = -1
        return out

    # -- requests in flight ----------------------------------------------------------------------

    def _request(self, to: int, message: Any, now_ms: int) -> None:
        self._last_request_id += 1
        timeout = self.settings.request_timeout_ms
        self._inflight[to] = _InFlight(self._last_request_id, now_ms + timeout)
        self._out.requests.append(Request(to, message, self._last_request_id))

    def _busy(self, to: int, now_ms: int) -> bool:
        return to in self._inflight or now_ms < self._retry_at.get(to, 0)

    def _settle_request(self, source: int, request_id: int, message: Any, now_ms: int) -> bool:
        """Whether this answers what is in flight; answers that come too late are dropped."""
        current = self._inflight.get(source)
        if current is None or current.id != request_id:
            return False
        del self._inflight[source]
        if message is None:
            self._retry_at[source] = now_ms + _RETRY_BACKOFF_MS
        else:
            self._retry_at.pop(source, None)
        return True

    def _expire_requests(self, now_ms: int) -> None:
        for to in [to for to, one in self._inflight.items() if now_ms >= one.deadline_ms]:
            del self._inflight[to]
        for to in [to for to, at in self._retry_at.items() if now_ms >= at]:
            del self._retry_at[to]

    def _requests_deadline_ms(self) -> int:
        flights = min((one.deadline_ms for one in self._inflight.values()), default=_NEVER)
        return min(flights, min(self._retry_at.values(), default=_NEVER))

    def _drop_requests(self) -> None:
        """Forget what is in flight: its answers are about a role that this replica left."""
        self._inflight.clear()
        self._retry_at.clear()

    # -- what all answers need -------------------------------------------------------------------

    def _leader_endpoint(self) -> tuple[str, int] | None:
        if self.leader_id == self.node_id:
            return next(iter(self.endpoints.values()), None)
        return self.voters.endpoints.get(self.leader_id)

    def _check_cluster(self, request: Any) -> ErrorCode:
        """The top-level error of a raft request, NONE when it is well-formed and from here."""
        if request.cluster_id is not None and request.cluster_id != self.cluster_id:
            return ErrorCode.INCONSISTENT_CLUSTER_ID
        return ErrorCode.NONE if m.only(request) is not None else ErrorCode.INVALID_REQUEST

    def _observe(self, epoch: int, leader_id: int, now_ms: int) -> bool:
        raise AssertionError("RaftReplica follows the epochs")

    # -- leader ----------------------------------------------------------------------------------

    @property
    def next_offset(self) -> int:
        """The base offset of the next batch to propose."""
        return max(self.log.end_offset, self._pending_end)

    def propose(self, batches: list[Batch]) -> int:
        """Append as leader; returns the end offset at which they are committed.

        Each batch follows on the one before, from `next_offset` on, in the present epoch.
        """
        assert self.state is State.LEADER, "only a leader appends"
        self._append_as_leader(batches)
        return self.next_offset

    def _append_as_leader(self, batches: list[Batch]) -> None:
        for batch in batches:
            assert batch.base_offset == self.next_offset, "a gap before the proposed batch"
            assert batch.epoch == self.epoch, "a batch of another epoch"
            self._out.append.append(batch)
            self._pending_end = batch.next_offset

    def flushed(self, offset: int, now_ms: int) -> None:
        """The local log is durable below `offset`: it counts as this voter's own fetch would."""
        if self.progress is None:
            return
        own = self.progress.voters.get(self.node_id)
        if own is not None:
            own.end_offset = max(own.end_offset, offset)
            own.last_fetch_ms = own.last_caught_up_ms = now_ms
        self._advance_leader_high_watermark()
        self._answer_parked(now_ms)

    def _advance_leader_high_watermark(self) -> None:
        assert self.progress is not None
        self._set_high_watermark(min(self.progress.majority_offset(), self.log.end_offset))

    def _set_high_watermark(self, offset: int) -> None:
        if offset > self.high_watermark:
            self.high_watermark = offset
            self._out.committed_to = offset

    def _on_fetch_request(self, inbound: Inbound, now_ms: int) -> Any:
        request = inbound.message
        error = self._check_cluster(request)
        if error:
            return m.top_level_error(request, error)
        fetch = m.only(request)
        assert fetch is not None
        code = self._check_fetch(fetch)
        if code:
            return self._fetch_answer(code)
        assert self.progress is not None
        end = self.log.end_offset
        snapshot, diverging = self._validate(fetch.fetch_offset, fetch.last_fetched_epoch)
        if snapshot is not None or diverging is not None:
            return self._fetch_answer(ErrorCode.NONE, snapshot=snapshot, diverging=diverging)
        replica_id = request.replica_state.replica_id
        replica_id = replica_id if replica_id >= 0 else request.replica_id
        self.progress.record_fetch(
            replica_id, fetch.replica_directory_id, fetch.fetch_offset, end, now_ms
        )
        before = self.high_watermark
        self._advance_leader_high_watermark()
        if self.high_watermark != before:
            self._answer_parked(now_ms)
        behind = fetch.high_watermark
        knows_all = behind in (_HIGH_WATERMARK_UNSUPPORTED, self.high_watermark)
        if fetch.fetch_offset < end or request.max_wait_ms <= 0 or not knows_all:
            return self._records_answer(fetch.fetch_offset, request.max_bytes)
        if len(self.progress.parked) >= self.progress.PARKED_MAX:
            return self._records_answer(fetch.fetch_offset, request.max_bytes)
        deadline = now_ms + request.max_wait_ms
        self.progress.parked.append(
            ParkedFetch(inbound.token, request, fetch.fetch_offset, behind, deadline)
        )
        return None

    def _check_fetch(self, fetch: Any) -> ErrorCode:
        if fetch.fetch_offset < 0 or fetch.current_leader_epoch < 0:
            return ErrorCode.INVALID_REQUEST
        if fetch.last_fetched_epoch > fetch.current_leader_epoch:
            return ErrorCode.INVALID_REQUEST
        return self._check_leadership(fetch.current_leader_epoch)

    def _check_leadership(self, epoch: int) -> ErrorCode:
        if epoch < self.epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        if epoch > self.epoch:
            return ErrorCode.UNKNOWN_LEADER_EPOCH
        if self.state is not State.LEADER:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        return ErrorCode.NONE

    def _validate(
        self, offset: int, epoch: int
    ) -> tuple[SnapshotId | None, tuple[int, int] | None]:
        """Whether a log that ends at `offset` after a record of `epoch` is a prefix of this one:
        (None, None); else (the snapshot to begin with, None) or (None, where the logs diverge)."""
        start = self.log.start_snapshot
        if start is not None and (
            offset < start.offset
            or epoch < start.epoch
            or (offset == start.offset and epoch != start.epoch)
        ):
            return self.log.latest_snapshot, None
        if offset == 0 and self.log.start_offset == 0:
            return None, None
        known_epoch, end = self.log.end_offset_for_epoch(epoch)
        if known_epoch != epoch or end < offset:
            return None, (known_epoch, end)
        return None, None

    def _fetch_answer(self, error: ErrorCode, **fields: Any) -> Any:
        return m.fetch_response(
            error=error,
            epoch=self.epoch,
            leader_id=self.leader_id,
            endpoint=self._leader_endpoint(),
            high_watermark=self.high_watermark if error == ErrorCode.NONE else -1,
            log_start_offset=self.log.start_offset if error == ErrorCode.NONE else -1,
            **fields,
        )

    def _records_answer(self, offset: int, bytes_max: int) -> Any:
        records: Any = b""
        if offset < self.log.end_offset:
            limit = max(1, min(bytes_max, self.settings.fetch_max_bytes))
            records = self.log.read(offset, limit)
        return self._fetch_answer(ErrorCode.NONE, records=records)

    def _answer_parked(self, now_ms: int) -> None:
        """Answer the fetches that something came for, or whose time is over."""
        progress = self.progress
        if progress is None or not progress.parked:
            return
        waiting = []
        for fetch in progress.parked:
            news = fetch.high_watermark not in (_HIGH_WATERMARK_UNSUPPORTED, self.high_watermark)
            if fetch.offset < self.log.end_offset or news or now_ms >= fetch.deadline_ms:
                answer = self._records_answer(fetch.offset, fetch.request.max_bytes)
                self._out.replies.append(Reply(fetch.token, answer))
            else:
                waiting.append(fetch)
        progress.parked = waiting

    def _fail_parked(self) -> None:
        if self.progress is not None:
            for fetch in self.progress.parked:
                answer = self._fetch_answer(ErrorCode.NOT_LEADER_OR_FOLLOWER)
                self._out.replies.append(Reply(fetch.token, answer))
            self.progress.parked = []

    def appended(self, now_ms: int) -> None:
        """The host has appended what a leader proposed: waiting fetches can have it."""
        self._answer_parked(now_ms)

    def _on_fetch_snapshot_request(self, inbound: Inbound, now_ms: int) -> Any:
        request = inbound.message
        error = self._check_cluster(request)
        if error:
            return m.top_level_error(request, error)
        fetch = m.only(request)
        assert fetch is not None
        snapshot = SnapshotId(fetch.snapshot_id.end_offset, fetch.snapshot_id.epoch)
        code = self._check_leadership(fetch.current_leader_epoch)
        if code:
            return self._snapshot_answer(code)
        limit = max(1, min(request.max_bytes, self.settings.fetch_max_bytes))
        found = self.log.read_snapshot(snapshot, max(fetch.position, 0), limit)
        if found is None:
            return self._snapshot_answer(ErrorCode.SNAPSHOT_NOT_FOUND)
        size, data = found
        if not 0 <= fetch.position < size:
            return self._snapshot_answer(ErrorCode.POSITION_OUT_OF_RANGE)
        assert self.progress is not None
        voter = self.progress.voters.get(request.replica_id)
        if voter is not None:
            # It is alive and reachable, though it holds no more of the log than before.
            self.progress.record_fetch(
                request.replica_id,
                fetch.replica_directory_id,
                max(voter.end_offset, 0),
                self.log.end_offset,
                now_ms,
            )
        return m.fetch_snapshot_response(
            error=ErrorCode.NONE,
            epoch=self.epoch,
            leader_id=self.leader_id,
            endpoint=self._leader_endpoint(),
            snapshot=snapshot,
            size=size,
            position=fetch.position,
            data=data,
        )

    def _snapshot_answer(self, error: ErrorCode) -> Any:
        return m.fetch_snapshot_response(
            error=error,
            epoch=self.epoch,
            leader_id=self.leader_id,
            endpoint=self._leader_endpoint(),
        )

    # -- follower --------------------------------------------------------------------------------

    def _tick_follower(self, now_ms: int) -> None:
        if now_ms >= self._deadline_ms:
            if self.is_voter:
                self._on_fetch_timeout(now_ms)
            else:
                self._look_for_leader(now_ms)
            return
        self._send_fetch(now_ms)

    def _on_fetch_timeout(self, now_ms: int) -> None:
        raise AssertionError("RaftReplica holds elections")

    def _look_for_leader(self, now_ms: int) -> None:
        """An observer asks any voter, whose answer names the leader."""
        self._deadline_ms = now_ms + self.settings.fetch_timeout_ms
        candidates = [voter for voter in self.voters.voters if voter != self.node_id]
        if candidates:
            target = candidates[self.random.randrange(len(candidates))]
            self._inflight.pop(target, None)
            self._request(target, self._fetch_message(), now_ms)

    def _fetch_message(self) -> Any:
        return m.fetch_request(
            cluster_id=self.cluster_id,
            replica=(self.node_id, self.directory_id),
            epoch=self.epoch,
            offset=self.log.end_offset,
            last_epoch=self.log.last_epoch,
            high_watermark=self.high_watermark,
            max_wait_ms=min(_MAX_WAIT_MS, self.settings.fetch_timeout_ms // 2),
            bytes_max=self.settings.fetch_max_bytes,
        )

    def _send_fetch(self, now_ms: int) -> None:
        if self._busy(self.leader_id, now_ms):
            return
        if self._out.append or self._out.truncate_to is not None or self._out.snapshot_chunks:
            return  # the log is about to change: `fetched` asks from its new end
        if self._snapshot_fetch is None:
            self._request(self.leader_id, self._fetch_message(), now_ms)
            return
        request = m.fetch_snapshot_request(
            cluster_id=self.cluster_id,
            replica=(self.node_id, self.directory_id),
            epoch=self.epoch,
            snapshot=self._snapshot_fetch.id,
            position=self._snapshot_fetch.position,
            bytes_max=self.settings.fetch_max_bytes,
        )
        self._request(self.leader_id, request, now_ms)

    def fetched(self, now_ms: int) -> None:
        """The host has appended, truncated or installed what a follower got; fetch on."""
        if self.state is State.FOLLOWER:
            self._send_fetch(now_ms)

    def _on_fetch_response(self, inbound: Inbound, now_ms: int) -> None:
        response = inbound.message
        partition = None if response.error_code else m.only(response)
        if partition is None:
            self._retry_at[inbound.source] = now_ms + _RETRY_BACKOFF_MS
            return
        leader = partition.current_leader
        before = self.epoch, self.state
        if not self._observe(leader.leader_epoch, leader.leader_id, now_ms):
            return
        if partition.error_code or (self.epoch, self.state) != before:
            self._retry_at.setdefault(inbound.source, now_ms + _RETRY_BACKOFF_MS)
            return
        if self.state is not State.FOLLOWER or inbound.source != self.leader_id:
            return
        self._has_fetched = True
        self._retries = 0
        self._deadline_ms = now_ms + self.settings.fetch_timeout_ms
        if partition.diverging_epoch.epoch >= 0 or partition.diverging_epoch.end_offset >= 0:
            self._truncate(partition.diverging_epoch.epoch, partition.diverging_epoch.end_offset)
        elif partition.snapshot_id.epoch >= 0 or partition.snapshot_id.end_offset >= 0:
            wanted = SnapshotId(partition.snapshot_id.end_offset, partition.snapshot_id.epoch)
            self._snapshot_fetch = _SnapshotFetch(wanted, 0)
        else:
            end = self._append_as_follower(partition.records)
            if partition.high_watermark >= 0:
                self._set_high_watermark(min(partition.high_watermark, end))
        self._send_fetch(now_ms)

    def _truncate(self, epoch: int, end_offset: int) -> None:
        """Cut to where the leader's epoch ended, or where ours of that epoch did (KIP-101)."""
        _, known_end = self.log.end_offset_for_epoch(epoch)
        target = max(min(end_offset, known_end), self.log.start_offset)
        assert target >= self.high_watermark, (
            f"the leader of epoch {self.epoch} would have committed records removed: "
            f"truncation to {target} below the high watermark {self.high_watermark}"
        )
        if target < self.log.end_offset:
            self._out.truncate_to = target

    def _append_as_follower(self, records: Any) -> int:
        end = self.log.end_offset
        try:
            for batch in parse_batches(records or b"", allow_partial=True):
                if batch.base_offset != end or batch.epoch > self.epoch:
                    break
                self._out.append.append(batch)
                end = batch.next_offset
        except CorruptBatch:
            pass  # damaged on the way: what came before it is good, the rest is asked for again
        self._out.flush = bool(self._out.append)
        return end

    def _on_fetch_snapshot_response(self, inbound: Inbound, now_ms: int) -> None:
        response = inbound.message
        partition = None if response.error_code else m.only(response)
        if partition is None:
            self._retry_at[inbound.source] = now_ms + _RETRY_BACKOFF_MS
            return
        leader = partition.current_leader
        if not self._observe(leader.leader_epoch, leader.leader_id, now_ms):
            return
        if self.state is not State.FOLLOWER or self._snapshot_fetch is None:
            return
        wanted = self._snapshot_fetch
        self._deadline_ms = now_ms + self.settings.fetch_timeout_ms
        if partition.error_code:
            # The leader has a newer one by now, or lost it: begin again with a plain fetch.
            self._snapshot_fetch = None
            self._retry_at[inbound.source] = now_ms + _RETRY_BACKOFF_MS
            return
        data = bytes(partition.unaligned_records or b"")
        if partition.position != wanted.position or not data:
            self._retry_at[inbound.source] = now_ms + _RETRY_BACKOFF_MS
            return
        position = wanted.position + len(data)
        last = position >= partition.size
        self._out.snapshot_chunks.append(SnapshotChunk(wanted.id, wanted.position, data, last))
        self._snapshot_fetch = None if last else _SnapshotFetch(wanted.id, position)
        if last:
            self._out.flush = True
            self._set_high_watermark(wanted.id.offset)

    # -- voters ----------------------------------------------------------------------------------

    def set_voters(self, voters: VoterSet) -> None:
        """The log or a snapshot gave another voter set (KIP-853)."""
        self.voters = voters
        if self.progress is not None:
            self.progress.set_voters(voters)
