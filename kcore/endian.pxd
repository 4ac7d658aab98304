# Loads and stores at unaligned addresses: big-endian, as Kafka writes, and what the codecs need of little-endian. The memcpy of a fixed size becomes one move,
# and the shifts become one bswap (or nothing on a big-endian machine).
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #ifndef KCORE_ENDIAN_INLINE
    #define KCORE_ENDIAN_INLINE
    #include <stdint.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define KCORE_BE16(x) (x)
    #define KCORE_BE32(x) (x)
    #define KCORE_BE64(x) (x)
    #define KCORE_LE32(x) __builtin_bswap32(x)
    #else
    #define KCORE_BE16(x) __builtin_bswap16(x)
    #define KCORE_BE32(x) __builtin_bswap32(x)
    #define KCORE_BE64(x) __builtin_bswap64(x)
    #define KCORE_LE32(x) (x)
    #endif
    static inline uint16_t kcore_load_be16(const uint8_t *p) { uint16_t x; memcpy(&x, p, 2); return KCORE_BE16(x); }
    static inline uint32_t kcore_load_be32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return KCORE_BE32(x); }
    static inline uint64_t kcore_load_be64(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return KCORE_BE64(x); }
    static inline uint32_t kcore_load_le32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return KCORE_LE32(x); }
    static inline void kcore_store_be16(uint8_t *p, uint16_t x) { x = KCORE_BE16(x); memcpy(p, &x, 2); }
    static inline void kcore_store_be32(uint8_t *p, uint32_t x) { x = KCORE_BE32(x); memcpy(p, &x, 4); }
    static inline void kcore_store_be64(uint8_t *p, uint64_t x) { x = KCORE_BE64(x); memcpy(p, &x, 8); }
    #endif
    """
    uint16_t load_be16 "kcore_load_be16" (const uint8_t* p) noexcept nogil
    uint32_t load_be32 "kcore_load_be32" (const uint8_t* p) noexcept nogil
    uint64_t load_be64 "kcore_load_be64" (const uint8_t* p) noexcept nogil
    uint32_t load_le32 "kcore_load_le32" (const uint8_t* p) noexcept nogil
    void store_be16 "kcore_store_be16" (uint8_t* p, uint16_t x) noexcept nogil
    void store_be32 "kcore_store_be32" (uint8_t* p, uint32_t x) noexcept nogil
    void store_be64 "kcore_store_be64" (uint8_t* p, uint64_t x) noexcept nogil
