"""The long way of an append: every batch that append_usual (log.pyx) leaves, and those of leaders and coordinators.

The order is that of log.pyx's drawing: sum and copy behind the log's end, validate, ask the producer state, store,
say so. The Log's lock is held from the first look at its end on; whatever fails gives the place back and lets go.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from kcore.leader_epoch cimport newest_epoch
from kcore.log cimport AppendedStruct, CLIENT, COORDINATOR, Log, NOGIL_BYTES, RAFT, REPLICA
from kcore.producer_state cimport CHECK_DUPLICATE, DuplicateBatch
from kcore.record_batch cimport (
    ATTR_CODEC, ATTR_CONTROL, ATTR_LOG_APPEND_TIME, BatchHeader, STATUS_OK, ValidateResult, ValidateRules,
    batch_bytes, batch_check_crc, batch_crc, batch_header, batch_load, batch_open, batch_validate_rest, raise_status,
)
from kcore.segment cimport Segment
from kcore.syscalls cimport raise_errno

from kcore.errors import BatchTooLarge, InvalidRecord, OffsetsOutOfOrder, OutOfOrderSequence
from kcore.index import AbortedTransaction
from kcore.log_values import Appended

cdef enum:
    STAGED_BYTES_MIN = 512          # below it, a copy of its own costs nothing


cdef int append_any(
    Log log, object owner, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms,
    AppendedStruct* out,
) except -1:
    cdef BatchHeader h
    cdef ValidateRules rules
    cdef ValidateResult result
    cdef Segment segment = None
    cdef uint32_t crc
    cdef object recompressed
    cdef const uint8_t[::1] view
    log.acquire()
    try:
        log.check_open()
        if n > log.max_message_bytes:
            raise BatchTooLarge(f"{n} bytes are more than max.message.bytes, {log.max_message_bytes}")
        if n > log.segment_bytes:
            raise BatchTooLarge(f"{n} bytes are more than a segment may hold, {log.segment_bytes}")
        rules = log.rules
        rules.now_ms = now_ms
        batch_open(p, n, &h)
        segment = log.active
        crc = stage(log, segment, p, n, h.attributes & ATTR_CODEC)
        batch_validate_rest(owner, p, n, &h, crc, &rules, &result)
        if result.recompress:
            recompressed = recompressed_for(log, <const uint8_t[:n]>p, now_ms)
            result.rewrite_timestamps = False
            view = recompressed
            p = &view[0]
            n = view.shape[0]
            batch_load(p, &h)
            if n > log.max_message_bytes or n > log.segment_bytes:
                raise BatchTooLarge(f"{n} bytes after compression are more than {log.max_message_bytes}")
        store_checked(
            log, p, n, &h, leader_epoch, rules.timestamp_type if result.rewrite_timestamps else -1,
            result.max_timestamp_ms, now_ms, CLIENT, out,
        )
        if out.duplicate:
            segment.unstage()
    except BaseException as error:
        if segment is not None:
            segment.unstage()
        log.give_up(error)
    log.release()
    return 0


cdef uint32_t stage(Log log, Segment segment, const uint8_t* p, Py_ssize_t n, int codec) except? 0:
    """The CRC of a batch, which is copied behind the log's end on the way when that will be its place."""
    cdef uint32_t crc = 0
    cdef int staged = 0
    if (
        n >= STAGED_BYTES_MIN and segment.end <= log.segment_bytes - n
        and (log.rules.target_codec < 0 or log.rules.target_codec == codec)
    ):
        staged = segment.stage(p, n, &crc)
    if staged < 0:
        raise_errno(segment.path + ".log")
    if staged == 0:
        if n < NOGIL_BYTES:
            crc = batch_crc(p, n)
        else:
            with nogil:
                crc = batch_crc(p, n)
    return crc


cdef object recompressed_for(Log log, object batch, int64_t now_ms):
    """The batch in the codec, and with the timestamps, that the topic asks for."""
    from kcore import batch_builder

    return batch_builder.recompress(
        batch, log.rules.target_codec, log.config.compression_level,
        timestamp_type=log.rules.timestamp_type,
        log_append_time_ms=now_ms if log.rules.timestamp_type == 1 else -1,
        decompressed_bytes_max=log.rules.decompressed_bytes_max,
    )


