# kcore.log_dir: what the logs of one directory share when its disk fails.

cdef class LogDirFailure:
    cdef bint offline                   # for good: one failed sync is enough (T7)
    cdef readonly str path
    cdef readonly object cause
    cdef list listeners
