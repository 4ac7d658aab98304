# kcore.segment: one .log file with its indexes.

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kcore.crc32c cimport crc32c_copy
from kcore.index cimport OffsetIndex, TimeIndex, TransactionIndex
from kcore.mapped_file cimport Mapping
from kcore.prefetch cimport prefetch_to_write
from kcore.record_batch cimport AT_ATTRIBUTES, BatchHeader, batch_assign

cdef class LogSlice:
    cdef Mapping mapping                    # pinned: neither unmapped nor changed below data + size
    cdef Segment segment
    cdef const uint8_t* data                # NULL when size is 0
    cdef Py_ssize_t size
    cdef readonly int64_t offset            # as asked for
    cdef readonly int64_t next_offset       # where to go on
    cdef readonly int64_t segment_base_offset
    cdef readonly Py_ssize_t position       # of the first byte within the segment file
    cdef bint hot                           # within what was appended last: in memory for sure

    cpdef bint was_resident(self, int64_t now_ms) noexcept  # `resident`, as it was within the last 100 ms


@cython.final
cdef class Segment:
    # What every append reads and writes comes first and stays together, as in Log.
    cdef Mapping mapping                    # None while idle
    cdef Py_ssize_t end                     # bytes of whole batches; published last
    cdef int64_t next_offset
    cdef readonly int64_t base_offset
    cdef int64_t max_timestamp              # -1: none known
    cdef int64_t max_timestamp_offset
    cdef int64_t first_timestamp            # of the first batch, -1: none
    cdef int64_t jitter_ms
    cdef Py_ssize_t bytes_since_index
    cdef Py_ssize_t index_interval
    cdef int64_t used                       # tick of the last use, for the pool of open maps
    cdef Py_ssize_t staged                  # bytes of the batch that stage() has put behind the end, 0: none
    cdef OffsetIndex offset_index           # None while idle
    cdef bint first_timestamp_known
    cdef bint max_timestamp_known
    cdef bint index_room                    # both indexes are known to take at least one entry more
    cdef bint busy                          # its map is in use without the GIL
    cdef bint active
    cdef int pins                           # slices that are out, of any map this file had

    cdef int64_t hint_offset                # the last read ended here ...
    cdef Py_ssize_t hint_position           # ... at this byte
    cdef Py_ssize_t hot_from                # appended by this process from here on
    cdef readonly str path                  # without suffix
    cdef TimeIndex time_index
    cdef TransactionIndex transaction_index
    cdef int64_t created_ms
    cdef Py_ssize_t size_max                # segment.bytes when it was made
    cdef Py_ssize_t index_bytes
    cdef bint preallocate
    cdef bint deleted
    cdef readonly bint rebuilt              # its indexes had to be made anew
    cdef Py_ssize_t synced_end              # bytes that a sync has covered
    cdef Segment ancestor                   # the same file of an earlier Log whose slices were still out

    # Copies all but the header of a batch of n bytes to where append() will put it, and gives its CRC on the way;
    # 0 when there is no room in this map or append() will write it, -1 with errno. Until append() took it, or after
    # unstage(), nothing is there.
    cdef int stage(self, const uint8_t* p, Py_ssize_t n, uint32_t* crc) noexcept
    cdef void unstage(self) noexcept
    # Copies one batch to the end; offset and epoch are patched in the copy. rewrite_type -1: the timestamps
    # stay; else the copy gets that timestamp type and max_timestamp. Returns the copy; OSError: nothing happened.
    cdef uint8_t* append(
        self, const uint8_t* p, Py_ssize_t n, const BatchHeader* h, int64_t base_offset,
        int32_t leader_epoch, int rewrite_type, int64_t max_timestamp,
    ) except NULL
    cdef int write(self, const uint8_t* p, Py_ssize_t n, int64_t base_offset, int32_t leader_epoch) except -1
    # Index entries for the batch of n bytes that stands behind the end, and the end moved over it.
    cdef int publish(self, Py_ssize_t n, int64_t last_offset, int64_t max_timestamp) except -1
    cdef Py_ssize_t window(self, Py_ssize_t size) noexcept  # bytes that a map has to reach over to hold `size`
    cdef int open_write(self, Py_ssize_t more) except -1
    cdef int open_read(self) except -1
    cdef int load_indexes(self) except -1
    # Map and indexes both; nothing may let the GIL go before they are used or kept in a local variable.
    cdef int ready(self) except -1
    cdef int rebuild_indexes(self) except -1
    # Position of the batch that holds the offset or follows it; end when there is none.
    cdef Py_ssize_t position_of(self, int64_t offset) except -1
    cdef int raise_damaged(self, Py_ssize_t position) except -1
    # None when everything in the segment lies below the offset.
    cdef LogSlice read(self, int64_t offset, Py_ssize_t bytes_max, int64_t end_offset, bint at_least_one)
    cdef LogSlice slice_at(self, int64_t offset, Py_ssize_t position, Py_ssize_t stop, int64_t next_offset)
    cdef bint find_index_room(self) noexcept            # sets index_room; the indexes are loaded
    cdef bint should_roll(
        self, Py_ssize_t n, int64_t last_offset, int64_t max_timestamp, int64_t now_ms,
        int64_t segment_bytes, int64_t segment_ms,
    ) except -1
    cdef int become_inactive(self) except -1
    cdef int load_timestamps(self) except -1
    cdef int truncate(self, int64_t offset) except -1
    cdef bint idle(self) noexcept
    cdef bint is_pinned(self) noexcept      # a slice of this file is out
    cdef int renamed(self, str path) except -1      # its files have that name now


