"""ControllerNode: hosts the raft replica and the controller over a metadata log.

    submit --> Controller.handle --> append --> apply to the controller's image
                                        |
       done(reply) <-- publish <-- apply to the committed image <-- flush, high watermark

There is no event loop in here: requests come by `submit`, time by `tick`, messages of the other
voters by `deliver`.  All of it runs in one thread; only `run_blocking` may take work elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from kafka_py.clock import Clock
from kafka_py.controller.batches import Batch, encode_batch, parse_batches, records_of
from kafka_py.controller.controller import Controller, error_response
from kafka_py.controller.describe import describe_quorum, not_leader
from kafka_py.controller.format import read_bootstrap
from kafka_py.controller.loading import load_image, load_voters
from kafka_py.controller.log_store import KcoreLogStore, LogStore
from kafka_py.controller.raft import RaftReplica
from kafka_py.controller.raft_messages import top_level_error
from kafka_py.controller.raft_states import State
from kafka_py.controller.raft_types import Inbound, Ready, SnapshotId, VoterSet
from kafka_py.controller.result import RECORDS_MAX, Result
from kafka_py.controller.settings import ControllerSettings
from kafka_py.controller.snapshots import epoch_start_batch
from kafka_py.controller.snapshotting import Snapshotting
from kafka_py.metadata.features import SUPPORTED, record_version
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import ChangedMetadata
from kafka_py.protocol.brokers import ControllerRegistrationRequest
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.quorum import (
    BeginQuorumEpochRequest,
    DescribeQuorumRequest,
    EndQuorumEpochRequest,
    FetchSnapshotRequest,
    VoteRequest,
)
from kafka_py.protocol.records_metadata import NoOpRecord, decode_record, encode_record
from kcore.errors import LogFailed

__all__ = ["ControllerNode", "RequestSource"]


Listener = Callable[[MetadataImage, ChangedMetadata], None]
Done = Callable[[Any], None]
RunBlocking = Callable[[Callable[[], Any], Callable[[Any], None]], None]

_RAFT_REQUESTS = (
    VoteRequest,
    BeginQuorumEpochRequest,
    EndQuorumEpochRequest,
    FetchRequest,
    FetchSnapshotRequest,
)
_NEVER = 1 << 62
_NOTHING = Ready()  # compared with, never given away
_PARKED_MAX = 10_000
#: How many NoOpRecords a sole voter lets pass before it flushes them: nobody waits for one.
_IDLE_RECORDS_PER_FLUSH = 10


class RequestSource(Protocol):
    """What the controller wants to know of who asks; the server's RequestContext is one."""

    @property
    def api_version(self) -> int:
        """The version of the request."""
        ...


