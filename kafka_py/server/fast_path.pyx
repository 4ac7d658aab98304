# cython: auto_pickle=False
"""Produce and Fetch as they nearly always are, without a Python object for what the wire carries.

Caveat first: these functions answer only what needs no thought, and must answer it exactly as the handlers in
``handlers/produce.py`` and ``handlers/fetch.py`` do (tests/server/test_fast_path.py holds the two against each other). Whatever
is unusual (malformed bytes, unknown topics, fenced epochs, the beginning of a transaction, cold data, long compressed
batches) is DECLINED before anything happened. After the first append a produce is no longer declined: a refused batch becomes its
partition's error code.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy
from posix.time cimport CLOCK_THREAD_CPUTIME_ID, clock_gettime, timespec

from kafka_py.protocol.cursor cimport (
    Cursor, has, no_tags, point, read16, read32, read64, read8, read_count, read_uvarint,
)
from kafka_py.replication.partition cimport Partition
from kafka_py.server.fetch_session cimport FetchSession
from kafka_py.server.fetch_wire cimport is_ascii, put_count, put_fetched_partition, put_topic, read_topic
from kafka_py.server.outcomes cimport ANSWERED, BROKEN, DECLINED, HUNGRY, SILENT, TAKEN, WAITING
from kafka_py.server.foresight cimport FORESEEN_MAX, SLOTS_WORTH, foresee_pieces
from kafka_py.server.lookup cimport Lookup
from kafka_py.server.output cimport Output, patch32, put, put8, put16, put32, put64, put_uvarint
from kafka_py.server.session_fetch cimport SessionFetch
from kcore.endian cimport load_be16, load_be64, store_be16, store_be32, store_be64
from kcore.log cimport AppendedStruct, Log
from kcore.producer_entry cimport ProducerEntry
from kcore.segment cimport LogSlice
from kcore.varint cimport write_uvarint

from kcore.errors import KcoreError, OffsetOutOfRange

from kafka_py.server.produce_errors import describe

cdef enum:
    HEADER_TAGS_MAX = 64
    TOPICS_MAX = 64
    PIECES_MAX = 256
    BATCH_HEADER = 61
    CODEC_MASK = 7
    TRANSACTIONAL = 0x10
    CODEC_GZIP = 1              # some 100 MB/s, five times slower than any other
    CODEC_ZSTD = 4
    WANDERS = 64                # so many produces more are foreseen after one that went to another partition
    HANDS_OFF_MIN = 8           # so many long batches are left to workers after a request that took too long,
    HANDS_OFF_MAX = 1024        # twice as many when the next one that is tried takes too long again, up to this
    AT_ATTRIBUTES = 21
    AT_PRODUCER = 43            # id, then epoch
    PRODUCER_BYTES = 10
    REPLY_ENDS = 24             # of a Produce reply: length to the number of topics, and what is behind them
    TOPIC_REPLY = 16            # but for its name
    PARTITION_REPLY = 36


cdef double thread_seconds() noexcept nogil:
    """CPU of this thread: what others of the machine take in between is no reason to call for a worker."""
    cdef timespec now
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef Py_ssize_t skip_tags(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    """How long the tagged fields of a header are, -1 when they are malformed or too many."""
    cdef Py_ssize_t at = 0
    cdef int64_t value
    cdef int64_t count = -1
    cdef int64_t left = 1
    cdef int step = 0
    cdef int shift
    # One number for the count, then for each field its tag, its size and its bytes.
    while left:
        value = 0
        shift = 0
        while True:
            if at >= n or shift > 28:
                return -1
            value |= <int64_t>(p[at] & 0x7F) << shift
            at += 1
            if p[at - 1] < 0x80:
                break
            shift += 7
        if count < 0:
            count = value
            left = 2 * value
            if count > HEADER_TAGS_MAX:
                return -1
            continue
        step += 1
        left -= 1
        if step % 2 == 0:
            if value > n - at:
                return -1
            at += value
    return at


cdef class FastPath:
    """What the compiled paths need to know; one for all connections of a node.

    ``now_ms`` is set at every wake-up; ``wait_for_flush`` says whether acks=all waits for the disk; batches that are
    compressed and longer than ``off_loop_bytes`` are left to the general path, which checks them in a worker. But for
    gzip's, those up to ``inline_bytes_max`` are checked here: that takes less than handing them over and back, unless a
    request took more than ``inline_us_max`` of this thread's CPU a short time ago. Where the node has an authorizer,
    ``permitted`` is set for every request: a topic that the caller may not use is declined.
    ``sessions`` are those of fetches, None for none; ``monotonic_ms`` is what they age by.
    """

    def __init__(
        self, replicas, *, bint wait_for_flush, Py_ssize_t fetch_bytes_max, Py_ssize_t off_loop_bytes, sessions=None,
        monotonic_ms=None, Py_ssize_t inline_bytes_max=0, long inline_us_max=0,
    ):
        self.lookup = Lookup(replicas)
        self.fetches = replicas.fetches
        self.in_session = SessionFetch(replicas, sessions, monotonic_ms)
        self.wait_for_flush = wait_for_flush
        self.fetch_bytes_max = fetch_bytes_max
        self.off_loop_bytes = off_loop_bytes
        self.inline_bytes_max = inline_bytes_max
        self.inline_us_max = inline_us_max
        self.hands_off_next = HANDS_OFF_MIN
        self.waits = []
        self.scratch = Output()
        self.verifying = {}

    def request(self, int key, int version, const uint8_t[::1] body not None):
        """For tests and fuzzers: (outcome, reply) of one Produce (0) or Fetch (1) request body."""
        cdef Output out = Output()
        cdef const uint8_t* p = &body[0] if body.shape[0] else NULL
        cdef int outcome
        if p == NULL:
            return DECLINED, b""
        if key == 0:
            outcome = self.produce(out, body, p, body.shape[0], version, 0)
        else:
            outcome = self.fetch(out, p, body.shape[0], version, 0)
        return outcome, b"".join([bytes(part) for part in out.cut(0)])

    cdef int produce(
        self, Output out, object owner, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation
    ) except -1:
        """A Produce request body of versions 3 to 13; the bytes at p are not needed afterwards."""
        cdef Cursor c
        cdef Topic topics[TOPICS_MAX]
        cdef Piece pieces[PIECES_MAX]
        cdef bint flexible = version >= 9
        cdef bint by_id = version >= 13
        cdef int topics_count, pieces_count = 0, t, i, acks, codec, outcome
        cdef int64_t count
        cdef PyObject* found
        cdef Lookup lookup = self.lookup
        cdef Partition partition
        cdef bint named = False, long_one = False
        cdef double began
        cdef const uint8_t* transactional = NULL
        point(&c, p, n)
        if flexible:
            count = read_uvarint(&c)
            if count:
                if not has(&c, count - 1) or not is_ascii(c.p, count - 1):
                    return DECLINED
                c.p += count - 1
                named = True
        elif read16(&c) != -1:
            return DECLINED
        acks = read16(&c)
        self.timeout_ms = read32(&c)
        count = read_count(&c, flexible)
        if c.bad or acks < -1 or acks > 1 or count < 1 or count > TOPICS_MAX:
            return DECLINED
        topics_count = <int>count
        for t in range(topics_count):
            topics[t].size = read_topic(&c, by_id, flexible, &topics[t].name)
            count = read_count(&c, flexible)
            if c.bad or count < 1 or pieces_count + count > PIECES_MAX:
                return DECLINED
            if self.permitted is not None and not self.permitted[lookup.key(topics[t].name, topics[t].size)]:
                return DECLINED
            topics[t].first = pieces_count
            topics[t].count = <int>count
            for i in range(topics[t].count):
                pieces[pieces_count].index = read32(&c)
                count = read_count(&c, flexible)
                if not has(&c, count) or count < BATCH_HEADER:
                    return DECLINED
                pieces[pieces_count].records = c.p
                pieces[pieces_count].size = count
                codec = c.p[AT_ATTRIBUTES + 1] & CODEC_MASK
                if codec and codec == CODEC_ZSTD and version < 7:
                    return DECLINED
                if codec and count > self.off_loop_bytes:
                    if not self.checked_here(codec, count):
                        return DECLINED
                    long_one = True
                c.p += count
                no_tags(&c, flexible)
                found = lookup.find(by_id, topics[t].name, topics[t].size, pieces[pieces_count].index)
                if found == NULL:
                    return DECLINED
                partition = <Partition>found
                if (
                    not partition.leads or partition.offline or partition.queued_append is not None
                    or partition.flush_messages >= 0 or partition.internal
                    or (acks == -1 and not partition.alone and partition.under_min_isr)
                ):
                    return DECLINED
                if pieces[pieces_count].records[AT_ATTRIBUTES + 1] & TRANSACTIONAL:
                    # Whether the caller may use the transactional id is the general path's question.
                    if not named or self.permitted is not None or not self.is_open(partition, pieces[pieces_count].records, transactional):
                        return DECLINED
                    transactional = pieces[pieces_count].records
                pieces[pieces_count].partition = found
                pieces_count += 1
            no_tags(&c, flexible)
        no_tags(&c, flexible)
        if c.bad or c.p != c.end:
            return DECLINED
        self.produced += 1
        if found == self.last:
            if self.wanders:
                self.wanders -= 1
        elif lookup.mask >= <uint32_t>SLOTS_WORTH:
            self.wanders = WANDERS
        self.last = found
        if not long_one:
            return self.append_all(out, owner, version, correlation, acks, topics, topics_count, pieces)
        began = thread_seconds()
        outcome = self.append_all(out, owner, version, correlation, acks, topics, topics_count, pieces)
        if (thread_seconds() - began) * 1e6 > self.inline_us_max:
            self.hands_off = self.hands_off_next
            self.hands_off_next = min(2 * self.hands_off_next, <long>HANDS_OFF_MAX)
        else:
            # One that met memory which the host had taken back says nothing about the others.
            self.hands_off_next = HANDS_OFF_MIN
        return outcome

    cdef bint checked_here(self, int codec, int64_t size) noexcept:
        """Whether a long compressed batch may be checked on the event loop: see ``inline_bytes_max``."""
        if codec == CODEC_GZIP or size > self.inline_bytes_max:
            return False
        if self.hands_off:
            self.hands_off -= 1
            return False
        return True

    cdef bint is_open(self, Partition partition, const uint8_t* batch, const uint8_t* first) except -1:
        cdef int64_t producer_id = <int64_t>load_be64(batch + AT_PRODUCER)
        cdef ProducerEntry* entry
        if producer_id < 0 or self.verifying:
            return False
        if first != NULL and memcmp(first + AT_PRODUCER, batch + AT_PRODUCER, PRODUCER_BYTES) != 0:
            return False
        if partition.verifications is not None and partition.verifications.of(producer_id) is not None:
            return False
        entry = partition.log.producers.find(producer_id)
        return (
            entry != NULL and entry.txn_first_offset >= 0
            and entry.producer_epoch == <int16_t>load_be16(batch + AT_PRODUCER + 8)
        )

    cdef int append_all(
        self, Output out, object owner, int version, int32_t correlation, int acks, Topic* topics,
        int topics_count, Piece* pieces,
    ) except -1:
        cdef bint flexible = version >= 9
        cdef Py_ssize_t start = out.size
        cdef int t, i
        cdef int count = topics[topics_count - 1].first + topics[topics_count - 1].count
        cdef int foreseen = 0 if count > 1 and self.lookup.mask >= <uint32_t>SLOTS_WORTH else PIECES_MAX
        cdef Partition partition
        cdef Log log
        cdef AppendedStruct done
        cdef bint failed = False
        cdef list waits = self.waits
        cdef uint8_t* w = NULL
        if waits:
            waits.clear()
        if acks:
            # Room for the reply as it nearly always is; what is written meanwhile counts as put when it is done.
            w = grown(out, reply_bytes_max(topics, topics_count))
            w = put_reply_head(w, correlation, topics_count, flexible)
        for t in range(topics_count):
            if acks:
                w = put_topic_head(w, &topics[t], version)
            for i in range(topics[t].first, topics[t].first + topics[t].count):
                if i >= foreseen:
                    foresee_pieces(&pieces[i], count - i)
                    foreseen += FORESEEN_MAX
                partition = <Partition>pieces[i].partition
                log = partition.log
                try:
                    log.append_client(
                        owner, pieces[i].records, pieces[i].size, <int32_t>partition.leader_epoch, self.now_ms, &done
                    )
                except KcoreError as error:
                    failed = True
                    if acks:
                        put_until(out, w)
                        put_produce_error(out, version, pieces[i].index, describe(error, partition))
                        w = grown(out, reply_bytes_max(topics, topics_count))
                    continue
                if partition.advance() and partition.fetch_waiters:
                    self.fetches.touch(partition)
                if acks == 0:
                    continue
                w = put_produced(w, version, pieces[i].index, &done)
                if acks == -1 and (
                    partition.high_watermark <= done.last_offset
                    or (self.wait_for_flush and log.recovery_point <= done.last_offset)
                ):
                    waits.append((partition, done.last_offset + 1))
            if acks and flexible:
                w[0] = 0
                w += 1
        if acks == 0:
            return BROKEN if failed else SILENT
        store_be32(w, 0)
        w += 4
        if flexible:
            w[0] = 0
            w += 1
        put_until(out, w)
        patch32(out, start, <int32_t>(out.size - start - 4))
        return WAITING if waits else ANSWERED

    cdef int fetch(
        self, Output out, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation
    ) except -1:
        """A Fetch request body of versions 4 to 18 from a consumer; in a session it is `in_session`'s."""
        cdef Cursor c
        cdef Topic topics[TOPICS_MAX]
        cdef Piece pieces[PIECES_MAX]
        cdef bint flexible = version >= 12
        cdef bint by_id = version >= 13
        cdef int topics_count, pieces_count = 0, t, i, isolation
        cdef int32_t max_wait_ms, min_bytes, session_id, epoch
        cdef int64_t count, limit
        cdef Py_ssize_t bytes_left, bytes_max, total = 0, readable = 0
        cdef PyObject* found
        cdef Lookup lookup = self.lookup
        cdef Partition partition
        cdef LogSlice piece
        cdef list slices = []
        point(&c, p, n)
        if version <= 14 and read32(&c) != -1:
            return DECLINED
        max_wait_ms = read32(&c)
        min_bytes = read32(&c)
        bytes_left = min(<Py_ssize_t>read32(&c), self.fetch_bytes_max)
        min_bytes = <int32_t>min(<Py_ssize_t>min_bytes, bytes_left)
        isolation = read8(&c)
        if version >= 7:
            session_id = read32(&c)
            epoch = read32(&c)
            if session_id != 0 or epoch != -1:
                self.head.max_wait_ms, self.head.min_bytes, self.head.bytes_max = max_wait_ms, min_bytes, bytes_left
                self.head.session_id, self.head.epoch, self.head.isolation = session_id, epoch, isolation
                return self.fetch_in_session(out, &c, version, correlation)
        count = read_count(&c, flexible)
        if c.bad or isolation < 0 or isolation > 1 or count < 1 or count > TOPICS_MAX:
            return DECLINED
        topics_count = <int>count
        for t in range(topics_count):
            topics[t].size = read_topic(&c, by_id, flexible, &topics[t].name)
            count = read_count(&c, flexible)
            if c.bad or count < 1 or pieces_count + count > PIECES_MAX:
                return DECLINED
            if self.permitted is not None and not self.permitted[lookup.key(topics[t].name, topics[t].size)]:
                return DECLINED
            topics[t].first = pieces_count
            topics[t].count = <int>count
            for i in range(topics[t].count):
                pieces[pieces_count].index = read32(&c)
                epoch = read32(&c) if version >= 9 else -1
                pieces[pieces_count].offset = read64(&c)
                if c.bad:
                    return DECLINED
                found = lookup.find(by_id, topics[t].name, topics[t].size, pieces[pieces_count].index)
                if found == NULL:
                    return DECLINED
                partition = <Partition>found
                if version < 10 and partition.log is not None and partition.log.config.compression == "zstd":
                    return DECLINED
                if epoch != -1 and epoch != partition.leader_epoch:
                    return DECLINED
                if version >= 12:
                    epoch = read32(&c)
                    if epoch != -1 and epoch != partition.leader_epoch:
                        return DECLINED
                if version >= 5:
                    read64(&c)
                pieces[pieces_count].bytes_max = read32(&c)
                no_tags(&c, flexible)
                if (
                    c.bad or not partition.leads or partition.offline
                    or pieces[pieces_count].offset < partition.log_start_offset
                    or pieces[pieces_count].offset > partition.log_end_offset
                ):
                    return DECLINED
                pieces[pieces_count].partition = found
                pieces_count += 1
            no_tags(&c, flexible)
        if version >= 7 and read_count(&c, flexible) != 0:
            return DECLINED
        if version >= 11:
            count = read_uvarint(&c) - 1 if flexible else read16(&c)
            if not has(&c, count) or not is_ascii(c.p, count):
                return DECLINED
            c.p += count
        no_tags(&c, flexible)
        if c.bad or c.p != c.end:
            return DECLINED
        if pieces_count > 1 and len({<size_t>pieces[i].partition for i in range(pieces_count)}) != pieces_count:
            # A partition that is named twice is answered once.
            return DECLINED
        for i in range(pieces_count):
            partition = <Partition>pieces[i].partition
            limit = partition.limit(isolation, False)
            if pieces[i].offset >= limit:
                slices.append(None)
                continue
            bytes_max = max(0, min(pieces[i].bytes_max, bytes_left))
            try:
                piece = partition.log.read_slice(pieces[i].offset, bytes_max, limit, total == 0)
            except OffsetOutOfRange:
                return DECLINED
            if not piece.hot and piece.size and not piece.was_resident(self.now_ms):
                return DECLINED
            if isolation == 1 and piece.size and partition.log.aborted_transactions_of(piece):
                return DECLINED
            slices.append(piece)
            total += piece.size
            bytes_left -= piece.size
            readable += piece.size
            if piece.size and piece.next_offset < limit:
                # A limit cut it short. Who asks for that many bytes must not wait for what cannot come.
                readable += max(0, bytes_max - piece.size)
        if readable < min_bytes and max_wait_ms > 0:
            self.max_wait_ms = max_wait_ms
            self.awaited = [<Partition>pieces[i].partition for i in range(pieces_count)]
            return HUNGRY
        self.fetched += 1
        self.put_fetched(out, version, correlation, isolation, topics, topics_count, pieces, slices)
        return ANSWERED

    cdef int fetch_in_session(self, Output out, Cursor* c, int version, int32_t correlation) except -1:
        cdef SessionFetch path = self.in_session
        cdef int outcome = path.first(out, c, &self.head, version, correlation, self.permitted, self.now_ms)
        if outcome == ANSWERED:
            self.fetched += 1
        elif outcome != DECLINED:
            self.session = path.session
            path.session = None
        if outcome == HUNGRY:
            self.max_wait_ms = self.head.max_wait_ms
            self.awaited = path.awaited
            path.awaited = None
        return outcome

    cdef int put_fetched(
        self, Output out, int version, int32_t correlation, int isolation, Topic* topics, int topics_count,
        Piece* pieces, list slices,
    ) except -1:
        cdef bint flexible = version >= 12
        cdef Py_ssize_t start = out.size
        cdef Py_ssize_t unsent = out.unsent
        cdef int t, i
        put32(out, 0)
        put32(out, correlation)
        if flexible:
            put8(out, 0)
        put32(out, 0)
        if version >= 7:
            put16(out, 0)
            put32(out, 0)
        put_count(out, topics_count, flexible)
        for t in range(topics_count):
            put_topic(out, version >= 13, flexible, topics[t].name, topics[t].size)
            put_count(out, topics[t].count, flexible)
            for i in range(topics[t].first, topics[t].first + topics[t].count):
                put_fetched_partition(
                    out, version, pieces[i].index, <Partition>pieces[i].partition, isolation, slices[i]
                )
            if flexible:
                put8(out, 0)
        if flexible:
            put8(out, 0)
        patch32(out, start, <int32_t>(out.unsent - unsent - 4))
        return 0


