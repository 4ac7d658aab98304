from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from kcore.record_batch cimport BatchHeader

cdef class BatchBuilder:
    cdef uint8_t* data            # room for the header, then the records; owned
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef Py_ssize_t bytes_max
    cdef BatchHeader h
    cdef int codec
    cdef int level
    cdef int32_t next_delta
    cdef bint closed

    cdef int reserve(self, Py_ssize_t n) except -1
    cdef int append_encoded(self, int32_t offset_delta, int64_t timestamp, const uint8_t* key, int32_t key_length,
                            const uint8_t* value, int32_t value_length, int32_t headers_count,
                            const uint8_t* headers, Py_ssize_t headers_bytes) except -1
    cdef object finish(self)

# The batch at p, which batch_validate has accepted, with its records compressed by another codec, as Kafka's broker
# rebuilds it when compression.type is not the producer's: the base timestamp is the first record's, timestamps are
# kept (timestamp_type 0) or all become log_append_time_ms (1). Base offset and leader epoch are still to be assigned.
# Returns bytes.
cdef object batch_recompress(const uint8_t* p, const BatchHeader* h, int codec, int level, int timestamp_type,
                             int64_t log_append_time_ms, int64_t decompressed_bytes_max)
