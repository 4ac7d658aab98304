/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), four ways behind one pointer:
 *
 *   table    slicing by eight, anywhere
 *   avx512   x86-64's carry-less multiplication of 64 bytes at once (VPCLMULQDQ)
 *   sse42    x86-64's crc32 instruction
 *   armv8    AArch64's crc32cx instruction
 *
 * The instruction has a latency of three cycles and a throughput of one, so that three independent
 * sums run at three times the speed of one. A block is cut in three parts of equal length, and the
 * sums are joined by moving the earlier ones over the length of the later: a linear map of 32 bits,
 * read from four tables of 256 entries. Four block sizes keep that cost small from 200 bytes on.
 * A copy goes along in the same turns: its stores wait for memory while the sums are made.
 *
 * The wide way holds the sum as a polynomial of 128 bits a lane and moves it over a distance by
 * multiplying its two halves with x^(distance + 31) and x^(distance - 33) modulo the polynomial
 * (a reflected product is one power of x too high, and the constants are kept in the low 32 bits).
 * Four registers of four lanes cover 256 bytes a turn; below that the instruction is as quick.
 *
 * kcore_crc32c_init fills the tables and picks; it is called when the module is imported, under the
 * import lock, and before anything else.
 */
#ifndef KCORE_CRC32C_IMPL_H
#define KCORE_CRC32C_IMPL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KCORE_CRC_POLY 0x82F63B78u
#define KCORE_CRC_LARGE 4096
#define KCORE_CRC_MIDDLE 512
#define KCORE_CRC_KIBI 352 /* three are a batch of one record of 1 KiB */
#define KCORE_CRC_SMALL 64
#define KCORE_CRC_AHEAD 512

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define KCORE_CRC_HARDWARE "sse42"
#define KCORE_CRC_TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__) && defined(__linux__) && defined(__ORDER_LITTLE_ENDIAN__) && \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <sys/auxv.h>
#define KCORE_CRC_HARDWARE "armv8"
#define KCORE_CRC_TARGET
#endif

typedef uint32_t (*kcore_crc32c_function)(uint32_t crc, const uint8_t *p, size_t n);
typedef uint32_t (*kcore_crc32c_copy_function)(uint32_t crc, uint8_t *to, const uint8_t *p, size_t n);

static uint32_t kcore_crc_table[8][256];
static uint32_t kcore_crc_over_large[4][256];
static uint32_t kcore_crc_over_middle[4][256];
static uint32_t kcore_crc_over_kibi[4][256];
static uint32_t kcore_crc_over_small[4][256];
static kcore_crc32c_function kcore_crc32c_narrow; /* without the wide way */
static kcore_crc32c_function kcore_crc32c_chosen;
static kcore_crc32c_copy_function kcore_crc32c_copy_narrow;
static kcore_crc32c_copy_function kcore_crc32c_copy_chosen;

static uint32_t kcore_crc32c_table(uint32_t crc, const uint8_t *p, size_t n) {
    uint32_t c = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        c = kcore_crc_table[7][c & 0xFF] ^ kcore_crc_table[6][(c >> 8) & 0xFF] ^
            kcore_crc_table[5][(c >> 16) & 0xFF] ^ kcore_crc_table[4][c >> 24] ^
            kcore_crc_table[3][p[4]] ^ kcore_crc_table[2][p[5]] ^
            kcore_crc_table[1][p[6]] ^ kcore_crc_table[0][p[7]];
    }
    for (; n > 0; n--) c = kcore_crc_table[0][(c ^ *p++) & 0xFF] ^ (c >> 8);
    return ~c;
}

/* a * b modulo the polynomial; bit 31 is the coefficient of x^0. */
static uint32_t kcore_crc_multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b & 1 ? (b >> 1) ^ KCORE_CRC_POLY : b >> 1;
    }
    return product;
}

/* x^bits modulo the polynomial. */
static uint32_t kcore_crc_power(size_t bits) {
    uint32_t power = 0x80000000u, square = 0x40000000u; /* x^0 and x^1 */
    for (; bits != 0; bits >>= 1) {
        if (bits & 1) power = kcore_crc_multiply(power, square);
        square = kcore_crc_multiply(square, square);
    }
    return power;
}

static void kcore_crc_fill_over(uint32_t over[4][256], size_t bytes) {
    const uint32_t power = kcore_crc_power(bytes * 8);
    for (int k = 0; k < 4; k++)
        for (uint32_t b = 0; b < 256; b++) over[k][b] = kcore_crc_multiply(power, b << (8 * k));
}

static inline uint32_t kcore_crc_move(uint32_t over[4][256], uint32_t crc) {
    return over[0][crc & 0xFF] ^ over[1][(crc >> 8) & 0xFF] ^ over[2][(crc >> 16) & 0xFF] ^
           over[3][crc >> 24];
}

