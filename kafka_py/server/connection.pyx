# cython: auto_pickle=False
"""A client's connection: frames in, requests to the compiled paths or the handlers, replies out in the order of requests.

Caveats first:

* How bytes come and go is :mod:`kafka_py.server.channel`'s business, where they are received into that of
  :mod:`kafka_py.server.blocks`. A block that a handler still reads from (a :class:`Body` is out) is given up and never
  written again.
* Replies to what one receive brought go out together by one system call where the socket takes them. Fetches that its
  appends feed are looked at once, when every socket of the reactor's look has been served.
* Back-pressure is "not reading": too many bytes being answered (on this connection or in all) or too many bytes that the
  peer does not read stop the taking of further frames; :mod:`kafka_py.server.limits` closes those who overdo it.
* Malformed bytes, unknown APIs and exceptions in handlers close this one connection and nothing else.
"""

import asyncio
import logging
from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from kafka_py.coordinator.offsets.commit_path cimport CommitPath, quick_header
from kafka_py.reactor cimport Reactor, Turns, monotonic
from kafka_py.server.blocks cimport Block, Blocks, Body, Intake
from kafka_py.server.fast_path cimport FastPath, skip_tags
from kafka_py.server.fetch_session cimport FetchSession
from kafka_py.server.foresight cimport foresee
from kafka_py.server.channel cimport Channel
from kafka_py.server.outcomes cimport ANSWERED, BROKEN, DECLINED, HUNGRY, SILENT, WAITING
from kafka_py.server.output cimport Output, put
from kafka_py.server.replies cimport AppendReply, CommitReply, Reply
from kafka_py.server.waiting_fetch cimport WaitingFetch
from kcore.endian cimport load_be16, load_be32

from kafka_py.event_loop import reactor_of
from kafka_py.protocol.errors import ErrorCode, ProtocolError
from kafka_py.server.coordinators import java_address
from kafka_py.server.grants import grants_of
from kafka_py.server.dispatch import CloseConnection, RequestContext, dispatch, route, unsupported_api_versions

log = logging.getLogger("kafka_py.server")

cdef enum:
    BODY_COPIED_MAX = 32768
    CLIENT_ID_MAX = 4096
    ALONE_MIN = 32              # so many requests in a row, one by one, and nobody else's between them
    ALONE_BYTES_MAX = 16384     # a longer request's flush takes longer than the changes of thread that it saves
    SENT_TOGETHER_MAX = 32      # replies that one wake-up lets wait for each other
    KEY_PRODUCE = 0
    KEY_FETCH = 1
    KEY_OFFSET_COMMIT = 8
    KEY_HEARTBEAT = 12
    KEY_API_VERSIONS = 18

#: Most of 10,000 connections never have a reply that waits: they share this, and a deque has 600 bytes.
cdef tuple NO_REPLIES = ()


