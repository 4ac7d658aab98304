# kcore.mapped_file: one descriptor and one shared map of one file; the only caller of mmap.

from libc.stdint cimport int64_t, uint8_t

cdef enum:
    GROW_BYTES_MIN = 65536          # first chunk of a fresh segment
    GROW_BYTES_MAX = 4194304        # later chunks double up to this
    POPULATE_BYTES_MIN = 65536      # pages are faulted in this far ahead of the tail ...
    POPULATE_BYTES_MAX = 524288     # ... or so far, when much is appended between two syncs
    AHEAD_BYTES_MIN = 131072        # steps of this size are worth a hand-over to the populating thread

cdef extern from *:
    """
    typedef struct kcore_ahead kcore_ahead;
    """
    ctypedef struct kcore_ahead:    # a range that the populating thread was asked for; see mapped_file.pyx
        pass

cdef class Mapping:
    cdef uint8_t* data              # start of the map, NULL for an empty read-only file
    cdef Py_ssize_t reserved        # bytes of address space
    cdef Py_ssize_t allocated       # bytes of the file: touching beyond is SIGBUS (T1)
    cdef Py_ssize_t populated       # bytes whose pages were faulted in ahead
    cdef Py_ssize_t synced          # the last sync covered the file up to here
    cdef Py_ssize_t limit           # the file never grows beyond this
    cdef int fd
    cdef bint writable
    cdef kcore_ahead* ahead         # NULL until much is appended between two syncs
    cdef readonly str path

    # Makes at least `size` bytes touchable: posix_fallocate, then populate. 0, or -1 with errno.
    cdef int grow(self, Py_ssize_t size) noexcept nogil
    cdef int reserve(self, Py_ssize_t size) noexcept nogil  # the file gets at least that size
    # Puts n bytes at the tail with one write instead of populating first. 0, or -1 with errno.
    cdef int write_through(self, Py_ssize_t position, const uint8_t* p, Py_ssize_t n) noexcept nogil
    cdef int allocate(self, Py_ssize_t size) noexcept nogil # the file gets that size, nothing is populated
    # Waits until the populating thread is done with this file: before anything else may write behind the
    # tail, or shrink it. -1 with errno when populating failed.
    cdef int settle(self) noexcept nogil
    cdef int trim(self, Py_ssize_t size) noexcept nogil     # shrink the file; nothing beyond may be viewed
    cdef int sync(self) noexcept nogil                      # fdatasync
    cdef int warm(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil
    cdef int is_resident(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil  # 1, 0, -1

cdef Mapping map_writable(str path, Py_ssize_t limit)     # creates the file when it is missing
cdef Mapping map_readonly(str path)
