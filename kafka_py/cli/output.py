"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TextIO

BOLD, DIM, PLAIN = "\033[1m", "\033[2m", "\033[0m"
NOTHING: Final = "-"
"""What stands where there is no value."""
GAP: Final = "  "


class Column(NamedTuple):
    """A column's title, and whether its values are numbers, which stand at the right."""

    title: str
    right: bool = False


def coloured(out: TextIO) -> bool:
    """Whether a stream wants colours: a terminal, unless NO_COLOR or TERM=dumb say otherwise."""
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, out: TextIO) -> str:
    """The text, in a style where the stream wants that."""
    return f"{style}{text}{PLAIN}" if coloured(out) else text


def cell(value: object) -> str:
    """A value as a table shows it; None and "" are `NOTHING`."""
    return NOTHING if value is None or value == "" else str(value)


def table_lines(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> list[str]:
    """Title line and rows, each column as wide as its widest value, nothing behind the last."""
    cells = [[column.title for column in columns], *([*map(cell, row)] for row in rows)]
    widths = [max(map(len, texts)) for texts in zip(*cells, strict=True)]
    return [
        GAP.join(
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in cells
    ]


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout, its titles in bold on a terminal."""
    title, *lines = table_lines(columns, rows)
    print(styled(title, BOLD, sys.stdout))
    for line in lines:
        print(line)


def print_json(document: Any) -> None:
    """Print one JSON document, indented for a person who looks at it."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def tell(text: str) -> None:
    """A line on stderr: what goes on, apart from the output itself."""
    print(styled(f"kafka-py: {text}", DIM, sys.stderr), file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """A line on stderr: what went wrong."""
    print(f"kafka-py: {text}", file=sys.stderr, flush=True)


def count(number: int, noun: str) -> str:
    """``1 member``, ``2 members``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def runs(numbers: Iterable[int]) -> str:
    """Numbers in short: ``0-3,5``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def abandoned() -> bool:
    """Whether stdout is a pipe or socket that nobody reads any more, as after ``| head``."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        return False
    watch = select.poll()
    watch.register(descriptor, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in watch.poll(0))


def silence() -> None:
    """Let what is still written to stdout go nowhere: nobody reads it any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
