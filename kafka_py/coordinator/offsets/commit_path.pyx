# cython: auto_pickle=False, freethreading_compatible=True
"""OffsetCommit and heartbeats as they nearly always are, without a Python object for what the wire carries.

Caveat first: this answers only what needs no thought, and must answer it exactly as `commits.commit` and the server's
handler do (test_commit_path.py holds the two against each other). Whatever is unusual (malformed bytes, an unknown
group, topic or partition, a refused member, long metadata, an explicit retention, a full batch) is declined before
anything happened, and the general path does it again from the start.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from kafka_py.coordinator.batch cimport PendingBatch, bound
from kafka_py.coordinator.offsets.committed cimport CommittedOffsets, new_committed
from kafka_py.coordinator.steady cimport GroupState, SteadyMember
from kafka_py.protocol.cursor cimport (
    Cursor, has, no_tags, point, read16, read32, read64, read_count, read_uvarint,
)
from kcore.endian cimport store_be16, store_be32, store_be64
from kcore.varint cimport write_uvarint

cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)

cdef enum:
    VERSION_THROTTLE = 3
    VERSION_RETENTION_MAX = 4
    VERSION_LEADER_EPOCH = 6
    VERSION_INSTANCE = 7
    VERSION_FLEXIBLE = 8
    VERSION_TOPIC_ID = 10
    VALUE_VERSION = 4
    TYPE_OFFSET = 1
    ID_BYTES = 16
    TEXT_MAX = 32767
    VALUE_BYTES = 64            # of a value besides its metadata, at most
    KEY_BYTES = 10              # of a key besides its texts
    ROWS_MAX = 65536
    HEARTBEAT_BYTES = 64        # of a heartbeat's reply besides the member's id, at most


cdef inline Text read_text(Cursor* c, bint flexible) noexcept nogil:
    cdef Text text
    text.size = <Py_ssize_t>read_uvarint(c) - 1 if flexible else read16(c)
    text.p = c.p
    if text.size > TEXT_MAX or text.size < -1:
        c.bad = True
    if text.size > 0 and has(c, text.size):
        c.p += text.size
    return text

cdef inline str decode(Text text):
    return PyUnicode_DecodeUTF8(<const char*>text.p, text.size, NULL)


cdef class GroupRow:
    """Where a group's commits go."""


cdef class TopicRow:
    """A topic of the image."""


