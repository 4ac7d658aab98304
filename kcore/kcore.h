/* kcore.h - the storage core of kafka_py for C and C++ programs
 *
 * A log is a directory of segment files in Apache Kafka's own format: record batches (version 2),
 * offset, time and transaction indexes, producer snapshots, leader epochs. Kafka's tools read what is
 * written here, and what Kafka's broker wrote is read here.
 *
 * CAVEATS, first of all
 *
 * - kcore is a set of Python extension modules. The program needs a Python interpreter: either it is
 *   one (an extension module) or it starts one (Py_Initialize). Link with libpython, compile with
 *   Python's include path and with kcore's: `python -c "import kcore; print(kcore.get_include())"`.
 *   CMake: the target kcore::api has both.
 * - Every translation unit that calls anything below calls kcore_import() itself first, once: the
 *   function table is a static of the unit, because a header without a library has no other place.
 * - The calling thread must hold the GIL in EVERY call (PyGILState_Ensure). Calls that may touch the
 *   disk for long (open, close, flush, a cold read) or that check much data let it go meanwhile, so
 *   other threads run. Buffers that you passed in must stay as they are until the call returns.
 * - Nothing is on disk until kcore_log_flush() has returned KCORE_OK for it (or kcore_log_close()).
 *   An append that returned KCORE_OK survives the end of the process, not the loss of power.
 * - One process at a time may have a log open for writing, and one handle at a time in it. kcore does
 *   not lock the directory: a broker locks its data directory as a whole, and so should you.
 * - After a failed write or sync the log is offline for good: everything that writes answers
 *   KCORE_LOG_FAILED, also when the disk has recovered. Close it and open it anew, which checks what
 *   is really there. There is no retry, since after a failed sync the kernel has forgotten which pages
 *   were dirty.
 * - Do not call in a forked child with a handle from before the fork.
 *
 * THREADS. A log may be used from several threads. Appends, truncation and rolling exclude each
 * other; reads run beside them and see whole batches only. Flushes run beside appends.
 *
 * OWNERSHIP. A log handle and a slice's owner are Python objects of yours: kcore_log_open() and
 * kcore_log_read() give you a reference, kcore_log_close() and kcore_slice_release() take it back.
 * The bytes of a slice are the mapped file itself. They never change, and they stay readable until
 * the slice is released, whatever happens to the log meanwhile: truncated, its segment deleted, or
 * closed. A slice that is never released keeps its map (and disk space) for the life of the process.
 *
 * ERRORS. Every function answers a status: KCORE_OK, KCORE_NOT_FOUND (no error: there is no such
 * record), or a negative KCORE_* code. Out parameters are written only with KCORE_OK. The text of the
 * calling thread's last error is kcore_error_message(). No Python exception is left set; do not call
 * with one set, deal with it first.
 *
 * OFFSETS, TIMES. Offsets are 64-bit and belong to a log: log_start_offset is the first one that may
 * be read, log_end_offset the one that the next record gets. Times are milliseconds since 1970 and
 * are always given by the caller: kcore never looks at a clock.
 *
 * COMPATIBILITY. The table that kcore_import() fetches only ever grows at its end. A program compiled
 * against this header runs with any later kcore of the same KCORE_ABI_VERSION without a recompile;
 * kcore_import() refuses an older or incompatible one and says so.
 *
 * A PROGRAM in short (tests/capi/consumer.c is a complete one):
 *
 *     Py_Initialize();
 *     if (kcore_import() < 0) { PyErr_Print(); return 1; }
 *     kcore_log_options options;
 *     kcore_log_options_init(&options);
 *     options.now_ms = now();
 *     PyObject *log;
 *     if (kcore_log_open("/data/events-0", &options, &log) != KCORE_OK)
 *         return complain(kcore_error_message());
 *     kcore_record record = {.key = "k", .key_bytes = 1, .value = "v", .value_bytes = 1,
 *                            .timestamp_ms = now()};
 *     kcore_appended appended;
 *     if (kcore_log_append_records(log, &record, 1, KCORE_CODEC_NONE, 0, now(), &appended) != KCORE_OK
 *         || kcore_log_flush(log, NULL) != KCORE_OK)
 *         return complain(kcore_error_message());
 *     kcore_log_close(log);
 */
