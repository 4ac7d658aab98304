"""Questions to the participants of transactions: partitions, readers, groups' offsets."""

from __future__ import annotations

import time
from typing import Any

from kafka_py.protocol.records import decode_value
from kafka_py.protocol.records_group import OffsetCommitValue
from kafka_py.protocol.registry import ApiKey
from kcore import build
from kcore.record_batch import batches
from tests.oracle.group_peers import Stage, admit, join_and_sync, join_fields
from tests.oracle.raw import UNKNOWN_ID, Recorder
from tests.oracle.scenarios_consumer_groups import FIRST, fields, owning
from tests.oracle.scenarios_transactions import TOPIC, Producer, ready, versions

PRODUCE, FETCH, MARKERS, COMMIT = (
    ApiKey.PRODUCE,
    ApiKey.FETCH,
    ApiKey.WRITE_TXN_MARKERS,
    ApiKey.TXN_OFFSET_COMMIT,
)
GROUP = "txn-group"


class Writer(Producer):
    """A producer that writes, too, and counts its sequences for each partition and epoch."""

    def __init__(self, r: Recorder, name: str, timeout_ms: int = 60_000) -> None:
        super().__init__(r, name, timeout_ms)
        self.sequences: dict[tuple[int, int, str, int], int] = {}

    def batch(self, sequence: int = 0, *, text: bytes = b"v", **more: Any) -> bytes:
        """One record of this producer's transaction."""
        options = {"producer_id": self.id, "producer_epoch": self.epoch, "transactional": True}
        row = (b"k", text, (), self.r.first_timestamp)
        return build([row], **{**options, "base_sequence": sequence, **more})

    def write(
        self,
        partition: int = 0,
        *,
        topic: str = TOPIC,
        version: int | None = None,
        sequence: int | None = None,
        named: str | None = "",
        **more: Any,
    ) -> Any:
        """Produce one batch, by the version that this level of transaction.version has."""
        if version is None:
            version = 12 if 5 in versions(self.r) else 11
        place = (self.id, self.epoch, topic, partition)
        number = self.sequences.get(place, 0) if sequence is None else sequence
        reply = self.r.produce(
            topic,
            self.batch(number, **more),
            partition,
            version,
            transactional_id=self.name if named == "" else named,
        )
        if sequence is None and reply.responses[0].partition_responses[0].error_code == 0:
            self.sequences[place] = number + 1
        return reply

    def marker(self, *partitions: int, commit: bool = True, topic: str = TOPIC, **more: Any) -> Any:
        """WriteTxnMarkers for this producer, as its coordinator would."""
        version = more.pop("version", 2)
        row = {
            "producer_id": self.id,
            "producer_epoch": self.epoch,
            "transaction_result": commit,
            "coordinator_epoch": 0,
            "transaction_version": 0,
            "topics": [{"name": topic, "partition_indexes": list(partitions)}],
            **more,
        }
        return self.r.ask(MARKERS, version, markers=[row])

    def commit_offsets(self, *offsets: int, version: int | None = None, **more: Any) -> Any:
        """TxnOffsetCommit for partitions 0, 1, ...; how depends on transaction.version."""
        if version is None:
            version = 5 if 5 in versions(self.r) else 4
        rows = [
            {
                "partition_index": index,
                "committed_offset": offset,
                "committed_leader_epoch": 3,
                "committed_metadata": more.pop("metadata", "m"),
            }
            for index, offset in enumerate(offsets)
        ]
        fields = {
            "transactional_id": self.name,
            "group_id": GROUP,
            "producer_id": self.id,
            "producer_epoch": self.epoch,
            "generation_id_or_member_epoch": -1,
            "member_id": "",
            "group_instance_id": None,
            "topics": [{"name": more.pop("topic", TOPIC), "partitions": rows}],
            **more,
        }
        return self.r.ask(COMMIT, version, **fields)


