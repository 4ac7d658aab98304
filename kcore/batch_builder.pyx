# cython: freethreading_compatible=True
"""Building record batches: records one by one, whole lists, control batches, and batches anew by another codec.

The records are encoded behind room for the header as they come; closing compresses them, writes the header and the
checksum. The bytes are those that Kafka's own builder writes from the same records.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport INT32_MAX, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from kcore.compression cimport CODEC_NONE, CODEC_ZSTD, LEVEL_DEFAULT, compress_payload, decompress_payload
from kcore.crc32c cimport crc32c_update
from kcore.endian cimport load_be16, load_be32, store_be16, store_be32, store_be64
from kcore.record cimport STATUS_OK, RecordHead, record_head
from kcore.record_batch cimport (
    AT_ATTRIBUTES,
    AT_BASE_SEQUENCE,
    AT_BASE_TIMESTAMP,
    AT_BATCH_LENGTH,
    AT_CRC,
    AT_LAST_OFFSET_DELTA,
    AT_LEADER_EPOCH,
    AT_MAGIC,
    AT_MAX_TIMESTAMP,
    AT_PRODUCER_EPOCH,
    AT_PRODUCER_ID,
    AT_RECORDS_COUNT,
    ATTR_CODEC,
    ATTR_CONTROL,
    ATTR_DELETE_HORIZON,
    ATTR_LOG_APPEND_TIME,
    ATTR_TRANSACTIONAL,
    HEADER_BYTES,
    LOG_OVERHEAD,
    BatchHeader,
    RecordsSummary,
    batch_bytes,
    batch_check_records,
    batch_load,
    raise_status,
)
from kcore.varint cimport varint_bytes, write_varint

from kcore.compression import Codec
from kcore.errors import BatchTooLarge, InvalidRecord, UnsupportedCompression
from kcore.record_batch import Record, RecordBatch

cdef enum:
    PyBUF_READ = 0x100
    RECOMPRESSED_BYTES_MAX = 268435456

# Control record types (KIP-98, KIP-595, KIP-630, KIP-853).
CONTROL_ABORT = 0
CONTROL_COMMIT = 1
CONTROL_LEADER_CHANGE = 2
CONTROL_SNAPSHOT_HEADER = 3
CONTROL_SNAPSHOT_FOOTER = 4
CONTROL_KRAFT_VERSION = 5
CONTROL_KRAFT_VOTERS = 6


cdef int _codec(compression) except -1:
    if isinstance(compression, str):
        name = "NONE" if compression == "uncompressed" else compression.upper()
        if name not in Codec.__members__:
            raise UnsupportedCompression(f"there is no codec {compression!r}")
        return <int>Codec[name]
    if not CODEC_NONE <= compression <= CODEC_ZSTD:
        raise UnsupportedCompression(f"there is no codec {compression}")
    return <int>compression


cdef bytes _encode_headers(headers, int32_t* count):
    """The headers as they stand in a record behind their count."""
    cdef uint8_t scratch[10]
    count[0] = 0
    if not headers:
        return b""
    parts = []
    for key, value in headers.items() if isinstance(headers, dict) else headers:
        key = key.encode() if isinstance(key, str) else bytes(key)
        parts.append(PyBytes_FromStringAndSize(<char*>scratch, write_varint(scratch, len(key)) - scratch))
        parts.append(key)
        if value is None:
            parts.append(b"\x01")
        else:
            value = bytes(memoryview(value))
            parts.append(PyBytes_FromStringAndSize(<char*>scratch, write_varint(scratch, len(value)) - scratch))
            parts.append(value)
        count[0] += 1
    return b"".join(parts)


cdef class BatchBuilder:
    """Collects records and makes one batch of them.

    Not for two threads at once. A builder makes one batch: after `close` it takes nothing more (ValueError).
    ValueError as well for what no batch can be: a transactional one without producer id, a producer id without epoch
    or (outside of control batches) sequence.
    """

    def __cinit__(
        self,
        *,
        int64_t base_offset=0,
        compression=0,
        level=None,
        int timestamp_type=0,
        int64_t log_append_time_ms=-1,
        int64_t producer_id=-1,
        int16_t producer_epoch=-1,
        int32_t base_sequence=-1,
        int32_t leader_epoch=-1,
        bint transactional=False,
        bint control=False,
        int64_t delete_horizon_ms=-1,
        Py_ssize_t bytes_max=INT32_MAX,
    ):
        if transactional and producer_id < 0:
            raise ValueError("a transactional batch needs a producer id")
        if producer_id >= 0 and base_sequence < 0 and not control:
            raise ValueError("a producer id needs an epoch and a base sequence")
        self.codec = _codec(compression)
        self.level = LEVEL_DEFAULT if level is None else level
        self.bytes_max = min(bytes_max, INT32_MAX)
        self.h.base_offset = base_offset
        self.h.leader_epoch = leader_epoch
        self.h.magic = 2
        self.h.attributes = <int16_t>(
            (ATTR_LOG_APPEND_TIME if timestamp_type else 0)
            | (ATTR_TRANSACTIONAL if transactional else 0)
            | (ATTR_CONTROL if control else 0)
            | (ATTR_DELETE_HORIZON if delete_horizon_ms >= 0 else 0)
        )
        self.h.base_timestamp = delete_horizon_ms
        self.h.max_timestamp = log_append_time_ms if timestamp_type else -1
        self.h.producer_id = producer_id
        self.h.producer_epoch = producer_epoch
        self.h.base_sequence = base_sequence
        self.h.last_offset_delta = -1
        self.size = HEADER_BYTES

    def __dealloc__(self):
        free(self.data)

    cdef int reserve(self, Py_ssize_t n) except -1:
        cdef Py_ssize_t wanted
        cdef uint8_t* grown
        if n > self.bytes_max - self.size:
            raise BatchTooLarge(f"the batch would have {self.size + n} of at most {self.bytes_max} bytes")
        if self.size + n <= self.capacity:
            return 0
        wanted = max(self.size + n, self.capacity + self.capacity // 2, <Py_ssize_t>1024)
        grown = <uint8_t*>realloc(self.data, wanted)
        if grown == NULL:
            raise MemoryError
        self.data = grown
        self.capacity = wanted
        return 0

    cdef int append_encoded(self, int32_t offset_delta, int64_t timestamp, const uint8_t* key, int32_t key_length,
                            const uint8_t* value, int32_t value_length, int32_t headers_count,
                            const uint8_t* headers, Py_ssize_t headers_bytes) except -1:
        cdef int64_t body, delta
        cdef uint8_t* p
        if self.closed:
            raise ValueError("the batch is closed")
        if offset_delta < self.next_delta:
            raise ValueError(f"offset delta {offset_delta} after {self.next_delta - 1}")
        if self.h.records_count == 0 and not self.h.attributes & ATTR_DELETE_HORIZON:
            self.h.base_timestamp = timestamp
        # Java's difference wraps around, and so does its reader's sum.
        delta = <int64_t>(<uint64_t>timestamp - <uint64_t>self.h.base_timestamp)
        body = (
            1 + varint_bytes(delta) + varint_bytes(offset_delta)
            + varint_bytes(key_length) + max(key_length, 0)
            + varint_bytes(value_length) + max(value_length, 0)
            + varint_bytes(headers_count) + headers_bytes
        )
        self.reserve(<Py_ssize_t>(body + varint_bytes(body)))
        p = write_varint(self.data + self.size, body)
        p[0] = 0
        p = write_varint(p + 1, delta)
        p = write_varint(p, offset_delta)
        p = write_varint(p, key_length)
        if key_length > 0:
            memcpy(p, key, key_length)
            p += key_length
        p = write_varint(p, value_length)
        if value_length > 0:
            memcpy(p, value, value_length)
            p += value_length
        p = write_varint(p, headers_count)
        memcpy(p, headers, headers_bytes)
        self.size = p + headers_bytes - self.data
        self.h.records_count += 1
        self.h.last_offset_delta = offset_delta
        self.next_delta = offset_delta + 1
        if timestamp > self.h.max_timestamp and not self.h.attributes & ATTR_LOG_APPEND_TIME:
            self.h.max_timestamp = timestamp
        return 0

    def append(self, key, value, headers=(), timestamp=-1, *, offset=None):
        """Add a record and return its offset.

        key and value are bytes-like or None; headers a dict or pairs of (str or bytes, bytes-like or None); timestamp
        in milliseconds. offset is the next one unless given, and has to ascend. BatchTooLarge beyond bytes_max,
        after which the builder is as it was.
        """
        cdef Py_buffer key_buffer, value_buffer
        cdef bint have_key = False, have_value = False
        cdef int32_t headers_count = 0
        cdef bytes encoded = _encode_headers(headers, &headers_count)
        cdef int64_t delta = self.next_delta
        if offset is not None:
            delta = offset - self.h.base_offset
            if not 0 <= delta < INT32_MAX:
                raise ValueError(f"offset {offset} is out of the batch's reach")
        try:
            if key is not None:
                PyObject_GetBuffer(key, &key_buffer, PyBUF_SIMPLE)
                have_key = True
            if value is not None:
                PyObject_GetBuffer(value, &value_buffer, PyBUF_SIMPLE)
                have_value = True
            if (have_key and key_buffer.len > self.bytes_max) or (have_value and value_buffer.len > self.bytes_max):
                raise BatchTooLarge(f"a record beyond the batch's {self.bytes_max} bytes")
            self.append_encoded(
                <int32_t>delta,
                timestamp,
                <const uint8_t*>key_buffer.buf if have_key else NULL,
                <int32_t>key_buffer.len if have_key else -1,
                <const uint8_t*>value_buffer.buf if have_value else NULL,
                <int32_t>value_buffer.len if have_value else -1,
                headers_count,
                <const uint8_t*>PyBytes_AS_STRING(encoded),
                len(encoded),
            )
        finally:
            if have_key:
                PyBuffer_Release(&key_buffer)
            if have_value:
                PyBuffer_Release(&value_buffer)
        return self.h.base_offset + delta

    @property
    def size_bytes(self):
        """The batch's size if it were closed now without compression: what it will have at most, but for
        payloads that no codec can shrink."""
        return self.size

    @property
    def records_count(self):
        return self.h.records_count

    def __len__(self):
        return self.h.records_count

    def size_bytes_with(self, key, value, headers=(), timestamp=-1):
        """What size_bytes would become by appending this record."""
        cdef int64_t key_length = -1 if key is None else memoryview(key).nbytes
        cdef int64_t value_length = -1 if value is None else memoryview(value).nbytes
        cdef int64_t base = self.h.base_timestamp
        cdef int32_t headers_count = 0
        cdef bytes encoded = _encode_headers(headers, &headers_count)
        if self.h.records_count == 0 and not self.h.attributes & ATTR_DELETE_HORIZON:
            base = timestamp
        cdef int64_t body = (
            1 + varint_bytes(<int64_t>(<uint64_t><int64_t>timestamp - <uint64_t>base)) + varint_bytes(self.next_delta)
            + varint_bytes(key_length) + max(key_length, 0)
            + varint_bytes(value_length) + max(value_length, 0)
            + varint_bytes(headers_count) + len(encoded)
        )
        return self.size + body + varint_bytes(body)

    cdef object finish(self):
        cdef bytes batch
        cdef const uint8_t[::1] payload
        cdef Py_ssize_t n = self.size - HEADER_BYTES
        cdef uint8_t* p
        if self.codec != CODEC_NONE:
            view = PyMemoryView_FromMemory(<char*>self.data + HEADER_BYTES, n, PyBUF_READ)
            payload = compress_payload(self.codec, view, self.level)
            n = payload.shape[0]
            if n > INT32_MAX - HEADER_BYTES:
                raise BatchTooLarge(f"the compressed batch would have {n + HEADER_BYTES} bytes")
        batch = PyBytes_FromStringAndSize(NULL, HEADER_BYTES + n)
        p = <uint8_t*>PyBytes_AS_STRING(batch)
        if self.codec == CODEC_NONE:
            memcpy(p + HEADER_BYTES, self.data + HEADER_BYTES, n)
        else:
            memcpy(p + HEADER_BYTES, &payload[0], n)
        self.h.batch_length = <int32_t>(HEADER_BYTES + n - LOG_OVERHEAD)
        self.h.attributes = <int16_t>(self.h.attributes & ~ATTR_CODEC) | <int16_t>self.codec
        _store_header(p, &self.h)
        return batch

    def close(self):
        """The batch as bytes; b"" when there is no record in it. ValueError when called twice."""
        if self.closed:
            raise ValueError("the batch is closed")
        self.closed = True
        return self.finish() if self.h.records_count else b""


cdef void _store_header(uint8_t* p, const BatchHeader* h) noexcept nogil:
    """Write the header and, over what stands behind it, the checksum."""
    store_be64(p, <uint64_t>h.base_offset)
    store_be32(p + AT_BATCH_LENGTH, <uint32_t>h.batch_length)
    store_be32(p + AT_LEADER_EPOCH, <uint32_t>h.leader_epoch)
    p[AT_MAGIC] = <uint8_t>h.magic
    store_be16(p + AT_ATTRIBUTES, <uint16_t>h.attributes)
    store_be32(p + AT_LAST_OFFSET_DELTA, <uint32_t>h.last_offset_delta)
    store_be64(p + AT_BASE_TIMESTAMP, <uint64_t>h.base_timestamp)
    store_be64(p + AT_MAX_TIMESTAMP, <uint64_t>h.max_timestamp)
    store_be64(p + AT_PRODUCER_ID, <uint64_t>h.producer_id)
    store_be16(p + AT_PRODUCER_EPOCH, <uint16_t>h.producer_epoch)
    store_be32(p + AT_BASE_SEQUENCE, <uint32_t>h.base_sequence)
    store_be32(p + AT_RECORDS_COUNT, <uint32_t>h.records_count)
    store_be32(p + AT_CRC, crc32c_update(0, p + AT_ATTRIBUTES, batch_bytes(h) - AT_ATTRIBUTES))


def build(records, **options):
    """One batch of records as bytes; the options are `BatchBuilder`'s.

    A record is a `kcore.Record` (its offset is not looked at) or (key, value[, headers[, timestamp]]).
    """
    builder = BatchBuilder(**options)
    for record in records:
        if isinstance(record, Record):
            builder.append(record.key, record.value, record.headers, record.timestamp)
        else:
            builder.append(*record)
    return builder.close()


# ------------------------------------------------------------------------------------ control batches

def control_key(int16_t type, int16_t version=0):
    """The key of a control record: its version and type."""
    cdef uint8_t key[4]
    store_be16(key, <uint16_t>version)
    store_be16(key + 2, <uint16_t>type)
    return PyBytes_FromStringAndSize(<char*>key, 4)


def build_control(int16_t type, int16_t version, value, *, int64_t timestamp, **options):
    """A control batch of one record, whose key says type and version and whose value is given; the options are
    `BatchBuilder`'s. Several control records in one batch: `BatchBuilder(control=True)` and `control_key`."""
    builder = BatchBuilder(control=True, **options)
    builder.append(control_key(type, version), value, (), timestamp)
    return builder.close()


