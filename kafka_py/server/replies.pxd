# The places of replies in the order of a connection's requests.

from kafka_py.coordinator.batch cimport QuickReply
from kafka_py.reactor cimport Watched

cdef class Peer(Watched):
    cdef readonly bint closed
    cdef bint ending                    # close once everything is sent
    cdef int answered(self) except -1
    cdef int fail(self, object why) except -1


# A QuickReply, so that a coordinator's batch can answer a commit without a Python call.
cdef class Reply(QuickReply):
    cdef Peer connection
    cdef readonly bint done
    cdef object parts                   # list, or bytes, or None for a request without a reply
    cdef Py_ssize_t request_bytes
    cdef object abandon                 # a task or a WaitingFetch that nobody needs once the connection is gone


cdef class AppendReply(Reply):
    cdef readonly int version
    cdef int waiting
    cdef list waits                     # (Partition, end offset) as registered
    cdef bint durable                   # acks=all waits for the disk
    cdef readonly long long deadline_ms
    cdef dict errors                    # id(Partition) -> wire error
    cdef int complete(self) except -1
    cdef object with_errors(self)


cdef class CommitReply(Reply):
    cdef int version
    cpdef int committed(self) except -1
    cpdef int refuse(self, int error) except -1
