from libc.stdint cimport uint8_t, uint32_t

# CRC-32C of n bytes, going on from `crc` (0 for a new sum).
cdef uint32_t crc32c_update(uint32_t crc, const uint8_t* p, Py_ssize_t n) noexcept nogil
# The same, and the bytes copied to `to` on the way: not much more than the copy alone, where the CPU is wide.
cdef uint32_t crc32c_copy(uint32_t crc, uint8_t* to, const uint8_t* p, Py_ssize_t n) noexcept nogil
