"""Replicas move between the log directories of a running broker, under its clients' hands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_py.metadata.types import DIRECTORY_UNASSIGNED
from kafka_py.protocol.cluster import AlterReplicaLogDirsRequest, DescribeLogDirsRequest
from kafka_py.protocol.configs import IncrementalAlterConfigsRequest
from kafka_py.protocol.group_offsets import OffsetFetchRequest
from kafka_py.protocol.topics import CreateTopicsRequest, DeleteTopicsRequest
from kafka_py.replication.move import Move
from kafka_py.server.broker import Broker
from kcore.record_batch import batches
from tests.server.conftest import make_topic, on_loop
from tests.server.group_requests import (
    GROUPS_TOPIC,
    await_coordinator,
    commit,
    fetch_group,
    offsets_of,
)
from tests.server.messages import batch, fetch, offsets, produce
from tests.server.wire import Wire
from tests.waiting import eventually


class Two:
    """A broker of two directories, and what one asks it."""

    def __init__(self, base: Path, **properties: str) -> None:
        self.paths = {name: str(base / name) for name in "ab"}
        named = {name.replace("_", "."): value for name, value in properties.items()}
        self.broker = Broker({"log.dirs": ",".join(self.paths.values()), **named})

    def __enter__(self) -> Two:
        self.broker.__enter__()
        try:
            self.wire = Wire(self.broker.bootstrap_servers)
        except BaseException:
            self.broker.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        self.wire.socket.close()
        self.broker.__exit__(*exception)

    def alter(self, topic: str, directory: str, *indexes: int) -> list[int]:
        """The error code of each partition (default: 0)."""
        asked = AlterReplicaLogDirsRequest.AlterReplicaLogDirTopic(
            name=topic, partitions=list(indexes or (0,))
        )
        one = AlterReplicaLogDirsRequest.AlterReplicaLogDir(
            path=self.paths.get(directory, directory), topics=[asked]
        )
        reply = self.wire.call(AlterReplicaLogDirsRequest(dirs=[one]), 2)
        return [row.error_code for row in reply.results[0].partitions]

    def places(self, topic: str, index: int = 0) -> dict[str, bool]:
        """{directory: whether it is a future replica} of a partition."""
        reply = self.wire.call(DescribeLogDirsRequest(topics=None), 4)
        return {
            Path(one.log_dir).name: row.is_future_key
            for one in reply.results
            for found in one.topics
            for row in found.partitions
            if found.name == topic and row.partition_index == index
        }

    def wait(self, true: Callable[[], bool]) -> None:
        eventually(true, 0.01)

    def wait_at(self, topic: str, directory: str, index: int = 0) -> None:
        """Until the replica is there, and nowhere else."""
        self.wait(lambda: self.places(topic, index) == {directory: False})

    def put(self, topic: str, count: int, size: int = 1000) -> None:
        for _ in range(count):
            reply = self.wire.call(produce(topic, batch(1, size), acks=-1), 9)
            assert reply.responses[0].partition_responses[0].error_code == 0

    def read(self, topic: str) -> list[int]:
        """Base offsets of all batches."""
        found: list[int] = []
        at = 0
        while True:
            got = self.wire.call(fetch(topic, at), 12).responses[0].partitions[0]
            assert got.error_code == 0
            if not got.records:
                return found
            for one in batches(bytes(got.records)):
                found.append(one.base_offset)
                at = one.last_offset + 1

    def assigned(self, topic: str, index: int = 0) -> str:
        """The directory that the metadata names."""
        node = self.broker.node

        def look() -> str:
            there = node.image.topics[topic].partitions[index].directory(1)
            names = {d.directory_id: d.path.name for d in node.replicas.log_dirs}
            return "none" if there == DIRECTORY_UNASSIGNED else names[there]

        return str(on_loop(self.broker, look))

    def throttle(self, bytes_per_second: int) -> None:
        request = IncrementalAlterConfigsRequest
        config = request.AlterableConfig(
            name="replica.alter.log.dirs.io.max.bytes.per.second",
            config_operation=0,
            value=str(bytes_per_second),
        )
        resource = request.AlterConfigsResource(resource_type=4, resource_name="", configs=[config])
        reply = self.wire.call(request(resources=[resource]), 1)
        assert reply.responses[0].error_code == 0, reply


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    with Two(tmp_path) as made:
        yield made


def other(name: str) -> str:
    return "b" if name == "a" else "a"


def home(two: Two, topic: str) -> str:
    """Where a topic's partition is now."""
    (found,) = two.places(topic)
    return found


def test_new_replicas_are_spread_and_the_controller_learns_where(two: Two) -> None:
    make_topic(two.wire, "t", 4)
    found = [list(two.places("t", index)) for index in range(4)]
    assert sorted(found) == [["a"], ["a"], ["b"], ["b"]]
    for index in range(4):
        two.wait(lambda index=index: [two.assigned("t", index)] == found[index])


