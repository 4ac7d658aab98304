# cython: freethreading_compatible=True
"""The one table of file system calls of kcore: counted, and able to fail the Nth call of a kind.

Everything in kcore that touches a file goes through here, so that a test can ask "and if this very
call fails?" without root and without a tracer::

        Segment, Log, checkpoints            inject("fdatasync", nth=3, errno=EIO)
                 |                                        |
                 v                                        v
        sys_fdatasync(fd) --> gate(kind): calls[kind] += 1; from <= calls < until ? errno : go on
                 |
                 v
              fdatasync(2), again while EINTR

A directory may be said to be volatile: it goes with the process that made it, so nothing in it is ever synced,
and nobody waits for the disk. close is never repeated after EINTR: on Linux the descriptor is gone by then. An injected errno of 0
makes pwrite write half of what it was given, which sys_pwrite must finish by itself.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_SetFromErrnoWithFilenameObject
from libc.stdint cimport int64_t, uint8_t

import os

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <sys/mman.h>
    #include <sys/stat.h>
    #include <time.h>
    #include <unistd.h>

    #define KCORE_CALLS 14
    static long kcore_calls[KCORE_CALLS];
    static long kcore_fail_from[KCORE_CALLS];
    static long kcore_fail_until[KCORE_CALLS];
    static int kcore_fail_errno[KCORE_CALLS];
    static int kcore_armed = 0;
    static long kcore_fired_count = 0;
    static long kcore_hold_from[KCORE_CALLS];      /* 0: none is held */

    /* 0: go on; -1: errno is set, answer -1; 1: a short write is wanted. */
    static int kcore_gate(int kind) {
        long n = __atomic_add_fetch(&kcore_calls[kind], 1, __ATOMIC_RELAXED);
        if (__builtin_expect(!__atomic_load_n(&kcore_armed, __ATOMIC_RELAXED), 1)) return 0;
        long hold = __atomic_load_n(&kcore_hold_from[kind], __ATOMIC_RELAXED);
        while (hold && n >= hold) {
            struct timespec moment = {0, 200000};
            nanosleep(&moment, NULL);
            hold = __atomic_load_n(&kcore_hold_from[kind], __ATOMIC_RELAXED);
        }
        if (n < kcore_fail_from[kind] || n >= kcore_fail_until[kind]) return 0;
        __atomic_add_fetch(&kcore_fired_count, 1, __ATOMIC_RELAXED);
        if (kcore_fail_errno[kind] == 0) return 1;
        errno = kcore_fail_errno[kind];
        return -1;
    }
    #define KCORE_RETRY(kind, expression) \\
        for (;;) { \\
            int result; \\
            if (kcore_gate(kind) < 0) { if (errno == EINTR) continue; return -1; } \\
            result = (expression); \\
            if (result < 0 && errno == EINTR) continue; \\
            return result; \\
        }

    static int kcore_open(const char *path, int flags, int mode) {
        KCORE_RETRY(0, open(path, flags | O_CLOEXEC, (mode_t)mode))
    }
    static int kcore_close(int fd) {
        if (kcore_gate(1) < 0) { int e = errno; close(fd); errno = e; return e == EINTR ? 0 : -1; }
        if (close(fd) < 0 && errno != EINTR) return -1;
        return 0;
    }
    static Py_ssize_t kcore_pwrite(int fd, const void *data, Py_ssize_t size, int64_t position) {
        Py_ssize_t done = 0;
        while (done < size) {
            int gate = kcore_gate(2);
            size_t wanted = (size_t)(size - done);
            ssize_t n;
            if (gate < 0) { if (errno == EINTR) continue; return -1; }
            if (gate > 0 && wanted > 1) wanted /= 2;
            n = pwrite(fd, (const char *)data + done, wanted, (off_t)(position + done));
            if (n < 0) { if (errno == EINTR) continue; return -1; }
            if (n == 0) { errno = EIO; return -1; }
            done += n;
        }
        return done;
    }
    static Py_ssize_t kcore_pread(int fd, void *data, Py_ssize_t size, int64_t position) {
        Py_ssize_t done = 0;
        while (done < size) {
            ssize_t n;
            if (kcore_gate(3) < 0) { if (errno == EINTR) continue; return -1; }
            n = pread(fd, (char *)data + done, (size_t)(size - done), (off_t)(position + done));
            if (n < 0) { if (errno == EINTR) continue; return -1; }
            if (n == 0) break;
            done += n;
        }
        return done;
    }
    static int kcore_fallocate_result(int result) { if (result == 0) return 0; errno = result; return -1; }
    static int kcore_fallocate(int fd, int64_t position, int64_t size) {
        KCORE_RETRY(4, kcore_fallocate_result(posix_fallocate(fd, (off_t)position, (off_t)size)))
    }
    static int kcore_ftruncate(int fd, int64_t size) { KCORE_RETRY(5, ftruncate(fd, (off_t)size)) }
    static int kcore_fdatasync(int fd) { KCORE_RETRY(6, fdatasync(fd)) }
    static int kcore_fsync(int fd) { KCORE_RETRY(7, fsync(fd)) }
    static void *kcore_mmap(Py_ssize_t size, int prot, int fd, int64_t position) {
        void *data;
        if (kcore_gate(8) < 0) return NULL;
        data = mmap(NULL, (size_t)size, prot, MAP_SHARED, fd, (off_t)position);
        return data == MAP_FAILED ? NULL : data;
    }
    static int kcore_munmap(void *data, Py_ssize_t size) {
        if (kcore_gate(9) < 0) { int e = errno; munmap(data, (size_t)size); errno = e; return -1; }
        return munmap(data, (size_t)size);
    }
    static int kcore_madvise(void *data, Py_ssize_t size, int advice) {
        KCORE_RETRY(10, madvise(data, (size_t)size, advice))
    }
    static int kcore_msync(void *data, Py_ssize_t size, int flags) {
        KCORE_RETRY(11, msync(data, (size_t)size, flags))
    }
    static int kcore_rename(const char *source, const char *target) {
        KCORE_RETRY(12, rename(source, target))
    }
    static int kcore_unlink(const char *path) { KCORE_RETRY(13, unlink(path)) }
    static int64_t kcore_file_size(int fd) {
        struct stat st;
        if (fstat(fd, &st) < 0) return -1;
        return (int64_t)st.st_size;
    }
    """
    long kcore_calls[14]
    long kcore_fail_from[14]
    long kcore_fail_until[14]
    int kcore_fail_errno[14]
    int kcore_armed
    long kcore_fired_count
    long kcore_hold_from[14]
    int kcore_open(const char* path, int flags, int mode) noexcept nogil
    int kcore_close(int fd) noexcept nogil
    Py_ssize_t kcore_pwrite(int fd, const void* data, Py_ssize_t size, int64_t position) noexcept nogil
    Py_ssize_t kcore_pread(int fd, void* data, Py_ssize_t size, int64_t position) noexcept nogil
    int kcore_fallocate(int fd, int64_t position, int64_t size) noexcept nogil
    int kcore_ftruncate(int fd, int64_t size) noexcept nogil
    int kcore_fdatasync(int fd) noexcept nogil
    int kcore_fsync(int fd) noexcept nogil
    void* kcore_mmap(Py_ssize_t size, int prot, int fd, int64_t position) noexcept nogil
    int kcore_munmap(void* data, Py_ssize_t size) noexcept nogil
    int kcore_madvise(void* data, Py_ssize_t size, int advice) noexcept nogil
    int kcore_msync(void* data, Py_ssize_t size, int flags) noexcept nogil
    int kcore_rename(const char* source, const char* target) noexcept nogil
    int kcore_unlink(const char* path) noexcept nogil
    int64_t kcore_file_size(int fd) noexcept nogil

