# Arrays of structs that grow by one.
from libc.stdlib cimport realloc


cdef inline void* room_for_one(void* items, Py_ssize_t count, Py_ssize_t* capacity, size_t item_bytes) except NULL:
    """The array, moved to twice its room where `count` items fill it. MemoryError: it is where it was."""
    cdef Py_ssize_t wanted
    cdef void* grown
    if count < capacity[0]:
        return items
    wanted = capacity[0] * 2 if capacity[0] else 8
    grown = realloc(items, <size_t>wanted * item_bytes)
    if grown == NULL:
        raise MemoryError()
    capacity[0] = wanted
    return grown