cdef class Hub(Turns):
    """What the connections of one node share: the loop, the shared receive block, the byte budget, who has output.

    ``mark`` notes that a connection has something to send; all of them are served at the end of the wake-up.
    """

    def __init__(self, node, loop, limits, fast, flusher):
        self.node = node
        self.loop = loop
        self.limits = limits
        self.fast = fast
        self.flusher = flusher
        self.appends = node.replicas.appends
        self.fetches = node.replicas.fetches
        self.clock = node.clock
        self.clock_now = node.clock.now_ms
        self.clock_monotonic = node.clock.monotonic_ms
        self.dispatch = dispatch
        self.grants_of = grants_of(node)
        self.route = route
        self.reactor = reactor_of(loop)
        self.blocks = Blocks()
        self.connections = set()
        self.dirty = []
        self.stalled = []
        self.inflight_bytes_max = limits.inflight_bytes_total_max

    cdef int begin(self, Reactor reactor) except -1:
        """A connection has received something: what is noted from now on is served when the reactor's look is over."""
        if not self.in_wakeup:
            self.in_wakeup = True
            self.fast.now_ms = self.clock_now()
        if reactor is not None:
            reactor.tell(self)
        return 0

    cdef int turn_over(self) except -1:
        return self.end_wakeup()

    cdef int mark(self, Connection connection) except -1:
        if not connection.dirty:
            connection.dirty = True
            self.dirty.append(connection)
        if not self.in_wakeup and not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.work_off)
        return 0

    def unusual(self, double now_s, double idle_s):
        """Whom :meth:`Limits.sweep` has to look at: replies unsent, a frame begun, nothing asked yet, idle for long.

        Of 10,000 connections these are a few; ``idle_s`` below 0 is for ever.
        """
        cdef Connection connection
        cdef list found = []
        for connection in self.connections:
            if (
                connection.out.unsent or connection.frame_at != 0 or not connection.served
                or 0 <= idle_s < now_s - connection.active_at
            ):
                found.append(connection)
        return found

    def begin_here(self):
        """Answers come, from outside of any connection: they are sent when the reactor's look is over."""
        self.begin(self.reactor)

    async def drained(self):
        """Wait until no connection is left."""
        if self.connections:
            self.empty = self.loop.create_future()
            await self.empty

    def touch_later(self):
        """Something moved outside of a wake-up (a follower, a flush): look at those who wait, soon."""
        if not self.in_wakeup and not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.work_off)

    def work_off(self):
        """Serve everyone who was noted."""
        self.scheduled = False
        self.in_wakeup = True
        self.fast.now_ms = self.clock_now()
        self.end_wakeup()

    cdef int end_wakeup(self) except -1:
        cdef list batch
        cdef Connection connection
        cdef int rounds = 0
        try:
            while True:
                if self.fetches._touched:
                    self.fetches.work_off()
                if not self.dirty:
                    break
                batch = self.dirty
                self.dirty = []
                for connection in batch:
                    connection.dirty = False
                    if connection.closed:
                        continue
                    try:
                        connection.pump()
                    except Exception as error:
                        connection.fail(error)
        finally:
            self.in_wakeup = False
        return 0

    def budget_freed(self):
        """Let connections that wait for the global byte budget go on."""
        cdef list waiting
        cdef Connection connection
        if self.stalled and self.inflight_bytes < self.inflight_bytes_max:
            waiting = self.stalled
            self.stalled = []
            for connection in waiting:
                if not connection.closed:
                    self.mark(connection)


