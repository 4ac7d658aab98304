"""What the transcripts do not reach: limits, consumer groups, ids, the store itself."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_py.coordinator.machine import CoordinatorRecord, Moment
from kafka_py.coordinator.offsets.commits import is_too_long
from kafka_py.coordinator.offsets.committed import Committed, CommittedOffsets
from kafka_py.coordinator.shard import Group
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import (
    OffsetCommitRequest,
    OffsetDeleteRequest,
    OffsetFetchRequest,
)
from kafka_py.protocol.records_group import (
    LegacyOffsetCommitKey,
    LegacyOffsetCommitValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from tests.coordinator.offsets.driver import WALL_MS, OffsetsDriver, topic_id

P = OffsetCommitRequest.OffsetCommitRequestPartition
T = OffsetCommitRequest.OffsetCommitRequestTopic
FetchGroup = OffsetFetchRequest.OffsetFetchRequestGroup
FetchTopic = OffsetFetchRequest.OffsetFetchRequestTopics


class Scripted(Group):
    """A group that says what it was made to say, and notes what it is asked."""

    kind = "consumer"

    def __init__(self, group_id: str, **says: Any) -> None:
        super().__init__(group_id)
        self.says = says
        self.asked: list[Any] = []

    @property
    def state(self) -> str:
        return str(self.says.get("state", "Stable"))

    def is_subscribed(self, topic: str) -> bool:
        return topic in self.says.get("subscribed", ())

    def validate_offset_commit(self, *arguments: Any, **named: Any) -> ErrorCode:
        self.asked.append((arguments, named))
        return ErrorCode(self.says.get("commit", 0))

    def validate_partition_commit(self, *arguments: Any) -> ErrorCode:
        self.asked.append(arguments)
        return ErrorCode(self.says.get("partitions", {}).get(arguments[-1], 0))

    def validate_offset_fetch(self, *arguments: Any) -> ErrorCode:
        self.asked.append(arguments)
        return ErrorCode(self.says.get("fetch", 0))

    def validate_offset_delete(self) -> ErrorCode:
        return ErrorCode(self.says.get("delete", 0))

    def offsets_expire_from_ms(self, committed_ms: int) -> int | None:
        return self.says.get("from_ms", lambda at: at)(committed_ms)

    def committed(self, shard: Any, member_id: str, now: Moment) -> None:
        self.asked.append(("alive", member_id, now))

    def tombstones(self) -> list[CoordinatorRecord]:
        return [CoordinatorRecord(OffsetCommitKey(group=self.group_id, topic="gone"), None)]


def commit(
    driver: OffsetsDriver, *partitions: P, version: int = 9, **fields: Any
) -> list[ErrorCode]:
    request = OffsetCommitRequest(
        group_id="g", topics=[T(name="t", partitions=list(partitions))], **fields
    )
    response = driver.ask(request, version)
    return [ErrorCode(row.error_code) for topic in response.topics for row in topic.partitions]


def at(index: int, offset: int = 1, metadata: str | None = "") -> P:
    return P(partition_index=index, committed_offset=offset, committed_metadata=metadata)


def test_metadata_has_a_limit_a_partition(driver: OffsetsDriver) -> None:
    driver.settings["offset.metadata.max.bytes"] = 4
    codes = commit(driver, at(0, 1, "1234"), at(1, 1, "12345"), at(2, 1, None))
    assert codes == [ErrorCode.NONE, ErrorCode.OFFSET_METADATA_TOO_LARGE, ErrorCode.NONE]
    assert [record.key.partition for record in driver.written] == [0, 2]  # type: ignore[attr-defined]
    assert driver.written[1].value.metadata == ""  # type: ignore[union-attr]


def test_a_group_is_made_even_if_nothing_is_written(driver: OffsetsDriver) -> None:
    driver.settings["offset.metadata.max.bytes"] = 4
    assert commit(driver, at(0, 1, "12345")) == [ErrorCode.OFFSET_METADATA_TOO_LARGE]
    assert driver.written == []
    assert driver.shard.groups["g"].state == "Empty"


@pytest.mark.parametrize(
    ("text", "length"), [("", 0), ("abc", 3), ("äö", 2), ("\U0001f600", 2), ("\ud800", 1)]
)
def test_metadata_is_counted_in_utf_16_units(text: str, length: int) -> None:
    assert not is_too_long(text, length)
    assert length == 0 or is_too_long(text, length - 1)


def test_a_member_is_judged_by_its_group(driver: OffsetsDriver) -> None:
    group = driver.shard.groups["g"] = Scripted("g", commit=ErrorCode.STALE_MEMBER_EPOCH)
    codes = commit(
        driver,
        at(0),
        at(1),
        member_id="m",
        generation_id_or_member_epoch=5,
        group_instance_id="i",
    )
    assert codes == [ErrorCode.STALE_MEMBER_EPOCH] * 2
    assert group.asked == [(("m", "i", 5), {"transactional": False, "api_version": 9})]
    assert driver.written == []


def test_one_partition_that_a_member_lost_refuses_all(driver: OffsetsDriver) -> None:
    driver.topics(t=7)
    group = driver.shard.groups["g"] = Scripted("g", partitions={1: ErrorCode.STALE_MEMBER_EPOCH})
    assert commit(driver, at(0), at(1), at(2)) == [ErrorCode.STALE_MEMBER_EPOCH] * 3
    assert group.asked[1:] == [("", -1, topic_id(7), 0), ("", -1, topic_id(7), 1)]
    assert commit(driver, at(0), at(2)) == [ErrorCode.NONE] * 2
    assert group.asked[-1] == ("alive", "", driver.now)


def test_the_answer_says_the_topic_as_it_was_asked_for(driver: OffsetsDriver) -> None:
    request = OffsetCommitRequest(
        group_id="g", topics=[T(name="t", topic_id=topic_id(3), partitions=[at(0)])]
    )
    response = driver.ask(request, 10)
    assert response.topics[0].topic_id == topic_id(3)
    assert driver.written[0].value.topic_id == topic_id(3)  # type: ignore[union-attr]


@pytest.mark.parametrize("topics", [None, [FetchTopic(name="t", partition_indexes=[0])]])
def test_a_fetch_is_judged_by_the_group(driver: OffsetsDriver, topics: Any) -> None:
    commit(driver, at(0, 5))
    driver.shard.groups["g"] = Scripted("g", fetch=ErrorCode.STALE_MEMBER_EPOCH)
    asked = FetchGroup(group_id="g", member_id="m", member_epoch=3, topics=topics)
    answer = driver.ask(OffsetFetchRequest(groups=[asked]), 9).groups[0]
    assert (answer.error_code, answer.topics) == (ErrorCode.STALE_MEMBER_EPOCH, [])
    assert driver.shard.groups["g"].asked == [("m", 3)]  # type: ignore[attr-defined]


def test_version_1_says_a_groups_error_at_every_partition(driver: OffsetsDriver) -> None:
    driver.shard.groups["g"] = Scripted("g", fetch=ErrorCode.UNKNOWN_MEMBER_ID)
    asked = OffsetFetchRequest.OffsetFetchRequestTopic(name="t", partition_indexes=[0, 1])
    response = driver.ask(OffsetFetchRequest(group_id="g", topics=[asked]), 1)
    rows = response.topics[0].partitions
    assert [(row.error_code, row.committed_offset) for row in rows] == [(25, -1)] * 2


def test_a_dead_group_has_no_offsets(driver: OffsetsDriver) -> None:
    commit(driver, at(0, 5))
    driver.shard.groups["g"] = Scripted("g", fetch=ErrorCode.GROUP_ID_NOT_FOUND)
    asked = FetchGroup(group_id="g", topics=[FetchTopic(name="t", partition_indexes=[0])])
    answer = driver.ask(OffsetFetchRequest(groups=[asked]), 9).groups[0]
    assert (answer.error_code, answer.topics[0].partitions[0].committed_offset) == (0, -1)


def test_an_offset_of_an_earlier_topic_is_not_found_by_the_id(driver: OffsetsDriver) -> None:
    commit(driver, at(0, 5))
    driver.shard.offsets.put("g", "t", 1, Committed(6, topic_id=topic_id(1)))
    topic = FetchTopic(name="t", topic_id=topic_id(2), partition_indexes=[0, 1])
    request = OffsetFetchRequest(groups=[FetchGroup(group_id="g", topics=[topic])])
    answer = driver.ask(request, 10).groups[0].topics[0]
    assert answer.topic_id == topic_id(2)
    assert [row.committed_offset for row in answer.partitions] == [5, -1]


def test_subscribed_topics_keep_their_offsets(driver: OffsetsDriver) -> None:
    commit(driver, at(0, 5))
    driver.shard.groups["g"] = Scripted("g", subscribed={"t"})
    topic = OffsetDeleteRequest.OffsetDeleteRequestTopic(
        name="t",
        partitions=[OffsetDeleteRequest.OffsetDeleteRequestPartition(partition_index=0)],
    )
    response = driver.ask(OffsetDeleteRequest(group_id="g", topics=[topic]), 0)
    assert response.topics[0].partitions[0].error_code == ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
    driver.advance(2 * 604_800_000)
    assert driver.shard.offsets.count == 1
    driver.shard.groups["g"] = Scripted("g", delete=ErrorCode.NON_EMPTY_GROUP)
    response = driver.ask(OffsetDeleteRequest(group_id="g", topics=[topic]), 0)
    assert response.error_code == ErrorCode.NON_EMPTY_GROUP


def test_a_deletion_needs_a_group_id(driver: OffsetsDriver) -> None:
    response = driver.ask(OffsetDeleteRequest(group_id=""), 0)
    assert response.error_code == ErrorCode.INVALID_GROUP_ID


def test_what_counts_for_retention_is_the_groups_to_say(driver: OffsetsDriver) -> None:
    commit(driver, at(0, 5))
    group = driver.shard.groups["g"] = Scripted("g", from_ms=lambda at_ms: None)
    driver.advance(2 * 604_800_000)
    assert driver.shard.offsets.count == 1
    # The group has had members until now.
    since_ms = driver.now.wall_ms
    group.says["from_ms"] = lambda at_ms: since_ms
    driver.advance(604_800_000 - 1)
    assert driver.shard.offsets.count == 1
    driver.advance(600_001)
    assert driver.shard.offsets.count == 0
    # It is not empty, so it stays.
    assert all(record.key.topic == "t" for record in driver.written)  # type: ignore[attr-defined]
    group.says["state"] = "Empty"
    driver.advance(600_000)
    assert driver.written[-1].key.topic == "gone"  # type: ignore[attr-defined]


def test_the_interval_and_the_retention_are_settings(make_driver: Any) -> None:
    driver = make_driver(
        **{"offsets.retention.check.interval.ms": 1_000, "offsets.retention.minutes": 1}
    )
    commit(driver, at(0))
    driver.advance(59_999)
    assert driver.shard.offsets.count == 1
    driver.advance(1)
    assert driver.shard.offsets.count == 0
    assert driver.shard.next_deadline_ms() == 61_000


def test_a_store_counts_and_forgets() -> None:
    offsets = CommittedOffsets()
    offsets.put("g", "t", 0, Committed(1))
    offsets.put("g", "t", 0, Committed(2))
    offsets.put("g", "u", 7, Committed(3))
    assert len(offsets) == offsets.count == 2
    assert offsets.get("g", "t", 0) == Committed(2) != Committed(1)
    assert offsets.get("g", "t", 1) is offsets.get("h", "t", 0) is None
    assert dict(offsets.of_group("g")) == {"t": {0: Committed(2)}, "u": {7: Committed(3)}}
    assert offsets.remove("g", "t", 0)
    assert not offsets.remove("g", "t", 0)
    assert not offsets.remove("h", "t", 0)
    assert list(offsets.of_group("g")) == ["u"]
    assert offsets.remove("g", "u", 7)
    assert offsets.group_ids() == []
    assert offsets == CommittedOffsets()
    assert not offsets.of_group("g")


def test_the_oldest_record_type_is_read() -> None:
    offsets = CommittedOffsets()
    key = LegacyOffsetCommitKey(group="g", topic="t", partition=3)
    offsets.apply(key, LegacyOffsetCommitValue(offset=4, metadata="m", commit_timestamp=WALL_MS))
    assert offsets.get("g", "t", 3) == Committed(4, metadata="m", commit_ms=WALL_MS)
    offsets.apply(key, None)
    assert offsets.count == 0


def test_a_committed_transaction_is_counted_once() -> None:
    offsets = CommittedOffsets()
    offsets.put("g", "t", 0, Committed(1))
    for partition in (0, 1):
        offsets.apply_pending(
            5,
            OffsetCommitKey(group="g", topic="t", partition=partition),
            OffsetCommitValue(offset=9),
        )
    assert (offsets.count, len(offsets.pending)) == (1, 2)
    assert offsets.is_pending("g", "t", 1)
    assert not offsets.is_pending("g", "t", 2)
    offsets.end_transaction(6, True)
    offsets.end_transaction(5, True)
    assert (offsets.count, len(offsets.pending)) == (2, 0)
    assert not offsets.has_open_transactions("g")