cdef extern from "fcntl.h" nogil:
    int O_RDONLY
    int O_WRONLY
    int O_CREAT
    int O_TRUNC
    int O_DIRECTORY

CALLS = (
    "open", "close", "pwrite", "pread", "fallocate", "ftruncate", "fdatasync", "fsync", "mmap", "munmap",
    "madvise", "msync", "rename", "unlink",
)
cdef dict KINDS = {name: kind for kind, name in enumerate(CALLS)}


cdef int sys_open(const char* path, int flags, int mode) noexcept nogil:
    return kcore_open(path, flags, mode)


cdef int sys_close(int fd) noexcept nogil:
    return kcore_close(fd)


cdef Py_ssize_t sys_pwrite(int fd, const void* data, Py_ssize_t size, int64_t position) noexcept nogil:
    return kcore_pwrite(fd, data, size, position)


cdef Py_ssize_t sys_pread(int fd, void* data, Py_ssize_t size, int64_t position) noexcept nogil:
    return kcore_pread(fd, data, size, position)


cdef int sys_fallocate(int fd, int64_t position, int64_t size) noexcept nogil:
    return kcore_fallocate(fd, position, size)


cdef int sys_ftruncate(int fd, int64_t size) noexcept nogil:
    return kcore_ftruncate(fd, size)