#ifndef KCORE_H
#define KCORE_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when a program compiled against the older header could no longer run. */
#define KCORE_ABI_VERSION 1

/* ---- status codes: one contiguous range, kcore_error_name() knows their names ------------------ */

enum {
    KCORE_NOT_FOUND = 1, /* no error: no record has that timestamp or a later one */
    KCORE_OK = 0,
    KCORE_CORRUPT_BATCH = -1,           /* length or CRC-32C of a batch is wrong, or it is cut short */
    KCORE_INVALID_RECORD = -2,          /* an intact batch whose content is refused */
    KCORE_INVALID_TIMESTAMP = -3,       /* outside of the log's window, or of the wrong type */
    KCORE_BATCH_TOO_LARGE = -4,         /* beyond max_message_bytes or a whole segment */
    KCORE_UNSUPPORTED_MAGIC = -5,       /* a message set of format 0 or 1, or of a later one than 2 */
    KCORE_UNSUPPORTED_COMPRESSION = -6, /* a codec that does not exist */
    KCORE_DECOMPRESSED_TOO_LARGE = -7,  /* beyond decompressed_bytes_max; not decompressed further */
    KCORE_OFFSET_OUT_OF_RANGE = -8,     /* below the log's start or above its end */
    KCORE_OFFSETS_OUT_OF_ORDER = -9,    /* a leader's batch that does not follow on */
    KCORE_OUT_OF_ORDER_SEQUENCE = -10,  /* an idempotent producer skipped or went back */
    KCORE_INVALID_PRODUCER_EPOCH = -11, /* a newer epoch of the same producer id was seen */
    KCORE_UNKNOWN_PRODUCER = -12,       /* a producer id that the log would have to know */
    KCORE_INVALID_TXN_STATE = -13,      /* a batch outside of its producer's open transaction */
    KCORE_COORDINATOR_FENCED = -14,     /* a marker of a transaction coordinator that was replaced */
    KCORE_LOG_FAILED = -15,             /* the disk failed, or the log is closed; see CAVEATS */
    KCORE_DIRECTORY_LOCKED = -16,       /* in use elsewhere */
    KCORE_CORRUPT_FILE = -17,           /* a checkpoint, snapshot or index that cannot be right */
    KCORE_CORRUPT_LOG = -18,            /* bad bytes below the recovery point; see truncate_corrupt */
    KCORE_INVALID_ARGUMENT = -19,       /* NULL, not a log, a negative number: the caller's mistake */
    KCORE_NO_MEMORY = -20,
    KCORE_OS_ERROR = -21,   /* a system call failed outside of a log: the message has its name */
    KCORE_INTERNAL = -22,   /* anything else: a mistake of kcore's; the message has the exception */
    KCORE_STATUS_MIN = -22  /* the last of the range */
};

/* Where a batch comes from decides what is checked. */
enum {
    KCORE_ORIGIN_REPLICA = 0, /* from a leader: keeps its offsets and epochs, one or more batches */
    KCORE_ORIGIN_CLIENT = 1,  /* from a producer: exactly one batch, validated to the last record */
    KCORE_ORIGIN_COORDINATOR = 2, /* a coordinator's records and markers: no sequence numbers */
    KCORE_ORIGIN_RAFT = 3         /* metadata: no producer ids */
};

enum {
    KCORE_CODEC_NONE = 0,
    KCORE_CODEC_GZIP = 1,
    KCORE_CODEC_SNAPPY = 2,
    KCORE_CODEC_LZ4 = 3,
    KCORE_CODEC_ZSTD = 4
};

/* ---- values ------------------------------------------------------------------------------------ */

