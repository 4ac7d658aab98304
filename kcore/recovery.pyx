"""Opening a directory: what is kept, what is cut, what is built anew.

::

    names        .deleted .cleaned .tmp removed; .swap finished (Kafka's compaction); orphaned indexes removed
    clean stop   trusted: only the headers behind the last index entry are walked, to find the end
    unclean      from the segment that holds the recovery point on:

                        recovery point
                              |
        ...#######|###########v++++++++++++x~~~~~~~~|~~~~~~~~|       + CRC, length, order checked
         not read | checked                |        |        |       x first bad byte
                                           cut      dropped

    zeros up to the end of the last file are what preallocation leaves: cut, not reported

    bad bytes above the recovery point     a torn tail: cut, and reported (T9)
    bad bytes below it                     once durable: CorruptLog (T10). Apache cuts there as well
                                           and says nothing; truncate_corrupt=True does that, but reports it
    what was accepted                      is synced before the log is served (T11)

The check is `kcore.scan`'s walk, without the GIL over the mapped file. Sparse indexes and leader epochs
are made from what it marks on the way; producer state from the headers, walked once more from the first
batch of a producer with an id on, if there is any.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t

from kcore.index cimport OffsetIndex, TimeIndex
from kcore.log cimport Log
from kcore.leader_epoch cimport LeaderEpochCache, newest_epoch
from kcore.mapped_file cimport Mapping
from kcore.producer_state cimport ProducerStateTable, recall
from kcore.record_batch cimport ATTR_CONTROL, BatchHeader, STATUS_OK, batch_bytes, batch_header
from kcore.prefetch cimport prefetch
from kcore.segment cimport Segment
from kcore.syscalls cimport raise_errno
from kcore.scan cimport Mark, Scan, new_scan, reason_of

import os
import re

from kcore import durability, syscalls
from kcore.checkpoints import PARTITION_METADATA, PartitionMetadata
from kcore.errors import CorruptFile, CorruptLog
from kcore.index import AbortedTransaction
from kcore.log_values import EPOCH_CHECKPOINT, Cut, RecoveryReport

cdef enum:
    HEADERS_AHEAD = 8
    RECALLED_BYTES_MAX = 16777216   # of the log before a producer snapshot, walked for the batches that it leaves out

NAME = re.compile(r"(\d{20})\.(log|index|timeindex|txnindex|snapshot)")
LEFTOVERS = (".deleted", ".cleaned", ".tmp")
UNFINISHED = (*LEFTOVERS, ".swap")
#: What a clean stop leaves most logs with; one value for all of them.
NOTHING_FOUND = RecoveryReport(True, 0, 0, (), (), ())
cdef enum:
    READ_AT_ONCE_BYTES = 32768      # a last segment below it is read and walked instead of mapped


def snapshot_offsets(names):
    """Offsets of the producer snapshots among the names of a directory, ascending."""
    return numbered(names, ".snapshot")


cdef list numbered(names, str suffix):
    """The numbers of the names that are 20 digits and that suffix, ascending."""
    cdef Py_ssize_t size = 20 + len(suffix)
    cdef str name
    cdef list found = []
    for name in names:
        if len(name) == size and name.endswith(suffix) and name[:20].isdecimal():
            found.append(int(name[:20]))
    found.sort()
    return found


cdef class Opening:
    """What opening one log has found so far."""

    cdef int remove(self, str directory, str name) except -1:
        syscalls.unlink(f"{directory}/{name}")
        self.names.discard(name)
        self.removed.append(name)
        return 0


cdef int finish_swaps(str path, Opening opening) except -1:
    """Ends a compaction that was interrupted while its result took the old segments' names.

    A cleaned file means that not all of the result was there yet: swaps at or above it are dropped
    (an interrupted split leaves them so), as Kafka does.
    """
    for name in opening.names:
        if name.endswith(UNFINISHED):
            break
    else:
        return 0
    cleaned = [int(n[:20]) for n in opening.names if n.endswith(".cleaned") and n[:20].isdigit()]
    swaps = sorted(n for n in opening.names if n.endswith(".swap") and NAME.fullmatch(n.removesuffix(".swap")))
    for name in list(opening.names):
        if name.endswith(LEFTOVERS):
            opening.remove(path, name)
    for name in list(swaps):
        if cleaned and int(name[:20]) >= min(cleaned):
            opening.remove(path, name)
            swaps.remove(name)
    for name in swaps:
        if not name.endswith(".log.swap"):
            continue
        base = int(name[:20])
        content = syscalls.read_file(f"{path}/{name}")
        upper = end_of_bytes(content, base)
        for other in sorted(opening.names):
            match = NAME.fullmatch(other)
            if match and match[2] != "snapshot" and base <= int(match[1]) < max(upper, base + 1):
                opening.remove(path, other)
    for name in swaps:
        syscalls.rename(f"{path}/{name}", f"{path}/{name.removesuffix('.swap')}")
        opening.names.discard(name)
        opening.names.add(name.removesuffix(".swap"))
    if swaps:
        syscalls.fsync_dir(path)
    return 0


cdef int64_t end_of_bytes(const uint8_t[::1] content, int64_t base_offset) except? -1:
    cdef Scan scan
    if content.shape[0] == 0:
        return base_offset
    scan = new_scan(&content[0], 0, content.shape[0], base_offset, base_offset)
    scan.run(False)
    return scan.next_offset


cdef int list_segments(Log log, Opening opening) except -1:
    """Segment objects for every .log file; orphaned index files go."""
    cdef Segment made, before = None
    bases = numbered(opening.names, ".log")
    known = set(bases)
    for name in sorted([n for n in opening.names if n.endswith("index")]):
        if NAME.fullmatch(name) and int(name[:20]) not in known:
            opening.remove(log.path, name)
    for base in bases:
        made = log.make_segment(base, opening.now_ms)
        made.end = os.stat(made.path + ".log").st_size
        made.synced_end = made.end
        if before is not None:
            before.next_offset = base
        before = made
        log.segment_list.append(made)
    return 0


cdef int find_end(Log log, Segment last, Opening opening) except -1:
    """Clean stop: the end of the last segment from its index and the headers behind the last entry.

    The indexes of a small segment are looked at when it is first written to or read."""
    cdef Scan scan
    cdef const uint8_t[::1] content
    cdef Py_ssize_t start
    last.active = True
    if last.end == 0:
        last.next_offset = last.base_offset
        return 0
    if last.end <= READ_AT_ONCE_BYTES:
        content = syscalls.read_file(last.path + ".log")
        last.end = content.shape[0]
        scan = new_scan(&content[0], 0, last.end, last.base_offset, last.base_offset)
        scan.run(False)
        if scan.status != STATUS_OK:
            return recover_segment(log, last, opening)
        last.next_offset = scan.next_offset
        return 0
    last.next_offset = 0x7FFFFFFFFFFFFFFF
    try:
        last.load_indexes()
    except CorruptLog:
        return recover_segment(log, last, opening)
    start = last.offset_index.position_for(0x7FFFFFFFFFFFFFFF)
    last.ready()
    scan = new_scan(last.mapping.data, start, last.end, last.base_offset, last.base_offset)
    scan.run(False)
    if scan.status != STATUS_OK:
        return recover_segment(log, last, opening)
    last.next_offset = scan.next_offset
    if last.time_index.count() > 0 and last.time_index.last_offset() >= last.next_offset:
        last.rebuild_indexes()
    return 0


cdef int check_segment(Segment segment, Scan scan, Opening opening) except -1:
    """Walks one segment up to its first bad batch; its indexes and the epochs it begins are made on the way."""
    cdef OffsetIndex offset_index = OffsetIndex(segment.path + ".index", segment.base_offset, segment.index_bytes)
    cdef TimeIndex time_index = TimeIndex(segment.path + ".timeindex", segment.base_offset, segment.index_bytes)
    cdef Mark* mark
    cdef int i
    scan.index_interval = segment.index_interval
    while True:
        with nogil:
            scan.run(True)
        for i in range(scan.marks_count):
            mark = &scan.marks[i]
            if mark.indexed:
                offset_index.append(mark.last_offset, <int32_t>mark.position)
                time_index.maybe_append(mark.max_timestamp, mark.max_timestamp_offset, True)
            if mark.new_epoch:
                opening.epochs.append((mark.leader_epoch, mark.base_offset))
        if scan.status != STATUS_OK or scan.position >= scan.end:
            break
        scan.marks_count = 0
    if not segment.active and scan.max_timestamp >= 0:
        time_index.maybe_append(scan.max_timestamp, scan.max_timestamp_offset, True)
    offset_index.dirty = time_index.dirty = True
    segment.offset_index = offset_index
    segment.time_index = time_index
    segment.max_timestamp = scan.max_timestamp
    segment.max_timestamp_offset = scan.max_timestamp_offset
    segment.max_timestamp_known = True
    segment.bytes_since_index = scan.position - scan.indexed
    segment.next_offset = scan.next_offset
    segment.rebuilt = True
    return 0


cdef int recover_segment(Log log, Segment segment, Opening opening) except -1:
    """Checks one segment and cuts it at the first bad batch; returns 1 when nothing may follow it."""
    cdef Scan scan
    cdef Mapping mapping
    cdef Py_ssize_t size = segment.end
    cdef int64_t base_offset = segment.base_offset
    cdef bint zeros
    cdef int synced
    segment.release()
    segment.offset_index = segment.time_index = None
    segment.open_read()
    mapping = segment.mapping
    scan = new_scan(mapping.data, 0, size, base_offset, base_offset)
    check_segment(segment, scan, opening)
    opening.segments_scanned += 1
    opening.bytes_scanned += scan.position
    opening.producer_positions[base_offset] = scan.producer_position
    if opening.first_recovered < 0:
        opening.first_recovered = base_offset
    if scan.position < size:
        with nogil:
            zeros = scan.zeros()
        reason = "zeros, preallocated" if zeros else reason_of(scan.status)
        if scan.next_offset < opening.recovery_point and not opening.truncate_corrupt:
            raise CorruptLog(
                f"{segment.path}.log: {reason} at byte {scan.position}, offset {scan.next_offset}, "
                f"below the recovery point {opening.recovery_point}"
            )
        if not zeros or scan.next_offset < opening.recovery_point or not segment.active:
            opening.cuts.append(
                Cut(segment.path + ".log", scan.position, size - scan.position, scan.next_offset, reason)
            )
        segment.end = scan.position
        segment.release()
        # open_write cuts the file to its end.
        segment.open_write(0)
        with nogil:
            synced = segment.mapping.trim(segment.end)
            if synced == 0:
                synced = segment.mapping.sync()
        if synced < 0:
            raise_errno(segment.path)
        segment.release()
    else:
        syscalls.fsync_file(segment.path + ".log")
        if scan.producer_position < 0:
            segment.release()
    segment.synced_end = segment.end
    opening.rebuilt.append(segment.path + ".index")
    return scan.position < size


cdef int recover_tail(Log log, Opening opening) except -1:
    """Unclean stop: every segment from the one that holds the recovery point on."""
    cdef Segment segment, following
    cdef Py_ssize_t place, count = len(log.segment_list), first = 0
    cdef int64_t end = -1
    for place in range(count):
        if (<Segment>log.segment_list[place]).base_offset <= opening.recovery_point:
            first = place
    for place in range(first, count):
        segment = log.segment_list[place]
        segment.active = place == count - 1
        bad = recover_segment(log, segment, opening)
        end = segment.next_offset
        following = log.segment_list[place + 1] if place + 1 < count else None
        if bad and following is not None:
            break
    else:
        place = count - 1
    for segment in log.segment_list[place + 1 :]:
        if segment.base_offset < opening.recovery_point and segment.end > 0 and not opening.truncate_corrupt:
            raise CorruptLog(f"{segment.path}.log follows damage and is below the recovery point")
        if segment.end > 0:
            opening.cuts.append(Cut(segment.path + ".log", 0, segment.end, segment.base_offset, "follows damage"))
        segment.release()
        for suffix in (".log", ".index", ".timeindex", ".txnindex"):
            name = os.path.basename(segment.path) + suffix
            if name in opening.names:
                opening.remove(log.path, name)
    del log.segment_list[place + 1 :]
    if end < opening.recovery_point and not opening.truncate_corrupt:
        raise CorruptLog(
            f"{log.path} ends at offset {end}, below the recovery point {opening.recovery_point}: "
            "bytes that were durable are gone"
        )
    for segment in log.segment_list[first : place + 1]:
        segment.active = False
        segment.offset_index.save()
        segment.time_index.save()
        log.unsynced += [segment.offset_index.path, segment.time_index.path]
    return 0


cdef int load_epochs(Log log, Opening opening) except -1:
    """The checkpoint file; one that cannot be read is made anew from the batches."""
    if EPOCH_CHECKPOINT not in opening.names:
        return 0
    path = f"{log.path}/{EPOCH_CHECKPOINT}"
    try:
        log.leader_epochs = LeaderEpochCache.decode(syscalls.read_file(path), path)
    except CorruptFile:
        opening.rebuilt.append(path)
        log.leader_epochs = LeaderEpochCache()
        collect_epochs(log)
        log.save_epochs()
    return 0


cdef int collect_epochs(Log log) except -1:
    """Adds the epochs of all batches."""
    cdef Segment segment
    cdef Mapping mapping
    cdef BatchHeader h
    cdef Py_ssize_t position
    for segment in log.segment_list:
        if segment.end == 0:
            continue
        segment.open_read()
        mapping = segment.mapping
        position = 0
        while position < segment.end:
            if batch_header(mapping.data + position, segment.end - position, &h) != STATUS_OK:
                break
            if h.leader_epoch > newest_epoch(log.leader_epochs):
                log.leader_epochs.assign_entry(h.leader_epoch, h.base_offset)
            position += batch_bytes(&h)
        segment.idle()
    return 0


cdef int add_epochs(Log log, Opening opening) except -1:
    """Adds the epochs that the checked segments begin; returns whether any was new."""
    cdef int changed = 0
    for epoch, base_offset in opening.epochs:
        if epoch > newest_epoch(log.leader_epochs):
            changed |= log.leader_epochs.assign_entry(epoch, base_offset)
    return changed


def load_producers(Log log, int64_t now_ms, bint assume_empty, names=None):
    """Producer state from the newest usable snapshot and the batches behind it.

    names: those of the directory, when they are known.
    assume_empty: after a clean stop, a log without any snapshot is taken to have no producers."""
    cdef Segment segment
    cdef BatchHeader h
    cdef Py_ssize_t position
    cdef int64_t start = log.log_start_offset
    offsets = snapshot_offsets(os.listdir(log.path) if names is None else names)
    log.producers.clear()
    log.last_snapshot_offset = log.recalled_from = -1
    for offset in reversed(offsets):
        path = f"{log.path}/{offset:020d}.snapshot"
        if offset > log.log_end_offset:
            syscalls.unlink(path)
            continue
        if offset < log.log_start_offset:
            break
        try:
            log.producers.load(syscalls.read_file(path), now_ms=now_ms, where=path)
        except CorruptFile:
            log.producers.clear()
            syscalls.unlink(path)
            continue
        start = offset
        log.last_snapshot_offset = log.recalled_from = offset
        break
    if log.last_snapshot_offset < 0 and assume_empty and not offsets:
        return
    replay(log, start, 0x7FFFFFFFFFFFFFFF, {})


cdef int replay(Log log, int64_t start, int64_t rebuild_from, dict producer_positions) except -1:
    """Feeds the batches from start on to the producer state; the transaction indexes of segments from
    rebuild_from on are made anew on the way.

    producer_positions: of segments that were checked, by base offset, where the first batch of a producer with an
    id begins (-1: there is none)."""
    cdef Segment segment
    cdef Mapping mapping
    cdef BatchHeader h
    cdef Py_ssize_t position, first
    for segment in log.segment_list:
        if segment.base_offset >= rebuild_from:
            segment.transaction_index.reset()
        if segment.next_offset <= start or segment.end == 0:
            continue
        first = producer_positions.get(segment.base_offset, 0)
        if first < 0:
            continue
        position = max(segment.position_of(start), first)
        segment.open_read()
        mapping = segment.mapping
        while position < segment.end:
            if batch_header(mapping.data + position, segment.end - position, &h) != STATUS_OK:
                segment.raise_damaged(position)
            # A header is where the one before it says, and none of them is in the cache: where batches are about as
            # long as their neighbours, this is a header to come. Asking for any other address does no harm.
            prefetch(mapping.data + position + HEADERS_AHEAD * batch_bytes(&h))
            if h.producer_id >= 0:
                log.producers.update(&h, mapping.data + position, batch_bytes(&h))
                if log.producers.completed_count > 0:
                    for done in log.producers.take_completed():
                        if done.aborted and segment.base_offset >= rebuild_from:
                            segment.transaction_index.append(AbortedTransaction(
                                done.producer_id, done.first_offset, done.last_offset, done.last_stable_offset
                            ))
                            log.unsynced.append(segment.transaction_index.path)
            position += batch_bytes(&h)
        if segment is not log.active:
            segment.idle()
    return 0


cdef int recover_producers(Log log, Opening opening) except -1:
    """Unclean stop: replay from a snapshot at or below the first checked segment, so that the
    transaction indexes of all checked segments can be made anew."""
    cdef int64_t start = log.log_start_offset
    log.producers.clear()
    log.last_snapshot_offset = log.recalled_from = -1
    for offset in reversed(snapshot_offsets(opening.names)):
        path = f"{log.path}/{offset:020d}.snapshot"
        if offset > opening.first_recovered:
            # Perhaps torn, perhaps of batches that are gone: the replay makes better ones.
            syscalls.unlink(path)
            continue
        if log.last_snapshot_offset >= 0 or offset < log.log_start_offset:
            continue
        try:
            log.producers.load(syscalls.read_file(path), now_ms=opening.now_ms, where=path)
        except CorruptFile:
            log.producers.clear()
            syscalls.unlink(path)
            continue
        start = log.last_snapshot_offset = log.recalled_from = offset
    replay(log, start, opening.first_recovered, opening.producer_positions)
    log.snapshot_at(log.log_end_offset)
    return 0


def recall_batches(Log log):
    """Whether the producer state knows more batches now than the snapshot that it began with tells.

    Kafka's snapshot has the last batch of each producer. What a producer had in flight when the broker stopped may be
    up to five: sent again, the earlier ones would be taken for a gap. So they are looked for in the log before the
    snapshot, once, when a batch does not follow. The log's lock is held. Raises OSError and CorruptLog."""
    cdef ProducerStateTable before = ProducerStateTable(log.producers.expiration_ms)
    cdef Segment segment
    cdef Mapping mapping
    cdef BatchHeader h
    cdef Py_ssize_t position, stop, room = RECALLED_BYTES_MAX
    cdef int64_t end = log.recalled_from, ignored
    log.recalled_from = -1
    pieces = []
    for segment in reversed(log.segment_list):
        if segment.base_offset >= end or segment.end == 0:
            continue
        if segment.next_offset <= log.log_start_offset or room <= 0:
            break
        stop = segment.position_of(end)
        segment.ready()
        position = segment.offset_index.entry_at_position(max(stop - room, 0), &ignored)
        pieces.append((segment, position, stop))
        room -= stop - position
    for segment, position, stop in reversed(pieces):
        segment.ready()
        mapping = segment.mapping
        while position < stop:
            if batch_header(mapping.data + position, stop - position, &h) != STATUS_OK:
                segment.raise_damaged(position)
            if h.producer_id >= 0 and not h.attributes & ATTR_CONTROL:
                before.update(&h, mapping.data + position, batch_bytes(&h))
            position += batch_bytes(&h)
    return recall(log.producers, before) > 0


