"""RaftReplica: one KRaft replica without clock, disk or network.

    step(inbound, now_ms)   a message came (or a request failed)
    tick(now_ms)            time passed: call at `next_deadline_ms` at the latest
    propose(batches)        append as leader
    flushed(offset, now_ms) the log is durable below that offset
    ready() -> Ready        what the host must now do, in the order of its fields

The host drains `ready()` after every one of the other calls, before the next.  Times are monotonic
milliseconds.  The states and their moves are in `raft_states`; this file holds elections, and
`raft_replication` what a leader and its followers do with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka_py.controller import raft_messages as m
from kafka_py.controller.batches import Batch
from kafka_py.controller.raft_progress import LeaderProgress
from kafka_py.controller.raft_replication import Replication
from kafka_py.controller.raft_states import TRANSITIONS, Event, State
from kafka_py.controller.raft_types import (
    ZERO_UUID,
    Inbound,
    QuorumState,
    RaftLog,
    Reply,
    VoterSet,
)
from kafka_py.controller.settings import ControllerSettings
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.quorum import (
    BeginQuorumEpochRequest,
    BeginQuorumEpochResponse,
    EndQuorumEpochRequest,
    EndQuorumEpochResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    VoteRequest,
    VoteResponse,
)

__all__ = ["RaftReplica"]

#: Makes the control batch that opens an epoch:
#: (base offset, epoch, leader id, granting voters, voters) -> Batch.
EpochStart = Callable[[int, int, int, Sequence[int], VoterSet], Batch]


class RaftReplica(Replication):
    """One replica of the metadata log: a voter when `voters` has `node_id`, else an observer.

    Attributes (read only): state, epoch, leader_id, high_watermark, voters.
    """

    def __init__(
        self,
        *,
        node_id: int,
        directory_id: bytes,
        cluster_id: str,
        voters: VoterSet,
        log: RaftLog,
        quorum_state: QuorumState,
        settings: ControllerSettings,
        random: Any,
        epoch_start: EpochStart,
        endpoints: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        """`quorum_state` is what was last persisted; `endpoints` our own, by listener name."""
        super().__init__(log, voters, settings, random)
        self.node_id = node_id
        self.directory_id = directory_id
        self.cluster_id = cluster_id
        self.endpoints = dict(endpoints or {})
        self.epoch = max(quorum_state.epoch, log.last_epoch)
        self._epoch_start = epoch_start
        self._saved = quorum_state
        current = quorum_state.epoch == self.epoch
        self.leader_id = quorum_state.leader_id if current else -1
        self._voted_id = quorum_state.voted_id if current else -1
        self._voted_directory_id = quorum_state.voted_directory_id if current else ZERO_UUID
        self._granted: set[int] = set()
        self._rejected: set[int] = set()
        self._backing_off = False
        self._deadline_ms = 0

    # -- driving ---------------------------------------------------------------------------------

    def start(self, now_ms: int) -> None:
        """Take up the state that was persisted. A sole voter elects itself at once."""
        if self.leader_id == self.node_id and self.is_voter:
            # Its unflushed tail may be gone, so it must not lead this epoch again (KAFKA-10527).
            self.state = State.RESIGNED
            self._arm_election(now_ms)
        elif self.leader_id >= 0 and self.leader_id != self.node_id:
            self._enter_follower(now_ms)
        else:
            self.leader_id = -1
            self.state = State.UNATTACHED
            self._arm_election(now_ms)
        if self.sole_voter:
            if self.state is State.RESIGNED:
                self._end_resignation(now_ms)
            if self.state is State.FOLLOWER:
                self._move(Event.FETCH_TIMEOUT)
            else:
                self._move(Event.ELECTION_TIMEOUT)
            self._begin_pre_vote(now_ms)
        self._save()

    def step(self, inbound: Inbound, now_ms: int) -> None:
        """Take one message. Never raises for what a peer sends."""
        message = inbound.message
        if inbound.request_id >= 0:
            self._step_response(inbound, now_ms)
        else:
            reply = self._REQUESTS[type(message)](self, inbound, now_ms)
            if reply is not None:
                self._out.replies.append(Reply(inbound.token, reply))
        self._save()

    def _step_response(self, inbound: Inbound, now_ms: int) -> None:
        if not self._settle_request(inbound.source, inbound.request_id, inbound.message, now_ms):
            return  # answered after its timeout: whatever it says is about the past
        if inbound.message is not None:
            self._RESPONSES[type(inbound.message)](self, inbound, now_ms)

    def tick(self, now_ms: int) -> None:
        """Do what is due."""
        self._expire_requests(now_ms)
        if self.state is State.LEADER:
            self._tick_leader(now_ms)
        elif self.state is State.FOLLOWER:
            self._tick_follower(now_ms)
        elif self.state is State.RESIGNED:
            self._tick_resigned(now_ms)
        elif self.state is State.UNATTACHED:
            self._tick_unattached(now_ms)
        else:
            self._tick_election(now_ms)
        self._save()

    def next_deadline_ms(self) -> int:
        """When `tick` has something to do next."""
        deadline = min(self._deadline_ms, self._requests_deadline_ms())
        if self.progress is not None:
            if not self.sole_voter:
                deadline = min(deadline, self.progress.check_quorum_deadline_ms)
            deadline = min([deadline, *(fetch.deadline_ms for fetch in self.progress.parked)])
        return deadline

    def resign(self, now_ms: int) -> None:
        """Give up leadership before a shutdown, so that the others need not wait for a timeout."""
        if self.state is State.LEADER and not self.sole_voter:
            self._resign(Event.SHUTDOWN, now_ms)
            self._save()

    # -- transitions -----------------------------------------------------------------------------

    def _move(self, event: Event) -> None:
        target = TRANSITIONS[self.state].get(event)
        assert target is not None, f"a {self.state.value} replica cannot have: {event.value}"
        if self.state is State.LEADER and target is not State.LEADER:
            self._fail_parked()
            self.progress = None
        self.state = target

    def _save(self) -> None:
        """Put the quorum state into Ready when it differs from what was persisted."""
        state = QuorumState(self.epoch, self.leader_id, self._voted_id, self._voted_directory_id)
        if state != self._saved:
            if (state.epoch, state.leader_id) != (self._saved.epoch, self._saved.leader_id):
                self._out.leader_changed = True
            assert state.epoch >= self._saved.epoch, "an epoch never goes back"
            self._out.quorum_state = self._saved = state

    def _arm_election(self, now_ms: int) -> None:
        """A random timeout, so that voters do not all start at once."""
        timeout = self.settings.election_timeout_ms
        self._deadline_ms = now_ms + timeout + self.random.randrange(timeout)

    def _become_unattached(self, epoch: int, now_ms: int) -> None:
        self._move(Event.EPOCH_RAISED)
        self.epoch = epoch
        self.leader_id = -1
        self._voted_id, self._voted_directory_id = -1, ZERO_UUID
        self._drop_requests()
        self._arm_election(now_ms)

    def _become_follower(self, epoch: int, leader_id: int, now_ms: int) -> None:
        self._move(Event.LEADER_FOUND)
        if epoch != self.epoch:
            self._voted_id, self._voted_directory_id = -1, ZERO_UUID
        self.epoch = epoch
        self.leader_id = leader_id
        self._drop_requests()
        self._enter_follower(now_ms)

    def _enter_follower(self, now_ms: int) -> None:
        self.state = State.FOLLOWER
        self._retries = 0
        self._has_fetched = False
        self._snapshot_fetch = None
        self._deadline_ms = now_ms + self.settings.fetch_timeout_ms
        self._send_fetch(now_ms)

    def _observe(self, epoch: int, leader_id: int, now_ms: int) -> bool:
        """Follow what a message says about the present epoch; False when the message is stale."""
        if epoch < self.epoch:
            return False
        if leader_id == self.node_id and epoch == self.epoch:
            return True
        if epoch > self.epoch:
            if leader_id >= 0 and leader_id != self.node_id:
                self._become_follower(epoch, leader_id, now_ms)
            else:
                self._become_unattached(epoch, now_ms)
        elif leader_id >= 0 and self.leader_id < 0:
            self._become_follower(epoch, leader_id, now_ms)
        assert leader_id < 0 or self.leader_id in (-1, leader_id), (
            f"two leaders in epoch {epoch}: {self.leader_id} and {leader_id}"
        )
        return True

    # -- elections -------------------------------------------------------------------------------

    def _tick_unattached(self, now_ms: int) -> None:
        if now_ms < self._deadline_ms:
            return
        if self.is_voter:
            self._move(Event.ELECTION_TIMEOUT)
            self._begin_pre_vote(now_ms)
        else:
            self._look_for_leader(now_ms)

    def _tick_election(self, now_ms: int) -> None:
        """A prospective or candidate asks again, gives up, or tries the next epoch."""
        if now_ms >= self._deadline_ms:
            if self.state is State.CANDIDATE:
                self._move(Event.VOTE_LOST)
                self._begin_pre_vote(now_ms)
            else:
                self._lose_pre_vote(now_ms)
        elif not self._backing_off:
            self._ask_for_votes(now_ms)

    def _on_fetch_timeout(self, now_ms: int) -> None:
        self._move(Event.FETCH_TIMEOUT)
        self._begin_pre_vote(now_ms)

    def _begin_pre_vote(self, now_ms: int) -> None:
        self._retries += 1
        self._open_poll(now_ms)
        if not self._count_votes(now_ms):
            self._ask_for_votes(now_ms)

    def _open_poll(self, now_ms: int) -> None:
        self._granted = {self.node_id}
        self._rejected = set()
        self._backing_off = False
        self._drop_requests()
        self._arm_election(now_ms)

    def _become_candidate(self, now_ms: int) -> None:
        self._move(Event.PRE_VOTE_WON)
        self.epoch += 1
        self.leader_id = -1
        self._voted_id, self._voted_directory_id = self.node_id, self._vote_key(self.directory_id)
        self._open_poll(now_ms)
        if not self._count_votes(now_ms):
            self._ask_for_votes(now_ms)

    def _vote_key(self, directory_id: bytes) -> bytes:
        """Under static voters (kraft.version 0) a vote is for an id, without its directory."""
        return directory_id if self._dynamic else ZERO_UUID

    @property
    def _dynamic(self) -> bool:
        return any(any(directory_id) for directory_id in self.voters.voters.values())

    def _ask_for_votes(self, now_ms: int) -> None:
        for voter_id, directory_id in self.voters.voters.items():
            if voter_id in self._granted or voter_id in self._rejected:
                continue
            if self._busy(voter_id, now_ms):
                continue
            request = m.vote_request(
                cluster_id=self.cluster_id,
                voter=(voter_id, directory_id),
                replica=(self.node_id, self._vote_key(self.directory_id)),
                epoch=self.epoch,
                last_epoch=self.log.last_epoch,
                end_offset=self.log.end_offset,
                pre_vote=self.state is State.PROSPECTIVE,
            )
            self._request(voter_id, request, now_ms)

    def _count_votes(self, now_ms: int) -> bool:
        """Move on when the poll is decided; True when it was won."""
        if len(self._granted) >= self.voters.majority:
            if self.state is State.PROSPECTIVE:
                self._become_candidate(now_ms)
            else:
                self._become_leader(now_ms)
            return True
        left = len(self.voters.voters) - len(self._rejected)
        if left < self.voters.majority and not self._backing_off:
            if self.state is State.PROSPECTIVE:
                self._lose_pre_vote(now_ms)
            else:
                self._backing_off = True
                backoff = 50 * self.random.randrange(2 << min(self._retries, 20))
                limit = self.settings.election_backoff_max_ms
                self._deadline_ms = now_ms + min(backoff, limit)
        return False

    def _lose_pre_vote(self, now_ms: int) -> None:
        if self.leader_id >= 0:
            self._move(Event.PRE_VOTE_LOST_TO_LEADER)
            retries = self._retries
            self._drop_requests()
            self._enter_follower(now_ms)
            self._retries = retries
        else:
            self._move(Event.PRE_VOTE_LOST)
            self._drop_requests()
            self._arm_election(now_ms)

    def _become_leader(self, now_ms: int) -> None:
        self._move(Event.VOTE_WON)
        self.leader_id = self.node_id
        self._voted_id, self._voted_directory_id = -1, ZERO_UUID
        self._retries = 0
        self._drop_requests()
        start = self.next_offset
        self.progress = LeaderProgress(
            self.node_id, self.voters, start, self.settings.fetch_timeout_ms * 3 // 2, now_ms
        )
        batch = self._epoch_start(
            start, self.epoch, self.node_id, sorted(self._granted), self.voters
        )
        self._append_as_leader([batch])
        self._deadline_ms = now_ms
        self._tick_leader(now_ms)

    # -- vote requests ---------------------------------------------------------------------------

    def _on_vote_request(self, inbound: Inbound, now_ms: int) -> Any:
        request: VoteRequest = inbound.message
        error = self._check_cluster(request)
        if error:
            return m.top_level_error(request, error)
        vote = m.only(request)
        assert vote is not None
        granted = False
        code = self._check_vote(request, vote)
        if code == ErrorCode.NONE:
            if vote.replica_epoch > self.epoch:
                self._become_unattached(vote.replica_epoch, now_ms)
            granted = self._grants(vote)
            if granted and not vote.pre_vote:
                self._give_vote(vote, now_ms)
        return m.vote_response(code, self.epoch, self.leader_id, granted, self._leader_endpoint())

    def _check_vote(self, request: VoteRequest, vote: Any) -> ErrorCode:
        last_epoch_max = vote.replica_epoch if vote.pre_vote else vote.replica_epoch - 1
        if vote.last_offset < 0 or not 0 <= vote.last_offset_epoch <= last_epoch_max:
            return ErrorCode.INVALID_REQUEST
        if vote.replica_id < 0:
            return ErrorCode.INVALID_REQUEST
        if vote.replica_epoch < self.epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        if not self._is_me(request.voter_id, vote.voter_directory_id):
            return ErrorCode.INVALID_VOTER_KEY
        return ErrorCode.NONE

    def _is_me(self, voter_id: int, directory_id: bytes) -> bool:
        """Whether a request that names its receiver means this replica (KIP-853)."""
        if voter_id < 0:
            return True
        return voter_id == self.node_id and directory_id in (ZERO_UUID, self.directory_id)

    def _grants(self, vote: Any) -> bool:
        up_to_date = (vote.last_offset_epoch, vote.last_offset) >= (
            self.log.last_epoch,
            self.log.end_offset,
        )
        if self.state is State.LEADER or not up_to_date:
            return False
        if vote.pre_vote:
            # A follower that hears from its leader would only help to disturb it (KIP-996).
            return self.state is not State.FOLLOWER or not self._has_fetched
        if self._voted_id >= 0:
            return self._voted_id == vote.replica_id and self._voted_directory_id in (
                ZERO_UUID,
                vote.replica_directory_id,
            )
        return self.leader_id < 0 and self.state in (State.UNATTACHED, State.PROSPECTIVE)

    def _give_vote(self, vote: Any, now_ms: int) -> None:
        if self._voted_id == vote.replica_id:
            return
        self._move(Event.VOTE_GIVEN)
        self._voted_id = vote.replica_id
        self._voted_directory_id = vote.replica_directory_id
        if self.state is State.UNATTACHED:
            self._arm_election(now_ms)

    def _on_vote_response(self, inbound: Inbound, now_ms: int) -> None:
        response = inbound.message
        vote = None if response.error_code else m.only(response)
        if vote is None:
            return
        error = vote.error_code
        if not self._observe(vote.leader_epoch, vote.leader_id, now_ms) or error:
            return
        if self.state not in (State.PROSPECTIVE, State.CANDIDATE):
            return
        (self._granted if vote.vote_granted else self._rejected).add(inbound.source)
        self._count_votes(now_ms)

    # -- the leader's announcements --------------------------------------------------------------

    def _tick_leader(self, now_ms: int) -> None:
        assert self.progress is not None
        if self.progress.quorum_lost(now_ms):
            self._resign(Event.QUORUM_LOST, now_ms)
            return
        self._answer_parked(now_ms)
        if now_ms < self._deadline_ms:
            return
        # Voters that fetch know their leader; the others are told until they do.
        for voter_id, directory_id in self.voters.voters.items():
            progress = self.progress.voters[voter_id]
            silent_ms = now_ms - progress.last_fetch_ms
            known = progress.last_fetch_ms >= 0 and silent_ms < self.settings.fetch_timeout_ms // 2
            if voter_id == self.node_id or known or self._busy(voter_id, now_ms):
                continue
            request = m.begin_epoch_request(
                cluster_id=self.cluster_id,
                voter=(voter_id, directory_id),
                leader_id=self.node_id,
                epoch=self.epoch,
                endpoints=self.endpoints,
            )
            self._request(voter_id, request, now_ms)
        pause = self.settings.fetch_timeout_ms // 2
        self._deadline_ms = now_ms + (pause if not self.sole_voter else 1 << 40)

    def _on_begin_epoch_request(self, inbound: Inbound, now_ms: int) -> Any:
        request: BeginQuorumEpochRequest = inbound.message
        error = self._check_cluster(request)
        if error:
            return m.top_level_error(request, error)
        begin = m.only(request)
        assert begin is not None
        code = self._check_leader_request(begin)
        if code == ErrorCode.NONE:
            self._observe(begin.leader_epoch, begin.leader_id, now_ms)
            if not self._is_me(request.voter_id, begin.voter_directory_id):
                code = ErrorCode.INVALID_VOTER_KEY
        return m.begin_epoch_response(code, self.epoch, self.leader_id, self._leader_endpoint())

    def _check_leader_request(self, partition: Any) -> ErrorCode:
        if partition.leader_epoch < self.epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        same_epoch = partition.leader_epoch == self.epoch
        if partition.leader_id < 0 or (
            same_epoch and self.leader_id >= 0 and self.leader_id != partition.leader_id
        ):
            return ErrorCode.INVALID_REQUEST
        if partition.leader_id == self.node_id and self.state is not State.LEADER:
            return ErrorCode.INVALID_REQUEST
        return ErrorCode.NONE

    def _on_begin_epoch_response(self, inbound: Inbound, now_ms: int) -> None:
        partition = None if inbound.message.error_code else m.only(inbound.message)
        if partition is None:
            return
        fresh = self._observe(partition.leader_epoch, partition.leader_id, now_ms)
        if fresh and self.progress is not None and not partition.error_code:
            self.progress.acknowledged.add(inbound.source)

    def _resign(self, event: Event, now_ms: int) -> None:
        assert self.progress is not None
        ranking = sorted(
            (
                (progress.end_offset, voter_id)
                for voter_id, progress in self.progress.voters.items()
            ),
            key=lambda item: (-item[0], item[1]),
        )
        candidates = [
            (voter_id, self.voters.voters[voter_id])
            for _, voter_id in ranking
            if voter_id != self.node_id
        ]
        self._move(event)
        self._drop_requests()
        self._arm_election(now_ms)
        for voter_id, _ in candidates:
            request = m.end_epoch_request(
                cluster_id=self.cluster_id,
                leader_id=self.node_id,
                epoch=self.epoch,
                candidates=candidates,
                endpoints=self.endpoints,
            )
            self._request(voter_id, request, now_ms)

    def _tick_resigned(self, now_ms: int) -> None:
        if now_ms >= self._deadline_ms:
            self._end_resignation(now_ms)

    def _end_resignation(self, now_ms: int) -> None:
        """Stand again. It led this epoch, so its vote in it stays its own."""
        self._move(Event.ELECTION_TIMEOUT)
        self.leader_id = -1
        self._voted_id, self._voted_directory_id = self.node_id, self._vote_key(self.directory_id)
        self._drop_requests()
        self._arm_election(now_ms)

    def _on_end_epoch_request(self, inbound: Inbound, now_ms: int) -> Any:
        request: EndQuorumEpochRequest = inbound.message
        error = self._check_cluster(request)
        if error:
            return m.top_level_error(request, error)
        end = m.only(request)
        assert end is not None
        code = self._check_leader_request(end)
        if code == ErrorCode.NONE:
            self._observe(end.leader_epoch, end.leader_id, now_ms)
            if self.state is State.FOLLOWER and self.is_voter:
                self._leader_resigned(end, now_ms)
        return m.end_epoch_response(code, self.epoch, self.leader_id, self._leader_endpoint())

    def _leader_resigned(self, end: Any, now_ms: int) -> None:
        """Stand for election soon: the best candidate first, the others each a little later."""
        order = [candidate.candidate_id for candidate in end.preferred_candidates or ()]
        order = order or list(end.preferred_successors or ())
        limit = self.settings.election_backoff_max_ms
        place = order.index(self.node_id) if self.node_id in order else len(order)
        if place == 0:
            backoff = 0
        elif place >= len(order):
            backoff = limit
        else:
            backoff = min(limit, (limit >> (len(order) - 1)) << (place - 1))
        self._has_fetched = False
        self._deadline_ms = now_ms + backoff

    def _on_end_epoch_response(self, inbound: Inbound, now_ms: int) -> None:
        partition = None if inbound.message.error_code else m.only(inbound.message)
        if partition is not None:
            self._observe(partition.leader_epoch, partition.leader_id, now_ms)

    _REQUESTS: Mapping[type, Callable[[RaftReplica, Inbound, int], Any]] = {
        VoteRequest: _on_vote_request,
        BeginQuorumEpochRequest: _on_begin_epoch_request,
        EndQuorumEpochRequest: _on_end_epoch_request,
        FetchRequest: Replication._on_fetch_request,
        FetchSnapshotRequest: Replication._on_fetch_snapshot_request,
    }
    _RESPONSES: Mapping[type, Callable[[RaftReplica, Inbound, int], None]] = {
        VoteResponse: _on_vote_response,
        BeginQuorumEpochResponse: _on_begin_epoch_response,
        EndQuorumEpochResponse: _on_end_epoch_response,
        FetchResponse: Replication._on_fetch_response,
        FetchSnapshotResponse: Replication._on_fetch_snapshot_response,
    }
