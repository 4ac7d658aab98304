"""ListGroups (16, 0-5), DescribeGroups (15, 0-6), DeleteGroups (42, 0-2) and
ConsumerGroupDescribe (69, 0-1): groups as administrators see them.

Behaviour: as Apache Kafka 4.3.1. A request that names several groups is split over their
coordinators; each group has its own answer, in the order of the request. Coordinators are asked
before the handlers return, so what a connection sends takes effect in its order.

To describe a group takes DESCRIBE, to delete it DELETE. Who may describe the cluster sees all
groups listed, others those that they may describe.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator.answers import invalid
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    ListGroupsRequest,
    ListGroupsResponse,
)
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import Access, access_of
from kafka_py.server.coordinators import caller_of, consumer_protocol_enabled
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.coordinator_partitions import Coordinators
    from kafka_py.server.node import Node

Consumed = ConsumerGroupDescribeResponse.DescribedGroup
HIDDEN_TOPICS: Final = (
    "The group has described topic(s) that the client is not authorized to describe."
)


def sort_out(
    node: Node, context: RequestContext, operation: Operation, group_ids: Iterable[str]
) -> tuple[list[str], list[str]]:
    """The groups to which something may be done, and the others; each in the given order."""
    access = access_of(node, context)
    allowed: list[str] = []
    refused: list[str] = []
    for group_id in group_ids:
        may = access.may(operation, ResourceType.GROUP, group_id)
        (allowed if may else refused).append(group_id)
    return allowed, refused


def split(
    coordinators: Coordinators[Any],
    context: RequestContext,
    keys: Iterable[str],
    ask_for: Callable[[list[str]], Any],
    rows_of: Callable[[Any], list[Any]],
) -> Awaitable[list[Any]]:
    """Ask every coordinator that is concerned, once and before this returns.

    The result is awaited: the rows of the keys (groups, transactional ids) in the order of the
    request. `ask_for` makes the request for some of the keys, `rows_of` takes the rows from a
    response.
    """
    wanted = list(keys)
    by_partition: dict[int, list[int]] = {}
    for place, key in enumerate(wanted):
        by_partition.setdefault(coordinators.index_of(key), []).append(place)
    caller = caller_of(context)
    answers = [
        (
            places,
            coordinators.ask(wanted[places[0]], ask_for([wanted[at] for at in places]), caller),
        )
        for places in by_partition.values()
    ]

    async def gathered() -> list[Any]:
        rows: list[Any] = [None] * len(wanted)
        for places, answer in answers:
            response = await answer if isawaitable(answer) else answer
            for place, row in zip(places, rows_of(response), strict=True):
                rows[place] = row
        return rows

    return gathered()


@handles(ApiKey.LIST_GROUPS)
def list_groups(node: Node, context: RequestContext, request: ListGroupsRequest) -> Any:
    """The groups of all coordinators here; one that is still loading fails the whole."""
    access = access_of(node, context)
    everything = access.cluster(Operation.DESCRIBE, quietly=True)
    answers = node.groups.ask_all(request, caller_of(context))

    async def merged() -> ListGroupsResponse:
        response = ListGroupsResponse()
        failed = 0
        for answer in answers:
            part: ListGroupsResponse = await answer if isawaitable(answer) else answer
            if part.error_code == ErrorCode.NOT_COORDINATOR:
                continue
            failed = failed or part.error_code
            response.groups += part.groups
        if not everything:
            response.groups = [
                group
                for group in response.groups
                if access.may(Operation.DESCRIBE, ResourceType.GROUP, group.group_id, quietly=True)
            ]
        return ListGroupsResponse(error_code=failed) if failed else response

    return merged()


@handles(ApiKey.DESCRIBE_GROUPS)
def describe_groups(node: Node, context: RequestContext, request: DescribeGroupsRequest) -> Any:
    """Classic groups, with their members."""
    allowed, refused = sort_out(node, context, Operation.DESCRIBE, request.groups)
    asked = split(
        node.groups,
        context,
        allowed,
        lambda some: DescribeGroupsRequest(groups=some),
        lambda response: list(response.groups),
    )

    async def merged() -> DescribeGroupsResponse:
        rows: list[DescribeGroupsResponse.DescribedGroup] = await asked
        if request.include_authorized_operations:
            add_operations(access_of(node, context), rows)
        denied = [
            DescribeGroupsResponse.DescribedGroup(
                group_id=group_id, error_code=int(ErrorCode.GROUP_AUTHORIZATION_FAILED)
            )
            for group_id in refused
        ]
        return DescribeGroupsResponse(groups=denied + rows)

    return merged()


@handles(ApiKey.DELETE_GROUPS, versions=(0, 2))
def delete_groups(node: Node, context: RequestContext, request: DeleteGroupsRequest) -> Any:
    """Empty groups with everything that they committed."""
    names = dict.fromkeys(request.groups_names)
    allowed, refused = sort_out(node, context, Operation.DELETE, names)
    asked = split(
        node.groups,
        context,
        allowed,
        lambda some: DeleteGroupsRequest(groups_names=some),
        lambda response: list(response.results),
    )

    async def merged() -> DeleteGroupsResponse:
        denied = [
            DeleteGroupsResponse.DeletableGroupResult(
                group_id=group_id, error_code=int(ErrorCode.GROUP_AUTHORIZATION_FAILED)
            )
            for group_id in refused
        ]
        return DeleteGroupsResponse(results=[*await asked, *denied])

    return merged()


@handles(ApiKey.CONSUMER_GROUP_DESCRIBE)
def consumer_group_describe(
    node: Node, context: RequestContext, request: ConsumerGroupDescribeRequest
) -> Any:
    """Groups of the consumer protocol, with their members and assignments (KIP-848)."""
    if not consumer_protocol_enabled(node):
        return invalid(request, context.api_version, ErrorCode.UNSUPPORTED_VERSION)
    allowed, refused = sort_out(node, context, Operation.DESCRIBE, request.group_ids)
    asked = split(
        node.groups,
        context,
        [group_id for group_id in allowed if group_id],
        lambda some: ConsumerGroupDescribeRequest(group_ids=some),
        lambda response: list(response.groups),
    )

    async def merged() -> ConsumerGroupDescribeResponse:
        rows: list[ConsumerGroupDescribeResponse.DescribedGroup] = await asked
        access = access_of(node, context)
        if request.include_authorized_operations:
            add_operations(access, rows)
        denied = [
            ConsumerGroupDescribeResponse.DescribedGroup(group_id=group_id, error_code=int(error))
            for error, group_ids in (
                (ErrorCode.GROUP_AUTHORIZATION_FAILED, refused),
                (ErrorCode.INVALID_GROUP_ID, [one for one in allowed if not one]),
            )
            for group_id in group_ids
        ]
        rows = denied + rows
        if not access.open:
            rows = [hide_topics(access, row) for row in rows]
        return ConsumerGroupDescribeResponse(groups=rows)

    return merged()


def hide_topics(access: Access, row: Consumed) -> Consumed:
    """A group as it is, or an error where a member has a topic that the caller may not see."""
    names = {
        topic.topic_name
        for member in row.members
        for assignment in (member.assignment, member.target_assignment)
        for topic in assignment.topic_partitions
    }
    if len(access.topics(Operation.DESCRIBE, names)) == len(names):
        return row
    return ConsumerGroupDescribeResponse.DescribedGroup(
        group_id=row.group_id,
        error_code=int(ErrorCode.TOPIC_AUTHORIZATION_FAILED),
        error_message=HIDDEN_TOPICS,
    )


def add_operations(access: Access, rows: list[Any]) -> None:
    """What the caller may do to the groups that were found (KIP-430)."""
    for row in rows:
        if row.error_code == ErrorCode.NONE:
            row.authorized_operations = access.operations(ResourceType.GROUP, row.group_id)
