# Record batch v2 (KIP-98), the unit that is sent, stored and fetched. The layout is drawn in record_batch.pyx.
from libc.stdint cimport INT64_MAX, int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from kcore.endian cimport load_be16, load_be32, load_be64, store_be32, store_be64
from kcore.record cimport (
    STATUS_BAD_COUNT,
    STATUS_BAD_CRC,
    STATUS_BAD_HEADERS,
    STATUS_BAD_LENGTH,
    STATUS_BAD_MAGIC,
    STATUS_BAD_OFFSET_DELTA,
    STATUS_BAD_RECORD_LENGTH,
    STATUS_BAD_VARINT,
    STATUS_OK,
    STATUS_SHORT,
    STATUS_TRAILING,
    RecordHead,
    record_head_usual,
)

cdef enum:
    LOG_OVERHEAD = 12          # base offset and batch length: what batch_length does not count
    HEADER_BYTES = 61
    LENGTH_MIN = 49            # the smallest batch_length: a header without records

cdef enum:                     # where each field begins
    AT_BASE_OFFSET = 0
    AT_BATCH_LENGTH = 8
    AT_LEADER_EPOCH = 12
    AT_MAGIC = 16
    AT_CRC = 17
    AT_ATTRIBUTES = 21         # the checksum covers everything from here on
    AT_LAST_OFFSET_DELTA = 23
    AT_BASE_TIMESTAMP = 27
    AT_MAX_TIMESTAMP = 35
    AT_PRODUCER_ID = 43
    AT_PRODUCER_EPOCH = 51
    AT_BASE_SEQUENCE = 53
    AT_RECORDS_COUNT = 57

cdef enum:
    ATTR_CODEC = 0x07
    ATTR_LOG_APPEND_TIME = 0x08
    ATTR_TRANSACTIONAL = 0x10
    ATTR_CONTROL = 0x20
    ATTR_DELETE_HORIZON = 0x40
    ATTR_RESERVED = 0xFF80

cdef struct BatchHeader:       # the 61 bytes in host order
    int64_t base_offset
    int32_t batch_length
    int32_t leader_epoch
    int8_t magic
    uint32_t crc
    int16_t attributes
    int32_t last_offset_delta
    int64_t base_timestamp
    int64_t max_timestamp
    int64_t producer_id
    int16_t producer_epoch
    int32_t base_sequence
    int32_t records_count

cdef struct RecordsSummary:
    int64_t max_timestamp      # -1 at least, as Kafka counts it
    int64_t min_timestamp      # of those that are not -1; INT64_MAX when there is none
    int32_t max_timestamp_index  # the first record that has max_timestamp, -1 when none is above -1
    int32_t null_key_index     # the first record without a key, -1 when all have one
    int32_t bad_index          # the record at which the walk stopped, when the status is not STATUS_OK

cdef struct ValidateRules:
    int64_t now_ms
    int64_t timestamp_before_max_ms   # Kafka: message.timestamp.before.max.ms
    int64_t timestamp_after_max_ms    # Kafka: message.timestamp.after.max.ms
    int64_t decompressed_bytes_max
    int32_t timestamp_type     # 0 CreateTime, 1 LogAppendTime
    int32_t target_codec       # Kafka: compression.type; -1 is "producer" (keep what came)
    bint require_keys          # the topic is compacted
    bint from_client           # the rules for clients' batches: base offset 0, no control batch, ...
    bint zstd_allowed          # Produce v7 and later

cdef struct ValidateResult:
    int64_t max_timestamp_ms   # of the batch as it will stand in the log
    int64_t decompressed_bytes # of the records' payload
    int32_t max_timestamp_index  # see RecordsSummary; of the last record for LogAppendTime
    bint rewrite_timestamps    # the caller must batch_set_max_timestamp(copy, timestamp_type, max_timestamp_ms)
    bint recompress            # the caller must kcore.batch_builder.batch_recompress: target_codec is another

