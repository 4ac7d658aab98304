# LZ4 frames through liblz4's C functions, without the GIL.

from libc.stdint cimport int64_t, uint8_t

cdef enum:
    # Behind the room of an output: what lets the end of a frame be read when the output is as long as it may be.
    LZ4_SLACK_BYTES = 1

# Walk one frame without decompressing it: the most that its blocks can hold goes to `bound`. Returns what is wrong
# with it, or NULL.
cdef const char* lz4_bound(const uint8_t* p, Py_ssize_t n, int64_t* bound) noexcept nogil

# Finds liblz4's functions; cheap after the first time. Raises ImportError.
cdef int lz4_load() except -1

# A decompression context of liblz4: for one thread at a time, made by lz4_reader(), as new after a whole frame. After
# anything else it is to be thrown away: liblz4's reset forgot the size that a frame had announced until 1.10.
cdef class Lz4Reader:
    cdef void* context
    # Decompress a frame that lz4_bound found nothing wrong with. `to` has `room` bytes and LZ4_SLACK_BYTES behind
    # them; how many were written goes to `filled`, -1 when there are more than `room`. Returns what is wrong, or NULL.
    cdef const char* decode(self, const uint8_t* p, Py_ssize_t n, uint8_t* to, int64_t room, int64_t* filled) noexcept nogil

cdef Lz4Reader lz4_reader()

# Whether liblz4's functions that write were found, too. Raises ImportError when those that read were not.
cdef bint lz4_writer_load() except -1

# The most that n bytes can take as a frame.
cdef int64_t lz4_room(Py_ssize_t n) noexcept nogil

# One frame of independent blocks of 64 KiB, without checksums and content size, at liblz4's level; `to` has lz4_room()
# bytes. How many were written, or -1, and what is wrong goes to `wrong`.
cdef int64_t lz4_encode(const uint8_t* p, Py_ssize_t n, int level, uint8_t* to, int64_t room,
                        const char** wrong) noexcept nogil
