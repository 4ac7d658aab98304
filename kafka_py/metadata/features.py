"""The features that this node supports, and what metadata.version means for record versions.

Levels, their dependencies and names are those of Apache Kafka 4.3 (KIP-584, KIP-1022).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kafka_py.metadata.types import VersionRange
from kafka_py.protocol import records_metadata as r

__all__ = [
    "BOOTSTRAP_LEVELS",
    "ELR_VERSION",
    "KRAFT_VERSION",
    "METADATA_VERSION",
    "METADATA_VERSION_LATEST",
    "METADATA_VERSION_NAMES",
    "SUPPORTED",
    "record_version",
    "required_levels",
]

METADATA_VERSION = "metadata.version"
KRAFT_VERSION = "kraft.version"
ELR_VERSION = "eligible.leader.replicas.version"

METADATA_VERSION_LATEST = 30

#: Release names of the levels of metadata.version.
METADATA_VERSION_NAMES: Mapping[int, str] = {
    7: "3.3-IV3",
    8: "3.4-IV0",
    9: "3.5-IV0",
    10: "3.5-IV1",
    11: "3.5-IV2",
    12: "3.6-IV0",
    13: "3.6-IV1",
    14: "3.6-IV2",
    15: "3.7-IV0",
    16: "3.7-IV1",
    17: "3.7-IV2",
    18: "3.7-IV3",
    19: "3.7-IV4",
    20: "3.8-IV0",
    21: "3.9-IV0",
    22: "4.0-IV0",
    23: "4.0-IV1",
    24: "4.0-IV2",
    25: "4.0-IV3",
    26: "4.1-IV0",
    27: "4.1-IV1",
    28: "4.2-IV0",
    29: "4.2-IV1",
    30: "4.3-IV0",
}

#: Levels of metadata.version that brought records or fields that an older one cannot read.
METADATA_CHANGED_AT = frozenset({7, 8, 11, 13, 14, 15, 17, 23, 30})

#: What a node of this version supports, in the order in which Kafka 4.3 registers it.
SUPPORTED: Mapping[str, VersionRange] = {
    "group.version": VersionRange(0, 1),
    KRAFT_VERSION: VersionRange(0, 1),
    METADATA_VERSION: VersionRange(7, METADATA_VERSION_LATEST),
    "share.version": VersionRange(0, 1),
    "streams.version": VersionRange(0, 1),
    "transaction.version": VersionRange(0, 2),
    ELR_VERSION: VersionRange(0, 1),
}

#: Feature -> {level: the metadata.version from which on a new cluster begins with it}.
BOOTSTRAP_LEVELS: Mapping[str, Mapping[int, int]] = {
    ELR_VERSION: {1: 26},
    "group.version": {1: 22},
    "share.version": {1: 28},
    "streams.version": {1: 29},
    "transaction.version": {1: 24, 2: 24},
}

_DEPENDENCIES: Mapping[tuple[str, int], Mapping[str, int]] = {
    (ELR_VERSION, 1): {METADATA_VERSION: 23},
}


def required_levels(feature: str, level: int) -> Mapping[str, int]:
    """The least levels of other features that this one needs."""
    return _DEPENDENCIES.get((feature, level), {})


def bootstrap_features(metadata_version: int) -> dict[str, int]:
    """The levels with which a new cluster of that metadata.version begins, sorted by name."""
    levels = {}
    for feature, starts in BOOTSTRAP_LEVELS.items():
        level = max((lvl for lvl, at in starts.items() if at <= metadata_version), default=0)
        if level:
            levels[feature] = level
    return levels


def _by_level(*steps: tuple[int, int]) -> Mapping[int, int]:
    return dict(steps)


#: Record class -> {metadata.version from which on: record version}, the others are version 0.
_VERSIONS: Mapping[type, Mapping[int, int]] = {
    r.RegisterBrokerRecord: _by_level((0, 1), (8, 2), (17, 3), (30, 4)),
    r.PartitionRecord: _by_level((0, 0), (17, 1), (23, 2)),
    r.PartitionChangeRecord: _by_level((0, 0), (17, 1), (23, 2)),
}


def record_version(record: Any, metadata_version: int) -> int:
    """The version in which Kafka 4.3 writes a record at that level of metadata.version."""
    if isinstance(record, r.BrokerRegistrationChangeRecord):
        # Kafka takes the lowest version that can carry what changed.
        if record.cordoned_log_dirs is not None:
            return 3
        if record.log_dirs:
            return 2
        return 1 if record.in_controlled_shutdown else 0
    steps = _VERSIONS.get(type(record))
    if steps is None:
        return 0
    return max(version for level, version in steps.items() if level <= metadata_version)


def unsupported_reason(feature: str, level: int, ranges: Iterable[tuple[str, VersionRange]]) -> str:
    """Why a level cannot be finalized, in Kafka's words; "" when every (who, range) allows it."""
    for who, supported in ranges:
        if level in supported:
            continue
        if supported.max == 0:
            return f"{who} does not support this feature."
        return f"{who} only supports versions {supported.min}-{supported.max}"
    return ""
