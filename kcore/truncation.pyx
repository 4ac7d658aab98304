"""How a log gets shorter, at either end, and how it ends.

::

      delete_old_segments                                            truncate_to
      (size, time, start offset)                                     (a new leader's log is shorter)
              |                                                              |
              v                                                              v
      [ oldest ][        ][         ] ......................... [ active   x|xxxx ]
        rename to .deleted, unlinked when due                     cut; while slices are out the
        (slices that are out keep their map)                      file is replaced by a copy

Order at the front: the files get their ".deleted" name, which recovery ignores, before the log start
moves for readers' eyes only. Order at the tail: the shorter end is published, then bytes are cut,
synced, and only then may anything be appended. After a truncation the caller must write the recovery
point that the log now shows to its checkpoint before it flushes anything new; an old, higher one would
make a torn tail look like damage.
"""

from libc.stdint cimport int64_t

from kcore.log cimport Log
from kcore.segment cimport Segment
from kcore.syscalls cimport raise_errno

import os

from kcore import durability, recovery, syscalls
from kcore.errors import LogFailed, OffsetOutOfRange
from kcore.log_values import DeletedSegment

SUFFIXES = (".log", ".index", ".timeindex", ".txnindex")


cdef int drop_files(Log log, Segment segment, bint snapshot) except -1:
    """Gives a segment's files their ".deleted" names and notes them for delete_files_due."""
    segment.deleted = True
    segment.release()
    for suffix in SUFFIXES + ((".snapshot",) if snapshot else ()):
        path = segment.path + suffix
        try:
            syscalls.rename(path, path + ".deleted")
        except FileNotFoundError:
            continue
        log.deletions.append((-1, path + ".deleted"))
    log.names_dirty = True
    return 0


cdef int remove_snapshots(Log log, int64_t above) except -1:
    """Removes producer snapshots of offsets above that."""
    for offset in recovery.snapshot_offsets(os.listdir(log.path)):
        if offset > above:
            syscalls.unlink(f"{log.path}/{offset:020d}.snapshot")
            log.names_dirty = True
    if log.last_snapshot_offset > above:
        log.last_snapshot_offset = -1
    return 0


cdef int cut_tail(Log log, int64_t offset) except -1:
    """Everything of truncate_to that touches segments; the log end offset is published first."""
    cdef Segment segment, active
    cdef int result
    kept = [s for s in log.segment_list if (<Segment>s).base_offset <= offset]
    dropped = [s for s in log.segment_list if (<Segment>s).base_offset > offset]
    active = kept[len(kept) - 1]
    log.log_end_offset = offset
    log.truncations += 1
    log.segment_list = kept
    log.active = active
    for segment in dropped:
        drop_files(log, segment, True)
    active.active = True
    active.truncate(offset)
    log.log_end_offset = active.next_offset
    log.recovery_point = min(log.recovery_point, log.log_end_offset)
    with nogil:
        result = active.mapping.sync()
    if result < 0:
        raise_errno(active.path)
    # Below the recovery point everything was durable before; what lies between it and the cut is now.
    active.synced_end = active.end
    return 0


def truncate_to(Log log, int64_t offset):
    """Drops everything at or above offset; see log.pyi."""
    log.acquire()
    try:
        log.check_open()
        if offset >= log.log_end_offset:
            return False
        if offset < (<Segment>log.segment_list[0]).base_offset:
            start_over(log, offset, offset)
            return True
        cut_tail(log, offset)
        if log.log_end_offset < log.log_start_offset:
            start_over(log, log.log_start_offset if log.log_start_offset < offset else offset, min(log.log_start_offset, offset))
            return True
        log.epoch_known = -1
        if log.leader_epochs.truncate_from_end(log.log_end_offset):
            log.save_epochs()
        remove_snapshots(log, log.log_end_offset)
        recovery.load_producers(log, -1, False)
        syscalls.fsync_dir(log.path)
        return True
    except OSError as error:
        log.fail(error)
    finally:
        log.release()


