"""Produce through a running broker: what is refused, what is kept, and in which order.

Every case goes both ways: as the compiled path takes it, and with a tagged field in the request's
header (a transactional id below version 9), which leaves it to the handler. Both say the same.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kafka_py.protocol.framing import encode_request
from kafka_py.protocol.produce import ProduceResponse
from kafka_py.server.broker import Broker
from kcore import RecordBatch, batches, build, syscalls
from kcore.crc32c import crc32c
from tests.server.conftest import make_topic, on_loop
from tests.server.messages import batch, fetch, produce
from tests.server.wire import Wire
from tests.waiting import FOREVER_MS, PATIENCE_S, eventually

VERSIONS = range(3, 14)
AT_CRC = 17
AT_ATTRIBUTES = 21
AT_RECORDS = 61


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One with a directory of its own, so that acks=all waits for the disk."""
    with Broker(data=tmp_path_factory.mktemp("produce")) as running:
        yield running


@pytest.fixture
def healed() -> Iterator[None]:
    """The disk goes on, whatever a test did to it."""
    yield
    syscalls.clear()


class Paths(Wire):
    """A connection that sends its produces to one of the two paths."""

    def __init__(self, broker: Broker, general: bool) -> None:
        super().__init__(broker.bootstrap_servers)
        self.general = general

    def frame(self, message: Any, version: int) -> bytes:
        if not self.general:
            return super().frame(message, version)
        if version < 9:
            message.transactional_id = message.transactional_id or "general"
            return super().frame(message, version)
        return with_header_tag(super().frame(message, version))


def with_header_tag(frame: bytes) -> bytes:
    """The same request with an unknown tagged field in its header; its client id is "test"."""
    at = 4 + 8 + 2 + len("test")
    assert frame[at] == 0
    payload = frame[4:at] + b"\x01\x05\x01x" + frame[at + 1 :]
    return struct.pack(">i", len(payload)) + payload


def only(response: Any) -> Any:
    """The answer to the only partition."""
    return response.responses[0].partition_responses[0]


def timeless(said: Any) -> str:
    """An answer as text, without the moment that some error messages name."""
    return re.sub(r"17[0-9]{11}|18[0-9]{11}", "TIME", repr(said))


def again(data: bytes) -> bytes:
    """The batch with the checksum of its present bytes."""
    return data[:AT_CRC] + struct.pack(">I", crc32c(data[AT_ATTRIBUTES:])) + data[AT_ATTRIBUTES:]


def patched(data: bytes, position: int, new: bytes) -> bytes:
    """The batch with other bytes somewhere, and a right checksum."""
    return again(data[:position] + new + data[position + len(new) :])


def at_time(timestamp_ms: int) -> bytes:
    """A batch of one record of that time."""
    return build([(b"k", b"v", (), timestamp_ms)])


def producer(sequence: int, records: int = 1, epoch: int = 0, producer_id: int = 77) -> bytes:
    """An idempotent producer's batch."""
    return batch(records, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)


GOOD = batch(3)
NOW_MS = int(time.time() * 1000)
DAY_MS = 86_400_000
ODD_CRC = GOOD[:-1] + bytes([GOOD[-1] ^ 1])
TRANSACTIONAL = batch(1, producer_id=9, producer_epoch=0, base_sequence=0, transactional=True)
MAGIC_1 = GOOD[:16] + b"\x01" + GOOD[17:]

