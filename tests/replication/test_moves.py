"""Replicas between two log directories: the move itself, giving it up, and what a start finds."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kafka_py.protocol import records_metadata as r
from kafka_py.replication.log_directory import LogDirectory
from kafka_py.replication.move import Move, fit
from kafka_py.replication.partition import Partition
from kcore import build
from kcore.errors import KcoreError, LogFailed
from kcore.log import Log
from kcore.log_config import LogConfig
from kcore.record_batch import batches
from tests.replication.test_log_directory import NOW_MS, format_directory
from tests.replication.test_replica_manager import TOPIC, Hosted, placed, topic

A, B, C = (bytes([number]) * 16 for number in b"ABC")


def text(directory_id: bytes) -> str:
    return base64.urlsafe_b64encode(directory_id).decode().rstrip("=")


class Moving(Hosted):
    """A replica manager over the directories a, b and c, and what it told its owner."""

    def __init__(self, base: Path, properties: Mapping[str, str] | None = None) -> None:
        self.base = base
        paths = [base / name for name in "abc"]
        for path, directory_id in zip(paths, (A, B, C), strict=True):
            if not path.exists():
                path.mkdir()
                format_directory(path, directory_id=text(directory_id))
        super().__init__(*paths, properties=properties)
        self.started: list[Move] = []
        self.unassigned: list[Partition] = []
        self.misplaced: list[tuple[str, int, Path]] = []
        self.given_up: list[Path] = []
        self.replicas.moves.started = self.started.append
        self.replicas.moves.unassigned = self.unassigned.append
        self.replicas.moves.given_up = lambda _, path: self.given_up.append(path)
        self.replicas.misplaced = lambda p: self.misplaced.append(
            (p.topic, p.index, p.directory.path)
        )

    def alter(self, name: str, index: int = 0, of: str = "t") -> int:
        key = (of, index)
        return self.replicas.moves.alter(
            key,
            str(self.base / name),
            self.replicas.partition(*key),
            self.image.publish()[0],
            now_ms=NOW_MS,
        )

    @property
    def partition(self) -> Partition:
        found = self.replicas.partition("t", 0)
        assert found is not None
        return found

    @property
    def move(self) -> Move:
        found = self.replicas.moves.of(self.partition)
        assert found is not None
        return found

    def directory(self, name: str) -> LogDirectory:
        return next(one for one in self.replicas.log_dirs if one.path.name == name)

    def finish(self) -> None:
        """What the server's mover does, without waiting for anybody."""
        move = self.move
        while move.copy_some(now_ms=NOW_MS):
            pass
        move.copy_rest(now_ms=NOW_MS)
        assert self.replicas.moves.swap(move, now_ms=NOW_MS)
        move.settle(now_ms=NOW_MS)
        self.replicas.moves.retire(move)

    def crash(self) -> None:
        """Let everything go as a killed process does."""
        for partition in self.replicas.partitions():
            if partition.log is not None:
                partition.log.flush()
                partition.log.abandon()
        for move in self.replicas.moves:
            move.log.flush()
            move.log.abandon()
        for directory in self.replicas.log_dirs:
            directory.close()

    def names(self, name: str) -> list[str]:
        """Of partitions' directories, without what makes them unique."""
        found = (one.name for one in (self.base / name).iterdir() if one.is_dir())
        return sorted("..".join((n.split(".")[0], n.rsplit("-", 1)[1])) for n in found)


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[Moving]:
    """A topic of two partitions, 0 in a and 1 in b."""
    made = begin(tmp_path)
    yield made
    made.close()


def begin(base: Path, *, there: bytes = A) -> Moving:
    made = Moving(base)
    made.image.apply(topic())
    made.image.apply(placed(0, directories=[there]))
    made.image.apply(placed(1, directories=[B]))
    made.begin()
    return made


def contents(log: Log) -> list[tuple[int, int]]:
    """Base offset and checksum of every batch."""
    at, found = log.log_start_offset, []
    while at < log.log_end_offset:
        piece = log.read(at, 1 << 20)
        found += [(one.base_offset, one.crc) for one in batches(piece.view)]
        at = piece.next_offset
    return found


