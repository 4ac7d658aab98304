"""Compiled paths for Produce, Fetch and ApiVersions; hot.pxd says what each does.

Parsing goes through one cursor, whose status is sticky: after the first error every read gives 0 and moves nothing, so
checks stand at the loops rather than at every field.

```
produce v3+ : transactional_id acks:16 timeout:32 [topic: name|id [partition: index:32 records]]
fetch v4+   : (replica:32 <v15) wait:32 min:32 max:32 isolation:8 (session:32 epoch:32 v7+)
              [topic: name|id [partition: index:32 (epoch:32 v9+) offset:64 (last_epoch:32 v12+)
                               (log_start:64 v5+) max:32]]
              [forgotten: name|id [index:32]] v7+   rack v11+
```
From the flexible version on (produce 9, fetch 12) lengths are varints and every struct ends with tagged fields.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from kafka_py.protocol.codegen import ELEMENTS_MAX, ELEMENTS_TOTAL_MAX, STRING_BYTES_MAX, TAGS_MAX
from kafka_py.protocol.errors import MalformedRequest, UnsupportedVersion
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.framing import HEADER_BYTES_MAX
from kafka_py.protocol.produce import ProduceRequest
from kafka_py.protocol.registry import API

__all__ = (
    "CachedResponses",
    "FetchParser",
    "FetchWriter",
    "OutBuffer",
    "ProduceParser",
    "encode_produce_response",
    "request_head",
)

cdef int PRODUCE_FIRST = ProduceRequest.VERSIONS[0], PRODUCE_LAST = ProduceRequest.VERSIONS[1]
cdef int PRODUCE_FLEXIBLE = ProduceRequest.FLEXIBLE
cdef int FETCH_FIRST = FetchRequest.VERSIONS[0], FETCH_LAST = FetchRequest.VERSIONS[1]
cdef int FETCH_FLEXIBLE = FetchRequest.FLEXIBLE
cdef Py_ssize_t HEAD_LIMIT = HEADER_BYTES_MAX
cdef int64_t COUNT_MAX = ELEMENTS_MAX
cdef int64_t COUNT_TOTAL_MAX = ELEMENTS_TOTAL_MAX
cdef int64_t STRING_MAX = STRING_BYTES_MAX
cdef int64_t TAG_COUNT_MAX = TAGS_MAX
cdef int64_t INT64_MAX = 0x7FFFFFFFFFFFFFFF

# First version with tagged fields in the request header, by API key; -1: no such API.
cdef int32_t HEAD_FLEXIBLE[128]
for _key in range(128):
    HEAD_FLEXIBLE[_key] = -1
for _api in API.values():
    HEAD_FLEXIBLE[<int>_api.key] = 0x10000 if _api.flexible is None else <int>_api.flexible

STATUS_TEXTS = {
    HOT_SHORT: "the bytes end early",
    HOT_LENGTH: "a length that may not be, or is beyond what arrived",
    HOT_COUNT: "more elements than may be, or than arrived",
    HOT_VARINT: "a varint that is longer than 5 bytes or above 32 bits",
    HOT_UTF8: "a string that is not UTF-8",
    HOT_TAGS: "tagged fields that are too many, out of order or of a wrong length",
    HOT_TRAILING: "bytes left over",
    HOT_VERSION: "a version that does not exist",
    HOT_API: "an unknown API key",
}


cdef int raise_status(int status, object where) except -1:
    if status == HOT_OK:
        return 0
    if status == HOT_MEMORY:
        raise MemoryError()
    text = f"{where}: {STATUS_TEXTS[status]}"
    raise UnsupportedVersion(text) if status == HOT_VERSION else MalformedRequest(text)


# ---- reading

cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end
    int64_t budget                  # elements that all arrays together may still have
    int status
    bint flexible


cdef inline void start(Cursor* c, const uint8_t* p, Py_ssize_t n, bint flexible) noexcept nogil:
    c.at = p
    c.end = p + n
    c.budget = COUNT_TOTAL_MAX
    c.status = HOT_OK
    c.flexible = flexible


cdef inline void stop(Cursor* c, int status) noexcept nogil:
    if c.status == HOT_OK:
        c.status = status
    c.at = c.end


cdef inline const uint8_t* take(Cursor* c, Py_ssize_t n) noexcept nogil:
    """The next n bytes; NULL (and HOT_SHORT) when there are fewer."""
    cdef const uint8_t* p = c.at
    if c.end - p < n:
        stop(c, HOT_SHORT)
        return NULL
    c.at = p + n
    return p


cdef inline int32_t load16(const uint8_t* p) noexcept nogil:
    return <int16_t>((<uint16_t>p[0] << 8) | p[1])


cdef inline int32_t load32(const uint8_t* p) noexcept nogil:
    return <int32_t>((<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3])


cdef inline int64_t load64(const uint8_t* p) noexcept nogil:
    return (<int64_t>load32(p) << 32) | <uint32_t>load32(p + 4)


cdef inline int32_t read8(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 1)
    return <int8_t>p[0] if p != NULL else 0


cdef inline int32_t read16(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 2)
    return load16(p) if p != NULL else 0


cdef inline int32_t read32(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 4)
    return load32(p) if p != NULL else 0


cdef inline int64_t read64(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 8)
    return load64(p) if p != NULL else 0


cdef inline int64_t read_uvarint(Cursor* c) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef const uint8_t* p
    while True:
        p = take(c, 1)
        if p == NULL:
            return 0
        value |= <uint64_t>(p[0] & 127) << shift
        if p[0] < 128:
            break
        shift += 7
        if shift > 28:
            stop(c, HOT_VARINT)
            return 0
    if value > <uint64_t>0xFFFFFFFF:
        stop(c, HOT_VARINT)
        return 0
    return <int64_t>value


cdef inline bint is_utf8(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    cdef const uint8_t* end = p + n
    cdef uint8_t lead, low, high
    cdef int more
    while p < end:
        lead = p[0]
        p += 1
        if lead < 0x80:
            continue
        low, high = 0x80, 0xBF
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:
                high = 0x9F             # surrogates
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F             # above U+10FFFF
        else:
            return False
        if end - p < more or p[0] < low or p[0] > high:
            return False
        for k in range(1, more):
            if p[k] & 0xC0 != 0x80:
                return False
        p += more
    return True


cdef inline const uint8_t* read_string(Cursor* c, int32_t* n, bint nullable, bint compact) noexcept nogil:
    cdef int64_t size = read_uvarint(c) - 1 if compact else read16(c)
    cdef const uint8_t* p
    n[0] = -1
    if c.status != HOT_OK:
        return NULL
    if size < 0:
        if size < -1 or not nullable:
            stop(c, HOT_LENGTH)
        return NULL
    if size > STRING_MAX or size > c.end - c.at:
        stop(c, HOT_LENGTH)
        return NULL
    p = take(c, size)
    if not is_utf8(p, size):
        stop(c, HOT_UTF8)
        return NULL
    n[0] = <int32_t>size
    return p


cdef inline Py_ssize_t read_count(Cursor* c, Py_ssize_t least) noexcept nogil:
    """The count of a non-null array whose elements take at least so many bytes; 0 after an error."""
    cdef int64_t count = read_uvarint(c) - 1 if c.flexible else read32(c)
    if c.status != HOT_OK:
        return 0
    if count < 0:
        stop(c, HOT_LENGTH)
        return 0
    c.budget -= count
    if count > COUNT_MAX or count * least > c.end - c.at or c.budget < 0:
        stop(c, HOT_COUNT)
        return 0
    return <Py_ssize_t>count


cdef inline int64_t tag_count(Cursor* c) noexcept nogil:
    """How many tagged fields follow; 0 in versions without them."""
    cdef int64_t count = read_uvarint(c) if c.flexible else 0
    if count > TAG_COUNT_MAX:
        stop(c, HOT_TAGS)
        return 0
    return count


cdef inline const uint8_t* tag_begin(Cursor* c, int64_t* last, int64_t* tag) noexcept nogil:
    """Reads a tag and its size; gives the end of its data, or NULL."""
    cdef int64_t size
    tag[0] = read_uvarint(c)
    size = read_uvarint(c)
    if c.status != HOT_OK:
        return NULL
    if tag[0] <= last[0] or size > c.end - c.at:
        stop(c, HOT_TAGS)
        return NULL
    last[0] = tag[0]
    return c.at + size


cdef inline void tag_end(Cursor* c, const uint8_t* end) noexcept nogil:
    if c.status == HOT_OK and c.at != end:
        stop(c, HOT_TAGS)


cdef void skip_tags(Cursor* c) noexcept nogil:
    cdef int64_t count = tag_count(c)
    cdef int64_t last = -1, tag = 0
    cdef const uint8_t* end
    while count > 0 and c.status == HOT_OK:
        end = tag_begin(c, &last, &tag)
        if end != NULL:
            c.at = end
        count -= 1


cdef int read_request_head(const uint8_t* frame, Py_ssize_t n, RequestHead* out) noexcept nogil:
    cdef Cursor c
    cdef int32_t flexible_from
    start(&c, frame, n if n < HEAD_LIMIT else HEAD_LIMIT, False)
    out.api_key = <int16_t>read16(&c)
    out.api_version = <int16_t>read16(&c)
    out.correlation_id = read32(&c)
    if c.status != HOT_OK:
        return c.status
    flexible_from = HEAD_FLEXIBLE[out.api_key] if 0 <= out.api_key < 128 else -1
    if flexible_from < 0:
        return HOT_API
    if out.api_version < 0:
        return HOT_LENGTH
    out.client_id = read_string(&c, &out.client_id_bytes, True, False)
    c.flexible = out.api_version >= flexible_from
    skip_tags(&c)
    out.body_start = c.at - frame
    return c.status


cdef void* grow(void* items, Py_ssize_t* capacity, Py_ssize_t count, Py_ssize_t width) noexcept nogil:
    """Room for one more item; the array grows with what was parsed, never with what a count claims."""
    cdef Py_ssize_t wanted
    cdef void* bigger
    if count < capacity[0]:
        return items
    wanted = capacity[0] * 2 if capacity[0] else 8
    bigger = realloc(items, wanted * width)
    if bigger != NULL:
        capacity[0] = wanted
    return bigger


cdef inline void read_topic_key(Cursor* c, HotTopic* topic, bint by_id) noexcept nogil:
    cdef const uint8_t* p
    memset(topic.topic_id, 0, 16)
    topic.name = NULL
    topic.name_bytes = -1
    if by_id:
        p = take(c, 16)
        if p != NULL:
            memcpy(topic.topic_id, p, 16)
    else:
        topic.name = read_string(c, &topic.name_bytes, False, c.flexible)


cdef inline object text_or_none(const uint8_t* p, int32_t n):
    return None if n < 0 else (<const char*>p)[:n].decode()


cdef const uint8_t* bytes_of(object buffer, Py_ssize_t* n) except? NULL:
    """Address and size of a contiguous buffer, which the caller keeps alive."""
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    cdef const uint8_t* p = <const uint8_t*>view.buf
    n[0] = view.len
    PyBuffer_Release(&view)
    return p


cdef class ProduceParser:
    def __dealloc__(self):
        free(self.topics)
        free(self.partitions)

    cdef int parse(self, const uint8_t* body, Py_ssize_t n, int16_t version) noexcept nogil:
        cdef Cursor c
        cdef Py_ssize_t topics_left
        self.topics_count = self.partitions_count = 0
        if not PRODUCE_FIRST <= version <= PRODUCE_LAST:
            return HOT_VERSION
        self.version = version
        start(&c, body, n, version >= PRODUCE_FLEXIBLE)
        self.transactional_id = read_string(&c, &self.transactional_id_bytes, True, c.flexible)
        self.acks = <int16_t>read16(&c)
        self.timeout_ms = read32(&c)
        topics_left = read_count(&c, (18 if version >= 13 else 3) if c.flexible else 6)
        while topics_left > 0 and c.status == HOT_OK:
            read_produce_topic(self, &c)
            topics_left -= 1
        skip_tags(&c)
        if c.status == HOT_OK and c.at != c.end:
            return HOT_TRAILING
        return c.status

    def load(self, frame not None, int16_t version, Py_ssize_t begin=0):
        """Parse the body that begins at `begin` of a frame, which is kept alive; raises MalformedRequest."""
        cdef Py_ssize_t n = 0
        cdef const uint8_t* p = bytes_of(frame, &n)
        if not 0 <= begin <= n:
            raise ValueError("begin is outside the frame")
        self.frame = frame
        raise_status(self.parse(p + begin, n - begin, version), f"ProduceRequest v{version}")

    def message(self):
        """What was parsed, as the table's class; records are copied. Unknown tagged fields are not kept."""
        made = ProduceRequest(
            transactional_id=text_or_none(self.transactional_id, self.transactional_id_bytes),
            acks=self.acks,
            timeout_ms=self.timeout_ms,
        )
        cdef HotTopic* topic
        cdef ProducePartition* part
        for t in range(self.topics_count):
            topic = &self.topics[t]
            row = ProduceRequest.TopicProduceData(
                name=text_or_none(topic.name, topic.name_bytes) or "", topic_id=topic.topic_id[:16]
            )
            for k in range(topic.first, topic.first + topic.count):
                part = &self.partitions[k]
                records = None if part.records_bytes < 0 else part.records[:part.records_bytes]
                row.partition_data.append(
                    ProduceRequest.PartitionProduceData(index=part.index, records=records)
                )
            made.topic_data.append(row)
        return made


