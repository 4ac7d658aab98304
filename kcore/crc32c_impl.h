/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), three ways behind one pointer:
 *
 *   table    slicing by eight, anywhere
 *   sse42    x86-64's crc32 instruction
 *   armv8    AArch64's crc32cx instruction
 *
 * The instruction has a latency of three cycles and a throughput of one, so that three independent
 * sums run at three times the speed of one. A block is cut in three parts of equal length, and the
 * sums are joined by moving the earlier ones over the length of the later: a linear map of 32 bits,
 * read from four tables of 256 entries. Three block sizes keep that cost small from 200 bytes on.
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
#define KCORE_CRC_SMALL 64

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

static uint32_t kcore_crc_table[8][256];
static uint32_t kcore_crc_over_large[4][256];
static uint32_t kcore_crc_over_middle[4][256];
static uint32_t kcore_crc_over_small[4][256];
static kcore_crc32c_function kcore_crc32c_chosen;

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

static void kcore_crc_fill_over(uint32_t over[4][256], size_t bytes) {
    uint32_t power = 0x80000000u, square = 0x40000000u; /* x^0 and x^1 */
    for (size_t bits = bytes * 8; bits != 0; bits >>= 1) {
        if (bits & 1) power = kcore_crc_multiply(power, square);
        square = kcore_crc_multiply(square, square);
    }
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

#define KCORE_CRC_BLOCKS(SIZE, OVER)                                                               \
    while (n >= 3 * (size_t)(SIZE)) {                                                              \
        uint64_t c1 = 0, c2 = 0;                                                                   \
        const uint8_t *end = p + (SIZE);                                                           \
        do {                                                                                       \
            c = KCORE_CRC_64(c, kcore_crc_word(p));                                                \
            c1 = KCORE_CRC_64(c1, kcore_crc_word(p + (SIZE)));                                     \
            c2 = KCORE_CRC_64(c2, kcore_crc_word(p + 2 * (SIZE)));                                 \
            c = KCORE_CRC_64(c, kcore_crc_word(p + 8));                                            \
            c1 = KCORE_CRC_64(c1, kcore_crc_word(p + (SIZE) + 8));                                 \
            c2 = KCORE_CRC_64(c2, kcore_crc_word(p + 2 * (SIZE) + 8));                             \
            p += 16;                                                                               \
        } while (p != end);                                                                        \
        c1 ^= kcore_crc_move(OVER, (uint32_t)c);                                                   \
        c = c2 ^ kcore_crc_move(OVER, (uint32_t)c1);                                               \
        p += 2 * (SIZE);                                                                           \
        n -= 3 * (size_t)(SIZE);                                                                   \
    }

KCORE_CRC_TARGET static uint32_t kcore_crc32c_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    uint64_t c = (uint32_t)~crc;
    KCORE_CRC_BLOCKS(KCORE_CRC_LARGE, kcore_crc_over_large)
    KCORE_CRC_BLOCKS(KCORE_CRC_MIDDLE, kcore_crc_over_middle)
    KCORE_CRC_BLOCKS(KCORE_CRC_SMALL, kcore_crc_over_small)
    for (; n >= 8; n -= 8, p += 8) c = KCORE_CRC_64(c, kcore_crc_word(p));
    for (; n > 0; n--) c = KCORE_CRC_8(c, *p++);
    return ~(uint32_t)c;
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
static int kcore_crc32c_has_hardware(void) { return 0; }
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
    kcore_crc_fill_over(kcore_crc_over_small, KCORE_CRC_SMALL);
    kcore_crc32c_chosen = kcore_crc32c_has_hardware() ? kcore_crc32c_hardware : kcore_crc32c_table;
}

#endif
