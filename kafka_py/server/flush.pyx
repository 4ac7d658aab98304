# cython: auto_pickle=False
"""Group commit: one fdatasync in a thread of its own for every acks=all append that waits for it.

A partition is flushed at once when no flush is under way (or ``kafka_py.flush.group.ms`` later, where that is set);
whatever is appended meanwhile shares the next one, which begins as soon as that one has ended
(:mod:`kafka_py.server.sync_thread`). A failed flush takes the log directory offline (kcore does that, for good) and no
acknowledgement follows it.

Clients answer an acknowledgement with their next request. Begun at once, the next flush would miss those, and producers
fall into two halves that wait for each other's flushes. So the thread waits until as many requests are there as were
waiting when the last flush ended, those that it answered included: but only for a share of what that flush took
(``kafka_py.flush.gather.percent``).

Handing a flush to a thread and hearing of its end takes longer than a fast disk does. So where one connection alone is
served, request by request, and the disk has been fast for a while, the event loop flushes itself
(:meth:`Flusher.at_once`): nobody else waits for it. Disks have outliers, some of every hundred flushes take
milliseconds; so what counts is the share of slow ones, and only one that takes very long ends it at once, for the next
thousand. A directory that nothing is synced in is always flushed so.
"""

import logging

from libc.errno cimport errno
from libc.stdint cimport uint32_t

from kafka_py.reactor cimport EPOLLIN, Reactor, Turns, Watched
from kafka_py.server.sync_thread cimport Member, SyncThread, complain
from kcore.durability cimport TailSync, tail_sync
from kcore.log cimport Log
from kcore.syscalls cimport sys_fdatasync

from kafka_py.event_loop import reactor_of
from kcore.errors import KcoreError
from kcore.syscalls import is_volatile

log = logging.getLogger("kafka_py.server")

#: Policies under which acks=all waits for the disk.
WAITING_POLICIES = frozenset({"group", "batch"})

cdef enum:
    #: The event loop flushes while the disk's credit is that much. Each fast flush earns one ...
    CREDIT_MIN_ = 64
    CREDIT_MAX_ = 128
    #: ... and each slow one costs so many: about one of twenty may be slow.
    SLOW_COST_ = 16
    #: A flush that took so many times the limit makes the loop keep its hands off ...
    LONG_FACTOR = 40
    #: ... for so many flushes more.
    LONG_COST_ = 1000

CREDIT_MIN = CREDIT_MIN_
CREDIT_MAX = CREDIT_MAX_
SLOW_COST = SLOW_COST_
LONG_COST = LONG_COST_


cdef long long flush_here(object of) except? -2:
    """How far a log is durable after a flush in this thread, -1: it failed."""
    cdef TailSync tail = tail_sync(<Log>of) if isinstance(of, Log) else None
    cdef int error = 0
    try:
        if tail is None:
            return of.flush()
        if tail.fd >= 0:
            with nogil:
                if sys_fdatasync(tail.fd) < 0:
                    error = errno
        return tail.done(error)
    except KcoreError as problem:
        complain(of, problem)
        return -1


cdef class Kick(Turns):
    """Begins a flush when everything of the reactor's look has been served."""

    cdef int turn_over(self) except -1:
        self.flusher.start()
        return 0


