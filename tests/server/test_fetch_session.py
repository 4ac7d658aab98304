"""Fetch sessions by themselves: ids and epochs, what is news, who has to make room (KIP-227)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.server.fetch_session import (
    EPOCH_MAX,
    EVICTION_MS,
    FetchContext,
    FetchSessions,
    next_epoch,
    only_news,
)

A, B = bytes([1]) * 16, bytes([2]) * 16


def ask(*partitions: tuple[bytes, int, int], forget: Any = (), **fields: Any) -> FetchRequest:
    """A request for (topic id, index, offset)s; named topics get the hexadecimal id as name."""
    topics = [
        FetchRequest.FetchTopic(
            topic=topic.hex(),
            topic_id=topic,
            partitions=[FetchRequest.FetchPartition(partition=index, fetch_offset=offset)],
        )
        for topic, index, offset in partitions
    ]
    forgotten = [
        FetchRequest.ForgottenTopic(topic=topic.hex(), topic_id=topic, partitions=[index])
        for topic, index in forget
    ]
    return FetchRequest(topics=topics, forgotten_topics_data=forgotten, **fields)


def said(**fields: Any) -> Any:
    """What a reply says of a partition."""
    fields = {"high_watermark": 10, "log_start_offset": 0, "records": b""} | fields
    return FetchResponse.PartitionData(**fields)


def begun(
    sessions: FetchSessions, size: int = 1, *, follower: bool = False, now_ms: int = 0
) -> tuple[int, FetchContext]:
    """A session of so many partitions, or id 0."""
    request = ask(*((A, index, 0) for index in range(size)), session_epoch=0)
    context = sessions.context(request, 13, now_ms)
    return sessions.begin(context, follower=follower, now_ms=now_ms), context


@pytest.fixture
def sessions() -> FetchSessions:
    return FetchSessions(2, random.Random(1))


def keys(context: FetchContext) -> list[tuple[Any, int]]:
    """The partitions in the order in which they are served."""
    return list(context.partitions)


def test_sessionless_leaves_nothing_behind(sessions: FetchSessions) -> None:
    context = sessions.context(ask((A, 0, 5), session_epoch=-1), 13, 0)
    assert (context.error, context.full, context.session) == (None, False, None)
    assert keys(context) == [(A, 0)]
    assert len(sessions) == 0


def test_full_begins_and_incremental_goes_on(sessions: FetchSessions) -> None:
    session_id, _ = begun(sessions, 2)
    assert 1 <= session_id < 2**31
    context = sessions.context(
        ask((A, 1, 7), (B, 0, 3), session_id=session_id, session_epoch=1), 13, 1
    )
    assert context.session is sessions.get(session_id)
    assert [p.fetch_offset for p in context.partitions.values()] == [0, 7, 3]
    context = sessions.context(
        ask(forget=[(A, 0), (B, 9)], session_id=session_id, session_epoch=2), 13, 2
    )
    assert keys(context) == [(A, 1), (B, 0)]


def test_wrong_ids_epochs_and_kinds_of_topics(sessions: FetchSessions) -> None:
    session_id, _ = begun(sessions)
    for session, epoch, version, error in (
        (session_id ^ 1, 1, 13, ErrorCode.FETCH_SESSION_ID_NOT_FOUND),
        (session_id, 2, 13, ErrorCode.INVALID_FETCH_SESSION_EPOCH),
        (session_id, 1, 12, ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR),
    ):
        request = ask((B, 0, 0), session_id=session, session_epoch=epoch)
        context = sessions.context(request, version, 0)
        assert (context.error, keys(context)) == (error, [])
    # None of them changed the session.
    context = sessions.context(ask(session_id=session_id, session_epoch=1), 13, 0)
    assert (context.error, keys(context)) == (None, [(A, 0)])


def test_a_session_of_names_refuses_ids(sessions: FetchSessions) -> None:
    context = sessions.context(ask((A, 0, 0), session_epoch=0), 12, 0)
    session_id = sessions.begin(context, follower=False, now_ms=0)
    refused = sessions.context(ask(session_id=session_id, session_epoch=1), 13, 0)
    assert refused.error is ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
    context = sessions.context(ask(session_id=session_id, session_epoch=1), 7, 0)
    assert keys(context) == [(A.hex(), 0)]


@pytest.mark.parametrize("epoch", [0, -1])
def test_a_full_fetch_ends_the_session_that_it_names(sessions: FetchSessions, epoch: int) -> None:
    session_id, _ = begun(sessions)
    sessions.context(ask((A, 0, 0), session_id=session_id, session_epoch=epoch), 13, 0)
    assert sessions.get(session_id) is None


def test_forgetting_everything_ends_the_session(sessions: FetchSessions) -> None:
    session_id, _ = begun(sessions)
    request = ask((B, 0, 4), forget=[(A, 0), (B, 0)], session_id=session_id, session_epoch=1)
    context = sessions.context(request, 13, 0)
    assert (context.session, context.full, keys(context)) == (None, False, [(B, 0)])
    assert len(sessions) == 0


def test_an_empty_full_fetch_begins_a_session_too(sessions: FetchSessions) -> None:
    session_id, _ = begun(sessions, 0)
    assert session_id
    context = sessions.context(ask((B, 0, 0), session_id=session_id, session_epoch=1), 13, 0)
    assert keys(context) == [(B, 0)]


def test_epochs_wrap_to_one() -> None:
    assert [next_epoch(e) for e in (-1, 0, 1, EPOCH_MAX)] == [-1, 1, 2, 1]


def test_only_news_is_sent(sessions: FetchSessions) -> None:
    session_id, _ = begun(sessions, 1)
    context = sessions.context(ask(session_id=session_id, session_epoch=1), 13, 0)
    assert context.session is not None

    def sent(**fields: Any) -> bool:
        assert context.session is not None
        return bool(list(only_news(context.session, [((A, 0), said(**fields))])))

    assert sent()
    assert not sent()
    assert sent(high_watermark=11)
    assert not sent(high_watermark=11)
    assert sent(high_watermark=11, log_start_offset=2)
    quiet = {"high_watermark": 11, "log_start_offset": 2}
    assert not sent(**quiet)
    assert sent(**quiet, records=b"batch")
    assert not sent(**quiet)
    assert sent(**quiet, preferred_read_replica=3)
    assert sent(**quiet, diverging_epoch=FetchResponse.EpochEndOffset(epoch=1, end_offset=2))
    assert not sent(**quiet)
    failed = {"error_code": 6, "high_watermark": -1, "log_start_offset": 2}
    assert sent(**failed)
    assert sent(**failed)
    # The end of an error is news.
    assert sent(**quiet)
    assert not sent(**quiet)


def test_data_sends_a_partition_to_the_end(sessions: FetchSessions) -> None:
    session_id, _ = begun(sessions, 3)
    context = sessions.context(ask(session_id=session_id, session_epoch=1), 13, 0)
    assert context.session is not None
    answers = [((A, index), said(records=b"x" if index < 2 else b"")) for index in range(3)]
    assert [key for key, _ in only_news(context.session, answers)] == [(A, 0), (A, 1), (A, 2)]
    context = sessions.context(ask(session_id=session_id, session_epoch=2), 13, 0)
    assert keys(context) == [(A, 2), (A, 0), (A, 1)]


def test_no_slots_no_sessions() -> None:
    none = FetchSessions(0, random.Random(1))
    assert begun(none)[0] == 0
    assert len(none) == 0


def test_a_full_cache_keeps_young_sessions(sessions: FetchSessions) -> None:
    first, second = begun(sessions)[0], begun(sessions)[0]
    assert begun(sessions, 100, now_ms=EVICTION_MS)[0] == 0
    assert sessions.get(first)
    assert sessions.get(second)


def test_the_longest_unused_gives_way(sessions: FetchSessions) -> None:
    first, second = begun(sessions, 5)[0], begun(sessions, 1)[0]
    late = EVICTION_MS + 1
    sessions.context(ask(session_id=second, session_epoch=1), 13, late)
    assert begun(sessions, 1, now_ms=late)[0]
    assert sessions.get(first) is None
    assert sessions.get(second) is not None


def test_a_larger_one_displaces_an_old_smaller_one(sessions: FetchSessions) -> None:
    small, large = begun(sessions, 2)[0], begun(sessions, 9)[0]
    late = EVICTION_MS + 1
    for session_id in (small, large):
        sessions.context(ask(session_id=session_id, session_epoch=1), 13, late)
    assert begun(sessions, 2, now_ms=late)[0] == 0
    assert begun(sessions, 3, now_ms=late)[0]
    assert sessions.get(small) is None
    assert sessions.get(large) is not None


def test_followers_displace_consumers_at_once_and_not_the_other_way_round(
    sessions: FetchSessions,
) -> None:
    small, large = begun(sessions, 1)[0], begun(sessions, 50)[0]
    follower = begun(sessions, 1, follower=True)[0]
    assert follower
    assert sessions.get(small) is None
    other = begun(sessions, 1, follower=True)[0]
    assert other
    assert sessions.get(large) is None
    assert begun(sessions, 99)[0] == 0
    assert begun(sessions, 99, follower=True)[0] == 0
