"""Batches and snapshot files: round trips, kcore's reading of them, damage."""

from __future__ import annotations

import pytest

from kafka_py.controller.batches import encode_batch, parse_batches, records_of
from kafka_py.controller.raft_types import SnapshotId, VoterSet
from kafka_py.controller.snapshots import (
    decode_snapshot,
    encode_snapshot,
    epoch_start_batch,
    snapshot_id_of,
    snapshot_name,
)
from kcore.crc32c import crc32c
from kcore.errors import CorruptBatch, CorruptFile
from kcore.record_batch import RecordBatch, validate


def test_round_trip_and_kcores_opinion() -> None:
    values = [b"", b"a", b"b" * 300]
    batch = encode_batch(values, base_offset=7, epoch=3, timestamp_ms=1234)
    assert (batch.base_offset, batch.last_offset, batch.next_offset) == (7, 9, 10)
    (again,) = parse_batches(batch.data)
    assert again == batch
    assert [(r.offset, r.value, r.control_type) for r in records_of(again)] == [
        (7, b"", None),
        (8, b"a", None),
        (9, b"b" * 300, None),
    ]
    view = RecordBatch(batch.data)
    view.check_crc()
    assert [(r.offset, r.timestamp, r.key, r.value) for r in view] == [
        (7 + i, 1234, None, value) for i, value in enumerate(values)
    ]
    assert (view.leader_epoch, view.is_control, view.producer_id) == (3, False, -1)
    validate(encode_batch(values, base_offset=0, epoch=0, timestamp_ms=1).data, now_ms=1)
    with pytest.raises(ValueError, match="at least one"):
        encode_batch([], base_offset=0, epoch=0, timestamp_ms=0)


def test_damage_is_found() -> None:
    data = encode_batch([b"abc"], base_offset=0, epoch=1, timestamp_ms=5).data
    for position in range(16, len(data)):
        bad = bytearray(data)
        bad[position] ^= 0x40
        with pytest.raises(CorruptBatch):
            list(parse_batches(bytes(bad)))
    for end in range(1, len(data)):
        assert list(parse_batches(data[:end], allow_partial=True)) == []
        with pytest.raises(CorruptBatch):
            list(parse_batches(data[:end]))
    assert len(list(parse_batches(data + data[:20], allow_partial=True))) == 1


def sealed(data: bytes, at: int, value: bytes) -> bytes:
    """A batch with other bytes at that place, and the checksum that goes with them."""
    changed = data[:at] + value + data[at + len(value) :]
    return changed[:17] + crc32c(changed[21:]).to_bytes(4, "big") + changed[21:]


def test_what_the_metadata_log_never_holds() -> None:
    """A right checksum on another magic, an end before the beginning, a codec, no control type."""
    data = encode_batch([b"abc" * 9], base_offset=3, epoch=1, timestamp_ms=5).data
    assert list(parse_batches(b"")) == []
    for bad in (sealed(data, 16, b"\1"), sealed(data, 23, (-2).to_bytes(4, "big", signed=True))):
        with pytest.raises(CorruptBatch):
            list(parse_batches(bad))
    for bad, reason in (
        (sealed(data, 21, b"\0\2"), "compressed"),
        (sealed(data, 21, b"\0\x20"), "no type"),
        (sealed(data, 60, b"\x02"), "offset 3"),
        (sealed(data, len(data) - 1, b"\x04"), "offset 3"),
    ):
        (batch,) = parse_batches(bad)
        with pytest.raises(CorruptBatch, match=reason):
            list(records_of(batch))
    control = encode_batch([b"v"], base_offset=0, epoch=1, timestamp_ms=5, control_types=[3]).data
    (batch,) = parse_batches(sealed(control, 66, b"\xff\xff"))
    with pytest.raises(CorruptBatch):
        list(records_of(batch))


def test_leader_change_of_both_kraft_versions() -> None:
    directory = b"d" * 16
    voters = VoterSet({1: directory}, {1: ("h", 9093)})
    start = {"base_offset": 0, "epoch": 1, "leader_id": 1, "granting": [1], "timestamp_ms": 5}
    static = epoch_start_batch(**start, voters=voters, kraft_version=0, write_voters=False)
    assert len(static.data) == 91  # as Kafka 4.3.1's first batch
    assert directory not in static.data
    dynamic = epoch_start_batch(**start, voters=voters, kraft_version=1, write_voters=True)
    assert [record.control_type for record in records_of(dynamic)] == [2, 5, 6]
    assert directory in dynamic.data


def test_snapshot_files() -> None:
    snapshot_id = SnapshotId(420, 7)
    assert snapshot_name(snapshot_id) == "00000000000000000420-0000000007.checkpoint"
    assert snapshot_id_of(snapshot_name(snapshot_id)) == snapshot_id
    assert snapshot_id_of("00000000000000000420-0000000007.checkpoint.part") is None
    records = [b"x" * 1000] * 2500
    voters = VoterSet({1: b"d" * 16}, {1: ("h", 9093)})
    batches = list(
        encode_snapshot(
            snapshot_id,
            iter(records),
            last_timestamp_ms=99,
            now_ms=100,
            kraft_version=1,
            voters=voters,
        )
    )
    assert len(batches) == 5  # header, three of a megabyte at most, footer
    data = b"".join(batches)
    snapshot = decode_snapshot(data, "f")
    assert snapshot.records == records
    assert (snapshot.last_timestamp_ms, snapshot.kraft_version) == (99, 1)
    assert snapshot.voters == voters
    offsets = [batch.base_offset for batch in parse_batches(data)]
    assert offsets[:2] == [0, 3]
    with pytest.raises(CorruptFile, match="cut short"):
        decode_snapshot(b"".join(batches[:-1]), "f")
    with pytest.raises(CorruptFile, match="begins with its header"):
        decode_snapshot(b"".join(batches[1:]), "f")
    with pytest.raises(CorruptFile):
        decode_snapshot(b"", "f")
