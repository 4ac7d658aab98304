"""Members of groups for the recorder: several connections, and names for ids that brokers give.

A JoinGroup or SyncGroup may stay unanswered until others have spoken, so every member has a
connection of its own. Ids that the broker made up become ``<A>``, ``<B>``, ... as a scenario names
them, so that two recordings can be compared.
"""

from __future__ import annotations

import json
import re
import select
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka_py.protocol import framing
from kafka_py.protocol.registry import API, ApiKey
from tests.oracle.raw import RawClient, Recorder, trim

#: java.util.UUID's text, and Kafka's.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KAFKA_ID = re.compile(r"^[A-Za-z0-9_-]{22}$")
#: Of sessions and rebalances that are not to end by themselves: what a broker writes then would be
#: in one log and not yet in the other when they are compared.
UNENDING_MS = 900_000
#: How long a request must stay unanswered to count as parked.
PARKED_S = 0.25


def subscription(*topics: str, version: int = 1, owned: Mapping[str, Sequence[int]] = {}) -> str:
    """ConsumerProtocolSubscription, as hex: what a consumer sends as its protocol's metadata."""
    out = struct.pack(">hi", version, len(topics))
    out += b"".join(_text(topic) for topic in topics) + struct.pack(">i", -1)
    if version >= 1:
        out += _partitions(owned)
    return out.hex()


def assignment(partitions: Mapping[str, Sequence[int]]) -> str:
    """ConsumerProtocolAssignment, as hex."""
    return (struct.pack(">h", 1) + _partitions(partitions) + struct.pack(">i", -1)).hex()


def _partitions(partitions: Mapping[str, Sequence[int]]) -> bytes:
    out = struct.pack(">i", len(partitions))
    for topic, numbers in partitions.items():
        out += _text(topic) + struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)
    return out


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


class Peer(RawClient):
    """One more connection of a scenario; what comes back goes into the recorder."""

    def __init__(self, stage: Stage) -> None:
        """Connect. Closed by the stage."""
        super().__init__(stage.r.port)
        self._stage = stage
        self._open: list[tuple[ApiKey, int, int, str]] = []

    def send(self, api: ApiKey, version: int | None = None, **fields: Any) -> None:
        """Send and wait for nothing."""
        table = API[api]
        version = table.versions[1] if version is None else version
        request = table.request.from_dict(trim(table.request, fields, version))
        self._correlation += 1
        parts = framing.encode_request(request, version, self._correlation, "raw")
        self._socket.sendall(b"".join(parts))
        question = f"{table.name} v{version} {self._stage.masked(json.dumps(fields))[:300]}"
        self._open.append((api, version, self._correlation, question))

    def take(self, *, record: bool = True) -> Any:
        """The answer to the oldest open request, recorded."""
        api, version, correlation, question = self._open.pop(0)
        found, response = framing.decode_response(API[api], version, self.receive())
        assert found == correlation
        if record:
            r = self._stage.r
            fields = response.to_dict(reveal=True).items()
            r.note(question, {name: r._mask(name, value) for name, value in fields})
        return response

    def ask(self, api: ApiKey, version: int | None = None, **fields: Any) -> Any:
        """Send, take, record."""
        self.send(api, version, **fields)
        return self.take()

    def quiet(self, api: ApiKey, version: int | None = None, **fields: Any) -> Any:
        """Send and take without recording."""
        self.send(api, version, **fields)
        return self.take(record=False)

    def parked(self) -> bool:
        """Record whether the open request is still unanswered after a moment."""
        ready, _, _ = select.select([self._socket], [], [], PARKED_S)
        self._stage.r.note(f"parked: {self._open[0][3]}", not ready)
        return not ready


