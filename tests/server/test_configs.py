"""DescribeConfigs, IncrementalAlterConfigs, AlterConfigs and ListConfigResources.

The expected rows are what Apache Kafka 4.3.1 answers to the same requests.
"""

# ruff: noqa: E501 (the texts are whole, as Kafka prints them)

import asyncio
import logging

import pytest

from kafka_py.config.broker import KAFKA_KEYS
from kafka_py.protocol.configs import (
    AlterConfigsRequest,
    AlterConfigsResponse,
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
    ListConfigResourcesRequest,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.handlers.alter_configs import alter_configs, incremental_alter_configs
from kafka_py.server.handlers.describe_configs import describe_configs
from kafka_py.server.handlers.list_config_resources import list_config_resources
from tests.server.admin_node import AdminNode, context

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)


def describe(node, kind, name, keys=None, version=4, synonyms=True, documentation=False):
    """(error code, message, {key: (value, read only, source, sensitive, synonyms, type)})."""
    request = DescribeConfigsRequest(
        resources=[
            DescribeConfigsRequest.DescribeConfigsResource(
                resource_type=kind, resource_name=name, configuration_keys=keys
            )
        ],
        include_synonyms=synonyms,
        include_documentation=documentation,
    )
    reply = describe_configs(node, context(ApiKey.DESCRIBE_CONFIGS, version), request)
    result = DescribeConfigsResponse.decode(reply.encode(version), version).results[0]
    assert (result.resource_type, result.resource_name) == (kind, name)
    rows = {
        e.name: (
            e.value,
            e.read_only,
            e.config_source,
            e.is_sensitive,
            [(s.name, s.value, s.source) for s in e.synonyms],
            e.config_type,
        )
        for e in result.configs
    }
    return result.error_code, result.error_message, rows


@pytest.fixture
def node():
    made = AdminNode()
    made.add_topic("a", 1)
    return made


def test_a_topic_without_settings(node):
    code, _, rows = describe(
        node, TOPIC, "a", ["retention.ms", "cleanup.policy", "max.message.bytes", "flush.ms"]
    )
    assert code == 0
    assert rows == {
        "cleanup.policy": ("delete", False, 5, False, [("log.cleanup.policy", "delete", 5)], 7),
        "flush.ms": ("9223372036854775807", False, 5, False, [], 5),
        "max.message.bytes": (
            "1048588", False, 5, False, [("message.max.bytes", "1048588", 5)], 3,
        ),
        "retention.ms": ("604800000", False, 5, False, [], 5),
    }  # fmt: skip
    assert len(describe(node, TOPIC, "a")[2]) == 33
    assert len(describe(node, TOPIC, "a", [])[2]) == 33


def test_a_topics_value_and_everything_behind_it(node):
    node.set_config(TOPIC, "a", "retention.ms", "77")
    node.set_config(BROKER, "1", "log.retention.ms", "50000")
    node.set_config(BROKER, "", "log.retention.ms", "60000")
    assert describe(node, TOPIC, "a", ["retention.ms"])[2] == {
        "retention.ms": (
            "77",
            False,
            1,
            False,
            [
                ("retention.ms", "77", 1),
                ("log.retention.ms", "50000", 2),
                ("log.retention.ms", "60000", 3),
                ("log.retention.hours", "168", 5),
            ],
            5,
        )
    }
    assert describe(node, TOPIC, "a", ["retention.ms"], synonyms=False)[2]["retention.ms"][4] == []
    node.set_config(TOPIC, "a", "retention.ms", None)
    assert describe(node, TOPIC, "a", ["retention.ms"])[2]["retention.ms"][:3] == (
        "50000", False, 2,
    )  # fmt: skip


def test_an_internal_key_shows_where_it_is_set(node):
    assert "internal.segment.bytes" not in describe(node, TOPIC, "a")[2]
    node.set_config(TOPIC, "a", "internal.segment.bytes", "1000")
    assert describe(node, TOPIC, "a")[2]["internal.segment.bytes"][0] == "1000"


