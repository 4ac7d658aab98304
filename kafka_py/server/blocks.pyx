# cython: auto_pickle=False
"""The memory that requests are received into, and the views that handlers get of it."""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc


cdef class Block:
    """Received bytes; exports, writable, the part that is still free."""

    def __cinit__(self, Py_ssize_t capacity):
        self.data = <uint8_t*>malloc(capacity)
        if self.data == NULL:
            raise MemoryError
        self.capacity = capacity

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return self.capacity - self.used

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data + self.used, self.capacity - self.used, 0, flags)


cdef class Body:
    """One request body inside a block, read-only; the block stays as it is while this lives."""

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self.data, self.size, 1, flags)