cdef int remove_stray_snapshots(Log log, Opening opening) except -1:
    """Keeps the snapshots that a segment begins with, and the newest."""
    if opening.first_recovered < 0 and len(snapshot_offsets(opening.names)) < 2:
        return 0
    offsets = snapshot_offsets(os.listdir(log.path))
    bases = {(<Segment>s).base_offset for s in log.segment_list}
    for place, offset in enumerate(offsets):
        if offset not in bases and place < len(offsets) - 1:
            opening.remove(log.path, f"{offset:020d}.snapshot")
    return 0


cdef int list_directory(Log log, Opening opening) except -1:
    """The names in the log's directory, which is made when it is missing; whose log it is."""
    try:
        opening.names = set(os.listdir(log.path))
    except FileNotFoundError:
        os.makedirs(log.path, 0o700)
        syscalls.fsync_dir(os.path.dirname(os.path.abspath(log.path)))
        opening.names = set()
    if PARTITION_METADATA in opening.names:
        path = f"{log.path}/{PARTITION_METADATA}"
        known = PartitionMetadata.decode(syscalls.read_file(path), path).topic_id
        if log.topic_id is None:
            log.topic_id = known
    elif log.topic_id is not None:
        PartitionMetadata(topic_id=log.topic_id).write(log.path)
    return 0