def test_a_replica_moves(moving: Moving) -> None:
    moving.append(0, 5)
    assert moving.alter("b") == 0
    assert moving.started == [moving.move]
    assert moving.move.lag == 5
    assert moving.names("b") == ["t-0..future", "t-1..1"]
    moving.append(0, 3)
    before = contents(moving.partition.log)
    held = moving.partition.log.read(0, 1 << 20)
    moving.finish()
    partition = moving.partition
    assert partition.directory is moving.directory("b")
    assert contents(partition.log) == before
    assert (partition.log_start_offset, partition.high_watermark, partition.log_end_offset) == (
        0,
        8,
        8,
    )
    assert partition.log.recovery_point == 8
    assert moving.names("a") == ["t-0..delete"]
    assert moving.names("b") == ["t-0..0", "t-1..1"]
    assert [path.parent.name for path in moving.given_up] == ["a"]
    assert len(bytes(held)) > 0, "who reads the old log goes on"
    moving.append(0, 2)
    assert partition.log_end_offset == 10
    assert not list(moving.replicas.moves)


@pytest.mark.parametrize("clean", [True, False])
def test_the_next_start_finds_it_where_it_went(tmp_path: Path, clean: bool) -> None:
    first = begin(tmp_path)
    first.append(0, 5)
    first.alter("b")
    first.finish()
    first.append(0, 1)
    first.replicas.write_recovery_points()
    first.close() if clean else first.crash()
    second = begin(tmp_path, there=B)
    assert second.partition.directory is second.directory("b")
    assert second.partition.log_end_offset == 6
    assert second.misplaced == []
    assert second.names("a") == []
    second.close()


def test_leader_epochs_without_records_move_too(moving: Moving) -> None:
    moving.append(0, 2)
    moving.follow(r.PartitionChangeRecord(partition_id=0, topic_id=TOPIC, leader=1))
    moving.follow(r.PartitionChangeRecord(partition_id=0, topic_id=TOPIC, leader=1))
    before = moving.partition.log.leader_epochs.entries()
    assert len(before) == 2
    moving.alter("b")
    moving.finish()
    assert moving.partition.log.leader_epochs.entries() == before
    assert moving.partition.log.end_offset_for_epoch(before[1].epoch) == (before[1].epoch, 2)


def test_producers_are_remembered(moving: Moving) -> None:
    """A retry after the move is still a duplicate."""

    def send() -> Any:
        batch = build([(b"k", b"v")], producer_id=7, producer_epoch=0, base_sequence=0)
        return moving.partition.log.append(batch, leader_epoch=0, now_ms=NOW_MS)

    send()
    moving.partition.advance()
    moving.alter("b")
    moving.finish()
    assert send().duplicate


def test_an_open_transaction_holds_the_stable_offset_after_the_move(moving: Moving) -> None:
    moving.append(0, 2)
    batch = build(
        [(b"k", b"v")], producer_id=7, producer_epoch=0, base_sequence=0, transactional=True
    )
    moving.partition.log.append(batch, leader_epoch=0, now_ms=NOW_MS)
    moving.partition.transactional = True
    moving.append(0, 2)
    moving.alter("b")
    moving.finish()
    assert (moving.partition.last_stable_offset, moving.partition.high_watermark) == (2, 5)


@pytest.mark.parametrize("start", [2, 4, 6, 9])
def test_the_log_start_moves_with_it(moving: Moving, start: int) -> None:
    """Within a batch, between two, at the end; before the move and while it goes on."""
    for _ in range(3):
        moving.append(0, 3)
    moving.partition.delete_records(2)
    moving.alter("b")
    moving.move.copy_some(100, now_ms=NOW_MS)
    moving.partition.delete_records(start)
    moving.finish()
    partition = moving.partition
    assert (partition.log_start_offset, partition.log_end_offset) == (start, 9)
    assert partition.log.log_start_offset == start
    kept = [base for base, _ in contents(partition.log)]
    assert kept == [base for base in (0, 3, 6) if base + 3 > start]


def test_what_was_copied_of_segments_that_are_gone_is_dropped(moving: Moving) -> None:
    moving.append(0, 4)
    moving.alter("b")
    moving.move.copy_some(now_ms=NOW_MS)
    moving.append(0, 4)
    moving.partition.delete_records(-1)
    moving.append(0, 1)
    moving.finish()
    assert (moving.partition.log_start_offset, moving.partition.log_end_offset) == (8, 9)


