"""Fetch from a running broker: bounds, waiting, sessions, errors, others' transactions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.topics import DeleteTopicsRequest
from kafka_py.server.broker import Broker
from kafka_py.server.dispatch import BROKER, RequestContext
from kafka_py.server.handlers.fetch import fetch as handler
from kcore import Log, LogConfig
from kcore.batch_builder import build_end_marker
from kcore.log import REPLICA
from tests.server.conftest import make_topic
from tests.server.messages import batch, fetch, produce
from tests.server.wire import Wire
from tests.waiting import FOREVER_MS, PATIENCE_S, eventually

BATCH = batch(2, 100)


def only(response: Any) -> Any:
    """The answer about the only partition."""
    assert response.error_code == 0, response
    (topic,) = response.responses
    (partition,) = topic.partitions
    return partition


def fill(wire: Wire, topic: str, count: int, data: bytes = BATCH) -> None:
    """So many batches into the first partition."""
    for _ in range(count):
        reply = wire.call(produce(topic, data), 9)
        assert reply.responses[0].partition_responses[0].error_code == 0


def partition_of(broker: Broker, topic: str, index: int = 0) -> Any:
    """The replica."""
    return broker.node.replicas.partition(topic, index)


def waiting(broker: Broker, topic: str) -> int:
    """How many fetches wait for the first partition."""
    return sum(not one.done for one in list(partition_of(broker, topic).fetch_waiters or ()))


# --------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("wait_ms", [0, 1], ids=["compiled or not", "session"])
def test_the_first_batch_comes_whatever_the_limits_are(
    wire: Wire, topic: str, wait_ms: int
) -> None:
    fill(wire, topic, 3)
    epoch = -1 if wait_ms == 0 else 0
    for limits in ({"max_bytes": 1}, {"partition_bytes": 1}, {"max_bytes": 0}):
        found = only(wire.call(fetch(topic, 0, session_epoch=epoch, **limits), 12))
        assert len(found.records) == len(BATCH)
    two = only(wire.call(fetch(topic, 0, partition_bytes=2 * len(BATCH), session_epoch=epoch), 12))
    assert len(two.records) == 2 * len(BATCH)


def test_only_the_first_partition_with_data_may_exceed(
    wire: Wire, new_topic: Callable[..., Any]
) -> None:
    new_topic("exceed", 3)
    wire.call(produce("exceed", BATCH, BATCH, BATCH), 9)
    for epoch in (-1, 0):
        reply = wire.call(fetch("exceed", 2, 0, 0, max_bytes=10, session_epoch=epoch), 12)
        sizes = [len(p.records) for p in reply.responses[0].partitions]
        assert sizes == [0, len(BATCH), 0]


def test_long_replies_are_the_same_bytes_by_either_path(
    broker: Broker, wire: Wire, topic: str
) -> None:
    """From 64 KiB on both go by sendfile."""
    fill(wire, topic, 5, batch(1, 150_000))
    expected = bytes(partition_of(broker, topic).log.read(0, 1 << 24).view)
    for epoch in (-1, 0):
        found = only(wire.call(fetch(topic, 0, session_epoch=epoch), 12))
        assert bytes(found.records) == expected
        rest = only(wire.call(fetch(topic, 3, session_epoch=epoch), 12))
        assert bytes(rest.records) == expected[len(expected) // 5 * 3 :]


def test_the_brokers_own_limit(new_topic: Callable[..., Any]) -> None:
    with Broker({"fetch.max.bytes": "1024"}) as small, Wire(small.bootstrap_servers) as wire:
        make_topic(wire, "own")
        fill(wire, "own", 20)
        for epoch in (-1, 0):
            found = only(wire.call(fetch("own", 0, session_epoch=epoch), 12))
            assert 0 < len(found.records) <= 1024
        # A minimum above the limit is never waited for.
        found = only(wire.call(fetch("own", 0, min_bytes=1 << 20, wait_ms=FOREVER_MS), 12))
        assert found.records


# -------------------------------------------------------------------------------------- waiting


def test_waits_for_bytes_and_no_longer(broker: Broker, wire: Wire, topic: str) -> None:
    with Wire(broker.bootstrap_servers) as reader:
        reader.send(fetch(topic, 0, wait_ms=FOREVER_MS, min_bytes=len(BATCH) + 1), 12)
        fill(wire, topic, 1)
        reader.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            reader.socket.recv(1)
        reader.socket.settimeout(PATIENCE_S)
        fill(wire, topic, 1)
        assert len(only(reader.receive()).records) == 2 * len(BATCH)


def test_answers_with_what_there_is_when_the_time_is_up(wire: Wire, topic: str) -> None:
    fill(wire, topic, 1)
    began = time.monotonic()
    found = only(wire.call(fetch(topic, 0, wait_ms=150, min_bytes=1 << 19), 12))
    assert time.monotonic() - began > 0.14
    assert len(found.records) == len(BATCH)
    assert not only(wire.call(fetch(topic, 2, wait_ms=20), 12)).records


def test_a_deleted_topic_ends_the_wait(broker: Broker, wire: Wire, topic: str) -> None:
    with Wire(broker.bootstrap_servers) as reader:
        reader.send(fetch(topic, 0, wait_ms=FOREVER_MS), 12)
        eventually(lambda: waiting(broker, topic) == 1)
        wire.call(DeleteTopicsRequest(topic_names=[topic], timeout_ms=30_000), 5)
        assert only(reader.receive()).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_an_error_is_answered_at_once(wire: Wire, topic: str) -> None:
    found = only(wire.call(fetch(topic, 99, wait_ms=FOREVER_MS), 12))
    assert found.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
    assert (found.high_watermark, found.last_stable_offset, found.log_start_offset) == (-1, -1, -1)


def test_many_wait_for_one_partition(broker: Broker, wire: Wire, topic: str) -> None:
    readers = [Wire(broker.bootstrap_servers) for _ in range(40)]
    try:
        for reader in readers:
            reader.send(fetch(topic, 0, wait_ms=FOREVER_MS), 12)
        eventually(lambda: waiting(broker, topic) == len(readers))
        fill(wire, topic, 1)
        for reader in readers:
            assert len(only(reader.receive()).records) == len(BATCH)
    finally:
        for reader in readers:
            reader.socket.close()
    assert not any(not w.done for w in partition_of(broker, topic).fetch_waiters or ())


# -------------------------------------------------------------------------------------- sessions


def test_a_session_over_the_wire(broker: Broker, wire: Wire, new_topic: Callable[..., Any]) -> None:
    topic_id = new_topic("session", 2)
    first = wire.call(fetch(topic_id, 0, 0, session_epoch=0), 16)
    session = first.session_id
    assert session
    assert len(first.responses[0].partitions) == 2
    epoch = 0

    def more(*offsets: int, **fields: Any) -> Any:
        nonlocal epoch
        epoch += 1
        request = fetch(topic_id, *offsets, session_id=session, session_epoch=epoch, **fields)
        if not offsets:
            request.topics = []
        return wire.call(request, 16)

    assert more().responses == []
    wire.call(produce("session", BATCH), 9)
    (topic,) = more().responses
    assert topic.topic_id == topic_id
    assert [(p.partition_index, len(p.records)) for p in topic.partitions] == [(0, len(BATCH))]
    # Not yet moved on: the same again.
    assert len(more().responses[0].partitions[0].records) == len(BATCH)
    assert more(2).responses == []
    forgotten = FetchRequest.ForgottenTopic(topic_id=topic_id, partitions=[0])
    assert more(forgotten_topics_data=[forgotten]).responses == []
    wire.call(produce("session", BATCH, BATCH), 9)
    assert [p.partition_index for p in more().responses[0].partitions] == [1]
    wrong = wire.call(fetch(topic_id, session_id=session, session_epoch=99), 16)
    assert (wrong.error_code, wrong.session_id) == (ErrorCode.INVALID_FETCH_SESSION_EPOCH, 0)
    wire.call(fetch(topic_id, 0, session_id=session, session_epoch=-1), 16)
    gone = wire.call(fetch(topic_id, session_id=session, session_epoch=epoch + 1), 16)
    assert gone.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_an_incremental_fetch_waits_for_news(broker: Broker, wire: Wire, topic: str) -> None:
    with Wire(broker.bootstrap_servers) as reader:
        session = reader.call(fetch(topic, 0, session_epoch=0), 12).session_id
        request = FetchRequest(
            max_wait_ms=FOREVER_MS, min_bytes=1, session_id=session, session_epoch=1, topics=[]
        )
        reader.send(request, 12)
        eventually(lambda: waiting(broker, topic) == 1)
        fill(wire, topic, 1)
        assert len(only(reader.receive()).records) == len(BATCH)


def test_a_request_overtaken_in_its_session_is_refused(
    broker: Broker, wire: Wire, topic: str
) -> None:
    """Two connections use one session: the first, still waiting, must not change it any more."""
    with Wire(broker.bootstrap_servers) as one, Wire(broker.bootstrap_servers) as two:
        session = one.call(fetch(topic, 0, session_epoch=0), 12).session_id
        fields: dict[str, Any] = {"min_bytes": 1, "session_id": session, "topics": []}
        one.send(FetchRequest(max_wait_ms=FOREVER_MS, session_epoch=1, **fields), 12)
        eventually(lambda: waiting(broker, topic) == 1)
        assert two.call(FetchRequest(max_wait_ms=0, session_epoch=2, **fields), 12).error_code == 0
        fill(wire, topic, 1)
        late = one.receive()
        assert late.error_code == ErrorCode.INVALID_FETCH_SESSION_EPOCH
        assert late.session_id == session


# -------------------------------------------------------------------------------- who may read


def test_unknown_topics_by_name_and_by_id(wire: Wire, topic: str) -> None:
    for version in (4, 12):
        found = only(wire.call(fetch("nowhere", 0), version))
        assert found.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    found = only(wire.call(fetch(bytes(range(16)), 0), 16))
    assert found.error_code == ErrorCode.UNKNOWN_TOPIC_ID
    request = fetch(topic, 0)
    request.topics[0].partitions[0].partition = 7
    assert only(wire.call(request, 12)).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize(
    ("epoch", "error"),
    [
        (0, ErrorCode.NONE),
        (-1, ErrorCode.NONE),
        (9, ErrorCode.UNKNOWN_LEADER_EPOCH),
    ],
)
def test_leader_epochs(wire: Wire, topic: str, epoch: int, error: ErrorCode) -> None:
    for version in (9, 12):
        request = fetch(topic, 0)
        request.topics[0].partitions[0].current_leader_epoch = epoch
        assert only(wire.call(request, version)).error_code == error


def test_diverging_epochs(wire: Wire, topic: str) -> None:
    fill(wire, topic, 2)

    def ask(last: int, offset: int) -> Any:
        request = fetch(topic, offset, wait_ms=FOREVER_MS)
        request.topics[0].partitions[0].last_fetched_epoch = last
        return only(wire.call(request, 12))

    assert len(ask(0, 2).records) == len(BATCH)
    beyond = ask(0, 5)
    assert (beyond.error_code, beyond.records) == (0, b"")
    assert (beyond.diverging_epoch.epoch, beyond.diverging_epoch.end_offset) == (0, 4)
    assert beyond.high_watermark == 4
    # Below the log's start is out of range, whatever the epoch says.
    assert ask(0, -1).error_code == ErrorCode.OFFSET_OUT_OF_RANGE


class Asked:
    """One fetch given straight to the handler, on the broker's loop."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def __call__(self, request: Any, version: int) -> Any:
        node = self.broker.node
        context = RequestContext(
            int(ApiKey.FETCH), version, 1, "test", "PLAINTEXT", "127.0.0.1", "User:X", 0, BROKER
        )
        done: list[Any] = []
        ready = threading.Event()

        def work() -> None:
            done.append(handler(node, context, request))
            ready.set()

        self.broker.loop.call_soon_threadsafe(work)
        assert ready.wait(PATIENCE_S)
        return done[0]