cdef int start_empty(Log log, int64_t offset, Opening opening) except -1:
    """A first segment; its file is made at once and durable with the first flush."""
    cdef Segment made = log.make_segment(offset, opening.now_ms)
    made.active = True
    made.max_timestamp_known = True
    syscalls.write_file(made.path + ".log", b"", durable=False)
    log.segment_list.append(made)
    log.names_dirty = True
    return 0


cdef int drop_all(Log log, Opening opening) except -1:
    """The log ends below its start offset (its tail is lost): nothing of it is wanted any more."""
    cdef Segment segment
    for segment in log.segment_list:
        segment.release()
        for suffix in (".log", ".index", ".timeindex", ".txnindex"):
            name = os.path.basename(segment.path) + suffix
            if name in opening.names:
                opening.remove(log.path, name)
    log.segment_list = []
    opening.epochs = []
    log.leader_epochs.clear()
    log.save_epochs()
    return 0


cdef int load(Log log, Opening opening, int64_t log_start_offset) except -1:
    cdef Segment segment
    list_directory(log, opening)
    finish_swaps(log.path, opening)
    list_segments(log, opening)
    if log.segment_list:
        segment = log.segment_list[len(log.segment_list) - 1]
        if opening.clean:
            find_end(log, segment, opening)
        else:
            recover_tail(log, opening)
        segment = log.segment_list[len(log.segment_list) - 1]
        log.active = segment
        log.log_end_offset = segment.next_offset
        load_epochs(log, opening)
        if segment.next_offset < log_start_offset:
            drop_all(log, opening)
    else:
        load_epochs(log, opening)
    if not log.segment_list:
        start_empty(log, log_start_offset, opening)
    segment = log.segment_list[len(log.segment_list) - 1]
    segment.active = True
    log.active = segment
    log.log_end_offset = segment.next_offset
    log.log_start_offset = max(log_start_offset, (<Segment>log.segment_list[0]).base_offset)
    changed = add_epochs(log, opening)
    changed = log.leader_epochs.truncate_from_end(log.log_end_offset) or changed
    changed = log.leader_epochs.truncate_from_start(log.log_start_offset) or changed
    if opening.first_recovered >= 0:
        if changed:
            log.save_epochs()
        recover_producers(log, opening)
        durability.sync_all(log)
    else:
        log.epochs_dirty = changed
        load_producers(log, opening.now_ms, True, opening.names)
    remove_stray_snapshots(log, opening)
    log.recovery_point = log.log_end_offset
    segment.idle()
    if segment.offset_index is not None and not segment.offset_index.dirty and not segment.time_index.dirty:
        # Most logs of many are idle; who needs them reads them again.
        segment.offset_index = segment.time_index = None
    return 0


