"""JoinGroup (11, 0-9), SyncGroup (14, 0-5), Heartbeat (12, 0-4), LeaveGroup (13, 0-5), and
ConsumerGroupHeartbeat (68, 0-1): membership in classic and consumer groups.

Behaviour: as Apache Kafka 4.3.1. What needs no group is checked here; the group's coordinator
answers the rest, at once or when the group has got there. Waiting holds up nothing but the
connection that waits.

All take READ on the group; topics that a consumer group's member names take DESCRIBE.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.answers import invalid, refusal
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
    SyncGroupRequest,
)
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.coordinators import caller_of, consumer_protocol_enabled
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node


def finished(answer: Any, finish: Callable[[Any], Any]) -> Any:
    """`finish` applied to a response, now or when it comes."""
    if not isawaitable(answer):
        return finish(answer)

    async def later() -> Any:
        return finish(await answer)

    return later()


def may_read(node: Node, context: RequestContext, group_id: str) -> bool:
    """Whether the caller may be a member of a group."""
    return access_of(node, context).may(Operation.READ, ResourceType.GROUP, group_id)


@handles(ApiKey.JOIN_GROUP)
def join_group(node: Node, context: RequestContext, request: JoinGroupRequest) -> Any:
    """Join, and wait until the group's next generation begins."""
    version = context.api_version

    def refused(error: ErrorCode) -> JoinGroupResponse:
        response: JoinGroupResponse = invalid(request, version, error)
        response.member_id = request.member_id
        return response

    if not may_read(node, context, request.group_id):
        return invalid(request, version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not request.group_id:
        return refused(ErrorCode.INVALID_GROUP_ID)
    lowest_ms = node.config["group.min.session.timeout.ms"]
    highest_ms = node.config["group.max.session.timeout.ms"]
    if not lowest_ms <= request.session_timeout_ms <= highest_ms:
        return refused(ErrorCode.INVALID_SESSION_TIMEOUT)

    def finish(response: JoinGroupResponse) -> JoinGroupResponse:
        # Nothing was chosen: null from version 7 on, and before that there is no null.
        if not response.protocol_name:
            response.protocol_name = None if version >= 7 else ""
        return response

    return finished(node.groups.ask(request.group_id, request, caller_of(context)), finish)


@handles(ApiKey.SYNC_GROUP)
def sync_group(node: Node, context: RequestContext, request: SyncGroupRequest) -> Any:
    """Hand in the leader's assignments, or wait for them."""
    unnamed = request.protocol_type is None or request.protocol_name is None
    if context.api_version >= 5 and unnamed:
        return invalid(request, context.api_version, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if not may_read(node, context, request.group_id):
        return invalid(request, context.api_version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not request.group_id:
        return invalid(request, context.api_version, ErrorCode.INVALID_GROUP_ID)
    return node.groups.ask(request.group_id, request, caller_of(context))


@handles(ApiKey.HEARTBEAT)
def heartbeat(node: Node, context: RequestContext, request: HeartbeatRequest) -> Any:
    """Stay in the group."""
    if not may_read(node, context, request.group_id):
        return invalid(request, context.api_version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not request.group_id:
        return invalid(request, context.api_version, ErrorCode.INVALID_GROUP_ID)
    return node.groups.ask(request.group_id, request, caller_of(context))


@handles(ApiKey.LEAVE_GROUP)
def leave_group(node: Node, context: RequestContext, request: LeaveGroupRequest) -> Any:
    """Leave: one member below version 3, several from then on."""
    version = context.api_version
    if not may_read(node, context, request.group_id):
        return invalid(request, version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not request.group_id:
        return invalid(request, version, ErrorCode.INVALID_GROUP_ID)
    if version < 3:
        request.members = [LeaveGroupRequest.MemberIdentity(member_id=request.member_id)]

    def finish(response: LeaveGroupResponse) -> LeaveGroupResponse:
        if version < 3 and not response.error_code and response.members:
            response.error_code = response.members[0].error_code
        return response

    return finished(node.groups.ask(request.group_id, request, caller_of(context)), finish)


@handles(ApiKey.CONSUMER_GROUP_HEARTBEAT)
def consumer_group_heartbeat(
    node: Node, context: RequestContext, request: ConsumerGroupHeartbeatRequest
) -> Any:
    """Join, stay in or leave a group of the consumer protocol (KIP-848)."""
    if not consumer_protocol_enabled(node):
        return invalid(request, context.api_version, ErrorCode.UNSUPPORTED_VERSION)
    access = access_of(node, context)
    if not access.may(Operation.READ, ResourceType.GROUP, request.group_id):
        return invalid(request, context.api_version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    subscribed = request.subscribed_topic_names or ()
    if len(access.topics(Operation.DESCRIBE, subscribed)) < len(set(subscribed)):
        return invalid(request, context.api_version, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    if not node.groups.is_active(request.group_id):
        # Kafka looks at the request itself first, and then for the coordinator.
        from kafka_py.coordinator.consumer.heartbeat import validate  # not at a start

        try:
            of_node: Any = SimpleNamespace(settings=node.config)
            validate(of_node, request, context.api_version)
        except ApiError as error:
            return refusal(request, context.api_version, error.code, error.message)
    return node.groups.ask(request.group_id, request, caller_of(context))
