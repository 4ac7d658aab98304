"""Counters and gauges of one process, in one flat registry with dotted names.

Increments are plain dictionary updates on the event loop; there is no sampling thread.
"""

from collections import Counter

__all__ = ["Metrics"]


class Metrics:
    """Named integers. Unknown names read as 0."""

    def __init__(self) -> None:
        self._values: Counter[str] = Counter()

    def add(self, name: str, by: int = 1) -> None:
        """Count ``by`` more of ``name``."""
        self._values[name] += by

    def set(self, name: str, value: int) -> None:
        """Set a gauge."""
        self._values[name] = value

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def snapshot(self) -> dict[str, int]:
        """All of them, as a copy sorted by name."""
        return dict(sorted(self._values.items()))
