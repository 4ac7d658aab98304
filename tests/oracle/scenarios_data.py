"""Questions about records and offsets, put to both brokers."""

from __future__ import annotations

import struct
from typing import Any

from kafka_py.protocol.framing import encode_request
from kafka_py.protocol.registry import API, ApiKey
from tests.oracle.raw import CODECS, UNKNOWN_ID, Recorder, batch

ROWS: list[tuple[bytes | None, bytes | None]] = [
    (b"k1", b"v1"),
    (None, b"v2"),
    (b"k3", None),
    (b"", b""),
    (b"k5", b"compressible " * 30),
]


def patched(data: bytes, at: int, layout: str, value: int, *, crc: bool = True) -> bytes:
    """A batch with one header field changed, and the CRC made right again unless told not to."""
    from crc32c import crc32c

    out = bytearray(data)
    struct.pack_into(layout, out, at, value)
    if crc:
        struct.pack_into(">I", out, 17, crc32c(bytes(out[21:])))
    return bytes(out)


def produce(r: Recorder) -> None:
    """Every version, acks, codec; unknown targets."""
    topic_id = r.create("produce-a", 2)
    good = batch(ROWS, first_timestamp=r.first_timestamp)
    for version in range(3, 13):
        r.produce("produce-a", good, version=version)
    for acks in (1, 2, -2):
        r.produce("produce-a", good, acks=acks)
    row = {"index": 0, "records": good.hex()}
    silent = {"name": "produce-a", "partition_data": [row]}
    request = API[ApiKey.PRODUCE].request.from_dict({"acks": 0, "topic_data": [silent]})
    r.client.post(request, 12)
    for codec in CODECS:
        data = batch(ROWS, first_timestamp=r.first_timestamp, codec=codec)
        r.produce("produce-a", data, version=7)
        r.produce("produce-a", data, version=3)
    r.produce("produce-nope", good)
    r.produce("produce-a", good, partition=7)
    r.produce("produce-a", good, partition=-1)
    r.produce("a/b", good)
    for one in (topic_id, UNKNOWN_ID):
        rows = [{"index": 0, "records": good.hex()}]
        target = {"topic_id": one, "partition_data": rows}
        r.ask(ApiKey.PRODUCE, 13, acks=-1, timeout_ms=9000, topic_data=[target])
    rows = [{"index": p, "records": good.hex()} for p in (0, 1, 5)]
    r.ask(
        ApiKey.PRODUCE,
        12,
        acks=-1,
        timeout_ms=9000,
        topic_data=[{"name": "produce-a", "partition_data": rows}],
    )
    r.ask(ApiKey.PRODUCE, 12, acks=-1, timeout_ms=9000, topic_data=[])
    _read(r, "produce-a", 0)


def _read(r: Recorder, topic: str, partition: int) -> None:
    """Note what the partition holds, to the byte."""
    rows = [{"partition": partition, "fetch_offset": 0, "partition_max_bytes": 1 << 24}]
    reply = r.quiet(
        ApiKey.FETCH,
        12,
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=1 << 24,
        topics=[{"topic": topic, "partitions": rows}],
    )
    found = reply.responses[0].partitions[0]
    r.note(
        f"records of {topic}-{partition}",
        [
            found.error_code,
            found.high_watermark,
            bytes(found.records or b"").hex(),
        ],
    )