@pytest.mark.parametrize(
    ("path", "of", "index", "error"),
    [
        ("nowhere", "t", 0, 57),
        ("nowhere", "u", 0, 57),
        ("b/", "t", 0, 57),
        ("b", "u", 0, 3),
        ("b", "t", 2, 3),
        ("b", "x" * 214, 0, 17),
        ("a", "t", 0, 0),
    ],
)
def test_what_cannot_be_moved(moving: Moving, path: str, of: str, index: int, error: int) -> None:
    error_found = moving.replicas.moves.alter(
        (of, index),
        f"{moving.base}/{path}",
        moving.replicas.partition(of, index),
        moving.image.publish()[0],
        now_ms=NOW_MS,
    )
    assert error_found == error
    assert not moving.started


def test_a_replica_of_another_broker_is_not_available(moving: Moving) -> None:
    moving.follow(placed(2, replicas=[2], isr=[2], leader=2))
    assert moving.alter("b", 2) == 9


def test_a_replica_is_made_where_it_was_asked_to_be(moving: Moving) -> None:
    """Also where the controller thinks otherwise; once."""
    assert moving.alter("c", 2) == 3
    moving.follow(placed(2, directories=[A]))
    made = moving.replicas.partition("t", 2)
    assert made is not None
    assert made.directory is moving.directory("c")
    assert moving.misplaced == [("t", 2, moving.base / "c")]
    moving.follow(placed(3, directories=[A]))
    again = moving.replicas.partition("t", 3)
    assert again is not None
    assert again.directory is moving.directory("a")


@pytest.mark.parametrize("cordoned", ["a", "*"])
def test_cordoned_directories_take_nothing_new(tmp_path: Path, cordoned: str) -> None:
    """Unless all are (the controller places nothing here then), or it says where."""
    named = cordoned if cordoned == "*" else str(tmp_path / cordoned)
    moving = Moving(tmp_path, {"cordoned.log.dirs": named})
    moving.begin()
    moving.follow(topic(), *(placed(index) for index in range(3)), placed(3, directories=[A]))
    assert moving.alter("a") == 39
    assert moving.alter("a", 9) == 39
    assert moving.names("a") == (["t-3..3"] if cordoned == "a" else ["t-0..0", "t-3..3"])
    moving.close()


def test_asked_twice_it_is_the_same_move(moving: Moving) -> None:
    moving.alter("b")
    assert moving.alter("b") == 0
    assert len(moving.started) == 1


@pytest.mark.parametrize("asked", [True, False])
def test_a_move_is_given_up_by_asking_for_where_it_is(moving: Moving, asked: bool) -> None:
    moving.append(0, 5)
    moving.alter("b")
    move = moving.move
    move.copy_some(now_ms=NOW_MS)
    move.asked = asked
    assert moving.alter("a") == 0
    assert move.ended
    assert moving.names("b") == ["t-0..delete", "t-1..1"]
    assert moving.unassigned == ([moving.partition] if asked else [])
    moving.append(0, 1)
    with pytest.raises(LogFailed, match="closed"):
        move.copy_some(now_ms=NOW_MS)
    assert not moving.replicas.moves.swap(move, now_ms=NOW_MS)
    assert moving.partition.directory is moving.directory("a")
    moving.append(0, 1)
    assert not moving.directory("b").offline


def test_another_directory_takes_over(moving: Moving) -> None:
    moving.append(0, 5)
    moving.alter("b")
    moving.move.copy_some(now_ms=NOW_MS)
    assert moving.alter("c") == 0
    assert moving.names("b") == ["t-0..delete", "t-1..1"]
    moving.finish()
    assert moving.partition.directory is moving.directory("c")
    assert moving.partition.log_end_offset == 5


def test_it_may_go_back(moving: Moving) -> None:
    moving.append(0, 5)
    for name in ("b", "a", "b"):
        moving.alter(name)
        moving.finish()
        moving.append(0, 1)
        assert moving.partition.directory is moving.directory(name)
    assert moving.partition.log_end_offset == 8


@pytest.mark.parametrize("swapped", [False, True])
def test_nothing_is_left_of_a_deleted_topic(moving: Moving, swapped: bool) -> None:
    """Nor in the way of one that is made in its place."""
    moving.append(0, 5)
    moving.alter("b")
    move = moving.move
    move.copy_rest(now_ms=NOW_MS)
    if swapped:
        moving.replicas.moves.swap(move, now_ms=NOW_MS)
    moving.follow(r.RemoveTopicRecord(topic_id=TOPIC))
    again = b"u" * 16
    moving.follow(topic(topic_id=again), placed(0, topic_id=again, directories=[A]))
    assert moving.partition.log_end_offset == 0
    assert "t-0..0" not in moving.names("b")
    assert "t-0..future" not in moving.names("b")
    moving.replicas.moves.retire(move)
    assert "t-0..0" in moving.names("a")


