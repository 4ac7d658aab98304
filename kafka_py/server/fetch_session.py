# cython: annotation_typing=False
"""Incremental fetch sessions (KIP-227): what a fetcher asked for, remembered between its requests.

Sans-IO. A session is a set of partitions in the order in which they are served: whoever got data
goes to the end, so that no partition starves. A reply of an incremental fetch names only partitions
that have something new to say.

The module is compiled through ``fetch_session.pxd``, so that ``session_fetch.pyx`` can serve the
same sessions without Python calls.

    request (session id, epoch)      | context
    ---------------------------------+--------------------------------------------------------------
    (any, -1)                        | sessionless; a session of that id ends
    (any, 0)                         | full; a session of that id ends, a new one begins if it may
    (id, next epoch)                 | incremental
    (unknown id, n)                  | FETCH_SESSION_ID_NOT_FOUND
    (id, another epoch)              | INVALID_FETCH_SESSION_EPOCH
    (id, next epoch), names <-> ids  | FETCH_SESSION_TOPIC_ID_ERROR
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest

__all__ = ["FetchContext", "FetchSession", "FetchSessions", "SessionPartition"]

FINAL_EPOCH: Final = -1
INITIAL_EPOCH: Final = 0
EPOCH_MAX: Final = 2**31 - 1
#: A session that was not used for so long, or is that old, gives way to any other.
EVICTION_MS: Final = 120_000
FIRST_TOPIC_ID_VERSION: Final = 13

#: A topic id from version 13 on, a name before; and the partition's index.
Key = tuple[bytes | str, int]


class SessionPartition:
    """What is asked of one partition, and what was last said of it.

    Attributes:
        key: its topic as the fetcher names it, and its index.
        hosted_as: the topic's id, or its name in UTF-8: by this the replicas are found.
        current_leader_epoch, fetch_offset, last_fetched_epoch, partition_max_bytes: as asked.
        reader_log_start_offset: where a follower's own log begins, -1 for consumers.
        high_watermark, log_start_offset: what was last said, -1 before.
    """

    def __init__(
        self, key: Key, hosted_as: bytes, asked: FetchRequest.FetchPartition | None
    ) -> None:
        self.key = key
        self.hosted_as = hosted_as
        self.index = key[1]
        self.high_watermark = -1
        self.log_start_offset = -1
        if asked is not None:
            self.ask(asked)

    def ask(self, asked: FetchRequest.FetchPartition) -> None:
        """Take over what a request asks of it."""
        self.current_leader_epoch = asked.current_leader_epoch
        self.fetch_offset = asked.fetch_offset
        self.last_fetched_epoch = asked.last_fetched_epoch
        self.reader_log_start_offset = asked.log_start_offset
        self.partition_max_bytes = asked.partition_max_bytes

    def has_news(self, said: Any) -> bool:
        """Whether a reply about this partition must be sent; takes note of what it says."""
        news = said.records is not None and len(said.records) > 0
        if self.high_watermark != said.high_watermark:
            news = True
            self.high_watermark = said.high_watermark
        if self.log_start_offset != said.log_start_offset:
            news = True
            self.log_start_offset = said.log_start_offset
        if said.preferred_read_replica >= 0 or said.diverging_epoch.epoch >= 0:
            news = True
        if said.error_code:
            # Said again next time, and once more when it is over.
            self.high_watermark = -1
            news = True
        return news


class FetchSession:
    """One fetcher's partitions; `epoch` is that of its next request."""

    def __init__(self, session_id: int, *, privileged: bool, by_id: bool, now_ms: int) -> None:
        self.id = session_id
        self.privileged = privileged
        self.by_id = by_id
        self.created_ms = now_ms
        self.used_ms = now_ms
        self.epoch = next_epoch(INITIAL_EPOCH)
        self.partitions: dict[Key, SessionPartition] = {}

    def update(self, request: FetchRequest) -> None:
        """Take over what a request adds, changes and forgets."""
        for key, hosted_as, asked in asked_of(request, self.by_id):
            known = self.partitions.get(key)
            if known is None:
                self.partitions[key] = SessionPartition(key, hosted_as, asked)
            else:
                known.ask(asked)
        for topic in request.forgotten_topics_data:
            name = topic.topic_id if self.by_id else topic.topic
            for index in topic.partitions:
                self.partitions.pop((name, index), None)

    def to_the_end(self, key: Key) -> None:
        """It got data: others come first next time."""
        self.partitions[key] = self.partitions.pop(key)


class FetchContext:
    """How one request is to be served.

    `error` refuses it as a whole. `partitions` are in the order of serving. `session` is the
    session of an incremental fetch, None otherwise; `full` fetches may begin one at their end.
    """

    __slots__ = ("by_id", "error", "full", "partitions", "session")

    def __init__(
        self,
        partitions: dict[Key, SessionPartition],
        *,
        by_id: bool,
        session: FetchSession | None = None,
        full: bool = False,
        error: ErrorCode | None = None,
    ) -> None:
        self.partitions = partitions
        self.by_id = by_id
        self.session = session
        self.full = full
        self.error = error