cdef int put_text(Output out, object text) except -1:
    """A compact or plain nullable string of Produce v8+, None as null; plain in version 8 alone."""
    cdef bytes encoded
    if text is None:
        return put_uvarint(out, 0)
    encoded = text.encode()
    put_uvarint(out, len(encoded) + 1)
    return put(out, PyBytes_AS_STRING(encoded), len(encoded))

cdef int put_plain_text(Output out, object text) except -1:
    cdef bytes encoded
    if text is None:
        return put16(out, -1)
    encoded = text.encode()
    put16(out, <int16_t>len(encoded))
    return put(out, PyBytes_AS_STRING(encoded), len(encoded))

cdef Py_ssize_t reply_bytes_max(const Topic* topics, int topics_count) noexcept:
    """What a Produce reply without errors takes at most."""
    cdef Py_ssize_t size = REPLY_ENDS
    cdef int t
    for t in range(topics_count):
        size += topics[t].size + TOPIC_REPLY + topics[t].count * PARTITION_REPLY
    return size

cdef uint8_t* grown(Output out, Py_ssize_t n) except NULL:
    """Where the next bytes go, with room for n of them; none of them counts as put."""
    if out.capacity - out.size < n:
        out.reserve(n)
    return out.data + out.size

cdef inline void put_until(Output out, const uint8_t* w) noexcept:
    """What was written up to w is put."""
    cdef Py_ssize_t n = w - (out.data + out.size)
    out.size += n
    out.unsent += n

