# The compiled fetch within a session (KIP-227).

from libc.stdint cimport int32_t, int64_t

from kafka_py.protocol.cursor cimport Cursor
from kafka_py.server.fetch_session cimport FetchSession, FetchSessions
from kafka_py.server.fetch_wire cimport FetchHead
from kafka_py.server.output cimport Output

cdef class SessionFetch:
    cdef dict by_name
    cdef dict by_id
    cdef FetchSessions sessions
    cdef object monotonic_ms
    cdef int64_t monotonic_at           # what it said ...
    cdef int64_t asked_at               # ... when the wall clock showed this
    cdef FetchSession session           # that has taken the last request
    cdef list awaited                   # partitions of the last fetch that was HUNGRY

    cdef int first(self, Output out, Cursor* c, const FetchHead* head, int version, int32_t correlation, object permitted, int64_t now_ms) except -1
    cdef int serve(self, Output out, FetchSession session, const FetchHead* head, int version, int32_t correlation, object permitted, int64_t now_ms) except -1
    cdef int put_news(self, Output out, FetchSession session, int version, int32_t correlation, int isolation, list partitions, list slices) except -1