cdef int read_produce_topic(ProduceParser self, Cursor* c) noexcept nogil:
    cdef Py_ssize_t left
    cdef HotTopic* topic
    cdef void* room = grow(self.topics, &self.topics_capacity, self.topics_count, sizeof(HotTopic))
    if room == NULL:
        stop(c, HOT_MEMORY)
        return 0
    self.topics = <HotTopic*>room
    topic = &self.topics[self.topics_count]
    read_topic_key(c, topic, self.version >= 13)
    left = read_count(c, 6 if c.flexible else 8)
    topic.first = self.partitions_count
    topic.count = left
    while left > 0 and c.status == HOT_OK:
        read_produce_partition(self, c)
        left -= 1
    skip_tags(c)
    self.topics_count += 1
    return 0


cdef int read_produce_partition(ProduceParser self, Cursor* c) noexcept nogil:
    cdef int64_t size
    cdef ProducePartition* part
    cdef void* room = grow(
        self.partitions, &self.partitions_capacity, self.partitions_count, sizeof(ProducePartition)
    )
    if room == NULL:
        stop(c, HOT_MEMORY)
        return 0
    self.partitions = <ProducePartition*>room
    part = &self.partitions[self.partitions_count]
    part.topic = self.topics_count
    part.index = read32(c)
    size = read_uvarint(c) - 1 if c.flexible else read32(c)
    if c.status != HOT_OK:
        return 0
    if size < -1 or size > c.end - c.at:
        stop(c, HOT_LENGTH)
        return 0
    part.records_bytes = size
    part.records = take(c, size) if size >= 0 else NULL
    skip_tags(c)
    self.partitions_count += 1
    return 0