def test_topics_that_are_not_there(node):
    assert describe(node, TOPIC, "zz")[0] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    code, message, _ = describe(node, TOPIC, "b z")
    assert code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert message == (
        "Topic name is invalid: 'b z' contains one or more characters other than ASCII "
        "alphanumerics, '.', '_' and '-'"
    )


def test_this_broker(node):
    node = AdminNode(ssl_key_password="s3cret", log_retention_hours="5", custom_thing="x")
    node.set_config(BROKER, "", "log.retention.ms", "60000")
    node.set_config(BROKER, "1", "listener.name.plaintext.max.connections", "400")
    _, _, rows = describe(node, BROKER, "1")
    assert rows["broker.id"] == (
        "1", True, 4, False, [("broker.id", "1", 4), ("broker.id", "-1", 5)], 3,
    )  # fmt: skip
    assert rows["ssl.key.password"] == (
        None, False, 4, True, [("ssl.key.password", None, 4)], 9,
    )  # fmt: skip
    assert rows["advertised.listeners"] == (None, True, 5, False, [], 7)
    assert rows["log.flush.interval.ms"] == (None, False, 5, False, [], 5)
    assert rows["log.retention.hours"] == (
        "5", True, 4, False, [("log.retention.hours", "5", 4), ("log.retention.hours", "168", 5)], 3,
    )  # fmt: skip
    assert rows["log.retention.ms"] == (
        "60000",
        False,
        3,
        False,
        [
            ("log.retention.ms", "60000", 3),
            ("log.retention.hours", "5", 4),
            ("log.retention.hours", "168", 5),
        ],
        5,
    )
    assert rows["listener.name.plaintext.max.connections"] == (
        "400",
        True,
        2,
        False,
        [
            ("listener.name.plaintext.max.connections", "400", 2),
            ("max.connections", "2147483647", 5),
        ],
        3,
    )
    # What an unknown name holds could be a secret.
    assert rows["custom.thing"] == (None, True, 4, True, [("custom.thing", None, 4)], 0)
    assert rows["log.cleaner.io.max.bytes.per.second"][0] == "1.7976931348623157E308"
    assert "s3cret" not in str(rows)


def test_this_broker_has_every_key_that_is_not_internal(node):
    rows = describe(node, BROKER, "1")[2]
    ours = {name for name in rows if name.startswith("kafka_py.")}
    public = {key.name for key in KAFKA_KEYS if not key.internal}
    quotas = {name for name in public if "throttled" in name or "alter.log.dirs.io" in name}
    assert set(rows) - ours == public - quotas
    assert len(rows) - len(ours) == 340


def test_the_defaults_of_all_brokers(node):
    node.set_config(BROKER, "", "log.retention.ms", "60000")
    node.set_config(BROKER, "1", "log.retention.ms", "50000")
    assert describe(node, BROKER, "")[2] == {
        "log.retention.ms": ("60000", False, 3, False, [("log.retention.ms", "60000", 3)], 5)
    }


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (BROKER, "2", "Unexpected broker id, expected 1 or empty string, but received 2"),
        (BROKER, "x", "Broker id must be an integer, but it is: x"),
        (LOGGER, "", "Broker id must not be empty"),
        (LOGGER, "2", "Unexpected broker id, expected 1 but received 2"),
        (METRICS, "", "Client metrics subscription name must not be empty"),
        (GROUP, "", "Group name must not be empty"),
        (3, "x", ErrorCode.INVALID_REQUEST.message),
    ],
)
def test_resources_that_cannot_be_described(node, kind, name, message):
    assert describe(node, kind, name)[:2] == (ErrorCode.INVALID_REQUEST, message)


def test_a_subscription_of_client_metrics(node):
    assert describe(node, METRICS, "s")[2] == {
        "interval.ms": ("300000", False, 5, False, [], 3),
        "match": ("", False, 5, False, [], 7),
        "metrics": ("", False, 5, False, [], 7),
    }
    node.set_config(METRICS, "s", "interval.ms", "1000")
    assert describe(node, METRICS, "s")[2]["interval.ms"] == (
        "1000", False, 7, False, [("interval.ms", "1000", 7)], 3,
    )  # fmt: skip


