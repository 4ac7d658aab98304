"""OffsetCommit 2-10: a group's offsets are written down.

A group that nobody has joined may commit too (no generation): Kafka makes a "simple" group then,
an empty classic one, and so does this, even when every offset is refused for its metadata. Which
topics exist is the server's business; it also puts the names of versions that send ids in.

Value versions are Kafka 4.3's: 1 when the request (2-4) says how long to keep it, since only
that version has the field; else 4, which carries the topic's id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.coordinator.machine import Caller, CoordinatorRecord, Delivery, Moment, Reply, Result
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetCommitRequest, OffsetCommitResponse
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
from kafka_py.protocol.types import ZERO_UUID

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import Group, GroupShard

__all__ = ["commit", "commit_refused", "is_too_long", "simple_group", "topic_id_of"]

#: From this version on a client understands GROUP_ID_NOT_FOUND in place of ILLEGAL_GENERATION.
GROUP_ID_NOT_FOUND_VERSION = 9
VERSION_WITH_EXPIRY = 1
VERSION_WITH_TOPIC_ID = 4
DEFAULT_RETENTION_MS = -1

_Topic = OffsetCommitResponse.OffsetCommitResponseTopic
_Partition = OffsetCommitResponse.OffsetCommitResponsePartition


def commit(
    shard: GroupShard, request: OffsetCommitRequest, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """Validate the member, then write what its metadata's length allows."""
    version = caller.api_version
    group, error = committing_group(
        shard, request.group_id, request.generation_id_or_member_epoch, version
    )
    if group is not None:
        error = validated(shard, group, request, version)
    if group is None or error is not ErrorCode.NONE:
        return Result(replies=[Delivery(reply, commit_refused(request, error))])
    group.committed(shard, request.member_id, now)
    records: list[CoordinatorRecord] = []
    response = OffsetCommitResponse()
    expire_ms, value_version = -1, VERSION_WITH_TOPIC_ID
    if request.retention_time_ms != DEFAULT_RETENTION_MS:
        expire_ms, value_version = now.wall_ms + request.retention_time_ms, VERSION_WITH_EXPIRY
    metadata_max = shard.settings["offset.metadata.max.bytes"]
    for topic in request.topics:
        name = topic.name
        topic_id = topic_id_of(shard, topic)
        answers = []
        for partition in topic.partitions:
            index = partition.partition_index
            metadata = partition.committed_metadata or ""
            if is_too_long(metadata, metadata_max):
                refusal = ErrorCode.OFFSET_METADATA_TOO_LARGE
                answers.append(_Partition(partition_index=index, error_code=refusal))
                continue
            answers.append(_Partition(partition_index=index))
            records.append(
                CoordinatorRecord(
                    OffsetCommitKey(group=request.group_id, topic=name, partition=index),
                    OffsetCommitValue(
                        offset=partition.committed_offset,
                        leader_epoch=partition.committed_leader_epoch,
                        metadata=metadata,
                        commit_timestamp=now.wall_ms,
                        expire_timestamp=expire_ms,
                        topic_id=topic_id,
                    ),
                    value_version,
                )
            )
        response.topics.append(_Topic(name=name, topic_id=topic.topic_id, partitions=answers))
    return Result(records=records, replies=[Delivery(reply, response)])


def committing_group(
    shard: GroupShard, group_id: str, epoch: int, api_version: int
) -> tuple[Group | None, ErrorCode]:
    """The group that commits, made where Kafka makes one; or None and why not."""
    group = shard.groups.get(group_id)
    if group is not None:
        return group, ErrorCode.NONE
    if epoch < 0:
        return simple_group(shard, group_id), ErrorCode.NONE
    if api_version >= GROUP_ID_NOT_FOUND_VERSION:
        return None, ErrorCode.GROUP_ID_NOT_FOUND
    return None, ErrorCode.ILLEGAL_GENERATION


def validated(
    shard: GroupShard, group: Group, request: OffsetCommitRequest, version: int
) -> ErrorCode:
    """Whether the member may commit, and all of these partitions: one that it may not refuses all.

    A member of a consumer group that lags behind its group may still commit what it has kept since;
    see `Group.validate_partition_commit`.
    """
    epoch = request.generation_id_or_member_epoch
    error = group.validate_offset_commit(
        request.member_id,
        request.group_instance_id,
        epoch,
        transactional=False,
        api_version=version,
    )
    if error is not ErrorCode.NONE or group.kind == "classic":
        return error
    metadata_max = shard.settings["offset.metadata.max.bytes"]
    for topic in request.topics:
        topic_id = topic_id_of(shard, topic)
        for partition in topic.partitions:
            if not is_too_long(partition.committed_metadata or "", metadata_max):
                error = group.validate_partition_commit(
                    request.member_id, epoch, topic_id, partition.partition_index
                )
                if error is not ErrorCode.NONE:
                    return error
    return error


def simple_group(shard: GroupShard, group_id: str) -> Group:
    """The group of that id; an empty classic one, made now, where there is none."""
    # The group protocols delete offsets, so they import this package.
    from kafka_py.coordinator import classic

    return classic.simple_group(shard, group_id)


def is_too_long(metadata: str, length_max: int) -> bool:
    """Whether the text exceeds ``offset.metadata.max.bytes``, which Kafka counts as Java does: in
    UTF-16 units."""
    if len(metadata) * 2 <= length_max:
        return False
    return len(metadata.encode("utf-16-le", "surrogatepass")) // 2 > length_max


def topic_id_of(shard: GroupShard, topic: OffsetCommitRequest.OffsetCommitRequestTopic) -> bytes:
    """The topic's id for its records: as sent, or else as the metadata has it."""
    if topic.topic_id != ZERO_UUID:
        return topic.topic_id
    image = shard.image.topics.get(topic.name)
    return ZERO_UUID if image is None else image.id


def commit_refused(request: OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse:
    """The answer that has this error for every partition."""
    return OffsetCommitResponse(
        topics=[
            _Topic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    _Partition(partition_index=partition.partition_index, error_code=error)
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
