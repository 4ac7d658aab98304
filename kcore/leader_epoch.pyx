# cython: freethreading_compatible=True
"""Leader epochs of one partition (KIP-101): which offsets were written under which leader.

Caveats first. No lock of its own: the Log's covers every call. Derived from the log, as every batch
carries its epoch; after an unclean stop the Log truncates the cache to the log's bounds and assigns
again what it replays.

The file `leader-epoch-checkpoint` is text: a version, a count, then one `epoch start_offset` a line.

    0
    2
    0 0          epoch 0 wrote offsets 0 .. 99
    2 100        epoch 2 writes from 100 on; under epoch 1 nothing was written
"""

from collections import namedtuple

from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from kcore.checkpoints import decode_leader_epochs, encode_leader_epochs

UNDEFINED_EPOCH = -1
UNDEFINED_OFFSET = -1

EpochStart = namedtuple("EpochStart", "epoch start_offset")


cdef class LeaderEpochCache:
    """See leader_epoch.pyi for the methods' contracts."""

    def __cinit__(self, entries=None):
        for epoch, start_offset in entries or ():
            self.assign_entry(epoch, start_offset)

    def __dealloc__(self):
        free(self.items)

    def __len__(self):
        return self.count

    cdef int reserve(self, Py_ssize_t wanted) except -1:
        cdef Py_ssize_t capacity = self.capacity if self.capacity else 4
        cdef void* grown
        if wanted <= self.capacity:
            return 0
        while capacity < wanted:
            capacity *= 2
        grown = realloc(self.items, <size_t>capacity * sizeof(EpochEntry))
        if grown == NULL:
            raise MemoryError()
        self.items = <EpochEntry*>grown
        self.capacity = capacity
        return 0

    cdef int assign_entry(self, int32_t epoch, int64_t start_offset) except -1:
        cdef EpochEntry* last
        if epoch < 0 or start_offset < 0:
            raise ValueError(f"leader epoch {epoch} from offset {start_offset}: negative")
        if self.count:
            last = &self.items[self.count - 1]
            if last.epoch == epoch and last.start_offset <= start_offset:
                return 0
        self.reserve(self.count + 1)
        # What a newer leader writes overrules entries that claim a later epoch or a later start.
        while self.count:
            last = &self.items[self.count - 1]
            if last.epoch < epoch and last.start_offset < start_offset:
                break
            self.count -= 1
        self.items[self.count].epoch = epoch
        self.items[self.count].start_offset = start_offset
        self.count += 1
        return 1

    cdef int32_t epoch_at(self, int64_t offset) noexcept nogil:
        cdef Py_ssize_t low = 0, high = self.count, middle
        while low < high:
            middle = (low + high) // 2
            if self.items[middle].start_offset <= offset:
                low = middle + 1
            else:
                high = middle
        return self.items[low - 1].epoch if low else -1

    def assign(self, int32_t epoch, int64_t start_offset):
        return self.assign_entry(epoch, start_offset) == 1

    @property
    def latest(self):
        return self.items[self.count - 1].epoch if self.count else None

    @property
    def earliest(self):
        return EpochStart(self.items[0].epoch, self.items[0].start_offset) if self.count else None

    def entries(self):
        cdef Py_ssize_t i
        return [EpochStart(self.items[i].epoch, self.items[i].start_offset) for i in range(self.count)]

    def previous_epoch(self, int32_t epoch):
        cdef Py_ssize_t i = self.count
        while i > 0 and self.items[i - 1].epoch >= epoch:
            i -= 1
        return self.items[i - 1].epoch if i else None

    def end_offset_for(self, int32_t epoch, int64_t log_end_offset):
        cdef Py_ssize_t higher = 0
        if epoch < 0:
            return UNDEFINED_EPOCH, UNDEFINED_OFFSET
        if self.count and self.items[self.count - 1].epoch == epoch:
            return epoch, log_end_offset
        while higher < self.count and self.items[higher].epoch <= epoch:
            higher += 1
        if higher == self.count:
            return UNDEFINED_EPOCH, UNDEFINED_OFFSET
        if higher == 0:
            # All of that epoch was deleted; the log begins with a later one.
            return epoch, self.items[0].start_offset
        return self.items[higher - 1].epoch, self.items[higher].start_offset

    def epoch_for_offset(self, int64_t offset):
        cdef int32_t epoch = self.epoch_at(offset)
        return epoch if epoch >= 0 else None

    def truncate_from_end(self, int64_t end_offset):
        cdef Py_ssize_t before = self.count
        if end_offset < 0:
            return False
        while self.count and self.items[self.count - 1].start_offset >= end_offset:
            self.count -= 1
        return self.count != before

    def truncate_from_start(self, int64_t start_offset):
        cdef Py_ssize_t removed = 0
        while removed < self.count and self.items[removed].start_offset <= start_offset:
            removed += 1
        if removed == 0:
            return False
        removed -= 1
        if removed == 0 and self.items[0].start_offset == start_offset:
            return False
        memmove(
            self.items, &self.items[removed], <size_t>(self.count - removed) * sizeof(EpochEntry)
        )
        self.count -= removed
        self.items[0].start_offset = start_offset
        return True

    def clear(self):
        self.count = 0

    def encode(self):
        return encode_leader_epochs(self.entries())

    @staticmethod
    def decode(data, where="leader-epoch-checkpoint"):
        return LeaderEpochCache(decode_leader_epochs(data, where))
