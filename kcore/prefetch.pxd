# Asks memory for the line of an address. It may lie anywhere: what is not there costs a look at the page table.
from libc.stdint cimport uint8_t

cdef extern from *:
    """
    #define KCORE_PREFETCH(p) __builtin_prefetch(p)
    """
    void prefetch "KCORE_PREFETCH" (const uint8_t* p) noexcept nogil
