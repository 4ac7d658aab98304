"""The node: what handlers see of the process.

One object owns the configuration, the metadata image, the controller (when this node has the role),
the partitions and the clock; handlers get it as their first argument.

Everything here runs on the node's one event loop, except what :meth:`Node.in_worker` is given.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import TYPE_CHECKING, Any, TypeVar

from kafka_py.clock import Clock
from kafka_py.config.definition import ConfigError
from kafka_py.metrics import Metrics
from kafka_py.protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from kafka_py.config.broker import BrokerConfig
    from kafka_py.controller.node import ControllerNode
    from kafka_py.metadata.authorizer import Authorizer
    from kafka_py.metadata.image import MetadataImage
    from kafka_py.replication.replica_manager import ReplicaManager
    from kafka_py.server.coordinators import GroupCoordinators
    from kafka_py.server.dispatch import RequestContext
    from kafka_py.server.fetch_session import FetchSessions
    from kafka_py.server.log_mover import LogMover
    from kafka_py.server.transaction_coordinators import BrokerTransactionCoordinators
    from kafka_py.server.transactions_seam import MarkerWriter

__all__ = ["Listening", "Node"]

log = logging.getLogger("kafka_py.server")
T = TypeVar("T")


class Listening:
    """One bound listener: name, security protocol, where it is bound, what clients are told."""

    __slots__ = ("advertised_host", "advertised_port", "host", "name", "port", "role", "security")

    def __init__(self, name: str, security: str, host: str, port: int, role: str) -> None:
        self.name = name
        self.security = security
        self.host = host
        self.port = port
        self.role = role
        self.advertised_host = host
        self.advertised_port = port


class Node:
    """What every handler may use.

    Attributes:
        config: the typed broker configuration, dynamic broker overrides applied.
        clock: wall and monotonic time, in milliseconds.
        controller: the KRaft controller of this process.
        replicas: the partitions this broker hosts (``.partition(topic, index)``, ``.log_dirs``,
        ...). metrics: counters by name. cluster_id, node_id, broker_epoch: identity; the epoch is
        -1 until the broker is registered. listeners: the bound listeners by name. sessions:
        incremental fetch sessions (KIP-227). flusher: the group commit that acks=all waits for.
        groups: the group coordinators of this node. transactions: the transaction coordinators.
        mover: moves replicas between log directories. authorizer: who decides what clients may do,
        None where everything is allowed; handlers ask it through `kafka_py.server.access`.
        markers: writes the markers of transactions into the partitions here.
        verifying: producer id -> done when its last transactional produce that had to ask the
        coordinator is appended.
        touch: look at waiting requests soon, since a partition moved. wake_at: told a deadline
        (monotonic milliseconds), the node looks at its waiters then.
    """

    def __init__(
        self,
        *,
        config: "BrokerConfig",
        clock: Clock,
        cluster_id: str,
        node_id: int,
        controller: "ControllerNode",
        replicas: "ReplicaManager",
        sessions: "FetchSessions",
        metrics: Metrics,
        authorizer: "Authorizer | None" = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.cluster_id = cluster_id
        self.node_id = node_id
        self.controller = controller
        self.replicas = replicas
        self.sessions = sessions
        self.metrics = metrics
        self.authorizer = authorizer
        self.broker_epoch = -1
        self.listeners: dict[str, Listening] = {}
        self.fenced = True
        self.stopping = False
        self.on_submitted: Callable[[], None] = lambda: None
        self.touch: Callable[[], None] = lambda: None
        self.flusher: Any = None
        self.groups: GroupCoordinators
        self.mover: LogMover
        self.transactions: BrokerTransactionCoordinators
        self.markers: MarkerWriter
        self.verifying: dict[int, asyncio.Future[None]] = {}
        self.wake_at: Callable[[int], None] = lambda _deadline_ms: None
        self._workers: futures.ThreadPoolExecutor | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._creating: dict[str, asyncio.Future[ErrorCode]] = {}
        self._producer_id_next = 0
        self._producer_id_end = 0
        self._producer_ids: asyncio.Task[None] | None = None

    @property
    def image(self) -> "MetadataImage":
        """The committed metadata; immutable, replaced as a whole on every commit."""
        return self.controller.image

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running event loop of this node."""
        return asyncio.get_running_loop()

    async def submit(self, request: Any, context: "RequestContext | None" = None) -> Any:
        """Send a request to the active controller and wait for its committed answer.

        ``request`` is a message of the controller's APIs (CreateTopics, IncrementalAlterConfigs,
        ...). Returns the response message; when it arrives, :attr:`image` and :attr:`replicas` show
        the change already.
        """
        future: asyncio.Future[Any] = self.loop.create_future()

        def done(response: Any) -> None:
            if not future.done():
                future.set_result(response)

        self.controller.submit(request, context, done)
        self.on_submitted()
        return await future

    def in_worker(self, call: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        """Run ``call``, which blocks or is long, in one of the node's worker threads."""
        if self._workers is None:
            self._workers = futures.ThreadPoolExecutor(
                max_workers=self.config["background.threads"], thread_name_prefix="kafka-py-worker"
            )
        return self.loop.run_in_executor(self._workers, call, *arguments)

    def spawn(self, work: Any) -> "asyncio.Task[Any]":
        """Run a coroutine on its own; an exception in it is logged, never lost."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background task failed", exc_info=task.exception())

    async def close(self) -> None:
        """Cancel background tasks and end the worker threads (what they run is finished first)."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._workers is not None:
            self._workers.shutdown(wait=True)

    async def auto_create_topics(
        self, names: Iterable[str], context: "RequestContext"
    ) -> dict[str, ErrorCode]:
        """Create missing topics as a Metadata request with auto creation asks for.

        Only call it when ``auto.create.topics.enable`` and the request allow it. Concurrent
        requests for one name share one creation. Returns what a metadata response should say of
        each name until it shows up in the image: UNKNOWN_TOPIC_OR_PARTITION while it is being made
        (clients retry, as with Kafka), or why it cannot be.
        """
        from kafka_py.server import auto_topics

        return await auto_topics.create(self, list(names), context, self._creating)

    async def next_producer_id(self) -> int:
        """A producer id that no other node or run hands out, from a block of the controller's.

        Raises ApiError(COORDINATOR_LOAD_IN_PROGRESS) while the controller refuses
        a block.
        """
        while (taken := self._pop_producer_id()) is None:
            await self._allocate_producer_ids()
        return taken

    def take_producer_id(self) -> int | None:
        """A producer id as `next_producer_id` gives, at once; None while there is none here.

        The next block is asked for then.
        """
        taken = self._pop_producer_id()
        if taken is None and (self._producer_ids is None or self._producer_ids.done()):
            self._producer_ids = self.spawn(self._try_to_allocate())
        return taken

    async def await_producer_ids(self) -> None:
        """Until `take_producer_id` has one, or the controller has refused a block."""
        if self._producer_id_next >= self._producer_id_end:
            await self._try_to_allocate()

    def _pop_producer_id(self) -> int | None:
        if self._producer_id_next >= self._producer_id_end:
            return None
        taken = self._producer_id_next
        self._producer_id_next += 1
        return taken

    async def _allocate_producer_ids(self) -> None:
        from kafka_py.server import producer_ids

        start, length = await producer_ids.allocate(self)
        if self._producer_id_next >= self._producer_id_end:
            self._producer_id_next, self._producer_id_end = start, start + length

    async def _try_to_allocate(self) -> None:
        with contextlib.suppress(ApiError):
            await self._allocate_producer_ids()

    def advertised_endpoint(self, listener: str) -> tuple[str, int]:
        """(host, port) that clients of ``listener`` are told; the first one for an unknown name."""
        found = self.listeners.get(listener)
        if found is None:
            found = next(iter(self.listeners.values()))
        return found.advertised_host, found.advertised_port

    def listener_port(self, name: str) -> int:
        """The port that a listener is bound to. Raises ConfigError for an unknown name."""
        try:
            return self.listeners[name].port
        except KeyError:
            raise ConfigError("listeners", name, "no such listener") from None
