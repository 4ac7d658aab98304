"""kcore.Log by example: what each method promises in log.pyi."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from kcore import syscalls
from kcore.batch_builder import build, build_end_marker
from kcore.errors import (
    BatchTooLarge,
    CoordinatorFenced,
    CorruptBatch,
    CorruptLog,
    InvalidProducerEpoch,
    InvalidRecord,
    InvalidTimestamp,
    LogFailed,
    NotOneBatch,
    OffsetOutOfRange,
    OffsetsOutOfOrder,
)
from kcore.log import COORDINATOR, RAFT, REPLICA, Log
from kcore.log_config import LogConfig
from kcore.record_batch import batches

NOW_MS = 1_700_000_000_000


def open_log(path: Path, *, clean: bool = True, recovery_point: int = 0, **settings: object) -> Log:
    extra = {
        name: settings.pop(name)
        for name in ("log_start_offset", "topic_id", "truncate_corrupt")
        if name in settings
    }
    return Log.open(
        str(path),
        LogConfig(**settings),  # type: ignore[arg-type]
        now_ms=NOW_MS,
        clean=clean,
        recovery_point=recovery_point,
        **extra,  # type: ignore[arg-type]
    )


def batch(count: int = 1, size: int = 50, timestamp: int = NOW_MS, **options: object) -> bytes:
    return build([(b"k", b"v" * size, (), timestamp + n) for n in range(count)], **options)


def fill(log: Log, count: int, size: int = 50) -> None:
    for n in range(count):
        log.append(batch(2, size, NOW_MS + n), leader_epoch=0, now_ms=NOW_MS)


def names(path: Path) -> set[str]:
    return {p.name for p in path.iterdir()}


def test_the_bytes_of_the_caller_are_not_modified(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    sent = bytearray(batch(3))
    before = bytes(sent)
    log.append(memoryview(sent), leader_epoch=7, now_ms=NOW_MS)
    result = log.append(sent, leader_epoch=7, now_ms=NOW_MS)
    assert sent == before
    assert (result.base_offset, result.last_offset, result.duplicate) == (3, 5, False)
    assert (result.log_append_time_ms, result.max_timestamp_ms) == (-1, NOW_MS + 2)
    stored = list(batches(log.read(3, 10_000)))
    assert [(b.base_offset, b.leader_epoch) for b in stored] == [(3, 7)]
    assert [r.value for r in stored[0]] == [b"v" * 50] * 3
    stored[0].check_crc()
    del stored
    log.close()


def test_clients_send_exactly_one_sound_batch(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", max_message_bytes=500)
    damaged = bytearray(batch())
    damaged[-1] ^= 1
    refused: list[tuple[bytes, type[Exception]]] = [
        (batch() * 2, InvalidRecord),
        (bytes(damaged), CorruptBatch),
        (batch()[:-1], NotOneBatch),
        (b"", NotOneBatch),
        (batch(size=600), BatchTooLarge),
        (batch(timestamp=NOW_MS + 10**9), InvalidTimestamp),
    ]
    for data, error in refused:
        with pytest.raises(error):
            log.append(data, leader_epoch=0, now_ms=NOW_MS)
    assert log.log_end_offset == 0
    assert log.size_bytes == 0
    log.close()


def test_the_time_of_the_append(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", timestamp_type=1)
    result = log.append(batch(2, timestamp=5), leader_epoch=0, now_ms=NOW_MS)
    assert result.log_append_time_ms == result.max_timestamp_ms == NOW_MS
    stored = next(batches(log.read(0, 10_000)))
    stored.check_crc()
    assert [r.timestamp for r in stored] == [NOW_MS, NOW_MS]
    assert stored.timestamp_type == 1
    found = log.max_timestamp()
    assert found is not None
    assert tuple(found) == (1, NOW_MS, 0)
    del stored
    log.close()


@pytest.mark.parametrize("codec", ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_batches_are_compressed_as_the_topic_wants(codec: str, tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", compression=codec)
    log.append(batch(20, compression="gzip"), leader_epoch=3, now_ms=NOW_MS)
    log.append(batch(20), leader_epoch=3, now_ms=NOW_MS)
    stored = list(batches(log.read(0, 100_000)))
    wanted = ["uncompressed", "gzip", "snappy", "lz4", "zstd"].index(codec)
    assert [(b.base_offset, b.codec, b.leader_epoch) for b in stored] == [
        (0, wanted, 3),
        (20, wanted, 3),
    ]
    for one in stored:
        one.check_crc()
        assert [r.value for r in one] == [b"v" * 50] * 20
    del stored, one
    log.close()


def test_replicas_keep_offsets_and_epochs(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    two = batch(2, base_offset=10, leader_epoch=4) + batch(1, base_offset=15, leader_epoch=5)
    result = log.append(two, leader_epoch=-1, now_ms=NOW_MS, origin=REPLICA)
    assert (result.base_offset, result.last_offset) == (10, 15)
    assert bytes(log.read(0, 10_000)) == two
    assert [tuple(e) for e in log.leader_epochs.entries()] == [(4, 10), (5, 15)]
    assert log.end_offset_for_epoch(4) == (4, 15)
    for bad in (batch(base_offset=15), batch(base_offset=20) + batch(base_offset=20)):
        with pytest.raises(OffsetsOutOfOrder):
            log.append(bad, leader_epoch=-1, now_ms=NOW_MS, origin=REPLICA)
    assert log.log_end_offset == 16
    log.close()


def test_raft_appends_several_batches(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    result = log.append(batch(2) + batch(3), leader_epoch=2, now_ms=NOW_MS, origin=RAFT)
    assert (result.base_offset, result.last_offset) == (0, 4)
    assert [b.base_offset for b in batches(log.read(0, 10_000))] == [0, 2]
    log.close()


def test_epochs_are_on_disk_with_the_flush_that_covers_their_batches(tmp_path: Path) -> None:
    checkpoint = tmp_path / "t-0" / "leader-epoch-checkpoint"
    log = open_log(tmp_path / "t-0")
    for epoch in (1, 1, 4):
        log.append(batch(), leader_epoch=epoch, now_ms=NOW_MS)
    log.flush()
    assert checkpoint.read_text() == "0\n2\n1 0\n4 2\n"
    log.append(batch(), leader_epoch=5, now_ms=NOW_MS)
    log.assign_leader_epoch(7, 4)
    assert log.end_offset_for_epoch(4) == (4, 3)
    assert checkpoint.read_text() == "0\n2\n1 0\n4 2\n"
    # Nothing is said to be durable before its epoch is.
    syscalls.inject("rename", 1, 5)
    try:
        with pytest.raises(LogFailed):
            log.flush()
    finally:
        syscalls.clear()
    assert log.recovery_point == 3
    log.close()
    # Batches tell of the epochs that the checkpoint lacks; an epoch without a batch is over.
    log = open_log(tmp_path / "t-0", clean=False, recovery_point=3)
    assert [tuple(entry) for entry in log.leader_epochs.entries()] == [(1, 0), (4, 2), (5, 3)]
    assert checkpoint.read_text() == "0\n3\n1 0\n4 2\n5 3\n"
    log.close()


def test_duplicates_are_answered_with_the_first_offsets_after_a_restart_too(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    sent = batch(3, producer_id=9, producer_epoch=0, base_sequence=0)
    log.append(batch(), leader_epoch=0, now_ms=NOW_MS)
    first = log.append(sent, leader_epoch=0, now_ms=NOW_MS)
    for clean in (True, False):
        again = log.append(sent, leader_epoch=0, now_ms=NOW_MS)
        assert again.duplicate
        assert (again.base_offset, again.last_offset) == (first.base_offset, first.last_offset)
        log.close()
        log = open_log(tmp_path / "t-0", clean=clean)
    assert log.log_end_offset == 4
    log.close()


def test_aborted_transactions_are_indexed_and_hold_the_stable_offset(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    log.append(batch(), leader_epoch=0, now_ms=NOW_MS)
    log.append(
        batch(2, producer_id=9, producer_epoch=0, base_sequence=0, transactional=True),
        leader_epoch=0,
        now_ms=NOW_MS,
    )
    assert log.first_unstable_offset(3) == 1
    assert log.last_stable_offset(3) == 1
    marker = build_end_marker(
        False, producer_id=9, producer_epoch=0, coordinator_epoch=0, timestamp=NOW_MS
    )
    log.append(marker, leader_epoch=0, now_ms=NOW_MS, origin=COORDINATOR)
    assert log.last_stable_offset(3) == 1, "the marker is above the high watermark"
    assert log.last_stable_offset(4) == 4
    assert [tuple(t) for t in log.aborted_transactions(0, 4)] == [(9, 1, 3, 4)]
    log.flush()
    (tmp_path / "t-0" / "00000000000000000000.txnindex").unlink()
    shutil.copytree(tmp_path / "t-0", tmp_path / "copy" / "t-0")
    log.close()
    log = open_log(tmp_path / "copy" / "t-0", clean=False)
    assert [tuple(t) for t in log.aborted_transactions(0, 4)] == [(9, 1, 3, 4)]
    log.close()


def marker_of(epoch: int, coordinator_epoch: int = 0, *, committed: bool = True) -> bytes:
    return build_end_marker(
        committed,
        producer_id=9,
        producer_epoch=epoch,
        coordinator_epoch=coordinator_epoch,
        timestamp=NOW_MS,
    )


def test_markers_fence_stale_coordinators_and_stale_epochs(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")

    def mark(marker: bytes, version: int = 0) -> int:
        return log.append_marker(
            marker, leader_epoch=0, now_ms=NOW_MS, transaction_version=version
        ).last_offset

    log.append(
        batch(1, producer_id=9, producer_epoch=3, base_sequence=0, transactional=True),
        leader_epoch=0,
        now_ms=NOW_MS,
    )
    with pytest.raises(InvalidProducerEpoch):
        mark(marker_of(2))
    with pytest.raises(InvalidProducerEpoch):
        mark(marker_of(3), 2)
    assert log.log_end_offset == 1, "nothing was appended"
    assert mark(marker_of(4, 7), 2) == 1
    assert mark(marker_of(4, 7), 2) == 2, "a marker that is written again"
    with pytest.raises(CoordinatorFenced):
        mark(marker_of(4, 6), 2)
    assert mark(marker_of(4, 8), 0) == 3
    with pytest.raises(InvalidRecord):
        mark(batch(1, producer_id=9, producer_epoch=4, base_sequence=0))
    assert log.producers.last_entry(9).coordinator_epoch == 8
    assert log.first_unstable_offset(4) is None
    log.close()


def test_a_reader_is_told_of_aborted_transactions_up_to_the_next_entry_of_the_index(
    tmp_path: Path,
) -> None:
    """As Apache's broker reckons: its upper bound is what the offset index says behind the read."""
    log = open_log(tmp_path / "t-0")
    log.append(batch(2), leader_epoch=0, now_ms=NOW_MS)
    size = log.size_bytes
    log.append(
        batch(1, producer_id=9, producer_epoch=0, base_sequence=0, transactional=True),
        leader_epoch=0,
        now_ms=NOW_MS,
    )
    log.append_marker(marker_of(0, committed=False), leader_epoch=0, now_ms=NOW_MS)
    piece = log.read(0, size)
    assert piece.next_offset == 2
    assert log.aborted_transactions(0, 2) == []
    assert [tuple(t)[:3] for t in log.aborted_transactions_of(piece)] == [(9, 2, 3)]
    log.close()


