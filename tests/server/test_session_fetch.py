"""Fetch sessions are served alike by the compiled path and by the handler, come what may.

Twins: two sessions of one broker get the same requests in the same order, one by each path, and
must say the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.broker import Broker
from kafka_py.server.dispatch import BROKER, RequestContext, dispatch, route
from kcore.batch_builder import build_end_marker
from kcore.log import COORDINATOR
from tests.server.conftest import make_topic, on_loop
from tests.server.messages import batch, fetch, produce
from tests.server.test_fetch import partition_of
from tests.server.test_waiting_fetch import kinds, waiters
from tests.server.wire import Wire
from tests.waiting import eventually

DECLINED, ANSWERED, HUNGRY, TAKEN = 0, 1, 5, 6
FETCH = ApiKey.FETCH
PARTITIONS = 3
FROM_SESSIONS = 7
"""The first version with sessions."""
AT_SESSION_ID = 10
"""Where a reply of Fetch 7 to 11 has the id: after correlation, throttle time and error."""


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker({"kafka_py.flush.policy": "none"}) as running:
        yield running


class Twins:
    """Two sessions of one broker: `ids` is (of the compiled path, of the handler)."""

    def __init__(self, broker: Broker, version: int) -> None:
        self.broker = broker
        self.version = version
        self.ids = (0, 0)
        self.epoch = 0
        #: What became of the compiled path's requests.
        self.outcomes: list[int] = []

    def general(self, request: Any, session: Any = None) -> Any:
        """The handler's reply, or an awaitable of it; on the loop."""
        node = self.broker.node
        context = RequestContext(
            *(FETCH, self.version, 0, "test", "PLAINTEXT", "127.0.0.1", "User:ANONYMOUS"),
            now_ms=node.clock.now_ms(),
            fetch_session=session,
        )
        row = route(BROKER, FETCH, self.version)
        return dispatch(node, row, context, request.encode(self.version))

    def compiled(self, request: Any) -> Any:
        """The same of the compiled path, which leaves to the handler what is not its own."""
        path = self.broker._fast
        path.now_ms = self.broker.node.clock.now_ms()
        outcome, reply = path.request(FETCH, self.version, request.encode(self.version))
        self.outcomes.append(outcome)
        if outcome == ANSWERED:
            return [reply]
        session, path.session = path.session, None
        assert (session is not None) == (outcome in (TAKEN, HUNGRY))
        return self.general(request, session)

    def ask(self, make: Any, epoch: int | None = None) -> tuple[bytes, Any]:
        """One request to each, made by `make(session id, epoch)`; the reply of both.

        (The bytes without the session's id, the message.)
        """
        asked = self.epoch if epoch is None else epoch

        async def run(served: Any, request: Any) -> bytes:
            parts = served(request)
            parts = await parts if isinstance(parts, Awaitable) else parts
            return b"".join(bytes(part) for part in parts)

        replies = []
        for served, session_id in zip((self.compiled, self.general), self.ids, strict=True):
            running = run(served, make(session_id, asked))
            replies.append(asyncio.run_coroutine_threadsafe(running, self.broker.loop).result(10))
        start = 8 + (self.version >= 12)
        decoded = [FetchResponse.decode(reply[start:], self.version) for reply in replies]
        at = start + 6
        shown = [reply[:at] + reply[at + 4 :] for reply in replies]
        assert shown[0] == shown[1], decoded
        if not asked:
            self.ids = (decoded[0].session_id, decoded[1].session_id)
            assert all(self.ids)
        else:
            known = tuple(one.session_id for one in decoded)
            assert known in (self.ids, (0, 0))
        if not decoded[0].error_code and epoch is None:
            self.epoch += 1
        return shown[0], decoded[0]


