"""The compiled Produce and Fetch give the same bytes as the handlers, in every version."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.broker import Broker
from kafka_py.server.dispatch import BROKER, CloseConnection, RequestContext, dispatch, route
from tests.server.conftest import make_topic
from tests.server.messages import batch, fetch, produce
from tests.server.wire import Wire

DECLINED, ANSWERED, SILENT, WAITING, BROKEN, HUNGRY = range(6)
PRODUCE, FETCH = ApiKey.PRODUCE, ApiKey.FETCH
CORRELATION = 0  # what FastPath.request puts into its replies


class Both:
    """A broker whose two paths can be asked directly, and twin topics of equally long names."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.ids: dict[str, bytes] = {}

    def topics(self, name: str, partitions: int = 1, **configs: str) -> tuple[str, str]:
        """Twins: one for each path."""
        pair = (f"fast-{name}", f"slow-{name}")
        with Wire(self.broker.bootstrap_servers) as wire:
            for one in pair:
                self.ids[one] = make_topic(wire, one, partitions, **configs)
        return pair

    def on_loop(self, work: Any) -> Any:
        """Run a function on the broker's loop; its result, awaited if need be."""

        async def run() -> Any:
            result = work()
            return await result if isinstance(result, Awaitable) else result

        return asyncio.run_coroutine_threadsafe(run(), self.broker.loop).result(30)

    def fast(self, key: int, version: int, request: Any) -> tuple[int, bytes]:
        """(outcome, reply) of the compiled path."""
        path = self.broker._fast
        body = request.encode(version)

        def work() -> tuple[int, bytes]:
            path.now_ms = self.broker.node.clock.now_ms()
            return path.request(key, version, body)

        result: tuple[int, bytes] = self.on_loop(work)
        return result

    def slow(self, key: int, version: int, request: Any) -> bytes | None:
        """The handler's reply; None when it has none."""
        node = self.broker.node
        body = request.encode(version)
        context = RequestContext(
            api_key=key,
            api_version=version,
            correlation_id=CORRELATION,
            client_id="test",
            listener="PLAINTEXT",
            client_host="127.0.0.1",
            principal="User:ANONYMOUS",
            now_ms=node.clock.now_ms(),
        )
        row = route(BROKER, key, version)
        parts = self.on_loop(lambda: dispatch(node, row, context, body))
        return None if parts is None else b"".join(bytes(part) for part in parts)

    def same(self, reply: bytes, names: tuple[str, str]) -> bytes:
        """A fast twin's reply as its brother would have got it."""
        fast, slow = names
        return reply.replace(fast.encode(), slow.encode()).replace(self.ids[fast], self.ids[slow])


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with Broker({"kafka_py.flush.policy": "none"}) as broker:
        yield Both(broker)


def damaged(data: bytes, position: int) -> bytes:
    """The batch with one bit turned."""
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def big_compressed(codec: str = "gzip", size: int = 100_000) -> bytes:
    """A batch that is compressed and still above what the event loop checks itself."""
    from kcore import build

    noise = random.Random(1).randbytes(size)
    return build([(None, noise, (), 1)], compression=codec)


def in_transaction(sequence: int, **options: Any) -> bytes:
    named = {"producer_id": 7, "producer_epoch": 1, "base_sequence": sequence}
    return batch(2, transactional=True, **{**named, **options})


GOOD = batch(3)
PRODUCES: dict[str, list[list[bytes]]] = {
    "good": [[GOOD], [GOOD, batch(1, 5000)], [batch(50)]],
    "codecs": [[batch(20, compression=codec)] for codec in ("gzip", "snappy", "lz4", "zstd")],
    "crc": [[damaged(GOOD, 17)], [damaged(GOOD, len(GOOD) - 1)], [GOOD, damaged(GOOD, 20)]],
    "length": [[damaged(GOOD, 11)], [GOOD + b"\0"], [GOOD + GOOD], [GOOD[:-1]]],
    "large": [[batch(1, 2_000_000)], [GOOD, batch(1, 2_000_000), GOOD]],
    "idempotent": [
        [batch(2, producer_id=7, producer_epoch=0, base_sequence=0)],
        [batch(2, producer_id=7, producer_epoch=0, base_sequence=2)],
        [batch(2, producer_id=7, producer_epoch=0, base_sequence=9)],
        [batch(1, producer_id=7, producer_epoch=1, base_sequence=0)],
        [batch(1, producer_id=7, producer_epoch=0, base_sequence=4)],
    ],
}
PRODUCES["again"] = [PRODUCES["idempotent"][0], PRODUCES["idempotent"][0]]


