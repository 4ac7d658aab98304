# cython: freethreading_compatible=True
"""LZ4 frames, read without the GIL from the first byte to the last.

python-lz4 decompresses without the GIL too, but into fresh memory, and copies that into a byte string with the GIL
held: two threads that validated batches of 1 MiB got 1.2 times as far as one. Kafka's frames are the simple ones
(independent blocks), so they are read here, into memory that is used again.

    frame    magic:4  FLG:1  BD:1  [content size:8]  HC:1  block*  0:4  [content checksum:4]
    block    size:4 (highest bit: not compressed)  bytes  [block checksum:4]
    sequence token:1  [literal length:1*]  literals  offset:2  [match length:1*]      the last one ends with literals

Numbers are little-endian, checksums xxHash-32. What liblz4's safe decoder refuses is refused: an offset of 0 or before
the block, a length that leaves the block, a sequence other than the last one that ends within the last 5 bytes of
input or begins a match within the last 12 bytes that a block of this frame can have. So is what Java reads otherwise
than liblz4: linked blocks, and an empty block.

Sources: the LZ4 frame and block formats, the xxHash specification; KIP-57.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #ifndef KCORE_LZ4_FRAME_INLINE
    #define KCORE_LZ4_FRAME_INLINE
    #include <stdint.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define KCORE_LE16(x) __builtin_bswap16(x)
    #define KCORE_LE32(x) __builtin_bswap32(x)
    #define KCORE_LE64(x) __builtin_bswap64(x)
    #else
    #define KCORE_LE16(x) (x)
    #define KCORE_LE32(x) (x)
    #define KCORE_LE64(x) (x)
    #endif
    static inline uint16_t kcore_load_le16(const uint8_t *p) { uint16_t x; memcpy(&x, p, 2); return KCORE_LE16(x); }
    static inline uint32_t kcore_load_le32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return KCORE_LE32(x); }
    static inline uint64_t kcore_load_le64(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return KCORE_LE64(x); }
    /* Through registers, so that source and target may overlap. */
    static inline void kcore_copy8(uint8_t *to, const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); memcpy(to, &x, 8); }
    static inline void kcore_copy16(uint8_t *to, const uint8_t *p) {
        uint64_t x, y; memcpy(&x, p, 8); memcpy(&y, p + 8, 8); memcpy(to, &x, 8); memcpy(to + 8, &y, 8);
    }
    #define KCORE_ROTATE(x, by) (((x) << (by)) | ((x) >> (32 - (by))))
    #define KCORE_LIKELY(x) __builtin_expect(!!(x), 1)
    #define KCORE_LZ4_MAGIC 0x184D2204U
    #define KCORE_LZ4_STORED 0x80000000U
    #define KCORE_XXH_1 2654435761U
    #define KCORE_XXH_2 2246822519U
    #define KCORE_XXH_3 3266489917U
    #define KCORE_XXH_4 668265263U
    #define KCORE_XXH_5 374761393U
    #endif
    """
    uint16_t load_le16 "kcore_load_le16" (const uint8_t* p) noexcept nogil
    uint32_t load_le32 "kcore_load_le32" (const uint8_t* p) noexcept nogil
    uint64_t load_le64 "kcore_load_le64" (const uint8_t* p) noexcept nogil
    void copy8 "kcore_copy8" (uint8_t* to, const uint8_t* p) noexcept nogil
    void copy16 "kcore_copy16" (uint8_t* to, const uint8_t* p) noexcept nogil
    uint32_t rotate "KCORE_ROTATE" (uint32_t x, int by) noexcept nogil
    bint likely "KCORE_LIKELY" (bint x) noexcept nogil
    uint32_t MAGIC "KCORE_LZ4_MAGIC"
    uint32_t STORED "KCORE_LZ4_STORED"      # of a block's size: its bytes are not compressed
    uint32_t PRIME1 "KCORE_XXH_1"
    uint32_t PRIME2 "KCORE_XXH_2"
    uint32_t PRIME3 "KCORE_XXH_3"
    uint32_t PRIME4 "KCORE_XXH_4"
    uint32_t PRIME5 "KCORE_XXH_5"

