# cython: freethreading_compatible=True
"""Producer state of one partition: what makes a retry of an idempotent producer harmless (KIP-98, KIP-890).

Caveats first. A table takes no lock: the Log's writer lock covers every call. It is derived from the
log (snapshot file + replay of what follows), so nothing here is the truth; after a truncation the Log
clears it, loads the newest snapshot at or below the new end and replays the batches after it.

For each producer id: its epoch, the last five data batches, the first offset of its open transaction,
the coordinator epoch of its last marker. The rules, as Apache Kafka 4.3 has them:

    epoch below the one seen          InvalidProducerEpoch (clients and coordinators)
    same epoch, one of the last five  duplicate: answered with the offset it got the first time
    same epoch, sequence = last + 1   stored (2^31-1 is followed by 0)
    same epoch, anything else         OutOfOrderSequence
    higher epoch, sequence 0          stored, the five are forgotten
    higher epoch, other sequence      OutOfOrderSequence
    unknown producer id               stored with any sequence (its records may have been deleted)
    outside of its open transaction   InvalidTxnState

The snapshot's bytes are producer_snapshot.pyx's, open transactions and markers transactions.pyx's.
"""

from collections import namedtuple

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from kcore.arrays cimport room_for_one
from kcore.producer_entry cimport BATCHES_RETAINED, NO_SEQUENCE, StoredBatch, newest
from kcore.producer_snapshot cimport encode_snapshot
from kcore.record_batch cimport ATTR_CONTROL, ATTR_TRANSACTIONAL, batch_header, raise_status
from kcore.transactions cimport (
    Marker,
    OngoingTransaction,
    list_drop_decided_below,
    list_insert,
    list_remove_first_offset,
    read_marker,
)

from kcore.errors import (
    CoordinatorFenced,
    CorruptBatch,
    InvalidProducerEpoch,
    InvalidTxnState,
    OutOfOrderSequence,
)
from kcore.producer_snapshot import ProducerState, read_snapshot

globals().update(
    ORIGIN_REPLICA=ORIGIN_REPLICA,
    ORIGIN_CLIENT=ORIGIN_CLIENT,
    ORIGIN_COORDINATOR=ORIGIN_COORDINATOR,
    ORIGIN_RAFT=ORIGIN_RAFT,
    BATCHES_RETAINED=BATCHES_RETAINED,
)

Transaction = namedtuple("Transaction", "producer_id first_offset last_offset")
Completed = namedtuple("Completed", "producer_id first_offset last_offset last_stable_offset aborted")
Duplicate = namedtuple("Duplicate", "base_offset last_offset timestamp_ms")

cdef enum:
    SEQUENCE_MAX = 0x7FFFFFFF
    EPOCH_MAX = 0x7FFF

# Clients choose the producer ids that they send; a salt keeps them from choosing where they land. It is the
# interpreter's own, different in every process (and the same under PYTHONHASHSEED).
cdef uint64_t SALT = hash(b"kcore.producer_state") & 0xFFFFFFFFFFFFFFFF


cdef inline uint64_t scatter(int64_t producer_id) noexcept nogil:
    cdef uint64_t x = <uint64_t>producer_id ^ SALT
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline int32_t sequence_add(int32_t sequence, int32_t increment) noexcept nogil:
    """The sequence `increment` (>= 0) after this one; 2^31-1 is followed by 0."""
    if sequence > SEQUENCE_MAX - increment:
        return increment - (SEQUENCE_MAX - sequence) - 1
    return sequence + increment


cdef inline int32_t sequence_subtract(int32_t sequence, int32_t decrement) noexcept nogil:
    if sequence < decrement:
        return SEQUENCE_MAX - (decrement - sequence) + 1
    return sequence - decrement


cdef inline int32_t batch_last_sequence(const BatchHeader* h) noexcept nogil:
    if h.base_sequence == NO_SEQUENCE:
        return NO_SEQUENCE
    return sequence_add(h.base_sequence, h.last_offset_delta)


cdef inline int32_t last_sequence(const ProducerEntry* entry) noexcept nogil:
    if entry.batches_count == 0:
        return NO_SEQUENCE
    return newest(<ProducerEntry*>entry).last_sequence


cdef inline void set_epoch(ProducerEntry* entry, int16_t epoch) noexcept nogil:
    if entry.producer_epoch != epoch:
        entry.producer_epoch = epoch
        entry.batches_count = 0
        entry.batches_head = 0


