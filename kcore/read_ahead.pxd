# kcore.read_ahead: a thread that makes a file's pages readable ahead of who walks its map.

from kcore.mapped_file cimport Mapping

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_create(pthread_t* thread, const void* attributes, void* (*run)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)
    int pthread_mutex_init(pthread_mutex_t* mutex, const void* attributes)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_cond_init(pthread_cond_t* condition, const void* attributes)
    int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex)
    int pthread_cond_broadcast(pthread_cond_t* condition)
    int pthread_cond_destroy(pthread_cond_t* condition)

cdef enum:
    THREAD_BYTES = 8388608          # a smaller file is walked before a thread would have begun

cdef class ReadAhead:
    cdef Mapping mapping
    cdef pthread_t thread
    cdef pthread_mutex_t lock
    cdef pthread_cond_t changed
    cdef bint running
    # Under the lock:
    cdef Py_ssize_t ready               # pages up to here are in memory, and in the map
    cdef Py_ssize_t taken               # where the walk stands
    cdef Py_ssize_t asked               # up to where it waits
    cdef int error                      # errno of the step after `ready`, 0: none
    cdef bint sleeps                    # the thread, until the walk comes on
    cdef bint waits                     # the walk, for the thread
    cdef bint stopping

    # Waits until [position, end) may be touched; up to where now. -1 with errno when a disk cannot read.
    cdef Py_ssize_t wait(self, Py_ssize_t position, Py_ssize_t end) noexcept nogil
    cdef void run(self) noexcept nogil  # what the thread does
    # Ends the thread. Once is enough; more often is fine.
    cdef void stop(self) noexcept nogil

# None when there can be no thread: then whoever walks makes the pages readable itself.
cdef ReadAhead read_ahead_of(Mapping mapping)