def read(r: Recorder, topic: str, *offsets: int, bytes_max: int = 1 << 20, **more: Any) -> None:
    """Fetch partitions 0, 1, ... at both isolation levels; note what a client sees but times."""
    ids: dict[int, int] = {}
    rows = [
        {"partition": p, "fetch_offset": offset, "partition_max_bytes": bytes_max}
        for p, offset in enumerate(offsets)
        if offset >= 0
    ]
    for isolation in (0, 1):
        reply = r.quiet(
            FETCH,
            more.get("version", 12),
            max_wait_ms=more.get("wait_ms", 0),
            min_bytes=more.get("min_bytes", 0),
            max_bytes=1 << 24,
            isolation_level=isolation,
            session_epoch=-1,
            topics=[{"topic": topic, "partitions": rows}],
        )
        for found in reply.responses[0].partitions:
            seen = None
            if found.aborted_transactions is not None:
                seen = [
                    (ids.setdefault(a.producer_id, len(ids)), a.first_offset)
                    for a in found.aborted_transactions
                ]
            where = f"{topic}-{found.partition_index} at isolation {isolation}"
            r.note(f"{where}: offsets", [found.error_code, found.high_watermark])
            r.note(f"{where}: stable", [found.last_stable_offset, found.log_start_offset])
            r.note(f"{where}: aborted", seen)
            r.note(f"{where}: batches", plain(bytes(found.records or b""), ids))


def plain(data: bytes, ids: dict[int, int]) -> list[Any]:
    """Batches without their times; producers by the order in which they come up."""
    return [
        [
            one.base_offset,
            one.last_offset,
            one.leader_epoch,
            one.attributes,
            ids.setdefault(one.producer_id, len(ids)) if one.producer_id >= 0 else -1,
            one.producer_epoch,
            one.base_sequence,
            [[(row.key or b"").hex(), (row.value or b"").hex()] for row in one],
        ]
        for one in batches(data)
    ]


def ends(r: Recorder, topic: str, partition: int = 0) -> None:
    """Both ends of a partition at both isolation levels."""
    for isolation in (0, 1):
        for timestamp in (-1, -2, -3, 0):
            row = {"partition_index": partition, "timestamp": timestamp}
            asked = [{"name": topic, "partitions": [row]}]
            r.masks["timestamp"] = lambda v: "<time>" if v > 0 else v
            r.ask(
                ApiKey.LIST_OFFSETS,
                7,
                replica_id=-1,
                isolation_level=isolation,
                topics=asked,
            )


def producers(r: Recorder, topic: str, *partitions: int) -> None:
    """What the partitions know of their producers."""
    ids: dict[int, str] = {}
    r.masks["producer_id"] = lambda v: ids.setdefault(v, f"<{len(ids)}>") if v >= 0 else v
    asked = [{"name": topic, "partition_indexes": list(partitions)}]
    r.ask(ApiKey.DESCRIBE_PRODUCERS, 0, topics=asked)


def stable(r: Recorder, topic: str, offset: int, partition: int = 0) -> None:
    """Wait until a partition's last stable offset has come that far."""
    deadline = time.monotonic() + 15
    asked = [{"name": topic, "partitions": [{"partition_index": partition, "timestamp": -1}]}]
    while True:
        reply = r.quiet(ApiKey.LIST_OFFSETS, 7, replica_id=-1, isolation_level=1, topics=asked)
        if reply.topics[0].partitions[0].offset >= offset:
            return
        assert time.monotonic() < deadline, reply
        time.sleep(0.01)


# ------------------------------------------------------------------------------------- scenarios


def produced_before_kip_890(r: Recorder) -> None:
    """Every version below 12: partitions are verified, and errors are of the version."""
    ready(r, "old", "old-2", topic="txn-old")
    where: Any = {"topic": "txn-old"}
    p = Writer(r, "old")
    p.init()
    for version in (3, 7, 9, 10, 11):
        p.write(version=version, **where)
        p.write(version=version, producer_epoch=p.epoch + 1, **where)
        p.add(0, topic="txn-old")
        p.write(1, version=version, **where)
        p.write(9, version=version, **where)
        p.write(version=version, named=None, **where)
        p.write(version=version, producer_id=p.id + 777_777, **where)
        p.write(version=version, named="old-nobody", **where)
        p.write(version=version, **where)
        p.write(version=version, **where)
        p.write(version=version, sequence=0, **where)
        p.write(version=version, sequence=7, **where)
        p.write(version=version, sequence=2, transactional=False, **where)
        p.end(version != 9, 4)
        p.settled()
        p.write(version=version, **where)
        p.init()
    producers(r, "txn-old", 0, 1)
    read(r, "txn-old", 0, 0)


