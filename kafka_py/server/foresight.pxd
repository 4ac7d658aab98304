# Asking memory for what the produces further behind in a receive block will touch.

from libc.stdint cimport uint8_t

from kafka_py.server.fast_path cimport Piece
from kafka_py.server.lookup cimport Lookup

cdef enum:
    FORESEEN_MAX = 32           # frames at once: what is asked for, 1.5 KB each, has to fit into the nearer caches
    SLOTS_WORTH = 2047          # the lookup's mask from which on what it finds is not in the processor's caches anyway

# Looks over the frames at p, at most FORESEEN_MAX, and returns how many bytes they take; n when less than one is there.
cdef Py_ssize_t foresee(Lookup lookup, const uint8_t* p, Py_ssize_t n) noexcept

# The same for partitions of one request that are known already; at most FORESEEN_MAX of them.
cdef void foresee_pieces(const Piece* pieces, int count) noexcept
