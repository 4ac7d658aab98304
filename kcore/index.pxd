# kcore.index: the three sparse indexes of a segment, as sorted arrays in memory.

from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    OFFSET_ENTRY = 8
    TIME_ENTRY = 12

cdef class Entries:                 # a big-endian array exactly as in the file; buffer protocol
    cdef uint8_t* data
    cdef Py_ssize_t size            # bytes in use
    cdef Py_ssize_t capacity
    cdef int exports                # views that are out: what they see never changes
    cdef uint8_t* room(self, Py_ssize_t n) noexcept nogil   # NULL: a larger array is needed

cdef class OffsetIndex:             # 8 bytes an entry: relative offset, position
    cdef Entries entries
    cdef readonly str path
    cdef readonly int64_t base_offset
    cdef Py_ssize_t entries_max
    cdef bint dirty                 # the file lacks something
    cdef int append(self, int64_t offset, int32_t position) except -1
    cdef int64_t last_offset(self) noexcept nogil
    cdef Py_ssize_t count(self) noexcept nogil
    # Position of the last entry at or below the offset, 0 when there is none.
    cdef int32_t position_for(self, int64_t offset) noexcept nogil
    # The last entry whose position is at most that; its offset and position, (-1, 0) when none.
    cdef int32_t entry_at_position(self, int64_t position, int64_t* offset) noexcept nogil
    # Offset of the first entry whose position is at least that; -1 when there is none.
    cdef int64_t offset_from(self, int64_t position) noexcept nogil
    cdef int cut(self, int64_t offset) except -1            # drops entries at or above the offset
    cdef int save(self) except -1

cdef class TimeIndex:               # 12 bytes an entry: timestamp, relative offset
    cdef Entries entries
    cdef readonly str path
    cdef readonly int64_t base_offset
    cdef Py_ssize_t entries_max
    cdef bint dirty
    cdef int maybe_append(self, int64_t timestamp, int64_t offset, bint when_full) except -1
    cdef int64_t last_timestamp(self) noexcept nogil
    cdef int64_t last_offset(self) noexcept nogil
    cdef Py_ssize_t count(self) noexcept nogil
    cdef int64_t offset_for(self, int64_t timestamp) noexcept nogil   # of the last entry at or below, else base
    cdef int cut(self, int64_t offset) except -1
    cdef int save(self) except -1

cdef class TransactionIndex:        # 34 bytes an entry; the file exists only when an entry does
    cdef readonly str path
    cdef list aborted               # AbortedTransaction, ascending last offset
    cdef bint dirty                 # not yet fsynced
    cdef bint loaded
    cdef object encode(self, list entries)


cdef inline bint offset_index_full(OffsetIndex index) noexcept:
    """Whether the file may hold no further entry; without a call."""
    return index.entries.size >= index.entries_max * OFFSET_ENTRY


cdef inline bint time_index_full(TimeIndex index) noexcept:
    """The same; one place is kept for the entry that is added when the segment becomes inactive."""
    return index.entries.size >= (index.entries_max - 1) * TIME_ENTRY
