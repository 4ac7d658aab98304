/* load: a raw-protocol Kafka load generator.
 *
 * It replays prebuilt request frames (4-byte length included) over many connections, keeps DEPTH of them in flight on
 * each, checks every reply, and prints one JSON object: requests/s, MB/s, latency percentiles, and the broker's own CPU
 * (its process CPU clock) over exactly the measured window.
 *
 *   load --port P --request FILE [--request FILE ...] --api produce|fetch|commit|heartbeat|echo
 *        [--connections C] [--depth D] [--seconds S] [--warm S] [--requests N] [--pid BROKER_PID]
 *        [--min-bytes N] [--verify]
 *
 * Connection c replays file c modulo the number of files.  The correlation id (bytes 8..11 of a frame) is patched.
 * Replies must be Produce v9-v12 or Fetch v12 (flexible, topic names), OffsetCommit v8-v9 or Heartbeat v4, or echo.c's; each one's
 * correlation id, every error code and, for produce, that base offsets of a connection's partition only grow, are
 * checked.  Fetched record bytes past
 * the first 8 KiB of a large reply are discarded in the kernel (MSG_TRUNC), so that the generator does not become the
 * bottleneck that it measures; --verify reads them all and walks the batch lengths instead.
 *
 * Exit status: 0 when every reply was right, 1 otherwise (the first complaint goes to stderr), 2 for bad usage.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#define PROGRAM "load"
#include "client.h"

enum { FILES_MAX = 4096, DEPTH_MAX = 1024, IOV_REQUESTS = 128, HEAD_BYTES = 8192, FRAME_BUFFERED = 64 << 10 };
enum { BUCKETS_PER_OCTAVE = 64, OCTAVES = 34 };

typedef struct { uint8_t *bytes; size_t size; } Frame;

typedef struct {
    int fd;
    const Frame *frame;
    uint32_t next_send, next_receive;      /* correlation ids */
    size_t send_offset;                    /* bytes of request next_send that have left */
    bool blocked;                          /* waiting for EPOLLOUT */
    uint64_t sent_ns[DEPTH_MAX];           /* ring by correlation id */
    uint8_t *in;
    size_t have, skip, capacity, skipped_frame;
    int64_t last_base_offset;
} Connection;

typedef struct { uint64_t count[BUCKETS_PER_OCTAVE * OCTAVES], total; } Histogram;

static int depth = 1, connections = 1, broker_pid = 0;
static double seconds = 3, warm = 0.5;
static bool fetch = false, verify = false;
static enum { PRODUCE, FETCH, COMMIT, HEARTBEAT, ECHO } api = PRODUCE;
static int64_t bytes_min = 0, requests_max = INT64_MAX, requests_started;
static Histogram latency;
static uint64_t replies, reply_bytes, request_bytes, record_bytes, records_seen;
static bool measuring;

static uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* User plus system time of the whole process, all its threads, in seconds (to the nanosecond: /proc/PID/stat has steps
 * of 10 ms, a twentieth of what a broker takes in a short pass). */
static double cpu_seconds(int pid) {
    clockid_t clock;
    struct timespec at;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &at)) return 0;
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* Log-linear buckets: 64 steps an octave, so that a percentile is right within 1.6 %. */
static void histogram_add(Histogram *h, uint64_t ns) {
    if (ns < 1) ns = 1;
    int octave = 63 - __builtin_clzll(ns), step;
    step = octave >= 6 ? (int)((ns >> (octave - 6)) & 63) : (int)((ns << (6 - octave)) & 63);
    int i = octave * BUCKETS_PER_OCTAVE + step;
    h->count[i < BUCKETS_PER_OCTAVE * OCTAVES ? i : BUCKETS_PER_OCTAVE * OCTAVES - 1]++;
    h->total++;
}

static double histogram_ms(const Histogram *h, double quantile) {
    uint64_t want = (uint64_t)(quantile * (double)h->total), seen = 0;
    for (int i = 0; i < BUCKETS_PER_OCTAVE * OCTAVES; i++) {
        seen += h->count[i];
        if (seen > want) return (double)(1ull << (i / 64)) * (1.0 + (i % 64 + 0.5) / 64.0) / 1e6;
    }
    return 0;
}