def open_log(Log log, int64_t now_ms, bint clean, int64_t recovery_point, int64_t log_start_offset, bint truncate_corrupt):
    """Fills a fresh Log from its directory; see log.pyi for what is raised."""
    cdef Opening opening = Opening()
    cdef Segment segment
    opening.cuts = []
    opening.epochs = []
    opening.producer_positions = {}
    opening.rebuilt = []
    opening.removed = []
    opening.now_ms = now_ms
    opening.clean = clean
    opening.truncate_corrupt = truncate_corrupt
    opening.recovery_point = recovery_point
    opening.first_recovered = -1
    if log.failure.offline:
        log.check_open()
    try:
        load(log, opening, log_start_offset)
    except BaseException as error:
        for segment in log.segment_list:
            segment.release()
        try:
            if isinstance(error, OSError):
                log.fail(error)
            raise
        finally:
            log.closed = True
    log.last_flush_ms = now_ms
    if clean and not (opening.segments_scanned or opening.cuts or opening.rebuilt or opening.removed):
        log.recovery_report = NOTHING_FOUND
        return
    log.recovery_report = RecoveryReport(
        clean, opening.segments_scanned, opening.bytes_scanned, tuple(opening.cuts),
        tuple(opening.rebuilt), tuple(opening.removed),
    )
