"""Transactions with Apache's own producer: commit, abort, fencing, offsets, copies exactly once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.interop.client import ClientError, Driven
from tests.interop.groups.processes import JAVA, java_classes, java_command
from tests.interop.jvm import Program, group_offsets
from tests.oracle import apache
from tests.oracle.node import Node
from tests.oracle.raw import Recorder
from tests.oracle.test_transactions import set_level
from tests.oracle.under_test import require

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]

SOURCE = JAVA / "Transactions.java"
RECORDS = 400


class Producers(Driven):
    """Java's transactional producers by name."""

    def command(self) -> Sequence[str]:
        return java_command(SOURCE, "Transactions")


@pytest.fixture(scope="module")
def producers(node: Node) -> Iterator[Producers]:
    """One process for all of them."""
    require(apache.missing())
    made = Producers(node.bootstrap)
    yield made
    made.close()


def read(
    bootstrap: str, topic: str, partitions: int, isolation: str = "read_committed"
) -> list[str]:
    """The values of a topic, partition by partition, up to where the isolation level lets."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
        }
    )
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    found: list[tuple[int, int, str]] = []
    ends = 0
    deadline = time.monotonic() + 30
    while ends < partitions:
        assert time.monotonic() < deadline, f"only {len(found)} records"
        for one in consumer.consume(1000, 0.2):
            if one.error() is None:
                found.append((one.partition(), one.offset(), one.value().decode()))
            else:
                ends += 1
    consumer.close()
    return [value for _, _, value in sorted(found)]


def until_equal(found: Callable[[], Any], expected: Any) -> None:
    """The end of a transaction is answered when it is decided; its markers may come later."""
    deadline = time.monotonic() + 40
    while (got := found()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert got == expected


def opened(producers: Producers, who: str, transactional_id: str, timeout: int = 60000) -> None:
    producers.call("open", producer=who, id=transactional_id, timeout=timeout)
    producers.call("init", producer=who)


def test_commit_abort_and_fencing(node: Node, producers: Producers) -> None:
    recorder = Recorder(node.port, 0)
    recorder.create("txn-simple", 2)

    def do(op: str, who: str = "a", **fields: Any) -> Any:
        return producers.call(op, producer=who, **fields)

    def send(value: str, partition: int = 0, who: str = "a") -> Any:
        return do("send", who, topic="txn-simple", partition=partition, value=value)

    opened(producers, "a", "simple")
    do("begin")
    assert send("committed") == 0
    assert read(node.bootstrap, "txn-simple", 2) == []
    assert read(node.bootstrap, "txn-simple", 2, "read_uncommitted") == ["committed"]
    send("other partition", 1)
    do("commit")
    do("begin")
    send("aborted")
    send("aborted", 1)
    do("abort")
    do("begin")
    send("committed too")
    do("commit")
    expected = ["committed", "committed too", "other partition"]
    until_equal(lambda: read(node.bootstrap, "txn-simple", 2), expected)
    # A second producer of the id: what the first has open is aborted, and it is fenced.
    do("begin")
    send("of a zombie")
    opened(producers, "b", "simple")
    with pytest.raises(ClientError, match=r"PRODUCER_EPOCH|FENCED"):
        send("of a zombie too")
    do("begin", "b")
    send("of the second", 0, "b")
    do("commit", "b")
    expected.insert(2, "of the second")
    until_equal(lambda: read(node.bootstrap, "txn-simple", 2), expected)
    do("close", "a")
    do("close", "b")


def test_offsets_count_with_their_transaction(node: Node, producers: Producers) -> None:
    recorder = Recorder(node.port, 0)
    recorder.create("txn-offsets", 1)
    where = {"group": "txn-group", "topic": "txn-offsets", "partition": 0}
    opened(producers, "o", "offsets")
    for offset, end in ((3, "commit"), (5, "abort"), (8, "commit")):
        before = group_offsets(node.bootstrap, "txn-group") if offset > 3 else {}
        producers.call("begin", producer="o")
        producers.call("offsets", producer="o", offset=offset, **where)
        assert group_offsets(node.bootstrap, "txn-group") == before
        producers.call(end, producer="o")
        after = before if end == "abort" else {("txn-offsets", 0): offset}
        until_equal(lambda: group_offsets(node.bootstrap, "txn-group"), after)
    producers.call("close", producer="o")


def test_a_transaction_that_takes_too_long_is_aborted(node: Node, producers: Producers) -> None:
    recorder = Recorder(node.port, 0)
    recorder.create("txn-late", 1)
    opened(producers, "l", "late", timeout=1000)
    producers.call("begin", producer="l")
    producers.call("send", producer="l", topic="txn-late", partition=0, value="late")
    deadline = time.monotonic() + 30
    while stable_end(node, "txn-late") < 2:
        assert time.monotonic() < deadline, "nobody ended the transaction"
        time.sleep(0.2)
    with pytest.raises(ClientError):
        producers.call("commit", producer="l")
    assert read(node.bootstrap, "txn-late", 1) == []
    producers.call("close", producer="l")


def stable_end(node: Node, topic: str) -> int:
    """The last stable offset of a topic's partition 0, by ListOffsets."""
    from kafka_py.protocol.registry import ApiKey

    recorder = Recorder(node.port, 0)
    row = {"partition_index": 0, "timestamp": -1}
    asked = [{"name": topic, "partitions": [row]}]
    reply = recorder.quiet(ApiKey.LIST_OFFSETS, 7, topics=asked, replica_id=-1, isolation_level=1)
    recorder.close()
    end: int = reply.topics[0].partitions[0].offset
    return end


