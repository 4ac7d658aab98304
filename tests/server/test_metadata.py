"""Metadata and DescribeTopicPartitions, as Apache Kafka 4.3.1 answers them."""

import asyncio
import inspect

import pytest

from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.metadata import (
    DescribeTopicPartitionsRequest,
    MetadataRequest,
    MetadataResponse,
)
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.types import ZERO_UUID
from kafka_py.server.handlers.describe_topic_partitions import describe_topic_partitions
from kafka_py.server.handlers.metadata import metadata
from tests.server.admin_node import AdminNode, context

VERSIONS = range(14)


def ask(node, version, topics=None, **fields):
    """The decoded answer; ``topics`` are names or ids."""
    entries = None
    if topics is not None:
        entries = []
        for topic in topics:
            entry = MetadataRequest.MetadataRequestTopic()
            if isinstance(topic, bytes):
                entry.name, entry.topic_id = None, topic
            else:
                entry.name = topic
            entries.append(entry)
    request = MetadataRequest(topics=entries, **fields)
    reply = metadata(node, context(ApiKey.METADATA, version), request)
    if inspect.isawaitable(reply):
        reply = asyncio.run(reply)
    return MetadataResponse.decode(b"".join(reply.encode_parts(version)), version)


@pytest.fixture
def node():
    made = AdminNode()
    made.add_topic("b", 2, partitions=2)
    made.add_topic("a", 1)
    made.add_topic("__consumer_offsets", 9)
    return made


@pytest.mark.parametrize("version", VERSIONS)
def test_all_topics_in_every_version(node, version):
    reply = ask(node, version, [] if version == 0 else None)
    assert [topic.name for topic in reply.topics] == ["__consumer_offsets", "a", "b"]
    a = reply.topics[1]
    assert a.error_code == 0
    assert a.topic_id == (b"\1" * 16 if version >= 10 else ZERO_UUID)
    assert reply.topics[0].is_internal == (version >= 1)
    partition = reply.topics[2].partitions[1]
    assert (partition.partition_index, partition.leader_id) == (1, 1)
    assert partition.leader_epoch == (3 if version >= 7 else -1)
    assert (partition.replica_nodes, partition.isr_nodes) == ([1], [1])
    assert [(b.node_id, b.host, b.port) for b in reply.brokers] == [(1, "127.0.0.1", 9092)]
    assert reply.cluster_id == ("cluster-of-the-test" if version >= 2 else None)
    assert reply.controller_id == (1 if version >= 1 else -1)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_no_topics(node, version):
    reply = ask(node, version, [])
    assert reply.topics == []
    assert len(reply.brokers) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_topic_twice_is_answered_once_in_the_order_asked(node, version):
    reply = ask(node, version, ["b", "a", "b"])
    assert [topic.name for topic in reply.topics] == ["b", "a"]


def test_what_is_encoded_once_changes_with_the_metadata(node):
    assert len(ask(node, 12, ["a"]).topics[0].partitions) == 1
    node.add_topic("c", 3)
    assert [t.name for t in ask(node, 12).topics] == ["__consumer_offsets", "a", "b", "c"]
    node.apply(r.RemoveTopicRecord(topic_id=b"\1" * 16))
    assert [t.name for t in ask(node, 12).topics] == ["__consumer_offsets", "b", "c"]
    node.add_topic("a", 7, partitions=3)
    again = ask(node, 12, ["a"]).topics[0]
    assert (again.topic_id, len(again.partitions)) == (b"\7" * 16, 3)
    assert ask(node, 12, ["b"]).topics[0].partitions[0].offline_replicas == []
    node.apply(r.FenceBrokerRecord(id=1, epoch=1))
    fenced = ask(node, 12, ["b"])
    assert fenced.brokers == []
    assert fenced.controller_id == -1
    assert fenced.topics[0].partitions[0].offline_replicas == [1]