def produced_with_kip_890(r: Recorder) -> None:
    """Version 12 adds partitions by itself (transaction.version 2 alone)."""
    ready(r, "new", topic="txn-new")
    where: Any = {"topic": "txn-new"}
    p = Writer(r, "new")
    p.init()
    for commit in (True, False, True):
        p.write(**where)
        p.write(1, **where)
        p.write(**where)
        p.describe()
        p.write(9, **where)
        p.write(named=None, **where)
        p.write(producer_epoch=p.epoch + 1, **where)
        p.write(producer_epoch=p.epoch - 1, **where)
        p.write(2, sequence=5, **where)
        p.write(sequence=0, **where)
        p.write(sequence=2, transactional=False, **where)
        producers(r, "txn-new", 0, 1, 2)
        p.end(commit)
        p.settled()
    old = p.epoch
    p.init()
    p.write(producer_epoch=old, **where)
    p.write(**where)
    row = {"index": 0, "records": p.batch(1).hex()}
    topic_id = r.create("txn-new", 3)
    for one in (topic_id, UNKNOWN_ID):
        r.ask(
            PRODUCE,
            13,
            acks=-1,
            timeout_ms=9000,
            transactional_id="new",
            topic_data=[{"topic_id": one, "partition_data": [row]}],
        )
    p.end(True)
    p.settled()
    producers(r, "txn-new", 0, 1, 2)
    read(r, "txn-new", 0, 0, 0)


def produced_by_two(r: Recorder) -> None:
    """A request of two producers; one that has transactional and other batches."""
    ready(r, "two-a", "two-b", topic="txn-two")
    a, b = Writer(r, "two-a"), Writer(r, "two-b")
    a.init()
    b.init()
    version = 12 if 5 in versions(r) else 11
    if version == 11:
        a.add(0, 1, topic="txn-two")
    plain_batch = build([(b"k", b"plain", (), r.first_timestamp)])
    for first, second in (
        (a.batch(), b.batch()),
        (a.batch(), a.batch(producer_epoch=a.epoch + 1)),
        (a.batch(), plain_batch),
    ):
        rows = [{"index": i, "records": one.hex()} for i, one in enumerate((first, second))]
        topics = [{"name": "txn-two", "partition_data": rows}]
        words = {"acks": -1, "timeout_ms": 9000, "transactional_id": "two-a"}
        r.ask(PRODUCE, version, **words, topic_data=topics)
    a.end(True, 5 if version == 12 else 4)
    a.settled()
    read(r, "txn-two", 0, 0)


def read_committed(r: Recorder) -> None:
    """The last stable offset, and who is told of which aborted transactions."""
    names = ("rc-a", "rc-b", "rc-c")
    ready(r, *names, topic="txn-rc")
    new = 5 in versions(r)
    end = 5 if new else 4
    a, b, c = (Writer(r, name) for name in names)
    for one in (a, b, c):
        one.init()

    def write(one: Writer, count: int = 1) -> None:
        if not new:
            one.add(0, topic="txn-rc")
        for _ in range(count):
            one.write(topic="txn-rc")

    write(a, 2)
    read(r, "txn-rc", 0)
    ends(r, "txn-rc")
    write(b)
    r.produce("txn-rc", build([(b"k", b"plain", (), r.first_timestamp)]))
    b.end(False, end)
    b.settled()
    read(r, "txn-rc", 0)
    read(r, "txn-rc", 3)
    ends(r, "txn-rc")
    a.end(True, end)
    stable(r, "txn-rc", 6)
    read(r, "txn-rc", 0)
    write(c)
    a.settled()
    write(a)
    write(b, 2)
    a.end(False, end)
    b.end(False, end)
    a.settled()
    b.settled()
    read(r, "txn-rc", 0)
    read(r, "txn-rc", 2, bytes_max=1)
    read(r, "txn-rc", 6)
    read(r, "txn-rc", 6, bytes_max=1)
    read(r, "txn-rc", 9)
    for version in (4, 8, 11):
        read(r, "txn-rc", 0, version=version)
    producers(r, "txn-rc", 0)
    c.end(False, end)
    c.settled()
    read(r, "txn-rc", 0)
    read(r, "txn-rc", 8)
    ends(r, "txn-rc")
    read(r, "txn-rc", 0, wait_ms=100, min_bytes=1 << 20)
    read(r, "txn-rc", 99)


