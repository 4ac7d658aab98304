# cython: auto_pickle=False, freethreading_compatible=True
"""Replaying a partition of ``__consumer_offsets`` into a shard, and what any compacted topic comes to.

Nearly every record there is a committed offset, so those are read straight from the batches' bytes and stored without
a message object; everything else goes through the protocol's codecs and `GroupShard.apply`. The work goes in chunks:
checksums and records are looked through without the GIL into an array of places, which are then applied with it. A
chunk is large enough that a busy event loop in another thread is not asked for the GIL all the time, and small enough
that it does not wait long for it.
"""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp

from kafka_py.coordinator.offsets.committed cimport (
    NO_TOPIC_ID,
    Committed,
    CommittedOffsets,
    new_committed,
)
from kcore.compression cimport decompress_payload
from kcore.endian cimport load_be16, load_be32, load_be64
from kcore.record cimport (
    STATUS_BAD_COUNT,
    STATUS_OK,
    STATUS_TRAILING,
    RecordHead,
    record_head,
)
from kcore.record_batch cimport (
    ATTR_CODEC,
    ATTR_CONTROL,
    HEADER_BYTES,
    BatchHeader,
    batch_bytes,
    batch_check_crc,
    batch_header,
    raise_status,
)
from kcore.segment cimport LogSlice

from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.records import GROUP_RECORDS

cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)

cdef enum:
    PyBUF_READ = 0x100
    CHUNK_BYTES = 1 << 20
    RECORD_BYTES_MIN = 7
    TOPIC_ID_BYTES = 16
    TYPE_LEGACY = 0
    TYPE_OFFSET = 1
    STATUS_NO_MEMORY = 1000

log = logging.getLogger("kafka_py.coordinator")


cdef int parse_key(Place* place) noexcept nogil:
    """Group, topic and partition of a committed offset; 0 when these are not what the key holds."""
    cdef const uint8_t* p = place.key + 2
    cdef const uint8_t* end = place.key + place.key_size
    if end - p < 2:
        return 0
    place.group_size = <int16_t>load_be16(p)
    p += 2
    if place.group_size < 0 or end - p < place.group_size + 2:
        return 0
    p += place.group_size
    place.topic_size = <int16_t>load_be16(p)
    p += 2
    if place.topic_size < 0 or end - p < place.topic_size + 4:
        return 0
    place.partition = <int32_t>load_be32(p + place.topic_size)
    return 1


cdef const uint8_t* read_uvarint(const uint8_t* p, const uint8_t* end, uint64_t* out) noexcept nogil:
    cdef int shift = 0
    out[0] = 0
    while p < end and shift < 35:
        out[0] |= <uint64_t>(p[0] & 0x7F) << shift
        p += 1
        if not (p - 1)[0] & 0x80:
            return p
        shift += 7
    return NULL


cdef int parse_tags(const uint8_t* p, const uint8_t* end, Place* place) noexcept nogil:
    """The tagged fields of a value: 0 is the topic's id, others are passed over."""
    cdef uint64_t count, tag, size
    p = read_uvarint(p, end, &count)
    while p != NULL and count:
        p = read_uvarint(p, end, &tag)
        if p == NULL:
            return 0
        p = read_uvarint(p, end, &size)
        if p == NULL or size > <uint64_t>(end - p):
            return 0
        if tag == 0:
            if size != TOPIC_ID_BYTES:
                return 0
            place.topic_id = p
        p += size
        count -= 1
    return p != NULL


cdef int parse_value(Place* place, int type) noexcept nogil:
    """An offset's value of version 0 to 4; 0 when it is none of these."""
    cdef const uint8_t* p = place.value
    cdef const uint8_t* end = p + place.value_size
    cdef int version
    cdef uint64_t size
    if end - p < 10:
        return 0
    version = <int16_t>load_be16(p)
    if version < 0 or version > (4 if type == TYPE_OFFSET else 0):
        return 0
    place.offset = <int64_t>load_be64(p + 2)
    place.leader_epoch = -1
    place.expire_ms = -1
    place.topic_id = NULL
    p += 10
    if version >= 3:
        if end - p < 4:
            return 0
        place.leader_epoch = <int32_t>load_be32(p)
        p += 4
    if version >= 4:
        p = read_uvarint(p, end, &size)
        if p == NULL or size == 0:
            return 0
        size -= 1
    else:
        if end - p < 2 or <int16_t>load_be16(p) < 0:
            return 0
        size = load_be16(p)
        p += 2
    if size > <uint64_t>(end - p) or <uint64_t>(end - p) - size < 8:
        return 0
    place.metadata = p
    place.metadata_size = <int32_t>size
    p += size
    place.commit_ms = <int64_t>load_be64(p)
    p += 8
    if version == 1:
        if end - p < 8:
            return 0
        place.expire_ms = <int64_t>load_be64(p)
    if version >= 4:
        return parse_tags(p, end, place)
    return 1


