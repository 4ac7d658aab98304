# cython: freethreading_compatible=True
"""Record batch v2 (KIP-98): header view, validation, stamping in place, iteration.

    byte  0  base offset         int64  given by the leader     } not covered by the checksum
          8  batch length        int32  what follows it         }
         12  leader epoch        int32  given by the leader     }
         16  magic               int8   2                       }
         17  CRC-32C             uint32 of everything from byte 21 on
         21  attributes          int16  0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
         23  last offset delta   int32
         27  base timestamp      int64
         35  max timestamp       int64
         43  producer id         int64  -1: none
         51  producer epoch      int16
         53  base sequence       int32
         57  records count       int32
         61  records, compressed as one payload when bits 0-2 say so

    record   length varint, attributes int8, timestamp delta varlong, offset delta varint,
             key length varint (-1: null), key, value length varint (-1: null), value,
             headers count varint, { key length varint, key, value length varint (-1: null), value }

All numbers are big-endian; varints are zigzag. The inner functions work on a pointer and a length without Python; what
can be refused is refused before a byte is allocated for it.
"""

from collections import namedtuple

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t, uint16_t, uint64_t

from kcore.compression cimport CODEC_NONE, CODEC_ZSTD, decompress_payload, decompress_view
from kcore.crc32c cimport crc32c_copy, crc32c_update
from kcore.endian cimport store_be16, store_be32, store_be64
from kcore.record cimport kcore_record_ask_ahead, record_head, record_head_usual, record_headers_skip
from kcore.varint cimport read_varint

from kcore.errors import (
    BadCrc,
    CorruptBatch,
    InvalidRecord,
    InvalidTimestamp,
    NotOneBatch,
    UnsupportedCompression,
    UnsupportedMagic,
)

# The Python names of what the .pxd has as C constants.
globals()["HEADER_BYTES"] = HEADER_BYTES
globals()["LOG_OVERHEAD"] = LOG_OVERHEAD

cdef enum:
    PyBUF_READ = 0x100
    NOGIL_BYTES = 65536        # from here on the work takes longer than handing the GIL over and back
    RECORD_ERRORS_MAX = 1000
    # What reading a stored batch may decompress to, unless the caller says otherwise.
    STORED_DECOMPRESSED_BYTES_MAX = 268435456

Record = namedtuple("Record", ("offset", "timestamp", "key", "value", "headers"))
Validated = namedtuple(
    "Validated",
    (
        "max_timestamp_ms",
        "max_timestamp_index",
        "decompressed_bytes",
        "rewrite_timestamps",
        "recompress",
    ),
)

_TEXTS = {
    STATUS_SHORT: "the batch is cut short",
    STATUS_BAD_LENGTH: "the batch length is below that of a header",
    STATUS_BAD_MAGIC: "the magic is not 2",
    STATUS_BAD_CRC: "the checksum does not match",
    STATUS_BAD_COUNT: "the records count does not fit the last offset delta",
    STATUS_BAD_VARINT: "a varint is over-long or cut short",
    STATUS_BAD_RECORD_LENGTH: "a length leaves its enclosure",
    STATUS_BAD_OFFSET_DELTA: "the offset deltas do not ascend from 0 to the last offset delta",
    STATUS_BAD_HEADERS: "the headers count is negative or cannot be true",
    STATUS_TRAILING: "bytes are left over after the last record",
}


# ------------------------------------------------------------------------------ without Python

