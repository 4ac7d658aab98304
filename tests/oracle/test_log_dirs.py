"""Replicas move between log directories as they do on Apache's broker (KIP-113, KIP-858).

Both nodes have three directories, the third cordoned. The tools see the same; what one leaves, the
other starts on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_py.protocol.registry import ApiKey
from tests.oracle import apache
from tests.oracle.node import Node, OurNode, free_port_pair
from tests.oracle.raw import Recorder, batch, differences

NAMES = ("one", "two", "three")
LONG, LONGER = "x" * 213, "x" * 214
SETTINGS = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200"}


def properties(base: Path, *, cordoned: bool = True) -> dict[str, str]:
    """Of a node whose directories are below ``base``."""
    paths = [str(base / name) for name in NAMES]
    more = {"cordoned.log.dirs": paths[2]} if cordoned else {}
    return {**SETTINGS, "log.dirs": ",".join(paths), **more}


class Directories(Recorder):
    """A Recorder that knows the directories by their short names."""

    base: Path

    def path(self, name: str) -> str:
        """The path as the node knows it; what is no directory's name stays as it is."""
        return str(self.base / name) if name in NAMES else name

    def alter(self, *rows: tuple[str, str, list[int]], version: int = 2) -> Any:
        """AlterReplicaLogDirs, recorded: (directory, topic, partitions)."""
        dirs = [
            {"path": self.path(name), "topics": [{"name": topic, "partitions": indexes}]}
            for name, topic, indexes in rows
        ]
        response = self.quiet(ApiKey.ALTER_REPLICA_LOG_DIRS, version, dirs=dirs)
        found = {
            (topic.topic_name, row.partition_index): row.error_code
            for topic in response.results
            for row in topic.partitions
        }
        self.note(f"alter v{version} {rows}", sorted(found.items()))
        return found

    def create_in(self, name: str, topic: str, partitions: int = 1) -> None:
        """Make a topic whose replicas all lie in that directory: of equals Apache takes any."""
        topics = [{"name": topic, "partitions": list(range(partitions))}]
        dirs = [{"path": self.path(name), "topics": topics}]
        self.quiet(ApiKey.ALTER_REPLICA_LOG_DIRS, dirs=dirs)
        self.create(topic, partitions)

    def throttle(self, bytes_per_second: str | None) -> None:
        """Limit what moves between directories; None takes the limit away."""
        config = {
            "name": "replica.alter.log.dirs.io.max.bytes.per.second",
            "config_operation": 0 if bytes_per_second else 1,
            "value": bytes_per_second,
        }
        resource = {"resource_type": 4, "resource_name": "", "configs": [config]}
        self.quiet(ApiKey.INCREMENTAL_ALTER_CONFIGS, resources=[resource])
        self.settle(2)

    def await_progress(self, name: str, topic: str) -> tuple[int, int, bool]:
        """Wait until something of a partition has come to a directory: (size, lag, future)."""
        deadline = time.monotonic() + 30
        while True:
            found: tuple[int, int, bool] = self.places()[name].get((topic, 0), (0, 0, True))
            if found[0] > 0 and found[1] < 30:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.1)

    def places(self, version: int = 4, **fields: Any) -> dict[str, Any]:
        """{directory: {(topic, index): (size, lag, future)}}."""
        response = self.quiet(ApiKey.DESCRIBE_LOG_DIRS, version, **{"topics": None, **fields})
        return {
            Path(one.log_dir).name: {
                (topic.name, row.partition_index): (
                    row.partition_size,
                    row.offset_lag,
                    row.is_future_key,
                )
                for topic in one.topics
                for row in topic.partitions
            }
            for one in response.results
        }

    def settled(self, topic: str, timeout_s: float = 40.0) -> None:
        """Wait until nothing moves, and note where the topic's replicas are.

        While Apache puts the moved log in the old one's place, nothing is under way any more, but
        for a moment it shows the replica in both directories.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            places = self.places()
            everywhere = [place for one in places.values() for place in one]
            moving = any(row[2] for one in places.values() for row in one.values())
            if not moving and len(everywhere) == len(set(everywhere)):
                break
            assert time.monotonic() < deadline, places
            time.sleep(0.02)
        found = {
            name: sorted(row for row in one.items() if row[0][0] == topic)
            for name, one in places.items()
        }
        self.note(f"where {topic} is", found)


@pytest.fixture(scope="module")
def nodes(oracle_classpath: str) -> Iterator[list[Node]]:
    """Apache's and the one under test."""
    with (
        apache.temporary_directory("dirs-apache") as theirs,
        apache.temporary_directory("dirs-ours") as ours,
        apache.ApacheNode(theirs, free_port_pair(), properties(theirs)) as first,
        apache.node_under_test(ours, properties(ours)) as second,
    ):
        yield [first, second]


