"""The records of consumer groups taken over into the shard, one applier a record type.

Total: whatever stands in a log, compacted or begun in the middle, is taken over or passed over.
A value makes its group and its member where they are missing; a tombstone of something unknown
means nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.consumer.group import ConsumerGroup, ResolvedRegex
from kafka_py.coordinator.consumer.member import target_from, with_current, with_metadata
from kafka_py.protocol import records_group as r

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["APPLIERS"]


def _known(shard: GroupShard, group_id: str) -> ConsumerGroup | None:
    group = shard.groups.get(group_id)
    return group if isinstance(group, ConsumerGroup) else None


def _made(shard: GroupShard, group_id: str) -> ConsumerGroup:
    """The group of a record with a value. It takes the place of a group of another kind: one that
    stands for committed offsets alone has no records, and of any other the log says that it went.
    """
    group = shard.groups.get(group_id)
    if not isinstance(group, ConsumerGroup):
        group = shard.groups[group_id] = ConsumerGroup(group_id)
    return group


def _group_epoch(
    shard: GroupShard,
    key: r.ConsumerGroupMetadataKey,
    value: r.ConsumerGroupMetadataValue | None,
) -> None:
    if value is not None:
        group = _made(shard, key.group_id)
        group.epoch, group.metadata_hash = value.epoch, value.metadata_hash
    elif _known(shard, key.group_id) is not None:
        del shard.groups[key.group_id]


def _partition_metadata(
    shard: GroupShard,
    key: r.ConsumerGroupPartitionMetadataKey,
    value: r.ConsumerGroupPartitionMetadataValue | None,
) -> None:
    group = _known(shard, key.group_id) if value is None else _made(shard, key.group_id)
    if group is not None:
        group.has_partition_metadata = value is not None


def _member_metadata(
    shard: GroupShard,
    key: r.ConsumerGroupMemberMetadataKey,
    value: r.ConsumerGroupMemberMetadataValue | None,
) -> None:
    if value is not None:
        group = _made(shard, key.group_id)
        group.put_member(with_metadata(group.member(key.member_id, create=True), value))
        return
    known = _known(shard, key.group_id)
    if known is not None:
        known.remove_member(key.member_id)


def _target_epoch(
    shard: GroupShard,
    key: r.ConsumerGroupTargetAssignmentMetadataKey,
    value: r.ConsumerGroupTargetAssignmentMetadataValue | None,
) -> None:
    if value is not None:
        group = _made(shard, key.group_id)
        group.target_epoch = value.assignment_epoch
        group.target_made_ms = value.assignment_timestamp
        return
    known = _known(shard, key.group_id)
    if known is not None:
        known.target_epoch, known.target_made_ms = -1, 0


def _target(
    shard: GroupShard,
    key: r.ConsumerGroupTargetAssignmentMemberKey,
    value: r.ConsumerGroupTargetAssignmentMemberValue | None,
) -> None:
    if value is not None:
        group = _made(shard, key.group_id)
        group.targets[key.member_id] = target_from(
            {row.topic_id: row.partitions for row in value.topic_partitions}
        )
        return
    known = _known(shard, key.group_id)
    if known is not None:
        known.targets.pop(key.member_id, None)


def _current(
    shard: GroupShard,
    key: r.ConsumerGroupCurrentMemberAssignmentKey,
    value: r.ConsumerGroupCurrentMemberAssignmentValue | None,
) -> None:
    if value is not None:
        group = _made(shard, key.group_id)
        group.put_member(with_current(group.member(key.member_id, create=True), value))
        return
    known = _known(shard, key.group_id)
    if known is not None:
        known.release_member(key.member_id)


def _regex(
    shard: GroupShard,
    key: r.ConsumerGroupRegularExpressionKey,
    value: r.ConsumerGroupRegularExpressionValue | None,
) -> None:
    if value is not None:
        resolved = ResolvedRegex(frozenset(value.topics), value.version, value.timestamp)
        _made(shard, key.group_id).put_resolved(key.regular_expression, resolved)
        return
    known = _known(shard, key.group_id)
    if known is not None:
        known.put_resolved(key.regular_expression, None)


#: Record key class -> applier.
APPLIERS: dict[type, Any] = {
    r.ConsumerGroupMetadataKey: _group_epoch,
    r.ConsumerGroupPartitionMetadataKey: _partition_metadata,
    r.ConsumerGroupMemberMetadataKey: _member_metadata,
    r.ConsumerGroupTargetAssignmentMetadataKey: _target_epoch,
    r.ConsumerGroupTargetAssignmentMemberKey: _target,
    r.ConsumerGroupCurrentMemberAssignmentKey: _current,
    r.ConsumerGroupRegularExpressionKey: _regex,
}
