# One epoll for the sockets that compiled code serves, inside or under an asyncio event loop.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    enum:
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP

cdef enum:
    EVENTS_MAX = 64                     # what one look takes; the next look is a system call away

cdef double monotonic() noexcept nogil


cdef class Watched:
    cdef int fd                         # -1 while it has none
    cdef int ready(self, uint32_t events) except -1
    cdef int arrived(self, Reactor reactor, int fd, str host) except -1


cdef class Turns:
    cdef bint in_turn                   # turn_over will be called
    cdef int turn_over(self) except -1


cdef class Reactor:
    cdef int epoll_fd
    cdef bint owned                     # the epoll is ours to close
    cdef PyObject** table               # Watched by file descriptor, references of ours, NULL where there is none
    cdef int capacity
    cdef list turning                   # Turns that asked to hear of this turn's end
    cdef readonly bint serving          # within a look: who tells now is called at its end
    cdef public bint wanted             # the event loop has work of its own
    cdef public object later            # the loop's call_later
    cdef double now                     # monotonic seconds of the last look that found something
    cdef epoll_event events[EVENTS_MAX]

    cdef int watch(self, Watched one, uint32_t events) except -1
    cdef int change(self, Watched one, uint32_t events) except -1
    cdef int unwatch(self, Watched one) except -1
    cdef int tell(self, Turns turns) except -1
    cdef list serve(self, int count)


cdef class Acceptor(Watched):
    cdef Reactor reactor
    cdef object sock
    cdef object factory
    cdef bint shut
    cdef int rest(self, object error) except -1
