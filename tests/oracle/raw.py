"""A raw client over kafka_py.protocol, and a recorder that asks a broker and keeps the answers.

Answers are kept as plain values with everything masked that differs between any two brokers (ids,
addresses, times), so that two recordings can be compared field by field.
"""

from __future__ import annotations

import functools
import json
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from kafka_py.protocol import framing
from kafka_py.protocol.registry import API, Api, ApiKey
from kafka_py.protocol.schema import Request, Response, Struct
from kafka_py.protocol.types import uuid_to_text

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
NO_ID = uuid_to_text(bytes(16))
UNKNOWN_ID = "AAAAAAAAAAAAAAAAAAAAZA"


class RawClient:
    """One connection. Requests and replies are kafka_py.protocol's messages."""

    def __init__(self, port: int, timeout_s: float = 15.0, source: str = "127.0.0.1") -> None:
        """Connect to 127.0.0.1:``port``, from the address ``source`` of this machine."""
        self._socket = socket.create_connection(
            ("127.0.0.1", port), timeout=timeout_s, source_address=(source, 0)
        )
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._correlation = 0

    def call(self, request: Request, version: int) -> Response:
        """Send and take the answer. Raises OSError when the broker closes instead."""
        api = API[ApiKey(request.KEY)]
        self._correlation += 1
        parts = framing.encode_request(request, version, self._correlation, "raw")
        self._socket.sendall(b"".join(parts))
        correlation, response = framing.decode_response(api, version, self.receive())
        assert correlation == self._correlation
        return response

    def pipeline(self, requests: Sequence[Request], version: int) -> list[Response]:
        """Send all of them, then take the answers."""
        for request in requests:
            self.post(request, version)
        first = self._correlation - len(requests) + 1
        found = []
        for number, request in enumerate(requests, first):
            api = API[ApiKey(request.KEY)]
            correlation, response = framing.decode_response(api, version, self.receive())
            assert correlation == number
            found.append(response)
        return found

    def post(self, request: Request, version: int) -> None:
        """Send a request, and do not take an answer (Produce with acks=0 has none)."""
        self._correlation += 1
        parts = framing.encode_request(request, version, self._correlation, "raw")
        self._socket.sendall(b"".join(parts))

    def send_frame(self, frame: bytes) -> None:
        """Send bytes behind a length prefix."""
        self._socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self) -> bytes:
        """The next frame without its prefix. Raises ConnectionError when the broker closes."""
        (size,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(size)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise ConnectionError("closed by the broker")
            data += part
        return data

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __del__(self) -> None:
        # What a test that failed has left open is not to warn in the test that runs by then.
        if hasattr(self, "_socket"):
            self._socket.close()


def batch(
    rows: Sequence[tuple[bytes | None, bytes | None]],
    *,
    first_timestamp: int,
    codec: str = "none",
    producer_id: int = -1,
    epoch: int = -1,
    sequence: int = -1,
) -> bytes:
    """A record batch v2 by aiokafka's builder, not by ours; a record each 10 ms.

    Asked for twice, it is the same to the last byte (gzip would put the time into it).
    """
    return _batch(tuple(rows), first_timestamp, codec, producer_id, epoch, sequence)


@functools.cache
def _batch(
    rows: tuple[tuple[bytes | None, bytes | None], ...],
    first_timestamp: int,
    codec: str,
    producer_id: int,
    epoch: int,
    sequence: int,
) -> bytes:
    builder = DefaultRecordBatchBuilder(
        2, CODECS[codec], False, producer_id, epoch, sequence, 1 << 24
    )
    for i, (key, value) in enumerate(rows):
        builder.append(i, first_timestamp + 10 * i, key, value, [("n", b"%d" % i)])
    return bytes(builder.build())


def trim(cls: type[Struct], plain: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The fields of ``plain`` that this version carries, structs within included."""
    known = {f.name: f for f in cls.__fields__}
    out: dict[str, Any] = {}
    for name, value in plain.items():
        line = known[name]
        if not line.present(version):
            continue
        inner = line.type.struct
        if inner is not None and value is not None:
            value = trim(inner, value, version)
        elif line.type.element is not None and line.type.element.struct is not None:
            inner = line.type.element.struct
            value = None if value is None else [trim(inner, item, version) for item in value]
        out[name] = value
    return out


#: What a busy machine may need until a broker has applied what its controller has committed. There
#: is nothing to wait for: Kafka has no answer that says how far a broker and its coordinators are.
SETTLE_S = 0.3

#: name of a field -> what it is compared as.
_MASKS: dict[str, Callable[[Any], Any]] = {
    "topic_id": lambda v: v if v == NO_ID else "<id>",
    "next_topic_id": lambda v: v if v == NO_ID else "<id>",
    "cluster_id": lambda v: v and "<cluster>",
    "port": lambda v: "<port>",
    "producer_id": lambda v: "<producer>" if v >= 0 else v,
    "log_append_time_ms": lambda v: "<time>" if v >= 0 else v,
    "error_message": lambda v: "<text>" if v else v,
    "batch_index_error_message": lambda v: "<text>" if v else v,
    "documentation": lambda v: "<text>" if v else v,
    "log_dir": lambda v: "<path>",
    "total_bytes": lambda v: "<bytes>" if v >= 0 else v,
    "usable_bytes": lambda v: "<bytes>" if v >= 0 else v,
    "last_fetch_timestamp": lambda v: "<time>",
    "last_caught_up_timestamp": lambda v: "<time>",
    "last_timestamp": lambda v: "<time>" if v >= 0 else v,
    "replica_directory_id": lambda v: "<id>",
    "finalized_features_epoch": lambda v: "<offset>" if v >= 0 else v,
    "session_id": lambda v: "<session>" if v else v,
}


@dataclass
class Answer:
    """One question, and the masked answer (or how the connection ended)."""

    question: str
    answer: Any


@dataclass
class Recorder:
    """Asks one broker. A scenario is a function of a Recorder, run against two of them."""

    port: int
    first_timestamp: int
    answers: list[Answer] = field(default_factory=list)
    #: More masks for one scenario: name of the field -> function.
    masks: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    #: The address to connect from.
    source: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self._client: RawClient | None = None

    @property
    def client(self) -> RawClient:
        """The connection; made anew after the broker has closed one."""
        if self._client is None:
            self._client = RawClient(self.port, source=self.source)
        return self._client

    def quiet(self, api: ApiKey, version: int | None = None, **fields: Any) -> Any:
        """Ask without recording: the response object."""
        table: Api = API[api]
        version = table.versions[1] if version is None else version
        request = table.request.from_dict(trim(table.request, fields, version))
        return self.client.call(request, version)

    def ask(self, api: ApiKey, version: int | None = None, **fields: Any) -> Any:
        """Ask in one version (default: the last) and record. None when the connection ended."""
        version = API[api].versions[1] if version is None else version
        question = f"{API[api].name} v{version} {_short(fields)}"
        try:
            response = self.quiet(api, version, **fields)
        except (ConnectionError, TimeoutError) as e:
            self.answers.append(Answer(question, f"<{type(e).__name__}>"))
            self.close()
            return None
        plain = {name: self._mask(name, v) for name, v in response.to_dict(reveal=True).items()}
        self.answers.append(Answer(question, plain))
        return response

    def ask_all(self, api: ApiKey, first: int | None = None, last: int | None = None, **f: Any):
        """Ask in every version from ``first`` to ``last`` (default: all): the responses."""
        lowest, highest = API[api].versions
        lowest, highest = lowest if first is None else first, highest if last is None else last
        return [self.ask(api, version, **f) for version in range(lowest, highest + 1)]

    def _mask(self, name: str, value: Any) -> Any:
        """As it is compared: masked, and lists of structs in one order."""
        mask = self.masks.get(name) or _MASKS.get(name)
        if mask is not None:
            return mask(value)
        if isinstance(value, dict):
            return {key: self._mask(key, item) for key, item in value.items()}
        if isinstance(value, list):
            items = [self._mask("", item) for item in value]
            return sorted(items, key=lambda i: json.dumps(i, sort_keys=True))
        return value

    def settle(self, times: int = 1) -> None:
        """Let a change of metadata reach the broker: answered is not yet applied, in Kafka too.

        ``times``: coordinators hear of it later than who describes it.
        """
        time.sleep(times * SETTLE_S)

    def note(self, question: str, answer: Any) -> None:
        """Record something that is not a reply."""
        self.answers.append(Answer(question, answer))

    def create(self, topic: str, partitions: int = 1, **configs: str) -> str:
        """Make a topic, unrecorded: its id as text. In names of configs _ stands for a dot."""
        rows = [{"name": k.replace("_", "."), "value": v} for k, v in configs.items()]
        one = {"name": topic, "num_partitions": partitions, "replication_factor": 1}
        reply = self.quiet(ApiKey.CREATE_TOPICS, topics=[{**one, "configs": rows}])
        assert reply.topics[0].error_code in (0, 36), reply
        rows = [{"partition_index": p, "timestamp": -1} for p in range(partitions)]
        asked = [{"name": topic, "partitions": rows}]
        deadline = time.monotonic() + 15
        while True:
            # Not the metadata but the partitions themselves say when they may be used.
            found = self.quiet(ApiKey.LIST_OFFSETS, 7, topics=asked, replica_id=-1)
            if all(p.error_code == 0 for p in found.topics[0].partitions):
                break
            assert time.monotonic() < deadline, found
            time.sleep(0.01)
        named = self.quiet(
            ApiKey.METADATA, 12, topics=[{"name": topic}], allow_auto_topic_creation=False
        )
        return uuid_to_text(named.topics[0].topic_id)

    def produce(
        self, topic: str, records: bytes, partition: int = 0, version: int = 12, **more: Any
    ) -> Any:
        """Produce one batch of bytes by topic name, recorded."""
        row = {"index": partition, "records": records.hex()}
        return self.ask(
            ApiKey.PRODUCE,
            version,
            **{"acks": -1, "timeout_ms": 10_000, **more},
            topic_data=[{"name": topic, "partition_data": [row]}],
        )

    def close(self) -> None:
        """Close the connection; the next question makes a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _short(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields)
    return text if len(text) < 240 else text[:240] + "..."


def differences(expected: Any, found: Any, path: str = "") -> list[str]:
    """Where two plain values differ: one line a place, path first."""
    if isinstance(expected, dict) and isinstance(found, dict):
        out = []
        for key in [*expected, *(k for k in found if k not in expected)]:
            if key not in expected or key not in found:
                out.append(f"{path}.{key}: only {'Apache' if key in expected else 'ours'} has it")
            else:
                out += differences(expected[key], found[key], f"{path}.{key}")
        return out
    if isinstance(expected, list) and isinstance(found, list):
        if _keyed(expected) and _keyed(found):
            return differences(_keyed(expected), _keyed(found), path)
        out = []
        for i in range(max(len(expected), len(found))):
            here = f"{path}[{i}]"
            if i >= len(expected):
                out.append(f"{here}: only ours: {found[i]!r:.200}")
            elif i >= len(found):
                out.append(f"{here}: only Apache's: {expected[i]!r:.200}")
            else:
                out += differences(expected[i], found[i], here)
        return out
    return [] if expected == found else [f"{path}: Apache {expected!r:.160}, ours {found!r:.160}"]


def _keyed(rows: list[Any]) -> dict[str, Any] | None:
    """A list of named structs as a dictionary, when the names are unique."""
    if not rows or not all(isinstance(r, dict) and isinstance(r.get("name"), str) for r in rows):
        return None
    keyed = {r["name"]: r for r in rows}
    return keyed if len(keyed) == len(rows) else None
