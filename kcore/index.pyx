"""The three sparse indexes of a segment, in Kafka's own bytes (big-endian)::

    .index       8 bytes an entry, ascending in both fields
                 +------------------------------+-----------------------+
                 | offset - base offset   int32 | file position   int32 |  of a batch: its LAST offset,
                 +------------------------------+-----------------------+  and where it begins
    .timeindex   12 bytes an entry, timestamps strictly ascending
                 +--------------------------+------------------------------+
                 | max timestamp so far  i64 | offset - base offset   int32 |  of the batch that has it
                 +--------------------------+------------------------------+
    .txnindex    34 bytes an aborted transaction, ascending last offset; no file when there is none
                 +-----------+------------------+------------------+-----------------+------------------+
                 | version 0 | producer id  i64 | first offset i64 | last offset i64 | last stable  i64 |
                 +-----------+------------------+------------------+-----------------+------------------+

Offset and time index are arrays in memory: a segment that is written to needs neither descriptor nor
map for them, and an idle one drops them. The files are written when a segment becomes inactive and at
close, exactly as long as their entries. They are never trusted for correctness (T12): each is checked
when it is loaded, and rebuilt from the log when it is missing or lies.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kcore.endian cimport load_be16, load_be32, load_be64, store_be32, store_be64

import os
from typing import NamedTuple

from kcore import syscalls
from kcore.errors import CorruptFile

cdef enum:
    ABORTED_ENTRY = 34

cdef int64_t INT32_MAX = 0x7FFFFFFF


class AbortedTransaction(NamedTuple):
    """One aborted transaction: its marker stands at last_offset."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


cdef class Entries:
    """The bytes of one index. memoryview(entries) is read-only; np.frombuffer(entries, dtype) works.

    What a view sees never changes: growing makes a new array, and cutting copies while views are out.
    """

    def __dealloc__(self):
        PyMem_RawFree(self.data)

    def __len__(self):
        return self.size

    cdef uint8_t* room(self, Py_ssize_t n) noexcept nogil:
        if self.size + n > self.capacity:
            return NULL
        return self.data + self.size

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data if self.data != NULL else <void*>self, self.size, 1, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* buffer):
        self.exports -= 1


cdef Entries new_entries(const uint8_t* data, Py_ssize_t size, Py_ssize_t capacity):
    cdef Entries self = Entries.__new__(Entries)
    capacity = max(capacity, size)
    if capacity > 0:
        self.data = <uint8_t*>PyMem_RawMalloc(capacity)
        if self.data == NULL:
            raise MemoryError()
    if size > 0:
        memcpy(self.data, data, size)
    self.size = size
    self.capacity = capacity
    return self


cdef Entries grown(Entries old, Py_ssize_t n):
    return new_entries(old.data, old.size, max(2 * old.capacity, old.size + n, 256))


cdef Entries shortened(Entries old, Py_ssize_t size):
    """The array cut to `size` bytes: in place, or a copy while somebody looks at it."""
    if old.exports > 0:
        return new_entries(old.data, size, size)
    old.size = size
    return old


