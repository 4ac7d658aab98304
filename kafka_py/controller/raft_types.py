"""The values that go into and come out of a `RaftReplica`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from kafka_py.controller.batches import Batch
from kcore.values import field, frozen, mutable

__all__ = [
    "Inbound",
    "QuorumState",
    "RaftLog",
    "Ready",
    "Reply",
    "Request",
    "SnapshotChunk",
    "SnapshotId",
    "VoterSet",
]

ZERO_UUID = bytes(16)


class SnapshotId(NamedTuple):
    """A snapshot holds everything below `offset`; the last record in it was of `epoch`."""

    offset: int
    epoch: int


class QuorumState(NamedTuple):
    """What must survive: on disk before any message that rests on it is sent."""

    epoch: int = 0
    leader_id: int = -1
    voted_id: int = -1
    voted_directory_id: bytes = ZERO_UUID


@frozen
class VoterSet:
    """The voters from some offset on.

    `voters` maps id to directory id (all zero under static voters, kraft.version 0); `endpoints`
    maps id to (host, port).
    """

    voters: Mapping[int, bytes]
    endpoints: Mapping[int, tuple[str, int]] = field(default_factory=dict)

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self.voters) // 2 + 1

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.voters


class RaftLog(Protocol):
    """What a replica reads of its log; all writes go through `Ready`."""

    @property
    def start_offset(self) -> int:
        """First offset; that of the oldest snapshot kept, when the log was trimmed."""
        ...

    @property
    def end_offset(self) -> int:
        """The offset after the last record."""
        ...

    @property
    def last_epoch(self) -> int:
        """Of the last record, or of the snapshot below an empty log; 0 for an empty log."""
        ...

    @property
    def latest_snapshot(self) -> SnapshotId | None:
        """The newest snapshot on disk."""
        ...

    @property
    def start_snapshot(self) -> SnapshotId | None:
        """The snapshot at `start_offset`, None while the log begins at 0."""
        ...

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """(largest epoch <= `epoch` in log or snapshot, offset where it ended)."""
        ...

    def read(self, offset: int, bytes_max: int) -> Any:
        """Whole batches from `offset` on, at least one; a bytes-like object."""
        ...

    def read_snapshot(
        self, snapshot: SnapshotId, position: int, bytes_max: int
    ) -> tuple[int, bytes] | None:
        """(size of the snapshot file, bytes from `position`); None when it does not exist."""
        ...


class Inbound(NamedTuple):
    """A message from the network.

    A request carries the `token` that its `Reply` will name.  A response carries the `source` voter
    and the `request_id` that the `Request` had; message None means that the request failed.
    """

    message: Any
    token: Any = None
    source: int = -1
    request_id: int = -1


class Request(NamedTuple):
    """Send `message` to voter `to`; its response comes back as `Inbound` with `id`."""

    to: int
    message: Any
    id: int


class Reply(NamedTuple):
    """Answer the request that came with `token`."""

    token: Any
    message: Any


class SnapshotChunk(NamedTuple):
    """Bytes of a snapshot that is being fetched; `last` completes it."""

    id: SnapshotId
    position: int
    data: bytes
    last: bool


@mutable
class Ready:
    """What the host must do, in the order of the fields, before the next call into the replica.

    quorum_state     Write and fsync it BEFORE anything below: votes and epochs are promises.
    snapshot_chunks  Write them; at the `last` fsync the file, make it the log's snapshot and
                     restart the log at its offset, BEFORE `append`.
    truncate_to      Cut the log there BEFORE `append`.
    append           Append in order.
    flush            The log must be durable BEFORE `requests` leave: a follower's next fetch says
                     that it holds what it fetched.  When unset (a leader) flushing may go on while
                     messages leave; tell the replica with `flushed()`.
    requests, replies  Hand to the network; may be lost, delayed, repeated.
    committed_to     Records below are committed: apply them.  AFTER `append`; never goes back.
    leader_changed   Who leads, or the epoch, changed: see `leader_id` and `epoch`.
    """

    quorum_state: QuorumState | None = None
    snapshot_chunks: list[SnapshotChunk] = field(default_factory=list)
    truncate_to: int | None = None
    append: list[Batch] = field(default_factory=list)
    flush: bool = False
    requests: list[Request] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    committed_to: int = -1
    leader_changed: bool = False
