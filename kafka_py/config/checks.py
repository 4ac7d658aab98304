"""Rules over several keys of a broker's configuration, with the errors of Apache Kafka 4.3.1."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from kafka_py.config.definition import ConfigError, parse_int

if TYPE_CHECKING:
    from kafka_py.config.broker import BrokerConfig

VALID_HOST: Final = re.compile(r"[0-9a-zA-Z\-%._:]*")

ASSIGNORS: Final = {
    "group.consumer.assignors": ("uniform", "range"),
    "group.share.assignors": ("simple",),
}

#: (kind, lowest, value, highest) of the group settings that must lie between two others.
GROUP_BOUNDS: Final = tuple(
    (f"group.{kind}.min.{name}", f"group.{kind}.{name}", f"group.{kind}.max.{name}")
    for kind, names in (
        ("consumer", ("heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms")),
        (
            "share",
            (
                "heartbeat.interval.ms",
                "session.timeout.ms",
                "record.lock.duration.ms",
                "delivery.count.limit",
                "partition.max.record.locks",
                "assignment.interval.ms",
            ),
        ),
        ("streams", ("heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms")),
    )
    for name in names
)


def require(condition: bool, reason: str) -> None:
    """Raise ``ConfigError(reason)`` unless the condition holds."""
    if not condition:
        raise ConfigError(reason)


def parse_overrides(text: str, name: str = "max.connections.per.ip.overrides") -> dict[str, int]:
    """``address:number,...`` -> {address: number}. Raises ``ConfigError``."""
    found: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        host, colon, number = entry.rpartition(":")
        if not colon:
            raise ConfigError(
                f"Error parsing configuration property '{name}': {entry!r} has no ':'"
            )
        try:
            found[host.strip()] = parse_int(number.strip(), 32)
        except ValueError:
            raise ConfigError(
                f"Error parsing configuration property '{name}': {number!r} is no number"
            ) from None
    bad = [host for host in found if not VALID_HOST.fullmatch(host)]
    require(not bad, f"{name} contains invalid addresses : {','.join(bad)}")
    return found


def check_values(values: Mapping[str, Any]) -> None:
    """What several values must fulfil together, listeners and quorum aside."""
    retention_ms = values["retention.ms"]
    require(values["segment.ms"] >= 1, "log.roll.ms must be greater than or equal to 1")
    require(
        values["segment.jitter.ms"] >= 0, "log.roll.jitter.ms must be greater than or equal to 0"
    )
    require(
        retention_ms >= 1 or retention_ms == -1,
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    )
    require(
        values["log.cleaner.dedupe.buffer.size"] // values["log.cleaner.threads"] > 1024 * 1024,
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
    )
    wait_ms = values["replica.fetch.wait.max.ms"]
    require(
        wait_ms <= values["replica.socket.timeout.ms"],
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms"
        " to prevent unnecessary socket timeouts",
    )
    require(
        wait_ms <= values["replica.lag.time.max.ms"],
        "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms"
        " to prevent frequent changes in ISR",
    )
    queued = values["queued.max.request.bytes"]
    require(
        queued <= 0 or queued >= values["socket.request.max.bytes"],
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
    )
    overrides = parse_overrides(values["max.connections.per.ip.overrides"])
    require(
        values["max.connections.per.ip"] != 0 or bool(overrides),
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides "
        "property is set.",
    )
    idle_ms = values["connections.max.idle.ms"]
    delay_ms = values["connection.failed.authentication.delay.ms"]
    require(
        idle_ms < 0 or delay_ms < idle_ms,
        f"connection.failed.authentication.delay.ms={delay_ms} should always be less than "
        f"connections.max.idle.ms={idle_ms} to prevent failed authentication responses from "
        "timing out",
    )
    check_groups(values)


def check_groups(values: Mapping[str, Any]) -> None:
    """The rules of the group coordinators' settings."""
    require(
        "classic" in values["group.coordinator.rebalance.protocols"],
        "Disabling the 'classic' protocol is not supported.",
    )
    for name, known in ASSIGNORS.items():
        for assignor in values[name]:
            require(assignor in known, f"Class {assignor} cannot be found")
    codec = values["offsets.topic.compression.codec"]
    require(0 <= codec <= 4, f"Unknown compression type id: {codec}")
    for lowest, name, highest in GROUP_BOUNDS:
        # A text is made where one is wrong, not three for each that is right: starts are short.
        if values[lowest] <= values[name] <= values[highest]:
            continue
        require(
            values[highest] >= values[lowest],
            f"{highest} must be greater than or equal to {lowest}",
        )
        require(values[name] >= values[lowest], f"{name} must be greater than or equal to {lowest}")
        require(values[name] <= values[highest], f"{name} must be less than or equal to {highest}")
    standby, most = "group.streams.num.standby.replicas", "group.streams.max.standby.replicas"
    require(values[standby] <= values[most], f"{standby} must be less than or equal to {most}")


