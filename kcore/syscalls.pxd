# kcore.syscalls: the one table of file system calls. Every wrapper counts, can be told to fail, and
# retries EINTR by itself. All answer -1 (NULL for sys_mmap: MAP_FAILED is hidden) with errno set.

from libc.stdint cimport int64_t, uint8_t

cdef enum:
    CALL_OPEN = 0
    CALL_CLOSE = 1
    CALL_PWRITE = 2
    CALL_PREAD = 3
    CALL_FALLOCATE = 4
    CALL_FTRUNCATE = 5
    CALL_FDATASYNC = 6
    CALL_FSYNC = 7
    CALL_MMAP = 8
    CALL_MUNMAP = 9
    CALL_MADVISE = 10
    CALL_MSYNC = 11
    CALL_RENAME = 12
    CALL_UNLINK = 13
    CALLS_COUNT = 14

cdef int sys_open(const char* path, int flags, int mode) noexcept nogil      # O_CLOEXEC is added
cdef int sys_close(int fd) noexcept nogil
cdef Py_ssize_t sys_pwrite(int fd, const void* data, Py_ssize_t size, int64_t position) noexcept nogil  # all of it or -1
cdef Py_ssize_t sys_pread(int fd, void* data, Py_ssize_t size, int64_t position) noexcept nogil         # short only at end of file
cdef int sys_fallocate(int fd, int64_t position, int64_t size) noexcept nogil    # posix_fallocate, errno set
cdef int sys_ftruncate(int fd, int64_t size) noexcept nogil
cdef int sys_fdatasync(int fd) noexcept nogil
cdef int sys_fsync(int fd) noexcept nogil
cdef void* sys_mmap(Py_ssize_t size, int prot, int fd, int64_t position) noexcept nogil  # MAP_SHARED; NULL on error
cdef int sys_munmap(void* data, Py_ssize_t size) noexcept nogil
cdef int sys_madvise(void* data, Py_ssize_t size, int advice) noexcept nogil
cdef int sys_msync(void* data, Py_ssize_t size, int flags) noexcept nogil
cdef int sys_rename(const char* source, const char* target) noexcept nogil
cdef int sys_unlink(const char* path) noexcept nogil

# OSError with errno, its text and the path; always raises.
cdef int raise_errno(object path) except -1
cdef int64_t file_size_of(int fd) noexcept nogil    # -1 with errno set
