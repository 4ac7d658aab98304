"""One .log file with its indexes: the unit that rolls, is retained and is deleted.

::

    00000000000000001000.log          batches, one after the other, nothing between them
      +---------+-------------+----+------------------
      | batch   | batch       | .. | zeros (preallocated, while active only)
      +---------+-------------+----+------------------
      ^ 0       ^             ^ end: published last, so a reader never sees half a batch

    .index      last offset of a batch -> its position    one entry for index_interval bytes of log
    .timeindex  max timestamp so far   -> its offset      with the same cadence, and one at the end

Life of a segment's map::

              roll / open                append                     roll, close
    (file) ---------------> [idle] ------------------> [writable] ---------------> trimmed, synced
                              |   \__ read: read-only map     |                         |
                              ^                               v                         v
                              +------- idle(): the pool of open maps is full, nothing unsynced

A writable map reaches over 256 KiB of file at first, then over 4 MiB, 64 MiB and the whole segment: each time a batch has
no room in it, a longer one takes its place, and the old one stays for the slices that point into it. mapped_file.pyx
has the reason.

Locks: the Log's lock covers every change; reads rely on the GIL and on `end` being published last.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from kcore.crc32c cimport crc32c_update
from kcore.endian cimport load_be32, load_be64
from kcore.index cimport (
    OffsetIndex, TimeIndex, TransactionIndex, offset_index_full, time_index_full,
)
from kcore.mapped_file cimport Mapping, map_further, map_readonly, map_writable
from kcore.record_batch cimport (
    AT_BATCH_LENGTH, AT_LAST_OFFSET_DELTA, AT_MAGIC, AT_MAX_TIMESTAMP, BatchHeader, HEADER_BYTES,
    LENGTH_MIN, LOG_OVERHEAD, batch_assign, batch_crc_copy, batch_set_max_timestamp,
)
from kcore.syscalls cimport raise_errno

import os

from kcore import syscalls
from kcore.errors import CorruptFile, CorruptLog

cdef enum:
    NOGIL_BYTES = 65536             # copies of that size let the GIL go
    HOT_BYTES = 16777216            # the tail that is taken to be in memory
    WINDOW_BYTES_MIN = 262144       # of the file, what the first writable map reaches over ...
    WINDOW_STEP_BITS = 4            # ... and the next one over 16 times as much

cdef int64_t INT32_MAX = 0x7FFFFFFF
cdef int64_t INT64_MAX = 0x7FFFFFFFFFFFFFFF

cdef set open_segments = set()      # those that hold a map
cdef Py_ssize_t open_limit = 4096
cdef Py_ssize_t relieve_at = 0
cdef Py_ssize_t first_window = WINDOW_BYTES_MIN
cdef int64_t tick = 0
cdef dict lingering = {}            # path -> released segment whose slices are still out


def set_open_limit(Py_ssize_t limit):
    """How many segments of this process may hold a map and a descriptor; returns the old limit.

    Active segments with unsynced data are never closed, so the limit may be exceeded by them.
    """
    global open_limit
    cdef Py_ssize_t old = open_limit
    if limit < 1:
        raise ValueError("at least one segment must be open to be written to")
    open_limit = limit
    return old


def set_first_window(Py_ssize_t reach):
    """For tests: how many bytes of a file its first writable map reaches over; returns what it was."""
    global first_window
    cdef Py_ssize_t old = first_window
    if reach < 1:
        raise ValueError("a map reaches over one byte at least")
    first_window = reach
    return old


def segments_open():
    """How many segments hold a map now."""
    return len(open_segments)


cdef int enter_pool(Segment segment) except -1:
    """Notes that a segment holds a map."""
    open_segments.add(segment)
    return relieve_pool(segment)


cdef int relieve_pool(Segment spared) except -1:
    """Closes the least recently used segments when too many are open; those with unsynced data stay.

    When that was not enough, the next try waits until an eighth more are open: sorting is not free.
    """
    global relieve_at
    cdef Segment other
    cdef Py_ssize_t count = len(open_segments)
    if count <= open_limit or count < relieve_at:
        return 0
    for other in sorted(open_segments, key=last_use):
        if len(open_segments) <= open_limit - open_limit // 8:
            break
        if other is not spared:
            other.idle()
    count = len(open_segments)
    relieve_at = count + count // 8 if count > open_limit else 0
    return 0


def last_use(Segment segment):
    """The tick of a segment's last use: the order in which maps are given up."""
    return segment.used


