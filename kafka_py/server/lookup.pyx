# cython: auto_pickle=False
"""Which hosted partition a request names, without a Python object for its name and index.

A table of the partitions found last stands before the replica manager's dicts: four slots, side by side, for a hash of
name and index, its own before the others. (With two, one in forty of 10,000 partitions was looked for in the dicts
again each time although the table was as large as it gets: 0.02 us a produce.) It is doubled, up to a limit, when one
in 32 of its slots was given to a partition whose own was taken: with thousands each slot that is looked at is a miss of
the processor's caches. A partition that is not hosted any more is detached from its log first, and an offline one is
never taken from the table; so nobody has to clear it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memset

from kafka_py.replication.partition cimport Partition


cdef extern from "<stdlib.h>" nogil:
    void* aligned_alloc(size_t alignment, size_t size)


cdef inline bint holds(Slot* slot, uint32_t hash, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index):
    return (
        slot.partition != NULL and slot.hash == hash and slot.index == index and slot.by_id == by_id
        and PyBytes_GET_SIZE(<object>slot.key) == size
        and memcmp(PyBytes_AS_STRING(<object>slot.key), name, size) == 0
        and not (<Partition>slot.partition).offline
    )


cdef class Lookup:
    """See the module's text; ``replicas`` is the replica manager."""

    def __init__(self, replicas):
        self.by_name = replicas.by_name
        self.by_id = replicas.by_id
        self.last_key = b""
        self.resize(SLOTS_MIN)

    def __dealloc__(self):
        cdef uint32_t i
        if self.slots != NULL:
            for i in range(self.mask + 1):
                Py_XDECREF(self.slots[i].key)
                Py_XDECREF(self.slots[i].partition)
            free(self.slots)

    @property
    def slots_count(self):
        """How large the table is."""
        return self.mask + 1

    cdef int resize(self, uint32_t count) except -1:
        """A table of so many slots, a power of two, with what the old one holds."""
        cdef Slot* made = <Slot*>aligned_alloc(SLOT_BYTES, count * sizeof(Slot))
        cdef Slot* old = self.slots
        cdef uint32_t i, old_count = self.mask + 1
        if made == NULL:
            raise MemoryError
        memset(made, 0, count * sizeof(Slot))
        self.slots = made
        self.mask = count - 1
        self.displaced = 0
        if old != NULL:
            # It is smaller, so those that sat side by side find seats side by side.
            for i in range(old_count):
                if old[i].partition != NULL:
                    self.seat(old[i].hash)[0] = old[i]
            free(old)
        return 0

    cdef Slot* seat(self, uint32_t hash) noexcept:
        """The slot that a partition of that hash gets: its own or one beside it that is free, or else each in turn."""
        cdef Slot* slot
        cdef uint32_t i
        for i in range(SEATS):
            slot = &self.slots[(hash ^ i) & self.mask]
            if slot.partition == NULL:
                self.displaced += i > 0
                return slot
        self.displaced += 1
        self.last_seat = (self.last_seat + 1) % SEATS
        return &self.slots[(hash ^ self.last_seat) & self.mask]

    cdef bytes key(self, const uint8_t* name, Py_ssize_t size):
        """The bytes by which a topic is hosted. Mostly it is the last one again, whose hash is known."""
        cdef bytes last = self.last_key
        if PyBytes_GET_SIZE(last) != size or memcmp(PyBytes_AS_STRING(last), name, size) != 0:
            self.last_key = last = PyBytes_FromStringAndSize(<const char*>name, size)
        return last

    def of(self, bytes name not None, int index, bint by_id=False):
        """For tests: the partition, or None."""
        cdef PyObject* found = self.find(by_id, <const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), index)
        return None if found == NULL else <object>found

    cdef PyObject* find(self, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index) except? NULL:
        cdef uint32_t hash = hash_of(name, size, index), i
        cdef Slot* slot
        for i in range(SEATS):
            slot = &self.slots[(hash ^ i) & self.mask]
            if holds(slot, hash, by_id, name, size, index):
                return slot.partition
        return self.look(hash, by_id, name, size, index)

    cdef PyObject* look(self, uint32_t hash, bint by_id, const uint8_t* name, Py_ssize_t size, int32_t index) except? NULL:
        """In the dicts; the slot is this partition's from now on."""
        cdef bytes key = self.key(name, size)
        cdef object found = (self.by_id if by_id else self.by_name).get(key)
        cdef Slot* slot
        cdef PyObject* old_key
        cdef PyObject* old_partition
        if found is None:
            return NULL
        found = (<dict>found).get(index)
        if found is None:
            return NULL
        if self.displaced > <Py_ssize_t>(self.mask >> GROW_BITS) and self.mask + 1 < <uint32_t>SLOTS_MAX:
            self.resize(2 * (self.mask + 1))
        slot = self.seat(hash)
        old_key = slot.key
        old_partition = slot.partition
        Py_INCREF(key)
        Py_INCREF(found)
        memset(slot, 0, sizeof(Slot))
        slot.key = <PyObject*>key
        slot.partition = <PyObject*>found
        slot.hash = hash
        slot.index = index
        slot.by_id = by_id
        Py_XDECREF(old_key)
        Py_XDECREF(old_partition)
        return <PyObject*>found