cdef inline void rules_default(ValidateRules* rules) noexcept nogil:
    """Kafka's topic defaults for a client's batch; now_ms remains to be set."""
    rules.now_ms = 0
    rules.timestamp_before_max_ms = 0x7FFFFFFFFFFFFFFF
    rules.timestamp_after_max_ms = 3_600_000
    rules.decompressed_bytes_max = 8 * (1_048_576 + 12)
    rules.timestamp_type = 0
    rules.target_codec = -1
    rules.require_keys = False
    rules.from_client = True
    rules.zstd_allowed = True

cdef inline void batch_load(const uint8_t* p, BatchHeader* out) noexcept nogil:
    """Read the 61 bytes at p, unchecked."""
    out.base_offset = <int64_t>load_be64(p)
    out.batch_length = <int32_t>load_be32(p + AT_BATCH_LENGTH)
    out.leader_epoch = <int32_t>load_be32(p + AT_LEADER_EPOCH)
    out.magic = <int8_t>p[AT_MAGIC]
    out.crc = load_be32(p + AT_CRC)
    out.attributes = <int16_t>load_be16(p + AT_ATTRIBUTES)
    out.last_offset_delta = <int32_t>load_be32(p + AT_LAST_OFFSET_DELTA)
    out.base_timestamp = <int64_t>load_be64(p + AT_BASE_TIMESTAMP)
    out.max_timestamp = <int64_t>load_be64(p + AT_MAX_TIMESTAMP)
    out.producer_id = <int64_t>load_be64(p + AT_PRODUCER_ID)
    out.producer_epoch = <int16_t>load_be16(p + AT_PRODUCER_EPOCH)
    out.base_sequence = <int32_t>load_be32(p + AT_BASE_SEQUENCE)
    out.records_count = <int32_t>load_be32(p + AT_RECORDS_COUNT)

cdef inline int batch_header(const uint8_t* p, Py_ssize_t n, BatchHeader* out) noexcept nogil:
    """Read the header at p, of which n bytes are there. Only with STATUS_OK is the whole batch
    (12 + batch_length bytes) within n and of magic 2; out is filled only then."""
    cdef int32_t length
    if n < AT_MAGIC + 1:
        return STATUS_SHORT
    if p[AT_MAGIC] != 2:
        return STATUS_BAD_MAGIC
    length = <int32_t>load_be32(p + AT_BATCH_LENGTH)
    if length < LENGTH_MIN:
        return STATUS_BAD_LENGTH
    if n - LOG_OVERHEAD < length:
        return STATUS_SHORT
    batch_load(p, out)
    return STATUS_OK

cdef inline Py_ssize_t batch_bytes(const BatchHeader* h) noexcept nogil:
    """The whole batch in bytes, header included."""
    return LOG_OVERHEAD + <Py_ssize_t>h.batch_length

cdef inline int64_t batch_last_offset(const BatchHeader* h) noexcept nogil:
    """Wraps around for the absurd offsets that only hostile bytes have."""
    return <int64_t>(<uint64_t>h.base_offset + <uint64_t><int64_t>h.last_offset_delta)

cdef inline void batch_assign(uint8_t* p, int64_t base_offset, int32_t leader_epoch) noexcept nogil:
    """Write base offset and leader epoch in place; neither is covered by the checksum."""
    store_be64(p, <unsigned long long>base_offset)
    store_be32(p + AT_LEADER_EPOCH, <uint32_t>leader_epoch)

# Compares the stored CRC-32C with that of the bytes: STATUS_OK or STATUS_BAD_CRC.
cdef int batch_check_crc(const uint8_t* p, const BatchHeader* h) noexcept nogil

# The CRC-32C of a batch of n bytes, as its header should say it.
cdef uint32_t batch_crc(const uint8_t* p, Py_ssize_t n) noexcept nogil
# The same, and everything behind the header copied to where the batch at `to` will be; the header is not.
cdef uint32_t batch_crc_copy(uint8_t* to, const uint8_t* p, Py_ssize_t n) noexcept nogil