class ControllerNode:
    """One controller, or observer of the metadata log.  One thread calls everything.

    Life: `ControllerNode(store, ...)` loads the newest snapshot, `start()` joins the quorum (a sole
    voter leads when it returns, and `image` is complete), `tick` at `next_deadline_ms`, `close()`.

    Read only: `image`, committed metadata, immutable, replaced as records commit; `applied_offset`
    of the last committed record, which `image.offset` lags behind while only NoOpRecords come: what
    a broker reports in its heartbeat.
    """

    def __init__(
        self,
        store: LogStore,
        *,
        node_id: int,
        cluster_id: str,
        directory_id: bytes,
        settings: ControllerSettings,
        clock: Clock,
        random: Any,
        incarnation_id: bytes,
        bootstrap: list[Any] | None = None,
        send: Callable[[int, Any, int], None] | None = None,
        run_blocking: RunBlocking | None = None,
        fatal: Callable[[BaseException], None] | None = None,
    ) -> None:
        """`store`: a `KcoreLogStore` of a formatted directory (`kafka_py.controller.format`).

        `bootstrap`: the records of bootstrap.checkpoint (`format.read_bootstrap`), written when
        the log is empty.
        `random`: a `random.Random` or its like (election jitter, replica placement, topic ids).
        `send(voter_id, request, request_id)`: hand a raft request to the network (a sole voter
        sends none); its answer comes back by `deliver(voter_id, request_id, response)`.
        `run_blocking(work, then)`: run `work()` off the thread and call `then(result)`, or
        `then(exception)`, on this thread; None runs it inline (an fsync of the metadata log takes
        0.2 ms on a good disk).
        `fatal(error)`: the metadata directory failed; the process must go down.
        """
        self.node_id = node_id
        self.cluster_id = cluster_id
        self.directory_id = directory_id
        self.settings = settings
        self.store = store
        self._clock = clock
        self._random = random
        self._incarnation_id = incarnation_id
        self._bootstrap = bootstrap or []
        self._send = send
        self._run_blocking = run_blocking or _run_inline
        self._fatal = fatal
        self._listeners: list[Listener] = []
        self._parked: deque[tuple[int, Done, Any]] = deque()
        self._uncommitted: deque[tuple[Batch, list[Any]]] = deque()
        self._controller: Controller | None = None
        self._flushing = False
        self._failed = False
        self._closed = False
        self._idle_records = 0
        self._snapshots = Snapshotting(
            store, settings, clock, lambda work, then: self._run_blocking(work, then), self._fail
        )
        self._idle_at_ms = _NEVER
        self._barrier = 0
        self._committed, self._last_timestamp_ms = load_image(store)
        self.applied_offset = self._committed.offset
        self._applied_epoch = self._committed.epoch
        self.image, _ = self._committed.publish()
        self.kraft_version, voters, self._write_voters = load_voters(store, settings)
        store.kraft_version = self.kraft_version
        self.replica = self._new_replica(voters)

    @classmethod
    def open(
        cls,
        metadata_dir: str,
        *,
        clock: Clock,
        segment_bytes: int = 1 << 30,
        failure: Any = None,
        bootstrap: list[Any] | None = None,
        **arguments: Any,
    ) -> ControllerNode:
        """A node over Kafka's own files in `metadata_dir`, the formatted log directory that holds
        `__cluster_metadata-0/`; recovers what an unclean stop left.  `failure` is the
        `kcore.log.LogDirFailure` of that directory; `bootstrap`: what bootstrap.checkpoint says,
        for who has just written it; `arguments` are those of the constructor, without `store`.

        Raises kcore.errors.LogFailed, CorruptLog, CorruptFile, CorruptBatch.
        """
        store = KcoreLogStore(
            metadata_dir, now_ms=clock.now_ms(), segment_bytes=segment_bytes, failure=failure
        )
        if bootstrap is None:
            bootstrap = read_bootstrap(metadata_dir)
        return cls(store, clock=clock, bootstrap=bootstrap, **arguments)

    def _new_replica(self, voters: VoterSet) -> RaftReplica:
        return RaftReplica(
            node_id=self.node_id,
            directory_id=self.directory_id,
            cluster_id=self.cluster_id,
            voters=voters,
            log=self.store,
            quorum_state=self.store.read_quorum_state(),
            settings=self.settings,
            random=self._random,
            epoch_start=self._epoch_start,
            endpoints={e.name: (e.host, e.port) for e in self.settings.endpoints},
        )

    def _epoch_start(
        self, base_offset: int, epoch: int, leader_id: int, granting: Any, voters: VoterSet
    ) -> Batch:
        return epoch_start_batch(
            base_offset=base_offset,
            epoch=epoch,
            leader_id=leader_id,
            granting=granting,
            voters=voters,
            timestamp_ms=self._clock.now_ms(),
            kraft_version=self.kraft_version,
            write_voters=self._write_voters and base_offset == 0,
        )

    # -- what others see ---------------------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        """Whether this node is the active controller, so that `submit` can answer writes."""
        return self._controller is not None

    @property
    def leader_id(self) -> int:
        """The active controller, -1 while unknown."""
        return self.replica.leader_id

    @property
    def epoch(self) -> int:
        """The raft epoch, which is the controller epoch."""
        return self.replica.epoch

    @property
    def high_watermark(self) -> int:
        """Records of the metadata log below this offset are committed."""
        return self.replica.high_watermark

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(image, changed)` now (with `changed.everything`) and after every commit
        that changed something, before the replies of those requests.  Returns the unsubscriber."""
        self._listeners.append(listener)
        listener(self.image, ChangedMetadata(everything=True))

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def describe_quorum(self, request: DescribeQuorumRequest | None = None) -> Any:
        """A DescribeQuorumResponse; one that says who leads when this node does not."""
        return describe_quorum(
            self.replica,
            self.image,
            request,
            now_ms=self._clock.monotonic_ms(),
            wall_ms=self._clock.now_ms(),
        )

    # -- driving -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Join the quorum. A sole voter (with inline `run_blocking`) leads when it returns."""
        self.replica.start(self._clock.monotonic_ms())
        self._drain()

    def submit(self, request: Any, source: RequestSource | None, done: Done) -> None:
        """Handle one request message; `done(response)` is called exactly once, after what it
        changed is committed and `image` shows it, at once or from a later call.

        Takes the requests of `controller.HANDLED` and DescribeQuorum, and from the controller
        listener Fetch (of __cluster_metadata), FetchSnapshot, Vote, BeginQuorumEpoch and
        EndQuorumEpoch.  A node that does not lead answers NOT_CONTROLLER (raft requests: as the
        raft rules say).  `source` may have `describable_topics`, the set of topics of a
        CreateTopics whose configs it may see; without that attribute it may see all.
        """
        if isinstance(request, _RAFT_REQUESTS):
            if self._closed or self._failed:
                done(top_level_error(request, ErrorCode.BROKER_NOT_AVAILABLE))
                return
            self.replica.step(Inbound(request, done), self._clock.monotonic_ms())
            self._drain()
        elif isinstance(request, DescribeQuorumRequest):
            done(self.describe_quorum(request))
        elif self._controller is None or self._failed or self._closed:
            done(error_response(request, ErrorCode.NOT_CONTROLLER))
        elif len(self._parked) >= _PARKED_MAX:
            done(error_response(request, ErrorCode.REQUEST_TIMED_OUT))
        else:
            self._handle(request, source, done)

    def _handle(self, request: Any, source: RequestSource | None, done: Done) -> None:
        controller = self._controller
        assert controller is not None
        view = controller.view(self._clock.monotonic_ms(), self.replica.next_offset)
        latest = type(request).VERSIONS[1]
        view.api_version = latest if source is None else source.api_version
        view.describable = getattr(source, "describable_topics", None)
        result = controller.handle(request, view)
        self._append(result, done)
        self._drain()

    def deliver(self, voter_id: int, request_id: int, response: Any) -> None:
        """The answer to a request given to `send`; None when the connection failed."""
        if self._closed or self._failed:
            return
        inbound = Inbound(response, None, voter_id, request_id)
        self.replica.step(inbound, self._clock.monotonic_ms())
        self._drain()

    def tick(self, now_ms: int | None = None) -> None:
        """Do what is due; `now_ms` is monotonic, by default the clock's."""
        if self._closed or self._failed:
            return
        now = self._clock.monotonic_ms() if now_ms is None else now_ms
        if now >= self.replica.next_deadline_ms():
            self.replica.tick(now)
            self._drain()
        controller = self._controller
        if controller is not None and now >= controller.next_deadline_ms():
            self._append(controller.expire(now, self.replica.next_offset), None)
            self._drain()
        if self._controller is not None and now >= self._idle_at_ms:
            self._append_idle(now)
        if self._snapshots.is_due(now):
            self.snapshot()

    def next_deadline_ms(self) -> int:
        """Monotonic time of the next `tick` that has something to do."""
        if self._closed or self._failed:
            return _NEVER
        deadline = min(self.replica.next_deadline_ms(), self._snapshots.due_at_ms)
        if self._controller is not None:
            deadline = min(deadline, self._idle_at_ms, self._controller.next_deadline_ms())
        return deadline

    def close(self) -> None:
        """Resign, flush, close the log.  Pending requests are answered NOT_CONTROLLER."""
        if self._closed:
            return
        if not self._failed:
            self.replica.resign(self._clock.monotonic_ms())
            self._drain()
            if self._snapshots.wanted_at_stop(self.applied_offset) and not self._failed:
                self._run_blocking = _run_inline
                self.snapshot()
        self._closed = self._snapshots.closed = True
        self._lose_leadership()
        self.store.close()

    # -- appending ---------------------------------------------------------------------------------

    def _append(self, result: Result, done: Done | None) -> None:
        """Append the records of a result and park its reply until they are committed; a read
        waits for what was appended before it, so that no client sees what might be lost."""
        if result.records:
            self._append_records(result.records)
            self._barrier = self.replica.next_offset
        if done is not None:
            if self.applied_offset + 1 >= self._barrier:
                done(result.reply)
            else:
                self._parked.append((self._barrier, done, result.reply))

    def _append_records(self, records: list[Any]) -> None:
        controller = self._controller
        assert controller is not None
        level = controller.image.metadata_version
        if not level:
            level = max((getattr(one, "feature_level", 0) for one in records), default=0)
        # What one request leads to is one batch, and so atomic; fencing a broker may lead to more.
        for start in range(0, len(records), RECORDS_MAX):
            part = records[start : start + RECORDS_MAX]
            batch = encode_batch(
                [encode_record(record, record_version(record, level)) for record in part],
                base_offset=self.replica.next_offset,
                epoch=self.replica.epoch,
                timestamp_ms=self._clock.now_ms(),
            )
            self.replica.propose([batch])
            self._uncommitted.append((batch, part))
        for record in records:
            controller.apply(record)
        self._idle_at_ms = self._clock.monotonic_ms() + self.settings.idle_interval_ms

    def _append_idle(self, now_ms: int) -> None:
        """A NoOpRecord shows observers that the controller lives (KIP-835)."""
        self._idle_at_ms = now_ms + self.settings.idle_interval_ms
        if self.settings.idle_interval_ms <= 0:
            self._idle_at_ms = _NEVER
            return
        self._append_records([NoOpRecord()])
        self._idle_records += 1
        lazy = self.replica.sole_voter and self._idle_records < _IDLE_RECORDS_PER_FLUSH
        self._drain(flush=not lazy)

    # -- what Ready asks for -----------------------------------------------------------------------

    def _drain(self, *, flush: bool = True) -> None:
        """Do the duties of `Ready` in their order, until there are none."""
        try:
            while True:
                ready = self.replica.ready()
                if ready == _NOTHING:
                    break
                self._perform(ready, flush)
            if self._controller is not None and self.replica.state is not State.LEADER:
                self._lose_leadership()  # it resigned within its epoch
        except (OSError, LogFailed) as error:
            self._fail(error)

    def _perform(self, ready: Ready, flush: bool) -> None:
        now = self._clock.monotonic_ms()
        if ready.quorum_state is not None:
            self.store.write_quorum_state(ready.quorum_state, self.replica.voters)
        if ready.leader_changed:
            self._lose_leadership()
        for chunk in ready.snapshot_chunks:
            self.store.write_snapshot_chunk(chunk)
            if chunk.last:
                self._reload()
        if ready.truncate_to is not None:
            self.store.truncate_to(ready.truncate_to)
        if ready.append:
            self.store.append(ready.append)
            self._snapshots.note_appended(sum(len(batch.data) for batch in ready.append))
        if ready.flush:
            self.store.flush()
        for request in ready.requests:
            if self._send is not None:
                self._send(request.to, request.message, request.id)
        for reply in ready.replies:
            reply.token(reply.message)
        if ready.committed_to >= 0:
            self._commit(ready.committed_to)
        if self.replica.state is State.LEADER:
            if ready.append:
                self.replica.appended(now)
                if flush:
                    self._start_flush()
        elif ready.append or ready.truncate_to is not None or ready.snapshot_chunks:
            self.replica.fetched(now)

    def _start_flush(self) -> None:
        if self._flushing:
            return
        self._flushing = True
        self._idle_records = 0
        self._run_blocking(self.store.flush, self._flushed)

    def _flushed(self, result: Any) -> None:
        self._flushing = False
        if isinstance(result, BaseException):
            self._fail(result)
            return
        if self._closed:
            return
        self.replica.flushed(result, self._clock.monotonic_ms())
        self._drain()
        if self.replica.state is State.LEADER and self.store.end_offset > result:
            self._start_flush()

    def _fail(self, error: BaseException) -> None:
        """The disk failed: nothing more is promised, and nobody is told that it was."""
        if self._failed:
            return
        self._failed = True
        self._lose_leadership()
        if self._fatal is None:
            raise error
        self._fatal(error)

    # -- committed records -------------------------------------------------------------------------

    def _commit(self, end_offset: int) -> None:
        """Apply what is below `end_offset`, publish, and release the replies."""
        if self.applied_offset + 1 < end_offset:
            while self._uncommitted and self._uncommitted[0][0].next_offset <= self.applied_offset:
                self._uncommitted.popleft()
            while self.applied_offset + 1 < end_offset:
                if not self._apply_own(end_offset):
                    self._apply_from_log(end_offset)
        self._publish()
        self._maybe_activate()
        while self._parked and self._parked[0][0] <= end_offset:
            _, done, reply = self._parked.popleft()
            done(reply)

    def _apply_own(self, end_offset: int) -> bool:
        """Apply a batch that this leader appended, without reading it back."""
        if not self._uncommitted:
            return False
        batch, records = self._uncommitted[0]
        if batch.base_offset != self.applied_offset + 1 or batch.next_offset > end_offset:
            return False
        self._uncommitted.popleft()
        for record in records:
            self._committed.apply(record)
        self._note_applied(batch)
        return True

    def _apply_from_log(self, end_offset: int) -> None:
        offset = self.applied_offset + 1
        data = self.store.read(offset, 1024 * 1024)
        for batch in parse_batches(data):
            own = self._uncommitted and self._uncommitted[0][0].base_offset == batch.base_offset
            if batch.next_offset > end_offset or own:
                break
            if not batch.is_control:
                for record in records_of(batch):
                    self._committed.apply(decode_record(record.value)[0])
            self._note_applied(batch)

    def _note_applied(self, batch: Batch) -> None:
        self.applied_offset = self._committed.offset = batch.last_offset
        self._applied_epoch = self._committed.epoch = batch.epoch
        self._last_timestamp_ms = batch.timestamp_ms

    def _publish(self) -> None:
        if self._committed.in_transaction or not self._committed.changed:
            return
        self.image, changed = self._committed.publish()
        for listener in list(self._listeners):
            listener(self.image, changed)

    def _reload(self) -> None:
        """A fetched snapshot took the place of log and image."""
        self._uncommitted.clear()
        self._committed, self._last_timestamp_ms = load_image(self.store)
        self.applied_offset = self._committed.offset
        self._applied_epoch = self._committed.epoch

    # -- leadership --------------------------------------------------------------------------------

    def _maybe_activate(self) -> None:
        """Become the active controller once everything of earlier epochs is committed here."""
        progress = self.replica.progress
        if self._controller is not None or progress is None or self._closed:
            return
        if self.applied_offset < progress.epoch_start:
            return
        now = self._clock.monotonic_ms()
        self._controller = Controller(
            self._committed.thaw(),
            node_id=self.node_id,
            cluster_id=self.cluster_id,
            settings=self.settings,
            random=self._random,
            now_ms=now,
        )
        self._idle_at_ms = now + (self.settings.idle_interval_ms or _NEVER)
        self._barrier = self.applied_offset + 1
        self._append(Result(self._controller.activate(self._bootstrap)), None)
        self._register(now)

    def _register(self, now_ms: int) -> None:
        """Register this controller, when it leads and is not registered (KIP-919)."""
        controller = self._controller
        assert controller is not None
        known = controller.image.controllers.get(self.node_id)
        old_level = controller.image.metadata_version < 15
        if old_level or (known is not None and known.incarnation_id == self._incarnation_id):
            return
        request = ControllerRegistrationRequest(
            controller_id=self.node_id,
            incarnation_id=self._incarnation_id,
            listeners=[
                ControllerRegistrationRequest.Listener(
                    name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol
                )
                for e in self.settings.endpoints
            ],
            features=[
                ControllerRegistrationRequest.Feature(
                    name=name, min_supported_version=span.min, max_supported_version=span.max
                )
                for name, span in SUPPORTED.items()
            ],
        )
        view = controller.view(now_ms, self.replica.next_offset)
        self._append(controller.handle(request, view), None)

    def _lose_leadership(self) -> None:
        """Drop the controller; the next leader decides what was not committed."""
        self._controller = None
        self._uncommitted.clear()
        self._idle_at_ms = _NEVER
        parked, self._parked = self._parked, deque()
        for _, done, reply in parked:
            done(not_leader(reply))

    # -- snapshots ---------------------------------------------------------------------------------

    def snapshot(self) -> SnapshotId | None:
        """Write a snapshot of what is committed; None when there is nothing new."""
        if self._committed.in_transaction:
            return None
        return self._snapshots.take(
            SnapshotId(self.applied_offset + 1, self._applied_epoch),
            self._committed.thaw(),
            last_timestamp_ms=self._last_timestamp_ms,
            kraft_version=self.kraft_version,
            voters=self.replica.voters,
        )


def _run_inline(work: Callable[[], Any], then: Callable[[Any], None]) -> None:
    try:
        result = work()
    except Exception as error:
        result = error
    then(result)
