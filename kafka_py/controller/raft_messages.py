"""Raft's messages for its one partition, `__cluster_metadata-0`: build them, and look inside.

Kafka's raft messages are arrays of topics of partitions.  `only(message)` is the one door: it gives
the single partition, or None for anything else, which is answered INVALID_REQUEST (an empty array
in FetchSnapshot took Apache's controller down: CVE-2026-83525).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafka_py.controller.raft_types import SnapshotId
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.quorum import (
    BeginQuorumEpochRequest,
    BeginQuorumEpochResponse,
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    EndQuorumEpochRequest,
    EndQuorumEpochResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    VoteRequest,
    VoteResponse,
)

__all__ = [
    "METADATA_TOPIC",
    "METADATA_TOPIC_ID",
    "begin_epoch_request",
    "begin_epoch_response",
    "end_epoch_request",
    "end_epoch_response",
    "fetch_request",
    "fetch_response",
    "fetch_snapshot_request",
    "fetch_snapshot_response",
    "only",
    "top_level_error",
    "vote_request",
    "vote_response",
]

METADATA_TOPIC = "__cluster_metadata"
METADATA_TOPIC_ID = bytes(15) + b"\x01"

Endpoint = tuple[str, int]

_NO_SNAPSHOT = SnapshotId(-1, -1)


def only(message: Any) -> Any | None:
    """The message's partition when it is exactly `__cluster_metadata-0`, else None."""
    topics: Any = message.responses if isinstance(message, FetchResponse) else message.topics
    if topics is None or len(topics) != 1 or len(topics[0].partitions) != 1:
        return None
    topic = topics[0]
    partition = topic.partitions[0]
    if isinstance(message, FetchRequest | FetchResponse):
        named = topic.topic == METADATA_TOPIC or topic.topic_id == METADATA_TOPIC_ID
    elif isinstance(message, FetchSnapshotRequest | FetchSnapshotResponse):
        named = topic.name == METADATA_TOPIC
    else:
        named = topic.topic_name == METADATA_TOPIC
    if isinstance(message, FetchRequest | FetchSnapshotRequest):
        index = partition.partition
    elif isinstance(message, FetchSnapshotResponse):
        index = partition.index
    else:
        index = partition.partition_index
    return partition if named and index == 0 else None


_RESPONSE_OF: dict[type, type] = {
    VoteRequest: VoteResponse,
    BeginQuorumEpochRequest: BeginQuorumEpochResponse,
    EndQuorumEpochRequest: EndQuorumEpochResponse,
    FetchRequest: FetchResponse,
    FetchSnapshotRequest: FetchSnapshotResponse,
    DescribeQuorumRequest: DescribeQuorumResponse,
}


def top_level_error(request: Any, error: ErrorCode) -> Any:
    """The response to `request` that says `error` and nothing else."""
    return _RESPONSE_OF[type(request)](error_code=error)


# -- Vote ------------------------------------------------------------------------------------------


def vote_request(
    *,
    cluster_id: str,
    voter: tuple[int, bytes],
    replica: tuple[int, bytes],
    epoch: int,
    last_epoch: int,
    end_offset: int,
    pre_vote: bool,
) -> VoteRequest:
    """A (pre-)vote request from `replica` to `voter`, both (id, directory id)."""
    return VoteRequest(
        cluster_id=cluster_id,
        voter_id=voter[0],
        topics=[
            VoteRequest.TopicData(
                topic_name=METADATA_TOPIC,
                partitions=[
                    VoteRequest.PartitionData(
                        partition_index=0,
                        replica_epoch=epoch,
                        replica_id=replica[0],
                        replica_directory_id=replica[1],
                        voter_directory_id=voter[1],
                        last_offset_epoch=last_epoch,
                        last_offset=end_offset,
                        pre_vote=pre_vote,
                    )
                ],
            )
        ],
    )


def _endpoints(message: type, leader_id: int, endpoint: Endpoint | None) -> list[Any]:
    if leader_id < 0 or endpoint is None:
        return []
    node = message.NodeEndpoint  # type: ignore[attr-defined]
    return [node(node_id=leader_id, host=endpoint[0], port=endpoint[1])]