#ifdef KCORE_CRC_HARDWARE

static inline uint64_t kcore_crc_word(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

#if defined(__x86_64__)
#define KCORE_CRC_64(c, word) __builtin_ia32_crc32di((c), (word))
#define KCORE_CRC_8(c, byte) __builtin_ia32_crc32qi((uint32_t)(c), (byte))
#else
static inline uint64_t kcore_crc_arm_64(uint64_t c, uint64_t word) {
    uint32_t out;
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w1, %x2" : "=r"(out) : "r"((uint32_t)c), "r"(word));
    return out;
}
static inline uint64_t kcore_crc_arm_8(uint64_t c, uint8_t byte) {
    uint32_t out;
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w1, %w2" : "=r"(out) : "r"((uint32_t)c), "r"((uint32_t)byte));
    return out;
}
#define KCORE_CRC_64(c, word) kcore_crc_arm_64((c), (word))
#define KCORE_CRC_8(c, byte) kcore_crc_arm_8((c), (byte))
#endif

/* One word into a sum. */
#define KCORE_CRC_STEP(sum, at)                                                                    \
    do {                                                                                           \
        const uint64_t word = kcore_crc_word(p + (at));                                            \
        sum = KCORE_CRC_64(sum, word);                                                             \
    } while (0)

/* Sixteen bytes to their place by one store: the queue of stores is short, and lines that are written
 * to for the first time keep it full. */
#define KCORE_CRC_PUT(at) __builtin_memcpy(to + (at), __builtin_memcpy(pair, p + (at), 16), 16)

/* Three parts of SIZE bytes side by side.  A copy asks for the lines of the block after this one. */
#define KCORE_CRC_BLOCKS(SIZE, OVER)                                                               \
    while (n >= 3 * (size_t)(SIZE)) {                                                              \
        uint64_t c1 = 0, c2 = 0;                                                                   \
        const uint8_t *end = p + (SIZE);                                                           \
        const uint8_t *ahead = to + 3 * (SIZE) + KCORE_CRC_AHEAD;                                  \
        uint8_t pair[16];                                                                          \
        do {                                                                                       \
            KCORE_CRC_STEP(c, 0);                                                                  \
            KCORE_CRC_STEP(c1, (SIZE));                                                            \
            KCORE_CRC_STEP(c2, 2 * (SIZE));                                                        \
            KCORE_CRC_STEP(c, 8);                                                                  \
            KCORE_CRC_STEP(c1, (SIZE) + 8);                                                        \
            KCORE_CRC_STEP(c2, 2 * (SIZE) + 8);                                                    \
            if (copy) {                                                                            \
                KCORE_CRC_PUT(0), KCORE_CRC_PUT((SIZE)), KCORE_CRC_PUT(2 * (SIZE));                \
                __builtin_prefetch(ahead, 1), ahead += 48, to += 16;                               \
            }                                                                                      \
            p += 16;                                                                               \
        } while (p != end);                                                                        \
        c1 ^= kcore_crc_move(OVER, (uint32_t)c);                                                   \
        c = c2 ^ kcore_crc_move(OVER, (uint32_t)c1);                                               \
        p += 2 * (SIZE);                                                                           \
        if (copy) to += 2 * (SIZE);                                                                \
        n -= 3 * (size_t)(SIZE);                                                                   \
    }

KCORE_CRC_TARGET static inline __attribute__((always_inline)) uint32_t kcore_crc32c_three(
    uint32_t crc, uint8_t *to, const uint8_t *p, size_t n, const int copy) {
    uint64_t c = (uint32_t)~crc;
    KCORE_CRC_BLOCKS(KCORE_CRC_LARGE, kcore_crc_over_large)
    KCORE_CRC_BLOCKS(KCORE_CRC_MIDDLE, kcore_crc_over_middle)
    KCORE_CRC_BLOCKS(KCORE_CRC_KIBI, kcore_crc_over_kibi)
    KCORE_CRC_BLOCKS(KCORE_CRC_SMALL, kcore_crc_over_small)
    for (; n >= 8; n -= 8, p += 8) {
        KCORE_CRC_STEP(c, 0);
        if (copy) memcpy(to, p, 8), to += 8;
    }
    for (; n > 0; n--, p++) {
        if (copy) *to++ = *p;
        c = KCORE_CRC_8(c, *p);
    }
    return ~(uint32_t)c;
}

KCORE_CRC_TARGET static uint32_t kcore_crc32c_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    return kcore_crc32c_three(crc, NULL, p, n, 0);
}

KCORE_CRC_TARGET static uint32_t kcore_crc32c_copy_hardware(uint32_t crc, uint8_t *to, const uint8_t *p, size_t n) {
    return kcore_crc32c_three(crc, to, p, n, 1);
}

