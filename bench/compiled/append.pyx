"""Appends and plain copies in compiled loops: what kcore costs without Python in between.

Built by `bench.compiled.load()`; see bench/test_kcore_append.py.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from kcore.endian cimport store_be32
from kcore.log cimport AppendedStruct, Log
from kcore.mapped_file cimport Mapping
from kcore.record_batch cimport AT_BASE_SEQUENCE, AT_CRC, batch_crc
from kcore.segment cimport Segment


cdef double seconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


def populate(Log log, Py_ssize_t size):
    """Take `size` bytes of disk and memory for the active segment: what the plain copy has too."""
    cdef Segment segment = log.active
    cdef Mapping mapping
    if segment.mapping is None or not segment.mapping.writable or segment.mapping.limit < size:
        segment.open_write(size - segment.end)
    mapping = segment.mapping
    if mapping.grow(size) < 0:
        raise OSError(f"no room for {size} bytes in {mapping.path}")


cdef int64_t number(uint8_t[::1] batches, Py_ssize_t size, int64_t sequence) noexcept nogil:
    """Gives each batch of the source, of one record each, its sequence and the CRC that goes with it."""
    cdef Py_ssize_t at = 0
    while at + size <= batches.shape[0]:
        store_be32(&batches[at + AT_BASE_SEQUENCE], <uint32_t>sequence)
        store_be32(&batches[at + AT_CRC], batch_crc(&batches[at], size))
        sequence += 1
        at += size
    return sequence


def append(Log log, uint8_t[::1] batches, Py_ssize_t size, Py_ssize_t count, int64_t now_ms):
    """Seconds that `count` appends of the batches of `size` bytes, taken in turn, take.

    They are those of an idempotent producer; between two turns over the source, and outside of the
    time, each gets its next sequence.
    """
    cdef Py_ssize_t at, left = count
    cdef int64_t sequence = 0
    cdef AppendedStruct out
    cdef double begun, taken = 0
    while left:
        sequence = number(batches, size, sequence)
        at = 0
        begun = seconds()
        while left and at + size <= batches.shape[0]:
            log.append_client(None, &batches[at], size, 0, now_ms, &out)
            at += size
            left -= 1
        taken += seconds() - begun
    return taken


def copy(uint8_t[::1] target, const uint8_t[::1] batches, Py_ssize_t size, Py_ssize_t count):
    """Seconds that copying the same bytes to the same places takes."""
    cdef Py_ssize_t i, at = 0, to = 0
    cdef double begun = seconds()
    with nogil:
        for i in range(count):
            memcpy(&target[to], &batches[at], size)
            to += size
            at += size
            if at + size > batches.shape[0]:
                at = 0
    return seconds() - begun
