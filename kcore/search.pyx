"""Questions to a log that are not "read from this offset": by timestamp, by transaction.

A timestamp is searched in three steps, each finer than the one before::

    segments    the first whose largest timestamp is at or above the target
      index     its time index: last entry at or below the target -> offset -> position
        batch   headers from there on, max timestamp at or above the target
          record   decompressed if need be: the first whose own timestamp is
"""

from libc.stdint cimport int32_t, int64_t, uint8_t

from kcore.endian cimport load_be32
from kcore.log cimport Log
from kcore.record_batch cimport BatchHeader, batch_bytes, batch_header, batch_last_offset
from kcore.segment cimport LogSlice, Segment

from kcore.log_values import OffsetAndTimestamp
from kcore.record_batch import RecordBatch

cdef int64_t largest_timestamp(Segment segment) except? -2:
    if not segment.max_timestamp_known:
        segment.load_timestamps()
    return segment.max_timestamp


cdef object record_in(Log log, Segment segment, Py_ssize_t position, const BatchHeader* h, int64_t target, int64_t start):
    """First record of the batch at or after both timestamp and offset, None when there is none."""
    batch = RecordBatch(
        segment.slice_at(h.base_offset, position, position + batch_bytes(h), batch_last_offset(h) + 1),
        decompressed_bytes_max=max(log.rules.decompressed_bytes_max, batch_bytes(h)),
    )
    for record in batch:
        if record.timestamp >= target and record.offset >= start:
            return OffsetAndTimestamp(record.offset, record.timestamp, h.leader_epoch)
    return None


def offset_for_timestamp(Log log, int64_t target):
    """OffsetAndTimestamp of the first record whose timestamp is at least target, or None."""
    cdef Segment segment
    cdef Py_ssize_t position
    cdef BatchHeader h
    cdef int64_t start = log.log_start_offset
    try:
        for segment in log.segment_list:
            if segment.next_offset <= start or largest_timestamp(segment) < target:
                continue
            segment.ready()
            position = segment.offset_index.position_for(max(segment.time_index.offset_for(target), start))
            while position < segment.end:
                if batch_header(segment.mapping.data + position, segment.end - position, &h) != 0:
                    segment.raise_damaged(position)
                if h.max_timestamp >= target and batch_last_offset(&h) >= start:
                    found = record_in(log, segment, position, &h, target, start)
                    if found is not None:
                        return found
                    segment.open_read()
                position += batch_bytes(&h)
    except OSError as error:
        log.fail(error)
    return None


def max_timestamp(Log log):
    """OffsetAndTimestamp of the record with the largest timestamp (the first of several), or None."""
    cdef Segment segment, best = None
    cdef Py_ssize_t position
    cdef BatchHeader h
    h.attributes = 0
    try:
        for segment in log.segment_list:
            if segment.end > 0 and (best is None or largest_timestamp(segment) > best.max_timestamp):
                largest_timestamp(segment)
                best = segment
        if best is None or best.max_timestamp < 0:
            return None
        position = best.position_of(best.max_timestamp_offset)
        if position >= best.end:
            return None
        if batch_header(best.mapping.data + position, best.end - position, &h) != 0:
            best.raise_damaged(position)
        if h.attributes & 8:
            # With the time of the append all records of a batch share one: Kafka answers with the last.
            return OffsetAndTimestamp(batch_last_offset(&h), h.max_timestamp, h.leader_epoch)
        return record_in(log, best, position, &h, h.max_timestamp, 0)
    except OSError as error:
        log.fail(error)


cdef int64_t upper_bound(Log log, LogSlice piece) except -1:
    """Up to where Apache's broker looks for aborted transactions after a read: where the offset index first
    points at or behind the slice's end; else to the end of the segment, or of the log."""
    cdef Segment segment = piece.segment
    cdef int64_t found = -1
    cdef Py_ssize_t place
    try:
        segment.ready()
        found = segment.offset_index.offset_from(piece.position + piece.size)
    except OSError as error:
        log.fail(error)
    if found >= 0:
        return found
    place = log.floor_segment(piece.offset) + 1
    if place < len(log.segment_list):
        return (<Segment>log.segment_list[place]).base_offset
    return log.log_end_offset


def aborted_transactions(Log log, int64_t first_offset, int64_t upper_offset):
    """AbortedTransaction list that a read_committed reader of [first, upper) must know."""
    cdef Segment segment
    cdef Py_ssize_t place
    found = []
    try:
        for place in range(log.floor_segment(first_offset), len(log.segment_list)):
            segment = log.segment_list[place]
            entries, complete = segment.transaction_index.collect(first_offset, upper_offset)
            found += entries
            if complete:
                break
    except OSError as error:
        log.fail(error)
    return found


def aborted_transactions_of(Log log, LogSlice piece):
    """AbortedTransaction list that Apache's broker adds to a read_committed read of this slice."""
    return aborted_transactions(log, piece.offset, upper_bound(log, piece))