cdef void classify(Place* place) noexcept nogil:
    """Say what the record is, and read it if it is a committed offset."""
    cdef int type
    place.kind = OTHER
    if place.key_size < 2:
        return
    type = load_be16(place.key)
    if type != TYPE_OFFSET and type != TYPE_LEGACY:
        return
    if not parse_key(place):
        return
    if place.value_size < 0:
        place.kind = TOMBSTONE
    elif parse_value(place, type):
        place.kind = COMMIT


cdef void classify_control(Place* place) noexcept nogil:
    """A control record's key: version and type; 0 aborts the producer's transaction, 1 commits it."""
    place.kind = IGNORED
    if place.key_size >= 4:
        if load_be16(place.key + 2) == 0:
            place.kind = END_ABORT
        elif load_be16(place.key + 2) == 1:
            place.kind = END_COMMIT


cdef class _Chunk:
    """Records found, in a C array that grows."""

    def __dealloc__(self):
        free(self.places)

    cdef int reserve(self, Py_ssize_t more) noexcept nogil:
        cdef Py_ssize_t wanted = self.count + more
        cdef Place* grown
        if wanted <= self.capacity:
            return 0
        wanted = max(wanted, 2 * self.capacity)
        grown = <Place*>realloc(self.places, wanted * sizeof(Place))
        if grown == NULL:
            return -1
        self.places = grown
        self.capacity = wanted
        return 0

    cdef int add(self, const uint8_t* p, Py_ssize_t n) noexcept nogil:
        """The records of the batch whose header is `h`, uncompressed."""
        cdef const uint8_t* end = p + n
        cdef RecordHead head
        cdef Place* place
        cdef int status = STATUS_OK
        cdef int32_t i
        if self.h.records_count < 0 or self.h.records_count > n // RECORD_BYTES_MIN:
            return STATUS_BAD_COUNT
        if self.reserve(self.h.records_count) < 0:
            return STATUS_NO_MEMORY
        for i in range(self.h.records_count):
            if record_head(p, end, &head, &status) == NULL:
                return status
            place = &self.places[self.count]
            place.key = head.key
            place.key_size = head.key_length
            place.value = head.value
            place.value_size = head.value_length
            place.producer_id = self.h.producer_id
            place.record_offset = self.h.base_offset + head.offset_delta
            if self.h.attributes & ATTR_CONTROL:
                classify_control(place)
            else:
                classify(place)
            self.count += 1
            p = head.end
        return STATUS_OK if p == end else STATUS_TRAILING

    cdef int scan(self, const uint8_t* p, Py_ssize_t n) noexcept nogil:
        """Batches from `position` on, up to the first compressed one, until the chunk is large enough."""
        cdef Py_ssize_t stop = min(n, self.position + CHUNK_BYTES)
        cdef int status
        self.count = 0
        self.at_compressed = False
        while self.position < stop:
            status = batch_header(p + self.position, n - self.position, &self.h)
            if status == STATUS_OK:
                status = batch_check_crc(p + self.position, &self.h)
            if status == STATUS_OK:
                if self.h.attributes & ATTR_CODEC:
                    self.at_compressed = True
                    return STATUS_OK
                status = self.add(
                    p + self.position + HEADER_BYTES, batch_bytes(&self.h) - HEADER_BYTES
                )
            if status != STATUS_OK:
                return status
            self.position += batch_bytes(&self.h)
        return STATUS_OK

    cdef object unpack(self, const uint8_t* p, int64_t bytes_max):
        """The records of the compressed batch at `position`, whose checksum is right; they point into the
        buffer that is returned."""
        cdef const uint8_t[::1] payload
        cdef int status
        cdef Py_ssize_t size = batch_bytes(&self.h) - HEADER_BYTES
        packed = PyMemoryView_FromMemory(<char*>p + self.position + HEADER_BYTES, size, PyBUF_READ)
        unpacked = decompress_payload(self.h.attributes & ATTR_CODEC, packed, bytes_max)
        payload = unpacked
        self.count = 0
        with nogil:
            status = self.add(&payload[0] if payload.shape[0] else NULL, payload.shape[0])
        check(status, self.position)
        self.position += batch_bytes(&self.h)
        return unpacked