/* ---- reply reading ---- */
static void compact_bytes(Cursor *c) { uint32_t n = varint(c); if (n) take(c, n - 1); }
static void tags(Cursor *c) {
    for (uint32_t n = varint(c); n; n--) { varint(c); take(c, varint(c)); }
}

static void check_produce(Connection *conn, Cursor c) {
    for (uint32_t topics = varint(&c); topics > 1; topics--) {
        compact_bytes(&c);
        for (uint32_t n = varint(&c); n > 1; n--) {
            int64_t partition = big_endian(&c, 4), error = big_endian(&c, 2), base = big_endian(&c, 8);
            if (error) fail("produce: partition %lld answered error %lld", (long long)partition, (long long)error);
            if (n == 2 && partition == 0) {
                if (base <= conn->last_base_offset) fail("produce: base offset %lld after %lld", (long long)base, (long long)conn->last_base_offset);
                conn->last_base_offset = base;
            }
            take(&c, 16);
            for (uint32_t e = varint(&c); e > 1; e--) { take(&c, 4); compact_bytes(&c); tags(&c); }
            compact_bytes(&c);
            tags(&c);
        }
        tags(&c);
    }
}

/* `whole` says whether the cursor holds the whole reply or only its head. */
static void check_fetch(Cursor c, bool whole) {
    big_endian(&c, 4);
    int64_t error = big_endian(&c, 2);
    if (error) fail("fetch answered error %lld", (long long)error);
    big_endian(&c, 4);
    int64_t got = 0;
    for (uint32_t topics = varint(&c); topics > 1; topics--) {
        compact_bytes(&c);
        for (uint32_t n = varint(&c); n > 1; n--) {
            int64_t partition = big_endian(&c, 4);
            error = big_endian(&c, 2);
            if (error) fail("fetch: partition %lld answered error %lld", (long long)partition, (long long)error);
            take(&c, 24);
            for (uint32_t a = varint(&c); a > 1; a--) { take(&c, 16); tags(&c); }
            take(&c, 4);
            uint32_t size = varint(&c);
            size = size ? size - 1 : 0;
            got += size;
            if (!whole) { topics = 1; break; }
            const uint8_t *p = take(&c, size), *end = p + size;
            for (; verify && end - p >= 61;) {
                Cursor batch = {p + 8, end};
                int64_t length = 12 + big_endian(&batch, 4);
                Cursor count = {p + 57, end};
                records_seen += (uint64_t)big_endian(&count, 4);
                if (p[16] != 2) fail("fetch: a batch of magic %d", p[16]);
                if (length > end - p) break;
                p += length;
            }
            tags(&c);
        }
        if (whole) tags(&c);
    }
    if (got < bytes_min) fail("fetch: %lld bytes of records, %lld were wanted", (long long)got, (long long)bytes_min);
    if (measuring) record_bytes += (uint64_t)got;
}

static void check_commit(Cursor c) {
    take(&c, 4);
    uint32_t topics = varint(&c);
    if (topics < 2) fail("commit: a reply without topics");
    for (; topics > 1; topics--) {
        compact_bytes(&c);
        for (uint32_t n = varint(&c); n > 1; n--) {
            int64_t partition = big_endian(&c, 4), error = big_endian(&c, 2);
            if (error) fail("commit: partition %lld answered error %lld", (long long)partition, (long long)error);
            tags(&c);
        }
        tags(&c);
    }
}

static void check_heartbeat(Cursor c) {
    take(&c, 4);
    int64_t error = big_endian(&c, 2);
    if (error) fail("heartbeat answered error %lld", (long long)error);
}

static void reply_done(Connection *conn, const uint8_t *p, size_t have, size_t size, uint64_t now) {
    Cursor c = {p + 4, p + have};
    uint32_t correlation = (uint32_t)big_endian(&c, 4);
    if (correlation != conn->next_receive) fail("correlation id %u answered, %u was next", correlation, conn->next_receive);
    if (api != ECHO) tags(&c);
    switch (api) {
        case PRODUCE: check_produce(conn, c); break;
        case FETCH: check_fetch(c, have == size); break;
        case COMMIT: check_commit(c); break;
        case HEARTBEAT: check_heartbeat(c); break;
        case ECHO: if (bytes_min && (int64_t)size < bytes_min) fail("echo: %zu bytes", size); break;
    }
    if (measuring) {
        histogram_add(&latency, now - conn->sent_ns[correlation % DEPTH_MAX]);
        replies++;
        reply_bytes += size;
        request_bytes += conn->frame->size;
    }
    conn->next_receive++;
}