cdef enum:
    HEADER_BYTES_MIN = 7
    FLAG_CONTENT_CHECKSUM = 0x04
    FLAG_CONTENT_SIZE = 0x08
    FLAG_BLOCK_CHECKSUM = 0x10
    FLAG_INDEPENDENT = 0x20
    RATIO_MAX = 255                 # a length byte adds 255 at most
    LONG = 15                       # of a token's half: more bytes of the length follow
    MATCH_BYTES_MIN = 4
    LAST_LITERALS = 5               # what a block ends with, unless it is shorter
    LAST_MATCH_BYTES = 12           # a match begins so long before the end of a block
    FAST_INPUT_BYTES = 32           # a sequence of short lengths reads less, and stays away from the end
    FAST_OUTPUT_BYTES = 64          # and writes less
    BROKEN = -1
    NO_ROOM = -2


# --------------------------------------------------------------------------------------------- xxHash

cdef inline uint32_t _round(uint32_t lane, const uint8_t* p) noexcept nogil:
    return rotate(lane + load_le32(p) * PRIME2, 13) * PRIME1


cdef uint32_t xxh32(const uint8_t* p, int64_t n) noexcept nogil:
    """xxHash-32 with seed 0."""
    cdef const uint8_t* end = p + n
    cdef uint32_t a = PRIME1 + PRIME2, b = PRIME2, c = 0, d = 0 - PRIME1, h
    if n >= 16:
        while end - p >= 16:
            a = _round(a, p)
            b = _round(b, p + 4)
            c = _round(c, p + 8)
            d = _round(d, p + 12)
            p += 16
        h = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)
    else:
        h = PRIME5
    h += <uint32_t>n
    while end - p >= 4:
        h = rotate(h + load_le32(p) * PRIME3, 17) * PRIME4
        p += 4
    while p < end:
        h = rotate(h + p[0] * PRIME5, 11) * PRIME1
        p += 1
    h = (h ^ (h >> 15)) * PRIME2
    h = (h ^ (h >> 13)) * PRIME3
    return h ^ (h >> 16)


# --------------------------------------------------------------------------------------------- blocks

cdef inline void _repeat(uint8_t* to, Py_ssize_t offset, Py_ssize_t length) noexcept nogil:
    """Write `length` bytes at `to`, each the one `offset` before it, and up to 15 more."""
    cdef uint8_t* end = to + length
    cdef int i
    if offset >= 16:
        while to < end:
            copy16(to, to - offset)
            to += 16
        return
    if offset == 1:
        memset(to, (to - 1)[0], length)
        return
    if offset < 8:
        # A period shorter than a step: eight bytes one by one, then from as many periods back as make a step.
        for i in range(8):
            to[i] = to[i - offset]
        to += 8
        offset *= (7 + offset) // offset
    while to < end:
        copy8(to, to - offset)
        to += 8


cdef Py_ssize_t _block(const uint8_t* p, Py_ssize_t n, uint8_t* start, Py_ssize_t room, Py_ssize_t full) noexcept nogil:
    """Decompress one block of a frame whose blocks hold `full` bytes at most into `room` bytes (and the slack behind
    them). Returns how many it were, BROKEN, or NO_ROOM (which is BROKEN when room is full)."""
    cdef const uint8_t* end = p + n
    cdef uint8_t* to = start
    cdef uint8_t* limit = start + min(room, full)
    # Where a sequence of short lengths breaks neither the room nor the rules of the end.
    cdef uint8_t* fast = limit - min(<Py_ssize_t>FAST_OUTPUT_BYTES, min(room, full))
    cdef Py_ssize_t literals, length, offset, left
    cdef uint8_t token
    cdef bint last
    while p < end:
        token = p[0]
        p += 1
        literals = token >> 4
        length = (token & LONG) + MATCH_BYTES_MIN
        if likely(literals != LONG and to < fast and end - p >= FAST_INPUT_BYTES):
            copy16(to, p)
            to += literals
            p += literals
            if likely(token & LONG != LONG):
                offset = load_le16(p)
                p += 2
                if offset == 0 or offset > to - start:
                    return BROKEN
                if likely(offset >= 8):
                    copy8(to, to - offset)
                    copy8(to + 8, to + 8 - offset)
                    copy8(to + 16, to + 16 - offset)
                else:
                    _repeat(to, offset, length)
                to += length
                continue
        else:
            if literals == LONG:
                while True:
                    if p >= end:
                        return BROKEN
                    literals += p[0]
                    p += 1
                    if (p - 1)[0] != 255:
                        break
            left = end - p
            if literals > left:
                return BROKEN
            if literals > limit - to:
                return NO_ROOM
            last = left - literals < 3 + LAST_LITERALS or to - start + literals > full - LAST_MATCH_BYTES
            if last and literals != left:
                return BROKEN
            if left - literals >= 16:
                _copy(to, p, literals)
            else:
                memcpy(to, p, literals)
            to += literals
            p += literals
            if last:
                return to - start
        offset = load_le16(p)
        p += 2
        if token & LONG == LONG:
            while True:
                length += p[0]
                p += 1
                if end - p < LAST_LITERALS - 1:
                    return BROKEN
                if (p - 1)[0] != 255:
                    break
        if offset == 0 or offset > to - start:
            return BROKEN
        if length > limit - to:
            return NO_ROOM
        if to - start + length > full - LAST_LITERALS:
            return BROKEN
        _repeat(to, offset, length)
        to += length
    return BROKEN