cdef int sys_fdatasync(int fd) noexcept nogil:
    return kcore_fdatasync(fd)


cdef int sys_fsync(int fd) noexcept nogil:
    return kcore_fsync(fd)


cdef void* sys_mmap(Py_ssize_t size, int prot, int fd, int64_t position) noexcept nogil:
    return kcore_mmap(size, prot, fd, position)


cdef int sys_munmap(void* data, Py_ssize_t size) noexcept nogil:
    return kcore_munmap(data, size)


cdef int sys_madvise(void* data, Py_ssize_t size, int advice) noexcept nogil:
    return kcore_madvise(data, size, advice)


cdef int sys_msync(void* data, Py_ssize_t size, int flags) noexcept nogil:
    return kcore_msync(data, size, flags)


cdef int sys_rename(const char* source, const char* target) noexcept nogil:
    return kcore_rename(source, target)


cdef int sys_unlink(const char* path) noexcept nogil:
    return kcore_unlink(path)


cdef int64_t file_size_of(int fd) noexcept nogil:
    return kcore_file_size(fd)


cdef int raise_errno(object path) except -1:
    PyErr_SetFromErrnoWithFilenameObject(OSError, path)
    return -1


def inject(str call, long nth, int errno, long times=1):
    """Fail the nth call (1 = the next one) of that kind, `times` times in a row, with errno."""
    global kcore_armed
    cdef int kind = KINDS[call]
    if nth < 1 or times < 1:
        raise ValueError("nth and times count from 1")
    kcore_fail_from[kind] = kcore_calls[kind] + nth
    kcore_fail_until[kind] = kcore_calls[kind] + nth + times
    kcore_fail_errno[kind] = errno
    kcore_armed = 1


def hold(str call, long nth=1):
    """The nth call (1 = the next one) of that kind and all later ones wait until clear(): a disk that hangs.

    For calls that are made without the GIL, as both syncs are.
    """
    global kcore_armed
    if nth < 1:
        raise ValueError("nth counts from 1")
    kcore_hold_from[KINDS[call]] = kcore_calls[KINDS[call]] + nth
    kcore_armed = 1


def clear():
    """Remove every injected failure and let go what is held."""
    global kcore_armed, kcore_fired_count
    cdef int kind
    kcore_armed = 0
    kcore_fired_count = 0
    for kind in range(CALLS_COUNT):
        kcore_fail_from[kind] = 0
        kcore_fail_until[kind] = 0
        kcore_hold_from[kind] = 0


def counts():
    """How often each call was made since the process started."""
    cdef int kind
    return {name: kcore_calls[kind] for kind, name in enumerate(CALLS)}


def fired():
    """How many injected failures were delivered since the last clear()."""
    return kcore_fired_count


cdef tuple volatile_directories = ()


def set_volatile(str directory not None, bint on):
    """From now on nothing below that directory is synced (or it is again). Not for data that anybody may want
    after a power cut: for temporary directories that are removed at the end."""
    global volatile_directories
    prefix = directory.rstrip("/") + "/"
    others = tuple([known for known in volatile_directories if known != prefix])
    volatile_directories = (*others, prefix) if on else others


