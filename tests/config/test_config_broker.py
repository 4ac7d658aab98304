"""What a server.properties means: listeners, quorum, time units, refusals, dynamic settings."""

# ruff: noqa: E501 (the texts are whole, as Kafka prints them)

import pytest

from kafka_py.config.broker import BrokerConfig
from kafka_py.config.definition import ConfigError
from kafka_py.config.dynamic import on_config_change, synonyms, validate
from kafka_py.config.listeners import parse_listeners, parse_protocol_map
from kafka_py.config.topic import topic_log_config, topic_values, validate_topic

BASE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "controller.quorum.voters": "1@localhost:9093",
    "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
}


def config(**changes):
    """BASE with changes; underscores stand for dots, None takes a key away."""
    properties = {**BASE, **{name.replace("_", "."): text for name, text in changes.items()}}
    return BrokerConfig({name: text for name, text in properties.items() if text is not None})


# What Apache Kafka 4.3.1 says to the same properties ("requirement failed: " taken off).
REFUSED = [
    ({"listeners": "PLAINTEXT://:9092"}, "controller.listener.names must contain at least one value appearing in the 'listeners' configuration when running the KRaft controller role"),
    ({"listeners": "PLAINTEXT://:9092,CONTROLLER://:9092"}, "Error creating broker listeners from '[PLAINTEXT://:9092, CONTROLLER://:9092]': Each listener must have a different port, listeners: [PLAINTEXT://:9092, CONTROLLER://:9092]"),
    ({"listeners": "PLAINTEXT:9092,CONTROLLER://:9093"}, "Error creating broker listeners from '[PLAINTEXT:9092, CONTROLLER://:9093]': Unable to parse PLAINTEXT:9092 to a broker endpoint"),
    ({"listeners": "PLAINTEXT://:9092,CONTROLLER://:9093,FOO://:9094"}, "Error creating broker listeners from '[PLAINTEXT://:9092, CONTROLLER://:9093, FOO://:9094]': No security protocol defined for listener FOO"),
    ({"listener.security.protocol.map": "PLAINTEXT:FOO"}, "Invalid security protocol `FOO` defined in listener.security.protocol.map"),
    ({"advertised.listeners": "PLAINTEXT://0.0.0.0:9092"}, "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."),
    ({"advertised.listeners": "CONTROLLER://h:9093"}, "There must be at least one broker advertised listener. Perhaps all listeners appear in controller.listener.names?"),
    ({"inter.broker.listener.name": "FOO"}, "Listener with name FOO defined in inter.broker.listener.name not found in listener.security.protocol.map."),
    ({"inter.broker.listener.name": "CONTROLLER"}, "inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are PLAINTEXT"),
    ({"inter.broker.listener.name": "PLAINTEXT", "security.inter.broker.protocol": "PLAINTEXT"}, "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set."),
    ({"controller.quorum.voters": "2@localhost:9093"}, "If process.roles contains the 'controller' role, the node id 1 must be included in the set of voters controller.quorum.voters=Set(2)"),
    ({"controller.quorum.voters": None}, "If using process.roles, either controller.quorum.bootstrap.servers must contain the set of bootstrap controllers or controller.quorum.voters must contain a parseable set of controllers."),
    ({"controller.listener.names": "CONTROLLER,FOO"}, "controller.listener.names must only contain values appearing in the 'listeners' configuration when running the KRaft controller role"),
    ({"node.id": None}, 'Missing required configuration "node.id" which has no default value.'),
    ({"broker.id": "3"}, "You must set `node.id` to the same value as `broker.id`."),
    ({"process.roles": "broker"}, "If process.roles contains just the 'broker' role, the node id 1 must not be included in the set of voters controller.quorum.voters=Set(1)"),
    ({"process.roles": "controller"}, "The listeners config must only contain KRaft controller listeners from controller.listener.names when process.roles=controller"),
    ({"log.roll.ms": "0"}, "log.roll.ms must be greater than or equal to 1"),
    ({"log.retention.hours": "0"}, "log.retention.ms must be unlimited (-1) or, greater than or equal to 1"),
    ({"log.cleaner.dedupe.buffer.size": "1048576"}, "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."),
    ({"replica.lag.time.max.ms": "100"}, "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in ISR"),
    ({"queued.max.request.bytes": "10"}, "queued.max.request.bytes must be larger or equal to socket.request.max.bytes"),
    ({"max.connections.per.ip": "0"}, "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set."),
    ({"max.connections.per.ip.overrides": "foo bar:5"}, "max.connections.per.ip.overrides contains invalid addresses : foo bar"),
    ({"connections.max.idle.ms": "50"}, "connection.failed.authentication.delay.ms=100 should always be less than connections.max.idle.ms=50 to prevent failed authentication responses from timing out"),
    ({"early.start.listeners": "FOO"}, "early.start.listeners contains listener FOO, but this is not contained in listeners or controller.listener.names"),
    ({"group.coordinator.rebalance.protocols": "consumer"}, "Disabling the 'classic' protocol is not supported."),
    ({"group.consumer.min.session.timeout.ms": "70000"}, "group.consumer.max.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"),
    ({"cordoned.log.dirs": "/zz"}, "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : /zz"),
    ({"offsets.topic.compression.codec": "9"}, "Unknown compression type id: 9"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_what_kafka_refuses_is_refused_in_its_words(changes, reason):
    with pytest.raises(ConfigError) as caught:
        config(**changes)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"authorizer_class_name": "foo.Bar"}, "authorizer.class.name=foo.Bar is not supported"),
        ({"remote_log_storage_system_enable": "true"}, "no tiered storage"),
        ({"config_providers": "file"}, "indirect values"),
        (
            {
                "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093,SSL://:9094",
                "listener_security_protocol_map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL",
            },
            "listener SSL uses SSL",
        ),
        ({"controller_quorum_voters": "1@a:1,2@b:2"}, "only quorums of one"),
        (
            {
                "process_roles": "controller",
                "listeners": "CONTROLLER://:9093",
            },
            "only combined nodes",
        ),
    ],
)
def test_what_must_not_be_left_undone_is_refused(changes, names):
    with pytest.raises(ConfigError, match=names):
        config(**changes)


