"""Two Kotlin applications as their authors would have them: a plain producer, and Spring Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.jvm import Program, build, end_offsets, group_offsets
from tests.oracle import apache
from tests.oracle.node import Node
from tests.oracle.raw import Recorder
from tests.oracle.under_test import require

# The Python client's own warnings are not this project's.
pytestmark = pytest.mark.filterwarnings("ignore")

HERE = Path(__file__).resolve().parent
PROPERTIES = {
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "4000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.min.session.timeout.ms": "3000",
}


@pytest.fixture(scope="module")
def kotlin_classes() -> str:
    """Both applications, built by Maven."""
    require(apache.missing())
    return build(HERE / "kotlin")


@pytest.fixture(scope="module")
def quick_node() -> Iterator[Node]:
    """A node that notices dead members after a few seconds."""
    require(apache.missing())
    with (
        apache.temporary_directory("kotlin") as directory,
        apache.node_under_test(directory, PROPERTIES) as node,
    ):
        yield node
        apache.tools.close()


def events(program: Program, what: str) -> list[dict[str, object]]:
    """The happenings of one kind that an application told of."""
    return [json.loads(m[1]) for m in program.found(rf"^{what} (\{{.*\}})$")]


@pytest.mark.timeout(120)
def test_plain_producer(kotlin_classes: str, quick_node: Node) -> None:
    """acks=all and get() on every send: each click is where its metadata says."""
    recorder = Recorder(quick_node.port, 0)
    recorder.create("ad-clicks", 3)
    recorder.close()
    main = "clicks.AdClickProducer"
    with Program(kotlin_classes, main, quick_node.bootstrap, "ad-clicks", 60) as program:
        assert program.wait(60) == 0, program.tail()
        sent = events(program, "SENT")
    assert [row["number"] for row in sent] == list(range(60))
    ends = end_offsets(quick_node.bootstrap, "ad-clicks", 3)
    assert sum(ends.values()) == 60
    from kafka import KafkaConsumer, TopicPartition

    with_metadata = {(row["partition"], row["offset"]): row for row in sent}
    consumer = KafkaConsumer(bootstrap_servers=quick_node.bootstrap)
    consumer.assign([TopicPartition("ad-clicks", p) for p in range(3)])
    consumer.seek_to_beginning()
    left = 60
    while left:
        for rows in consumer.poll(10_000).values():
            for record in rows:
                row = with_metadata.pop((record.partition, record.offset))
                click = json.loads(record.value)
                assert click["number"] == row["number"]
                assert click["userId"].encode() == record.key
                assert click["costMicros"] == 1000 * row["number"]
                assert record.timestamp == row["timestamp"]
                assert (len(record.key), len(record.value)) == (row["keyBytes"], row["valueBytes"])
                assert ("__TypeId__", b"clicks.AdClick") in record.headers
                left -= 1
    consumer.close()
    assert not with_metadata


@pytest.mark.timeout(180)
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_spring_kafka(protocol: str, kotlin_classes: str, quick_node: Node) -> None:
    """A publisher with callbacks; listeners of three threads each that join and are killed."""
    topic, group = f"spring-{protocol}", f"spring-group-{protocol}"

    def start(role: str, *more: str) -> Program:
        words = [
            f"--spring.kafka.bootstrap-servers={quick_node.bootstrap}",
            f"--clicks.role={role}",
            f"--clicks.topic={topic}",
            f"--clicks.group={group}",
            f"--spring.kafka.consumer.properties.group.protocol={protocol}",
            *more,
        ]
        if protocol == "classic":
            words.append("--spring.kafka.consumer.properties.session.timeout.ms=4000")
            words.append("--spring.kafka.consumer.properties.heartbeat.interval.ms=500")
        return Program(kotlin_classes, "clicks.ClicksApplicationKt", *words)

    def publish(first: int, count: int) -> set[tuple[object, object]]:
        words = (f"--clicks.first={first}", f"--clicks.count={count}")
        with start("publisher", *words) as publisher:
            assert publisher.wait(60) == 0, publisher.tail()
            sent = events(publisher, "SENT")
            assert not events(publisher, "FAILED")
        assert {row["number"] for row in sent} == set(range(first, first + count))
        assert {row["topic"] for row in sent} == {topic}
        return {(row["partition"], row["offset"]) for row in sent}

    def held(listener: Program) -> set[object]:
        out: set[object] = set()
        for match in listener.found(r"^(ASSIGNED|REVOKED|LOST) (\{.*\})$"):
            partition = json.loads(match[2])["partition"]
            (out.add if match[1] == "ASSIGNED" else out.discard)(partition)
        return out

    places = publish(0, 120)
    with start("listener") as one:
        one.until(lambda: len(held(one)) == 6, "assignment of all")
        one.until(lambda: len(events(one, "CLICK")) == 120, "all clicks")
        early = len(events(one, "REVOKED"))
        with start("listener") as two:
            two.until(lambda: len(held(two)) == 3, "half of the partitions")
            one.until(lambda: len(held(one)) == 3, "half given up")
            assert held(one) | held(two) == set(range(6))
            assert all(row["committed"] is not None for row in events(one, "REVOKED")[early:])
            places |= publish(120, 120)
            two.until(lambda: len(both(one, two)) == 240, "all clicks of two")
            one.kill()
            two.until(lambda: len(held(two)) == 6, "taking over from the dead")
            places |= publish(240, 60)
            two.until(lambda: len(both(one, two)) == 300, "the last clicks")
            assert {(r["partition"], r["offset"]) for r in clicks(one, two)} == places
            ends = end_offsets(quick_node.bootstrap, topic, 6)
            two.until(
                lambda: group_offsets(quick_node.bootstrap, group) == ends, "offsets at the end"
            )
            two.stop(60)
            assert len(events(two, "REVOKED")) >= 6


def clicks(*listeners: Program) -> list[dict[str, object]]:
    """What the listeners have consumed."""
    return [row for listener in listeners for row in events(listener, "CLICK")]


def both(*listeners: Program) -> set[object]:
    """The numbers of the clicks that were consumed; twice is allowed, never is not."""
    return {row["number"] for row in clicks(*listeners)}