def damaged_batches(r: Recorder) -> None:
    """What must be refused, and what is stored after all of it: the good batches only."""
    r.create("damaged-a", 1)
    good = batch(ROWS, first_timestamp=r.first_timestamp)
    r.produce("damaged-a", good)
    bad = {
        "empty": b"",
        "short": good[:30],
        "cut": good[:-1],
        "crc": patched(good, 17, ">I", 1, crc=False),
        "a flipped bit": good[:-3] + bytes([good[-3] ^ 1]) + good[-2:],
        "magic 1": patched(good, 16, ">b", 1),
        "magic 3": patched(good, 16, ">b", 3),
        "length 0": patched(good, 8, ">i", 0),
        "length negative": patched(good, 8, ">i", -1),
        "length beyond": patched(good, 8, ">i", len(good)),
        "more records claimed": patched(good, 57, ">i", 6),
        "fewer records claimed": patched(good, 57, ">i", 4),
        "negative records": patched(good, 57, ">i", -1),
        "no records": patched(good, 57, ">i", 0),
        "last offset delta": patched(good, 23, ">i", 7),
        "codec 5": patched(good, 21, ">h", 5),
        "control batch": patched(good, 21, ">h", 0x20),
        "transactional": patched(good, 21, ">h", 0x10),
        "two batches": good + good,
        "claims gzip": patched(good, 21, ">h", 1),
        "claims lz4": patched(good, 21, ">h", 3),
    }
    for name, data in bad.items():
        r.note("next is", name)
        r.produce("damaged-a", data)
    r.produce("damaged-a", patched(good, 0, ">q", 77))
    r.produce("damaged-a", patched(good, 12, ">i", 55))
    r.produce("damaged-a", good)
    _read(r, "damaged-a", 0)
    r.create("damaged-b", 1)
    r.note("next is", "trailing bytes")
    r.produce("damaged-b", good + b"\x00" * 7)


def topic_rules(r: Recorder) -> None:
    """Message size, timestamps too far off, compaction without keys, LogAppendTime."""
    good = batch(ROWS, first_timestamp=r.first_timestamp)
    r.create("rules-small", 1, max_message_bytes="200")
    r.produce("rules-small", good)
    r.create("rules-time", 1, message_timestamp_before_max_ms="1000")
    r.produce("rules-time", good)
    r.create("rules-future", 1, message_timestamp_after_max_ms="1000")
    r.produce("rules-future", batch(ROWS, first_timestamp=r.first_timestamp + 7_200_000))
    r.create("rules-compact", 1, cleanup_policy="compact")
    r.produce("rules-compact", good)
    r.produce(
        "rules-compact", batch([(b"k", b"v"), (b"k", None)], first_timestamp=r.first_timestamp)
    )
    r.create("rules-append", 1, message_timestamp_type="LogAppendTime")
    for version in (3, 8, 12):
        r.produce("rules-append", good, version=version)
    r.create("rules-isr", 1, min_insync_replicas="2")
    r.produce("rules-isr", good)
    r.produce("rules-isr", good, acks=1)
    for name in ("rules-small", "rules-time", "rules-future", "rules-compact"):
        _read(r, name, 0)


def producer_ids(r: Recorder) -> None:
    """InitProducerId without transactions: new ids, and what is refused."""
    # Apache's broker has no block of ids yet when it is asked first.
    asked = {"transactional_id": None, "transaction_timeout_ms": 60_000}
    while r.quiet(ApiKey.INIT_PRODUCER_ID, 5, **asked).error_code == 14:
        r.settle()
    for version in range(6):
        r.ask(
            ApiKey.INIT_PRODUCER_ID, version, transactional_id=None, transaction_timeout_ms=60_000
        )
    for more in (
        {"producer_id": 5, "producer_epoch": 0},
        {"producer_id": -1, "producer_epoch": 3},
        {"producer_id": 5, "producer_epoch": -1},
    ):
        r.ask(
            ApiKey.INIT_PRODUCER_ID, 5, transactional_id=None, transaction_timeout_ms=60_000, **more
        )
    r.ask(ApiKey.INIT_PRODUCER_ID, 5, transactional_id="", transaction_timeout_ms=60_000)


