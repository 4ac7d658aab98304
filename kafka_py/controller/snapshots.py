"""Snapshot files of the metadata log (KIP-630): `%020d-%010d.checkpoint`.

    batch 0   control: SnapshotHeader, and where the quorum is dynamic KRaftVersion and Voters
    batch 1.. data: metadata records, offsets counting from the header's on
    last      control: SnapshotFooter

The name holds the offset after the last record that the snapshot contains, and that record's
epoch, which is also the epoch of every batch.  A file is complete when it has its footer; it is
written beside its final name with the suffix `.part` and renamed once durable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from kafka_py.controller.batches import (
    Batch,
    ControlType,
    LogRecord,
    encode_batch,
    parse_batches,
    records_of,
)
from kafka_py.controller.raft_types import SnapshotId, VoterSet
from kafka_py.protocol.records_raft import (
    KRaftVersionRecord,
    LeaderChangeMessage,
    SnapshotFooterRecord,
    SnapshotHeaderRecord,
    VotersRecord,
)
from kcore.errors import CorruptFile
from kcore.values import field, mutable

__all__ = [
    "Snapshot",
    "decode_snapshot",
    "encode_snapshot",
    "epoch_start_batch",
    "snapshot_id_of",
    "snapshot_name",
    "voter_set_of",
    "voters_record",
]

#: Records of a data batch; Kafka's accumulator closes one at 8 MiB, this is well below.
_BATCH_BYTES_MAX = 1024 * 1024

_NAME = re.compile(r"(\d{20})-(\d{10})\.checkpoint")


def snapshot_name(snapshot: SnapshotId) -> str:
    """The file name of a snapshot."""
    return f"{snapshot.offset:020d}-{snapshot.epoch:010d}.checkpoint"


def snapshot_id_of(name: str) -> SnapshotId | None:
    """What a file name says; None when it is not that of a complete snapshot."""
    match = _NAME.fullmatch(name)
    return SnapshotId(int(match[1]), int(match[2])) if match else None


@mutable
class Snapshot:
    """What a snapshot file holds. `records` are metadata record values, still encoded."""

    last_timestamp_ms: int = 0
    kraft_version: int = 0
    voters: VoterSet | None = None
    records: list[bytes] = field(default_factory=list)


def voters_record(voters: VoterSet, listener: str = "CONTROLLER") -> VotersRecord:
    """The control record of a dynamic voter set (KIP-853)."""
    rows = []
    for node_id, directory_id in voters.voters.items():
        endpoint = voters.endpoints.get(node_id)
        rows.append(
            VotersRecord.Voter(
                voter_id=node_id,
                voter_directory_id=directory_id,
                endpoints=[]
                if endpoint is None
                else [VotersRecord.Endpoint(name=listener, host=endpoint[0], port=endpoint[1])],
                kraft_version_feature=VotersRecord.KRaftVersionFeature(
                    min_supported_version=0, max_supported_version=1
                ),
            )
        )
    return VotersRecord(version=0, voters=rows)


def voter_set_of(value: bytes) -> VoterSet:
    """The voter set of an encoded VotersRecord."""
    record = VotersRecord.decode(value, 0)
    return VoterSet(
        {row.voter_id: row.voter_directory_id for row in record.voters},
        {row.voter_id: (e.host, e.port) for row in record.voters for e in row.endpoints[:1]},
    )


def epoch_start_batch(
    *,
    base_offset: int,
    epoch: int,
    leader_id: int,
    granting: Iterable[int],
    voters: VoterSet,
    timestamp_ms: int,
    kraft_version: int,
    write_voters: bool,
) -> Batch:
    """The control batch that opens a leader's epoch.

    `write_voters`: the voter set came from a bootstrap snapshot and is not in the log yet; it goes
    in with the first leader change (KIP-853).
    """
    row = LeaderChangeMessage.Voter
    version = 1 if kraft_version >= 1 else 0
    change = LeaderChangeMessage(
        version=version,
        leader_id=leader_id,
        voters=[row(voter_id=v, voter_directory_id=d) for v, d in voters.voters.items()],
        granting_voters=[
            row(voter_id=v, voter_directory_id=voters.voters.get(v, bytes(16))) for v in granting
        ],
    )
    if version == 0:
        for voter in [*change.voters, *change.granting_voters]:
            voter.voter_directory_id = bytes(16)
    values = [change.encode(version)]
    types = [ControlType.LEADER_CHANGE]
    if write_voters:
        values.append(KRaftVersionRecord(version=0, kraft_version=kraft_version).encode(0))
        types.append(ControlType.KRAFT_VERSION)
        values.append(voters_record(voters).encode(0))
        types.append(ControlType.KRAFT_VOTERS)
    return encode_batch(
        values, base_offset=base_offset, epoch=epoch, timestamp_ms=timestamp_ms, control_types=types
    )


def encode_snapshot(
    snapshot_id: SnapshotId,
    records: Iterable[bytes],
    *,
    last_timestamp_ms: int,
    now_ms: int,
    kraft_version: int = 0,
    voters: VoterSet | None = None,
) -> Iterator[bytes]:
    """The batches of a snapshot file, in order. `records` are encoded metadata records."""
    epoch = snapshot_id.epoch
    header = SnapshotHeaderRecord(version=0, last_contained_log_timestamp=last_timestamp_ms)
    values = [header.encode(0)]
    types = [ControlType.SNAPSHOT_HEADER]
    if kraft_version > 0 and voters is not None:
        values.append(KRaftVersionRecord(version=0, kraft_version=kraft_version).encode(0))
        types.append(ControlType.KRAFT_VERSION)
        values.append(voters_record(voters).encode(0))
        types.append(ControlType.KRAFT_VOTERS)
    batch = encode_batch(
        values, base_offset=0, epoch=epoch, timestamp_ms=now_ms, control_types=types
    )
    yield batch.data
    offset = batch.next_offset
    pending: list[bytes] = []
    size = 0
    for value in records:
        pending.append(value)
        size += len(value)
        if size >= _BATCH_BYTES_MAX:
            batch = encode_batch(pending, base_offset=offset, epoch=epoch, timestamp_ms=now_ms)
            yield batch.data
            offset, pending, size = batch.next_offset, [], 0
    if pending:
        batch = encode_batch(pending, base_offset=offset, epoch=epoch, timestamp_ms=now_ms)
        yield batch.data
        offset = batch.next_offset
    footer = SnapshotFooterRecord(version=0).encode(0)
    yield encode_batch(
        [footer],
        base_offset=offset,
        epoch=epoch,
        timestamp_ms=now_ms,
        control_types=[ControlType.SNAPSHOT_FOOTER],
    ).data


def decode_snapshot(data: bytes, where: str) -> Snapshot:
    """Read a snapshot file; `where` names it in errors.

    Raises CorruptFile when it has no header first and footer last, CorruptBatch for bad batches.
    """
    snapshot = Snapshot()
    first: int | None = None
    last: int | None = None
    for batch in parse_batches(data):
        for record in records_of(batch):
            if first is None:
                first = record.control_type
            last = record.control_type
            _take(snapshot, record)
    if first != ControlType.SNAPSHOT_HEADER:
        raise CorruptFile("a snapshot begins with its header", where)
    if last != ControlType.SNAPSHOT_FOOTER:
        raise CorruptFile("a snapshot ends with its footer; this one is cut short", where)
    return snapshot


def _take(snapshot: Snapshot, record: LogRecord) -> None:
    kind: Any = record.control_type
    if kind is None:
        snapshot.records.append(record.value)
    elif kind == ControlType.SNAPSHOT_HEADER:
        header = SnapshotHeaderRecord.decode(record.value, 0)
        snapshot.last_timestamp_ms = header.last_contained_log_timestamp
    elif kind == ControlType.KRAFT_VERSION:
        snapshot.kraft_version = KRaftVersionRecord.decode(record.value, 0).kraft_version
    elif kind == ControlType.KRAFT_VOTERS:
        snapshot.voters = voter_set_of(record.value)