cdef int append_whole(
    Log log, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms, int origin, AppendedStruct* out
) except -1:
    cdef BatchHeader h
    cdef Py_ssize_t at = 0
    cdef int status
    cdef int64_t base_offset = -1, max_timestamp = -1
    cdef int rewrite_type = -1
    log.check_open()
    with nogil:
        while at < n:
            status = batch_header(p + at, n - at, &h)
            if status == STATUS_OK:
                status = batch_check_crc(p + at, &h)
            if status != STATUS_OK:
                break
            at += batch_bytes(&h)
    if at < n:
        raise_status(status, at)
    if n == 0:
        raise InvalidRecord("nothing to append")
    if origin == REPLICA:
        return append_replica(log, p, n, now_ms, out)
    if origin == COORDINATOR and log.rules.timestamp_type == 1:
        rewrite_type = 1
    at = 0
    log.acquire()
    try:
        while at < n:
            log.check_open()
            batch_header(p + at, n - at, &h)
            store_checked(
                log, p + at, batch_bytes(&h), &h, leader_epoch, rewrite_type,
                now_ms if rewrite_type == 1 else h.max_timestamp, now_ms, origin, out,
            )
            if base_offset < 0:
                base_offset = out.base_offset
            max_timestamp = max(max_timestamp, out.max_timestamp_ms)
            at += batch_bytes(&h)
    except BaseException as error:
        log.give_up(error)
    log.release()
    out.base_offset = base_offset
    out.max_timestamp_ms = max_timestamp
    return 0


cdef int append_replica(Log log, const uint8_t* p, Py_ssize_t n, int64_t now_ms, AppendedStruct* out) except -1:
    """Batches of a leader: offsets and epochs stay, and must follow on."""
    cdef BatchHeader h
    cdef Py_ssize_t at = 0
    cdef int64_t expected, max_timestamp = -1
    log.acquire()
    try:
        log.check_open()
        expected = log.log_end_offset
        while at < n:
            batch_header(p + at, n - at, &h)
            if h.base_offset < expected or h.last_offset_delta < 0:
                raise OffsetsOutOfOrder(f"batch at {h.base_offset} where {expected} or more must follow")
            expected = h.base_offset + h.last_offset_delta + 1
            at += batch_bytes(&h)
        at = 0
        batch_header(p, n, &h)
        out.base_offset = h.base_offset
        while at < n:
            batch_header(p + at, n - at, &h)
            max_timestamp = max(max_timestamp, h.max_timestamp)
            store(log, p + at, batch_bytes(&h), &h, h.base_offset, h.leader_epoch, -1, h.max_timestamp, now_ms)
            at += batch_bytes(&h)
        out.last_offset = log.log_end_offset - 1
        out.log_append_time_ms = -1
        out.log_start_offset = log.log_start_offset
        out.max_timestamp_ms = max_timestamp
        out.leader_epoch = h.leader_epoch
        out.duplicate = False
    except BaseException as error:
        log.give_up(error)
    log.release()
    return 0


cdef int store_checked(
    Log log, const uint8_t* p, Py_ssize_t n, BatchHeader* h, int32_t leader_epoch, int rewrite_type,
    int64_t max_timestamp, int64_t now_ms, int origin, AppendedStruct* out,
) except -1:
    """One batch that gets the next offset: producer check, then store; fills out. The lock is held."""
    cdef DuplicateBatch duplicate
    out.log_start_offset = log.log_start_offset
    out.leader_epoch = leader_epoch
    out.log_append_time_ms = now_ms if rewrite_type == 1 or (h.attributes & ATTR_LOG_APPEND_TIME and origin == CLIENT) else -1
    out.duplicate = False
    if h.producer_id >= 0 and origin != RAFT:
        if h.attributes & ATTR_CONTROL:
            if origin == COORDINATOR:
                log.producers.check_marker(h, p, n, 0)
        elif check_producer(log, h, origin, &duplicate) == CHECK_DUPLICATE:
            out.base_offset = duplicate.base_offset
            out.last_offset = duplicate.last_offset
            out.max_timestamp_ms = duplicate.timestamp
            # Whatever the topic's timestamp type is: so answers Kafka.
            out.log_append_time_ms = duplicate.timestamp
            out.duplicate = True
            return 0
    out.base_offset = log.log_end_offset
    store(log, p, n, h, log.log_end_offset, leader_epoch, rewrite_type, max_timestamp, now_ms)
    out.last_offset = log.log_end_offset - 1
    out.max_timestamp_ms = max_timestamp
    return 0