cdef class OffsetIndex:
    """Offset to file position; see above. Not thread-safe: the Log's lock covers changes."""

    def __cinit__(self, str path, int64_t base_offset, Py_ssize_t bytes_max=10485760):
        self.path = path
        self.base_offset = base_offset
        self.entries_max = bytes_max // OFFSET_ENTRY
        self.entries = new_entries(NULL, 0, 0)

    cdef Py_ssize_t count(self) noexcept nogil:
        return self.entries.size // OFFSET_ENTRY

    cdef int append(self, int64_t offset, int32_t position) except -1:
        cdef uint8_t* p
        cdef int64_t relative = offset - self.base_offset
        if relative < 0 or relative > INT32_MAX:
            raise ValueError(f"offset {offset} does not fit into the index of {self.base_offset}")
        if self.entries.size > 0 and offset <= self.last_offset():
            raise ValueError(f"offset {offset} does not follow {self.last_offset()} in {self.path}")
        p = self.entries.room(OFFSET_ENTRY)
        if p == NULL:
            self.entries = grown(self.entries, OFFSET_ENTRY)
            p = self.entries.room(OFFSET_ENTRY)
        store_be32(p, <uint32_t>relative)
        store_be32(p + 4, <uint32_t>position)
        self.entries.size += OFFSET_ENTRY
        self.dirty = True
        return 0

    cdef int64_t last_offset(self) noexcept nogil:
        if self.entries.size == 0:
            return self.base_offset
        return self.base_offset + <int32_t>load_be32(self.entries.data + self.entries.size - OFFSET_ENTRY)

    cdef int32_t position_for(self, int64_t offset) noexcept nogil:
        cdef const uint8_t* data = self.entries.data
        cdef Py_ssize_t low = 0, high = self.count(), middle
        while low < high:
            middle = (low + high) >> 1
            if self.base_offset + <int32_t>load_be32(data + middle * OFFSET_ENTRY) <= offset:
                low = middle + 1
            else:
                high = middle
        return 0 if low == 0 else <int32_t>load_be32(data + (low - 1) * OFFSET_ENTRY + 4)

    cdef int32_t entry_at_position(self, int64_t position, int64_t* offset) noexcept nogil:
        cdef const uint8_t* data = self.entries.data
        cdef Py_ssize_t low = 0, high = self.count(), middle
        while low < high:
            middle = (low + high) >> 1
            if <int32_t>load_be32(data + middle * OFFSET_ENTRY + 4) <= position:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            offset[0] = -1
            return 0
        offset[0] = self.base_offset + <int32_t>load_be32(data + (low - 1) * OFFSET_ENTRY)
        return <int32_t>load_be32(data + (low - 1) * OFFSET_ENTRY + 4)

    cdef int64_t offset_from(self, int64_t position) noexcept nogil:
        cdef const uint8_t* data = self.entries.data
        cdef Py_ssize_t low = 0, high = self.count(), middle
        while low < high:
            middle = (low + high) >> 1
            if <int32_t>load_be32(data + middle * OFFSET_ENTRY + 4) < position:
                low = middle + 1
            else:
                high = middle
        if low == self.count():
            return -1
        return self.base_offset + <int32_t>load_be32(data + low * OFFSET_ENTRY)

    cdef int cut(self, int64_t offset) except -1:
        cdef Py_ssize_t size = self.entries.size
        while size > 0 and self.base_offset + <int32_t>load_be32(self.entries.data + size - OFFSET_ENTRY) >= offset:
            size -= OFFSET_ENTRY
        if size != self.entries.size:
            self.entries = shortened(self.entries, size)
            self.dirty = True
        return 0

    cdef int save(self) except -1:
        syscalls.write_file(self.path, self.entries, durable=False)
        self.dirty = False
        return 0

    def load(self, Py_ssize_t log_bytes):
        """Reads the file. Raises CorruptFile when it is not a sane index of a log of that many bytes,
        FileNotFoundError when it is missing."""
        cdef bytes content = syscalls.read_file(self.path)
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(content)
        cdef Py_ssize_t size = len(content), at
        cdef int64_t offset = -1, position = -1
        if size % OFFSET_ENTRY:
            raise CorruptFile(f"{self.path}: {size} bytes are no whole number of entries")
        for at in range(0, size, OFFSET_ENTRY):
            if <int32_t>load_be32(p + at) <= offset or <int32_t>load_be32(p + at + 4) <= position:
                raise CorruptFile(f"{self.path}: entry {at // OFFSET_ENTRY} does not follow the one before it")
            offset = <int32_t>load_be32(p + at)
            position = <int32_t>load_be32(p + at + 4)
        if position >= log_bytes:
            raise CorruptFile(f"{self.path}: the last entry points to byte {position} of {log_bytes}")
        self.entries = new_entries(p, size, size)
        self.dirty = False

    def add(self, int64_t offset, int32_t position):
        """append() for Python."""
        self.append(offset, position)

    def lookup(self, int64_t offset):
        """Position of the last entry at or below the offset, 0 when there is none."""
        return self.position_for(offset)

    def truncate_to(self, int64_t offset):
        """Drops entries at or above the offset."""
        self.cut(offset)

    def write(self):
        """Writes the file (not synced)."""
        self.save()

    def __len__(self):
        return self.count()

    @property
    def view(self):
        """The entries as read-only bytes."""
        return memoryview(self.entries)

    def as_array(self):
        """numpy view: fields offset (relative) and position."""
        import numpy as np

        return np.frombuffer(self.entries, dtype=[("offset", ">i4"), ("position", ">i4")])