cdef uint32_t batch_crc(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    return crc32c_update(0, p + AT_ATTRIBUTES, n - AT_ATTRIBUTES)


cdef uint32_t batch_crc_copy(uint8_t* to, const uint8_t* p, Py_ssize_t n) noexcept nogil:
    cdef uint32_t crc = crc32c_update(0, p + AT_ATTRIBUTES, HEADER_BYTES - AT_ATTRIBUTES)
    return crc32c_copy(crc, to + HEADER_BYTES, p + HEADER_BYTES, n - HEADER_BYTES)


cdef int batch_check_crc(const uint8_t* p, const BatchHeader* h) noexcept nogil:
    return STATUS_OK if batch_crc(p, batch_bytes(h)) == h.crc else STATUS_BAD_CRC


cdef int batch_check_records(const uint8_t* records, Py_ssize_t n, const BatchHeader* h,
                             RecordsSummary* out) noexcept nogil:
    cdef const uint8_t* p = records
    cdef const uint8_t* end = records + n
    cdef const uint8_t* q
    cdef RecordHead head, other
    cdef int status = STATUS_OK
    cdef int32_t i, count = h.records_count, last_delta = -1, delta_max = h.last_offset_delta
    cdef int32_t null_key_index = -1, max_index = -1
    cdef int64_t timestamp, max_timestamp = -1, min_timestamp = INT64_MAX
    cdef bint append_time = h.attributes & ATTR_LOG_APPEND_TIME
    out.bad_index = 0
    # As many ascending deltas as there are numbers from 0 to the last delta are exactly those numbers; a
    # compacted batch may have fewer.
    if count < 0 or delta_max < 0 or count > <int64_t>delta_max + 1:
        return STATUS_BAD_COUNT
    for i in range(count):
        if record_head_usual(p, end, &head) == NULL:
            q = record_head(p, end, &other, &status)
            if q != NULL and (other.headers_count or q != other.end):
                status = record_headers_skip(q, &other)
            if status != STATUS_OK:
                out.bad_index = i
                return status
            head = other
        kcore_record_ask_ahead(p, head.end, end)
        if head.offset_delta <= last_delta or head.offset_delta > delta_max:
            out.bad_index = i
            return STATUS_BAD_OFFSET_DELTA
        last_delta = head.offset_delta
        # Java's sum wraps around, and so does this one.
        timestamp = <int64_t>(<uint64_t>h.base_timestamp + <uint64_t>head.timestamp_delta)
        if append_time:
            timestamp = h.max_timestamp
        if timestamp > max_timestamp:
            max_timestamp = timestamp
            max_index = i
        if timestamp < min_timestamp and timestamp != -1:
            min_timestamp = timestamp
        if head.key_length < 0 and null_key_index < 0:
            null_key_index = i
        p = head.end
    out.bad_index = count
    if p != end:
        return STATUS_TRAILING
    out.max_timestamp = max_timestamp
    out.min_timestamp = min_timestamp
    out.max_timestamp_index = max_index
    out.null_key_index = null_key_index
    return STATUS_OK


cdef void batch_set_max_timestamp(uint8_t* p, int timestamp_type, int64_t timestamp_ms) noexcept nogil:
    cdef BatchHeader h
    cdef uint16_t attributes
    batch_load(p, &h)
    if ((h.attributes & ATTR_LOG_APPEND_TIME) != 0) == (timestamp_type != 0) and h.max_timestamp == timestamp_ms:
        return
    # Kafka drops the reserved bits when it writes the attributes anew.
    attributes = <uint16_t>h.attributes & 0x77
    if timestamp_type:
        attributes |= ATTR_LOG_APPEND_TIME
    store_be16(p + AT_ATTRIBUTES, attributes)
    store_be64(p + AT_MAX_TIMESTAMP, <uint64_t>timestamp_ms)
    store_be32(p + AT_CRC, crc32c_update(0, p + AT_ATTRIBUTES, batch_bytes(&h) - AT_ATTRIBUTES))


cdef void batch_set_log_append_time(uint8_t* p, int64_t timestamp_ms) noexcept nogil:
    batch_set_max_timestamp(p, 1, timestamp_ms)


# -------------------------------------------------------------------------------- validation

cdef int raise_status(int status, object where) except -1:
    if status == STATUS_OK:
        return 0
    text = _TEXTS[status]
    position = where if isinstance(where, int) else None
    if where is not None and position is None:
        text = f"{where}: {text}"
    if status == STATUS_BAD_MAGIC:
        raise UnsupportedMagic(text if position is None else f"{text} (batch at byte {position})")
    if status == STATUS_BAD_CRC:
        raise BadCrc(text, position)
    if status in (STATUS_SHORT, STATUS_BAD_LENGTH):
        raise CorruptBatch(text, position)
    raise InvalidRecord(text if position is None else f"{text} (batch at byte {position})")


cdef int _raise_bad_record(int status, int32_t index, int32_t count) except -1:
    text = _TEXTS[status]
    if index >= count:
        raise InvalidRecord(text)
    raise InvalidRecord(f"record {index}: {text}", ((index, text),))


cdef inline int64_t _plus(int64_t a, int64_t b) noexcept nogil:
    """The sum, held at the ends of the range; b is not negative."""
    return INT64_MAX if a > INT64_MAX - b else a + b


cdef inline int64_t _minus(int64_t a, int64_t b) noexcept nogil:
    return INT64_MIN if a < INT64_MIN + b else a - b


cdef int _check_client_header(const BatchHeader* h) except -1:
    """What Kafka asks of the header of a client's batch, and that nothing reserved is set."""
    if h.base_offset != 0:
        raise InvalidRecord(f"a client's batch begins at offset {h.base_offset} instead of 0")
    if h.records_count <= 0 or h.last_offset_delta != h.records_count - 1:
        raise InvalidRecord(
            f"{h.records_count} records do not fit a last offset delta of {h.last_offset_delta}"
        )
    if h.attributes & ATTR_CONTROL:
        raise InvalidRecord("control batches are not for clients to write")
    if h.attributes & (ATTR_RESERVED | ATTR_DELETE_HORIZON):
        raise InvalidRecord(f"attributes {h.attributes & 0xFFFF:#06x} have bits that no client may set")
    if h.producer_id >= 0 and h.base_sequence < 0:
        raise InvalidRecord(
            f"producer id {h.producer_id} with the sequence {h.base_sequence}"
        )
    if h.producer_id < 0 and h.attributes & ATTR_TRANSACTIONAL:
        raise InvalidRecord("a transactional batch needs a producer id")
    return 0


cdef int _raise_record_errors(const uint8_t* records, Py_ssize_t n, const BatchHeader* h,
                              const ValidateRules* rules) except -1:
    """Walk records that are known to be well formed once more, and name those that the rules refuse."""
    cdef const uint8_t* p = records
    cdef RecordHead head
    cdef int status = STATUS_OK
    cdef int32_t i
    cdef int64_t timestamp, oldest = _minus(rules.now_ms, rules.timestamp_before_max_ms)
    cdef int64_t newest = _plus(rules.now_ms, rules.timestamp_after_max_ms)
    cdef bint append_time = h.attributes & ATTR_LOG_APPEND_TIME, timestamps = False
    cdef Py_ssize_t total = 0
    errors = []
    for i in range(h.records_count):
        if record_head(p, records + n, &head, &status) == NULL:
            raise InvalidRecord(_TEXTS[status])
        p = head.end
        timestamp = <int64_t>(<uint64_t>h.base_timestamp + <uint64_t>head.timestamp_delta)
        if append_time:
            timestamp = h.max_timestamp
        text = None
        if rules.require_keys and head.key_length < 0:
            text = "a record of a compacted topic needs a key"
        elif rules.timestamp_type == 0 and timestamp != -1:
            if timestamp < oldest or timestamp > newest:
                timestamps = True
                text = f"timestamp {timestamp} is not within [{oldest}, {newest}]"
        elif append_time:
            timestamps = True
            text = "only brokers set the timestamp type LogAppendTime"
        if text is not None:
            total += 1
            if total <= RECORD_ERRORS_MAX:
                errors.append((i, text))
    if total == 0:
        return 0
    reason = f"{total} of {h.records_count} records are refused; record {errors[0][0]}: {errors[0][1]}"
    if timestamps:
        raise InvalidTimestamp(reason, tuple(errors))
    raise InvalidRecord(reason, tuple(errors))


cdef int _validate_records(const uint8_t* records, Py_ssize_t n, const BatchHeader* h,
                           const ValidateRules* rules, ValidateResult* out) except -1:
    cdef RecordsSummary summary
    cdef int status
    cdef bint append_time = h.attributes & ATTR_LOG_APPEND_TIME, refused
    if n < NOGIL_BYTES:
        status = batch_check_records(records, n, h, &summary)
    else:
        with nogil:
            status = batch_check_records(records, n, h, &summary)
    if status != STATUS_OK:
        _raise_bad_record(status, summary.bad_index, h.records_count)
    refused = rules.require_keys and summary.null_key_index >= 0
    if rules.timestamp_type == 0:
        refused |= summary.min_timestamp < _minus(rules.now_ms, rules.timestamp_before_max_ms)
        refused |= summary.max_timestamp > _plus(rules.now_ms, rules.timestamp_after_max_ms)
        refused |= append_time and h.max_timestamp == -1
    else:
        refused |= append_time
    if refused:
        _raise_record_errors(records, n, h, rules)
    out.decompressed_bytes = n
    if rules.timestamp_type:
        out.max_timestamp_ms = rules.now_ms
        out.max_timestamp_index = h.records_count - 1
        out.rewrite_timestamps = not append_time or h.max_timestamp != rules.now_ms
    else:
        out.max_timestamp_ms = summary.max_timestamp
        out.max_timestamp_index = summary.max_timestamp_index
        out.rewrite_timestamps = append_time or h.max_timestamp != summary.max_timestamp
    return 0


cdef int _raise_header(int status, const uint8_t* p, Py_ssize_t n) except -1:
    if status == STATUS_BAD_MAGIC and p[AT_MAGIC] < 2:
        raise UnsupportedMagic(f"message sets of magic {p[AT_MAGIC]} are no longer taken")
    if status == STATUS_SHORT:
        raise NotOneBatch(_TEXTS[STATUS_SHORT])
    if status == STATUS_BAD_MAGIC:
        # No reader knows where such a batch ends; Apache's takes it for a damaged one.
        raise CorruptBatch(f"there is no magic {p[AT_MAGIC]}")
    return raise_status(status, None)


cdef int batch_open(const uint8_t* p, Py_ssize_t n, BatchHeader* h) except -1:
    cdef int status = batch_header(p, n, h)
    if status != STATUS_OK:
        _raise_header(status, p, n)
    if batch_bytes(h) != n:
        raise NotOneBatch("more than one batch, or bytes after it")
    return 0


cdef int batch_validate(object owner, const uint8_t* p, Py_ssize_t n, BatchHeader* h,
                        const ValidateRules* rules, ValidateResult* out) except -1:
    cdef uint32_t crc
    batch_open(p, n, h)
    if n < NOGIL_BYTES:
        crc = batch_crc(p, n)
    else:
        with nogil:
            crc = batch_crc(p, n)
    return batch_validate_rest(owner, p, n, h, crc, rules, out)


cdef int batch_validate_rest(object owner, const uint8_t* p, Py_ssize_t n, const BatchHeader* h, uint32_t crc,
                             const ValidateRules* rules, ValidateResult* out) except -1:
    cdef int codec
    cdef const uint8_t[::1] records
    if crc != h.crc:
        raise BadCrc(_TEXTS[STATUS_BAD_CRC])
    if rules.from_client:
        _check_client_header(h)
    codec = h.attributes & ATTR_CODEC
    out.recompress = rules.target_codec >= 0 and rules.target_codec != codec
    if codec == CODEC_NONE:
        return _validate_records(p + HEADER_BYTES, n - HEADER_BYTES, h, rules, out)
    if codec > CODEC_ZSTD:
        raise UnsupportedCompression(f"there is no codec {codec}")
    if codec == CODEC_ZSTD and not rules.zstd_allowed:
        raise UnsupportedCompression("zstd is not for this version of the request")
    payload = PyMemoryView_FromMemory(<char*>p + HEADER_BYTES, n - HEADER_BYTES, PyBUF_READ)
    records = decompress_payload(codec, payload, rules.decompressed_bytes_max)
    return _validate_records(
        &records[0] if records.shape[0] else p, records.shape[0], h, rules, out
    )


def validate(
    const uint8_t[::1] buffer not None,
    *,
    int64_t now_ms,
    bint from_client=True,
    int32_t timestamp_type=0,
    int64_t timestamp_before_max_ms=INT64_MAX,
    int64_t timestamp_after_max_ms=3_600_000,
    int64_t decompressed_bytes_max=8 * (1_048_576 + 12),
    bint require_keys=False,
    bint zstd_allowed=True,
    int32_t target_codec=-1,
):
    """Do what Kafka's LogValidator does to exactly one batch, without changing it.

    Raises CorruptBatch, BadCrc, DecompressionFailed, UnsupportedMagic, InvalidRecord,
    InvalidTimestamp, UnsupportedCompression, DecompressedTooLarge.
    """
    cdef ValidateRules rules
    cdef ValidateResult result
    cdef BatchHeader h
    rules.now_ms = now_ms
    rules.from_client = from_client
    rules.timestamp_type = timestamp_type
    rules.timestamp_before_max_ms = timestamp_before_max_ms
    rules.timestamp_after_max_ms = timestamp_after_max_ms
    rules.decompressed_bytes_max = decompressed_bytes_max
    rules.require_keys = require_keys
    rules.zstd_allowed = zstd_allowed
    rules.target_codec = target_codec
    if buffer.shape[0] == 0:
        raise NotOneBatch(_TEXTS[STATUS_SHORT])
    batch_validate(buffer, &buffer[0], buffer.shape[0], &h, &rules, &result)
    return Validated(
        result.max_timestamp_ms,
        result.max_timestamp_index,
        result.decompressed_bytes,
        bool(result.rewrite_timestamps),
        bool(result.recompress),
    )


cdef uint8_t* _writable_batch(uint8_t[::1] buffer) except NULL:
    cdef BatchHeader h
    if buffer.shape[0] == 0:
        raise CorruptBatch(_TEXTS[STATUS_SHORT])
    raise_status(batch_header(&buffer[0], buffer.shape[0], &h), None)
    return &buffer[0]


def assign(uint8_t[::1] buffer not None, int64_t base_offset, int32_t leader_epoch):
    """Write base offset and leader epoch into the batch at the start of a writable buffer."""
    batch_assign(_writable_batch(buffer), base_offset, leader_epoch)


def set_max_timestamp(uint8_t[::1] buffer not None, int timestamp_type, int64_t timestamp_ms):
    """Write timestamp type, max timestamp and the new checksum, when they differ."""
    batch_set_max_timestamp(_writable_batch(buffer), timestamp_type, timestamp_ms)


# ---------------------------------------------------------------------------- seen from Python

cdef object _bytes_or_none(const uint8_t* p, int32_t length):
    return None if length < 0 else PyBytes_FromStringAndSize(<const char*>p, length)


cdef object _headers(const uint8_t* p, const RecordHead* head):
    """The headers of a record that record_headers_skip found well formed."""
    cdef int32_t i, length = 0
    cdef list found = []
    for i in range(head.headers_count):
        p = read_varint(p, head.end, &length)
        key = PyBytes_FromStringAndSize(<const char*>p, length)
        p = read_varint(p + length, head.end, &length)
        found.append((key, _bytes_or_none(p, length)))
        if length > 0:
            p += length
    return tuple(found)


cdef class RecordBatch:
    """A view of one batch at the start (or at `position`) of a buffer.

    The header is checked for length and magic only (CorruptBatch, UnsupportedMagic); call `check_crc` or `validate`
    before trusting the rest. Keeps the buffer exported while it lives.
    """

    def __cinit__(
        self, buffer, Py_ssize_t position=0, *, int64_t decompressed_bytes_max=STORED_DECOMPRESSED_BYTES_MAX
    ):
        PyObject_GetBuffer(buffer, &self.buffer, PyBUF_SIMPLE)
        if position < 0 or position > self.buffer.len:
            raise CorruptBatch(_TEXTS[STATUS_SHORT], position)
        self.data = <const uint8_t*>self.buffer.buf + position
        self.position = position
        self.decompressed_bytes_max = decompressed_bytes_max
        raise_status(batch_header(self.data, self.buffer.len - position, &self.h), position)

    def __dealloc__(self):
        PyBuffer_Release(&self.buffer)

    @property
    def base_offset(self):
        return self.h.base_offset

    @property
    def last_offset(self):
        return batch_last_offset(&self.h)

    @property
    def next_offset(self):
        return <int64_t>(<uint64_t>batch_last_offset(&self.h) + 1)

    @property
    def size_bytes(self):
        return batch_bytes(&self.h)

    @property
    def leader_epoch(self):
        return self.h.leader_epoch

    @property
    def magic(self):
        return self.h.magic

    @property
    def crc(self):
        return self.h.crc

    @property
    def attributes(self):
        return self.h.attributes

    @property
    def last_offset_delta(self):
        return self.h.last_offset_delta

    @property
    def base_timestamp(self):
        return self.h.base_timestamp

    @property
    def max_timestamp(self):
        return self.h.max_timestamp

    @property
    def producer_id(self):
        return self.h.producer_id

    @property
    def producer_epoch(self):
        return self.h.producer_epoch

    @property
    def base_sequence(self):
        return self.h.base_sequence

    @property
    def last_sequence(self):
        """The last record's sequence, which goes on from 0 after 2^31 - 1; -1 when there is none."""
        if self.h.base_sequence < 0:
            return -1
        return (<int64_t>self.h.base_sequence + self.h.last_offset_delta) & 0x7FFFFFFF

    @property
    def records_count(self):
        return self.h.records_count

    @property
    def codec(self):
        return self.h.attributes & ATTR_CODEC

    @property
    def timestamp_type(self):
        """0 CreateTime, 1 LogAppendTime."""
        return 1 if self.h.attributes & ATTR_LOG_APPEND_TIME else 0

    @property
    def is_transactional(self):
        return (self.h.attributes & ATTR_TRANSACTIONAL) != 0

    @property
    def is_control(self):
        return (self.h.attributes & ATTR_CONTROL) != 0

    @property
    def delete_horizon_ms(self):
        """When the cleaner may drop the tombstones of the batch (it stands in the base timestamp), or None."""
        return self.h.base_timestamp if self.h.attributes & ATTR_DELETE_HORIZON else None

    @property
    def view(self):
        """The batch's bytes, without a copy."""
        return memoryview(self.buffer.obj).cast("B")[self.position : self.position + batch_bytes(&self.h)]

    def check_crc(self):
        """Raise BadCrc unless the checksum is right."""
        if batch_check_crc(self.data, &self.h) != STATUS_OK:
            raise BadCrc(_TEXTS[STATUS_BAD_CRC], self.position)

    def payload(self):
        """The records as one bytes-like object, decompressed (up to decompressed_bytes_max)."""
        view = self.view[HEADER_BYTES:]
        return decompress_view(self.h.attributes & ATTR_CODEC, view, self.decompressed_bytes_max)

    # There is no __len__ on purpose: list() would make room for as many records as the header claims.

    def __iter__(self):
        """The records in turn; InvalidRecord when any of them is malformed."""
        cdef const uint8_t[::1] records = self.payload()
        cdef const uint8_t* start = self.data
        cdef const uint8_t* p
        cdef Py_ssize_t at = 0, n = records.shape[0]
        cdef RecordHead head
        cdef RecordsSummary summary
        cdef int status
        cdef int32_t i
        cdef int64_t timestamp
        if n:
            start = &records[0]
        status = batch_check_records(start, n, &self.h, &summary)
        if status != STATUS_OK:
            _raise_bad_record(status, summary.bad_index, self.h.records_count)
        for i in range(self.h.records_count):
            # The buffer may be somebody's bytearray, changed since the last record: trust nothing seen before.
            p = record_head(start + at, start + n, &head, &status)
            if p == NULL or record_headers_skip(p, &head) != STATUS_OK:
                raise InvalidRecord(f"record {i} is malformed")
            timestamp = <int64_t>(<uint64_t>self.h.base_timestamp + <uint64_t>head.timestamp_delta)
            if self.h.attributes & ATTR_LOG_APPEND_TIME:
                timestamp = self.h.max_timestamp
            headers = _headers(p, &head) if head.headers_count else ()
            at = head.end - start
            yield Record(
                <int64_t>(<uint64_t>self.h.base_offset + <uint64_t>head.offset_delta),
                timestamp,
                _bytes_or_none(head.key, head.key_length),
                _bytes_or_none(head.value, head.value_length),
                headers,
            )

    def __repr__(self):
        return (
            f"RecordBatch(offsets={self.base_offset}..{self.last_offset}, records={self.h.records_count}, "
            f"bytes={self.size_bytes}, codec={self.codec}, producer_id={self.h.producer_id})"
        )


def batches(buffer, *, int64_t decompressed_bytes_max=STORED_DECOMPRESSED_BYTES_MAX, bint allow_partial=False):
    """The batches of a buffer in turn. A batch cut short at the end raises CorruptBatch, unless
    `allow_partial` (a fetch answer may end so)."""
    cdef Py_ssize_t position = 0, n
    cdef const uint8_t[::1] view = buffer
    cdef BatchHeader h
    n = view.shape[0]
    while position < n:
        if allow_partial and batch_header(&view[position], n - position, &h) == STATUS_SHORT:
            return
        batch = RecordBatch(buffer, position, decompressed_bytes_max=decompressed_bytes_max)
        yield batch
        position += batch.size_bytes
