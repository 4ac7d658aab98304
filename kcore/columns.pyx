# cython: freethreading_compatible=True
"""Records as columns: a whole run of batches (a segment, a fetch answer) decoded into numpy arrays.

Keys and values are not copied: the columns say where they are. Two passes: the first reads the headers and unpacks
what is compressed; the second checks each batch's checksum and, while it is in the cache, walks its records into
arrays of the right size. Both run without the GIL; only decompression, batch by batch, takes it in between.
"""

from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from kcore.compression cimport CODEC_NONE, decompress_payload
from kcore.prefetch cimport prefetch
from kcore.record cimport (
    STATUS_BAD_COUNT,
    STATUS_BAD_OFFSET_DELTA,
    STATUS_OK,
    STATUS_SHORT,
    STATUS_TRAILING,
    RecordHead,
    record_head,
    record_head_usual,
    record_headers_skip,
)
from kcore.record_batch cimport (
    ATTR_CODEC,
    ATTR_CONTROL,
    ATTR_LOG_APPEND_TIME,
    HEADER_BYTES,
    BatchHeader,
    batch_bytes,
    batch_check_crc,
    batch_header,
    raise_status,
)

cdef enum:
    PyBUF_READ = 0x100
    RECORD_BYTES_MIN = 7       # a length and the six bytes of RECORD_BODY_MIN
    STATUS_NO_MEMORY = 1000
    CACHE_LINE = 64

cdef struct Run:               # the records of one batch, unpacked
    BatchHeader h
    const uint8_t* records
    Py_ssize_t bytes
    int64_t position           # what the columns call the first byte of `records`
    Py_ssize_t batch_position  # where the batch begins in the buffer

cdef struct Columns:
    int64_t* offset
    int64_t* timestamp
    int64_t* key_position
    int32_t* key_length
    int64_t* value_position
    int32_t* value_length


cdef class _Runs:
    """The batches found, in a C array that grows."""

    cdef Run* items
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef bint compressed
    cdef Py_ssize_t bad_position

    def __dealloc__(self):
        free(self.items)

    cdef int scan(self, const uint8_t* p, Py_ssize_t n, bint check_crc, bint allow_partial,
                  bint include_control) noexcept nogil:
        """Read the headers of all batches; a status, with bad_position set unless it is STATUS_OK."""
        cdef Py_ssize_t at = 0, wanted
        cdef int status
        cdef Run* grown
        cdef Run* run
        while at < n:
            if self.count == self.capacity:
                wanted = 16 + self.capacity * 2
                grown = <Run*>realloc(self.items, wanted * sizeof(Run))
                if grown == NULL:
                    return STATUS_NO_MEMORY
                self.items = grown
                self.capacity = wanted
            run = &self.items[self.count]
            status = batch_header(p + at, n - at, &run.h)
            if status == STATUS_SHORT and allow_partial:
                return STATUS_OK
            if status == STATUS_OK and run.h.attributes & ATTR_CONTROL and not include_control:
                # Looked at here, since it is left out of the second pass.
                if check_crc:
                    status = batch_check_crc(p + at, &run.h)
                if status == STATUS_OK:
                    at += batch_bytes(&run.h)
                    continue
            if status != STATUS_OK:
                self.bad_position = at
                return status
            run.batch_position = at
            run.records = p + at + HEADER_BYTES
            run.bytes = batch_bytes(&run.h) - HEADER_BYTES
            run.position = at + HEADER_BYTES
            at += batch_bytes(&run.h)
            if run.h.attributes & ATTR_CODEC:
                self.compressed = True
            self.count += 1
        return STATUS_OK

    cdef object unpack(self, int64_t bytes_max, bint check_crc):
        """Put the payloads of all batches one after the other, decompressed, and point the runs there."""
        cdef list parts = []
        cdef Py_ssize_t i
        cdef int64_t total = 0
        cdef const uint8_t[::1] arena
        cdef Run* run
        for i in range(self.count):
            run = &self.items[i]
            if check_crc:
                raise_status(batch_check_crc(run.records - HEADER_BYTES, &run.h), run.batch_position)
            view = PyMemoryView_FromMemory(<char*>run.records, run.bytes, PyBUF_READ)
            part = decompress_payload(run.h.attributes & ATTR_CODEC, view, bytes_max - total)
            parts.append(part)
            run.bytes = len(part)
            run.position = total
            total += run.bytes
        joined = b"".join(parts)
        arena = joined
        for i in range(self.count):
            # An address in a byte string that the caller is given and that lives as long as this object's use.
            self.items[i].records = (&arena[0] if total else NULL) + self.items[i].position
        return joined

    cdef int64_t records_count(self, Py_ssize_t* bad) noexcept nogil:
        """How many records there are; -1, with the batch's number in `bad`, when one claims more than it
        can hold."""
        cdef int64_t total = 0
        cdef Py_ssize_t i
        cdef Run* run
        for i in range(self.count):
            run = &self.items[i]
            if (
                run.h.records_count < 0
                or run.h.records_count > run.bytes // RECORD_BYTES_MIN
                or run.h.last_offset_delta < 0
                or run.h.records_count > <int64_t>run.h.last_offset_delta + 1
            ):
                bad[0] = i
                return -1
            total += run.h.records_count
        return total


