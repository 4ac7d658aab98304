# cython: auto_pickle=False, freethreading_compatible=True
"""Deadlines by key, earliest first. See the stub for the contract."""

from heapq import heappop, heappush

cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class Deadline:
    """One key's entry."""


@cython.final
cdef class Deadlines:
    """See the stub."""

    def __init__(self):
        self.by_key = {}
        self.heap = []

    def __len__(self):
        return self.count

    def __contains__(self, key):
        return self.entry(key) is not None

    def __iter__(self):
        return iter([key for key in self.by_key if (<Deadline>self.by_key[key]).armed])

    @property
    def queued(self):
        return len(self.heap)

    def set(self, key, int64_t at_ms):
        cdef Deadline entry = self.by_key.get(key)
        if entry is None:
            entry = Deadline.__new__(Deadline)
            entry.key = key
            self.by_key[key] = entry
        if not entry.armed:
            entry.armed = True
            self.count += 1
        entry.at_ms = at_ms
        if not entry.queued or at_ms < entry.queued_ms:
            self.push(entry)

    def entry(self, key):
        cdef Deadline entry = self.by_key.get(key)
        return entry if entry is not None and entry.armed else None

    def get(self, key):
        cdef Deadline entry = self.entry(key)
        return None if entry is None else entry.at_ms

    def cancel(self, key):
        cdef Deadline entry = self.entry(key)
        if entry is not None:
            # Its place in the heap stays until it comes up: who is set again soon needs no other.
            entry.armed = False
            self.count -= 1

    def next_ms(self):
        self.settle()
        return self.heap[0][0] if self.heap else None

    def due(self, int64_t now_ms):
        cdef list found = []
        while (key := self.take_due(now_ms)) is not None:
            found.append(key)
        return found

    def take_due(self, int64_t now_ms):
        cdef Deadline entry
        self.settle()
        if not self.heap:
            return None
        entry = <Deadline>(<tuple>self.heap[0])[2]
        if entry.at_ms > now_ms:
            return None
        heappop(self.heap)
        entry.queued = entry.armed = False
        self.count -= 1
        del self.by_key[entry.key]
        return entry.key

    cdef int push(self, Deadline entry) except -1:
        self.order += 1
        entry.order = self.order
        entry.queued = True
        entry.queued_ms = entry.at_ms
        heappush(self.heap, (entry.at_ms, self.order, entry))
        return 0

    cdef int settle(self) except -1:
        """Make the top of the heap a live place whose time is its entry's."""
        cdef Deadline entry
        cdef tuple top
        while self.heap:
            top = <tuple>self.heap[0]
            entry = <Deadline>top[2]
            if entry.queued and entry.order == <int64_t>top[1]:
                if entry.armed and entry.at_ms == entry.queued_ms:
                    return 0
                heappop(self.heap)
                entry.queued = False
                if entry.armed:
                    self.push(entry)
                else:
                    del self.by_key[entry.key]
            else:
                heappop(self.heap)
        return 0
