"""Plain passes over bytes, in compiled loops: what a log's check is measured against.

Built by `bench.compiled.load()`; see bench/test_kcore_verify.py.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kcore.crc32c cimport crc32c_update


def read(const uint8_t[::1] data):
    """Read every byte once and no more: the sum of the 64-bit words, in eight sums at once."""
    cdef Py_ssize_t i, n = data.shape[0] // 64
    cdef const uint64_t* p = <const uint64_t*>&data[0]
    cdef uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0
    with nogil:
        for i in range(n):
            a += p[0]
            b += p[1]
            c += p[2]
            d += p[3]
            e += p[4]
            f += p[5]
            g += p[6]
            h += p[7]
            p += 8
    return a + b + c + d + e + f + g + h


def checksum(const uint8_t[::1] data):
    """kcore's CRC-32C of all bytes in one sum."""
    cdef uint32_t crc
    with nogil:
        crc = crc32c_update(0, &data[0], data.shape[0])
    return crc


def checksums(const uint8_t[::1] data, Py_ssize_t size):
    """kcore's CRC-32C of every `size` bytes apart, added up."""
    cdef uint64_t total = 0
    cdef Py_ssize_t at = 0
    with nogil:
        while at + size <= data.shape[0]:
            total += crc32c_update(0, &data[at], size)
            at += size
    return total
