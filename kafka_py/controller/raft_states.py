"""The states of a KRaft replica and every move between them (KIP-595, KIP-853, KIP-996).

Theory.  Time is cut into *epochs*, each with at most one leader.  A voter that misses its leader
first asks whether it could win (`Prospective`, pre-votes, which bind nobody and raise no epoch) and
only then raises the epoch and votes for itself (`Candidate`).  The winner appends a leader-change
record; once a majority has fetched it, everything before it is committed too.  Replication is by
pull: followers and observers fetch, and a voter's fetch offset says what it holds *durably*.

  - What a replica may never forget is its *quorum state*: epoch, leader of the epoch, and whom it
    voted for in it.  It is on disk before any message that rests on it leaves (`Ready`).
  - A leader that restarts never resumes its epoch: it might have lost a tail that it promised.
    It comes back as `Resigned`, answers no fetch, and a new epoch begins.
  - A leader that has not been fetched from by a majority for 1.5 fetch timeouts resigns.
  - An *observer* is no voter: it is `Unattached` or `Follower`, never elected, and is not counted.

Everything that moves a replica is an `Event`; `TRANSITIONS` says where to.  A pair that is absent
is a broken invariant.  `diagram()` prints the table; `raft_states.txt` is its output, and a test
holds the two together.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["TRANSITIONS", "Event", "State", "diagram"]


class State(Enum):
    """What a replica is in the current epoch."""

    UNATTACHED = "Unattached"
    PROSPECTIVE = "Prospective"
    CANDIDATE = "Candidate"
    FOLLOWER = "Follower"
    LEADER = "Leader"
    RESIGNED = "Resigned"


class Event(Enum):
    """What happened."""

    EPOCH_RAISED = "a message of a higher epoch that names no leader"
    LEADER_FOUND = "a message names the leader of this epoch or a higher one"
    VOTE_GIVEN = "voted for another candidate of this epoch"
    ELECTION_TIMEOUT = "no leader within the election timeout"
    FETCH_TIMEOUT = "no answer from the leader within the fetch timeout"
    PRE_VOTE_WON = "a majority would vote for us"
    PRE_VOTE_LOST = "no majority would vote for us, and no leader is known"
    PRE_VOTE_LOST_TO_LEADER = "no majority would vote for us, and the leader is known"
    VOTE_WON = "a majority voted for us"
    VOTE_LOST = "the election was lost or timed out"
    QUORUM_LOST = "no majority fetched for 1.5 fetch timeouts"
    SHUTDOWN = "the leader shuts down"


_S = State
_E = Event

TRANSITIONS: dict[State, dict[Event, State]] = {
    _S.UNATTACHED: {
        _E.EPOCH_RAISED: _S.UNATTACHED,
        _E.LEADER_FOUND: _S.FOLLOWER,
        _E.VOTE_GIVEN: _S.UNATTACHED,
        _E.ELECTION_TIMEOUT: _S.PROSPECTIVE,
    },
    _S.PROSPECTIVE: {
        _E.EPOCH_RAISED: _S.UNATTACHED,
        _E.LEADER_FOUND: _S.FOLLOWER,
        _E.VOTE_GIVEN: _S.PROSPECTIVE,
        _E.PRE_VOTE_WON: _S.CANDIDATE,
        _E.PRE_VOTE_LOST: _S.UNATTACHED,
        _E.PRE_VOTE_LOST_TO_LEADER: _S.FOLLOWER,
    },
    _S.CANDIDATE: {
        _E.EPOCH_RAISED: _S.UNATTACHED,
        _E.LEADER_FOUND: _S.FOLLOWER,
        _E.VOTE_WON: _S.LEADER,
        _E.VOTE_LOST: _S.PROSPECTIVE,
    },
    _S.FOLLOWER: {
        _E.EPOCH_RAISED: _S.UNATTACHED,
        _E.LEADER_FOUND: _S.FOLLOWER,
        _E.FETCH_TIMEOUT: _S.PROSPECTIVE,
    },
    _S.LEADER: {
        _E.EPOCH_RAISED: _S.UNATTACHED,
        _E.LEADER_FOUND: _S.FOLLOWER,
        _E.QUORUM_LOST: _S.RESIGNED,
        _E.SHUTDOWN: _S.RESIGNED,
    },
    _S.RESIGNED: {
        _E.EPOCH_RAISED: _S.UNATTACHED,
        _E.LEADER_FOUND: _S.FOLLOWER,
        _E.ELECTION_TIMEOUT: _S.UNATTACHED,
    },
}


def diagram() -> str:
    """The table as text: one line a move, by state and event."""
    width = max(len(event.value) for event in Event)
    lines = ["States of a KRaft replica. Made by kafka_py.controller.raft_states.diagram().", ""]
    for state, moves in TRANSITIONS.items():
        lines.append(state.value)
        for event, target in moves.items():
            lines.append(f"  --[ {event.value:<{width}} ]--> {target.value}")
        lines.append("")
    return "\n".join(lines)