cdef class FetchParser:
    def __dealloc__(self):
        free(self.topics)
        free(self.partitions)
        free(self.forgotten)
        free(self.forgotten_partitions)

    cdef int parse(self, const uint8_t* body, Py_ssize_t n, int16_t version) noexcept nogil:
        cdef Cursor c
        cdef Py_ssize_t left
        self.topics_count = self.partitions_count = 0
        self.forgotten_count = self.forgotten_partitions_count = 0
        self.cluster_id = self.rack_id = NULL
        self.cluster_id_bytes = -1
        self.rack_id_bytes = 0
        self.replica_epoch = -1
        self.session_id = 0
        self.session_epoch = -1
        if not FETCH_FIRST <= version <= FETCH_LAST:
            return HOT_VERSION
        self.version = version
        start(&c, body, n, version >= FETCH_FLEXIBLE)
        self.replica_id = read32(&c) if version < 15 else -1
        self.max_wait_ms = read32(&c)
        self.min_bytes = read32(&c)
        self.max_bytes = read32(&c)
        self.isolation_level = <int8_t>read8(&c)
        if version >= 7:
            self.session_id = read32(&c)
            self.session_epoch = read32(&c)
        left = read_count(&c, (18 if version >= 13 else 3) if c.flexible else 6)
        while left > 0 and c.status == HOT_OK:
            read_fetch_topic(self, &c)
            left -= 1
        if version >= 7:
            left = read_count(&c, (18 if version >= 13 else 3) if c.flexible else 6)
            while left > 0 and c.status == HOT_OK:
                read_forgotten_topic(self, &c)
                left -= 1
        if version >= 11:
            self.rack_id = read_string(&c, &self.rack_id_bytes, False, c.flexible)
        read_fetch_tags(self, &c)
        if c.status == HOT_OK and c.at != c.end:
            return HOT_TRAILING
        return c.status

    def load(self, frame not None, int16_t version, Py_ssize_t begin=0):
        """Parse the body that begins at `begin` of a frame, which is kept alive; raises MalformedRequest."""
        cdef Py_ssize_t n = 0
        cdef const uint8_t* p = bytes_of(frame, &n)
        if not 0 <= begin <= n:
            raise ValueError("begin is outside the frame")
        self.frame = frame
        raise_status(self.parse(p + begin, n - begin, version), f"FetchRequest v{version}")

    def message(self):
        """What was parsed, as the table's class. Unknown tagged fields are not kept."""
        made = FetchRequest(
            cluster_id=text_or_none(self.cluster_id, self.cluster_id_bytes),
            max_wait_ms=self.max_wait_ms,
            min_bytes=self.min_bytes,
            max_bytes=self.max_bytes,
            isolation_level=self.isolation_level,
            session_id=self.session_id,
            session_epoch=self.session_epoch,
            rack_id=text_or_none(self.rack_id, self.rack_id_bytes),
        )
        if self.version < 15:
            made.replica_id = self.replica_id
        else:
            made.replica_state = FetchRequest.ReplicaState(
                replica_id=self.replica_id, replica_epoch=self.replica_epoch
            )
        cdef HotTopic* topic
        for t in range(self.topics_count):
            topic = &self.topics[t]
            row = FetchRequest.FetchTopic(
                topic=text_or_none(topic.name, topic.name_bytes) or "", topic_id=topic.topic_id[:16]
            )
            for k in range(topic.first, topic.first + topic.count):
                row.partitions.append(fetch_partition_message(&self.partitions[k]))
            made.topics.append(row)
        for t in range(self.forgotten_count):
            topic = &self.forgotten[t]
            gone = FetchRequest.ForgottenTopic(
                topic=text_or_none(topic.name, topic.name_bytes) or "", topic_id=topic.topic_id[:16]
            )
            for k in range(topic.first, topic.first + topic.count):
                gone.partitions.append(self.forgotten_partitions[k])
            made.forgotten_topics_data.append(gone)
        return made


