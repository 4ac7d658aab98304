# Which hosted partition a request names.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    SLOTS_MIN = 64
    SLOTS_MAX = 65536           # 4 MiB
    SLOT_BYTES = 64             # a line of the processor's caches
    SEATS = 4                   # slots side by side that a partition may have
    GROW_BITS = 5               # the table is doubled when one in 2 ** 5 was not its partition's own

# The partition that was found last for a hash; all NULL before the first one.
cdef struct Slot:
    PyObject* key               # the topic's bytes
    PyObject* partition
    uint32_t hash
    int32_t index
    bint by_id
    # Where foresight.pyx saw last what an append needs; NULL: not yet. Addresses to ask for, no more: who lived there
    # may be gone.
    const void* log
    const void* segment
    const void* mapping
    const void* tail


cdef inline uint32_t hash_of(const uint8_t* name, Py_ssize_t size, int32_t index) noexcept nogil:
    """Names of a cluster differ at their ends, or in their length."""
    cdef uint64_t first = 0, last = 0
    if size >= 8:
        memcpy(&first, name, 8)
        memcpy(&last, name + size - 8, 8)
    else:
        memcpy(&last, name, size)
    first = (first ^ (last * <uint64_t>0x9E3779B97F4A7C15) ^ <uint64_t>size) * <uint64_t>0xD6E8FEB86659FD93
    first += <uint64_t><uint32_t>index * <uint64_t>0x9E3779B97F4A7C15
    # Or the partitions of two topics would share many slots or none.
    first = (first ^ (first >> 29)) * <uint64_t>0xBF58476D1CE4E5B9
    return <uint32_t>(first >> 32)


cdef class Lookup:
    cdef dict by_name           # of the replica manager: {the topic's name, or its id: {index: Partition}}
    cdef dict by_id
    cdef bytes last_key
    cdef Slot* slots
    cdef uint32_t mask          # of a hash; the table has one slot more
    cdef uint32_t last_seat     # which of the slots side by side lost its partition last
    cdef Py_ssize_t displaced   # how often a partition did not get its own slot since the table has this size

    cdef bytes key(self, const uint8_t* name, Py_ssize_t size)
    # Borrowed: the hosted partitions hold it, and change on this thread only. NULL: there is none here.
    cdef PyObject* find(self, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index) except? NULL
    cdef PyObject* look(self, uint32_t hash, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index) except? NULL
    cdef int resize(self, uint32_t count) except -1
    cdef Slot* seat(self, uint32_t hash) noexcept
