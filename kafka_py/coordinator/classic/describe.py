"""What DescribeGroups and ListGroups say of classic groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.coordinator.classic.group import ClassicGroup, Member
from kafka_py.coordinator.classic.states import State
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import DescribeGroupsResponse

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["describe"]

DescribedGroup = DescribeGroupsResponse.DescribedGroup
DescribedGroupMember = DescribeGroupsResponse.DescribedGroupMember


def describe(shard: GroupShard, group_id: str, version: int) -> DescribedGroup:
    """A classic group for DescribeGroups, without what the caller may do to it.

    A group that is not there is Dead, and an error from version 6 on (KIP-1043), as is a group of
    another protocol. Members' metadata is shown of a stable group only.
    """
    group = shard.groups.get(group_id)
    if not isinstance(group, ClassicGroup):
        missing = DescribedGroup(group_id=group_id, group_state=State.DEAD.value)
        if version >= 6:
            missing.error_code = ErrorCode.GROUP_ID_NOT_FOUND
            missing.error_message = (
                f"Group {group_id} not found."
                if group is None
                else f"Group {group_id} is not a classic group."
            )
        return missing
    stable = group.current is State.STABLE
    return DescribedGroup(
        group_id=group_id,
        group_state=group.state,
        protocol_type=group.protocol_type,
        protocol_data=(group.protocol_name or "") if stable else "",
        members=[
            _member(member, group.protocol_name if stable else None)
            for member in group.members.values()
        ],
    )


def _member(member: Member, protocol: str | None) -> DescribedGroupMember:
    return DescribedGroupMember(
        member_id=member.member_id,
        group_instance_id=member.instance_id,
        client_id=member.client_id,
        client_host=member.client_host,
        member_metadata=member.metadata(protocol) if protocol is not None else b"",
        member_assignment=member.assignment,
    )
