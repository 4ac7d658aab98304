"""Apache's broker on directories that ours wrote, and ours on Apache's: there and back again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.types import uuid_to_text
from tests.oracle import apache, workload
from tests.oracle.node import Node, OurNode, free_port_pair
from tests.oracle.raw import Recorder, batch

PROPERTIES = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200"}

#: Who serves the directory in turn, and how each ends.
CHAINS = {
    "ours-first": [
        ("ours", "stop"), ("apache", "stop"), ("ours", "kill"), ("apache", "kill"),
        ("ours", "stop"),
    ],
    "apache-first": [
        ("apache", "stop"), ("ours", "stop"), ("apache", "kill"), ("ours", "kill"),
        ("apache", "stop"),
    ],
}  # fmt: skip


@dataclass
class Known:
    """What the directory holds, by the one that served it last."""

    first_timestamp: int
    records: dict[tuple[str, int], bytes] = field(default_factory=dict)
    topic_ids: dict[str, str] = field(default_factory=dict)
    configs: dict[str, dict[str, str | None]] = field(default_factory=dict)
    cluster_id: str = ""
    last_sent: workload.Sent | None = None
    round: int = 0


def look(recorder: Recorder) -> tuple[str, dict[str, str], dict[str, dict[str, str | None]]]:
    """Cluster id, topic ids and the configs that were set, as the node tells them."""
    topics = [{"name": name} for name in workload.TOPICS]
    reply = recorder.quiet(ApiKey.METADATA, 12, topics=topics)
    ids = {t.name: uuid_to_text(t.topic_id) for t in reply.topics}
    cluster = recorder.quiet(ApiKey.DESCRIBE_CLUSTER, 0).cluster_id
    rows = [
        {"resource_type": 2, "resource_name": name, "configuration_keys": None}
        for name in workload.TOPICS
    ]
    found = recorder.quiet(ApiKey.DESCRIBE_CONFIGS, 4, resources=rows)
    configs = {
        r.resource_name: {c.name: c.value for c in r.configs if c.config_source == 1}
        for r in found.results
    }
    return cluster, ids, configs


def read_when_ready(recorder: Recorder, timeout_s: float = 20.0) -> dict[tuple[str, int], bytes]:
    """All records; a node that has just started may still be electing its leaders."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return workload.read_all(recorder)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def append(recorder: Recorder, known: Known) -> None:
    """One more batch to each topic, a change of a config, and a retry of an old batch."""
    known.round += 1
    rows = [(b"round", b"%d" % known.round)]
    for topic in workload.TOPICS:
        data = batch(rows, first_timestamp=known.first_timestamp + 100_000 * known.round)
        row = {"index": 0, "records": data.hex()}
        target = [{"name": topic, "partition_data": [row]}]
        reply = recorder.quiet(ApiKey.PRODUCE, 12, acks=-1, timeout_ms=10_000, topic_data=target)
        assert reply.responses[0].partition_responses[0].error_code == 0, reply
    config = {"name": "retention.ms", "config_operation": 0, "value": str(10**9 + known.round)}
    resource = {"resource_type": 2, "resource_name": "w-dense", "configs": [config]}
    reply = recorder.quiet(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, resources=[resource])
    assert reply.responses[0].error_code == 0, reply
    sent = known.last_sent
    assert sent is not None
    row = {"index": 0, "records": sent.data.hex()}
    target = [{"name": sent.topic, "partition_data": [row]}]
    reply = recorder.quiet(ApiKey.PRODUCE, 12, acks=-1, timeout_ms=10_000, topic_data=target)
    found = reply.responses[0].partition_responses[0]
    assert (found.error_code, found.base_offset) == (0, sent.base_offset), "a retry of a batch"


def check(recorder: Recorder, known: Known, who: str) -> None:
    """All that was known is still so."""
    deadline = time.monotonic() + 30
    # Apache's broker that was killed begins with the high watermark that it had last written down.
    while (records := read_when_ready(recorder)) != known.records and time.monotonic() < deadline:
        time.sleep(0.1)
    assert records.keys() == known.records.keys()
    for where, data in known.records.items():
        assert records[where] == data, (who, where, len(records[where]), len(data))
    cluster, ids, configs = look(recorder)
    assert cluster == known.cluster_id
    assert ids == known.topic_ids
    assert configs == known.configs


@pytest.mark.timeout(240)
@pytest.mark.parametrize("chain", list(CHAINS))
def test_there_and_back(chain: str, tmp_path: Path, oracle_classpath: str) -> None:
    """Records to the byte, topic ids, configs, cluster id and producers' sequences survive."""
    port = free_port_pair()
    known = Known(int(time.time() * 1000) - 3_600_000)
    for turn, (who, end) in enumerate(CHAINS[chain]):
        kind = OurNode if who == "ours" and apache.against() != "apache" else apache.ApacheNode
        settings = {**PROPERTIES, "log.dirs": str(tmp_path / "data")}
        node: Node = kind(tmp_path / f"{turn}-{who}", port, settings)
        with node:
            recorder = Recorder(port, known.first_timestamp)
            if turn == 0:
                sent = workload.run(recorder)
                known.last_sent = [s for s in sent if s.topic == "w-idempotent"][-2]
            else:
                check(recorder, known, f"turn {turn}: {who}")
                append(recorder, known)
            recorder.settle()
            known.records = workload.read_all(recorder)
            known.cluster_id, known.topic_ids, known.configs = look(recorder)
            recorder.close()
            if end == "stop":
                node.stop()
            else:
                node.kill()
    assert known.round == len(CHAINS[chain]) - 1