def vote_response(
    error: ErrorCode, epoch: int, leader_id: int, granted: bool, endpoint: Endpoint | None
) -> VoteResponse:
    """The answer to a vote request."""
    return VoteResponse(
        topics=[
            VoteResponse.TopicData(
                topic_name=METADATA_TOPIC,
                partitions=[
                    VoteResponse.PartitionData(
                        partition_index=0,
                        error_code=error,
                        leader_id=leader_id,
                        leader_epoch=epoch,
                        vote_granted=granted,
                    )
                ],
            )
        ],
        node_endpoints=_endpoints(VoteResponse, leader_id, endpoint),
    )


# -- BeginQuorumEpoch, EndQuorumEpoch --------------------------------------------------------------


def begin_epoch_request(
    *,
    cluster_id: str,
    voter: tuple[int, bytes],
    leader_id: int,
    epoch: int,
    endpoints: Mapping[str, Endpoint],
) -> BeginQuorumEpochRequest:
    """The leader tells a voter of its election; `endpoints` by listener name."""
    message = BeginQuorumEpochRequest
    return message(
        cluster_id=cluster_id,
        voter_id=voter[0],
        topics=[
            message.TopicData(
                topic_name=METADATA_TOPIC,
                partitions=[
                    message.PartitionData(
                        partition_index=0,
                        voter_directory_id=voter[1],
                        leader_id=leader_id,
                        leader_epoch=epoch,
                    )
                ],
            )
        ],
        leader_endpoints=[
            message.LeaderEndpoint(name=name, host=host, port=port)
            for name, (host, port) in endpoints.items()
        ],
    )


def end_epoch_request(
    *,
    cluster_id: str,
    leader_id: int,
    epoch: int,
    candidates: list[tuple[int, bytes]],
    endpoints: Mapping[str, Endpoint],
) -> EndQuorumEpochRequest:
    """The leader resigns; `candidates` are (id, directory id), the best first."""
    message = EndQuorumEpochRequest
    return message(
        cluster_id=cluster_id,
        topics=[
            message.TopicData(
                topic_name=METADATA_TOPIC,
                partitions=[
                    message.PartitionData(
                        partition_index=0,
                        leader_id=leader_id,
                        leader_epoch=epoch,
                        preferred_successors=[candidate[0] for candidate in candidates],
                        preferred_candidates=[
                            message.ReplicaInfo(candidate_id=c[0], candidate_directory_id=c[1])
                            for c in candidates
                        ],
                    )
                ],
            )
        ],
        leader_endpoints=[
            message.LeaderEndpoint(name=name, host=host, port=port)
            for name, (host, port) in endpoints.items()
        ],
    )


def _epoch_response(
    message: Any, error: ErrorCode, epoch: int, leader_id: int, endpoint: Endpoint | None
) -> Any:
    return message(
        topics=[
            message.TopicData(
                topic_name=METADATA_TOPIC,
                partitions=[
                    message.PartitionData(
                        partition_index=0,
                        error_code=error,
                        leader_id=leader_id,
                        leader_epoch=epoch,
                    )
                ],
            )
        ],
        node_endpoints=_endpoints(message, leader_id, endpoint),
    )


def begin_epoch_response(
    error: ErrorCode, epoch: int, leader_id: int, endpoint: Endpoint | None
) -> BeginQuorumEpochResponse:
    """The answer to BeginQuorumEpoch."""
    response: BeginQuorumEpochResponse = _epoch_response(
        BeginQuorumEpochResponse, error, epoch, leader_id, endpoint
    )
    return response


def end_epoch_response(
    error: ErrorCode, epoch: int, leader_id: int, endpoint: Endpoint | None
) -> EndQuorumEpochResponse:
    """The answer to EndQuorumEpoch."""
    response: EndQuorumEpochResponse = _epoch_response(
        EndQuorumEpochResponse, error, epoch, leader_id, endpoint
    )
    return response


# -- Fetch -----------------------------------------------------------------------------------------


