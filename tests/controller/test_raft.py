"""RaftReplica alone: one test a rule of Ready, of votes and of fetches."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from kafka_py.controller import raft_messages as m
from kafka_py.controller.batches import Batch, encode_batch
from kafka_py.controller.raft import RaftReplica
from kafka_py.controller.raft_states import TRANSITIONS, Event, State, diagram
from kafka_py.controller.raft_types import Inbound, QuorumState, Ready, SnapshotId, VoterSet
from kafka_py.controller.settings import ControllerSettings
from kafka_py.protocol.errors import ErrorCode
from kafka_py.testing.raft_log import MemoryLogStore

NO_DIRECTORY = bytes(16)
STATES = Path(__file__).parents[2] / "kafka_py" / "controller" / "raft_states.txt"


def batch(base: int, epoch: int, value: bytes = b"x") -> Batch:
    return encode_batch([value], base_offset=base, epoch=epoch, timestamp_ms=0)


def store_with(*epochs: int) -> MemoryLogStore:
    """A log with one record an entry, of these epochs."""
    store = MemoryLogStore()
    store.append([batch(offset, epoch) for offset, epoch in enumerate(epochs)])
    store.flush()
    return store


def replica(
    node: int = 1,
    voters: int = 3,
    store: MemoryLogStore | None = None,
    state: QuorumState | None = None,
    started: bool = True,
) -> RaftReplica:
    made = RaftReplica(
        node_id=node,
        directory_id=b"d" * 16,
        cluster_id="c",
        voters=VoterSet(dict.fromkeys(range(1, voters + 1), NO_DIRECTORY)),
        log=store or MemoryLogStore(),
        quorum_state=state or QuorumState(),
        settings=ControllerSettings(),
        random=random.Random(1),
        epoch_start=lambda base, epoch, leader, granting, voters: batch(base, epoch, b"leader"),
        endpoints={"CONTROLLER": ("h", 9093)},
    )
    if started:
        made.start(0)
        made.ready()
    return made


def vote(
    candidate: int, epoch: int, last: tuple[int, int] = (0, 0), *, pre: bool = False, **changes: Any
) -> Any:
    request = m.vote_request(
        cluster_id=changes.pop("cluster_id", "c"),
        voter=changes.pop("voter", (1, NO_DIRECTORY)),
        replica=(candidate, NO_DIRECTORY),
        epoch=epoch,
        last_epoch=last[0],
        end_offset=last[1],
        pre_vote=pre,
    )
    for name, value in changes.items():
        setattr(request.topics[0].partitions[0], name, value)
    return request


def ask(made: RaftReplica, request: Any, now_ms: int = 0) -> tuple[Any, Ready]:
    """(the partition of the reply or the reply itself, all that is ready)."""
    made.step(Inbound(request, "token"), now_ms)
    ready = made.ready()
    if not ready.replies:
        return None, ready
    (reply,) = ready.replies
    assert reply.token == "token"
    return m.only(reply.message) or reply.message, ready


def lead(made: RaftReplica, now_ms: int = 0) -> int:
    """Make it the leader of the next epoch by the votes of all; returns when."""
    now_ms = made.next_deadline_ms()
    made.tick(now_ms)
    for _ in range(2):
        requests = made.ready().requests
        for request in requests:
            if made.state in (State.PROSPECTIVE, State.CANDIDATE):
                answer = m.vote_response(ErrorCode.NONE, made.epoch, -1, True, None)
                made.step(Inbound(answer, None, request.to, request.id), now_ms)
                if made.state is not State.PROSPECTIVE:
                    break
    assert made.state is State.LEADER
    return now_ms


def perform(made: RaftReplica) -> Ready:
    """Do what is ready with the store."""
    ready = made.ready()
    store: Any = made.log
    if ready.truncate_to is not None:
        store.truncate_to(ready.truncate_to)
    store.append(ready.append)
    return ready


# -- states ----------------------------------------------------------------------------------------


def test_the_diagram_is_up_to_date(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite"):
        STATES.write_text(diagram())
    assert STATES.read_text() == diagram()


def test_every_state_can_be_left_and_reached() -> None:
    reached = {target for moves in TRANSITIONS.values() for target in moves.values()}
    assert reached == set(State)
    for state in State:
        assert TRANSITIONS[state][Event.EPOCH_RAISED] is State.UNATTACHED
        assert TRANSITIONS[state][Event.LEADER_FOUND] is State.FOLLOWER


# -- votes -----------------------------------------------------------------------------------------


def test_a_vote_is_to_be_durable_before_its_answer() -> None:
    made = replica()
    row, ready = ask(made, vote(2, 1))
    assert row.vote_granted
    assert ready.quorum_state == QuorumState(1, -1, 2, NO_DIRECTORY)


def test_no_second_vote_in_an_epoch_not_even_after_a_restart() -> None:
    made = replica()
    _, ready = ask(made, vote(2, 1))
    assert not ask(made, vote(3, 1))[0].vote_granted
    assert ask(made, vote(2, 1))[0].vote_granted  # the same candidate asks again
    again = replica(state=ready.quorum_state)
    assert not ask(again, vote(3, 1))[0].vote_granted
    assert ask(again, vote(2, 1))[0].vote_granted
    assert ask(again, vote(3, 2))[0].vote_granted


def test_no_vote_for_a_log_that_misses_records() -> None:
    made = replica(store=store_with(1, 1, 2), state=QuorumState(2))
    assert not ask(made, vote(2, 3, (2, 2)))[0].vote_granted
    assert not ask(made, vote(2, 4, (1, 9)))[0].vote_granted
    assert ask(made, vote(2, 5, (2, 3)))[0].vote_granted


def test_a_pre_vote_binds_nobody_and_raises_no_epoch() -> None:
    made = replica()
    row, ready = ask(made, vote(2, 0, pre=True))
    assert row.vote_granted
    assert ready.quorum_state is None
    assert ask(made, vote(3, 0, pre=True))[0].vote_granted


def test_a_follower_that_hears_its_leader_gives_no_pre_vote() -> None:
    made = replica(state=QuorumState(1, leader_id=2))
    assert ask(made, vote(3, 1, pre=True))[0].vote_granted
    made = replica(state=QuorumState(1, leader_id=2), started=False)
    made.start(0)
    (fetch,) = made.ready().requests
    answer = m.fetch_response(error=ErrorCode.NONE, epoch=1, leader_id=2, endpoint=None)
    made.step(Inbound(answer, None, 2, fetch.id), 5)
    made.ready()
    assert not ask(made, vote(3, 1, pre=True))[0].vote_granted


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"last_offset": -1}, ErrorCode.INVALID_REQUEST),
        ({"last_offset_epoch": 5}, ErrorCode.INVALID_REQUEST),
        ({"replica_id": -2}, ErrorCode.INVALID_REQUEST),
        ({"replica_epoch": 1}, ErrorCode.FENCED_LEADER_EPOCH),
        ({"voter": (9, NO_DIRECTORY)}, ErrorCode.INVALID_VOTER_KEY),
        ({"voter": (1, b"x" * 16)}, ErrorCode.INVALID_VOTER_KEY),
    ],
)
def test_votes_that_are_refused(changes: dict[str, Any], code: ErrorCode) -> None:
    made = replica(state=QuorumState(3))
    row, ready = ask(made, vote(2, changes.pop("replica_epoch", 4), **changes))
    assert (row.error_code, row.vote_granted) == (code, False)
    assert ready.quorum_state is None


def test_requests_of_another_cluster_or_shape() -> None:
    made = replica()
    reply, _ = ask(made, vote(2, 1, cluster_id="other"))
    assert reply.error_code == ErrorCode.INCONSISTENT_CLUSTER_ID
    request = vote(2, 1)
    request.topics[0].partitions = []
    assert ask(made, request)[0].error_code == ErrorCode.INVALID_REQUEST
    request.topics = []
    assert ask(made, request)[0].error_code == ErrorCode.INVALID_REQUEST


# -- leaders ---------------------------------------------------------------------------------------


def test_a_sole_voter_elects_itself_at_once_and_commits_by_its_own_flush() -> None:
    made = replica(voters=1, started=False)
    made.start(0)
    ready = perform(made)
    assert made.state is State.LEADER
    assert ready.quorum_state == QuorumState(1, 1, -1, NO_DIRECTORY)
    assert [one.base_offset for one in ready.append] == [0]
    assert (ready.committed_to, made.high_watermark) == (-1, -1)
    made.flushed(1, 0)
    assert made.ready().committed_to == 1


def test_a_restarted_leader_does_not_lead_its_epoch_again() -> None:
    made = replica(state=QuorumState(4, leader_id=1), store=store_with(4))
    assert made.state is State.RESIGNED
    fetch = m.fetch_request(
        cluster_id="c",
        replica=(2, NO_DIRECTORY),
        epoch=4,
        offset=1,
        last_epoch=4,
        high_watermark=-1,
        max_wait_ms=0,
        bytes_max=1000,
    )
    assert ask(made, fetch)[0].error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert not ask(made, vote(3, 4, (3, 9)))[0].vote_granted
    alone = replica(voters=1, state=QuorumState(4, leader_id=1), store=store_with(4))
    assert (alone.state, alone.epoch) == (State.LEADER, 5)


def test_records_of_an_older_epoch_commit_only_with_one_of_this() -> None:
    made = replica(store=store_with(1, 1), state=QuorumState(1))
    now = lead(made)
    perform(made)
    made.flushed(3, now)

    def fetch(offset: int, last_epoch: int) -> Any:
        return m.fetch_request(
            cluster_id="c",
            replica=(2, NO_DIRECTORY),
            epoch=2,
            offset=offset,
            last_epoch=last_epoch,
            high_watermark=-1,
            max_wait_ms=0,
            bytes_max=1000,
        )

    row, ready = ask(made, fetch(2, 1), now)
    assert (row.error_code, row.high_watermark, ready.committed_to) == (0, -1, -1)
    row, ready = ask(made, fetch(3, 2), now)
    assert (row.high_watermark, ready.committed_to) == (3, 3)


def test_fetches_that_diverge_and_epochs_that_do_not_match() -> None:
    made = replica(store=store_with(1, 1, 3), state=QuorumState(3))
    now = lead(made)
    perform(made)

    def fetch(epoch: int, offset: int, last_epoch: int) -> Any:
        request = m.fetch_request(
            cluster_id="c",
            replica=(2, NO_DIRECTORY),
            epoch=epoch,
            offset=offset,
            last_epoch=last_epoch,
            high_watermark=-1,
            max_wait_ms=0,
            bytes_max=1000,
        )
        return ask(made, request, now)[0]

    assert fetch(3, 0, 0).error_code == ErrorCode.FENCED_LEADER_EPOCH
    assert fetch(5, 0, 0).error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
    assert fetch(4, -1, 0).error_code == ErrorCode.INVALID_REQUEST
    assert fetch(4, 5, 9).error_code == ErrorCode.INVALID_REQUEST
    row = fetch(4, 3, 2)  # epoch 2 never was: the last one below it ended at 2
    assert (row.diverging_epoch.epoch, row.diverging_epoch.end_offset) == (1, 2)
    row = fetch(4, 9, 3)
    assert (row.diverging_epoch.epoch, row.diverging_epoch.end_offset) == (3, 3)
    assert len(fetch(4, 2, 1).records) > 0


def test_a_fetch_waits_for_records() -> None:
    made = replica(voters=1, started=False)
    made.start(0)
    perform(made)
    made.flushed(1, 0)
    made.ready()
    request = m.fetch_request(
        cluster_id="c",
        replica=(7, NO_DIRECTORY),
        epoch=1,
        offset=1,
        last_epoch=1,
        high_watermark=1,
        max_wait_ms=500,
        bytes_max=1000,
    )
    assert ask(made, request, 10)[0] is None
    assert made.next_deadline_ms() <= 510
    made.propose([batch(1, 1)])
    perform(made)
    made.appended(20)
    (reply,) = made.ready().replies
    assert len(m.only(reply.message).records) == len(batch(1, 1).data)
    request.topics[0].partitions[0].fetch_offset = 2
    assert ask(made, request, 30)[0] is None
    made.flushed(2, 30)  # a higher high watermark is news too (KIP-1166)
    (reply,) = made.ready().replies
    assert m.only(reply.message).high_watermark == 2
    request.topics[0].partitions[0].high_watermark = 2
    assert ask(made, request, 30)[0] is None
    made.tick(530)
    assert len(made.ready().replies) == 1
    assert (7, NO_DIRECTORY) in (made.progress.observers if made.progress else {})


def test_a_leader_without_its_quorum_resigns() -> None:
    made = replica()
    now = lead(made)
    perform(made)
    made.tick(now + 2999)
    assert made.state is State.LEADER
    made.ready()
    made.tick(now + 3000)
    assert made.state is State.RESIGNED
    assert sorted(request.to for request in made.ready().requests) == [2, 3]


# -- followers -------------------------------------------------------------------------------------


def follower(*epochs: int) -> tuple[RaftReplica, int]:
    """A follower of node 2 in the epoch of its last record, and the id of its fetch."""
    made = replica(
        store=store_with(*epochs), state=QuorumState(epochs[-1], leader_id=2), started=False
    )
    made.start(0)
    (fetch,) = made.ready().requests
    return made, fetch.id


def answer(made: RaftReplica, request_id: int, epoch: int, **fields: Any) -> Ready:
    response = m.fetch_response(
        error=ErrorCode.NONE, epoch=epoch, leader_id=2, endpoint=None, **fields
    )
    made.step(Inbound(response, None, 2, request_id), 10)
    return perform(made)


def test_fetched_records_are_flushed_before_the_next_fetch_leaves() -> None:
    made, fetch = follower(1)
    ready = answer(made, fetch, 1, records=batch(1, 1).data, high_watermark=9)
    assert ready.flush
    assert ready.requests == []
    assert made.high_watermark == 2  # no further than what is here
    made.fetched(10)
    (request,) = made.ready().requests
    assert m.only(request.message).fetch_offset == 2


def test_damaged_or_misplaced_records_are_not_appended() -> None:
    made, fetch = follower(1)
    data = bytearray(batch(1, 1).data + batch(2, 1).data)
    data[-1] ^= 1
    ready = answer(made, fetch, 1, records=bytes(data), high_watermark=0)
    assert [one.base_offset for one in ready.append] == [1]
    made, fetch = follower(1)
    ready = answer(made, fetch, 1, records=batch(5, 1).data, high_watermark=0)
    assert ready.append == []
    made, fetch = follower(1)
    ready = answer(made, fetch, 1, records=batch(1, 9).data, high_watermark=0)
    assert ready.append == []


def test_a_diverging_log_is_cut_by_epoch() -> None:
    made, fetch = follower(1, 1, 2, 2)
    ready = answer(made, fetch, 2, diverging=(1, 5))
    assert ready.truncate_to == 2  # where epoch 1 ended here
    made, fetch = follower(1, 1, 1, 2)
    ready = answer(made, fetch, 2, diverging=(1, 1))
    assert ready.truncate_to == 1  # where it ended at the leader


def test_committed_records_are_never_cut() -> None:
    made, fetch = follower(1, 1)
    answer(made, fetch, 1, records=b"", high_watermark=2)
    made.fetched(10)
    ready = made.ready()
    fetch = ready.requests[0].id if ready.requests else fetch + 1
    with pytest.raises(AssertionError, match="committed records"):
        answer(made, fetch, 1, diverging=(1, 1))


def test_late_answers_are_about_the_past() -> None:
    made, fetch = follower(1, 1)
    made.tick(3000)  # the fetch has timed out, a new role has begun
    ready = answer(made, fetch, 1, diverging=(0, 0))
    assert ready.truncate_to is None
    assert made.log.end_offset == 2


def test_a_snapshot_comes_in_pieces() -> None:
    made, fetch = follower(1)
    ready = answer(made, fetch, 1, snapshot=SnapshotId(8, 1))
    (request,) = ready.requests
    wanted = m.only(request.message)
    assert (wanted.snapshot_id.end_offset, wanted.position) == (8, 0)
    chunks = []
    for position, piece in ((0, b"abc"), (3, b"de")):
        response = m.fetch_snapshot_response(
            error=ErrorCode.NONE,
            epoch=1,
            leader_id=2,
            endpoint=None,
            snapshot=SnapshotId(8, 1),
            size=5,
            position=position,
            data=piece,
        )
        made.step(Inbound(response, None, 2, request.id), 20)
        ready = made.ready()
        chunks += ready.snapshot_chunks
        made.log.write_snapshot_chunk(ready.snapshot_chunks[0])  # type: ignore[attr-defined]
        made.fetched(20)
        ready = made.ready()
        (request,) = ready.requests
    assert [(c.position, c.data, c.last) for c in chunks] == [(0, b"abc", False), (3, b"de", True)]
    assert made.high_watermark == 8
    assert m.only(request.message).fetch_offset == 8


def test_an_observer_follows_but_is_never_elected() -> None:
    made = replica(node=9)
    made.tick(made.next_deadline_ms())
    assert made.state is State.UNATTACHED
    (request,) = made.ready().requests
    response = m.fetch_response(
        error=ErrorCode.NOT_LEADER_OR_FOLLOWER, epoch=3, leader_id=2, endpoint=None
    )
    made.step(Inbound(response, None, request.to, request.id), 3000)
    assert (made.state, made.leader_id, made.epoch) == (State.FOLLOWER, 2, 3)
    made.ready()
    made.tick(made.next_deadline_ms() + 10_000)
    assert made.state is State.FOLLOWER
