"""Walking a segment's batches: whether each is whole, sound and in its place.

::

    check(buffer)    batches in memory: an mmap, a slice of a log, a fetch answer
    verify(path)     a .log file, or a directory with a partition's

    #######|#######|###x###|#######|~~~~~~~~|00000000
           |       |       |       |        |        zeros up to the end: preallocated, counted
           |       |       |       |        an impossible length: reported, and the rest of
           |       |       |       |        the file is not read
           |       |       a checksum that does not match: reported, and the walk goes on
           each batch: length, magic, CRC-32C, offsets that ascend

Nothing is decompressed and no record is looked at: the checksum covers them (`kcore dump --deep` reads
them too). The walk lets the GIL go, so that several files may be verified in threads. `Scan` is the
walk itself, which recovery uses too: on the way it marks what the sparse indexes and the leader epochs
are made from, so that nobody has to come by those headers again.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcmp

from kcore.crc32c cimport crc32c_update
from kcore.endian cimport load_be32, load_be64
from kcore.mapped_file cimport Mapping, map_readonly
from kcore.read_ahead cimport THREAD_BYTES, ReadAhead, read_ahead_of
from kcore.record_batch cimport (
    AT_ATTRIBUTES, AT_BATCH_LENGTH, BatchHeader, LENGTH_MIN, LOG_OVERHEAD, STATUS_BAD_CRC,
    STATUS_BAD_LENGTH, STATUS_BAD_MAGIC, STATUS_BAD_OFFSET_DELTA, STATUS_OK, STATUS_SHORT, batch_bytes,
    batch_header, batch_last_offset, batch_load,
)
from kcore.syscalls cimport raise_errno

import os
import re
from typing import NamedTuple

cdef enum:
    WINDOW_BYTES = 8388608          # so much is read ahead of the walk
    NOGIL_BYTES = 65536

cdef int64_t INT32_MAX = 0x7FFFFFFF

cdef object SEGMENT = re.compile(r"(\d{20})\.log")

cdef dict REASONS = {
    STATUS_SHORT: "a batch is cut short",
    STATUS_BAD_LENGTH: "an impossible batch length",
    STATUS_BAD_MAGIC: "no batch of version 2",
    STATUS_BAD_CRC: "a checksum does not match",
    STATUS_BAD_OFFSET_DELTA: "offsets do not ascend",
}


class Damage(NamedTuple):
    """A place where a log is wrong: the byte, the offset that should have come there, and why."""

    file: str
    position: int
    offset: int
    reason: str


class Verified(NamedTuple):
    """What a verification has seen; damage is empty when all is sound.

    Batches, records and bytes are of what is sound. zeros_bytes: preallocated room behind the batches.
    """

    files: int
    batches: int
    records: int
    bytes: int
    zeros_bytes: int
    first_offset: int
    next_offset: int
    damage: tuple[Damage, ...]


cdef str reason_of(int status):
    """What is wrong with a batch that got this status."""
    return REASONS.get(status, "damaged")


cdef inline bint in_reach(const BatchHeader* h, int64_t base_offset) noexcept nogil:
    """Whether the offsets of a batch fit into a segment of that base offset, none of them wrapped around."""
    cdef int64_t last_offset = batch_last_offset(h)
    return base_offset <= h.base_offset <= last_offset and last_offset - base_offset <= INT32_MAX


cdef class Scan:
    """The walk; made by new_scan."""

    cdef void run(self, bint check_crc) noexcept nogil:
        cdef BatchHeader h
        cdef Mark* mark
        cdef const uint8_t* p
        cdef int64_t last_offset
        cdef bint indexed
        self.status = STATUS_OK
        while self.position < self.end and self.marks_count < MARKS_MAX:
            if self.readable < self.end and self.wanted() > self.readable:
                return
            p = self.data + self.position
            self.status = batch_header(p, self.end - self.position, &h)
            if self.status != STATUS_OK:
                return
            # Not batch_check_crc: a header whose address goes nowhere stays in registers, as far as it is used at all.
            if check_crc and h.crc != crc32c_update(0, p + AT_ATTRIBUTES, batch_bytes(&h) - AT_ATTRIBUTES):
                self.status = STATUS_BAD_CRC
                return
            last_offset = batch_last_offset(&h)
            if h.base_offset < self.next_offset or not in_reach(&h, self.base_offset):
                self.status = STATUS_BAD_OFFSET_DELTA
                return
            if self.index_interval >= 0:
                if h.max_timestamp > self.max_timestamp:
                    self.max_timestamp = h.max_timestamp
                    self.max_timestamp_offset = last_offset
                if h.producer_id >= 0 and self.producer_position < 0:
                    self.producer_position = self.position
                indexed = self.position - self.indexed > self.index_interval
                if indexed or h.leader_epoch > self.leader_epoch:
                    mark = &self.marks[self.marks_count]
                    mark.position = self.position
                    mark.base_offset = h.base_offset
                    mark.last_offset = last_offset
                    mark.max_timestamp = self.max_timestamp
                    mark.max_timestamp_offset = self.max_timestamp_offset
                    mark.leader_epoch = h.leader_epoch
                    mark.indexed = indexed
                    mark.new_epoch = h.leader_epoch > self.leader_epoch
                    self.marks_count += 1
                    if indexed:
                        self.indexed = self.position
                    if mark.new_epoch:
                        self.leader_epoch = h.leader_epoch
            self.batches += 1
            self.records += h.records_count
            self.next_offset = last_offset + 1
            self.position += batch_bytes(&h)

    cdef Py_ssize_t wanted(self) noexcept nogil:
        """How many bytes have to be readable for the next batch, at most up to the end."""
        cdef Py_ssize_t length
        if self.readable - self.position < LOG_OVERHEAD:
            return min(self.position + LOG_OVERHEAD, self.end)
        length = <int32_t>load_be32(self.data + self.position + AT_BATCH_LENGTH)
        return min(self.position + LOG_OVERHEAD + max(length, <Py_ssize_t>LENGTH_MIN), self.end)

    cdef bint zeros(self) noexcept nogil:
        cdef const uint8_t* p = self.data + self.position
        cdef Py_ssize_t n = self.end - self.position
        # Equal to itself one byte on, and beginning with a zero: memcmp goes at memory speed.
        return self.status != STATUS_OK and p[0] == 0 and (n == 1 or memcmp(p, p + 1, n - 1) == 0)

    cdef bint skip(self) noexcept nogil:
        """Step over a batch whose length can be trusted although its content cannot: True when it did."""
        cdef BatchHeader h
        if self.status not in (STATUS_BAD_CRC, STATUS_BAD_OFFSET_DELTA):
            return False
        batch_load(self.data + self.position, &h)
        if self.status == STATUS_BAD_OFFSET_DELTA:
            # The checksum is right: what comes next is compared with this batch.
            if in_reach(&h, self.base_offset):
                self.next_offset = batch_last_offset(&h) + 1
        self.position += batch_bytes(&h)
        self.status = STATUS_OK
        return True


cdef Scan new_scan(const uint8_t* data, Py_ssize_t position, Py_ssize_t end, int64_t base_offset, int64_t next_offset):
    """A walk from position to end, all of it readable, that leaves no marks."""
    cdef Scan self = Scan.__new__(Scan)
    self.data = data
    self.position = position
    self.end = self.readable = end
    self.base_offset = base_offset
    self.next_offset = next_offset
    self.index_interval = self.producer_position = -1
    self.max_timestamp = self.max_timestamp_offset = self.leader_epoch = -1
    return self


cdef class Findings:
    """What `verify` and `check` add up."""

    cdef list damage
    cdef ReadAhead thread               # of a large file
    cdef int64_t files, batches, records, bytes, zeros_bytes, first_offset, next_offset

    def __cinit__(self):
        self.damage = []
        self.first_offset = self.next_offset = -1

    cdef int add_file(self, str name, int64_t base_offset) except -1:
        """Map and walk one file."""
        cdef Mapping mapping = map_readonly(name)
        if mapping.allocated >= THREAD_BYTES:
            self.thread = read_ahead_of(mapping)
        try:
            self.add(name, mapping.data, mapping.allocated, base_offset, mapping)
        finally:
            if self.thread is not None:
                with nogil:
                    self.thread.stop()
                self.thread = None
        return 0

    cdef int add(self, str name, const uint8_t* data, Py_ssize_t size, int64_t base_offset, Mapping mapping) except -1:
        """Walk one file, or the bytes of a buffer (without mapping); base_offset -1: the first batch says it."""
        cdef Scan scan
        cdef Py_ssize_t bad_bytes = 0, bad_at
        cdef int64_t next_offset
        self.files += 1
        if base_offset < 0 and size >= 8:
            if mapping is not None:
                self.read_ahead(mapping, 0, 8)
            base_offset = max(<int64_t>load_be64(data), 0)
        next_offset = max(base_offset, self.next_offset)
        if self.first_offset < 0:
            self.first_offset = next_offset
        scan = new_scan(data, 0, size, base_offset, next_offset)
        if base_offset < self.next_offset:
            self.damage.append(Damage(name, 0, self.next_offset, "begins below the end of the file before it"))
        while True:
            if mapping is not None:
                scan.readable = self.read_ahead(mapping, scan.position, scan.wanted() - scan.position)
            if size < NOGIL_BYTES:
                scan.run(True)
            else:
                with nogil:
                    scan.run(True)
            if scan.status == STATUS_OK:
                if scan.position >= size:
                    break
                continue
            bad_at = scan.position
            reason = reason_of(scan.status)
            next_offset = scan.next_offset
            if scan.skip():
                bad_bytes += scan.position - bad_at
            else:
                if mapping is not None:
                    self.read_ahead(mapping, bad_at, size - bad_at)
                if scan.zeros():
                    self.zeros_bytes += size - bad_at
                    break
            self.damage.append(Damage(name, bad_at, next_offset, reason))
            if scan.status != STATUS_OK:
                break
        self.batches += scan.batches
        self.records += scan.records
        self.bytes += scan.position - bad_bytes
        self.next_offset = max(scan.next_offset, self.next_offset)
        return 0

    cdef Py_ssize_t read_ahead(self, Mapping mapping, Py_ssize_t position, Py_ssize_t size) except -1:
        """Make pages resident, so that a disk that cannot read them is an OSError; up to where they may be touched
        now. Pages that are in memory enter the map when they are touched: for them that is cheaper."""
        cdef Py_ssize_t end = min(position + max(size, <Py_ssize_t>WINDOW_BYTES), mapping.allocated)
        cdef int result
        cdef Py_ssize_t ready
        if self.thread is not None:
            with nogil:
                ready = self.thread.wait(position, min(position + max(size, <Py_ssize_t>1), mapping.allocated))
            if ready < 0:
                raise_errno(mapping.path)
            return ready
        with nogil:
            result = mapping.is_resident(position, end - position)
            if result == 0:
                result = mapping.warm(position, end - position)
        if result < 0:
            raise_errno(mapping.path)
        return end

    cdef object result(self):
        return Verified(
            self.files, self.batches, self.records, self.bytes, self.zeros_bytes,
            max(self.first_offset, 0), max(self.next_offset, 0), tuple(self.damage),
        )


def check(const uint8_t[::1] buffer not None, base_offset=None):
    """Verify the batches of a buffer; base_offset is that of the segment, by default the first batch's own."""
    cdef Findings found = Findings()
    cdef int64_t base = -1 if base_offset is None else base_offset
    cdef Py_ssize_t size = buffer.shape[0]
    found.add("", &buffer[0] if size else NULL, size, base, None)
    return found.result()


def verify(path):
    """Verify a .log file, or all of a partition's directory; see the stub for the contract."""
    cdef Findings found = Findings()
    path = os.fspath(path)
    files = [path]
    if os.path.isdir(path):
        files = sorted(os.path.join(path, name) for name in os.listdir(path) if SEGMENT.fullmatch(name))
    for name in files:
        match = SEGMENT.fullmatch(os.path.basename(name))
        found.add_file(name, int(match[1]) if match else -1)
    return found.result()
