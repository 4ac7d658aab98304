# The thread that makes logs durable, group after group.

from libc.stdint cimport int64_t

from kcore.durability cimport TailSync
from kcore.log cimport pthread_mutex_t

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_cond_t:
        pass

cdef struct Sync:                       # what the thread sees of a Member
    int fd                              # -1: nothing to sync, -2: flush() by Python
    int error                           # errno of the system call
    int64_t took_ns

cdef struct Group:
    Sync** syncs
    Py_ssize_t count
    Py_ssize_t capacity
    long requests
    bint python                         # some have fd -2
    int64_t number
    int64_t took_ns
    Group* next


cdef class Member:
    cdef readonly object key
    cdef readonly object log
    cdef readonly int64_t durable       # how far the log is durable; -1: its flush failed
    cdef readonly int64_t took_ns       # -1: nothing was synced
    cdef TailSync tail
    cdef Sync sync


cdef int complain(object of, object error) except -1


cdef class SyncThread:
    cdef pthread_mutex_t mutex
    cdef pthread_cond_t changed
    cdef Group* filling
    cdef Group* done_first
    cdef Group* done_last
    cdef Group* spare
    cdef readonly int event_fd
    cdef object clock
    cdef object thread
    cdef bint stopping
    cdef bint kicked
    cdef bint gathering                 # the thread waits for more requests
    cdef long gathers                   # how many it waits for
    cdef int64_t gather_until_ns
    cdef public bint chained            # the next group begins without a kick when one has ended
    cdef public int gather_percent
    cdef public int64_t gather_ns_max
    cdef dict groups                    # number -> {log: Member} of groups that were not collected yet
    cdef dict members                   # of the group that is being filled

    cpdef int enter(self, object key, object log) except -1
    cpdef int kick(self) except -1
    cpdef list collect(self)
    cdef int put(self, Group* group, Member member) except -1
    cdef Group* work_off(self) noexcept nogil
    cdef Group* take(self) noexcept nogil
    cdef void finish(self, Group* group) noexcept nogil
    cdef int sync_by_python(self, dict members) except -1
