"""Appends and plain copies in compiled loops: what kcore costs without Python in between.

Built by `bench.compiled.load()`; see bench/test_kcore_append.py.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from kcore.log cimport AppendedStruct, Log
from kcore.mapped_file cimport Mapping
from kcore.segment cimport Segment


cdef double seconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


def populate(Log log, Py_ssize_t size):
    """Take `size` bytes of disk and memory for the active segment: what the plain copy has too."""
    cdef Segment segment = log.active
    cdef Mapping mapping
    if segment.mapping is None or not segment.mapping.writable:
        segment.open_write(1)
    mapping = segment.mapping
    if mapping.grow(min(size, mapping.limit)) < 0:
        raise OSError(f"no room for {size} bytes in {mapping.path}")


def append(Log log, const uint8_t[::1] batches, Py_ssize_t size, Py_ssize_t count, int64_t now_ms):
    """Seconds that `count` appends of the batches of `size` bytes, taken in turn, take."""
    cdef Py_ssize_t i, at = 0
    cdef AppendedStruct out
    cdef double begun = seconds()
    for i in range(count):
        log.append_client(None, &batches[at], size, 0, now_ms, &out)
        at += size
        if at + size > batches.shape[0]:
            at = 0
    return seconds() - begun


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
