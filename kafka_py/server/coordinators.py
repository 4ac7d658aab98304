"""The group coordinators of this node: one for every partition of __consumer_offsets that it leads.

How they are loaded, dropped and timed is `kafka_py.server.coordinator_partitions`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, ClassVar, Final

from kafka_py.coordinator.machine import Caller, Moment, TransactionEnd
from kafka_py.coordinator.offsets.commit_path import CommitPath
from kafka_py.coordinator.runtime import Runtime
from kafka_py.metadata.authorizer import Subject
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import ChangedMetadata
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.replication.partition import Partition
from kafka_py.server.coordinator_partitions import Coordinators, Led, partition_of

if TYPE_CHECKING:
    from kafka_py.coordinator.batch import PendingBatch
    from kafka_py.coordinator.shard import GroupShard
    from kafka_py.server.dispatch import RequestContext
    from kafka_py.server.node import Node

__all__ = [
    "OFFSETS_TOPIC",
    "GroupCoordinators",
    "caller_of",
    "consumer_protocol_enabled",
]

OFFSETS_TOPIC: Final = "__consumer_offsets"


class GroupCoordinators(Coordinators["GroupShard"]):
    """Finds the coordinator of a group; tells the groups which topics changed."""

    topic: ClassVar[str] = OFFSETS_TOPIC
    timeout: ClassVar[str] = "offsets.commit.timeout.ms"
    codec: ClassVar[str | None] = "offsets.topic.compression.codec"

    def __init__(
        self, node: Node, loop: asyncio.AbstractEventLoop, randomness: random.Random
    ) -> None:
        super().__init__(node, loop)
        self._random = randomness
        #: Where connections take commits that need no thought.
        self.commits = CommitPath(
            self._batch_of,
            self.now,
            node.clock.monotonic_ms,
            node.image,
            node.config["offset.metadata.max.bytes"],
        )

    def _machine(self, index: int, partition: Partition) -> GroupShard:
        # The machine and its families are loaded by who leads a partition, not by every start.
        from kafka_py.coordinator.shard import GroupShard

        return GroupShard(
            index,
            settings=self._node.config,
            image=self._node.image,
            new_id=self._new_id,
            describable=None if self._node.authorizer is None else self._describable,
        )

    def _load_from(self, opened: Any, machine: GroupShard, end_offset: int) -> int:
        from kafka_py.coordinator.loading import replay

        return replay(opened, machine, end_offset)

    def _activating(self, led: Led[GroupShard]) -> None:
        led.machine.image = self._node.image

    def _activated(self, led: Led[GroupShard], runtime: Runtime) -> None:
        names, led.changed = list(led.changed), {}
        if names:
            shard = led.machine
            runtime.take_all(lambda now: shard.metadata_changed(shard.image, names, now))

    def _moving(self) -> None:
        self.commits.groups_moved()

    def _soon(self, call: Callable[[], None]) -> None:
        """At the end of the loop's iteration, or after group.coordinator.append.linger.ms."""
        linger_ms = self._node.config["group.coordinator.append.linger.ms"]
        if linger_ms > 0:
            self._loop.call_later(linger_ms / 1000, call)
        else:
            self._loop.call_soon(call)

    def _batch_of(
        self, group_id: str
    ) -> tuple[GroupShard, PendingBatch, Callable[[], bool]] | None:
        """Where a group's commits go; None while it has no coordinator here."""
        if self._stopping or not self._partitions:
            return None
        led = self._led.get(partition_of(group_id, self._partitions))
        if led is None or led.runtime is None:
            return None
        return led.machine, led.runtime.pending, led.runtime.settled

    def image_changed(self, image: MetadataImage, changed: ChangedMetadata) -> None:
        """Lead, load, drop; tell the machines which topics changed. After the partitions did."""
        self.commits.image_changed(image, changed.everything or bool(changed.configs))
        self.commits.modern = consumer_protocol_enabled(self._node)
        super().image_changed(image, changed)
        names = self._changed_names(image, changed)
        for led in list(self._led.values()):
            runtime, shard = led.runtime, led.machine
            if runtime is None:
                led.changed.update(dict.fromkeys(names))
            if runtime is None or not names:
                shard.image = image
                continue

            def tell(now: Moment, shard: GroupShard = shard) -> Any:
                return shard.metadata_changed(image, names, now)

            runtime.take_all(tell)

    @staticmethod
    def _changed_names(image: MetadataImage, changed: ChangedMetadata) -> list[str]:
        if changed.everything:
            return list(image.topics)
        names = {
            topic.name: None
            for topic_id in changed.topics
            if (topic := image.topics_by_id.get(topic_id)) is not None
        }
        names.update((gone.name, None) for gone in changed.topics_deleted.values())
        return list(names)

    def _describable(self, caller: Caller, topics: Iterable[str]) -> set[str]:
        """The topics that a caller may describe: a pattern matches no others."""
        authorizer = self._node.authorizer
        assert authorizer is not None
        subject = Subject(caller.principal, caller.client_host[1:])
        kind, operation = ResourceType.TOPIC, Operation.DESCRIBE
        return {name for name in topics if authorizer.allows(subject, operation, kind, name)}

    def end_transaction(
        self, index: int, end: TransactionEnd, tell: Callable[[ErrorCode], None]
    ) -> None:
        """Write a transaction's marker into a partition of __consumer_offsets: what the transaction
        committed counts, or goes, with it. `tell` is told once it is committed, or why not."""
        led = self._led.get(index)
        if led is None or led.runtime is None or self._stopping:
            tell(ErrorCode.NOT_LEADER_OR_FOLLOWER)
            return

        def told(error: ErrorCode) -> None:
            # A transaction coordinator does not look for group coordinators: it asks again.
            gone = error is ErrorCode.NOT_COORDINATOR
            tell(ErrorCode.NOT_LEADER_OR_FOLLOWER if gone else error)

        led.runtime.end_transaction(end, told)

    def _new_id(self) -> str:
        """A random uuid as text."""
        import uuid  # not at a start: it asks what platform this is

        return str(uuid.UUID(bytes=self._random.randbytes(16), version=4))


def caller_of(context: RequestContext) -> Caller:
    """Who sent a request, as Kafka writes it down."""
    return Caller(
        context.client_id or "",
        java_address(context.client_host),
        context.api_version,
        str(context.principal),
    )


@lru_cache(maxsize=4096)
def java_address(host: str) -> str:
    """An address as java.net.InetAddress prints it: a slash, and IPv6 without any shortening."""
    if ":" not in host:
        return f"/{host}"
    plain, _, scope = host.partition("%")
    address = ip_address(plain)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return f"/{address.ipv4_mapped}"
        groups = ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":"))
        return f"/{groups}%{scope}" if scope else f"/{groups}"
    return f"/{address}"


def consumer_protocol_enabled(node: Node) -> bool:
    """Whether the consumer protocol (KIP-848) is offered: configured, and group.version is 1."""
    offered = "consumer" in node.config["group.coordinator.rebalance.protocols"]
    return offered and node.image.features.get("group.version", 0) >= 1