@pytest.mark.parametrize("asked", [True, False])
def test_the_target_fails(moving: Moving, asked: bool) -> None:
    moving.append(0, 5)
    moving.alter("c")
    move = moving.move
    move.asked = asked
    failed = moving.directory("c")
    failed.failure.fail(OSError("gone"))
    assert moving.replicas.directory_failed(failed) == []
    assert move.ended
    assert moving.unassigned == ([moving.partition] if asked else [])
    moving.append(0, 1)
    assert moving.partition.directory is moving.directory("a")
    assert moving.alter("c") == 56
    assert moving.alter("b") == 56, "while a directory is offline, none is begun"
    assert moving.alter("a") == 0


def test_the_source_fails(moving: Moving) -> None:
    """The future log is kept: with the disk it may go on at the next start."""
    moving.append(0, 5)
    moving.alter("c")
    moving.move.asked = True
    failed = moving.directory("a")
    failed.failure.fail(OSError("gone"))
    moving.replicas.directory_failed(failed)
    assert moving.partition.offline
    assert moving.unassigned == []
    assert moving.names("c") == ["t-0..future"]
    assert moving.alter("c") == 56


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("there", [A, B])
def test_a_move_goes_on_after_a_restart(tmp_path: Path, clean: bool, there: bytes) -> None:
    first = begin(tmp_path)
    first.append(0, 5)
    first.alter("b")
    first.move.copy_some(now_ms=NOW_MS)
    first.append(0, 4)
    before = contents(first.partition.log)
    first.replicas.write_recovery_points()
    first.close() if clean else first.crash()
    second = begin(tmp_path, there=there)
    assert second.started == [second.move]
    assert (second.move.lag, second.move.assigned) == (4, there == B)
    assert second.misplaced == []
    assert second.partition.directory is second.directory("a")
    second.finish()
    assert second.partition.directory is second.directory("b")
    assert contents(second.partition.log) == before
    second.close()


