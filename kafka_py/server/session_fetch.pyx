# cython: auto_pickle=False
"""A consumer's fetch within a session (KIP-227), from request bytes to reply bytes.

It has two steps, and may be left to the general path after either. A request that is malformed, or whose session is
not there, not its turn or about to end, is DECLINED before anything happened. Then the session takes it: its epoch
moves on, and what the request names and forgets is written into the session's partitions. If one of these is unusual
(another leader, an offset out of range, cold pages, aborted transactions) the request is TAKEN, and the general path
serves ``session`` as it is, without taking the request again; so it does when a fetch that waited has become unusual.

The answer names what has news only, and must be the general path's to the byte, now and in the session's next replies:
both keep what was said in the same objects (tests/server/test_session_fetch.py runs twins of sessions against
each other).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t

from kafka_py.protocol.cursor cimport Cursor, has, no_tags, read16, read32, read64, read_count, read_uvarint
from kafka_py.replication.partition cimport Partition
from kafka_py.server.fetch_session cimport FetchSession, FetchSessions, SessionPartition, next_epoch
from kafka_py.server.fetch_wire cimport FetchHead, is_ascii, put_count, put_fetched_partition, put_topic, read_topic
from kafka_py.server.outcomes cimport ANSWERED, DECLINED, HUNGRY, TAKEN
from kafka_py.server.output cimport Output, patch32, put8, put16, put32
from kcore.segment cimport LogSlice

from kcore.errors import OffsetOutOfRange


cdef bint ask(SessionPartition partition, Cursor* c, int version) noexcept:
    """Read what is asked of a partition, behind its index; into nothing where `partition` is None."""
    cdef int32_t current_leader_epoch = read32(c) if version >= 9 else -1
    cdef int64_t fetch_offset = read64(c)
    cdef int32_t last_fetched_epoch = read32(c) if version >= 12 else -1
    cdef int64_t reader_log_start_offset = read64(c) if version >= 5 else -1
    cdef int32_t partition_max_bytes = read32(c)
    no_tags(c, version >= 12)
    if partition is not None:
        partition.current_leader_epoch = current_leader_epoch
        partition.fetch_offset = fetch_offset
        partition.last_fetched_epoch = last_fetched_epoch
        partition.reader_log_start_offset = reader_log_start_offset
        partition.partition_max_bytes = partition_max_bytes
    return not c.bad


cdef SessionPartition remembered(FetchSession session, object name, bytes hosted_as, int32_t index):
    """The session's partition of that key; a new one at its end if there is none."""
    cdef tuple key = (name, index)
    cdef PyObject* known = PyDict_GetItem(session.partitions, key)
    cdef SessionPartition made
    if known != NULL:
        return <SessionPartition>known
    made = SessionPartition.__new__(SessionPartition)
    made.key = key
    made.hosted_as = hosted_as
    made.index = index
    made.high_watermark = made.log_start_offset = -1
    session.partitions[key] = made
    return made


cdef int64_t walk(Cursor* c, int version, FetchSession session) except -2:
    """Read what a request has behind its head; into the session, or into nothing where that is None.

    How many partitions it forgets, -1 when it is malformed or not a consumer's.
    """
    cdef bint flexible = version >= 12
    cdef bint by_id = version >= 13
    cdef bint forgets
    cdef const uint8_t* place = NULL
    cdef Py_ssize_t size
    cdef int32_t index
    cdef int64_t topics, count, forgotten = 0
    cdef bytes hosted_as = None
    cdef object name = None
    cdef SessionPartition partition = None
    for forgets in (False, True):
        topics = read_count(c, flexible)
        if c.bad or topics < 0:
            return -1
        while topics > 0:
            topics -= 1
            size = read_topic(c, by_id, flexible, &place)
            count = read_count(c, flexible)
            if c.bad or count < 0 or not (by_id or is_ascii(place, size)):
                return -1
            if session is not None:
                hosted_as = PyBytes_FromStringAndSize(<const char*>place, size)
                name = hosted_as if by_id else hosted_as.decode("ascii")
            if forgets:
                forgotten += count
            while count > 0:
                count -= 1
                index = read32(c)
                if forgets:
                    if c.bad:
                        return -1
                    if session is not None:
                        session.partitions.pop((name, index), None)
                    continue
                if session is not None:
                    partition = remembered(session, name, hosted_as, index)
                if not ask(partition, c, version):
                    return -1
            no_tags(c, flexible)
    if version >= 11:
        size = read_uvarint(c) - 1 if flexible else read16(c)
        if not has(c, size) or not is_ascii(c.p, size):
            return -1
        c.p += size
    no_tags(c, flexible)
    return -1 if c.bad or c.p != c.end else forgotten


