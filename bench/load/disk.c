/* disk: what the disk takes from one plain writer; the limit that `make bench` names for acks=all.
 *
 *   disk --file F --bytes N --at-once K --seconds S [--again 1]
 *
 * Writes K times N bytes in a row with one write, then fdatasync, over and over for S seconds, and prints how many
 * N a second are on disk and how long a write with its fdatasync takes.  The file is new and grows, as a log does;
 * with --again its bytes have been written before, so that the file system has nothing to note but the data.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES_MAX = 1 << 20, FILE_BYTES = 256 << 20 };

static double samples[SAMPLES_MAX];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int larger(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    const char *path = NULL;
    size_t bytes = 0, at_once = 1, count = 0, again = 0;
    double seconds = 3;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--file")) path = argv[i + 1];
        else if (!strcmp(argv[i], "--bytes")) bytes = (size_t)atoll(argv[i + 1]);
        else if (!strcmp(argv[i], "--at-once")) at_once = (size_t)atoll(argv[i + 1]);
        else if (!strcmp(argv[i], "--again")) again = (size_t)atoll(argv[i + 1]);
        else if (!strcmp(argv[i], "--seconds")) seconds = atof(argv[i + 1]);
        else return 2;
    }
    if (!path || !bytes || !at_once || bytes * at_once > FILE_BYTES) { fprintf(stderr, "usage: see the head of disk.c\n"); return 2; }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    uint8_t *data = malloc(bytes * at_once);
    if (fd < 0 || !data) { perror(path); return 1; }
    memset(data, 7, bytes * at_once);
    size_t fits = FILE_BYTES / (bytes * at_once);
    for (size_t i = 0; again && i < fits; i++)
        if (write(fd, data, bytes * at_once) != (ssize_t)(bytes * at_once)) { perror(path); return 1; }
    if (fsync(fd)) { perror(path); return 1; }
    double begin = now(), at = begin;
    while (at - begin < seconds && count < SAMPLES_MAX) {
        off_t position = (off_t)((again ? count % fits : count) * bytes * at_once);
        if (pwrite(fd, data, bytes * at_once, position) != (ssize_t)(bytes * at_once) || fdatasync(fd)) { perror(path); return 1; }
        double then = now();
        samples[count++] = then - at;
        at = then;
    }
    qsort(samples, count, sizeof *samples, larger);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    double rate = (double)(count * at_once) / (at - begin);
    printf("{\"requests\": %zu, \"seconds\": %.4f, \"requests_per_s\": %.1f, \"request_mb_per_s\": %.2f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, "
           "\"broker_cpu_us_per_request\": %.3f}\n", count * at_once, at - begin, rate, rate * (double)bytes / 1e6,
           samples[count / 2] * 1e3, samples[count * 99 / 100] * 1e3, cpu / (double)(count * at_once) * 1e6);
    return 0;
}
