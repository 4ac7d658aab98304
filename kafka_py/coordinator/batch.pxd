# The batch that a runtime fills until the end of the loop's iteration.

from libc.stdint cimport int32_t, int64_t, uint8_t

from kcore.batch_builder cimport BatchBuilder


cdef class QuickReply:
    cpdef int committed(self) except -1
    cpdef int refuse(self, int error) except -1


cdef class PendingBatch:
    cdef BatchBuilder builder               # None while it is empty
    cdef object begun
    cdef readonly Py_ssize_t size_bytes     # at most
    cdef readonly Py_ssize_t count
    cdef readonly list quick                # QuickReplies: answered with the batch
    cdef public Py_ssize_t bytes_max
    cdef public int compression
    cdef int base_sequence
    cdef public bint closed                 # its runtime takes nothing more
    cdef public bint settled                # what was applied before is committed

    cdef int begin(self) except -1
    # The caller has begun it and seen that there is room.
    cdef int put(
        self, int64_t timestamp_ms, const uint8_t* key, int32_t key_size, const uint8_t* value, int32_t value_size
    ) except -1


cdef Py_ssize_t bound(Py_ssize_t key_size, Py_ssize_t value_size) noexcept
