"""From a command line to a configuration: --config, --set, --listen, --data."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from kafka_py.cli.failures import USER, Failure
from kafka_py.config.broker import BrokerConfig
from kafka_py.config.definition import ConfigError
from kafka_py.config.properties import parse_properties
from kafka_py.config.standalone import (
    parse_address,
    standalone_properties,
    with_address,
    with_data,
    with_settings,
)

DEFAULT_DATA: Final = "kafka-data"


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what a node is."""
    parser.add_argument("--config", "-c", metavar="FILE", help="a server.properties of Kafka's")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting by Kafka's name, stronger than the file's; may be repeated",
    )


def read_properties(path: str) -> dict[str, str]:
    """The properties of a file. Raises ``Failure``."""
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise Failure(f"{path} cannot be read: {os.strerror(error.errno or 0)}", USER) from None
    except UnicodeDecodeError:
        raise Failure(f"{path} is no text in UTF-8", USER) from None
    try:
        return parse_properties(text)
    except ConfigError as error:
        raise Failure(f"{path}: {error}", USER) from None


def parse_settings(settings: list[str]) -> dict[str, str]:
    """``KEY=VALUE`` arguments. Raises ``Failure``."""
    found: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise Failure(f"--set {setting}: KEY=VALUE is wanted", USER)
        found[name.strip()] = value.strip()
    return found


def node_properties(arguments: argparse.Namespace) -> dict[str, str]:
    """What the command line and its file say, not checked. Raises ``Failure``, ``ConfigError``."""
    data: str | None = arguments.data
    address = None if arguments.listen is None else parse_address(arguments.listen)
    if arguments.config is None:
        properties = standalone_properties(os.path.abspath(data or DEFAULT_DATA))
        properties = with_settings(properties, parse_settings(arguments.set))
    else:
        properties = read_properties(arguments.config)
        if data is not None:
            properties = with_data(properties, os.path.abspath(data))
        properties |= parse_settings(arguments.set)
    return properties if address is None else with_address(properties, *address)


def node_config(arguments: argparse.Namespace) -> BrokerConfig:
    """The checked configuration. Raises ``Failure`` that names the file."""
    try:
        return BrokerConfig(node_properties(arguments))
    except ConfigError as error:
        where = f"{arguments.config}: " if arguments.config else ""
        raise Failure(f"{where}{error}", USER) from None