cdef inline bint sound(const uint8_t* data, Py_ssize_t position, Py_ssize_t end, Py_ssize_t* size) noexcept nogil:
    """Whether a whole batch of version 2 stands there, by its length; nothing is checked beyond that."""
    cdef int32_t length
    if end - position < HEADER_BYTES:
        return False
    length = <int32_t>load_be32(data + position + AT_BATCH_LENGTH)
    size[0] = LOG_OVERHEAD + <Py_ssize_t>length
    return length >= LENGTH_MIN and size[0] <= end - position and data[position + AT_MAGIC] == 2


cdef inline int64_t last_offset_at(const uint8_t* p) noexcept nogil:
    return <int64_t>load_be64(p) + <int32_t>load_be32(p + AT_LAST_OFFSET_DELTA)


cdef Py_ssize_t walk_to_offset(const uint8_t* data, Py_ssize_t position, Py_ssize_t end, int64_t offset) noexcept nogil:
    cdef Py_ssize_t size = 0
    while position < end:
        if not sound(data, position, end, &size):
            return -1 - position
        if last_offset_at(data + position) >= offset:
            return position
        position += size
    return end


cdef class LogSlice:
    """Whole batches of a log, without a copy; bytes(slice), memoryview(slice) and a socket's send take it.

    It pins its map: the bytes stay readable and unchanged as long as the slice or a view of it lives.
    """

    def __dealloc__(self):
        if self.segment is not None:
            self.segment.pins -= 1

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, <void*>self.data if self.size else <void*>self, self.size, 1, flags)

    @property
    def view(self):
        """Read-only memoryview of the bytes."""
        return PyMemoryView_FromObject(self)

    def fd_slice(self):
        """(descriptor, position, length) for sendfile; the descriptor belongs to the slice's map."""
        if self.mapping is None:
            return (-1, self.position, 0)
        return (self.mapping.fd, self.position, self.size)

    @property
    def resident(self):
        """Whether reading it touches no disk: asks the page cache, except within the hot tail."""
        if self.hot or self.mapping is None:
            return True
        return self.mapping.is_resident(self.position, self.size) == 1

    cpdef bint was_resident(self, int64_t now_ms) noexcept:
        """`resident`, but what was found to be in memory less than 100 ms ago is not asked for again."""
        return self.hot or self.mapping is None or self.mapping.was_resident(self.position, self.size, now_ms) == 1

    def warm(self):
        """Faults its pages in without the GIL. Raises OSError."""
        cdef int result
        if self.hot or self.mapping is None:
            return
        with nogil:
            result = self.mapping.warm(self.position, self.size)
        if result < 0:
            raise_errno(self.mapping.path)


