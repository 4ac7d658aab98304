"""The log of one partition: its segments in order, and what is derived from them.

::

    topic-0/
      00000000000000000000.log .index .timeindex          closed: trimmed, synced, no map until read
      00000000000000052311.log .index .timeindex .txnindex
      00000000000000052311.snapshot                       producer state at that offset
      00000000000000108804.log                            active: mapped, indexes in memory
      leader-epoch-checkpoint  partition.metadata

      log_start_offset       recovery_point               log_end_offset
            |                      |                            |
            v                      v                            v
    ========#######################+++++++++++++++++++++++++++++.......
    deleted   durable: checked by    appended, not yet synced;    preallocated
    records   no one at a clean      checked by CRC after an
              start                  unclean stop, cut at the
                                     first bad batch

Life of an append (one copy)::

    lock --> header --> CRC summed and everything but the header copied behind the end, in one go (may drop the GIL)
       --> records validated --> producer check --> [duplicate: zeros where the copy was, answer, done]
       --> leader epoch new? noted, on disk with the next flush --> segment full? roll, and copy there
       --> header with offset and epoch --> index entries --> end published
       --> producer state, aborted transactions --> unlock

The usual batch (append_usual: uncompressed, next in its producer's sequence, with room in map and segment) goes a
shorter way to the same end: header and records are looked at first, then it is summed and copied, then the end
moves. It takes no lock, because it never lets the GIL go, and what it does not take it leaves to the long way.

A refused batch leaves zeros too: what is behind the end may be looked at by a recovery. A batch that has to
be compressed anew, is small, or has no room in this map, is copied when it has been accepted; a long one of a log that
is synced all the time is written then, see mapped_file.pyx.

Errors of the disk: the first one marks the LogDirFailure that all logs of a directory share; from then
on everything that writes raises LogFailed. Nothing is retried, because after a failed sync the kernel
has forgotten which pages were dirty (T7).
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint8_t

from kcore.append cimport append_any, append_whole
from kcore.leader_epoch cimport LeaderEpochCache
from kcore.producer_entry cimport ProducerEntry
from kcore.producer_state cimport ProducerStateTable
from kcore.record_batch cimport BatchHeader, batch_usual
from kcore.segment cimport LogSlice, Segment, ask_ahead, copy_checked, has_room, new_segment

import errno
import os
import threading
import zlib

from kcore import syscalls
from kcore.errors import LogFailed, OffsetOutOfRange
from kcore.log_values import (
    Appended, Cut, DeletedSegment, EPOCH_CHECKPOINT, OffsetAndTimestamp, RecoveryReport, SegmentInfo,
)

# The names that pxd files declare, for Python as well.
globals().update(REPLICA=0, CLIENT=1, COORDINATOR=2, RAFT=3, LogDirFailure=LogDirFailure)

CODECS = {"producer": -1, "uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

# The process ran out of something; the disk did not fail.
TRANSIENT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))
cdef int64_t INT64_MAX = 0x7FFFFFFFFFFFFFFF


cdef inline bint append_usual(
    Log log, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms, AppendedStruct* out
) except -1:
    """append_client() for what nearly every batch is. False: nothing happened, append_any() has to look closer.

    Nothing here wants the header's address, so that it stays in registers: what is stored waits for its turn
    behind the copy of the batch before.
    """
    cdef BatchHeader h
    cdef ProducerEntry* producer = NULL
    cdef Segment segment = log.active
    cdef int64_t base_offset = log.log_end_offset, last_offset
    # It never lets the GIL go, which therefore is lock enough while nobody holds the other one: an atomic
    # instruction would wait here until the copy of the batch before has reached memory.
    if (
        n > log.usual_bytes_max or log.held or log.closed or log.failure.offline
        or leader_epoch != log.epoch_known
    ):
        return False
    ask_ahead(segment, n)
    log.rules.now_ms = now_ms
    if not batch_usual(p, n, &h, &log.rules):
        return False
    last_offset = base_offset + h.last_offset_delta
    if h.producer_id >= 0:
        producer = log.producers.next_in_order(h.producer_id, h.producer_epoch, h.base_sequence)
        if producer == NULL:
            return False
    if not has_room(segment, n, last_offset, h.max_timestamp, now_ms, log.segment_bytes, log.segment_ms):
        return False
    if not copy_checked(segment, p, n, h.crc, base_offset, leader_epoch):
        return False
    segment.publish(n, last_offset, h.max_timestamp)
    log.log_end_offset = last_offset + 1
    if producer != NULL:
        log.producers.note(producer, h.base_sequence, h.last_offset_delta, last_offset, h.max_timestamp)
    out.base_offset = base_offset
    out.last_offset = last_offset
    out.log_append_time_ms = -1
    out.log_start_offset = log.log_start_offset
    out.max_timestamp_ms = h.max_timestamp
    out.leader_epoch = leader_epoch
    out.duplicate = False
    return True


cdef class Log:
    """See the drawings above, and log.pyi for the contract of each method. Made by Log.open."""

    def __cinit__(self, str path, object config, LogDirFailure failure, object topic_id):
        if pthread_mutex_init(&self.lock, NULL):
            raise MemoryError()
        self.path = path
        self.failure = failure
        self.topic_id = topic_id
        self.flush_lock = threading.Lock()
        self.segment_list = []
        self.unsynced = []
        self.deletions = []
        self.last_snapshot_offset = self.recalled_from = -1
        self.last_flush_ms = 0
        self.leader_epochs = LeaderEpochCache()
        self.epoch_known = -1
        self.producers = ProducerStateTable(config.producer_id_expiration_ms)
        self.update_config(config)

    def __dealloc__(self):
        pthread_mutex_destroy(&self.lock)

    @staticmethod
    def open(
        path, config, *, now_ms, clean, recovery_point=0, log_start_offset=0, topic_id=None, failure=None,
        truncate_corrupt=False,
    ):
        """Opens or creates the log; see log.pyi."""
        path = os.fspath(path)
        made = Log(path, config, LogDirFailure(path) if failure is None else failure, topic_id)
        recovery.open_log(made, now_ms, clean, recovery_point, log_start_offset, truncate_corrupt)
        return made

    cdef int acquire(self) except -1:
        # CPython's own locks look at the clock even for a try: a fifth of a small append.
        if pthread_mutex_trylock(&self.lock):
            with nogil:
                pthread_mutex_lock(&self.lock)
        self.held = True
        return 0

    cdef void release(self) noexcept:
        self.held = False
        pthread_mutex_unlock(&self.lock)

    cdef int check_open(self) except -1:
        if self.failure.offline:
            raise LogFailed(f"{self.path} is offline: {self.failure.cause}")
        if self.closed:
            raise LogFailed(f"{self.path} is closed")
        return 0

    cdef int fail(self, object error) except -1:
        if self.closed:
            # Whoever was still at work in it has met names that are gone or another's by now.
            raise LogFailed(f"{self.path} is closed") from error
        if not isinstance(error, OSError) or error.errno not in TRANSIENT:
            self.failure.fail(error)
        raise LogFailed(f"{self.path}: {error}") from error

    def update_config(self, config):
        """Takes new settings at once; an open segment keeps its file but rolls by the new size."""
        self.config = config
        self.segment_bytes = config.segment_bytes
        self.segment_ms = config.segment_ms
        self.max_message_bytes = config.max_message_bytes
        self.rules.now_ms = 0
        self.rules.timestamp_before_max_ms = config.timestamp_before_max_ms
        self.rules.timestamp_after_max_ms = config.timestamp_after_max_ms
        self.rules.decompressed_bytes_max = config.decompressed_bytes_max
        self.rules.timestamp_type = config.timestamp_type
        self.rules.target_codec = CODECS[config.compression]
        self.rules.require_keys = config.compact
        self.rules.from_client = True
        self.rules.zstd_allowed = True
        self.usual_bytes_max = min(NOGIL_BYTES - 1, self.max_message_bytes, self.segment_bytes)
        if self.rules.timestamp_type != 0 or self.rules.target_codec > 0:
            self.usual_bytes_max = 0
        self.producers.expiration_ms = config.producer_id_expiration_ms
        if self.active is not None:
            self.active.index_interval = config.index_interval_bytes
            self.active.jitter_ms = jitter_for(self.active.path, config)

    cdef int append_client(
        self, object owner, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms,
        AppendedStruct* out,
    ) except -1:
        if append_usual(self, p, n, leader_epoch, now_ms, out):
            return 0
        return append_any(self, owner, p, n, leader_epoch, now_ms, out)

    cdef int append_batches(
        self, object owner, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms,
        int origin, AppendedStruct* out,
    ) except -1:
        if origin == CLIENT:
            return self.append_client(owner, p, n, leader_epoch, now_ms, out)
        return append_whole(self, p, n, leader_epoch, now_ms, origin, out)

    cdef int give_up(self, object error) except -1:
        """The end of a change that failed: lets the lock go, and the log too if it was the disk."""
        self.release()
        if isinstance(error, OSError):
            self.fail(error)
        raise error

    cdef int assign_epoch(self, int32_t epoch, int64_t start_offset) except -1:
        """On disk with the next flush. Until then every batch of the epoch is one that a recovery walks, and
        batches carry their epoch; one without batches is assigned anew by whoever leads next."""
        if self.leader_epochs.assign_entry(epoch, start_offset):
            self.epochs_dirty = True
        return 0

    def expire_producers(self, int64_t now_ms):
        """Forgets idle producers; see log.pyi."""
        self.acquire()
        try:
            return self.producers.expire(now_ms)
        finally:
            self.release()

    def assign_leader_epoch(self, int32_t epoch, int64_t start_offset):
        """Notes that an epoch begins here; see log.pyi."""
        self.acquire()
        try:
            self.check_open()
            self.assign_epoch(epoch, start_offset)
        finally:
            self.release()

    cdef int save_epochs(self) except -1:
        """Makes the checkpoint file durable; OSError: it is still the old one."""
        self.epochs_dirty = False
        try:
            syscalls.replace_file(f"{self.path}/{EPOCH_CHECKPOINT}", self.leader_epochs.encode())
        except BaseException:
            self.epochs_dirty = True
            raise
        return 0

    def append(self, batches, *, int32_t leader_epoch, int64_t now_ms, int origin=CLIENT):
        """Appends; see log.pyi."""
        cdef AppendedStruct out
        cdef Py_buffer buffer
        if not REPLICA <= origin <= RAFT:
            raise ValueError(f"origin {origin} is unknown")
        PyObject_GetBuffer(batches, &buffer, PyBUF_SIMPLE)
        try:
            self.append_batches(
                batches, <const uint8_t*>buffer.buf, buffer.len, leader_epoch, now_ms, origin, &out
            )
        finally:
            PyBuffer_Release(&buffer)
        return Appended(
            out.base_offset, out.last_offset, out.log_append_time_ms, out.log_start_offset, bool(out.duplicate),
            out.max_timestamp_ms, out.leader_epoch,
        )

    def append_marker(self, marker, *, int32_t leader_epoch, int64_t now_ms, int transaction_version=0):
        """Appends the marker that ends a transaction; see log.pyi."""
        return append.append_marker(
            self, marker, leader_epoch=leader_epoch, now_ms=now_ms, transaction_version=transaction_version
        )

    cdef Segment make_segment(self, int64_t base_offset, int64_t now_ms):
        cdef str path = f"{self.path}/{base_offset:020d}"
        return new_segment(path, base_offset, self.config, jitter_for(path, self.config), now_ms)

    cdef int roll_to(self, int64_t base_offset, int64_t now_ms) except -1:
        """Starts a segment at base_offset (OSError: nothing changed). The next flush makes it durable."""
        cdef Segment old = self.active
        cdef Segment made
        if old.end == 0 and old.base_offset == base_offset:
            return 0
        made = self.make_segment(base_offset, now_ms)
        made.active = True
        made.max_timestamp_known = True
        try:
            made.open_write(0)
            old.become_inactive()
        except BaseException:
            made.release()
            old.active = True
            raise
        self.unsynced += [old.offset_index.path, old.time_index.path]
        self.names_dirty = True
        self.segment_list.append(made)
        self.active = made
        self.snapshot_at(base_offset)
        return 0

    cdef int snapshot_at(self, int64_t offset) except -1:
        """Kafka's producer snapshot at that offset, unless there is a newer one."""
        if offset <= self.last_snapshot_offset:
            return 0
        path = f"{self.path}/{offset:020d}.snapshot"
        syscalls.write_file(path, self.producers.take_snapshot(), durable=False)
        self.unsynced.append(path)
        self.names_dirty = True
        self.last_snapshot_offset = offset
        return 0

    def roll(self, int64_t now_ms):
        """Starts a new segment, unless the active one is empty."""
        self.acquire()
        try:
            self.check_open()
            if self.active.end > 0:
                self.roll_to(self.log_end_offset, now_ms)
        except OSError as error:
            self.fail(error)
        finally:
            self.release()

    def take_producer_snapshot(self):
        """Writes the producer state at the log end offset; the next flush makes it durable."""
        self.acquire()
        try:
            self.check_open()
            self.snapshot_at(self.log_end_offset)
        except OSError as error:
            self.fail(error)
        finally:
            self.release()

    cdef Py_ssize_t floor_segment(self, int64_t offset) noexcept:
        """Place of the last segment that begins at or below the offset; 0 when none does."""
        cdef Py_ssize_t low = 0, high = len(self.segment_list), middle
        if self.active.base_offset <= offset:
            return high - 1
        while low < high:
            middle = (low + high) >> 1
            if (<Segment>self.segment_list[middle]).base_offset <= offset:
                low = middle + 1
            else:
                high = middle
        return low - 1 if low > 0 else 0

    cdef LogSlice read_slice(
        self, int64_t offset, Py_ssize_t bytes_max, int64_t end_offset, bint at_least_one
    ):
        cdef Py_ssize_t place
        cdef Segment segment
        cdef LogSlice found
        if self.closed:
            raise LogFailed(f"{self.path} is closed")
        if offset < self.log_start_offset or offset > self.log_end_offset:
            raise OffsetOutOfRange(f"{offset} is not within {self.log_start_offset} and {self.log_end_offset}")
        if end_offset > self.log_end_offset:
            end_offset = self.log_end_offset
        place = self.floor_segment(offset)
        segment = self.segment_list[place]
        if offset < end_offset:
            try:
                while True:
                    found = segment.read(offset, bytes_max, end_offset, at_least_one)
                    if found is not None:
                        return found
                    place += 1
                    if place >= len(self.segment_list):
                        break
                    segment = self.segment_list[place]
                    if segment.base_offset >= end_offset:
                        break
            except OSError as error:
                self.fail(error)
        return segment.slice_at(offset, segment.end, segment.end, offset)

    def read(self, int64_t offset, Py_ssize_t bytes_max, *, end_offset=None, bint at_least_one=True):
        """Batches from offset on; see log.pyi."""
        return self.read_slice(
            offset, bytes_max, INT64_MAX if end_offset is None else end_offset, at_least_one
        )

    def is_cold(self, int64_t offset, Py_ssize_t bytes_max):
        """Whether read() there may have to wait for the disk: then use read_cold in a worker thread."""
        return durability.is_cold(self, offset, bytes_max)

    def read_cold(self, int64_t offset, Py_ssize_t bytes_max, *, end_offset=None, bint at_least_one=True):
        """read() for a worker thread: the pages are faulted in without the GIL first."""
        return durability.read_cold(
            self, offset, bytes_max, INT64_MAX if end_offset is None else end_offset, at_least_one
        )

    def warm(self, LogSlice slice not None):
        """Faults the slice's pages in without the GIL, for a worker thread."""
        try:
            slice.warm()
        except OSError as error:
            self.fail(error)

    def flush(self, up_to=None, *, int64_t now_ms=-1):
        """Makes what was appended before the call durable; see log.pyi."""
        return durability.flush(self, up_to, now_ms)

    @property
    def flushed_offset(self):
        """Everything below is on disk."""
        return self.recovery_point

    @property
    def unflushed_messages(self):
        """Offsets appended and not yet durable."""
        return self.log_end_offset - self.recovery_point

    @property
    def size_bytes(self):
        """Bytes of all segments."""
        cdef Segment segment
        cdef int64_t total = 0
        for segment in self.segment_list:
            total += segment.end
        return total

    @property
    def segments(self):
        """SegmentInfo of each, ascending."""
        cdef Segment s
        return [
            SegmentInfo(
                s.base_offset, s.next_offset, s.end, s.max_timestamp, s.path + ".log", bool(s.active),
                s.mapping is not None,
            )
            for s in self.segment_list
        ]

    def first_unstable_offset(self, int64_t high_watermark):
        """First offset of the oldest open transaction at this high watermark, or None."""
        cdef int64_t found = self.producers.unstable_offset(high_watermark)
        return None if found < 0 else max(found, self.log_start_offset)

    def last_stable_offset(self, int64_t high_watermark):
        """min(high watermark, first unstable offset)."""
        cdef int64_t found = self.producers.unstable_offset(high_watermark)
        return high_watermark if found < 0 else min(high_watermark, max(found, self.log_start_offset))

    def end_offset_for_epoch(self, int32_t epoch):
        """(epoch, end offset) as OffsetForLeaderEpoch answers; (-1, -1) when unknown."""
        return self.leader_epochs.end_offset_for(epoch, self.log_end_offset)

    def offset_for_timestamp(self, int64_t timestamp_ms):
        """First record at or after that time; see log.pyi."""
        return search.offset_for_timestamp(self, timestamp_ms)

    def max_timestamp(self):
        """The record with the largest timestamp; see log.pyi."""
        return search.max_timestamp(self)

    def aborted_transactions(self, int64_t first_offset, int64_t last_offset):
        """Transactions that a read of [first_offset, last_offset) must know; see log.pyi."""
        return search.aborted_transactions(self, first_offset, last_offset)

    def aborted_transactions_of(self, LogSlice piece not None):
        """Transactions that a read_committed reader of this slice is told; see log.pyi."""
        return search.aborted_transactions_of(self, piece)

    def truncate_to(self, int64_t offset):
        """Drops everything at or above offset; see log.pyi."""
        return truncation.truncate_to(self, offset)

    def truncate_fully_and_start_at(self, int64_t offset, log_start_offset=None):
        """Drops everything and goes on at offset."""
        truncation.truncate_fully(self, offset, offset if log_start_offset is None else log_start_offset)

    def advance_log_start(self, int64_t offset):
        """DeleteRecords; see log.pyi."""
        return truncation.advance_log_start(self, offset)

    def delete_old_segments(self, int64_t now_ms, int64_t high_watermark):
        """Retention by start offset, size and time; see log.pyi."""
        return truncation.delete_old_segments(self, now_ms, high_watermark)

    def delete_files_due(self, int64_t now_ms):
        """Removes ".deleted" files whose delay is over; see log.pyi."""
        return truncation.delete_files_due(self, now_ms)

    def close(self):
        """Flushes, trims, writes indexes and the producer snapshot. Raises LogFailed; twice is fine."""
        truncation.close(self)

    def abandon(self):
        """Ends it without writing anything down; see log.pyi."""
        truncation.abandon(self)

    def rename(self, path):
        """Gives its directory another name; see log.pyi."""
        truncation.rename(self, os.fspath(path))

    def delete(self):
        """Removes every file and the directory; slices that are out stay readable."""
        truncation.delete(self)


cdef int64_t jitter_for(str path, object config):
    """Up to segment_jitter_ms, the same for the same segment: spreads rolls without a source of chance."""
    limit = min(config.segment_jitter_ms, config.segment_ms)
    return zlib.crc32(os.fsencode(path)) % limit if limit > 0 else 0


# Parts of a log that work on it from outside; they cimport this module, so they are loaded last.
from kcore import append, durability, recovery, search, truncation  # noqa: E402