def test_the_leader_is_named_to_who_asks_the_wrong_broker(
    broker: Broker, wire: Wire, new_topic: Callable[..., Any]
) -> None:
    topic_id = new_topic("moved")
    partition = partition_of(broker, "moved")
    partition.leads = False
    try:
        found = wire.call(fetch(topic_id, 0), 16)
        said = only(found)
        assert said.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert (said.current_leader.leader_id, said.current_leader.leader_epoch) == (1, 0)
        (node,) = found.node_endpoints
        assert f"{node.host}:{node.port}" == broker.bootstrap_servers
        older = wire.call(fetch(topic_id, 0), 15)
        assert (only(older).current_leader.leader_id, older.node_endpoints) == (-1, [])
    finally:
        partition.leads = True


@pytest.mark.parametrize(
    ("version", "error"),
    [(5, ErrorCode.NOT_LEADER_OR_FOLLOWER), (6, ErrorCode.KAFKA_STORAGE_ERROR)],
)
def test_an_offline_log(
    broker: Broker, wire: Wire, topic: str, version: int, error: ErrorCode
) -> None:
    partition_of(broker, topic).offline = True
    try:
        assert only(wire.call(fetch(topic, 0), version)).error_code == error
    finally:
        partition_of(broker, topic).offline = False


