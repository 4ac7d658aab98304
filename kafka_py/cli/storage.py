"""``kafka-py format``, ``info``, ``random-uuid``: what kafka-storage does, in its words."""

from __future__ import annotations

import argparse
import os
import random
import sys
from typing import Any

from kafka_py.cli.failures import USER, Failure
from kafka_py.cli.properties import read_properties
from kafka_py.clock import RealClock
from kafka_py.config.broker import BrokerConfig
from kafka_py.config.definition import ConfigError, split_host_port
from kafka_py.controller.format import (
    FormatPlan,
    format_directories,
    inspect,
    metadata_version_of,
    random_cluster_id,
    read_bootstrap,
)
from kafka_py.metadata.features import METADATA_VERSION_LATEST, METADATA_VERSION_NAMES
from kafka_py.protocol.types import uuid_from_text

Voters = dict[int, tuple[bytes | None, tuple[str, int]]]


def add_commands(commands: Any) -> None:
    """Add this module's commands to a parser."""
    make = commands.add_parser("format", help="format the log directories of a node")
    make.add_argument("--config", "-c", required=True, metavar="FILE", help="its server.properties")
    make.add_argument("--cluster-id", "-t", required=True, metavar="ID", help="the cluster's id")
    make.add_argument(
        "--ignore-formatted",
        "-g",
        action="store_true",
        help="pass over directories that are formatted already",
    )
    make.add_argument(
        "--release-version", "-r", metavar="RELEASE", help="metadata.version to begin with"
    )
    make.add_argument(
        "--feature",
        "-f",
        action="append",
        default=[],
        metavar="NAME=LEVEL",
        help="level of one feature to begin with; may be repeated",
    )
    how = make.add_mutually_exclusive_group()
    how.add_argument(
        "--standalone", "-s", action="store_true", help="a dynamic quorum of this node alone"
    )
    how.add_argument(
        "--no-initial-controllers",
        "-N",
        action="store_true",
        help="no voters yet: the node finds its quorum by controller.quorum.bootstrap.servers",
    )
    how.add_argument(
        "--initial-controllers",
        "-I",
        metavar="VOTERS",
        help="the voters of a dynamic quorum: id@host:port:directory-id,...",
    )
    make.set_defaults(run=run_format)
    info = commands.add_parser("info", help="say what a node's log directories are")
    info.add_argument("--config", "-c", required=True, metavar="FILE", help="its server.properties")
    info.set_defaults(run=run_info)
    draw = commands.add_parser("random-uuid", help="print a new cluster id")
    draw.set_defaults(run=run_random_uuid)


def run_random_uuid(_arguments: argparse.Namespace) -> int:
    """Print a random id."""
    print(random_cluster_id(random.SystemRandom()))
    return 0


def load(path: str) -> BrokerConfig:
    """A checked configuration. Raises ``Failure``."""
    try:
        return BrokerConfig(read_properties(path))
    except ConfigError as error:
        raise Failure(f"{path}: {error}", USER) from None


def parse_features(texts: list[str]) -> dict[str, int]:
    """``name=level`` arguments. Raises ``Failure``."""
    found: dict[str, int] = {}
    for text in texts:
        name, equals, level = text.partition("=")
        if not equals:
            raise Failure(f"Can't parse feature=level string {text}: equals sign not found.", USER)
        try:
            found[name.strip()] = int(level)
        except ValueError:
            raise Failure(
                f"Can't parse feature=level string {text}: unable to parse {level.strip()} as a "
                "short.",
                USER,
            ) from None
    return found


def parse_controllers(text: str) -> Voters:
    """``id@host:port:directory-id,...`` -> voters. Raises ``Failure``."""
    voters: Voters = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        identifier, _, rest = entry.partition("@")
        address, _, directory = rest.rpartition(":")
        parts = split_host_port(address)
        try:
            if parts is None:
                raise ValueError(entry)
            voters[int(identifier)] = (uuid_from_text(directory), parts)
        except ValueError:
            raise Failure(
                f"--initial-controllers {entry}: id@host:port:directory-id is wanted", USER
            ) from None
    return voters


