# The compiled shape of purgatory.py: what every acks=all request and every wake-up of the server calls.


cdef class FetchPurgatory:
    cdef readonly list _deadlines              # a heap of (deadline_ms, sequence, waiter)
    cdef Py_ssize_t _tidy_at
    cdef object _sequence
    cdef dict _touched                  # partitions that moved

    cpdef touch(self, partition)
    cpdef work_off(self)


cdef class AppendPurgatory:
    cdef set _waiting

    cpdef watch(self, waiter, partition, long long end_offset)
    cpdef reached(self, partition, long long offset)
