# The machine's own clocks.

cdef class RealClock:
    pass
