"""The command ``kafka-py``: what there is to say, and how failures are told.

Every failure is one line on stderr that says what to do: status 2 for what the user wrote (command
line, configuration), status 1 for what the machine would not do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final

from kafka_py import __version__
from kafka_py.cli import acls, consume, describe_api, groups, serve, storage
from kafka_py.cli.failures import Failure, explain
from kafka_py.cli.output import silence

OK, FAILED, MISUSED = 0, 1, 2

Command = Callable[[argparse.Namespace], int]
COMMANDS: Final = (serve, consume, groups, acls, storage, describe_api)


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    top = argparse.ArgumentParser(
        prog="kafka-py", description="Apache Kafka as one pip install: a broker and its tools."
    )
    top.add_argument("--version", action="version", version=f"kafka-py {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add_commands(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    parsed = parser().parse_args(arguments)
    command: Command = parsed.run
    try:
        status = command(parsed)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return OK
    except BrokenPipeError:
        silence()
        return OK
    except Failure as failure:
        print(f"kafka-py: {failure}", file=sys.stderr)
        return failure.status
    except Exception as error:
        failure_or_none = explain(error)
        if failure_or_none is None:
            raise
        print(f"kafka-py: {failure_or_none}", file=sys.stderr)
        return failure_or_none.status