class Readers:
    """What a consumer would ask next, and other things, for some topics."""

    def __init__(
        self, odd: random.Random, topics: list[Any], version: int, *, calm: bool, starts: Any
    ) -> None:
        """`calm`: they ask for what is there; `starts`(topic, partition): where a log begins."""
        self.random = odd
        self.topics = topics
        self.version = version
        self.calm = calm
        self.starts = starts
        #: (topic, partition) -> the offset to go on from.
        self.offsets: dict[tuple[Any, int], int] = {}

    def all(self) -> list[tuple[Any, int]]:
        """Every partition, and one that is not there."""
        count = PARTITIONS + (not self.calm)
        return [(topic, index) for topic in self.topics for index in range(count)]

    def partition(self, key: tuple[Any, int], **fields: Any) -> Any:
        """What is asked of one."""
        sizes = (0, 1, 200, 2000, 1 << 20)
        fields = {"fetch_offset": self.offsets.setdefault(key, 0)} | fields
        return FetchRequest.FetchPartition(
            partition=key[1], partition_max_bytes=self.random.choice(sizes), **fields
        )

    def named(self, keys: list[tuple[Any, int]]) -> list[Any]:
        """Topics of a request for them, in that order."""
        odd = self.random
        topics = []
        for key in keys:
            fields: dict[str, Any] = {}
            if odd.random() < (0.5 if self.calm else 0.08):
                fields["current_leader_epoch"] = 0 if self.calm else odd.choice((0, 1))
            if not self.calm and odd.random() < 0.04:
                fields["fetch_offset"] = odd.choice((-1, 10_000))
            if not self.calm and self.version >= 12 and odd.random() < 0.03:
                fields["last_fetched_epoch"] = 0
            named = {"topic_id": key[0]} if isinstance(key[0], bytes) else {"topic": key[0]}
            topics.append(
                FetchRequest.FetchTopic(partitions=[self.partition(key, **fields)], **named)
            )
        return topics

    def forgotten(self, keys: list[tuple[Any, int]]) -> list[Any]:
        """The forgotten topics of a request."""
        return [
            FetchRequest.ForgottenTopic(
                partitions=[index],
                **({"topic_id": topic} if isinstance(topic, bytes) else {"topic": topic}),
            )
            for topic, index in keys
        ]

    def note(self, reply: Any) -> None:
        """Go on behind what came."""
        for topic in reply.responses:
            for found in topic.partitions:
                name = topic.topic_id if isinstance(self.topics[0], bytes) else topic.topic
                if found.error_code:
                    self.offsets[name, found.partition_index] = self.starts(
                        name, found.partition_index
                    )
                if found.records and not found.error_code:
                    # Every batch here has one record.
                    view = bytes(found.records)
                    size = 12 + int.from_bytes(view[8:12], "big")
                    self.offsets[name, found.partition_index] += len(view) // size

    def next(self, full: bool) -> Any:
        """make(session id, epoch) of the next request."""
        odd = self.random
        some = odd.sample(self.all(), odd.choice((0, 0, 1, 1, 2, 5)))
        if full:
            some = self.all()
        behind = [key for key in self.offsets if odd.random() < (0.9 if self.calm else 0.5)]
        topics = self.named(some + behind)
        lost = odd.sample(self.all(), odd.choice((0, 0, 0, 0, 1, 3)))
        forgotten = [] if full else self.forgotten(lost)
        fields = {
            "isolation_level": odd.choice((0, 0, 1)),
            "max_bytes": odd.choice((0, 300, 1 << 20)),
            "min_bytes": odd.choice((0, 1)),
            "max_wait_ms": odd.choice((0, 0, 0, 1)),
            "rack_id": odd.choice(("", "rack")) if self.version >= 11 else "",
        }
        return lambda session_id, epoch: FetchRequest(
            session_id=session_id,
            session_epoch=epoch,
            topics=topics,
            forgotten_topics_data=forgotten,
            **fields,
        )