#: what is sent, the error code, the fields of the request
REFUSED: dict[str, tuple[bytes | None, int, dict[str, Any]]] = {
    "acks": (GOOD, 21, {"acks": 2}),
    "negative acks": (GOOD, 21, {"acks": -2}),
    "crc": (ODD_CRC, 2, {}),
    "cut short": (GOOD[:-1], 87, {}),
    "two batches": (GOOD + GOOD, 87, {}),
    "null": (None, 87, {}),
    "empty": (b"", 87, {}),
    "shorter than a header": (GOOD[:60], 87, {}),
    "magic 0": (GOOD[:16] + b"\x00" + GOOD[17:], 87, {}),
    "magic 1": (MAGIC_1, 87, {}),
    "magic 3": (GOOD[:16] + b"\x03" + GOOD[17:], 2, {}),
    "record count": (patched(GOOD, 57, struct.pack(">i", 4)), 87, {}),
    "no records": (patched(GOOD, 57, struct.pack(">i", 0)), 87, {}),
    "last offset delta": (patched(GOOD, 23, struct.pack(">i", 7)), 87, {}),
    "record length": (patched(GOOD, AT_RECORDS, b"\x7e"), 87, {}),
    "unknown codec": (patched(GOOD, 22, b"\x07"), 76, {}),
    "not gzip at all": (patched(GOOD, 22, b"\x01"), 2, {}),
    "control batch": (patched(GOOD, 22, b"\x20"), 87, {}),
    "large": (batch(1, 3000), 10, {}),
    "bomb": (batch(1, 3_000_000, compression="gzip"), 10, {}),
    "future": (at_time(NOW_MS + 2 * DAY_MS), 32, {}),
    "past": (at_time(NOW_MS - 2 * DAY_MS), 32, {}),
    "transactional": (TRANSACTIONAL, 19, {"transactional_id": "t"}),
}


@pytest.fixture(scope="module")
def picky(broker: Broker) -> str:
    """A topic with narrow limits, that keeps nothing of what this module refuses."""
    with Wire(broker.bootstrap_servers) as wire:
        make_topic(
            wire,
            "picky",
            1,
            max_message_bytes="2000",
            message_timestamp_before_max_ms=str(DAY_MS),
            message_timestamp_after_max_ms=str(DAY_MS),
        )
    return "picky"


@pytest.mark.parametrize("acks", [1, -1])
@pytest.mark.parametrize("case", REFUSED)
def test_refused(broker: Broker, picky: str, case: str, acks: int) -> None:
    records, code, fields = REFUSED[case]
    fields = {"acks": acks} | fields
    for version in (3, 7, 8, 9, 12):
        said = []
        for general in (False, True):
            with Paths(broker, general) as wire:
                said.append(only(wire.call(produce(picky, records, **fields), version)))
                assert said[-1].error_code == code, (version, general, said[-1])
                assert said[-1].base_offset == -1
                assert said[-1].log_append_time_ms == -1
                # The connection goes on.
                assert only(wire.call(produce(picky, batch()), version)).error_code == 0
        assert timeless(said[0]) == timeless(said[1])
    replica = broker.node.replicas.partition(picky, 0)
    held = batches(bytes(replica.log.read(0, 1 << 30, end_offset=replica.log_end_offset).view))
    assert all(one.records_count == 1 for one in held)


@pytest.mark.parametrize("version", [3, 8, 9, 12])
def test_zstd_is_of_version_7(broker: Broker, topic: str, version: int) -> None:
    expected = 76 if version < 7 else 0
    for general in (False, True):
        with Paths(broker, general) as wire:
            reply = wire.call(produce(topic, batch(5, compression="zstd")), version)
            assert only(reply).error_code == expected


@pytest.mark.parametrize("version", [3, 9, 13])
@pytest.mark.parametrize("acks", [1, -1])
def test_unknown_topics_and_partitions(broker: Broker, acks: int, version: int) -> None:
    """One answer a partition, the known ones are kept."""
    for general in (False, True):
        with Paths(broker, general) as wire, Wire(broker.bootstrap_servers) as admin:
            name = f"known-{version}-{acks}-{general}"
            topic_id = make_topic(admin, name, 1)
            request = produce(topic_id if version >= 13 else name, GOOD, GOOD, acks=acks)
            unknown = produce(b"\x07" * 16 if version >= 13 else "unknown", GOOD, acks=acks)
            request.topic_data += unknown.topic_data
            reply = wire.call(request, version)
            codes = [[p.error_code for p in t.partition_responses] for t in reply.responses]
            assert codes == [[0, 3], [100 if version >= 13 else 3]]
            assert reply.responses[0].partition_responses[0].base_offset == 0


