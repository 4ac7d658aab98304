"""Compiled writers of Produce and Fetch responses, which agree with the table codec byte for byte."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t

from kafka_py.protocol.hot_requests cimport ProduceParser


cdef class OutBuffer:
    """A growing C buffer for response frames; `clear` keeps its memory. Exports the buffer protocol, read-only.

    While a view is out, `clear` and growth leave the viewed block alone (it is freed with the last view) and go on in a
    new one, so that a reply in flight is never overwritten.
    """
    cdef uint8_t* data
    cdef Py_ssize_t length
    cdef Py_ssize_t capacity
    cdef Py_ssize_t exports
    cdef uint8_t** parked           # blocks that views may still look at
    cdef Py_ssize_t parked_count
    cdef int park(self) except -1
    cdef uint8_t* reserve(self, Py_ssize_t n) except NULL   # where n more bytes may be written
    cdef int clear(self) except -1


cdef struct HotEndpoint:
    int32_t node_id
    const uint8_t* host
    int32_t host_bytes
    int32_t port
    const uint8_t* rack
    int32_t rack_bytes              # -1: null

cdef struct ProduceResult:
    int16_t error_code
    int64_t base_offset
    int64_t log_append_time_ms
    int64_t log_start_offset
    const uint8_t* error_message
    int32_t error_message_bytes     # -1: null
    int32_t leader_id               # v10+: both -1 unless NOT_LEADER_OR_FOLLOWER
    int32_t leader_epoch

cdef int write_produce_response(
    OutBuffer out, ProduceParser request, const ProduceResult* results, int32_t correlation_id,
    int32_t throttle_time_ms, const HotEndpoint* endpoints, Py_ssize_t endpoints_count,
) except -1
# Appends the whole frame, length prefix first; results[i] answers request.partitions[i]. Record errors: table codec.


cdef struct AbortedTransaction:
    int64_t producer_id
    int64_t first_offset

cdef struct FetchResult:
    int32_t index
    int16_t error_code
    int64_t high_watermark
    int64_t last_stable_offset
    int64_t log_start_offset
    const AbortedTransaction* aborted
    Py_ssize_t aborted_count        # -1: null
    int32_t preferred_read_replica  # -1: none
    Py_ssize_t records_bytes        # -1: null, which no Kafka broker sends
    int32_t diverging_epoch         # v12+ tags, each omitted when all its numbers are -1
    int64_t diverging_end_offset
    int32_t leader_id
    int32_t leader_epoch
    int64_t snapshot_end_offset
    int32_t snapshot_epoch

cdef void fetch_result_init(FetchResult* result, int32_t index) noexcept nogil  # defaults, no records

cdef struct RecordsCut:
    Py_ssize_t at                   # in FetchWriter.out.data, where the record bytes belong
    Py_ssize_t records_bytes

cdef class FetchWriter:
    """A fetch response frame, v4-18, without the record bytes.

    begin, then for each topic: begin_topic, its partitions, end_topic; then finish. Send out.data[:cuts[0].at], the
    records of cut 0, out.data[cuts[0].at:cuts[1].at], and so on: a cut for each partition with records_bytes > 0.
    """
    cdef readonly OutBuffer out
    cdef RecordsCut* cuts
    cdef Py_ssize_t cuts_count
    cdef Py_ssize_t cuts_capacity
    cdef Py_ssize_t records_total
    cdef Py_ssize_t start           # of the frame in out
    cdef int16_t version
    cdef int begin(
        self, int16_t version, int32_t correlation_id, int32_t throttle_time_ms, int16_t error_code,
        int32_t session_id, Py_ssize_t topics_count,
    ) except -1
    cdef int begin_topic(
        self, const uint8_t* name, Py_ssize_t name_bytes, const uint8_t* topic_id, Py_ssize_t partitions_count,
    ) except -1
    cdef int partition(self, const FetchResult* result) except -1
    cdef int end_topic(self) except -1
    cdef Py_ssize_t finish(self, const HotEndpoint* endpoints, Py_ssize_t endpoints_count) except -1
    # finish: patches the length prefix; the frame's bytes on the wire, prefix and records included


cdef class CachedResponses:
    """Whole response frames by version, for an answer that seldom changes (ApiVersions)."""
    cdef dict frames
    cdef int write(self, OutBuffer out, int16_t version, int32_t correlation_id) except -1  # 0: no such version
