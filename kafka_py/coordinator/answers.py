"""The error answers of coordinators' APIs: one function that gives each the shape of Apache's.

An error of the log is not shown to clients as it is: Kafka tells those who ask a coordinator that
there is none here, or that it is not available, which is what makes them look for it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafka_py.coordinator.transactions.requests import REFUSALS as TRANSACTION_REFUSALS
from kafka_py.protocol import group_offsets as o
from kafka_py.protocol import groups as g
from kafka_py.protocol import transactions as t
from kafka_py.protocol.errors import ErrorCode

__all__ = ["invalid", "refusal", "shown"]

Refuse = Callable[[Any, int, ErrorCode, str | None], Any]

INVALID_OFFSET: Final = -1
#: OffsetFetch: below this version an error stands at every partition.
TOP_LEVEL_ERROR_VERSION: Final = 2
GROUPS_VERSION: Final = 8
#: TxnOffsetCommit: producers of older versions fail on COORDINATOR_LOAD_IN_PROGRESS.
TXN_LOADING_VERSION: Final = 2

#: What a client is told instead of an error of the log, or of a look at it.
SHOWN_AS: Final = {
    ErrorCode.NETWORK_EXCEPTION: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
}

#: OffsetFetch: consumers before 3.9 do not ask again after COORDINATOR_NOT_AVAILABLE.
FETCH_SHOWN_AS: Final = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.NOT_COORDINATOR,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.NOT_COORDINATOR,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.NOT_COORDINATOR,
}


def shown(error: ErrorCode) -> ErrorCode:
    """What a client is told, OffsetFetch aside, when the coordinator's log has this error."""
    return SHOWN_AS.get(error, error)


def refusal(request: Any, version: int, error: ErrorCode, message: str | None = None) -> Any:
    """The response to `request` that says `error`, an error of the coordinator or of its log."""
    told = shown(error)
    if type(request) is o.OffsetFetchRequest:
        told = FETCH_SHOWN_AS.get(error, told)
    return REFUSALS[type(request)](request, version, told, None if told is not error else message)


def invalid(request: Any, version: int, error: ErrorCode) -> Any:
    """The response to a request that never reached a coordinator: the error is told as it is."""
    return REFUSALS[type(request)](request, version, error, None)


def _join(
    request: g.JoinGroupRequest, version: int, error: ErrorCode, _: str | None
) -> g.JoinGroupResponse:
    return g.JoinGroupResponse(error_code=int(error), protocol_name=None if version >= 7 else "")


def _sync(
    _request: g.SyncGroupRequest, _version: int, error: ErrorCode, _: str | None
) -> g.SyncGroupResponse:
    return g.SyncGroupResponse(error_code=int(error))


def _heartbeat(
    _request: g.HeartbeatRequest, _version: int, error: ErrorCode, _: str | None
) -> g.HeartbeatResponse:
    if error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
        # A member whose coordinator is still reading is alive as far as anybody knows.
        return g.HeartbeatResponse()
    return g.HeartbeatResponse(error_code=int(error))


def _leave(
    request: g.LeaveGroupRequest, version: int, error: ErrorCode, _: str | None
) -> g.LeaveGroupResponse:
    if error is ErrorCode.UNKNOWN_MEMBER_ID and version >= 3:
        return g.LeaveGroupResponse(
            members=[
                g.LeaveGroupResponse.MemberResponse(
                    member_id=member.member_id,
                    group_instance_id=member.group_instance_id,
                    error_code=int(error),
                )
                for member in request.members
            ]
        )
    return g.LeaveGroupResponse(error_code=int(error))


def _describe(
    request: g.DescribeGroupsRequest, _version: int, error: ErrorCode, message: str | None
) -> g.DescribeGroupsResponse:
    return g.DescribeGroupsResponse(
        groups=[
            g.DescribeGroupsResponse.DescribedGroup(
                group_id=group_id, error_code=int(error), error_message=message
            )
            for group_id in request.groups
        ]
    )


def _list(
    _request: g.ListGroupsRequest, _version: int, error: ErrorCode, _: str | None
) -> g.ListGroupsResponse:
    return g.ListGroupsResponse(error_code=int(error))


