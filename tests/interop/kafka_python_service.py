"""Stands in for kafka-python's ``test/service.py``, which its sdist leaves out.

Its fixtures take a broker that runs already (``KAFKA_URI``) as an ExternalService; they start one
of their own as a SpawnedService, which is never asked for here.
"""

from __future__ import annotations


class ExternalService:
    """A broker that somebody else started and will stop."""

    def __init__(self, host: str, port: int) -> None:
        """Where it listens."""
        self.host = host
        self.port = port

    def open(self) -> None:
        """It is open."""

    def close(self) -> None:
        """It stays open."""

    def dump_logs(self) -> None:
        """Its logs are with who started it."""

    def wait_for(self, pattern: str, timeout: float = 30) -> bool:
        """Whatever is waited for has happened."""
        return True


class SpawnedService:
    """A broker that the fixtures would start themselves."""

    def __init__(self, *_: object) -> None:
        """Nothing of this suite's selection gets here."""
        raise AssertionError("the suite runs against a broker that is there already")
