/* lag: the time from a producer's send to the reply that brings the record to a waiting consumer.
 *
 *   lag --port P --produce FILE --fetch FILE --offset-at N [--seconds S] [--warm S] [--gap-us U] [--pid BROKER_PID]
 *
 * Two connections.  Each round the consumer's sends a Fetch at the log's end (MinBytes 1, so that the broker lets it
 * wait), U microseconds later the producer's sends one Produce, and the clock runs from before that send until the
 * fetch reply is read whole; then the produce reply is read.  Rounds of --warm do not count and have no gap.
 *
 * The files hold a Produce v9-v12 of one batch of one record and a Fetch v12 of the same single partition, 4-byte
 * length included; N is where the Fetch has its offset.  The topic must be empty at the start.  Of every reply the
 * correlation id and the error codes are checked, and that the fetched batch is the one just produced, alone.
 *
 * Prints one JSON object.  Exit status: 0 when every reply was right, 1 otherwise, 2 for bad usage.
 */
#define _GNU_SOURCE
#include <getopt.h>

#define PROGRAM "lag"
#include "client.h"

enum { REQUEST_MAX = 64 << 10, REPLY_MAX = 64 << 10, ROUNDS_MAX = 4 << 20 };

typedef struct { uint8_t bytes[REQUEST_MAX]; size_t size; } Request;

static void no_error(const char *where, int64_t error) {
    if (error) fail("%s answered error %lld", where, (long long)error);
}

static Cursor one_partition(const char *api, Cursor c) {
    if (length(&c) != 1) fail("%s: a reply not of one topic", api);
    take(&c, length(&c));
    if (length(&c) != 1) fail("%s: a reply not of one partition", api);
    take(&c, 4);
    no_error(api, big_endian(&c, 2));
    return c;
}

static void check_produced(Cursor c, int64_t offset) {
    c = one_partition("produce", c);
    int64_t base = big_endian(&c, 8);
    if (base != offset) fail("produce: base offset %lld, %lld was next", (long long)base, (long long)offset);
}

static void check_fetched(Cursor c, int64_t offset) {
    take(&c, 4);
    no_error("fetch", big_endian(&c, 2));
    take(&c, 4);
    c = one_partition("fetch", c);
    take(&c, 24);
    for (uint32_t aborted = length(&c); aborted; aborted--) take(&c, 17);
    take(&c, 4);
    uint32_t size = length(&c);
    if (!size) fail("fetch: answered without a record (did it wait longer than MaxWaitMs?)");
    Cursor batch = {c.p, c.p + size};
    take(&c, size);
    int64_t base = big_endian(&batch, 8), rest = big_endian(&batch, 4);
    if (base != offset || rest + 12 != size)
        fail("fetch: %u bytes from offset %lld, one batch at %lld was wanted", size, (long long)base, (long long)offset);
}

/* ---- the two connections ---- */

static void patch(Request *request, size_t at, uint64_t value, int bytes) {
    for (int i = bytes; i--; value >>= 8) request->bytes[at + (size_t)i] = (uint8_t)value;
}

static void send_request(int fd, const Request *request) {
    if (send(fd, request->bytes, request->size, MSG_NOSIGNAL) != (ssize_t)request->size) fail("send: %s", strerror(errno));
}

/* Read one reply; the cursor stands after its header. */
static Cursor receive(int fd, uint8_t *into, uint32_t correlation) {
    size_t have = 0, size = 4;
    while (have < size) {
        ssize_t n = recv(fd, into + have, REPLY_MAX - have, 0);
        if (n <= 0) fail("the broker closed a connection");
        have += (size_t)n;
        Cursor head = {into, into + have};
        if (have >= 4) size = (size_t)big_endian(&head, 4) + 4;
        if (size > REPLY_MAX) fail("a reply of %zu bytes", size);
    }
    if (have != size) fail("more than one reply came");
    Cursor c = {into + 4, into + size};
    uint32_t answered = (uint32_t)big_endian(&c, 4);
    if (answered != correlation) fail("correlation id %u answered, %u was next", answered, correlation);
    if (length(&c)) fail("a tagged field in a response header");
    return c;
}

