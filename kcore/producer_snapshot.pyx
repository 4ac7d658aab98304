# cython: freethreading_compatible=True
"""Kafka's file of the producers of a partition (`%020d.snapshot`; the offset is that of the next record).

Big-endian:

    0        2         6        10
    +--------+---------+--------+---------------- - -
    | ver. 1 | CRC-32C | count  | count x 46 bytes        the CRC covers everything from byte 6 on
    +--------+---------+--------+---------------- - -

    entry: id i64 | epoch i16 | last sequence i32 | last offset i64 | offset delta i32 | timestamp i64
           | coordinator epoch i32 | first offset of the open transaction i64 (-1: none)

Apache writes the entries as a Java HashMap iterates; so do we, and the bytes are the same.
"""

from collections import namedtuple

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from kcore.crc32c cimport crc32c_update
from kcore.endian cimport load_be16, load_be32, load_be64, store_be16, store_be32, store_be64
from kcore.producer_entry cimport NO_SEQUENCE, StoredBatch, newest

from kcore.errors import CorruptFile

ProducerState = namedtuple(
    "ProducerState",
    "producer_id producer_epoch last_sequence last_offset offset_delta last_timestamp_ms"
    " coordinator_epoch transaction_start_offset",
)

cdef enum:
    VERSION = 1
    HEADER_BYTES = 10
    CRC_FROM = 6
    ENTRY_BYTES = 46


cdef inline uint32_t java_hash(int64_t producer_id) noexcept nogil:
    """Long.hashCode() spread as java.util.HashMap does."""
    cdef uint32_t h = <uint32_t>(<uint64_t>producer_id ^ (<uint64_t>producer_id >> 32))
    return h ^ (h >> 16)


cdef inline void encode_entry(uint8_t* at, const ProducerEntry* entry) noexcept nogil:
    cdef StoredBatch* last = newest(<ProducerEntry*>entry) if entry.batches_count else NULL
    store_be64(at, <uint64_t>entry.producer_id)
    store_be16(at + 8, <uint16_t>entry.producer_epoch)
    store_be32(at + 10, <uint32_t>(last.last_sequence if last != NULL else NO_SEQUENCE))
    store_be64(at + 14, <uint64_t>(last.last_offset if last != NULL else -1))
    store_be32(at + 22, <uint32_t>(last.offset_delta if last != NULL else 0))
    store_be64(at + 26, <uint64_t>entry.last_timestamp)
    store_be32(at + 34, <uint32_t>entry.coordinator_epoch)
    store_be64(at + 38, <uint64_t>entry.txn_first_offset)


cdef bytes encode_snapshot(const ProducerEntry* entries, Py_ssize_t count, Py_ssize_t buckets):
    data = bytearray(HEADER_BYTES + ENTRY_BYTES * count)
    cdef uint8_t[::1] view = data
    cdef uint8_t* start = &view[0]
    cdef uint8_t* at = start + HEADER_BYTES
    cdef uint32_t mask = <uint32_t>(buckets - 1)
    cdef Py_ssize_t place
    store_be16(start, VERSION)
    store_be32(start + CRC_FROM, <uint32_t>count)
    for _, place in sorted([(java_hash(entries[place].producer_id) & mask, place) for place in range(count)]):
        encode_entry(at, &entries[place])
        at += ENTRY_BYTES
    store_be32(start + 2, crc32c_update(0, start + CRC_FROM, view.shape[0] - CRC_FROM))
    return bytes(data)


def read_snapshot(data not None, where="producer snapshot"):
    """See producer_snapshot.pyi."""
    cdef const uint8_t[::1] view = data
    cdef Py_ssize_t n = view.shape[0]
    cdef const uint8_t* at
    cdef uint32_t stored, computed
    cdef int64_t count, i
    if n < HEADER_BYTES:
        raise CorruptFile(f"{n} bytes, a snapshot has {HEADER_BYTES} at least", where, n)
    at = &view[0]
    if load_be16(at) != VERSION:
        raise CorruptFile(f"version {<int16_t>load_be16(at)}, not {VERSION}", where, 0)
    count = <int32_t>load_be32(at + CRC_FROM)
    if count < 0 or HEADER_BYTES + count * ENTRY_BYTES != n:
        raise CorruptFile(f"{count} producers cannot be what fills {n} bytes", where, CRC_FROM)
    stored = load_be32(at + 2)
    computed = crc32c_update(0, at + CRC_FROM, n - CRC_FROM)
    if stored != computed:
        raise CorruptFile(f"the stored CRC is 0x{stored:08x}, that of the bytes 0x{computed:08x}", where, 2)
    entries = []
    at += HEADER_BYTES
    for i in range(count):
        if <int64_t>load_be64(at) < 0 or <int32_t>load_be32(at + 22) < 0:
            raise CorruptFile("a negative producer id or offset delta", where, at - &view[0])
        entries.append(
            ProducerState(
                <int64_t>load_be64(at),
                <int16_t>load_be16(at + 8),
                <int32_t>load_be32(at + 10),
                <int64_t>load_be64(at + 14),
                <int32_t>load_be32(at + 22),
                <int64_t>load_be64(at + 26),
                <int32_t>load_be32(at + 34),
                <int64_t>load_be64(at + 38),
            )
        )
        at += ENTRY_BYTES
    return entries
