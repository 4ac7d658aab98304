"""Where a raft replica's log, snapshots and quorum state live.

`LogStore` is the seam: what `ControllerNode` writes, and (as a `RaftLog`) the replica reads.
`KcoreLogStore` keeps Kafka's own files in `__cluster_metadata-0/`:

    %020d.log .index .timeindex      the log, by kcore
    leader-epoch-checkpoint          by kcore
    partition.metadata               by kcore
    quorum-state                     JSON: epoch, leader, vote; replaced atomically, fsynced
    %020d-%010d.checkpoint           snapshots

`kafka_py.testing.raft_log.MemoryLogStore` is the same in memory, with a crash that loses what was
not flushed.
"""

from __future__ import annotations

import bisect
import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from kafka_py.controller.batches import Batch
from kafka_py.controller.raft_types import (
    QuorumState,
    RaftLog,
    SnapshotChunk,
    SnapshotId,
    VoterSet,
)
from kafka_py.controller.snapshots import snapshot_id_of, snapshot_name
from kafka_py.protocol.types import uuid_from_text, uuid_to_text
from kcore import syscalls
from kcore.errors import CorruptFile
from kcore.log import REPLICA, Log
from kcore.log_config import NO_LIMIT, LogConfig

if TYPE_CHECKING:
    from kcore.log import LogDirFailure

__all__ = [
    "METADATA_DIRECTORY",
    "KcoreLogStore",
    "LogStore",
    "decode_quorum_state",
    "encode_quorum_state",
]

METADATA_DIRECTORY = "__cluster_metadata-0"
QUORUM_STATE_FILE = "quorum-state"
_FETCHED = ".fetched"
_METADATA_TOPIC_ID = bytes(15) + b"\x01"


class LogStore(RaftLog, Protocol):
    """A `RaftLog` and its writes. Methods raise kcore.errors.LogFailed when the disk fails.

    `kraft_version` says in which version the quorum state is written.
    """

    kraft_version: int

    def read_quorum_state(self) -> QuorumState:
        """What was written last; the zero state of a new replica otherwise."""
        ...

    def write_quorum_state(self, state: QuorumState, voters: VoterSet) -> None:
        """Durable when it returns."""
        ...

    def append(self, batches: list[Batch]) -> None:
        """Append; not yet durable."""
        ...

    def flush(self) -> int:
        """Make everything appended before the call durable; the durable end offset.

        May be called from another thread than the rest."""
        ...

    def truncate_to(self, offset: int) -> None:
        """Drop what is at `offset` and above."""
        ...

    def write_snapshot(self, snapshot: SnapshotId, batches: Iterable[bytes]) -> None:
        """Store a snapshot that this replica made; durable when it returns."""
        ...

    def write_snapshot_chunk(self, chunk: SnapshotChunk) -> None:
        """Store a piece of a fetched snapshot. After its last one the log is empty and begins
        at the snapshot's offset; durable when it returns."""
        ...

    def read_snapshot_file(self, snapshot: SnapshotId) -> bytes:
        """All of a snapshot."""
        ...

    def clean(self, retention_bytes: int, retention_ms: int, now_ms: int) -> bool:
        """Remove the oldest snapshot and the log below the next one while there is too much;
        whether anything went."""
        ...

    def close(self) -> None:
        """Flush and let go of all files."""
        ...


def encode_quorum_state(state: QuorumState, voters: VoterSet, kraft_version: int) -> bytes:
    """The quorum-state file, byte for byte as Kafka 4.3 writes it."""
    if kraft_version == 0:
        return json.dumps(
            {
                "clusterId": "",
                "leaderId": state.leader_id,
                "leaderEpoch": state.epoch,
                "votedId": state.voted_id,
                "appliedOffset": 0,
                "currentVoters": [{"voterId": voter} for voter in sorted(voters.voters)],
                "data_version": 0,
            },
            separators=(",", ":"),
        ).encode()
    return json.dumps(
        {
            "leaderId": state.leader_id,
            "leaderEpoch": state.epoch,
            "votedId": state.voted_id,
            "votedDirectoryId": uuid_to_text(state.voted_directory_id),
            "data_version": 1,
        },
        separators=(",", ":"),
    ).encode()


