"""Before a node runs: its directories locked, its addresses bound, fresh directories formatted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kafka_py.clock import Clock
from kafka_py.config.broker import BrokerConfig
from kafka_py.config.definition import ConfigError
from kafka_py.controller.format import (
    FormatPlan,
    bootstrap_records,
    format_directories,
    inspect,
    random_cluster_id,
)
from kafka_py.network import Bound, Network, Sockets
from kafka_py.replication.log_directory import DirectoryLock, LogDirectory
from kafka_py.server.dispatch import BROKER, CONTROLLER
from kafka_py.server.node import Listening
from kcore.checkpoints import MetaProperties
from kcore.values import mutable

__all__ = ["Opened", "open_node"]


@mutable
class Opened:
    """What a node holds before it starts. `metadata` is the directory of the metadata log.

    `bootstrap`: the first records of the metadata log, where that directory was formatted just now.
    """

    cluster_id: str
    directories: list[LogDirectory]
    metadata: LogDirectory
    bound: dict[str, Bound]
    listeners: dict[str, Listening]
    bootstrap: list[Any] | None

    def close(self) -> None:
        """Let the addresses and the locks go."""
        for bound in self.bound.values():
            bound.close()
        for directory in {id(d): d for d in (*self.directories, self.metadata)}.values():
            directory.close()


def open_node(config: BrokerConfig, *, network: Network, clock: Clock, random: Any) -> Opened:
    """Lock, bind, format what is fresh, read what is there; nothing is held if it raises.

    Raises DirectoryLocked, AddressInUse, FormatError, LogDirectoryError, CorruptFile, OSError,
    ConfigError.
    """
    if config.roles != {"broker", "controller"}:
        raise ConfigError(
            "process.roles must be broker,controller: nodes of one role come with clusters"
        )
    paths = [os.path.abspath(path) for path in config.log_dirs]
    metadata_path = os.path.abspath(config.metadata_log_dir)
    with ExitStack() as stack:
        locks: dict[str, DirectoryLock] = {}
        for path in dict.fromkeys([*paths, metadata_path]):
            if not os.path.isdir(path):
                os.makedirs(path, exist_ok=True)
            locks[path] = DirectoryLock(Path(path))
            stack.callback(locks[path].release)
        bound, listeners = bind_all(config, network, stack)
        cluster_id, properties, bootstrap = format_fresh(
            config, paths, metadata_path, clock=clock, random=random
        )
        opened = {
            path: LogDirectory(
                Path(path),
                lock,
                node_id=config.node_id,
                cluster_id=cluster_id,
                random=random,
                meta=properties[path],
            )
            for path, lock in locks.items()
        }
        stack.pop_all()
    return Opened(
        cluster_id,
        [opened[path] for path in paths],
        opened[metadata_path],
        bound,
        listeners,
        bootstrap,
    )


def bind_all(
    config: BrokerConfig, network: Network, stack: ExitStack
) -> tuple[dict[str, Bound], dict[str, Listening]]:
    """Bind every listener; what clients are told of each follows the port that it got."""
    sockets = sockets_of(config)
    bound: dict[str, Bound] = {}
    listeners: dict[str, Listening] = {}
    advertised = {
        entry.name: entry
        for entry in (*config.advertised_broker_listeners, *config.advertised_controller_listeners)
    }
    for role, entries in (
        (BROKER, config.broker_listeners),
        (CONTROLLER, config.controller_listeners),
    ):
        for entry in entries:
            made = network.bind(entry.host, entry.port, sockets)
            stack.callback(made.close)
            bound[entry.name] = made
            listening = Listening(entry.name, entry.security, entry.host, made.port, role)
            told = advertised.get(entry.name, entry)
            listening.advertised_host = told.host or entry.host or host_name()
            listening.advertised_port = told.port or made.port
            listeners[entry.name] = listening
    return bound, listeners


def sockets_of(config: BrokerConfig) -> Sockets:
    """What the socket settings ask for.

    Two of Apache's defaults are in force only when they are written down: a receive buffer of
    100 KiB, in which a large produce request does not fit (1.6 times the CPU for one of 128 KiB),
    and a backlog of 50, for which clients that come back together would wait. The default of the
    send buffer pays: a large fetch stays in the CPU's cache (half the CPU for one of 1 MB).
    """
    settings: dict[str, int] = {}
    if config.text("socket.listen.backlog.size") is not None:
        settings["backlog"] = config["socket.listen.backlog.size"]
    if config.text("socket.receive.buffer.bytes") is not None:
        settings["receive_bytes"] = config["socket.receive.buffer.bytes"]
    settings["send_bytes"] = config["socket.send.buffer.bytes"]
    return Sockets(**settings)


def host_name() -> str:
    """What to tell clients of a listener on all addresses: the machine's name, as Kafka does."""
    return os.uname().nodename


def format_fresh(
    config: BrokerConfig, paths: list[str], metadata_path: str, *, clock: Clock, random: Any
) -> tuple[str, Mapping[str, MetaProperties], list[Any] | None]:
    """Format the directories that are not yet, under the cluster id of those that are.

    That id; what meta.properties says now in each directory; and what bootstrap.checkpoint says in
    the metadata directory, if it was formatted now.
    """
    known = inspect(list(dict.fromkeys([*paths, metadata_path])))
    cluster_id = known.cluster_id or random_cluster_id(random)
    made: Mapping[str, MetaProperties] = {}
    bootstrap = None
    if known.unformatted:
        plan = FormatPlan(
            cluster_id=cluster_id,
            node_id=config.node_id,
            log_dirs=paths,
            metadata_dir=metadata_path,
            voters=dynamic_voters(config),
            ignore_formatted=True,
        )
        made = format_directories(plan, random=random, now_ms=clock.now_ms(), present=known)
        if metadata_path in made:
            bootstrap = bootstrap_records(plan)
    return cluster_id, {**known.directories, **made}, bootstrap


def dynamic_voters(config: BrokerConfig) -> Mapping[int, tuple[bytes | None, tuple[str, int]]]:
    """This node as the only voter, where the configuration names no static ones (KIP-853)."""
    if config.voters:
        return {}
    controller = config.advertised_controller_listeners[0]
    address = (controller.host or host_name(), controller.port)
    return {config.node_id: (None, address)}