/* How to open a log. Always fill it with kcore_log_options_init() first, then change fields: that
 * sets Kafka's defaults and `struct_bytes`, by which a later kcore knows what an older program has. */
typedef struct kcore_log_options {
    size_t struct_bytes;
    int64_t now_ms;              /* the caller's clock; 0 is fine, it dates new segments only */
    int64_t segment_bytes;       /* roll before a segment grows beyond this (1 GiB) */
    int64_t segment_ms;          /* ... or when its batches span more time (7 days) */
    int64_t index_interval_bytes; /* an index entry for about so many bytes (4096) */
    int64_t max_message_bytes;   /* largest batch (1048588) */
    int64_t decompressed_bytes_max; /* what a batch may grow to while it is checked (8 MiB and a bit) */
    int64_t recovery_point;      /* everything below was flushed: kcore_offsets.durable_end_offset,
                                    kept by you over restarts; 0 checks the whole log */
    int64_t log_start_offset;    /* records below are gone, even when their bytes are still there */
    int32_t clean;               /* 1: the log was closed by kcore_log_close() (or a clean stop of
                                    Kafka); 0: check and repair from recovery_point on */
    int32_t timestamp_type;      /* 0: the producer's timestamps; 1: the time of the append */
    int32_t truncate_corrupt;    /* 1: cut at bad bytes below the recovery point too, as Kafka does;
                                    0: answer KCORE_CORRUPT_LOG and change nothing */
} kcore_log_options;

/* What an append did. */
typedef struct kcore_appended {
    int64_t base_offset;
    int64_t last_offset;
    int64_t log_append_time_ms; /* -1 with the producer's timestamps */
    int64_t log_start_offset;
    int64_t max_timestamp_ms;
    int32_t leader_epoch;
    int32_t duplicate; /* 1: this producer's batch was here already; the offsets are the first time's */
} kcore_appended;

/* One record. A key or value of -1 bytes is null (NULL pointer), of 0 bytes empty. */
typedef struct kcore_record {
    const void *key;
    const void *value;
    int64_t key_bytes;
    int64_t value_bytes;
    int64_t timestamp_ms; /* -1: none */
    int64_t offset;       /* filled by kcore_slice_records(); ignored by an append */
} kcore_record;

/* Whole record batches as they lie in the file. Release it. */
typedef struct kcore_slice {
    const uint8_t *data;  /* NULL when bytes is 0 */
    size_t bytes;         /* 0: nothing at or above the offset yet */
    int64_t offset;       /* as asked for; the first batch may begin before it */
    int64_t next_offset;  /* where to go on reading */
    PyObject *owner;
} kcore_slice;

/* Where a log begins and ends: log_start <= durable_end <= log_end. */
typedef struct kcore_offsets {
    int64_t log_start_offset;
    int64_t log_end_offset;
    int64_t durable_end_offset; /* everything below is on disk: keep it as the next recovery_point */
    int64_t size_bytes;
} kcore_offsets;

/* A record found by its timestamp. */
typedef struct kcore_position {
    int64_t offset;
    int64_t timestamp_ms;
    int32_t leader_epoch; /* -1: unknown */
} kcore_position;

/* What opening the log had to do. */
typedef struct kcore_recovery {
    int64_t segments_scanned;
    int64_t bytes_scanned;
    int64_t cuts;            /* how many places bytes were thrown away at: kcore_log_recovery_cut() */
    int64_t indexes_rebuilt;
    int64_t files_removed;
    int32_t clean;           /* as it was opened */
} kcore_recovery;

/* Bytes that recovery threw away: from `position` of a file to its end. The strings live as long as
 * the log handle. */
typedef struct kcore_cut {
    const char *file;
    const char *reason;
    int64_t position;
    int64_t bytes;
    int64_t offset; /* the log ended there afterwards */
} kcore_cut;

/* Called for each record; anything but 0 stops the walk, and is what kcore_slice_records() answers.
 * The pointers are valid during the call only. Do not use the range of KCORE_* codes for your own. */
