"""The language of the tables: reading texts, refusing them, and the words used for it."""

# ruff: noqa: E501 (the texts are whole, as Kafka prints them)

import pytest

from kafka_py.config.broker import BROKER
from kafka_py.config.definition import (
    ConfigDef,
    ConfigError,
    ConfigType,
    Password,
    java_double,
    parse_duration_ms,
    to_text,
)
from kafka_py.config.topic import CLIENT_METRICS, GROUP, TOPIC

# (key, text, what Apache Kafka 4.3.1 says of it)
REFUSED = [
    ("segment.bytes", "x", "Invalid value x for configuration segment.bytes: Not a number of type INT"),
    ("segment.bytes", "", "Invalid value  for configuration segment.bytes: Not a number of type INT"),
    ("segment.bytes", "1.5", "Invalid value 1.5 for configuration segment.bytes: Not a number of type INT"),
    ("segment.bytes", "99999999999", "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT"),
    ("segment.bytes", "5", "Invalid value 5 for configuration segment.bytes: Value must be at least 1048576"),
    ("segment.bytes", None, "Invalid value null for configuration segment.bytes: Value must be non-null"),
    ("min.cleanable.dirty.ratio", "2", "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"),
    ("min.cleanable.dirty.ratio", "x", "Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE"),
    # Double.parseDouble takes ASCII's digits only.
    ("min.cleanable.dirty.ratio", "\u0660.\u0665", "Invalid value \u0660.\u0665 for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE"),
    ("cleanup.policy", "x", "Invalid value x for configuration cleanup.policy: String must be one of: compact, delete"),
    ("cleanup.policy", "delete,", "Configuration 'cleanup.policy' values must not be empty."),
    ("cleanup.policy", None, "Configuration 'cleanup.policy' values must not be null."),
    ("preallocate", "x", "Invalid value x for configuration preallocate: Expected value to be either true or false"),
    ("compression.type", "GZIP", "Invalid value GZIP for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"),
    ("compression.gzip.level", "0", "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"),
    ("compression.lz4.level", "18", "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17"),
    (
        "leader.replication.throttled.replicas",
        "0:1,*",
        "Invalid value [0:1, *] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
    ),
]  # fmt: skip

BROKER_REFUSED = [
    ("process.roles", "", "Configuration 'process.roles' must not be empty. Valid values include: [broker, controller]"),
    ("listeners", "", "Configuration 'listeners' must not be empty. Valid values include: any non-empty value"),
    ("authorizer.class.name", None, "Invalid value null for configuration authorizer.class.name: entry must be non null"),
    ("remote.log.storage.manager.class.name", "", "Invalid value  for configuration remote.log.storage.manager.class.name: String must be non-empty"),
    ("offsets.topic.replication.factor", "70000", "Invalid value 70000 for configuration offsets.topic.replication.factor: Not a number of type SHORT"),
    ("group.consumer.migration.policy", "x", "Invalid value x for configuration group.consumer.migration.policy: String must be one of (case insensitive): DISABLED, DOWNGRADE, UPGRADE, BIDIRECTIONAL"),
    ("controller.quorum.voters", "x", "Invalid configuration value for controller.quorum.voters. Each entry should be in the form `{id}@{host}:{port}`."),
    ("controller.quorum.voters", "a@h:1", "Failed to parse voter ID as an integer from a"),
    ("controller.quorum.voters", "1@h", "Failed to parse host name from entry 1@h for the configuration controller.quorum.voters. Each entry should be in the form `{id}@{host}:{port}`."),
    ("controller.quorum.bootstrap.servers", "x", 'Failed to parse host name from x for the configuration controller.quorum.bootstrap.servers. Each entry should be in the form "{host}:{port}"'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "reason"), REFUSED)
