"""One descriptor and one shared map of one file. The only caller of mmap.

::

        0           end          populated    allocated                          limit = reserved
        +-----------+------------+------------+--- - - - - - - - - - - - - - - - - - +
        |  batches  | zeros, in  | zeros, on  |   address space without a file:      |
        |           | memory     | disk       |   touching it is SIGBUS (T1)         |
        +-----------+------------+------------+--- - - - - - - - - - - - - - - - - - +
         read, sent   the next     posix_fallocate'd: a full disk said ENOSPC
                      appends      before anything could be stored into a hole

The map covers the largest size that the file may get, so that it never moves while readers hold
pointers into it; the file itself is extended chunk by chunk, by posix_fallocate and never by
ftruncate, before its pages are touched.

Populating is: write zeros, then MADV_POPULATE_WRITE. The write makes the page cache take large folios
(a quarter of the time that faulting 4 KiB pages in takes, measured on ext4), the advice enters them into
the page table at once and reports an error as errno. A sync writes whole folios, so the step is small
(64 KiB costs a sync nothing that shows) unless much is appended between two syncs. MADV_HUGEPAGE would
be faster still, but then a sync after one small append writes 2 MiB: 0.43 ms instead of 0.10.

While much is appended between two syncs, one thread of the process populates the step after the next, so
that the appender finds it ready (double buffering)::

    grow:  collect what the thread did --> [populated moves] --> allocate and ask for the next step
             | not begun: taken back, populated here             (never more than one step ahead, always
             | under way: waited for                              within posix_fallocate'd bytes: T1)
             | failed: its errno, as if it had happened here

The thread writes zeros behind the tail, so nobody else may write or shrink there before settle(); whoever
gives a writable map up, or opens a second one of the same file, calls it. It asks nothing of Python. While
the fault injector is armed, and after populate_in_background(False), everything happens inline and in order.
After a fork the child has no such thread: what was asked for is forgotten and populated inline.

A Mapping lives as long as somebody refers to it: a segment, or a slice that was handed out. Deleting
a segment is unlink now, and munmap when the last slice lets go.
"""

from libc.stdint cimport int64_t, uint8_t

from kcore.syscalls cimport (
    file_size_of, raise_errno, sys_close, sys_fallocate, sys_fdatasync, sys_ftruncate, sys_madvise,
    faults_armed, sys_mmap, sys_munmap, sys_open, sys_pwrite,
)

