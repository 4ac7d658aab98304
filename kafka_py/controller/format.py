"""Format log directories, as Kafka's storage tool does; and read what a format left.

    every log dir         meta.properties        cluster, node and directory id
                          bootstrap.checkpoint   the first records of the metadata log
    metadata log dir      __cluster_metadata-0/00000000000000000000-0000000000.checkpoint
                          the first voters, where the quorum is dynamic (KIP-853)

A directory counts as formatted once it has its meta.properties, which therefore comes last.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kafka_py.controller.log_store import METADATA_DIRECTORY
from kafka_py.controller.raft_types import SnapshotId, VoterSet
from kafka_py.controller.result import new_uuid
from kafka_py.controller.snapshots import decode_snapshot, encode_snapshot, snapshot_name
from kafka_py.metadata.features import (
    METADATA_VERSION,
    METADATA_VERSION_LATEST,
    METADATA_VERSION_NAMES,
    SUPPORTED,
    bootstrap_features,
    required_levels,
)
from kafka_py.protocol.records_metadata import (
    FeatureLevelRecord,
    UserScramCredentialRecord,
    decode_record,
    encode_record,
)
from kafka_py.protocol.types import uuid_from_text, uuid_to_text
from kcore import syscalls
from kcore.checkpoints import MetaProperties
from kcore.values import field, frozen, mutable

__all__ = [
    "FormatError",
    "FormatPlan",
    "Formatted",
    "bootstrap_records",
    "format_directories",
    "inspect",
    "metadata_version_of",
    "random_cluster_id",
    "read_bootstrap",
]

BOOTSTRAP_FILE = "bootstrap.checkpoint"
_FIRST = SnapshotId(0, 0)


class FormatError(Exception):
    """The directories cannot be formatted, or were formatted for something else; says why."""


@mutable
class FormatPlan:
    """What to format.

    `voters`: the first voters of a dynamic quorum, by id: directory id (None: that of this node's
    metadata log dir) and endpoints; empty under static voters, which the configuration names.
    `features` override the levels that come with `metadata_version`.  `scram` are credentials
    to begin with.
    """

    cluster_id: str
    node_id: int
    log_dirs: Sequence[str]
    metadata_dir: str
    metadata_version: int = METADATA_VERSION_LATEST
    features: Mapping[str, int] = field(default_factory=dict)
    voters: Mapping[int, tuple[bytes | None, tuple[str, int]]] = field(default_factory=dict)
    scram: Sequence[UserScramCredentialRecord] = ()
    ignore_formatted: bool = False


@frozen
class Formatted:
    """What is known of log directories: their properties by path, and those without any."""

    directories: Mapping[str, MetaProperties]
    unformatted: tuple[str, ...]

    @property
    def cluster_id(self) -> str | None:
        """The cluster id that they agree on."""
        return next((str(p.cluster_id) for p in self.directories.values()), None)


def random_cluster_id(random: Any) -> str:
    """A new cluster id, as text."""
    return uuid_to_text(new_uuid(random))


def metadata_version_of(text: str) -> int:
    """The level of a release version such as "4.3-IV0" or "4.3", or of a number.

    Raises FormatError.
    """
    if text.isdigit() and int(text) in METADATA_VERSION_NAMES:
        return int(text)
    levels = [
        level
        for level, name in METADATA_VERSION_NAMES.items()
        if name == text or name.partition("-")[0] == text
    ]
    if not levels:
        known = ", ".join(METADATA_VERSION_NAMES.values())
        raise FormatError(
            f"Unknown metadata.version '{text}'. Supported metadata.version are: {known}"
        )
    return max(levels)


def inspect(log_dirs: Sequence[str]) -> Formatted:
    """Which directories are formatted. Raises FormatError when they contradict each other, and
    kcore's CorruptFile for a damaged meta.properties."""
    found: dict[str, MetaProperties] = {}
    missing = []
    for path in log_dirs:
        properties = MetaProperties.read(path) if os.path.isdir(path) else None
        if properties is None:
            missing.append(path)
        else:
            found[path] = properties
    clusters = {str(properties.cluster_id): path for path, properties in found.items()}
    if len(clusters) > 1:
        rows = ", ".join(f"{path} has {cluster}" for cluster, path in clusters.items())
        raise FormatError(f"The log directories belong to different clusters: {rows}")
    nodes = {properties.node_id: path for path, properties in found.items()}
    if len(nodes) > 1:
        rows = ", ".join(f"{path} has {node}" for node, path in nodes.items())
        raise FormatError(f"The log directories belong to different nodes: {rows}")
    return Formatted(found, tuple(missing))


