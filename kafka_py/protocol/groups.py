"""Group membership: the classic protocol and the consumer protocol of KIP-848."""

from __future__ import annotations

from kafka_py.protocol.schema import Blob, Request, Response, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int8, int16, int32, uuid


class FindCoordinatorRequest(Request, key=10, versions=(0, 6), flexible=3):
    """Find the coordinator of groups, transactions or share partitions."""

    key: str = field("0-3")
    key_type: int8 = field("1+")
    coordinator_keys: list[str] = field("4+")  # KIP-699


class FindCoordinatorResponse(Response, key=10, versions=(0, 6), flexible=3):
    """Where the coordinators are."""

    class Coordinator(Struct):
        key: str = ""
        node_id: int32 = 0
        host: str = ""
        port: int32 = 0
        error_code: int16 = 0
        error_message: str | None = ""

    throttle_time_ms: int32 = field("1+", ignorable=True)
    error_code: int16 = field("0-3")
    error_message: str | None = field("1-3", ignorable=True)
    node_id: int32 = field("0-3")
    host: str = field("0-3")
    port: int32 = field("0-3")
    coordinators: list[Coordinator] = field("4+")  # KIP-699


class JoinGroupRequest(Request, key=11, versions=(0, 9), flexible=6):
    """Join a classic group."""

    class JoinGroupRequestProtocol(Struct):
        name: str = ""
        metadata: bytes = b""

    group_id: str = ""
    session_timeout_ms: int32 = 0
    rebalance_timeout_ms: int32 = field("1+", -1, ignorable=True)
    member_id: str = ""
    group_instance_id: str | None = field("5+", None)
    protocol_type: str = ""
    protocols: list[JoinGroupRequestProtocol] = []
    reason: str | None = field("8+", None, ignorable=True)  # KIP-800


class JoinGroupResponse(Response, key=11, versions=(0, 9), flexible=6):
    """The generation joined; for the leader, its members."""

    class JoinGroupResponseMember(Struct):
        member_id: str = ""
        group_instance_id: str | None = field("5+", None, ignorable=True)
        metadata: bytes = b""

    throttle_time_ms: int32 = field("2+", ignorable=True)
    error_code: int16 = 0
    generation_id: int32 = -1
    protocol_type: str | None = field("7+", None, ignorable=True)
    protocol_name: str | None = field(nullable="7+")
    leader: str = ""
    skip_assignment: bool = field("9+")
    member_id: str = ""
    members: list[JoinGroupResponseMember] = []


class SyncGroupRequest(Request, key=14, versions=(0, 5), flexible=4):
    """Exchange assignments in a classic group."""

    class SyncGroupRequestAssignment(Struct):
        member_id: str = ""
        assignment: bytes = b""

    group_id: str = ""
    generation_id: int32 = 0
    member_id: str = ""
    group_instance_id: str | None = field("3+", None)
    protocol_type: str | None = field("5+", None, ignorable=True)
    protocol_name: str | None = field("5+", None, ignorable=True)
    assignments: list[SyncGroupRequestAssignment] = []


class SyncGroupResponse(Response, key=14, versions=(0, 5), flexible=4):
    """The member's assignment."""

    throttle_time_ms: int32 = field("1+", ignorable=True)
    error_code: int16 = 0
    protocol_type: str | None = field("5+", None, ignorable=True)
    protocol_name: str | None = field("5+", None, ignorable=True)
    assignment: bytes = b""


class HeartbeatRequest(Request, key=12, versions=(0, 4), flexible=4):
    """Stay in a classic group."""

    group_id: str = ""
    generation_id: int32 = 0
    member_id: str = ""
    group_instance_id: str | None = field("3+", None)


class HeartbeatResponse(Response, key=12, versions=(0, 4), flexible=4):
    """Answer to `HeartbeatRequest`."""

    throttle_time_ms: int32 = field("1+", ignorable=True)
    error_code: int16 = 0


class LeaveGroupRequest(Request, key=13, versions=(0, 5), flexible=4):
    """Leave a classic group."""

    class MemberIdentity(Struct):
        member_id: str = ""
        group_instance_id: str | None = None
        reason: str | None = field("5+", None, ignorable=True)  # KIP-800

    group_id: str = ""
    member_id: str = field("0-2")
    members: list[MemberIdentity] = field("3+")


class LeaveGroupResponse(Response, key=13, versions=(0, 5), flexible=4):
    """Answer to `LeaveGroupRequest`."""

    class MemberResponse(Struct):
        member_id: str = ""
        group_instance_id: str | None = ""
        error_code: int16 = 0

    throttle_time_ms: int32 = field("1+", ignorable=True)
    error_code: int16 = 0
    members: list[MemberResponse] = field("3+")


class DescribeGroupsRequest(Request, key=15, versions=(0, 6), flexible=5):
    """Describe classic groups."""

    groups: list[str] = []
    include_authorized_operations: bool = field("3+")


