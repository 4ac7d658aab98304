# cython: language_level=3
"""A Cython module of somebody else's on kcore's storage core, by `cimport kcore.capi` alone.

Built outside of kcore's tree; `run(directory)` opens a log, appends, reads, finds by time and recovers,
and returns what it saw.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t

cimport kcore.capi as kcore


class KcoreFailed(Exception):
    """A status that was not KCORE_OK."""


cdef int check(int status) except -1:
    if status != kcore.KCORE_OK:
        name = kcore.kcore_error_name(status).decode()
        raise KcoreFailed(f"{name}: {kcore.kcore_error_message().decode()}")
    return 0


cdef object opened(bytes path, int64_t now_ms, int64_t recovery_point):
    """A log handle; the object itself is the reference that kcore_log_close() takes back."""
    cdef kcore.kcore_log_options options
    cdef PyObject* handle = NULL
    check(kcore.kcore_log_options_init(&options))
    options.now_ms = now_ms
    options.recovery_point = recovery_point
    options.segment_bytes = 2000
    check(kcore.kcore_log_open(path, &options, &handle))
    log = <object>handle
    Py_DECREF(log)
    return log


cdef int closed(object log) except -1:
    cdef PyObject* handle = <PyObject*>log
    Py_INCREF(log)
    return check(kcore.kcore_log_close(handle))


cdef int gather(const kcore.kcore_record* record, void* context) noexcept:
    (<list>context).append((record.offset, (<const char*>record.value)[: record.value_bytes]))
    return 0


cdef list records_of(object log, int64_t offset):
    cdef kcore.kcore_slice piece
    cdef kcore.kcore_offsets offsets
    found = []
    check(kcore.kcore_log_offsets(log, &offsets))
    while offset < offsets.log_end_offset:
        check(kcore.kcore_log_read(log, offset, 500, -1, &piece))
        try:
            check(kcore.kcore_slice_records(&piece, gather, <void*>found))
            offset = piece.next_offset
        finally:
            kcore.kcore_slice_release(&piece)
    return found


def run(str directory, int count=200):
    """What a page of Cython sees of a log: a dict for the test to compare."""
    cdef kcore.kcore_record record
    cdef kcore.kcore_appended appended
    cdef kcore.kcore_position position
    cdef kcore.kcore_recovery recovery
    cdef int64_t durable, now_ms = 1_700_000_000_000
    cdef bytes path = f"{directory}/foreign-0".encode()
    cdef bytes value
    cdef int i
    log = opened(path, now_ms, 0)
    for i in range(count):
        value = b"record %d" % i
        record.key = NULL
        record.key_bytes = -1
        record.value = <const char*>value
        record.value_bytes = len(value)
        record.timestamp_ms = now_ms + i * 10
        check(kcore.kcore_log_append_records(log, &record, 1, kcore.KCORE_CODEC_NONE, 0, now_ms, &appended))
    check(kcore.kcore_log_flush(log, &durable))
    seen = {"durable": durable, "records": records_of(log, 0), "tail": records_of(log, count - 3)}
    check(kcore.kcore_log_offset_for_time(log, now_ms + 995, &position))
    seen["position"] = (position.offset, position.timestamp_ms - now_ms)
    value = b"x" * 80
    try:
        check(kcore.kcore_log_append(log, <const char*>value, 80, kcore.KCORE_ORIGIN_CLIENT, 0, now_ms, NULL))
    except KcoreFailed as error:
        seen["refused"] = str(error)
    closed(log)
    log = opened(path, now_ms, count // 2)
    check(kcore.kcore_log_recovery(log, &recovery))
    seen["scanned"] = recovery.segments_scanned
    seen["again"] = records_of(log, 0) == seen["records"]
    closed(log)
    return seen
