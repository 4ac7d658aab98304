"""Pages made readable by a thread, ahead of who walks a map.

::

    0            taken          ready            ready + STEP_BYTES        allocated
    |  walked      |  may be      |  being entered    |  AHEAD_BYTES beyond     |
    |              |  touched     |  by the thread    |  `taken` at most        |

A fresh map of a file in memory has to be filled: the kernel enters each page into the page table, which takes as
long as summing the page does, and asking for each page whether a disk can read it (mincore) a fifth of that.
MADV_POPULATE_READ does both, and says that a disk cannot read where a touch would kill the process; in a thread of
its own it costs the walk nothing. The thread stays a window ahead, so that a file larger than memory is not read
into it before it is wanted.
"""

from libc.errno cimport errno

cdef extern from *:
    """
    #include <errno.h>
    static void kcore_set_errno(int number) { errno = number; }
    static Py_ssize_t kcore_load_size(const Py_ssize_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void kcore_store_size(Py_ssize_t *p, Py_ssize_t size) { __atomic_store_n(p, size, __ATOMIC_RELEASE); }
    #if defined(__x86_64__) || defined(__i386__)
    #define KCORE_PAUSE() __builtin_ia32_pause()
    #elif defined(__aarch64__)
    #define KCORE_PAUSE() __asm__ volatile("isb" ::: "memory")
    #else
    #define KCORE_PAUSE() ((void)0)
    #endif
    """
    void set_errno "kcore_set_errno" (int number) noexcept nogil
    Py_ssize_t load_size "kcore_load_size" (const Py_ssize_t* p) noexcept nogil
    void store_size "kcore_store_size" (Py_ssize_t* p, Py_ssize_t size) noexcept nogil
    void pause "KCORE_PAUSE" () noexcept nogil

cdef enum:
    STEP_BYTES = 524288             # so much is entered at a time
    SPIN_TURNS = 2000               # some tens of microseconds
    AHEAD_BYTES = 67108864          # the thread is so far ahead of the walk at most


cdef class ReadAhead:
    """Made by read_ahead_of only."""

    def __cinit__(self):
        pthread_mutex_init(&self.lock, NULL)
        pthread_cond_init(&self.changed, NULL)

    def __dealloc__(self):
        self.stop()
        pthread_cond_destroy(&self.changed)
        pthread_mutex_destroy(&self.lock)

    cdef void stop(self) noexcept nogil:
        if not self.running:
            return
        pthread_mutex_lock(&self.lock)
        self.stopping = True
        pthread_cond_broadcast(&self.changed)
        pthread_mutex_unlock(&self.lock)
        pthread_join(self.thread, NULL)
        self.running = False

    cdef Py_ssize_t wait(self, Py_ssize_t position, Py_ssize_t end) noexcept nogil:
        cdef Py_ssize_t ready
        cdef int error, turns = SPIN_TURNS
        pthread_mutex_lock(&self.lock)
        self.taken = max(self.taken, position)
        self.asked = max(self.asked, end)
        if self.sleeps:
            pthread_cond_broadcast(&self.changed)
        pthread_mutex_unlock(&self.lock)
        # The next step is there in microseconds, sooner than a thread that sleeps is awake again.
        while load_size(&self.ready) < end and turns:
            pause()
            turns -= 1
        pthread_mutex_lock(&self.lock)
        while self.ready < end and not self.error:
            self.waits = True
            pthread_cond_wait(&self.changed, &self.lock)
            self.waits = False
        ready = self.ready
        error = self.error
        pthread_mutex_unlock(&self.lock)
        if ready < end:
            set_errno(error)
            return -1
        return ready

    cdef void run(self) noexcept nogil:
        """The thread."""
        cdef Py_ssize_t size, start
        cdef int error
        pthread_mutex_lock(&self.lock)
        while not self.stopping and not self.error and self.ready < self.mapping.allocated:
            if self.ready >= max(self.taken + AHEAD_BYTES, self.asked):
                self.sleeps = True
                pthread_cond_wait(&self.changed, &self.lock)
                self.sleeps = False
                continue
            start = self.ready
            pthread_mutex_unlock(&self.lock)
            size = min(self.mapping.allocated - start, <Py_ssize_t>STEP_BYTES)
            error = errno if self.mapping.warm(start, size) < 0 else 0
            pthread_mutex_lock(&self.lock)
            if error:
                self.error = error
            else:
                store_size(&self.ready, start + size)
            if self.waits:
                pthread_cond_broadcast(&self.changed)
        pthread_mutex_unlock(&self.lock)


cdef void* _run(void* argument) noexcept nogil:
    # Whoever made it holds a reference until stop() has waited for this thread.
    (<ReadAhead>argument).run()
    return NULL


cdef ReadAhead read_ahead_of(Mapping mapping):
    cdef ReadAhead self = ReadAhead.__new__(ReadAhead)
    self.mapping = mapping
    if pthread_create(&self.thread, NULL, _run, <void*>self) != 0:
        return None
    self.running = True
    return self
