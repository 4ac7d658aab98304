"""Many members of groups in one process: connections that speak the project's own messages.

A `Peer` is one member's connection. `Classic` and `Modern` are members of the two protocols; they
do what a client does, without the client's timers: the bench decides when something is sent.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.framing import encode_request
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    FindCoordinatorRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    SyncGroupRequest,
)
from kafka_py.protocol.metadata import MetadataRequest
from kafka_py.protocol.registry import API, ApiKey
from kafka_py.protocol.topics import CreateTopicsRequest

JOIN_VERSION = 3
SYNC_VERSION = 3
HEARTBEAT_VERSION = 4
MODERN_VERSION = 1
SESSION_MS = 300_000


class Peer(asyncio.Protocol):
    """One connection; replies come in the order of the requests."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Any] | None] = deque()
        self._buffer = b""
        self._correlation = 0
        self.replies = 0
        self.errors: list[str] = []
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, port: int) -> Peer:
        """Connect to 127.0.0.1."""
        _, peer = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody is left to answer."""
        self.errors.append("the broker closed a connection")
        for waiting in self._waiting:
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError(self.errors[-1]))

    def data_received(self, data: bytes) -> None:
        """Hand out whole frames, in order."""
        self._buffer += data
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big") + 4
            if len(self._buffer) < size:
                return
            frame, self._buffer = self._buffer[4:size], self._buffer[size:]
            waiting = self._waiting.popleft()
            if waiting is None:
                self._beaten(frame)
            elif not waiting.done():
                waiting.set_result(frame)

    def _beaten(self, frame: bytes) -> None:
        """The reply to a heartbeat: correlation id, tags, throttle time, error."""
        self.replies += 1
        (error,) = struct.unpack_from(">h", frame, 9)
        if error:
            self.errors.append(f"a heartbeat was answered {ErrorCode.of(error).name}")

    def beat(self, frame: bytes) -> None:
        """Send a heartbeat made by `frame`; its reply is only looked at for its error."""
        self._waiting.append(None)
        self._transport.write(frame)

    def frame(self, message: Any, version: int) -> bytes:
        """The bytes of a request."""
        self._correlation += 1
        parts = encode_request(message, version, self._correlation, "bench")
        return b"".join(bytes(part) for part in parts)

    async def call(self, message: Any, version: int) -> Any:
        """The response to a request."""
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._transport.write(self.frame(message, version))
        frame = await waiting
        api = API[ApiKey(type(message).KEY)]
        start = 4 + (api.response_header_version(version) >= 1)
        return api.response.decode(frame[start:], version)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


async def create_topic(peer: Peer, name: str, partitions: int) -> None:
    """Make a topic, unless it is there, and wait until the broker has it."""
    topic = CreateTopicsRequest.CreatableTopic(
        name=name, num_partitions=partitions, replication_factor=1
    )
    reply = await peer.call(CreateTopicsRequest(topics=[topic], timeout_ms=30_000), 7)
    assert reply.topics[0].error_code in (0, ErrorCode.TOPIC_ALREADY_EXISTS), reply
    asked = MetadataRequest.MetadataRequestTopic(name=name)
    while True:
        found = (await peer.call(MetadataRequest(topics=[asked]), 12)).topics[0]
        if not found.error_code and len(found.partitions) == partitions:
            return
        await asyncio.sleep(0.05)


async def find_coordinator(peer: Peer, group: str = "any") -> None:
    """Let the topic of offsets be made, and wait until its coordinators are there."""
    while True:
        reply = await peer.call(FindCoordinatorRequest(key_type=0, coordinator_keys=[group]), 4)
        if not reply.coordinators[0].error_code:
            return
        await asyncio.sleep(0.05)


async def retried(peer: Peer, message: Any, version: int) -> Any:
    """The response, once the coordinator is loaded."""
    while True:
        reply = await peer.call(message, version)
        if reply.error_code not in (
            ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode.NOT_COORDINATOR,
            ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ):
            return reply
        await asyncio.sleep(0.05)


class Classic:
    """A member of a classic group of consumers."""

    def __init__(self, peer: Peer, group: str, topic: str) -> None:
        self.peer = peer
        self.group = group
        self.topic = topic
        self.member_id = ""
        self.generation = -1
        self.joins = 0
        self.assigned: list[int] = []

    async def join_and_sync(self, partitions: int) -> None:
        """One rebalance, as leader or not; range assignment."""
        self.joins += 1
        subscription = ConsumerProtocolSubscription(
            topics=[self.topic], user_data=struct.pack(">i", self.joins)
        )
        metadata = struct.pack(">h", 0) + subscription.encode(0)
        request = JoinGroupRequest(
            group_id=self.group,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=SESSION_MS,
            member_id=self.member_id,
            protocol_type="consumer",
            protocols=[JoinGroupRequest.JoinGroupRequestProtocol(name="range", metadata=metadata)],
        )
        joined = await retried(self.peer, request, JOIN_VERSION)
        assert joined.error_code == 0, joined.error_code
        self.member_id, self.generation = joined.member_id, joined.generation_id
        sync = SyncGroupRequest(
            group_id=self.group, generation_id=self.generation, member_id=self.member_id
        )
        if joined.leader == self.member_id:
            members = sorted(member.member_id for member in joined.members)
            sync.assignments = list(self._assigned(members, partitions))
        synced = await self.peer.call(sync, SYNC_VERSION)
        assert synced.error_code == 0, synced.error_code
        assignment = ConsumerProtocolAssignment.decode(synced.assignment[2:], 0)
        self.assigned = [p for row in assignment.assigned_partitions for p in row.partitions]

    def _assigned(self, members: Sequence[str], partitions: int) -> Iterable[Any]:
        each, rest = divmod(partitions, len(members))
        start = 0
        for number, member_id in enumerate(members):
            count = each + (number < rest)
            row = ConsumerProtocolAssignment.TopicPartition(
                topic=self.topic, partitions=list(range(start, start + count))
            )
            start += count
            encoded = ConsumerProtocolAssignment(assigned_partitions=[row]).encode(0)
            yield SyncGroupRequest.SyncGroupRequestAssignment(
                member_id=member_id, assignment=struct.pack(">h", 0) + encoded
            )

    def heartbeat(self) -> bytes:
        """The frame of its heartbeats until the next rebalance."""
        request = HeartbeatRequest(
            group_id=self.group, generation_id=self.generation, member_id=self.member_id
        )
        return self.peer.frame(request, HEARTBEAT_VERSION)


WATCH_S = 0.02


class Modern:
    """A member of a consumer group (KIP-848)."""

    def __init__(self, peer: Peer, group: str, topic: str, number: int) -> None:
        self.peer = peer
        self.group = group
        self.topic = topic
        self.member_id = f"member-{number:06d}"
        self.epoch = 0
        self.owned: list[tuple[bytes, list[int]]] = []
        self.changed = False

    async def beat(self) -> None:
        """A heartbeat that says what it owns, and takes over what it is given."""
        first = self.epoch == 0
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.group,
            member_id=self.member_id,
            member_epoch=self.epoch,
            rebalance_timeout_ms=SESSION_MS if first else -1,
            subscribed_topic_names=[self.topic] if first else None,
            topic_partitions=[
                ConsumerGroupHeartbeatRequest.TopicPartitions(topic_id=one, partitions=indexes)
                for one, indexes in self.owned
            ]
            if first or self.changed
            else None,
        )
        reply = await retried(self.peer, request, MODERN_VERSION)
        assert reply.error_code == 0, (reply.error_code, reply.error_message)
        self.epoch = reply.member_epoch
        self.changed = reply.assignment is not None
        if reply.assignment is not None:
            self.owned = [
                (row.topic_id, row.partitions) for row in reply.assignment.topic_partitions
            ]

    @property
    def partitions(self) -> int:
        """How many it owns."""
        return sum(len(indexes) for _, indexes in self.owned)

    def heartbeat(self) -> bytes:
        """The frame of its heartbeats while nothing changes."""
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.group,
            member_id=self.member_id,
            member_epoch=self.epoch,
            subscribed_topic_names=None,
            topic_partitions=None,
        )
        return self.peer.frame(request, MODERN_VERSION)


async def settle(members: Sequence[Modern], partitions: int, pause_s: float) -> None:
    """Heartbeat until every partition is owned, evenly, and all members have the same epoch.

    A target made before all had joined is not even, so the last one is waited for. A member
    answers a change at once, as clients do, and otherwise waits for `pause_s`.
    """

    def settled() -> bool:
        counts = [member.partitions for member in members]
        return (
            sum(counts) == partitions
            and max(counts) - min(counts) <= 1
            and len({member.epoch for member in members}) == 1
        )

    # Asked once a while for all: a thousand members asking after each heartbeat would cost
    # more than the coordinator does.
    over = False

    async def watch() -> None:
        nonlocal over
        while not settled():
            await asyncio.sleep(WATCH_S)
        over = True

    async def go_on(member: Modern) -> None:
        await member.beat()
        while not over:
            if not member.changed:
                await asyncio.sleep(pause_s)
            await member.beat()

    await asyncio.gather(watch(), *map(go_on, members))