@cython.final
cdef class Segment:
    """See the drawing above. `path` is without the suffix."""

    cdef int stage(self, const uint8_t* p, Py_ssize_t n, uint32_t* crc) noexcept:
        cdef Mapping mapping = self.mapping
        cdef int result = 0
        if (
            mapping is None or not mapping.writable or self.end + n > mapping.limit
            or mapping.is_written(self.end, n)
        ):
            return 0
        if n < NOGIL_BYTES and self.end + n <= mapping.populated:
            crc[0] = batch_crc_copy(mapping.data + self.end, p, n)
        else:
            self.busy = True
            with nogil:
                crc[0] = crc32c_update(0, p + AT_ATTRIBUTES, HEADER_BYTES - AT_ATTRIBUTES)
                result = mapping.copy_in(self.end, p, HEADER_BYTES, n, crc)
            self.busy = False
            if result < 0:
                return -1
        self.staged = n
        return 1

    cdef void unstage(self) noexcept:
        """Zeros again: a recovery must not come upon bytes that were refused."""
        if self.staged and self.mapping is not None:
            memset(self.mapping.data + self.end, 0, self.staged)
            self.staged = 0

    cdef uint8_t* append(
        self, const uint8_t* p, Py_ssize_t n, const BatchHeader* h, int64_t base_offset,
        int32_t leader_epoch, int rewrite_type, int64_t max_timestamp,
    ) except NULL:
        cdef Mapping mapping = self.mapping
        cdef Py_ssize_t position = self.end
        cdef uint8_t* target
        cdef int64_t last_offset = base_offset + h.last_offset_delta
        cdef int result
        if mapping is None or not mapping.writable or position + n > mapping.limit:
            self.open_write(n)
            mapping = self.mapping
            self.staged = 0
        target = mapping.data + position
        if not self.staged and rewrite_type < 0 and mapping.is_written(position, n):
            self.write(p, n, base_offset, leader_epoch)
        else:
            if position + n > mapping.populated:
                self.busy = True
                with nogil:
                    result = mapping.grow(position + n)
                self.busy = False
                if result < 0:
                    raise_errno(mapping.path)
            memcpy(target, p, HEADER_BYTES if self.staged else n)
            self.staged = 0
            batch_assign(target, base_offset, leader_epoch)
            if rewrite_type >= 0:
                batch_set_max_timestamp(target, rewrite_type, max_timestamp)
        if position == 0:
            self.first_timestamp = max_timestamp
            self.first_timestamp_known = True
        self.publish(n, last_offset, max_timestamp)
        return target

    cdef int write(self, const uint8_t* p, Py_ssize_t n, int64_t base_offset, int32_t leader_epoch) except -1:
        """Puts a batch behind the end by write instead of through the map. Raises OSError."""
        cdef Mapping mapping = self.mapping
        cdef uint8_t header[HEADER_BYTES]
        cdef int result
        memcpy(header, p, HEADER_BYTES)
        batch_assign(header, base_offset, leader_epoch)
        self.busy = True
        with nogil:
            result = mapping.write_in(self.end, header, HEADER_BYTES, p, n)
        self.busy = False
        if result < 0:
            raise_errno(mapping.path)
        return 0

    cdef int publish(self, Py_ssize_t n, int64_t last_offset, int64_t max_timestamp) except -1:
        """Index entries for the batch of n bytes that stands behind the end, and the end moved over it."""
        global tick
        if max_timestamp > self.max_timestamp:
            self.max_timestamp = max_timestamp
            self.max_timestamp_offset = last_offset
        if self.bytes_since_index > self.index_interval:
            self.offset_index.append(last_offset, <int32_t>self.end)
            self.time_index.maybe_append(self.max_timestamp, self.max_timestamp_offset, False)
            self.bytes_since_index = 0
            self.find_index_room()
        self.bytes_since_index += n
        tick += 1
        self.used = tick
        self.next_offset = last_offset + 1
        self.end += n
        return 0

    cdef Py_ssize_t window(self, Py_ssize_t size) noexcept:
        """How many bytes of the file a map should reach over that has to reach over `size`."""
        cdef Py_ssize_t most = max(self.size_max, size), reach = first_window
        if self.preallocate:
            return most
        while reach < size:
            reach <<= WINDOW_STEP_BITS
        return min(reach, most)

    cdef int open_write(self, Py_ssize_t more) except -1:
        """Maps the file for appending, or maps more of it."""
        cdef Py_ssize_t reach = self.window(self.end + more)
        cdef Mapping mapping
        if self.mapping is not None and self.mapping.writable:
            self.mapping = map_further(self.mapping, reach, self.end)
            return 0
        mapping = map_writable(self.path + ".log", reach)
        if mapping.allocated < self.end:
            raise CorruptLog(f"{mapping.path}: {mapping.allocated} bytes, {self.end} were there before")
        # Bytes beyond the end are what an earlier life of the file left: never valid, cut before use.
        if self.mapping is None and mapping.trim(self.end) < 0:
            raise_errno(mapping.path)
        if self.preallocate and self.end == 0 and mapping.allocate(self.size_max) < 0:
            raise_errno(mapping.path)
        self.load_indexes()
        if not self.max_timestamp_known:
            self.mapping = mapping
            self.load_timestamps()
        if self.mapping is None:
            self.hot_from = self.end
        self.mapping = mapping
        return enter_pool(self)

    cdef int open_read(self) except -1:
        """Maps the file for reading, if it is not mapped already."""
        global tick
        tick += 1
        self.used = tick
        if self.mapping is not None:
            return 0
        cdef Mapping mapping = map_readonly(self.path + ".log")
        if mapping.allocated < self.end:
            raise CorruptLog(f"{mapping.path}: {mapping.allocated} bytes, {self.end} were there before")
        self.hot_from = self.end
        self.mapping = mapping
        return enter_pool(self)

    cdef int ready(self) except -1:
        """Map and indexes; another thread's need for maps may take either away whenever the GIL is let go."""
        while self.mapping is None or self.offset_index is None:
            self.load_indexes()
            self.open_read()
        return 0

    cdef int load_indexes(self) except -1:
        """Reads both indexes, or builds them anew when a file is missing or lies (T12)."""
        if self.offset_index is not None:
            return 0
        cdef OffsetIndex offset_index = OffsetIndex(self.path + ".index", self.base_offset, self.index_bytes)
        cdef TimeIndex time_index = TimeIndex(self.path + ".timeindex", self.base_offset, self.index_bytes)
        if self.end > 0:
            try:
                offset_index.load(self.end)
                time_index.load(self.next_offset)
            except (CorruptFile, FileNotFoundError):
                return self.rebuild_indexes()
        self.time_index = time_index
        self.offset_index = offset_index
        self.index_room = False
        return 0

    cdef int rebuild_indexes(self) except -1:
        """Makes both indexes from the batches' headers, as Kafka's recovery does."""
        cdef OffsetIndex offset_index = OffsetIndex(self.path + ".index", self.base_offset, self.index_bytes)
        cdef TimeIndex time_index = TimeIndex(self.path + ".timeindex", self.base_offset, self.index_bytes)
        cdef const uint8_t* data
        cdef Mapping mapping
        cdef Py_ssize_t position = 0, indexed = 0, size = 0
        cdef int64_t timestamp, max_timestamp = -1, max_offset = -1, last_offset
        self.open_read()
        mapping = self.mapping
        data = mapping.data
        while position < self.end:
            if not sound(data, position, self.end, &size):
                self.raise_damaged(position)
            last_offset = last_offset_at(data + position)
            timestamp = <int64_t>load_be64(data + position + AT_MAX_TIMESTAMP)
            if timestamp > max_timestamp:
                max_timestamp = timestamp
                max_offset = last_offset
            if position - indexed > self.index_interval:
                offset_index.append(last_offset, <int32_t>position)
                time_index.maybe_append(max_timestamp, max_offset, True)
                indexed = position
            position += size
        if not self.active and max_timestamp >= 0:
            time_index.maybe_append(max_timestamp, max_offset, True)
        offset_index.dirty = True
        time_index.dirty = True
        self.max_timestamp = max_timestamp
        self.max_timestamp_offset = max_offset
        self.max_timestamp_known = True
        self.bytes_since_index = self.end - indexed
        self.time_index = time_index
        self.offset_index = offset_index
        self.index_room = False
        self.rebuilt = True
        return 0

    cdef int raise_damaged(self, Py_ssize_t position) except -1:
        raise CorruptLog(f"{self.path}.log: no batch at byte {position}, below the segment's end {self.end}")

    cdef Py_ssize_t position_of(self, int64_t offset) except -1:
        cdef Py_ssize_t start, position
        if offset >= self.next_offset:
            return self.end
        if self.mapping is None or self.offset_index is None:
            self.ready()
        start = self.offset_index.position_for(offset)
        if self.hint_offset <= offset and start < self.hint_position <= self.end:
            start = self.hint_position
        position = walk_to_offset(self.mapping.data, start, self.end, offset)
        if position < 0:
            self.raise_damaged(-1 - position)
        return position

    cdef LogSlice read(self, int64_t offset, Py_ssize_t bytes_max, int64_t end_offset, bint at_least_one):
        global tick
        cdef Py_ssize_t position, limit, stop, size = 0
        cdef int64_t ignored, next_offset
        cdef const uint8_t* data
        position = self.position_of(offset)
        if position >= self.end:
            return None
        tick += 1
        self.used = tick
        limit = self.end if end_offset >= self.next_offset else self.position_of(end_offset)
        if limit <= position:
            return self.slice_at(offset, position, position, offset)
        data = self.mapping.data
        if bytes_max < 0:
            bytes_max = 0
        if limit - position <= bytes_max:
            stop = limit
        else:
            # The index tells of a batch near the cut; from there on the batches are counted.
            stop = self.offset_index.entry_at_position(position + bytes_max, &ignored)
            if stop < position:
                stop = position
            while sound(data, stop, limit, &size) and stop + size - position <= bytes_max:
                stop += size
            if stop == position:
                if not at_least_one:
                    return self.slice_at(offset, position, position, offset)
                if not sound(data, position, limit, &size):
                    self.raise_damaged(position)
                stop = position + size
        next_offset = <int64_t>load_be64(data + stop) if stop < self.end else self.next_offset
        self.hint_offset = next_offset
        self.hint_position = stop
        return self.slice_at(offset, position, stop, next_offset)

    cdef LogSlice slice_at(self, int64_t offset, Py_ssize_t position, Py_ssize_t stop, int64_t next_offset):
        cdef LogSlice made = LogSlice.__new__(LogSlice)
        made.offset = offset
        made.next_offset = next_offset
        made.position = position
        made.segment_base_offset = self.base_offset
        made.size = stop - position
        if made.size > 0:
            made.mapping = self.mapping
            made.segment = self
            self.pins += 1
            made.data = self.mapping.data + position
            made.hot = self.active and position >= self.hot_from and position + HOT_BYTES >= self.end
        else:
            made.hot = True
        return made

    cdef bint find_index_room(self) noexcept:
        self.index_room = not (offset_index_full(self.offset_index) or time_index_full(self.time_index))
        return self.index_room

    cdef bint should_roll(
        self, Py_ssize_t n, int64_t last_offset, int64_t max_timestamp, int64_t now_ms,
        int64_t segment_bytes, int64_t segment_ms,
    ) except -1:
        cdef int64_t waited
        if self.end > segment_bytes - n:
            return True
        if last_offset - self.base_offset > INT32_MAX or last_offset < self.base_offset:
            return True
        # Both indexes are asked once an entry, not once a batch: they are four cache lines.
        if self.offset_index is None:
            self.load_indexes()
        if not self.index_room and not self.find_index_room():
            return True
        if self.end == 0:
            return False
        if not self.first_timestamp_known:
            self.load_timestamps()
        if self.first_timestamp >= 0:
            waited = max_timestamp - self.first_timestamp
        else:
            waited = now_ms - self.created_ms
        return waited > segment_ms - self.jitter_ms

    cdef int load_timestamps(self) except -1:
        """First and largest timestamp, from the first batch, the time index and what follows its last entry."""
        cdef const uint8_t* data
        cdef Mapping mapping
        cdef Py_ssize_t position, size = 0
        cdef int64_t timestamp
        if self.end == 0:
            self.first_timestamp = -1
            self.first_timestamp_known = self.max_timestamp_known = True
            return 0
        self.ready()
        mapping = self.mapping
        data = mapping.data
        self.first_timestamp = <int64_t>load_be64(data + AT_MAX_TIMESTAMP)
        self.first_timestamp_known = True
        if self.max_timestamp_known:
            return 0
        if not self.active and self.time_index.count() > 0:
            # Its last entry was added when the segment became inactive: it covers everything.
            self.max_timestamp = self.time_index.last_timestamp()
            self.max_timestamp_offset = self.time_index.last_offset()
            self.max_timestamp_known = True
            return 0
        self.max_timestamp = self.time_index.last_timestamp()
        self.max_timestamp_offset = self.time_index.last_offset() if self.max_timestamp >= 0 else -1
        position = self.offset_index.position_for(self.time_index.last_offset())
        while position < self.end:
            if not sound(data, position, self.end, &size):
                self.raise_damaged(position)
            timestamp = <int64_t>load_be64(data + position + AT_MAX_TIMESTAMP)
            if timestamp > self.max_timestamp:
                self.max_timestamp = timestamp
                self.max_timestamp_offset = last_offset_at(data + position)
            position += size
        self.max_timestamp_known = True
        return 0

    cdef int become_inactive(self) except -1:
        """Rolled, or closed: the last time entry, the indexes written, the file as long as its batches."""
        cdef int result
        self.load_indexes()
        if not self.max_timestamp_known:
            self.load_timestamps()
        if self.max_timestamp >= 0:
            self.time_index.maybe_append(self.max_timestamp, self.max_timestamp_offset, True)
        if self.mapping is not None and self.mapping.writable:
            self.busy = True
            self.staged = 0
            with nogil:
                result = self.mapping.trim(self.end)
            self.busy = False
            if result < 0:
                raise_errno(self.mapping.path)
        if self.offset_index.dirty or not os.path.exists(self.offset_index.path):
            self.offset_index.save()
        if self.time_index.dirty or not os.path.exists(self.time_index.path):
            self.time_index.save()
        self.active = False
        return 0

    cdef int truncate(self, int64_t offset) except -1:
        """Drops everything from the batch on that holds `offset`; what slices show stays as it is.

        The shorter end is published first. While slices are out, the file is copied up to the cut
        and the copy takes its name: the old bytes live on without a name until the last slice goes.
        """
        cdef Py_ssize_t position, at
        cdef int64_t next_offset = self.base_offset, ignored
        cdef int result
        # The end is where the last batch ends, even if a gap follows: a restart will find the same.
        position = self.position_of(offset)
        self.ready()
        if position > 0:
            at = self.offset_index.entry_at_position(position - 1, &ignored)
            while at < position:
                next_offset = last_offset_at(self.mapping.data + at) + 1
                at += LOG_OVERHEAD + <int32_t>load_be32(self.mapping.data + at + AT_BATCH_LENGTH)
        if not self.active:
            # The pool may have given up a read-only map whose end is not where the file's is.
            self.active = True
        self.hint_offset = self.hint_position = 0
        self.end = position
        self.next_offset = next_offset
        self.synced_end = 0
        self.offset_index.cut(offset)
        self.time_index.cut(offset)
        self.transaction_index.truncate_to(offset)
        self.bytes_since_index = 0
        self.max_timestamp_known = self.first_timestamp_known = False
        self.max_timestamp = self.max_timestamp_offset = -1
        if self.is_pinned():
            self.copy_to_end()
        elif self.mapping is None or not self.mapping.writable:
            self.mapping = None
            self.open_write(0)
        else:
            self.busy = True
            with nogil:
                result = self.mapping.trim(position)
            self.busy = False
            if result < 0:
                raise_errno(self.mapping.path)
        self.hot_from = min(self.hot_from, position)
        self.load_timestamps()
        return 0

    def copy_to_end(self):
        """Puts a copy of the first `end` bytes in the place of the file; the old map stays with its slices."""
        self.open_read()
        log_path = self.path + ".log"
        syscalls.replace_file(log_path, PyMemoryView_FromObject(self.slice_at(0, 0, self.end, 0)))
        self.mapping = None
        open_segments.discard(self)
        self.open_write(0)

    cdef bint idle(self) noexcept:
        """Gives up map and descriptor when nothing is unsynced or busy; True when it did."""
        if self.busy or self.mapping is None or (self.mapping.writable and self.synced_end < self.end):
            return False
        if self.mapping.writable and self.active and self.mapping.trim(self.end) < 0:
            return False
        self.mapping = None
        self.staged = 0
        open_segments.discard(self)
        if not self.active and self.offset_index is not None:
            if not self.offset_index.dirty and not self.time_index.dirty:
                self.offset_index = None
                self.time_index = None
        return True

    cdef bint is_pinned(self) noexcept:
        return self.pins > 0 or (self.ancestor is not None and self.ancestor.is_pinned())

    cdef int renamed(self, str path) except -1:
        self.path = path
        self.transaction_index.path = path + ".txnindex"
        if self.offset_index is not None:
            self.offset_index.path = path + ".index"
        if self.time_index is not None:
            self.time_index.path = path + ".timeindex"
        if self.mapping is not None:
            self.mapping.path = path + ".log"
        return 0

    def release(self):
        """Gives up the map whatever happens: the segment is closed or deleted."""
        cdef Segment other
        self.mapping = None
        self.staged = 0
        open_segments.discard(self)
        if self.is_pinned() and not self.deleted:
            for path, other in list(lingering.items()):
                if not other.is_pinned():
                    del lingering[path]
            lingering[self.path] = self


cdef Segment new_segment(str path, int64_t base_offset, object config, int64_t jitter_ms, int64_t now_ms):
    """An idle segment object without a file: `end`, `next_offset` and `active` are the caller's to set."""
    cdef Segment self = Segment.__new__(Segment)
    self.path = path
    self.base_offset = base_offset
    self.next_offset = base_offset
    self.max_timestamp = self.max_timestamp_offset = self.first_timestamp = -1
    self.created_ms = now_ms
    self.jitter_ms = jitter_ms
    self.size_max = config.segment_bytes
    self.index_interval = config.index_interval_bytes
    self.index_bytes = config.segment_index_bytes
    self.preallocate = config.preallocate_bytes
    self.transaction_index = TransactionIndex(path + ".txnindex")
    self.ancestor = lingering.pop(path, None) if lingering else None
    return self
