# kcore.capi: the C surface. C and C++ programs include kcore.h, where everything is documented; other Cython
# modules `cimport kcore.capi` (include path: kcore.get_include()). Handles are plain objects, checked in each call,
# so a change of Log's fields never needs a plug-in's rebuild.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from "kcore.h":
    enum:
        KCORE_ABI_VERSION
        KCORE_NOT_FOUND
        KCORE_OK
        KCORE_CORRUPT_BATCH
        KCORE_INVALID_RECORD
        KCORE_INVALID_TIMESTAMP
        KCORE_BATCH_TOO_LARGE
        KCORE_UNSUPPORTED_MAGIC
        KCORE_UNSUPPORTED_COMPRESSION
        KCORE_DECOMPRESSED_TOO_LARGE
        KCORE_OFFSET_OUT_OF_RANGE
        KCORE_OFFSETS_OUT_OF_ORDER
        KCORE_OUT_OF_ORDER_SEQUENCE
        KCORE_INVALID_PRODUCER_EPOCH
        KCORE_UNKNOWN_PRODUCER
        KCORE_INVALID_TXN_STATE
        KCORE_COORDINATOR_FENCED
        KCORE_LOG_FAILED
        KCORE_DIRECTORY_LOCKED
        KCORE_CORRUPT_FILE
        KCORE_CORRUPT_LOG
        KCORE_INVALID_ARGUMENT
        KCORE_NO_MEMORY
        KCORE_OS_ERROR
        KCORE_INTERNAL
        KCORE_STATUS_MIN
        KCORE_ORIGIN_REPLICA
        KCORE_ORIGIN_CLIENT
        KCORE_ORIGIN_COORDINATOR
        KCORE_ORIGIN_RAFT
        KCORE_CODEC_NONE
        KCORE_CODEC_GZIP
        KCORE_CODEC_SNAPPY
        KCORE_CODEC_LZ4
        KCORE_CODEC_ZSTD
        KCORE_TABLE_FUNCTIONS

    const char* KCORE_CAPSULE

    ctypedef struct kcore_log_options:
        size_t struct_bytes
        int64_t now_ms
        int64_t segment_bytes
        int64_t segment_ms
        int64_t index_interval_bytes
        int64_t max_message_bytes
        int64_t decompressed_bytes_max
        int64_t recovery_point
        int64_t log_start_offset
        int32_t clean
        int32_t timestamp_type
        int32_t truncate_corrupt

    ctypedef struct kcore_appended:
        int64_t base_offset
        int64_t last_offset
        int64_t log_append_time_ms
        int64_t log_start_offset
        int64_t max_timestamp_ms
        int32_t leader_epoch
        int32_t duplicate

    ctypedef struct kcore_record:
        const void* key
        const void* value
        int64_t key_bytes
        int64_t value_bytes
        int64_t timestamp_ms
        int64_t offset

    ctypedef struct kcore_slice:
        const uint8_t* data
        size_t bytes
        int64_t offset
        int64_t next_offset
        PyObject* owner

    ctypedef struct kcore_offsets:
        int64_t log_start_offset
        int64_t log_end_offset
        int64_t durable_end_offset
        int64_t size_bytes

    ctypedef struct kcore_position:
        int64_t offset
        int64_t timestamp_ms
        int32_t leader_epoch

    ctypedef struct kcore_recovery:
        int64_t segments_scanned
        int64_t bytes_scanned
        int64_t cuts
        int64_t indexes_rebuilt
        int64_t files_removed
        int32_t clean

    ctypedef struct kcore_cut:
        const char* file
        const char* reason
        int64_t position
        int64_t bytes
        int64_t offset

    ctypedef int (*kcore_record_visit)(const kcore_record* record, void* context) noexcept

cdef api const char* kcore_version() noexcept
cdef api const char* kcore_error_message() noexcept
cdef api const char* kcore_error_name(int status) noexcept
cdef api int kcore_log_options_init(kcore_log_options* options) noexcept
cdef api int kcore_log_open(const char* path, const kcore_log_options* options, PyObject** log) noexcept
cdef api int kcore_log_close(PyObject* log) noexcept
cdef api int kcore_log_append(
    object log, const void* batches, size_t bytes, int origin, int32_t leader_epoch, int64_t now_ms,
    kcore_appended* appended,
) noexcept
cdef api int kcore_log_append_records(
    object log, const kcore_record* records, size_t count, int codec, int32_t leader_epoch, int64_t now_ms,
    kcore_appended* appended,
) noexcept
cdef api int kcore_log_read(
    object log, int64_t offset, size_t bytes_max, int64_t end_offset, kcore_slice* slice
) noexcept
cdef api int kcore_slice_records(const kcore_slice* slice, kcore_record_visit visit, void* context) noexcept
cdef api int kcore_slice_release(kcore_slice* slice) noexcept
cdef api int kcore_log_offsets(object log, kcore_offsets* offsets) noexcept
cdef api int kcore_log_offset_for_time(object log, int64_t timestamp_ms, kcore_position* position) noexcept
cdef api int kcore_log_flush(object log, int64_t* durable_end_offset) noexcept
cdef api int kcore_log_roll(object log, int64_t now_ms) noexcept
cdef api int kcore_log_truncate(object log, int64_t offset) noexcept
cdef api int kcore_log_recovery(object log, kcore_recovery* recovery) noexcept
cdef api int kcore_log_recovery_cut(object log, int64_t index, kcore_cut* cut) noexcept
