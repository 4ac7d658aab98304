"""placeholder: replaced by the package's owner."""

from typing import Any

from kafka_py.coordinator.machine import Moment, Result

HANDLERS: dict[type, Any] = {}
APPLIERS: dict[type, Any] = {}
DEADLINES: dict[str, Any] = {}


def LOADED(shard: Any, now: Moment) -> list[Result]:
    return []


def CHANGED(shard: Any, topics: Any, now: Moment) -> list[Result]:
    return []