def recorder_of(node: Node, first_timestamp: int) -> Directories:
    """For one node."""
    made = Directories(node.port, first_timestamp)
    made.base = node.data.parent
    return made


def errors(r: Directories) -> None:
    """What cannot be moved, in both versions."""
    r.create_in("two", "one", 2)
    r.create(LONG)
    r.create(LONGER)
    for version in (1, 2):
        r.alter(("one", "nope", [0, 1]), version=version)
        r.alter(("one", "one", [7, -1]), version=version)
        r.alter(("/nope", "one", [0]), ("/nope", "nope", [0]), version=version)
        r.alter(("one/", "one", [0]), ("", "one", [1]), version=version)
        r.alter(("one", LONGER, [0]), ("/nope", LONGER + "y", [0]), version=version)
        r.alter(("three", LONGER, [0]), version=version)
        r.alter(("three", "one", [0]), ("three", "nope", [0]), version=version)
        r.alter(version=version)
    r.settled("one")


def moves(r: Directories) -> None:
    """There, and back again; records, sizes and offsets are the same."""
    r.create_in("one", "moves", 3)
    r.settled("moves")
    for index in range(3):
        for _ in range(4):
            data = batch([(b"k", b"v" * 500)] * 10, first_timestamp=r.first_timestamp)
            r.produce("moves", data, index)
    r.quiet(
        ApiKey.DELETE_RECORDS,
        topics=[{"name": "moves", "partitions": [{"partition_index": 1, "offset": 15}]}],
        timeout_ms=10_000,
    )
    for name in ("two", "one", "two"):
        r.alter((name, "moves", [0, 1, 2]))
        r.settled("moves")
        for index in range(3):
            rows = [{"partition": index, "fetch_offset": 15, "partition_max_bytes": 1 << 20}]
            r.ask(
                ApiKey.FETCH,
                12,
                max_wait_ms=0,
                min_bytes=0,
                max_bytes=1 << 20,
                topics=[{"topic": "moves", "partitions": rows}],
                session_epoch=-1,
            )
            for timestamp in (-1, -2, -3, r.first_timestamp):
                asked = [{"partition_index": index, "timestamp": timestamp}]
                r.ask(
                    ApiKey.LIST_OFFSETS,
                    7,
                    replica_id=-1,
                    topics=[{"name": "moves", "partitions": asked}],
                )
        r.produce("moves", batch([(b"k", b"more")], first_timestamp=r.first_timestamp))
    r.alter(("one", "moves", [0]), ("two", "moves", [0]), ("two", "moves", [1, 1]))
    r.settled("moves")


def preferred(r: Directories) -> None:
    """A topic's replicas are made where they were asked to be."""
    r.alter(("two", "preferred", [0, 1, 2]))
    r.alter(("one", "preferred", [1]))
    r.create("preferred", 3)
    r.settled("preferred")


def retries(r: Directories) -> None:
    """A producer's retry is a duplicate after the move."""
    r.create_in("one", "retries")
    data = batch(
        [(b"k", b"v")] * 3,
        first_timestamp=r.first_timestamp,
        producer_id=4711,
        epoch=0,
        sequence=0,
    )
    r.produce("retries", data)
    r.alter(("two", "retries", [0]))
    r.settled("retries")
    r.produce("retries", data)


