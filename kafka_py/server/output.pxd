# What a connection has to send, in order: bytes in one growing C buffer, and slices of logs between them.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from kcore.segment cimport LogSlice

cdef class Output:
    cdef uint8_t* data                  # replies that are made here; external pieces are spliced in when sending
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef Py_ssize_t sent                # bytes of data that are gone already
    cdef list externals                 # [position in data, object with the buffer protocol or LogSlice, bytes gone]
    cdef Py_ssize_t external_next       # first of them not wholly sent
    cdef Py_ssize_t unsent              # everything that still waits, external pieces included
    cdef Py_ssize_t sendfile_min
    cdef readonly long long total_sent

    cdef int reserve(self, Py_ssize_t more) except -1
    cdef int put(self, const void* p, Py_ssize_t n) except -1
    cdef int put8(self, int value) except -1
    cdef int put16(self, int16_t value) except -1
    cdef int put32(self, int32_t value) except -1
    cdef int put64(self, int64_t value) except -1
    cdef int put_uvarint(self, unsigned long value) except -1
    cdef int put_external(self, object piece, Py_ssize_t n) except -1
    cdef int patch32(self, Py_ssize_t position, int32_t value) except -1
    cdef object cut(self, Py_ssize_t position)
    cdef int put_parts(self, object parts) except -1
    cdef int rewind(self, Py_ssize_t position, Py_ssize_t externals_count, Py_ssize_t unsent) except -1
    cdef int send_raw(self, int fd) except -1
    cdef int gone(self, Py_ssize_t n) except -1
    cdef int settle(self) except -1
    cdef Py_ssize_t send_some(self, int fd) except? -2
    cdef Py_ssize_t send_slice(self, int fd, LogSlice piece, Py_ssize_t done) except? -2
    cdef int send_transport(self, object transport) except -1
