# cython: auto_pickle=False
"""One thread that makes logs durable, a group of them after the other.

::

      event loop                        the thread                          event loop
      enter(A), enter(B), enter(A)
        --> [filling: A 2, B 1] --kick--> [fdatasync A, fdatasync B] --eventfd--> collect()
      enter(A), enter(A)
        --> [filling: A 2] ---------------> at once, when those are done

The thread takes the GIL only for logs whose flush is more than one sync of the active segment
(:func:`kcore.durability.tail_sync`): what it shares with the event loop is C, under a mutex that is held for some
stores. It would wait for the GIL after each system call otherwise, and the disk with it.

Between two groups it waits for those whom the last one answered, see :mod:`kafka_py.server.flush`.
"""

import logging
import threading

from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.types cimport clockid_t
from posix.unistd cimport close, read, write

from kcore.durability cimport TailSync, tail_sync
from kcore.log cimport (
    Log, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock,
)
from kcore.syscalls cimport sys_fdatasync

from kcore.errors import KcoreError

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int initial, int flags)
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_condattr_t:
        pass
    int pthread_condattr_init(pthread_condattr_t* attributes)
    int pthread_condattr_setclock(pthread_condattr_t* attributes, clockid_t clock)
    int pthread_condattr_destroy(pthread_condattr_t* attributes)
    int pthread_cond_init(pthread_cond_t* condition, const pthread_condattr_t* attributes)
    int pthread_cond_destroy(pthread_cond_t* condition)
    int pthread_cond_signal(pthread_cond_t* condition)
    int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex)
    int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until)

log = logging.getLogger("kafka_py.server")

cdef enum:
    BY_PYTHON = -2
    CAPACITY_MIN = 8


cdef inline int64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef void free_groups(Group* chain) noexcept nogil:
    cdef Group* group
    while chain != NULL:
        group = chain
        chain = group.next
        free(group.syncs)
        free(group)


cdef class Member:
    """A log in a group; ``key`` is whatever it was entered with."""


