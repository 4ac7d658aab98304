"""Every client writes with every codec it has; every client reads what every other wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from tests.interop.client import Client
from tests.interop.clients import CLIENTS
from tests.interop.records import PARTITIONS, Found, Record, by_partition, plan

# The clients' own warnings are not this project's.
pytestmark = pytest.mark.filterwarnings("ignore")

Get = Callable[[str], Client]

WRITERS = [(name, codec) for name, kind in CLIENTS.items() for codec in kind.codecs]
READERS = [name for name, kind in CLIENTS.items() if kind.reads]
ADMINS = [name for name, kind in CLIENTS.items() if kind.administers]


@dataclass
class Manifest:
    """What has been written so far: topic -> records in the order of each partition."""

    first_timestamp: int
    topics: dict[str, list[Record]] = field(default_factory=dict)
    own_timestamps: set[str] = field(default_factory=set)

    def of(self, writer: str) -> dict[str, list[Record]]:
        """The topics of one writer."""
        return {t: r for t, r in self.topics.items() if t.split(".")[1] == writer}


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """Timestamps start an hour ago: far from retention, and none in the future."""
    return Manifest(int(time.time() * 1000) - 3_600_000)


def masked(record: Record, topic: str, manifest: Manifest) -> Record:
    """Without the timestamp where the writer could not choose it."""
    return record if topic in manifest.own_timestamps else replace(record, timestamp=0)


def assert_found(found: list[Found], manifest: Manifest, expected: dict[str, list[Record]]) -> None:
    """Partition by partition the same records in the same order; offsets without a hole."""
    for topic, records in expected.items():
        rows = [f for f in found if f.topic == topic]
        got = by_partition(masked(f.record, topic, manifest) for f in rows)
        want = by_partition(masked(r, topic, manifest) for r in records)
        assert got == want, topic
        for partition in want:
            offsets = [f.offset for f in rows if f.record.partition == partition]
            assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    assert {f.topic for f in found} == {t for t, r in expected.items() if r}


@pytest.mark.parametrize(("writer", "codec"), WRITERS)
def test_write(writer: str, codec: str, client: Get, manifest: Manifest) -> None:
    """A topic made by the client's own admin where it has one, and all records acknowledged."""
    one = client(writer)
    topic = f"interop.{writer}.{codec}"
    admin = one if one.administers else client("librdkafka")
    admin.create(topic, PARTITIONS, {"compression.type": "producer"})
    records = one.as_written(plan(writer, codec, manifest.first_timestamp))
    offsets = one.produce(topic, codec, records)
    if offsets is not None:
        counted: dict[int, int] = {}
        for record, offset in zip(records, offsets, strict=True):
            assert offset == counted.setdefault(record.partition, 0)
            counted[record.partition] += 1
    manifest.topics[topic] = records
    if one.timestamps:
        manifest.own_timestamps.add(topic)


@pytest.mark.parametrize("writer", list(CLIENTS))
@pytest.mark.parametrize("reader", READERS)
def test_read_from_the_beginning(reader: str, writer: str, client: Get, manifest: Manifest) -> None:
    """All that this writer wrote, in every codec, equal to the last bit."""
    client(writer)
    expected = manifest.of(writer)
    assert len(expected) == len(CLIENTS[writer].codecs), "the writer's own test failed"
    found = client(reader).consume(dict.fromkeys(expected, PARTITIONS))
    assert_found(found, manifest, expected)


@pytest.mark.parametrize("reader", READERS)
def test_read_by_timestamp(reader: str, client: Get, manifest: Manifest) -> None:
    """From a time between two records: exactly the later ones, whoever wrote them."""
    at = manifest.first_timestamp + 20_500
    expected = {
        topic: [r for r in manifest.topics[topic] if r.timestamp >= at]
        for topic in manifest.own_timestamps
    }
    assert expected
    found = client(reader).consume(dict.fromkeys(expected, PARTITIONS), at)
    assert_found(found, manifest, expected)


@pytest.mark.parametrize("reader", READERS)
def test_read_after_the_last_timestamp(reader: str, client: Get, manifest: Manifest) -> None:
    """A time that nothing has reached leads to the end: no records, no error."""
    later = manifest.first_timestamp + 3_500_000
    topics = dict.fromkeys(sorted(manifest.own_timestamps)[:2], PARTITIONS)
    assert topics
    assert client(reader).consume(topics, later) == []


def test_kafkajs_offsets(client: Get, manifest: Manifest) -> None:
    """KafkaJS reads in groups only; its admin's offsets are compared instead."""
    one = client("kafkajs")
    at = manifest.first_timestamp + 20_500
    for topic in sorted(manifest.own_timestamps):
        records = by_partition(manifest.topics[topic])
        ends = [[p, len(records.get(p, ()))] for p in range(PARTITIONS)]
        assert one.offsets(topic, None) == ends
        earlier = [
            [p, sum(r.timestamp < at for r in records.get(p, ()))] for p in range(PARTITIONS)
        ]
        assert one.offsets(topic, at) == earlier


@pytest.mark.parametrize("reader", READERS)
def test_java_json_events(reader: str, client: Get, manifest: Manifest) -> None:
    """JsonSerializer and get() on each event at acks=all; read by everybody as the same JSON."""
    topic = "interop-json-events"
    events = [
        {"id": f"ad-{i}", "clicks": i, "rate": i / 8, "tags": ["a", "ü"], "nested": {"null": None}}
        for i in range(40)
    ]
    java = client("java")
    if topic not in java.topics():
        java.create(topic, PARTITIONS, {})
        places = java.call("produce_json", topic=topic, events=events)
        assert len({(p, o) for p, o in places}) == len(events)
    found = client(reader).consume({topic: PARTITIONS})
    read = {}
    for f in found:
        assert f.record.key is not None
        assert f.record.value is not None
        read[f.record.key.decode()] = json.loads(f.record.value)
    assert len(found) == len(events)
    assert read == {event["id"]: event for event in events}


@pytest.mark.parametrize("name", ADMINS)
def test_administration(name: str, client: Get) -> None:
    """Create with a config, describe, alter, describe again, list, delete, list again."""
    one = client(name)
    topic = f"interop-admin-{name}"
    one.create(topic, 2, {"retention.ms": "123456789", "cleanup.policy": "delete"})
    assert topic in one.topics()
    configs = one.describe(topic)
    assert configs["retention.ms"] == "123456789"
    assert configs["cleanup.policy"] == "delete"
    assert configs["max.message.bytes"] == "1048588"
    one.alter(topic, "retention.ms", "86400000")
    _eventually(lambda: one.describe(topic)["retention.ms"] == "86400000")
    with pytest.raises(Exception, match=r"(?i)exist"):
        one.create(topic, 2, {})
    one.delete(topic)
    _eventually(lambda: topic not in one.topics())


def _eventually(condition: Callable[[], bool], timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)