def test_what_has_no_effect_is_named():
    given = config(replica_selector_class="a.B", unheard_of="1", num_io_threads="8")
    assert given.unknown == ["unheard.of"]
    assert given.warnings == [
        "unknown configuration unheard.of is ignored",
        "replica.selector.class=a.B has no effect in kafka_py: consumers read from leaders",
    ]


def test_listeners_and_what_is_advertised():
    given = config(
        listeners="plaintext://127.0.0.1:9092,EXT://[::1]:9094,CONTROLLER://:9093",
        listener_security_protocol_map="PLAINTEXT:PLAINTEXT,EXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        advertised_listeners="PLAINTEXT://broker.example:29092,EXT://ext.example:9094",
    )
    assert [str(entry) for entry in given.broker_listeners] == [
        "PLAINTEXT://127.0.0.1:9092",
        "EXT://[::1]:9094",
    ]
    assert [str(entry) for entry in given.controller_listeners] == ["CONTROLLER://:9093"]
    assert [str(entry) for entry in given.advertised_broker_listeners] == [
        "PLAINTEXT://broker.example:29092",
        "EXT://ext.example:9094",
    ]
    # The voter list gives the host that the controller listener leaves open.
    assert [str(e) for e in given.advertised_controller_listeners] == [
        "CONTROLLER://localhost:9093"
    ]
    assert given.inter_broker_listener == "PLAINTEXT"


def test_an_ipv4_and_an_ipv6_listener_may_share_a_port():
    protocols = parse_protocol_map("A:PLAINTEXT,B:PLAINTEXT")
    assert len(parse_listeners(["A://1.2.3.4:9092", "B://[::1]:9092"], protocols)) == 2
    with pytest.raises(ConfigError, match="one needs to be IPv4 and the other IPv6"):
        parse_listeners(["A://1.2.3.4:9092", "B://1.2.3.5:9092"], protocols)


