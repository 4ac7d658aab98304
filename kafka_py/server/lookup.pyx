# cython: auto_pickle=False
"""Which hosted partition a request names, without a Python object for its name and index.

A table of the partitions found last stands before the replica manager's dicts: one slot for a hash of name and index, so
that nothing ever grows. A partition that is not hosted any more is detached from its log first, and an offline one is
never taken from the table; so nobody has to clear it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from kafka_py.replication.partition cimport Partition


cdef inline uint32_t slot_of(const uint8_t* name, Py_ssize_t size, int32_t index) noexcept nogil:
    """Names of a cluster differ at their ends, or in their length."""
    cdef uint64_t first = 0, last = 0
    if size >= 8:
        memcpy(&first, name, 8)
        memcpy(&last, name + size - 8, 8)
    else:
        memcpy(&last, name, size)
    first = (first ^ (last * <uint64_t>0x9E3779B97F4A7C15) ^ <uint64_t>size) * <uint64_t>0xD6E8FEB86659FD93
    first += <uint64_t><uint32_t>index * <uint64_t>0x9E3779B97F4A7C15
    return <uint32_t>((first >> 32) % SLOTS)


cdef class Lookup:
    """See the module's text; ``replicas`` is the replica manager."""

    def __init__(self, replicas):
        self.by_name = replicas.by_name
        self.by_id = replicas.by_id
        self.last_key = b""

    def __dealloc__(self):
        cdef int i
        for i in range(SLOTS):
            Py_XDECREF(self.slots[i].key)
            Py_XDECREF(self.slots[i].partition)

    cdef bytes key(self, const uint8_t* name, Py_ssize_t size):
        """The bytes by which a topic is hosted. Mostly it is the last one again, whose hash is known."""
        cdef bytes last = self.last_key
        if PyBytes_GET_SIZE(last) != size or memcmp(PyBytes_AS_STRING(last), name, size) != 0:
            self.last_key = last = PyBytes_FromStringAndSize(<const char*>name, size)
        return last

    cdef PyObject* find(self, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index) except? NULL:
        cdef Slot* slot = &self.slots[slot_of(name, size, index)]
        if (
            slot.partition != NULL and slot.index == index and slot.by_id == by_id
            and PyBytes_GET_SIZE(<object>slot.key) == size
            and memcmp(PyBytes_AS_STRING(<object>slot.key), name, size) == 0
            and not (<Partition>slot.partition).offline
        ):
            return slot.partition
        return self.look(slot, by_id, name, size, index)

    cdef PyObject* look(self, Slot* slot, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index) except? NULL:
        """In the dicts; the slot is this partition's from now on."""
        cdef bytes key = self.key(name, size)
        cdef object found = (self.by_id if by_id else self.by_name).get(key)
        cdef PyObject* old_key = slot.key
        cdef PyObject* old_partition = slot.partition
        if found is None:
            return NULL
        found = (<dict>found).get(index)
        if found is None:
            return NULL
        Py_INCREF(key)
        Py_INCREF(found)
        slot.key = <PyObject*>key
        slot.partition = <PyObject*>found
        slot.index = index
        slot.by_id = by_id
        Py_XDECREF(old_key)
        Py_XDECREF(old_partition)
        return <PyObject*>found