def check_node(config: BrokerConfig) -> None:
    """The rules of roles, quorum, listeners and directories. Raises ``ConfigError``."""
    require(
        config["node.id"] == config["broker.id"],
        "You must set `node.id` to the same value as `broker.id`.",
    )
    check_quorum(config)
    names = {listener.name for listener in config.listeners}
    if "broker" in config.roles:
        advertised = {listener.name: None for listener in config.advertised_broker_listeners}
        require(
            bool(advertised),
            "There must be at least one broker advertised listener. "
            "Perhaps all listeners appear in controller.listener.names?",
        )
        require(
            config.inter_broker_listener in advertised,
            "inter.broker.listener.name must be a listener name defined in advertised.listeners. "
            "The valid options based on currently configured listeners are " + ",".join(advertised),
        )
        require(
            set(advertised) <= names,
            "advertised.listeners listener names must be equal to or a subset of the ones defined "
            f"in listeners. Found {','.join(advertised)}. The valid options based on the current "
            f"configuration are {','.join(listener.name for listener in config.listeners)}",
        )
    told = (*config.advertised_broker_listeners, *config.advertised_controller_listeners)
    require(
        all(listener.host != "0.0.0.0" for listener in told),
        "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. "
        "Use a routable IP address.",
    )
    for name in config["early.start.listeners"] or ():
        require(
            name.upper() in names or name in config["controller.listener.names"],
            f"early.start.listeners contains listener {name.upper()}, but this is not contained in "
            "listeners or controller.listener.names",
        )
    cordoned = config["cordoned.log.dirs"] or ()
    missing = [path for path in cordoned if path != "*" and path not in config.log_dirs]
    require(
        not missing,
        "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. "
        f"Missing entries : {','.join(missing)}",
    )


def check_quorum(config: BrokerConfig) -> None:
    """The rules of process.roles, voters and controller listeners. Raises ``ConfigError``."""
    voters = config.voters
    shown = f"controller.quorum.voters=Set({', '.join(map(str, sorted(voters)))})"
    require(
        bool(voters) or bool(config["controller.quorum.bootstrap.servers"]),
        "If using process.roles, either controller.quorum.bootstrap.servers must contain the set "
        "of bootstrap controllers or controller.quorum.voters must contain a parseable set of "
        "controllers.",
    )
    controllers = config["controller.listener.names"]
    if config.roles == {"broker"}:
        require(
            config.node_id not in voters,
            f"If process.roles contains just the 'broker' role, the node id {config.node_id} must "
            f"not be included in the set of voters {shown}",
        )
        require(
            not config.controller_listeners,
            "controller.listener.names must not contain a value appearing in the 'listeners' "
            "configuration when running KRaft with just the broker role",
        )
        return
    if config.roles == {"controller"}:
        require(
            len(config.advertised_controller_listeners) == len(config.listeners),
            "The listeners config must only contain KRaft controller listeners from "
            "controller.listener.names when process.roles=controller",
        )
    require(
        not voters or config.node_id in voters,
        f"If process.roles contains the 'controller' role, the node id {config.node_id} must be "
        f"included in the set of voters {shown}",
    )
    require(
        bool(config.advertised_controller_listeners),
        "controller.listener.names must contain at least one value appearing in the 'listeners' "
        "configuration when running the KRaft controller role",
    )
    names = {listener.name for listener in config.listeners}
    require(
        all(name in names for name in controllers),
        "controller.listener.names must only contain values appearing in the 'listeners' "
        "configuration when running the KRaft controller role",
    )


def check_supported(config: BrokerConfig) -> None:
    """Refuse the arrangements of nodes that kafka_py does not have yet. Raises ``ConfigError``."""
    require(
        config.roles == {"broker", "controller"},
        "kafka_py runs only combined nodes so far: set process.roles=broker,controller",
    )
    require(
        len(config.voters) <= 1,
        "kafka_py runs only quorums of one so far: controller.quorum.voters must name this node "
        "alone",
    )
    for listener in config.listeners:
        require(
            listener.security == "PLAINTEXT",
            f"listener {listener.name} uses {listener.security}, and kafka_py has no TLS or SASL "
            "yet: use PLAINTEXT",
        )


Check = Callable[["BrokerConfig"], None]
NODE_CHECKS: Final[tuple[Check, ...]] = (check_node, check_supported)
