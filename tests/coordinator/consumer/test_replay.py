"""Records of consumer groups in logs of other versions, compacted logs, and logs begun anywhere."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kafka_py.coordinator.classic.group import ClassicGroup
from kafka_py.coordinator.consumer import replay
from kafka_py.coordinator.consumer.group import INITIAL_EPOCH, ConsumerGroup
from kafka_py.coordinator.consumer.member import Member, MemberState
from kafka_py.protocol import records_group as r
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import ConsumerGroupHeartbeatRequest
from tests.coordinator.consumer.driver import TYPES, ShardDriver
from tests.coordinator.consumer.schedules import Schedule

KEYS: list[Any] = [
    r.ConsumerGroupMetadataKey(group_id="g"),
    r.ConsumerGroupPartitionMetadataKey(group_id="g"),
    r.ConsumerGroupMemberMetadataKey(group_id="g", member_id="a"),
    r.ConsumerGroupTargetAssignmentMetadataKey(group_id="g"),
    r.ConsumerGroupTargetAssignmentMemberKey(group_id="g", member_id="a"),
    r.ConsumerGroupCurrentMemberAssignmentKey(group_id="g", member_id="a"),
    r.ConsumerGroupRegularExpressionKey(group_id="g", regular_expression="a.*"),
]


def group_of(driver: ShardDriver) -> ConsumerGroup:
    group = driver.shard.groups["g"]
    assert isinstance(group, ConsumerGroup)
    return group


def beat(driver: ShardDriver, member_id: str, epoch: int, **fields: Any) -> Any:
    return driver.ask(
        ConsumerGroupHeartbeatRequest(
            group_id="g", member_id=member_id, member_epoch=epoch, **fields
        )
    ).response


def join(driver: ShardDriver, member_id: str, **fields: Any) -> Any:
    fields = {
        "rebalance_timeout_ms": 1000,
        "topic_partitions": [],
        "subscribed_topic_names": ["t"],
        **fields,
    }
    return beat(driver, member_id, 0, **fields)


def current(epoch: int, partitions: list[int], topic_id: bytes, **fields: Any) -> Any:
    return r.ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=epoch,
        assigned_partitions=[
            r.ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions(
                topic_id=topic_id, partitions=partitions
            )
        ],
        **fields,
    )


def test_every_record_type_has_an_applier() -> None:
    assert {type(key) for key in KEYS} == set(replay.APPLIERS)
    assert {TYPES[number][0] for number in (3, 4, 5, 6, 7, 8, 16)} == set(replay.APPLIERS)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_tombstones_of_the_unknown_mean_nothing(key: Any) -> None:
    driver = ShardDriver()
    driver.shard.apply(key, None)
    assert not driver.shard.groups
    driver.shard.apply(KEYS[0], r.ConsumerGroupMetadataValue(epoch=5))
    driver.shard.apply(key, None)
    driver.shard.apply(key, None)
    assert ("g" in driver.shard.groups) is (key is not KEYS[0])


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_tombstones_leave_a_classic_group_alone(key: Any) -> None:
    driver = ShardDriver()
    classic = driver.shard.groups["g"] = ClassicGroup("g")
    driver.shard.apply(key, None)
    assert driver.shard.groups["g"] is classic


def test_a_value_takes_the_place_of_a_group_of_the_other_kind() -> None:
    # A group that stands for committed offsets alone has no record that would say that it went.
    driver = ShardDriver()
    driver.shard.groups["g"] = ClassicGroup("g")
    driver.shard.apply(KEYS[0], r.ConsumerGroupMetadataValue(epoch=5, metadata_hash=9))
    group = group_of(driver)
    assert (group.epoch, group.metadata_hash, group.target_epoch) == (5, 9, INITIAL_EPOCH)


def test_a_record_of_4_0_is_deleted_with_the_next_epoch() -> None:
    driver = ShardDriver()
    driver.make_topic("t", 1)
    driver.shard.apply(KEYS[0], r.ConsumerGroupMetadataValue(epoch=5))
    driver.shard.apply(KEYS[1], r.ConsumerGroupPartitionMetadataValue())
    assert group_of(driver).has_partition_metadata
    written: list[Any] = []
    driver.on_record = lambda key, value: written.append((type(key), value is None))
    assert join(driver, "a").member_epoch == 6
    assert (r.ConsumerGroupPartitionMetadataKey, True) in written
    assert not group_of(driver).has_partition_metadata
    written.clear()
    join(driver, "b")
    assert (r.ConsumerGroupPartitionMetadataKey, True) not in written


def test_records_without_epochs_of_partitions_have_the_members() -> None:
    driver = ShardDriver()
    topic_id = driver.make_topic("t", 2)
    driver.shard.apply(KEYS[5], current(4, [0, 1], topic_id))
    assert group_of(driver).members["a"].assigned == {topic_id: {0: 4, 1: 4}}
    value = current(4, [0, 1], topic_id)
    value.assigned_partitions[0].assignment_epochs = [3]
    driver.shard.apply(KEYS[5], value)
    assert group_of(driver).members["a"].assigned == {topic_id: {0: 4, 1: 4}}
    value.assigned_partitions[0].assignment_epochs = [3, 4]
    driver.shard.apply(KEYS[5], value)
    assert group_of(driver).members["a"].assigned == {topic_id: {0: 3, 1: 4}}
    driver.shard.apply(KEYS[5], current(-2, [0, 1], topic_id))
    assert group_of(driver).members["a"].assigned == {topic_id: {0: 0, 1: 0}}


def test_a_member_in_a_state_of_a_later_version_starts_over() -> None:
    driver = ShardDriver()
    topic_id = driver.make_topic("t", 2)
    join(driver, "a")
    driver.shard.apply(KEYS[5], current(2, [0, 1], topic_id, state=9))
    assert group_of(driver).members["a"].state is MemberState.UNKNOWN
    response = beat(driver, "a", 2)
    assert response.error_code == ErrorCode.FENCED_MEMBER_EPOCH
    assert response.error_message == (
        "The consumer group member is in a unknown state. "
        "The member must abandon all its partitions and rejoin."
    )
    response = join(driver, "a")
    assert (response.error_code, response.member_epoch) == (0, 2)
    assert [row.partitions for row in response.assignment.topic_partitions] == [[0, 1]]
    assert group_of(driver).members["a"].state is MemberState.STABLE


def test_the_later_owner_keeps_a_partition() -> None:
    # A compacted log can show what a member owned before another one took it over.
    driver = ShardDriver()
    topic_id = driver.make_topic("t", 2)
    other = r.ConsumerGroupCurrentMemberAssignmentKey(group_id="g", member_id="b")
    driver.shard.apply(KEYS[5], current(3, [0, 1], topic_id))
    driver.shard.apply(other, current(4, [1], topic_id))
    driver.shard.apply(KEYS[5], current(4, [0], topic_id))
    group = group_of(driver)
    assert group.partition_epochs == {topic_id: {0: 4, 1: 4}}
    driver.shard.apply(KEYS[5], current(3, [0, 1], topic_id))
    assert group.partition_epochs == {topic_id: {0: 3, 1: 4}}
    driver.shard.apply(other, None)
    assert group.partition_epoch(topic_id, 1) == -1
    assert group.members["b"].epoch == -1


@pytest.mark.parametrize("seed", range(20))
def test_logs_begun_and_cut_anywhere_are_read(seed: int) -> None:
    # What comes out is not the group that was; that nothing breaks, and that members get along
    # with it again, is all that can be said.
    schedule = Schedule(seed, regexes=True)
    schedule.run(40)
    log = schedule.driver.log
    rng = random.Random(seed)
    for _ in range(20):
        begin, end = sorted(rng.randint(0, len(log)) for _ in range(2))
        cut = [entry for entry in log[begin:end] if rng.random() < 0.9]
        schedule.driver.log = cut
        schedule.driver.restart()
        group = schedule.group
        for member in list(group.members.values()) if group is not None else ():
            assert isinstance(member, Member)
        schedule.driver.advance(120_000)
        assert schedule.group is None or schedule.group.is_empty
        response = join(schedule.driver, "fresh", subscribed_topic_names=["a1"])
        assert response.error_code == 0