@pytest.mark.parametrize("version", range(3, 14))
@pytest.mark.parametrize("case", PRODUCES)
def test_produce(both: Both, case: str, version: int) -> None:
    names = both.topics(f"{case}-{version}", 3)
    taken = 0
    for acks in (1, -1):
        for batches in PRODUCES[case]:
            of = [both.ids[n] for n in names] if version >= 13 else names
            outcome, reply = both.fast(PRODUCE, version, produce(of[0], *batches, acks=acks))
            if outcome == DECLINED:
                # Both then append by the handler, so that the twins stay alike.
                both.slow(PRODUCE, version, produce(of[0], *batches, acks=acks))
            expected = both.slow(PRODUCE, version, produce(of[1], *batches, acks=acks))
            if outcome != DECLINED:
                taken += 1
                assert outcome == ANSWERED
                assert both.same(reply, names) == expected
    assert taken >= 2


@pytest.mark.parametrize("version", [3, 8, 9, 13])
def test_produce_with_log_append_time_and_record_errors(both: Both, version: int) -> None:
    """Refused records are named one by one from version 8 on."""
    names = both.topics(f"errors-{version}", 1, cleanup_policy="compact")
    of = [both.ids[n] for n in names] if version >= 13 else names
    from kcore import build

    keyless = build([(b"k", b"v", (), 1), (None, b"v", (), 1)])
    outcome, reply = both.fast(PRODUCE, version, produce(of[0], keyless))
    assert outcome == ANSWERED
    assert both.same(reply, names) == both.slow(PRODUCE, version, produce(of[1], keyless))


def test_acks_0_is_silent_and_breaks_the_connection_on_failure(both: Both) -> None:
    names = both.topics("acks0")
    assert both.fast(PRODUCE, 9, produce(names[0], GOOD, acks=0)) == (SILENT, b"")
    assert both.slow(PRODUCE, 9, produce(names[1], GOOD, acks=0)) is None
    assert both.fast(PRODUCE, 9, produce(names[0], damaged(GOOD, 17), acks=0))[0] == BROKEN
    with pytest.raises(CloseConnection):
        both.slow(PRODUCE, 9, produce(names[1], damaged(GOOD, 17), acks=0))


@pytest.mark.parametrize(
    "request_",
    [
        produce("nowhere", GOOD),
        produce("fast-declined", GOOD, GOOD),
        produce("fast-declined", None),
        produce("fast-declined", GOOD[:40]),
        produce("fast-declined", GOOD, acks=2),
        produce("fast-declined", in_transaction(0), transactional_id="t"),
        produce("fast-declined", big_compressed()),
    ],
)
def test_produce_declines_before_anything_happened(both: Both, request_: Any) -> None:
    if "fast-declined" not in both.ids:
        both.topics("declined")
    before = both.broker.node.replicas.partition("fast-declined", 0).log_end_offset
    assert both.fast(PRODUCE, 9, request_) == (DECLINED, b"")
    assert both.broker.node.replicas.partition("fast-declined", 0).log_end_offset == before


@pytest.fixture
def inline(both: Both) -> Iterator[Any]:
    """The compiled path, which takes no time for too long."""
    path = both.broker._fast
    before = path.inline_us_max
    path.inline_us_max = 10_000_000
    path.hands_off = 0
    yield path
    path.inline_us_max, path.hands_off = before, 0


@pytest.mark.parametrize("codec", ["snappy", "lz4", "zstd"])
def test_long_compressed_batches_that_are_checked_on_the_loop(
    both: Both, inline: Any, codec: str
) -> None:
    names = both.topics(f"inline-{codec}")
    good = big_compressed(codec)
    for one in (good, damaged(good, len(good) - 1), good):
        outcome, reply = both.fast(PRODUCE, 9, produce(names[0], one))
        assert outcome == ANSWERED
        assert both.same(reply, names) == both.slow(PRODUCE, 9, produce(names[1], one))
    assert both.broker.node.replicas.partition(names[0], 0).log_end_offset == 2


