"""From a command line to a cluster: --bootstrap-server, --timeout; partitions by name."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kafka_py.cli.failures import USER, Failure
from kafka_py.client.admin import Admin
from kafka_py.client.cluster import Cluster, Limits
from kafka_py.client.types import TopicPartition
from kafka_py.protocol.errors import ErrorCode

DEFAULT_BOOTSTRAP: Final = "127.0.0.1:9092"
DEFAULT_TIMEOUT_S: Final = 30.0
CONNECT_TIMEOUT_MS: Final = 5000


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which cluster is meant."""
    parser.add_argument(
        "--bootstrap-server",
        "-b",
        metavar="HOST:PORT",
        default=DEFAULT_BOOTSTRAP,
        help=f"a broker of the cluster, or several with commas ({DEFAULT_BOOTSTRAP})",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        help=f"how long to try ({DEFAULT_TIMEOUT_S:g})",
    )


def add_json_argument(parser: argparse.ArgumentParser, form: str = "one JSON document") -> None:
    """The argument that asks for JSON."""
    parser.add_argument("--json", action="store_true", help=f"print {form} instead of text")


def cluster_of(arguments: argparse.Namespace, **changes: Any) -> Cluster:
    """The cluster meant, not connected yet. Raises ``Failure`` for a bad address."""
    timeout_ms = max(int(arguments.timeout * 1000), 1)
    limits = Limits(
        connect_timeout_ms=min(CONNECT_TIMEOUT_MS, timeout_ms),
        request_timeout_ms=timeout_ms,
        timeout_ms=timeout_ms,
    )
    try:
        return Cluster(arguments.bootstrap_server, limits=limits, **changes)
    except ValueError as error:
        raise Failure(f"--bootstrap-server: {error}", USER) from None


def administer(arguments: argparse.Namespace, work: Callable[[Admin], Awaitable[int]]) -> int:
    """Run a command's work against the cluster; the exit status."""
    cluster = cluster_of(arguments)

    async def run() -> int:
        async with Admin(cluster) as admin:
            return await work(admin)

    return asyncio.run(run())


def parse_numbers(text: str, argument: str) -> list[int]:
    """``0,2`` or ``0-3``: partition numbers. Raises ``Failure``."""
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise Failure(f"{argument}: partitions are numbers, such as 0,2 or 0-3", USER)
        found += range(int(low), int(high if dash else low) + 1)
    return found


def parse_topic(text: str) -> tuple[str, list[int] | None]:
    """``TOPIC`` or ``TOPIC:0,2``: its name, and its partitions if not all are meant."""
    topic, colon, numbers = text.partition(":")
    if not topic:
        raise Failure(f"--topic {text}: TOPIC or TOPIC:PARTITION,... is wanted", USER)
    return topic, parse_numbers(numbers, f"--topic {text}") if colon else None


async def existing_partitions(
    admin: Admin, topics: dict[str, list[int] | None]
) -> list[TopicPartition]:
    """The partitions meant, all those of a topic by default. Raises ``Failure`` for what is not
    there."""
    there = await admin.topics(topics)
    found = []
    for name, numbers in topics.items():
        topic = there.get(name)
        if topic is not None and topic.error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED:
            raise Failure(f"you may not see topic {name}: an access control list has to allow it")
        if topic is None or topic.error_code:
            raise Failure(f"topic {name} does not exist (topics are not created by reading)")
        everything = topic.all_partitions()
        for number in sorted(set(numbers)) if numbers is not None else range(len(everything)):
            partition = TopicPartition(name, number)
            if partition not in everything:
                highest = len(everything) - 1
                raise Failure(f"topic {name} has partitions 0 to {highest}, not {number}", USER)
            found.append(partition)
    return found