import os

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <pthread.h>
    #include <signal.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <unistd.h>
    #ifndef MADV_POPULATE_READ
    #define MADV_POPULATE_READ 22
    #define MADV_POPULATE_WRITE 23
    #endif
    #define KCORE_PAGES_AT_ONCE 1024
    /* 1 when every page of the range is in the page cache, 0 when not, -1 with errno. */
    static int kcore_resident(const uint8_t *data, Py_ssize_t size) {
        unsigned char pages[KCORE_PAGES_AT_ONCE];
        Py_ssize_t page = (Py_ssize_t)sysconf(_SC_PAGESIZE);
        uintptr_t at = (uintptr_t)data & ~(uintptr_t)(page - 1);
        uintptr_t stop = (uintptr_t)data + (uintptr_t)size;
        while (at < stop) {
            size_t count = (size_t)((stop - at + (uintptr_t)page - 1) / (uintptr_t)page);
            if (count > KCORE_PAGES_AT_ONCE) count = KCORE_PAGES_AT_ONCE;
            if (mincore((void *)at, count * (size_t)page, pages) < 0) return -1;
            for (size_t i = 0; i < count; i++) if (!(pages[i] & 1)) return 0;
            at += (uintptr_t)(count * (size_t)page);
        }
        return 1;
    }
    static Py_ssize_t kcore_page_bytes(void) { return (Py_ssize_t)sysconf(_SC_PAGESIZE); }
    static const uint8_t kcore_zeros[524288];
    static int kcore_errno(void) { return errno; }
    static void kcore_set_errno(int value) { errno = value; }

    enum { AHEAD_IDLE, AHEAD_QUEUED, AHEAD_RUNNING, AHEAD_DONE, AHEAD_FAILED };
    typedef int (*kcore_populate)(int fd, uint8_t *data, Py_ssize_t start, Py_ssize_t stop);
    /* All but state is read by the thread only while QUEUED or RUNNING, and written only while it is not. */
    struct kcore_ahead {
        struct kcore_ahead *next;
        uint8_t *data;
        Py_ssize_t start, stop;
        kcore_populate work;
        unsigned long generation;
        int fd, state, error;
    };
    static pthread_mutex_t ahead_lock = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t ahead_wanted = PTHREAD_COND_INITIALIZER;
    static pthread_cond_t ahead_finished = PTHREAD_COND_INITIALIZER;
    static kcore_ahead *ahead_first = NULL, **ahead_last = &ahead_first;
    static unsigned long ahead_generation = 1;      /* counts forks: a child's jobs have no thread */
    static int ahead_started = 0, ahead_prepared = 0;

    static void *ahead_main(void *unused) {
        (void)unused;
        pthread_mutex_lock(&ahead_lock);
        for (;;) {
            kcore_ahead *job = ahead_first;
            int failed;
            if (job == NULL) { pthread_cond_wait(&ahead_wanted, &ahead_lock); continue; }
            ahead_first = job->next;
            if (ahead_first == NULL) ahead_last = &ahead_first;
            job->state = AHEAD_RUNNING;
            pthread_mutex_unlock(&ahead_lock);
            failed = job->work(job->fd, job->data, job->start, job->stop) < 0;
            pthread_mutex_lock(&ahead_lock);
            job->error = failed ? errno : 0;
            job->state = failed ? AHEAD_FAILED : AHEAD_DONE;
            pthread_cond_broadcast(&ahead_finished);
        }
        return NULL;
    }
    static void ahead_before_fork(void) { pthread_mutex_lock(&ahead_lock); }
    static void ahead_in_parent(void) { pthread_mutex_unlock(&ahead_lock); }
    static void ahead_in_child(void) {
        pthread_mutex_init(&ahead_lock, NULL);
        pthread_cond_init(&ahead_wanted, NULL);
        pthread_cond_init(&ahead_finished, NULL);
        ahead_first = NULL;
        ahead_last = &ahead_first;
        ahead_started = 0;
        ahead_generation += 1;
    }
    /* The lock is held. Signals belong to the program's own threads. */
    static int ahead_start(void) {
        pthread_t thread;
        pthread_attr_t attributes;
        sigset_t all, old;
        int result;
        if (ahead_started) return 0;
        if (!ahead_prepared) {
            if (pthread_atfork(ahead_before_fork, ahead_in_parent, ahead_in_child) != 0) return -1;
            ahead_prepared = 1;
        }
        if (pthread_attr_init(&attributes) != 0) return -1;
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, 131072);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        result = pthread_create(&thread, &attributes, ahead_main, NULL);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attributes);
        if (result != 0) return -1;
        ahead_started = 1;
        return 0;
    }
    /* Hands a range to the thread. NULL when there is no memory or no thread: then it is done inline. */
    static kcore_ahead *ahead_ask(
        kcore_ahead *job, kcore_populate work, int fd, uint8_t *data, Py_ssize_t start, Py_ssize_t stop
    ) {
        if (job == NULL) job = (kcore_ahead *)calloc(1, sizeof *job);
        if (job == NULL) return NULL;
        pthread_mutex_lock(&ahead_lock);
        if (ahead_start() == 0) {
            job->next = NULL;
            job->data = data;
            job->start = start;
            job->stop = stop;
            job->work = work;
            job->generation = ahead_generation;
            job->fd = fd;
            job->error = 0;
            job->state = AHEAD_QUEUED;
            *ahead_last = job;
            ahead_last = &job->next;
            pthread_cond_signal(&ahead_wanted);
        }
        pthread_mutex_unlock(&ahead_lock);
        return job;
    }
    /* Ends what was asked for, by taking it back or waiting for it. The populated end, 0 when there is
       nothing, -1 with errno. The thread has forgotten the job when this returns. */
    static Py_ssize_t ahead_collect(kcore_ahead *job) {
        Py_ssize_t stop = 0;
        int error = 0;
        pthread_mutex_lock(&ahead_lock);
        if (job->generation != ahead_generation) job->state = AHEAD_IDLE;
        if (job->state == AHEAD_QUEUED) {
            kcore_ahead **link = &ahead_first;
            while (*link != job) link = &(*link)->next;
            *link = job->next;
            if (ahead_last == &job->next) ahead_last = link;
            job->state = AHEAD_IDLE;
        }
        while (job->state == AHEAD_RUNNING) pthread_cond_wait(&ahead_finished, &ahead_lock);
        if (job->state == AHEAD_DONE) stop = job->stop;
        if (job->state == AHEAD_FAILED) { stop = -1; error = job->error; }
        job->state = AHEAD_IDLE;
        pthread_mutex_unlock(&ahead_lock);
        if (stop < 0) errno = error;
        return stop;
    }
    static void ahead_free(kcore_ahead *job) { free(job); }
    """
    ctypedef int (*kcore_populate)(int fd, uint8_t* data, Py_ssize_t start, Py_ssize_t stop) noexcept nogil
    kcore_ahead* ahead_ask(
        kcore_ahead* job, kcore_populate work, int fd, uint8_t* data, Py_ssize_t start, Py_ssize_t stop
    ) noexcept nogil
    Py_ssize_t ahead_collect(kcore_ahead* job) noexcept nogil
    void ahead_free(kcore_ahead* job) noexcept nogil
    int kcore_resident(const uint8_t* data, Py_ssize_t size) noexcept nogil
    Py_ssize_t kcore_page_bytes() noexcept nogil
    int kcore_errno() noexcept nogil
    const uint8_t kcore_zeros[524288]
    int EINVAL
    int MADV_POPULATE_READ
    int MADV_POPULATE_WRITE
    int O_RDONLY
    int O_RDWR
    int O_CREAT
    int PROT_READ
    int PROT_WRITE

cdef Py_ssize_t PAGE_BYTES = kcore_page_bytes()
cdef long open_mappings = 0
cdef bint background = True


def mappings_open():
    """How many maps this process holds now: the debug counter that must end where it began."""
    return open_mappings


def populate_in_background(bint wanted):
    """Whether a thread of the process may populate ahead of the tail; returns what it was.

    False makes every file call happen in the appending thread, in an order that repeats itself.
    """
    global background
    cdef bint old = background
    background = wanted
    return old


cdef int populate_range(int fd, uint8_t* data, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """Zeros, then the pages entered into the table (data NULL: not). 0, or -1 with errno."""
    cdef Py_ssize_t at = start, step
    while at < stop:
        step = min(stop - at, <Py_ssize_t>POPULATE_BYTES_MAX)
        if sys_pwrite(fd, kcore_zeros, step, at) < 0:
            return -1
        at += step
    start = start & ~(PAGE_BYTES - 1)
    if data != NULL and sys_madvise(data + start, stop - start, MADV_POPULATE_WRITE) < 0:
        # Kernels before 5.14 do not know the advice; the pages then fault in one by one.
        if kcore_errno() != EINVAL:
            return -1
    return 0


cdef class Mapping:
    """A file and its map; see the drawing above. Made by map_writable and map_readonly only."""

    def __cinit__(self):
        global open_mappings
        self.fd = -1
        open_mappings += 1

    def __dealloc__(self):
        global open_mappings
        open_mappings -= 1
        if self.ahead != NULL:
            ahead_collect(self.ahead)
            ahead_free(self.ahead)
        if self.data != NULL:
            sys_munmap(self.data, self.reserved)
        if self.fd >= 0:
            sys_close(self.fd)

    cdef int grow(self, Py_ssize_t size) noexcept nogil:
        cdef Py_ssize_t step, stop
        if size > self.limit or self.settle() < 0 or self.reserve(size) < 0:
            return -1
        step = ((size - self.synced) >> 2) & ~<Py_ssize_t>(POPULATE_BYTES_MIN - 1)
        step = min(max(step, <Py_ssize_t>POPULATE_BYTES_MIN), <Py_ssize_t>POPULATE_BYTES_MAX)
        if size > self.populated:
            stop = min(max(size, self.populated + step), self.allocated)
            if populate_range(self.fd, self.data, self.populated, stop) < 0:
                return -1
            self.populated = stop
        if step >= AHEAD_BYTES_MIN and background and not faults_armed():
            stop = min(self.populated + step, self.limit)
            if self.reserve(stop) < 0:
                return -1
            if stop > self.populated:
                self.ahead = ahead_ask(self.ahead, populate_range, self.fd, self.data, self.populated, stop)
        return 0

    cdef int write_through(self, Py_ssize_t position, const uint8_t* p, Py_ssize_t n) noexcept nogil:
        if position + n > self.limit or self.settle() < 0 or self.reserve(position + n) < 0:
            return -1
        if sys_pwrite(self.fd, p, n, position) < 0:
            return -1
        self.populated = max(self.populated, position + n)
        return 0

    cdef int settle(self) noexcept nogil:
        cdef Py_ssize_t stop
        if self.ahead == NULL:
            return 0
        stop = ahead_collect(self.ahead)
        if stop < 0:
            return -1
        self.populated = max(self.populated, stop)
        return 0

    cdef int reserve(self, Py_ssize_t size) noexcept nogil:
        """At least that many bytes of file, chunk by chunk."""
        cdef Py_ssize_t step, wanted
        if size <= self.allocated:
            return 0
        step = min(max(self.allocated, <Py_ssize_t>GROW_BYTES_MIN), <Py_ssize_t>GROW_BYTES_MAX)
        wanted = max(size, self.allocated + step)
        wanted = min((wanted + GROW_BYTES_MIN - 1) & ~<Py_ssize_t>(GROW_BYTES_MIN - 1), self.limit)
        return self.allocate(wanted)

    cdef int allocate(self, Py_ssize_t size) noexcept nogil:
        if sys_fallocate(self.fd, self.allocated, size - self.allocated) < 0:
            return -1
        self.allocated = size
        return 0

    cdef int trim(self, Py_ssize_t size) noexcept nogil:
        if self.settle() < 0:
            return -1
        if size == self.allocated:
            return 0
        if sys_ftruncate(self.fd, size) < 0:
            return -1
        self.allocated = size
        self.populated = min(self.populated, size)
        return 0

    cdef int sync(self) noexcept nogil:
        return sys_fdatasync(self.fd)

    cdef int warm(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil:
        cdef Py_ssize_t start = position & ~(PAGE_BYTES - 1)
        cdef volatile uint8_t* byte
        cdef uint8_t seen
        if size <= 0:
            return 0
        if sys_madvise(self.data + start, position + size - start, MADV_POPULATE_READ) == 0:
            return 0
        if kcore_errno() != EINVAL:
            return -1
        while start < position + size:
            byte = self.data + start
            seen = byte[0]
            start += PAGE_BYTES
        return 0

    cdef int is_resident(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil:
        if size <= 0:
            return 1
        return kcore_resident(self.data + position, size)


cdef Mapping map_writable(str path, Py_ssize_t limit):
    """Opens (or creates) a file for appending and maps up to `limit` bytes.

    Raises OSError; a file that it made stays behind empty then.
    """
    cdef Mapping self = Mapping.__new__(Mapping)
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef int64_t size = -1
    self.path = path
    self.writable = True
    with nogil:
        self.fd = sys_open(name, O_RDWR | O_CREAT, 0o600)
        if self.fd >= 0:
            size = file_size_of(self.fd)
    if self.fd < 0 or size < 0:
        raise_errno(path)
    limit = max(limit, <Py_ssize_t>size, 1)
    self.reserved = (limit + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1)
    self.limit = limit
    self.allocated = self.populated = self.synced = size
    self.data = <uint8_t*>sys_mmap(self.reserved, PROT_READ | PROT_WRITE, self.fd, 0)
    if self.data == NULL:
        raise_errno(path)
    return self


cdef Mapping map_readonly(str path):
    """Maps what the file holds now. Raises OSError."""
    cdef Mapping self = Mapping.__new__(Mapping)
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef int64_t size = -1
    self.path = path
    with nogil:
        self.fd = sys_open(name, O_RDONLY, 0)
        if self.fd >= 0:
            size = file_size_of(self.fd)
    if self.fd < 0 or size < 0:
        raise_errno(path)
    self.allocated = size
    self.populated = size
    self.limit = size
    if size > 0:
        self.reserved = (<Py_ssize_t>size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1)
        self.data = <uint8_t*>sys_mmap(self.reserved, PROT_READ, self.fd, 0)
        if self.data == NULL:
            raise_errno(path)
    return self