def test_a_transactional_batch_without_an_id(broker: Broker, topic: str) -> None:
    for general in (False, True):
        with Paths(broker, general) as wire:
            assert only(wire.call(produce(topic, TRANSACTIONAL), 9)).error_code == 53


def test_records_without_keys_are_named(broker: Broker, new_topic: Callable[..., Any]) -> None:
    """A compacted topic takes keys only; from version 8 on the answer says which records."""
    new_topic("compacted", cleanup_policy="compact")
    keyless = build([(b"k", b"v", (), NOW_MS), (None, b"v", (), NOW_MS), (None, b"w", (), NOW_MS)])
    for version in (7, 8, 12):
        for general in (False, True):
            with Paths(broker, general) as wire:
                said = only(wire.call(produce("compacted", keyless), version))
                assert said.error_code == 87
                named = [one.batch_index for one in said.record_errors]
                assert named == ([1, 2] if version >= 8 else [])
                assert (said.error_message is not None) == (version >= 8)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_both_ways(broker: Broker, version: int) -> None:
    taken = broker._fast.produced
    with Wire(broker.bootstrap_servers) as admin:
        topic_id = make_topic(admin, f"version-{version}", 2)
    of = topic_id if version >= 13 else f"version-{version}"
    offset = 0
    for acks in (1, -1):
        for general in (False, True):
            with Paths(broker, general) as wire:
                reply = wire.call(produce(of, GOOD, batch(1), acks=acks), version)
                said = reply.responses[0].partition_responses
                assert [one.error_code for one in said] == [0, 0]
                assert [one.base_offset for one in said] == [offset * 3, offset]
                assert [one.log_append_time_ms for one in said] == [-1, -1]
                assert [one.log_start_offset for one in said] == [0 if version >= 5 else -1] * 2
                assert reply.throttle_time_ms == 0
            offset += 1
    assert broker._fast.produced == taken + 2


def test_internal_topics_are_not_for_clients(broker: Broker, wire: Wire) -> None:
    make_topic(wire, "__consumer_offsets", 1, cleanup_policy="delete")
    for general in (False, True):
        with Paths(broker, general) as client:
            assert only(client.call(produce("__consumer_offsets", GOOD), 9)).error_code == 17
    request = produce("__consumer_offsets", GOOD)
    data = b"".join(bytes(p) for p in encode_request(request, 9, 5, "__admin_client"))
    wire.socket.sendall(data)
    raw = wire.receive_raw()
    assert only(ProduceResponse.decode(raw[5:], 9)).error_code == 0


@pytest.mark.parametrize("general", [False, True])
def test_acks_0_has_no_reply(broker: Broker, topic: str, general: bool) -> None:
    with Paths(broker, general) as wire:
        for _ in range(3):
            wire.send(produce(topic, GOOD, acks=0), 9)
            wire.waiting.pop()
        found = wire.call(produce(topic, GOOD), 9)
        assert only(found).base_offset == 9


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("bad", [ODD_CRC, MAGIC_1, None])
def test_a_failed_acks_0_closes_after_the_earlier_answers(
    broker: Broker, topic: str, general: bool, bad: bytes | None
) -> None:
    with Paths(broker, general) as wire:
        data = wire.frame(produce(topic, GOOD, acks=-1), 9)
        wire.socket.sendall(data + wire.frame(produce(topic, bad, acks=0), 9))
        assert only(wire.receive()).base_offset == 0
        assert wire.closed()


def test_an_unknown_topic_with_acks_0_closes(broker: Broker) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        wire.send(produce("nowhere", GOOD, acks=0), 9)
        assert wire.closed()


