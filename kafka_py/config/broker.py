"""A node's configuration: what a server.properties (and what has been set since) means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kafka_py.config import dynamic
from kafka_py.config.authorizer import AUTHORIZER_KEYS, AuthorizerSettings, authorizer_settings
from kafka_py.config.checks import NODE_CHECKS, check_values, parse_overrides
from kafka_py.config.definition import (
    PASSWORD,
    ConfigDef,
    ConfigError,
    ConfigKey,
    ConfigType,
    Importance,
    OneOf,
    UpdateMode,
    at_least,
    parse_voter,
)
from kafka_py.config.keys import (
    groups,
    log,
    metrics,
    network,
    quorum,
    remote,
    replication,
    sasl,
    security,
    transactions,
)
from kafka_py.config.listeners import Listener, listener_name, parse_listeners, parse_protocol_map
from kafka_py.config.own import OWN_KEYS, OwnKey
from kafka_py.config.topic import topic_defaults
from kafka_py.config.unsupported import refuse_unsupported, unsupported_warnings


def own_key(own: OwnKey) -> ConfigKey:
    """A setting of ours as an entry of the broker's table."""
    return ConfigKey(
        own.name,
        ConfigType[own.type.upper()],
        own.default,
        Importance.MEDIUM,
        OneOf(own.valid) if own.valid else None if own.at_least is None else at_least(own.at_least),
        mode=UpdateMode.CLUSTER_WIDE if own.dynamic else UpdateMode.READ_ONLY,
        documentation=own.doc,
    )


KAFKA_KEYS: Final = (
    *quorum.KEYS,
    *network.KEYS,
    *log.KEYS,
    *replication.KEYS,
    *groups.KEYS,
    *transactions.KEYS,
    *remote.KEYS,
    *metrics.KEYS,
    *security.KEYS,
    *sasl.KEYS,
)
BROKER: Final = ConfigDef((*KAFKA_KEYS, *(own_key(own) for own in OWN_KEYS)))

TLS_OR_SASL: Final = frozenset({"SSL", "SASL_PLAINTEXT", "SASL_SSL"})


