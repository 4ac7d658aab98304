"""What a group and a client metrics subscription may be told, as Apache Kafka 4.3.1 decides it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kafka_py.config.definition import ConfigError
from kafka_py.config.topic import CLIENT_METRICS, GROUP, GROUP_SYNONYMS

INTERVAL_MS_MIN: Final = 100
INTERVAL_MS_MAX: Final = 3_600_000
MATCHED: Final = frozenset(
    {
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    }
)


class UnusableRequest(ConfigError):
    """A refusal that Kafka answers with INVALID_REQUEST rather than INVALID_CONFIG."""


def validate_group(broker: Mapping[str, Any], overrides: Mapping[str, str]) -> None:
    """Raise ``ConfigError`` where a group may not have these settings.

    Values must lie between what the broker's group.*.min.* and group.*.max.* keys allow.
    """
    for name in overrides:
        if name not in GROUP:
            raise ConfigError(f"Unknown group config name: {name}")
    values = {name: GROUP[name].parse(text) for name, text in overrides.items()}
    for name, value in values.items():
        lowest, highest = bounds(broker, name)
        if lowest is not None and value < broker[lowest]:
            raise ConfigError(f"{name} must be greater than or equal to {lowest}")
        if highest is not None and value > broker[highest]:
            raise ConfigError(f"{name} must be less than or equal to {highest}")


def bounds(broker: Mapping[str, Any], name: str) -> tuple[str | None, str | None]:
    """The broker's keys that bound a group's key from below and above, where there are such."""
    if name not in GROUP_SYNONYMS:
        return None, None
    kind, _, rest = name.partition(".")
    lowest, highest = f"group.{kind}.min.{rest}", f"group.{kind}.max.{rest}"
    if name == "streams.num.standby.replicas":
        highest = "group.streams.max.standby.replicas"
    return lowest if lowest in broker else None, highest if highest in broker else None


def validate_client_metrics(name: str, overrides: Mapping[str, str]) -> None:
    """Raise ``ConfigError`` where a subscription may not have this name and these settings."""
    if not name:
        raise UnusableRequest("Subscription name can't be empty")
    for key in overrides:
        if key not in CLIENT_METRICS:
            raise UnusableRequest(f"Unknown client metrics configuration: {key}")
    if "interval.ms" in overrides:
        interval_ms = CLIENT_METRICS["interval.ms"].parse(overrides["interval.ms"])
        if not INTERVAL_MS_MIN <= interval_ms <= INTERVAL_MS_MAX:
            raise UnusableRequest(
                f"Invalid value {interval_ms} for interval.ms, interval must be between "
                f"{INTERVAL_MS_MIN} and {INTERVAL_MS_MAX} (1 hour)"
            )
    if "match" in overrides:
        parse_matches(overrides["match"])


def parse_matches(text: str) -> dict[str, re.Pattern[str]]:
    """``name=pattern,...`` -> {name: compiled pattern}. Raises ``ConfigError``."""
    found: dict[str, re.Pattern[str]] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, pattern = (part.strip() for part in entry.partition("="))
        try:
            if name not in MATCHED or not pattern or "=" in pattern:
                raise ValueError(entry)
            found[name] = re.compile(pattern)
        except (ValueError, re.error):
            raise ConfigError(f"Illegal client matching pattern: {entry}") from None
    return found
