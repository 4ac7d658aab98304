"""Settings changed while a broker runs take effect at once, and last over a restart."""

import asyncio

import pytest

from kafka_py import Broker
from kafka_py.protocol.configs import (
    DescribeConfigsRequest,
    IncrementalAlterConfigsRequest,
)
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.topics import CreateTopicsRequest
from kafka_py.server.handlers.alter_configs import incremental_alter_configs
from kafka_py.server.handlers.describe_configs import describe_configs
from kafka_py.server.handlers.topics import create_topics
from tests.server.admin_node import context

TOPIC, BROKER = 2, 4
SET, DELETE = 0, 1


async def alter(node, kind, name, key, value):
    """(error code, message) of setting one key; None takes it away."""
    config = IncrementalAlterConfigsRequest.AlterableConfig(
        name=key, config_operation=DELETE if value is None else SET, value=value
    )
    request = IncrementalAlterConfigsRequest(
        resources=[
            IncrementalAlterConfigsRequest.AlterConfigsResource(
                resource_type=kind, resource_name=name, configs=[config]
            )
        ]
    )
    ctx = context(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1)
    row = (await incremental_alter_configs(node, ctx, request)).responses[0]
    return row.error_code, row.error_message


async def create(node, name):
    """A topic of one partition; its hosted partition."""
    topic = CreateTopicsRequest.CreatableTopic(name=name, num_partitions=1, replication_factor=1)
    request = CreateTopicsRequest(topics=[topic], timeout_ms=5000)
    reply = await create_topics(node, context(ApiKey.CREATE_TOPICS, 7), request)
    assert reply.topics[0].error_code == 0
    return node.replicas.partition(name, 0)


def source_of(node, topic, key):
    """(value, source) of a topic's key."""
    request = DescribeConfigsRequest(
        resources=[
            DescribeConfigsRequest.DescribeConfigsResource(
                resource_type=TOPIC, resource_name=topic, configuration_keys=[key]
            )
        ]
    )
    reply = describe_configs(node, context(ApiKey.DESCRIBE_CONFIGS, 4), request)
    entry = reply.results[0].configs[0]
    return entry.value, entry.config_source


@pytest.mark.parametrize("scope", ["1", ""])
def test_a_brokers_setting_reaches_logs_that_are_open(tmp_path, scope):
    async def run():
        async with Broker(data=tmp_path) as broker:
            node = broker.node
            partition = await create(node, "t")
            before = partition.log.config
            assert await alter(node, BROKER, scope, "log.retention.ms", "123456") == (0, None)
            assert partition.log.config.retention_ms == 123456
            assert source_of(node, "t", "retention.ms") == ("123456", 2 if scope else 3)
            assert await alter(node, BROKER, scope, "message.max.bytes", "7777") == (0, None)
            assert partition.log.config.max_message_bytes == 7777
            assert await alter(node, BROKER, scope, "log.retention.ms", None) == (0, None)
            assert partition.log.config.retention_ms == before.retention_ms
        async with Broker(data=tmp_path) as broker:
            assert broker.node.config["message.max.bytes"] == 7777
            assert broker.node.replicas.partition("t", 0).log.config.max_message_bytes == 7777

    asyncio.run(run())


def test_a_topics_setting_reaches_its_log_alone(tmp_path):
    async def run():
        async with Broker(data=tmp_path) as broker:
            node = broker.node
            one, two = await create(node, "one"), await create(node, "two")
            assert await alter(node, TOPIC, "one", "retention.bytes", "99") == (0, None)
            assert (one.log.config.retention_bytes, two.log.config.retention_bytes) == (99, -1)
            assert await alter(node, TOPIC, "one", "min.insync.replicas", "3") == (0, None)
            assert (one.min_isr_setting, two.min_isr_setting) == (3, 1)
            code, message = await alter(node, TOPIC, "one", "retention.bytes", "x")
            assert (code, message) == (
                40, "Invalid value x for configuration retention.bytes: Not a number of type LONG",
            )  # fmt: skip

    asyncio.run(run())


def test_a_brokers_setting_reaches_the_compiled_path():
    async def run():
        async with Broker() as broker:
            fast = broker._fast
            assert (fast.inline_bytes_max, fast.inline_us_max) == (512 * 1024, 3000)
            key = "kafka_py.check.inline.max."
            assert await alter(broker.node, BROKER, "", f"{key}bytes", "1000") == (0, None)
            assert await alter(broker.node, BROKER, "1", f"{key}us", "7") == (0, None)
            assert (fast.inline_bytes_max, fast.inline_us_max) == (1000, 7)
            code, _ = await alter(broker.node, BROKER, "1", f"{key}us", "-1")
            assert (code, fast.inline_us_max) == (42, 7)

    asyncio.run(run())
