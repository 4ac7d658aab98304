"""Where a log waits for the disk, always without the GIL: flushing, and reading what is not in memory.

Order of a flush: the leader epochs' checkpoint; small files (indexes, snapshots) and the data of every
segment with unsynced bytes, oldest first; the names in the directory last. Only then does the recovery
point move, and only then may anybody rely on the offsets below it.
"""

from libc.stdint cimport int64_t

from kcore.log cimport Log
from kcore.mapped_file cimport Mapping
from kcore.segment cimport LogSlice, Segment, relieve_pool
from kcore.syscalls cimport raise_errno

from kcore import syscalls


def flush(Log log, object up_to, int64_t now_ms):
    """Makes what was appended before the call durable; see log.pyi."""
    with log.flush_lock:
        log.check_open()
        if up_to is not None and up_to <= log.recovery_point:
            return log.recovery_point
        target, generation = log.log_end_offset, log.truncations
        try:
            if log.epochs_dirty:
                # Once for each epoch; the lock, since truncations write the same file.
                log.acquire()
                try:
                    log.save_epochs()
                finally:
                    log.release()
            sync_all(log)
        except OSError as error:
            log.fail(error)
        if log.failure.offline:
            log.check_open()
        # A truncation during the sync has lowered the recovery point itself.
        if generation == log.truncations and target > log.recovery_point:
            log.recovery_point = target
        if now_ms >= 0:
            log.last_flush_ms = now_ms
        return log.recovery_point


def sync_all(Log log):
    """Small files, the data of every segment with unsynced bytes, then names. Raises OSError."""
    cdef Segment segment
    cdef Mapping mapping
    cdef Py_ssize_t end
    cdef int result
    cdef int64_t generation = log.truncations
    names, files = log.names_dirty, log.unsynced
    log.names_dirty, log.unsynced = False, []
    work = []
    for segment in log.segment_list:
        if segment.synced_end < segment.end:
            work.append((segment, segment.mapping, segment.end))
    for path in dict.fromkeys(files):
        try:
            syscalls.fsync_file(path)
        except FileNotFoundError:
            continue  # retention or truncation was faster
    for segment, mapping, end in work:
        if mapping is None or not mapping.writable:
            try:
                syscalls.fsync_file(segment.path + ".log")
            except FileNotFoundError:
                continue
        elif not syscalls.is_volatile(mapping.path):
            with nogil:
                result = mapping.sync()
            if result < 0:
                raise_errno(mapping.path)
        if mapping is not None:
            mapping.synced = max(mapping.synced, end)
        if generation == log.truncations:
            segment.synced_end = max(segment.synced_end, end)
    if names:
        syscalls.fsync_dir(log.path)
    relieve_pool(None)


def is_cold(Log log, int64_t offset, Py_ssize_t bytes_max):
    """Whether read() there may have to wait for the disk: then use read_cold in a worker thread."""
    cdef Segment segment
    cdef Py_ssize_t start
    if log.closed or offset >= log.log_end_offset:
        return False
    segment = log.segment_list[log.floor_segment(offset)]
    if segment.mapping is None or segment.offset_index is None:
        return True
    start = segment.hint_position if segment.hint_offset == offset else segment.offset_index.position_for(offset)
    if segment.active and start >= segment.hot_from and start + 8388608 >= segment.end:
        return False
    return segment.mapping.is_resident(start, min(bytes_max, segment.end - start)) != 1


def read_cold(Log log, int64_t offset, Py_ssize_t bytes_max, int64_t end_offset, bint at_least_one):
    """read() for a worker thread: the pages are faulted in without the GIL first."""
    cdef Segment segment
    cdef Py_ssize_t start, size
    cdef Mapping mapping
    cdef LogSlice found
    try:
        if not log.closed and log.log_start_offset <= offset < log.log_end_offset:
            segment = log.segment_list[log.floor_segment(offset)]
            segment.ready()
            mapping = segment.mapping
            start = segment.offset_index.position_for(offset)
            size = min(bytes_max + 65536, segment.end - start)
            with nogil:
                mapping.warm(start, size)
        found = log.read_slice(offset, bytes_max, end_offset, at_least_one)
        found.warm()
    except OSError as error:
        log.fail(error)
    return found