cdef int check(int status, Py_ssize_t position) except -1:
    if status == STATUS_NO_MEMORY:
        raise MemoryError
    return raise_status(status, position)


cdef class _Replay:
    """One replay: the shard, and what the record before had, which the next often has too."""

    def __init__(self, shard):
        from kafka_py.coordinator.offsets.commits import simple_group

        self.shard = shard
        self.offsets = shard.offsets
        self.shard_groups = shard.groups
        self.names = {}
        self.make_group = simple_group
        self.partitions = None
        self.last_id = NO_TOPIC_ID
        self.skipped_types = set()

    cdef int apply(self, _Chunk chunk) except -1:
        cdef Py_ssize_t i
        cdef Place* place
        self.partitions = None
        for i in range(chunk.count):
            place = &chunk.places[i]
            if place.kind == COMMIT and place.producer_id == -1:
                self.commit(place)
            else:
                self.partitions = None
                self.rare(place)
        self.partitions = None
        return 0

    cdef int commit(self, Place* place) except -1:
        cdef Py_ssize_t size = place.group_size + place.topic_size + 4
        cdef Py_ssize_t before
        cdef str group
        if self.partitions is None or size != self.last_size or memcmp(place.key + 2, self.last_key, size):
            group = self.group_of(place)
            if self.offsets.pending.open:
                self.offsets.store(group, self.topic_of(place), place.partition, self.value_of(place))
                return 0
            self.partitions = self.offsets.partitions_of(group, self.topic_of(place))
            self.last_key = place.key + 2
            self.last_size = size
        before = len(self.partitions)
        self.partitions[place.partition] = self.value_of(place)
        self.offsets.count += len(self.partitions) - before
        return 0

    cdef str group_of(self, Place* place):
        cdef str group = text(place.key + 4, place.group_size)
        if group not in self.shard_groups:
            self.make_group(self.shard, group)
        return group

    cdef str topic_of(self, Place* place):
        cdef str topic = text(place.key + 6 + place.group_size, place.topic_size)
        return <str>self.names.setdefault(topic, topic)

    cdef Committed value_of(self, Place* place):
        cdef str metadata = ""
        cdef bytes topic_id = NO_TOPIC_ID
        if place.metadata_size:
            metadata = text(place.metadata, place.metadata_size)
        if place.topic_id != NULL:
            if memcmp(place.topic_id, PyBytes_AS_STRING(self.last_id), TOPIC_ID_BYTES):
                topic_id = PyBytes_FromStringAndSize(<const char*>place.topic_id, TOPIC_ID_BYTES)
                self.last_id = <bytes>self.names.setdefault(topic_id, topic_id)
            topic_id = self.last_id
        return new_committed(
            place.offset, place.leader_epoch, metadata, place.commit_ms, place.expire_ms, topic_id
        )

    cdef int rare(self, Place* place) except -1:
        if place.kind == TOMBSTONE:
            self.offsets.remove(
                text(place.key + 4, place.group_size), self.topic_of(place), place.partition
            )
        elif place.kind == COMMIT:
            self.offsets.pending.put(
                place.producer_id,
                self.group_of(place),
                self.topic_of(place),
                place.partition,
                self.value_of(place),
            )
        elif place.kind == END_ABORT or place.kind == END_COMMIT:
            self.offsets.end_transaction(place.producer_id, place.kind == END_COMMIT)
        elif place.kind == OTHER:
            self.other(place)
        return 0

    cdef int other(self, Place* place) except -1:
        """A record of another type, or one that only looks like a committed offset."""
        cdef int type
        if place.key_size < 2:
            raise MalformedRequest(f"the record at offset {place.record_offset} has no key")
        type = <int16_t>load_be16(place.key)
        found = GROUP_RECORDS.get(type)
        if found is None:
            if type not in self.skipped_types:
                self.skipped_types.add(type)
                log.warning(
                    "records of the unknown type %d are skipped while groups are loaded (the first one is at "
                    "offset %d); a newer version may have left them behind",
                    type,
                    place.record_offset,
                )
            return 0
        key_class, value_class = found
        key = decode(key_class, PyBytes_FromStringAndSize(<const char*>place.key, place.key_size), 0, place)
        value = None
        if place.value_size >= 2:
            value = decode(
                value_class,
                PyBytes_FromStringAndSize(<const char*>place.value, place.value_size),
                <int16_t>load_be16(place.value),
                place,
            )
        elif place.value_size >= 0:
            raise MalformedRequest(f"the record at offset {place.record_offset} has a value without version")
        self.shard.apply(key, value)
        return 0


