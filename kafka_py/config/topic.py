"""Topic, group and client-metrics settings: their tables, the broker's defaults, LogConfig."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from kafka_py.config.definition import ConfigDef, ConfigError
from kafka_py.config.keys import client_metrics, group, topic

if TYPE_CHECKING:
    from kcore.log_config import LogConfig

TOPIC: Final = ConfigDef(topic.KEYS)
GROUP: Final = ConfigDef(group.KEYS)
CLIENT_METRICS: Final = ConfigDef(client_metrics.KEYS)

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000

Convert = Callable[[int], int]


def scaled(unit_ms: int) -> Convert:
    """A conversion from a larger unit to milliseconds."""
    return lambda value: value * unit_ms


#: For each topic key the broker keys that give its default, the strongest first. A conversion is
#: for keys in a larger unit. The name that DescribeConfigs calls its synonym is the first one.
SYNONYMS: Final[dict[str, tuple[tuple[str, Convert | None], ...]]] = {
    "segment.bytes": (("log.segment.bytes", None),),
    "segment.ms": (("log.roll.ms", None), ("log.roll.hours", scaled(HOUR_MS))),
    "segment.jitter.ms": (
        ("log.roll.jitter.ms", None),
        ("log.roll.jitter.hours", scaled(HOUR_MS)),
    ),
    "segment.index.bytes": (("log.index.size.max.bytes", None),),
    "flush.messages": (("log.flush.interval.messages", None),),
    "flush.ms": (("log.flush.interval.ms", None), ("log.flush.scheduler.interval.ms", None)),
    "retention.bytes": (("log.retention.bytes", None),),
    "retention.ms": (
        ("log.retention.ms", None),
        ("log.retention.minutes", scaled(MINUTE_MS)),
        ("log.retention.hours", scaled(HOUR_MS)),
    ),
    "max.message.bytes": (("message.max.bytes", None),),
    "index.interval.bytes": (("log.index.interval.bytes", None),),
    "delete.retention.ms": (("log.cleaner.delete.retention.ms", None),),
    "min.compaction.lag.ms": (("log.cleaner.min.compaction.lag.ms", None),),
    "max.compaction.lag.ms": (("log.cleaner.max.compaction.lag.ms", None),),
    "file.delete.delay.ms": (("log.segment.delete.delay.ms", None),),
    "min.cleanable.dirty.ratio": (("log.cleaner.min.cleanable.ratio", None),),
    "cleanup.policy": (("log.cleanup.policy", None),),
    "unclean.leader.election.enable": (("unclean.leader.election.enable", None),),
    "min.insync.replicas": (("min.insync.replicas", None),),
    "compression.type": (("compression.type", None),),
    "compression.gzip.level": (("compression.gzip.level", None),),
    "compression.lz4.level": (("compression.lz4.level", None),),
    "compression.zstd.level": (("compression.zstd.level", None),),
    "preallocate": (("log.preallocate", None),),
    "message.timestamp.type": (("log.message.timestamp.type", None),),
    "message.timestamp.before.max.ms": (("log.message.timestamp.before.max.ms", None),),
    "message.timestamp.after.max.ms": (("log.message.timestamp.after.max.ms", None),),
    "local.retention.ms": (("log.local.retention.ms", None),),
    "local.retention.bytes": (("log.local.retention.bytes", None),),
}

#: Broker keys whose change changes the defaults of topics.
BROKER_KEYS: Final = frozenset(name for rows in SYNONYMS.values() for name, _ in rows)

#: For each group key the broker key that gives its default (group.share.* for share.* and so on).
GROUP_SYNONYMS: Final[dict[str, str]] = {
    key.name: f"group.{key.name}"
    for key in GROUP
    if key.name
    not in ("share.auto.offset.reset", "share.isolation.level", "share.renew.acknowledge.enable")
}


def topic_defaults(broker: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every topic key for a topic without overrides, from the broker's values."""
    values = TOPIC.defaults()
    for name, rows in SYNONYMS.items():
        for broker_name, convert in rows:
            value = broker[broker_name]
            if value is not None:
                values[name] = value if convert is None else convert(value)
                break
    if values["retention.ms"] < 0:
        values["retention.ms"] = -1
    return values