cdef int start_over(Log log, int64_t offset, int64_t log_start_offset) except -1:
    cdef Segment segment, made
    old = log.segment_list
    log.log_end_offset = offset
    log.log_start_offset = log_start_offset
    log.truncations += 1
    for segment in old:
        drop_files(log, segment, True)
    made = log.make_segment(offset, 0)
    made.active = True
    made.max_timestamp_known = True
    made.open_write(0)
    log.segment_list = [made]
    log.active = made
    log.recovery_point = offset
    remove_snapshots(log, -1)
    log.producers.clear()
    log.leader_epochs.clear()
    log.epoch_known = -1
    log.save_epochs()
    syscalls.fsync_dir(log.path)
    return 0


def truncate_fully(Log log, int64_t offset, int64_t log_start_offset):
    """Drops everything; the log goes on, empty, at offset."""
    log.acquire()
    try:
        log.check_open()
        if not 0 <= log_start_offset <= offset:
            raise OffsetOutOfRange(f"log start {log_start_offset} is not within 0 and {offset}")
        start_over(log, offset, log_start_offset)
    except OSError as error:
        log.fail(error)
    finally:
        log.release()


cdef int move_start(Log log, int64_t offset) except -1:
    log.log_start_offset = offset
    if log.leader_epochs.truncate_from_start(offset):
        log.save_epochs()
    log.producers.on_log_start_offset(offset)
    return 0


def advance_log_start(Log log, int64_t offset):
    """DeleteRecords; see log.pyi."""
    log.acquire()
    try:
        log.check_open()
        if offset > log.log_end_offset:
            raise OffsetOutOfRange(f"{offset} is above the log end offset {log.log_end_offset}")
        if offset <= log.log_start_offset:
            return False
        move_start(log, offset)
        return True
    except OSError as error:
        log.fail(error)
    finally:
        log.release()


cdef int64_t age_of(Segment segment, int64_t now_ms) except? -1:
    """Milliseconds since the segment's newest record (the file's time when no record has one)."""
    if not segment.max_timestamp_known:
        segment.load_timestamps()
    if segment.max_timestamp >= 0:
        return now_ms - segment.max_timestamp
    return now_ms - <int64_t>(os.stat(segment.path + ".log").st_mtime * 1000)


cdef list chosen(Log log, int64_t now_ms, int64_t high_watermark):
    """(segment, reason) to delete, oldest first: Kafka's order, by start offset, then size, then time."""
    cdef Segment segment, following
    cdef Py_ssize_t place, count = len(log.segment_list)
    cdef int64_t upper, excess = 0
    config = log.config
    if config.delete and config.retention_bytes >= 0:
        excess = max(0, log.size_bytes - config.retention_bytes)
    found = []
    for place in range(count):
        segment = log.segment_list[place]
        following = log.segment_list[place + 1] if place + 1 < count else None
        upper = log.log_end_offset if following is None else following.base_offset
        if high_watermark < upper or (following is None and segment.end == 0):
            break
        if following is not None and following.base_offset <= log.log_start_offset:
            reason = "start-offset"
        elif config.delete and excess > 0 and segment.end <= excess:
            reason = "size"
        elif config.delete and config.retention_ms >= 0 and age_of(segment, now_ms) > config.retention_ms:
            reason = "time"
        else:
            break
        excess -= segment.end
        found.append((segment, reason))
    return found


def delete_old_segments(Log log, int64_t now_ms, int64_t high_watermark):
    """Retention; see log.pyi."""
    cdef Segment segment
    log.acquire()
    try:
        log.check_open()
        found = chosen(log, now_ms, high_watermark)
        if not found:
            return []
        if len(found) == len(log.segment_list):
            log.roll_to(log.log_end_offset, now_ms)
        gone = {id(segment) for segment, _ in found}
        log.segment_list = [s for s in log.segment_list if id(s) not in gone]
        segment = log.segment_list[0]
        report = []
        for old, reason in found:
            drop_files(log, old, True)
            report.append(DeletedSegment((<Segment>old).base_offset, (<Segment>old).next_offset, (<Segment>old).end, reason))
        if segment.base_offset > log.log_start_offset:
            move_start(log, segment.base_offset)
        return report
    except OSError as error:
        log.fail(error)
    finally:
        log.release()