cdef object fetch_partition_message(const FetchPartition* part):
    return FetchRequest.FetchPartition(
        partition=part.index,
        current_leader_epoch=part.current_leader_epoch,
        fetch_offset=part.fetch_offset,
        last_fetched_epoch=part.last_fetched_epoch,
        log_start_offset=part.log_start_offset,
        partition_max_bytes=part.max_bytes,
        replica_directory_id=part.replica_directory_id[:16],
        high_watermark=part.high_watermark,
    )


cdef int read_fetch_topic(FetchParser self, Cursor* c) noexcept nogil:
    cdef Py_ssize_t left, least = 16
    cdef HotTopic* topic
    cdef void* room = grow(self.topics, &self.topics_capacity, self.topics_count, sizeof(HotTopic))
    if room == NULL:
        stop(c, HOT_MEMORY)
        return 0
    self.topics = <HotTopic*>room
    topic = &self.topics[self.topics_count]
    read_topic_key(c, topic, self.version >= 13)
    if self.version >= 5:
        least += 8
    if self.version >= 9:
        least += 4
    if self.version >= 12:
        least += 5
    left = read_count(c, least)
    topic.first = self.partitions_count
    topic.count = left
    while left > 0 and c.status == HOT_OK:
        read_fetch_partition(self, c)
        left -= 1
    skip_tags(c)
    self.topics_count += 1
    return 0


