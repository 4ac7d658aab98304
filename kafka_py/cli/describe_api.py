"""``kafka-py describe-api``: which APIs are there, in which versions, and which are not yet."""

from __future__ import annotations

import argparse
from typing import Any


def add_commands(commands: Any) -> None:
    """Add this module's command to a parser."""
    tell = commands.add_parser("describe-api", help="list the APIs that are there, and the gaps")
    tell.add_argument(
        "--controller", action="store_true", help="those of the controller's listener"
    )
    tell.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    # Here, so that no other command waits for the server's modules.
    from kafka_py.protocol.registry import API, ApiKey
    from kafka_py.server.dispatch import BROKER, CONTROLLER, advertised, load_handlers

    load_handlers()
    role = CONTROLLER if arguments.controller else BROKER
    rows = [
        (key, API[ApiKey(key)].name, f"{lowest}-{highest}")
        for key, lowest, highest in advertised(role)
    ]
    width = max((len(name) for _, name, _ in rows), default=0)
    for key, name, versions in rows:
        print(f"{key:3d} {name:<{width}} {versions}")
    print_gaps(role)
    return 0


def print_gaps(role: str) -> None:
    """Print what Apache Kafka has and this node does not."""
    from kafka_py.server.gaps import gaps

    missing = gaps(role)
    if missing:
        print("not there yet:")
        for line in missing:
            print(f"    {line}")