typedef int (*kcore_record_visit)(const kcore_record *record, void *context);

/* ---- the table behind the functions: not for direct use ------------------------------------------ */

typedef struct kcore_table {
    int32_t abi_version;
    int32_t functions; /* how many follow */
    const char *(*version)(void);
    const char *(*error_message)(void);
    const char *(*error_name)(int status);
    int (*log_options_init)(kcore_log_options *options);
    int (*log_open)(const char *path, const kcore_log_options *options, PyObject **log);
    int (*log_close)(PyObject *log);
    int (*log_append)(PyObject *log, const void *batches, size_t bytes, int origin,
                      int32_t leader_epoch, int64_t now_ms, kcore_appended *appended);
    int (*log_append_records)(PyObject *log, const kcore_record *records, size_t count, int codec,
                              int32_t leader_epoch, int64_t now_ms, kcore_appended *appended);
    int (*log_read)(PyObject *log, int64_t offset, size_t bytes_max, int64_t end_offset,
                    kcore_slice *slice);
    int (*slice_records)(const kcore_slice *slice, kcore_record_visit visit, void *context);
    int (*slice_release)(kcore_slice *slice);
    int (*log_offsets)(PyObject *log, kcore_offsets *offsets);
    int (*log_offset_for_time)(PyObject *log, int64_t timestamp_ms, kcore_position *position);
    int (*log_flush)(PyObject *log, int64_t *durable_end_offset);
    int (*log_roll)(PyObject *log, int64_t now_ms);
    int (*log_truncate)(PyObject *log, int64_t offset);
    int (*log_recovery)(PyObject *log, kcore_recovery *recovery);
    int (*log_recovery_cut)(PyObject *log, int64_t index, kcore_cut *cut);
} kcore_table;

#define KCORE_TABLE_FUNCTIONS 18
#define KCORE_CAPSULE "kcore.capi.table"

#ifndef KCORE_BUILDING /* only kcore.capi itself defines it */

#if defined(__GNUC__)
#define KCORE_UNUSED __attribute__((unused))
#else
#define KCORE_UNUSED
#endif

static const kcore_table *kcore_functions KCORE_UNUSED = NULL;

/* Loads kcore and its function table. Call it once in each translation unit, with the GIL, before
 * anything else. Returns 0; or -1 with a Python exception set (the one function that leaves one):
 * ImportError when kcore is not on sys.path or is too old for this header. Twice is harmless. */
static inline KCORE_UNUSED int kcore_import(void)
{
    /* PyCapsule_Import() alone imports the package and would not find the module in it. */
    PyObject *module = PyImport_ImportModule("kcore.capi");
    const kcore_table *table;
    if (module == NULL)
        return -1;
    Py_DECREF(module);
    table = (const kcore_table *)PyCapsule_Import(KCORE_CAPSULE, 0);
    if (table == NULL)
        return -1;
    if (table->abi_version != KCORE_ABI_VERSION || table->functions < KCORE_TABLE_FUNCTIONS) {
        PyErr_Format(PyExc_ImportError,
                     "kcore.h wants version %d of kcore's C API with %d functions; the installed kcore"
                     " has version %d with %d",
                     KCORE_ABI_VERSION, KCORE_TABLE_FUNCTIONS, (int)table->abi_version,
                     (int)table->functions);
        return -1;
    }
    kcore_functions = table;
    return 0;
}

/* The version of the kcore that is loaded ("0.1.0"). Never NULL, never freed. */
static inline KCORE_UNUSED const char *kcore_version(void) { return kcore_functions->version(); }

/* What went wrong in this thread's last failed call, in a sentence or two of UTF-8, at most 1023
 * bytes; "" before any. Valid until this thread's next failed call. */
static inline KCORE_UNUSED const char *kcore_error_message(void)
{
    return kcore_functions->error_message();
}

/* The name of a status ("KCORE_CORRUPT_BATCH"), "KCORE_UNKNOWN" for a number that is none. */
static inline KCORE_UNUSED const char *kcore_error_name(int status)
{
    return kcore_functions->error_name(status);
}

