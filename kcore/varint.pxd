# Base-128 varints, least significant group first, zigzag for signed ones: Kafka's VARINT and VARLONG.
#
# A reader returns the byte after the varint, or NULL when it is cut short or over-long: more than 5 (10) bytes, or
# bits beyond 32 (64) in the last of them. Java's reader drops those bits in silence, so that two byte strings mean
# the same number; no writer makes them.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef inline const uint8_t* read_varint(const uint8_t* p, const uint8_t* end, int32_t* out) noexcept nogil:
    cdef uint32_t b, x
    if p >= end:
        return NULL
    b = p[0]
    if b < 0x80:                            # nearly every length in practice
        out[0] = <int32_t>((b >> 1) ^ (0 - (b & 1)))
        return p + 1
    if end - p >= 2 and p[1] < 0x80:
        x = (b & 0x7F) | (<uint32_t>p[1] << 7)
        out[0] = <int32_t>((x >> 1) ^ (0 - (x & 1)))
        return p + 2
    return read_varint_slow(p, end, out)

cdef extern from *:
    """
    /* See read_uvarint_short. One and two bytes go straight on; the first byte's top bit is taken back with the second's
     * share. */
    static inline const unsigned char *kcore_uvarint_short(const unsigned char *p, unsigned int *out) {
        unsigned int x = p[0], next;
        if (x >= 0x80) {
            next = *++p;
            x += (next << 7) - 0x80;
            if (__builtin_expect(next >= 0x80, 0)) {
                next = *++p;
                if (next >= 0x80) return NULL;
                x += (next << 14) - 0x4000;
            }
        }
        *out = x;
        return p + 1;
    }
    """
    # The bits of a varint of up to three bytes, zigzag left in; NULL for a longer one. Three bytes are known to be
    # there. All of it is inline, so that `out` can be a register.
    const uint8_t* read_uvarint_short "kcore_uvarint_short"(const uint8_t* p, uint32_t* out) noexcept nogil

cdef inline int32_t unzigzag(uint32_t x) noexcept nogil:
    return <int32_t>((x >> 1) ^ (0 - (x & 1)))

cdef inline const uint8_t* read_varint_slow(const uint8_t* p, const uint8_t* end, int32_t* out) noexcept nogil:
    cdef uint32_t b, x = 0
    cdef int shift = 0
    while p < end:
        b = p[0]
        p += 1
        if shift == 28 and b > 0x0F:
            return NULL
        x |= (b & 0x7F) << shift
        if b < 0x80:
            out[0] = <int32_t>((x >> 1) ^ (0 - (x & 1)))
            return p
        shift += 7
    return NULL

cdef inline const uint8_t* read_varlong(const uint8_t* p, const uint8_t* end, int64_t* out) noexcept nogil:
    cdef uint64_t b, x
    cdef int shift
    if p >= end:
        return NULL
    b = p[0]
    if b < 0x80:
        out[0] = <int64_t>((b >> 1) ^ (0 - (b & 1)))
        return p + 1
    x = 0
    shift = 0
    while p < end:
        b = p[0]
        p += 1
        if shift == 63 and b > 1:
            return NULL
        x |= (b & 0x7F) << shift
        if b < 0x80:
            out[0] = <int64_t>((x >> 1) ^ (0 - (x & 1)))
            return p
        shift += 7
    return NULL

cdef inline int uvarint_bytes(uint64_t x) noexcept nogil:
    cdef int n = 1
    while x >= 0x80:
        x >>= 7
        n += 1
    return n

cdef inline uint64_t zigzag(int64_t x) noexcept nogil:
    return (<uint64_t>x << 1) ^ <uint64_t>(x >> 63)

cdef inline int varint_bytes(int64_t x) noexcept nogil:
    """The bytes of x as VARINT or VARLONG, which are alike for what both can hold."""
    return uvarint_bytes(zigzag(x))

cdef inline uint8_t* write_uvarint(uint8_t* p, uint64_t x) noexcept nogil:
    """Write at p, which has room for uvarint_bytes(x); returns the byte after."""
    while x >= 0x80:
        p[0] = <uint8_t>(x | 0x80)
        x >>= 7
        p += 1
    p[0] = <uint8_t>x
    return p + 1

cdef inline uint8_t* write_varint(uint8_t* p, int64_t x) noexcept nogil:
    return write_uvarint(p, zigzag(x))
