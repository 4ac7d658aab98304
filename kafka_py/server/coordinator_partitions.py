"""Coordinators of this node: one machine for every partition of a topic that it leads.

What groups and transactions share: a partition's coordinator is loaded from its log when this node
becomes the leader (in a worker thread; requests are told COORDINATOR_LOAD_IN_PROGRESS meanwhile),
and dropped when it is not any more. An append that failed drops it too, and it is loaded anew. One
timer serves the deadlines of all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from kafka_py.coordinator import answers
from kafka_py.coordinator.machine import Caller, Moment, TransactionEnd
from kafka_py.coordinator.runtime import AppendFailed, Ask, Machine, Runtime
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import ChangedMetadata
from kafka_py.protocol.errors import ErrorCode
from kafka_py.replication.partition import Partition
from kafka_py.replication.verification import Batch, append_marker, note_appended
from kafka_py.server.produce_errors import error_code
from kafka_py.server.timers import Timer
from kcore.batch_builder import build_end_marker
from kcore.errors import KcoreError
from kcore.log import COORDINATOR

if TYPE_CHECKING:
    from kafka_py.server.node import Node

__all__ = [
    "Committed",
    "Coordinators",
    "Led",
    "PartitionWriter",
    "append_end",
    "java_hash",
    "partition_of",
]

log = logging.getLogger("kafka_py.server")

MachineT = TypeVar("MachineT", bound=Machine)

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


def append_end(partition: Partition, end: TransactionEnd, now_ms: int) -> int:
    """Append a transaction's marker; the end offset to wait for. Raises KcoreError."""
    marker = build_end_marker(
        end.committed,
        producer_id=end.producer_id,
        producer_epoch=end.producer_epoch,
        coordinator_epoch=end.coordinator_epoch,
        timestamp=now_ms,
    )
    done = append_marker(
        partition,
        marker,
        Batch(end.producer_id, end.producer_epoch),
        transaction_version=end.transaction_version,
        now_ms=now_ms,
    )
    end_offset: int = done.last_offset + 1
    return end_offset


class PartitionWriter:
    """A runtime's view of its partition; see `kafka_py.coordinator.runtime.Writer`.

    `timeout` names the setting of how long a commit may take, `codec` that of the batches'
    compression (None: they are not compressed).
    """

    def __init__(self, node: Node, partition: Partition, timeout: str, codec: str | None) -> None:
        self._node = node
        self._partition = partition
        self._timeout = timeout
        self._codec = codec

    def bytes_max(self) -> int:
        """max.message.bytes of the topic."""
        opened = self._partition.log
        limit: int = 0 if opened is None else opened.config.max_message_bytes
        return limit

    def compression(self) -> int:
        """The codec's number."""
        codec: int = 0 if self._codec is None else self._node.config[self._codec]
        return codec

    def append(self, batch: bytes, now: Moment) -> int:
        """Append as the coordinator, tell the followers and readers."""
        partition = self._writable()
        transactional = Batch.transactional(batch)
        try:
            partition.log.append(
                batch,
                leader_epoch=partition.leader_epoch,
                now_ms=now.wall_ms,
                origin=COORDINATOR,
            )
        except KcoreError as problem:
            raise AppendFailed(error_code(problem), str(problem)) from problem
        if transactional is not None:
            note_appended(partition, transactional)
        return self._advance()

    def append_marker(self, end: TransactionEnd, now: Moment) -> int:
        """Append the control batch that ends a transaction."""
        partition = self._writable()
        try:
            append_end(partition, end, now.wall_ms)
        except KcoreError as problem:
            raise AppendFailed(error_code(problem), str(problem)) from problem
        return self._advance()

    def _writable(self) -> Partition:
        partition = self._partition
        if error := partition.leader_error(-1):
            raise AppendFailed(ErrorCode.of(error))
        if partition.under_min_isr:
            raise AppendFailed(ErrorCode.NOT_ENOUGH_REPLICAS)
        return partition

    def _advance(self) -> int:
        partition = self._partition
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
        """Wait in the broker's purgatory, no longer than the setting says."""
        node = self._node
        deadline_ms = node.clock.monotonic_ms() + node.config[self._timeout]
        node.replicas.appends.watch(Committed(deadline_ms, done), self._partition, end_offset)
        node.flusher.appended(self._partition)


class Led(Generic[MachineT]):
    """A partition that this node leads; no runtime while its machine is loaded.

    `changed` holds what changed meanwhile; `failed` is set when it could not be loaded.
    """

    __slots__ = ("changed", "epoch", "failed", "machine", "partition", "runtime")

    def __init__(self, partition: Partition, machine: MachineT) -> None:
        self.partition = partition
        self.epoch = partition.leader_epoch
        self.machine = machine
        self.runtime: Runtime | None = None
        self.failed = False
        self.changed: dict[str, None] = {}


