"""DescribeQuorum, and what a controller says when it leads no more."""

from __future__ import annotations

from typing import Any

from kafka_py.controller.raft import RaftReplica
from kafka_py.controller.raft_messages import METADATA_TOPIC, only
from kafka_py.controller.raft_progress import ReplicaProgress
from kafka_py.controller.raft_states import State
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.quorum import DescribeQuorumRequest, DescribeQuorumResponse

__all__ = ["describe_quorum", "not_leader"]


def describe_quorum(
    replica: RaftReplica,
    image: MetadataImage,
    request: DescribeQuorumRequest | None,
    *,
    now_ms: int,
    wall_ms: int,
) -> DescribeQuorumResponse:
    """How far each replica of the metadata log is (KIP-595, KIP-836), as the leader knows."""
    if request is not None and only(request) is None:
        return DescribeQuorumResponse(
            error_code=ErrorCode.NONE,
            topics=[_unknown(topic) for topic in request.topics],
        )
    row = DescribeQuorumResponse.PartitionData(
        partition_index=0,
        leader_id=replica.leader_id,
        leader_epoch=replica.epoch,
        high_watermark=replica.high_watermark,
    )
    progress = replica.progress
    if replica.state is not State.LEADER or progress is None:
        row.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
        row.error_message = ErrorCode.NOT_LEADER_OR_FOLLOWER.message
    else:
        shift = wall_ms - now_ms
        for voter_id, voter in progress.voters.items():
            local = voter_id == replica.node_id
            state = _state(voter_id, voter, shift, replica, now_ms, local)
            # Static voters have no directory id, whatever directory they use (KIP-853).
            state.replica_directory_id = replica.voters.voters[voter_id]
            row.current_voters.append(state)
        for (node_id, _), observer in progress.observers.items():
            row.observers.append(_state(node_id, observer, shift, replica, now_ms, False))
    return DescribeQuorumResponse(
        error_code=ErrorCode.NONE,
        topics=[DescribeQuorumResponse.TopicData(topic_name=METADATA_TOPIC, partitions=[row])],
        nodes=_nodes(replica, image),
    )


def _state(
    node_id: int,
    progress: ReplicaProgress,
    shift_ms: int,
    replica: RaftReplica,
    now_ms: int,
    local: bool,
) -> Any:
    def wall(at_ms: int) -> int:
        return -1 if at_ms < 0 else at_ms + shift_ms

    return DescribeQuorumResponse.ReplicaState(
        replica_id=node_id,
        replica_directory_id=replica.directory_id if local else progress.directory_id,
        log_end_offset=replica.log.end_offset if local else progress.end_offset,
        last_fetch_timestamp=wall(now_ms if local else progress.last_fetch_ms),
        last_caught_up_timestamp=wall(now_ms if local else progress.last_caught_up_ms),
    )


def _unknown(topic: Any) -> Any:
    response = DescribeQuorumResponse
    return response.TopicData(
        topic_name=topic.topic_name,
        partitions=[
            response.PartitionData(
                partition_index=partition.partition_index,
                error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                error_message=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION.message,
            )
            for partition in topic.partitions
        ],
    )


def _nodes(replica: RaftReplica, image: MetadataImage) -> list[Any]:
    """Where the voters listen: as registered, else as the voter set says."""
    response = DescribeQuorumResponse
    nodes = []
    for voter_id in sorted(replica.voters.voters):
        controller = image.controllers.get(voter_id)
        if controller is not None:
            listeners = [
                response.Listener(name=e.name, host=e.host, port=e.port)
                for e in controller.endpoints
            ]
        else:
            address = replica.voters.endpoints.get(voter_id)
            listeners = (
                []
                if address is None
                else [response.Listener(name="CONTROLLER", host=address[0], port=address[1])]
            )
        nodes.append(response.Node(node_id=voter_id, listeners=listeners))
    return nodes


def not_leader(reply: Any) -> Any:
    """A reply whose records are not known to be committed, turned into NOT_CONTROLLER.

    The request may yet take effect under the next leader; so it is with every lost leadership.
    """
    code = ErrorCode.NOT_CONTROLLER
    rows = [
        getattr(reply, name)
        for name in ("topics", "responses", "results")
        if isinstance(getattr(reply, name, None), list)
    ]
    if hasattr(reply, "error_code"):
        reply.error_code = code
        if hasattr(reply, "error_message"):
            reply.error_message = code.message
        return reply
    for row in (row for group in rows for row in group):
        row.error_code = code
        if hasattr(row, "error_message"):
            row.error_message = code.message
    return reply
