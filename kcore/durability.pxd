# kcore.durability: syncs whose system call somebody else makes.

from libc.stdint cimport int64_t

from kcore.log cimport Log
from kcore.mapped_file cimport Mapping
from kcore.segment cimport Segment


cdef class TailSync:
    """One fdatasync that makes all of a log durable: what it covers, and what has to be said when it is done.

    It keeps the descriptor open. `cover` may be called until the system call begins, `done` once after it.
    """

    cdef Log log
    cdef Segment segment
    cdef Mapping mapping
    cdef int64_t generation
    cdef int64_t target                 # the log's end when it was last asked to cover it
    cdef Py_ssize_t end
    cdef readonly int fd                # -1: nothing in that directory is synced

    cdef bint cover(self) except -1
    cdef int64_t done(self, int error) except? -1


# None where a flush has more to do than to sync the active segment's data: then use flush().
cdef TailSync tail_sync(Log log)
