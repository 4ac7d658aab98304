"""Compiled writers of Produce and Fetch responses, and whole responses kept for reuse; the .pxd says what each does."""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from kafka_py.protocol.hot_requests cimport HotTopic, ProduceParser
from kafka_py.protocol.wire cimport (
    grow, put8, put16, put32, put64, put_count, put_string, put_uvarint, uvarint_bytes,
)

from kafka_py.protocol.errors import UnsupportedVersion
from kafka_py.protocol.fetch import FetchResponse
from kafka_py.protocol.produce import ProduceResponse

__all__ = ("CachedResponses", "FetchWriter", "OutBuffer", "encode_produce_response")

cdef int PRODUCE_FLEXIBLE = ProduceResponse.FLEXIBLE
cdef int FETCH_FIRST = FetchResponse.VERSIONS[0], FETCH_LAST = FetchResponse.VERSIONS[1]
cdef int FETCH_FLEXIBLE = FetchResponse.FLEXIBLE

cdef inline uint8_t* put_leader(uint8_t* p, int32_t leader_id, int32_t leader_epoch, int tag) noexcept nogil:
    p = put8(put8(p, tag), 9)
    return put8(put32(put32(p, leader_id), leader_epoch), 0)

cdef class OutBuffer:
    def __dealloc__(self):
        for k in range(self.parked_count):
            free(self.parked[k])
        free(self.parked)
        free(self.data)

    cdef int park(self) except -1:
        """Leave the current block to its views."""
        cdef uint8_t** more = <uint8_t**>realloc(self.parked, (self.parked_count + 1) * sizeof(void*))
        if more == NULL:
            raise MemoryError()
        self.parked = more
        self.parked[self.parked_count] = self.data
        self.parked_count += 1
        self.data = NULL
        self.capacity = 0
        return 0

    cdef uint8_t* reserve(self, Py_ssize_t n) except NULL:
        cdef Py_ssize_t wanted = self.length + n
        cdef uint8_t* old = self.data
        cdef uint8_t* bigger
        if wanted <= self.capacity:
            return self.data + self.length
        wanted = max(wanted, 2 * self.capacity, 512)
        if self.exports == 0:
            bigger = <uint8_t*>realloc(self.data, wanted)
        else:
            bigger = <uint8_t*>malloc(wanted)
        if bigger == NULL:
            raise MemoryError()
        if self.exports and old != NULL:
            memcpy(bigger, old, self.length)
            self.park()
        self.data = bigger
        self.capacity = wanted
        return self.data + self.length

    cdef int clear(self) except -1:
        if self.exports:
            self.park()
        self.length = 0
        return 0

    def reset(self):
        """Empty it; views that are out stay valid."""
        self.clear()

    def __len__(self):
        return self.length

    def __getbuffer__(self, Py_buffer* view, int flags):
        self.reserve(1)
        PyBuffer_FillInfo(view, self, self.data, self.length, 1, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.exports -= 1
        if self.exports == 0:
            for k in range(self.parked_count):
                free(self.parked[k])
            self.parked_count = 0

cdef Py_ssize_t endpoints_bytes(const HotEndpoint* endpoints, Py_ssize_t count) noexcept nogil:
    """Size of the endpoints array, the data of its tagged field."""
    cdef Py_ssize_t n = uvarint_bytes(<uint64_t>(count + 1))
    for k in range(count):
        n += 9 + uvarint_bytes(<uint64_t>(endpoints[k].host_bytes + 1)) + endpoints[k].host_bytes
        n += uvarint_bytes(<uint64_t>(endpoints[k].rack_bytes + 1)) + max(0, endpoints[k].rack_bytes)
    return n

cdef int write_endpoints_tag(OutBuffer out, const HotEndpoint* endpoints, Py_ssize_t count) except -1:
    """The message's tagged fields: none, or the endpoints as tag 0."""
    cdef Py_ssize_t size = endpoints_bytes(endpoints, count) if count > 0 else 0
    cdef uint8_t* p = out.reserve(size + 16)
    if count == 0:
        out.length = put8(p, 0) - out.data
        return 0
    p = put_uvarint(put8(put8(p, 1), 0), <uint64_t>size)
    p = put_uvarint(p, <uint64_t>(count + 1))
    for k in range(count):
        p = put32(p, endpoints[k].node_id)
        p = put_string(p, endpoints[k].host, endpoints[k].host_bytes, True)
        p = put32(p, endpoints[k].port)
        p = put_string(p, endpoints[k].rack, endpoints[k].rack_bytes, True)
        p = put8(p, 0)
    out.length = p - out.data
    return 0

cdef inline uint8_t* put_topic_key(uint8_t* p, const HotTopic* topic, bint by_id, bint flexible) noexcept nogil:
    if by_id:
        memcpy(p, topic.topic_id, 16)
        return p + 16
    return put_string(p, topic.name, topic.name_bytes, flexible)

cdef inline uint8_t* put_produce_result(
    uint8_t* p, int32_t index, const ProduceResult* result, int16_t version, bint flexible
) noexcept nogil:
    p = put64(put16(put32(p, index), result.error_code), result.base_offset)
    p = put64(p, result.log_append_time_ms)
    if version >= 5:
        p = put64(p, result.log_start_offset)
    if version >= 8:
        p = put_count(p, 0, flexible)
        p = put_string(p, result.error_message, result.error_message_bytes, flexible)
    if flexible:
        if version >= 10 and (result.leader_id != -1 or result.leader_epoch != -1):
            p = put_leader(put8(p, 1), result.leader_id, result.leader_epoch, 0)
        else:
            p = put8(p, 0)
    return p

cdef int write_produce_response(
    OutBuffer out, ProduceParser request, const ProduceResult* results, int32_t correlation_id,
    int32_t throttle_time_ms, const HotEndpoint* endpoints, Py_ssize_t endpoints_count,
) except -1:
    cdef int16_t version = request.version
    cdef bint flexible = version >= PRODUCE_FLEXIBLE
    cdef Py_ssize_t begin = out.length, room
    cdef HotTopic* topic
    cdef uint8_t* p = out.reserve(32)
    p = put32(put32(p, 0), correlation_id)
    if flexible:
        p = put8(p, 0)
    p = put_count(p, request.topics_count, flexible)
    out.length = p - out.data
    for t in range(request.topics_count):
        topic = &request.topics[t]
        room = 64 + max(0, topic.name_bytes)
        for k in range(topic.first, topic.first + topic.count):
            room += 64 + max(0, results[k].error_message_bytes)
        p = out.reserve(room)
        p = put_topic_key(p, topic, version >= 13, flexible)
        p = put_count(p, topic.count, flexible)
        for k in range(topic.first, topic.first + topic.count):
            p = put_produce_result(p, request.partitions[k].index, &results[k], version, flexible)
        if flexible:
            p = put8(p, 0)
        out.length = p - out.data
    p = out.reserve(4)
    out.length = put32(p, throttle_time_ms) - out.data
    if flexible:
        write_endpoints_tag(out, endpoints, endpoints_count if version >= 10 else 0)
    put32(out.data + begin, out.length - begin - 4)
    return 0

cdef void fetch_result_init(FetchResult* result, int32_t index) noexcept nogil:
    memset(result, 0, sizeof(FetchResult))
    result.index = index
    result.last_stable_offset = result.log_start_offset = -1
    result.preferred_read_replica = -1
    result.diverging_epoch = result.leader_id = result.leader_epoch = result.snapshot_epoch = -1
    result.diverging_end_offset = result.snapshot_end_offset = -1

cdef uint8_t* put_fetch_tags(uint8_t* p, const FetchResult* r) noexcept nogil:
    cdef bint diverging = r.diverging_epoch != -1 or r.diverging_end_offset != -1
    cdef bint leader = r.leader_id != -1 or r.leader_epoch != -1
    cdef bint snapshot = r.snapshot_end_offset != -1 or r.snapshot_epoch != -1
    p = put8(p, diverging + leader + snapshot)
    if diverging:
        p = put32(put8(put8(p, 0), 13), r.diverging_epoch)
        p = put8(put64(p, r.diverging_end_offset), 0)
    if leader:
        p = put_leader(p, r.leader_id, r.leader_epoch, 1)
    if snapshot:
        p = put64(put8(put8(p, 2), 13), r.snapshot_end_offset)
        p = put8(put32(p, r.snapshot_epoch), 0)
    return p

cdef class FetchWriter:
    def __cinit__(self, OutBuffer out=None):
        self.out = OutBuffer() if out is None else out

    def __dealloc__(self):
        free(self.cuts)

    cdef int begin(
        self, int16_t version, int32_t correlation_id, int32_t throttle_time_ms, int16_t error_code,
        int32_t session_id, Py_ssize_t topics_count,
    ) except -1:
        if not FETCH_FIRST <= version <= FETCH_LAST:
            raise UnsupportedVersion(f"FetchResponse has no version {version}")
        cdef uint8_t* p = self.out.reserve(32)
        self.version = version
        self.start = self.out.length
        self.cuts_count = 0
        self.records_total = 0
        p = put32(put32(p, 0), correlation_id)
        if version >= FETCH_FLEXIBLE:
            p = put8(p, 0)
        p = put32(p, throttle_time_ms)
        if version >= 7:
            p = put32(put16(p, error_code), session_id)
        p = put_count(p, topics_count, version >= FETCH_FLEXIBLE)
        self.out.length = p - self.out.data
        return 0

    cdef int begin_topic(
        self, const uint8_t* name, Py_ssize_t name_bytes, const uint8_t* topic_id, Py_ssize_t partitions_count,
    ) except -1:
        cdef uint8_t* p = self.out.reserve(32 + max(0, name_bytes))
        cdef bint flexible = self.version >= FETCH_FLEXIBLE
        if self.version >= 13:
            memcpy(p, topic_id, 16)
            p += 16
        else:
            p = put_string(p, name, name_bytes, flexible)
        p = put_count(p, partitions_count, flexible)
        self.out.length = p - self.out.data
        return 0

    cdef int partition(self, const FetchResult* result) except -1:
        cdef bint flexible = self.version >= FETCH_FLEXIBLE
        cdef uint8_t* p = self.out.reserve(128 + 17 * max(0, result.aborted_count))
        cdef void* room
        p = put64(put16(put32(p, result.index), result.error_code), result.high_watermark)
        p = put64(p, result.last_stable_offset)
        if self.version >= 5:
            p = put64(p, result.log_start_offset)
        p = put_count(p, result.aborted_count, flexible)
        for k in range(result.aborted_count):
            p = put64(put64(p, result.aborted[k].producer_id), result.aborted[k].first_offset)
            if flexible:
                p = put8(p, 0)
        if self.version >= 11:
            p = put32(p, result.preferred_read_replica)
        p = put_count(p, result.records_bytes, flexible)
        self.out.length = p - self.out.data
        if result.records_bytes > 0:
            room = grow(self.cuts, &self.cuts_capacity, self.cuts_count, sizeof(RecordsCut))
            if room == NULL:
                raise MemoryError()
            self.cuts = <RecordsCut*>room
            self.cuts[self.cuts_count].at = self.out.length
            self.cuts[self.cuts_count].records_bytes = result.records_bytes
            self.cuts_count += 1
            self.records_total += result.records_bytes
        if flexible:
            self.out.length = put_fetch_tags(p, result) - self.out.data
        return 0

    cdef int end_topic(self) except -1:
        cdef uint8_t* p = self.out.reserve(1)
        if self.version >= FETCH_FLEXIBLE:
            self.out.length = put8(p, 0) - self.out.data
        return 0

    cdef Py_ssize_t finish(self, const HotEndpoint* endpoints, Py_ssize_t endpoints_count) except -1:
        cdef Py_ssize_t size
        if self.version >= FETCH_FLEXIBLE:
            write_endpoints_tag(self.out, endpoints, endpoints_count if self.version >= 16 else 0)
        size = self.out.length - self.start + self.records_total
        if size - 4 > 0x7FFFFFFF:
            raise OverflowError("a response frame has at most 2 GiB")
        put32(self.out.data + self.start, size - 4)
        return size

    def encode(self, int16_t version, int32_t correlation_id, response not None):
        """The frame of a table FetchResponse as parts: buffers between which the records stand, uncopied."""
        self.out.clear()
        self.begin(
            version, correlation_id, response.throttle_time_ms, response.error_code, response.session_id,
            len(response.responses),
        )
        records = []
        for topic in response.responses:
            name = topic.topic.encode()
            self.begin_topic(<const uint8_t*><char*>name, len(name), <const uint8_t*><char*>topic.topic_id,
                             len(topic.partitions))
            for part in topic.partitions:
                if part.records is not None and len(part.records):
                    records.append(part.records)
                write_partition_message(self, part)
            self.end_topic()
        endpoints = EndpointArray(response.node_endpoints)
        self.finish(endpoints.items, endpoints.count)
        parts = []
        cdef Py_ssize_t at = 0
        whole = memoryview(self.out)
        for k in range(self.cuts_count):
            parts += (whole[at:self.cuts[k].at], records[k])
            at = self.cuts[k].at
        parts.append(whole[at:])
        return parts

cdef int write_partition_message(FetchWriter writer, object part) except -1:
    """A table PartitionData through the C struct."""
    cdef FetchResult r
    cdef AbortedTransaction* aborted = NULL
    fetch_result_init(&r, part.partition_index)
    r.error_code = part.error_code
    r.high_watermark = part.high_watermark
    r.last_stable_offset = part.last_stable_offset
    r.log_start_offset = part.log_start_offset
    r.preferred_read_replica = part.preferred_read_replica
    r.records_bytes = -1 if part.records is None else len(part.records)
    r.diverging_epoch = part.diverging_epoch.epoch
    r.diverging_end_offset = part.diverging_epoch.end_offset
    r.leader_id = part.current_leader.leader_id
    r.leader_epoch = part.current_leader.leader_epoch
    r.snapshot_end_offset = part.snapshot_id.end_offset
    r.snapshot_epoch = part.snapshot_id.epoch
    r.aborted_count = -1
    try:
        if part.aborted_transactions is not None:
            r.aborted_count = len(part.aborted_transactions)
            aborted = <AbortedTransaction*>malloc((r.aborted_count + 1) * sizeof(AbortedTransaction))
            if aborted == NULL:
                raise MemoryError()
            for k in range(r.aborted_count):
                aborted[k].producer_id = part.aborted_transactions[k].producer_id
                aborted[k].first_offset = part.aborted_transactions[k].first_offset
            r.aborted = aborted
        return writer.partition(&r)
    finally:
        free(aborted)

cdef class EndpointArray:
    """Table endpoints as C structs, with the texts that they point to kept alive."""
    cdef HotEndpoint* items
    cdef Py_ssize_t count
    cdef list texts

    def __cinit__(self, endpoints):
        self.count = len(endpoints)
        self.items = <HotEndpoint*>malloc((self.count + 1) * sizeof(HotEndpoint))
        if self.items == NULL:
            raise MemoryError()
        self.texts = []
        for k in range(self.count):
            host = endpoints[k].host.encode()
            rack = b"" if endpoints[k].rack is None else endpoints[k].rack.encode()
            self.texts += (host, rack)
            self.items[k].node_id = endpoints[k].node_id
            self.items[k].host = <const uint8_t*><char*>host
            self.items[k].host_bytes = <int32_t>len(host)
            self.items[k].port = endpoints[k].port
            self.items[k].rack = <const uint8_t*><char*>rack
            self.items[k].rack_bytes = -1 if endpoints[k].rack is None else <int32_t>len(rack)

    def __dealloc__(self):
        free(self.items)


def encode_produce_response(ProduceParser request not None, response not None, int32_t correlation_id):
    """The frame of a table ProduceResponse that answers what `request` parsed.

    The response's topics and partitions must be the request's, in its order; record errors are not written.
    """
    cdef OutBuffer out = OutBuffer()
    cdef ProduceResult* results = <ProduceResult*>malloc((request.partitions_count + 1) * sizeof(ProduceResult))
    cdef Py_ssize_t k = 0
    if results == NULL:
        raise MemoryError()
    texts = []
    try:
        for topic in response.responses:
            for part in topic.partition_responses:
                if k >= request.partitions_count or request.partitions[k].index != part.index:
                    raise ValueError("the response's partitions are not the request's")
                results[k].error_code = part.error_code
                results[k].base_offset = part.base_offset
                results[k].log_append_time_ms = part.log_append_time_ms
                results[k].log_start_offset = part.log_start_offset
                message = b"" if part.error_message is None else part.error_message.encode()
                texts.append(message)
                results[k].error_message = <const uint8_t*><char*>message
                results[k].error_message_bytes = -1 if part.error_message is None else <int32_t>len(message)
                results[k].leader_id = part.current_leader.leader_id
                results[k].leader_epoch = part.current_leader.leader_epoch
                k += 1
        if k != request.partitions_count:
            raise ValueError("the response's partitions are not the request's")
        endpoints = EndpointArray(response.node_endpoints)
        write_produce_response(
            out, request, results, correlation_id, response.throttle_time_ms, endpoints.items, endpoints.count
        )
        return bytes(out)
    finally:
        free(results)

cdef class CachedResponses:
    def __cinit__(self):
        self.frames = {}

    def put(self, int version, bytes frame not None):
        """Keep a whole response frame (length prefix first) for a version."""
        if len(frame) < 8 or int.from_bytes(frame[:4], "big") != len(frame) - 4:
            raise ValueError("not a response frame")
        self.frames[version] = frame

    def clear(self):
        """Forget all frames."""
        self.frames.clear()

    def get(self, int version, int32_t correlation_id):
        """The frame of a version with this correlation id; None when there is none."""
        cdef OutBuffer out = OutBuffer()
        return bytes(out) if self.write(out, version, correlation_id) else None

    cdef int write(self, OutBuffer out, int16_t version, int32_t correlation_id) except -1:
        cdef bytes frame = self.frames.get(version)
        if frame is None:
            return 0
        cdef Py_ssize_t n = len(frame)
        cdef uint8_t* p = out.reserve(n)
        memcpy(p, <const char*>frame, n)
        put32(p + 4, correlation_id)
        out.length += n
        return 1
