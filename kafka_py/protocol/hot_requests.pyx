"""Compiled parsers of Produce and Fetch requests; the .pxd says what each does.

```
produce v3+ : transactional_id acks:16 timeout:32 [topic: name|id [partition: index:32 records]]
fetch v4+   : (replica:32 <v15) wait:32 min:32 max:32 isolation:8 (session:32 epoch:32 v7+)
              [topic: name|id [partition: index:32 (epoch:32 v9+) offset:64 (last_epoch:32 v12+)
                               (log_start:64 v5+) max:32]]
              [forgotten: name|id [index:32]] v7+   rack v11+
```
From the flexible version on (produce 9, fetch 12) lengths are varints and every struct ends with tagged fields.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from kafka_py.protocol.wire cimport (
    COUNT_MAX, COUNT_TOTAL_MAX, HOT_API, HOT_COUNT, HOT_LENGTH, HOT_MEMORY, HOT_OK, HOT_SHORT, HOT_TAGS,
    HOT_TRAILING, HOT_UTF8, HOT_VARINT, HOT_VERSION, STRING_MAX, TAG_COUNT_MAX, Cursor, grow, read8, read16, read32,
    read64, read_count, read_string, read_uvarint, skip_tags, start, stop, tag_begin, tag_count, tag_end, take,
)

from kafka_py.protocol import codegen
from kafka_py.protocol.errors import MalformedRequest, UnsupportedVersion
from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.framing import HEADER_BYTES_MAX
from kafka_py.protocol.produce import ProduceRequest
from kafka_py.protocol.registry import API

__all__ = ("FetchParser", "ProduceParser", "request_head")

assert COUNT_MAX == codegen.ELEMENTS_MAX and COUNT_TOTAL_MAX == codegen.ELEMENTS_TOTAL_MAX
assert STRING_MAX == codegen.STRING_BYTES_MAX and TAG_COUNT_MAX == codegen.TAGS_MAX

cdef int PRODUCE_FIRST = ProduceRequest.VERSIONS[0], PRODUCE_LAST = ProduceRequest.VERSIONS[1]
cdef int PRODUCE_FLEXIBLE = ProduceRequest.FLEXIBLE
cdef int FETCH_FIRST = FetchRequest.VERSIONS[0], FETCH_LAST = FetchRequest.VERSIONS[1]
cdef int FETCH_FLEXIBLE = FetchRequest.FLEXIBLE
cdef Py_ssize_t HEAD_LIMIT = HEADER_BYTES_MAX
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
