# kcore.recovery: opening a directory, at a glance. Only Log.open calls it.

from libc.stdint cimport int64_t

from kcore.log cimport Log
from kcore.segment cimport Segment
from kcore.scan cimport Scan

cdef class Opening:                     # what opening one log has found so far
    cdef list cuts
    cdef list rebuilt
    cdef list removed
    cdef int64_t segments_scanned
    cdef int64_t bytes_scanned
    cdef int64_t now_ms
    cdef bint clean
    cdef bint truncate_corrupt
    cdef int64_t recovery_point
    cdef int64_t first_recovered        # base offset of the first segment that was checked, -1 for none
    cdef list epochs                    # (leader epoch, base offset) where a checked segment's epoch is a higher one
    cdef dict producer_positions        # see recovery.replay
    cdef set names

    cdef int remove(self, str directory, str name) except -1


cdef int finish_swaps(str path, Opening opening) except -1
cdef int list_segments(Log log, Opening opening) except -1
cdef int find_end(Log log, Segment last, Opening opening) except -1         # clean stop
cdef int check_segment(Segment segment, Scan scan, Opening opening) except -1
cdef int recover_segment(Log log, Segment segment, Opening opening) except -1   # 1: nothing may follow it
cdef int recover_tail(Log log, Opening opening) except -1                   # unclean stop
cdef int load_epochs(Log log, Opening opening) except -1
cdef int recover_producers(Log log, Opening opening) except -1
