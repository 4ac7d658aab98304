"""The keys of a client metrics subscription (KIP-714)."""

from kafka_py.config.definition import INT, LIST, MEDIUM, ConfigKey, ListOf

KEYS: tuple[ConfigKey, ...] = (
    ConfigKey(
        "metrics",
        LIST,
        (),
        MEDIUM,
        ListOf(),
        documentation="Prefixes of the metric names to collect; * for all.",
    ),
    ConfigKey("interval.ms", INT, 300_000, MEDIUM, documentation="How often clients push them."),
    ConfigKey(
        "match", LIST, (), MEDIUM, ListOf(), documentation="Which clients: name=pattern entries."
    ),
)
