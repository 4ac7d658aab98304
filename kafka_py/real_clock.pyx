# cython: auto_pickle=False, freethreading_compatible=True
"""The machine's own clocks. See the stub for the contract."""

cimport cython
from libc.stdint cimport int64_t
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, clockid_t, timespec


cdef int64_t read_ns(clockid_t clock) except -1:
    cdef timespec now
    if clock_gettime(clock, &now) != 0:
        raise OSError("the machine's clock cannot be read")
    return <int64_t>now.tv_sec * 1_000_000_000 + now.tv_nsec


@cython.final
cdef class RealClock:
    """See the stub."""

    def now_ms(self):
        return read_ns(CLOCK_REALTIME) // 1_000_000

    def monotonic_ms(self):
        return read_ns(CLOCK_MONOTONIC) // 1_000_000

    def monotonic_ns(self):
        return read_ns(CLOCK_MONOTONIC)