cdef inline void _copy(uint8_t* to, const uint8_t* p, Py_ssize_t n) noexcept nogil:
    """Copy n bytes and up to 15 more, which both sides must have."""
    cdef uint8_t* end = to + n
    while to < end:
        copy16(to, p)
        to += 16
        p += 16


# --------------------------------------------------------------------------------------------- frames

cdef const char* lz4_bound(const uint8_t* p, Py_ssize_t n, int64_t* bound) noexcept nogil:
    cdef Py_ssize_t at = HEADER_BYTES_MIN
    cdef uint32_t size
    cdef int64_t full
    cdef uint8_t flags
    bound[0] = 0
    if n < HEADER_BYTES_MIN or load_le32(p) != MAGIC:
        return "no frame"
    flags = p[4]
    if flags >> 6 != 1 or flags & 0x03:
        return "a frame of an unknown version or with a dictionary"
    if not flags & FLAG_INDEPENDENT:
        return "linked blocks"
    if p[5] & 0x8F or p[5] >> 4 < 4:
        return "an unknown block size"
    full = <int64_t>1 << (8 + 2 * (p[5] >> 4))
    if flags & FLAG_CONTENT_SIZE:
        at += 8
        if n < at:
            return "the frame is cut short"
    if p[at - 1] != <uint8_t>(xxh32(p + 4, at - 5) >> 8):
        return "the header's checksum is wrong"
    while True:
        if n - at < 4:
            return "the frame is cut short"
        size = load_le32(p + at)
        at += 4
        if size == 0:
            break
        if size == STORED:
            return "an empty block"
        if (size & ~STORED) > full or n - at < <int64_t>(size & ~STORED):
            return "a block that leaves its frame"
        if size & STORED:
            size &= ~STORED
            bound[0] += size
        else:
            bound[0] += min(full, <int64_t>size * RATIO_MAX)
        at += size + (4 if flags & FLAG_BLOCK_CHECKSUM else 0)
    if flags & FLAG_CONTENT_CHECKSUM:
        at += 4
    if at != n:
        return "bytes after the frame" if at < n else "the frame is cut short"
    return NULL


cdef const char* lz4_decode(const uint8_t* p, Py_ssize_t n, uint8_t* to, int64_t room, int64_t* filled) noexcept nogil:
    cdef uint8_t flags = p[4]
    cdef Py_ssize_t at = HEADER_BYTES_MIN + (8 if flags & FLAG_CONTENT_SIZE else 0), written
    cdef int64_t full = <int64_t>1 << (8 + 2 * (p[5] >> 4)), total = 0
    cdef uint32_t size
    filled[0] = -1
    while True:
        size = load_le32(p + at) & ~STORED
        if size == 0:
            break
        if flags & FLAG_BLOCK_CHECKSUM and xxh32(p + at + 4, size) != load_le32(p + at + 4 + size):
            return "a block's checksum is wrong"
        if load_le32(p + at) & STORED:
            if size > room - total:
                return NULL
            memcpy(to + total, p + at + 4, size)
            written = size
        else:
            written = _block(p + at + 4, size, to + total, room - total, full)
            if written == NO_ROOM and room - total < full:
                return NULL
            if written < 0:
                return "a malformed block"
        total += written
        at += 4 + size + (4 if flags & FLAG_BLOCK_CHECKSUM else 0)
    if flags & FLAG_CONTENT_SIZE and load_le64(p + 6) != <uint64_t>total:
        return "not the size that the frame says"
    if flags & FLAG_CONTENT_CHECKSUM and xxh32(to, total) != load_le32(p + at + 4):
        return "the content's checksum is wrong"
    filled[0] = total
    return NULL