def test_a_replica_moves_and_the_metadata_follows(two: Two, tmp_path: Path) -> None:
    make_topic(two.wire, "t")
    two.put("t", 20)
    before, after = home(two, "t"), other(home(two, "t"))
    assert two.alter("t", after) == [0]
    two.wait_at("t", after)
    assert two.assigned("t") == after
    assert two.read("t") == list(range(20))
    two.put("t", 1)
    names = [one.name for one in (tmp_path / before).iterdir() if one.name.startswith("t-0")]
    two.wait(lambda: not (tmp_path / before / "t-0").exists())
    assert all(name == "t-0" or name.endswith("-delete") for name in names)
    asked = two.wire.call(offsets("t", 0), 7).topics[0].partitions[0]
    assert (asked.error_code, asked.offset) == (0, 0)


def test_the_metadata_names_no_third_directory_while_two_have_the_log(
    two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a start could not tell which of them it is: back again is not asked for before."""
    make_topic(two.wire, "t")
    two.put("t", 20)
    before, after = home(two, "t"), other(home(two, "t"))
    held, let_go = threading.Event(), threading.Event()
    settle = Move.settle

    def slow(move: Move, *, now_ms: int) -> None:
        held.set()
        assert let_go.wait(30)
        settle(move, now_ms=now_ms)

    monkeypatch.setattr(Move, "settle", slow)
    assert two.alter("t", after) == [0]
    assert held.wait(30)
    assert two.alter("t", before) == [0]
    two.wait(lambda: any(one.name.endswith("-future") for one in (tmp_path / before).iterdir()))
    time.sleep(0.3)
    assert two.assigned("t") == after
    assert (tmp_path / before / "t-0").is_dir()
    monkeypatch.setattr(Move, "settle", settle)
    let_go.set()
    two.wait_at("t", before)
    two.wait(lambda: two.assigned("t") == before)
    assert two.read("t") == list(range(20))


def test_what_was_left_goes_after_its_delay(tmp_path: Path) -> None:
    with Two(tmp_path, log_segment_delete_delay_ms="500") as two:
        make_topic(two.wire, "t")
        two.put("t", 3)
        before = home(two, "t")
        began = time.monotonic()
        two.alter("t", other(before))
        two.wait_at("t", other(before))
        two.wait(lambda: not any((tmp_path / before).glob("t-0*")))
        assert time.monotonic() - began >= 0.5


def test_it_stays_where_it_went(tmp_path: Path) -> None:
    with Two(tmp_path) as two:
        make_topic(two.wire, "t")
        two.put("t", 5)
        target = other(home(two, "t"))
        two.alter("t", target)
        two.wait_at("t", target)
    with Two(tmp_path) as two:
        assert two.places("t") == {target: False}
        assert two.assigned("t") == target
        assert two.read("t") == list(range(5))


def test_a_move_under_way_survives_a_restart(tmp_path: Path) -> None:
    """Slow at first; the next start goes on, and faster."""
    with Two(tmp_path) as two:
        make_topic(two.wire, "t")
        two.put("t", 60, 100_000)
        two.throttle(100_000)
        source = home(two, "t")
        assert two.alter("t", other(source)) == [0]
        two.wait(lambda: len(two.places("t")) == 2)
    assert any((tmp_path / other(source)).glob("t-0.*-future"))
    with Two(tmp_path) as two:
        assert two.places("t") == {source: False, other(source): True}
        two.throttle(1 << 40)
        two.wait_at("t", other(source))
        assert two.assigned("t") == other(source)
        assert two.read("t") == list(range(60))


def test_a_throttled_move_can_be_given_up(two: Two, tmp_path: Path) -> None:
    make_topic(two.wire, "t")
    two.put("t", 60, 100_000)
    two.throttle(100_000)
    source = home(two, "t")
    two.alter("t", other(source))
    two.wait(lambda: len(two.places("t")) == 2)
    reply = two.wire.call(DescribeLogDirsRequest(topics=None), 4)
    lags = [p.offset_lag for d in reply.results for t in d.topics for p in t.partitions]
    assert sorted(lags)[0] == 0
    assert sorted(lags)[-1] > 0
    assert two.alter("t", source) == [0]
    two.wait_at("t", source)
    two.wait(lambda: two.assigned("t") == source)
    assert not any((tmp_path / other(source)).glob("t-0.*-future"))
    two.put("t", 1, 10)


def test_a_topic_is_deleted_on_its_way(two: Two, tmp_path: Path) -> None:
    make_topic(two.wire, "t")
    two.put("t", 60, 100_000)
    two.throttle(100_000)
    two.alter("t", other(home(two, "t")))
    two.wait(lambda: len(two.places("t")) == 2)
    two.wire.call(DeleteTopicsRequest(topic_names=["t"], timeout_ms=30_000), 5)
    make_topic(two.wire, "t")
    two.put("t", 1)
    assert two.read("t") == [0]
    assert not any(tmp_path.glob("?/t-0.*-future"))


def test_nothing_is_lost_while_it_goes_back_and_forth(two: Two) -> None:
    """Producers of three kinds and a reader go on, and see no error."""
    make_topic(two.wire, "t", segment_bytes="1048576")
    stop = threading.Event()
    acknowledged: list[int] = []
    errors: list[Any] = []

    def send(acks: int, **options: Any) -> None:
        with Wire(two.broker.bootstrap_servers) as connection:
            while not stop.is_set():
                reply = connection.call(produce("t", batch(**options), acks=acks), 9)
                row = reply.responses[0].partition_responses[0]
                if row.error_code:
                    errors.append(row)
                    return
                acknowledged.append(row.base_offset)

    def read() -> None:
        at = 0
        with Wire(two.broker.bootstrap_servers) as connection:
            while not stop.is_set():
                reply = connection.call(fetch("t", at, wait_ms=20), 12)
                row = reply.responses[0].partitions[0]
                if row.error_code:
                    errors.append(row)
                    return
                for one in batches(bytes(row.records or b"")):
                    if one.base_offset != at:
                        errors.append((one.base_offset, at))
                        return
                    at = one.last_offset + 1

    threads = [
        threading.Thread(target=send, args=(-1,), kwargs={"size": 5000}),
        threading.Thread(target=send, args=(1,), kwargs={"records": 3}),
        # Checked by a worker thread, behind which the others queue up.
        threading.Thread(
            target=send, args=(-1,), kwargs={"records": 400, "size": 4000, "compression": "lz4"}
        ),
        threading.Thread(target=read),
    ]
    for thread in threads:
        thread.start()
    try:
        here, moves = home(two, "t"), 0
        until = time.monotonic() + 3
        while (time.monotonic() < until or moves < 3) and not errors:
            here = other(here)
            assert two.alter("t", here) == [0]
            two.wait_at("t", here)
            moves += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    found = two.read("t")
    assert sorted(acknowledged) == found


def test_groups_commit_while_their_log_moves(tmp_path: Path) -> None:
    """Their coordinator goes on in the other log, and a restart loads it from there."""
    settings = {
        "offsets_topic_num_partitions": "1",
        "group_initial_rebalance_delay_ms": "0",
        "offsets_topic_replication_factor": "1",
    }
    with Two(tmp_path, **settings) as two:
        make_topic(two.wire, "t")
        await_coordinator(two.wire, "g")
        stop, committed, errors = threading.Event(), [0], []

        def commits() -> None:
            with Wire(two.broker.bootstrap_servers) as connection:
                while not stop.is_set():
                    reply = connection.call(commit("g", {"t": {0: committed[0] + 1}}), 8)
                    error = reply.topics[0].partitions[0].error_code
                    if error:
                        errors.append(error)
                        return
                    committed[0] += 1

        thread = threading.Thread(target=commits)
        thread.start()
        try:
            here = home(two, GROUPS_TOPIC)
            for _ in range(4):
                here = other(here)
                assert two.alter(GROUPS_TOPIC, here) == [0]
                two.wait_at(GROUPS_TOPIC, here)
            eventually(lambda: errors or committed[0] > 4)
        finally:
            stop.set()
            thread.join()
        assert not errors
    with Two(tmp_path, **settings) as two:
        await_coordinator(two.wire, "g")
        assert two.places(GROUPS_TOPIC) == {here: False}
        request = OffsetFetchRequest(groups=[fetch_group("g", {"t": [0]})])
        # While it is loaded, clients are told to come back.
        two.wait(lambda: two.wire.call(request, 9).groups[0].error_code == 0)
        (answer,) = two.wire.call(request, 9).groups
        assert offsets_of(answer) == {"t": {0: committed[0]}}


@pytest.mark.parametrize("directory", ["nowhere", "relative"])
def test_errors_are_each_partitions_own(two: Two, directory: str) -> None:
    make_topic(two.wire, "t", 2)
    assert two.alter("t", directory, 0, 1) == [57, 57]
    assert two.alter("t", "a", 0, 7) == [0, 3]
    assert two.alter("u", "b") == [3]
    make_topic(two.wire, "u")
    two.wait_at("u", "b")
    two.wait(lambda: two.assigned("u") == "b")


def test_where_all_directories_are_cordoned_no_topic_is_made(tmp_path: Path) -> None:
    """The controller hears of it with the heartbeats (KIP-1066)."""
    with Two(tmp_path, cordoned_log_dirs="*") as two:
        topic = CreateTopicsRequest.CreatableTopic(name="t", num_partitions=1, replication_factor=1)
        reply = two.wire.call(CreateTopicsRequest(topics=[topic], timeout_ms=30_000), 7)
        assert reply.topics[0].error_code == 38
