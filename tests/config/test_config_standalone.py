"""The configuration of a node that nobody configured, and what a command line changes of one."""

import pytest

from kafka_py.config.broker import BROKER, BrokerConfig
from kafka_py.config.definition import ConfigError
from kafka_py.config.internal_topics import internal_topic
from kafka_py.config.standalone import (
    parse_address,
    standalone_properties,
    with_address,
    with_data,
    with_settings,
)
from kafka_py.config.topic import validate_topic
from kafka_py.config.unsupported import NO_EFFECT, NOT_LIVE, REFUSED, WARNED


def test_a_node_of_its_own_needs_nothing_else():
    config = BrokerConfig(standalone_properties("/data", host="::1", port=0))
    assert config.log_dirs == ("/data",)
    assert [str(entry) for entry in config.broker_listeners] == ["PLAINTEXT://[::1]:0"]
    assert config["offsets.topic.replication.factor"] == 1
    assert config.warnings == []


def test_another_node_id_moves_the_quorum_along():
    config = BrokerConfig(with_settings(standalone_properties("/data"), {"node.id": "7"}))
    assert (config.node_id, list(config.voters)) == (7, [7])
    given = {"node.id": "7", "controller.quorum.voters": "7@h:1"}
    assert BrokerConfig(with_settings(standalone_properties("/data"), given)).voters[7] == ("h", 1)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9092", ("127.0.0.1", 9092)),
        ("[::1]:0", ("::1", 0)),
        ("9092", ("127.0.0.1", 9092)),
        (":9092", ("127.0.0.1", 9092)),
        ("broker.example:1", ("broker.example", 1)),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["host", "host:", "host:x", "host:70000", ""])
def test_what_is_no_address(text):
    with pytest.raises(ConfigError, match="HOST:PORT is wanted"):
        parse_address(text)


def test_another_address_moves_the_first_broker_listener():
    given = {
        "controller.listener.names": "CTL",
        "listeners": "CTL://:9093,PLAINTEXT://:9092,EXT://:9094",
        "advertised.listeners": "PLAINTEXT://a.example:9092,EXT://b.example:9094",
    }
    moved = with_address(given, "127.0.0.1", 1234)
    assert moved["listeners"] == "CTL://:9093,PLAINTEXT://127.0.0.1:1234,EXT://:9094"
    assert moved["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1234,EXT://b.example:9094"
    assert with_address({}, "::1", 5)["listeners"] == "PLAINTEXT://[::1]:5"
    with pytest.raises(ConfigError, match="no listener for clients"):
        with_address({"controller.listener.names": "A", "listeners": "A://:1"}, "h", 1)


def test_another_directory_takes_the_place_of_all():
    given = {"log.dir": "/a", "log.dirs": "/b,/c", "metadata.log.dir": "/d", "node.id": "1"}
    assert with_data(given, "/e") == {"node.id": "1", "log.dirs": "/e"}


def test_the_honest_list_names_keys_that_exist_and_lets_defaults_pass():
    for name in (*REFUSED, *WARNED, *NOT_LIVE, *NO_EFFECT):
        assert name in BROKER, name
    for table in (REFUSED, WARNED):
        for name, (fine, why) in table.items():
            assert BROKER[name].default in fine, name
            assert why


def test_kafkas_own_topics_take_their_shape_from_the_broker():
    config = BrokerConfig(standalone_properties("/data") | {"offsets.topic.num.partitions": "7"})
    offsets = internal_topic(config, "__consumer_offsets")
    assert (offsets.partitions, offsets.replication_factor) == (7, 1)
    assert offsets.configs == {
        "cleanup.policy": "compact",
        "compression.type": "producer",
        "segment.bytes": "104857600",
    }
    assert internal_topic(config, "__transaction_state").configs["min.insync.replicas"] == "1"
    assert internal_topic(config, "__share_group_state").configs["retention.ms"] == "-1"
    assert internal_topic(config, "mine") is None
    for name in ("__consumer_offsets", "__transaction_state", "__share_group_state"):
        validate_topic(config, internal_topic(config, name).configs)