cdef object decode(cls, bytes data, int version, Place* place):
    """A key or value behind its two bytes of prefix. Newer versions are read as the newest known, and
    bytes left over are passed over, as Kafka's readers do."""
    first, last = cls.VERSIONS
    if version < first:
        raise MalformedRequest(f"the record at offset {place.record_offset}: {cls.__name__} has no version {version}")
    try:
        return cls.decode_from(data, 2, min(version, last))[0]
    except MalformedRequest as error:
        raise MalformedRequest(f"the record at offset {place.record_offset}: {error}") from error


cdef inline str text(const uint8_t* p, Py_ssize_t size):
    # Java reads damaged text, too.
    return PyUnicode_DecodeUTF8(<const char*>p, size, b"replace")


def replay(partition_log, shard, int64_t end_offset):
    """Apply everything below `end_offset`. See the stub for the contract."""
    cdef _Chunk chunk = _Chunk()
    cdef _Replay state = _Replay(shard)
    cdef LogSlice piece
    cdef int64_t at = partition_log.log_start_offset
    cdef int64_t records = 0
    cdef Py_ssize_t read_bytes = shard.settings["offsets.load.buffer.size"]
    cdef int64_t bytes_max = partition_log.config.decompressed_bytes_max
    cdef int status
    while at < end_offset:
        piece = partition_log.read_cold(at, read_bytes, end_offset=end_offset)
        if piece.size == 0:
            break
        chunk.position = 0
        while chunk.position < piece.size:
            with nogil:
                status = chunk.scan(piece.data, piece.size)
            check(status, chunk.position)
            state.apply(chunk)
            records += chunk.count
            if chunk.at_compressed:
                unpacked = chunk.unpack(piece.data, bytes_max)
                state.apply(chunk)
                records += chunk.count
        at = piece.next_offset
    return records


cdef int keep_latest(_Chunk chunk, dict found) except -1:
    """The last value of each key; control records have neither."""
    cdef Py_ssize_t i
    cdef Place* place
    for i in range(chunk.count):
        place = &chunk.places[i]
        if place.kind == IGNORED or place.kind == END_ABORT or place.kind == END_COMMIT:
            continue
        if place.key_size < 0:
            raise MalformedRequest(f"the record at offset {place.record_offset} has no key")
        found[PyBytes_FromStringAndSize(<const char*>place.key, place.key_size)] = (
            None
            if place.value_size < 0
            else PyBytes_FromStringAndSize(<const char*>place.value, place.value_size)
        )
    return 0


def latest(partition_log, int64_t end_offset, Py_ssize_t read_bytes):
    """The last value of each key below `end_offset`. See the stub for the contract."""
    cdef _Chunk chunk = _Chunk()
    cdef const uint8_t[::1] view
    cdef const uint8_t* data
    cdef Py_ssize_t size
    cdef int64_t at = partition_log.log_start_offset
    cdef int64_t bytes_max = partition_log.config.decompressed_bytes_max
    cdef int64_t records = 0
    cdef int status
    cdef dict found = {}
    while at < end_offset:
        piece = partition_log.read_cold(at, read_bytes, end_offset=end_offset)
        view = piece.view
        size = view.shape[0]
        if size == 0:
            break
        data = &view[0]
        chunk.position = 0
        while chunk.position < size:
            with nogil:
                status = chunk.scan(data, size)
            check(status, chunk.position)
            keep_latest(chunk, found)
            records += chunk.count
            if chunk.at_compressed:
                unpacked = chunk.unpack(data, bytes_max)
                keep_latest(chunk, found)
                records += chunk.count
        at = piece.next_offset
    return found, records