cdef bint has_news(SessionPartition said, Partition partition, LogSlice piece) noexcept:
    """`SessionPartition.has_news` for a partition that was read without an error."""
    cdef bint news = piece is not None and piece.size > 0
    if said.high_watermark != partition.high_watermark:
        said.high_watermark = partition.high_watermark
        news = True
    if said.log_start_offset != partition.log_start_offset:
        said.log_start_offset = partition.log_start_offset
        news = True
    return news


cdef class SessionFetch:
    """All sessions' compiled fetches; one for a node's FastPath.

    ``sessions`` may be None: then everything is declined. ``monotonic_ms`` is the clock that sessions age by.
    """

    def __init__(self, replicas, FetchSessions sessions, monotonic_ms):
        self.by_name = replicas.by_name
        self.by_id = replicas.by_id
        self.sessions = sessions
        self.monotonic_ms = monotonic_ms
        self.asked_at = -1

    cdef int first(
        self, Output out, Cursor* c, const FetchHead* head, int version, int32_t correlation, object permitted, int64_t now_ms
    ) except -1:
        """A request whose head was read and whose topics are at the cursor; `permitted` as in FastPath."""
        cdef Cursor again = c[0]
        cdef FetchSession session
        cdef int64_t forgotten
        if self.sessions is None or head.isolation < 0 or head.isolation > 1:
            return DECLINED
        session = self.sessions._sessions.get(head.session_id)
        if session is None or head.epoch <= 0 or session.epoch != head.epoch or session.by_id != (version >= 13):
            return DECLINED
        forgotten = walk(c, version, None)
        if forgotten < 0 or forgotten >= len(session.partitions):
            # A session without partitions ends: none is left, or none was there.
            return DECLINED
        walk(&again, version, session)
        if self.asked_at != now_ms:
            # Sessions age by minutes: the monotonic clock is not asked more often than the other one moves.
            self.asked_at = now_ms
            self.monotonic_at = self.monotonic_ms()
        self.sessions.use(session, self.monotonic_at)
        return self.serve(out, session, head, version, correlation, permitted, now_ms)

    cdef int serve(
        self, Output out, FetchSession session, const FetchHead* head, int version, int32_t correlation, object permitted,
        int64_t now_ms,
    ) except -1:
        """What the session has to say, now that it has taken the request."""
        cdef dict hosted = self.by_id if session.by_id else self.by_name
        cdef dict found = None
        cdef bytes topic = None
        cdef Py_ssize_t place = 0
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        cdef SessionPartition wanted
        cdef Partition partition
        cdef LogSlice piece
        cdef object known
        cdef list partitions = [], slices = []
        cdef Py_ssize_t left = head.bytes_max, bytes_max, total = 0, readable = 0
        cdef int64_t limit
        self.session = session
        if session.epoch != next_epoch(head.epoch):
            # A later request has changed the session meanwhile.
            return TAKEN
        while PyDict_Next(session.partitions, &place, &key, &value):
            wanted = <SessionPartition>value
            if wanted.hosted_as is not topic:
                topic = wanted.hosted_as
                known = hosted.get(topic)
                if known is None or (permitted is not None and not permitted[topic]):
                    return TAKEN
                found = <dict>known
            known = found.get(wanted.index)
            if known is None:
                return TAKEN
            partition = <Partition>known
            if (
                not partition.leads or partition.offline
                or (wanted.current_leader_epoch >= 0 and wanted.current_leader_epoch != partition.leader_epoch)
                or wanted.last_fetched_epoch >= 0
                or wanted.fetch_offset < partition.log_start_offset or wanted.fetch_offset > partition.log_end_offset
                or (version < 10 and partition.log.config.compression == "zstd")
            ):
                return TAKEN
            piece = None
            limit = partition.limit(head.isolation, False)
            if wanted.fetch_offset < limit:
                bytes_max = max(0, min(<Py_ssize_t>wanted.partition_max_bytes, left))
                try:
                    piece = partition.log.read_slice(wanted.fetch_offset, bytes_max, limit, total == 0)
                except OffsetOutOfRange:
                    return TAKEN
                if piece.size:
                    if not piece.hot and not piece.was_resident(now_ms):
                        return TAKEN
                    if head.isolation == 1 and partition.log.aborted_transactions_of(piece):
                        return TAKEN
                    total += piece.size
                    left -= piece.size
                    readable += piece.size
                    if piece.next_offset < limit:
                        # A limit cut it short. Who asks for that many bytes must not wait for what cannot come.
                        readable += max(0, bytes_max - piece.size)
            partitions.append(partition)
            slices.append(piece)
        if readable < head.min_bytes and head.max_wait_ms > 0:
            self.awaited = partitions
            return HUNGRY
        self.session = None
        self.put_news(out, session, version, correlation, head.isolation, partitions, slices)
        return ANSWERED

    cdef int put_news(
        self, Output out, FetchSession session, int version, int32_t correlation, int isolation, list partitions, list slices
    ) except -1:
        """The reply, with the partitions that have news; those with data go to the end of the session."""
        cdef bint flexible = version >= 12
        cdef Py_ssize_t start = out.size, unsent = out.unsent
        cdef Py_ssize_t place = 0, at = 0, topics = 0, count, i, j
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        cdef bytes topic = None
        cdef SessionPartition said
        cdef LogSlice piece
        cdef list news = [], where = []
        while PyDict_Next(session.partitions, &place, &key, &value):
            said = <SessionPartition>value
            if has_news(said, <Partition>partitions[at], <LogSlice>slices[at]):
                news.append(said)
                where.append(at)
                if said.hosted_as is not topic and said.hosted_as != topic:
                    topics += 1
                topic = said.hosted_as
            at += 1
        put32(out, 0)
        put32(out, correlation)
        if flexible:
            put8(out, 0)
        put32(out, 0)
        put16(out, 0)
        put32(out, session.id)
        put_count(out, topics, flexible)
        i = 0
        while i < len(news):
            # One topic: partitions that follow each other.
            topic = (<SessionPartition>news[i]).hosted_as
            count = 1
            while i + count < len(news) and (<SessionPartition>news[i + count]).hosted_as == topic:
                count += 1
            put_topic(out, session.by_id, flexible, <const uint8_t*>PyBytes_AS_STRING(topic), PyBytes_GET_SIZE(topic))
            put_count(out, count, flexible)
            for j in range(i, i + count):
                said = <SessionPartition>news[j]
                at = where[j]
                put_fetched_partition(
                    out, version, said.index, <Partition>partitions[at], isolation, <LogSlice>slices[at]
                )
            if flexible:
                put8(out, 0)
            i += count
        if flexible:
            put8(out, 0)
        patch32(out, start, <int32_t>(out.unsent - unsent - 4))
        for i in range(len(news) if len(session.partitions) > 1 else 0):
            at = where[i]
            piece = <LogSlice>slices[at]
            if piece is not None and piece.size:
                said = <SessionPartition>news[i]
                del session.partitions[said.key]
                session.partitions[said.key] = said
        return 0