static void send_more(Connection *conn) {
    struct iovec iov[IOV_REQUESTS * 2];
    static uint8_t heads[IOV_REQUESTS][12];
    const Frame *f = conn->frame;
    for (;;) {
        int n = 0, requests = (int)(conn->next_receive + (uint32_t)depth - conn->next_send);
        if (requests > IOV_REQUESTS) requests = IOV_REQUESTS;
        int64_t allowed = requests_max - requests_started;
        if (requests > allowed) requests = (int)allowed;
        if (requests <= 0) return;
        for (int i = 0; i < requests; i++) {
            uint32_t id = htonl(conn->next_send + (uint32_t)i);
            memcpy(heads[i], f->bytes, 8);
            memcpy(heads[i] + 8, &id, 4);
            size_t off = i ? 0 : conn->send_offset;
            if (off < 12) iov[n++] = (struct iovec){heads[i] + off, 12 - off};
            off = off > 12 ? off : 12;
            iov[n++] = (struct iovec){f->bytes + off, f->size - off};
        }
        uint64_t now = now_ns();
        ssize_t sent = writev(conn->fd, iov, n);
        if (sent < 0) {
            if (errno == EAGAIN) { conn->blocked = true; return; }
            fail("send: %s", strerror(errno));
        }
        size_t left = (size_t)sent + conn->send_offset;
        if (conn->send_offset == 0 && sent > 0) conn->sent_ns[conn->next_send % DEPTH_MAX] = now;
        while (left >= f->size) {
            left -= f->size;
            conn->next_send++;
            if (requests_max != INT64_MAX) requests_started++;
            if (left) conn->sent_ns[conn->next_send % DEPTH_MAX] = now;
        }
        conn->send_offset = left;
    }
}

static void receive(Connection *conn) {
    for (;;) {
        if (conn->skip) {
            ssize_t n = recv(conn->fd, NULL, conn->skip, MSG_TRUNC);
            if (n < 0 && errno == EAGAIN) return;
            if (n <= 0) fail("the broker closed a connection");
            conn->skip -= (size_t)n;
            if (conn->skip) continue;
            reply_done(conn, conn->in, conn->have, conn->skipped_frame, now_ns());
            conn->have = 0;
            send_more(conn);
            continue;
        }
        size_t room = conn->capacity - conn->have;
        /* Of a large reply only the head is wanted: do not read past it, so that the rest can be discarded. */
        if (!verify && fetch && bytes_min > FRAME_BUFFERED && conn->have < HEAD_BYTES) room = HEAD_BYTES - conn->have;
        ssize_t n = recv(conn->fd, conn->in + conn->have, room, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) fail("the broker closed a connection");
        conn->have += (size_t)n;
        size_t at = 0;
        uint64_t now = now_ns();
        while (conn->have - at >= 4) {
            Cursor c = {conn->in + at, conn->in + conn->have};
            size_t size = (size_t)big_endian(&c, 4) + 4;
            if (conn->have - at >= size) {
                reply_done(conn, conn->in + at, size, size, now);
                at += size;
            } else if (!verify && size > FRAME_BUFFERED && at == 0 && conn->have >= HEAD_BYTES) {
                conn->skip = size - conn->have;
                conn->skipped_frame = size;
                break;
            } else break;
        }
        if (conn->skip) continue;
        memmove(conn->in, conn->in + at, conn->have - at);
        conn->have -= at;
        if (at) send_more(conn);
        if ((size_t)n < room) return;
    }
}

static Frame read_frame(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) fail("%s: %s", path, strerror(errno));
    fseek(f, 0, SEEK_END);
    Frame frame = {NULL, (size_t)ftell(f)};
    rewind(f);
    frame.bytes = malloc(frame.size);
    if (frame.size < 14 || fread(frame.bytes, 1, frame.size, f) != frame.size) fail("%s: not a request frame", path);
    fclose(f);
    return frame;
}

