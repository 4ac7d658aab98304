# Zstandard frames: walked, and written through libzstd's C functions without the GIL.

from libc.stdint cimport int64_t, uint8_t

cdef enum:
    ZSTD_WINDOW_BYTES_MAX = 134217728

# What a walk over a frame's blocks finds.
cdef struct ZstdFrame:
    Py_ssize_t length           # bytes of the frame itself
    int64_t bound               # the most that it can hold
    bint exact                  # its header says so; a lie is found out when it is decompressed

# Walk the frame at p without decompressing it. Returns what is wrong with it, or NULL. A skippable frame holds nothing.
cdef const char* zstd_frame(const uint8_t* p, Py_ssize_t n, ZstdFrame* frame) noexcept nogil

# Whether libzstd's functions that write were found; looks for them once. Everything below needs them.
cdef bint zstd_writer_load() except -1

# A compression context of libzstd: for one thread at a time, made by zstd_writer(), as new after a whole frame.
cdef class ZstdWriter:
    cdef void* context
    cdef int level
    cdef const char* wrong
    # One frame with its content size and without a checksum; `to` has zstd_room() bytes. How many were written, or -1,
    # see `wrong`.
    cdef int64_t encode(self, const uint8_t* p, Py_ssize_t n, int level, uint8_t* to, int64_t room) noexcept nogil
    cdef size_t memory_bytes(self) noexcept nogil

cdef ZstdWriter zstd_writer()

# The most that n bytes can take as a frame.
cdef int64_t zstd_room(Py_ssize_t n) noexcept nogil