def _delete(
    request: g.DeleteGroupsRequest, _version: int, error: ErrorCode, _: str | None
) -> g.DeleteGroupsResponse:
    return g.DeleteGroupsResponse(
        results=[
            g.DeleteGroupsResponse.DeletableGroupResult(group_id=group_id, error_code=int(error))
            for group_id in request.groups_names
        ]
    )


def _consumer_heartbeat(
    _request: g.ConsumerGroupHeartbeatRequest, _version: int, error: ErrorCode, message: str | None
) -> g.ConsumerGroupHeartbeatResponse:
    return g.ConsumerGroupHeartbeatResponse(error_code=int(error), error_message=message)


def _consumer_describe(
    request: g.ConsumerGroupDescribeRequest, _version: int, error: ErrorCode, message: str | None
) -> g.ConsumerGroupDescribeResponse:
    return g.ConsumerGroupDescribeResponse(
        groups=[
            g.ConsumerGroupDescribeResponse.DescribedGroup(
                group_id=group_id, error_code=int(error), error_message=message
            )
            for group_id in request.group_ids
        ]
    )


def _offset_commit(
    request: o.OffsetCommitRequest, _version: int, error: ErrorCode, _: str | None
) -> o.OffsetCommitResponse:
    row = o.OffsetCommitResponse.OffsetCommitResponsePartition
    return o.OffsetCommitResponse(
        topics=[
            o.OffsetCommitResponse.OffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    row(partition_index=partition.partition_index, error_code=int(error))
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )


def _offset_fetch(
    request: o.OffsetFetchRequest, version: int, error: ErrorCode, _: str | None
) -> o.OffsetFetchResponse:
    if version >= GROUPS_VERSION:
        return o.OffsetFetchResponse(
            groups=[
                o.OffsetFetchResponse.OffsetFetchResponseGroup(
                    group_id=group.group_id, error_code=int(error)
                )
                for group in request.groups
            ]
        )
    if version >= TOP_LEVEL_ERROR_VERSION:
        return o.OffsetFetchResponse(error_code=int(error))
    row = o.OffsetFetchResponse.OffsetFetchResponsePartition
    return o.OffsetFetchResponse(
        topics=[
            o.OffsetFetchResponse.OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    row(
                        partition_index=index,
                        committed_offset=INVALID_OFFSET,
                        metadata="",
                        error_code=int(error),
                    )
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics or ()
        ]
    )


def _txn_offset_commit(
    request: t.TxnOffsetCommitRequest, version: int, error: ErrorCode, _: str | None
) -> t.TxnOffsetCommitResponse:
    if error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS and version < TXN_LOADING_VERSION:
        error = ErrorCode.COORDINATOR_NOT_AVAILABLE
    row = t.TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition
    return t.TxnOffsetCommitResponse(
        topics=[
            t.TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic(
                name=topic.name,
                partitions=[
                    row(partition_index=partition.partition_index, error_code=int(error))
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )


def _offset_delete(
    _request: o.OffsetDeleteRequest, _version: int, error: ErrorCode, _: str | None
) -> o.OffsetDeleteResponse:
    return o.OffsetDeleteResponse(error_code=int(error))


REFUSALS: Final[dict[type, Refuse]] = {
    g.JoinGroupRequest: _join,
    g.SyncGroupRequest: _sync,
    g.HeartbeatRequest: _heartbeat,
    g.LeaveGroupRequest: _leave,
    g.DescribeGroupsRequest: _describe,
    g.ListGroupsRequest: _list,
    g.DeleteGroupsRequest: _delete,
    g.ConsumerGroupHeartbeatRequest: _consumer_heartbeat,
    g.ConsumerGroupDescribeRequest: _consumer_describe,
    o.OffsetCommitRequest: _offset_commit,
    o.OffsetFetchRequest: _offset_fetch,
    o.OffsetDeleteRequest: _offset_delete,
    t.TxnOffsetCommitRequest: _txn_offset_commit,
    **TRANSACTION_REFUSALS,
}