def something_happens(broker: Broker, names: list[str], odd: random.Random) -> None:
    """A batch, mostly; or an aborted transaction, or records are deleted."""
    partition = partition_of(broker, odd.choice(names), odd.randrange(PARTITIONS))
    kind = odd.random()
    now_ms = broker.node.clock.now_ms()

    def work() -> None:
        if kind < 0.8:
            partition.log.append(batch(1, 50), leader_epoch=partition.leader_epoch, now_ms=now_ms)
        elif kind < 0.9:
            producer = {"producer_id": odd.randrange(1 << 40), "producer_epoch": 0}
            data = batch(1, 50, transactional=True, base_sequence=0, **producer)
            marker = build_end_marker(False, timestamp=0, coordinator_epoch=0, **producer)
            for one in (data, marker) if odd.random() < 0.7 else ():
                partition.log.append(
                    one, leader_epoch=partition.leader_epoch, now_ms=now_ms, origin=COORDINATOR
                )
            partition.transactional = True
        else:
            up_to = odd.randint(partition.log_start_offset, partition.high_watermark)
            partition.delete_records(up_to)
        partition.advance()
        broker.node.replicas.fetches.touch(partition)

    on_loop(broker, work)


@pytest.mark.parametrize("version", range(FROM_SESSIONS, 19))
@pytest.mark.parametrize("seed", range(4))
def test_any_schedule_of_sessions(broker: Broker, version: int, seed: int) -> None:
    names = [f"twins-{version}-{seed}-{i}" for i in range(2)]
    odd = random.Random(100 * version + seed)
    with Wire(broker.bootstrap_servers) as wire:
        ids = [make_topic(wire, name, PARTITIONS) for name in names]
    topics: list[Any] = list(ids) if version >= 13 else list(names)

    def start(topic: Any, index: int) -> int:
        if topic not in topics[:2] or index >= PARTITIONS:
            return 0
        return int(partition_of(broker, names[topics.index(topic)], index).log_start_offset)

    calm = seed % 2 == 1
    if not calm:
        topics.append(bytes(16) if version >= 13 else "nowhere")
    readers = Readers(odd, topics, version, calm=calm, starts=start)
    twins = Twins(broker, version)
    for _ in range(60):
        for _ in range(odd.choice((0, 0, 1, 3))):
            something_happens(broker, names, odd)
        chance = odd.random()
        if chance < 0.04:
            # Another epoch than the session's.
            twins.ask(readers.next(False), odd.choice((twins.epoch + 1, max(1, twins.epoch - 1))))
            continue
        full = not twins.epoch or chance < 0.08
        if full:
            twins.epoch = 0
        _, reply = twins.ask(readers.next(full))
        if reply.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND:
            # It forgot everything.
            twins.epoch = 0
        readers.note(reply)
    if calm:
        assert twins.outcomes.count(ANSWERED) > 20
    else:
        assert TAKEN in twins.outcomes


def opened(wire: Wire, version: int, topic: Any, partitions: int) -> int:
    """The id of a new session of the topic's first partitions, from their beginnings."""
    request = fetch(topic, *[0] * partitions, session_epoch=0)
    session_id: int = wire.call(request, version).session_id
    assert session_id
    return session_id


def goes_on(session_id: int, epoch: int, **fields: Any) -> Any:
    """An incremental request that changes nothing."""
    named = {"max_bytes": 1 << 20, "min_bytes": 1} | fields
    return FetchRequest(session_id=session_id, session_epoch=epoch, **named)


def second(topic: str, records: bytes) -> Any:
    """A produce to the topic's second partition."""
    request = produce(topic, records)
    request.topic_data[0].partition_data[0].index = 1
    return request