# Walk the uncompressed payload (n bytes, what follows the header): every varint, length, bound, offset
# delta and header count, and that exactly records_count records fill exactly n bytes.
cdef int batch_check_records(const uint8_t* records, Py_ssize_t n, const BatchHeader* h,
                             RecordsSummary* out) noexcept nogil

cdef inline bint batch_usual(const uint8_t* p, Py_ssize_t n, BatchHeader* h, const ValidateRules* rules) noexcept nogil:
    """Whether a client's batch of exactly n bytes is one of the usual ones, and right but for its CRC: uncompressed,
    create timestamps within the rules, no transaction, records as record_head_usual takes them. False says nothing:
    batch_validate knows whether, and why, the batch is refused. With a rule of LogAppendTime, none is usual."""
    cdef RecordHead head
    cdef const uint8_t* end = p + n
    cdef int32_t i
    cdef int64_t timestamp, max_timestamp = -1, oldest, newest
    if batch_header(p, n, h) != STATUS_OK or batch_bytes(h) != n:
        return False
    if (
        h.base_offset != 0 or h.attributes != 0 or h.records_count <= 0 or rules.timestamp_type != 0
        or h.last_offset_delta != h.records_count - 1 or (h.producer_id >= 0 and h.base_sequence < 0)
        or rules.now_ms < 0
    ):
        return False
    oldest = rules.now_ms - rules.timestamp_before_max_ms
    newest = rules.now_ms
    if rules.timestamp_after_max_ms > INT64_MAX - newest:
        newest = INT64_MAX
    else:
        newest += rules.timestamp_after_max_ms
    p += HEADER_BYTES
    for i in range(h.records_count):
        p = record_head_usual(p, end, &head)
        if p == NULL or head.offset_delta != i or (head.key_length < 0 and rules.require_keys):
            return False
        timestamp = <int64_t>(<uint64_t>h.base_timestamp + <uint64_t>head.timestamp_delta)
        if timestamp < oldest or timestamp > newest:
            return False
        if timestamp > max_timestamp:
            max_timestamp = timestamp
    return p == end and max_timestamp == h.max_timestamp

# Header, CRC, attributes, records (compressed ones too, within rules.decompressed_bytes_max) and what Kafka's
# LogValidator asks of a batch. The buffer holds exactly one batch (n is its size, or InvalidRecord). `owner` is
# the object whose memory p is, kept alive by the caller. The buffer is not written to. Returns 0, or raises
# CorruptBatch, BadCrc, DecompressionFailed, UnsupportedMagic, InvalidRecord, InvalidTimestamp,
# UnsupportedCompression, DecompressedTooLarge. May release the GIL.
cdef int batch_validate(object owner, const uint8_t* p, Py_ssize_t n, BatchHeader* h,
                        const ValidateRules* rules, ValidateResult* out) except -1

# The two halves of it, for who comes by the CRC in another way: the header of exactly one batch; then the rest.
cdef int batch_open(const uint8_t* p, Py_ssize_t n, BatchHeader* h) except -1
cdef int batch_validate_rest(object owner, const uint8_t* p, Py_ssize_t n, const BatchHeader* h, uint32_t crc,
                             const ValidateRules* rules, ValidateResult* out) except -1

# What Kafka's setMaxTimestamp does: nothing when type (0, 1) and timestamp stand already; else the attribute,
# the max timestamp and a new CRC.
cdef void batch_set_max_timestamp(uint8_t* p, int timestamp_type, int64_t timestamp_ms) noexcept nogil
cdef void batch_set_log_append_time(uint8_t* p, int64_t timestamp_ms) noexcept nogil

# Raise the exception that a status stands for (0: nothing); `where` is a position, a path or None.
cdef int raise_status(int status, object where) except -1

cdef class RecordBatch:
    cdef Py_buffer buffer
    cdef const uint8_t* data
    cdef BatchHeader h
    cdef readonly Py_ssize_t position
    cdef int64_t decompressed_bytes_max