def markers(r: Recorder) -> None:
    """WriteTxnMarkers, as an administrator's abort or another broker sends it."""
    names = ("marks-1", "marks-2", "marks-3")
    ready(r, *names, topic="txn-marks")
    where: Any = {"topic": "txn-marks"}
    r.ask(MARKERS, 1, markers=[])
    for version in (1, 2):
        # Not to be ended by their coordinator any more: it is fenced.
        p = Writer(r, names[version - 1])
        p.init()
        p.init()
        if 5 not in versions(r):
            p.add(0, 1, 2, topic="txn-marks")
        p.write(0, **where)
        p.write(1, **where)
        p.marker(0, 1, 7, version=version, commit=False, producer_epoch=p.epoch - 1, **where)
        p.marker(0, 7, version=version, commit=False, coordinator_epoch=-1, **where)
        p.marker(0, version=version, topic="txn-nope")
        p.marker(0, version=version, commit=False, coordinator_epoch=5, **where)
        producers(r, "txn-marks", 0, 1)
        p.write(0, **where)
        p.marker(0, version=version, commit=False, coordinator_epoch=4, **where)
        p.marker(1, 2, version=version, commit=False, coordinator_epoch=6, **where)
        p.marker(1, version=version, commit=False, coordinator_epoch=6, **where)
    # Version 2 judges epochs by the transaction version (KIP-1228).
    p = Writer(r, names[2])
    p.init()
    if 5 not in versions(r):
        p.add(2, topic="txn-marks")
    p.write(2, **where)
    again: Any = {**where, "transaction_version": 2, "commit": False, "coordinator_epoch": 9}
    p.marker(2, **again)
    p.marker(2, **again, version=1)
    p.marker(2, **again)
    p.marker(2, **again, producer_epoch=p.epoch + 1)
    p.marker(2, **again, producer_epoch=p.epoch + 1)
    row = {
        "producer_id": p.id,
        "producer_epoch": p.epoch + 1,
        "transaction_result": True,
        "coordinator_epoch": 9,
        "topics": [{"name": "txn-marks", "partition_indexes": [0, 1]}],
    }
    rows = [row, {**row, "topics": [{"name": "txn-marks", "partition_indexes": [2]}]}]
    r.ask(MARKERS, 1, markers=rows)
    producers(r, "txn-marks", 0, 1, 2)
    read(r, "txn-marks", 0, 0, 0)


def fetch_offsets(r: Recorder) -> None:
    """What the group has committed, stable and not."""
    for require in (False, True):
        row = {"name": TOPIC, "partition_indexes": [0, 1, 2]}
        asked = {"group_id": GROUP, "topics": [row], "member_id": None, "member_epoch": -1}
        r.ask(ApiKey.OFFSET_FETCH, 9, groups=[asked], require_stable=require)
        everything = {**asked, "topics": None}
        r.ask(ApiKey.OFFSET_FETCH, 9, groups=[everything], require_stable=require)


