"""What a node finds in its metadata directory when it starts: the image, and the voters."""

from __future__ import annotations

from kafka_py.controller.batches import ControlType, parse_batches, records_of
from kafka_py.controller.log_store import LogStore
from kafka_py.controller.raft_types import VoterSet
from kafka_py.controller.settings import ControllerSettings
from kafka_py.controller.snapshots import decode_snapshot, snapshot_name, voter_set_of
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.snapshot import image_of
from kafka_py.protocol.records_metadata import decode_record
from kafka_py.protocol.records_raft import KRaftVersionRecord

__all__ = ["load_image", "load_voters"]

_READ_BYTES = 1024 * 1024


def load_image(store: LogStore) -> tuple[MetadataImage, int]:
    """(a working image of the newest snapshot, time of the last record in it).

    Without a snapshot the image is empty.  What the log has above the snapshot may not be
    committed and is left to raft.  Raises CorruptFile, CorruptBatch, MalformedRequest.
    """
    latest = store.latest_snapshot
    if latest is None or latest.offset == 0:
        return MetadataImage(), 0
    snapshot = decode_snapshot(store.read_snapshot_file(latest), snapshot_name(latest))
    records = (decode_record(value)[0] for value in snapshot.records)
    return image_of(records, latest.offset - 1, latest.epoch), snapshot.last_timestamp_ms


def load_voters(store: LogStore, settings: ControllerSettings) -> tuple[int, VoterSet, bool]:
    """(kraft.version, the voters, whether these are not in the log yet).

    Static voters come from the configuration.  Dynamic ones (KIP-853) come from the newest
    snapshot and from the log above it, committed or not.
    """
    if settings.voters:
        voters = settings.voters.values()
        static = VoterSet(
            {voter.id: bytes(16) for voter in voters},
            {voter.id: (voter.host, voter.port) for voter in voters},
        )
        return 0, static, False
    kraft_version, found, from_bootstrap = 0, VoterSet({}), False
    latest = store.latest_snapshot
    offset = store.start_offset
    if latest is not None:
        snapshot = decode_snapshot(store.read_snapshot_file(latest), snapshot_name(latest))
        kraft_version = snapshot.kraft_version
        if snapshot.voters is not None:
            found, from_bootstrap = snapshot.voters, latest.offset == 0
        offset = max(offset, latest.offset)
    while offset < store.end_offset:
        for batch in parse_batches(store.read(offset, _READ_BYTES)):
            offset = batch.next_offset
            if not batch.is_control:
                continue
            for record in records_of(batch):
                if record.control_type == ControlType.KRAFT_VERSION:
                    kraft_version = KRaftVersionRecord.decode(record.value, 0).kraft_version
                elif record.control_type == ControlType.KRAFT_VOTERS:
                    found, from_bootstrap = voter_set_of(record.value), False
    return kraft_version, found, from_bootstrap