class Stage:
    """A recorder, its further connections and the names of ids; a context."""

    def __init__(self, r: Recorder) -> None:
        """Error messages are compared to the letter here, but for ids."""
        self.r = r
        self._names: dict[str, str] = {}
        self._peers: list[Peer] = []
        ids = ("member_id", "leader", "error_message", "instance_id", "group_instance_id")
        r.masks.update(dict.fromkeys(ids, self._masked_value))
        r.masks["coordinators"] = lambda rows: [
            {**row, "port": "<port>" if row["port"] > 0 else row["port"]} for row in rows
        ]

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exc: object) -> None:
        for peer in self._peers:
            peer.close()

    def peer(self) -> Peer:
        """A new connection."""
        peer = Peer(self)
        self._peers.append(peer)
        return peer

    def name(self, member_id: str, name: str) -> str:
        """Call an id that the broker gave by a name from now on; gives the id back."""
        self._names[member_id] = f"<{name}>"
        return member_id

    def masked(self, text: str) -> str:
        """Known ids by their names, others as ``<uuid>``."""
        for member_id, name in self._names.items():
            text = text.replace(member_id, name)
        return _UUID.sub("<uuid>", text)

    def _masked_value(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        value = self.masked(value)
        return "<uuid>" if _KAFKA_ID.match(value) else value

    def ask(self, api: ApiKey, version: int | None = None, **fields: Any) -> Any:
        """Ask over the recorder's own connection, with masked questions."""
        response = self.r.ask(api, version, **fields)
        self.r.answers[-1].question = self.masked(self.r.answers[-1].question)
        return response

    def ask_all(self, api: ApiKey, first: int, last: int, **fields: Any) -> list[Any]:
        """Ask in every version from ``first`` to ``last``."""
        return [self.ask(api, version, **fields) for version in range(first, last + 1)]

    def describe(self, *groups: str, version: int = 6) -> Any:
        """DescribeGroups, recorded."""
        return self.ask(ApiKey.DESCRIBE_GROUPS, version, groups=list(groups))

    def wait_for_state(self, group: str, state: str, timeout_s: float = 15.0) -> None:
        """Poll DescribeGroups until the group is in that state; record that it came to it."""
        deadline = time.monotonic() + timeout_s
        while True:
            reply = self.r.quiet(ApiKey.DESCRIBE_GROUPS, 5, groups=[group])
            if reply.groups[0].group_state == state or time.monotonic() > deadline:
                self.r.note(f"state of {group}", reply.groups[0].group_state)
                return
            time.sleep(0.05)


def join_fields(group: str, member_id: str = "", **more: Any) -> dict[str, Any]:
    """A JoinGroup of an ordinary consumer; ``more`` overrides."""
    return {
        "group_id": group,
        "session_timeout_ms": UNENDING_MS,
        "rebalance_timeout_ms": UNENDING_MS,
        "member_id": member_id,
        "group_instance_id": None,
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": subscription("groups-a")}],
        **more,
    }


def admit(stage: Stage, peer: Peer, group: str, name: str, version: int = 9, **more: Any) -> str:
    """The first JoinGroup of a member: the id that the broker gives, named (member id required).

    The second one, with the id, is the scenario's own.
    """
    fields = join_fields(group, **more)
    first = peer.quiet(ApiKey.JOIN_GROUP, version, **fields)
    assert first.error_code == 79, first
    return stage.name(first.member_id, name)


def join_and_sync(
    stage: Stage, peer: Peer, group: str, name: str, version: int = 9, **more: Any
) -> tuple[str, int]:
    """A lone member through JoinGroup and SyncGroup, unrecorded: (member id, generation)."""
    static = more.get("group_instance_id") is not None
    member_id = "" if static else admit(stage, peer, group, name, version, **more)
    joined = peer.quiet(ApiKey.JOIN_GROUP, version, **join_fields(group, member_id, **more))
    assert joined.error_code == 0, joined
    member_id = stage.name(joined.member_id, name)
    given = assignment({"groups-a": [0, 1]})
    synced = peer.quiet(
        ApiKey.SYNC_GROUP,
        5,
        group_id=group,
        generation_id=joined.generation_id,
        member_id=member_id,
        group_instance_id=more.get("group_instance_id"),
        protocol_type=joined.protocol_type,
        protocol_name=joined.protocol_name,
        assignments=[{"member_id": member_id, "assignment": given}],
    )
    assert synced.error_code == 0, synced
    return member_id, joined.generation_id