def test_a_future_log_that_has_all_is_the_log_once_the_metadata_says_so(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.append(0, 5)
    first.alter("b")
    first.move.copy_rest(now_ms=NOW_MS)
    first.crash()
    second = begin(tmp_path, there=B)
    assert second.partition.directory is second.directory("b")
    assert second.partition.log_end_offset == 5
    assert second.names("a") == ["t-0..delete"]
    assert [path.parent.name for path in second.given_up] == ["a"]
    second.close()


@pytest.mark.parametrize("behind", [0, 3])
def test_two_logs_of_one_name_are_a_swap_that_was_not_settled(tmp_path: Path, behind: int) -> None:
    """The new one gets what the other has and it lacks."""
    first = begin(tmp_path)
    first.append(0, 5)
    first.alter("b")
    first.move.copy_rest(now_ms=NOW_MS)
    if behind:
        # As a power failure leaves it: appended to the old log, copied, and not yet on the disk.
        first.append(0, behind)
        first.move.log.rename(str(tmp_path / "b" / "t-0"))
    else:
        first.replicas.moves.swap(first.move, now_ms=NOW_MS)
        first.append(0, 2)
    first.crash()
    second = begin(tmp_path, there=B)
    assert second.partition.directory is second.directory("b")
    assert second.partition.log_end_offset == (5 + behind if behind else 7)
    assert second.names("a") == ["t-0..delete"]
    second.close()


def test_two_logs_of_which_nobody_knows_more(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.append(0, 5)
    first.alter("b")
    first.move.copy_rest(now_ms=NOW_MS)
    first.move.log.rename(str(tmp_path / "b" / "t-0"))
    first.crash()
    second = begin(tmp_path, there=C)
    assert second.partition.offline
    assert (second.names("a"), second.names("b")) == (["t-0..0"], ["t-0..0", "t-1..1"])
    second.close()


def test_a_future_log_without_a_log(tmp_path: Path) -> None:
    """It is the log where the metadata says that it is there, and a stray otherwise."""
    for name, there in (("yes", B), ("no", A)):
        base = tmp_path / name
        base.mkdir()
        first = begin(base)
        first.append(0, 5)
        first.alter("b")
        first.move.copy_rest(now_ms=NOW_MS)
        first.crash()
        for file in (base / "a" / "t-0").iterdir():
            file.unlink()
        (base / "a" / "t-0").rmdir()
        second = begin(base, there=there)
        assert second.partition.log_end_offset == (5 if there == B else 0)
        assert second.names("b")[0] == ("t-0..0" if there == B else "t-0..stray")
        second.close()


def test_a_future_log_of_another_topic_is_a_stray(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.alter("b")
    first.alter("c", 1)
    first.crash()
    second = Moving(tmp_path)
    again = b"u" * 16
    second.image.apply(topic(topic_id=again))
    second.image.apply(placed(0, topic_id=again, directories=[A]))
    second.begin()
    assert not list(second.replicas.moves)
    assert second.names("b") == ["t-0..stray", "t-1..stray"]
    assert second.names("c") == ["t-1..stray"]
    second.close()


def test_a_future_log_is_cut_to_what_the_log_has(tmp_path: Path) -> None:
    def opened(name: str, *runs: tuple[int, int]) -> Log:
        log = Log.open(str(tmp_path / name), LogConfig(), now_ms=NOW_MS, clean=True)
        for epoch, count in runs:
            for _ in range(count):
                log.append(build([(b"k", b"v")]), leader_epoch=epoch, now_ms=NOW_MS)
        return log

    for number, (future_runs, source_runs, end) in enumerate(
        [
            ([(0, 5)], [(0, 9)], 5),
            ([(0, 9)], [(0, 5)], 5),
            ([(0, 5), (1, 5)], [(0, 5), (2, 9)], 5),
            ([(0, 5), (1, 5)], [(0, 7), (2, 9)], 5),
            ([(0, 7), (1, 5)], [(0, 5), (2, 9)], 5),
            ([(0, 5), (1, 5), (3, 1)], [(0, 5), (1, 3), (4, 1)], 8),
            ([(3, 5)], [], 0),
            ([], [(0, 5)], 0),
        ]
    ):
        future, source = opened(f"f{number}", *future_runs), opened(f"s{number}", *source_runs)
        fit(future, source)
        assert future.log_end_offset == end, (future_runs, source_runs)
        future.close()
        source.close()


def test_checkpoints_name_future_logs_where_they_are(moving: Moving) -> None:
    moving.append(0, 5)
    moving.partition.log.flush()
    moving.alter("c")
    moving.move.copy_some(50, now_ms=NOW_MS)
    moving.move.flush(now_ms=NOW_MS)
    moving.append(0, 5)
    moving.move.copy_some(now_ms=NOW_MS)
    moving.replicas.write_recovery_points()
    moving.replicas.write_high_watermarks()
    written = {name: moving.directory(name)._written for name in "ac"}
    assert written["a"]["recovery"] == {("t", 0): 5}
    assert written["c"]["recovery"] == {("t", 0): 5}
    assert written["a"]["mark"] == {("t", 0): 10}
    assert written["c"]["mark"] == {("t", 0): 10}


def test_a_future_log_has_not_the_checkpoint_of_who_was_there_before(tmp_path: Path) -> None:
    """There and away again, and once more there when the process is killed."""
    moving = begin(tmp_path)
    for _ in range(3):
        moving.append(0, 3)
    moving.partition.log.flush()
    moving.replicas.write_checkpoints()
    moving.alter("c")
    moving.finish()
    moving.alter("a")
    moving.move.copy_some(1, now_ms=NOW_MS)
    future = moving.move.log
    assert 0 < future.log_end_offset < 9
    moving.crash()
    again = begin(tmp_path, there=C)
    assert again.names("a") == ["t-0..future"]
    assert again.move.log.log_end_offset > 0
    again.finish()
    assert again.partition.log_end_offset == 9
    again.close()


def test_a_swap_that_fails_leaves_the_partition_where_it_is(moving: Moving) -> None:
    moving.append(0, 5)
    moving.alter("b")
    moving.move.copy_rest(now_ms=NOW_MS)
    (moving.base / "b" / "t-0").mkdir()
    with pytest.raises(KcoreError):
        moving.replicas.moves.swap(moving.move, now_ms=NOW_MS)
    moving.append(0, 1)
    assert moving.partition.directory is moving.directory("a")
    (moving.base / "b" / "t-0").rmdir()
    moving.finish()
    assert moving.partition.log_end_offset == 6
