"""Online migration between the two protocols: none, as with the policy DISABLED."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.consumer.member import Member
from kafka_py.coordinator.machine import CoordinatorRecord, Delivery, Moment, Result
from kafka_py.protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import Group, GroupShard

__all__ = ["downgrade", "downgrade_needed", "upgrade"]


def upgrade(shard: GroupShard, group: Group, written: list[CoordinatorRecord]) -> ConsumerGroup:
    """The consumer group that a classic group with members becomes when a member of the consumer
    protocol joins; ``written`` gets the records. Raises GROUP_ID_NOT_FOUND when it may not."""
    raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group.group_id} is not a consumer group.")


def downgrade_needed(shard: GroupShard, group: ConsumerGroup, leaving: Collection[Member]) -> bool:
    """Whether only members of the classic protocol would be left, and the group is to follow."""
    return False


def downgrade(
    shard: GroupShard,
    group: ConsumerGroup,
    leaving: Collection[Member],
    replies: list[Delivery],
    now: Moment,
) -> Result:
    """Turn the group into a classic one without these members."""
    raise AssertionError("no downgrade is needed")