class DescribeGroupsResponse(Response, key=15, versions=(0, 6), flexible=5):
    """Answer to `DescribeGroupsRequest`."""

    class DescribedGroupMember(Struct):
        member_id: str = ""
        group_instance_id: str | None = field("4+", None, ignorable=True)
        client_id: str = ""
        client_host: str = ""
        member_metadata: bytes = b""
        member_assignment: bytes = b""

    class DescribedGroup(Struct):
        error_code: int16 = 0
        error_message: str | None = field("6+", None)  # KIP-1043
        group_id: str = ""
        group_state: str = ""
        protocol_type: str = ""
        protocol_data: str = ""
        members: list[DescribeGroupsResponse.DescribedGroupMember] = []
        authorized_operations: int32 = field("3+", -2147483648)

    throttle_time_ms: int32 = field("1+", ignorable=True)
    groups: list[DescribedGroup] = []


class ListGroupsRequest(Request, key=16, versions=(0, 5), flexible=3):
    """List groups by state and type."""

    states_filter: list[str] = field("4+")  # KIP-518
    types_filter: list[str] = field("5+")  # KIP-848


class ListGroupsResponse(Response, key=16, versions=(0, 5), flexible=3):
    """Answer to `ListGroupsRequest`."""

    class ListedGroup(Struct):
        group_id: str = ""
        protocol_type: str = ""
        group_state: str = field("4+", ignorable=True)  # KIP-518
        group_type: str = field("5+", ignorable=True)  # KIP-848

    throttle_time_ms: int32 = field("1+", ignorable=True)
    error_code: int16 = 0
    groups: list[ListedGroup] = []


class DeleteGroupsRequest(Request, key=42, versions=(0, 3), flexible=2):
    """Delete empty groups."""

    groups_names: list[str] = []


class DeleteGroupsResponse(Response, key=42, versions=(0, 3), flexible=2):
    """Answer to `DeleteGroupsRequest`."""

    class DeletableGroupResult(Struct):
        group_id: str = ""
        error_code: int16 = 0
        error_message: str | None = field("3+", None, ignorable=True)

    throttle_time_ms: int32 = 0
    results: list[DeletableGroupResult] = []


class ConsumerGroupHeartbeatRequest(Request, key=68, versions=(0, 1), flexible=0):
    """Join, stay in or leave a consumer group (KIP-848)."""

    class TopicPartitions(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[int32] = []

    group_id: str = ""
    member_id: str = ""
    member_epoch: int32 = 0
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int32 = -1
    subscribed_topic_names: list[str] | None = None
    subscribed_topic_regex: str | None = field("1+", None)
    server_assignor: str | None = None
    topic_partitions: list[TopicPartitions] | None = None


class ConsumerGroupHeartbeatResponse(Response, key=68, versions=(0, 1), flexible=0):
    """The member's epoch and, when changed, its assignment."""

    class TopicPartitions(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[int32] = []

    class Assignment(Struct):
        topic_partitions: list[ConsumerGroupHeartbeatResponse.TopicPartitions] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
    member_id: str | None = None
    member_epoch: int32 = 0
    heartbeat_interval_ms: int32 = 0
    assignment: Assignment | None = None


class ConsumerGroupDescribeRequest(Request, key=69, versions=(0, 1), flexible=0):
    """Describe consumer groups (KIP-848)."""

    group_ids: list[str] = []
    include_authorized_operations: bool = False


class ConsumerGroupDescribeResponse(Response, key=69, versions=(0, 1), flexible=0):
    """Answer to `ConsumerGroupDescribeRequest`."""

    class TopicPartitions(Struct):
        topic_id: uuid = ZERO_UUID
        topic_name: str = ""
        partitions: list[int32] = []

    class Assignment(Struct):
        topic_partitions: list[ConsumerGroupDescribeResponse.TopicPartitions] = []

    class Member(Struct):
        member_id: str = ""
        instance_id: str | None = None
        rack_id: str | None = None
        member_epoch: int32 = 0
        client_id: str = ""
        client_host: str = ""
        subscribed_topic_names: list[str] = []
        subscribed_topic_regex: str | None = None
        assignment: ConsumerGroupDescribeResponse.Assignment = field()
        target_assignment: ConsumerGroupDescribeResponse.Assignment = field()
        member_type: int8 = field("1+", -1, ignorable=True)  # KIP-1099

    class DescribedGroup(Struct):
        error_code: int16 = 0
        error_message: str | None = None
        group_id: str = ""
        group_state: str = ""
        group_epoch: int32 = 0
        assignment_epoch: int32 = 0
        assignor_name: str = ""
        members: list[ConsumerGroupDescribeResponse.Member] = []
        authorized_operations: int32 = -2147483648

    throttle_time_ms: int32 = 0
    groups: list[DescribedGroup] = []


class ConsumerProtocolSubscription(Blob, versions=(0, 3)):
    """A consumer's subscription, inside JoinGroup."""

    class TopicPartition(Struct):
        topic: str = ""
        partitions: list[int32] = []

    topics: list[str] = []
    user_data: bytes | None = None
    owned_partitions: list[TopicPartition] = field("1+", ignorable=True)
    generation_id: int32 = field("2+", -1, ignorable=True)
    rack_id: str | None = field("3+", None, ignorable=True)


class ConsumerProtocolAssignment(Blob, versions=(0, 3)):
    """A consumer's assignment, inside SyncGroup."""

    class TopicPartition(Struct):
        topic: str = ""
        partitions: list[int32] = []

    assigned_partitions: list[TopicPartition] = []
    user_data: bytes | None = None