static void read_request(Request *request, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) fail("%s: %s", path, strerror(errno));
    request->size = fread(request->bytes, 1, REQUEST_MAX, f);
    if (request->size < 14 || request->size == REQUEST_MAX) fail("%s: not a small request frame", path);
    fclose(f);
}

/* ---- rounds ---- */

static Request produce, fetch;
static size_t offset_at;
static int producer, consumer;
static uint32_t rounds;

static uint64_t one_round(unsigned gap_us) {
    static uint8_t produced[REPLY_MAX], fetched[REPLY_MAX];
    patch(&produce, 8, rounds, 4);
    patch(&fetch, 8, rounds, 4);
    patch(&fetch, offset_at, rounds, 8);
    send_request(consumer, &fetch);
    if (gap_us) usleep(gap_us);
    uint64_t begin = clock_ns(CLOCK_MONOTONIC);
    send_request(producer, &produce);
    Cursor reply = receive(consumer, fetched, rounds);
    uint64_t lag = clock_ns(CLOCK_MONOTONIC) - begin;
    check_fetched(reply, rounds);
    check_produced(receive(producer, produced, rounds), rounds);
    rounds++;
    return lag;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"produce", 1, 0, 'r'}, {"fetch", 1, 0, 'f'}, {"offset-at", 1, 0, 'o'},
        {"seconds", 1, 0, 's'}, {"warm", 1, 0, 'w'}, {"gap-us", 1, 0, 'g'}, {"pid", 1, 0, 'P'}, {0}};
    const char *host = "127.0.0.1";
    int port = 9092, o;
    unsigned gap_us = 1000;
    double seconds = 3, warm = 0;
    clockid_t cpu = CLOCK_PROCESS_CPUTIME_ID;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) switch (o) {
        case 'h': host = optarg; break;
        case 'p': port = atoi(optarg); break;
        case 'r': read_request(&produce, optarg); break;
        case 'f': read_request(&fetch, optarg); break;
        case 'o': offset_at = (size_t)atol(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'w': warm = atof(optarg); break;
        case 'g': gap_us = (unsigned)atoi(optarg); break;
        case 'P': if (clock_getcpuclockid(atoi(optarg), &cpu)) fail("no process %s", optarg); break;
        default: return 2;
    }
    if (!produce.size || !fetch.size || offset_at < 12 || offset_at + 8 > fetch.size || seconds <= 0) {
        fprintf(stderr, "usage: see the head of lag.c\n");
        return 2;
    }
    producer = connect_to(host, port);
    consumer = connect_to(host, port);
    uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(warm * 1e9);
    while (clock_ns(CLOCK_MONOTONIC) < until) one_round(0);
    uint64_t *lags = malloc(ROUNDS_MAX * sizeof *lags), begin = clock_ns(CLOCK_MONOTONIC), used = clock_ns(cpu);
    size_t n = 0;
    until = begin + (uint64_t)(seconds * 1e9);
    while (n < ROUNDS_MAX && clock_ns(CLOCK_MONOTONIC) < until) lags[n++] = one_round(gap_us);
    double elapsed = (double)(clock_ns(CLOCK_MONOTONIC) - begin) / 1e9, cpu_s = (double)(clock_ns(cpu) - used) / 1e9;
    qsort(lags, n, sizeof *lags, by_value);
    printf("{\"requests\": %zu, \"seconds\": %.4f, \"requests_per_s\": %.1f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, "
           "\"p999_ms\": %.4f, \"max_ms\": %.4f, \"broker_cpu_s\": %.4f, \"broker_cpu_us_per_request\": %.3f}\n",
           n, elapsed, (double)n / elapsed, (double)lags[n / 2] / 1e6, (double)lags[n * 99 / 100] / 1e6,
           (double)lags[n * 999 / 1000] / 1e6, (double)lags[n - 1] / 1e6, cpu_s, cpu_s / (double)n * 1e6);
    return 0;
}
