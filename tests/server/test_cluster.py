"""DescribeCluster, DescribeLogDirs, DescribeQuorum, DeleteTopics' switch, and what is passed on."""

# ruff: noqa: E501 (the texts are whole, as Kafka prints them)

import asyncio
import os
from types import SimpleNamespace

import pytest

from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.brokers import UnregisterBrokerRequest
from kafka_py.protocol.cluster import (
    DescribeClusterRequest,
    DescribeLogDirsRequest,
    UpdateFeaturesRequest,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.quorum import DescribeQuorumRequest, DescribeQuorumResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.topics import (
    AlterPartitionReassignmentsRequest,
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    ElectLeadersRequest,
    ListPartitionReassignmentsRequest,
)
from kafka_py.server.dispatch import CONTROLLER
from kafka_py.server.handlers import features, quorum, topics
from kafka_py.server.handlers.cluster import describe_cluster
from kafka_py.server.handlers.log_dirs import describe_log_dirs
from tests.server.admin_node import AdminNode, context


@pytest.fixture
def node():
    made = AdminNode()
    made.add_broker(2, 9094, rack="r2")
    made.add_broker(3, 9096, fenced=True)
    made.apply(
        r.RegisterControllerRecord(
            controller_id=1,
            end_points=[
                r.RegisterControllerRecord.ControllerEndpoint(
                    name="CONTROLLER", host="127.0.0.1", port=9093, security_protocol=0
                )
            ],
        )
    )
    return made


def cluster(node, version, *, on_controller=False, **fields):
    """The decoded answer of DescribeCluster."""
    ctx = context(ApiKey.DESCRIBE_CLUSTER, version)
    if on_controller:
        ctx = context(ApiKey.DESCRIBE_CLUSTER, version, role=CONTROLLER, listener="CONTROLLER")
    reply = describe_cluster(node, ctx, DescribeClusterRequest(**fields))
    return type(reply).decode(reply.encode(version), version)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_brokers(node, version):
    reply = cluster(node, version, include_cluster_authorized_operations=True)
    assert [(b.broker_id, b.port, b.rack, b.is_fenced) for b in reply.brokers] == [
        (1, 9092, None, False),
        (2, 9094, "r2", False),
    ]
    assert (reply.cluster_id, reply.controller_id) == ("cluster-of-the-test", 1)
    assert reply.cluster_authorized_operations == 8096
    assert reply.endpoint_type == 1


def test_fenced_brokers_where_asked(node):
    reply = cluster(node, 2, include_fenced_brokers=True)
    assert [(b.broker_id, b.is_fenced) for b in reply.brokers] == [
        (1, False), (2, False), (3, True),
    ]  # fmt: skip


def test_the_controllers(node):
    reply = cluster(node, 2, on_controller=True, endpoint_type=2)
    assert [(b.broker_id, b.port) for b in reply.brokers] == [(1, 9093)]
    assert (reply.endpoint_type, reply.controller_id) == (2, 1)


@pytest.mark.parametrize(
    ("asked", "on_controller", "code", "message"),
    [
        (2, False, 114, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"),
        (1, True, 114, "The request was sent to an endpoint of type CONTROLLER, but we wanted an endpoint of type BROKER"),
        (9, False, 115, "Unsupported endpoint type 9"),
    ],
)  # fmt: skip
def test_the_wrong_kind_of_node(node, asked, on_controller, code, message):
    reply = cluster(node, 1, on_controller=on_controller, endpoint_type=asked)
    assert (reply.error_code, reply.error_message, reply.brokers) == (code, message, [])


# ------------------------------------------------------------------------------------ DescribeLogDirs


def host(node, directory, topic, index, size_bytes, *, high_watermark=0, end=0):
    """A hosted partition."""
    log = SimpleNamespace(size_bytes=size_bytes, log_end_offset=end)
    node.hosted.append(
        SimpleNamespace(
            topic=topic, index=index, log=log, directory=directory, high_watermark=high_watermark
        )
    )


def log_dirs(node, version, wanted=None):
    """The decoded results of DescribeLogDirs; ``wanted`` is {topic: indexes}."""
    entries = None
    if wanted is not None:
        entry = DescribeLogDirsRequest.DescribableLogDirTopic
        entries = [entry(topic=name, partitions=indexes) for name, indexes in wanted.items()]
    ctx = context(ApiKey.DESCRIBE_LOG_DIRS, version)
    reply = describe_log_dirs(node, ctx, DescribeLogDirsRequest(topics=entries))
    return type(reply).decode(reply.encode(version), version).results


def shown(result):
    """{topic: [(index, size, lag)]}."""
    return {
        topic.name: [(p.partition_index, p.partition_size, p.offset_lag) for p in topic.partitions]
        for topic in result.topics
    }


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_log_directories(node, tmp_path, version):
    first = SimpleNamespace(path=tmp_path, offline=False)
    second = SimpleNamespace(path=tmp_path / "second", offline=True)
    node.log_dirs = [first, second]
    host(node, first, "b", 1, 10)
    host(node, first, "b", 0, 20, high_watermark=7, end=5)
    host(node, first, "a", 0, 30)
    host(node, second, "a", 1, 40)
    good, failed = log_dirs(node, version)
    assert (good.error_code, good.log_dir) == (0, str(tmp_path))
    assert shown(good) == {"a": [(0, 30, 0)], "b": [(0, 20, 2), (1, 10, 0)]}
    assert (failed.error_code, failed.topics) == (ErrorCode.KAFKA_STORAGE_ERROR, [])
    if version >= 4:
        space = os.statvfs(tmp_path)
        assert good.total_bytes == space.f_blocks * space.f_frsize
        assert 0 < good.usable_bytes <= good.total_bytes
    assert shown(log_dirs(node, version, {"b": [1, 9], "zz": [0]})[0]) == {"b": [(1, 10, 0)]}
    assert shown(log_dirs(node, version, {})[0]) == {}


def test_a_cordoned_directory(tmp_path):
    node = AdminNode(log_dirs=str(tmp_path), cordoned_log_dirs="*")
    node.log_dirs = [SimpleNamespace(path=tmp_path, offline=False)]
    assert [d.is_cordoned for d in log_dirs(node, 5)] == [True]


# ------------------------------------------------------------------------------------- DescribeQuorum


def describe(node, *named):
    """The answer about these (topic, indexes)."""
    request = DescribeQuorumRequest(
        topics=[
            DescribeQuorumRequest.TopicData(
                topic_name=name,
                partitions=[
                    DescribeQuorumRequest.PartitionData(partition_index=i) for i in indexes
                ],
            )
            for name, indexes in named
        ]
    )
    ctx = context(ApiKey.DESCRIBE_QUORUM, 2)
    return asyncio.run(quorum.describe_quorum(node, ctx, request))


def test_the_metadata_quorum_is_the_controllers(node):
    prepared = DescribeQuorumResponse()
    node.replies.append(prepared)
    assert describe(node, ("__cluster_metadata", [0])) is prepared
    assert len(node.submitted) == 1


@pytest.mark.parametrize(
    "named",
    [
        [("a", [0])],
        [("__cluster_metadata", [1])],
        [("__cluster_metadata", [0, 1])],
        [("__cluster_metadata", [0]), ("a", [0])],
    ],
)
def test_no_other_quorum(node, named):
    reply = describe(node, *named)
    codes = [p.error_code for topic in reply.topics for p in topic.partitions]
    assert codes == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * sum(len(i) for _, i in named)
    assert [topic.topic_name for topic in reply.topics] == [name for name, _ in named]
    assert node.submitted == []


def test_nothing_asked_nothing_answered(node):
    reply = describe(node)
    assert (reply.error_code, reply.topics, reply.nodes) == (0, [], [])


# ------------------------------------------------------------------------------------------ passed on


@pytest.mark.parametrize(
    ("handler", "key", "request_class"),
    [
        (topics.create_topics, ApiKey.CREATE_TOPICS, CreateTopicsRequest),
        (topics.delete_topics, ApiKey.DELETE_TOPICS, DeleteTopicsRequest),
        (topics.create_partitions, ApiKey.CREATE_PARTITIONS, CreatePartitionsRequest),
        (topics.elect_leaders, ApiKey.ELECT_LEADERS, ElectLeadersRequest),
        (
            topics.alter_partition_reassignments,
            ApiKey.ALTER_PARTITION_REASSIGNMENTS,
            AlterPartitionReassignmentsRequest,
        ),
        (
            topics.list_partition_reassignments,
            ApiKey.LIST_PARTITION_REASSIGNMENTS,
            ListPartitionReassignmentsRequest,
        ),
        (features.update_features, ApiKey.UPDATE_FEATURES, UpdateFeaturesRequest),
        (features.unregister_broker, ApiKey.UNREGISTER_BROKER, UnregisterBrokerRequest),
    ],
)
def test_the_controller_answers(node, handler, key, request_class):
    request, prepared = request_class(), object()
    node.replies.append(prepared)
    assert asyncio.run(handler(node, context(key, 0), request)) is prepared
    assert node.submitted == [request]


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (1, ErrorCode.INVALID_REQUEST),
        (3, ErrorCode.TOPIC_DELETION_DISABLED),
        (6, ErrorCode.TOPIC_DELETION_DISABLED),
    ],
)
def test_topics_that_may_not_be_deleted(version, code):
    node = AdminNode(delete_topic_enable="false")
    request = DeleteTopicsRequest(topic_names=["a", "b"])
    if version >= 6:
        state = DeleteTopicsRequest.DeleteTopicState
        request = DeleteTopicsRequest(topics=[state(name="a"), state(topic_id=b"\2" * 16)])
    ctx = context(ApiKey.DELETE_TOPICS, version)
    reply = asyncio.run(topics.delete_topics(node, ctx, request))
    reply = type(reply).decode(reply.encode(version), version)
    assert [row.error_code for row in reply.responses] == [code, code]
    assert reply.responses[0].name == "a"
    assert node.submitted == []