cdef inline void remember(
    ProducerEntry* entry, int32_t last, int32_t delta, int64_t last_offset, int64_t timestamp
) noexcept nogil:
    cdef StoredBatch* place
    if entry.batches_count == BATCHES_RETAINED:
        entry.batches_head = <uint8_t>((entry.batches_head + 1) % BATCHES_RETAINED)
    else:
        entry.batches_count += 1
    place = newest(entry)
    place.last_sequence = last
    place.offset_delta = delta
    place.last_offset = last_offset
    place.timestamp = timestamp


cdef object describe(const ProducerEntry* entry):
    cdef StoredBatch* last
    cdef int32_t sequence = NO_SEQUENCE
    cdef int64_t offset = -1
    cdef int32_t delta = 0
    if entry.batches_count:
        last = newest(<ProducerEntry*>entry)
        sequence, offset, delta = last.last_sequence, last.last_offset, last.offset_delta
    return ProducerState(
        entry.producer_id,
        entry.producer_epoch,
        sequence,
        offset,
        delta,
        entry.last_timestamp,
        entry.coordinator_epoch,
        entry.txn_first_offset,
    )


cdef class ProducerStateTable:
    """See the module's text for the rules and producer_state.pyi for the methods' contracts."""

    def __cinit__(self, expiration_ms=86_400_000):
        self.expiration_ms = expiration_ms
        self.buckets = 16
        self.rebuild_slots(8)

    def __dealloc__(self):
        free(self.entries)
        free(self.slots)
        free(self.ongoing.items)
        free(self.unreplicated.items)
        free(self.completed)

    def __len__(self):
        return self.count

    # ---- lookup -------------------------------------------------------------------------------

    cdef ProducerEntry* find(self, int64_t producer_id) noexcept nogil:
        cdef Py_ssize_t slot = <Py_ssize_t>(scatter(producer_id) & <uint64_t>self.slots_mask)
        cdef int32_t place
        while True:
            place = self.slots[slot]
            if place < 0:
                return NULL
            if self.entries[place].producer_id == producer_id:
                return &self.entries[place]
            slot = (slot + 1) & self.slots_mask

    cdef ProducerEntry* find_or_add(self, int64_t producer_id) except NULL:
        cdef ProducerEntry* entry = self.find(producer_id)
        cdef Py_ssize_t slot
        if entry != NULL:
            return entry
        self.entries = <ProducerEntry*>room_for_one(
            self.entries, self.count, &self.capacity, sizeof(ProducerEntry)
        )
        if (self.count + 1) * 2 > self.slots_mask + 1:
            self.rebuild_slots((self.count + 1) * 2)
        entry = &self.entries[self.count]
        memset(entry, 0, sizeof(ProducerEntry))
        entry.producer_id = producer_id
        entry.producer_epoch = -1
        entry.coordinator_epoch = -1
        entry.last_timestamp = -1
        entry.txn_first_offset = -1
        slot = <Py_ssize_t>(scatter(producer_id) & <uint64_t>self.slots_mask)
        while self.slots[slot] >= 0:
            slot = (slot + 1) & self.slots_mask
        self.slots[slot] = <int32_t>self.count
        self.count += 1
        while self.count * 4 > self.buckets * 3:
            self.buckets *= 2
        return entry

    cdef int rebuild_slots(self, Py_ssize_t wanted) except -1:
        cdef Py_ssize_t size = 16
        cdef Py_ssize_t place, slot
        cdef void* grown
        while size < wanted * 2:
            size *= 2
        grown = realloc(self.slots, <size_t>size * sizeof(int32_t))
        if grown == NULL:
            raise MemoryError()
        self.slots = <int32_t*>grown
        self.slots_mask = size - 1
        memset(self.slots, 0xFF, <size_t>size * sizeof(int32_t))
        for place in range(self.count):
            slot = <Py_ssize_t>(scatter(self.entries[place].producer_id) & <uint64_t>self.slots_mask)
            while self.slots[slot] >= 0:
                slot = (slot + 1) & self.slots_mask
            self.slots[slot] = <int32_t>place
        return 0

    # ---- before an append -----------------------------------------------------------------------

    cdef int check(self, const BatchHeader* h, int origin, DuplicateBatch* dup) except -1:
        cdef ProducerEntry* entry
        cdef StoredBatch* stored
        cdef int i
        if h.producer_id < 0 or origin == ORIGIN_REPLICA or origin == ORIGIN_RAFT:
            return CHECK_NEW
        if h.attributes & ATTR_CONTROL:
            return CHECK_NEW  # check_marker() is for those
        entry = self.find(h.producer_id)
        if entry == NULL:
            return CHECK_NEW
        if origin == ORIGIN_CLIENT and h.producer_epoch == entry.producer_epoch:
            for i in range(entry.batches_count):
                stored = &entry.batches[(entry.batches_head + i) % BATCHES_RETAINED]
                if (
                    stored.last_sequence == batch_last_sequence(h)
                    and sequence_subtract(stored.last_sequence, stored.offset_delta) == h.base_sequence
                ):
                    dup.base_offset = stored.last_offset - stored.offset_delta
                    dup.last_offset = stored.last_offset
                    dup.timestamp = stored.timestamp
                    return CHECK_DUPLICATE
        self.check_epoch(entry, h)
        if origin == ORIGIN_CLIENT:
            self.check_sequence(entry, h)
        if entry.txn_first_offset >= 0 and not h.attributes & ATTR_TRANSACTIONAL:
            raise InvalidTxnState(
                f"producer {h.producer_id} has a transaction open since offset"
                f" {entry.txn_first_offset} and sent a batch outside of it"
            )
        return CHECK_NEW

    cdef int check_epoch(self, const ProducerEntry* entry, const BatchHeader* h) except -1:
        if h.producer_epoch < entry.producer_epoch:
            raise InvalidProducerEpoch(
                f"epoch {h.producer_epoch} of producer {h.producer_id} is smaller than"
                f" {entry.producer_epoch}, the last one seen"
            )
        return 0

    cdef int check_sequence(self, const ProducerEntry* entry, const BatchHeader* h) except -1:
        cdef int32_t last
        if h.producer_epoch != entry.producer_epoch:
            if h.base_sequence != 0 and entry.producer_epoch != -1:
                raise OutOfOrderSequence(
                    f"the first batch of epoch {h.producer_epoch} of producer {h.producer_id} has"
                    f" sequence {h.base_sequence}, not 0 (the epoch before was {entry.producer_epoch})"
                )
            return 0
        last = last_sequence(entry)
        if h.base_sequence == last + <int64_t>1 or (h.base_sequence == 0 and last == SEQUENCE_MAX):
            return 0
        raise OutOfOrderSequence(
            f"sequence {h.base_sequence} of producer {h.producer_id} does not follow {last}"
        )

    cdef ProducerEntry* next_in_order(self, int64_t producer_id, int16_t epoch, int32_t base_sequence) noexcept nogil:
        cdef ProducerEntry* entry = self.find(producer_id)
        if (
            entry == NULL or entry.producer_epoch != epoch or entry.batches_count == 0
            or entry.txn_first_offset >= 0 or base_sequence != last_sequence(entry) + <int64_t>1
        ):
            return NULL
        return entry

    cdef void note(
        self, ProducerEntry* entry, int32_t base_sequence, int32_t offset_delta, int64_t last_offset, int64_t timestamp
    ) noexcept nogil:
        remember(entry, sequence_add(base_sequence, offset_delta), offset_delta, last_offset, timestamp)
        entry.last_timestamp = timestamp

    cdef int check_marker(
        self, const BatchHeader* h, const uint8_t* batch, Py_ssize_t n, int transaction_version
    ) except -1:
        cdef Marker marker
        cdef ProducerEntry* entry
        read_marker(h, batch, n, &marker)
        entry = self.find(h.producer_id)
        if entry == NULL or marker.empty:
            return 0
        # With transaction version 2 the marker itself carries the bumped epoch, so an equal one is
        # a late marker, unless it repeats one whose transaction is over (or the epoch is used up).
        if transaction_version >= 2 and h.producer_epoch == entry.producer_epoch:
            if entry.txn_first_offset >= 0 and h.producer_epoch != EPOCH_MAX:
                raise InvalidProducerEpoch(
                    f"a marker of producer {h.producer_id} has epoch {h.producer_epoch}, which is"
                    " that of the open transaction itself"
                )
        else:
            self.check_epoch(entry, h)
        if marker.coordinator_epoch < entry.coordinator_epoch:
            raise CoordinatorFenced(
                f"a marker of producer {h.producer_id} comes from coordinator epoch"
                f" {marker.coordinator_epoch}; {entry.coordinator_epoch} was seen before"
            )
        return 0

    # ---- after an append ------------------------------------------------------------------------

    cdef int update(self, const BatchHeader* h, const uint8_t* batch, Py_ssize_t n) except -1:
        cdef ProducerEntry* entry
        if h.producer_id < 0:
            return 0
        if h.attributes & ATTR_CONTROL:
            return self.apply_marker(h, batch, n)
        entry = self.find_or_add(h.producer_id)
        if entry.txn_first_offset < 0 and h.attributes & ATTR_TRANSACTIONAL:
            list_insert(&self.ongoing, h.base_offset, -1, h.producer_id)
            entry.txn_first_offset = h.base_offset
        set_epoch(entry, h.producer_epoch)
        remember(
            entry,
            batch_last_sequence(h),
            h.last_offset_delta,
            h.base_offset + h.last_offset_delta,
            h.max_timestamp,
        )
        entry.last_timestamp = h.max_timestamp
        return 0

    cdef int apply_marker(self, const BatchHeader* h, const uint8_t* batch, Py_ssize_t n) except -1:
        cdef Marker marker
        cdef ProducerEntry* entry
        read_marker(h, batch, n, &marker)
        if marker.empty:
            return 0
        entry = self.find_or_add(h.producer_id)
        if entry.txn_first_offset >= 0:
            self.complete(entry, h.base_offset, marker.aborted)
        set_epoch(entry, h.producer_epoch)
        entry.coordinator_epoch = marker.coordinator_epoch
        entry.txn_first_offset = -1
        entry.last_timestamp = marker.timestamp
        return 0

    cdef int complete(self, ProducerEntry* entry, int64_t last_offset, bint aborted) except -1:
        cdef CompletedTransaction* done
        cdef Py_ssize_t i
        self.completed = <CompletedTransaction*>room_for_one(
            self.completed, self.completed_count, &self.completed_capacity, sizeof(CompletedTransaction)
        )
        list_insert(&self.unreplicated, entry.txn_first_offset, last_offset, entry.producer_id)
        list_remove_first_offset(&self.ongoing, entry.txn_first_offset)
        done = &self.completed[self.completed_count]
        done.producer_id = entry.producer_id
        done.first_offset = entry.txn_first_offset
        done.last_offset = last_offset
        done.last_stable_offset = last_offset + 1
        done.aborted = aborted
        for i in range(self.ongoing.count):
            if self.ongoing.items[i].producer_id != entry.producer_id:
                done.last_stable_offset = self.ongoing.items[i].first_offset
                break
        self.completed_count += 1
        return 0

    cdef void forget_completed(self) noexcept nogil:
        self.completed_count = 0

    cdef int64_t unstable_offset(self, int64_t high_watermark) noexcept nogil:
        cdef int64_t first = -1
        cdef Py_ssize_t i
        if self.ongoing.count:
            first = self.ongoing.items[0].first_offset
        for i in range(self.unreplicated.count):
            if self.unreplicated.items[i].last_offset >= high_watermark:
                if first < 0 or self.unreplicated.items[i].first_offset < first:
                    first = self.unreplicated.items[i].first_offset
                break
        return first

    # ---- Python ---------------------------------------------------------------------------------

    def check_batch(self, const uint8_t[::1] batch not None, int origin=ORIGIN_CLIENT):
        cdef BatchHeader h
        cdef DuplicateBatch dup
        load_header(batch, &h)
        if self.check(&h, origin, &dup) == CHECK_DUPLICATE:
            return Duplicate(dup.base_offset, dup.last_offset, dup.timestamp)
        return None

    def check_marker_batch(self, const uint8_t[::1] batch not None, int transaction_version=0):
        cdef BatchHeader h
        load_header(batch, &h)
        if not h.attributes & ATTR_CONTROL or h.producer_id < 0:
            raise CorruptBatch("not an end-transaction marker: no control batch of a producer id")
        self.check_marker(&h, &batch[0], batch.shape[0], transaction_version)

    def update_batch(self, const uint8_t[::1] batch not None):
        cdef BatchHeader h
        load_header(batch, &h)
        self.update(&h, &batch[0], batch.shape[0])

    def take_completed(self):
        cdef Py_ssize_t i
        cdef CompletedTransaction* done
        taken = []
        for i in range(self.completed_count):
            done = &self.completed[i]
            taken.append(
                Completed(
                    done.producer_id,
                    done.first_offset,
                    done.last_offset,
                    done.last_stable_offset,
                    done.aborted != 0,
                )
            )
        self.forget_completed()
        return taken

    def first_unstable_offset(self, int64_t high_watermark):
        cdef int64_t first = self.unstable_offset(high_watermark)
        return first if first >= 0 else None

    def on_high_watermark(self, int64_t high_watermark):
        list_drop_decided_below(&self.unreplicated, high_watermark)

    def on_log_start_offset(self, int64_t log_start_offset):
        list_drop_decided_below(&self.unreplicated, log_start_offset)

    def expire(self, int64_t now_ms):
        cdef Py_ssize_t place, kept = 0
        cdef ProducerEntry* entry
        for place in range(self.count):
            entry = &self.entries[place]
            if entry.txn_first_offset < 0 and now_ms - entry.last_timestamp >= self.expiration_ms:
                continue
            self.entries[kept] = entry[0]
            kept += 1
        place = self.count - kept
        if place:
            self.count = kept
            self.rebuild_slots(kept + 1)
        return place

    def clear(self):
        self.count = 0
        self.ongoing.count = 0
        self.unreplicated.count = 0
        self.completed_count = 0
        self.rebuild_slots(8)

    def active(self):
        cdef Py_ssize_t place
        return [describe(&self.entries[place]) for place in range(self.count)]

    def last_entry(self, int64_t producer_id):
        cdef ProducerEntry* entry = self.find(producer_id)
        return describe(entry) if entry != NULL else None

    def transactions(self):
        cdef Py_ssize_t i
        cdef OngoingTransaction* item
        listed = []
        for i in range(self.ongoing.count):
            item = &self.ongoing.items[i]
            listed.append(Transaction(item.producer_id, item.first_offset, item.last_offset))
        for i in range(self.unreplicated.count):
            item = &self.unreplicated.items[i]
            listed.append(Transaction(item.producer_id, item.first_offset, item.last_offset))
        listed.sort(key=lambda transaction: transaction.first_offset)
        return listed

    def oldest_transaction_timestamp_ms(self):
        cdef ProducerEntry* entry
        if not self.ongoing.count:
            return -1
        entry = self.find(self.ongoing.items[0].producer_id)
        return entry.last_timestamp if entry != NULL else -1

    # ---- snapshot -------------------------------------------------------------------------------

    def take_snapshot(self):
        return encode_snapshot(self.entries, self.count, self.buckets)

    def load(self, data not None, *, int64_t now_ms=-1, where="producer snapshot"):
        cdef ProducerEntry* entry
        cdef Py_ssize_t added = 0
        for state in read_snapshot(data, where):
            if (
                now_ms >= 0
                and state.transaction_start_offset < 0
                and now_ms - <int64_t>state.last_timestamp_ms >= self.expiration_ms
            ):
                continue
            entry = self.find_or_add(state.producer_id)
            entry.producer_epoch = state.producer_epoch
            entry.coordinator_epoch = state.coordinator_epoch
            entry.last_timestamp = state.last_timestamp_ms
            entry.txn_first_offset = -1
            entry.batches_count = entry.batches_head = 0
            if state.last_offset >= 0:
                remember(
                    entry,
                    state.last_sequence,
                    state.offset_delta,
                    state.last_offset,
                    state.last_timestamp_ms,
                )
            if state.transaction_start_offset >= 0:
                list_insert(
                    &self.ongoing, state.transaction_start_offset, -1, state.producer_id
                )
                entry.txn_first_offset = state.transaction_start_offset
            added += 1
        return added