def format_directories(
    plan: FormatPlan, *, random: Any, now_ms: int, present: Formatted | None = None
) -> dict[str, MetaProperties]:
    """Format the directories that are not yet; returns them, each with its new properties.

    `random` draws directory ids; `now_ms` is wall time; `present` is what `inspect` said of the
    directories, for who has them locked.  Raises FormatError, OSError.
    """
    _check_plan(plan)
    if present is None:
        present = inspect(list(dict.fromkeys([*plan.log_dirs, plan.metadata_dir])))
    made: dict[str, MetaProperties] = {}
    for path, properties in present.directories.items():
        if not plan.ignore_formatted:
            raise FormatError(
                f"Log directory {path} is already formatted. Use --ignore-formatted to ignore "
                "this directory and format the others."
            )
        if properties.cluster_id != plan.cluster_id:
            raise FormatError(
                f"Invalid cluster.id in: {os.path.join(path, 'meta.properties')}. "
                f"Expected {plan.cluster_id}, but read {properties.cluster_id}"
            )
        if properties.node_id != plan.node_id:
            raise FormatError(
                f"Stored node id {properties.node_id} doesn't match previous node id "
                f"{plan.node_id} in {path}. If you moved your data, make sure your configured "
                "node id matches."
            )
    for path in present.unformatted:
        directory_id = new_uuid(random)
        if not os.path.isdir(path):
            os.makedirs(path, exist_ok=True)
        if path == plan.metadata_dir and plan.voters:
            # A voter is known by the id of its metadata directory, so that one must have it.
            directory_id = plan.voters[plan.node_id][0] or directory_id
            _write_voters(plan, path, directory_id, now_ms)
        values = [encode_record(record, 0) for record in bootstrap_records(plan)]
        _write_snapshot(os.path.join(path, BOOTSTRAP_FILE), values, now_ms)
        made[path] = properties = MetaProperties(
            cluster_id=plan.cluster_id,
            node_id=plan.node_id,
            directory_id=uuid_to_text(directory_id),
        )
        properties.write(path, now_ms=now_ms)
    return made


def _check_plan(plan: FormatPlan) -> None:
    try:
        uuid_from_text(plan.cluster_id)
    except ValueError as error:
        raise FormatError(
            f"Cluster ID string {plan.cluster_id} does not appear to be a valid UUID: {error}"
        ) from error
    if plan.metadata_version not in METADATA_VERSION_NAMES:
        raise FormatError(f"Unknown metadata.version {plan.metadata_version}.")
    for name, level in plan.features.items():
        supported = SUPPORTED.get(name)
        if supported is None:
            known = ", ".join(sorted(SUPPORTED))
            raise FormatError(f"Unsupported feature: {name}. Supported features are: {known}")
        if level not in supported:
            raise FormatError(f"No feature:{name} with feature level {level}")
    levels = _levels(plan)
    for name, level in levels.items():
        for other, least in required_levels(name, level).items():
            if levels.get(other, 0) < least:
                raise FormatError(
                    f"{name} could not be set to {level} because it depends on {other} "
                    f"level {least}"
                )
    if plan.voters and plan.node_id not in plan.voters:
        raise FormatError(
            f"Node {plan.node_id} is not one of the initial controllers "
            f"{', '.join(map(str, sorted(plan.voters)))}"
        )


def _levels(plan: FormatPlan) -> dict[str, int]:
    levels = {METADATA_VERSION: plan.metadata_version}
    levels |= bootstrap_features(plan.metadata_version)
    levels |= {name: lvl for name, lvl in plan.features.items() if name != METADATA_VERSION}
    return levels


def bootstrap_records(plan: FormatPlan) -> list[Any]:
    """What `read_bootstrap` reads after a format by this plan."""
    levels = _levels(plan)
    levels.pop("kraft.version", None)  # lives in control records
    names = [METADATA_VERSION, *sorted(name for name in levels if name != METADATA_VERSION)]
    records: list[Any] = [
        FeatureLevelRecord(name=name, feature_level=levels[name]) for name in names if levels[name]
    ]
    return [*records, *plan.scram]


def _write_snapshot(path: str, values: list[bytes], now_ms: int, **voters: Any) -> None:
    batches = encode_snapshot(
        _FIRST, values, last_timestamp_ms=now_ms if voters else 0, now_ms=now_ms, **voters
    )
    syscalls.replace_file(path, b"".join(batches))


def _write_voters(plan: FormatPlan, path: str, own_directory: bytes, now_ms: int) -> None:
    ids = {node_id: row[0] or own_directory for node_id, row in plan.voters.items()}
    addresses = {node_id: row[1] for node_id, row in plan.voters.items()}
    directory = os.path.join(path, METADATA_DIRECTORY)
    os.makedirs(directory, exist_ok=True)
    _write_snapshot(
        os.path.join(directory, snapshot_name(_FIRST)),
        [],
        now_ms,
        kraft_version=1,
        voters=VoterSet(ids, addresses),
    )


def read_bootstrap(metadata_dir: str) -> list[Any]:
    """The records of bootstrap.checkpoint, decoded: what a new cluster's log begins with.

    Without the file, Kafka begins with the latest metadata.version alone.  Raises CorruptFile.
    """
    path = os.path.join(metadata_dir, BOOTSTRAP_FILE)
    try:
        with open(path, "rb") as file:
            snapshot = decode_snapshot(file.read(), path)
    except FileNotFoundError:
        return [FeatureLevelRecord(name=METADATA_VERSION, feature_level=METADATA_VERSION_LATEST)]
    return [decode_record(value)[0] for value in snapshot.records]
