# bench.compiled.append: the clock of its loops.

# Monotonic seconds.
cdef double seconds() noexcept nogil