cdef int read_fetch_partition(FetchParser self, Cursor* c) noexcept nogil:
    cdef FetchPartition* part
    cdef int64_t count, last = -1, tag = 0
    cdef const uint8_t* end
    cdef const uint8_t* p
    cdef void* room = grow(
        self.partitions, &self.partitions_capacity, self.partitions_count, sizeof(FetchPartition)
    )
    if room == NULL:
        stop(c, HOT_MEMORY)
        return 0
    self.partitions = <FetchPartition*>room
    part = &self.partitions[self.partitions_count]
    part.topic = self.topics_count
    part.index = read32(c)
    part.current_leader_epoch = read32(c) if self.version >= 9 else -1
    part.fetch_offset = read64(c)
    part.last_fetched_epoch = read32(c) if self.version >= 12 else -1
    part.log_start_offset = read64(c) if self.version >= 5 else -1
    part.max_bytes = read32(c)
    memset(part.replica_directory_id, 0, 16)
    part.high_watermark = INT64_MAX
    count = tag_count(c)
    while count > 0 and c.status == HOT_OK:
        end = tag_begin(c, &last, &tag)
        if end != NULL:
            if tag == 0 and self.version >= 17:
                p = take(c, 16)
                if p != NULL:
                    memcpy(part.replica_directory_id, p, 16)
            elif tag == 1 and self.version >= 18:
                part.high_watermark = read64(c)
            else:
                c.at = end
            tag_end(c, end)
        count -= 1
    self.partitions_count += 1
    return 0