def described(r: Directories) -> None:
    """What DescribeLogDirs says in every version while a throttled replica is on its way."""
    r.create_in("one", "described")
    data = batch([(b"k", b"v" * 900_000)], first_timestamp=r.first_timestamp)
    for _ in range(30):
        r.produce("described", data)
    r.throttle("100000")
    r.alter(("two", "described", [0]))
    r.await_progress("two", "described")
    for version in range(1, 6):
        found = r.places(version, topics=[{"topic": "described", "partitions": [0]}])
        size, lag, future = found["two"]["described", 0]
        known = (found["one"], future, 0 < lag < 30, 0 < size < 28_000_000)
        r.note(f"under way, v{version}", known)
    r.alter(("one", "described", [0]))
    r.settled("described")
    r.throttle(None)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scenario", [errors, moves, preferred, retries, described])
def test_same_answers(scenario: Any, nodes: list[Node]) -> None:
    """Every reply, and where everything is in the end."""
    first_timestamp = int(time.time() * 1000) // 1000 * 1000 - 3_600_000
    recorders = [recorder_of(node, first_timestamp) for node in nodes]
    for recorder in recorders:
        scenario(recorder)
        recorder.close()
    theirs, ours = (recorder.answers for recorder in recorders)
    assert [one.question for one in theirs] == [one.question for one in ours]
    found = [
        line
        for their, our in zip(theirs, ours, strict=True)
        for line in differences(their.answer, our.answer, their.question)
    ]
    assert not found, "\n".join(found)


@pytest.mark.timeout(120)
def test_the_tools_move_replicas(nodes: list[Node], tmp_path: Path) -> None:
    """kafka-reassign-partitions with log_dirs, and kafka-log-dirs before and after."""
    printed = []
    for node in nodes:
        recorder = recorder_of(node, 0)
        recorder.create_in("one", "tools", 2)
        text = []
        for target in ("two", "one", "two"):
            plan = tmp_path / f"{node.kind}-{target}.json"
            rows = [
                {
                    "topic": "tools",
                    "partition": index,
                    "replicas": [1],
                    "log_dirs": [recorder.path(target)],
                }
                for index in range(2)
            ]
            plan.write_text(json.dumps({"version": 1, "partitions": rows}))
            where = ("--bootstrap-server", node.bootstrap, "--reassignment-json-file", plan)
            for words in (
                (*where, "--execute", "--replica-alter-log-dirs-throttle", "100000000"),
                (*where, "--execute", "--additional"),
            ):
                ran = apache.tools.run(REASSIGN, *words)
                text.append((ran.exit, ran.out))
                recorder.settled("tools")
                recorder.settle(2)
            for words in ((*where, "--verify"), (*where, "--verify", "--preserve-throttles")):
                ran = apache.tools.run(REASSIGN, *words)
                text.append((ran.exit, ran.out))
            ran = apache.tools.run(
                *("log-dirs", "--describe", "--topic-list", "tools"),
                *("--bootstrap-server", node.bootstrap),
            )
            text.append((ran.exit, ran.out))
        recorder.close()
        base = str(node.data.parent)
        printed.append([(code, out.replace(base, "<base>").strip()) for code, out in text])
    theirs, ours = printed
    assert any("<base>/two" in out for _, out in theirs)
    assert [sorted_json(one) for one in ours] == [sorted_json(one) for one in theirs]


REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"