def idempotence(r: Recorder) -> None:
    """Sequences in order, repeated, with a hole, with old and new epochs."""
    r.create("idem-a", 1)
    steps = (
        (0, 0),
        (0, 5),
        (0, 5),
        (0, 0),
        (0, 20),
        (0, 10),
        (0, 15),
        (0, 20),
        (0, 25),
        (0, 30),
        (0, 0),
        (0, 5),
        (0, 10),
        (1, 3),
        (1, 0),
        (0, 35),
        (1, 5),
        (1, 0),
        (3, 0),
        (2, 0),
    )
    for epoch, sequence in steps:
        r.note("epoch, sequence", [epoch, sequence])
        r.produce(
            "idem-a",
            batch(
                ROWS,
                first_timestamp=r.first_timestamp,
                producer_id=4000,
                epoch=epoch,
                sequence=sequence,
            ),
        )
    odd = (
        (4001, 0, 3),
        (4002, 0, -1),
        (4003, -1, 0),
        (-1, 0, 0),
        (4004, 5, 0),
        (4005, 0, 2**31 - 3),
        (-1, -1, 0),
    )
    for producer_id, epoch, sequence in odd:
        r.note("producer, epoch, sequence", [producer_id, epoch, sequence])
        r.produce(
            "idem-a",
            batch(
                ROWS,
                first_timestamp=r.first_timestamp,
                producer_id=producer_id,
                epoch=epoch,
                sequence=sequence,
            ),
        )
    r.masks["producer_id"] = lambda v: v
    rows = [
        {"name": "idem-a", "partition_indexes": [0, 3]},
        {"name": "idem-nope", "partition_indexes": [0]},
    ]
    r.ask(ApiKey.DESCRIBE_PRODUCERS, topics=rows)
    _read(r, "idem-a", 0)


def _filled(r: Recorder, topic: str, **configs: str) -> str:
    topic_id = r.create(topic, 2, **configs)
    for i in range(6):
        start = r.first_timestamp + i * 1000
        codec = ("none", "gzip", "lz4")[i % 3]
        r.produce(topic, batch(ROWS, first_timestamp=start, codec=codec))
    return topic_id


def _fetch(r: Recorder, version: int, targets: list[dict[str, Any]], **more: Any) -> Any:
    fields = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 20, **more}
    return r.ask(ApiKey.FETCH, version, topics=targets, **fields)


def fetch(r: Recorder) -> None:
    """Every version and offset; limits; unknown targets; leader epochs."""
    topic_id = _filled(r, "fetch-a")

    def target(offset: int, **more: Any) -> list[dict[str, Any]]:
        row = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20, **more}
        return [{"topic": "fetch-a", "topic_id": topic_id, "partitions": [row]}]

    for version in range(4, 19):
        for offset in (0, 7, 29, 30):
            _fetch(r, version, target(offset))
    for offset in (31, -1, 2**62):
        _fetch(r, 12, target(offset))
        _fetch(r, 16, target(offset))
    for size in (0, 1, 100, 200, 500):
        _fetch(r, 12, target(0, partition_max_bytes=size))
        _fetch(r, 12, target(0), max_bytes=size)
        _fetch(r, 12, target(12, partition_max_bytes=size), max_bytes=size)
    for epoch in (-1, 0, 1, 99):
        _fetch(r, 12, target(0, current_leader_epoch=epoch))
    for last in (-1, 0, 1, 99):
        _fetch(r, 12, target(3, last_fetched_epoch=last, current_leader_epoch=0))
    for isolation in (0, 1, 2):
        _fetch(r, 12, target(20), isolation_level=isolation)
    _fetch(r, 12, target(0, partition=9))
    row = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}
    _fetch(r, 12, [{"topic": "fetch-nope", "partitions": [row]}])
    _fetch(r, 16, [{"topic_id": UNKNOWN_ID, "partitions": [row]}])
    _fetch(r, 12, target(30), max_wait_ms=50, min_bytes=1)
    two = [{**row, "partition": p} for p in (0, 1)]
    _fetch(r, 12, [{"topic": "fetch-a", "partitions": two}])
    _fetch(r, 12, [])
    _fetch(r, 12, target(0), rack_id="somewhere")


