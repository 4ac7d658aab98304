"""Both log stores keep one contract: Kafka's files, and the one in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kafka_py.controller.batches import encode_batch
from kafka_py.controller.log_store import (
    KcoreLogStore,
    decode_quorum_state,
    encode_quorum_state,
)
from kafka_py.controller.raft_types import QuorumState, SnapshotChunk, SnapshotId, VoterSet
from kafka_py.testing.raft_log import MemoryLogStore
from kcore.errors import CorruptFile, CorruptLog

VOTERS = VoterSet({1: bytes(16)})


@pytest.fixture(params=["memory", "kcore"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made: Any
    if request.param == "memory":
        made = MemoryLogStore()
    else:
        made = KcoreLogStore(tmp_path, now_ms=1000, segment_bytes=400)
    yield made
    made.close()


def put(store: Any, *epochs: int) -> None:
    for epoch in epochs:
        base = store.end_offset
        value = b"%d" % base
        store.append(
            [encode_batch([value, value], base_offset=base, epoch=epoch, timestamp_ms=1000)]
        )


def test_an_empty_log(store: Any) -> None:
    assert (store.start_offset, store.end_offset, store.last_epoch) == (0, 0, 0)
    assert store.latest_snapshot is None
    assert store.start_snapshot is None
    assert store.end_offset_for_epoch(5) == (0, 0)
    assert store.read_quorum_state() == QuorumState()
    assert store.read_snapshot(SnapshotId(1, 1), 0, 10) is None


def test_append_read_truncate(store: Any) -> None:
    put(store, 1, 1, 3, 3)
    assert (store.end_offset, store.last_epoch) == (8, 3)
    assert store.flush() == 8
    one = encode_batch([b"2", b"2"], base_offset=2, epoch=1, timestamp_ms=1000)
    assert bytes(store.read(2, 1)) == one.data
    assert len(store.read(2, 10_000)) == 2 * len(one.data) or len(store.read(0, 10_000)) > 0
    assert store.end_offset_for_epoch(0) == (0, 0)
    assert store.end_offset_for_epoch(1) == (1, 4)
    assert store.end_offset_for_epoch(2) == (1, 4)
    assert store.end_offset_for_epoch(3) == (3, 8)
    assert store.end_offset_for_epoch(9) == (3, 8)
    store.truncate_to(4)
    assert (store.end_offset, store.last_epoch) == (4, 1)
    assert store.end_offset_for_epoch(9) == (1, 4)
    put(store, 5)
    assert store.end_offset_for_epoch(9) == (5, 6)


def test_quorum_state_is_kept(store: Any) -> None:
    state = QuorumState(7, 2, 3, bytes(16))
    store.write_quorum_state(state, VOTERS)
    assert store.read_quorum_state() == state


def test_snapshots_and_cleaning(store: Any) -> None:
    put(store, 1, 1, 2)
    store.flush()
    store.write_snapshot(SnapshotId(2, 1), [b"one", b"two"])
    assert store.read_snapshot(SnapshotId(2, 1), 2, 3) == (6, b"etw")
    assert store.read_snapshot_file(SnapshotId(2, 1)) == b"onetwo"
    assert not store.clean(0, 0, 2000)  # the only snapshot stays
    store.write_snapshot(SnapshotId(4, 1), [b"four"])
    assert store.latest_snapshot == SnapshotId(4, 1)
    assert not store.clean(1 << 40, 1 << 60, 2000)
    assert store.clean(0, 0, 1 << 50)
    assert (store.start_offset, store.start_snapshot) == (4, SnapshotId(4, 1))
    assert store.read_snapshot(SnapshotId(2, 1), 0, 3) is None
    assert store.end_offset_for_epoch(2) == (2, 6)
    assert store.end_offset == 6


def test_a_fetched_snapshot_restarts_the_log(store: Any) -> None:
    put(store, 1)
    wanted = SnapshotId(100, 4)
    store.write_snapshot_chunk(SnapshotChunk(wanted, 0, b"abc", False))
    assert store.end_offset == 2
    store.write_snapshot_chunk(SnapshotChunk(wanted, 3, b"de", True))
    assert (store.start_offset, store.end_offset, store.last_epoch) == (100, 100, 4)
    assert store.start_snapshot == wanted
    assert store.read_snapshot_file(wanted) == b"abcde"
    assert store.end_offset_for_epoch(4) == (4, 100)
    put(store, 4)
    assert store.end_offset == 102


def test_kcore_store_reopens_what_it_kept(tmp_path: Path) -> None:
    store = KcoreLogStore(tmp_path, now_ms=1000)
    put(store, 1, 2)
    store.write_quorum_state(QuorumState(2, 1), VOTERS)
    store.write_snapshot(SnapshotId(2, 1), [b"s"])
    store.close()
    directory = tmp_path / "__cluster_metadata-0"
    (directory / "00000000000000000009-0000000009.checkpoint.part").write_bytes(b"x")
    store = KcoreLogStore(tmp_path, now_ms=1000)
    assert (store.end_offset, store.last_epoch) == (4, 2)
    assert store.latest_snapshot == SnapshotId(2, 1)
    assert store.read_quorum_state() == QuorumState(2, 1)
    assert not list(directory.glob("*.part"))
    store.close()


def test_a_crash_between_snapshot_and_log_is_mended(tmp_path: Path) -> None:
    store = KcoreLogStore(tmp_path, now_ms=1000)
    put(store, 1)
    store.flush()
    store.write_snapshot(SnapshotId(2, 1), [b"own"])
    store.close()
    directory = tmp_path / "__cluster_metadata-0"
    name = "00000000000000000050-0000000003.checkpoint"
    (directory / (name + ".fetched")).write_bytes(b"fetched")  # the log does not begin there yet
    store = KcoreLogStore(tmp_path, now_ms=1000)
    assert (store.start_offset, store.end_offset, store.last_epoch) == (50, 50, 3)
    assert store.read_snapshot_file(SnapshotId(50, 3)) == b"fetched"
    assert [path.name for path in directory.glob("*checkpoint*") if "epoch" not in path.name] == [
        name
    ]
    store.close()


def test_a_log_that_lost_durable_bytes_is_refused(tmp_path: Path) -> None:
    store = KcoreLogStore(tmp_path, now_ms=1000)
    put(store, 1)
    store.write_snapshot(SnapshotId(50, 3), [b"own"])
    store.close()
    with pytest.raises(CorruptLog, match="below the recovery point 50"):
        KcoreLogStore(tmp_path, now_ms=1000)


def test_quorum_state_bytes_are_kafkas() -> None:
    state = QuorumState(1, 1, -1, bytes(16))
    text = (
        b'{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,'
        b'"currentVoters":[{"voterId":1}],"data_version":0}'
    )
    assert encode_quorum_state(state, VOTERS, 0) == text
    assert decode_quorum_state(text, "f") == state
    voted = QuorumState(3, -1, 2, b"d" * 16)
    dynamic = encode_quorum_state(voted, VOTERS, 1)
    assert dynamic == (
        b'{"leaderId":-1,"leaderEpoch":3,"votedId":2,'
        b'"votedDirectoryId":"ZGRkZGRkZGRkZGRkZGRkZA","data_version":1}'
    )
    assert decode_quorum_state(dynamic, "f") == voted
    for damaged in (b"", b"{", b"[]", b'{"leaderId":1}', b'{"leaderEpoch":"x"}'):
        with pytest.raises(CorruptFile, match="no quorum state"):
            decode_quorum_state(damaged, "f")