cdef class Connection(Channel):
    """One connection; made by the listener for every accept. All methods run on the event loop."""

    def __init__(self, Hub hub, listening):
        self.hub = hub
        self.listening = listening
        self.role = listening.role
        self.plain_role = listening.role == "broker"
        self.intake = Intake(hub.blocks)
        self.out = Output()
        self.out.sendfile_min = hub.limits.sendfile_bytes_min
        self.replies = NO_REPLIES
        self.host = ""
        self.software_name = "unknown"
        self.software_version = "unknown"
        self.request_bytes_max = hub.limits.request_bytes_max
        self.inflight_bytes_max = hub.limits.inflight_bytes_max
        self.inflight_requests_max = hub.limits.inflight_requests_max
        self.unsent_bytes_max = hub.limits.unsent_bytes_max

    # The channel's events

    cdef int opened(self) except -1:
        """Limits may refuse the newcomer at once."""
        self.authenticated("User:ANONYMOUS")
        self.opened_at = self.active_at
        delay = self.hub.limits.admit(self, self.listening)
        if delay < 0 or self.hub.closing:
            self.closed = True
            return self.hang_up()
        self.counted = True
        self.hub.connections.add(self)
        if delay > 0:
            # A transport cannot be paused yet, so what comes meanwhile is received, and not taken.
            self.held = True
            self.hub.loop.call_later(delay, self.let_go)
        return 0

    def authenticated(self, principal):
        """Whose requests come from now on: ``type:name``."""
        self.principal = principal
        self.grants = self.hub.grants_of(principal, self.host)

    def let_go(self):
        """The creation rate allows one more: take what it has sent."""
        self.held = False
        if not self.closed:
            self.hub.mark(self)

    cdef int received(self, Block block) except -1:
        """Take every whole frame, then send what there is to send."""
        cdef Hub hub = self.hub
        cdef long requests = hub.requests
        hub.begin(self.reactor)
        if hub.alone is not <void*>self:
            hub.alone = <void*>self
            hub.alone_for = 0
        elif self.queued:
            hub.alone_for = 0
        try:
            self.keep_rest(block, self.take_frames(block, 0))
            if hub.requests - requests > 1:
                hub.alone_for = 0
            else:
                hub.alone_for += 1
            if not self.closed:
                self.pump()
        except Exception as error:
            self.fail(error)
            self.intake.forget(block)
        if self.reactor is None:
            hub.end_wakeup()
        return 0

    cdef bint half_closed(self) except -1:
        """What the peer asked for is still answered, then the connection closes.

        Fetches that wait for bytes are not: as a rule nobody is there to read them.
        """
        cdef Reply reply
        if self.queued or self.out.unsent:
            self.ending = True
            for reply in list(self.replies):
                if reply.abandon is not None:
                    reply.abandon.cancel()
            return True
        return False

    cdef int drained(self) except -1:
        if not self.closed and self.out.unsent <= self.unsent_bytes_max:
            self.hub.mark(self)
        return 0

    # Frames

    cdef int keep_rest(self, Block block, Py_ssize_t at) except -1:
        """What is behind the last whole frame stays, unless the connection is closed."""
        if self.closed:
            self.intake.forget(block)
        elif self.intake.keep(block, at) == 0:
            self.frame_at = 0
        elif at > 0 or self.frame_at == 0:
            self.frame_at = self.active_at
        return 0

    cdef bint may_take(self):
        """Whether the next request may be begun: budgets of bytes in work and bytes unsent."""
        if self.held:
            return False
        if self.inflight_bytes > self.inflight_bytes_max or self.queued >= self.inflight_requests_max:
            return False
        if self.out.unsent > self.unsent_bytes_max:
            return False
        if self.hub.inflight_bytes > self.hub.inflight_bytes_max and self.queued:
            return False
        return True

    cdef Py_ssize_t take_frames(self, Block block, Py_ssize_t at) except -1:
        """Take whole frames from ``at`` on; returns where the first one that was not taken begins."""
        cdef Py_ssize_t size, foreseen = at
        cdef int unsent = 0
        cdef FastPath fast = self.hub.fast
        while block.used - at >= 4:
            size = <int32_t>load_be32(block.data + at)
            if size < 0 or size > self.request_bytes_max:
                self.fail(f"a frame of {size} bytes (socket.request.max.bytes is {self.request_bytes_max})")
                return block.used
            if not self.served and size > self.hub.limits.first_request_bytes_max and block.used - at >= 6:
                if load_be16(block.data + at + 4) in (17, 18, 36):
                    self.fail(f"a first request of {size} bytes")
                    return block.used
            if block.used - at - 4 < size:
                return at
            if not self.may_take():
                if self.out.unsent > self.unsent_bytes_max:
                    self.send()
                if self.closed or not self.may_take():
                    self.stop_reading()
                    return at
            if at >= foreseen and fast.wanders:
                foreseen = at + foresee(fast.lookup, block.data + at, block.used - at)
            self.take_frame(block, block.data + at + 4, size)
            self.served = True
            self.intake.took(4 + size)
            if self.closed:
                return block.used
            at += 4 + size
            unsent += 1
            if unsent == SENT_TOGETHER_MAX:
                # The peer gets on with these while the others are being worked on.
                unsent = 0
                self.send()
                if self.closed:
                    return block.used
        return at

    cdef int take_frame(self, Block block, const uint8_t* p, Py_ssize_t n) except -1:
        """One request: header, then the compiled path, then the general one."""
        cdef int key, version, outcome, header
        cdef int32_t correlation
        cdef Py_ssize_t at = 8, size, start, externals, unsent
        cdef Output out = self.out
        cdef object client_id = None
        cdef Hub hub = self.hub
        cdef AppendReply waiting
        if n < 10:
            self.fail("a request shorter than its header")
            return 0
        key = <int16_t>load_be16(p)
        version = <int16_t>load_be16(p + 2)
        correlation = <int32_t>load_be32(p + 4)
        size = <int16_t>load_be16(p + 8)
        at = 10
        if size > CLIENT_ID_MAX or size < -1 or (size > 0 and n - at < size):
            self.fail("a malformed request header")
            return 0
        if size >= 0:
            at += size
        hub.requests += 1
        if self.plain_role and key <= KEY_FETCH and key >= KEY_PRODUCE:
            if (version >= 9 if key == KEY_PRODUCE else version >= 12):
                # A flexible header with tags is left to the general path.
                if n - at < 1 or p[at] != 0:
                    return self.take_general(block, key, version, correlation, self.text(p, size), p + at, n - at, n)
                at += 1
            start = out.size
            externals = len(out.externals)
            unsent = out.unsent
            outcome = DECLINED
            if self.grants is not None:
                hub.fast.permitted = self.grants.topics(key, version)
            if key == KEY_PRODUCE:
                if 3 <= version <= 13:
                    outcome = hub.fast.produce(out, None, p + at, n - at, version, correlation)
            elif 4 <= version <= 18:
                outcome = hub.fast.fetch(out, p + at, n - at, version, correlation)
            if outcome == ANSWERED:
                if self.queued:
                    self.queue_made(start)
                return 0
            if outcome == SILENT:
                return 0
            if outcome == BROKEN:
                out.rewind(start, externals, unsent)
                self.end_with("a produce with acks=0 failed")
                return 0
            if outcome == WAITING:
                waiting = AppendReply.__new__(AppendReply)
                waiting.connection = self
                waiting.version = version
                waiting.waits = hub.fast.waits.copy()
                waiting.waiting = len(waiting.waits)
                waiting.errors = {}
                waiting.durable = hub.fast.wait_for_flush
                waiting.deadline_ms = self.monotonic_ms() + max(0, hub.fast.timeout_ms)
                waiting.parts = out.cut(start)
                self.wait(waiting, n)
                for partition, end_offset in waiting.waits:
                    hub.appends.watch(waiting, partition, end_offset)
                if waiting.waiting == 1 and hub.flusher.at_once(
                    waiting.waits[0][0], hub.alone_for >= ALONE_MIN and n <= ALONE_BYTES_MAX
                ):
                    return 0
                for partition, end_offset in waiting.waits:
                    hub.flusher.appended(partition)
                return 0
            if outcome == HUNGRY:
                return self.let_wait(self.text(p, size), p + at, n - at, version, correlation, n)
            if (version >= 9 if key == KEY_PRODUCE else version >= 12):
                at -= 1
        elif self.plain_role and hub.commits is not None:
            header = quick_header(key, version)
            if header == 1 or (header == 2 and n > at and p[at] == 0):      # no tags
                if self.take_quick(p, at + header - 1, n, key, version, correlation, size):
                    return 0
        return self.take_general(block, key, version, correlation, self.text(p, size), p + at, n - at, n)

    cdef int let_wait(
        self, object client_id, const uint8_t* body, Py_ssize_t n, int version, int32_t correlation, Py_ssize_t frame_bytes
    ) except -1:
        """A fetch without its minimum of bytes waits for its partitions to move."""
        cdef FastPath fast = self.hub.fast
        cdef Reply reply = Reply.__new__(Reply)
        cdef WaitingFetch waiting
        cdef list partitions = fast.awaited
        fast.awaited = None
        reply.connection = self
        waiting = WaitingFetch(
            fast, PyBytes_FromStringAndSize(<const char*>body, n), version, correlation, client_id, self, reply,
            self.monotonic_ms() + fast.max_wait_ms,
        )
        # Otherwise who asks with a long max_wait_ms and leaves would hold memory for that long.
        reply.abandon = waiting
        self.wait(reply, frame_bytes)
        self.hub.fetches.watch(waiting, partitions, waiting.deadline_ms)
        self.hub.node.wake_at(waiting.deadline_ms)
        return 0

    def monotonic_ms(self):
        """The node's clock for deadlines."""
        return self.hub.clock_monotonic()

    def take_again(self, waiting):
        """By the message tables after all: a fetch that waited, and is not as usual any more."""
        cdef Reply reply
        cdef FetchSession session
        version, correlation, client_id, body, session, reply = waiting.request
        if self.closed:
            return
        context = self.context(KEY_FETCH, version, correlation, client_id, reply.request_bytes, session)
        try:
            result = self.hub.dispatch(self.hub.node, self.hub.route(self.role, KEY_FETCH, version), context, body)
        except Exception as error:
            self.fail(error)
            return
        if isinstance(result, list):
            reply.finish(result)
            return
        task = self.hub.loop.create_task(result)
        reply.abandon = task
        task.add_done_callback(reply.from_task)

    cdef bint take_quick(self, const uint8_t* p, Py_ssize_t at, Py_ssize_t n, int key, int version, int32_t correlation, Py_ssize_t client_id_bytes) except -1:
        """Commits and heartbeats that need no thought; whether this was one."""
        cdef CommitPath path = self.hub.commits
        cdef CommitReply committing
        cdef bytes frame
        cdef Py_ssize_t size
        cdef long long now_ms = self.hub.fast.now_ms
        path.grants = self.grants
        if key == KEY_OFFSET_COMMIT:
            frame = path.commit(p + at, n - at, version, correlation, now_ms)
            if frame is None:
                return False
            committing = CommitReply.__new__(CommitReply)
            committing.connection = self
            committing.version = version
            committing.parts = frame
            self.wait(committing, n)
            path.taken.quick.append(committing)
            return True
        if key == KEY_HEARTBEAT:
            size = path.heartbeat(p + at, n - at, version, correlation, now_ms)
        else:
            if self.address is None:
                self.address = java_address(self.host)
            size = path.member_heartbeat(
                p + at, n - at, version, correlation, now_ms, p + 10, max(client_id_bytes, 0), self.address
            )
        if size == 0:
            return False
        if self.queued:
            self.answer([PyBytes_FromStringAndSize(<const char*>path.scratch, size)], n)
        else:
            put(self.out, path.scratch, size)
        return True

    cdef object text(self, const uint8_t* p, Py_ssize_t size):
        """The client id behind the fixed header, None when null. Bytes that are no UTF-8 are kept visible."""
        if size < 0:
            return None
        return (<bytes>PyBytes_FromStringAndSize(<const char*>(p + 10), size)).decode("utf-8", "backslashreplace")

    cdef int queue_made(self, Py_ssize_t start) except -1:
        """The reply at the end of the output belongs behind others that wait."""
        cdef Reply reply = Reply.__new__(Reply)
        reply.connection = self
        reply.parts = self.out.cut(start)
        reply.done = True
        return self.push(reply)

    cdef int take_general(
        self, Block block, int key, int version, int32_t correlation, object client_id, const uint8_t* body,
        Py_ssize_t n, Py_ssize_t frame_bytes,
    ) except -1:
        """By the message tables: decode, handler, encode; the handler may take its time."""
        cdef Py_ssize_t skip
        cdef Body lent
        cdef object row = self.hub.route(self.role, key, version)
        cdef object buffer, result, context
        cdef FetchSession session
        if row is None:
            if key != KEY_API_VERSIONS:
                self.end_with(f"no API {key} version {version} on listener {self.listening.name}")
                return 0
            row = self.hub.route(self.role, key, 0)
            if row is None:
                self.end_with("no ApiVersions on this listener")
                return 0
            # An unknown version of ApiVersions is answered in version 0 whatever the request's body is (KIP-511).
            context = self.context(key, -1, correlation, client_id, frame_bytes, None)
            return self.answer(unsupported_api_versions(context), frame_bytes)
        if row.api.request_header_version(version) >= 2:
            skip = skip_tags(body, n)
            if skip < 0:
                self.end_with("malformed tagged fields in a request header")
                return 0
            body += skip
            n -= skip
        if n <= BODY_COPIED_MAX:
            buffer = PyBytes_FromStringAndSize(<const char*>body, n)
        else:
            lent = Body.__new__(Body)
            lent.block = block
            lent.data = body
            lent.size = n
            block.lent = True
            buffer = memoryview(lent)
        session = self.hub.fast.session
        self.hub.fast.session = None
        context = self.context(key, version, correlation, client_id, frame_bytes, session)
        try:
            result = self.hub.dispatch(self.hub.node, row, context, buffer)
        except (CloseConnection, ProtocolError) as error:
            self.end_with(str(error) or type(error).__name__)
            return 0
        if result is None or isinstance(result, list):
            return self.answer(result, frame_bytes)
        return self.later(result, frame_bytes, key == KEY_FETCH)

    cdef object context(
        self, int key, int version, int32_t correlation, object client_id, Py_ssize_t frame_bytes, FetchSession session
    ):
        return RequestContext(
            key, version, correlation, client_id, self.listening.name, self.host, self.principal,
            self.hub.fast.now_ms, self.role, self, frame_bytes, None, session,
        )

    cdef int later(self, object awaitable, Py_ssize_t frame_bytes, bint reads_only) except -1:
        cdef Reply reply = Reply.__new__(Reply)
        reply.connection = self
        self.wait(reply, frame_bytes)
        task = self.hub.loop.create_task(awaitable)
        if reads_only:
            # Otherwise who asks with a long max_wait_ms and leaves would hold memory for that long.
            reply.abandon = task
        task.add_done_callback(reply.from_task)
        return 0

    # Replies

    cdef int answer(self, object parts, Py_ssize_t frame_bytes) except -1:
        cdef Reply reply
        if parts is None:
            return 0
        if not self.queued:
            return self.out.put_parts(parts)
        reply = Reply.__new__(Reply)
        reply.connection = self
        reply.parts = parts
        reply.done = True
        return self.push(reply)

    cdef int push(self, Reply reply) except -1:
        """A reply takes its place behind the others."""
        if self.replies is NO_REPLIES:
            self.replies = deque()
        self.replies.append(reply)
        self.queued += 1
        return 0

    cdef int wait(self, Reply reply, Py_ssize_t frame_bytes) except -1:
        reply.request_bytes = frame_bytes
        self.inflight_bytes += frame_bytes
        self.hub.inflight_bytes += frame_bytes
        return self.push(reply)

    cdef int pump(self) except -1:
        """Move finished replies, in order, into the output; send it; take frames that waited."""
        cdef Reply reply
        cdef Py_ssize_t at
        cdef Block block
        while True:
            while self.queued:
                reply = <Reply>self.replies[0]
                if not reply.done:
                    break
                self.replies.popleft()
                self.queued -= 1
                if reply.request_bytes:
                    self.inflight_bytes -= reply.request_bytes
                    self.hub.inflight_bytes -= reply.request_bytes
                if type(reply.parts) is bytes:
                    put(self.out, PyBytes_AS_STRING(reply.parts), PyBytes_GET_SIZE(reply.parts))
                elif reply.parts is not None:
                    self.out.put_parts(reply.parts)
                if self.out.unsent > self.unsent_bytes_max:
                    self.send()
                    if self.closed:
                        return 0
            self.send()
            if self.closed or self.reading or not self.may_take():
                break
            block = self.intake.own
            if block is not None:
                at = self.take_frames(block, 0)
                self.keep_rest(block, at)
                if at:
                    if self.closed:
                        return 0
                    if self.queued or self.out.unsent:
                        continue
                if not self.may_take():
                    break
            self.resume()
            break
        if self.ending and not self.queued and not self.out.unsent:
            self.close()
        if self.hub.stalled:
            self.hub.budget_freed()
        return 0

    @property
    def unsent_bytes(self):
        """Reply bytes that wait for the peer to read."""
        return self.out.unsent

    @property
    def frame_bytes(self):
        """How much of an unfinished frame has arrived."""
        return 0 if self.intake.own is None else self.intake.own.used

    @property
    def waiting_replies(self):
        """Requests of this connection that are being answered."""
        return self.queued

    # Life and death

    cdef int answered(self) except -1:
        if not self.closed:
            self.hub.mark(self)
        return 0

    cdef int stop_reading(self) except -1:
        self.stop_hearing()
        if self.hub.inflight_bytes > self.hub.inflight_bytes_max:
            self.hub.stalled.append(self)
        return 0

    def resume(self):
        """Read again; a begun frame has its time from now on, since nobody listened meanwhile."""
        if not self.reading and not self.closed:
            if self.intake.own is not None:
                self.frame_at = monotonic()
            self.hear()

    cdef int fail(self, object why) except -1:
        """Close at once because of the peer's bytes or of an exception, and say so in the log."""
        if self.closed:
            return 0
        if isinstance(why, BaseException) and not isinstance(why, (CloseConnection, ProtocolError, OSError)):
            log.error("closing the connection from %s: a request failed", self.host, exc_info=why)
        elif why is not None:
            log.info("closing the connection from %s: %s", self.host, why)
        self.close()
        return 0

    cdef int end_with(self, object why) except -1:
        """Close as :meth:`fail` does, but after the replies that are ready have been sent."""
        log.info("closing the connection from %s: %s", self.host, why)
        if self.queued:
            # Earlier requests are answered first, in their order; nothing more is read.
            self.ending = True
            self.intake.own = None
            self.stop_hearing()
            self.request_bytes_max = -1
            return 0
        self.send()
        self.close()
        return 0

    def close_when_idle(self):
        """Close as soon as what was asked for is answered and sent."""
        if not self.queued and not self.out.unsent:
            self.close()
            return
        self.ending = True

    def finish_closing(self):
        """Give everything back that the connection holds; its late replies go nowhere."""
        cdef Reply reply
        self.closed = True
        for reply in self.replies:
            if reply.abandon is not None:
                reply.abandon.cancel()
        if self.counted:
            self.counted = False
            self.hub.limits.leave(self, self.listening)
            self.hub.connections.discard(self)
            if self.hub.alone is <void*>self:
                # Another one may get this one's place in memory.
                self.hub.alone = NULL
            if self.hub.empty is not None and not self.hub.connections and not self.hub.empty.done():
                self.hub.empty.set_result(None)
            self.hub.inflight_bytes -= self.inflight_bytes
            self.inflight_bytes = 0
        self.replies = NO_REPLIES
        self.queued = 0
        self.intake.own = None
        self.out = Output()
        self.hub.budget_freed()


class ServedConnection(Connection, asyncio.BufferedProtocol):
    """A Connection that asyncio's transports know, too."""

    __slots__ = ()
