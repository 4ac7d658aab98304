"""``kafka-py serve``: run a node until it is told to stop.

Prints one line on stdout once it answers, warnings on stderr, and ends with status 0 on SIGTERM and
SIGINT. A second signal ends it at once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final

from kafka_py import __version__
from kafka_py.cli.failures import Failure
from kafka_py.cli.properties import add_config_arguments, node_config
from kafka_py.config.broker import BrokerConfig

LEVELS: Final = ("error", "warning", "info", "debug")

#: Allocations between two looks for garbage in cycles. A broker makes hardly any, and has
#: thousands of replies in flight, which each look would walk over.
GC_THRESHOLDS: Final = (20_000, 20, 20)


def add_commands(commands: Any) -> None:
    """Add this module's command to a parser."""
    serve = commands.add_parser("serve", help="run a broker and controller in one node")
    add_config_arguments(serve)
    serve.add_argument(
        "--listen", metavar="HOST:PORT", help="where clients connect (127.0.0.1:9092)"
    )
    serve.add_argument(
        "--data", metavar="DIR", help="the log directory (kafka-data); formatted where it is new"
    )
    serve.add_argument(
        "--log-level", choices=LEVELS, default="warning", help="what is told on stderr"
    )
    serve.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve; the exit status."""
    gc.set_threshold(*GC_THRESHOLDS)
    logging.basicConfig(
        stream=sys.stderr,
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    config = node_config(arguments)
    for warning in config.warnings:
        print(f"kafka-py: warning: {warning}", file=sys.stderr)
    return run_loop(serve(config))


def run_loop(work: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on a node's event loop."""
    from kafka_py.event_loop import run

    return run(work)


async def serve(config: BrokerConfig) -> int:
    """Start a node, wait for a signal or the node's own end, stop it; the exit status."""
    from kafka_py import Broker

    broker = Broker(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, stopping, number)
    await broker.start()
    try:
        print(ready_line(broker), flush=True)
        failure = await first_of(stopping, broker)
    finally:
        await broker.stop()
    if failure is not None:
        raise Failure(f"the node had to stop: {failure}")
    return 0


def on_signal(stopping: asyncio.Event, number: signal.Signals) -> None:
    """Ask for a clean stop; asked again, let the signal do what it does without us."""
    if stopping.is_set():
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.raise_signal(number)
    stopping.set()


async def first_of(stopping: asyncio.Event, broker: Any) -> BaseException | None:
    """Wait until the node is to stop; what made it fail, if something did."""
    asked = asyncio.ensure_future(stopping.wait())
    failed = asyncio.ensure_future(broker.failed())
    try:
        await asyncio.wait({asked, failed}, return_when=asyncio.FIRST_COMPLETED)
        return failed.result() if failed.done() else None
    finally:
        for task in (asked, failed):
            task.cancel()


def ready_line(broker: Any) -> str:
    """The line that says where the node is."""
    return (
        f"kafka_py {__version__} ready on {broker.bootstrap_servers} "
        f"(data in {', '.join(broker.log_dirs)}, cluster ID {broker.cluster_id})"
    )
