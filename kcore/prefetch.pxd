# Asks memory for the lines of an address. It may lie anywhere: what is not there costs a look at the page table.
from libc.stdint cimport uint8_t

cdef extern from *:
    """
    #ifndef KCORE_PREFETCH
    #define KCORE_PREFETCH(p) __builtin_prefetch(p)
    static inline void kcore_prefetch_to_write(const unsigned char *at, Py_ssize_t n) {
        for (Py_ssize_t line = 0; line < n; line += 256) {      /* by four: half of the instructions */
            __builtin_prefetch(at + line, 1);
            __builtin_prefetch(at + line + 64, 1);
            __builtin_prefetch(at + line + 128, 1);
            __builtin_prefetch(at + line + 192, 1);
        }
    }
    /* Objects begin anywhere in a line, so the last byte that matters is asked for, too. */
    static inline void kcore_prefetch_object(const void *object, Py_ssize_t size) {
        const char *p = (const char *)object;
        for (Py_ssize_t at = 0; at < size; at += 64) __builtin_prefetch(p + at, 1);
        __builtin_prefetch(p + size - 1, 1);
    }
    #endif
    """
    void prefetch "KCORE_PREFETCH" (const uint8_t* p) noexcept nogil
    # n bytes that will be written, and up to three lines behind them.
    void prefetch_to_write "kcore_prefetch_to_write" (const uint8_t* at, Py_ssize_t n) noexcept nogil
    # So many bytes of an object, and no line behind them.
    void prefetch_object "kcore_prefetch_object" (const void* object, Py_ssize_t size) noexcept nogil