def delete_files_due(Log log, int64_t now_ms):
    """Removes ".deleted" files; the delay counts from the first call that sees them."""
    log.acquire()
    try:
        log.check_open()
        waiting = []
        for due_ms, path in log.deletions:
            if due_ms < 0:
                due_ms = now_ms + log.config.file_delete_delay_ms
            if due_ms > now_ms:
                waiting.append((due_ms, path))
                continue
            try:
                syscalls.unlink(path)
            except FileNotFoundError:
                continue
        log.deletions = waiting
        return len(waiting)
    except OSError as error:
        log.fail(error)
    finally:
        log.release()


cdef bint is_untouched(Log log) noexcept:
    """Whether nothing happened since the log was opened (or since all of it was written down).

    An epoch without a batch is no such thing: the next start ends it."""
    return (
        log.active.mapping is None and log.recovery_point == log.log_end_offset
        and log.last_snapshot_offset == log.log_end_offset and not log.names_dirty and not log.unsynced
        and (log.active.offset_index is None or not log.active.offset_index.dirty)
        and (log.active.time_index is None or not log.active.time_index.dirty)
    )


def close(Log log):
    """Flushes, trims, writes indexes and the producer snapshot; see log.pyi."""
    cdef Segment segment
    with log.flush_lock:
        log.acquire()
        try:
            if log.closed:
                return
            if not log.failure.offline and not is_untouched(log):
                log.active.become_inactive()
                log.active.active = True
                log.unsynced += [log.active.offset_index.path, log.active.time_index.path]
                log.names_dirty = True
                log.snapshot_at(log.log_end_offset)
                if log.epochs_dirty:
                    log.save_epochs()
                durability.sync_all(log)
                log.recovery_point = log.log_end_offset
        except OSError as error:
            log.fail(error)
        finally:
            if not log.closed:
                log.closed = True
                for segment in log.segment_list:
                    segment.release()
            log.release()


def abandon(Log log):
    """Ends the log, writes nothing down; see log.pyi."""
    cdef Segment segment
    log.acquire()
    try:
        if not log.closed:
            log.closed = True
            for segment in log.segment_list:
                segment.release()
    finally:
        log.release()


def rename(Log log, str path):
    """Gives the directory another name; see log.pyi."""
    cdef Segment segment
    cdef Py_ssize_t old
    with log.flush_lock:
        log.acquire()
        try:
            log.check_open()
            if os.path.lexists(path):
                raise LogFailed(f"{log.path} cannot be renamed: {path} is there already")
            syscalls.rename(log.path, path)
            old = len(log.path)
            log.path = path
            for segment in log.segment_list:
                segment.renamed(path + segment.path[old:])
            log.unsynced = [path + name[old:] for name in log.unsynced]
            log.deletions = [(due_ms, path + name[old:]) for due_ms, name in log.deletions]
        except OSError as error:
            log.fail(error)
        finally:
            log.release()


def delete(Log log):
    """Removes every file and the directory; see log.pyi."""
    cdef Segment segment
    with log.flush_lock:
        log.acquire()
        try:
            log.closed = True
            for segment in log.segment_list:
                segment.deleted = True
                segment.release()
            for entry in sorted(os.listdir(log.path)):
                syscalls.unlink(f"{log.path}/{entry}")
            os.rmdir(log.path)
            syscalls.fsync_dir(os.path.dirname(log.path) or ".")
        except OSError as error:
            log.closed = False  # it is not for being closed that this failed
            try:
                log.fail(error)
            finally:
                log.closed = True
        finally:
            log.release()
