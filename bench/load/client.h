/* What the load generators share: failing loudly, clocks, a connection, and a cursor over a reply.
 *
 * PROGRAM (a string) is defined before it is included; it heads the complaints.
 */
#ifndef KAFKA_PY_BENCH_CLIENT_H
#define KAFKA_PY_BENCH_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs(PROGRAM ": ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(1);
}

static inline uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t)) fail("no such clock: %s", strerror(errno));
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A blocking connection that sends at once. */
static inline int connect_to(const char *host, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) fail("connect %s:%d: %s", host, port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* ---- replies: a cursor that fails loudly past its end ---- */

typedef struct { const uint8_t *p, *end; } Cursor;

static inline const uint8_t *take(Cursor *c, size_t n) {
    if ((size_t)(c->end - c->p) < n) fail("a reply ends too early");
    const uint8_t *at = c->p;
    c->p += n;
    return at;
}

static inline int64_t big_endian(Cursor *c, int n) {
    const uint8_t *p = take(c, (size_t)n);
    uint64_t v = (p[0] & 0x80) ? ~0ull : 0;
    for (int i = 0; i < n; i++) v = v << 8 | p[i];
    return (int64_t)v;
}

static inline uint32_t varint(Cursor *c) {
    uint32_t v = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        uint8_t b = *take(c, 1);
        v |= (uint32_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) return v;
    }
    fail("an overlong varint in a reply");
    return 0;
}

/* A compact length, which is one more than the length; 0 (null) is given as 0 too. */
static inline uint32_t length(Cursor *c) {
    uint32_t v = varint(c);
    return v ? v - 1 : 0;
}

#endif
