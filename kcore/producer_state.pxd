# kcore.producer_state: what the idempotence rules of one partition remember, at a glance.
#
# One table belongs to one Log. It takes no lock of its own: the Log's writer lock covers every call.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from kcore.producer_entry cimport ProducerEntry
from kcore.record_batch cimport BatchHeader
from kcore.transactions cimport CompletedTransaction, TransactionList

cdef enum:
    ORIGIN_REPLICA = 0              # copied from a leader: checked there, stored as it came
    ORIGIN_CLIENT = 1               # a produce request: every rule holds
    ORIGIN_COORDINATOR = 2          # a coordinator's own records and markers: epochs, no sequences
    ORIGIN_RAFT = 3                 # the metadata log: no producer ids at all
    CHECK_NEW = 0
    CHECK_DUPLICATE = 1

cdef struct DuplicateBatch:         # filled when check() answers CHECK_DUPLICATE
    int64_t base_offset             # where the batch was stored the first time
    int64_t last_offset
    int64_t timestamp               # its max timestamp then


cdef class ProducerStateTable:
    cdef public int64_t expiration_ms
    cdef ProducerEntry* entries     # in order of arrival
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef int32_t* slots             # open addressing: producer id -> place in entries, -1 free
    cdef Py_ssize_t slots_mask      # slots - 1; a power of two
    cdef Py_ssize_t buckets         # of the Java HashMap that would hold the same ids: snapshot order
    cdef TransactionList ongoing    # undecided
    cdef TransactionList unreplicated   # decided, marker perhaps above the high watermark
    cdef CompletedTransaction* completed
    cdef Py_ssize_t completed_count     # since the last take_completed() / forget_completed()
    cdef Py_ssize_t completed_capacity

    # Before the append. Call it only when h.producer_id >= 0 (it answers CHECK_NEW otherwise).
    # origin is one of ORIGIN_*; 1 and 0 mean "from a client" and "from a leader".
    cdef int check(self, const BatchHeader* h, int origin, DuplicateBatch* dup) except -1
    # The entry of a producer whose batch (no control batch, in no transaction) is simply the next one: same epoch, next
    # sequence, no transaction open. NULL says nothing: check() knows. After the append, note() is then what update()
    # is. Nothing may come in between. Numbers, not the header: on the append path it has no address.
    cdef ProducerEntry* next_in_order(self, int64_t producer_id, int16_t epoch, int32_t base_sequence) noexcept nogil
    cdef void note(
        self, ProducerEntry* entry, int32_t base_sequence, int32_t offset_delta, int64_t last_offset, int64_t timestamp
    ) noexcept nogil
    # Before the append of a control batch by a coordinator; transaction_version as in KIP-890 (0, 1, 2).
    cdef int check_marker(
        self, const BatchHeader* h, const uint8_t* batch, Py_ssize_t n, int transaction_version
    ) except -1
    # After the append (and in recovery): h.base_offset is final, batch is the whole stored batch.
    cdef int update(self, const BatchHeader* h, const uint8_t* batch, Py_ssize_t n) except -1
    # -1 when nothing is unstable at this high watermark.
    cdef int64_t unstable_offset(self, int64_t high_watermark) noexcept nogil
    cdef void forget_completed(self) noexcept nogil

    cdef ProducerEntry* find(self, int64_t producer_id) noexcept nogil
    cdef ProducerEntry* find_or_add(self, int64_t producer_id) except NULL
    cdef int rebuild_slots(self, Py_ssize_t wanted) except -1
    cdef int check_epoch(self, const ProducerEntry* entry, const BatchHeader* h) except -1
    cdef int check_sequence(self, const ProducerEntry* entry, const BatchHeader* h) except -1
    cdef int apply_marker(self, const BatchHeader* h, const uint8_t* batch, Py_ssize_t n) except -1
    cdef int complete(self, ProducerEntry* entry, int64_t last_offset, bint aborted) except -1


# Adds what `before` remembers from before the oldest batch of each producer; how many batches that were.
cdef Py_ssize_t recall(ProducerStateTable self, ProducerStateTable before) noexcept
