"""Written by the build (`kafka_py.protocol.prepare`); missing in a tree that was not built."""

from collections.abc import Callable
from typing import Any

SOURCES_CRC: int
FACTORIES: dict[tuple[object, ...], Callable[[Any], Any]]
