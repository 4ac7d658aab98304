# cython: freethreading_compatible=True
"""CRC-32C, the checksum of record batches: by the CPU's instructions where it has them, else by tables.

The implementation is picked once, when the module is imported; see crc32c_impl.h for how each works.
"""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from "crc32c_impl.h" nogil:
    const char* KCORE_CRC_HARDWARE
    ctypedef uint32_t (*kcore_crc32c_function)(uint32_t crc, const uint8_t* p, size_t n) noexcept nogil
    ctypedef uint32_t (*kcore_crc32c_copy_function)(
        uint32_t crc, uint8_t* to, const uint8_t* p, size_t n
    ) noexcept nogil
    kcore_crc32c_function kcore_crc32c_chosen
    kcore_crc32c_copy_function kcore_crc32c_copy_chosen
    uint32_t kcore_crc32c_copy_table(uint32_t crc, uint8_t* to, const uint8_t* p, size_t n) noexcept
    uint32_t kcore_crc32c_copy_hardware(uint32_t crc, uint8_t* to, const uint8_t* p, size_t n) noexcept
    uint32_t kcore_crc32c_table(uint32_t crc, const uint8_t* p, size_t n) noexcept
    uint32_t kcore_crc32c_hardware(uint32_t crc, const uint8_t* p, size_t n) noexcept
    uint32_t kcore_crc32c_512(uint32_t crc, const uint8_t* p, size_t n) noexcept
    int kcore_crc32c_has_hardware() noexcept
    uint32_t kcore_crc32c_256(uint32_t crc, const uint8_t* p, size_t n) noexcept
    uint32_t kcore_crc32c_copy_512(uint32_t crc, uint8_t* to, const uint8_t* p, size_t n) noexcept
    uint32_t kcore_crc32c_copy_256(uint32_t crc, uint8_t* to, const uint8_t* p, size_t n) noexcept
    int kcore_crc32c_has_512() noexcept
    int kcore_crc32c_has_256() noexcept
    void kcore_crc32c_init() noexcept

cdef str WIDE = "avx512", HALF = "avx2"

kcore_crc32c_init()

# Above this many bytes the GIL is let go: a sum takes microseconds there.
cdef enum:
    NOGIL_BYTES = 65536


cdef uint32_t crc32c_update(uint32_t crc, const uint8_t* p, Py_ssize_t n) noexcept nogil:
    return kcore_crc32c_chosen(crc, p, <size_t>n)


cdef uint32_t crc32c_copy(uint32_t crc, uint8_t* to, const uint8_t* p, Py_ssize_t n) noexcept nogil:
    return kcore_crc32c_copy_chosen(crc, to, p, <size_t>n)


cdef object _sum(kcore_crc32c_function function, const uint8_t[::1] data, uint32_t crc):
    cdef Py_ssize_t n = data.shape[0]
    if n == 0:
        return crc
    if n < NOGIL_BYTES:
        return function(crc, &data[0], <size_t>n)
    with nogil:
        crc = function(crc, &data[0], <size_t>n)
    return crc


def crc32c(const uint8_t[::1] data not None, uint32_t crc=0):
    """The CRC-32C of a buffer, going on from crc. Lets the GIL go from 64 KiB on."""
    return _sum(kcore_crc32c_chosen, data, crc)


def crc32c_with(str implementation not None, const uint8_t[::1] data not None, uint32_t crc=0):
    """As `crc32c`, by an implementation named in `implementations()`; ValueError for another."""
    if implementation not in implementations():
        raise ValueError(f"no CRC-32C implementation {implementation!r} here")
    if implementation == WIDE:
        return _sum(kcore_crc32c_512, data, crc)
    if implementation == HALF:
        return _sum(kcore_crc32c_256, data, crc)
    return _sum(kcore_crc32c_table if implementation == "table" else kcore_crc32c_hardware, data, crc)


def copy_with(str implementation not None, uint8_t[::1] target not None, const uint8_t[::1] data not None, uint32_t crc=0):
    """The sum of `data` and, on the way, its copy at the beginning of `target`, as an append does.

    ValueError for a name that is not in `implementations()` or a target that is too short.
    """
    cdef Py_ssize_t n = data.shape[0]
    if implementation not in implementations():
        raise ValueError(f"no CRC-32C implementation {implementation!r} here")
    if target.shape[0] < n:
        raise ValueError(f"{n} bytes do not fit into {target.shape[0]}")
    if n == 0:
        return crc
    if implementation == WIDE:
        return kcore_crc32c_copy_512(crc, &target[0], &data[0], <size_t>n)
    if implementation == HALF:
        return kcore_crc32c_copy_256(crc, &target[0], &data[0], <size_t>n)
    if implementation == "table":
        return kcore_crc32c_copy_table(crc, &target[0], &data[0], <size_t>n)
    return kcore_crc32c_copy_hardware(crc, &target[0], &data[0], <size_t>n)


def implementations():
    """The implementations that this CPU can run, the one in use first."""
    found = ("table",)
    if kcore_crc32c_has_hardware():
        found = (KCORE_CRC_HARDWARE.decode("ascii"), *found)
    if kcore_crc32c_has_256():
        found = (HALF, *found)
    if kcore_crc32c_has_512():
        found = (WIDE, *found)
    return found
