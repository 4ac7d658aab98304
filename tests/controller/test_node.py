"""ControllerNode: start, commit, publication, snapshots, restart, disk errors, three nodes."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import CLUSTER_ID, ENDPOINT, Harness, bootstrap, directory

from kafka_py.controller.batches import parse_batches, records_of
from kafka_py.controller.format import FormatPlan, format_directories, inspect, read_bootstrap
from kafka_py.controller.log_store import KcoreLogStore
from kafka_py.controller.node import ControllerNode
from kafka_py.controller.result import Result
from kafka_py.controller.settings import ControllerSettings, Voter
from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.quorum import DescribeQuorumRequest, FetchSnapshotRequest
from kafka_py.protocol.records_metadata import NoOpRecord, decode_record
from kafka_py.protocol.topics import CreateTopicsRequest, DeleteTopicsRequest
from kafka_py.testing.clock import VirtualClock
from kafka_py.testing.raft_log import MemoryLogStore


def topics(*names: str) -> CreateTopicsRequest:
    topic = CreateTopicsRequest.CreatableTopic
    return CreateTopicsRequest(
        topics=[topic(name=name, num_partitions=1, replication_factor=1) for name in names]
    )


def test_a_fresh_sole_voter_leads_at_once() -> None:
    h = Harness(brokers=0)
    assert h.node.is_leader
    assert (h.node.epoch, h.node.leader_id) == (1, 1)
    assert h.image.metadata_version == 30
    assert h.image.features["transaction.version"] == 2
    assert h.image.broker_config(None) == {"min.insync.replicas": "1"}
    assert h.image.controllers[1].endpoints == (ENDPOINT,)
    assert h.store.read_quorum_state() == (1, 1, -1, bytes(16))
    kinds = [
        [type(decode_record(record.value)[0]).__name__ for record in records_of(batch)]
        for batch in parse_batches(h.store.read(0, 1 << 20))
        if not batch.is_control
    ]
    assert kinds == [
        [
            "BeginTransactionRecord",
            *["FeatureLevelRecord"] * 6,
            "ConfigRecord",
            "EndTransactionRecord",
        ],
        ["RegisterControllerRecord"],
    ]


def test_listeners_see_the_change_before_the_reply() -> None:
    h = Harness()
    seen: list[tuple[str, Any]] = []
    unsubscribe = h.node.subscribe(lambda image, changed: seen.append((len(image.topics), changed)))
    assert seen[0][1].everything
    h.node.submit(topics("a"), None, lambda reply: seen.append(("reply", reply)))
    assert [entry[0] for entry in seen] == [0, 1, "reply"]
    topic_id = h.image.topics["a"].id
    assert seen[1][1].topics == {topic_id: {0}}
    unsubscribe()
    h.ask(DeleteTopicsRequest(topic_names=["a"]), 5)
    assert len(seen) == 3


def test_replies_wait_for_the_flush_and_reads_for_what_came_before() -> None:
    store = MemoryLogStore()
    waiting: list[Any] = []
    h = Harness(store=store)
    h.node._run_blocking = lambda work, then: waiting.append((work, then))
    replies: list[str] = []
    h.node.submit(topics("a"), None, lambda _: replies.append("a"))
    h.node.submit(topics("b"), None, lambda _: replies.append("b"))
    h.node.submit(topics("a"), None, lambda row: replies.append(f"{row.topics[0].error_code}"))
    assert replies == []
    assert "a" not in h.image.topics
    work, then = waiting.pop(0)
    then(work())
    assert replies == ["a", "b", "36"]
    assert sorted(h.image.topics) == ["a", "b"]


def test_a_lost_leader_answers_not_controller() -> None:
    h = Harness()
    h.node._run_blocking = lambda work, then: None
    replies: list[Any] = []
    h.node.submit(topics("a"), None, replies.append)
    h.node.close()
    assert replies[0].topics[0].error_code == 41
    h.node.submit(topics("b"), None, replies.append)
    assert replies[1].topics[0].error_code == 41


def test_idle_records_are_few_and_rarely_flushed() -> None:
    h = Harness()
    flushes = 0

    def count(work: Any, then: Any) -> None:
        nonlocal flushes
        flushes += 1
        then(work())

    h.node._run_blocking = count
    end = h.store.end_offset
    for _ in range(100):
        h.clock.advance(100)
        h.heartbeat(1)
        h.node.tick()
    added = h.store.end_offset - end
    assert 18 <= added <= 20
    assert flushes == 2
    record = decode_record(next(records_of(_last_batch(h.store))).value)[0]
    assert record == NoOpRecord()


def _last_batch(store: Any) -> Any:
    return list(parse_batches(store.read(store.end_offset - 1, 1)))[-1]


def test_snapshots_trim_the_log_and_rebuild_the_image() -> None:
    h = Harness(snapshot_bytes=2000, retention_bytes=1)
    for number in range(40):
        h.ask(topics(f"t{number}"))
        h.node.tick()
    assert h.store.latest_snapshot is not None
    assert h.store.start_offset > 0
    again = Harness(brokers=0, store=h.store, clock=h.clock)
    assert again.image == h.image
    assert again.node.epoch == 2
    assert sorted(again.image.topics) == sorted(h.image.topics)


def test_a_snapshot_is_due_in_time_when_anything_came() -> None:
    h = Harness(snapshot_interval_ms=60_000)
    assert h.store.latest_snapshot is None
    h.clock.advance(60_000)
    h.node.tick()
    assert h.store.latest_snapshot is not None
    assert h.node.snapshot() is None or h.store.latest_snapshot.offset == h.node.applied_offset + 1


def test_a_stop_that_leaves_a_long_replay_writes_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for most, expected in ((10_000, False), (10, True)):
        monkeypatch.setattr("kafka_py.controller.snapshotting.RECORDS_AT_STOP_MAX", most)
        h = Harness()
        for number in range(10):
            h.ask(topics(f"t{number}"))
        assert h.store.latest_snapshot is None
        h.node.close()
        assert (h.store.latest_snapshot is not None) == expected
        assert Harness(brokers=0, store=h.store, clock=h.clock).image == h.image


def test_describe_quorum() -> None:
    h = Harness()
    request = DescribeQuorumRequest
    partition = request.PartitionData(partition_index=0)
    known = request.TopicData(topic_name="__cluster_metadata", partitions=[partition])
    row = h.ask(request(topics=[known])).topics[0].partitions[0]
    assert (row.error_code, row.leader_id, row.leader_epoch) == (0, 1, 1)
    assert row.high_watermark == h.store.end_offset
    (voter,) = row.current_voters
    assert (voter.replica_id, voter.log_end_offset) == (1, h.store.end_offset)
    assert voter.last_fetch_timestamp == h.clock.now_ms()
    unknown = request.TopicData(topic_name="x", partitions=[partition])
    assert h.ask(request(topics=[unknown])).topics[0].partitions[0].error_code == 3


def test_empty_raft_requests_are_refused_and_harm_nobody() -> None:
    h = Harness()
    for request in (FetchSnapshotRequest(topics=[]), FetchRequest(topics=[])):
        assert h.ask(request).error_code == 42
    bad = FetchRequest(cluster_id="other", topics=[])
    assert h.ask(bad).error_code == 104
    assert h.node.is_leader


# -- Kafka's own files -----------------------------------------------------------------------------


def formatted(path: Path) -> str:
    place = str(path / "data")
    plan = FormatPlan(CLUSTER_ID, 1, [place], place)
    format_directories(plan, random=random.Random(3), now_ms=1_700_000_000_000)
    return place


def on_disk(place: str, **settings: Any) -> Harness:
    store = KcoreLogStore(place, now_ms=1_700_000_000_000)
    return Harness(store=store, brokers=0, **settings)


def test_restarts_clean_and_not(tmp_path: Path) -> None:
    place = formatted(tmp_path)
    assert inspect([place]).cluster_id == CLUSTER_ID
    assert read_bootstrap(place) == bootstrap()
    h = on_disk(place)
    h.join(1)
    h.ask(topics("a", "b"))
    image = h.image
    h.node.close()
    h = on_disk(place)
    assert (h.image == image, h.node.epoch) == (True, 2)
    h.ask(topics("c"))
    # No close: the process is gone. A torn batch follows what was flushed.
    log = next((Path(place) / "__cluster_metadata-0").glob("*.log"))
    image, end = h.image, h.store.end_offset
    size = h.store.log.size_bytes
    h.store.close()
    with open(log, "r+b") as file:
        file.seek(size)
        file.write(b"\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x50torn")
    h = on_disk(place)
    assert h.image == image
    assert (h.store.end_offset, h.node.epoch) == (end + 1, 3)
    h.node.close()


def test_snapshot_files_and_retention(tmp_path: Path) -> None:
    place = formatted(tmp_path)
    h = on_disk(place, snapshot_bytes=1500, retention_bytes=4000)
    h.join(1)
    for number in range(60):
        h.ask(topics(f"t{number}"))
        h.node.tick()
    image = h.image
    names = sorted(p.name for p in (Path(place) / "__cluster_metadata-0").glob("*.checkpoint"))
    assert names
    assert h.store.start_offset > 0
    assert int(names[0][:20]) == h.store.start_offset
    h.node.close()
    h = on_disk(place)
    assert h.image == image
    h.node.close()


def test_a_failed_disk_ends_it_all(tmp_path: Path) -> None:
    from kcore import syscalls

    place = formatted(tmp_path)
    h = on_disk(place)
    h.join(1)
    fatal: list[BaseException] = []
    h.node._fatal = fatal.append
    replies: list[Any] = []
    syscalls.inject("fdatasync", 1, 5)
    syscalls.inject("msync", 1, 5)
    try:
        h.node.submit(topics("a"), None, replies.append)
    finally:
        syscalls.clear()
    assert len(fatal) == 1
    assert replies[0].topics[0].error_code == 41
    assert "a" not in h.image.topics
    assert not h.node.is_leader
    h.node.submit(topics("b"), None, replies.append)
    assert replies[1].topics[0].error_code == 41


# -- three nodes -----------------------------------------------------------------------------------


class Quorum:
    """Three nodes whose raft requests travel as bytes, each within the same call."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.down: set[int] = set()
        voters = {n: Voter(n, "127.0.0.1", 9090 + n) for n in (1, 2, 3)}
        self.stores = {n: MemoryLogStore() for n in voters}
        self.settings = ControllerSettings(voters=voters, endpoints=(ENDPOINT,))
        self.queue: list[Any] = []
        self.nodes = {n: self._node(n) for n in voters}
        for node in self.nodes.values():
            node.start()

    def _node(self, node_id: int) -> ControllerNode:
        def send(to: int, message: Any, request_id: int) -> None:
            self.queue.append((node_id, to, message, request_id))

        return ControllerNode(
            self.stores[node_id],
            node_id=node_id,
            cluster_id=CLUSTER_ID,
            directory_id=directory(node_id),
            settings=self.settings,
            clock=self.clock,
            random=random.Random(node_id),
            incarnation_id=bytes([node_id]) * 16,
            bootstrap=bootstrap(),
            send=send,
        )

    def run(self, duration_ms: int) -> None:
        for _ in range(duration_ms // 10):
            self.clock.advance(10)
            for node_id, node in self.nodes.items():
                if node_id not in self.down:
                    node.tick()
            queue, self.queue = self.queue, []
            for source, to, message, request_id in queue:
                self._travel(source, to, message, request_id)

    def _travel(self, source: int, to: int, message: Any, request_id: int) -> None:
        if source in self.down:
            return
        if to in self.down:
            self.nodes[source].deliver(to, request_id, None)
            return
        version = type(message).VERSIONS[1]
        request = type(message).decode(message.encode(version), version)

        def done(reply: Any) -> None:
            if source not in self.down and to not in self.down:
                answer = type(reply).decode(reply.encode(version), version)
                self.nodes[source].deliver(to, request_id, answer)

        self.nodes[to].submit(request, None, done)

    @property
    def leader(self) -> ControllerNode:
        """The one that leads."""
        (leader,) = [n for i, n in self.nodes.items() if n.is_leader and i not in self.down]
        return leader


def test_three_nodes_agree_and_survive_the_loss_of_one() -> None:
    quorum = Quorum()
    quorum.run(5000)
    leader = quorum.leader
    replies: list[Any] = []
    brokerless = topics("a")
    leader.submit(brokerless, None, replies.append)
    quorum.run(500)
    assert replies[0].topics[0].error_code == 38  # there are no brokers in this cluster
    for node in quorum.nodes.values():
        assert node.image.features["metadata.version"] == 30
        assert leader.node_id in node.image.controllers
        assert node.leader_id == leader.node_id
    other = next(n for n in quorum.nodes.values() if n is not leader)
    other.submit(brokerless, None, replies.append)
    assert replies[1].topics[0].error_code == 41
    quorum.down.add(leader.node_id)
    quorum.run(8000)
    second = quorum.leader
    assert second.epoch > 1
    quorum.run(1000)
    assert second.node_id in second.image.controllers
    described = second.describe_quorum().topics[0].partitions[0]
    assert sorted(voter.replica_id for voter in described.current_voters) == [1, 2, 3]


def test_a_leader_cut_off_from_its_quorum_gives_up() -> None:
    quorum = Quorum()
    quorum.run(5000)
    leader = quorum.leader
    replies: list[Any] = []
    quorum.down |= {node_id for node_id in quorum.nodes if node_id != leader.node_id}
    leader._append(Result([NoOpRecord()], "reply"), replies.append)
    leader._drain()
    assert replies == []
    quorum.run(3500)
    assert not leader.is_leader
    assert len(replies) == 1
    leader.submit(topics("a"), None, replies.append)
    assert replies[1].topics[0].error_code == 41
    quorum.down.clear()
    quorum.run(6000)
    assert quorum.leader.epoch > 1


def test_settings_from_a_bad_voter_list() -> None:
    from kafka_py.controller.settings import parse_quorum_voters

    assert parse_quorum_voters("1@h:9093, 2@[::1]:9094")[2] == Voter(2, "::1", 9094)
    with pytest.raises(ValueError, match="'x' is not of the form"):
        parse_quorum_voters("x")
