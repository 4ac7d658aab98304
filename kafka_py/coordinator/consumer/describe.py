"""ConsumerGroupDescribe (KIP-848)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.consumer.heartbeat import group_of
from kafka_py.coordinator.consumer.member import NO_TOPICS, Member, Target
from kafka_py.coordinator.consumer.targets import default_assignor
from kafka_py.coordinator.machine import Caller, Delivery, Moment, Reply, Result
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import ApiError
from kafka_py.protocol.groups import ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["handle"]

_CLASSIC: Final = 0
_CONSUMER: Final = 1

_Group = ConsumerGroupDescribeResponse.DescribedGroup
_Member = ConsumerGroupDescribeResponse.Member
_Assignment = ConsumerGroupDescribeResponse.Assignment
_Row = ConsumerGroupDescribeResponse.TopicPartitions


def handle(
    shard: GroupShard,
    request: ConsumerGroupDescribeRequest,
    caller: Caller,
    now: Moment,
    reply: Reply,
) -> Result:
    """Describe those groups; one that is no consumer group has an error of its own."""
    response = ConsumerGroupDescribeResponse(
        groups=[_described(shard, group_id) for group_id in request.group_ids]
    )
    return Result(replies=[Delivery(reply, response)])


def _described(shard: GroupShard, group_id: str) -> _Group:
    try:
        group = group_of(shard, group_id)
    except ApiError as error:
        return _Group(group_id=group_id, error_code=int(error.code), error_message=error.message)
    return _Group(
        group_id=group_id,
        group_state=group.state,
        group_epoch=group.epoch,
        assignment_epoch=group.target_epoch,
        assignor_name=group.preferred_assignor() or default_assignor(shard),
        members=[_member(group, member, shard.image) for member in group.members.values()],
    )


def _member(group: ConsumerGroup, member: Member, image: MetadataImage) -> _Member:
    owned: dict[bytes, list[int]] = {}
    for partitions in (member.assigned, member.pending):
        for topic_id, epochs in partitions.items():
            owned.setdefault(topic_id, []).extend(epochs)
    target = group.targets.get(member.member_id, NO_TOPICS)
    return _Member(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        member_epoch=member.epoch,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=sorted(member.names),
        subscribed_topic_regex=member.regex,
        assignment=_rows({t: tuple(p) for t, p in owned.items()}, image),
        target_assignment=_rows(target, image),
        member_type=_CONSUMER if member.classic is None else _CLASSIC,
    )


def _rows(partitions: Target, image: MetadataImage) -> _Assignment:
    """Topics that are gone from the metadata are left out: they have no name."""
    topics = image.topics_by_id
    found = ((topics.get(topic_id), owned) for topic_id, owned in partitions.items())
    rows = [
        _Row(topic_id=topic.id, topic_name=topic.name, partitions=sorted(owned))
        for topic, owned in found
        if topic is not None
    ]
    return _Assignment(topic_partitions=sorted(rows, key=lambda row: row.topic_name))
