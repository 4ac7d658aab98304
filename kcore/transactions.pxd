# kcore.transactions: the transactions of one log as offsets, and the marker that ends one, at a glance.
from libc.stdint cimport int32_t, int64_t, uint8_t

from kcore.record_batch cimport BatchHeader

cdef struct OngoingTransaction:
    int64_t first_offset
    int64_t last_offset             # of the marker; -1 while undecided
    int64_t producer_id

cdef struct CompletedTransaction:   # decided by a marker; an aborted one goes to the .txnindex
    int64_t producer_id
    int64_t first_offset
    int64_t last_offset             # the marker's
    int64_t last_stable_offset      # what the transaction index stores beside it
    bint aborted

cdef struct TransactionList:        # sorted by first offset; items is its owner's to free
    OngoingTransaction* items
    Py_ssize_t count
    Py_ssize_t capacity

cdef struct Marker:
    int64_t timestamp
    int32_t coordinator_epoch
    bint aborted
    bint empty                      # compaction removed the record; the transaction is gone from the log

# The end-transaction marker of a control batch; CorruptBatch when it is none.
cdef int read_marker(const BatchHeader* h, const uint8_t* batch, Py_ssize_t n, Marker* out) except -1

# Insert by first offset; an item with the same first offset is replaced.
cdef int list_insert(TransactionList* list_, int64_t first, int64_t last, int64_t producer_id) except -1
cdef void list_remove_first_offset(TransactionList* list_, int64_t first) noexcept nogil
cdef void list_drop_decided_below(TransactionList* list_, int64_t offset) noexcept nogil