cdef int read_forgotten_topic(FetchParser self, Cursor* c) noexcept nogil:
    cdef Py_ssize_t left
    cdef HotTopic* topic
    cdef void* room = grow(self.forgotten, &self.forgotten_capacity, self.forgotten_count, sizeof(HotTopic))
    if room == NULL:
        stop(c, HOT_MEMORY)
        return 0
    self.forgotten = <HotTopic*>room
    topic = &self.forgotten[self.forgotten_count]
    read_topic_key(c, topic, self.version >= 13)
    left = read_count(c, 4)
    topic.first = self.forgotten_partitions_count
    topic.count = left
    while left > 0 and c.status == HOT_OK:
        room = grow(
            self.forgotten_partitions, &self.forgotten_partitions_capacity,
            self.forgotten_partitions_count, sizeof(int32_t),
        )
        if room == NULL:
            stop(c, HOT_MEMORY)
            return 0
        self.forgotten_partitions = <int32_t*>room
        self.forgotten_partitions[self.forgotten_partitions_count] = read32(c)
        self.forgotten_partitions_count += 1
        left -= 1
    skip_tags(c)
    self.forgotten_count += 1
    return 0


cdef void read_fetch_tags(FetchParser self, Cursor* c) noexcept nogil:
    cdef int64_t count = tag_count(c)
    cdef int64_t last = -1, tag = 0
    cdef const uint8_t* end
    while count > 0 and c.status == HOT_OK:
        end = tag_begin(c, &last, &tag)
        if end != NULL:
            if tag == 0:
                self.cluster_id = read_string(c, &self.cluster_id_bytes, True, True)
            elif tag == 1 and self.version >= 15:
                self.replica_id = read32(c)
                self.replica_epoch = read64(c)
                skip_tags(c)
            else:
                c.at = end
            tag_end(c, end)
        count -= 1


# ---- writing

cdef inline uint8_t* put8(uint8_t* p, int32_t value) noexcept nogil:
    p[0] = <uint8_t>value
    return p + 1


cdef inline uint8_t* put16(uint8_t* p, int32_t value) noexcept nogil:
    p[0] = <uint8_t>(value >> 8)
    p[1] = <uint8_t>value
    return p + 2


cdef inline uint8_t* put32(uint8_t* p, int64_t value) noexcept nogil:
    p[0] = <uint8_t>(value >> 24)
    p[1] = <uint8_t>(value >> 16)
    p[2] = <uint8_t>(value >> 8)
    p[3] = <uint8_t>value
    return p + 4


cdef inline uint8_t* put64(uint8_t* p, int64_t value) noexcept nogil:
    return put32(put32(p, value >> 32), value)


cdef inline uint8_t* put_uvarint(uint8_t* p, uint64_t value) noexcept nogil:
    while value > 127:
        p[0] = <uint8_t>(value & 127 | 128)
        p += 1
        value >>= 7
    p[0] = <uint8_t>value
    return p + 1


cdef inline Py_ssize_t uvarint_bytes(uint64_t value) noexcept nogil:
    cdef Py_ssize_t n = 1
    while value > 127:
        value >>= 7
        n += 1
    return n


cdef inline uint8_t* put_count(uint8_t* p, int64_t count, bint flexible) noexcept nogil:
    return put_uvarint(p, <uint64_t>(count + 1)) if flexible else put32(p, count)


cdef inline uint8_t* put_string(uint8_t* p, const uint8_t* text, Py_ssize_t n, bint flexible) noexcept nogil:
    p = put_uvarint(p, <uint64_t>(n + 1)) if flexible else put16(p, <int32_t>n)
    if n > 0:
        memcpy(p, text, n)
        p += n
    return p


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
        if self.exports:
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


def request_head(frame not None):
    """(API key, version, correlation id, client id, where the body begins) of a frame; raises MalformedRequest."""
    cdef RequestHead head
    cdef Py_ssize_t n = 0
    cdef const uint8_t* p = bytes_of(frame, &n)
    raise_status(read_request_head(p, n, &head), "request header")
    return (
        head.api_key, head.api_version, head.correlation_id,
        text_or_none(head.client_id, head.client_id_bytes), head.body_start,
    )


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