def test_a_missing_topic_is_not_created_unless_asked(node):
    for version in (4, 9, 13):
        reply = ask(node, version, ["zz", "bad name"], allow_auto_topic_creation=False)
        assert [(t.name, t.error_code) for t in reply.topics] == [
            ("zz", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            ("bad name", ErrorCode.INVALID_TOPIC_EXCEPTION),
        ]
    assert node.created == []


def test_a_missing_topic_is_created(node):
    reply = ask(node, 12, ["a", "zz", "bad name"])
    assert node.created == ["zz"]
    assert [(t.name, t.error_code, t.topic_id) for t in reply.topics] == [
        ("a", 0, b"\1" * 16),
        ("zz", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ZERO_UUID),
        ("bad name", ErrorCode.INVALID_TOPIC_EXCEPTION, ZERO_UUID),
    ]


def test_nothing_is_created_where_the_broker_forbids_it():
    node = AdminNode(auto_create_topics_enable="false")
    assert ask(node, 12, ["zz"]).topics[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert node.created == []


@pytest.mark.parametrize("version", [12, 13])
def test_by_id(node, version):
    reply = ask(node, version, [b"\x55" * 16, b"\2" * 16])
    assert [(t.error_code, t.name, t.topic_id) for t in reply.topics] == [
        (ErrorCode.UNKNOWN_TOPIC_ID, None, b"\x55" * 16),
        (0, "b", b"\2" * 16),
    ]


def test_names_are_passed_over_where_an_id_is_given(node):
    assert [t.name for t in ask(node, 12, ["a", b"\2" * 16, "zz"]).topics] == ["b"]
    assert node.created == []


@pytest.mark.parametrize("version", [10, 11])
def test_ids_came_with_version_12(node, version):
    reply = ask(node, version, [b"\2" * 16])
    assert [(t.error_code, t.topic_id) for t in reply.topics] == [
        (ErrorCode.INVALID_REQUEST, b"\2" * 16)
    ]
    assert reply.brokers == []


def test_an_entry_that_names_nothing_refuses_the_request(node):
    reply = ask(node, 13, [ZERO_UUID, "a"])
    assert reply.error_code == ErrorCode.INVALID_REQUEST
    assert [t.error_code for t in reply.topics] == [ErrorCode.INVALID_REQUEST] * 2


def test_authorized_operations(node):
    given = ask(node, 9, ["a"], include_topic_authorized_operations=True)
    assert given.topics[0].topic_authorized_operations == 3576
    assert ask(node, 9, ["a"]).topics[0].topic_authorized_operations == -(1 << 31)
    assert (
        ask(node, 9, include_cluster_authorized_operations=True).cluster_authorized_operations
        == 8096
    )


def test_a_leader_that_clients_cannot_reach(node):
    node.add_broker(2, 9094, listener="OTHER")
    node.add_topic("there", 4, replicas=(2, 1), leader=2)
    node.add_topic("nobody", 5, replicas=(2, 1), leader=-1)
    for version, error in (
        (0, ErrorCode.LEADER_NOT_AVAILABLE),
        (5, ErrorCode.LEADER_NOT_AVAILABLE),
        (6, ErrorCode.LISTENER_NOT_FOUND),
        (13, ErrorCode.LISTENER_NOT_FOUND),
    ):
        there, nobody = (t.partitions[0] for t in ask(node, version, ["there", "nobody"]).topics)
        assert (there.error_code, there.leader_id) == (error, -1)
        assert nobody.error_code == ErrorCode.LEADER_NOT_AVAILABLE
        assert there.replica_nodes == ([1] if version == 0 else [2, 1])
        assert there.offline_replicas == ([2] if version >= 5 else [])


def test_version_0_says_that_a_replica_is_away(node):
    node.add_broker(2, 9094, listener="OTHER")
    node.add_topic("half", 4, replicas=(1, 2), leader=1)
    assert ask(node, 0, ["half"]).topics[0].partitions[0].error_code == (
        ErrorCode.REPLICA_NOT_AVAILABLE
    )
    assert ask(node, 1, ["half"]).topics[0].partitions[0].error_code == 0


def test_a_rack_and_a_second_broker(node):
    node.add_broker(2, 9094, rack="r2")
    assert [(b.node_id, b.rack) for b in ask(node, 12, []).brokers] == [(1, None), (2, "r2")]


# ------------------------------------------------------------------------- DescribeTopicPartitions


def page(node, names, cursor=None, limit=2000):
    """(topics, cursor) of one answer."""
    request = DescribeTopicPartitionsRequest(
        topics=[DescribeTopicPartitionsRequest.TopicRequest(name=name) for name in names],
        response_partition_limit=limit,
        cursor=None
        if cursor is None
        else DescribeTopicPartitionsRequest.Cursor(topic_name=cursor[0], partition_index=cursor[1]),
    )
    reply = describe_topic_partitions(node, context(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0), request)
    reply = type(reply).decode(reply.encode(0), 0)
    following = reply.next_cursor
    return (
        [(t.name, t.error_code, [p.partition_index for p in t.partitions]) for t in reply.topics],
        None if following is None else (following.topic_name, following.partition_index),
    )


def test_pages_follow_one_another(node):
    topics, cursor = page(node, ["b", "a"], limit=2)
    assert topics == [("a", 0, [0]), ("b", 0, [0])]
    assert cursor == ("b", 1)
    topics, cursor = page(node, ["b", "a"], cursor, limit=2)
    assert topics == [("b", 0, [1])]
    assert cursor is None


def test_all_topics_are_paged_by_name(node):
    assert page(node, []) == (
        [("__consumer_offsets", 0, [0]), ("a", 0, [0]), ("b", 0, [0, 1])],
        None,
    )
    assert page(node, [], ("aa", 0)) == ([("b", 0, [0, 1])], None)
    assert page(node, [], limit=0) == ([("__consumer_offsets", 0, [0])], ("a", 0))


def test_the_brokers_limit_counts_too():
    node = AdminNode(max_request_partition_size_limit="1")
    node.add_topic("a", 1, partitions=2)
    assert page(node, ["a"]) == ([("a", 0, [0])], ("a", 1))


def test_missing_topics(node):
    assert page(node, ["zz", "a", "b d", ""])[0] == [
        ("", ErrorCode.INVALID_TOPIC_EXCEPTION, []),
        ("a", 0, [0]),
        ("b d", ErrorCode.INVALID_TOPIC_EXCEPTION, []),
        ("zz", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, []),
    ]


@pytest.mark.parametrize("cursor", [("aa", 0), ("b", -1)])
def test_a_cursor_that_fits_nothing(node, cursor):
    assert page(node, ["b", "a"], cursor) == (
        [("b", ErrorCode.INVALID_REQUEST, []), ("a", ErrorCode.INVALID_REQUEST, [])],
        None,
    )
