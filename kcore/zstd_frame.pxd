# Zstandard frames through libzstd's C functions, without the GIL.

from libc.stdint cimport int64_t, uint8_t

cdef enum:
    # Behind the room of an output: what tells an output that is as long as it may be from a longer one.
    ZSTD_SLACK_BYTES = 1
    ZSTD_WINDOW_BYTES_MAX = 134217728

# What a walk over a frame's blocks finds.
cdef struct ZstdFrame:
    Py_ssize_t length           # bytes of the frame itself
    int64_t bound               # the most that it can hold
    bint exact                  # its header says so; a lie is found out when it is decompressed
    bint streamed               # a stream and one call may differ about it

# Walk the frame at p without decompressing it. Returns what is wrong with it, or NULL. A skippable frame holds nothing.
cdef const char* zstd_frame(const uint8_t* p, Py_ssize_t n, ZstdFrame* frame) noexcept nogil

# Whether libzstd's functions were found; looks for them once.
cdef bint zstd_load() except -1

# A decompression context of libzstd: for one thread at a time, made by zstd_reader(), as new after a whole frame that was
# not streamed, to be thrown away after anything else.
cdef class ZstdReader:
    cdef void* context
    cdef const char* wrong
    # Decompress one frame that zstd_frame found nothing wrong with, into `room` bytes: how many there were, or -1, see
    # `wrong`, when it is broken or does not fit.
    cdef int64_t decode(self, const uint8_t* p, const ZstdFrame* frame, uint8_t* to, int64_t room) noexcept nogil

# A compression context of libzstd: for one thread at a time, made by zstd_writer(), as new after a whole frame.
cdef class ZstdWriter:
    cdef void* context
    cdef int level
    cdef const char* wrong
    # One frame with its content size and without a checksum; `to` has zstd_room() bytes. How many were written, or -1,
    # see `wrong`.
    cdef int64_t encode(self, const uint8_t* p, Py_ssize_t n, int level, uint8_t* to, int64_t room) noexcept nogil
    cdef size_t memory_bytes(self) noexcept nogil

cdef ZstdReader zstd_reader()
cdef ZstdWriter zstd_writer()

# The most that n bytes can take as a frame.
cdef int64_t zstd_room(Py_ssize_t n) noexcept nogil