def write(bootstrap: str, topic: str, count: int) -> None:
    """Numbered records, by librdkafka, not transactional."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(count):
        producer.produce(topic, str(number).encode(), str(number).encode())
    assert producer.flush(30) == 0


def copier(node: Node, name: str, transactional_id: str, protocol: str) -> Program:
    """A program that copies a topic, one transaction a poll; it says how many it has committed."""
    jars = apache.fetch_class_path(JAVA / "pom.xml")
    classes = java_classes(SOURCE, JAVA / "pom.xml")
    words = (node.bootstrap, f"{name}-in", f"{name}-out", name, transactional_id, protocol)
    return Program(f"{classes}:{jars}/*", "Transactions", *words)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_copy_is_exact_though_copiers_are_killed(node: Node, protocol: str) -> None:
    """Two are killed in the middle, a third finishes: each record once, in the output and in what
    the group has committed."""
    require(apache.missing())
    name = f"copy-{protocol}"
    recorder = Recorder(node.port, 0)
    recorder.create(f"{name}-in", 2)
    recorder.create(f"{name}-out", 3)
    write(node.bootstrap, f"{name}-in", RECORDS)

    def finished() -> bool:
        return sum(group_offsets(node.bootstrap, name).values()) == RECORDS

    for _ in range(2):
        with copier(node, name, f"{name}-1", protocol) as program:
            program.until(lambda program=program: len(program.found("^COPIED")) >= 3, "copies")  # type: ignore[misc]
    with copier(node, name, f"{name}-2", protocol) as program:
        program.until(finished, "end of the input", 90)

    def counts() -> Counter[str]:
        values = read(node.bootstrap, f"{name}-out", 3)
        return Counter(value.split(":")[2] for value in values)

    until_equal(counts, Counter({str(number): 1 for number in range(RECORDS)}))


@pytest.mark.parametrize("level", [1, 0])
def test_with_older_transaction_versions(level: int, tmp_path: Path) -> None:
    """The protocol before KIP-890's second part: partitions and groups are added by requests."""
    require(apache.missing())
    with apache.node_under_test(tmp_path) as node:
        set_level(node.port, level)
        recorder = Recorder(node.port, 0)
        recorder.create("older", 1)
        recorder.close()
        made = Producers(node.bootstrap)
        opened(made, "o", "older")
        for value, end in (("kept", "commit"), ("dropped", "abort"), ("kept too", "commit")):
            made.call("begin", producer="o")
            made.call("send", producer="o", topic="older", partition=0, value=value)
            where = {"group": "older", "topic": "older", "partition": 0}
            made.call("offsets", producer="o", offset=len(value), **where)
            made.call(end, producer="o")
        until_equal(lambda: read(node.bootstrap, "older", 1), ["kept", "kept too"])
        until_equal(lambda: group_offsets(node.bootstrap, "older"), {("older", 0): 8})
        made.call("begin", producer="o")
        made.call("send", producer="o", topic="older", partition=0, value="of a zombie")
        opened(made, "p", "older")
        with pytest.raises(ClientError, match=r"PRODUCER_EPOCH|FENCED"):
            made.call("send", producer="o", topic="older", partition=0, value="too late")
        until_equal(lambda: read(node.bootstrap, "older", 1), ["kept", "kept too"])
        made.close()


def test_the_node_is_killed_in_a_transaction(tmp_path: Path) -> None:
    """What was open is still open after the restart; the producer goes on, or aborts it."""
    require(apache.missing())
    with apache.node_under_test(tmp_path) as node:
        Recorder(node.port, 0).create("killed", 1)
        made = Producers(node.bootstrap)
        opened(made, "k", "killed")
        made.call("begin", producer="k")
        made.call("send", producer="k", topic="killed", partition=0, value="before")
        node.kill()
        node.start()
        assert read(node.bootstrap, "killed", 1) == []
        made.call("send", producer="k", topic="killed", partition=0, value="after")
        made.call("commit", producer="k")
        until_equal(lambda: read(node.bootstrap, "killed", 1), ["before", "after"])
        made.close()