def topic_values(
    broker: Mapping[str, Any], overrides: Mapping[str, str | None], *, strict: bool = False
) -> dict[str, Any]:
    """The value of every topic key for a topic with these overrides (texts).

    Unknown names are passed over, as Kafka does when it reads them from its metadata. A bad value
    is passed over as well, for a broker must be able to serve a topic that another version
    allowed; with ``strict`` it raises ``ConfigError``.
    """
    values = topic_defaults(broker)
    for name, text in overrides.items():
        key = TOPIC.get(name)
        if key is None or text is None:
            continue
        try:
            values[name] = key.parse(text)
        except ConfigError:
            if strict:
                raise
    return values


def group_values(broker: Mapping[str, Any], overrides: Mapping[str, str | None]) -> dict[str, Any]:
    """The value of every group key for a group with these overrides; bad values are passed over."""
    values = GROUP.defaults()
    for name, broker_name in GROUP_SYNONYMS.items():
        values[name] = broker[broker_name]
    for name, text in overrides.items():
        key = GROUP.get(name)
        if key is not None and text is not None:
            try:
                values[name] = key.parse(text)
            except ConfigError:
                continue
    return values


def validate_topic(
    broker: Mapping[str, Any],
    overrides: Mapping[str, str],
    previous: Mapping[str, str | None] | None = None,
) -> None:
    """Raise ``ConfigError`` where a topic may not have these overrides, in Kafka's words.

    ``previous`` are the overrides it had before, for what may not be taken back.
    """
    for name in overrides:
        if name not in TOPIC:
            raise ConfigError(f"Unknown topic config name: {name}")
    values = topic_values(broker, overrides, strict=True)
    lowest, highest = values["min.compaction.lag.ms"], values["max.compaction.lag.ms"]
    if lowest > highest:
        raise ConfigError(
            f"conflict topic config setting min.compaction.lag.ms ({lowest}) > "
            f"max.compaction.lag.ms ({highest})"
        )
    if values["remote.storage.enable"]:
        raise ConfigError(
            "Tiered Storage functionality is disabled in the broker. "
            "Topic cannot be configured with remote log storage."
        )
    was_remote = ((previous or {}).get("remote.storage.enable") or "").lower() == "true"
    if was_remote and not values["remote.log.delete.on.disable"]:
        raise ConfigError("It is invalid to disable remote storage without deleting remote data.")


def topic_log_config(broker: Mapping[str, Any], overrides: Mapping[str, str | None]) -> LogConfig:
    """What the storage core is told of a topic with these overrides."""
    return log_config(topic_values(broker, overrides), broker["producer.id.expiration.ms"])


def log_config(values: Mapping[str, Any], producer_id_expiration_ms: int) -> LogConfig:
    """A LogConfig from a topic's values (see ``topic_values``)."""
    from kcore.log_config import LogConfig

    compression = values["compression.type"]
    level = {
        "gzip": values["compression.gzip.level"],
        "lz4": values["compression.lz4.level"],
        "zstd": values["compression.zstd.level"],
    }.get(compression)
    if compression == "gzip" and level == -1:
        level = None
    compact = "compact" in values["cleanup.policy"]
    segment_ms = values["segment.ms"]
    if compact and values["max.compaction.lag.ms"] > 0:
        # A record must leave the active segment before it can be compacted.
        segment_ms = min(segment_ms, values["max.compaction.lag.ms"])
    segment_bytes = values["internal.segment.bytes"]
    return LogConfig(
        segment_bytes=values["segment.bytes"] if segment_bytes is None else segment_bytes,
        segment_ms=segment_ms,
        segment_jitter_ms=values["segment.jitter.ms"],
        segment_index_bytes=values["segment.index.bytes"],
        index_interval_bytes=values["index.interval.bytes"],
        max_message_bytes=values["max.message.bytes"],
        retention_bytes=values["retention.bytes"],
        retention_ms=values["retention.ms"],
        file_delete_delay_ms=values["file.delete.delay.ms"],
        delete="delete" in values["cleanup.policy"],
        compact=compact,
        timestamp_type=int(values["message.timestamp.type"] == "LogAppendTime"),
        timestamp_before_max_ms=values["message.timestamp.before.max.ms"],
        timestamp_after_max_ms=values["message.timestamp.after.max.ms"],
        compression=compression,
        compression_level=level,
        producer_id_expiration_ms=producer_id_expiration_ms,
        preallocate_bytes=values["preallocate"],
        flush_messages=values["flush.messages"],
        flush_ms=values["flush.ms"],
    )
