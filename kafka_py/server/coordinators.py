"""The group coordinators of this node: one for every partition of __consumer_offsets that it leads.

A partition's coordinator is loaded from its log when this node becomes the leader (in a worker
thread; requests are told COORDINATOR_LOAD_IN_PROGRESS meanwhile), and dropped when it is not any
more. An append that failed drops it too, and it is loaded anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator import answers
from kafka_py.coordinator.loading import replay
from kafka_py.coordinator.machine import Caller, Moment
from kafka_py.coordinator.offsets.commit_path import CommitPath
from kafka_py.coordinator.runtime import AppendFailed, Ask, Runtime
from kafka_py.coordinator.shard import GroupShard
from kafka_py.metadata.authorizer import Subject
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import ChangedMetadata
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.replication.partition import Partition
from kafka_py.server.produce_errors import error_code
from kafka_py.server.timers import Timer
from kcore.errors import KcoreError
from kcore.log import COORDINATOR

if TYPE_CHECKING:
    from kafka_py.coordinator.batch import PendingBatch
    from kafka_py.server.dispatch import RequestContext
    from kafka_py.server.node import Node

__all__ = [
    "OFFSETS_TOPIC",
    "GroupCoordinators",
    "caller_of",
    "consumer_protocol_enabled",
    "java_hash",
    "partition_of",
]

log = logging.getLogger("kafka_py.server")

OFFSETS_TOPIC: Final = "__consumer_offsets"
#: The partitions of longer names are not remembered.
CACHED_KEY_MAX: Final = 128
#: How long deadlines are worked off before the loop's other work has its turn.
EXPIRY_NS: Final = 5_000_000
#: Seconds after which a coordinator that could not be loaded is tried again.
RETRY_S: Final = 5.0


class Committed:
    """Waits for the log to be committed up to an offset: an AppendWaiter of the purgatory."""

    __slots__ = ("deadline_ms", "done", "tell")

    def __init__(self, deadline_ms: int, tell: Callable[[ErrorCode], None]) -> None:
        self.deadline_ms = deadline_ms
        self.tell = tell
        self.done = False

    def satisfied(self) -> None:
        """It is."""
        self._end(ErrorCode.NONE)

    def expire(self) -> None:
        """It was not in time."""
        self._end(ErrorCode.REQUEST_TIMED_OUT)

    def fail(self, error: int) -> None:
        """Nobody here will know."""
        self._end(ErrorCode.of(error))

    def _end(self, error: ErrorCode) -> None:
        if not self.done:
            self.done = True
            self.tell(error)


class PartitionWriter:
    """A runtime's view of its partition; see `kafka_py.coordinator.runtime.Writer`."""

    def __init__(self, node: Node, partition: Partition) -> None:
        self._node = node
        self._partition = partition

    def bytes_max(self) -> int:
        """max.message.bytes of the topic."""
        opened = self._partition.log
        limit: int = 0 if opened is None else opened.config.max_message_bytes
        return limit

    def compression(self) -> int:
        """offsets.topic.compression.codec."""
        codec: int = self._node.config["offsets.topic.compression.codec"]
        return codec

    def append(self, batch: bytes, now: Moment) -> int:
        """Append as the coordinator, tell the followers and readers."""
        partition = self._partition
        if error := partition.leader_error(-1):
            raise AppendFailed(ErrorCode.of(error))
        if partition.under_min_isr:
            raise AppendFailed(ErrorCode.NOT_ENOUGH_REPLICAS)
        try:
            partition.log.append(
                batch,
                leader_epoch=partition.leader_epoch,
                now_ms=now.wall_ms,
                origin=COORDINATOR,
            )
        except KcoreError as problem:
            raise AppendFailed(error_code(problem), str(problem)) from problem
        if partition.advance():
            self._node.replicas.progressed(partition)
            self._node.touch()
        return partition.log_end_offset

    def committed_offset(self) -> int:
        """The high watermark, or how far the disk has it where acks=all waits for that."""
        partition = self._partition
        if partition.log is None:
            return -1
        if self._node.flusher.waits:
            durable: int = min(partition.high_watermark, partition.log.recovery_point)
            return durable
        return partition.high_watermark

    def when_committed(self, end_offset: int, done: Callable[[ErrorCode], None]) -> None:
        """Wait in the broker's purgatory, no longer than offsets.commit.timeout.ms."""
        node = self._node
        deadline_ms = node.clock.monotonic_ms() + node.config["offsets.commit.timeout.ms"]
        node.replicas.appends.watch(Committed(deadline_ms, done), self._partition, end_offset)
        node.flusher.appended(self._partition, end_offset)


class Led:
    """A partition of __consumer_offsets that this node leads; no runtime while it loads.

    `changed` holds the topics that changed meanwhile; `failed` is set when it could not be loaded.
    """

    __slots__ = ("changed", "failed", "partition", "runtime", "shard")

    def __init__(self, partition: Partition, shard: GroupShard) -> None:
        self.partition = partition
        self.shard = shard
        self.runtime: Runtime | None = None
        self.failed = False
        self.changed: dict[str, None] = {}