def test_long_compressed_batches_that_a_worker_checks_all_the_same(both: Both, inline: Any) -> None:
    (name, _) = both.topics("inline-declined")

    def outcome(data: bytes, version: int = 9) -> int:
        return both.fast(PRODUCE, version, produce(name, data))[0]

    assert outcome(big_compressed("gzip")) == DECLINED
    assert outcome(big_compressed("lz4", 600_000)) == DECLINED
    assert outcome(big_compressed("zstd"), version=6) == DECLINED
    # One of the last ones took too long.
    inline.hands_off = 2
    good = big_compressed("lz4")
    assert [outcome(good) for _ in range(3)] == [DECLINED, DECLINED, ANSWERED]
    inline.inline_bytes_max = len(good) - 1
    assert outcome(good) == DECLINED
    inline.inline_bytes_max = 512 * 1024
    assert outcome(good) == ANSWERED


def test_a_long_batch_that_took_too_long_sends_the_next_ones_to_workers(
    both: Both, inline: Any
) -> None:
    (name, _) = both.topics("inline-long")
    data = big_compressed("lz4")
    # Whatever is checked takes longer.
    inline.inline_us_max = 0
    assert both.fast(PRODUCE, 9, produce(name, data))[0] == ANSWERED

    def declined(count: int) -> None:
        """So many go to workers, then one is tried again."""
        assert inline.hands_off == count
        for _ in range(count):
            assert both.fast(PRODUCE, 9, produce(name, data))[0] == DECLINED
        assert both.fast(PRODUCE, 9, produce(name, data))[0] == ANSWERED

    declined(8)
    declined(16)
    inline.hands_off = 0
    for _ in range(8):
        assert both.fast(PRODUCE, 9, produce(name, data))[0] == ANSWERED
        assert inline.hands_off <= 1024
        count, inline.hands_off = inline.hands_off, 0
    assert count == 1024
    # One that does not take long, and the next one that does counts as the first.
    inline.inline_us_max = 10_000_000
    assert both.fast(PRODUCE, 9, produce(name, data))[0] == ANSWERED
    inline.inline_us_max = 0
    assert both.fast(PRODUCE, 9, produce(name, data))[0] == ANSWERED
    declined(8)


def begin(both: Both, names: tuple[str, str]) -> None:
    """A transaction is open in partitions 0 and 1 of both twins."""

    now_ms = both.broker.node.clock.now_ms()

    def work() -> None:
        for name in names:
            for index in (0, 1):
                partition = both.broker.node.replicas.partition(name, index)
                assert partition is not None
                partition.log.append(in_transaction(0), leader_epoch=0, now_ms=now_ms)
                partition.transactional = True
                partition.advance()

    both.on_loop(work)


@pytest.mark.parametrize("version", [9, 12, 13])
def test_produce_in_an_open_transaction(both: Both, version: int) -> None:
    names = both.topics(f"open-{version}", 2)
    begin(both, names)
    of = [both.ids[n] for n in names] if version >= 13 else names
    for batches in (
        [in_transaction(2)],
        [in_transaction(2)],
        [in_transaction(9)],
        [in_transaction(4), in_transaction(2)],
        [in_transaction(6), batch(1)],
    ):
        asked = [produce(one, *batches, acks=-1, transactional_id="t") for one in of]
        outcome, reply = both.fast(PRODUCE, version, asked[0])
        assert outcome == ANSWERED
        assert both.same(reply, names) == both.slow(PRODUCE, version, asked[1])
    partition = both.broker.node.replicas.partition(names[0], 0)
    assert partition is not None
    assert (partition.last_stable_offset, partition.high_watermark) == (0, 8)