def test_a_quorum_may_be_found_by_bootstrap_servers():
    given = config(
        controller_quorum_voters=None, controller_quorum_bootstrap_servers="localhost:9093"
    )
    assert given.voters == {}


@pytest.mark.parametrize(
    ("changes", "retention_ms"),
    [
        ({}, 604_800_000),
        ({"log_retention_hours": "2"}, 7_200_000),
        ({"log_retention_hours": "2", "log_retention_minutes": "3"}, 180_000),
        (
            {"log_retention_hours": "2", "log_retention_minutes": "3", "log_retention_ms": "4"},
            4,
        ),
        ({"log_retention_hours": "-1"}, -1),
        ({"log_retention_ms": "-5"}, -1),
    ],
)
def test_the_finer_unit_wins(changes, retention_ms):
    assert config(**changes).topic_defaults["retention.ms"] == retention_ms


def test_a_topics_overrides_reach_the_log():
    given = config(
        log_segment_bytes="2097152",
        message_max_bytes="5000",
        log_roll_hours="1",
        producer_id_expiration_ms="1234",
        log_message_timestamp_type="LogAppendTime",
    )
    plain = topic_log_config(given, {})
    assert plain.segment_bytes == 2097152
    assert plain.max_message_bytes == 5000
    assert plain.segment_ms == 3_600_000
    assert plain.producer_id_expiration_ms == 1234
    assert plain.timestamp_type == 1
    own = topic_log_config(
        given,
        {
            "internal.segment.bytes": "1000",
            "max.message.bytes": "77",
            "cleanup.policy": "compact",
            "max.compaction.lag.ms": "500",
            "compression.type": "zstd",
            "compression.zstd.level": "7",
            "preallocate": "true",
            "retention.ms": "-1",
        },
    )
    assert own.segment_bytes == 1000
    assert own.max_message_bytes == 77
    assert (own.delete, own.compact) == (False, True)
    assert own.segment_ms == 500
    assert (own.compression, own.compression_level) == ("zstd", 7)
    assert own.preallocate_bytes is True
    assert own.retention_ms == -1


def test_a_bad_override_in_the_metadata_does_not_stop_a_topic():
    given = config()
    assert topic_values(given, {"segment.ms": "x", "gone.key": "1"})["segment.ms"] == 604_800_000
    with pytest.raises(ConfigError):
        topic_values(given, {"segment.ms": "x"}, strict=True)


def test_what_a_topic_may_be_told():
    given = config()
    validate_topic(given, {"retention.ms": "5", "cleanup.policy": "compact,delete"})
    with pytest.raises(ConfigError, match="Unknown topic config name: foo"):
        validate_topic(given, {"foo": "1"})
    with pytest.raises(
        ConfigError, match=r"conflict topic config setting min.compaction.lag.ms \(9\)"
    ):
        validate_topic(given, {"min.compaction.lag.ms": "9", "max.compaction.lag.ms": "8"})
    with pytest.raises(ConfigError, match="Tiered Storage functionality is disabled"):
        validate_topic(given, {"remote.storage.enable": "true"})


def test_dynamic_settings_take_effect_the_brokers_own_first():
    given = config(log_retention_hours="2", message_max_bytes="1000")
    configs = {
        (4, ""): {"log.retention.ms": "60000", "message.max.bytes": "2000"},
        (4, "1"): {"message.max.bytes": "3000"},
        (4, "2"): {"message.max.bytes": "4000"},
    }
    changed = on_config_change(given, configs, 1)
    assert changed == {"log.retention.ms", "message.max.bytes"}
    assert given["message.max.bytes"] == 3000
    assert given.topic_defaults["max.message.bytes"] == 3000
    assert given.topic_defaults["retention.ms"] == 60000
    assert on_config_change(given, configs, 1) == frozenset()
    assert on_config_change(given, {}, 1) == {"log.retention.ms", "message.max.bytes"}
    assert given.topic_defaults["retention.ms"] == 7_200_000