def build_end_marker(
    bint committed,
    *,
    int64_t producer_id,
    int16_t producer_epoch,
    int32_t coordinator_epoch,
    int64_t timestamp,
    int64_t base_offset=0,
    int32_t leader_epoch=-1,
):
    """The marker that ends a transaction in a partition (KIP-98)."""
    cdef uint8_t value[6]
    store_be16(value, 0)
    store_be32(value + 2, <uint32_t>coordinator_epoch)
    return build_control(
        CONTROL_COMMIT if committed else CONTROL_ABORT,
        0,
        PyBytes_FromStringAndSize(<char*>value, 6),
        timestamp=timestamp,
        transactional=True,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_offset=base_offset,
        leader_epoch=leader_epoch,
    )


def parse_control_key(key not None):
    """(version, type) of a control record's key; InvalidRecord below 4 bytes or version < 0."""
    cdef const uint8_t[::1] view = key
    if view.shape[0] < 4:
        raise InvalidRecord(f"a control record's key of {view.shape[0]} bytes")
    version = <int16_t>load_be16(&view[0])
    if version < 0:
        raise InvalidRecord(f"a control record's key of version {version}")
    return version, <int16_t>load_be16(&view[2])


def parse_end_marker(record not None):
    """(committed, coordinator epoch) of an end-of-transaction record; InvalidRecord otherwise."""
    cdef const uint8_t[::1] value
    if record.key is None or record.value is None:
        raise InvalidRecord("an end-of-transaction marker without key or value")
    _, kind = parse_control_key(record.key)
    if kind not in (0, 1):
        raise InvalidRecord(f"a control record of type {kind} is no end-of-transaction marker")
    value = record.value
    if value.shape[0] < 6 or <int16_t>load_be16(&value[0]) < 0:
        raise InvalidRecord("an end-of-transaction marker whose value is too short or of a negative version")
    return kind == 1, <int32_t>load_be32(&value[2])


