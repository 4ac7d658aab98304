"""Offsets go: by OffsetDelete 0, with their group, with their topic.

Offsets of topics that a member consumes are refused one by one (GROUP_SUBSCRIBED_TO_TOPIC); which
topics exist is the server's business. A tombstone is written where there is an offset, be it one of
an open transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kafka_py.coordinator.machine import Caller, CoordinatorRecord, Delivery, Moment, Reply, Result
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetDeleteRequest, OffsetDeleteResponse
from kafka_py.protocol.records_group import OffsetCommitKey
from kafka_py.protocol.types import ZERO_UUID

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["delete", "delete_all", "tombstone", "topics_changed"]

_Topic = OffsetDeleteResponse.OffsetDeleteResponseTopic
_Partition = OffsetDeleteResponse.OffsetDeleteResponsePartition


def tombstone(group_id: str, topic: str, partition: int) -> CoordinatorRecord:
    """The record that deletes a committed offset."""
    return CoordinatorRecord(
        OffsetCommitKey(group=group_id, topic=topic, partition=partition), None
    )


def delete(
    shard: GroupShard, request: OffsetDeleteRequest, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """Delete the offsets of topics that no member consumes."""
    group_id = request.group_id
    group = shard.groups.get(group_id)
    if group is None:
        error = ErrorCode.GROUP_ID_NOT_FOUND if group_id else ErrorCode.INVALID_GROUP_ID
    else:
        error = group.validate_offset_delete()
    if group is None or error is not ErrorCode.NONE:
        return Result(replies=[Delivery(reply, OffsetDeleteResponse(error_code=error))])
    records: list[CoordinatorRecord] = []
    response = OffsetDeleteResponse()
    for topic in request.topics:
        indexes = [partition.partition_index for partition in topic.partitions]
        error = ErrorCode.NONE
        if group.is_subscribed(topic.name):
            error = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
        else:
            records += [
                tombstone(group_id, topic.name, index)
                for index in indexes
                if shard.offsets.get(group_id, topic.name, index) is not None
                or shard.offsets.is_pending(group_id, topic.name, index)
            ]
        response.topics.append(
            _Topic(
                name=topic.name,
                partitions=[_Partition(partition_index=i, error_code=error) for i in indexes],
            )
        )
    return Result(records=records, replies=[Delivery(reply, response)])


def delete_all(shard: GroupShard, group_id: str) -> list[CoordinatorRecord]:
    """The tombstones of everything that a group has committed, open transactions included."""
    offsets = shard.offsets
    records = [
        tombstone(group_id, topic, partition)
        for topic, partitions in offsets.of_group(group_id).items()
        for partition in partitions
    ]
    records += [
        tombstone(group_id, topic, partition)
        for topic, partition in offsets.pending.partitions(group_id)
        if offsets.get(group_id, topic, partition) is None
    ]
    return records


def topics_changed(shard: GroupShard, topics: Iterable[str], now: Moment) -> list[Result]:
    """Delete the offsets of topics that are gone, and of those that others took the name of.

    An offset without topic id counts as one of the topic that is gone, but not as one of a topic
    that was replaced in the same change, which the names alone do not tell.
    """
    now_named = {name: shard.image.topics.get(name) for name in topics}
    ids = {name: None if image is None else image.id for name, image in now_named.items()}
    if not ids:
        return []
    offsets = shard.offsets
    records: list[CoordinatorRecord] = []
    for group_id in offsets.group_ids():
        by_topic = offsets.of_group(group_id)
        for topic in ids.keys() & by_topic.keys():
            records += [
                tombstone(group_id, topic, partition)
                for partition, committed in by_topic[topic].items()
                if _is_gone(committed.topic_id, ids[topic])
            ]
    records += [
        tombstone(*place)
        for place, pending in offsets.pending.places()
        if place[1] in ids
        and _is_gone(ZERO_UUID if pending is None else pending.topic_id, ids[place[1]])
    ]
    return [Result(records=records, atomic=False)] if records else []


def _is_gone(topic_id: bytes, id_now: bytes | None) -> bool:
    """Whether a topic's offset is of no use; ``id_now`` is that of the topic that has its name."""
    return id_now is None or topic_id not in (ZERO_UUID, id_now)