def test_reading_outside_is_an_error(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", log_start_offset=5)
    assert (log.log_start_offset, log.log_end_offset) == (5, 5)
    assert len(log.read(5, 10)) == 0
    for offset in (4, 6):
        with pytest.raises(OffsetOutOfRange):
            log.read(offset, 10)
    log.close()
    with pytest.raises(LogFailed, match="closed"):
        log.read(5, 10)


def test_cold_reads_come_from_a_thread(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", segment_bytes=5000)
    fill(log, 100)
    log.close()
    log = open_log(tmp_path / "t-0", segment_bytes=5000)
    assert log.is_cold(0, 1000)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(bytes(log.read_cold(0, 1000))))
    thread.start()
    thread.join()
    assert not log.is_cold(0, 1000)
    assert bytes(log.read(0, 1000)) == found[0]
    log.append(batch(), leader_epoch=0, now_ms=NOW_MS)
    assert not log.is_cold(log.log_end_offset - 1, 1000)
    log.close()


def test_flushes_and_appends_exclude_nobody(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0", segment_bytes=50_000)
    done = threading.Event()
    points: list[int] = []

    def flusher() -> None:
        while True:
            points.append(log.flush(now_ms=NOW_MS + 1))
            if done.is_set():
                return

    threads = [threading.Thread(target=flusher) for _ in range(2)]
    for thread in threads:
        thread.start()
    fill(log, 2000)
    done.set()
    for thread in threads:
        thread.join()
    assert log.flush(log.log_end_offset) == log.flushed_offset == 4000
    assert log.unflushed_messages == 0
    assert log.last_flush_ms == NOW_MS + 1
    assert all(0 <= point <= 4000 for point in points)
    log.close()


def test_retention_says_what_went_and_why(tmp_path: Path) -> None:
    log = open_log(
        tmp_path / "t-0",
        segment_bytes=1000,
        retention_bytes=3000,
        retention_ms=50,
        file_delete_delay_ms=10,
    )
    fill(log, 30)
    log.advance_log_start(13)
    assert log.delete_old_segments(NOW_MS, 0) == []
    gone = log.delete_old_segments(NOW_MS + 70, log.log_end_offset - 1)
    assert gone[0].reason == "start-offset"
    assert {g.reason for g in gone} == {"start-offset", "size", "time"}
    assert log.log_start_offset == log.segments[0].base_offset
    assert any(n.endswith(".log.deleted") for n in names(tmp_path / "t-0"))
    assert log.delete_files_due(NOW_MS) > 0
    assert log.delete_files_due(NOW_MS + 10) == 0
    assert not any(n.endswith(".deleted") for n in names(tmp_path / "t-0"))
    gone = log.delete_old_segments(NOW_MS + 10**9, log.log_end_offset)
    assert log.log_start_offset == log.log_end_offset == 60
    assert log.size_bytes == 0
    log.close()


def test_delete_records(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    fill(log, 5)
    assert log.advance_log_start(7)
    assert not log.advance_log_start(7)
    with pytest.raises(OffsetOutOfRange):
        log.advance_log_start(11)
    with pytest.raises(OffsetOutOfRange):
        log.read(6, 10)
    assert log.read(7, 10).next_offset == 8
    log.close()
    assert open_log(tmp_path / "t-0", log_start_offset=7).log_start_offset == 7


def damaged_copy(tmp_path: Path, position: int) -> Path:
    target = tmp_path / f"damaged-{position}" / "t-0"
    shutil.copytree(tmp_path / "t-0", target)
    path = target / "00000000000000000000.log"
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)
    return target


def test_damage_above_the_recovery_point_is_cut_below_it_is_an_error(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    fill(log, 10)
    log.close()
    size = log.size_bytes // 10
    path = damaged_copy(tmp_path, 6 * size + 70)
    log = open_log(path, clean=False, recovery_point=12)
    assert log.log_end_offset == 12
    assert log.recovery_point == 12
    (cut,) = log.recovery_report.cuts
    assert (cut.position, cut.size_bytes, cut.offset) == (6 * size, 4 * size, 12)
    assert cut.reason == "a checksum does not match"
    log.close()
    assert (path / "00000000000000000000.log").stat().st_size == 6 * size

    path = damaged_copy(tmp_path, 5 * size + 70)
    with pytest.raises(CorruptLog, match="below the recovery point 12"):
        open_log(path, clean=False, recovery_point=12)
    log = open_log(path, clean=False, recovery_point=12, truncate_corrupt=True)
    assert log.log_end_offset == 10
    assert len(log.recovery_report.cuts) == 1
    log.close()


def test_durable_bytes_that_are_gone_are_noticed(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    fill(log, 10)
    log.close()
    path = tmp_path / "t-0" / "00000000000000000000.log"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(CorruptLog, match="durable are gone"):
        open_log(tmp_path / "t-0", clean=False, recovery_point=20)


def test_preallocated_zeros_are_no_damage(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    fill(log, 10)
    shutil.copytree(tmp_path / "t-0", tmp_path / "image" / "t-0")
    size = log.size_bytes
    log.close()
    copied = tmp_path / "image" / "t-0" / "00000000000000000000.log"
    assert copied.stat().st_size > size
    log = open_log(tmp_path / "image" / "t-0", clean=False)
    assert log.recovery_report.cuts == ()
    assert log.log_end_offset == 20
    assert copied.stat().st_size == size
    log.close()


def test_leftovers_of_kafka_are_finished_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "t-0"
    log = open_log(path, segment_bytes=1000)
    fill(log, 30)
    log.close()
    bases = [s.base_offset for s in log.segments]
    kept = (path / f"{bases[1]:020d}.log").read_bytes()
    swap = (path / f"{bases[0]:020d}.log").read_bytes() + kept
    (path / f"{bases[0]:020d}.log.swap").write_bytes(swap)
    (path / f"{999:020d}.log.deleted").write_bytes(b"x")
    (path / f"{bases[2]:020d}.log.cleaned").write_bytes(b"x")
    (path / f"{bases[3]:020d}.log.swap").write_bytes(b"")
    (path / f"{12345:020d}.index").write_bytes(b"")
    log = open_log(path, segment_bytes=1000)
    assert [s.base_offset for s in log.segments] == [bases[0], *bases[2:]]
    assert log.log_end_offset == 60
    assert not any(n.endswith((".swap", ".deleted", ".cleaned")) for n in names(path))
    assert f"{12345:020d}.index" not in names(path)
    assert sum(b.records_count for b in batches(log.read(0, len(swap)))) == bases[2]
    log.close()


def test_a_topic_id_is_written_once(tmp_path: Path) -> None:
    topic_id = bytes(range(16))
    log = open_log(tmp_path / "t-0", topic_id=topic_id)
    assert log.topic_id == topic_id
    log.close()
    text = (tmp_path / "t-0" / "partition.metadata").read_text()
    assert text == "version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw"


def test_settings_change_while_open(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    log.append(batch(size=900), leader_epoch=0, now_ms=NOW_MS)
    log.update_config(LogConfig(max_message_bytes=500, segment_bytes=600))
    with pytest.raises(BatchTooLarge):
        log.append(batch(size=900), leader_epoch=0, now_ms=NOW_MS)
    log.append(batch(size=100), leader_epoch=0, now_ms=NOW_MS)
    assert [s.base_offset for s in log.segments] == [0, 1]
    log.update_config(LogConfig(segment_bytes=1 << 20))
    for _ in range(20):
        log.append(batch(size=9000), leader_epoch=0, now_ms=NOW_MS)
    assert len(log.segments) == 2
    log.close()


def test_a_search_by_time_looks_into_compressed_batches(tmp_path: Path) -> None:
    log = open_log(tmp_path / "t-0")
    log.append(batch(10, timestamp=NOW_MS, compression="lz4"), leader_epoch=2, now_ms=NOW_MS)
    log.append(batch(10, timestamp=NOW_MS + 100, compression="zstd"), leader_epoch=3, now_ms=NOW_MS)
    for target, expected in (
        (0, (0, NOW_MS, 2)),
        (NOW_MS + 4, (4, NOW_MS + 4, 2)),
        (NOW_MS + 50, (10, NOW_MS + 100, 3)),
        (NOW_MS + 109, (19, NOW_MS + 109, 3)),
    ):
        assert log.offset_for_timestamp(target) == expected
    assert log.offset_for_timestamp(NOW_MS + 110) is None
    assert log.max_timestamp() == (19, NOW_MS + 109, 3)
    log.close()