def test_what_cannot_be_changed_while_running_has_no_effect():
    given = config()
    assert given.update_dynamic({"node.id": "7", "message.max.bytes": "x"}, {}) == frozenset()
    assert given["node.id"] == 1


def test_a_dynamic_setting_that_says_what_holds_changes_nothing_but_is_known():
    given = config(message_max_bytes="1000")
    assert given.update_dynamic({"message.max.bytes": "1000"}, {}) == frozenset()
    assert given.dynamic_default == {"message.max.bytes": "1000"}
    assert given.update_dynamic({"message.max.bytes": "1000"}, {"message.max.bytes": "2000"}) == {
        "message.max.bytes"
    }
    assert given.topic_defaults["max.message.bytes"] == 2000
    assert given.update_dynamic({}, {}) == {"message.max.bytes"}
    assert given.topic_defaults["max.message.bytes"] == 1000


@pytest.mark.parametrize(
    ("properties", "per_broker", "reason"),
    [
        ({"node.id": "2"}, True, "Cannot update these configs dynamically"),
        ({"ssl.keystore.type": "PEM"}, True, "only per-listener using the listener prefix"),
        ({"cordoned.log.dirs": "*"}, False, "broker id must be specified"),
        ({"log.retention.ms": "x"}, False, "Not a number of type LONG"),
        ({"log.retention.ms": "0"}, False, "must be unlimited"),
        ({"num.io.threads": "100"}, False, "not be greater than double the current value 8"),
        ({"num.io.threads": "3"}, False, "at least half the current value 8"),
        ({"listeners": "PLAINTEXT://:1"}, True, "listeners cannot be changed while kafka_py runs"),
        ({"config.providers": "file"}, False, "not supported by kafka_py"),
    ],
)
def test_bad_dynamic_settings_are_refused(properties, per_broker, reason):
    with pytest.raises(ConfigError, match=reason):
        validate(config(), properties, per_broker=per_broker)


def test_good_dynamic_settings_are_accepted():
    validate(config(), {"log.retention.ms": "5", "custom.thing": "x"}, per_broker=False)
    validate(config(), {"listener.name.plaintext.max.connections": "5"}, per_broker=False)


def test_a_listener_may_have_its_own_value():
    given = config(max_connections="10")
    given.update_dynamic({}, {"listener.name.plaintext.max.connections": "3"})
    assert given.listener_value("PLAINTEXT", "max.connections") == 3
    assert given.listener_value("CONTROLLER", "max.connections") == 10


def test_synonyms_are_in_kafkas_order():
    assert synonyms("log.retention.hours") == (
        "log.retention.ms", "log.retention.minutes", "log.retention.hours",
    )  # fmt: skip
    assert synonyms("log.flush.interval.ms") == (
        "log.flush.interval.ms", "log.flush.scheduler.interval.ms",
    )  # fmt: skip
    assert synonyms("listener.name.internal.ssl.keystore.location") == (
        "listener.name.internal.ssl.keystore.location", "ssl.keystore.location",
    )  # fmt: skip
    assert synonyms("message.max.bytes") == ("message.max.bytes",)


def test_a_config_is_a_mapping_of_every_key():
    given = config()
    assert given["log.dirs"] is None
    assert given.log_dirs == ("/tmp/kafka-logs",)
    assert given.metadata_log_dir == "/tmp/kafka-logs"
    assert "node.id" in given
    with pytest.raises(KeyError):
        given["no.such.key"]
    assert given["broker.id"] == 1
    assert "kafka_py.flush.policy" in given
    assert "[hidden]" in repr(config(ssl_key_password="s3cret"))
    assert "s3cret" not in repr(config(ssl_key_password="s3cret"))