cdef class Flusher(Watched):
    """Flushes logs that acknowledgements wait for. Lives on the event loop.

    ``answering()`` is called before waiters are answered because of a flush. A disk whose flushes take no longer than
    ``inline_us_max`` (microseconds, 0 for never) is one that the loop itself may wait for. ``gather_percent`` of a flush's
    time is what the next one waits for those whom it has answered. Raises OSError where there are no descriptors left.
    """

    def __init__(self, loop, replicas, *, str policy, int group_ms, answering, clock, int inline_us_max=0, int gather_percent=0):
        self.policy = policy
        self.group_ms = group_ms
        self.inline_us_max = inline_us_max
        self.loop = loop
        self.appends = replicas.appends
        self.answering = answering
        self.clock = clock
        self.syncs = SyncThread(clock)
        self.syncs.gather_percent = gather_percent
        self.kicks = Kick()
        self.kicks.flusher = self
        self.reactor = reactor_of(loop)
        self.fd = self.syncs.event_fd
        self.reactor.watch(self, EPOLLIN)

    @property
    def waits(self):
        """Whether acks=all waits for the disk."""
        return self.policy in WAITING_POLICIES

    @property
    def gather_percent(self):
        """See the class."""
        return self.syncs.gather_percent

    @gather_percent.setter
    def gather_percent(self, int percent):
        self.syncs.gather_percent = percent

    cpdef int appended(self, object partition) except -1:
        """Somebody waits for all that ``partition`` holds now: flush it if the policy says so."""
        opened = partition.log
        if opened is None or partition.offline or self.policy not in WAITING_POLICIES:
            return 0
        self.syncs.enter(partition, opened)
        if not self.scheduled:
            self.schedule()
        return 0

    cdef int schedule(self) except -1:
        """Begin when all that is being served now is: it shares the flush."""
        self.scheduled = True
        self.syncs.chained = self.group_ms == 0 or self.policy != "group"
        if not self.syncs.chained:
            self.loop.call_later(self.group_ms / 1000.0, self.start)
        elif self.reactor.serving:
            self.reactor.tell(self.kicks)
        else:
            self.loop.call_soon(self.start)
        return 0

    def start(self):
        """Let the thread begin."""
        self.scheduled = False
        self.syncs.kick()

    cpdef bint at_once(self, object partition, bint alone) except -1:
        """Flush ``partition`` here and now, and answer who waits; False when a thread has to.

        ``alone``: nobody else's request could share the flush, and the loop has nothing else to do; see the module's text.
        """
        cdef long long began_ns, offset
        cdef bint volatile
        opened = partition.log
        if opened is None or partition.offline or self.policy not in WAITING_POLICIES or self.syncs.busy or self.group_ms:
            return False
        volatile = is_volatile(opened.path)
        if not volatile and (not alone or self.credit < CREDIT_MIN_):
            return False
        self.flushes += 1
        self.flushes_at_once += 1
        began_ns = self.clock.monotonic_ns()
        offset = flush_here(opened)
        if not volatile:
            self.judge(self.clock.monotonic_ns() - began_ns)
        if offset >= 0:
            self.appends.reached(partition, min(offset, <long long>partition.high_watermark))
        return True

    cdef int judge(self, long long took_ns) except -1:
        """The disk's credit after one more flush."""
        cdef long long took_us = took_ns // 1000
        if took_ns < 0:
            return 0    # nothing was synced
        if took_us <= self.inline_us_max:
            self.credit = min(self.credit + 1, <int>CREDIT_MAX_)
        elif took_us <= LONG_FACTOR * self.inline_us_max:
            self.credit = max(self.credit - <int>SLOW_COST_, min(self.credit, 0))
        else:
            self.credit = -<int>LONG_COST_
        return 0

    cdef int ready(self, uint32_t events) except -1:
        """Flushes have ended: answer who is durable now."""
        cdef list ended = self.syncs.collect()
        cdef Member member
        if not ended:
            return 0
        self.flushes += 1
        self.answering()
        for member in ended:
            self.judge(member.took_ns)
            try:
                self.tell(member)
            except Exception:
                # Of one who waited there; the others are told all the same, and whoever comes later.
                log.exception("an answer after a flush of %s failed", member.log.path)
        return 0

    cdef int tell(self, Member member) except -1:
        """A log is durable as far as a flush says: answer who needs no more."""
        partition = member.key
        if partition.log is None:
            return 0    # deleted, or its directory failed: who waits has been told
        if partition.log is not member.log:
            # It moved to another directory: how far that one has it is what counts now.
            self.advanced(partition)
        elif member.durable >= 0:
            self.appends.reached(partition, min(member.durable, <long long>partition.high_watermark))
        return 0

    def advanced(self, partition):
        """The high watermark moved by itself (a follower): answer those who need no more."""
        if partition.append_waiters:
            offset = partition.high_watermark
            if self.waits and partition.log is not None:
                offset = min(offset, partition.log.recovery_point)
            self.appends.reached(partition, offset)

    def close(self):
        """Finish the flush under way, answer nobody any more. Twice is fine."""
        self.reactor.unwatch(self)
        self.syncs.close()
