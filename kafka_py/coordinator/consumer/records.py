"""The records of a consumer group, in the versions that Apache Kafka 4.3 writes.

Lists that Kafka sorts are sorted here; where its order is that of a hash table, ours ascends,
except in a target, whose order is the assignor's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kafka_py.coordinator.consumer.member import Member, Owned, Target
from kafka_py.coordinator.machine import CoordinatorRecord
from kafka_py.protocol import records_group as r

__all__ = [
    "current",
    "current_tombstone",
    "epoch",
    "epoch_tombstone",
    "group_tombstones",
    "member_tombstones",
    "metadata",
    "metadata_tombstone",
    "partition_metadata_tombstone",
    "regex",
    "regex_tombstone",
    "target",
    "target_epoch",
    "target_epoch_tombstone",
    "target_tombstone",
]


def metadata(group_id: str, member: Member) -> CoordinatorRecord:
    """What the member said of itself."""
    return CoordinatorRecord(
        r.ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member.member_id),
        r.ConsumerGroupMemberMetadataValue(
            instance_id=member.instance_id,
            rack_id=member.rack_id,
            client_id=member.client_id,
            client_host=member.client_host,
            subscribed_topic_names=sorted(member.names),
            subscribed_topic_regex=member.regex,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            server_assignor=member.assignor,
            classic_member_metadata=member.classic,
        ),
    )


def metadata_tombstone(group_id: str, member_id: str) -> CoordinatorRecord:
    """The member is gone."""
    return CoordinatorRecord(
        r.ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), None
    )


def epoch(group_id: str, group_epoch: int, metadata_hash: int) -> CoordinatorRecord:
    """The group's epoch, and the hash of the topics it subscribes to (signed)."""
    return CoordinatorRecord(
        r.ConsumerGroupMetadataKey(group_id=group_id),
        r.ConsumerGroupMetadataValue(epoch=group_epoch, metadata_hash=metadata_hash),
    )


def epoch_tombstone(group_id: str) -> CoordinatorRecord:
    """The group is gone."""
    return CoordinatorRecord(r.ConsumerGroupMetadataKey(group_id=group_id), None)


def partition_metadata_tombstone(group_id: str) -> CoordinatorRecord:
    """What Kafka 4.0 wrote in place of the hash is gone."""
    return CoordinatorRecord(r.ConsumerGroupPartitionMetadataKey(group_id=group_id), None)


def target(group_id: str, member_id: str, partitions: Target) -> CoordinatorRecord:
    """A member's share of the target assignment."""
    row = r.ConsumerGroupTargetAssignmentMemberValue.TopicPartition
    return CoordinatorRecord(
        r.ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id),
        r.ConsumerGroupTargetAssignmentMemberValue(
            topic_partitions=[
                row(topic_id=topic_id, partitions=list(indexes))
                for topic_id, indexes in partitions.items()
            ]
        ),
    )


def target_tombstone(group_id: str, member_id: str) -> CoordinatorRecord:
    """The member has no share of the target any more."""
    return CoordinatorRecord(
        r.ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), None
    )


def target_epoch(group_id: str, assignment_epoch: int, made_ms: int) -> CoordinatorRecord:
    """The epoch that the target was made for, and when (wall clock)."""
    return CoordinatorRecord(
        r.ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id),
        r.ConsumerGroupTargetAssignmentMetadataValue(
            assignment_epoch=assignment_epoch, assignment_timestamp=made_ms
        ),
    )


def target_epoch_tombstone(group_id: str) -> CoordinatorRecord:
    """The group has no target any more."""
    return CoordinatorRecord(r.ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id), None)


def current(group_id: str, member: Member) -> CoordinatorRecord:
    """The member's epoch and what it owns."""
    return CoordinatorRecord(
        r.ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member.member_id),
        r.ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=member.epoch,
            previous_member_epoch=member.previous_epoch,
            state=int(member.state),
            assigned_partitions=_rows(member.assigned),
            partitions_pending_revocation=_rows(member.pending),
        ),
    )


def _rows(owned: Owned) -> list[r.ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions]:
    rows = []
    for topic_id in sorted(owned):
        epochs = owned[topic_id]
        partitions = sorted(epochs)
        rows.append(
            r.ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions(
                topic_id=topic_id,
                partitions=partitions,
                assignment_epochs=[epochs[partition] for partition in partitions],
            )
        )
    return rows


def current_tombstone(group_id: str, member_id: str) -> CoordinatorRecord:
    """The member owns nothing and has no epoch any more."""
    return CoordinatorRecord(
        r.ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id), None
    )


def regex(
    group_id: str, expression: str, topics: Iterable[str], version: int, resolved_ms: int
) -> CoordinatorRecord:
    """What a pattern matched, in which version of the metadata, and when (wall clock)."""
    return CoordinatorRecord(
        r.ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=expression),
        r.ConsumerGroupRegularExpressionValue(
            topics=sorted(topics), version=version, timestamp=resolved_ms
        ),
    )


def regex_tombstone(group_id: str, expression: str) -> CoordinatorRecord:
    """Nobody subscribes to the pattern any more."""
    return CoordinatorRecord(
        r.ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=expression), None
    )


def member_tombstones(group_id: str, member_id: str) -> list[CoordinatorRecord]:
    """What deletes a member, in the order that its readers rely on."""
    return [
        current_tombstone(group_id, member_id),
        target_tombstone(group_id, member_id),
        metadata_tombstone(group_id, member_id),
    ]


def group_tombstones(
    group_id: str, member_ids: Iterable[str], expressions: Mapping[str, object]
) -> list[CoordinatorRecord]:
    """What deletes a group with its members and patterns."""
    ids = list(member_ids)
    return [
        *(current_tombstone(group_id, member_id) for member_id in ids),
        *(target_tombstone(group_id, member_id) for member_id in ids),
        target_epoch_tombstone(group_id),
        *(metadata_tombstone(group_id, member_id) for member_id in ids),
        *(regex_tombstone(group_id, expression) for expression in expressions),
        partition_metadata_tombstone(group_id),
        epoch_tombstone(group_id),
    ]
