# cython: auto_pickle=False
"""Sockets served by compiled code, beside everything else that an asyncio event loop does.

A loop calls Python for every socket that is readable, which costs more than a small request does. The reactor has an epoll of
its own in which a ready socket is a C call (:class:`Watched`), and takes up to EVENTS_MAX of them by one look.

It works in two places. :class:`kafka_py.event_loop.ReactorLoop` waits *in* it (:meth:`Reactor.poll`): asyncio's own descriptors are in
the same epoll, and the wait goes on for as long as the loop has nothing to do: no callback scheduled, no timer due, no
descriptor of its own ready. Under any other loop its epoll is one descriptor of that loop, and :meth:`Reactor.turn` the
callback.

Descriptors are level-triggered: who takes less than there is hears of it again. A reactor belongs to one thread.
"""

import errno
import logging
import socket

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EINTR
from libc.errno cimport errno as c_errno
from libc.stdint cimport uint32_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close

cdef extern from "<sys/epoll.h>" nogil:
    int epoll_create1(int flags)
    int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event* event)
    int epoll_wait(int epoll_fd, epoll_event* events, int count, int timeout_ms)
    enum:
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL
        EPOLL_CTL_MOD

log = logging.getLogger("kafka_py.server")

cdef enum:
    ACCEPTS_MAX = 64
    TABLE_MIN = 64
    WAIT_MS_MAX = 86400000

cdef frozenset NO_MORE = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
REST_S = 1.0


cdef double monotonic() noexcept nogil:
    """As time.monotonic() has it."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef class Watched:
    """A descriptor of a reactor."""

    def __cinit__(self):
        self.fd = -1

    cdef int ready(self, uint32_t events) except -1:
        """It is readable, writable or broken: take what there is, without waiting. What this raises ends the watching."""
        raise AssertionError("a subclass does this")

    cdef int arrived(self, Reactor reactor, int fd, str host) except -1:
        """It is the guest for this accepted connection, whose descriptor is its own from now on."""
        raise AssertionError("a subclass does this")


cdef class Turns:
    """Who wants to know when all of one look have been served."""

    cdef int turn_over(self) except -1:
        """The look is over; called once for each :meth:`Reactor.tell`."""
        raise AssertionError("a subclass does this")


cdef class Reactor:
    """See the module's text. ``epoll_fd``: an epoll to share, which stays its owner's; -1 makes one. Raises OSError."""

    def __cinit__(self, int epoll_fd=-1):
        self.turning = []
        self.epoll_fd = epoll_fd
        if epoll_fd < 0:
            self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
            if self.epoll_fd < 0:
                PyErr_SetFromErrno(OSError)
            self.owned = True

    def __dealloc__(self):
        cdef int fd
        for fd in range(self.capacity):
            if self.table[fd] != NULL:
                Py_DECREF(<object>self.table[fd])
        PyMem_Free(self.table)
        if self.owned:
            close(self.epoll_fd)

    def fileno(self):
        """The epoll's descriptor: readable when something here is ready."""
        return self.epoll_fd

    cdef int watch(self, Watched one, uint32_t events) except -1:
        """Call ``one.ready`` when its descriptor has any of these events; it is kept alive meanwhile. Raises OSError."""
        cdef epoll_event event
        cdef PyObject** grown
        cdef int capacity = self.capacity
        if one.fd >= capacity:
            capacity = max(<int>TABLE_MIN, 2 * capacity)
            while one.fd >= capacity:
                capacity *= 2
            grown = <PyObject**>PyMem_Realloc(self.table, capacity * sizeof(PyObject*))
            if grown == NULL:
                raise MemoryError
            memset(grown + self.capacity, 0, (capacity - self.capacity) * sizeof(PyObject*))
            self.table = grown
            self.capacity = capacity
        memset(&event, 0, sizeof(event))
        event.events = events
        event.data.fd = one.fd
        if epoll_ctl(self.epoll_fd, EPOLL_CTL_ADD, one.fd, &event) < 0:
            PyErr_SetFromErrno(OSError)
        Py_INCREF(one)
        self.table[one.fd] = <PyObject*>one
        return 0

    cdef int change(self, Watched one, uint32_t events) except -1:
        """Other events from now on; errors are always told. Raises OSError."""
        cdef epoll_event event
        memset(&event, 0, sizeof(event))
        event.events = events
        event.data.fd = one.fd
        if epoll_ctl(self.epoll_fd, EPOLL_CTL_MOD, one.fd, &event) < 0:
            PyErr_SetFromErrno(OSError)
        return 0

    cdef int unwatch(self, Watched one) except -1:
        """Not any more; before the descriptor is closed. Who is not watched is ignored."""
        cdef epoll_event event
        if not 0 <= one.fd < self.capacity or self.table[one.fd] != <PyObject*>one:
            return 0
        memset(&event, 0, sizeof(event))
        epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, one.fd, &event)
        self.table[one.fd] = NULL
        Py_DECREF(one)
        return 0

    cdef int tell(self, Turns turns) except -1:
        """Call ``turns.turn_over`` when this look has been served."""
        if not turns.in_turn:
            turns.in_turn = True
            self.turning.append(turns)
        return 0

    cdef list serve(self, int count):
        """Call who is ready; the descriptors of others, as (fd, epoll's events)."""
        cdef list others = None
        cdef list turning
        cdef Watched one
        cdef Turns turns
        cdef int i, fd
        self.now = monotonic()
        self.serving = True
        for i in range(count):
            fd = self.events[i].data.fd
            if not 0 <= fd < self.capacity or self.table[fd] == NULL:
                if others is None:
                    others = []
                others.append((fd, self.events[i].events))
                continue
            one = <Watched>self.table[fd]
            try:
                one.ready(self.events[i].events)
            except Exception:
                log.exception("a socket's handler failed; it is not served any more")
                self.unwatch(one)
        self.serving = False
        if self.turning:
            turning = self.turning
            self.turning = []
            for turns in turning:
                turns.in_turn = False
                turns.turn_over()
        return others

    def poll(self, timeout):
        """Serve until the loop has work of its own, ``timeout`` seconds are over (None: never), or a signal came.

        Returns what else is ready, as a list of (descriptor, epoll's events).
        """
        cdef int wait_ms = -1
        cdef int count
        cdef double until = 0, left
        cdef list others
        if timeout is not None:
            left = timeout
            until = monotonic() + left if left > 0 else 0
            wait_ms = 0 if left <= 0 else <int>min(left * 1000 + 0.999, <double>WAIT_MS_MAX)
        if self.wanted:
            # Scheduled since the loop has worked out its timeout (by a finalizer, say), or shortly before.
            wait_ms = 0
        self.wanted = False
        while True:
            with nogil:
                count = epoll_wait(self.epoll_fd, self.events, EVENTS_MAX, wait_ms)
            if count <= 0:
                if count < 0:
                    if c_errno != EINTR:
                        PyErr_SetFromErrno(OSError)
                    PyErr_CheckSignals()
                return []
            others = self.serve(count)
            if others is not None:
                return others
            if self.wanted or wait_ms == 0:
                return []
            if wait_ms > 0:
                left = until - monotonic()
                if left <= 0:
                    return []
                wait_ms = <int>min(left * 1000 + 0.999, <double>WAIT_MS_MAX)

    def turn(self):
        """One look without waiting, for a loop that was told that this epoll is readable."""
        cdef int count = epoll_wait(self.epoll_fd, self.events, EVENTS_MAX, 0)
        if count > 0:
            self.serve(count)


