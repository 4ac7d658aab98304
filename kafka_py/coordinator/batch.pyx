# cython: auto_pickle=False, freethreading_compatible=True
"""The batch that a runtime fills until the end of the loop's iteration. See the stub for the contract."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t

from kcore.batch_builder cimport BatchBuilder

cdef enum:
    BATCH_BYTES = 61
    RECORD_BYTES_MAX = 30       # a record besides key and value


cdef Py_ssize_t bound(Py_ssize_t key_size, Py_ssize_t value_size) noexcept:
    return key_size + value_size + RECORD_BYTES_MAX


cdef class QuickReply:
    """What waits for a batch without a Python object for its outcome: thousands of them a second."""

    cpdef int committed(self) except -1:
        return 0

    cpdef int refuse(self, int error) except -1:
        return 0


def all_committed(list quick not None):
    cdef QuickReply reply
    for reply in quick:
        reply.committed()


cdef class PendingBatch:
    """Encoded records of one coordinator, not yet appended."""

    def __init__(self, begun, int base_sequence=0):
        self.begun = begun
        self.base_sequence = base_sequence
        self.size_bytes = BATCH_BYTES
        self.quick = []
        self.bytes_max = 0

    def __len__(self):
        return self.count

    @staticmethod
    def size_of(bytes key not None, bytes value):
        return bound(PyBytes_GET_SIZE(key), 0 if value is None else PyBytes_GET_SIZE(value))

    @property
    def room(self):
        return self.bytes_max - self.size_bytes

    cdef int begin(self) except -1:
        if self.builder is None:
            self.begun()
            self.builder = BatchBuilder(compression=self.compression, base_sequence=self.base_sequence)
        return 0

    cdef int put(
        self, int64_t timestamp_ms, const uint8_t* key, int32_t key_size, const uint8_t* value, int32_t value_size
    ) except -1:
        self.builder.append_encoded(
            self.builder.next_delta, timestamp_ms, key, key_size, value, value_size, 0, key, 0
        )
        self.count += 1
        self.size_bytes += bound(key_size, max(value_size, 0))
        return 0

    def add(self, bytes key not None, bytes value, int64_t timestamp_ms):
        self.begin()
        self.put(
            timestamp_ms,
            <const uint8_t*>PyBytes_AS_STRING(key),
            <int32_t>PyBytes_GET_SIZE(key),
            NULL if value is None else <const uint8_t*>PyBytes_AS_STRING(value),
            -1 if value is None else <int32_t>PyBytes_GET_SIZE(value),
        )

    def take(self):
        cdef BatchBuilder builder = self.builder
        quick = self.quick
        self.clear()
        return (b"" if builder is None else builder.close()), quick

    def clear(self):
        self.builder = None
        self.count = 0
        self.size_bytes = BATCH_BYTES
        self.quick = []
