# Group commit for acks=all, on the event loop.

from libc.stdint cimport uint32_t

from kafka_py.reactor cimport Reactor, Turns, Watched
from kafka_py.replication.purgatory cimport AppendPurgatory
from kafka_py.server.sync_thread cimport Member, SyncThread


cdef class Kick(Turns):
    cdef Flusher flusher


cdef class Flusher(Watched):
    cdef public str policy
    cdef public int group_ms
    cdef public int inline_us_max
    cdef readonly SyncThread syncs
    cdef readonly long flushes
    cdef readonly long flushes_at_once
    cdef readonly int credit
    cdef object loop
    cdef Reactor reactor
    cdef AppendPurgatory appends
    cdef object answering
    cdef object clock
    cdef Kick kicks
    cdef bint scheduled                 # the thread will be kicked

    cpdef int appended(self, object partition) except -1
    cpdef bint at_once(self, object partition, bint alone) except -1
    cdef int judge(self, long long took_ns) except -1
    cdef int schedule(self) except -1
    cdef int tell(self, Member member) except -1