static int open_connection(const char *host, int port) {
    int fd = connect_to(host, port);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void run(int epoll, Connection *all, double until_seconds) {
    uint64_t until = now_ns() + (uint64_t)(until_seconds * 1e9);
    struct epoll_event events[256];
    while (now_ns() < until && (int64_t)replies < requests_max) {
        int n = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < n; i++) {
            Connection *conn = &all[events[i].data.u32];
            if (events[i].events & EPOLLOUT && conn->blocked) { conn->blocked = false; send_more(conn); }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(conn);
        }
    }
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"request", 1, 0, 'r'}, {"api", 1, 0, 'a'}, {"connections", 1, 0, 'c'},
        {"depth", 1, 0, 'd'}, {"seconds", 1, 0, 's'}, {"warm", 1, 0, 'w'}, {"pid", 1, 0, 'P'}, {"min-bytes", 1, 0, 'm'},
        {"verify", 0, 0, 'v'}, {"requests", 1, 0, 'n'}, {0}};
    static Frame frames[FILES_MAX];
    const char *host = "127.0.0.1";
    int port = 9092, files = 0, o;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) switch (o) {
        case 'h': host = optarg; break;
        case 'p': port = atoi(optarg); break;
        case 'r': if (files == FILES_MAX) fail("too many request files"); frames[files++] = read_frame(optarg); break;
        case 'a':
            if (!strcmp(optarg, "produce")) api = PRODUCE;
            else if (!strcmp(optarg, "fetch")) api = FETCH;
            else if (!strcmp(optarg, "commit")) api = COMMIT;
            else if (!strcmp(optarg, "heartbeat")) api = HEARTBEAT;
            else if (!strcmp(optarg, "echo")) api = ECHO;
            else return 2;
            break;
        case 'c': connections = atoi(optarg); break;
        case 'd': depth = atoi(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'w': warm = atof(optarg); break;
        case 'P': broker_pid = atoi(optarg); break;
        case 'm': bytes_min = atoll(optarg); break;
        case 'v': verify = true; break;
        case 'n': requests_max = atoll(optarg); break;
        default: return 2;
    }
    fetch = api == FETCH || (api == ECHO && bytes_min > 0);
    if (!files || connections < 1 || depth < 1 || depth >= DEPTH_MAX || seconds <= 0) {
        fprintf(stderr, "usage: see the head of load.c\n");
        return 2;
    }
    int epoll = epoll_create1(0);
    Connection *all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections; i++) {
        all[i] = (Connection){.fd = open_connection(host, port), .frame = &frames[i % files], .last_base_offset = -1,
                              .capacity = verify ? 64u << 20 : fetch ? 256u << 10 : 128u << 10};
        all[i].in = malloc(all[i].capacity);
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e);
        send_more(&all[i]);
    }
    run(epoll, all, warm);
    measuring = true;
    double cpu = cpu_seconds(broker_pid);
    uint64_t begin = now_ns();
    run(epoll, all, seconds);
    double elapsed = (double)(now_ns() - begin) / 1e9, used = cpu_seconds(broker_pid) - cpu;
    if (!replies) fail("no reply within %.1f s", seconds);
    printf("{\"requests\": %llu, \"seconds\": %.4f, \"requests_per_s\": %.1f, \"request_mb_per_s\": %.2f, "
           "\"reply_mb_per_s\": %.2f, \"record_bytes\": %llu, \"records_seen\": %llu, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, "
           "\"broker_cpu_s\": %.3f, \"broker_cpu_us_per_request\": %.3f}\n",
           (unsigned long long)replies, elapsed, (double)replies / elapsed, (double)request_bytes / elapsed / 1e6,
           (double)reply_bytes / elapsed / 1e6, (unsigned long long)record_bytes, (unsigned long long)records_seen,
           histogram_ms(&latency, 0.5), histogram_ms(&latency, 0.99),
           histogram_ms(&latency, 0.999), used, used / (double)replies * 1e6);
    return 0;
}