class Coordinators(Generic[MachineT]):
    """Finds the coordinator of a key, and keeps them in step with the metadata.

    All on the node's event loop. A kind of coordinator says which `topic` it has, how its machines
    are made and loaded, and what else it does when they come and go.
    """

    topic: ClassVar[str]
    #: The settings of how long a commit may take, and of the compression; see `PartitionWriter`.
    timeout: ClassVar[str]
    codec: ClassVar[str | None] = None
    #: What the batches' headers say; see `kafka_py.coordinator.batch`.
    base_sequence: ClassVar[int] = 0

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._loop = loop
        self._led: dict[int, Led[MachineT]] = {}
        self._partitions = 0
        self._stopping = False
        self._timer = Timer(loop, node.clock, self._due)

    # ------------------------------------------------------------------------- what a kind defines

    def _machine(self, index: int, partition: Partition) -> MachineT:
        """A new machine, to be loaded."""
        raise AssertionError("a kind of coordinator says how")

    def _load_from(self, opened: Any, machine: MachineT, end_offset: int) -> int:
        """Replay a log into a machine, in a worker thread; how many records there were."""
        raise AssertionError("a kind of coordinator says how")

    def _activating(self, led: Led[MachineT]) -> None:
        """A machine is loaded and about to be driven."""

    def _activated(self, led: Led[MachineT], runtime: Runtime) -> None:
        """A machine is driven from now on."""

    def _moving(self) -> None:
        """Which partitions are led here is about to change."""

    def _soon(self, call: Callable[[], None]) -> None:
        """At the end of the loop's iteration."""
        self._loop.call_soon(call)

    def _outdated(self, led: Led[MachineT]) -> bool:
        """Whether a machine has to be loaded anew though its partition is still led here."""
        return False

    # ------------------------------------------------------------------------------------- asking

    def ask(self, key: str, request: Any, caller: Caller) -> Any:
        """The response to a request about one key, or a future of it."""
        if self._stopping:
            return self._refuse(request, caller, ErrorCode.COORDINATOR_NOT_AVAILABLE)
        led = self._led.get(partition_of(key, self._partitions)) if self._partitions else None
        if led is None:
            return self._refuse(request, caller, ErrorCode.NOT_COORDINATOR)
        return self._ask(led, request, caller)

    def _refuse(self, request: Any, caller: Caller, error: ErrorCode) -> Any:
        return answers.refusal(request, caller.api_version, error)

    def _ask(self, led: Led[MachineT], request: Any, caller: Caller) -> Any:
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

    def is_active(self, key: str) -> bool:
        """Whether the key's coordinator is here and loaded."""
        led = self._led.get(self.index_of(key))
        return led is not None and led.runtime is not None and not self._stopping

    def ask_all(self, request: Any, caller: Caller) -> list[Any]:
        """The response, or a future of it, of every coordinator of this node."""
        if self._stopping:
            return [self._refuse(request, caller, ErrorCode.COORDINATOR_NOT_AVAILABLE)]
        return [self._ask(led, request, caller) for led in self._led.values()]

    def index_of(self, key: str) -> int:
        """Which partition a key belongs to; 0 while there are none."""
        return partition_of(key, self._partitions) if self._partitions else 0

    # ------------------------------------------------------------------------ following the image

    def image_changed(self, image: MetadataImage, changed: ChangedMetadata) -> None:
        """Lead, load, drop. After the partitions did."""
        topic = image.topics.get(self.topic)
        self._partitions = 0 if topic is None else len(topic.partitions)
        hit = changed.everything or (topic is not None and topic.id in changed.topics)
        if hit or any(gone.name == self.topic for gone in changed.topics_deleted.values()):
            self._follow(image)

    def _follow(self, image: MetadataImage) -> None:
        self._moving()
        topic = image.topics.get(self.topic)
        wanted: dict[int, Partition] = {}
        for index in () if topic is None else topic.partitions:
            partition = self._node.replicas.partition(self.topic, index)
            if partition is not None and partition.leads:
                wanted[index] = partition
        for index, led in list(self._led.items()):
            if wanted.get(index) is not led.partition or self._outdated(led):
                self._unload(index)
        for index, partition in wanted.items():
            if index not in self._led:
                self._load(index, partition)

    def _unload(self, index: int) -> None:
        led = self._led.pop(index)
        if led.runtime is not None:
            led.runtime.close()

    # ------------------------------------------------------------------------------------ loading

    def _load(self, index: int, partition: Partition) -> None:
        self._led[index] = led = Led(partition, self._machine(index, partition))
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

    async def _replay(self, led: Led[MachineT], end_offset: int) -> None:
        opened = led.partition.log
        try:
            count = await self._node.in_worker(self._load_from, opened, led.machine, end_offset)
        except Exception:
            if self._current(led) and led.partition.log not in (opened, None):
                # It moved to another log directory meanwhile.
                self._reload(led)
            elif self._current(led):
                log.exception("%s-%d cannot be loaded", self.topic, led.partition.index)
                led.failed = True
                await asyncio.sleep(RETRY_S)
                if self._current(led):
                    self._reload(led)
            return
        if self._current(led):
            log.debug("%s-%d: %d records", self.topic, led.partition.index, count)
            self._activate(led, end_offset)

    def _current(self, led: Led[MachineT]) -> bool:
        return self._led.get(led.partition.index) is led and not self._stopping

    def _activate(self, led: Led[MachineT], end_offset: int) -> None:
        self._activating(led)
        led.runtime = runtime = Runtime(
            led.machine,
            PartitionWriter(self._node, led.partition, self.timeout, self.codec),
            end_offset=end_offset,
            now=self.now,
            soon=self._soon,
            wake_at=self._timer.at,
            failed=lambda: self._reload(led),
            base_sequence=self.base_sequence,
        )
        runtime.start()
        self._activated(led, runtime)

    def _reload(self, led: Led[MachineT]) -> None:
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
        """The first step of a stop: write what is pending, answer who waits for somebody else."""
        self._stopping = True
        self._timer.close()
        self._moving()
        for runtime in self._runtimes():
            runtime.flush()
            runtime.release_held()

    def close(self) -> None:
        """Answer whoever is left."""
        self._stopping = True
        self._timer.close()
        for index in list(self._led):
            self._unload(index)


def partition_of(key: str, partitions: int) -> int:
    """The partition that a key (a group, a transactional id) belongs to.

    Java's hash of its name, without the sign.
    """
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