cdef Segment new_segment(str path, int64_t base_offset, object config, int64_t jitter_ms, int64_t now_ms)
# Position of the first batch at or after `position` whose last offset is at least `offset`; end when there
# is none; -1 - position of the damage otherwise.
cdef Py_ssize_t walk_to_offset(const uint8_t* data, Py_ssize_t position, Py_ssize_t end, int64_t offset) noexcept nogil
# Gives maps up when the process holds too many; the spared segment (or None) keeps its own.
cdef int relieve_pool(Segment spared) except -1


cdef enum:
    ASKED_BYTES_MAX = 2048          # what is asked for at once


cdef inline void ask_ahead(Segment segment, Py_ssize_t n) noexcept:
    """Asks for the memory that the append after the next one will write to, if it is as long as this one; for its own
    first bytes where it is long. The copy asks for lines too, but all at once: spread over the work before it, fewer of
    them have to wait for each other (1 KiB: 109 -> 86 ns, memcpy 78).

    What is not mapped is not asked for: that costs a walk of the page table each time, half a microsecond with thousands of
    logs, each in its last page."""
    cdef Mapping mapping = segment.mapping
    if mapping is None:
        return
    if n <= ASKED_BYTES_MAX:
        if segment.end + 3 * n <= mapping.populated:
            prefetch_to_write(mapping.data + segment.end + 2 * n, n)
    elif segment.end + ASKED_BYTES_MAX <= mapping.populated:
        prefetch_to_write(mapping.data + segment.end, ASKED_BYTES_MAX)


cdef inline bint has_room(
    Segment segment, Py_ssize_t n, int64_t last_offset, int64_t max_timestamp, int64_t now_ms,
    int64_t segment_bytes, int64_t segment_ms,
) noexcept:
    """Whether a batch of n bytes may go behind the end as things are: mapped, populated, and nothing makes the
    segment roll. False says nothing: should_roll() knows. Inline, like the next one: every append asks."""
    cdef Mapping mapping = segment.mapping
    cdef int64_t waited
    if (
        mapping is None or not mapping.writable or segment.end == 0 or segment.end + n > mapping.populated
        or segment.end > segment_bytes - n or <uint64_t>(last_offset - segment.base_offset) > 0x7FFFFFFF
        or segment.offset_index is None or not segment.index_room or not segment.first_timestamp_known
    ):
        return False
    if segment.first_timestamp >= 0:
        waited = max_timestamp - segment.first_timestamp
    else:
        waited = now_ms - segment.created_ms
    return waited <= segment_ms - segment.jitter_ms


cdef inline bint copy_checked(
    Segment segment, const uint8_t* p, Py_ssize_t n, uint32_t crc, int64_t base_offset, int32_t leader_epoch
) noexcept:
    """Copies a batch behind the end, where it has_room(), unless its CRC is wrong: then zeros are there again."""
    cdef uint8_t* target = segment.mapping.data + segment.end
    # Without its first bytes no recovery takes what stands there for a batch, and they come last.
    if crc32c_copy(0, target + AT_ATTRIBUTES, p + AT_ATTRIBUTES, n - AT_ATTRIBUTES) != crc:
        memset(target, 0, n)
        return False
    memcpy(target, p, AT_ATTRIBUTES)
    batch_assign(target, base_offset, leader_epoch)
    return True
