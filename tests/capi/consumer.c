/* A C program on kcore's storage core: opens a log, appends, reads, finds by time, and recovers a torn
 * one. Run with an empty directory as its argument; exit status 0 and "ok" when all of it holds. */
#include <kcore.h>

#include <stdio.h>
#include <string.h>

#define RECORDS 1000
#define START_MS INT64_C(1700000000000)

/* Prints and leaves: a program of its own would clean up and answer its caller. */
#define CHECK(call, expected)                                                                      \
    do {                                                                                           \
        int status_ = (call);                                                                      \
        if (status_ != (expected)) {                                                               \
            fprintf(stderr, "%s:%d: %s: %s (%s)\n", __FILE__, __LINE__, #call,                     \
                    kcore_error_name(status_), kcore_error_message());                             \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

typedef struct {
    int64_t next;
    int wrong;
} seen_records;

static int compare(const kcore_record *record, void *context)
{
    seen_records *seen = context;
    char expected[32];
    int length = snprintf(expected, sizeof expected, "value %lld", (long long)seen->next);
    if (record->offset != seen->next || record->timestamp_ms != START_MS + seen->next
        || record->value_bytes != length || memcmp(record->value, expected, (size_t)length) != 0
        || (record->offset % 2 ? record->key_bytes != -1 : record->key_bytes != 3))
        seen->wrong++;
    seen->next++;
    return 0;
}

static int stop_at_once(const kcore_record *record, void *context)
{
    (void)record;
    (void)context;
    return 7;
}

static int fill(PyObject *log)
{
    for (int64_t i = 0; i < RECORDS; i += 2) {
        char text[2][32];
        kcore_record records[2];
        kcore_appended appended;
        for (int j = 0; j < 2; j++) {
            records[j].value = text[j];
            records[j].value_bytes = snprintf(text[j], sizeof text[j], "value %lld", (long long)(i + j));
            records[j].key = j ? NULL : "key";
            records[j].key_bytes = j ? -1 : 3;
            records[j].timestamp_ms = START_MS + i + j;
        }
        CHECK(kcore_log_append_records(log, records, 2, i % 4 ? KCORE_CODEC_GZIP : KCORE_CODEC_NONE, 3,
                                       START_MS, &appended),
              KCORE_OK);
        HOLDS(appended.base_offset == i && appended.last_offset == i + 1 && !appended.duplicate);
        HOLDS(appended.leader_epoch == 3 && appended.max_timestamp_ms == START_MS + i + 1);
        if (i == RECORDS / 2)
            CHECK(kcore_log_roll(log, START_MS), KCORE_OK);
    }
    return 0;
}

/* Reads [from, end of log) and compares every record. */
static int read_back(PyObject *log, int64_t from, int64_t end)
{
    seen_records seen = {from, 0};
    int64_t at = from;
    while (at < end) {
        kcore_slice slice;
        CHECK(kcore_log_read(log, at, 4096, -1, &slice), KCORE_OK);
        HOLDS(slice.bytes > 0 && slice.data != NULL && slice.next_offset > at);
        CHECK(kcore_slice_records(&slice, compare, &seen), KCORE_OK);
        at = slice.next_offset;
        CHECK(kcore_slice_release(&slice), KCORE_OK);
        CHECK(kcore_slice_release(&slice), KCORE_OK);
    }
    HOLDS(seen.next == end && seen.wrong == 0);
    return 0;
}

static int use(const char *path)
{
    kcore_log_options options;
    kcore_offsets offsets;
    kcore_position position;
    kcore_slice slice, copy;
    kcore_appended appended;
    PyObject *log = NULL;
    int64_t durable = -1;

    CHECK(kcore_log_options_init(&options), KCORE_OK);
    options.index_interval_bytes = 256;
    options.now_ms = START_MS;
    CHECK(kcore_log_open(path, &options, &log), KCORE_OK);
    if (fill(log) || read_back(log, 0, RECORDS) || read_back(log, 333, RECORDS))
        return 1;

    CHECK(kcore_log_flush(log, &durable), KCORE_OK);
    CHECK(kcore_log_offsets(log, &offsets), KCORE_OK);
    HOLDS(durable == RECORDS && offsets.durable_end_offset == RECORDS);
    HOLDS(offsets.log_start_offset == 0 && offsets.log_end_offset == RECORDS && offsets.size_bytes > 0);
    CHECK(kcore_log_offset_for_time(log, START_MS + 700, &position), KCORE_OK);
    HOLDS(position.offset == 700 && position.timestamp_ms == START_MS + 700 && position.leader_epoch == 3);
    CHECK(kcore_log_offset_for_time(log, START_MS + RECORDS, &position), KCORE_NOT_FOUND);

    /* Batches of one log go into another as they are: that is replication. A slice outlives both. */
    CHECK(kcore_log_read(log, 0, 1 << 20, 100, &slice), KCORE_OK);
    HOLDS(slice.next_offset == 100);
    char replica_path[4096];
    snprintf(replica_path, sizeof replica_path, "%s-replica", path);
    PyObject *replica = NULL;
    CHECK(kcore_log_open(replica_path, &options, &replica), KCORE_OK);
    CHECK(kcore_log_append(replica, slice.data, slice.bytes, KCORE_ORIGIN_REPLICA, 0, START_MS, &appended),
          KCORE_OK);
    HOLDS(appended.base_offset == 0 && appended.last_offset == 99);
    CHECK(kcore_log_truncate(replica, 51), KCORE_OK);
    CHECK(kcore_log_offsets(replica, &offsets), KCORE_OK);
    HOLDS(offsets.log_end_offset == 50); /* 50 and 51 are one batch */
    CHECK(kcore_log_close(replica), KCORE_OK);
    CHECK(kcore_log_close(log), KCORE_OK);
    HOLDS(kcore_slice_records(&slice, stop_at_once, NULL) == 7);
    CHECK(kcore_slice_release(&slice), KCORE_OK);
    memset(&copy, 0, sizeof copy);
    CHECK(kcore_slice_records(&copy, compare, NULL), KCORE_OK);
    return 0;
}

/* A log whose process died: garbage stands where the next batch would have. */
static int recover(const char *path)
{
    kcore_log_options options;
    kcore_recovery recovery;
    kcore_cut cut;
    PyObject *log = NULL;
    char file[4096];
    snprintf(file, sizeof file, "%s/%020d.log", path, RECORDS / 2 + 2);
    FILE *opened = fopen(file, "ab");
    HOLDS(opened != NULL);
    HOLDS(fwrite("half of a batch", 1, 15, opened) == 15 && fclose(opened) == 0);

    CHECK(kcore_log_options_init(&options), KCORE_OK);
    options.now_ms = START_MS;
    options.recovery_point = RECORDS / 2;
    CHECK(kcore_log_open(path, &options, &log), KCORE_OK);
    CHECK(kcore_log_recovery(log, &recovery), KCORE_OK);
    HOLDS(!recovery.clean && recovery.segments_scanned >= 1 && recovery.cuts == 1);
    CHECK(kcore_log_recovery_cut(log, 0, &cut), KCORE_OK);
    HOLDS(strstr(cut.file, ".log") != NULL && cut.bytes == 15 && cut.offset == RECORDS);
    printf("recovered: %s was cut at byte %lld: %s\n", strrchr(cut.file, '/') + 1,
           (long long)cut.position, cut.reason);
    CHECK(kcore_log_recovery_cut(log, 1, &cut), KCORE_INVALID_ARGUMENT);
    if (read_back(log, 0, RECORDS))
        return 1;
    CHECK(kcore_log_close(log), KCORE_OK);
    return 0;
}

/* Mistakes and bad bytes are answered, never stored and never a crash. */
static int refuse(const char *path)
{
    kcore_log_options options;
    kcore_offsets offsets;
    kcore_slice slice;
    PyObject *log = NULL;
    uint8_t bytes[100] = {0};
    kcore_record record = {.key_bytes = 0, .value_bytes = 0, .timestamp_ms = -1};

    memset(&options, 0, sizeof options);
    CHECK(kcore_log_open(path, &options, &log), KCORE_INVALID_ARGUMENT);
    HOLDS(strstr(kcore_error_message(), "kcore_log_options_init") != NULL);
    CHECK(kcore_log_open(NULL, NULL, &log), KCORE_INVALID_ARGUMENT);
    CHECK(kcore_log_open(path, NULL, &log), KCORE_OK);
    CHECK(kcore_log_append(log, bytes, sizeof bytes, KCORE_ORIGIN_CLIENT, 3, 0, NULL),
          KCORE_UNSUPPORTED_MAGIC);
    bytes[16] = 2;
    CHECK(kcore_log_append(log, bytes, sizeof bytes, KCORE_ORIGIN_CLIENT, 3, 0, NULL),
          KCORE_CORRUPT_BATCH);
    CHECK(kcore_log_append(log, NULL, 0, KCORE_ORIGIN_CLIENT, 3, 0, NULL), KCORE_INVALID_ARGUMENT);
    CHECK(kcore_log_append(log, bytes, 10, 9, 3, 0, NULL), KCORE_INVALID_ARGUMENT);
    CHECK(kcore_log_append_records(log, NULL, 1, 0, 3, 0, NULL), KCORE_INVALID_ARGUMENT);
    CHECK(kcore_log_append_records(log, &record, 1, 9, 3, 0, NULL), KCORE_UNSUPPORTED_COMPRESSION);
    record.value_bytes = 1; /* and yet a NULL pointer */
    CHECK(kcore_log_append_records(log, &record, 1, 0, 3, 0, NULL), KCORE_INVALID_ARGUMENT);
    CHECK(kcore_log_read(log, RECORDS + 1, 100, -1, &slice), KCORE_OFFSET_OUT_OF_RANGE);
    CHECK(kcore_log_read(log, RECORDS, 100, -1, &slice), KCORE_OK);
    HOLDS(slice.bytes == 0 && slice.data == NULL);
    CHECK(kcore_slice_release(&slice), KCORE_OK);
    CHECK(kcore_log_offsets(NULL, &offsets), KCORE_INVALID_ARGUMENT);
    CHECK(kcore_log_offsets(Py_None, &offsets), KCORE_INVALID_ARGUMENT);
    HOLDS(strcmp(kcore_error_message(), "the handle is no log but a NoneType") == 0);
    CHECK(kcore_log_offsets(log, &offsets), KCORE_OK);
    HOLDS(offsets.log_end_offset == RECORDS);
    CHECK(kcore_log_close(log), KCORE_OK);
    HOLDS(strcmp(kcore_error_name(KCORE_OK), "KCORE_OK") == 0);
    HOLDS(strcmp(kcore_error_name(KCORE_STATUS_MIN), "KCORE_INTERNAL") == 0);
    HOLDS(strcmp(kcore_error_name(KCORE_STATUS_MIN - 1), "KCORE_UNKNOWN") == 0);
    HOLDS(PyErr_Occurred() == NULL);
    return 0;
}

int main(int argc, char **argv)
{
    char path[2048];
    int wrong;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    Py_Initialize();
    if (kcore_import() < 0) {
        PyErr_Print();
        return 1;
    }
    snprintf(path, sizeof path, "%s/events-0", argv[1]);
    wrong = use(path) || recover(path) || refuse(path);
    if (!wrong)
        printf("ok: kcore %s\n", kcore_version());
    return Py_FinalizeEx() < 0 || wrong;
}
