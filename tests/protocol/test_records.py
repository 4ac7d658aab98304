"""Frames around records of the internal topics."""

from __future__ import annotations

import random

import pytest

from kafka_py.protocol.arbitrary import Arbitrary, versions
from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.records import (
    GROUP_RECORDS,
    SHARE_RECORDS,
    TRANSACTION_RECORDS,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
from kafka_py.protocol.records_metadata import (
    RECORD_TYPES,
    FeatureLevelRecord,
    NoOpRecord,
    decode_record,
    encode_record,
)

ALL = {**GROUP_RECORDS, **{100 + k: v for k, v in TRANSACTION_RECORDS.items()}}
ALL |= {200 + k: v for k, v in SHARE_RECORDS.items()}


def test_the_frame_of_a_metadata_record() -> None:
    record = FeatureLevelRecord(name="metadata.version", feature_level=29)
    expected = b"\x01\x0c\x00" + b"\x11metadata.version" + b"\x00\x1d" + b"\x00"
    assert encode_record(record, 0) == expected
    assert decode_record(expected) == (record, 0)
    assert decode_record(memoryview(expected)) == (record, 0)
    assert encode_record(NoOpRecord(), 0) == b"\x01\x14\x00\x00"


@pytest.mark.parametrize("cls", RECORD_TYPES.values(), ids=lambda cls: cls.__name__)
def test_metadata_records_round_trip(cls: type[NoOpRecord]) -> None:
    arbitrary = Arbitrary(random.Random(cls.__name__))
    for version in versions(cls):
        record = arbitrary.message(cls, version)
        assert decode_record(encode_record(record, version)) == (record, version)


def test_there_are_all_metadata_records() -> None:
    assert sorted(RECORD_TYPES) == [*range(6), *range(7, 13), 14, 15, *range(17, 30)]


@pytest.mark.parametrize(
    "value",
    [b"", b"\x01", b"\x01\x14", b"\x02\x14\0\0", b"\x01\x06\0\0", b"\x01\x14\x01\0", b"\x01\x14\0"]
    + [b"\x01\x14\0\0\0", b"\xff" * 9, b"\x01\xff\xff\xff\xff\xff\x01\0\0"],
)
def test_damaged_metadata_records_are_refused(value: bytes) -> None:
    with pytest.raises(MalformedRequest):
        decode_record(value)


def test_coordinator_keys_and_values_have_a_prefix() -> None:
    key = OffsetCommitKey(group="g", topic="t", partition=3)
    assert encode_key(key) == b"\0\x01" + b"\0\x01g" + b"\0\x01t" + b"\0\0\0\x03"
    value = OffsetCommitValue(offset=9, metadata="m")
    assert encode_value(value, 3)[:2] == b"\0\x03"
    assert decode_value(OffsetCommitValue, encode_value(value, 3)) == (value, 3)


@pytest.mark.parametrize("pair", ALL.values(), ids=lambda pair: pair[0].__name__)
def test_coordinator_records_round_trip(pair: tuple[type[NoOpRecord], type[NoOpRecord]]) -> None:
    arbitrary = Arbitrary(random.Random(pair[0].__name__))
    types = {pair[0].KEY or 0: pair}
    key = arbitrary.message(pair[0], 0)
    assert decode_key(encode_key(key), types) == key
    for version in versions(pair[1]):
        value = arbitrary.message(pair[1], version)
        assert decode_value(pair[1], encode_value(value, version)) == (value, version)


def test_unknown_keys_are_skipped_and_damage_refused() -> None:
    assert decode_key(b"\x7f\x00rest", GROUP_RECORDS) is None
    for key in (b"", b"\0", b"\0\x01\0", encode_key(OffsetCommitKey()) + b"\0"):
        with pytest.raises(MalformedRequest):
            decode_key(key, GROUP_RECORDS)
    for value in (b"\0", b"\0\x63", b"\xff\xff", encode_value(OffsetCommitValue(), 3) + b"\0"):
        with pytest.raises(MalformedRequest):
            decode_value(OffsetCommitValue, value)