def offsets_before_kip_890(r: Recorder) -> None:
    """TxnOffsetCommit 0 to 4: the group is added first."""
    ready(r, "offsets-old")
    p = Writer(r, "offsets-old")
    p.init()
    for version in range(5):
        p.commit_offsets(10 + version, version=version)
        p.add_offsets()
        p.commit_offsets(20 + version, 30, version=version)
        p.commit_offsets(1, version=version, topic="txn-nope")
        p.commit_offsets(1, 2, 3, 4, version=version)
        p.commit_offsets(1, version=version, group_id="")
        p.commit_offsets(1, version=version, producer_epoch=p.epoch - 1)
        p.commit_offsets(1, version=version, producer_epoch=p.epoch + 1)
        p.commit_offsets(1, version=version, producer_id=p.id + 777_777)
        p.commit_offsets(1, version=version, transactional_id="offsets-nobody")
        p.commit_offsets(1, version=version, metadata="m" * 5000)
        if version >= 3:
            p.commit_offsets(1, version=version, member_id="nobody")
            p.commit_offsets(1, version=version, generation_id_or_member_epoch=5)
            p.commit_offsets(1, version=version, group_instance_id="nobody")
        fetch_offsets(r)
        r.ask(ApiKey.DELETE_GROUPS, 2, groups_names=["txn-group-nope"])
        p.end(version != 2, 4)
        p.settled()
        fetch_offsets(r)
        p.commit_offsets(99, version=version)


def offsets_with_kip_890(r: Recorder) -> None:
    """TxnOffsetCommit 5 adds the group's partition by itself."""
    ready(r, "offsets-new", "offsets-other")
    p, q = Writer(r, "offsets-new"), Writer(r, "offsets-other")
    p.init()
    q.init()
    for commit in (True, False, True):
        p.commit_offsets(40, 41)
        p.describe()
        p.commit_offsets(42)
        q.commit_offsets(50)
        fetch_offsets(r)
        p.commit_offsets(1, producer_epoch=p.epoch - 1)
        p.commit_offsets(1, producer_epoch=p.epoch + 1)
        p.end(commit)
        p.settled()
        fetch_offsets(r)
        q.end(True)
        q.settled()
        fetch_offsets(r)
    # An offset outside of transactions, a deletion, while one is pending.
    p.commit_offsets(60, 61, 62)
    plain_commit = {
        "group_id": GROUP,
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "topics": [
            {
                "name": TOPIC,
                "partitions": [
                    {"partition_index": 0, "committed_offset": 70, "committed_metadata": ""}
                ],
            }
        ],
    }
    r.ask(ApiKey.OFFSET_COMMIT, 8, **plain_commit)
    rows = [{"name": TOPIC, "partitions": [{"partition_index": 1}]}]
    r.ask(ApiKey.OFFSET_DELETE, 0, group_id=GROUP, topics=rows)
    fetch_offsets(r)
    p.end(True)
    p.settled()
    fetch_offsets(r)
    p.commit_offsets(80)
    r.ask(ApiKey.DELETE_GROUPS, 2, groups_names=[GROUP])
    fetch_offsets(r)
    p.end(True)
    p.settled()
    fetch_offsets(r)


