"""CreateTopics, DeleteTopics, CreatePartitions: outcome, codes and Kafka's texts."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import Harness, directory

from kafka_py.protocol.errors import ErrorCode as E
from kafka_py.protocol.topics import (
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
)

Topic = CreateTopicsRequest.CreatableTopic
Config = CreateTopicsRequest.CreatableTopicConfig
Assignment = CreateTopicsRequest.CreatableReplicaAssignment


def topic(name: str, partitions: int = 1, factor: int = 1, **fields: Any) -> Topic:
    return Topic(name=name, num_partitions=partitions, replication_factor=factor, **fields)


def create(h: Harness, *topics: Topic, **fields: Any) -> list[Any]:
    return list(h.ask(CreateTopicsRequest(topics=list(topics), **fields)).topics)


def test_a_topic_is_there_when_the_answer_is() -> None:
    h = Harness()
    (row,) = create(h, topic("foo", 3, configs=[Config(name="retention.ms", value="1000")]))
    assert (row.error_code, row.error_message) == (0, None)
    assert (row.num_partitions, row.replication_factor) == (3, 1)
    image = h.image.topics["foo"]
    assert image.id == row.topic_id
    assert sorted(image.partitions) == [0, 1, 2]
    first = h.partition("foo")
    assert (first.replicas, first.isr, first.leader, first.leader_epoch) == ((1,), (1,), 1, 0)
    assert first.directories == (directory(1),)
    assert h.image.topic_config("foo") == {"retention.ms": "1000"}
    configs = {config.name: config for config in row.configs}
    assert (configs["retention.ms"].value, configs["retention.ms"].config_source) == ("1000", 1)
    assert (configs["cleanup.policy"].value, configs["cleanup.policy"].config_source) == (
        "delete",
        5,
    )
    assert [config.name for config in row.configs] == sorted(configs)


def test_defaults_and_validate_only() -> None:
    h = Harness(num_partitions=4)
    (row,) = create(h, topic("foo", -1, -1), validate_only=True)
    assert (row.error_code, row.num_partitions, row.replication_factor) == (0, 4, 1)
    assert not h.image.topics
    create(h, topic("foo", -1, -1))
    assert len(h.image.topics["foo"].partitions) == 4


@pytest.mark.parametrize(
    ("wanted", "code", "text"),
    [
        (topic(""), 17, "Topic name is invalid: the empty string is not allowed"),
        (topic(".."), 17, "Topic name is invalid: '..' is not allowed"),
        (
            topic("a/b"),
            17,
            "Topic name is invalid: 'a/b' contains one or more characters other than ASCII "
            "alphanumerics, '.', '_' and '-'",
        ),
        (topic("here.it.is"), 36, "Topic 'here.it.is' already exists."),
        (
            topic("here_it_is"),
            17,
            "Topic 'here_it_is' collides with existing topic: here.it.is",
        ),
        (
            topic("__cluster_metadata"),
            42,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            topic("t", 1, 2),
            38,
            "Unable to replicate the partition 2 time(s): The target replication factor of 2 "
            "cannot be reached because only 1 broker(s) are registered or some brokers have all "
            "their log directories cordoned.",
        ),
        (
            topic("t", 1, 0),
            38,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (topic("t", 0, 1), 37, "Number of partitions was set to an invalid non-positive value."),
        (topic("t", 10_001, 1), 44, "Excessively large number of partitions per request."),
        (
            topic("t", configs=[Config(name="a", value=None), Config(name="b", value=None)]),
            40,
            "Null value not supported for topic configs: a,b",
        ),
        (topic("t", configs=[Config(name="nope", value="1")]), 40, "Unknown topic config name: "),
        (
            topic("t", 1, -1, assignments=[Assignment(partition_index=0, broker_ids=[1])]),
            42,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            topic("t", -1, -1, assignments=[Assignment(partition_index=1, broker_ids=[1])]),
            39,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            topic("t", -1, -1, assignments=[Assignment(partition_index=0, broker_ids=[7])]),
            39,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (
            topic("t", -1, -1, assignments=[Assignment(partition_index=0, broker_ids=[1, 1])]),
            39,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
    ],
)
def test_refusals(wanted: Topic, code: int, text: str) -> None:
    h = Harness()
    create(h, topic("here.it.is"))
    before = h.node.store.end_offset
    (row,) = create(h, wanted)
    assert row.error_code == code
    assert row.error_message.startswith(text)
    assert h.node.store.end_offset == before
    assert list(h.image.topics) == ["here.it.is"]


def test_one_refusal_does_not_stop_the_others() -> None:
    h = Harness()
    rows = create(h, topic("a"), topic("b/"), topic("c"), topic("d"), topic("d"))
    assert [row.error_code for row in rows] == [0, E.INVALID_TOPIC_EXCEPTION, 0, E.INVALID_REQUEST]
    assert sorted(h.image.topics) == ["a", "c"]


def test_fenced_brokers_hold_no_new_leader() -> None:
    h = Harness(brokers=1)
    h.register(2)
    create(h, topic("t", 4, 2))
    for index in range(4):
        assert h.partition("t", index).replicas == (1, 2)
        assert h.partition("t", index).isr == (1,)


def test_leaders_are_spread_over_brokers_and_racks() -> None:
    h = Harness(brokers=0)
    for broker_id in range(1, 7):
        h.join(broker_id, rack=f"rack-{broker_id % 3}")
    create(h, topic("t", 60, 3))
    partitions = h.image.topics["t"].partitions.values()
    leaders = Counter(partition.leader for partition in partitions)
    assert set(leaders.values()) == {10}
    for partition in partitions:
        assert len({broker_id % 3 for broker_id in partition.replicas}) == 3


def test_delete_by_name_and_by_id() -> None:
    h = Harness()
    create(h, topic("a"), topic("b"), topic("c"))
    state = DeleteTopicsRequest.DeleteTopicState
    b_id = h.image.topics["b"].id
    request = DeleteTopicsRequest(
        topics=[
            state(name="a"),
            state(name=None, topic_id=b_id),
            state(name="nope"),
            state(name=None, topic_id=b"n" * 16),
            state(name=None),
            state(name="c", topic_id=b"n" * 16),
        ]
    )
    rows = h.ask(request).responses
    assert [(row.name, row.error_code) for row in rows] == [
        ("a", 0),
        ("b", 0),
        ("nope", E.UNKNOWN_TOPIC_OR_PARTITION),
        (None, E.UNKNOWN_TOPIC_ID),
        (None, E.INVALID_REQUEST),
        ("c", E.INVALID_REQUEST),
    ]
    assert list(h.image.topics) == ["c"]
    old = h.ask(DeleteTopicsRequest(topic_names=["c", "c2"]), 5)
    assert [row.error_code for row in old.responses] == [0, E.UNKNOWN_TOPIC_OR_PARTITION]
    assert not h.image.topics


def test_create_partitions() -> None:
    h = Harness()
    create(h, topic("a", 2))
    more = CreatePartitionsRequest.CreatePartitionsTopic
    manual = CreatePartitionsRequest.CreatePartitionsAssignment

    def add(count: int, **fields: Any) -> Any:
        wanted = more(name="a", count=count, assignments=fields.pop("assignments", None))
        return h.ask(CreatePartitionsRequest(topics=[wanted], **fields)).results[0]

    assert add(4, validate_only=True).error_code == 0
    assert len(h.image.topics["a"].partitions) == 2
    assert add(4).error_code == 0
    assert sorted(h.image.topics["a"].partitions) == [0, 1, 2, 3]
    row = add(4)
    assert (row.error_code, row.error_message) == (37, "Topic already has 4 partition(s).")
    row = add(3)
    assert row.error_message == (
        "The topic a currently has 4 partition(s); 3 would not be an increase."
    )
    row = add(6, assignments=[manual(broker_ids=[1])])
    assert row.error_message == (
        "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."
    )
    assert add(5, assignments=[manual(broker_ids=[1])]).error_code == 0
    unknown = more(name="nope", count=3, assignments=None)
    row = h.ask(CreatePartitionsRequest(topics=[unknown])).results[0]
    assert (row.error_code, row.error_message) == (E.UNKNOWN_TOPIC_OR_PARTITION, None)
