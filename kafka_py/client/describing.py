"""Describing groups: as consumer groups of KIP-848 first, then as classic ones."""

from __future__ import annotations

from collections.abc import Iterable

from kafka_py.client.connection import Connection
from kafka_py.client.errors import check
from kafka_py.client.group_types import (
    CLASSIC,
    CONSUMER,
    DEAD,
    MEMBER_TYPES,
    GroupDescription,
    GroupMember,
)
from kafka_py.client.types import Node, TopicPartition
from kafka_py.protocol.errors import ErrorCode, MalformedRequest
from kafka_py.protocol.groups import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from kafka_py.protocol.registry import ApiKey

NOT_OF_THIS_KIND = (ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.UNSUPPORTED_VERSION)
CONSUMER_PROTOCOL = "consumer"
"""The protocol type of classic groups of consumers."""


async def describe(
    connection: Connection, coordinator: Node, groups: list[str]
) -> dict[str, GroupDescription | None]:
    """Groups of one coordinator; None for one that is not there. Raises `BrokerError`."""
    found: dict[str, GroupDescription | None] = {}
    if connection.knows(ApiKey.CONSUMER_GROUP_DESCRIBE):
        reply = await connection.call(
            ConsumerGroupDescribeRequest(group_ids=groups), ConsumerGroupDescribeResponse
        )
        for row in reply.groups:
            if row.error_code not in NOT_OF_THIS_KIND:
                check(row.error_code, row.error_message, what=f"group {row.group_id}")
                found[row.group_id] = consumer_group(row, coordinator)
    left = [group for group in groups if group not in found]
    if left:
        classic = await connection.call(DescribeGroupsRequest(groups=left), DescribeGroupsResponse)
        for each in classic.groups:
            if each.error_code == ErrorCode.GROUP_ID_NOT_FOUND or each.group_state == DEAD:
                found[each.group_id] = None
                continue
            check(each.error_code, each.error_message, what=f"group {each.group_id}")
            found[each.group_id] = classic_group(each, coordinator)
    return found


def consumer_group(
    row: ConsumerGroupDescribeResponse.DescribedGroup, coordinator: Node
) -> GroupDescription:
    """A group of KIP-848."""
    return GroupDescription(
        row.group_id,
        CONSUMER,
        row.group_state,
        CONSUMER_PROTOCOL,
        row.assignor_name,
        coordinator,
        tuple(
            GroupMember(
                member.member_id,
                member.instance_id,
                member.client_id,
                member.client_host,
                partitions_of(member.assignment),
                partitions_of(member.target_assignment),
                member.member_epoch,
                MEMBER_TYPES.get(member.member_type, CONSUMER),
                member.rack_id,
                tuple(member.subscribed_topic_names),
                member.subscribed_topic_regex or None,
            )
            for member in row.members
        ),
        row.group_epoch,
        row.assignment_epoch,
    )


def partitions_of(
    assignment: ConsumerGroupDescribeResponse.Assignment,
) -> tuple[TopicPartition, ...]:
    """The partitions of a member."""
    return tuple(
        sorted(
            TopicPartition(topic.topic_name, index)
            for topic in assignment.topic_partitions
            for index in topic.partitions
        )
    )


def classic_group(
    row: DescribeGroupsResponse.DescribedGroup, coordinator: Node
) -> GroupDescription:
    """A classic group; assignments are read where consumers wrote them."""
    of_consumers = row.protocol_type == CONSUMER_PROTOCOL
    return GroupDescription(
        row.group_id,
        CLASSIC,
        row.group_state,
        row.protocol_type,
        row.protocol_data,
        coordinator,
        tuple(
            GroupMember(
                member.member_id,
                member.group_instance_id,
                member.client_id,
                member.client_host,
                decode_assignment(member.member_assignment) if of_consumers else (),
                topics=decode_topics(member.member_metadata) if of_consumers else (),
            )
            for member in row.members
        ),
    )


def blob_version(data: bytes, highest: int) -> int:
    """The version to read a consumer's blob in: what it says, or the last one known."""
    return min(max(int.from_bytes(data[:2], "big"), 0), highest)


def decode_assignment(data: bytes) -> tuple[TopicPartition, ...]:
    """The partitions in a consumer's assignment; none where there is none or it is damaged."""
    if len(data) < 2:
        return ()
    kind = ConsumerProtocolAssignment
    try:
        found, _ = kind.decode_from(data, 2, blob_version(data, kind.VERSIONS[1]))
    except MalformedRequest:
        return ()
    return tuple(
        sorted(
            TopicPartition(topic.topic, index)
            for topic in found.assigned_partitions
            for index in topic.partitions
        )
    )


def decode_subscription(data: bytes) -> ConsumerProtocolSubscription:
    """A consumer's subscription. Raises MalformedRequest."""
    if len(data) < 2:
        raise MalformedRequest("a subscription without a version")
    kind = ConsumerProtocolSubscription
    return kind.decode_from(data, 2, blob_version(data, kind.VERSIONS[1]))[0]


def decode_topics(data: bytes) -> tuple[str, ...]:
    """The topics in a consumer's subscription; none where it is damaged."""
    try:
        return tuple(decode_subscription(data).topics)
    except MalformedRequest:
        return ()


def encode_subscription(subscription: ConsumerProtocolSubscription, version: int) -> bytes:
    """A subscription as JoinGroup carries it."""
    return version.to_bytes(2, "big") + subscription.encode(version)


def encode_assignment(partitions: Iterable[TopicPartition], version: int) -> bytes:
    """An assignment as SyncGroup carries it."""
    found: dict[str, list[int]] = {}
    for topic, index in sorted(partitions):
        found.setdefault(topic, []).append(index)
    row = ConsumerProtocolAssignment.TopicPartition
    assignment = ConsumerProtocolAssignment(
        assigned_partitions=[row(topic=topic, partitions=i) for topic, i in found.items()]
    )
    return version.to_bytes(2, "big") + assignment.encode(version)
