"""Every client behind one interface, so that each can be set against each.

A client says what it lacks (``codecs``, ``null_headers``, ``reads``, ``administers``); what it has,
it must do. Consuming is by assignment everywhere: consumer groups have tests of their own.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.interop.records import Found, Record, found_from_json, without_null_headers

HERE = Path(__file__).resolve().parent
ALL_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class ClientError(RuntimeError):
    """The client reported an error; the text is the client's own."""


class Client:
    """The interface. ``topics`` maps a name to its number of partitions."""

    name = "?"
    codecs: Sequence[str] = ALL_CODECS
    null_headers = True
    timestamps = True
    administers = True
    reads = True

    def __init__(self, bootstrap: str) -> None:
        """Bound to one node; connects when used."""
        self.bootstrap = bootstrap

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, or None."""
        return None

    def as_written(self, records: Sequence[Record]) -> list[Record]:
        """What will stand in the log when this client is asked to write these records."""
        return list(records) if self.null_headers else without_null_headers(records)

    def create(self, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        """Create a topic of one replica."""
        raise ClientError(f"{self.name} does not administer")

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        raise ClientError(f"{self.name} does not administer")

    def topics(self) -> list[str]:
        """The names of all topics that are not internal."""
        raise ClientError(f"{self.name} does not administer")

    def describe(self, topic: str) -> dict[str, str | None]:
        """All configs of a topic."""
        raise ClientError(f"{self.name} does not administer")

    def alter(self, topic: str, name: str, value: str) -> None:
        """Set one config of a topic."""
        raise ClientError(f"{self.name} does not administer")

    def produce(self, topic: str, codec: str, records: Sequence[Record]) -> list[int] | None:
        """Write with acks=all, idempotently where it can; the offset of each, if it tells."""
        raise ClientError(f"{self.name} does not produce")

    def consume(self, topics: Mapping[str, int], timestamp: int | None = None) -> list[Found]:
        """Read to the end, from the beginning or from a timestamp (ms)."""
        raise ClientError(f"{self.name} does not consume")

    def close(self) -> None:
        """Free what it holds."""


class Driven(Client):
    """A client of another language: a process that answers lines of JSON."""

    def __init__(self, bootstrap: str) -> None:
        """The process starts when it is first asked."""
        super().__init__(bootstrap)
        self._process: subprocess.Popen[str] | None = None

    def command(self) -> Sequence[str]:
        """Build what must be built and give the command line."""
        raise AssertionError("made through a subclass")

    def call(self, op: str, timeout_s: float = 60.0, **arguments: object) -> Any:
        """One question, one answer. Raises ClientError."""
        if self._process is None:
            self._process = subprocess.Popen(
                [*self.command(), self.bootstrap],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            self.close()
            raise ClientError(f"{self.name} ended at {op}, or took over {timeout_s} s")
        reply = json.loads(line)
        if "error" in reply:
            raise ClientError(f"{self.name} {op}: {reply['error']}")
        return reply["ok"]

    def create(self, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        self.call("create", topic=topic, partitions=partitions, configs=dict(configs))

    def delete(self, topic: str) -> None:
        self.call("delete", topic=topic)

    def topics(self) -> list[str]:
        return list(self.call("topics"))

    def describe(self, topic: str) -> dict[str, str | None]:
        return dict(self.call("describe", topic=topic))

    def alter(self, topic: str, name: str, value: str) -> None:
        self.call("alter", topic=topic, name=name, value=value)

    def produce(self, topic: str, codec: str, records: Sequence[Record]) -> list[int] | None:
        rows = [r.to_json() for r in records]
        return self.call("produce", topic=topic, codec=codec, records=rows)

    def consume(self, topics: Mapping[str, int], timestamp: int | None = None) -> list[Found]:
        rows = self.call("consume", topics=dict(topics), timestamp=timestamp)
        return [found_from_json(row) for row in rows]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
            self._process = None
