# cython: freethreading_compatible=True
"""The transactions of one log, open and just decided, and the marker that ends one (KIP-98).

The marker is the only record of a control batch under a producer id. Its key is two big-endian i16, version and
type (0 abort, 1 commit), its value an i16 version and the coordinator's i32 epoch; later versions may be longer.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.string cimport memmove

from kcore.arrays cimport room_for_one
from kcore.endian cimport load_be16, load_be32
from kcore.record_batch cimport ATTR_CODEC, HEADER_BYTES, batch_bytes
from kcore.varint cimport read_varint, read_varlong

from kcore.errors import CorruptBatch

cdef enum:
    MARKER_ABORT = 0
    MARKER_COMMIT = 1
    KEY_BYTES_MIN = 4
    VALUE_BYTES_MIN = 6


cdef int read_marker(const BatchHeader* h, const uint8_t* batch, Py_ssize_t n, Marker* out) except -1:
    cdef const uint8_t* at = batch + HEADER_BYTES
    cdef const uint8_t* end = batch + batch_bytes(h)
    cdef const uint8_t* key
    cdef int64_t delta
    cdef int32_t length, offset_delta, key_length, value_length
    cdef int kind
    if n < batch_bytes(h):
        raise CorruptBatch("the control batch is cut short")
    out.empty = h.records_count == 0
    if out.empty:
        return 0
    if h.attributes & ATTR_CODEC:
        raise CorruptBatch("a control batch is never compressed")
    at = read_varint(at, end, &length)
    if at == NULL or length < 1 or length > end - at:
        raise CorruptBatch("the control record's length is wrong")
    end = at + length
    at = read_varlong(at + 1, end, &delta)  # behind the record's attributes, unused
    if at != NULL:
        at = read_varint(at, end, &offset_delta)
    if at != NULL:
        at = read_varint(at, end, &key_length)
    if at == NULL or key_length < KEY_BYTES_MIN or key_length > end - at:
        raise CorruptBatch("the control record's key is wrong")
    key = at
    at = read_varint(at + key_length, end, &value_length)
    if at == NULL or value_length < VALUE_BYTES_MIN or value_length > end - at:
        raise CorruptBatch("the end-transaction marker's value is wrong")
    kind = <int16_t>load_be16(key + 2)
    if <int16_t>load_be16(key) < 0 or (kind != MARKER_ABORT and kind != MARKER_COMMIT):
        raise CorruptBatch(f"control record of type {kind} under a producer id: not a marker")
    if <int16_t>load_be16(at) < 0:
        raise CorruptBatch("the end-transaction marker's version is negative")
    out.aborted = kind == MARKER_ABORT
    out.coordinator_epoch = <int32_t>load_be32(at + 2)
    out.timestamp = h.base_timestamp + delta
    return 0


cdef int list_insert(TransactionList* list_, int64_t first, int64_t last, int64_t producer_id) except -1:
    cdef Py_ssize_t place = list_.count
    while place > 0 and list_.items[place - 1].first_offset >= first:
        place -= 1
    if place == list_.count or list_.items[place].first_offset != first:
        list_.items = <OngoingTransaction*>room_for_one(
            list_.items, list_.count, &list_.capacity, sizeof(OngoingTransaction)
        )
        memmove(
            &list_.items[place + 1],
            &list_.items[place],
            <size_t>(list_.count - place) * sizeof(OngoingTransaction),
        )
        list_.count += 1
    list_.items[place].first_offset = first
    list_.items[place].last_offset = last
    list_.items[place].producer_id = producer_id
    return 0


cdef void list_remove_first_offset(TransactionList* list_, int64_t first) noexcept nogil:
    cdef Py_ssize_t place
    for place in range(list_.count):
        if list_.items[place].first_offset == first:
            list_.count -= 1
            memmove(
                &list_.items[place],
                &list_.items[place + 1],
                <size_t>(list_.count - place) * sizeof(OngoingTransaction),
            )
            return


cdef void list_drop_decided_below(TransactionList* list_, int64_t offset) noexcept nogil:
    cdef Py_ssize_t place, kept = 0
    for place in range(list_.count):
        if list_.items[place].last_offset >= offset:
            list_.items[kept] = list_.items[place]
            kept += 1
    list_.count = kept