def fetch_sessions(r: Recorder) -> None:
    """Full, incremental, forgotten, closed; wrong ids and epochs."""
    topic_id = _filled(r, "session-a")

    def target(offset: int, partition: int = 0) -> list[dict[str, Any]]:
        row = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
        return [{"topic": "session-a", "topic_id": topic_id, "partitions": [row]}]

    for version in (7, 12, 13, 18):
        first = _fetch(r, version, target(0), session_id=0, session_epoch=0)
        if first is None:
            continue
        known = first.session_id
        r.note("a session was made", known != 0)
        _fetch(r, version, [], session_id=known, session_epoch=1)
        _fetch(r, version, target(25), session_id=known, session_epoch=2)
        _fetch(r, version, target(0, 1), session_id=known, session_epoch=3)
        forget = [{"topic": "session-a", "topic_id": topic_id, "partitions": [1]}]
        _fetch(r, version, [], session_id=known, session_epoch=4, forgotten_topics_data=forget)
        _fetch(r, version, [], session_id=known, session_epoch=9)
        _fetch(r, version, [], session_id=known, session_epoch=5)
        _fetch(r, version, target(30), session_id=known, session_epoch=-1)
        _fetch(r, version, [], session_id=known, session_epoch=6)
        _fetch(r, version, [], session_id=123456, session_epoch=1)
        _fetch(r, version, target(30), session_id=123456, session_epoch=0)


def list_offsets(r: Recorder) -> None:
    """All special timestamps, times between, epochs, unknown partitions."""
    _filled(r, "offsets-a")
    r.masks["timestamp"] = lambda v: v if v < 0 else v - r.first_timestamp

    def ask(timestamp: int, first: int = 1, last: int = 11, **more: Any) -> None:
        row = {"partition_index": 0, "timestamp": timestamp, **more}
        rows = [{"name": "offsets-a", "partitions": [row]}]
        r.ask_all(ApiKey.LIST_OFFSETS, first, last, topics=rows, replica_id=-1, timeout_ms=5000)

    for special in range(-1, -9, -1):
        ask(special)
    for after in (0, 1, 10, 45, 1000, 3007, 5040, 5041, 60_000):
        ask(r.first_timestamp + after, 7, 7)
    ask(0, 7, 7)
    for epoch in (-1, 0, 1, 99):
        ask(-1, 7, 7, current_leader_epoch=epoch)
    ask(-1, 7, 7, partition_index=9)
    rows = [{"partition_index": 0, "timestamp": -1}]
    r.ask(ApiKey.LIST_OFFSETS, 7, topics=[{"name": "offsets-nope", "partitions": rows}])
    r.ask(ApiKey.LIST_OFFSETS, 7, topics=[{"name": "offsets-a", "partitions": rows * 2}])
    r.ask(
        ApiKey.LIST_OFFSETS,
        7,
        isolation_level=1,
        topics=[{"name": "offsets-a", "partitions": rows}],
    )
    rows = [{"partition_index": 1, "timestamp": t} for t in (-3,)]
    r.ask(ApiKey.LIST_OFFSETS, 7, topics=[{"name": "offsets-a", "partitions": rows}])


def delete_records(r: Recorder) -> None:
    """Up to an offset, to the end, beyond it; what a reader then gets."""
    topic_id = _filled(r, "trim-a")
    for version, offset in ((0, 3), (1, 3), (2, 7), (2, 2), (2, 31), (2, -2), (2, 12)):
        rows = [{"partition_index": 0, "offset": offset}]
        r.ask(
            ApiKey.DELETE_RECORDS,
            version,
            timeout_ms=9000,
            topics=[{"name": "trim-a", "partitions": rows}],
        )
    for offset in (0, 11, 12, 13):
        row = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
        _fetch(r, 12, [{"topic": "trim-a", "topic_id": topic_id, "partitions": [row]}])
    for special in (-1, -2, -3, -4):
        row = {"partition_index": 0, "timestamp": special}
        r.masks["timestamp"] = lambda v: v if v < 0 else v - r.first_timestamp
        r.ask(ApiKey.LIST_OFFSETS, 8, topics=[{"name": "trim-a", "partitions": [row]}])
    for topic, partition, offset in (("trim-a", 0, -1), ("trim-a", 9, 0), ("trim-nope", 0, 0)):
        rows = [{"partition_index": partition, "offset": offset}]
        r.ask(
            ApiKey.DELETE_RECORDS, 2, timeout_ms=9000, topics=[{"name": topic, "partitions": rows}]
        )
    r.produce("trim-a", batch(ROWS, first_timestamp=r.first_timestamp))
    r.create("trim-compact", 1, cleanup_policy="compact")
    rows = [{"partition_index": 0, "offset": -1}]
    r.ask(
        ApiKey.DELETE_RECORDS,
        2,
        timeout_ms=9000,
        topics=[{"name": "trim-compact", "partitions": rows}],
    )


