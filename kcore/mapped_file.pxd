# kcore.mapped_file: one descriptor and one shared map of one file; the only caller of mmap.

from libc.stdint cimport int64_t, uint8_t

cdef enum:
    GROW_BYTES_MIN = 65536          # first chunk of a fresh segment
    GROW_BYTES_MAX = 4194304        # later chunks double up to this
    POPULATE_BYTES_MIN = 65536      # pages are faulted in this far ahead of the tail ...
    POPULATE_BYTES_MAX = 524288     # ... or so far, when much is appended between two syncs

cdef class Mapping:
    cdef uint8_t* data              # start of the map, NULL for an empty read-only file
    cdef Py_ssize_t reserved        # bytes of address space
    cdef Py_ssize_t allocated       # bytes of the file: touching beyond is SIGBUS (T1)
    cdef Py_ssize_t populated       # bytes whose pages were faulted in ahead
    cdef Py_ssize_t synced          # the last sync covered the file up to here
    cdef Py_ssize_t limit           # the file never grows beyond this
    cdef int fd
    cdef bint writable
    cdef bint populate              # fault pages in ahead of the tail
    cdef readonly str path

    # Makes at least `size` bytes touchable: posix_fallocate, then populate. 0, or -1 with errno.
    cdef int grow(self, Py_ssize_t size) noexcept nogil
    cdef int allocate(self, Py_ssize_t size) noexcept nogil # the file gets that size, nothing is populated
    cdef int trim(self, Py_ssize_t size) noexcept nogil     # shrink the file; nothing beyond may be viewed
    cdef int sync(self) noexcept nogil                      # fdatasync
    cdef int warm(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil
    cdef int is_resident(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil  # 1, 0, -1

cdef Mapping map_writable(str path, Py_ssize_t limit)     # creates the file when it is missing
cdef Mapping map_readonly(str path)