def test_a_bad_topic_value_is_refused_in_kafkas_words(name, text, reason):
    with pytest.raises(ConfigError) as caught:
        TOPIC[name].parse(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(("name", "text", "reason"), BROKER_REFUSED)
def test_a_bad_broker_value_is_refused_in_kafkas_words(name, text, reason):
    with pytest.raises(ConfigError) as caught:
        BROKER[name].parse(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("name", "text", "value", "shown"),
    [
        ("segment.bytes", " 1048576 ", 1048576, "1048576"),
        ("min.cleanable.dirty.ratio", "1e-3", 0.001, "0.001"),
        ("cleanup.policy", "", (), ""),
        ("cleanup.policy", "compact, delete", ("compact", "delete"), "compact,delete"),
        ("cleanup.policy", "delete,compact,delete", ("delete", "compact"), "delete,compact"),
        ("preallocate", " TRUE ", True, "true"),
        ("leader.replication.throttled.replicas", "*", ("*",), "*"),
        ("leader.replication.throttled.replicas", "0:1,1:2", ("0:1", "1:2"), "0:1,1:2"),
        ("compression.gzip.level", "-1", -1, "-1"),
    ],
)
def test_a_good_value_is_read_and_shown(name, text, value, shown):
    parsed = TOPIC[name].parse(text)
    assert parsed == value
    assert to_text(parsed) == shown


def test_a_list_that_is_no_text_may_not_repeat_itself():
    with pytest.raises(ConfigError, match="values must not be duplicated"):
        TOPIC["cleanup.policy"].validator.check("cleanup.policy", ("delete", "delete"))


def test_every_default_satisfies_its_own_rules_and_survives_its_text():
    for table in (BROKER, TOPIC, GROUP, CLIENT_METRICS):
        for key in table:
            if repr(key.default) == "REQUIRED" or key.default is None:
                continue
            if key.validator is not None:
                key.validator.check(key.name, key.default)
            assert key.parse(to_text(key.default)) == key.default, key.name


def test_every_key_has_a_sentence():
    for table in (BROKER, TOPIC, GROUP, CLIENT_METRICS):
        for key in table:
            assert key.documentation.endswith("."), key.name
            assert "\n" not in key.documentation


def test_two_keys_of_one_name_are_a_mistake():
    key = TOPIC["segment.ms"]
    with pytest.raises(AssertionError, match="defined twice"):
        ConfigDef([key, key])


def test_a_missing_required_key_is_named():
    with pytest.raises(ConfigError, match=r'required configuration "process.roles" which has no'):
        BROKER.parse({"node.id": "1"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (0.0, "0.0"),
        (1.0, "1.0"),
        (100.0, "100.0"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (12345678.9, "1.23456789E7"),
        (0.001, "0.001"),
        (0.00012, "1.2E-4"),
        (1e-5, "1.0E-5"),
        (-2.5e10, "-2.5E10"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (1.2e17, "1.2E17"),
        (float("inf"), "Infinity"),
    ],
)
def test_a_double_is_written_as_java_does(value, text):
    assert java_double(value) == text


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("PT1S", 1000),
        ("P1DT2H3M4.5S", 93_784_500),
        ("PT0.001S", 1),
        ("-PT1S", -1000),
        ("pt1s", 1000),
        ("P", None),
        ("PT", None),
        ("1S", None),
        ("P1W", None),
        ("", None),
    ],
)
def test_durations(text, ms):
    assert parse_duration_ms(text) == ms


def test_a_share_group_starts_where_it_is_told():
    key = GROUP["share.auto.offset.reset"]
    assert key.parse("by_duration:P1D") == "by_duration:P1D"
    for bad in ("by_duration:-PT1S", "by_duration:", "newest"):
        with pytest.raises(ConfigError):
            key.parse(bad)


def test_a_password_never_shows_itself():
    secret = BROKER["ssl.key.password"].parse("s3cret")
    assert isinstance(secret, Password)
    assert secret.reveal() == "s3cret"
    for shown in (str(secret), repr(secret), f"{secret}", to_text(secret), str([secret])):
        assert "s3cret" not in shown


def test_the_numbers_of_the_types_are_those_of_the_protocol():
    assert [t.name for t in ConfigType] == [
        "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD",
    ]  # fmt: skip
    assert list(ConfigType) == list(range(1, 10))