def initial_voters(config: BrokerConfig, arguments: argparse.Namespace) -> Voters:
    """The voters of a dynamic quorum; none under static voters. Raises ``Failure``."""
    dynamic = arguments.standalone or arguments.initial_controllers
    if config.voters:
        if dynamic or arguments.no_initial_controllers:
            raise Failure(
                "You cannot specify controller.quorum.voters and format the node with "
                "--initial-controllers or --standalone. If you want to use dynamic quorum, please "
                "remove controller.quorum.voters and specify controller.quorum.bootstrap.servers "
                "instead.",
                USER,
            )
        return {}
    if not dynamic and not arguments.no_initial_controllers:
        raise Failure(
            "Because controller.quorum.voters is not set on this controller, you must specify one "
            "of the following: --standalone, --initial-controllers, or --no-initial-controllers.",
            USER,
        )
    if arguments.initial_controllers:
        return parse_controllers(arguments.initial_controllers)
    if not arguments.standalone:
        return {}
    listener = config.advertised_controller_listeners[0]
    return {config.node_id: (None, (listener.host or "localhost", listener.port))}


def run_format(arguments: argparse.Namespace) -> int:
    """Format what is not formatted; the exit status."""
    config = load(arguments.config)
    voters = initial_voters(config, arguments)
    level = METADATA_VERSION_LATEST
    if arguments.release_version is not None:
        level = metadata_version_of(arguments.release_version)
    features = parse_features(arguments.feature)
    level = features.pop("metadata.version", level)
    plan = FormatPlan(
        cluster_id=arguments.cluster_id,
        node_id=config.node_id,
        log_dirs=[os.path.abspath(path) for path in config.log_dirs],
        metadata_dir=os.path.abspath(config.metadata_log_dir),
        metadata_version=level,
        features=features,
        voters=voters,
        ignore_formatted=arguments.ignore_formatted,
    )
    made = format_directories(plan, random=random.SystemRandom(), now_ms=RealClock().now_ms())
    if not made:
        print("All of the log directories are already formatted.")
        return 0
    print(f"Bootstrap metadata: {bootstrap_text(next(iter(made)), level)}")
    for path in sorted(made, key=lambda path: (path == plan.metadata_dir, path)):
        kind = "data"
        if path == plan.metadata_dir:
            kind = "dynamic metadata voter" if config.node_id in voters else "metadata"
        name = METADATA_VERSION_NAMES[level]
        print(f"Formatting {kind} directory {path} with metadata.version {name}.")
    return 0


def bootstrap_text(path: str, level: int) -> str:
    """The first records of a formatted directory, as Kafka's tool prints them."""
    records = ", ".join(
        f"ApiMessageAndVersion(FeatureLevelRecord(name='{record.name}', "
        f"featureLevel={record.feature_level}) at version 0)"
        for record in read_bootstrap(path)
        if hasattr(record, "feature_level")
    )
    return (
        f"BootstrapMetadata(records=[{records}], metadataVersionLevel={level}, "
        "source=format command)"
    )


def run_info(arguments: argparse.Namespace) -> int:
    """Say what the directories are; status 1 where there is a problem."""
    config = load(arguments.config)
    paths = list(dict.fromkeys((*config.log_dirs, config.metadata_log_dir)))
    problems = [f"{path} does not exist" for path in paths if not os.path.isdir(path)]
    found = inspect([path for path in paths if os.path.isdir(path)])
    problems += [f"{path} is not formatted." for path in found.unformatted]
    there = [path for path in paths if os.path.isdir(path)]
    if there:
        print(f"Found log {'directory' if len(there) == 1 else 'directories'}:")
        for path in there:
            print(f"  {path}")
        print()
    for properties in list(found.directories.values())[:1]:
        print(
            f"Found metadata: {{cluster.id={properties.cluster_id}, "
            f"directory.id={properties.directory_id}, node.id={properties.node_id}, version=1}}"
        )
        print()
    if problems:
        print(f"Found problem{'s' if len(problems) > 1 else ''}:")
        for problem in problems:
            print(f"  {problem}")
        print()
        sys.stdout.flush()
        return 1
    return 0
