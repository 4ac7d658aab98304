"""Where a log waits for the disk, always without the GIL: flushing, and reading what is not in memory.

Order of a flush: the leader epochs' checkpoint; small files (indexes, snapshots) and the data of every
segment with unsynced bytes, oldest first; the names in the directory last. Only then does the recovery
point move, and only then may anybody rely on the offsets below it.

Nearly always there is nothing but the active segment's data. Then :class:`TailSync` names the descriptor,
so that a thread which never takes the GIL can sync it, and moves the recovery point afterwards.
"""

from libc.stdint cimport int64_t

from kcore.log cimport Log
from kcore.mapped_file cimport Mapping
from kcore.segment cimport LogSlice, Segment, relieve_pool
from kcore.syscalls cimport raise_errno

import os

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
            mapping.note_sync(end)
        if generation == log.truncations:
            segment.synced_end = max(segment.synced_end, end)
    if names:
        syscalls.fsync_dir(log.path)
    relieve_pool(None)


cdef class TailSync:
    """See durability.pxd."""

    cdef bint cover(self) except -1:
        """Whether one sync still makes everything durable that was appended until now; takes note of that."""
        cdef Log log = self.log
        if (
            log.closed or log.active is not self.segment or self.segment.mapping is not self.mapping
            or log.truncations != self.generation or not only_tail_unsynced(log)
        ):
            return False
        self.target = log.log_end_offset
        self.end = self.segment.end
        return True

    cdef int64_t done(self, int error) except? -1:
        """The system call is over, ``error`` is its errno or 0; how far the log is durable now, -1: it is closed.

        Raises LogFailed where the disk failed, now or meanwhile.
        """
        cdef Log log = self.log
        if log.closed:
            return -1
        if error:
            log.fail(OSError(error, os.strerror(error), self.mapping.path))
        log.check_open()
        self.mapping.note_sync(self.end)
        # A truncation during the sync has lowered the recovery point itself.
        if self.generation == log.truncations:
            self.segment.synced_end = max(self.segment.synced_end, self.end)
            log.recovery_point = max(log.recovery_point, self.target)
        relieve_pool(None)
        return log.recovery_point


cdef bint only_tail_unsynced(Log log) except -1:
    """Whether the data of the active segment is all that a flush would have to sync.

    Older segments are synced in their order, so the one before tells for all. A flush under way may be
    about to sync names or small files that it has taken note of already.
    """
    cdef Py_ssize_t count = len(log.segment_list)
    cdef Segment before
    if log.names_dirty or log.unsynced or log.epochs_dirty or log.flush_lock.locked():
        return False
    if count > 1:
        before = <Segment>log.segment_list[count - 2]
        return before.synced_end >= before.end
    return True


cdef TailSync tail_sync(Log log):
    """The sync that makes all of the log durable, None where that takes more than one. See durability.pxd."""
    cdef TailSync made
    cdef Mapping mapping
    if log.closed or log.failure.offline:
        return None
    mapping = log.active.mapping
    if mapping is None or not mapping.writable or not only_tail_unsynced(log):
        return None
    made = TailSync.__new__(TailSync)
    made.log = log
    made.segment = log.active
    made.mapping = mapping
    made.generation = log.truncations
    made.target = log.log_end_offset
    made.end = log.active.end
    made.fd = -1 if syscalls.is_volatile(mapping.path) else mapping.fd
    return made


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
