"""Compiled parsers of Produce and Fetch requests: no Python objects for what the wire carries.

Caveats: the pointers of a parser point into the frame that it parsed and are void once the frame is; a parser is reused
by parsing again, which overwrites everything. All parsers check every bound, count, string and varint as the table codec
does and agree with it byte for byte (tests/protocol/test_hot.py). Names are checked to be UTF-8.

Lengths are -1 for null; ids are 16 zero bytes and names have length -1 in versions that lack them. Statuses: wire.pxd.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t


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
