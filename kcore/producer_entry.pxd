# kcore.producer_entry: what is remembered of one producer id.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

cdef enum:
    NO_SEQUENCE = -1
    BATCHES_RETAINED = 5            # batches that a retry may repeat, for each producer id

cdef struct StoredBatch:
    int32_t last_sequence
    int32_t offset_delta            # last offset - base offset, which is last - first sequence too
    int64_t last_offset
    int64_t timestamp

cdef struct ProducerEntry:
    int64_t producer_id
    int64_t last_timestamp
    int64_t txn_first_offset        # -1: no transaction is open
    int32_t coordinator_epoch       # -1: no marker was seen
    int16_t producer_epoch          # -1: none yet
    uint8_t batches_count
    uint8_t batches_head            # place of the oldest in the ring below
    StoredBatch batches[5]

# The last of the batches that are remembered; there is one.
cdef inline StoredBatch* newest(ProducerEntry* entry) noexcept nogil:
    return &entry.batches[(entry.batches_head + entry.batches_count - 1) % BATCHES_RETAINED]