def decode_quorum_state(data: bytes, where: str) -> QuorumState:
    """Read a quorum-state file of either version; raises CorruptFile."""
    try:
        fields = json.loads(data)
        voted_directory = fields.get("votedDirectoryId")
        return QuorumState(
            epoch=int(fields["leaderEpoch"]),
            leader_id=int(fields.get("leaderId", -1)),
            voted_id=int(fields.get("votedId", -1)),
            voted_directory_id=uuid_from_text(voted_directory) if voted_directory else bytes(16),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"no quorum state: {error}", where) from error


class KcoreLogStore:
    """A `LogStore` in Kafka's own files. `flush` may run in another thread; nothing else."""

    def __init__(
        self,
        metadata_dir: str | os.PathLike[str],
        *,
        now_ms: int,
        kraft_version: int = 0,
        segment_bytes: int = 1 << 30,
        failure: LogDirFailure | None = None,
    ) -> None:
        """Open, and recover what was not flushed. Raises LogFailed, CorruptLog, CorruptFile."""
        self.path = os.path.join(os.fspath(metadata_dir), METADATA_DIRECTORY)
        os.makedirs(self.path, exist_ok=True)
        self.kraft_version = kraft_version
        self._snapshots, fetched = self._find_snapshots()
        self._partial = bytearray()
        config = LogConfig(
            segment_bytes=segment_bytes,
            segment_ms=7 * 24 * 3_600_000,
            retention_ms=NO_LIMIT,
            max_message_bytes=1 << 30,
        )
        # Everything below a snapshot was flushed before the snapshot was made.
        durable = self._snapshots[-1].offset if self._snapshots else 0
        self.log = Log.open(
            self.path,
            config,
            now_ms=now_ms,
            clean=False,
            recovery_point=durable,
            topic_id=_METADATA_TOPIC_ID,
            failure=failure,
        )
        for name in sorted(fetched):
            self._install(name)

    def _place(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _find_snapshots(self) -> tuple[list[SnapshotId], list[str]]:
        """(complete snapshots, names of fetched ones at which the log has not begun yet)."""
        found, fetched = [], []
        for name in os.listdir(self.path):
            if name.endswith((".part", ".tmp", ".checkpoint.deleted")):
                os.unlink(self._place(name))
            elif name.endswith(_FETCHED):
                fetched.append(name)
            elif (snapshot := snapshot_id_of(name)) is not None:
                found.append(snapshot)
        return sorted(found), fetched

    def _install(self, name: str) -> None:
        """Begin the log anew at a fetched snapshot, which has its final name only after that: so a
        crash between the two is told from a log that lost bytes."""
        final = name.removesuffix(_FETCHED)
        snapshot = snapshot_id_of(final)
        assert snapshot is not None
        self.log.truncate_fully_and_start_at(snapshot.offset)
        syscalls.rename(self._place(name), self._place(final))
        syscalls.fsync_dir(self.path)
        for old in [one for one in self._snapshots if one.offset < snapshot.offset]:
            syscalls.unlink(self._place(snapshot_name(old)))
            self._snapshots.remove(old)
        bisect.insort(self._snapshots, snapshot)

    @property
    def start_offset(self) -> int:
        """See `RaftLog`."""
        return self.log.log_start_offset

    @property
    def end_offset(self) -> int:
        """See `RaftLog`."""
        return self.log.log_end_offset

    @property
    def last_epoch(self) -> int:
        """See `RaftLog`."""
        latest = self.log.leader_epochs.latest
        if latest is not None:
            return latest
        start = self.start_snapshot
        return start.epoch if start else 0

    @property
    def latest_snapshot(self) -> SnapshotId | None:
        """See `RaftLog`."""
        return self._snapshots[-1] if self._snapshots else None

    @property
    def start_snapshot(self) -> SnapshotId | None:
        """See `RaftLog`."""
        start = self.log.log_start_offset
        if start == 0:
            return None
        return next((one for one in self._snapshots if one.offset == start), None)

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """See `RaftLog`."""
        latest = self.log.leader_epochs.latest
        if latest is not None and epoch >= latest:
            return latest, self.log.log_end_offset
        known, end = self.log.end_offset_for_epoch(epoch)
        if known >= 0:
            return known, end
        start = self.start_snapshot
        return (start.epoch, start.offset) if start else (0, 0)

    def read(self, offset: int, bytes_max: int) -> Any:
        """See `RaftLog`."""
        return self.log.read(offset, bytes_max).view

    def read_snapshot(
        self, snapshot: SnapshotId, position: int, bytes_max: int
    ) -> tuple[int, bytes] | None:
        """See `RaftLog`."""
        if snapshot not in self._snapshots:
            return None
        with open(self._place(snapshot_name(snapshot)), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return size, os.pread(file.fileno(), bytes_max, position)

    def read_quorum_state(self) -> QuorumState:
        """See `LogStore`. Raises CorruptFile."""
        path = self._place(QUORUM_STATE_FILE)
        if not os.path.exists(path):
            return QuorumState()
        return decode_quorum_state(syscalls.read_file(path), path)

    def write_quorum_state(self, state: QuorumState, voters: VoterSet) -> None:
        """See `LogStore`."""
        data = encode_quorum_state(state, voters, self.kraft_version)
        syscalls.replace_file(self._place(QUORUM_STATE_FILE), data)

    def append(self, batches: list[Batch]) -> None:
        """See `LogStore`."""
        for batch in batches:
            self.log.append(
                batch.data,
                leader_epoch=batch.epoch,
                now_ms=batch.timestamp_ms,
                origin=REPLICA,
            )

    def flush(self) -> int:
        """See `LogStore`."""
        return self.log.flush()

    def truncate_to(self, offset: int) -> None:
        """See `LogStore`."""
        self.log.truncate_to(offset)

    def write_snapshot(self, snapshot: SnapshotId, batches: Iterable[bytes]) -> None:
        """See `LogStore`. Flushes the log: what is below a snapshot counts as durable at start."""
        self.log.flush()
        syscalls.replace_file(self._place(snapshot_name(snapshot)), b"".join(batches))
        if snapshot not in self._snapshots:
            bisect.insort(self._snapshots, snapshot)

    def write_snapshot_chunk(self, chunk: SnapshotChunk) -> None:
        """See `LogStore`. The pieces are kept in memory until the last one is there."""
        if chunk.position == 0:
            self._partial.clear()
        self._partial += chunk.data
        if chunk.last:
            name = snapshot_name(chunk.id) + _FETCHED
            syscalls.replace_file(self._place(name), bytes(self._partial))
            self._partial = bytearray()
            self._install(name)

    def read_snapshot_file(self, snapshot: SnapshotId) -> bytes:
        """See `LogStore`."""
        return syscalls.read_file(self._place(snapshot_name(snapshot)))

    def clean(self, retention_bytes: int, retention_ms: int, now_ms: int) -> bool:
        """See `LogStore`."""
        cleaned = False
        while len(self._snapshots) > 1:
            oldest, following = self._snapshots[:2]
            found = [os.stat(self._place(snapshot_name(one))) for one in self._snapshots]
            size = self.log.size_bytes + sum(one.st_size for one in found)
            age_ms = now_ms - found[0].st_mtime_ns // 1_000_000
            if size <= retention_bytes and age_ms <= retention_ms:
                break
            # The log may begin only at a snapshot that is there: first move, then remove.
            self.log.advance_log_start(following.offset)
            self.log.delete_old_segments(now_ms, following.offset)
            syscalls.unlink(self._place(snapshot_name(oldest)))
            self._snapshots.remove(oldest)
            cleaned = True
        self.log.delete_files_due(now_ms)
        return cleaned

    def close(self) -> None:
        """See `LogStore`."""
        self.log.close()
