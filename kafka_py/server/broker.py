"""The broker: wires configuration, storage, controller, partitions and connections together.

The only place that picks the real clock, network and randomness.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kafka_py.clock import Clock, RealClock
from kafka_py.config.broker import BrokerConfig
from kafka_py.config.dynamic import on_config_change
from kafka_py.config.standalone import standalone_properties, with_settings
from kafka_py.config.topic import topic_log_config, topic_values
from kafka_py.controller.node import ControllerNode
from kafka_py.controller.settings import ControllerSettings, Voter
from kafka_py.event_loop import new_event_loop
from kafka_py.metadata.authorizer import Authorizer
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import ChangedMetadata, Endpoint
from kafka_py.metrics import Metrics
from kafka_py.network import Network, RealNetwork
from kafka_py.protocol import prepared
from kafka_py.replication.log_directory import LogDirectory
from kafka_py.replication.replica_manager import ReplicaManager, TopicSettings
from kafka_py.server.connection import Hub, ServedConnection
from kafka_py.server.coordinators import GroupCoordinators
from kafka_py.server.dispatch import BROKER, CONTROLLER, load_handlers
from kafka_py.server.fast_path import FastPath
from kafka_py.server.fetch_session import FetchSessions
from kafka_py.server.flush import Flusher
from kafka_py.server.lifecycle import Lifecycle
from kafka_py.server.limits import Limits
from kafka_py.server.log_mover import LogMover
from kafka_py.server.markers import Markers
from kafka_py.server.node import Listening, Node
from kafka_py.server.opening import Opened, open_node
from kafka_py.server.timers import Timer
from kafka_py.server.transaction_coordinators import BrokerTransactionCoordinators
from kcore.syscalls import set_volatile
from kcore.values import replace

__all__ = ["Broker"]

log = logging.getLogger("kafka_py.server")

load_handlers()
# When this module is imported, so that the first start does not wait for it.
prepared.bind()


def temporary_directory() -> str:
    """A fresh directory where Python puts temporary files. Raises OSError.

    ``tempfile`` finds out where that is by writing a file there, and is imported for it; where it
    looks first is taken without that, if a directory can be made in it.
    """
    loaded = sys.modules.get("tempfile")
    named = [loaded and loaded.tempdir, *map(os.getenv, ("TMPDIR", "TEMP", "TMP"))]
    likely = os.path.join(next(filter(None, named), "/tmp"), f"kafka-py-{os.urandom(8).hex()}")
    try:
        os.mkdir(likely, 0o700)
    except OSError:
        import tempfile

        return tempfile.mkdtemp(prefix="kafka-py-")
    return os.path.abspath(likely)


DRAIN_S = 2.0
HOUSEKEEPING_MS = 1000
#: How often acks=all waiters are looked at for their time-out, while there are any.
APPEND_EXPIRY_MS = 100
#: Compressed batches above this size are checked by a worker thread.
OFF_LOOP_BYTES = 64 * 1024


class Broker:
    """A Kafka node in this process: broker and controller.

        with Broker() as broker:            # a thread of its own; a temporary directory
            connect(broker.bootstrap_servers)

        async with Broker({"num.partitions": "6"}, data="var/kafka") as broker:   # this event loop
            ...

    `config`: Kafka's property names and texts, on top of a single node's; or a whole
    `BrokerConfig`. `data`: the log directory, formatted if fresh (default: a temporary one, removed
    at the end and therefore never synced). The listener takes a free port of 127.0.0.1 unless
    `listeners` says otherwise. `clock`, `network` and `randomness` are for simulations.

    Starting raises ConfigError, kcore's DirectoryLocked and CorruptFile, FormatError, OSError
    (AddressInUse for a busy port). A broker is started once.
    """

    def __init__(
        self,
        config: BrokerConfig | Mapping[str, str] | None = None,
        *,
        data: str | os.PathLike[str] | None = None,
        clock: Clock | None = None,
        network: Network | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        self._temporary: str | None = None
        if not isinstance(config, BrokerConfig):
            if data is None and not {"log.dirs", "log.dir"} & set(config or {}):
                data = self._temporary = temporary_directory()
                set_volatile(data, True)
            properties = standalone_properties(os.path.abspath(data or ""), port=0)
            config = BrokerConfig(with_settings(properties, config or {}))
        self.config = config
        self._clock = clock or RealClock()
        self._network = network or RealNetwork()
        self._random = randomness or random.Random()
        self._stop = contextlib.AsyncExitStack()
        self._thread: _Thread | None = None
        self._sweep_at_ms = 0
        self._failed_directories: set[LogDirectory] = set()
        self._opened: Opened | None = None
        self.node: Node
        self.loop: asyncio.AbstractEventLoop

    # ------------------------------------------------------------------------- what users look at

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of the first broker listener, for clients."""
        first = next(one for one in self.node.listeners.values() if one.role == BROKER)
        host = first.host or first.advertised_host
        return f"[{host}]:{first.port}" if ":" in host else f"{host}:{first.port}"

    @property
    def log_dirs(self) -> list[str]:
        """The log directories."""
        return [str(one.path) for one in self.node.replicas.log_dirs]

    @property
    def cluster_id(self) -> str:
        """The id of the cluster of one."""
        return self.node.cluster_id

    async def failed(self) -> BaseException:
        """Wait for the node to break (every log directory, or the metadata log's); why."""
        return await asyncio.shield(self._failure)

    # ------------------------------------------------------------------------------- start, stop

    async def start(self) -> Broker:
        """Serve on the running event loop; returns once clients are answered."""
        self._loop = self.loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[BaseException] = self._loop.create_future()
        try:
            await self._start()
        except BaseException:
            await self._stop.aclose()
            self._remove_temporary()
            raise
        return self

    async def _start(self) -> None:
        opened = open_node(
            self.config, network=self._network, clock=self._clock, random=self._random
        )
        self._opened = opened
        self._stop.callback(opened.close)
        incarnation_id = self._random.randbytes(16)
        controller = self._open_controller(opened, incarnation_id)
        self._stop.callback(controller.close)
        controller.start()
        replicas = ReplicaManager(
            self.config,
            opened.directories,
            broker_id=self.config.node_id,
            topic_settings=self._topic_settings,
        )
        self.node = node = Node(
            config=self.config,
            clock=self._clock,
            cluster_id=opened.cluster_id,
            node_id=self.config.node_id,
            controller=controller,
            replicas=replicas,
            sessions=FetchSessions(
                self.config["max.incremental.fetch.session.cache.slots"], self._random
            ),
            metrics=Metrics(),
            authorizer=self._authorizer(controller.image),
        )
        node.listeners = opened.listeners
        self._serve_setup(node, replicas)
        self._stop.callback(self._close_replicas, replicas)
        replicas.open_logs(controller.image, now_ms=self._clock.now_ms())
        for directory in {id(d): d for d in (*opened.directories, opened.metadata)}.values():
            directory.failure.subscribe(self._directory_failed_anywhere)
        self._stop.callback(controller.subscribe(self._image_changed))
        self._lifecycle = Lifecycle(node, incarnation_id)
        self._timer = Timer(self._loop, self._clock, self._due)
        self._stop.callback(self._timer.close)
        node.on_submitted = self._rearm
        node.wake_at = self._timer.at
        self._timer.at(0)
        await self._lifecycle.register()
        self._stop.push_async_callback(self._leave)
        for name, bound in opened.bound.items():
            await bound.serve(self._connections(opened.listeners[name]))

    def _authorizer(self, image: MetadataImage) -> Authorizer | None:
        settings = self.config.authorizer
        if settings is None:
            return None
        made = Authorizer(
            super_users=settings.super_users, allow_if_no_acl=settings.allow_if_no_acl
        )
        made.follow(image)
        return made

    def _open_controller(self, opened: Opened, incarnation_id: bytes) -> ControllerNode:
        endpoints = tuple(
            Endpoint(one.name, one.advertised_host, one.advertised_port, 0)
            for one in opened.listeners.values()
            if one.role == CONTROLLER
        )
        settings = ControllerSettings.from_config(self.config, endpoints)
        own = settings.voters.get(self.config.node_id)
        if own is not None and own.port == 0 and endpoints:
            # The configuration asked for a free port; this is the one that it became.
            voter = Voter(own.id, own.host, endpoints[0].port)
            settings = replace(settings, voters={**settings.voters, own.id: voter})
        return ControllerNode.open(
            str(opened.metadata.path),
            node_id=self.config.node_id,
            cluster_id=opened.cluster_id,
            directory_id=opened.metadata.directory_id,
            settings=settings,
            clock=self._clock,
            random=self._random,
            incarnation_id=incarnation_id,
            segment_bytes=self.config["metadata.log.segment.bytes"],
            bootstrap=opened.bootstrap,
            fatal=self._fatal,
        )

    def _serve_setup(self, node: Node, replicas: ReplicaManager) -> None:
        """Everything that connections share."""
        self._limits = Limits(self.config, self._clock, node.metrics)
        self._flusher = Flusher(
            self._loop,
            replicas,
            policy=self.config["kafka_py.flush.policy"],
            group_ms=self.config["kafka_py.flush.group.ms"],
            answering=lambda: self._hub.begin_here(),
            clock=self._clock,
            inline_us_max=self.config["kafka_py.flush.inline.max.us"],
            gather_percent=self.config["kafka_py.flush.gather.percent"],
        )
        self._stop.callback(self._flusher.close)
        self._fast = FastPath(
            replicas,
            wait_for_flush=self._flusher.waits,
            fetch_bytes_max=self.config["fetch.max.bytes"],
            off_loop_bytes=OFF_LOOP_BYTES,
            sessions=node.sessions,
            monotonic_ms=self._clock.monotonic_ms,
            inline_bytes_max=self.config["kafka_py.check.inline.max.bytes"],
            inline_us_max=self.config["kafka_py.check.inline.max.us"],
        )
        self._hub = Hub(node, self._loop, self._limits, self._fast, self._flusher)
        node.flusher = self._flusher
        node.mover = LogMover(node)
        node.touch = self._hub.touch_later
        node.markers = Markers(node)
        self._fast.verifying = node.verifying
        node.groups = GroupCoordinators(node, self._loop, self._random)
        self._hub.commits = node.groups.commits
        self._stop.callback(node.groups.close)
        node.transactions = BrokerTransactionCoordinators(node, self._loop)
        self._stop.callback(node.transactions.close)

    def _connections(self, listening: Listening) -> Callable[[], ServedConnection]:
        return lambda: ServedConnection(self._hub, listening)

    async def stop(self) -> None:
        """Answer what is under way, stop cleanly, let the directories go. Twice is fine."""
        await self._stop.aclose()
        self._remove_temporary()

    async def _leave(self) -> None:
        """The first steps of a stop: accept nothing new, tell the controller, drain."""
        node = self.node
        node.stopping = True
        self._hub.closing = True
        assert self._opened is not None
        for bound in self._opened.bound.values():
            bound.close()
        if self.config["controlled.shutdown.enable"] and not self._failure.done():
            await self._lifecycle.leave(DRAIN_S)
        node.transactions.stop_taking()
        node.groups.stop_taking()
        for connection in list(self._hub.connections):
            connection.close_when_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._hub.drained()
        for connection in list(self._hub.connections):
            connection.close()
        await node.close()
        # A flush under way ends before its log is closed.
        self._flusher.close()

    def _close_replicas(self, replicas: ReplicaManager) -> None:
        replicas.close(broker_epoch=self.node.broker_epoch, clean=not self._failure.done())

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            import shutil  # not at a start

            shutil.rmtree(self._temporary, ignore_errors=True)
            set_volatile(self._temporary, False)
            self._temporary = None

    # ------------------------------------------------------------------------ following the image

    def _topic_settings(self, overrides: Mapping[str, str | None]) -> TopicSettings:
        return TopicSettings(
            topic_log_config(self.config, overrides),
            topic_values(self.config, overrides)["min.insync.replicas"],
        )

    def _image_changed(self, image: MetadataImage, changed: ChangedMetadata) -> None:
        broker = 4
        concerned = changed.everything or any(kind == broker for kind, _ in changed.configs)
        if concerned and on_config_change(self.config, image.configs, self.config.node_id):
            self._settings_changed()
        if self.node.authorizer is not None:
            self.node.authorizer.follow(image, changed)
        self.node.replicas.apply(image, changed, now_ms=self._clock.monotonic_ms())
        self.node.groups.image_changed(image, changed)
        self.node.transactions.image_changed(image, changed)
        self._hub.touch_later()

    def _settings_changed(self) -> None:
        """Dynamic broker settings that something here keeps a copy of."""
        self._limits.refresh()
        self._flusher.policy = self.config["kafka_py.flush.policy"]
        self._flusher.group_ms = self.config["kafka_py.flush.group.ms"]
        self._flusher.inline_us_max = self.config["kafka_py.flush.inline.max.us"]
        self._flusher.gather_percent = self.config["kafka_py.flush.gather.percent"]
        self._fast.wait_for_flush = self._flusher.waits
        self._fast.fetch_bytes_max = self.config["fetch.max.bytes"]
        self._fast.inline_bytes_max = self.config["kafka_py.check.inline.max.bytes"]
        self._fast.inline_us_max = self.config["kafka_py.check.inline.max.us"]

    # ---------------------------------------------------------------------------------- over time

    def _rearm(self) -> None:
        self._timer.at(self.node.controller.next_deadline_ms())

    def _due(self) -> int:
        """Everything with a deadline; when the next one is."""
        node, now_ms = self.node, self._clock.monotonic_ms()
        replicas = node.replicas
        node.controller.tick(now_ms)
        replicas.fetches.expire(now_ms)
        replicas.appends.expire(now_ms)
        deadlines = [node.controller.next_deadline_ms()]
        waiting = replicas.fetches.next_deadline_ms()
        if waiting is not None:
            deadlines.append(waiting)
        if not replicas.appends.idle:
            deadlines.append(now_ms + APPEND_EXPIRY_MS)
        if now_ms >= self._sweep_at_ms:
            self._sweep_at_ms = now_ms + HOUSEKEEPING_MS
            now_s = self._clock.monotonic_ns() / 1e9
            self._limits.sweep(self._hub.unusual(now_s, self._limits.idle_ms / 1000), now_s)
            for job in replicas.due(self._clock.now_ms()):
                node.spawn(self._work(job))
        deadlines.append(self._sweep_at_ms)
        if node.broker_epoch >= 0 and not node.stopping:
            deadlines.append(self._lifecycle.due(now_ms))
        self._hub.touch_later()
        return min(deadlines)

    async def _work(self, job: Any) -> None:
        try:
            await self.node.in_worker(job.work)
        finally:
            job.then()
            self._hub.touch_later()

    # ----------------------------------------------------------------------------- when disks fail

    def _directory_failed_anywhere(self, failure: Any) -> None:
        """In whatever thread met the error."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._directory_failed, failure)

    def _directory_failed(self, failure: Any) -> None:
        assert self._opened is not None
        if failure is self._opened.metadata.failure:
            self._fatal(failure.cause)
        for directory in self._opened.directories:
            if directory.failure is failure and directory not in self._failed_directories:
                self._failed_directories.add(directory)
                log.error("%s is offline until the next start: %s", directory.path, failure.cause)
                self.node.replicas.directory_failed(directory)
                self._hub.touch_later()
        if all(directory.offline for directory in self._opened.directories):
            self._fatal(failure.cause)
        elif self.node.broker_epoch >= 0:
            self.node.spawn(self._lifecycle.beat())

    def _fatal(self, error: BaseException | None) -> None:
        error = error or OSError("a log directory failed")
        if not self._failure.done():
            log.critical("the node cannot go on: %s", error)
            self._failure.set_result(error)

    # --------------------------------------------------------------------------------- with, async

    async def __aenter__(self) -> Broker:
        return await self.start()

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    def __enter__(self) -> Broker:
        self._thread = _Thread(self)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._thread is not None
        self._thread.stop()


class _Thread:
    """A broker on an event loop in a thread of its own."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kafka-py-broker", daemon=True)

    def start(self) -> None:
        """Start, and raise here what starting raised there."""
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        """Stop cleanly and wait for the thread's end."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        await self._broker.start()
        self._started.set()
        try:
            await self._stopping.wait()
        finally:
            await self._broker.stop()
