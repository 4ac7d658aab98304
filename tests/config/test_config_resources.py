"""Groups and client metrics subscriptions: what Apache Kafka 4.3.1 accepts and refuses."""

# ruff: noqa: E501 (the texts are whole, as Kafka prints them)

import pytest

from kafka_py.config.definition import ConfigError
from kafka_py.config.resources import (
    UnusableRequest,
    parse_matches,
    validate_client_metrics,
    validate_group,
)
from tests.config.test_config_broker import config


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("consumer.session.timeout.ms", "1", "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"),
        ("consumer.session.timeout.ms", "60001", "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms"),
        ("consumer.assignment.interval.ms", "20000", "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms"),
        ("share.record.lock.duration.ms", "999", "Invalid value 999 for configuration share.record.lock.duration.ms: Value must be at least 1000"),
        ("share.record.lock.duration.ms", "1000", "share.record.lock.duration.ms must be greater than or equal to group.share.min.record.lock.duration.ms"),
        ("share.partition.max.record.locks", "4001", "share.partition.max.record.locks must be less than or equal to group.share.max.partition.max.record.locks"),
        ("share.delivery.count.limit", "11", "share.delivery.count.limit must be less than or equal to group.share.max.delivery.count.limit"),
        ("streams.num.standby.replicas", "3", "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas"),
        ("share.auto.offset.reset", "x", "Invalid value x for configuration share.auto.offset.reset: Invalid value `x` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."),
        ("share.isolation.level", "x", "Invalid value x for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted"),
        ("nope", "x", "Unknown group config name: nope"),
    ],
)  # fmt: skip
def test_a_group_is_refused(name, text, reason):
    with pytest.raises(ConfigError) as caught:
        validate_group(config(), {name: text})
    assert str(caught.value) == reason


def test_a_group_is_accepted():
    validate_group(
        config(),
        {
            "consumer.session.timeout.ms": "50000",
            "share.delivery.count.limit": "2",
            "streams.initial.rebalance.delay.ms": "100000000",
            "share.auto.offset.reset": "by_duration:PT1S",
        },
    )


@pytest.mark.parametrize(
    ("name", "key", "text", "kind", "reason"),
    [
        ("", "metrics", "a", UnusableRequest, "Subscription name can't be empty"),
        ("s", "nope", "a", UnusableRequest, "Unknown client metrics configuration: nope"),
        ("s", "interval.ms", "99", UnusableRequest, "Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)"),
        ("s", "interval.ms", "x", ConfigError, "Invalid value x for configuration interval.ms: Not a number of type INT"),
        ("s", "match", "foo=x", ConfigError, "Illegal client matching pattern: foo=x"),
        ("s", "match", "client_id=", ConfigError, "Illegal client matching pattern: client_id="),
        ("s", "match", "client_id=(", ConfigError, "Illegal client matching pattern: client_id=("),
    ],
)  # fmt: skip
def test_a_subscription_is_refused(name, key, text, kind, reason):
    with pytest.raises(ConfigError) as caught:
        validate_client_metrics(name, {key: text})
    assert str(caught.value) == reason
    assert type(caught.value) is kind


def test_a_subscription_is_accepted():
    validate_client_metrics(
        "s",
        {"interval.ms": "100", "metrics": "*,a", "match": " client_id = x.*,client_source_port=9"},
    )
    assert parse_matches("client_id=x.*")["client_id"].match("xyz")
    assert parse_matches("") == {}