def sorted_json(printed: tuple[int, str]) -> tuple[int, list[Any]]:
    """Printed lines; JSON in them without an order of its lists, nor when it was asked."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key != "size"}
        if isinstance(value, list):
            return sorted((plain(item) for item in value), key=lambda i: json.dumps(i))
        return value

    lines = [
        json.dumps(plain(json.loads(line)), sort_keys=True) if line.startswith("{") else line
        for line in printed[1].splitlines()
    ]
    return printed[0], sorted(lines)


#: Who serves the directories in turn, and how each ends; each moves everything once.
CHAINS = {
    "ours-first": [("ours", "kill"), ("apache", "stop"), ("ours", "stop"), ("apache", "kill")],
    "apache-first": [("apache", "kill"), ("ours", "kill"), ("apache", "stop"), ("ours", "stop")],
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("chain", CHAINS)
def test_there_and_back_over_moved_directories(
    chain: str, tmp_path: Path, oracle_classpath: str
) -> None:
    """Where a replica was moved by one broker, the other finds it, and what it holds."""
    port, first_timestamp = free_port_pair(), int(time.time() * 1000) - 3_600_000
    target, end = "", 0
    for turn, (who, ending) in enumerate(CHAINS[chain]):
        kind = OurNode if who == "ours" and apache.against() != "apache" else apache.ApacheNode
        settings = properties(tmp_path, cordoned=False)
        with kind(tmp_path / f"{turn}-{who}", port, settings) as node:
            r = recorder_of(node, first_timestamp)
            if turn == 0:
                r.create("chain", 3)
            else:
                wait_until_led(r, "chain", 3)
                r.settled("chain")
                found = r.places()
                assert {key for key in found[target] if key[0] == "chain"} == {
                    ("chain", index) for index in range(3)
                }, (turn, who, found)
            for index in range(3):
                data = batch([(b"k", b"v" * 1000)] * 20, first_timestamp=first_timestamp)
                reply = r.produce("chain", data, index)
                assert reply.responses[0].partition_responses[0].base_offset == end
            end += 20
            target = NAMES[turn % 3] if target != NAMES[turn % 3] else NAMES[(turn + 1) % 3]
            r.alter((target, "chain", [0, 1, 2]))
            r.settled("chain")
            r.settle(2)
            r.close()
            if ending == "stop":
                node.stop()
            else:
                node.kill()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("ending", ["stop", "kill"])
@pytest.mark.parametrize("first", ["ours", "apache"])
def test_one_broker_ends_a_move_that_the_other_began(
    first: str, ending: str, tmp_path: Path, oracle_classpath: str
) -> None:
    """A future replica that is half there is half of the work."""
    port, first_timestamp = free_port_pair(), int(time.time() * 1000) - 3_600_000
    data = batch([(b"k", b"v" * 900_000)], first_timestamp=first_timestamp)
    for who in (first, "apache" if first == "ours" else "ours"):
        kind = OurNode if who == "ours" and apache.against() != "apache" else apache.ApacheNode
        with kind(tmp_path / who, port, properties(tmp_path, cordoned=False)) as node:
            r = recorder_of(node, first_timestamp)
            if who == first:
                r.create_in("one", "handed-on")
                for _ in range(30):
                    r.produce("handed-on", data)
                r.throttle("100000")
                r.alter(("two", "handed-on", [0]))
                size, lag, future = r.await_progress("two", "handed-on")
                assert future
                assert 0 < lag < 30
                assert size > 0
            else:
                wait_until_led(r, "handed-on", 1)
                assert r.places()["two"]["handed-on", 0][2]
                r.throttle(None)
                r.settled("handed-on")
                assert r.places()["two"]["handed-on", 0] == (30 * len(data), 0, False)
                assert ("handed-on", 0) not in r.places()["one"]
                reply = r.produce("handed-on", data)
                assert reply.responses[0].partition_responses[0].base_offset == 30
            r.close()
            node.stop() if ending == "stop" else node.kill()


def wait_until_led(r: Recorder, topic: str, partitions: int) -> None:
    """A node that has just started may still be electing its leaders."""
    deadline = time.monotonic() + 20
    rows = [{"partition_index": index, "timestamp": -1} for index in range(partitions)]
    while True:
        found = r.quiet(
            ApiKey.LIST_OFFSETS, 7, topics=[{"name": topic, "partitions": rows}], replica_id=-1
        )
        if all(row.error_code == 0 for row in found.topics[0].partitions):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
