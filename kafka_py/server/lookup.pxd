# Which hosted partition a request names.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t

cdef enum:
    SLOTS = 1024

# The partition that was found last for a hash; all NULL before the first one.
cdef struct Slot:
    PyObject* key               # the topic's bytes
    PyObject* partition
    int32_t index
    bint by_id


cdef class Lookup:
    cdef dict by_name           # of the replica manager: {the topic's name, or its id: {index: Partition}}
    cdef dict by_id
    cdef bytes last_key
    cdef Slot slots[SLOTS]

    cdef bytes key(self, const uint8_t* name, Py_ssize_t size)
    # Borrowed: the hosted partitions hold it, and change on this thread only. NULL: there is none here.
    cdef PyObject* find(self, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index) except? NULL
    cdef PyObject* look(self, Slot* slot, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index) except? NULL