/* ---- a log ---------------------------------------------------------------------------------------- */

/* Fills in Kafka's defaults, clean = 0, recovery_point = 0. Errors: KCORE_INVALID_ARGUMENT (NULL). */
static inline KCORE_UNUSED int kcore_log_options_init(kcore_log_options *options)
{
    return kcore_functions->log_options_init(options);
}

/* Opens the log in the directory `path` (UTF-8), which is made when it is not there (its parent must
 * be), and recovers it when options->clean is 0: every batch from the recovery point on is checked,
 * the log is cut at the first bad one, indexes and producer state are built anew. What that cost is in
 * kcore_log_recovery(). options may be NULL: all defaults.
 *
 * On KCORE_OK *log is yours: give it back with kcore_log_close().
 * Errors: KCORE_INVALID_ARGUMENT, KCORE_CORRUPT_LOG, KCORE_LOG_FAILED, KCORE_OS_ERROR. */
static inline KCORE_UNUSED int kcore_log_open(const char *path, const kcore_log_options *options,
                                              PyObject **log)
{
    return kcore_functions->log_open(path, options, log);
}

/* Flushes, trims preallocated space, writes the indexes and a producer snapshot, and takes your
 * reference back, whatever it answers: do not use the handle again. Slices stay readable. After
 * KCORE_OK the log may be opened with clean = 1.
 * Errors: KCORE_LOG_FAILED (what was appended since the last flush may be lost). */
static inline KCORE_UNUSED int kcore_log_close(PyObject *log)
{
    return kcore_functions->log_close(log);
}

/* Appends record batches of format 2, as they come from the network or from another log. The bytes
 * are copied, never changed. From KCORE_ORIGIN_CLIENT exactly one batch, of which length, CRC,
 * attributes and every record are checked (compressed ones too) and to which the next offset is
 * given; from KCORE_ORIGIN_REPLICA one or more, which keep offsets and epochs and must follow on.
 *
 * leader_epoch is stored in the batch (not for replicas); it must never decrease. appended may be
 * NULL. A batch that an idempotent producer sends again is not stored again: appended->duplicate.
 * On an error nothing was appended.
 * Errors: every code from KCORE_CORRUPT_BATCH to KCORE_LOG_FAILED except _OFFSET_OUT_OF_RANGE;
 * KCORE_INVALID_ARGUMENT, KCORE_NO_MEMORY. */
static inline KCORE_UNUSED int kcore_log_append(PyObject *log, const void *batches, size_t bytes,
                                                int origin, int32_t leader_epoch, int64_t now_ms,
                                                kcore_appended *appended)
{
    return kcore_functions->log_append(log, batches, bytes, origin, leader_epoch, now_ms, appended);
}

/* Builds one batch of `count` records (1 at least) with a KCORE_CODEC_* and appends it as a client's.
 * The codec's library must be installed (lz4, zstandard, cramjam: kcore's own dependencies).
 * Errors: as kcore_log_append(). */
static inline KCORE_UNUSED int kcore_log_append_records(PyObject *log, const kcore_record *records,
                                                        size_t count, int codec,
                                                        int32_t leader_epoch, int64_t now_ms,
                                                        kcore_appended *appended)
{
    return kcore_functions->log_append_records(log, records, count, codec, leader_epoch, now_ms,
                                               appended);
}

/* Reads whole batches from the one that holds `offset` on, of one segment, about bytes_max of them at
 * most: the first batch is always given whole, even when it is larger. Batches that reach up to
 * end_offset or beyond are left out (a high watermark, say); -1: the log's end.
 *
 * No byte is copied. slice->bytes is 0 at the end of the log; that is no error. Go on at
 * slice->next_offset. Release the slice.
 * Errors: KCORE_OFFSET_OUT_OF_RANGE, KCORE_LOG_FAILED, KCORE_INVALID_ARGUMENT. */