class FetchSessions:
    """The sessions of a broker: at most `slots` (max.incremental.fetch.session.cache.slots)."""

    def __init__(self, slots: int, random: Any) -> None:
        """`random`: a `random.Random` or its like; session ids are drawn from it."""
        self.slots = slots
        self._random = random
        #: By id, in the order of their last use.
        self._sessions: dict[int, FetchSession] = {}
        self._newest: FetchSession | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, session_id: int) -> FetchSession | None:
        """The session of that id."""
        return self._sessions.get(session_id)

    def context(self, request: FetchRequest, version: int, now_ms: int) -> FetchContext:
        """How to serve a request; an incremental one has been taken into its session then."""
        by_id = version >= FIRST_TOPIC_ID_VERSION
        if request.session_epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            self._sessions.pop(request.session_id, None)
            partitions = named_in(request, by_id)
            return FetchContext(partitions, by_id=by_id, full=request.session_epoch == 0)
        session = self._sessions.get(request.session_id)
        error = None
        if session is None:
            error = ErrorCode.FETCH_SESSION_ID_NOT_FOUND
        elif session.epoch != request.session_epoch:
            error = ErrorCode.INVALID_FETCH_SESSION_EPOCH
        elif session.by_id != by_id:
            error = ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
        if session is None or error is not None:
            return FetchContext({}, by_id=by_id, error=error)
        session.update(request)
        if not session.partitions:
            # What was named and forgotten by the same request is served this once.
            del self._sessions[session.id]
            return FetchContext(named_in(request, by_id), by_id=by_id)
        self.use(session, now_ms)
        return self.resume(session)

    def resume(self, session: FetchSession) -> FetchContext:
        """How to serve a request that its session has taken already."""
        return FetchContext(session.partitions, by_id=session.by_id, session=session)

    def use(self, session: FetchSession, now_ms: int) -> None:
        """An incremental request of the session's next epoch: it is the last one used now."""
        session.used_ms = now_ms
        session.epoch = next_epoch(session.epoch)
        if self._newest is not session:
            # Dictionaries keep their order: moving to the end makes the first the least recently
            # used.
            self._sessions[session.id] = self._sessions.pop(session.id)
            self._newest = session

    def begin(self, context: FetchContext, *, follower: bool, now_ms: int) -> int:
        """A session for a full fetch; its id, 0 when there is no place for one."""
        if not self.slots:
            return 0
        if len(self._sessions) >= self.slots and not self._evict(
            follower, len(context.partitions), now_ms
        ):
            return 0
        session_id = 0
        while not session_id or session_id in self._sessions:
            session_id = self._random.randrange(1, 2**31)
        session = FetchSession(session_id, privileged=follower, by_id=context.by_id, now_ms=now_ms)
        session.partitions = context.partitions
        self._sessions[session_id] = session
        self._newest = session
        return session_id

    def _evict(self, privileged: bool, size: int, now_ms: int) -> bool:
        """Make room for a session of `size` partitions if a lesser one is there (KIP-227).

        One that nobody used for two minutes goes first; else the smallest of those that the new
        one ranks above: followers above consumers, more partitions above fewer. Only sessions that
        are two minutes old may go for their size, and consumers' at once for a follower.
        """
        oldest = next(iter(self._sessions.values()))
        if now_ms - oldest.used_ms > EVICTION_MS:
            del self._sessions[oldest.id]
            return True
        evictable = [
            one
            for one in self._sessions.values()
            if now_ms - one.created_ms > EVICTION_MS or (privileged and not one.privileged)
        ]
        if not evictable:
            return False
        least = min(evictable, key=lambda one: (one.privileged, len(one.partitions), one.id))
        if (least.privileged, len(least.partitions)) >= (privileged, size):
            return False
        del self._sessions[least.id]
        return True


def asked_of(
    request: FetchRequest, by_id: bool
) -> Iterator[tuple[Key, bytes, FetchRequest.FetchPartition]]:
    """The partitions that a request names: key, what their topic is hosted as, what is asked."""
    for topic in request.topics:
        name: bytes | str = topic.topic_id if by_id else topic.topic
        hosted_as = topic.topic_id if by_id else topic.topic.encode()
        for partition in topic.partitions:
            yield (name, partition.partition), hosted_as, partition


def named_in(request: FetchRequest, by_id: bool) -> dict[Key, SessionPartition]:
    """The partitions that a request names, in its order; of one named twice the last counts."""
    return {
        key: SessionPartition(key, hosted_as, asked)
        for key, hosted_as, asked in asked_of(request, by_id)
    }


def next_epoch(epoch: int) -> int:
    """The epoch after this one; after the largest comes 1, since 0 would begin a session."""
    # Numbers instead of their names: the compiled fetches come through here.
    if epoch < 0:
        return -1
    return 1 if epoch == 0x7FFFFFFF else epoch + 1


def only_news(session: FetchSession, said: Iterable[tuple[Key, Any]]) -> Iterator[tuple[Key, Any]]:
    """Of an incremental reply's partitions those that must be sent; data sends to the end."""
    for key, data in list(said):
        partition = session.partitions.get(key)
        if partition is None or not partition.has_news(data):
            continue
        if data.records is not None and len(data.records) > 0:
            session.to_the_end(key)
        yield key, data
