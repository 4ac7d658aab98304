# The memory that requests are received into.

from libc.stdint cimport uint8_t

cdef class Block:
    cdef uint8_t* data
    cdef Py_ssize_t capacity
    cdef Py_ssize_t used                # bytes received; get_buffer exports what is behind them
    cdef bint lent                      # a Body points into it: never written again by its connection
    cdef int exports
    cdef Py_ssize_t shape[1]


cdef class Body:
    cdef Block block
    cdef const uint8_t* data
    cdef Py_ssize_t size
    cdef Py_ssize_t shape[1]