cdef Py_ssize_t recall(ProducerStateTable self, ProducerStateTable before) noexcept:
    """Adds what `before` remembers from before the oldest batch of each producer; how many batches that were."""
    cdef ProducerEntry* entry
    cdef ProducerEntry* other
    cdef StoredBatch* batch
    cdef Py_ssize_t i, found = 0
    cdef int place
    cdef int64_t oldest
    for i in range(before.count):
        other = &before.entries[i]
        entry = self.find(other.producer_id)
        if entry == NULL or entry.batches_count == 0 or entry.producer_epoch != other.producer_epoch:
            continue
        oldest = entry.batches[entry.batches_head].last_offset
        for place in range(other.batches_count - 1, -1, -1):
            batch = &other.batches[(other.batches_head + place) % BATCHES_RETAINED]
            if entry.batches_count == BATCHES_RETAINED:
                break
            if batch.last_offset < oldest:
                entry.batches_head = <uint8_t>((entry.batches_head + BATCHES_RETAINED - 1) % BATCHES_RETAINED)
                entry.batches[entry.batches_head] = batch[0]
                entry.batches_count += 1
                found += 1
    return found


cdef int load_header(const uint8_t[::1] batch, BatchHeader* h) except -1:
    if batch.shape[0] == 0:
        raise CorruptBatch("an empty buffer holds no batch")
    raise_status(batch_header(&batch[0], batch.shape[0], h), None)
    return 0