cdef class TimeIndex:
    """Timestamp to offset; see above. Not thread-safe: the Log's lock covers changes."""

    def __cinit__(self, str path, int64_t base_offset, Py_ssize_t bytes_max=10485760):
        self.path = path
        self.base_offset = base_offset
        self.entries_max = bytes_max // TIME_ENTRY
        self.entries = new_entries(NULL, 0, 0)

    cdef Py_ssize_t count(self) noexcept nogil:
        return self.entries.size // TIME_ENTRY

    cdef int maybe_append(self, int64_t timestamp, int64_t offset, bint when_full) except -1:
        cdef uint8_t* p
        cdef int64_t relative = offset - self.base_offset
        if timestamp <= self.last_timestamp():
            return 0
        if not when_full and time_index_full(self):
            raise ValueError(f"{self.path} is full")
        if relative < 0 or relative > INT32_MAX:
            raise ValueError(f"offset {offset} does not fit into the index of {self.base_offset}")
        p = self.entries.room(TIME_ENTRY)
        if p == NULL:
            self.entries = grown(self.entries, TIME_ENTRY)
            p = self.entries.room(TIME_ENTRY)
        store_be64(p, <uint64_t>timestamp)
        store_be32(p + 8, <uint32_t>relative)
        self.entries.size += TIME_ENTRY
        self.dirty = True
        return 0

    cdef int64_t last_timestamp(self) noexcept nogil:
        if self.entries.size == 0:
            return -1
        return <int64_t>load_be64(self.entries.data + self.entries.size - TIME_ENTRY)

    cdef int64_t last_offset(self) noexcept nogil:
        if self.entries.size == 0:
            return self.base_offset
        return self.base_offset + <int32_t>load_be32(self.entries.data + self.entries.size - 4)

    cdef int64_t offset_for(self, int64_t timestamp) noexcept nogil:
        cdef const uint8_t* data = self.entries.data
        cdef Py_ssize_t low = 0, high = self.count(), middle
        while low < high:
            middle = (low + high) >> 1
            if <int64_t>load_be64(data + middle * TIME_ENTRY) <= timestamp:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return self.base_offset
        return self.base_offset + <int32_t>load_be32(data + (low - 1) * TIME_ENTRY + 8)

    cdef int cut(self, int64_t offset) except -1:
        cdef Py_ssize_t size = self.entries.size
        while size > 0 and self.base_offset + <int32_t>load_be32(self.entries.data + size - 4) >= offset:
            size -= TIME_ENTRY
        if size != self.entries.size:
            self.entries = shortened(self.entries, size)
            self.dirty = True
        return 0

    cdef int save(self) except -1:
        syscalls.write_file(self.path, self.entries, durable=False)
        self.dirty = False
        return 0

    def load(self, int64_t next_offset):
        """Reads the file. Raises CorruptFile when it is not a sane index of a log that ends there,
        FileNotFoundError when it is missing."""
        cdef bytes content = syscalls.read_file(self.path)
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(content)
        cdef Py_ssize_t size = len(content), at
        cdef int64_t timestamp = -1
        cdef int32_t offset = 0
        if size % TIME_ENTRY:
            raise CorruptFile(f"{self.path}: {size} bytes are no whole number of entries")
        for at in range(0, size, TIME_ENTRY):
            if <int64_t>load_be64(p + at) <= timestamp or <int32_t>load_be32(p + at + 8) < offset:
                raise CorruptFile(f"{self.path}: entry {at // TIME_ENTRY} does not follow the one before it")
            timestamp = <int64_t>load_be64(p + at)
            offset = <int32_t>load_be32(p + at + 8)
        if size > 0 and next_offset >= 0 and self.base_offset + offset >= next_offset:
            raise CorruptFile(f"{self.path}: the last entry is of offset {self.base_offset + offset}")
        self.entries = new_entries(p, size, size)
        self.dirty = False

    def add(self, int64_t timestamp, int64_t offset, bint when_full=False):
        """maybe_append() for Python: nothing happens unless the timestamp is above the last one."""
        self.maybe_append(timestamp, offset, when_full)

    def lookup(self, int64_t timestamp):
        """Offset of the last entry at or below the timestamp, the base offset when there is none."""
        return self.offset_for(timestamp)

    def truncate_to(self, int64_t offset):
        """Drops entries at or above the offset."""
        self.cut(offset)

    def write(self):
        """Writes the file (not synced)."""
        self.save()

    def __len__(self):
        return self.count()

    @property
    def view(self):
        """The entries as read-only bytes."""
        return memoryview(self.entries)

    def as_array(self):
        """numpy view: fields timestamp and offset (relative)."""
        import numpy as np

        return np.frombuffer(self.entries, dtype=[("timestamp", ">i8"), ("offset", ">i4")])