def test_zstd_topics_need_version_10(wire: Wire, new_topic: Callable[..., Any]) -> None:
    new_topic("zstd", compression_type="zstd")
    fill(wire, "zstd", 1)
    refused = only(wire.call(fetch("zstd", 0), 9))
    assert refused.error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert not refused.records
    assert only(wire.call(fetch("zstd", 0), 10)).records


def test_a_follower_must_be_a_replica(broker: Broker, topic: str) -> None:
    ask = Asked(broker)
    old = ask(fetch(topic, 0, replica_id=7), 12)
    assert only(old).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    state = FetchRequest.ReplicaState(replica_id=7, replica_epoch=1)
    topic_id = partition_of(broker, topic).topic_id
    new = ask(fetch(topic_id, 0, replica_state=state), 17)
    assert only(new).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_a_partition_named_twice_is_answered_once(wire: Wire, topic: str) -> None:
    """As in Kafka the later mention counts, in the place of the first."""
    fill(wire, topic, 2)
    request = fetch(topic, 0, 2)
    request.topics[0].partitions[1].partition = 0
    assert len(only(wire.call(request, 12)).records) == len(BATCH)


# --------------------------------------------------------------------------------- transactions


def test_aborted_transactions_that_apache_left_in_a_log(broker: Broker, wire: Wire) -> None:
    """Nobody can begin a transaction here, but a directory of Apache's may hold them."""
    make_topic(wire, "aborted")
    partition = partition_of(broker, "aborted")
    log = partition.log
    row: Any = {"producer_id": 77, "producer_epoch": 0, "leader_epoch": 0}
    marks: Any = {"coordinator_epoch": 0, "timestamp": 1, "base_offset": 2}

    def work() -> None:
        first = batch(2, base_offset=0, transactional=True, base_sequence=0, **row)
        marker = build_end_marker(False, **marks, **row)
        log.append(first + marker, leader_epoch=0, now_ms=1, origin=REPLICA)
        partition.advance()

    done = threading.Event()
    broker.loop.call_soon_threadsafe(lambda: (work(), done.set()))
    assert done.wait(PATIENCE_S)
    for epoch in (-1, 0):
        for version in (4, 12):
            plain = only(wire.call(fetch("aborted", 0, session_epoch=epoch), version))
            assert plain.aborted_transactions is None
            assert plain.records
            committed = only(
                wire.call(fetch("aborted", 0, session_epoch=epoch, isolation_level=1), version)
            )
            told = [(a.producer_id, a.first_offset) for a in committed.aborted_transactions]
            assert told == [(77, 0)]
            assert bytes(committed.records) == bytes(plain.records)


