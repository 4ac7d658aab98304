"""Kafka Streams: a word count whose state is restored from the changelog after a kill."""

from __future__ import annotations

import random
import struct
from collections import Counter
from pathlib import Path

import pytest

from kafka_py.protocol.registry import ApiKey
from tests.interop.jvm import Program, end_offsets, group_offsets
from tests.oracle import apache
from tests.oracle.node import Node
from tests.oracle.raw import Recorder
from tests.oracle.under_test import require

pytestmark = pytest.mark.filterwarnings("ignore")

HERE = Path(__file__).resolve().parent
APPLICATION = "word-count"
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "nobody",
    "counts",
    "its",
    "steps",
]


def lines(count: int, seed: int) -> list[str]:
    """Lines of five words each."""
    rng = random.Random(seed)
    return [" ".join(rng.choice(WORDS) for _ in range(5)) for _ in range(count)]


def write(bootstrap: str, texts: list[str], topic: str = "words-in") -> None:
    """Produce lines to the input, by librdkafka."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap})
    for number, text in enumerate(texts):
        producer.produce(topic, text.encode(), str(number).encode(), partition=number % 4)
    assert producer.flush(30) == 0


class Counts:
    """The last count of each word in the output, read as it comes."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        """Reads both partitions from the beginning."""
        from confluent_kafka import Consumer, TopicPartition

        settings = {"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": "0"}
        self._consumer = Consumer(settings)
        self._consumer.assign([TopicPartition(topic, p, 0) for p in range(2)])
        self.found: dict[str, int] = {}

    def reached(self, expected: Counter[str]) -> bool:
        """Take what has come; whether the counts are the expected ones."""
        for record in self._consumer.consume(1000, 0.1):
            assert record.error() is None
            self.found[record.key().decode()] = struct.unpack(">q", record.value())[0]
        return self.found == dict(expected)

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()


@pytest.mark.timeout(240)
def test_word_count(node: Node, tmp_path: Path) -> None:
    """Two instances; one is killed; the other restores what it held and counts on, exactly."""
    require(apache.missing())
    class_path = f"{apache.fetch_class_path(HERE / 'streams' / 'pom.xml')}/*"
    recorder = Recorder(node.port, 0)
    recorder.create("words-in", 4)
    recorder.create("words-out", 2)
    source = str(HERE / "streams" / "WordCount.java")

    def start(name: str) -> Program:
        words = (node.bootstrap, APPLICATION, "words-in", "words-out", tmp_path / name)
        return Program(class_path, source, *words)

    def tasks(program: Program) -> set[str]:
        found = program.found(r"^TASKS(.*)$")
        return set(found[-1][1].split()) if found else set()

    everything = {f"{sub}_{p}" for sub in (0, 1) for p in range(4)}
    texts = lines(300, 1)
    expected = Counter(word for text in texts for word in text.split())
    counts = Counts(node.bootstrap, "words-out")
    write(node.bootstrap, texts)
    with start("one") as one:
        one.until(lambda: counts.reached(expected), "the first counts")
        assert tasks(one) == everything
        with start("two") as two:
            two.until(lambda: len(tasks(two)) >= 3, "a share of the tasks")
            more = lines(300, 2)
            expected.update(word for text in more for word in text.split())
            write(node.bootstrap, more)
            two.until(lambda: counts.reached(expected), "the counts of both")
            # Let a commit pass, so that the killed one has nothing uncommitted: counted once.
            ends = end_offsets(node.bootstrap, "words-in", 4)
            two.until(
                lambda: (
                    {
                        k: v
                        for k, v in group_offsets(node.bootstrap, APPLICATION).items()
                        if k[0] == "words-in"
                    }
                    == ends
                ),
                "commits",
            )
            repartition = f"{APPLICATION}-counts-repartition"
            two.until(
                lambda: (
                    {
                        k: v
                        for k, v in group_offsets(node.bootstrap, APPLICATION).items()
                        if k[0] == repartition and v
                    }.items()
                    >= {
                        k: v for k, v in end_offsets(node.bootstrap, repartition, 4).items() if v
                    }.items()
                ),
                "commits of the repartition topic",
            )
            one.kill()
            two.until(lambda: tasks(two) == everything, "taking over", 60)
            assert any(int(m[1]) > 0 for m in two.found(r"^RESTORED \S+ (\d+)$")), two.tail()
            last = lines(200, 3)
            expected.update(word for text in last for word in text.split())
            write(node.bootstrap, last)
            two.until(lambda: counts.reached(expected), "the last counts")
            two.until(lambda: _purged(recorder, repartition), "purged repartition topic")
            assert two.stop() in (0, 143)
    counts.close()
    _check_internal_topics(recorder)
    recorder.close()


@pytest.mark.timeout(240)
def test_word_count_exactly_once(node: Node, tmp_path: Path) -> None:
    """With exactly_once_v2 every count of every word is written once, though an instance is killed
    in the middle of its transactions."""
    require(apache.missing())
    class_path = f"{apache.fetch_class_path(HERE / 'streams' / 'pom.xml')}/*"
    recorder = Recorder(node.port, 0)
    recorder.create("once-in", 4)
    recorder.create("once-out", 2)
    source = str(HERE / "streams" / "WordCount.java")

    def start(name: str) -> Program:
        words = (node.bootstrap, "once", "once-in", "once-out", tmp_path / name, "exactly_once_v2")
        return Program(class_path, source, *words)

    texts = [lines(300, seed) for seed in (4, 5, 6)]
    expected = Counter(word for part in texts for text in part for word in text.split())
    counted = Updates(node.bootstrap, "once-out")
    with start("one") as one:
        write(node.bootstrap, texts[0], "once-in")
        one.until(lambda: counted.read() > 0, "the first counts")
        with start("two") as two:
            two.until(lambda: bool(two.found(r"^TASKS \S")), "a share of the tasks")
            write(node.bootstrap, texts[1], "once-in")
            before = counted.read()
            two.until(lambda: counted.read() > before, "more counts")
            one.kill()
            write(node.bootstrap, texts[2], "once-in")
            two.until(lambda: counted.read() >= expected.total(), "all counts", 90)
            assert two.stop() in (0, 143)
    assert counted.found == {word: list(range(1, n + 1)) for word, n in expected.items()}
    counted.close()
    recorder.close()


class Updates:
    """Every count of each word in the output, in order, as read_committed shows it."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        """Reads both partitions from the beginning."""
        from confluent_kafka import Consumer, TopicPartition

        settings = {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.auto.commit": "0",
            "isolation.level": "read_committed",
        }
        self._consumer = Consumer(settings)
        self._consumer.assign([TopicPartition(topic, p, 0) for p in range(2)])
        self.found: dict[str, list[int]] = {}

    def read(self) -> int:
        """Take what has come: how many there are."""
        for record in self._consumer.consume(1000, 0.1):
            assert record.error() is None
            counts = self.found.setdefault(record.key().decode(), [])
            counts.append(struct.unpack(">q", record.value())[0])
        return sum(map(len, self.found.values()))

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()


def _purged(recorder: Recorder, topic: str) -> bool:
    """Whether records that were consumed have been deleted (DeleteRecords)."""
    rows = [{"partition_index": p, "timestamp": -2} for p in range(4)]
    asked = [{"name": topic, "partitions": rows}]
    reply = recorder.quiet(ApiKey.LIST_OFFSETS, 7, topics=asked, replica_id=-1)
    return any(p.offset > 0 for p in reply.topics[0].partitions)


def _check_internal_topics(recorder: Recorder) -> None:
    """The changelog is compacted, the repartition topic is not; both have four partitions."""
    for topic, policy in (
        (f"{APPLICATION}-counts-changelog", "compact"),
        (f"{APPLICATION}-counts-repartition", "delete"),
    ):
        named = recorder.quiet(
            ApiKey.METADATA, 12, topics=[{"name": topic}], allow_auto_topic_creation=False
        )
        assert len(named.topics[0].partitions) == 4
        row = {"resource_type": 2, "resource_name": topic, "configuration_keys": ["cleanup.policy"]}
        reply = recorder.quiet(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row])
        assert reply.results[0].configs[0].value == policy
