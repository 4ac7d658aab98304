# The memory that requests are received into.

from libc.stdint cimport uint8_t

cdef class Block:
    cdef uint8_t* data
    cdef Py_ssize_t allocated
    cdef Py_ssize_t capacity            # what may be received into it, at most `allocated`
    cdef Py_ssize_t used                # bytes received; what is exported is behind them
    cdef bint lent                      # a Body points into it: never written again by its connection


cdef class Body:
    cdef Block block
    cdef const uint8_t* data
    cdef Py_ssize_t size


cdef class Blocks:
    cdef Block scratch
    cdef list spare
    cdef Py_ssize_t spare_bytes
    cdef Block take(self, Py_ssize_t capacity)
    cdef int give(self, Block block) except -1


cdef class Intake:
    cdef Blocks blocks
    cdef Block own                      # None while no frame is begun
    cdef Py_ssize_t expected            # bytes of the last frame where it was a large one, else 0
    cdef Block room(self)
    cdef Block filled(self, Py_ssize_t received)
    cdef int took(self, Py_ssize_t frame_bytes) noexcept
    cdef Py_ssize_t believed(self) noexcept
    cdef Py_ssize_t keep(self, Block block, Py_ssize_t at) except -1
    cdef int forget(self, Block block) except -1
