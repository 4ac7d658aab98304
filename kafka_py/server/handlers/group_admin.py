"""ListGroups (16, 0-5), DescribeGroups (15, 0-6), DeleteGroups (42, 0-2) and
ConsumerGroupDescribe (69, 0-1): groups as administrators see them.

Behaviour: as Apache Kafka 4.3.1. A request that names several groups is split over their
coordinators; each group has its own answer, in the order of the request. Coordinators are asked
before the handlers return, so what a connection sends takes effect in its order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator.answers import invalid
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
from kafka_py.server.coordinators import caller_of, consumer_protocol_enabled
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.coordinator_partitions import Coordinators
    from kafka_py.server.node import Node

#: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS: what a group may be asked for.
GROUP_OPERATIONS: Final = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11


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
        return ListGroupsResponse(error_code=failed) if failed else response

    return merged()


@handles(ApiKey.DESCRIBE_GROUPS)
def describe_groups(node: Node, context: RequestContext, request: DescribeGroupsRequest) -> Any:
    """Classic groups, with their members."""
    asked = split(
        node.groups,
        context,
        request.groups,
        lambda some: DescribeGroupsRequest(groups=some),
        lambda response: list(response.groups),
    )

    async def merged() -> DescribeGroupsResponse:
        rows: list[DescribeGroupsResponse.DescribedGroup] = await asked
        if request.include_authorized_operations:
            add_operations(rows)
        return DescribeGroupsResponse(groups=rows)

    return merged()


@handles(ApiKey.DELETE_GROUPS, versions=(0, 2))
def delete_groups(node: Node, context: RequestContext, request: DeleteGroupsRequest) -> Any:
    """Empty groups with everything that they committed."""
    asked = split(
        node.groups,
        context,
        dict.fromkeys(request.groups_names),
        lambda some: DeleteGroupsRequest(groups_names=some),
        lambda response: list(response.results),
    )

    async def merged() -> DeleteGroupsResponse:
        return DeleteGroupsResponse(results=await asked)

    return merged()


@handles(ApiKey.CONSUMER_GROUP_DESCRIBE)
def consumer_group_describe(
    node: Node, context: RequestContext, request: ConsumerGroupDescribeRequest
) -> Any:
    """Groups of the consumer protocol, with their members and assignments (KIP-848)."""
    if not consumer_protocol_enabled(node):
        return invalid(request, context.api_version, ErrorCode.UNSUPPORTED_VERSION)
    asked = split(
        node.groups,
        context,
        [group_id for group_id in request.group_ids if group_id],
        lambda some: ConsumerGroupDescribeRequest(group_ids=some),
        lambda response: list(response.groups),
    )

    async def merged() -> ConsumerGroupDescribeResponse:
        rows: list[ConsumerGroupDescribeResponse.DescribedGroup] = await asked
        if request.include_authorized_operations:
            add_operations(rows)
        unnamed = [
            ConsumerGroupDescribeResponse.DescribedGroup(
                group_id=group_id, error_code=int(ErrorCode.INVALID_GROUP_ID)
            )
            for group_id in request.group_ids
            if not group_id
        ]
        return ConsumerGroupDescribeResponse(groups=unnamed + rows)

    return merged()


def add_operations(rows: list[Any]) -> None:
    """Without an authorizer everybody may do everything."""
    for row in rows:
        if row.error_code == ErrorCode.NONE:
            row.authorized_operations = GROUP_OPERATIONS
