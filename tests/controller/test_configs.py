"""IncrementalAlterConfigs and AlterConfigs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import Harness

from kafka_py.protocol.configs import AlterConfigsRequest, IncrementalAlterConfigsRequest
from kafka_py.protocol.topics import CreateTopicsRequest

SET, DELETE, APPEND, SUBTRACT = range(4)


@pytest.fixture
def h() -> Harness:
    harness = Harness()
    topic = CreateTopicsRequest.CreatableTopic(name="t", num_partitions=1, replication_factor=1)
    harness.ask(CreateTopicsRequest(topics=[topic]))
    return harness


def alter(
    h: Harness, kind: int, name: str, *changes: tuple[str, int, str | None], **fields: Any
) -> Any:
    request = IncrementalAlterConfigsRequest
    resource = request.AlterConfigsResource(
        resource_type=kind,
        resource_name=name,
        configs=[
            request.AlterableConfig(name=key, config_operation=operation, value=value)
            for key, operation, value in changes
        ],
    )
    return h.ask(request(resources=[resource], **fields)).responses[0]


def test_set_append_subtract_delete(h: Harness) -> None:
    assert alter(h, 2, "t", ("retention.ms", SET, "5"), ("segment.ms", SET, "7")).error_code == 0
    assert h.image.topic_config("t") == {"retention.ms": "5", "segment.ms": "7"}
    assert alter(h, 2, "t", ("retention.ms", DELETE, None)).error_code == 0
    alter(h, 2, "t", ("cleanup.policy", APPEND, "compact"))
    assert h.image.topic_config("t")["cleanup.policy"] == "delete,compact"
    alter(h, 2, "t", ("cleanup.policy", SUBTRACT, "delete"))
    assert h.image.topic_config("t") == {"segment.ms": "7", "cleanup.policy": "compact"}


def test_validate_only_and_unchanged_values_write_nothing(h: Harness) -> None:
    alter(h, 2, "t", ("retention.ms", SET, "5"))
    end = h.node.store.end_offset
    assert alter(h, 2, "t", ("retention.ms", SET, "6"), validate_only=True).error_code == 0
    assert alter(h, 2, "t", ("retention.ms", SET, "5")).error_code == 0
    assert h.node.store.end_offset == end
    # A broker reloads at every record, so that one is written (KAFKA-14136).
    alter(h, 4, "", ("log.retention.ms", SET, "10000"))
    alter(h, 4, "", ("log.retention.ms", SET, "10000"))
    assert h.node.store.end_offset == end + 2


@pytest.mark.parametrize(
    ("kind", "name", "change", "code", "text"),
    [
        (2, "no", ("retention.ms", SET, "5"), 3, "The topic 'no' does not exist."),
        (2, "", ("retention.ms", SET, "5"), 42, "Default topic resources are not allowed."),
        (2, "a b", ("retention.ms", SET, "5"), 17, "Topic name is invalid: 'a b' contains"),
        (2, "t", ("nope", SET, "5"), 40, "Unknown topic config name: nope"),
        (
            2,
            "t",
            ("retention.ms", SET, "x"),
            40,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (2, "t", ("retention.ms", SET, None), 42, "Null value not supported for : retention.ms"),
        (
            2,
            "t",
            ("retention.ms", APPEND, "5"),
            40,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (2, "t", ("retention.ms", 9, "5"), 42, "Unknown config operation type 9"),
        (4, "x", ("log.retention.ms", SET, "5"), 42, "Node id must be an integer, but it is: x"),
        (4, "7", ("log.retention.ms", SET, "5"), 102, "No node with id 7 found."),
        (4, "", ("node.id", SET, "5"), 42, "Cannot update these configs dynamically"),
        (
            4,
            "",
            ("min.insync.replicas", DELETE, None),
            40,
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
        ),
        (
            4,
            "1",
            ("min.insync.replicas", SET, "1"),
            40,
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
        ),
        (99, "x", ("a", SET, "5"), 42, "Unknown resource type 99"),
    ],
)
def test_refusals(
    h: Harness, kind: int, name: str, change: tuple[str, int, str | None], code: int, text: str
) -> None:
    before = dict(h.image.configs)
    row = alter(h, kind, name, change)
    assert row.error_code == code
    assert row.error_message.startswith(text)
    assert dict(h.image.configs) == before


def test_the_old_api_replaces_everything(h: Harness) -> None:
    alter(h, 2, "t", ("retention.ms", SET, "5"), ("segment.ms", SET, "7"))
    request = AlterConfigsRequest
    resource = request.AlterConfigsResource(
        resource_type=2,
        resource_name="t",
        configs=[request.AlterableConfig(name="retention.bytes", value="9")],
    )
    assert h.ask(request(resources=[resource])).responses[0].error_code == 0
    assert h.image.topic_config("t") == {"retention.bytes": "9"}
    rows = h.ask(request(resources=[resource, resource])).responses
    assert [row.error_code for row in rows] == [42, 42]


def test_min_insync_replicas_clears_what_was_eligible(h: Harness) -> None:
    end = h.node.store.end_offset
    alter(h, 2, "t", ("min.insync.replicas", SET, "2"))
    assert h.node.store.end_offset == end + 2  # the config and a ClearElrRecord