def offsets_of_members(r: Recorder) -> None:
    """Members of both protocols name themselves (KIP-447): the right ones and the wrong ones."""
    groups = ("gt-classic", "gt-static", "gt-consumer")
    topic_id = r.create("groups-a", 4)
    ready(r, "members")
    deadline = time.monotonic() + 15
    asked = {"coordinator_keys": list(groups), "key_type": 0}
    while any(c.error_code for c in r.quiet(ApiKey.FIND_COORDINATOR, 4, **asked).coordinators):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    p = Writer(r, "members")
    p.init()

    def tried(group: str, member: str, epoch: int, instance: str | None = None) -> None:
        if 5 not in versions(r):
            p.add_offsets(group)
        words = {"group_instance_id": instance, "group_id": group, "topic": "groups-a"}
        for who, when in (
            (member, epoch),
            (member, epoch + 1),
            (member, epoch - 1),
            (member, -1),
            ("nobody", epoch),
            ("", epoch),
            ("", -1),
        ):
            p.commit_offsets(5, member_id=who, generation_id_or_member_epoch=when, **words)
        words["group_instance_id"] = "another"
        p.commit_offsets(6, member_id=member, generation_id_or_member_epoch=epoch, **words)

    with Stage(r) as stage:
        a, b = stage.peer(), stage.peer()
        long = {"session_timeout_ms": 600_000}
        member, generation = join_and_sync(stage, a, "gt-classic", "A", **long)
        tried("gt-classic", member, generation)
        second = admit(stage, b, "gt-classic", "B", **long)
        b.send(ApiKey.JOIN_GROUP, 9, **join_fields("gt-classic", second, **long))
        stage.wait_for_state("gt-classic", "PreparingRebalance")
        tried("gt-classic", member, generation)
        static = {**long, "group_instance_id": "one"}
        member, generation = join_and_sync(stage, a, "gt-static", "S", **static)
        tried("gt-static", member, generation, "one")
        words = fields("gt-consumer", "m-a", 0, **FIRST, subscribed_topic_names=["groups-a"])
        epoch = r.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words).member_epoch
        mine = owning(topic_id, range(4))
        words = fields("gt-consumer", "m-a", epoch, topic_partitions=mine)
        assert r.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words).error_code == 0
        tried("gt-consumer", "m-a", epoch)
        # A second member: the first one's epoch may lag behind now.
        words = fields("gt-consumer", "m-b", 0, **FIRST, subscribed_topic_names=["groups-a"])
        assert r.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words).error_code == 0
        words = fields("gt-consumer", "m-a", epoch)
        later = r.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **words).member_epoch
        tried("gt-consumer", "m-a", later)
        p.end(True, 5 if 5 in versions(r) else 4)
        p.settled()
    for group in groups:
        row = {"group_id": group, "topics": None, "member_id": None, "member_epoch": -1}
        r.ask(ApiKey.OFFSET_FETCH, 9, groups=[row], require_stable=True)


def offset_records(r: Recorder) -> None:
    """How the offsets of transactions stand in __consumer_offsets: batches, markers, values."""
    ready(r, "written", topic="txn-written")
    p = Writer(r, "written")
    p.init()
    for commit in (True, False):
        if 5 not in versions(r):
            p.add_offsets("written-group")
        words: dict[str, Any] = {"topic": "txn-written", "group_id": "written-group"}
        p.commit_offsets(5, 6, **words)
        p.commit_offsets(7, **words)
        p.end(commit, 5 if 5 in versions(r) else 4)
        p.settled()
    ids: dict[int, int] = {}
    for partition in range(3):
        rows = [{"partition": partition, "fetch_offset": 0, "partition_max_bytes": 1 << 24}]
        topics = [{"topic": "__consumer_offsets", "partitions": rows}]
        words = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 24, "session_epoch": -1}
        reply = r.quiet(FETCH, 12, **words, topics=topics)
        data = bytes(reply.responses[0].partitions[0].records or b"")
        found = []
        for one in batches(data):
            ours = any(b"written-group" in bytes(row.key or b"") for row in one)
            if not one.is_transactional or not (ours or one.producer_id in ids):
                continue
            found.append(
                [
                    one.attributes,
                    one.leader_epoch,
                    ids.setdefault(one.producer_id, len(ids)),
                    one.producer_epoch,
                    one.base_sequence,
                    [[bytes(row.key or b"").hex(), value_of(row.value)] for row in one],
                ]
            )
        r.note(f"transactional batches of __consumer_offsets-{partition}", found)
    assert ids


def value_of(value: bytes | None) -> Any:
    """An offset's value without the time of the commit; other values as they are."""
    if value is None or int.from_bytes(value[:2], "big") < 3:
        return bytes(value or b"").hex()
    decoded, version = decode_value(OffsetCommitValue, bytes(value))
    return [version, {**decoded.to_dict(), "commit_timestamp": "<time>"}]


#: With every level of transaction.version, and with 2 alone.
SCENARIOS = [
    produced_before_kip_890,
    produced_by_two,
    read_committed,
    markers,
    offsets_before_kip_890,
    offsets_of_members,
    offset_records,
]
ADDING = [produced_with_kip_890, offsets_with_kip_890]
