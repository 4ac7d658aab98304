"""kcat, one process a call."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.interop.client import Client, ClientError
from tests.interop.records import Found, Record


class Kcat(Client):
    """kcat: neither timestamps nor administration; headers are one set for a whole run."""

    name = "kcat"
    timestamps = False
    administers = False

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("kcat") else "kcat not found (apt-get install kcat)"

    def as_written(self, records: Sequence[Record]) -> list[Record]:
        """One run a partition and set of headers; an empty key or value becomes null (-Z)."""
        out = []
        for rows in self._runs(records).values():
            out += [replace(r, key=r.key or None, value=r.value or None) for r in rows]
        return out

    @staticmethod
    def _runs(records: Sequence[Record]) -> dict[Any, list[Record]]:
        runs: dict[Any, list[Record]] = {}
        for r in records:
            runs.setdefault((r.partition, r.headers), []).append(r)
        return runs

    def produce(self, topic: str, codec: str, records: Sequence[Record]) -> list[int] | None:
        for (partition, headers), rows in self._runs(records).items():
            args = [*self._args("-P", topic), "-p", str(partition), "-z", codec, "-Z"]
            args += ["-X", "enable.idempotence=true", "-K", "<=>", "-D", "<;>"]
            for name, value in headers:
                args += ["-H", name if value is None else f"{name}={value.decode()}"]
            lines = [(r.key or b"") + b"<=>" + (r.value or b"") for r in rows]
            self._run(args, b"<;>".join(lines))
        return None

    def _args(self, mode: str, topic: str) -> list[str]:
        return ["kcat", "-q", mode, "-b", self.bootstrap, "-t", topic]

    def _run(self, args: list[str], data: bytes = b"") -> bytes:
        ran = subprocess.run(args, input=data, capture_output=True, timeout=60, check=False)
        if ran.returncode:
            raise ClientError(f"kcat {args}: {ran.stderr.decode()}")
        return ran.stdout

    def consume(self, topics: Mapping[str, int], timestamp: int | None = None) -> list[Found]:
        out: list[Found] = []
        start = "beginning" if timestamp is None else f"s@{timestamp}"
        layout = "%t %p %o %T %K %S %h\n%k%s\n"
        for topic in topics:
            args = [*self._args("-C", topic), "-e", "-o", start, "-f", layout]
            args += ["-X", "check.crcs=true", "-X", "fetch.wait.max.ms=50"]
            out += _kcat_records(self._run(args))
        return out


def _kcat_records(data: bytes) -> list[Found]:
    """Parse kcat's output in the layout above. An empty key is printed like none: length 0."""
    out = []
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        topic, partition, offset, timestamp, key_length, value_length, headers = data[at:end].split(
            b" ", 6
        )
        at = end + 1
        parts: list[bytes | None] = []
        for length in (int(key_length), int(value_length)):
            parts.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        assert data[at : at + 1] == b"\n"
        at += 1
        pairs = tuple(
            (name.decode(), None if value == b"NULL" else value)
            for name, _, value in (h.partition(b"=") for h in headers.split(b",") if h)
        )
        record = Record(int(partition), parts[0], parts[1], pairs, int(timestamp))
        out.append(Found(topic.decode(), int(offset), record))
    return out
