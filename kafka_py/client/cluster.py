"""A cluster as its clients see it: who is there, who leads, who coordinates, and trying again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple, TypeVar

from kafka_py import __version__
from kafka_py.client.connection import Connection, open_connection
from kafka_py.client.errors import (
    BrokerError,
    ClientError,
    Disconnected,
    NotReachable,
    TimedOut,
    check,
)
from kafka_py.client.types import Node, Partition, Topic, TopicPartition, parse_addresses
from kafka_py.clock import Clock, RealClock
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import FindCoordinatorRequest, FindCoordinatorResponse
from kafka_py.protocol.metadata import MetadataRequest, MetadataResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.schema import Response

T = TypeVar("T")
R = TypeVar("R", bound=Response)

GROUP_KEY: Final = 0
"""FindCoordinator's key type of groups."""
METADATA_ERRORS: Final = frozenset(
    (
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.LEADER_NOT_AVAILABLE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.UNKNOWN_LEADER_EPOCH,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.OFFSET_NOT_AVAILABLE,
        ErrorCode.REPLICA_NOT_AVAILABLE,
        ErrorCode.INCONSISTENT_TOPIC_ID,
    )
)
"""What a broker answers that is not (any more, or yet) the partition's leader."""
COORDINATOR_ERRORS: Final = frozenset(
    (ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE)
)
"""What a broker answers that is not the group's coordinator."""


class Limits(NamedTuple):
    """How long to wait, all in milliseconds. `timeout_ms`: for a call with all its retries."""

    connect_timeout_ms: int = 10_000
    request_timeout_ms: int = 30_000
    timeout_ms: int = 60_000
    backoff_ms: int = 100
    backoff_max_ms: int = 1000
    metadata_age_max_ms: int = 300_000


