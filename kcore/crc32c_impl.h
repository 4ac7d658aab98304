/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), five ways behind one pointer:
 *
 *   table    slicing by eight, anywhere
 *   avx512   x86-64's carry-less multiplication of 64 bytes at once (VPCLMULQDQ; crc32c_fold.h)
 *   avx2     the same with 32 bytes at once
 *   sse42    x86-64's crc32 instruction
 *   armv8    AArch64's crc32cx instruction
 *
 * The instruction has a latency of three cycles and a throughput of one, so that three independent
 * sums run at three times the speed of one. A block is cut in three parts of equal length, and the
 * sums are joined by moving the earlier ones over the length of the later: a linear map of 32 bits,
 * read from four tables of 256 entries. Four block sizes keep that cost small from 200 bytes on.
 * A copy goes along in the same turns: its stores wait for memory while the sums are made.
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

#define KCORE_CRC_WIDE_BYTES 256 /* below it the instruction is as quick; at least a turn of either width */
#define KCORE_CRC_COPY_AHEAD 2048

static uint64_t kcore_crc_to_last[6]; /* over 48, 32 and 16 bytes */

static void kcore_crc_fill_fold(uint64_t fold[2], size_t bytes) {
    fold[0] = kcore_crc_power(8 * bytes + 31);
    fold[1] = kcore_crc_power(8 * bytes - 33);
}

/* 128 bits moved over the distance of k. */
__attribute__((target("pclmul,sse4.2"))) static inline __m128i kcore_crc_lane(__m128i a, const uint64_t fold[2]) {
    const __m128i k = _mm_set_epi64x((long long)fold[1], (long long)fold[0]);
    return _mm_xor_si128(_mm_clmulepi64_si128(a, k, 0x00), _mm_clmulepi64_si128(a, k, 0x11));
}

#define FOLD_NAME(stem) stem##_512
#define FOLD_TARGET __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.2")))
#define FOLD_BYTES 64
#define FOLD_VECTOR __m512i
#define FOLD_LOAD(p) _mm512_loadu_si512((const void *)(p))
#define FOLD_STORE(to, v) _mm512_storeu_si512((void *)(to), (v))
#define FOLD_XOR(a, b) _mm512_xor_si512((a), (b))
#define FOLD_FIRST(crc) _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)(crc)))
#define FOLD_PAIR(fold)                                                                            \
    _mm512_set_epi64((long long)(fold)[1], (long long)(fold)[0], (long long)(fold)[1],             \
                     (long long)(fold)[0], (long long)(fold)[1], (long long)(fold)[0],             \
                     (long long)(fold)[1], (long long)(fold)[0])
#define FOLD_MOVE(a, k, b)                                                                         \
    _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128((a), (k), 0x00),                            \
                              _mm512_clmulepi64_epi128((a), (k), 0x11), (b), 0x96)
#define FOLD_REDUCE(v)                                                                             \
    _mm_xor_si128(_mm_xor_si128(kcore_crc_lane(_mm512_extracti32x4_epi32((v), 0), kcore_crc_to_last),      \
                                kcore_crc_lane(_mm512_extracti32x4_epi32((v), 1), kcore_crc_to_last + 2)), \
                  _mm_xor_si128(kcore_crc_lane(_mm512_extracti32x4_epi32((v), 2), kcore_crc_to_last + 4),  \
                                _mm512_extracti32x4_epi32((v), 3)))
#include "crc32c_fold.h"

#define FOLD_NAME(stem) stem##_256
#define FOLD_TARGET __attribute__((target("avx2,vpclmulqdq,pclmul,sse4.2")))
#define FOLD_BYTES 32
#define FOLD_VECTOR __m256i
#define FOLD_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define FOLD_STORE(to, v) _mm256_storeu_si256((__m256i *)(to), (v))
#define FOLD_XOR(a, b) _mm256_xor_si256((a), (b))
#define FOLD_FIRST(crc) _mm256_zextsi128_si256(_mm_cvtsi32_si128((int)(crc)))
#define FOLD_PAIR(fold)                                                                            \
    _mm256_set_epi64x((long long)(fold)[1], (long long)(fold)[0], (long long)(fold)[1],            \
                      (long long)(fold)[0])
#define FOLD_MOVE(a, k, b)                                                                         \
    _mm256_xor_si256(_mm256_xor_si256(_mm256_clmulepi64_epi128((a), (k), 0x00),                    \
                                      _mm256_clmulepi64_epi128((a), (k), 0x11)), (b))
#define FOLD_REDUCE(v)                                                                             \
    _mm_xor_si128(kcore_crc_lane(_mm256_extracti128_si256((v), 0), kcore_crc_to_last + 4),         \
                  _mm256_extracti128_si256((v), 1))
#include "crc32c_fold.h"

static void kcore_crc_fill_wide(void) {
    for (size_t lane = 0; lane < 3; lane++) kcore_crc_fill_fold(kcore_crc_to_last + 2 * lane, 48 - 16 * lane);
    kcore_crc_fill_512();
    kcore_crc_fill_256();
}

static int kcore_crc32c_has_512(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq") &&
           kcore_crc32c_has_hardware();
}

static int kcore_crc32c_has_256(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("vpclmulqdq") &&
           kcore_crc32c_has_hardware();
}
#else
static uint32_t kcore_crc32c_512(uint32_t crc, const uint8_t *p, size_t n) {
    return kcore_crc32c_narrow(crc, p, n);
}
static uint32_t kcore_crc32c_copy_512(uint32_t crc, uint8_t *to, const uint8_t *p, size_t n) {
    return kcore_crc32c_copy_table(crc, to, p, n);
}
#define kcore_crc32c_256 kcore_crc32c_512
#define kcore_crc32c_copy_256 kcore_crc32c_copy_512
static int kcore_crc32c_has_512(void) { return 0; }
static int kcore_crc32c_has_256(void) { return 0; }
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
    kcore_crc32c_chosen = kcore_crc32c_has_512()   ? kcore_crc32c_512
                          : kcore_crc32c_has_256() ? kcore_crc32c_256
                                                   : kcore_crc32c_narrow;
    kcore_crc32c_copy_narrow =
        kcore_crc32c_has_hardware() ? kcore_crc32c_copy_hardware : kcore_crc32c_copy_table;
    kcore_crc32c_copy_chosen = kcore_crc32c_has_512()   ? kcore_crc32c_copy_512
                               : kcore_crc32c_has_256() ? kcore_crc32c_copy_256
                                                        : kcore_crc32c_copy_narrow;
}

#endif