# -------------------------------------------------------------------------------------- recompression

cdef object batch_recompress(const uint8_t* p, const BatchHeader* h, int codec, int level, int timestamp_type,
                             int64_t log_append_time_ms, int64_t decompressed_bytes_max):
    cdef const uint8_t[::1] records
    cdef const uint8_t* start = p
    cdef const uint8_t* at
    cdef const uint8_t* headers
    cdef RecordHead head
    cdef RecordsSummary summary
    cdef Py_ssize_t n
    cdef int status = STATUS_OK
    cdef int32_t i
    cdef int64_t timestamp
    cdef BatchBuilder builder = BatchBuilder(
        compression=codec,
        level=None if level == LEVEL_DEFAULT else level,
        timestamp_type=timestamp_type,
        log_append_time_ms=log_append_time_ms,
        producer_id=h.producer_id,
        producer_epoch=h.producer_epoch,
        base_sequence=h.base_sequence,
        transactional=(h.attributes & ATTR_TRANSACTIONAL) != 0,
        control=(h.attributes & ATTR_CONTROL) != 0,
    )
    payload = PyMemoryView_FromMemory(<char*>p + HEADER_BYTES, batch_bytes(h) - HEADER_BYTES, PyBUF_READ)
    records = decompress_payload(h.attributes & ATTR_CODEC, payload, decompressed_bytes_max)
    n = records.shape[0]
    if n:
        start = &records[0]
    raise_status(batch_check_records(start, n, h, &summary), None)
    at = start
    for i in range(h.records_count):
        headers = record_head(at, start + n, &head, &status)
        if headers == NULL:
            raise InvalidRecord(f"record {i} is malformed")
        timestamp = <int64_t>(<uint64_t>h.base_timestamp + <uint64_t>head.timestamp_delta)
        if h.attributes & ATTR_LOG_APPEND_TIME:
            timestamp = h.max_timestamp
        builder.append_encoded(head.offset_delta, timestamp, head.key, head.key_length, head.value,
                               head.value_length, head.headers_count, headers, head.end - headers)
        at = head.end
    return builder.close()


def recompress(
    batch not None,
    compression,
    level=None,
    *,
    int timestamp_type=0,
    int64_t log_append_time_ms=-1,
    int64_t decompressed_bytes_max=RECOMPRESSED_BYTES_MAX,
):
    """The batch with its records compressed by another codec, as Kafka's broker rebuilds it when
    compression.type is not the producer's. Base offset and leader epoch of the result are 0 and -1.

    Only the records' structure is checked: call `validate` first. Raises what
    `kcore.decompress` raises, InvalidRecord, UnsupportedCompression.
    """
    cdef const uint8_t[::1] view
    cdef BatchHeader h
    checked = RecordBatch(batch)
    view = checked.view
    batch_load(&view[0], &h)
    return batch_recompress(
        &view[0], &h, _codec(compression), LEVEL_DEFAULT if level is None else level, timestamp_type,
        log_append_time_ms, decompressed_bytes_max,
    )