def is_volatile(path):
    """Whether what is under that path is not synced."""
    return bool(volatile_directories) and (os.fspath(path) + "/").startswith(volatile_directories)


cdef int sync_and_close(int fd, bint durable, object path) except -1:
    """Ends a file that was written: the first error counts, the descriptor goes in any case."""
    cdef int result = 0
    if durable and volatile_directories:
        durable = not is_volatile(path)
    with nogil:
        if durable:
            result = kcore_fsync(fd)
    if result < 0:
        try:
            raise_errno(path)
        finally:
            kcore_close(fd)
    if kcore_close(fd) < 0:
        raise_errno(path)
    return 0


def fsync_dir(path):
    """Make the names in a directory durable. Raises OSError."""
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef int fd
    with nogil:
        fd = kcore_open(name, O_RDONLY | O_DIRECTORY, 0)
    if fd < 0:
        raise_errno(path)
    sync_and_close(fd, True, path)


def fsync_file(path):
    """Make the content of a file durable through a descriptor of its own. Raises OSError."""
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef int fd
    with nogil:
        fd = kcore_open(name, O_RDONLY, 0)
    if fd < 0:
        raise_errno(path)
    sync_and_close(fd, True, path)


cdef int write_at_once(path, int64_t position, const uint8_t[::1] data, int flags, bint durable) except -1:
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef Py_ssize_t size = data.shape[0]
    cdef const uint8_t* start = &data[0] if size else NULL
    cdef int fd
    cdef Py_ssize_t written = 0
    with nogil:
        fd = kcore_open(name, O_WRONLY | O_CREAT | flags, 0o600)
        if fd >= 0 and size > 0:
            written = kcore_pwrite(fd, start, size, position)
    if fd < 0:
        raise_errno(path)
    if written < 0:
        try:
            raise_errno(path)
        finally:
            kcore_close(fd)
    return sync_and_close(fd, durable, path)


def write_file(path, const uint8_t[::1] data not None, *, bint durable=True):
    """Write a file in place: created, filled, cut to that length. Raises OSError."""
    write_at_once(path, 0, data, O_TRUNC, durable)


def write_at(path, int64_t position, const uint8_t[::1] data not None):
    """Write at a position of a file, created when missing; not synced. Raises OSError."""
    write_at_once(path, position, data, 0, False)


def replace_file(path, data, *, bint durable=True):
    """Put data under path at once: path + ".tmp", fsync, rename, fsync of the directory. In a volatile directory
    there is nobody for whom it would have to be at once, and the file is written where it is."""
    path = os.fspath(path)
    if is_volatile(path):
        write_file(path, data, durable=False)
        return
    temporary = path + ".tmp"
    write_file(temporary, data, durable=durable)
    rename(temporary, path)
    if durable:
        fsync_dir(os.path.dirname(path) or ".")


def read_file(path):
    """The whole content. Raises OSError."""
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef int fd
    cdef int64_t size
    cdef Py_ssize_t n
    cdef bytes content
    cdef uint8_t* start
    with nogil:
        fd = kcore_open(name, O_RDONLY, 0)
        size = kcore_file_size(fd) if fd >= 0 else -1
    if fd < 0:
        raise_errno(path)
    try:
        if size < 0:
            raise_errno(path)
        content = PyBytes_FromStringAndSize(NULL, size)
        start = <uint8_t*>PyBytes_AS_STRING(content)
        with nogil:
            n = kcore_pread(fd, start, size, 0)
        if n < 0:
            raise_errno(path)
    finally:
        kcore_close(fd)
    return content if n == size else content[:n]


def rename(source, target):
    """rename(2): atomic, durable only after fsync_dir. Raises OSError."""
    cdef bytes encoded_source = os.fsencode(source)
    cdef bytes encoded_target = os.fsencode(target)
    cdef const char* old = encoded_source
    cdef const char* new = encoded_target
    cdef int result
    with nogil:
        result = kcore_rename(old, new)
    if result < 0:
        raise_errno(source)


def unlink(path):
    """unlink(2). Raises OSError."""
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef int result
    with nogil:
        result = kcore_unlink(name)
    if result < 0:
        raise_errno(path)