static inline KCORE_UNUSED int kcore_log_read(PyObject *log, int64_t offset, size_t bytes_max,
                                              int64_t end_offset, kcore_slice *slice)
{
    return kcore_functions->log_read(log, offset, bytes_max, end_offset, slice);
}

/* Calls `visit` for each record of a slice at or above slice->offset, decompressed, in order. Records
 * of control batches (transaction markers) are passed over. Answers KCORE_OK, or what visit answered.
 * Checks each batch's CRC before its first record is shown.
 * Errors: KCORE_CORRUPT_BATCH, KCORE_INVALID_RECORD, KCORE_DECOMPRESSED_TOO_LARGE (256 MiB),
 * KCORE_UNSUPPORTED_COMPRESSION, KCORE_INVALID_ARGUMENT. */
static inline KCORE_UNUSED int kcore_slice_records(const kcore_slice *slice,
                                                   kcore_record_visit visit, void *context)
{
    return kcore_functions->slice_records(slice, visit, context);
}

/* Gives the slice back and clears it; releasing a cleared one is harmless. */
static inline KCORE_UNUSED int kcore_slice_release(kcore_slice *slice)
{
    return kcore_functions->slice_release(slice);
}

/* Where the log begins and ends now. Errors: KCORE_INVALID_ARGUMENT. */
static inline KCORE_UNUSED int kcore_log_offsets(PyObject *log, kcore_offsets *offsets)
{
    return kcore_functions->log_offsets(log, offsets);
}

/* The first record whose timestamp is timestamp_ms or later. KCORE_NOT_FOUND when there is none.
 * Errors: KCORE_LOG_FAILED, KCORE_CORRUPT_BATCH, KCORE_INVALID_ARGUMENT. */
static inline KCORE_UNUSED int kcore_log_offset_for_time(PyObject *log, int64_t timestamp_ms,
                                                         kcore_position *position)
{
    return kcore_functions->log_offset_for_time(log, timestamp_ms, position);
}

/* Makes everything that was appended before the call durable (fdatasync). Other threads may append
 * meanwhile. *durable_end_offset (may be NULL): everything below is on disk; keep it somewhere as the
 * recovery point of the next open.
 * Errors: KCORE_LOG_FAILED, and the log is offline: nothing that is not yet durable may be called so. */
static inline KCORE_UNUSED int kcore_log_flush(PyObject *log, int64_t *durable_end_offset)
{
    return kcore_functions->log_flush(log, durable_end_offset);
}

/* Starts a new segment, unless the active one is empty. Errors: KCORE_LOG_FAILED. */
static inline KCORE_UNUSED int kcore_log_roll(PyObject *log, int64_t now_ms)
{
    return kcore_functions->log_roll(log, now_ms);
}

/* Drops every record at or above `offset`; a batch that spans it goes as a whole. Durable when it
 * returns. The recovery point may have become smaller: see kcore_log_offsets(), and write it down
 * before the next flush. An offset at or above the end changes nothing.
 * Errors: KCORE_LOG_FAILED, KCORE_INVALID_ARGUMENT. */
static inline KCORE_UNUSED int kcore_log_truncate(PyObject *log, int64_t offset)
{
    return kcore_functions->log_truncate(log, offset);
}

/* What opening this log had to do. Errors: KCORE_INVALID_ARGUMENT. */
static inline KCORE_UNUSED int kcore_log_recovery(PyObject *log, kcore_recovery *recovery)
{
    return kcore_functions->log_recovery(log, recovery);
}

/* The cut of that index, 0 <= index < kcore_recovery.cuts. Errors: KCORE_INVALID_ARGUMENT. */
static inline KCORE_UNUSED int kcore_log_recovery_cut(PyObject *log, int64_t index, kcore_cut *cut)
{
    return kcore_functions->log_recovery_cut(log, index, cut);
}

#endif /* KCORE_BUILDING */

#ifdef __cplusplus
}
#endif

#endif /* KCORE_H */