static int kcore_crc32c_has_hardware(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") != 0;
#else
    return (getauxval(AT_HWCAP) & (1UL << 7)) != 0; /* HWCAP_CRC32 */
#endif
}

#else
#define KCORE_CRC_HARDWARE "none"
static uint32_t kcore_crc32c_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    return kcore_crc32c_table(crc, p, n);
}
static uint32_t kcore_crc32c_copy_hardware(uint32_t crc, uint8_t *to, const uint8_t *p, size_t n) {
    memcpy(to, p, n);
    return kcore_crc32c_table(crc, p, n);
}
static int kcore_crc32c_has_hardware(void) { return 0; }
#endif

/* Without the instruction the sum takes so much longer than the copy that nothing is gained by one pass. */
static uint32_t kcore_crc32c_copy_table(uint32_t crc, uint8_t *to, const uint8_t *p, size_t n) {
    memcpy(to, p, n);
    return kcore_crc32c_table(crc, p, n);
}

#if defined(__x86_64__) && defined(__has_include) && (defined(__clang__) || __GNUC__ >= 9)
#if __has_include(<immintrin.h>)
#define KCORE_CRC_WIDE 1
#endif
#endif

#ifdef KCORE_CRC_WIDE
#include <immintrin.h>

#define KCORE_CRC_WIDE_TARGET __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.2")))
#define KCORE_CRC_WIDE_BYTES 256
#define KCORE_CRC_COPY_AHEAD 2048

static uint64_t kcore_crc_by_256[2], kcore_crc_by_64[2], kcore_crc_to_last[8];

static void kcore_crc_fill_fold(uint64_t fold[2], size_t bytes) {
    fold[0] = kcore_crc_power(8 * bytes + 31);
    fold[1] = kcore_crc_power(8 * bytes - 33);
}

static void kcore_crc_fill_wide(void) {
    kcore_crc_fill_fold(kcore_crc_by_256, 256);
    kcore_crc_fill_fold(kcore_crc_by_64, 64);
    for (int lane = 0; lane < 3; lane++) kcore_crc_fill_fold(kcore_crc_to_last + 2 * lane, 48 - 16 * (size_t)lane);
}

/* a moved over the distance of k, plus b. */
#define KCORE_CRC_FOLD(a, k, b)                                                                    \
    _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128((a), (k), 0x00),                            \
                              _mm512_clmulepi64_epi128((a), (k), 0x11), (b), 0x96)
#define KCORE_CRC_LOAD(p) _mm512_loadu_si512((const void *)(p))
#define KCORE_CRC_PAIR(fold)                                                                       \
    _mm512_set_epi64((long long)(fold)[1], (long long)(fold)[0], (long long)(fold)[1],             \
                     (long long)(fold)[0], (long long)(fold)[1], (long long)(fold)[0],             \
                     (long long)(fold)[1], (long long)(fold)[0])

#define KCORE_CRC_STORE(to, v) _mm512_storeu_si512((void *)(to), (v))

/* The sum, and with `copy` the bytes written to `to` on the way. A copy asks for the lines that it
 * will write to a few turns ahead: an append goes on where the one before it ended, so that the
 * beginning of the next batch is on its way by then. */