cdef class TransactionIndex:
    """Aborted transactions of one segment; see above. The file is read when first needed."""

    def __cinit__(self, str path):
        self.path = path
        self.aborted = []

    def load(self):
        """Reads the file if there is one; raises CorruptFile."""
        cdef bytes content
        cdef const uint8_t* p
        cdef Py_ssize_t at
        cdef int64_t last_offset = -1
        if self.loaded:
            return
        try:
            content = syscalls.read_file(self.path)
        except FileNotFoundError:
            content = b""
        if len(content) % ABORTED_ENTRY:
            raise CorruptFile(f"{self.path}: {len(content)} bytes are no whole number of entries")
        p = <const uint8_t*>PyBytes_AS_STRING(content)
        entries = []
        for at in range(0, len(content), ABORTED_ENTRY):
            if load_be16(p + at) != 0:
                raise CorruptFile(f"{self.path}: version {load_be16(p + at)} of entry {len(entries)}")
            entry = AbortedTransaction(
                <int64_t>load_be64(p + at + 2), <int64_t>load_be64(p + at + 10),
                <int64_t>load_be64(p + at + 18), <int64_t>load_be64(p + at + 26),
            )
            if entry.last_offset <= last_offset:
                raise CorruptFile(f"{self.path}: entry {len(entries)} does not follow the one before it")
            last_offset = entry.last_offset
            entries.append(entry)
        self.aborted = entries
        self.loaded = True

    def reset(self):
        """Forgets everything and removes the file: before a rebuild."""
        self.aborted = []
        self.loaded = True
        try:
            syscalls.unlink(self.path)
        except FileNotFoundError:
            return

    def append(self, entry):
        """Adds one transaction, to the file as well. Raises OSError, CorruptFile."""
        self.load()
        count = len(self.aborted)
        if count and self.aborted[count - 1].last_offset >= entry.last_offset:
            raise ValueError(f"transaction {entry} does not follow {self.aborted[count - 1]} in {self.path}")
        syscalls.write_at(self.path, count * ABORTED_ENTRY, self.encode([entry]))
        self.aborted.append(entry)
        self.dirty = True

    cdef object encode(self, list entries):
        cdef bytearray content = bytearray(len(entries) * ABORTED_ENTRY)
        cdef uint8_t* p = <uint8_t*><char*>content
        for entry in entries:
            store_be64(p + 2, <uint64_t><int64_t>entry.producer_id)
            store_be64(p + 10, <uint64_t><int64_t>entry.first_offset)
            store_be64(p + 18, <uint64_t><int64_t>entry.last_offset)
            store_be64(p + 26, <uint64_t><int64_t>entry.last_stable_offset)
            p += ABORTED_ENTRY
        return content

    def rewrite(self):
        """Writes the file (not synced), or removes it when nothing is in it."""
        if not self.aborted:
            self.reset()
            return
        syscalls.write_file(self.path, self.encode(self.aborted), durable=False)
        self.dirty = True

    def truncate_to(self, int64_t offset):
        """Drops transactions whose marker is at or above the offset."""
        self.load()
        kept = [entry for entry in self.aborted if entry.last_offset < offset]
        if len(kept) != len(self.aborted):
            self.aborted = kept
            self.rewrite()

    def collect(self, int64_t first_offset, int64_t upper_offset):
        """(transactions that overlap [first, upper), whether later segments can hold none)."""
        self.load()
        found = []
        for entry in self.aborted:
            if entry.last_offset >= first_offset and entry.first_offset < upper_offset:
                found.append(entry)
            if entry.last_stable_offset >= upper_offset:
                return found, True
        return found, False

    def __len__(self):
        self.load()
        return len(self.aborted)

    @property
    def exists(self):
        """Whether there is a file."""
        return os.path.exists(self.path)