class BrokerConfig(Mapping[str, Any]):
    """The values of every broker key by Kafka's name: ``config["log.segment.bytes"]``.

    Reading gives the value in force: dynamic setting of this broker, else of all brokers, else what
    the file says, else the default. A key that is not set and has no default gives None. Unknown
    names raise ``KeyError``. ``update_dynamic`` changes values in place; everything else is fixed.

    Raises ``ConfigError`` for what Kafka would refuse, and for what this broker must not leave
    undone (``config/unsupported.py``). ``warnings`` has a sentence for all that is passed over.

    Attributes:
        originals: the texts that were given, by name; ``broker.id`` and ``node.id`` stand in for
            each other, as in Kafka.
        dynamic_broker, dynamic_default: the dynamic settings of this broker and of all brokers.
        authorizer: what the authorizer is configured with, None where there is none.
        topic_defaults: the value of every topic key for a topic without overrides.
    """

    definition: ConfigDef = BROKER

    def __init__(self, properties: Mapping[str, str], *, checked: bool = True) -> None:
        self.originals: dict[str, str] = {name: str(text) for name, text in properties.items()}
        for name, other in (("broker.id", "node.id"), ("node.id", "broker.id")):
            if name not in self.originals and other in self.originals:
                self.originals[name] = self.originals[other]
        self.dynamic_broker: dict[str, str] = {}
        self.dynamic_default: dict[str, str] = {}
        self.static: dict[str, Any] = BROKER.parse(self.originals)
        self.values_now: dict[str, Any] = self.static
        self.topic_defaults: dict[str, Any] = {}
        self.roles = frozenset(self.static["process.roles"])
        self.node_id: int = self.static["node.id"]
        self.voters: dict[int, tuple[str, int]] = {}
        for entry in self.static["controller.quorum.voters"]:
            voter, host, port = parse_voter("controller.quorum.voters", entry)
            self.voters[voter] = (host, port)
        self._read_listeners()
        self._apply()
        if checked:
            self.check()
            refuse_unsupported(self.static)
            for check in NODE_CHECKS:
                check(self)
        self.authorizer: AuthorizerSettings | None = authorizer_settings(
            self.static["authorizer.class.name"], self.originals
        )

    # --------------------------------------------------------------------------------- a mapping

    def __getitem__(self, name: str) -> Any:
        return self.values_now[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_now)

    def __len__(self) -> int:
        return len(self.values_now)

    def __contains__(self, name: object) -> bool:
        return name in self.values_now

    # ------------------------------------------------------------------------- what the file says

    @property
    def unknown(self) -> list[str]:
        """Names in the file that are no key, nor a key with a listener's prefix."""
        known = AUTHORIZER_KEYS if self.static["authorizer.class.name"] else ()
        return sorted(
            name
            for name in self.originals
            if dynamic.base_name(name) not in BROKER and name not in known
        )

    @property
    def warnings(self) -> list[str]:
        """Sentences for the user: unknown names, and settings without their effect."""
        found = [f"unknown configuration {name} is ignored" for name in self.unknown]
        return found + unsupported_warnings(self.static)

    @property
    def log_dirs(self) -> tuple[str, ...]:
        """The log directories, as written."""
        given = self.static["log.dirs"]
        dirs: tuple[str, ...] = self.static["log.dir"] if given is None else given
        return dirs

    @property
    def metadata_log_dir(self) -> str:
        """The directory that ``__cluster_metadata-0`` lives in."""
        given: str | None = self.static["metadata.log.dir"]
        return self.log_dirs[0] if given is None else given

    @property
    def controller_listener_names(self) -> tuple[str, ...]:
        """The names of the controllers' listeners, as written."""
        names: tuple[str, ...] = self.static["controller.listener.names"]
        return names

    @property
    def broker_listeners(self) -> tuple[Listener, ...]:
        """The listeners for clients and brokers."""
        names = self.controller_listener_names
        return tuple(entry for entry in self.listeners if entry.name not in names)

    @property
    def controller_listeners(self) -> tuple[Listener, ...]:
        """The listeners for controllers."""
        names = self.controller_listener_names
        return tuple(entry for entry in self.listeners if entry.name in names)

    @property
    def advertised_broker_listeners(self) -> tuple[Listener, ...]:
        """What clients are told; an empty host stands for the machine's name."""
        names = self.controller_listener_names
        return tuple(entry for entry in self._advertised if entry.name not in names)

    @property
    def advertised_controller_listeners(self) -> tuple[Listener, ...]:
        """What is told of this controller; an empty host stands for the machine's name."""
        found = []
        for name in self.controller_listener_names:
            mine = [entry for entry in self._advertised if entry.name == name.upper()]
            mine += [entry for entry in self.controller_listeners if entry.name == name.upper()]
            if not mine:
                continue
            entry = mine[0]
            if not entry.host and self.node_id in self.voters:
                host = self.voters[self.node_id][0]
                entry = Listener(entry.name, entry.security, host, entry.port)
            found.append(entry)
        return tuple(found)

    def _read_listeners(self) -> None:
        protocols = self._protocols()
        self.protocols: Mapping[str, str] = protocols
        self.listeners: tuple[Listener, ...] = parse_listeners(self.static["listeners"], protocols)
        advertised = self.static["advertised.listeners"]
        self._advertised: tuple[Listener, ...] = self.listeners
        if advertised is not None:
            self._advertised = parse_listeners(advertised, protocols, distinct_ports=False)
        self.inter_broker_listener: str = self._inter_broker_listener()

    def _protocols(self) -> dict[str, str]:
        protocols = parse_protocol_map(self.static["listener.security.protocol.map"])
        if "listener.security.protocol.map" in self.originals:
            return protocols
        names = self.controller_listener_names
        used = {*names, *(listener_name(entry) for entry in self.static["listeners"])}
        if not used & TLS_OR_SASL:
            protocols |= {name.upper(): "PLAINTEXT" for name in names if name != "PLAINTEXT"}
        return protocols

    def _inter_broker_listener(self) -> str:
        name = self.static["inter.broker.listener.name"]
        if name is None:
            protocol: str = self.static["security.inter.broker.protocol"]
            return protocol
        if "security.inter.broker.protocol" in self.originals:
            raise ConfigError(
                "Only one of inter.broker.listener.name and security.inter.broker.protocol "
                "should be set."
            )
        wanted: str = name.upper()
        if wanted not in self.protocols:
            raise ConfigError(
                f"Listener with name {wanted} defined in inter.broker.listener.name not found in "
                "listener.security.protocol.map."
            )
        return wanted

    # --------------------------------------------------------------------- values that are derived

    @property
    def max_connections_per_ip_overrides(self) -> dict[str, int]:
        """Exceptions from max.connections.per.ip: {address or host name: number}."""
        return parse_overrides(self["max.connections.per.ip.overrides"])

    def listener_value(self, listener: str, name: str) -> Any:
        """A key's value for one listener: ``listener.name.NAME.KEY`` where that is set."""
        full = f"listener.name.{listener.lower()}.{name}"
        for texts in (self.dynamic_broker, self.dynamic_default, self.originals):
            if full in texts:
                return BROKER[name].parse(texts[full])
        return self[name]

    def text(self, name: str) -> str | None:
        """The text that is in force for a name, None where only a default is; secrets included."""
        for texts in (self.dynamic_broker, self.dynamic_default, self.originals):
            if name in texts:
                return texts[name]
        return None

    # ------------------------------------------------------------------------------------ dynamic

    def check(self) -> None:
        """Raise ``ConfigError`` where several values do not go together."""
        check_values({**self.values_now, **self.topic_defaults})

    def with_dynamic(self, default: Mapping[str, str], broker: Mapping[str, str]) -> BrokerConfig:
        """A copy with other dynamic settings, not checked."""
        copy = BrokerConfig(self.originals, checked=False)
        copy.update_dynamic(default, broker)
        return copy

    def update_dynamic(
        self, default: Mapping[str, str], broker: Mapping[str, str]
    ) -> frozenset[str]:
        """Put dynamic settings in force; returns the names of the keys whose values changed.

        What is unknown, read-only or bad is kept (DescribeConfigs shows it) and has no effect.
        """
        if default == self.dynamic_default and broker == self.dynamic_broker:
            return frozenset()
        before = self.values_now
        self.dynamic_default = dict(default)
        self.dynamic_broker = dict(broker)
        self._apply()
        now = self.values_now
        if now is before:
            return frozenset()
        return frozenset(name for name in now if now[name] != before[name])

    def _apply(self) -> None:
        values = dict(self.static)
        values |= dynamic.usable(self, self.dynamic_default)
        values |= dynamic.usable(self, self.dynamic_broker)
        if values != self.values_now or not self.topic_defaults:
            self.values_now = values
            self.topic_defaults = topic_defaults(values)

    def __repr__(self) -> str:
        shown = {
            name: "[hidden]" if self._sensitive(name) else text
            for name, text in sorted(self.originals.items())
        }
        return f"BrokerConfig({shown})"

    def _sensitive(self, name: str) -> bool:
        key = BROKER.get(dynamic.base_name(name))
        return key is None or key.type is PASSWORD
