# kcore.append: the long way of an append, at a glance. Only Log calls it.

from libc.stdint cimport int32_t, int64_t, uint8_t

from kcore.log cimport AppendedStruct, Log

# One batch of a produce request, whatever it is.
cdef int append_any(
    Log log, object owner, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms,
    AppendedStruct* out,
) except -1
# Whole batches from a leader or a coordinator.
cdef int append_whole(
    Log log, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms, int origin, AppendedStruct* out
) except -1