def epochs_and_log_dirs(r: Recorder) -> None:
    """OffsetForLeaderEpoch and DescribeLogDirs."""
    _filled(r, "epoch-a")
    for epoch, current in ((0, -1), (0, 0), (1, 0), (-1, 0), (99, 0), (0, 1), (0, 99)):
        row = {"partition": 0, "leader_epoch": epoch, "current_leader_epoch": current}
        r.ask_all(
            ApiKey.OFFSET_FOR_LEADER_EPOCH,
            replica_id=-1,
            topics=[{"topic": "epoch-a", "partitions": [row]}],
        )
    row = {"partition": 9, "leader_epoch": 0}
    r.ask(
        ApiKey.OFFSET_FOR_LEADER_EPOCH,
        4,
        replica_id=-1,
        topics=[
            {"topic": "epoch-a", "partitions": [row]},
            {"topic": "epoch-nope", "partitions": [row]},
        ],
    )
    r.ask_all(ApiKey.DESCRIBE_LOG_DIRS, topics=[{"topic": "epoch-a", "partitions": [0, 1, 9]}])
    r.ask_all(ApiKey.DESCRIBE_LOG_DIRS, topics=[{"topic": "epoch-nope", "partitions": [0]}])
    r.ask_all(ApiKey.DESCRIBE_LOG_DIRS, topics=[])


def ill_frames(r: Recorder) -> None:
    """Frames that are no request: closed or answered, as Apache does."""
    table = API[ApiKey.METADATA]
    whole = b"".join(encode_request(table.request(topics=[]), 12, 5, "raw"))[4:]
    versions = b"".join(encode_request(API[ApiKey.API_VERSIONS].request(), 3, 5, "raw"))[4:]
    frames = {
        "unknown api": struct.pack(">hhi", 999, 0, 5) + b"\x00\x00",
        "api 4, gone": struct.pack(">hhi", 4, 0, 5) + b"\x00\x00",
        "version 99": struct.pack(">hhi", 3, 99, 5) + b"\x00\x00\x00",
        "produce 2, advertised but gone": struct.pack(">hhi", 0, 2, 5) + b"\x00\x00",
        "negative version": struct.pack(">hhi", 3, -1, 5) + b"\x00\x00",
        "header only": struct.pack(">hhi", 3, 12, 5),
        "half a header": b"\x00\x03",
        "empty": b"",
        "cut body": whole[:-2],
        "trailing byte": whole + b"\x00",
        "array of 2^31-1": struct.pack(">hhi", 3, 1, 5)
        + b"\x00\x00"
        + struct.pack(">i", 2**31 - 1),
        "controller's api": struct.pack(">hhi", 52, 0, 5) + b"\x00\x00\x00" + b"\x00" * 8,
        "versions, cut": versions[:-1],
    }
    for name, frame in frames.items():
        r.client.send_frame(frame)
        try:
            answer: Any = f"answered, {len(r.client.receive())} bytes"
        except ConnectionError:
            answer = "closed"
        r.note(name, answer)
        r.close()
    for version in (99, 6):
        r.client.send_frame(struct.pack(">hhi", 18, version, 5) + b"\x00\x00\x00" + b"\x00")
        answer = r.client.receive()
        r.note(f"ApiVersions {version} is answered in v0", answer[:6].hex())
        r.close()


SCENARIOS = (
    produce,
    damaged_batches,
    topic_rules,
    producer_ids,
    idempotence,
    fetch,
    fetch_sessions,
    list_offsets,
    delete_records,
    epochs_and_log_dirs,
    ill_frames,
)
