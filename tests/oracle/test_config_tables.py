"""Our tables of configuration keys, held against those in Apache Kafka's own classes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kafka_py.config.broker import KAFKA_KEYS
from kafka_py.config.definition import REQUIRED, ConfigKey, to_text
from kafka_py.config.dynamic import QUOTA_KEYS, synonyms
from kafka_py.config.topic import CLIENT_METRICS, GROUP, SYNONYMS, TOPIC

JAVA = Path(__file__).resolve().parent / "java" / "ConfigTables.java"


@pytest.fixture(scope="module")
def rows(oracle_classpath: str) -> list[list[str]]:
    """What Java prints, in fields."""
    ran = subprocess.run(
        [
            "java",
            "-cp",
            oracle_classpath,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
            str(JAVA),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split("\t") for line in ran.stdout.splitlines()]


def fields(key: ConfigKey) -> list[str]:
    """A key of ours in Java's fields."""
    default = to_text(key.default)
    if key.default is REQUIRED:
        default = "<required>"
    return [
        key.name,
        key.type.name,
        "<null>" if default is None else default,
        "<none>" if key.validator is None else str(key.validator),
        key.importance.name,
        str(key.internal).lower(),
        key.mode.value,
    ]


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("broker", [key for key in KAFKA_KEYS if key.name not in QUOTA_KEYS]),
        ("topic", list(TOPIC)),
        ("group", list(GROUP)),
        ("client-metrics", list(CLIENT_METRICS)),
    ],
    ids=["broker", "topic", "group", "client-metrics"],
)
def test_the_keys_are_apaches(rows: list[list[str]], table: str, keys: list[ConfigKey]) -> None:
    """Name, type, default, what is accepted, importance, internal or not, update mode."""
    expected = {row[1]: row[1:] for row in rows if row[0] == table}
    found = {key.name: fields(key) for key in keys}
    assert found.keys() == expected.keys()
    wrong = [(expected[name], found[name]) for name in expected if expected[name] != found[name]]
    assert wrong == []


def test_topic_keys_have_apaches_broker_names(rows: list[list[str]]) -> None:
    """The broker key that DescribeConfigs names behind a topic's."""
    for _, name, synonym in (row for row in rows if row[0] == "synonym"):
        ours = SYNONYMS[name][0][0] if name in SYNONYMS else "null"
        assert ours == synonym, name


def test_broker_keys_have_apaches_synonyms(rows: list[list[str]]) -> None:
    """Keys of another unit, the finest first."""
    for _, name, names in (row for row in rows if row[0] == "names"):
        assert ",".join(synonyms(name)) == names, name
