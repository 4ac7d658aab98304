# cython: auto_pickle=False
"""Asking memory for what the produces further behind in a receive block will touch.

With thousands of partitions in turns, everything that an append needs is a miss of the caches, and each is known only
when the one before it has come::

    frame -> Slot of the lookup -> Partition -> Log -> Segment -> Mapping -> the page behind the log's end

One produce after the other waits for six of them. Here 32 frames are looked over together, step by step: what one
step asks for has come for all of them when the next one needs it, so all wait as long as one. And the slot remembers
where everything was when it was looked at last: all of it is asked for at once, and mostly it is still there. Nothing
is decided here: who is not found is found by the request itself.

No Python code runs in between, and the loop's thread alone changes the table, so pointers are good without a
reference. What a slot remembers may be gone by the next time; asking for memory that is not there does no harm.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from kafka_py.protocol.cursor cimport Cursor, has, no_tags, point, read16, read32, read_count, read_uvarint
from kafka_py.replication.partition cimport Partition
from kafka_py.server.fast_path cimport FastPath, Piece
from kafka_py.server.fetch_wire cimport read_topic
from kafka_py.server.lookup cimport Lookup, SEATS, Slot, hash_of
from kcore.endian cimport load_be32
from kcore.log cimport Log
from kcore.mapped_file cimport Mapping
from kcore.prefetch cimport prefetch_object
from kcore.segment cimport Segment

cdef enum:                      # how much of each an append looks at
    PARTITION_BYTES = 128
    LOG_BYTES = 184
    SEGMENT_BYTES = 152
    MAPPING_BYTES = 80
    BATCH_BYTES_MAX = 512       # longer ones are foreseen by the processor
    FRAME_HEAD_BYTES = 64       # what a frame has before its batch, about


def look_over(FastPath fast not None, const uint8_t[::1] frames not None):
    """For tests and fuzzers: :func:`foresee` on these bytes; how many of them it looked over."""
    return foresee(fast.lookup, &frames[0], frames.shape[0]) if frames.shape[0] else 0


cdef struct Foreseen:
    uint32_t hash
    Py_ssize_t size             # of the frame, which is a little more than the batch
    Slot* slot                  # NULL for a request's pieces
    PyObject* object            # as far as it is known: Partition, Log, Segment
    PyObject* log


cdef inline void skip(Cursor* c, int64_t size) noexcept:
    """So many bytes; -1 of them is null."""
    if size > 0 and has(c, size):
        c.p += size


cdef bint find_target(const uint8_t* p, Py_ssize_t n, uint32_t* hash) noexcept:
    """The hash of the first partition that a Produce frame names; False when it is another frame, or malformed."""
    cdef Cursor c
    cdef const uint8_t* name
    cdef int version
    cdef bint flexible
    cdef Py_ssize_t size
    point(&c, p, n)
    if read16(&c) != 0:
        return False
    version = read16(&c)
    flexible = version >= 9
    read32(&c)
    skip(&c, read16(&c))
    if flexible:
        no_tags(&c, True)
    skip(&c, read_uvarint(&c) - 1 if flexible else read16(&c))
    read16(&c)
    read32(&c)
    read_count(&c, flexible)
    size = read_topic(&c, version >= 13, flexible, &name)
    read_count(&c, flexible)
    hash[0] = hash_of(name, size, read32(&c)) if not c.bad else 0
    return not c.bad


cdef Py_ssize_t foresee(Lookup lookup, const uint8_t* p, Py_ssize_t n) noexcept:
    cdef Foreseen found[FORESEEN_MAX]
    cdef int count = 0, i
    cdef Py_ssize_t at = 0, size
    cdef Slot* slot
    while count < FORESEEN_MAX and n - at >= 4:
        size = <int32_t>load_be32(p + at)
        if size < 0 or size > n - at - 4:
            at = n
            break
        if find_target(p + at + 4, size, &found[count].hash):
            found[count].size = size
            prefetch_object(&lookup.slots[found[count].hash & lookup.mask], sizeof(Slot))
            count += 1
        at += 4 + size
    for i in range(count):
        slot = slot_of(lookup, found[i].hash)
        found[i].slot = slot
        found[i].object = slot.partition if slot != NULL else NULL
        if found[i].object != NULL:
            prefetch_object(found[i].object, PARTITION_BYTES)
            ask_remembered(slot, found[i].size)
    ask_logs(found, count)
    return at


cdef inline Slot* slot_of(Lookup lookup, uint32_t hash) noexcept:
    cdef Slot* slot
    cdef uint32_t i
    for i in range(SEATS):
        slot = &lookup.slots[(hash ^ i) & lookup.mask]
        if slot.hash == hash:
            return slot
    return NULL


cdef inline void ask_remembered(const Slot* slot, Py_ssize_t size) noexcept:
    if slot.tail != NULL:
        prefetch_object(slot.log, LOG_BYTES)
        prefetch_object(slot.segment, SEGMENT_BYTES)
        prefetch_object(slot.mapping, MAPPING_BYTES)
        prefetch_object(slot.tail, min(size, <Py_ssize_t>BATCH_BYTES_MAX))


cdef void foresee_pieces(const Piece* pieces, int count) noexcept:
    cdef Foreseen found[FORESEEN_MAX]
    cdef int i
    count = min(count, FORESEEN_MAX)
    for i in range(count):
        found[i].object = pieces[i].partition
        found[i].size = pieces[i].size
        found[i].slot = NULL
    ask_logs(found, count)


cdef void ask_logs(Foreseen* found, int count) noexcept:
    """From the partitions on, which are known and asked for."""
    cdef int i
    cdef Py_ssize_t size
    cdef PyObject* object
    cdef Segment segment
    cdef Mapping mapping
    for i in range(count):
        if found[i].object != NULL:
            object = <PyObject*>(<Partition>found[i].object).log
            found[i].object = found[i].log = object if object != <PyObject*>None else NULL
            prefetch_object(object, LOG_BYTES)
    for i in range(count):
        if found[i].object != NULL:
            object = <PyObject*>(<Log>found[i].object).active
            found[i].object = object if object != <PyObject*>None else NULL
            prefetch_object(object, SEGMENT_BYTES)
    for i in range(count):
        if found[i].object != NULL:
            object = <PyObject*>(<Segment>found[i].object).mapping
            if object == <PyObject*>None:
                found[i].object = NULL
            else:
                prefetch_object(object, MAPPING_BYTES)
    for i in range(count):
        if found[i].object != NULL:
            segment = <Segment>found[i].object
            mapping = segment.mapping
            size = min(found[i].size, <Py_ssize_t>BATCH_BYTES_MAX)
            # What is not mapped would cost a walk of the page table in vain.
            if segment.end + size <= mapping.populated:
                prefetch_object(mapping.data + segment.end, size)
                if found[i].slot != NULL:
                    remember(&found[i], segment, mapping)


cdef inline void remember(const Foreseen* seen, Segment segment, Mapping mapping) noexcept:
    seen.slot.log = seen.log
    seen.slot.segment = <PyObject*>segment
    seen.slot.mapping = <PyObject*>mapping
    # The next batch comes behind this one, which is a little shorter than its frame.
    seen.slot.tail = mapping.data + segment.end + max(seen.size - <Py_ssize_t>FRAME_HEAD_BYTES, <Py_ssize_t>0)