cdef int check_producer(Log log, const BatchHeader* h, int origin, DuplicateBatch* duplicate) except -1:
    try:
        return log.producers.check(h, origin, duplicate)
    except OutOfOrderSequence:
        # Perhaps it is sent again, and stands before the snapshot that the producer state began with.
        if log.recalled_from < 0 or not recovery.recall_batches(log):
            raise
    return log.producers.check(h, origin, duplicate)


cdef int store(
    Log log, const uint8_t* p, Py_ssize_t n, BatchHeader* h, int64_t base_offset, int32_t leader_epoch,
    int rewrite_type, int64_t max_timestamp, int64_t now_ms,
) except -1:
    """Puts one checked batch at base_offset. The lock is held; OSError: the disk failed."""
    cdef uint8_t* stored
    cdef Segment active
    if leader_epoch != log.epoch_known:
        if leader_epoch > newest_epoch(log.leader_epochs):
            log.assign_epoch(leader_epoch, base_offset)
        log.epoch_known = leader_epoch
    if log.active.should_roll(
        n, base_offset + h.last_offset_delta, max_timestamp, now_ms, log.segment_bytes, log.segment_ms
    ):
        log.roll_to(base_offset, now_ms)
    active = log.active
    stored = active.append(p, n, h, base_offset, leader_epoch, rewrite_type, max_timestamp)
    log.log_end_offset = active.next_offset
    if h.producer_id >= 0:
        h.base_offset = base_offset
        log.producers.update(h, stored, n)
        if log.producers.completed_count > 0:
            note_completed(log)
    return 0


cdef int note_completed(Log log) except -1:
    """Writes aborted transactions to the index of the segment that holds the marker."""
    for done in log.producers.take_completed():
        if done.aborted:
            try:
                log.active.transaction_index.append(AbortedTransaction(
                    done.producer_id, done.first_offset, done.last_offset, done.last_stable_offset
                ))
            except OSError as error:
                # Whatever the reason: a reader would take the aborted records for good ones.
                log.failure.fail(error)
                log.fail(error)
            log.unsynced.append(log.active.transaction_index.path)
            log.names_dirty = True
    return 0


def append_marker(Log log, marker, *, int32_t leader_epoch, int64_t now_ms, int transaction_version=0):
    """Appends the marker that ends a transaction; see log.pyi."""
    cdef AppendedStruct out
    cdef BatchHeader h
    cdef const uint8_t[::1] view = marker
    cdef Py_ssize_t n = view.shape[0]
    cdef const uint8_t* p = &view[0] if n else NULL
    cdef bint stamped = log.rules.timestamp_type == 1
    raise_status(batch_header(p, n, &h), None)
    if batch_bytes(&h) != n or h.producer_id < 0 or not h.attributes & ATTR_CONTROL:
        raise InvalidRecord("not the marker of a transaction")
    log.acquire()
    try:
        log.check_open()
        log.producers.check_marker(&h, p, n, transaction_version)
        store_checked(
            log, p, n, &h, leader_epoch, 1 if stamped else -1, now_ms if stamped else h.max_timestamp, now_ms,
            COORDINATOR, &out,
        )
    except BaseException as error:
        log.give_up(error)
    log.release()
    return Appended(
        out.base_offset, out.last_offset, out.log_append_time_ms, out.log_start_offset, False,
        out.max_timestamp_ms, out.leader_epoch,
    )


# It works on logs from outside, too, and cimports kcore.log: loaded last.
from kcore import recovery  # noqa: E402
