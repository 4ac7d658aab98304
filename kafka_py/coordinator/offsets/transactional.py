"""TxnOffsetCommit 0-5: offsets that count once the transaction that they belong to is committed.

The member is checked as for any commit (KIP-447; producers of versions below 3 name none). The
offsets stay pending (`kafka_py.coordinator.offsets.pending`) until the transaction's marker is in
the group's partition of ``__consumer_offsets``. Whether the transaction is open at all is the
server's business, and that of the log, which refuses producers that were fenced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.answers import invalid
from kafka_py.coordinator.machine import (
    Caller,
    CoordinatorRecord,
    Delivery,
    Moment,
    Producer,
    Reply,
    Result,
)
from kafka_py.coordinator.offsets.commits import (
    VERSION_WITH_TOPIC_ID,
    is_too_long,
    simple_group,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
from kafka_py.protocol.transactions import TxnOffsetCommitRequest, TxnOffsetCommitResponse
from kafka_py.protocol.types import ZERO_UUID

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import Group, GroupShard

__all__ = ["apply_pending", "commit_in_transaction"]

_Topic = TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic
_Partition = TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition


def commit_in_transaction(
    shard: GroupShard, request: TxnOffsetCommitRequest, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """Validate the member, then write what its metadata's length allows."""
    error = _validated(shard, request, caller.api_version)
    if error is not ErrorCode.NONE:
        return Result(replies=[Delivery(reply, invalid(request, caller.api_version, error))])
    records: list[CoordinatorRecord] = []
    response = TxnOffsetCommitResponse()
    metadata_max = shard.settings["offset.metadata.max.bytes"]
    for topic in request.topics:
        answers = []
        for partition in topic.partitions:
            index = partition.partition_index
            metadata = partition.committed_metadata or ""
            if is_too_long(metadata, metadata_max):
                refusal = int(ErrorCode.OFFSET_METADATA_TOO_LARGE)
                answers.append(_Partition(partition_index=index, error_code=refusal))
                continue
            answers.append(_Partition(partition_index=index))
            records.append(
                CoordinatorRecord(
                    OffsetCommitKey(group=request.group_id, topic=topic.name, partition=index),
                    OffsetCommitValue(
                        offset=partition.committed_offset,
                        leader_epoch=partition.committed_leader_epoch,
                        metadata=metadata,
                        commit_timestamp=now.wall_ms,
                        topic_id=ZERO_UUID,
                    ),
                    VERSION_WITH_TOPIC_ID,
                )
            )
        response.topics.append(_Topic(name=topic.name, partitions=answers))
    return Result(
        records=records,
        replies=[Delivery(reply, response)],
        producer=Producer(request.producer_id, request.producer_epoch),
    )


def _validated(shard: GroupShard, request: TxnOffsetCommitRequest, version: int) -> ErrorCode:
    """Whether the member may commit; a generation that is not the group's is always called so."""
    epoch = request.generation_id_or_member_epoch
    group = shard.groups.get(request.group_id)
    if group is None:
        if epoch >= 0:
            return ErrorCode.ILLEGAL_GENERATION
        group = simple_group(shard, request.group_id)
    error = group.validate_offset_commit(
        request.member_id,
        request.group_instance_id,
        epoch,
        transactional=True,
        api_version=version,
    )
    if error is ErrorCode.NONE and group.kind != "classic":
        error = _validated_partitions(shard, group, request)
    if error is ErrorCode.STALE_MEMBER_EPOCH:
        # Producers know no other word for it.
        return ErrorCode.ILLEGAL_GENERATION
    return error


def _validated_partitions(
    shard: GroupShard, group: Group, request: TxnOffsetCommitRequest
) -> ErrorCode:
    """Whether the member of a consumer group may commit all of these partitions."""
    metadata_max = shard.settings["offset.metadata.max.bytes"]
    for topic in request.topics:
        image = shard.image.topics.get(topic.name)
        for partition in topic.partitions:
            if is_too_long(partition.committed_metadata or "", metadata_max):
                continue
            error = group.validate_partition_commit(
                request.member_id,
                request.generation_id_or_member_epoch,
                ZERO_UUID if image is None else image.id,
                partition.partition_index,
            )
            if error is not ErrorCode.NONE:
                return error
    return ErrorCode.NONE


def apply_pending(shard: GroupShard, producer_id: int, key: Any, value: Any) -> None:
    """Take over an offset of an open transaction; a group that is not there is a simple one."""
    if value is not None and key.group not in shard.groups:
        simple_group(shard, key.group)
    shard.offsets.apply_pending(producer_id, key, value)
