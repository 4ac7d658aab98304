# What a connection has to send, in order: bytes in one growing C buffer, and slices of logs between them.
#
# The numbers of a reply are put inline: a small reply has a dozen of them, and a call for each was a tenth of its cost.

cimport cython
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from kcore.endian cimport store_be16, store_be32, store_be64
from kcore.segment cimport LogSlice

@cython.final
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
    cdef int put_external(self, object piece, Py_ssize_t n) except -1
    cdef object cut(self, Py_ssize_t position)
    cdef int put_parts(self, object parts) except -1
    cdef int rewind(self, Py_ssize_t position, Py_ssize_t externals_count, Py_ssize_t unsent) except -1
    cdef int send_raw(self, int fd) except -1
    cdef int gone(self, Py_ssize_t n) except -1
    cdef int settle(self) except -1
    cdef Py_ssize_t send_some(self, int fd) except? -2
    cdef Py_ssize_t send_slice(self, int fd, LogSlice piece, Py_ssize_t done) except? -2
    cdef int send_transport(self, object transport) except -1


cdef inline uint8_t* room(Output out, Py_ssize_t n) except NULL:
    """Where the next n bytes go; they count as put."""
    cdef uint8_t* place
    if out.capacity - out.size < n:
        out.reserve(n)
    place = out.data + out.size
    out.size += n
    out.unsent += n
    return place

cdef inline int put(Output out, const void* p, Py_ssize_t n) except -1:
    if n > 0:
        memcpy(room(out, n), p, n)
    return 0

cdef inline int put8(Output out, int value) except -1:
    room(out, 1)[0] = <uint8_t>value
    return 0

cdef inline int put16(Output out, int16_t value) except -1:
    store_be16(room(out, 2), <unsigned short>value)
    return 0

cdef inline int put32(Output out, int32_t value) except -1:
    store_be32(room(out, 4), <unsigned int>value)
    return 0

cdef inline int put64(Output out, int64_t value) except -1:
    store_be64(room(out, 8), <unsigned long long>value)
    return 0

cdef inline int put_uvarint(Output out, unsigned long value) except -1:
    while value >= 0x80:
        put8(out, <int>((value & 0x7F) | 0x80))
        value >>= 7
    return put8(out, <int>value)

cdef inline void patch32(Output out, Py_ssize_t position, int32_t value) noexcept:
    store_be32(out.data + position, <unsigned int>value)
