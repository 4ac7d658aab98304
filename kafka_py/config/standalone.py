"""The configuration of a node that nobody configured: broker and controller in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kafka_py.config.definition import ConfigError
from kafka_py.config.listeners import ENDPOINT, listener_name

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9092

#: One replica is all there can be on one node; a first rebalance has nobody to wait for.
SINGLE_NODE: Final[dict[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}


def standalone_properties(
    data: str, *, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT
) -> dict[str, str]:
    """Properties of a node of its own with its log directory at ``data``.

    The controller's listener takes a free port, since nobody but this node speaks to it; port 0
    makes the broker's listener do the same.
    """
    shown = f"[{host}]" if ":" in host else host
    return {
        **SINGLE_NODE,
        "listeners": f"PLAINTEXT://{shown}:{port},CONTROLLER://127.0.0.1:0",
        "controller.quorum.voters": "1@127.0.0.1:0",
        "log.dirs": data,
    }


def with_settings(properties: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """The properties with stronger settings; the sole voter follows the node's id.

    For properties of `standalone_properties`: who names another node.id need not name the quorum.
    """
    changed = {**properties, **settings}
    if "node.id" in settings and "controller.quorum.voters" not in settings:
        changed["controller.quorum.voters"] = f"{settings['node.id']}@127.0.0.1:0"
    return changed


def with_data(properties: Mapping[str, str], data: str) -> dict[str, str]:
    """The properties with one log directory, whatever they said of directories."""
    changed = {
        name: text
        for name, text in properties.items()
        if name not in ("log.dir", "log.dirs", "metadata.log.dir")
    }
    return {**changed, "log.dirs": data}


def with_address(properties: Mapping[str, str], host: str, port: int) -> dict[str, str]:
    """The properties with the first broker listener at another address.

    What is advertised for it follows, where something is. Raises ``ConfigError`` where there is no
    broker listener.
    """
    controllers = {
        name.strip().upper() for name in properties.get("controller.listener.names", "").split(",")
    }
    entries = split(properties.get("listeners", "PLAINTEXT://:9092"))
    name = next((n for n in map(listener_name, entries) if n not in controllers), None)
    if name is None:
        raise ConfigError("listeners has no listener for clients whose address could be changed")
    changed = dict(properties)
    changed["listeners"] = ",".join(moved(entry, name, host, port) for entry in entries)
    if "advertised.listeners" in properties:
        advertised = split(properties["advertised.listeners"])
        changed["advertised.listeners"] = ",".join(
            moved(entry, name, host, port) for entry in advertised
        )
    return changed


def moved(entry: str, name: str, host: str, port: int) -> str:
    """A listener entry at another address, where it has that name."""
    if listener_name(entry) != name or ENDPOINT.fullmatch(entry) is None:
        return entry
    shown = f"[{host}]" if ":" in host else host
    return f"{entry.partition('://')[0]}://{shown}:{port}"


def split(text: str) -> list[str]:
    """A list's entries."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def parse_address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``PORT`` -> (host, port). Raises ``ConfigError``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or DEFAULT_HOST
    if not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{text!r} is no address: HOST:PORT is wanted, such as 127.0.0.1:9092")
    return host, int(port)