def test_a_group(node):
    node.set_config(GROUP, "g", "consumer.session.timeout.ms", "50000")
    rows = describe(node, GROUP, "g")[2]
    assert len(rows) == 17
    assert rows["consumer.session.timeout.ms"] == (
        "50000",
        False,
        8,
        False,
        [
            ("consumer.session.timeout.ms", "50000", 8),
            ("group.consumer.session.timeout.ms", "45000", 5),
        ],
        3,
    )
    assert rows["share.auto.offset.reset"] == (
        "latest", False, 5, False, [("share.auto.offset.reset", "latest", 5)], 2,
    )  # fmt: skip


def test_documentation_is_given_where_asked(node):
    request = DescribeConfigsRequest(
        resources=[
            DescribeConfigsRequest.DescribeConfigsResource(
                resource_type=TOPIC, resource_name="a", configuration_keys=["segment.bytes"]
            )
        ],
        include_documentation=True,
    )
    reply = describe_configs(node, context(ApiKey.DESCRIBE_CONFIGS, 4), request)
    assert reply.results[0].configs[0].documentation == "Largest size of a segment."
    request.include_documentation = False
    reply = describe_configs(node, context(ApiKey.DESCRIBE_CONFIGS, 4), request)
    assert reply.results[0].configs[0].documentation is None


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_can_carry_the_answer(node, version):
    code, _, rows = describe(node, TOPIC, "a", version=version)
    assert (code, len(rows)) == (0, 33)
    assert rows["segment.ms"][5] == (5 if version >= 3 else 0)


# ------------------------------------------------------------------------------------------ changes


def incremental(node, kind, name, *changes, validate_only=False):
    """(error code, message) of one resource; the controller answers NONE."""
    request = IncrementalAlterConfigsRequest(
        resources=[
            IncrementalAlterConfigsRequest.AlterConfigsResource(
                resource_type=kind,
                resource_name=name,
                configs=[
                    IncrementalAlterConfigsRequest.AlterableConfig(
                        name=key, config_operation=operation, value=value
                    )
                    for key, operation, value in changes
                ],
            )
        ],
        validate_only=validate_only,
    )
    node.replies.append(agreed(IncrementalAlterConfigsResponse, kind, name))
    ctx = context(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1)
    reply = asyncio.run(incremental_alter_configs(node, ctx, request))
    row = IncrementalAlterConfigsResponse.decode(reply.encode(1), 1).responses[0]
    return row.error_code, row.error_message


def agreed(response, kind, name):
    """What the controller says of a resource that it changed."""
    return response(
        responses=[
            response.AlterConfigsResourceResponse(
                error_code=0, error_message=None, resource_type=kind, resource_name=name
            )
        ]
    )