def test_an_isolation_level_that_does_not_exist(wire: Wire, topic: str) -> None:
    assert wire.call(fetch(topic, 0, isolation_level=5), 12).error_code == ErrorCode.INVALID_REQUEST


# --------------------------------------------------------------------------------------- cold


def test_cold_pages_are_read_by_a_worker(
    broker: Broker, wire: Wire, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a read may wait for the disk, the loop does not read."""
    fill(wire, topic, 2)
    partition = partition_of(broker, topic)
    calls: list[str] = []

    class Cold:
        """A log none of whose pages are in memory."""

        def __init__(self, log: Log) -> None:
            self.log = log
            self.config: LogConfig = log.config

        def __getattr__(self, name: str) -> Any:
            return getattr(self.log, name)

        def is_cold(self, offset: int, bytes_max: int) -> bool:
            return True

        def read(self, *arguments: Any, **named: Any) -> Any:
            raise AssertionError("read on the loop")

        def read_cold(self, *arguments: Any, **named: Any) -> Any:
            calls.append(threading.current_thread().name)
            return self.log.read_cold(*arguments, **named)

    class Replica:
        """The partition over such a log."""

        def __init__(self) -> None:
            self.log = Cold(partition.log)

        def __getattr__(self, name: str) -> Any:
            return getattr(partition, name)

    monkeypatch.setattr(broker.node.replicas, "partition", lambda *_: Replica())
    assert len(only(wire.call(fetch(topic, 0, session_epoch=0), 12)).records) == 2 * len(BATCH)
    assert calls
    assert all(name.startswith("kafka-py-worker") for name in calls)
