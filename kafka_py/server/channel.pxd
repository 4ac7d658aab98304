# The bytes of one client connection, in and out.

from libc.stdint cimport uint32_t

from kafka_py.reactor cimport Reactor
from kafka_py.server.blocks cimport Block, Intake
from kafka_py.server.output cimport Output
from kafka_py.server.replies cimport Peer


cdef class Channel(Peer):
    cdef Reactor reactor                # whose socket this is, or ...
    cdef object transport               # ... the asyncio transport that brings and takes the bytes
    cdef readonly str host
    cdef readonly Intake intake
    cdef readonly Output out
    cdef bint reading
    cdef bint wants_out                 # the socket was full; the reactor tells when it is not
    cdef bint input_over                # the peer sends no more
    cdef readonly double active_at
    cdef readonly double sent_at        # when the waiting output last shrank

    cdef int opened(self) except -1
    cdef int received(self, Block block) except -1
    cdef bint half_closed(self) except -1
    cdef int drained(self) except -1
    cdef int input_ended(self) except -1
    cdef int interest(self) except -1
    cdef int stop_hearing(self) except -1
    cdef int hear(self) except -1
    cdef int send(self) except -1
    cdef int writable(self) except -1
    cdef int hang_up(self) except -1
