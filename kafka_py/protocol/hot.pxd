"""Compiled paths for Produce, Fetch and ApiVersions: parsing and writing without Python objects.

Caveats: the pointers of a parser point into the frame that it parsed and are void once the frame is; a parser is reused
by parsing again, which overwrites everything. All parsers check every bound, count, string and varint as the table codec
does and agree with it byte for byte (tests/protocol/test_hot.py). Names are checked to be UTF-8.

Lengths are -1 for null; ids are 16 zero bytes and names have length -1 in versions that lack them.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    # Statuses of the parsers; `raise_status` turns one into MalformedRequest.
    HOT_OK = 0
    HOT_SHORT = 1           # the bytes end early
    HOT_LENGTH = 2          # a length that may not be, or is beyond what arrived
    HOT_COUNT = 3           # more elements than may be, or than arrived
    HOT_VARINT = 4          # longer than 5 bytes, or above 32 bits
    HOT_UTF8 = 5            # a string that is not UTF-8
    HOT_TAGS = 6            # tagged fields: too many, out of order, or of a wrong length
    HOT_TRAILING = 7        # bytes left over
    HOT_VERSION = 8         # a version that the parser does not know
    HOT_API = 9             # an API key that Kafka 4 does not have
    HOT_MEMORY = 10         # no memory


cdef struct RequestHead:
    int16_t api_key
    int16_t api_version
    int32_t correlation_id
    const uint8_t* client_id
    int32_t client_id_bytes         # -1: null
    Py_ssize_t body_start           # from the start of the frame (after its length prefix)

cdef int read_request_head(const uint8_t* frame, Py_ssize_t n, RequestHead* out) noexcept nogil
# Header v1 or v2, as the API and version require; the frame without its length prefix. At most 4,096 bytes.

cdef int raise_status(int status, object where) except -1
# MalformedRequest, UnsupportedVersion or MemoryError for a status that is not HOT_OK.


cdef struct HotTopic:
    const uint8_t* name
    int32_t name_bytes              # -1 in versions with topic ids
    uint8_t topic_id[16]            # zero in versions with names
    Py_ssize_t first                # the topic's partitions: [first, first + count)
    Py_ssize_t count

cdef struct ProducePartition:
    int32_t index
    Py_ssize_t topic                # index into topics
    const uint8_t* records
    Py_ssize_t records_bytes        # -1: null

cdef class ProduceParser:
    """A produce request, v3-13."""
    cdef int16_t version
    cdef int16_t acks
    cdef int32_t timeout_ms
    cdef const uint8_t* transactional_id
    cdef int32_t transactional_id_bytes
    cdef HotTopic* topics
    cdef Py_ssize_t topics_count
    cdef Py_ssize_t topics_capacity
    cdef ProducePartition* partitions
    cdef Py_ssize_t partitions_count
    cdef Py_ssize_t partitions_capacity
    cdef object frame               # what `load` parsed, kept alive
    cdef int parse(self, const uint8_t* body, Py_ssize_t n, int16_t version) noexcept nogil


cdef struct FetchPartition:
    int32_t index
    int32_t current_leader_epoch    # -1 below v9
    int64_t fetch_offset
    int32_t last_fetched_epoch      # -1 below v12
    int64_t log_start_offset        # -1 below v5
    int32_t max_bytes
    Py_ssize_t topic                # index into topics
    uint8_t replica_directory_id[16]
    int64_t high_watermark          # 2^63-1: not said

cdef class FetchParser:
    """A fetch request, v4-18. `forgotten` topics have their partition indexes in `forgotten_partitions`."""
    cdef int16_t version
    cdef int32_t replica_id         # also from the replica state of v15+; -1: a consumer
    cdef int64_t replica_epoch
    cdef int32_t max_wait_ms
    cdef int32_t min_bytes
    cdef int32_t max_bytes
    cdef int8_t isolation_level
    cdef int32_t session_id
    cdef int32_t session_epoch
    cdef const uint8_t* cluster_id
    cdef int32_t cluster_id_bytes
    cdef const uint8_t* rack_id
    cdef int32_t rack_id_bytes
    cdef HotTopic* topics
    cdef Py_ssize_t topics_count
    cdef Py_ssize_t topics_capacity
    cdef FetchPartition* partitions
    cdef Py_ssize_t partitions_count
    cdef Py_ssize_t partitions_capacity
    cdef HotTopic* forgotten
    cdef Py_ssize_t forgotten_count
    cdef Py_ssize_t forgotten_capacity
    cdef int32_t* forgotten_partitions
    cdef Py_ssize_t forgotten_partitions_count
    cdef Py_ssize_t forgotten_partitions_capacity
    cdef object frame
    cdef int parse(self, const uint8_t* body, Py_ssize_t n, int16_t version) noexcept nogil


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