cdef int _fill(const Run* run, const Run* after, Columns* to) noexcept nogil:
    """Walk the records of one batch into the columns, and move the columns' pointers behind them.

    On the way the batch `after` it (NULL: none) is asked for: the walk waits for no memory, and the checksum that
    comes next would for each line."""
    # What lies in memory that the columns might share is read once.
    cdef const uint8_t* records = run.records
    cdef const uint8_t* p = records
    cdef const uint8_t* end = p + run.bytes
    cdef const uint8_t* q
    cdef RecordHead head, other
    cdef Columns c = to[0]
    cdef int status = STATUS_OK
    cdef int32_t i, last_delta = -1, count = run.h.records_count, delta_max = run.h.last_offset_delta
    cdef bint append_time = run.h.attributes & ATTR_LOG_APPEND_TIME
    cdef int64_t position = run.position
    cdef uint64_t base_offset = <uint64_t>run.h.base_offset
    cdef uint64_t base_timestamp = <uint64_t>(run.h.max_timestamp if append_time else run.h.base_timestamp)
    cdef Py_ssize_t ahead = after.records - records if after != NULL else 0
    for i in range(count):
        if record_head_usual(p, end, &head) == NULL:
            q = record_head(p, end, &other, &status)
            if q == NULL:
                return status
            if q != other.end or other.headers_count:
                status = record_headers_skip(q, &other)
                if status != STATUS_OK:
                    return status
            head = other
        if head.offset_delta <= last_delta or head.offset_delta > delta_max:
            return STATUS_BAD_OFFSET_DELTA
        last_delta = head.offset_delta
        c.offset[i] = <int64_t>(base_offset + <uint64_t>head.offset_delta)
        c.timestamp[i] = <int64_t>(base_timestamp + (0 if append_time else <uint64_t>head.timestamp_delta))
        c.key_position[i] = position + (head.key - records)
        c.key_length[i] = head.key_length
        c.value_position[i] = position + (head.value - records)
        c.value_length[i] = head.value_length
        prefetch(p + ahead)
        prefetch(p + ahead + CACHE_LINE)
        p = head.end
    to.offset += count
    to.timestamp += count
    to.key_position += count
    to.key_length += count
    to.value_position += count
    to.value_length += count
    return STATUS_OK if p == end else STATUS_TRAILING


cdef int _fill_all(_Runs runs, Columns* to, bint check_crc, Py_ssize_t* bad) noexcept nogil:
    cdef Py_ssize_t i
    cdef int status = STATUS_OK
    for i in range(runs.count):
        if check_crc:
            status = batch_check_crc(runs.items[i].records - HEADER_BYTES, &runs.items[i].h)
        if status == STATUS_OK:
            status = _fill(&runs.items[i], &runs.items[i + 1] if i + 1 < runs.count else NULL, to)
        if status != STATUS_OK:
            bad[0] = runs.items[i].batch_position
            return status
    return STATUS_OK


def decode_columns(
    const uint8_t[::1] buffer not None,
    *,
    bint check_crc=True,
    bint allow_partial=False,
    bint include_control=False,
    int64_t decompressed_bytes_max=1 << 32,
):
    """Decode all records of a run of batches into columns. See the stub for the contract."""
    import numpy

    cdef _Runs runs = _Runs()
    cdef Columns to
    cdef int64_t[::1] offset, timestamp, key_position, value_position
    cdef int32_t[::1] key_length, value_length
    cdef Py_ssize_t n = buffer.shape[0], bad = 0
    cdef int64_t count
    cdef int status = STATUS_OK
    if n:
        with nogil:
            status = runs.scan(&buffer[0], n, check_crc, allow_partial, include_control)
    if status == STATUS_NO_MEMORY:
        raise MemoryError
    raise_status(status, runs.bad_position)
    arena = buffer.base
    if runs.compressed:
        arena = runs.unpack(decompressed_bytes_max, check_crc)
        check_crc = False
    count = runs.records_count(&bad)
    if count < 0:
        # A count that was damaged on the way is a matter of the checksum.
        if check_crc:
            raise_status(
                batch_check_crc(runs.items[bad].records - HEADER_BYTES, &runs.items[bad].h),
                runs.items[bad].batch_position,
            )
        raise_status(STATUS_BAD_COUNT, runs.items[bad].batch_position)
    # One piece of memory for all columns: from 4 MiB on numpy asks for huge pages, without which the kernel's
    # work for fresh pages takes longer than all of the decoding.
    memory = numpy.empty(5 * count, numpy.int64)
    lengths = memory[4 * count :].view(numpy.int32)
    columns = {
        "offset": memory[:count],
        "timestamp": memory[count : 2 * count],
        "key_position": memory[2 * count : 3 * count],
        "key_length": lengths[:count],
        "value_position": memory[3 * count : 4 * count],
        "value_length": lengths[count:],
    }
    if runs.count:
        if count:
            offset, timestamp = columns["offset"], columns["timestamp"]
            key_position, value_position = columns["key_position"], columns["value_position"]
            key_length, value_length = columns["key_length"], columns["value_length"]
            to.offset, to.timestamp = &offset[0], &timestamp[0]
            to.key_position, to.value_position = &key_position[0], &value_position[0]
            to.key_length, to.value_length = &key_length[0], &value_length[0]
        else:
            to.offset = to.timestamp = to.key_position = to.value_position = NULL
            to.key_length = to.value_length = NULL
        with nogil:
            status = _fill_all(runs, &to, check_crc, &bad)
        raise_status(status, bad)
    columns["arena"] = arena
    return columns
