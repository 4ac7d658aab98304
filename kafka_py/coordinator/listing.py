"""ListGroups, DescribeGroups and DeleteGroups on one shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.classic.describe import describe
from kafka_py.coordinator.machine import (
    Caller,
    CoordinatorRecord,
    Delivery,
    Moment,
    Reply,
    Result,
)
from kafka_py.coordinator.offsets.deletions import delete_all
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    ListGroupsRequest,
    ListGroupsResponse,
)

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["HANDLERS"]


def list_groups(
    shard: GroupShard, request: ListGroupsRequest, _caller: Caller, _now: Moment, reply: Reply
) -> Result:
    """The shard's groups of the states and types that are asked for; case does not matter.

    A type or state that does not exist matches nothing.
    """
    states = {state.lower() for state in request.states_filter}
    types = {kind.lower() for kind in request.types_filter}
    listed = []
    for group in shard.groups.values():
        state = group.state
        if (states and state.lower() not in states) or (types and group.kind not in types):
            continue
        listed.append(
            ListGroupsResponse.ListedGroup(
                group_id=group.group_id,
                protocol_type=group.protocol_type,
                group_state=state,
                group_type=group.kind,
            )
        )
    return Result(replies=[Delivery(reply, ListGroupsResponse(groups=listed))])


def describe_groups(
    shard: GroupShard, request: DescribeGroupsRequest, caller: Caller, _now: Moment, reply: Reply
) -> Result:
    """The classic groups of these names; a row for each, in their order."""
    rows = [describe(shard, group_id, caller.api_version) for group_id in request.groups]
    return Result(replies=[Delivery(reply, DescribeGroupsResponse(groups=rows))])


def delete_groups(
    shard: GroupShard, request: DeleteGroupsRequest, _caller: Caller, _now: Moment, reply: Reply
) -> Result:
    """Delete empty groups and everything that they committed; each has an error of its own."""
    response = DeleteGroupsResponse()
    records: list[CoordinatorRecord] = []
    for group_id in request.groups_names:
        group = shard.groups.get(group_id)
        error = ErrorCode.GROUP_ID_NOT_FOUND if group is None else group.validate_delete()
        if group is not None and error is ErrorCode.NONE:
            records += delete_all(shard, group_id)
            records += group.tombstones()
        response.results.append(
            DeleteGroupsResponse.DeletableGroupResult(group_id=group_id, error_code=int(error))
        )
    return Result(records, [Delivery(reply, response)])


#: {request class: handler}
HANDLERS: dict[type, Any] = {
    ListGroupsRequest: list_groups,
    DescribeGroupsRequest: describe_groups,
    DeleteGroupsRequest: delete_groups,
}