KCORE_CRC_WIDE_TARGET static inline __attribute__((always_inline)) uint32_t kcore_crc32c_wide_loop(
    uint32_t crc, uint8_t *to, const uint8_t *p, size_t n, const int copy) {
    const __m512i by_256 = KCORE_CRC_PAIR(kcore_crc_by_256);
    const __m512i by_64 = KCORE_CRC_PAIR(kcore_crc_by_64);
    __m512i a = KCORE_CRC_LOAD(p), b = KCORE_CRC_LOAD(p + 64);
    __m512i c = KCORE_CRC_LOAD(p + 128), d = KCORE_CRC_LOAD(p + 192), w, x, y, z;
    if (copy) {
        KCORE_CRC_STORE(to, a), KCORE_CRC_STORE(to + 64, b);
        KCORE_CRC_STORE(to + 128, c), KCORE_CRC_STORE(to + 192, d);
        to += 256;
    }
    a = _mm512_xor_si512(a, _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~crc)));
    for (p += 256, n -= 256; n >= 256; p += 256, n -= 256) {
        w = KCORE_CRC_LOAD(p), x = KCORE_CRC_LOAD(p + 64);
        y = KCORE_CRC_LOAD(p + 128), z = KCORE_CRC_LOAD(p + 192);
        if (copy) {
            for (int line = 0; line < 256; line += 64)
                __builtin_prefetch(to + KCORE_CRC_COPY_AHEAD + line, 1);
            KCORE_CRC_STORE(to, w), KCORE_CRC_STORE(to + 64, x);
            KCORE_CRC_STORE(to + 128, y), KCORE_CRC_STORE(to + 192, z);
            to += 256;
        }
        a = KCORE_CRC_FOLD(a, by_256, w), b = KCORE_CRC_FOLD(b, by_256, x);
        c = KCORE_CRC_FOLD(c, by_256, y), d = KCORE_CRC_FOLD(d, by_256, z);
    }
    b = KCORE_CRC_FOLD(a, by_64, b);
    c = KCORE_CRC_FOLD(b, by_64, c);
    d = KCORE_CRC_FOLD(c, by_64, d);
    for (; n >= 64; p += 64, n -= 64) {
        w = KCORE_CRC_LOAD(p);
        if (copy) KCORE_CRC_STORE(to, w), to += 64;
        d = KCORE_CRC_FOLD(d, by_64, w);
    }
    if (copy) memcpy(to, p, n);
    const __m512i to_last = KCORE_CRC_LOAD(kcore_crc_to_last);
    const __m512i moved = _mm512_xor_si512(_mm512_clmulepi64_epi128(d, to_last, 0x00),
                                           _mm512_clmulepi64_epi128(d, to_last, 0x11));
    const __m128i sum = _mm_xor_si128(
        _mm_xor_si128(_mm512_extracti32x4_epi32(moved, 0), _mm512_extracti32x4_epi32(moved, 1)),
        _mm_xor_si128(_mm512_extracti32x4_epi32(moved, 2), _mm512_extracti32x4_epi32(d, 3)));
    uint64_t last = KCORE_CRC_64(0, (uint64_t)_mm_cvtsi128_si64(sum));
    last = KCORE_CRC_64(last, (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(sum, sum)));
    for (; n >= 8; n -= 8, p += 8) last = KCORE_CRC_64(last, kcore_crc_word(p));
    for (; n > 0; n--) last = KCORE_CRC_8(last, *p++);
    return ~(uint32_t)last;
}

KCORE_CRC_WIDE_TARGET static uint32_t kcore_crc32c_wide(uint32_t crc, const uint8_t *p, size_t n) {
    if (n < KCORE_CRC_WIDE_BYTES) return kcore_crc32c_hardware(crc, p, n);
    return kcore_crc32c_wide_loop(crc, NULL, p, n, 0);
}

KCORE_CRC_WIDE_TARGET static uint32_t kcore_crc32c_copy_wide(uint32_t crc, uint8_t *to,
                                                             const uint8_t *p, size_t n) {
    if (n < KCORE_CRC_WIDE_BYTES) return kcore_crc32c_copy_hardware(crc, to, p, n);
    return kcore_crc32c_wide_loop(crc, to, p, n, 1);
}

static int kcore_crc32c_has_wide(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq") &&
           kcore_crc32c_has_hardware();
}
#endif


#ifndef KCORE_CRC_WIDE
static uint32_t kcore_crc32c_wide(uint32_t crc, const uint8_t *p, size_t n) {
    return kcore_crc32c_narrow(crc, p, n);
}
static uint32_t kcore_crc32c_copy_wide(uint32_t crc, uint8_t *to, const uint8_t *p, size_t n) {
    return kcore_crc32c_copy_table(crc, to, p, n);
}
static int kcore_crc32c_has_wide(void) { return 0; }
static void kcore_crc_fill_wide(void) {}
#endif

static void kcore_crc32c_init(void) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = b;
        for (int i = 0; i < 8; i++) c = c & 1 ? (c >> 1) ^ KCORE_CRC_POLY : c >> 1;
        kcore_crc_table[0][b] = c;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t b = 0; b < 256; b++)
            kcore_crc_table[k][b] =
                kcore_crc_table[0][kcore_crc_table[k - 1][b] & 0xFF] ^ (kcore_crc_table[k - 1][b] >> 8);
    kcore_crc_fill_over(kcore_crc_over_large, KCORE_CRC_LARGE);
    kcore_crc_fill_over(kcore_crc_over_middle, KCORE_CRC_MIDDLE);
    kcore_crc_fill_over(kcore_crc_over_kibi, KCORE_CRC_KIBI);
    kcore_crc_fill_over(kcore_crc_over_small, KCORE_CRC_SMALL);
    kcore_crc_fill_wide();
    kcore_crc32c_narrow = kcore_crc32c_has_hardware() ? kcore_crc32c_hardware : kcore_crc32c_table;
    kcore_crc32c_chosen = kcore_crc32c_has_wide() ? kcore_crc32c_wide : kcore_crc32c_narrow;
    kcore_crc32c_copy_narrow =
        kcore_crc32c_has_hardware() ? kcore_crc32c_copy_hardware : kcore_crc32c_copy_table;
    kcore_crc32c_copy_chosen =
        kcore_crc32c_has_wide() ? kcore_crc32c_copy_wide : kcore_crc32c_copy_narrow;
}

#endif