cdef class Acceptor(Watched):
    """A listening socket: each connection that comes is handed to a guest of its own.

    ``factory()`` makes a :class:`Watched`. Where the machine has no descriptors left, nobody is accepted for a second.
    """

    def __init__(self, Reactor reactor not None, sock, factory):
        self.reactor = reactor
        self.sock = sock
        self.factory = factory
        self.fd = sock.fileno()
        reactor.watch(self, EPOLLIN)

    cdef int ready(self, uint32_t events) except -1:
        cdef int i
        cdef Watched guest
        for i in range(ACCEPTS_MAX):
            if self.shut:
                return 0
            try:
                sock, peer = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return 0
            except OSError as error:
                if error.errno in NO_MORE:
                    return self.rest(error)
                log.warning("a connection could not be accepted: %s", error)
                return 0
            try:
                sock.setblocking(False)
                if sock.family in (socket.AF_INET, socket.AF_INET6):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                guest = self.factory()
                guest.arrived(self.reactor, sock.detach(), peer[0] if isinstance(peer, tuple) else "")
            except Exception:
                # This one alone is lost. What the guest has already, it closes when it goes.
                log.exception("a connection from %s could not be served", peer)
                sock.close()
        return 0

    cdef int rest(self, object error) except -1:
        """Accept nobody for a while: each try would fail the same way."""
        log.error("no connection can be accepted for %s s: %s", REST_S, error)
        self.reactor.unwatch(self)
        self.reactor.later(REST_S, self.again)
        return 0

    def again(self):
        """Accept again, unless it was closed meanwhile."""
        if not self.shut:
            self.reactor.watch(self, EPOLLIN)

    def close(self):
        """Accept no more and let the address go. Twice is fine."""
        if not self.shut:
            self.shut = True
            self.reactor.unwatch(self)
            self.sock.close()
