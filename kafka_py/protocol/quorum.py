"""KRaft: elections, snapshots and membership of the controller quorum."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int16, int32, int64, record_batches, uint16, uuid


class VoteRequest(Request, key=52, versions=(0, 2), flexible=0, listeners="controller"):
    """Ask for a vote, or a pre-vote."""

    class PartitionData(Struct):
        partition_index: int32 = 0
        replica_epoch: int32 = 0
        replica_id: int32 = 0
        replica_directory_id: uuid = field("1+", ignorable=True)  # KIP-853
        voter_directory_id: uuid = field("1+", ignorable=True)  # KIP-853
        last_offset_epoch: int32 = 0
        last_offset: int64 = 0
        pre_vote: bool = field("2+")

    class TopicData(Struct):
        topic_name: str = ""
        partitions: list[VoteRequest.PartitionData] = []

    cluster_id: str | None = None
    voter_id: int32 = field("1+", -1, ignorable=True)  # KIP-853
    topics: list[TopicData] = []


class VoteResponse(Response, key=52, versions=(0, 2), flexible=0):
    """Whether the vote is granted."""

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        leader_id: int32 = 0
        leader_epoch: int32 = 0
        vote_granted: bool = False

    class TopicData(Struct):
        topic_name: str = ""
        partitions: list[VoteResponse.PartitionData] = []

    class NodeEndpoint(Struct):
        node_id: int32 = 0
        host: str = ""
        port: uint16 = 0

    error_code: int16 = 0
    topics: list[TopicData] = []
    node_endpoints: list[NodeEndpoint] = field("1+", tag=0)  # KIP-853


class BeginQuorumEpochRequest(Request, key=53, versions=(0, 1), flexible=1, listeners="controller"):
    """Tell a voter who leads the epoch."""

    class PartitionData(Struct):
        partition_index: int32 = 0
        voter_directory_id: uuid = field("1+", ignorable=True)  # KIP-853
        leader_id: int32 = 0
        leader_epoch: int32 = 0

    class TopicData(Struct):
        topic_name: str = ""
        partitions: list[BeginQuorumEpochRequest.PartitionData] = []

    class LeaderEndpoint(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0

    cluster_id: str | None = None
    voter_id: int32 = field("1+", -1, ignorable=True)  # KIP-853
    topics: list[TopicData] = []
    leader_endpoints: list[LeaderEndpoint] = field("1+", ignorable=True)  # KIP-853


class BeginQuorumEpochResponse(Response, key=53, versions=(0, 1), flexible=1):
    """Answer to `BeginQuorumEpochRequest`."""

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        leader_id: int32 = 0
        leader_epoch: int32 = 0

    class TopicData(Struct):
        topic_name: str = ""
        partitions: list[BeginQuorumEpochResponse.PartitionData] = []

    class NodeEndpoint(Struct):
        node_id: int32 = 0
        host: str = ""
        port: uint16 = 0

    error_code: int16 = 0
    topics: list[TopicData] = []
    node_endpoints: list[NodeEndpoint] = field("1+", tag=0)  # KIP-853


class EndQuorumEpochRequest(Request, key=54, versions=(0, 1), flexible=1, listeners="controller"):
    """Tell voters that the leader resigns."""

    class ReplicaInfo(Struct):
        candidate_id: int32 = 0
        candidate_directory_id: uuid = ZERO_UUID

    class PartitionData(Struct):
        partition_index: int32 = 0
        leader_id: int32 = 0
        leader_epoch: int32 = 0
        preferred_successors: list[int32] = field("0", ignorable=True)
        # KIP-853
        preferred_candidates: list[EndQuorumEpochRequest.ReplicaInfo] = field("1+", ignorable=True)

    class TopicData(Struct):
        topic_name: str = ""
        partitions: list[EndQuorumEpochRequest.PartitionData] = []

    class LeaderEndpoint(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0

    cluster_id: str | None = None
    topics: list[TopicData] = []
    leader_endpoints: list[LeaderEndpoint] = field("1+", ignorable=True)  # KIP-853


class EndQuorumEpochResponse(Response, key=54, versions=(0, 1), flexible=1):
    """Answer to `EndQuorumEpochRequest`."""

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        leader_id: int32 = 0
        leader_epoch: int32 = 0

    class TopicData(Struct):
        topic_name: str = ""
        partitions: list[EndQuorumEpochResponse.PartitionData] = []

    class NodeEndpoint(Struct):
        node_id: int32 = 0
        host: str = ""
        port: uint16 = 0

    error_code: int16 = 0
    topics: list[TopicData] = []
    node_endpoints: list[NodeEndpoint] = field("1+", tag=0)  # KIP-853


class DescribeQuorumRequest(
    Request, key=55, versions=(0, 2), flexible=0, listeners="broker controller"
):
    """Describe voters, observers and their progress."""

    class PartitionData(Struct):
        partition_index: int32 = 0

    class TopicData(Struct):
        topic_name: str = ""
        partitions: list[DescribeQuorumRequest.PartitionData] = []

    topics: list[TopicData] = []


class DescribeQuorumResponse(Response, key=55, versions=(0, 2), flexible=0):
    """Answer to `DescribeQuorumRequest`."""

    class ReplicaState(Struct):
        replica_id: int32 = 0
        replica_directory_id: uuid = field("2+")  # KIP-853
        log_end_offset: int64 = 0
        last_fetch_timestamp: int64 = field("1+", -1, ignorable=True)  # KIP-836
        last_caught_up_timestamp: int64 = field("1+", -1, ignorable=True)  # KIP-836

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        error_message: str | None = field("2+", ignorable=True)  # KIP-853
        leader_id: int32 = 0
        leader_epoch: int32 = 0
        high_watermark: int64 = 0
        current_voters: list[DescribeQuorumResponse.ReplicaState] = []
        observers: list[DescribeQuorumResponse.ReplicaState] = []

    class TopicData(Struct):
        topic_name: str = ""
        partitions: list[DescribeQuorumResponse.PartitionData] = []

    class Listener(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0

    class Node(Struct):
        node_id: int32 = 0
        listeners: list[DescribeQuorumResponse.Listener] = []

    error_code: int16 = 0
    error_message: str | None = field("2+", ignorable=True)  # KIP-853
    topics: list[TopicData] = []
    nodes: list[Node] = field("2+")  # KIP-853


class FetchSnapshotRequest(Request, key=59, versions=(0, 1), flexible=0, listeners="controller"):
    """Read a piece of a snapshot."""

    class SnapshotId(Struct):
        end_offset: int64 = 0
        epoch: int32 = 0

    class PartitionSnapshot(Struct):
        partition: int32 = 0
        current_leader_epoch: int32 = 0
        snapshot_id: FetchSnapshotRequest.SnapshotId = field()
        position: int64 = 0
        replica_directory_id: uuid = field("1+", tag=0, ignorable=True)  # KIP-853

    class TopicSnapshot(Struct):
        name: str = ""
        partitions: list[FetchSnapshotRequest.PartitionSnapshot] = []

    cluster_id: str | None = field(default=None, tag=0)
    replica_id: int32 = -1
    max_bytes: int32 = 0x7FFFFFFF
    topics: list[TopicSnapshot] = []


class FetchSnapshotResponse(Response, key=59, versions=(0, 1), flexible=0):
    """Bytes of the snapshot."""

    class SnapshotId(Struct):
        end_offset: int64 = 0
        epoch: int32 = 0

    class LeaderIdAndEpoch(Struct):
        leader_id: int32 = 0
        leader_epoch: int32 = 0

    class PartitionSnapshot(Struct):
        index: int32 = 0
        error_code: int16 = 0
        snapshot_id: FetchSnapshotResponse.SnapshotId = field()
        current_leader: FetchSnapshotResponse.LeaderIdAndEpoch = field(tag=0)
        size: int64 = 0
        position: int64 = 0
        unaligned_records: record_batches = b""

    class TopicSnapshot(Struct):
        name: str = ""
        partitions: list[FetchSnapshotResponse.PartitionSnapshot] = []

    class NodeEndpoint(Struct):
        node_id: int32 = 0
        host: str = ""
        port: uint16 = 0

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    topics: list[TopicSnapshot] = []
    node_endpoints: list[NodeEndpoint] = field("1+", tag=0)  # KIP-853


class AddRaftVoterRequest(
    Request, key=80, versions=(0, 1), flexible=0, listeners="controller broker"
):
    """Add a voter (KIP-853)."""

    class Listener(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0

    cluster_id: str | None = ""
    timeout_ms: int32 = 0
    voter_id: int32 = 0
    voter_directory_id: uuid = ZERO_UUID
    listeners: list[Listener] = []
    ack_when_committed: bool = field("1+", True)


class AddRaftVoterResponse(Response, key=80, versions=(0, 1), flexible=0):
    """Answer to `AddRaftVoterRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""


class RemoveRaftVoterRequest(
    Request, key=81, versions=(0, 0), flexible=0, listeners="controller broker"
):
    """Remove a voter (KIP-853)."""

    cluster_id: str | None = ""
    voter_id: int32 = 0
    voter_directory_id: uuid = ZERO_UUID


class RemoveRaftVoterResponse(Response, key=81, versions=(0, 0), flexible=0):
    """Answer to `RemoveRaftVoterRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""


class UpdateRaftVoterRequest(Request, key=82, versions=(0, 0), flexible=0, listeners="controller"):
    """Update a voter's endpoints and versions (KIP-853)."""

    class Listener(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0

    class KRaftVersionFeature(Struct):
        min_supported_version: int16 = 0
        max_supported_version: int16 = 0

    cluster_id: str | None = ""
    current_leader_epoch: int32 = 0
    voter_id: int32 = 0
    voter_directory_id: uuid = ZERO_UUID
    listeners: list[Listener] = []
    kraft_version_feature: KRaftVersionFeature = field()


class UpdateRaftVoterResponse(Response, key=82, versions=(0, 0), flexible=0):
    """Answer to `UpdateRaftVoterRequest`."""

    class CurrentLeader(Struct):
        leader_id: int32 = -1
        leader_epoch: int32 = -1
        host: str = ""
        port: int32 = 0

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    current_leader: CurrentLeader = field(tag=0)