@pytest.mark.parametrize("codec", ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("general", [False, True])
def test_log_append_time(
    broker: Broker, new_topic: Callable[..., Any], general: bool, codec: str
) -> None:
    name = f"appendtime-{codec}-{general}"
    new_topic(name, message_timestamp_type="LogAppendTime")
    sent = build([(b"k", b"v", (), 5), (b"k", b"w", (), 6)], compression=codec)
    before = int(time.time() * 1000)
    with Paths(broker, general) as wire:
        said = only(wire.call(produce(name, sent), 9))
    assert said.error_code == 0
    assert before <= said.log_append_time_ms <= int(time.time() * 1000)
    with Wire(broker.bootstrap_servers) as wire:
        found = RecordBatch(wire.call(fetch(name, 0), 12).responses[0].partitions[0].records)
    found.check_crc()
    assert found.timestamp_type == 1
    assert found.max_timestamp == said.log_append_time_ms
    assert {record.timestamp for record in found} == {said.log_append_time_ms}


# ------------------------------------------------------------------------------------ idempotence


@pytest.mark.parametrize("acks", [1, -1])
@pytest.mark.parametrize("general", [False, True])
def test_idempotent_producers(broker: Broker, topic: str, general: bool, acks: int) -> None:
    with Paths(broker, general) as wire:

        def send(records: bytes) -> tuple[int, int]:
            said = only(wire.call(produce(topic, records, acks=acks), 9))
            return said.error_code, said.base_offset

        for i in range(7):
            assert send(producer(2 * i, 2)) == (0, 2 * i)
        # The five latest are duplicates, older ones are out of order.
        for i in range(2, 7):
            assert send(producer(2 * i, 2)) == (0, 2 * i)
        assert send(producer(2, 2)) == (45, -1)
        assert send(producer(16, 1)) == (45, -1)
        assert send(producer(14, 1, epoch=1)) == (45, -1)
        assert send(producer(0, 1, epoch=1)) == (0, 14)
        assert send(producer(14, 1, epoch=0)) == (47, -1)
        assert send(producer(1, 1, epoch=1)) == (0, 15)
        assert send(batch()) == (0, 16)


@pytest.mark.parametrize("general", [False, True])
def test_sequences_wrap(broker: Broker, topic: str, general: bool) -> None:
    last = 2**31 - 1
    with Paths(broker, general) as wire:
        # A producer that is new to the partition may begin anywhere, as with Kafka.
        assert only(wire.call(produce(topic, producer(last - 1, 2)), 9)).error_code == 0
        assert only(wire.call(produce(topic, producer(0, 2)), 9)).base_offset == 2
        assert only(wire.call(produce(topic, producer(last - 1, 2)), 9)).base_offset == 0


# ------------------------------------------------------------------------------------------ order


def test_slow_batches_keep_their_place(broker: Broker, new_topic: Callable[..., Any]) -> None:
    """Long compressed batches are checked by a worker; small ones behind them wait for them."""
    new_topic("ordered", 2, max_message_bytes=str(1 << 24))
    value = random.Random(1).randbytes(200_000)
    big = build([(b"big", value, (), NOW_MS)] * 2, compression="gzip")
    assert len(big) > 64 * 1024
    with Wire(broker.bootstrap_servers) as wire:
        expected = 0
        offsets = []
        data = b""
        for i in range(30):
            slow = i % 3 == 0
            acks = (1, -1)[i % 2]
            data += wire.frame(produce("ordered", big if slow else batch(1), acks=acks), 9)
            offsets.append(expected)
            expected += 2 if slow else 1
        sender = threading.Thread(target=wire.socket.sendall, args=(data,))
        sender.start()
        got = [only(wire.receive()) for _ in range(30)]
        sender.join()
    assert [one.error_code for one in got] == [0] * 30
    assert [one.base_offset for one in got] == offsets


def test_a_slow_batch_does_not_hold_up_others(
    broker: Broker, new_topic: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a worker checks a batch of one partition, the others and other clients are served."""
    new_topic("held", 2)
    entered, release = threading.Event(), threading.Event()
    node = broker.node
    real = node.in_worker

    def in_worker(call: Callable[..., Any], *arguments: Any) -> Any:
        def held() -> Any:
            entered.set()
            release.wait(2 * PATIENCE_S)
            return call(*arguments)

        return real(held)

    monkeypatch.setattr(node, "in_worker", in_worker)
    big = build([(b"big", random.Random(2).randbytes(100_000), (), NOW_MS)], compression="gzip")
    with Wire(broker.bootstrap_servers) as slow, Wire(broker.bootstrap_servers) as other:
        slow.send(produce("held", big), 9)
        assert entered.wait(PATIENCE_S)
        second = produce("held", batch())
        second.topic_data[0].partition_data[0].index = 1
        assert only(other.call(second, 9)).base_offset == 0
        other.send(produce("held", batch()), 9)
        other.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.socket.recv(1, socket.MSG_PEEK)
        release.set()
        other.socket.settimeout(PATIENCE_S)
        assert only(slow.receive()).base_offset == 0
        assert only(other.receive()).base_offset == 1


# ------------------------------------------------------------------------- acks=all and the disk


def lead(partition: Any, *isr: int) -> None:
    """The partition gets a second replica, 99, and these are in sync."""
    partition.become_leader(
        leader_epoch=partition.leader_epoch,
        partition_epoch=partition.partition_epoch + 1,
        replicas=(partition.broker_id, 99),
        isr=isr,
        now_ms=0,
    )


def test_flush_messages(broker: Broker, new_topic: Callable[..., Any]) -> None:
    """flush.messages=1: durable before the answer, whatever acks says."""
    new_topic("flushed", flush_messages="1")
    new_topic("unflushed")
    with Wire(broker.bootstrap_servers) as wire:
        for i in range(5):
            said = only(wire.call(produce("flushed", batch()), 9))
            assert (said.error_code, said.base_offset) == (0, i)
            assert broker.node.replicas.partition("flushed", 0).log.recovery_point == i + 1
        for general in (False, True):
            with Paths(broker, general) as other:
                other.call(produce("unflushed", batch()), 9)
        log = broker.node.replicas.partition("unflushed", 0).log
        assert log.recovery_point == 0
        wire.call(produce("unflushed", batch(), acks=-1), 9)
        assert log.recovery_point == 3


@pytest.mark.parametrize("general", [False, True])
def test_a_slow_disk_times_out(broker: Broker, topic: str, general: bool, healed: None) -> None:
    """Not durable in time is REQUEST_TIMED_OUT; the records are there all the same."""
    syscalls.hold("fdatasync")
    with Paths(broker, general) as wire:
        request = produce(topic, batch(), acks=-1)
        request.timeout_ms = 30
        said = only(wire.call(request, 9))
        assert (said.error_code, said.base_offset) == (7, -1)
        syscalls.clear()
        assert only(wire.call(produce(topic, batch(), acks=-1), 9)).base_offset == 1


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("lagging", [False, True])
def test_a_time_out_is_of_the_partitions_that_are_late(
    broker: Broker,
    new_topic: Callable[..., Any],
    general: bool,
    lagging: bool,
    healed: None,
) -> None:
    """What the disk has is acknowledged, what it does not is not, whoever else is late."""
    name = f"late-{general}-{lagging}"
    new_topic(name, 3)
    replicas = broker.node.replicas
    if lagging:
        last = replicas.partition(name, 2)
        on_loop(broker, lambda: lead(last, last.broker_id, 99))
    # The disk takes the first partition's records and hangs then.
    syscalls.hold("fdatasync", 2)
    with Paths(broker, general) as wire:
        request = produce(name, batch(), batch(), batch(), acks=-1)
        request.timeout_ms = FOREVER_MS
        wire.send(request, 9)
        eventually(lambda: replicas.partition(name, 0).log.flushed_offset == 1)
        at_ms = broker._clock.monotonic_ms() + FOREVER_MS
        on_loop(broker, lambda: (replicas.appends.expire(at_ms), broker.node.touch()))
        said = wire.receive().responses[0].partition_responses
        assert [one.error_code for one in said] == [0, 7, 7]
        assert [one.base_offset for one in said] == [0, -1, -1]
        syscalls.clear()


@pytest.mark.parametrize("general", [False, True])
def test_too_few_in_sync_replicas(
    broker: Broker, new_topic: Callable[..., Any], general: bool
) -> None:
    """acks=all is refused with NOT_ENOUGH_REPLICAS, acks=1 is not; a lagging one means to wait."""
    name = f"replicated-{general}"
    new_topic(name, min_insync_replicas="2")
    partition = broker.node.replicas.partition(name, 0)

    with Paths(broker, general) as wire:
        # One replica is all there is, so one is enough (as with Kafka 4).
        assert only(wire.call(produce(name, batch(), acks=-1), 9)).error_code == 0
        on_loop(broker, lambda: lead(partition, partition.broker_id))
        assert only(wire.call(produce(name, batch(), acks=-1), 9)).error_code == 19
        assert only(wire.call(produce(name, batch(), acks=1), 9)).base_offset == 1
        on_loop(broker, lambda: lead(partition, partition.broker_id, 99))
        late = produce(name, batch(), acks=-1)
        late.timeout_ms = 30
        assert only(wire.call(late, 9)).error_code == 7
        wire.send(produce(name, batch(), acks=-1), 9)
        wire.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1, socket.MSG_PEEK)
        wire.socket.settimeout(PATIENCE_S)

        def followed() -> None:
            partition.record_follower(
                99, broker_epoch=1, fetch_offset=4, log_start_offset=0, now_ms=0
            )
            broker.node.flusher.advanced(partition)
            broker.node.touch()

        on_loop(broker, followed)
        said = only(wire.receive())
        assert (said.error_code, said.base_offset) == (0, 3)
        assert partition.high_watermark == 4


@pytest.mark.parametrize("general", [False, True])
def test_losing_leadership_answers_who_waits(
    broker: Broker, new_topic: Callable[..., Any], general: bool
) -> None:
    name = f"lost-{general}"
    new_topic(name, min_insync_replicas="2")
    partition = broker.node.replicas.partition(name, 0)

    def lost() -> None:
        partition.become_follower(
            leader_id=99,
            leader_epoch=partition.leader_epoch + 1,
            partition_epoch=partition.partition_epoch + 1,
            replicas=partition.replicas,
            isr=partition.isr,
        )
        broker.node.replicas._fail_waiters(partition, 6)
        broker.node.touch()

    on_loop(broker, lambda: lead(partition, partition.broker_id, 99))
    with Paths(broker, general) as wire:
        wire.send(produce(name, batch(), acks=-1), 9)
        wire.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1, socket.MSG_PEEK)
        wire.socket.settimeout(PATIENCE_S)
        on_loop(broker, lost)
        assert only(wire.receive()).error_code == 6
        assert only(wire.call(produce(name, batch()), 10)).error_code == 6


def test_losing_leadership_while_a_worker_appends(
    broker: Broker, new_topic: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said at once, not when the time is up."""
    new_topic("moved")
    node, partition = broker.node, broker.node.replicas.partition("moved", 0)
    entered, release = threading.Event(), threading.Event()
    real = node.in_worker

    def in_worker(call: Callable[..., Any], *arguments: Any) -> Any:
        def held() -> Any:
            result = call(*arguments)
            entered.set()
            release.wait(2 * PATIENCE_S)
            return result

        return real(held)

    def lost() -> None:
        partition.become_follower(
            leader_id=99,
            leader_epoch=partition.leader_epoch + 1,
            partition_epoch=partition.partition_epoch + 1,
            replicas=(partition.broker_id, 99),
            isr=(99,),
        )
        release.set()

    monkeypatch.setattr(node, "in_worker", in_worker)
    big = build([(b"big", random.Random(3).randbytes(100_000), (), NOW_MS)], compression="gzip")
    with Wire(broker.bootstrap_servers) as wire:
        request = produce("moved", big, acks=-1)
        request.timeout_ms = FOREVER_MS
        wire.send(request, 9)
        assert entered.wait(PATIENCE_S)
        on_loop(broker, lost)
        assert only(wire.receive()).error_code == 6
