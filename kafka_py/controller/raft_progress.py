"""What a leader knows of the others: how far each has fetched, and who waits for an answer."""

from __future__ import annotations

from typing import Any

from kafka_py.controller.raft_types import VoterSet
from kcore.values import mutable

__all__ = ["LeaderProgress", "ParkedFetch", "ReplicaProgress"]


@mutable
class ReplicaProgress:
    """One replica as its fetches show it. Times are monotonic milliseconds, -1 for never."""

    directory_id: bytes
    end_offset: int = -1
    last_fetch_ms: int = -1
    last_caught_up_ms: int = -1
    leader_end_at_last_fetch: int = -1

    def record_fetch(self, offset: int, leader_end: int, now_ms: int) -> None:
        """Note a fetch from `offset`: everything below is durable on that replica."""
        if offset >= leader_end:
            self.last_caught_up_ms = now_ms
        elif self.leader_end_at_last_fetch >= 0 and offset >= self.leader_end_at_last_fetch:
            self.last_caught_up_ms = max(self.last_caught_up_ms, self.last_fetch_ms)
        self.end_offset = offset
        self.last_fetch_ms = max(self.last_fetch_ms, now_ms)
        self.leader_end_at_last_fetch = leader_end


@mutable
class ParkedFetch:
    """A fetch that waits for records or for a higher high watermark."""

    token: Any
    request: Any
    offset: int
    high_watermark: int
    deadline_ms: int


class LeaderProgress:
    """The bookkeeping of one leader epoch. It dies with the leadership."""

    #: Observers that stopped fetching are forgotten after this, and never more are kept than that.
    OBSERVER_SESSION_MS = 300_000
    OBSERVERS_MAX = 1000
    PARKED_MAX = 1000

    def __init__(
        self, local_id: int, voters: VoterSet, epoch_start: int, check_quorum_ms: int, now_ms: int
    ) -> None:
        self.local_id = local_id
        self.epoch_start = epoch_start
        self.check_quorum_ms = check_quorum_ms
        self.check_quorum_deadline_ms = now_ms + check_quorum_ms
        self.voters: dict[int, ReplicaProgress] = {}
        self.observers: dict[tuple[int, bytes], ReplicaProgress] = {}
        self.acknowledged: set[int] = {local_id}
        self.parked: list[ParkedFetch] = []
        self._fetched: set[int] = set()
        self.set_voters(voters)

    def set_voters(self, voters: VoterSet) -> None:
        """Follow a change of the voter set."""
        self.majority = voters.majority
        self.voters = {
            node_id: self.voters.get(node_id) or ReplicaProgress(directory_id)
            for node_id, directory_id in voters.voters.items()
        }

    def record_fetch(
        self, node_id: int, directory_id: bytes, offset: int, leader_end: int, now_ms: int
    ) -> None:
        """Note the fetch of a voter or observer; it also counts for the check of the quorum."""
        progress = self.voters.get(node_id)
        if progress is None or (
            any(progress.directory_id) and progress.directory_id != directory_id
        ):
            self._record_observer(node_id, directory_id, offset, leader_end, now_ms)
            return
        progress.record_fetch(offset, leader_end, now_ms)
        self.acknowledged.add(node_id)
        self._fetched.add(node_id)
        others_needed = self.majority - (1 if self.local_id in self.voters else 0)
        if len(self._fetched) >= others_needed:
            self._fetched.clear()
            self.check_quorum_deadline_ms = now_ms + self.check_quorum_ms

    def _record_observer(
        self, node_id: int, directory_id: bytes, offset: int, leader_end: int, now_ms: int
    ) -> None:
        if node_id < 0:
            return
        key = (node_id, directory_id)
        progress = self.observers.get(key)
        if progress is None:
            self._forget_observers(now_ms)
            if len(self.observers) >= self.OBSERVERS_MAX:
                return
            progress = self.observers[key] = ReplicaProgress(directory_id)
        progress.record_fetch(offset, leader_end, now_ms)

    def _forget_observers(self, now_ms: int) -> None:
        silent = [
            key
            for key, progress in self.observers.items()
            if now_ms - progress.last_fetch_ms >= self.OBSERVER_SESSION_MS
        ]
        for key in silent:
            del self.observers[key]

    def quorum_lost(self, now_ms: int) -> bool:
        """Whether a majority has kept silent for too long; a sole voter never loses its quorum."""
        alone = self.majority == 1 and self.local_id in self.voters
        return not alone and now_ms >= self.check_quorum_deadline_ms

    def majority_offset(self) -> int:
        """What a majority of voters holds durably: a candidate for the high watermark.

        A leader may commit by counting only from its own epoch on (Raft, section 5.4.2): -1 until
        the majority holds the record that began it.
        """
        ends = sorted((progress.end_offset for progress in self.voters.values()), reverse=True)
        offset = ends[self.majority - 1]
        return offset if offset > self.epoch_start else -1
