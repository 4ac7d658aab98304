"""Control records of the raft log and its snapshots, and the quorum-state file."""

from __future__ import annotations

from kafka_py.protocol.schema import Blob, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int16, int32, int64, uint16, uuid


class LeaderChangeMessage(Blob, versions=(0, 1), flexible=0):
    """The first record of a raft epoch, a control record."""

    class Voter(Struct):
        voter_id: int32 = 0
        voter_directory_id: uuid = field("1+")  # KIP-853

    version: int16 = 0
    leader_id: int32 = 0
    voters: list[Voter] = []
    granting_voters: list[Voter] = []


class SnapshotHeaderRecord(Blob, versions=(0, 0), flexible=0):
    """First control record of a snapshot."""

    version: int16 = 0
    last_contained_log_timestamp: int64 = 0


class SnapshotFooterRecord(Blob, versions=(0, 0), flexible=0):
    """Last control record of a snapshot."""

    version: int16 = 0


class KRaftVersionRecord(Blob, versions=(0, 0), flexible=0):
    """The quorum's kraft.version, a control record."""

    version: int16 = 0
    kraft_version: int16 = 0


class VotersRecord(Blob, versions=(0, 0), flexible=0):
    """The voter set, a control record (KIP-853)."""

    class Endpoint(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0

    class KRaftVersionFeature(Struct):
        min_supported_version: int16 = 0
        max_supported_version: int16 = 0

    class Voter(Struct):
        voter_id: int32 = 0
        voter_directory_id: uuid = ZERO_UUID
        endpoints: list[VotersRecord.Endpoint] = []
        kraft_version_feature: VotersRecord.KRaftVersionFeature = field()

    version: int16 = 0
    voters: list[Voter] = []


class QuorumStateData(Blob, versions=(0, 1), flexible=0):
    """Contents of the quorum-state file (JSON on disk, under these names)."""

    class Voter(Struct):
        voter_id: int32 = 0

    cluster_id: str = field("0")
    leader_id: int32 = -1
    leader_epoch: int32 = -1
    voted_id: int32 = -1
    voted_directory_id: uuid = field("1+")
    applied_offset: int64 = field("0")
    current_voters: list[Voter] | None = field("0")


class ControlRecordTypeSchema(Blob, versions=(0, 0)):
    """The type inside the key of every control record."""

    type: int16 = 0
