"""Loading a partition's log: every record version, batches of all kinds, damage."""

from __future__ import annotations

import logging
import random
import struct
from typing import Any

import pytest

from kafka_py.coordinator.loading import replay
from kafka_py.coordinator.machine import CoordinatorRecord
from kafka_py.coordinator.offsets.committed import Committed
from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.records import GROUP_RECORDS, encode_key, encode_value
from kafka_py.protocol.records_group import (
    GroupMetadataKey,
    GroupMetadataValue,
    LegacyOffsetCommitKey,
    LegacyOffsetCommitValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from kcore.batch_builder import build
from kcore.errors import KcoreError
from tests.coordinator.offsets.conftest import driver, make_driver
from tests.coordinator.offsets.driver import NO_ID, WALL_MS, OffsetsDriver, topic_id

__all__ = ["driver", "make_driver"]


def key(group: str = "g", topic: str = "t", partition: int = 0) -> OffsetCommitKey:
    return OffsetCommitKey(group=group, topic=topic, partition=partition)


def loaded(driver: OffsetsDriver, *rows: tuple[bytes, bytes | None], **options: Any) -> Any:
    driver.append_batch(build(rows, **options))
    return driver.replayed()


def test_an_empty_log(driver: OffsetsDriver) -> None:
    assert replay(driver.log, driver.fresh(), 0) == 0


@pytest.mark.parametrize("metadata", ["", "note", "ä€", "x" * 300])
@pytest.mark.parametrize("version", range(5))
def test_every_version_of_a_value(driver: OffsetsDriver, version: int, metadata: str) -> None:
    value = OffsetCommitValue(
        offset=1 << 40,
        leader_epoch=5,
        metadata=metadata,
        commit_timestamp=WALL_MS,
        expire_timestamp=WALL_MS + 1,
        topic_id=topic_id(9),
    )
    shard = loaded(driver, (encode_key(key("grüppe", "tö", 77)), encode_value(value, version)))
    assert shard.offsets.get("grüppe", "tö", 77) == Committed(
        1 << 40,
        5 if version >= 3 else -1,
        metadata,
        WALL_MS,
        WALL_MS + 1 if version == 1 else -1,
        topic_id(9) if version >= 4 else NO_ID,
    )
    assert shard.groups["grüppe"].state == "Empty"


def test_tags_that_are_not_known_are_passed_over(driver: OffsetsDriver) -> None:
    value = OffsetCommitValue(offset=3, commit_timestamp=1, topic_id=topic_id(9))
    value.unknown_tags = {3: b"abc", 200: b""}
    shard = loaded(driver, (encode_key(key()), encode_value(value, 4)))
    assert shard.offsets.get("g", "t", 0) == Committed(3, commit_ms=1, topic_id=topic_id(9))


def test_the_oldest_type(driver: OffsetsDriver) -> None:
    value = LegacyOffsetCommitValue(offset=3, metadata="m", commit_timestamp=1)
    old = LegacyOffsetCommitKey(group="g", topic="t", partition=1)
    shard = loaded(driver, (encode_key(old), encode_value(value, 0)))
    assert shard.offsets.get("g", "t", 1) == Committed(3, metadata="m", commit_ms=1)
    shard = loaded(driver, (encode_key(old), None))
    assert shard.offsets.count == 0


def test_a_version_that_is_too_new_is_read_as_the_newest(driver: OffsetsDriver) -> None:
    value = encode_value(OffsetCommitValue(offset=3, commit_timestamp=1, topic_id=topic_id(9)), 4)
    shard = loaded(driver, (encode_key(key()), struct.pack(">h", 9) + value[2:] + b"more"))
    assert shard.offsets.get("g", "t", 0) == Committed(3, commit_ms=1, topic_id=topic_id(9))


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_batches_of_all_kinds(driver: OffsetsDriver, codec: str) -> None:
    rows = [
        (
            encode_key(key(f"g{i % 7}", f"t{i % 3}", i)),
            encode_value(OffsetCommitValue(offset=i, metadata=f"m{i % 5}", commit_timestamp=i), 4),
        )
        for i in range(500)
    ]
    driver.append_batch(build(rows[:200], compression=codec))
    for row in rows[200:300]:
        driver.append_batch(build([row]))
    driver.append_batch(build(rows[300:], compression=codec))
    shard = driver.fresh()
    assert replay(driver.log, shard, driver.log.log_end_offset) == 500
    assert shard.offsets.count == 500
    for i in range(500):
        found = shard.offsets.get(f"g{i % 7}", f"t{i % 3}", i)
        assert found == Committed(i, metadata=f"m{i % 5}", commit_ms=i)


def test_only_what_is_below_the_end_is_read(driver: OffsetsDriver) -> None:
    for i in range(3):
        driver.append_batch(
            build([(encode_key(key(partition=i)), encode_value(OffsetCommitValue(offset=i), 4))])
        )
    shard = driver.fresh()
    assert replay(driver.log, shard, 2) == 2
    assert shard.offsets.count == 2


def test_a_small_read_buffer_is_enough(driver: OffsetsDriver) -> None:
    driver.settings["offsets.load.buffer.size"] = 1
    test_batches_of_all_kinds(driver, "lz4")


def test_other_records_go_through_the_shard(driver: OffsetsDriver) -> None:
    group = GroupMetadataValue(protocol_type="consumer", generation=4, protocol=None, leader=None)
    offset = encode_value(OffsetCommitValue(offset=1), 4)
    shard = loaded(
        driver,
        (encode_key(key(partition=0)), offset),
        (encode_key(GroupMetadataKey(group="g")), encode_value(group, 3)),
        (encode_key(key(partition=1)), offset),
        (encode_key(key(partition=0)), None),
        (encode_key(key(partition=2)), offset),
    )
    assert shard.groups["g"].protocol_type == "consumer"
    assert sorted(shard.offsets.of_group("g")["t"]) == [1, 2]
    assert shard.offsets.count == 2


def test_the_last_tombstone_of_a_topic_does_not_lose_what_follows(driver: OffsetsDriver) -> None:
    offset = encode_value(OffsetCommitValue(offset=1), 4)
    row = encode_key(key())
    shard = loaded(driver, (row, offset), (row, None), (row, offset))
    assert shard.offsets.get("g", "t", 0) is not None
    assert shard.offsets.count == 1


def test_record_types_that_are_unknown_are_skipped(
    driver: OffsetsDriver, caplog: pytest.LogCaptureFixture
) -> None:
    strange = struct.pack(">h", 999) + b"whatever"
    offset = (encode_key(key()), encode_value(OffsetCommitValue(offset=1), 4))
    with caplog.at_level(logging.WARNING):
        shard = loaded(driver, (strange, b"x"), offset, (strange, None))
    assert shard.offsets.count == 1
    assert caplog.text.count("unknown type 999") == 1


@pytest.mark.parametrize(
    ("record_key", "value"),
    [
        (b"\0", b""),
        (struct.pack(">h", 1) + b"\0", None),
        (struct.pack(">h", 1) + b"\0\1g\0\5t", b"\0\4"),
        (encode_key(key()), b"\0"),
        (encode_key(key()), b""),
        (encode_key(key()), struct.pack(">h", -1) + b"\0" * 40),
        (encode_key(key()), encode_value(OffsetCommitValue(), 4)[:-1]),
        (encode_key(key()), encode_value(OffsetCommitValue(), 3)[:-1]),
        (encode_key(key()), struct.pack(">hqh", 2, 1, -1) + b"\0" * 8),
        (encode_key(GroupMetadataKey(group="g")), b"\0\3\0\1"),
    ],
)
def test_damage_is_reported_with_its_offset(
    driver: OffsetsDriver, record_key: bytes, value: bytes | None
) -> None:
    good = (encode_key(key()), encode_value(OffsetCommitValue(offset=1), 4))
    driver.append_batch(build([good, (record_key, value), good]))
    with pytest.raises(MalformedRequest, match="at offset 1"):
        driver.replayed()


def test_a_batch_that_is_damaged_on_disk_is_not_loaded(driver: OffsetsDriver) -> None:
    row = (encode_key(key()), encode_value(OffsetCommitValue(offset=1), 4))
    driver.append_batch(build([row]))
    path = driver.directory / "__consumer_offsets-0" / "00000000000000000000.log"
    with path.open("r+b") as file:
        file.seek(70)
        file.write(b"\xff")
    with pytest.raises(KcoreError):
        driver.replayed()


def test_transactions_are_pending_until_their_marker(driver: OffsetsDriver) -> None:
    record = CoordinatorRecord(key(), OffsetCommitValue(offset=5), 4)
    options = {"producer_epoch": 0, "base_sequence": 0, "transactional": True}
    driver.append([record], producer_id=1, **options)
    driver.append([record._replace(key=key(partition=1))], producer_id=2, **options)
    shard = driver.replayed()
    assert shard.offsets == driver.shard.offsets
    assert (shard.offsets.count, len(shard.offsets.pending)) == (0, 2)
    assert "g" in shard.groups
    driver.end_transaction(2, False)
    driver.end_transaction(1, True)
    shard = driver.replayed()
    assert shard.offsets == driver.shard.offsets
    assert shard.offsets.get("g", "t", 0) == Committed(5, commit_ms=0)
    assert (shard.offsets.count, len(shard.offsets.pending)) == (1, 0)


def test_random_bytes_never_do_worse_than_raise(driver: OffsetsDriver) -> None:
    rng = random.Random(7)
    good = [encode_key(key()), encode_value(OffsetCommitValue(offset=1, metadata="abc"), 4)]
    for _ in range(300):
        record_key, value = (bytearray(part) for part in good)
        for part in (record_key, value):
            for _ in range(rng.choice((0, 1, 3))):
                part[rng.randrange(len(part))] = rng.randrange(256)
            del part[rng.choice((len(part), rng.randrange(len(part)))) :]
        start = driver.log.log_end_offset
        driver.append_batch(build([(bytes(record_key), bytes(value))]))
        driver.log.advance_log_start(start)
        try:
            shard = driver.replayed()
        except MalformedRequest:
            continue
        assert shard.offsets.count + len(shard.groups) <= 2


def test_every_type_of_the_table_has_an_empty_record_that_loads(driver: OffsetsDriver) -> None:
    for key_class, _ in GROUP_RECORDS.values():
        driver.append_batch(build([(encode_key(key_class()), None)]))
    assert driver.replayed().offsets.count == 0
