"""The grammar of listeners, advertised.listeners and listener.security.protocol.map."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

from kafka_py.config.definition import ConfigError
from kcore.values import frozen

ENDPOINT = re.compile(r"(.*)://(?:\[([0-9a-zA-Z\-%._:]*)\]|([0-9a-zA-Z\-%._:]*)):(-?[0-9]+)")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@frozen
class Listener:
    """One endpoint. ``host`` is empty where none was given."""

    name: str
    security: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


def listener_name(text: str) -> str:
    """The name part of ``NAME://host:port``, in capitals."""
    return text.partition(":")[0].strip().upper()


def parse_protocol_map(text: str, name: str = "listener.security.protocol.map") -> dict[str, str]:
    """``NAME:PROTOCOL,...`` -> {name in capitals: protocol}. Raises ``ConfigError``."""
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        listener, colon, protocol = entry.rpartition(":")
        if not colon:
            raise ConfigError(
                f"Error parsing configuration property '{name}': {entry!r} has no ':'"
            )
        protocol = protocol.strip().upper()
        if protocol not in PROTOCOLS:
            raise ConfigError(f"Invalid security protocol `{protocol}` defined in {name}")
        found[listener.strip().upper()] = protocol
    return found


def parse_listeners(
    entries: Sequence[str], protocols: Mapping[str, str], *, distinct_ports: bool = True
) -> tuple[Listener, ...]:
    """Endpoints in the order given, names in capitals. Raises ``ConfigError`` as Kafka words it.

    Names must differ. Ports must differ too (0 aside), except that one IPv4 and one IPv6 address
    may share a port; ``distinct_ports=False`` waives that, for advertised.listeners.
    """
    try:
        made = [parse_listener(entry, protocols) for entry in entries]
        if len({listener.name for listener in made}) != len(made):
            raise ConfigError(
                f"Each listener must have a different name, listeners: {bracket(entries)}"
            )
        if distinct_ports:
            check_ports(made, entries)
    except ConfigError as error:
        raise ConfigError(
            f"Error creating broker listeners from '{bracket(entries)}': {error}"
        ) from None
    return tuple(made)


def parse_listener(entry: str, protocols: Mapping[str, str]) -> Listener:
    """One endpoint. Raises ``ConfigError``."""
    found = ENDPOINT.fullmatch(entry)
    if found is None:
        raise ConfigError(f"Unable to parse {entry} to a broker endpoint")
    name = found[1].upper()
    if name not in protocols:
        raise ConfigError(f"No security protocol defined for listener {name}")
    port = int(found[4])
    if not -1 <= port <= 65535:
        raise ConfigError(f"the port of {entry} is not within 0 and 65535")
    return Listener(name, protocols[name], found[2] if found[2] is not None else found[3], port)


def check_ports(listeners: Sequence[Listener], entries: Sequence[str]) -> None:
    """Raise ``ConfigError`` where two listeners would bind the same port."""
    by_port: dict[int, list[Listener]] = {}
    for listener in listeners:
        if listener.port:
            by_port.setdefault(listener.port, []).append(listener)
    for port, sharing in by_port.items():
        if len(sharing) == 1:
            continue
        versions = [address_version(listener.host) for listener in sharing]
        if sorted(versions) == [4, 6]:
            continue
        if len(versions) == 2 and 0 not in versions:
            raise ConfigError(
                "If you have two listeners on the same port then one needs to be IPv4 and the "
                f"other IPv6, listeners: {bracket(entries)}, port: {port}"
            )
        raise ConfigError(
            f"Each listener must have a different port, listeners: {bracket(entries)}"
        )


def address_version(host: str) -> int:
    """4 or 6 for an IP address, 0 for anything else."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).version
    except ValueError:
        return 0


def bracket(entries: Iterable[str]) -> str:
    """A list as Java prints it."""
    return f"[{', '.join(entries)}]"