def fetch_request(
    *,
    cluster_id: str,
    replica: tuple[int, bytes],
    epoch: int,
    offset: int,
    last_epoch: int,
    high_watermark: int,
    max_wait_ms: int,
    bytes_max: int,
) -> FetchRequest:
    """A follower's fetch of the metadata log."""
    message = FetchRequest
    return message(
        cluster_id=cluster_id,
        replica_state=message.ReplicaState(replica_id=replica[0]),
        max_wait_ms=max_wait_ms,
        min_bytes=0,
        max_bytes=bytes_max,
        topics=[
            message.FetchTopic(
                topic=METADATA_TOPIC,
                topic_id=METADATA_TOPIC_ID,
                partitions=[
                    message.FetchPartition(
                        partition=0,
                        current_leader_epoch=epoch,
                        fetch_offset=offset,
                        last_fetched_epoch=last_epoch,
                        partition_max_bytes=0,
                        replica_directory_id=replica[1],
                        high_watermark=high_watermark,
                    )
                ],
            )
        ],
    )


def fetch_response(
    *,
    error: ErrorCode,
    epoch: int,
    leader_id: int,
    endpoint: Endpoint | None,
    high_watermark: int = -1,
    log_start_offset: int = -1,
    records: Any = b"",
    diverging: tuple[int, int] | None = None,
    snapshot: SnapshotId | None = None,
) -> FetchResponse:
    """The answer to a fetch; `diverging` is (epoch, end offset)."""
    message = FetchResponse
    partition = message.PartitionData(
        partition_index=0,
        error_code=error,
        high_watermark=high_watermark,
        log_start_offset=log_start_offset,
        current_leader=message.LeaderIdAndEpoch(leader_id=leader_id, leader_epoch=epoch),
        records=records,
    )
    if diverging is not None:
        partition.diverging_epoch = message.EpochEndOffset(
            epoch=diverging[0], end_offset=diverging[1]
        )
    if snapshot is not None:
        partition.snapshot_id = message.SnapshotId(end_offset=snapshot.offset, epoch=snapshot.epoch)
    nodes = []
    if leader_id >= 0 and endpoint is not None:
        nodes.append(message.NodeEndpoint(node_id=leader_id, host=endpoint[0], port=endpoint[1]))
    return message(
        responses=[
            message.FetchableTopicResponse(
                topic=METADATA_TOPIC, topic_id=METADATA_TOPIC_ID, partitions=[partition]
            )
        ],
        node_endpoints=nodes,
    )


# -- FetchSnapshot ---------------------------------------------------------------------------------


def fetch_snapshot_request(
    *,
    cluster_id: str,
    replica: tuple[int, bytes],
    epoch: int,
    snapshot: SnapshotId,
    position: int,
    bytes_max: int,
) -> FetchSnapshotRequest:
    """Ask for the bytes of a snapshot from `position` on."""
    message = FetchSnapshotRequest
    return message(
        cluster_id=cluster_id,
        replica_id=replica[0],
        max_bytes=bytes_max,
        topics=[
            message.TopicSnapshot(
                name=METADATA_TOPIC,
                partitions=[
                    message.PartitionSnapshot(
                        partition=0,
                        current_leader_epoch=epoch,
                        snapshot_id=message.SnapshotId(
                            end_offset=snapshot.offset, epoch=snapshot.epoch
                        ),
                        position=position,
                        replica_directory_id=replica[1],
                    )
                ],
            )
        ],
    )


def fetch_snapshot_response(
    *,
    error: ErrorCode,
    epoch: int,
    leader_id: int,
    endpoint: Endpoint | None,
    snapshot: SnapshotId = _NO_SNAPSHOT,
    size: int = 0,
    position: int = 0,
    data: bytes = b"",
) -> FetchSnapshotResponse:
    """Bytes of a snapshot, or why there are none."""
    message = FetchSnapshotResponse
    return message(
        topics=[
            message.TopicSnapshot(
                name=METADATA_TOPIC,
                partitions=[
                    message.PartitionSnapshot(
                        index=0,
                        error_code=error,
                        snapshot_id=message.SnapshotId(
                            end_offset=snapshot.offset, epoch=snapshot.epoch
                        ),
                        current_leader=message.LeaderIdAndEpoch(
                            leader_id=leader_id, leader_epoch=epoch
                        ),
                        size=size,
                        position=position,
                        unaligned_records=data,
                    )
                ],
            )
        ],
        node_endpoints=_endpoints(message, leader_id, endpoint),
    )