class Cluster:
    """Connections to one cluster, made when they are needed.

    `bootstrap`: ``host:port,...`` of any of its brokers. Use as ``async with``, or `close` it.
    Raises ValueError for a bad address.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        client_id: str = "kafka-py",
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.bootstrap = parse_addresses(bootstrap)
        self.client_id = client_id
        self.limits = limits or Limits()
        self.clock = clock or RealClock()
        self.nodes: dict[int, Node] = {}
        self.controller_id = -1
        self.cluster_id: str | None = None
        self.topics: dict[str, Topic] = {}
        self.topic_names: dict[bytes, str] = {}
        self._connections: dict[tuple[str, str], Connection] = {}
        self._opening: dict[tuple[str, str], asyncio.Task[Connection]] = {}
        self._coordinators: dict[str, Node] = {}
        self._metadata_ms = -1

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for task in self._opening.values():
            task.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        # An aborted transport ends in the loop's next turn; a loop that ends now would complain.
        await asyncio.sleep(0)

    async def connection(self, node: Node, lane: str = "") -> Connection:
        """The connection to a node, made if need be. A `lane` is a connection of its own, for
        requests that wait on the broker. Raises `NotReachable`, `Disconnected`."""
        return await self._connection(node.host, node.port, lane)

    async def _connection(self, host: str, port: int, lane: str) -> Connection:
        key = (f"{host}:{port}", lane)
        connection = self._connections.get(key)
        if connection is not None and not connection.closed:
            return connection
        task = self._opening.get(key)
        if task is None:
            task = asyncio.ensure_future(
                open_connection(
                    host,
                    port,
                    client_id=self.client_id,
                    software_version=__version__,
                    connect_timeout_ms=self.limits.connect_timeout_ms,
                    request_timeout_ms=self.limits.request_timeout_ms,
                )
            )
            self._opening[key] = task
            task.add_done_callback(lambda _: self._opening.pop(key, None))
        connection = await asyncio.shield(task)
        self._connections[key] = connection
        return connection

    async def any_connection(self) -> Connection:
        """A connection to some broker: one that is open, else one of those known, else one of the
        bootstrap addresses. Raises `NotReachable` when none answers."""
        for (_, lane), connection in self._connections.items():
            if not lane and not connection.closed:
                return connection
        known = [(node.host, node.port) for node in self.nodes.values()]
        random.shuffle(known)
        tried: list[str] = []
        reason = ""
        for host, port in dict.fromkeys((*known, *self.bootstrap)):
            try:
                return await self._connection(host, port, "")
            except (NotReachable, Disconnected) as error:
                tried.append(f"{host}:{port}")
                reason = error.reason if isinstance(error, NotReachable) else str(error)
        raise NotReachable(tried, reason)

    async def retry(self, attempt: Callable[[], Awaitable[T]], *, timeout_ms: int = -1) -> T:
        """Call `attempt` until it raises no retriable error, with growing pauses.

        `timeout_ms`: for all attempts together (default: the cluster's; 0: one attempt). Raises
        the last error; a cluster that never answered raises `NotReachable` at once.
        """
        limit_ms = self.limits.timeout_ms if timeout_ms < 0 else timeout_ms
        deadline_ms = self.clock.monotonic_ms() + limit_ms
        backoff_ms = float(self.limits.backoff_ms)
        while True:
            try:
                return await attempt()
            except ClientError as error:
                never_there = isinstance(error, NotReachable) and not self.nodes
                left_ms = deadline_ms - self.clock.monotonic_ms()
                if not error.retriable or never_there or left_ms <= 0:
                    raise
                if isinstance(error, TimedOut) and left_ms < self.limits.backoff_ms:
                    raise
            await asyncio.sleep(min(backoff_ms * random.uniform(0.8, 1.2), left_ms) / 1000)
            backoff_ms = min(backoff_ms * 2, self.limits.backoff_max_ms)

    async def refresh(
        self, names: Iterable[str] | None = None, *, timeout_ms: int = -1
    ) -> dict[str, Topic]:
        """Ask for the brokers and for these topics (None: all); unknown ones have an error code.

        Topics are never created by asking. `timeout_ms` as in `retry`. Raises `ClientError`.
        """
        wanted = None if names is None else list(dict.fromkeys(names))
        return await self.retry(lambda: self._refresh(wanted), timeout_ms=timeout_ms)

    async def _refresh(self, names: list[str] | None) -> dict[str, Topic]:
        connection = await self.any_connection()
        topic = MetadataRequest.MetadataRequestTopic
        reply = await connection.call(
            MetadataRequest(
                topics=None if names is None else [topic(name=name) for name in names],
                allow_auto_topic_creation=False,
            ),
            MetadataResponse,
            lowest=4,
        )
        check(reply.error_code, what="Metadata")
        return self._remember(reply, everything=names is None)

    def _remember(self, reply: MetadataResponse, *, everything: bool) -> dict[str, Topic]:
        self.nodes = {row.node_id: Node(row.node_id, row.host, row.port) for row in reply.brokers}
        self.controller_id = reply.controller_id
        self.cluster_id = reply.cluster_id
        found = {}
        for row in reply.topics:
            if row.name is None:
                continue
            found[row.name] = Topic(
                row.name,
                row.topic_id,
                tuple(
                    Partition(
                        each.partition_index,
                        each.leader_id,
                        each.leader_epoch,
                        tuple(each.replica_nodes),
                        tuple(each.isr_nodes),
                        each.error_code,
                    )
                    for each in sorted(row.partitions, key=lambda each: each.partition_index)
                ),
                row.is_internal,
                row.error_code,
            )
        self.topics = found if everything else {**self.topics, **found}
        self.topic_names.update({t.topic_id: t.name for t in found.values() if any(t.topic_id)})
        self._metadata_ms = self.clock.monotonic_ms()
        return found

    async def names_of(self, topic_ids: Iterable[bytes]) -> dict[bytes, str]:
        """The names of these ids, as far as the cluster knows them. Raises `ClientError`."""
        wanted = set(topic_ids)
        if wanted - self.topic_names.keys():
            connection = await self.any_connection()
            topic = MetadataRequest.MetadataRequestTopic
            missing = sorted(wanted - self.topic_names.keys())
            if connection.knows(ApiKey.METADATA, 12):
                reply = await connection.call(
                    MetadataRequest(
                        topics=[topic(topic_id=topic_id, name=None) for topic_id in missing],
                        allow_auto_topic_creation=False,
                    ),
                    MetadataResponse,
                    lowest=12,
                )
                self._remember(reply, everything=False)
        return {key: self.topic_names[key] for key in wanted if key in self.topic_names}

    async def brokers(self) -> list[Node]:
        """All brokers. Raises `ClientError`."""
        if not self.nodes:
            await self.refresh([])
        return list(self.nodes.values())

    def metadata_is_old(self) -> bool:
        """Whether it is time to ask for metadata again."""
        age_ms = self.clock.monotonic_ms() - self._metadata_ms
        return self._metadata_ms < 0 or age_ms >= self.limits.metadata_age_max_ms

    def leader(self, partition: TopicPartition) -> Node | None:
        """The leader by the metadata that is there; None where it is not known."""
        topic = self.topics.get(partition.topic)
        if topic is None:
            return None
        for row in topic.partitions:
            if row.number == partition.partition:
                return self.nodes.get(row.leader)
        return None

    def leader_epoch(self, partition: TopicPartition) -> int:
        """The leader epoch by the metadata that is there; -1 where it is not known."""
        for row in self.topics.get(partition.topic, Topic("")).partitions:
            if row.number == partition.partition:
                return row.leader_epoch
        return -1

    async def by_leader(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[Node, list[TopicPartition]]:
        """Partitions by leader, after a question for those whose leader is not known; one attempt.

        Raises `BrokerError` for a topic or partition that is not there or has no leader.
        """
        wanted = list(partitions)
        unknown = {each.topic for each in wanted if self.leader(each) is None}
        if unknown:
            await self._refresh(sorted(unknown))
        found: dict[Node, list[TopicPartition]] = {}
        for each in wanted:
            node = self.leader(each)
            if node is None:
                topic = self.topics[each.topic]
                there = each.partition in {row.number for row in topic.partitions}
                code = topic.error_code or ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                raise BrokerError(ErrorCode.LEADER_NOT_AVAILABLE if there else code, what=str(each))
            found.setdefault(node, []).append(each)
        return found

    def forget_leaders(self, topics: Iterable[str]) -> None:
        """Ask again before these topics are used."""
        for name in topics:
            self.topics.pop(name, None)

    async def coordinators(self, groups: Iterable[str]) -> dict[Node, list[str]]:
        """Groups by coordinator; one attempt. Raises `BrokerError` with COORDINATOR_NOT_AVAILABLE
        while there is none."""
        wanted = list(dict.fromkeys(groups))
        missing = [group for group in wanted if group not in self._coordinators]
        if missing:
            await self._find_coordinators(missing)
        found: dict[Node, list[str]] = {}
        for group in wanted:
            found.setdefault(self._coordinators[group], []).append(group)
        return found

    async def _find_coordinators(self, groups: list[str]) -> None:
        connection = await self.any_connection()
        if not self.nodes:
            await self._refresh([])
        if connection.knows(ApiKey.FIND_COORDINATOR, 4):
            reply = await connection.call(
                FindCoordinatorRequest(coordinator_keys=groups, key_type=GROUP_KEY),
                FindCoordinatorResponse,
                lowest=4,
            )
            for row in reply.coordinators:
                check(row.error_code, row.error_message, what=f"coordinator of group {row.key}")
                self._coordinators[row.key] = Node(row.node_id, row.host, row.port)
            return
        for group in groups:
            reply = await connection.call(
                FindCoordinatorRequest(key=group), FindCoordinatorResponse, highest=3
            )
            check(reply.error_code, reply.error_message, what=f"coordinator of group {group}")
            self._coordinators[group] = Node(reply.node_id, reply.host, reply.port)

    async def coordinator(self, group: str) -> Node:
        """A group's coordinator; one attempt. Raises `ClientError`."""
        (node,) = await self.coordinators([group])
        return node

    def forget_coordinator(self, groups: Iterable[str]) -> None:
        """Look for these groups' coordinators again before the next request."""
        for group in groups:
            self._coordinators.pop(group, None)

    async def at_coordinator(
        self,
        group: str,
        attempt: Callable[[Connection], Awaitable[T]],
        *,
        lane: str = "",
        timeout_ms: int = -1,
    ) -> T:
        """Call `attempt` with a connection to the group's coordinator, and again after retriable
        errors; the coordinator is looked for anew when it moved or does not answer."""

        async def once() -> T:
            try:
                node = await self.coordinator(group)
                return await attempt(await self.connection(node, lane))
            except BrokerError as error:
                if error.code in COORDINATOR_ERRORS:
                    self.forget_coordinator([group])
                raise
            except (Disconnected, NotReachable, TimedOut):
                self.forget_coordinator([group])
                raise

        return await self.retry(once, timeout_ms=timeout_ms)
