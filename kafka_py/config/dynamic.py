"""Broker settings that change while the broker runs (KIP-226): which may, and their checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from kafka_py.config.definition import ConfigError, UpdateMode, display
from kafka_py.config.unsupported import refuse_not_live

if TYPE_CHECKING:
    from kafka_py.config.broker import BrokerConfig

LISTENER_KEY: Final = re.compile(r"listener\.name\.[^.]*\.(.*)")
LISTENER_CLUSTER_KEYS: Final = frozenset(
    {"max.connections", "max.connection.creation.rate", "num.network.threads"}
)
#: Security keys that may only be changed for one listener, with its prefix.
LISTENER_ONLY_KEYS: Final = frozenset(
    {
        "ssl.keystore.type",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.key.password",
        "ssl.keystore.key",
        "ssl.keystore.certificate.chain",
        "ssl.truststore.type",
        "ssl.truststore.location",
        "ssl.truststore.password",
        "ssl.truststore.certificates",
    }
)
MECHANISM_KEYS: Final = (
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
)
THREAD_KEYS: Final = (
    "num.io.threads",
    "num.replica.fetchers",
    "num.recovery.threads.per.data.dir",
    "background.threads",
    "num.network.threads",
)
#: Keys that are set for all brokers or one, though they are in no server.properties.
QUOTA_KEYS: Final = frozenset(
    {
        "leader.replication.throttled.rate",
        "follower.replication.throttled.rate",
        "replica.alter.log.dirs.io.max.bytes.per.second",
    }
)
TIME_SYNONYMS: Final = (
    ("log.roll.ms", "log.roll.hours"),
    ("log.roll.jitter.ms", "log.roll.jitter.hours"),
    ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
)


def base_name(name: str) -> str:
    """The key behind ``listener.name.NAME.KEY``; the name itself where it has no such prefix."""
    found = LISTENER_KEY.fullmatch(name)
    if found is None:
        return name
    return next((key for key in MECHANISM_KEYS if found[1].endswith(key)), found[1])


def synonyms(name: str) -> tuple[str, ...]:
    """The keys that give a broker key's value, the strongest first, as DescribeConfigs has them."""
    for names in TIME_SYNONYMS:
        if name in names:
            return names
    if name == "log.flush.interval.ms":
        return name, "log.flush.scheduler.interval.ms"
    base = base_name(name)
    return (name,) if base == name else (name, base)


def is_dynamic(config: BrokerConfig, name: str) -> bool:
    """Whether a broker key may be changed while the broker runs; unknown names may."""
    key = config.definition.get(base_name(name))
    return key is None or key.mode is not UpdateMode.READ_ONLY


def validate(config: BrokerConfig, properties: Mapping[str, str], *, per_broker: bool) -> None:
    """Raise ``ConfigError`` where these may not be the dynamic settings of one or all brokers.

    ``properties`` are all dynamic settings of that scope after the change.
    """
    refuse(
        (name for name in properties if not is_dynamic(config, name)),
        "Cannot update these configs dynamically",
    )
    refuse(
        (name for name in properties if name in LISTENER_ONLY_KEYS),
        "These security configs can be dynamically updated only per-listener using the listener "
        "prefix",
    )
    for name, text in properties.items():
        key = config.definition.get(base_name(name))
        if key is not None:
            key.parse(text)
    if not per_broker:
        refuse(
            (name for name in properties if is_per_broker(config, name)),
            "Cannot update these configs at default cluster level, broker id must be specified",
        )
    if per_broker:
        changed = config.with_dynamic(config.dynamic_default, properties)
    else:
        changed = config.with_dynamic(properties, config.dynamic_broker)
    changed.check()
    refuse_not_live(config, changed)
    for name in THREAD_KEYS:
        check_threads(name, config[name], changed[name])


def is_per_broker(config: BrokerConfig, name: str) -> bool:
    """Whether a key may differ between brokers only, and so has no default for the cluster."""
    found = LISTENER_KEY.fullmatch(name)
    if found is not None:
        return found[1] not in LISTENER_CLUSTER_KEYS
    key = config.definition.get(name)
    return key is not None and key.mode is UpdateMode.PER_BROKER


def refuse(names: Iterable[str], reason: str) -> None:
    """Raise ``ConfigError`` with the names, where there are any."""
    found = tuple(names)
    if found:
        raise ConfigError(f"{reason}: {display(found)}")


def check_threads(name: str, before: int, after: int) -> None:
    """A number of threads may at most double or halve at a time. Raises ``ConfigError``."""
    reason = f"Dynamic thread count update validation failed for {name}={after}"
    if after < before // 2:
        raise ConfigError(f"{reason}, value should be at least half the current value {before}")
    if after > before * 2:
        raise ConfigError(
            f"{reason}, value should not be greater than double the current value {before}"
        )


def on_config_change(
    config: BrokerConfig,
    configs: Mapping[tuple[int, str], Mapping[str, str | None]],
    node_id: int,
) -> frozenset[str]:
    """Bring ``config`` to what a metadata image says of this broker; for every new image.

    ``configs`` is ``MetadataImage.configs``: {(resource type, name): {key: text}}. Returns the
    broker keys whose values changed. Where one of them is in ``topic.BROKER_KEYS`` (or is
    producer.id.expiration.ms) every log's LogConfig has to be made again; a topic's own overrides
    are not looked at here.
    """
    broker = 4
    return config.update_dynamic(
        without_nulls(configs.get((broker, "")) or {}),
        without_nulls(configs.get((broker, str(node_id))) or {}),
    )


def without_nulls(settings: Mapping[str, str | None]) -> dict[str, str]:
    """The settings that have a text."""
    return {name: text for name, text in settings.items() if text is not None}


def usable(config: BrokerConfig, properties: Mapping[str, str]) -> dict[str, Any]:
    """The parsed values of dynamic settings; what is unknown, read-only or bad is passed over."""
    values: dict[str, Any] = {}
    for name, text in properties.items():
        key = config.definition.get(name)
        if key is None or key.mode is UpdateMode.READ_ONLY:
            continue
        try:
            values[name] = key.parse(text)
        except ConfigError:
            continue
    return values