cdef class CommitPath:
    """See the stub."""

    def __init__(self, find, now, monotonic_ms, image, Py_ssize_t metadata_max):
        self.find = find
        self.now = now
        self.monotonic_ms = monotonic_ms
        self.metadata_max = metadata_max
        self.moment_ms = -1
        self.by_group = {}
        self.image_changed(image)

    def __dealloc__(self):
        free(self.scratch)

    def image_changed(self, image, bint settings=True):
        self.image = image
        self.settings += settings
        self.by_name = {}
        self.by_id = {}

    def groups_moved(self):
        self.by_group = {}

    def answer(self, bytes body not None, int version, int correlation, int64_t now_ms):
        frame = self.commit(
            <const uint8_t*>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), version, correlation, now_ms
        )
        return None if frame is None else (frame, self.taken)

    def beat(
        self, bytes body not None, int version, int correlation, int64_t now_ms, str client_id=None, str host=None
    ):
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(body)
        cdef bytes client
        cdef Py_ssize_t size
        if client_id is None:
            size = self.heartbeat(p, PyBytes_GET_SIZE(body), version, correlation, now_ms)
        else:
            client = client_id.encode()
            size = self.member_heartbeat(
                p, PyBytes_GET_SIZE(body), version, correlation, now_ms,
                <const uint8_t*>PyBytes_AS_STRING(client), PyBytes_GET_SIZE(client), host,
            )
        return PyBytes_FromStringAndSize(<const char*>self.scratch, size) if size else None

    cdef int reserve(self, Py_ssize_t n) except -1:
        cdef uint8_t* grown
        if n > self.scratch_bytes:
            grown = <uint8_t*>realloc(self.scratch, n + 4096)
            if grown == NULL:
                raise MemoryError
            self.scratch = grown
            self.scratch_bytes = n + 4096
        return 0

    cdef bytes commit(self, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation, int64_t now_ms):
        cdef Cursor c
        cdef Text group, member, instance
        cdef int32_t epoch
        cdef bint flexible = version >= VERSION_FLEXIBLE
        cdef GroupRow row
        cdef list topics, texts
        cdef str member_id
        cdef object instance_id = None
        point(&c, p, n)
        group = read_text(&c, flexible)
        epoch = read32(&c)
        member = read_text(&c, flexible)
        if version >= VERSION_INSTANCE:
            instance = read_text(&c, flexible)
        else:
            instance.size = -1
        if version <= VERSION_RETENTION_MAX and read64(&c) != -1:
            return None
        if c.bad or group.size < 0 or member.size < 0 or not self.parse_topics(&c, version):
            return None
        row = self.find_group(group.p, group.size)
        if row is None:
            return None
        topics = self.find_topics(version)
        if topics is None:
            return None
        if self.grants is not None and not self.grants.may_commit(
            row.group_id, [(<TopicRow>topic).name for topic in topics]
        ):
            return None
        try:
            texts = self.texts()
            member_id = decode(member) if member.size else ""
            if instance.size >= 0:
                instance_id = decode(instance)
        except UnicodeDecodeError:
            return None
        if not self.may_commit(row, topics, member_id, instance_id, epoch, version, now_ms):
            return None
        self.write(row, topics, texts, now_ms)
        self.taken = row.pending
        self.commits += 1
        return self.reply(n + 64, version, correlation)

    cdef object time(self, int64_t now_ms):
        if now_ms != self.moment_ms:
            self.moment = self.now()
            self.moment_ms = now_ms
        return self.moment

    cdef bint is_settled(self, GroupRow row) except -1:
        return row.pending.count == 0 and (row.pending.settled or row.settled())

    cdef Py_ssize_t heartbeat(
        self, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation, int64_t now_ms
    ) except -1:
        cdef Cursor c
        cdef Text group_id, member, instance
        cdef int32_t generation
        cdef bint flexible = version >= 4
        cdef GroupRow row
        cdef uint8_t* to
        point(&c, p, n)
        group_id = read_text(&c, flexible)
        generation = read32(&c)
        member = read_text(&c, flexible)
        if version >= 3:
            instance = read_text(&c, flexible)
            if instance.size >= 0:
                return 0
        no_tags(&c, flexible)
        if c.bad or group_id.size < 1 or member.size < 1:
            return 0
        row = self.find_group(group_id.p, group_id.size)
        if row is None or not self.is_settled(row):
            return 0
        if self.grants is not None and not self.grants.may_join(row.group_id):
            return 0
        group = row.groups.get(row.group_id)
        if group is None:
            return 0
        try:
            member_id = decode(member)
        except UnicodeDecodeError:
            return 0
        if not group.quick_heartbeat(row.shard, member_id, generation, self.time(now_ms)):
            return 0
        self.reserve(HEARTBEAT_BYTES)
        to = self.scratch + 8
        store_be32(self.scratch + 4, correlation)
        if flexible:
            to[0] = 0
            to += 1
        if version >= 1:
            store_be32(to, 0)
            to += 4
        store_be16(to, 0)
        to += 2
        if flexible:
            to[0] = 0
            to += 1
        store_be32(self.scratch, <int32_t>(to - self.scratch - 4))
        self.heartbeats += 1
        return to - self.scratch

    cdef Py_ssize_t member_heartbeat(
        self, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation, int64_t now_ms,
        const uint8_t* client_id, Py_ssize_t client_id_bytes, str host,
    ) except -1:
        cdef Cursor c
        cdef Text group_id, member
        cdef int32_t epoch
        cdef int i
        cdef GroupRow row
        cdef object group
        cdef SteadyMember steady
        cdef int64_t moment_ms
        cdef uint8_t* to
        point(&c, p, n)
        group_id = read_text(&c, True)
        member = read_text(&c, True)
        epoch = read32(&c)
        # The rest has to say "as before": no instance, no rack, no time-out, and no list or text after that.
        if read_uvarint(&c) or read_uvarint(&c) or read32(&c) != -1:
            return 0
        for i in range(4 if version >= 1 else 3):
            if read_uvarint(&c):
                return 0
        no_tags(&c, True)
        if c.bad or group_id.size < 1 or member.size < 1 or epoch < 1 or not self.modern:
            return 0
        row = self.find_group(group_id.p, group_id.size)
        if row is None or not self.is_settled(row):
            return 0
        if self.grants is not None and not self.grants.may_join(row.group_id):
            return 0
        group = row.groups.get(row.group_id)
        if not isinstance(group, GroupState):
            return 0
        steady = self.steady(row, <GroupState>group, member.p, member.size)
        if steady is None or steady.epoch != epoch or not steady.is_from(client_id, client_id_bytes, host):
            return 0
        moment_ms = self.monotonic_ms()
        if not (<GroupState>group).is_at(epoch, moment_ms) or not steady.session.postpone(moment_ms + steady.timeout_ms):
            return 0
        self.reserve(HEARTBEAT_BYTES + member.size)
        store_be32(self.scratch + 4, correlation)
        to = self.scratch + 8
        to[0] = 0               # the header's tags
        store_be32(to + 1, 0)   # throttle time
        store_be16(to + 5, 0)   # error
        to[7] = 0               # no message
        to = write_uvarint(to + 8, <uint64_t>member.size + 1)
        memcpy(to, member.p, member.size)
        to += member.size
        store_be32(to, epoch)
        store_be32(to + 4, steady.interval_ms)
        to[8] = 0xFF            # no assignment
        to[9] = 0
        to += 10
        store_be32(self.scratch, <int32_t>(to - self.scratch - 4))
        self.heartbeats += 1
        return to - self.scratch

    cdef SteadyMember steady(self, GroupRow row, GroupState group, const uint8_t* p, Py_ssize_t size):
        """What is remembered of the member, or is from now on; None while it is not steady."""
        cdef bytes key = PyBytes_FromStringAndSize(<const char*>p, size)
        cdef SteadyMember found
        if group.settings != self.settings:
            group.settings = self.settings
            group.steady = {}
        found = group.steady.get(key)
        if found is None or not found.session.armed:
            try:
                found = group.steady_member(row.shard, key.decode())
            except UnicodeDecodeError:
                return None
            if found is not None:
                group.steady[key] = found
        return found

    cdef int parse_topics(self, Cursor* c, int version) except -1:
        """Read the topics and partitions into `spans` and `pieces`; 0 when that cannot be done here."""
        cdef bint flexible = version >= VERSION_FLEXIBLE
        cdef int64_t topics = read_count(c, flexible), partitions
        cdef int64_t i, j
        cdef Piece* piece
        cdef Text* span
        if topics < 1 or topics > TOPICS_MAX:
            return 0
        self.topics_count = <int>topics
        self.pieces_count = 0
        for i in range(topics):
            span = &self.spans[i]
            if version >= VERSION_TOPIC_ID:
                span.p = c.p
                span.size = ID_BYTES
                if has(c, ID_BYTES):
                    c.p += ID_BYTES
            else:
                span[0] = read_text(c, flexible)
            partitions = read_count(c, flexible)
            if c.bad or span.size < 0 or partitions < 1 or partitions > PIECES_MAX - self.pieces_count:
                return 0
            self.sizes[i] = <int>partitions
            for j in range(partitions):
                piece = &self.pieces[self.pieces_count]
                self.pieces_count += 1
                piece.topic = <int32_t>i
                piece.partition = read32(c)
                piece.offset = read64(c)
                piece.leader_epoch = read32(c) if version >= VERSION_LEADER_EPOCH else -1
                piece.metadata = read_text(c, flexible)
                no_tags(c, flexible)
                # As many bytes are as many UTF-16 units at most.
                if c.bad or piece.metadata.size > self.metadata_max:
                    return 0
            no_tags(c, flexible)
        no_tags(c, flexible)
        return not c.bad

    cdef GroupRow find_group(self, const uint8_t* p, Py_ssize_t size):
        cdef bytes key = PyBytes_FromStringAndSize(<const char*>p, size)
        cdef GroupRow row = self.by_group.get(key)
        if row is not None and not row.pending.closed:
            return row
        try:
            group_id = key.decode()
        except UnicodeDecodeError:
            return None
        found = self.find(group_id)
        if found is None:
            return None
        row = GroupRow.__new__(GroupRow)
        row.group_id = group_id
        row.shard, row.pending, row.settled = found
        row.groups = row.shard.groups
        row.offsets = row.shard.offsets
        if len(self.by_group) >= ROWS_MAX:
            self.by_group = {}
        self.by_group[key] = row
        return row

    cdef list find_topics(self, int version):
        """The rows of the request's topics; None when one, or one of the partitions, is not there."""
        cdef list found = []
        cdef TopicRow row = None
        cdef int i, j, at = 0
        cdef bytes key
        cdef dict known = self.by_id if version >= VERSION_TOPIC_ID else self.by_name
        for i in range(self.topics_count):
            key = PyBytes_FromStringAndSize(<const char*>self.spans[i].p, self.spans[i].size)
            row = known.get(key)
            if row is None:
                if version >= VERSION_TOPIC_ID:
                    image = self.image.topics_by_id.get(key)
                else:
                    image = self.image.topics.get(key.decode("utf-8", "replace"))
                if image is None:
                    return None
                row = TopicRow.__new__(TopicRow)
                row.name = image.name
                row.encoded = row.name.encode()
                row.topic_id = image.id
                row.partitions = image.partitions
                known[key] = row
            for j in range(self.sizes[i]):
                if self.pieces[at].partition not in row.partitions:
                    return None
                at += 1
            found.append(row)
        return found

    cdef list texts(self):
        """The partitions' metadata; None when all of it is empty, as it mostly is."""
        cdef int i
        for i in range(self.pieces_count):
            if self.pieces[i].metadata.size > 0:
                break
        else:
            return None
        return [
            decode(self.pieces[i].metadata) if self.pieces[i].metadata.size > 0 else ""
            for i in range(self.pieces_count)
        ]

    cdef int may_commit(
        self, GroupRow row, list topics, str member_id, object instance_id, int32_t epoch, int version, int64_t now_ms
    ) except -1:
        """Whether there is room, and the group lets the member commit; notes the sign of life then."""
        cdef PendingBatch pending = row.pending
        cdef Py_ssize_t i, size = 0
        cdef TopicRow topic
        group = row.groups.get(row.group_id)
        if group is None:
            return 0
        pending.begin()
        for i in range(self.pieces_count):
            topic = <TopicRow>topics[self.pieces[i].topic]
            size += bound(
                KEY_BYTES + 3 * len(row.group_id) + PyBytes_GET_SIZE(topic.encoded),
                VALUE_BYTES + max(self.pieces[i].metadata.size, 0),
            )
        if size > pending.bytes_max - pending.size_bytes:
            return 0
        if group.validate_offset_commit(
            member_id, instance_id, epoch, transactional=False, api_version=version
        ):
            return 0
        if group.kind != "classic":
            for i in range(self.pieces_count):
                topic = <TopicRow>topics[self.pieces[i].topic]
                if group.validate_partition_commit(
                    member_id, epoch, topic.topic_id, self.pieces[i].partition
                ):
                    return 0
        if member_id:
            group.committed(row.shard, member_id, self.time(now_ms))
        return 1

    cdef int write(self, GroupRow row, list topics, list texts, int64_t now_ms) except -1:
        """Put the records into the batch, and the offsets into the store."""
        cdef bytes group = row.group_id.encode()
        cdef Py_ssize_t group_size = PyBytes_GET_SIZE(group), topic_size
        cdef int i
        cdef Piece* piece
        cdef TopicRow topic
        cdef uint8_t* key
        cdef uint8_t* value
        cdef uint8_t* p
        for i in range(self.pieces_count):
            piece = &self.pieces[i]
            topic = <TopicRow>topics[piece.topic]
            topic_size = PyBytes_GET_SIZE(topic.encoded)
            self.reserve(KEY_BYTES + group_size + topic_size + VALUE_BYTES + max(piece.metadata.size, 0))
            key = self.scratch
            store_be16(key, TYPE_OFFSET)
            store_be16(key + 2, <int>group_size)
            memcpy(key + 4, PyBytes_AS_STRING(group), group_size)
            p = key + 4 + group_size
            store_be16(p, <int>topic_size)
            memcpy(p + 2, PyBytes_AS_STRING(topic.encoded), topic_size)
            p += 2 + topic_size
            store_be32(p, piece.partition)
            value = p + 4
            store_be16(value, VALUE_VERSION)
            store_be64(value + 2, <uint64_t>piece.offset)
            store_be32(value + 10, piece.leader_epoch)
            p = write_uvarint(value + 14, <uint64_t>max(piece.metadata.size, 0) + 1)
            if piece.metadata.size > 0:
                memcpy(p, piece.metadata.p, piece.metadata.size)
                p += piece.metadata.size
            store_be64(p, <uint64_t>now_ms)
            p[8] = 1                # one tagged field, number 0: the topic's id
            p[9] = 0
            p[10] = ID_BYTES
            memcpy(p + 11, PyBytes_AS_STRING(topic.topic_id), ID_BYTES)
            p += 11 + ID_BYTES
            row.pending.put(now_ms, key, <int32_t>(value - key), value, <int32_t>(p - value))
            row.offsets.store(
                row.group_id,
                topic.name,
                piece.partition,
                new_committed(
                    piece.offset,
                    piece.leader_epoch,
                    "" if texts is None else <str>texts[i],
                    now_ms,
                    -1,
                    topic.topic_id,
                ),
            )
        return 0

    cdef bytes reply(self, Py_ssize_t room, int version, int32_t correlation):
        """The frame that says that all went well. A partition takes less in it than in the request."""
        cdef bint flexible = version >= VERSION_FLEXIBLE
        cdef uint8_t* p
        cdef int i, j, at = 0
        self.reserve(room)
        p = self.scratch + 4
        store_be32(p, correlation)
        p += 4
        if flexible:
            p[0] = 0
            p += 1
        if version >= VERSION_THROTTLE:
            store_be32(p, 0)
            p += 4
        p = put_count(p, self.topics_count, flexible)
        for i in range(self.topics_count):
            if version < VERSION_TOPIC_ID:
                if flexible:
                    p = write_uvarint(p, <uint64_t>self.spans[i].size + 1)
                else:
                    store_be16(p, <int>self.spans[i].size)
                    p += 2
            memcpy(p, self.spans[i].p, self.spans[i].size)
            p += self.spans[i].size
            p = put_count(p, self.sizes[i], flexible)
            for j in range(self.sizes[i]):
                store_be32(p, self.pieces[at].partition)
                store_be16(p + 4, 0)
                p += 6
                at += 1
                if flexible:
                    p[0] = 0
                    p += 1
            if flexible:
                p[0] = 0
                p += 1
        if flexible:
            p[0] = 0
            p += 1
        store_be32(self.scratch, <int32_t>(p - self.scratch - 4))
        return PyBytes_FromStringAndSize(<const char*>self.scratch, p - self.scratch)


cdef inline uint8_t* put_count(uint8_t* p, int count, bint flexible) noexcept nogil:
    if flexible:
        return write_uvarint(p, <uint64_t>count + 1)
    store_be32(p, count)
    return p + 4


def refused(bytes frame not None, int version, int error):
    """A made reply (its whole frame) again, with an error at every partition."""
    from kafka_py.protocol.group_offsets import OffsetCommitResponse

    header = 9 if version >= VERSION_FLEXIBLE else 8
    response = OffsetCommitResponse.decode(frame[header:], version)
    for topic in response.topics:
        for partition in topic.partitions:
            partition.error_code = error
    body = response.encode(version)
    return (header - 4 + len(body)).to_bytes(4, "big") + frame[4:header] + body