class GroupCoordinators:
    """Finds the coordinator of a group, and keeps them in step with the metadata.

    All on the node's event loop.
    """

    def __init__(
        self, node: Node, loop: asyncio.AbstractEventLoop, randomness: random.Random
    ) -> None:
        self._node = node
        self._random = randomness
        self._loop = loop
        self._led: dict[int, Led] = {}
        self._partitions = 0
        self._stopping = False
        self._timer = Timer(loop, node.clock, self._due)
        #: Where connections take commits that need no thought.
        self.commits = CommitPath(
            self._batch_of, self.now, node.image, node.config["offset.metadata.max.bytes"]
        )

    # ------------------------------------------------------------------------------------- asking

    def ask(self, group_id: str, request: Any, caller: Caller) -> Any:
        """The response to a request about one group, or a future of it."""
        if self._stopping:
            return self._refuse(request, caller, ErrorCode.COORDINATOR_NOT_AVAILABLE)
        led = self._led.get(partition_of(group_id, self._partitions)) if self._partitions else None
        if led is None:
            return self._refuse(request, caller, ErrorCode.NOT_COORDINATOR)
        return self._ask(led, request, caller)

    def _refuse(self, request: Any, caller: Caller, error: ErrorCode) -> Any:
        return answers.refusal(request, caller.api_version, error)

    def _ask(self, led: Led, request: Any, caller: Caller) -> Any:
        runtime = led.runtime
        if runtime is None:
            loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
            error = ErrorCode.NOT_COORDINATOR if led.failed else loading
            return self._refuse(request, caller, error)
        ask = Ask(request, caller)
        runtime.submit(ask)
        if ask.done:
            return ask.response
        future: asyncio.Future[Any] = self._loop.create_future()

        def answered(response: Any) -> None:
            if not future.done():
                future.set_result(response)

        ask.on_answer = answered
        return future

    def is_active(self, group_id: str) -> bool:
        """Whether the group's coordinator is here and loaded."""
        led = self._led.get(self.index_of(group_id))
        return led is not None and led.runtime is not None and not self._stopping

    def _batch_of(
        self, group_id: str
    ) -> tuple[GroupShard, PendingBatch, Callable[[], bool]] | None:
        """Where a group's commits go; None while it has no coordinator here."""
        if self._stopping or not self._partitions:
            return None
        led = self._led.get(partition_of(group_id, self._partitions))
        if led is None or led.runtime is None:
            return None
        return led.shard, led.runtime.pending, led.runtime.settled

    def ask_all(self, request: Any, caller: Caller) -> list[Any]:
        """The response, or a future of it, of every coordinator of this node."""
        if self._stopping:
            return [self._refuse(request, caller, ErrorCode.COORDINATOR_NOT_AVAILABLE)]
        return [self._ask(led, request, caller) for led in self._led.values()]

    def index_of(self, group_id: str) -> int:
        """Which partition a group belongs to; 0 while there are none."""
        return partition_of(group_id, self._partitions) if self._partitions else 0

    # ------------------------------------------------------------------------ following the image

    def image_changed(self, image: MetadataImage, changed: ChangedMetadata) -> None:
        """Lead, load, drop; tell the machines which topics changed. After the partitions did."""
        topic = image.topics.get(OFFSETS_TOPIC)
        self._partitions = 0 if topic is None else len(topic.partitions)
        self.commits.image_changed(image)
        self.commits.modern = consumer_protocol_enabled(self._node)
        hit = changed.everything or (topic is not None and topic.id in changed.topics)
        if hit or any(gone.name == OFFSETS_TOPIC for gone in changed.topics_deleted.values()):
            self._follow(image)
        names = self._changed_names(image, changed)
        for led in list(self._led.values()):
            runtime, shard = led.runtime, led.shard
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

    def _follow(self, image: MetadataImage) -> None:
        self.commits.groups_moved()
        topic = image.topics.get(OFFSETS_TOPIC)
        wanted: dict[int, Partition] = {}
        for index in () if topic is None else topic.partitions:
            partition = self._node.replicas.partition(OFFSETS_TOPIC, index)
            if partition is not None and partition.leads:
                wanted[index] = partition
        for index in list(self._led):
            if wanted.get(index) is not self._led[index].partition:
                self._unload(index)
        for index, partition in wanted.items():
            if index not in self._led:
                self._load(index, partition)

    def _describable(self, caller: Caller, topics: Iterable[str]) -> set[str]:
        """The topics that a caller may describe: a pattern matches no others."""
        authorizer = self._node.authorizer
        assert authorizer is not None
        subject = Subject(caller.principal, caller.client_host[1:])
        kind, operation = ResourceType.TOPIC, Operation.DESCRIBE
        return {name for name in topics if authorizer.allows(subject, operation, kind, name)}

    def _unload(self, index: int) -> None:
        led = self._led.pop(index)
        if led.runtime is not None:
            led.runtime.close()

    # ------------------------------------------------------------------------------------ loading

    def _load(self, index: int, partition: Partition) -> None:
        shard = GroupShard(
            index,
            settings=self._node.config,
            image=self._node.image,
            new_id=self._new_id,
            describable=None if self._node.authorizer is None else self._describable,
        )
        self._led[index] = led = Led(partition, shard)
        opened = partition.log
        if opened is None:
            # Its directory is gone; the controller will say so, or it is opened by the next start.
            led.failed = True
            return
        end_offset = opened.log_end_offset
        if opened.log_start_offset == end_offset:
            self._activate(led, end_offset)
        else:
            self._node.spawn(self._replay(led, end_offset))

    async def _replay(self, led: Led, end_offset: int) -> None:
        opened = led.partition.log
        try:
            count = await self._node.in_worker(replay, opened, led.shard, end_offset)
        except Exception:
            if self._current(led) and led.partition.log not in (opened, None):
                # It moved to another log directory meanwhile.
                self._reload(led)
            elif self._current(led):
                log.exception("%s-%d cannot be loaded", OFFSETS_TOPIC, led.partition.index)
                led.failed = True
                await asyncio.sleep(RETRY_S)
                if self._current(led):
                    self._reload(led)
            return
        if self._current(led):
            log.debug("%s-%d: %d records", OFFSETS_TOPIC, led.partition.index, count)
            self._activate(led, end_offset)

    def _current(self, led: Led) -> bool:
        return self._led.get(led.partition.index) is led and not self._stopping

    def _activate(self, led: Led, end_offset: int) -> None:
        led.shard.image = self._node.image
        led.runtime = runtime = Runtime(
            led.shard,
            PartitionWriter(self._node, led.partition),
            end_offset=end_offset,
            now=self.now,
            soon=self._soon,
            wake_at=self._timer.at,
            failed=lambda: self._reload(led),
        )
        runtime.start()
        names, led.changed = list(led.changed), {}
        if names:
            runtime.take_all(lambda now: led.shard.metadata_changed(led.shard.image, names, now))

    def _soon(self, call: Callable[[], None]) -> None:
        """At the end of the loop's iteration, or after group.coordinator.append.linger.ms."""
        linger_ms = self._node.config["group.coordinator.append.linger.ms"]
        if linger_ms > 0:
            self._loop.call_later(linger_ms / 1000, call)
        else:
            self._loop.call_soon(call)

    def _reload(self, led: Led) -> None:
        index = led.partition.index
        if self._led.get(index) is led:
            del self._led[index]
            if led.partition.leads and not self._stopping:
                self._load(index, led.partition)

    # ---------------------------------------------------------------------------- time, and the end

    def now(self) -> Moment:
        """What time it is."""
        clock = self._node.clock
        return Moment(clock.monotonic_ms(), clock.now_ms())

    def _new_id(self) -> str:
        """A random uuid as text."""
        import uuid  # not at a start: it asks what platform this is

        return str(uuid.UUID(bytes=self._random.randbytes(16), version=4))

    def _runtimes(self) -> Iterator[Runtime]:
        for led in list(self._led.values()):
            if led.runtime is not None:
                yield led.runtime

    def _due(self) -> int | None:
        """Work off what is due, the latest last; what takes long lets others have the loop."""
        clock = self._node.clock
        now_ms, until_ns = clock.monotonic_ms(), clock.monotonic_ns() + EXPIRY_NS
        due = [
            (deadline_ms, at, runtime)
            for at, runtime in enumerate(self._runtimes())
            if (deadline_ms := runtime.next_deadline_ms()) is not None and deadline_ms <= now_ms
        ]
        for _, _, runtime in sorted(due):
            runtime.expire()
            if clock.monotonic_ns() >= until_ns:
                break
        deadlines = [runtime.next_deadline_ms() for runtime in self._runtimes()]
        return min((one for one in deadlines if one is not None), default=None)

    def stop_taking(self) -> None:
        """The first step of a stop: write what is pending, answer who waits for other members."""
        self._stopping = True
        self._timer.close()
        self.commits.groups_moved()
        for runtime in self._runtimes():
            runtime.flush()
            runtime.release_held()

    def close(self) -> None:
        """Answer whoever is left."""
        self._stopping = True
        self._timer.close()
        for index in list(self._led):
            self._unload(index)


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


def partition_of(key: str, partitions: int) -> int:
    """The partition that a group belongs to: Java's hash of its name, without the sign."""
    if len(key) > CACHED_KEY_MAX:
        return _partition_of(key, partitions)
    return _partition_cached(key, partitions)


def _partition_of(key: str, partitions: int) -> int:
    code = java_hash(key)
    return (0 if code == -(1 << 31) else abs(code)) % partitions


_partition_cached = lru_cache(maxsize=65536)(_partition_of)


def java_hash(text: str) -> int:
    """java.lang.String.hashCode: over UTF-16 units, in 32 bits with a sign."""
    units = text.encode("utf-16-be", "surrogatepass")
    code = 0
    for at in range(0, len(units), 2):
        code = (31 * code + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return code - (1 << 32) if code >= 1 << 31 else code


def consumer_protocol_enabled(node: Node) -> bool:
    """Whether the consumer protocol (KIP-848) is offered: configured, and group.version is 1."""
    offered = "consumer" in node.config["group.coordinator.rebalance.protocols"]
    return offered and node.image.features.get("group.version", 0) >= 1
