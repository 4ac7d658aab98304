"""TxnOffsetCommit: who may, what is written, when it counts."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_py.coordinator.shard import Group
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetFetchRequest
from kafka_py.protocol.transactions import TxnOffsetCommitRequest
from tests.coordinator.offsets.driver import WALL_MS, OffsetsDriver

P = TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition
T = TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic


def commit(driver: OffsetsDriver, *offsets: int, **fields: Any) -> list[int]:
    """Commit for partitions 0, 1, ...; the codes."""
    metadata = fields.pop("metadata", "")
    version = fields.pop("version", 5)
    rows = [
        P(partition_index=index, committed_offset=offset, committed_metadata=metadata)
        for index, offset in enumerate(offsets)
    ]
    fields = {"group_id": "g", "transactional_id": "x", "producer_id": 7} | fields
    request = TxnOffsetCommitRequest(topics=[T(name="t", partitions=rows)], **fields)
    response = driver.ask(request, version)
    (topic,) = response.topics
    assert topic.name == "t"
    return [one.error_code for one in topic.partitions]


def fetched(driver: OffsetsDriver, *, stable: bool = False) -> list[tuple[int, int]]:
    """(offset, code) of partitions 0 and 1."""
    asked = OffsetFetchRequest.OffsetFetchRequestGroup(
        group_id="g",
        topics=[OffsetFetchRequest.OffsetFetchRequestTopics(name="t", partition_indexes=[0, 1])],
    )
    response = driver.ask(OffsetFetchRequest(groups=[asked], require_stable=stable), 9)
    (topic,) = response.groups[0].topics
    return [(one.committed_offset, one.error_code) for one in topic.partitions]


NOTHING = [(-1, 0), (-1, 0)]
UNSTABLE = (-1, int(ErrorCode.UNSTABLE_OFFSET_COMMIT))


def test_offsets_count_when_their_transaction_is_committed(driver: OffsetsDriver) -> None:
    assert commit(driver, 5) == [ErrorCode.NONE]
    assert fetched(driver) == NOTHING
    assert fetched(driver, stable=True) == [UNSTABLE, (-1, 0)]
    (record,) = driver.written
    assert record.value_version == 4
    assert record.value.commit_timestamp == WALL_MS  # type: ignore[union-attr]
    assert record.value.expire_timestamp == -1  # type: ignore[union-attr]
    assert driver.shard.offsets == driver.replayed().offsets
    driver.end_transaction(7, True)
    assert fetched(driver, stable=True) == [(5, 0), (-1, 0)]
    assert driver.shard.offsets == driver.replayed().offsets


def test_offsets_of_an_aborted_transaction_never_do(driver: OffsetsDriver) -> None:
    commit(driver, 5, 6)
    driver.end_transaction(7, False)
    assert fetched(driver, stable=True) == NOTHING
    assert driver.shard.offsets == driver.replayed().offsets


def test_a_simple_group_is_made_and_an_unknown_generation_is_illegal(driver: OffsetsDriver) -> None:
    refused = commit(driver, 5, generation_id_or_member_epoch=1, member_id="m")
    assert refused == [ErrorCode.ILLEGAL_GENERATION]
    assert driver.shard.groups == {}
    commit(driver, 5)
    assert driver.shard.groups["g"].state == "Empty"
    assert commit(driver, 6, member_id="m", generation_id_or_member_epoch=1) == [
        ErrorCode.UNKNOWN_MEMBER_ID
    ]


def test_long_metadata_is_refused_alone(driver: OffsetsDriver) -> None:
    driver.settings["offset.metadata.max.bytes"] = 4
    assert commit(driver, 5, metadata="12345") == [ErrorCode.OFFSET_METADATA_TOO_LARGE]
    assert driver.written == []


class Scripted(Group):
    """A group of the consumer protocol that judges as it is told."""

    kind = "consumer"

    def __init__(self, error: ErrorCode, of_partition: ErrorCode = ErrorCode.NONE) -> None:
        super().__init__("g")
        self.error = error
        self.of_partition = of_partition
        self.asked: list[Any] = []

    def validate_offset_commit(self, *arguments: Any, **named: Any) -> ErrorCode:
        self.asked.append((arguments, named))
        return self.error

    def validate_partition_commit(self, *arguments: Any) -> ErrorCode:
        self.asked.append(arguments)
        return self.of_partition


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ErrorCode.STALE_MEMBER_EPOCH, ErrorCode.ILLEGAL_GENERATION),
        (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.UNKNOWN_MEMBER_ID),
        (ErrorCode.FENCED_INSTANCE_ID, ErrorCode.FENCED_INSTANCE_ID),
    ],
)
def test_a_member_is_judged_by_its_group(
    driver: OffsetsDriver, error: ErrorCode, said: ErrorCode
) -> None:
    driver.topics(t=1)
    member = {"member_id": "m", "generation_id_or_member_epoch": 4, "group_instance_id": "i"}
    group = driver.shard.groups["g"] = Scripted(error)
    assert commit(driver, 5, 6, **member) == [said] * 2
    assert group.asked == [(("m", "i", 4), {"transactional": True, "api_version": 5})]
    group = driver.shard.groups["g"] = Scripted(ErrorCode.NONE, error)
    assert commit(driver, 5, 6, **member) == [said] * 2
    assert driver.written == []


def test_of_two_transactions_the_later_commit_counts(
    driver: OffsetsDriver,
) -> None:
    """Both may hold the same partition, whichever ends first."""
    commit(driver, 5)
    commit(driver, 9, producer_id=8)
    driver.end_transaction(8, True)
    assert fetched(driver) == [(9, 0), (-1, 0)]
    assert fetched(driver, stable=True) == [UNSTABLE, (-1, 0)]
    driver.end_transaction(7, True)
    assert fetched(driver, stable=True) == [(9, 0), (-1, 0)], "it was written before"
    assert driver.shard.offsets == driver.replayed().offsets
