/* echo: the least that a single-threaded server on epoll can do with a request; the limit that `make bench` names.
 *
 *   echo --port P --reply-bytes N
 *
 * Takes whole length-prefixed frames and answers each with N bytes (the length, the request's correlation id, then
 * filler): receive, find the frames, write the replies of one wake-up together.  It checks, stores and looks up nothing.
 * A reply's filler is not touched, so that large replies cost what sending them costs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 65536, RECEIVE_BYTES = 1 << 20, PENDING_MAX = 2048 };

typedef struct { uint8_t *in; size_t have, capacity; uint8_t *out; size_t size, sent; } Connection;

static Connection all[CONNECTIONS_MAX];
static size_t reply_bytes = 64;

static void die(const char *what) { perror(what); exit(1); }

static void reply(Connection *c, const uint8_t *correlation) {
    if ((c->size / reply_bytes + 1) > PENDING_MAX) { fputs("echo: too many replies unsent\n", stderr); exit(1); }
    uint8_t *at = c->out + c->size;
    uint32_t size = htonl((uint32_t)reply_bytes - 4);
    memcpy(at, &size, 4);
    memcpy(at + 4, correlation, 4);
    c->size += reply_bytes;
}

/* 0 when the connection is gone. */
static int flush_out(int fd, Connection *c) {
    while (c->sent < c->size) {
        ssize_t n = send(fd, c->out + c->sent, c->size - c->sent, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN;
        c->sent += (size_t)n;
    }
    c->sent = c->size = 0;
    return 1;
}

static int take(int fd, Connection *c) {
    for (;;) {
        if (c->capacity - c->have < 4096) c->in = realloc(c->in, c->capacity *= 2);
        size_t room = c->capacity - c->have;
        ssize_t n = recv(fd, c->in + c->have, room, 0);
        if (n < 0) return errno == EAGAIN ? flush_out(fd, c) : 0;
        if (n == 0) return 0;
        c->have += (size_t)n;
        size_t at = 0;
        while (c->have - at >= 12) {
            uint32_t size;
            memcpy(&size, c->in + at, 4);
            size = ntohl(size) + 4;
            if (c->have - at < size) break;
            reply(c, c->in + at + 8);
            at += size;
        }
        memmove(c->in, c->in + at, c->have - at);
        c->have -= at;
        if (!flush_out(fd, c)) return 0;
        if ((size_t)n < room) return 1;
    }
}

static void opened(int fd, int epoll) {
    int one = 1;
    if (fd >= CONNECTIONS_MAX) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Connection *c = &all[fd];
    free(c->in);
    free(c->out);
    *c = (Connection){.capacity = 65536, .in = malloc(65536), .out = calloc(PENDING_MAX, reply_bytes)};
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

int main(int argc, char **argv) {
    int port = 0, one = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--reply-bytes")) reply_bytes = (size_t)atoll(argv[i + 1]);
        else return 2;
    }
    if (!port || reply_bytes < 12) { fprintf(stderr, "usage: see the head of echo.c\n"); return 2; }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) die("listen");
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                for (int made; (made = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) opened(made, epoll);
            } else if (!flush_out(fd, &all[fd]) || !take(fd, &all[fd])) close(fd);
        }
    }
}
