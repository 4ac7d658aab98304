# Deadlines by key; moving one to a later time touches its entry alone.

from libc.stdint cimport int64_t


cdef class Deadline:            # one key's
    cdef readonly object key
    cdef readonly int64_t at_ms
    cdef readonly bint armed    # False once it was cancelled (until it is set again) or taken
    cdef bint queued            # the heap has it
    cdef int64_t queued_ms      # and looks at it then
    cdef int64_t order          # of its only live place in the heap

    cdef inline bint postpone(self, int64_t at_ms) noexcept:
        """Let it come due then; False (and nothing happened) when that is for `Deadlines.set`."""
        if not self.armed or at_ms < self.queued_ms:
            return False
        self.at_ms = at_ms
        return True


cdef class Deadlines:
    cdef dict by_key            # key -> Deadline that is armed or in the heap
    cdef list heap              # (queued_ms, order, Deadline); stale where the order is another
    cdef int64_t order
    cdef Py_ssize_t count       # of those that are armed

    cdef int push(self, Deadline entry) except -1
    cdef int settle(self) except -1