cdef class SyncThread:
    """See the module's text. ``clock.monotonic_ns()`` times the flushes that Python makes; the thread starts with the first kick.

    Raises OSError. Everything but the thread's own work is the event loop's to call.
    """

    def __cinit__(self, clock not None):
        cdef pthread_condattr_t attributes
        self.event_fd = -1
        pthread_mutex_init(&self.mutex, NULL)
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(&self.changed, &attributes)
        pthread_condattr_destroy(&attributes)
        self.clock = clock
        self.chained = True
        # A round trip of a small request or a large one: who is not there by then is not about to come.
        self.gather_ns_max = 200_000
        self.groups = {}
        self.filling = <Group*>calloc(1, sizeof(Group))
        if self.filling == NULL:
            raise MemoryError
        self.filling.number = 1
        self.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.event_fd < 0:
            PyErr_SetFromErrno(OSError)

    def __dealloc__(self):
        # The thread holds a reference while it runs, so it has ended.
        free_groups(self.filling)
        free_groups(self.done_first)
        free_groups(self.spare)
        if self.event_fd >= 0:
            close(self.event_fd)
        pthread_cond_destroy(&self.changed)
        pthread_mutex_destroy(&self.mutex)

    @property
    def busy(self):
        """Whether something was entered that has not been collected yet."""
        return bool(self.groups)

    cpdef int enter(self, object key, object log) except -1:
        """One more request waits for everything that ``log`` holds now; it shares the next group."""
        cdef Member member
        cdef Group* group
        pthread_mutex_lock(&self.mutex)
        try:
            group = self.filling
            if group.count == 0:
                self.members = self.groups[group.number] = {}
            member = self.members.get(log)
            if member is None:
                member = Member.__new__(Member)
                member.key = key
                member.log = log
                member.durable = -1
                self.put(group, member)
                self.members[log] = member
            elif member.tail is not None and not member.tail.cover():
                # It has rolled meanwhile, say.
                member.tail = None
                member.sync.fd = BY_PYTHON
                group.python = True
            group.requests += 1
            if self.gathering and group.requests >= self.gathers:
                pthread_cond_signal(&self.changed)
        finally:
            pthread_mutex_unlock(&self.mutex)
        return 0

    cdef int put(self, Group* group, Member member) except -1:
        """A new member of the group that is being filled; the mutex is held."""
        cdef Py_ssize_t capacity
        cdef Sync** grown
        if group.count == group.capacity:
            capacity = max(<Py_ssize_t>CAPACITY_MIN, 2 * group.capacity)
            grown = <Sync**>realloc(group.syncs, capacity * sizeof(Sync*))
            if grown == NULL:
                raise MemoryError
            group.syncs = grown
            group.capacity = capacity
        if isinstance(member.log, Log):
            member.tail = tail_sync(<Log>member.log)
        member.sync.fd = member.tail.fd if member.tail is not None else BY_PYTHON
        if member.tail is None:
            group.python = True
        group.syncs[group.count] = &member.sync
        group.count += 1
        return 0

    cpdef int kick(self) except -1:
        """Begin with what was entered, as soon as the group under way is done."""
        if self.thread is None and not self.stopping:
            self.thread = threading.Thread(target=self.work, name="kafka-py-flush", daemon=True)
            self.thread.start()
        pthread_mutex_lock(&self.mutex)
        self.kicked = True
        pthread_cond_signal(&self.changed)
        pthread_mutex_unlock(&self.mutex)
        return 0

    cpdef list collect(self):
        """The members of every group that is done, with how far each is durable now."""
        cdef uint64_t count
        cdef list found = []
        cdef Group* group
        cdef Group* first
        cdef Member member
        cdef dict members
        if read(self.event_fd, &count, sizeof(count)) < 0:
            return found
        pthread_mutex_lock(&self.mutex)
        first = self.done_first
        self.done_first = self.done_last = NULL
        pthread_mutex_unlock(&self.mutex)
        group = first
        while group != NULL:
            members = <dict>self.groups.pop(group.number)
            for member in members.values():
                if member.tail is not None:
                    member.took_ns = member.sync.took_ns if member.sync.fd >= 0 else -1
                    member.durable = durable_now(member)
                found.append(member)
            if group.next == NULL:
                break
            group = group.next
        if first != NULL:
            pthread_mutex_lock(&self.mutex)
            group.next = self.spare
            self.spare = first
            pthread_mutex_unlock(&self.mutex)
        return found

    def work(self):
        """The thread's life."""
        cdef Group* group
        while True:
            with nogil:
                group = self.work_off()
            if group == NULL:
                return
            self.sync_by_python(<dict>self.groups[group.number])
            with nogil:
                self.finish(group)

    cdef int sync_by_python(self, dict members) except -1:
        cdef Member member
        for member in members.values():
            if member.tail is None:
                began_ns = self.clock.monotonic_ns()
                try:
                    member.durable = member.log.flush()
                except Exception as error:
                    complain(member.log, error)
                member.took_ns = self.clock.monotonic_ns() - began_ns
        return 0

    cdef Group* work_off(self) noexcept nogil:
        """Sync group after group; returns one that Python has to finish, NULL at the end."""
        cdef Group* group
        cdef Py_ssize_t i
        cdef Sync* sync
        cdef int64_t began_ns, ended_ns
        while True:
            group = self.take()
            if group == NULL:
                return NULL
            began_ns = now_ns()
            group.took_ns = -began_ns
            for i in range(group.count):
                sync = group.syncs[i]
                if sync.fd >= 0:
                    sync.error = errno if sys_fdatasync(sync.fd) < 0 else 0
                    ended_ns = now_ns()
                    sync.took_ns = ended_ns - began_ns
                    began_ns = ended_ns
            if group.python:
                return group
            self.finish(group)

    cdef Group* take(self) noexcept nogil:
        """Wait for a group, and for those whom the last one answered. NULL: the thread shall end."""
        cdef Group* group = NULL
        cdef Group* fresh
        cdef timespec until
        pthread_mutex_lock(&self.mutex)
        while not self.stopping:
            group = self.filling
            if group.count == 0 or not (self.kicked or self.chained):
                pthread_cond_wait(&self.changed, &self.mutex)
                continue
            if group.requests < self.gathers and now_ns() < self.gather_until_ns:
                until.tv_sec = self.gather_until_ns // 1000000000
                until.tv_nsec = self.gather_until_ns % 1000000000
                self.gathering = True
                pthread_cond_timedwait(&self.changed, &self.mutex, &until)
                self.gathering = False
                continue
            fresh = self.spare
            if fresh != NULL:
                self.spare = fresh.next
                fresh.next = NULL
            else:
                fresh = <Group*>calloc(1, sizeof(Group))
                if fresh == NULL:
                    # Memory may come back; until the next request nothing is lost but time.
                    pthread_cond_wait(&self.changed, &self.mutex)
                    continue
            fresh.count = fresh.requests = 0
            fresh.python = False
            fresh.number = group.number + 1
            self.filling = fresh
            self.kicked = False
            break
        if self.stopping:
            group = NULL
        pthread_mutex_unlock(&self.mutex)
        return group

    cdef void finish(self, Group* group) noexcept nogil:
        """Hand the group to the event loop."""
        cdef uint64_t one = 1
        cdef int64_t ended_ns = now_ns(), share_ns
        group.took_ns += ended_ns
        share_ns = min(group.took_ns * self.gather_percent // 100, self.gather_ns_max)
        pthread_mutex_lock(&self.mutex)
        if self.done_last == NULL:
            self.done_first = group
        else:
            self.done_last.next = group
        self.done_last = group
        self.gathers = group.requests + self.filling.requests
        self.gather_until_ns = ended_ns + share_ns
        pthread_mutex_unlock(&self.mutex)
        if write(self.event_fd, &one, sizeof(one)) < 0:
            pass    # only a counter at its end refuses

    def close(self):
        """End the thread when the group under way is done. Twice is fine."""
        pthread_mutex_lock(&self.mutex)
        self.stopping = True
        pthread_cond_signal(&self.changed)
        pthread_mutex_unlock(&self.mutex)
        thread, self.thread = self.thread, None
        if thread is not None:
            thread.join()


cdef int64_t durable_now(Member member) except? -1:
    """How far a log is durable after its sync, -1: that failed."""
    try:
        return member.tail.done(member.sync.error)
    except KcoreError as error:
        complain(member.log, error)
        return -1


cdef int complain(object of, object error) except -1:
    """Say why a flush failed."""
    # A log that was closed meanwhile is deleted, or has moved to another directory.
    if not of.closed:
        log.error("flushing %s failed: %s", of.path, error)
    return 0
