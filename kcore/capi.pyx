# cython: freethreading_compatible=True
"""The C surface of kcore over opaque handles: the bodies of what kcore.h declares and documents.

The only module with `cdef api` functions. C programs reach them through one table in a capsule,
`kcore.capi.table` (kcore.h fetches it); Cython modules through `cimport kcore.capi`, where the capsules
carry the signatures, so that a mismatch fails at import. Each function turns every exception into a
status and a message of the calling thread.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport INT32_MAX, INT64_MAX
from libc.string cimport memcpy, memset

from kcore.batch_builder cimport BatchBuilder
from kcore.log cimport AppendedStruct, Log
from kcore.segment cimport LogSlice

import os

from kcore import errors
from kcore.log_config import LogConfig
from kcore.record_batch import batches as iterate_batches

cdef extern from *:
    """
    #define KCORE_BUILDING 1
    #include "kcore.h"
    #if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
    #define KCORE_THREAD _Thread_local
    #else
    #define KCORE_THREAD __thread
    #endif
    static KCORE_THREAD char kcore_last_message[1024];
    static kcore_table kcore_the_table;
    """
    char* kcore_last_message

    ctypedef struct kcore_table:
        int32_t abi_version
        int32_t functions
        const char* (*version)() noexcept
        const char* (*error_message)() noexcept
        const char* (*error_name)(int) noexcept
        int (*log_options_init)(kcore_log_options*) noexcept
        int (*log_open)(const char*, const kcore_log_options*, PyObject**) noexcept
        int (*log_close)(PyObject*) noexcept
        int (*log_append)(object, const void*, size_t, int, int32_t, int64_t, kcore_appended*) noexcept
        int (*log_append_records)(
            object, const kcore_record*, size_t, int, int32_t, int64_t, kcore_appended*
        ) noexcept
        int (*log_read)(object, int64_t, size_t, int64_t, kcore_slice*) noexcept
        int (*slice_records)(const kcore_slice*, kcore_record_visit, void*) noexcept
        int (*slice_release)(kcore_slice*) noexcept
        int (*log_offsets)(object, kcore_offsets*) noexcept
        int (*log_offset_for_time)(object, int64_t, kcore_position*) noexcept
        int (*log_flush)(object, int64_t*) noexcept
        int (*log_roll)(object, int64_t) noexcept
        int (*log_truncate)(object, int64_t) noexcept
        int (*log_recovery)(object, kcore_recovery*) noexcept
        int (*log_recovery_cut)(object, int64_t, kcore_cut*) noexcept

    kcore_table kcore_the_table

cdef enum:
    MESSAGE_BYTES = 1024
    RECORDS_DECOMPRESSED_MAX = 268435456    # 256 MiB, for kcore_slice_records

# From the most to the least particular: the first class that fits gives the status.
STATUSES = (
    (errors.CorruptBatch, KCORE_CORRUPT_BATCH),
    (errors.InvalidRecord, KCORE_INVALID_RECORD),
    (errors.InvalidTimestamp, KCORE_INVALID_TIMESTAMP),
    (errors.BatchTooLarge, KCORE_BATCH_TOO_LARGE),
    (errors.UnsupportedMagic, KCORE_UNSUPPORTED_MAGIC),
    (errors.UnsupportedCompression, KCORE_UNSUPPORTED_COMPRESSION),
    (errors.DecompressedTooLarge, KCORE_DECOMPRESSED_TOO_LARGE),
    (errors.OffsetOutOfRange, KCORE_OFFSET_OUT_OF_RANGE),
    (errors.OffsetsOutOfOrder, KCORE_OFFSETS_OUT_OF_ORDER),
    (errors.OutOfOrderSequence, KCORE_OUT_OF_ORDER_SEQUENCE),
    (errors.InvalidProducerEpoch, KCORE_INVALID_PRODUCER_EPOCH),
    (errors.UnknownProducer, KCORE_UNKNOWN_PRODUCER),
    (errors.InvalidTxnState, KCORE_INVALID_TXN_STATE),
    (errors.CoordinatorFenced, KCORE_COORDINATOR_FENCED),
    (errors.LogFailed, KCORE_LOG_FAILED),
    (errors.DirectoryLocked, KCORE_DIRECTORY_LOCKED),
    (errors.CorruptFile, KCORE_CORRUPT_FILE),
    (errors.CorruptLog, KCORE_CORRUPT_LOG),
    ((ValueError, TypeError, OverflowError), KCORE_INVALID_ARGUMENT),
    (MemoryError, KCORE_NO_MEMORY),
    (OSError, KCORE_OS_ERROR),
)

cdef const char** NAMES = [
    "KCORE_OK", "KCORE_CORRUPT_BATCH", "KCORE_INVALID_RECORD", "KCORE_INVALID_TIMESTAMP",
    "KCORE_BATCH_TOO_LARGE", "KCORE_UNSUPPORTED_MAGIC", "KCORE_UNSUPPORTED_COMPRESSION",
    "KCORE_DECOMPRESSED_TOO_LARGE", "KCORE_OFFSET_OUT_OF_RANGE", "KCORE_OFFSETS_OUT_OF_ORDER",
    "KCORE_OUT_OF_ORDER_SEQUENCE", "KCORE_INVALID_PRODUCER_EPOCH", "KCORE_UNKNOWN_PRODUCER",
    "KCORE_INVALID_TXN_STATE", "KCORE_COORDINATOR_FENCED", "KCORE_LOG_FAILED", "KCORE_DIRECTORY_LOCKED",
    "KCORE_CORRUPT_FILE", "KCORE_CORRUPT_LOG", "KCORE_INVALID_ARGUMENT", "KCORE_NO_MEMORY",
    "KCORE_OS_ERROR", "KCORE_INTERNAL",
]


cdef int failed(object error) noexcept:
    """Notes the message for this thread; answers the status."""
    cdef int status = KCORE_INTERNAL
    cdef bytes text
    cdef Py_ssize_t n
    try:
        for classes, code in STATUSES:
            if isinstance(error, classes):
                status = code
                break
        said = str(error)
        if status == KCORE_INTERNAL or not said:
            said = f"{type(error).__name__}: {said}"
        text = said.encode("utf-8", "replace")[: MESSAGE_BYTES - 1]
        # A character cut in half would not be UTF-8.
        text = text.decode("utf-8", "ignore").encode()
        n = PyBytes_GET_SIZE(text)
        memcpy(kcore_last_message, PyBytes_AS_STRING(text), <size_t>n)
        kcore_last_message[n] = 0
    except BaseException:
        kcore_last_message[0] = 0
    return status


cdef Log as_log(object handle):
    if <PyObject*>handle == NULL:
        raise TypeError("the log handle is NULL")
    if not isinstance(handle, Log):
        raise TypeError(f"the handle is no log but a {type(handle).__name__}")
    return handle


cdef int want(const void* pointer, str name) except -1:
    if pointer == NULL:
        raise TypeError(f"{name} is NULL")
    return 0


cdef void report(kcore_appended* out, const AppendedStruct* done) noexcept:
    if out == NULL:
        return
    out.base_offset = done.base_offset
    out.last_offset = done.last_offset
    out.log_append_time_ms = done.log_append_time_ms
    out.log_start_offset = done.log_start_offset
    out.max_timestamp_ms = done.max_timestamp_ms
    out.leader_epoch = done.leader_epoch
    out.duplicate = 1 if done.duplicate else 0


cdef api const char* kcore_version() noexcept:
    return VERSION


cdef api const char* kcore_error_message() noexcept:
    return kcore_last_message


cdef api const char* kcore_error_name(int status) noexcept:
    if status == KCORE_NOT_FOUND:
        return "KCORE_NOT_FOUND"
    if KCORE_STATUS_MIN <= status <= 0:
        return NAMES[-status]
    return "KCORE_UNKNOWN"


cdef api int kcore_log_options_init(kcore_log_options* options) noexcept:
    try:
        want(options, "options")
        memset(options, 0, sizeof(kcore_log_options))
        config = LogConfig()
        options.struct_bytes = sizeof(kcore_log_options)
        options.segment_bytes = config.segment_bytes
        options.segment_ms = config.segment_ms
        options.index_interval_bytes = config.index_interval_bytes
        options.max_message_bytes = config.max_message_bytes
        options.decompressed_bytes_max = config.decompressed_bytes_max
        options.timestamp_type = config.timestamp_type
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_open(const char* path, const kcore_log_options* options, PyObject** log) noexcept:
    cdef kcore_log_options chosen
    try:
        want(path, "path")
        want(log, "log")
        kcore_log_options_init(&chosen)
        if options != NULL:
            if options.struct_bytes != sizeof(kcore_log_options):
                raise ValueError("the options were not filled by kcore_log_options_init()")
            memcpy(&chosen, options, sizeof(kcore_log_options))
        config = LogConfig(
            segment_bytes=chosen.segment_bytes,
            segment_ms=chosen.segment_ms,
            index_interval_bytes=chosen.index_interval_bytes,
            max_message_bytes=chosen.max_message_bytes,
            decompressed_bytes_max=chosen.decompressed_bytes_max,
            timestamp_type=chosen.timestamp_type,
        )
        opened = Log.open(
            os.fsdecode(path),
            config,
            now_ms=chosen.now_ms,
            clean=chosen.clean != 0,
            recovery_point=chosen.recovery_point,
            log_start_offset=chosen.log_start_offset,
            truncate_corrupt=chosen.truncate_corrupt != 0,
        )
        Py_INCREF(opened)
        log[0] = <PyObject*>opened
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_close(PyObject* log) noexcept:
    cdef Log closing
    try:
        want(log, "log")
        closing = as_log(<object>log)
        Py_DECREF(closing)
        closing.close()
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_append(
    object log, const void* batches, size_t bytes, int origin, int32_t leader_epoch, int64_t now_ms,
    kcore_appended* appended,
) noexcept:
    cdef AppendedStruct done
    try:
        want(batches, "batches")
        if not KCORE_ORIGIN_REPLICA <= origin <= KCORE_ORIGIN_RAFT:
            raise ValueError(f"origin {origin} is unknown")
        if bytes > INT32_MAX:
            raise errors.BatchTooLarge(f"{bytes} bytes at once are too many")
        as_log(log).append_batches(
            None, <const uint8_t*>batches, <Py_ssize_t>bytes, leader_epoch, now_ms, origin, &done
        )
        report(appended, &done)
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_append_records(
    object log, const kcore_record* records, size_t count, int codec, int32_t leader_epoch, int64_t now_ms,
    kcore_appended* appended,
) noexcept:
    cdef AppendedStruct done
    cdef Log target
    cdef BatchBuilder builder
    cdef const kcore_record* record
    cdef size_t i
    cdef const uint8_t[::1] batch
    cdef const char* nothing = ""
    try:
        target = as_log(log)
        want(records, "records")
        if count == 0:
            raise ValueError("a batch has one record at least")
        builder = BatchBuilder(compression=codec)
        for i in range(count):
            record = &records[i]
            if not -1 <= record.key_bytes <= INT32_MAX or not -1 <= record.value_bytes <= INT32_MAX:
                raise ValueError(
                    f"record {i}: a key of {record.key_bytes} and a value of {record.value_bytes} bytes"
                )
            if (record.key_bytes > 0 and record.key == NULL) or (
                record.value_bytes > 0 and record.value == NULL
            ):
                raise TypeError(f"record {i}: the key or value is NULL")
            builder.append_encoded(
                builder.next_delta,
                record.timestamp_ms,
                <const uint8_t*>record.key,
                <int32_t>record.key_bytes,
                <const uint8_t*>record.value,
                <int32_t>record.value_bytes,
                0,
                <const uint8_t*>nothing,  # memcpy() wants a pointer even for no bytes at all
                0,
            )
        built = builder.close()
        batch = built
        target.append_client(built, &batch[0], batch.shape[0], leader_epoch, now_ms, &done)
        report(appended, &done)
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_read(
    object log, int64_t offset, size_t bytes_max, int64_t end_offset, kcore_slice* slice
) noexcept:
    cdef Log source
    cdef LogSlice read
    cdef Py_ssize_t limit = INT32_MAX if bytes_max > INT32_MAX else <Py_ssize_t>bytes_max
    cdef int64_t end = INT64_MAX if end_offset < 0 else end_offset
    try:
        source = as_log(log)
        want(slice, "slice")
        if source.is_cold(offset, limit):
            read = source.read_cold(offset, limit, end_offset=end)
        else:
            read = source.read_slice(offset, limit, end, True)
        Py_INCREF(read)
        slice.owner = <PyObject*>read
        slice.data = read.data if read.size else NULL
        slice.bytes = <size_t>read.size
        slice.offset = offset
        slice.next_offset = read.next_offset
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef int visit_one(object found, kcore_record_visit visit, void* context) except? -1:
    cdef kcore_record record
    cdef object key = found.key, value = found.value
    record.key = record.value = NULL
    record.key_bytes = record.value_bytes = -1
    if key is not None:
        record.key = PyBytes_AS_STRING(key)
        record.key_bytes = PyBytes_GET_SIZE(key)
    if value is not None:
        record.value = PyBytes_AS_STRING(value)
        record.value_bytes = PyBytes_GET_SIZE(value)
    record.timestamp_ms = found.timestamp
    record.offset = found.offset
    return visit(&record, context)


cdef api int kcore_slice_records(const kcore_slice* slice, kcore_record_visit visit, void* context) noexcept:
    cdef int answer
    try:
        want(slice, "slice")
        want(<const void*>visit, "visit")
        if slice.bytes == 0:
            return KCORE_OK
        if slice.owner == NULL or not isinstance(<object>slice.owner, LogSlice):
            raise TypeError("the slice was not read, or was released")
        for batch in iterate_batches(
            <object>slice.owner, decompressed_bytes_max=RECORDS_DECOMPRESSED_MAX
        ):
            batch.check_crc()
            if batch.is_control:
                continue
            for found in batch:
                if <int64_t>found.offset < slice.offset:
                    continue
                answer = visit_one(found, visit, context)
                if answer != 0:
                    return answer
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_slice_release(kcore_slice* slice) noexcept:
    cdef PyObject* owner
    try:
        want(slice, "slice")
        owner = slice.owner
        memset(slice, 0, sizeof(kcore_slice))
        if owner != NULL:
            Py_DECREF(<object>owner)
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_offsets(object log, kcore_offsets* offsets) noexcept:
    cdef Log source
    try:
        source = as_log(log)
        want(offsets, "offsets")
        offsets.size_bytes = source.size_bytes
        offsets.log_start_offset = source.log_start_offset
        offsets.durable_end_offset = source.recovery_point
        offsets.log_end_offset = source.log_end_offset
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_offset_for_time(object log, int64_t timestamp_ms, kcore_position* position) noexcept:
    try:
        source = as_log(log)
        want(position, "position")
        found = source.offset_for_timestamp(timestamp_ms)
        if found is None:
            return KCORE_NOT_FOUND
        position.offset = found.offset
        position.timestamp_ms = found.timestamp_ms
        position.leader_epoch = found.leader_epoch
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_flush(object log, int64_t* durable_end_offset) noexcept:
    cdef int64_t durable
    try:
        durable = as_log(log).flush()
        if durable_end_offset != NULL:
            durable_end_offset[0] = durable
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_roll(object log, int64_t now_ms) noexcept:
    try:
        as_log(log).roll(now_ms)
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_truncate(object log, int64_t offset) noexcept:
    try:
        if offset < 0:
            raise ValueError(f"offset {offset} is negative")
        as_log(log).truncate_to(offset)
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_recovery(object log, kcore_recovery* recovery) noexcept:
    try:
        done = as_log(log).recovery_report
        want(recovery, "recovery")
        recovery.segments_scanned = done.segments_scanned
        recovery.bytes_scanned = done.bytes_scanned
        recovery.cuts = len(done.cuts)
        recovery.indexes_rebuilt = len(done.rebuilt_indexes)
        recovery.files_removed = len(done.removed_files)
        recovery.clean = 1 if done.clean else 0
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef api int kcore_log_recovery_cut(object log, int64_t index, kcore_cut* cut) noexcept:
    cdef bytes file, reason
    try:
        cuts = as_log(log).recovery_report.cuts
        want(cut, "cut")
        if not 0 <= index < len(cuts):
            raise ValueError(f"there is no cut {index}: there are {len(cuts)}")
        found = cuts[index]
        # The strings' UTF-8 is cached in them, and the report holds them as long as the log lives.
        cut.file = PyUnicode_AsUTF8(found.file)
        cut.reason = PyUnicode_AsUTF8(found.reason)
        cut.position = found.position
        cut.bytes = found.size_bytes
        cut.offset = found.offset
    except BaseException as error:
        return failed(error)
    return KCORE_OK


cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8(object text) except NULL

cdef bytes VERSION_TEXT = __import__("kcore").__version__.encode()
cdef const char* VERSION = VERSION_TEXT

kcore_the_table.abi_version = KCORE_ABI_VERSION
kcore_the_table.functions = KCORE_TABLE_FUNCTIONS
kcore_the_table.version = kcore_version
kcore_the_table.error_message = kcore_error_message
kcore_the_table.error_name = kcore_error_name
kcore_the_table.log_options_init = kcore_log_options_init
kcore_the_table.log_open = kcore_log_open
kcore_the_table.log_close = kcore_log_close
kcore_the_table.log_append = kcore_log_append
kcore_the_table.log_append_records = kcore_log_append_records
kcore_the_table.log_read = kcore_log_read
kcore_the_table.slice_records = kcore_slice_records
kcore_the_table.slice_release = kcore_slice_release
kcore_the_table.log_offsets = kcore_log_offsets
kcore_the_table.log_offset_for_time = kcore_log_offset_for_time
kcore_the_table.log_flush = kcore_log_flush
kcore_the_table.log_roll = kcore_log_roll
kcore_the_table.log_truncate = kcore_log_truncate
kcore_the_table.log_recovery = kcore_log_recovery
kcore_the_table.log_recovery_cut = kcore_log_recovery_cut

table = PyCapsule_New(&kcore_the_table, KCORE_CAPSULE, NULL)