REFUSED = [
    (TOPIC, "a", [("retention.ms", SET, None)], 42, "Null value not supported for : retention.ms"),
    (TOPIC, "a", [("retention.ms", SET, "1"), ("retention.ms", SET, "2")], 42, "Error due to duplicate config keys"),
    (TOPIC, "b z", [("retention.ms", SET, "1")], 17, "Topic name is invalid: 'b z' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
    (BROKER, "2", [("log.retention.ms", SET, "1")], 42, "Unexpected broker id, expected 1, but received 2"),
    (BROKER, "x", [("log.retention.ms", SET, "1")], 42, "Node id must be an integer, but it is: x"),
    (BROKER, "1", [("node.id", SET, "2"), ("process.roles", SET, "broker")], 42, "Cannot update these configs dynamically: [node.id, process.roles]"),
    (BROKER, "", [("listeners", SET, "PLAINTEXT://:9")], 42, "Cannot update these configs at default cluster level, broker id must be specified: [listeners]"),
    (BROKER, "1", [("ssl.keystore.type", SET, "PEM")], 42, "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.type]"),
    (BROKER, "1", [("num.io.threads", SET, "100")], 42, "Dynamic thread count update validation failed for num.io.threads=100, value should not be greater than double the current value 8"),
    (BROKER, "1", [("num.io.threads", SET, "x")], 42, "Invalid value x for configuration num.io.threads: Not a number of type INT"),
    (BROKER, "1", [("log.retention.ms", SET, "0")], 42, "log.retention.ms must be unlimited (-1) or, greater than or equal to 1"),
    (BROKER, "1", [("log.retention.ms", APPEND, "1")], 40, "Config value append is not allowed for config key: log.retention.ms"),
    (BROKER, "1", [("nope", APPEND, "1")], 40, "Unknown config name: nope"),
    (BROKER, "1", [("log.retention.hours", SET, "4")], 42, "Cannot update these configs dynamically: [log.retention.hours]"),
    (BROKER, "", [("listener.name.plaintext.ssl.keystore.type", SET, "PEM")], 42, "Cannot update these configs at default cluster level, broker id must be specified: [listener.name.plaintext.ssl.keystore.type]"),
    (LOGGER, "1", [("no.such.logger", SET, "DEBUG")], 40, "Logger no.such.logger does not exist!"),
    (LOGGER, "1", [("root", DELETE, None)], 42, "Removing the log level of the root logger is not allowed"),
    (LOGGER, "1", [("root", APPEND, "DEBUG")], 42, "APPEND operation is not allowed for the BROKER_LOGGER resource"),
    (LOGGER, "2", [("root", SET, "DEBUG")], 42, "Unexpected node id. Expected 1, but received 2"),
    (LOGGER, "", [("root", SET, "DEBUG")], 42, "Node id must be an integer, but it is: "),
    (3, "x", [("a", SET, "b")], 42, "Unknown resource type 3"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "changes", "code", "message"), REFUSED)
def test_what_the_broker_refuses_by_itself(node, kind, name, changes, code, message):
    assert incremental(node, kind, name, *changes) == (code, message)
    assert node.submitted == []


@pytest.mark.parametrize(
    ("kind", "name", "changes"),
    [
        (TOPIC, "a", [("retention.ms", SET, "77")]),
        (TOPIC, "a", [("cleanup.policy", DELETE, None)]),
        (BROKER, "1", [("log.retention.ms", SET, "50000")]),
        (BROKER, "", [("log.retention.ms", SET, "50000")]),
        (BROKER, "1", [("log.cleanup.policy", APPEND, "compact")]),
        (BROKER, "1", [("listener.name.foo.max.connections", SET, "400")]),
        (BROKER, "1", [("leader.replication.throttled.rate", SET, "5")]),
        (BROKER, "1", [("custom.thing", SET, "5")]),
        (METRICS, "s", [("interval.ms", SET, "1000")]),
        (GROUP, "g", [("consumer.session.timeout.ms", SET, "50000")]),
    ],
)
def test_the_rest_goes_to_the_controller(node, kind, name, changes):
    assert incremental(node, kind, name, *changes) == (0, None)
    (sent,) = node.submitted
    assert [(c.name, c.config_operation, c.value) for c in sent.resources[0].configs] == changes


def test_a_list_is_checked_as_it_will_be(node):
    node.set_config(BROKER, "1", "log.cleanup.policy", "delete,compact")
    assert incremental(node, BROKER, "1", ("log.cleanup.policy", SUBTRACT, "delete")) == (0, None)
    assert incremental(node, BROKER, "1", ("log.cleanup.policy", APPEND, "nothing"))[0] == 42


def test_answers_keep_the_order_of_the_request(node):
    resource = IncrementalAlterConfigsRequest.AlterConfigsResource
    request = IncrementalAlterConfigsRequest(
        resources=[
            resource(resource_type=TOPIC, resource_name="a", configs=[]),
            resource(resource_type=BROKER, resource_name="1", configs=[]),
            resource(resource_type=TOPIC, resource_name="a", configs=[]),
        ]
    )
    node.replies.append(agreed(IncrementalAlterConfigsResponse, BROKER, "1"))
    ctx = context(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1)
    reply = asyncio.run(incremental_alter_configs(node, ctx, request))
    once = "Each resource must appear at most once."
    assert [(r.resource_name, r.error_code, r.error_message) for r in reply.responses] == [
        ("a", 42, once),
        ("1", 0, None),
        ("a", 42, once),
    ]
    assert [r.resource_name for r in node.submitted[0].resources] == ["1"]


def test_the_level_of_a_logger(node):
    logger = logging.getLogger("kafka_py.test_configs")
    try:
        change = ("kafka_py.test_configs", SET, "ERROR")
        assert incremental(node, LOGGER, "1", change, validate_only=True) == (0, None)
        assert logger.level == logging.NOTSET
        assert incremental(node, LOGGER, "1", change) == (0, None)
        assert logger.level == logging.ERROR
        rows = describe(node, LOGGER, "1")[2]
        assert rows["kafka_py.test_configs"][:3] == ("ERROR", False, 6)
        assert incremental(node, LOGGER, "1", ("kafka_py.test_configs", DELETE, None)) == (0, None)
        assert logger.level == logging.NOTSET
        code, message = incremental(node, LOGGER, "1", ("kafka_py.test_configs", SET, "LOUD"))
        assert code == 40
        assert "not a supported log level" in message
    finally:
        logger.setLevel(logging.NOTSET)
    assert node.submitted == []


def whole(node, kind, name, **settings):
    """(error code, message) of AlterConfigs."""
    request = AlterConfigsRequest(
        resources=[
            AlterConfigsRequest.AlterConfigsResource(
                resource_type=kind,
                resource_name=name,
                configs=[
                    AlterConfigsRequest.AlterableConfig(name=key.replace("_", "."), value=value)
                    for key, value in settings.items()
                ],
            )
        ]
    )
    node.replies.append(agreed(AlterConfigsResponse, kind, name))
    reply = asyncio.run(alter_configs(node, context(ApiKey.ALTER_CONFIGS, 2), request))
    row = AlterConfigsResponse.decode(reply.encode(2), 2).responses[0]
    return row.error_code, row.error_message


def test_the_old_api(node):
    assert whole(node, TOPIC, "a", retention_ms="5") == (0, None)
    assert whole(node, BROKER, "1", log_retention_ms="5") == (0, None)
    assert len(node.submitted) == 2
    assert whole(node, TOPIC, "a", retention_ms=None) == (
        42, "Null value not supported for : retention.ms",
    )  # fmt: skip
    assert whole(node, LOGGER, "1", root="INFO") == (42, "Unknown resource type 8")
    assert whole(node, BROKER, "2", log_retention_ms="5")[0] == 42
    assert whole(node, BROKER, "1", node_id="5")[0] == 42
    assert len(node.submitted) == 2


# ------------------------------------------------------------------------------------------ listing


def listed(node, version, kinds=()):
    """(error code, [(kind, name)])."""
    request = ListConfigResourcesRequest(resource_types=list(kinds))
    reply = list_config_resources(node, context(ApiKey.LIST_CONFIG_RESOURCES, version), request)
    reply = type(reply).decode(reply.encode(version), version)
    return reply.error_code, [(c.resource_type, c.resource_name) for c in reply.config_resources]


def test_listing(node):
    node.set_config(METRICS, "s", "interval.ms", "1000")
    node.set_config(GROUP, "g", "consumer.session.timeout.ms", "50000")
    assert listed(node, 0) == (0, [(METRICS, "s")])
    everything = [(TOPIC, "a"), (BROKER, "1"), (LOGGER, "1"), (METRICS, "s"), (GROUP, "g")]
    assert listed(node, 1) == (0, everything)
    assert listed(node, 1, [GROUP, TOPIC]) == (0, [(TOPIC, "a"), (GROUP, "g")])
    assert listed(node, 1, [3]) == (ErrorCode.UNSUPPORTED_VERSION, [])