def test_produce_leaves_the_beginning_of_a_transaction_to_the_handler(both: Both) -> None:
    names = both.topics("begins", 3)
    begin(both, names)
    named: dict[str, Any] = {"acks": -1, "transactional_id": "t"}

    def outcome(*batches: bytes | None, version: int = 12, **fields: Any) -> int:
        request = produce(names[0], *batches, **{**named, **fields})
        return both.fast(PRODUCE, version, request)[0]

    assert outcome(in_transaction(2, producer_epoch=2)) == DECLINED
    assert outcome(in_transaction(2, producer_epoch=0)) == DECLINED
    assert outcome(in_transaction(2, producer_id=8)) == DECLINED
    assert outcome(in_transaction(2), in_transaction(2), in_transaction(2)) == DECLINED
    assert outcome(in_transaction(2), transactional_id=None) == DECLINED
    assert outcome(in_transaction(2), version=8) == DECLINED
    path = both.broker._fast
    path.verifying[5] = None
    assert outcome(in_transaction(2)) == DECLINED
    assert outcome(batch()) == ANSWERED
    del path.verifying[5]
    assert outcome(in_transaction(2)) == ANSWERED


def test_every_truncation_is_declined(both: Both) -> None:
    """A cut request is never half done."""
    if "fast-declined" not in both.ids:
        both.topics("declined")
    partition = both.broker.node.replicas.partition("fast-declined", 0)
    path = both.broker._fast
    for key, request in (
        (PRODUCE, produce("fast-declined", GOOD)),
        (FETCH, fetch("fast-declined", 0)),
    ):
        for version in (3, 9) if key == PRODUCE else (4, 11, 12):
            body = request.encode(version)
            before = partition.log_end_offset
            for cut in range(len(body)):
                assert both.on_loop(
                    lambda c=cut, b=body, k=key, v=version: path.request(k, v, b[:c])
                ) == (
                    DECLINED,
                    b"",
                )
            assert partition.log_end_offset == before


@pytest.mark.parametrize("version", range(4, 19))
def test_fetch(both: Both, version: int) -> None:
    name, _ = both.topics(f"fetch-{version}", 4)
    topic: Any = both.ids[name] if version >= 13 else name
    with Wire(both.broker.bootstrap_servers) as wire:
        for i in range(8):
            wire.call(produce(name, batch(2), batch(1, 40_000), batch(3 + i)), 9)
    random_ = random.Random(version)
    taken = 0
    for _ in range(60):
        offsets = [random_.choice((0, 1, 2, 7, 8, 9, 15, 16, 17, 30)) for _ in range(4)]
        offsets[3] = 0
        request = fetch(
            topic,
            *offsets,
            partition_bytes=random_.choice((0, 1, 300, 50_000, 1 << 20)),
            max_bytes=random_.choice((0, 1, 1000, 50_000, 1 << 20)),
            isolation_level=random_.choice((0, 1)),
            min_bytes=random_.choice((0, 1, 1000)),
        )
        outcome, reply = both.fast(FETCH, version, request)
        expected = both.slow(FETCH, version, request)
        if outcome == ANSWERED:
            taken += 1
            assert reply == expected
        else:
            # Only an offset beyond the end is unusual here.
            response_error = b"\0\1"
            assert expected is not None
            assert response_error in expected
    assert taken >= 10


def test_fetch_declines_what_needs_thought(both: Both) -> None:
    name, _ = both.topics("thought")
    for unusual in (
        fetch(name, 0, session_epoch=0),
        fetch(name, 0, session_id=5, session_epoch=1),
        fetch(name, 0, isolation_level=2),
        fetch("nowhere", 0),
        fetch(name, 1),
        fetch(name, -1),
        fetch(name),
        FetchRequest(max_wait_ms=0, session_epoch=-1),
        fetch(name, 0, replica_id=1),
    ):
        assert both.fast(FETCH, 12, unusual) == (DECLINED, b"")
    assert both.fast(FETCH, 12, fetch(name, 0, min_bytes=1, wait_ms=10)) == (HUNGRY, b"")
    known = fetch(name, 0)
    known.topics[0].partitions[0].current_leader_epoch = 99
    assert both.fast(FETCH, 12, known) == (DECLINED, b"")
    known.topics[0].partitions[0].current_leader_epoch = 0
    assert both.fast(FETCH, 12, known)[0] == ANSWERED
