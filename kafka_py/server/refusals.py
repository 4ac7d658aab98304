"""The answer to a whole request that is refused, in the shape that Apache gives it for each API.

For errors that are decided before a handler looks at the request, as that the caller may not do at
all what it asks for. What a handler or a coordinator refuses for single topics or groups is theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafka_py.controller.controller import HANDLED, error_response
from kafka_py.controller.raft_messages import top_level_error
from kafka_py.coordinator import answers
from kafka_py.protocol import quorum, topics
from kafka_py.protocol.acls import DescribeAclsRequest, DescribeAclsResponse
from kafka_py.protocol.cluster import (
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    DescribeClusterRequest,
    DescribeClusterResponse,
)
from kafka_py.protocol.configs import ListConfigResourcesRequest, ListConfigResourcesResponse
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest

__all__ = ["refuse"]

Refuse = Callable[[Any, int, ErrorCode, str], Any]


def refuse(request: Any, version: int, error: ErrorCode, message: str | None = None) -> Any:
    """The response to `request` that says `error` for all of it.

    Raises KeyError for a request of an API that is not refused as a whole.
    """
    text = error.message if message is None else message
    kind = type(request)
    if kind in REFUSALS:
        return REFUSALS[kind](request, version, error, text)
    if kind in HANDLED:
        return error_response(request, error, text)
    if kind in RAFT:
        return top_level_error(request, error)
    return answers.invalid(request, version, error)


def _describe_acls(
    _: DescribeAclsRequest, _version: int, error: ErrorCode, text: str
) -> DescribeAclsResponse:
    return DescribeAclsResponse(error_code=int(error), error_message=text)


def _describe_cluster(
    _: DescribeClusterRequest, _version: int, error: ErrorCode, text: str
) -> DescribeClusterResponse:
    return DescribeClusterResponse(error_code=int(error), error_message=text)


def _alter_replica_log_dirs(
    request: AlterReplicaLogDirsRequest, _version: int, error: ErrorCode, _text: str
) -> AlterReplicaLogDirsResponse:
    """Every partition that is named, as often as it is."""
    response = AlterReplicaLogDirsResponse
    return response(
        results=[
            response.AlterReplicaLogDirTopicResult(
                topic_name=topic.name,
                partitions=[
                    response.AlterReplicaLogDirPartitionResult(
                        partition_index=index, error_code=int(error)
                    )
                    for index in topic.partitions
                ],
            )
            for directory in request.dirs
            for topic in directory.topics
        ]
    )


def _list_config_resources(
    _: ListConfigResourcesRequest, _version: int, error: ErrorCode, _text: str
) -> ListConfigResourcesResponse:
    return ListConfigResourcesResponse(error_code=int(error))


def _elect_leaders(
    request: topics.ElectLeadersRequest, version: int, error: ErrorCode, text: str
) -> topics.ElectLeadersResponse:
    row = topics.ElectLeadersResponse.PartitionResult
    return topics.ElectLeadersResponse(
        error_code=int(error) if version >= 1 else 0,
        replica_election_results=[
            topics.ElectLeadersResponse.ReplicaElectionResult(
                topic=topic.topic,
                partition_result=[
                    row(partition_id=index, error_code=int(error), error_message=text)
                    for index in topic.partitions
                ],
            )
            for topic in request.topic_partitions or ()
        ],
    )


def _alter_reassignments(
    request: topics.AlterPartitionReassignmentsRequest, _version: int, error: ErrorCode, text: str
) -> topics.AlterPartitionReassignmentsResponse:
    response = topics.AlterPartitionReassignmentsResponse
    return response(
        error_code=int(error),
        error_message=text,
        responses=[
            response.ReassignableTopicResponse(
                name=topic.name,
                partitions=[
                    response.ReassignablePartitionResponse(
                        partition_index=one.partition_index,
                        error_code=int(error),
                        error_message=text,
                    )
                    for one in topic.partitions
                ],
            )
            for topic in request.topics
        ],
    )


def _list_reassignments(
    request: topics.ListPartitionReassignmentsRequest, _version: int, error: ErrorCode, text: str
) -> topics.ListPartitionReassignmentsResponse:
    response = topics.ListPartitionReassignmentsResponse
    return response(
        error_code=int(error),
        error_message=text,
        topics=[
            response.OngoingTopicReassignment(
                name=topic.name,
                partitions=[
                    response.OngoingPartitionReassignment(partition_index=index)
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics or ()
        ],
    )


def _describe_quorum(
    _: quorum.DescribeQuorumRequest, version: int, error: ErrorCode, text: str
) -> quorum.DescribeQuorumResponse:
    return quorum.DescribeQuorumResponse(
        error_code=int(error), error_message=text if version >= 2 else ""
    )


REFUSALS: Final[dict[type, Refuse]] = {
    AlterReplicaLogDirsRequest: _alter_replica_log_dirs,
    DescribeAclsRequest: _describe_acls,
    DescribeClusterRequest: _describe_cluster,
    ListConfigResourcesRequest: _list_config_resources,
    topics.ElectLeadersRequest: _elect_leaders,
    topics.AlterPartitionReassignmentsRequest: _alter_reassignments,
    topics.ListPartitionReassignmentsRequest: _list_reassignments,
    quorum.DescribeQuorumRequest: _describe_quorum,
}
RAFT: Final = (
    FetchRequest,
    quorum.VoteRequest,
    quorum.BeginQuorumEpochRequest,
    quorum.EndQuorumEpochRequest,
    quorum.FetchSnapshotRequest,
)
