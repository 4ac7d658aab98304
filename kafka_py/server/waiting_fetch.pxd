# A consumer's fetch that waits for bytes: the request as it came, and where its answer goes.

from libc.stdint cimport int32_t

from kafka_py.server.fast_path cimport FastPath
from kafka_py.server.fetch_session cimport FetchSession
from kafka_py.server.fetch_wire cimport FetchHead

cdef class WaitingFetch:
    cdef FastPath fast
    cdef bytearray body                 # the request's body; how long it still waits is written into it
    cdef int version
    cdef int32_t correlation
    cdef object client_id
    cdef object connection              # its take_again(waiting) serves what has become unusual
    cdef object reply                   # its finish(parts) answers
    cdef FetchSession session           # that has taken the request; None without one
    cdef FetchHead head                 # of a request in a session
    cdef readonly long long deadline_ms
    cdef readonly bint done

    cdef bint look(self, long long now_ms) except -1