@pytest.mark.parametrize("version", range(FROM_SESSIONS, 19))
def test_it_waits_and_says_what_the_handler_says(broker: Broker, version: int) -> None:
    topic = f"session-waits-{version}"
    twins = Twins(broker, version)
    with ExitStack() as stack:
        wire, reader, other = (
            stack.enter_context(Wire(broker.bootstrap_servers)) for _ in range(3)
        )
        topic_id = make_topic(wire, topic, 3)
        asked = topic_id if version >= 13 else topic
        ids = [opened(wire, version, asked, 3) for _ in range(2)]
        for epoch in (1, 2, 3):
            # Behind what came last time.
            wanted = FetchRequest.FetchPartition(
                partition=1, fetch_offset=epoch - 1, partition_max_bytes=1 << 20
            )
            named = {"topic_id": asked} if version >= 13 else {"topic": asked}
            moved = [FetchRequest.FetchTopic(partitions=[wanted], **named)]
            request = goes_on(ids[1], epoch, max_wait_ms=8000, topics=moved)
            slow = asyncio.run_coroutine_threadsafe(awaited(twins.general, request), broker.loop)
            eventually(lambda: waiters(broker, topic, 1))
            request.session_id = ids[0]
            reader.send(request, version)
            eventually(lambda: len(waiters(broker, topic, 1)) == 2)
            assert kinds(broker, topic) == {"Fetch", "WaitingFetch"}
            other.call(second(topic, batch(1, 20)), 9)
            raw = reader.receive_raw()
            expected = slow.result(10)
            # Behind correlation, throttle time and error are the ids.
            at = 10 + (version >= 12)
            assert raw[4:at] == expected[8 : at + 4]
            assert int.from_bytes(raw[at : at + 4], "big") == ids[0]
            assert raw[at + 4 :] == expected[at + 8 :]
            assert len(raw) > 100
            assert not waiters(broker, topic)


async def awaited(general: Any, request: Any) -> bytes:
    """The handler's reply when it is there."""
    return b"".join(bytes(part) for part in await general(request))


@pytest.mark.parametrize("version", [7, 12, 17])
def test_the_time_is_up_and_nothing_is_news(broker: Broker, version: int) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        topic = f"session-late-{version}"
        topic_id = make_topic(wire, topic, 2)
        session_id = opened(wire, version, topic_id if version >= 13 else topic, 2)
        taken = broker._fast.fetched
        found = wire.call(goes_on(session_id, 1, max_wait_ms=60), version)
        assert (found.error_code, found.session_id, found.responses) == (0, session_id, [])
        assert broker._fast.fetched == taken + 1
        # The session goes on.
        wire.call(second(topic, batch()), 9)
        (said,) = wire.call(goes_on(session_id, 2), version).responses
        assert [one.partition_index for one in said.partitions] == [1]
        assert broker._fast.fetched == taken + 2


def test_what_becomes_unusual_while_it_waits_is_the_handlers(broker: Broker) -> None:
    with Wire(broker.bootstrap_servers) as wire, Wire(broker.bootstrap_servers) as reader:
        topic = "session-unusual"
        make_topic(wire, topic, 2)
        session_id = opened(wire, 12, topic, 2)
        reader.send(goes_on(session_id, 1, max_wait_ms=8000), 12)
        eventually(lambda: waiters(broker, topic))
        partition = partition_of(broker, topic, 1)

        def offline() -> None:
            partition.offline = True
            broker.node.replicas.fetches.touch(partition)
            broker.node.touch()

        on_loop(broker, offline)
        (said,) = reader.receive().responses
        assert [(one.partition_index, one.error_code) for one in said.partitions] == [
            (1, ErrorCode.KAFKA_STORAGE_ERROR)
        ]
        partition.offline = False
        # The end of the error is news, once.
        (said,) = reader.call(goes_on(session_id, 2), 12).responses
        assert [(one.partition_index, one.error_code) for one in said.partitions] == [(1, 0)]
        assert reader.call(goes_on(session_id, 3), 12).responses == []