cdef inline uint8_t* put_reply_head(uint8_t* w, int32_t correlation, int topics_count, bint flexible) noexcept:
    """Length (patched when it is known), correlation id, how many topics."""
    store_be32(w, 0)
    store_be32(w + 4, <uint32_t>correlation)
    w += 8
    if flexible:
        w[0] = 0
        return write_uvarint(w + 1, topics_count + 1)
    store_be32(w, <uint32_t>topics_count)
    return w + 4

cdef inline uint8_t* put_topic_head(uint8_t* w, const Topic* topic, int version) noexcept:
    """Its name or id, and how many partitions."""
    if version < 9:
        store_be16(w, <unsigned short>topic.size)
        w += 2
    elif version < 13:
        w = write_uvarint(w, topic.size + 1)
    memcpy(w, topic.name, topic.size)
    w += topic.size
    if version >= 9:
        return write_uvarint(w, topic.count + 1)
    store_be32(w, <uint32_t>topic.count)
    return w + 4

cdef inline uint8_t* put_produced(uint8_t* p, int version, int32_t index, const AppendedStruct* done) noexcept:
    """A partition that took its batch; at most PARTITION_REPLY bytes."""
    store_be32(p, <uint32_t>index)
    store_be16(p + 4, 0)
    store_be64(p + 6, <uint64_t>done.base_offset)
    store_be64(p + 14, <uint64_t>done.log_append_time_ms)
    if version < 5:
        return p + 22
    store_be64(p + 22, <uint64_t>done.log_start_offset)
    if version >= 9:
        p[30] = 1       # no record errors, no message, no tags
        p[31] = p[32] = 0
        return p + 33
    if version == 8:
        store_be32(p + 30, 0)
        store_be16(p + 34, 0xFFFF)
        return p + 36
    return p + 30

cdef int put_produce_error(Output out, int version, int32_t index, object problem) except -1:
    """``problem`` is a ProduceProblem of kafka_py.server.produce_errors."""
    put32(out, index)
    put16(out, problem.code)
    put64(out, -1)
    put64(out, -1)
    if version >= 5:
        put64(out, problem.log_start_offset)
    if version >= 9:
        put_uvarint(out, len(problem.record_errors) + 1)
        for batch_index, text in problem.record_errors:
            put32(out, batch_index)
            put_text(out, text)
            put8(out, 0)
        put_text(out, problem.message)
        put8(out, 0)
    elif version == 8:
        put32(out, len(problem.record_errors))
        for batch_index, text in problem.record_errors:
            put32(out, batch_index)
            put_plain_text(out, text)
        put_plain_text(out, problem.message)
    return 0
