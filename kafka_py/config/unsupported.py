"""What a configuration may ask of Apache Kafka that this broker does not do: the honest list.

``REFUSED``: starting without it would break a promise (security, where data goes), so it is an
error. ``WARNED``: accepted, without the effect; a warning names it. ``NO_EFFECT``: tuning of the
Java broker's threads and buffers that has no counterpart here; accepted in silence, since nothing
that a user can observe depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kafka_py.config.definition import ConfigError, display

DEFAULT_PRINCIPAL_BUILDER: Final = (
    "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"
)
STANDARD_AUTHORIZER: Final = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
JMX_REPORTER: Final = "org.apache.kafka.common.metrics.JmxReporter"

#: key -> (the values that are fine, why others are refused)
REFUSED: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    "authorizer.class.name": (
        ("", STANDARD_AUTHORIZER),
        f"Java classes cannot be loaded, and {STANDARD_AUTHORIZER} is the only one built in",
    ),
    "principal.builder.class": (
        (DEFAULT_PRINCIPAL_BUILDER, None),
        "Java classes cannot be loaded",
    ),
    "create.topic.policy.class.name": ((None,), "Java classes cannot be loaded"),
    "alter.config.policy.class.name": ((None,), "Java classes cannot be loaded"),
    "client.quota.callback.class": ((None,), "Java classes cannot be loaded"),
    "ssl.engine.factory.class": ((None,), "Java classes cannot be loaded"),
    "remote.log.storage.system.enable": ((False,), "there is no tiered storage yet"),
    "config.providers": (((),), "indirect values are not resolved yet"),
    "security.inter.broker.protocol": (("PLAINTEXT",), "there is no TLS or SASL yet"),
}

#: key -> (the values that are fine, what happens instead)
WARNED: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    "delegation.token.secret.key": ((None,), "there are no delegation tokens yet"),
    "log.cleanup.policy": ((("delete",), ()), "logs are not compacted yet, they only grow"),
    "replica.selector.class": ((None,), "consumers read from leaders"),
    "metric.reporters": (((JMX_REPORTER,), ()), "Java classes cannot be loaded"),
    "kafka.metrics.reporters": (((),), "Java classes cannot be loaded"),
    "security.providers": ((None,), "Java classes cannot be loaded"),
    "transaction.two.phase.commit.enable": ((False,), "there are no two-phase commits yet"),
    "unstable.api.versions.enable": ((False,), "no unstable API versions exist here"),
    "unstable.feature.versions.enable": ((False,), "no unstable feature levels exist here"),
}

#: Keys that Kafka changes while it runs and this broker does not; a change is refused.
NOT_LIVE: Final = ("listeners", "listener.security.protocol.map", "metric.reporters")

NO_EFFECT: Final = frozenset(
    {
        "num.network.threads",
        "num.io.threads",
        "num.replica.fetchers",
        "group.coordinator.threads",
        "group.coordinator.background.threads",
        "share.coordinator.threads",
        "log.cleaner.threads",
        "fetch.purgatory.purge.interval.requests",
        "producer.purgatory.purge.interval.requests",
        "delete.records.purgatory.purge.interval.requests",
        "share.fetch.purgatory.purge.interval.requests",
        "controller.performance.sample.period.ms",
        "controller.performance.always.log.threshold.ms",
        "metrics.num.samples",
        "metrics.sample.window.ms",
        "metrics.recording.level",
    }
)


def refuse_unsupported(values: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` for the first value that asks for what must not be left undone."""
    for name, (fine, why) in REFUSED.items():
        if values[name] not in fine:
            raise ConfigError(f"{name}={display(values[name])} is not supported by kafka_py: {why}")


def refuse_not_live(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` for the first change that a running node cannot make."""
    refuse_unsupported(after)
    for name in NOT_LIVE:
        if before[name] != after[name]:
            raise ConfigError(
                f"{name} cannot be changed while kafka_py runs: set it in the file of the node "
                "and start it again"
            )


def unsupported_warnings(values: Mapping[str, Any]) -> list[str]:
    """A sentence for each value that is accepted without its effect."""
    return [
        f"{name}={display(values[name])} has no effect in kafka_py: {why}"
        for name, (fine, why) in WARNED.items()
        if values[name] not in fine
    ]