@pytest.mark.parametrize("version", [7, 11, 12, 17])
def test_a_cut_request_leaves_its_session_alone(broker: Broker, version: int) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        topic = f"session-cut-{version}"
        topic_id = make_topic(wire, topic, 3)
        asked = topic_id if version >= 13 else topic
        session_id = opened(wire, version, asked, 2)
    request = fetch(asked, 5, 6, 7, session_id=session_id, session_epoch=1)
    named = {"topic_id": asked} if version >= 13 else {"topic": asked}
    request.forgotten_topics_data = [FetchRequest.ForgottenTopic(partitions=[1], **named)]
    body = request.encode(version)
    session = broker.node.sessions.get(session_id)
    assert session is not None

    def state() -> Any:
        return session.epoch, [(one.key, one.fetch_offset) for one in session.partitions.values()]

    before = state()
    path = broker._fast
    for cut in range(len(body)):
        assert on_loop(broker, lambda c=cut: path.request(FETCH, version, body[:c])) == (0, b"")
        assert state() == before
    assert on_loop(broker, lambda: path.request(FETCH, version, body + b"\0")) == (0, b"")
    assert state() == before
    assert on_loop(broker, lambda: path.request(FETCH, version, body))[0] == TAKEN
    path.session = None
    assert state() == (2, [((asked, 0), 5), ((asked, 2), 7)])


def test_what_the_caller_may_not_read_is_the_handlers(broker: Broker) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "session-granted")
        make_topic(wire, "session-refused")
        request = fetch("session-granted", 0, session_epoch=0)
        request.topics += fetch("session-refused", 0).topics
        session_id = wire.call(request, 12).session_id
    path = broker._fast

    def outcome(epoch: int, refused: bool) -> int:
        path.permitted = {b"session-granted": True, b"session-refused": not refused}
        try:
            body = goes_on(session_id, epoch).encode(12)
            return int(path.request(FETCH, 12, body)[0])
        finally:
            path.permitted = path.session = None

    assert on_loop(broker, lambda: outcome(1, False)) == ANSWERED
    assert on_loop(broker, lambda: outcome(2, True)) == TAKEN


def test_more_partitions_than_a_sessionless_fetch_may_name(broker: Broker) -> None:
    count = 400
    with Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "session-wide", count)
        session_id = opened(wire, 12, "session-wide", count)
        wire.call(second("session-wide", batch()), 9)
        taken = broker._fast.fetched
        (said,) = wire.call(goes_on(session_id, 1), 12).responses
        assert [one.partition_index for one in said.partitions] == [1]
        assert broker._fast.fetched == taken + 1
        session = broker.node.sessions.get(session_id)
        assert session is not None
        assert list(session.partitions)[-1] == ("session-wide", 1)


def test_no_session_is_taken_by_another_request(broker: Broker) -> None:
    """Unknown ids, other epochs, other kinds of topics, what would end the session, followers."""
    with Wire(broker.bootstrap_servers) as wire:
        topic_id = make_topic(wire, "session-others")
        session_id = opened(wire, 12, "session-others", 1)
    session = broker.node.sessions.get(session_id)
    assert session is not None
    path = broker._fast
    forgets = goes_on(session_id, 1)
    forgets.forgotten_topics_data = [
        FetchRequest.ForgottenTopic(topic="session-others", partitions=[0])
    ]
    follower = goes_on(session_id, 1, replica_id=1)
    for request, version in (
        (goes_on(session_id ^ 1, 1), 12),
        (goes_on(session_id, 2), 12),
        (goes_on(session_id, 0), 12),
        (goes_on(session_id, -1), 12),
        (goes_on(0, 1), 12),
        (goes_on(session_id, 1), 13),
        (fetch(topic_id, 0, session_id=session_id, session_epoch=1), 13),
        (goes_on(session_id, 1, isolation_level=2), 12),
        (forgets, 12),
        (follower, 12),
    ):
        body = request.encode(version)
        assert on_loop(broker, lambda b=body, v=version: path.request(FETCH, v, b)) == (0, b"")
        assert session.epoch == 1
    assert path.session is None
