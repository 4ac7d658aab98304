/* CRC-32C by carry-less multiplication, for one width of registers; crc32c_impl.h includes this file
 * once for each, with these defined before and taken back here:
 *
 *   FOLD_NAME(stem)   the stem with the width's name
 *   FOLD_TARGET       the function attribute that allows the instructions
 *   FOLD_BYTES        bytes of a register: 32 or 64
 *   FOLD_VECTOR       its type
 *   FOLD_LOAD(p), FOLD_STORE(to, v), FOLD_XOR(a, b), FOLD_FIRST(crc), FOLD_PAIR(fold)
 *   FOLD_MOVE(a, k, b)   a moved over the distance of k, plus b
 *   FOLD_REDUCE(v)    the register's 128 bits, all lanes moved to the last one
 *
 * The sum is held as a polynomial of 128 bits a lane and moved over a distance by multiplying its two
 * halves with x^(distance + 31) and x^(distance - 33) modulo the polynomial (a reflected product is
 * one power of x too high, and the constants are kept in the low 32 bits).  Four registers a turn.
 */
#define FOLD_TURN (4 * FOLD_BYTES)

static uint64_t FOLD_NAME(kcore_crc_by_turn)[2], FOLD_NAME(kcore_crc_by_one)[2];

static void FOLD_NAME(kcore_crc_fill)(void) {
    kcore_crc_fill_fold(FOLD_NAME(kcore_crc_by_turn), FOLD_TURN);
    kcore_crc_fill_fold(FOLD_NAME(kcore_crc_by_one), FOLD_BYTES);
}

/* The sum of at least a turn, and with `copy` the bytes written to `to` on the way. A copy asks for the
 * lines that it will write to a few turns ahead: an append goes on where the one before it ended, so
 * that the beginning of the next batch is on its way by then. */
FOLD_TARGET static inline __attribute__((always_inline)) uint32_t FOLD_NAME(kcore_crc32c_loop)(
    uint32_t crc, uint8_t *to, const uint8_t *p, size_t n, const int copy) {
    const FOLD_VECTOR by_turn = FOLD_PAIR(FOLD_NAME(kcore_crc_by_turn));
    const FOLD_VECTOR by_one = FOLD_PAIR(FOLD_NAME(kcore_crc_by_one));
    FOLD_VECTOR a = FOLD_LOAD(p), b = FOLD_LOAD(p + FOLD_BYTES);
    FOLD_VECTOR c = FOLD_LOAD(p + 2 * FOLD_BYTES), d = FOLD_LOAD(p + 3 * FOLD_BYTES), w, x, y, z;
    if (copy) {
        FOLD_STORE(to, a), FOLD_STORE(to + FOLD_BYTES, b);
        FOLD_STORE(to + 2 * FOLD_BYTES, c), FOLD_STORE(to + 3 * FOLD_BYTES, d);
        to += FOLD_TURN;
    }
    a = FOLD_XOR(a, FOLD_FIRST(~crc));
    for (p += FOLD_TURN, n -= FOLD_TURN; n >= FOLD_TURN; p += FOLD_TURN, n -= FOLD_TURN) {
        w = FOLD_LOAD(p), x = FOLD_LOAD(p + FOLD_BYTES);
        y = FOLD_LOAD(p + 2 * FOLD_BYTES), z = FOLD_LOAD(p + 3 * FOLD_BYTES);
        if (copy) {
            for (int line = 0; line < FOLD_TURN; line += 64)
                __builtin_prefetch(to + KCORE_CRC_COPY_AHEAD + line, 1);
            FOLD_STORE(to, w), FOLD_STORE(to + FOLD_BYTES, x);
            FOLD_STORE(to + 2 * FOLD_BYTES, y), FOLD_STORE(to + 3 * FOLD_BYTES, z);
            to += FOLD_TURN;
        }
        a = FOLD_MOVE(a, by_turn, w), b = FOLD_MOVE(b, by_turn, x);
        c = FOLD_MOVE(c, by_turn, y), d = FOLD_MOVE(d, by_turn, z);
    }
    b = FOLD_MOVE(a, by_one, b);
    c = FOLD_MOVE(b, by_one, c);
    d = FOLD_MOVE(c, by_one, d);
    for (; n >= FOLD_BYTES; p += FOLD_BYTES, n -= FOLD_BYTES) {
        w = FOLD_LOAD(p);
        if (copy) FOLD_STORE(to, w), to += FOLD_BYTES;
        d = FOLD_MOVE(d, by_one, w);
    }
    const __m128i sum = FOLD_REDUCE(d);
    uint64_t last = KCORE_CRC_64(0, (uint64_t)_mm_cvtsi128_si64(sum));
    last = KCORE_CRC_64(last, (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(sum, sum)));
    for (; n >= 8; n -= 8, p += 8) {
        const uint64_t word = kcore_crc_word(p);
        if (copy) memcpy(to, &word, 8), to += 8;
        last = KCORE_CRC_64(last, word);
    }
    for (; n > 0; n--, p++) {
        if (copy) *to++ = *p;
        last = KCORE_CRC_8(last, *p);
    }
    return ~(uint32_t)last;
}

FOLD_TARGET static uint32_t FOLD_NAME(kcore_crc32c)(uint32_t crc, const uint8_t *p, size_t n) {
    if (n < KCORE_CRC_WIDE_BYTES) return kcore_crc32c_hardware(crc, p, n);
    return FOLD_NAME(kcore_crc32c_loop)(crc, NULL, p, n, 0);
}

FOLD_TARGET static uint32_t FOLD_NAME(kcore_crc32c_copy)(uint32_t crc, uint8_t *to, const uint8_t *p,
                                                         size_t n) {
    if (n < KCORE_CRC_WIDE_BYTES) return kcore_crc32c_copy_hardware(crc, to, p, n);
    return FOLD_NAME(kcore_crc32c_loop)(crc, to, p, n, 1);
}

#undef FOLD_NAME
#undef FOLD_TARGET
#undef FOLD_BYTES
#undef FOLD_VECTOR
#undef FOLD_LOAD
#undef FOLD_STORE
#undef FOLD_XOR
#undef FOLD_FIRST
#undef FOLD_PAIR
#undef FOLD_MOVE
#undef FOLD_REDUCE
#undef FOLD_TURN
