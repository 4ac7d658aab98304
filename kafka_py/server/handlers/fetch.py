"""Fetch (key 1), versions 4-18: reading record batches, by consumers and by followers.

Behaviour: as Apache Kafka 4.3.1: sessions (KIP-227), topic ids (KIP-516), leader epochs and
diverging epochs (KIP-320, KIP-595), isolation levels (KIP-98), the rule that the first partition
with data gets at least one batch (KIP-74), leaders named to who asks the wrong broker (KIP-951). A
fetch that has not got `min_bytes` waits in the purgatory for at most `max_wait_ms`. Consumers take
READ on each topic, followers CLUSTER_ACTION on the cluster.

The compiled paths answer most fetches (`fast_path.pyx` without a session, `session_fetch.pyx` in
one); this handler answers everything, and the same. Pages that are not in memory are read by a
worker thread before the loop touches them.

Known differences: consumers always read from the leader (preferred_read_replica is -1). There is no
tiered storage, so OFFSET_MOVED_TO_TIERED_STORAGE, which tells a follower to build its state from
the remote log, has no occasion to arise: below the log start everybody gets OFFSET_OUT_OF_RANGE.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.types import ZERO_UUID
from kafka_py.replication.partition import Partition
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles
from kafka_py.server.fetch_session import Key, SessionPartition, next_epoch, only_news
from kcore.errors import KcoreError, OffsetOutOfRange

if TYPE_CHECKING:
    from kafka_py.server.node import Node

READ_COMMITTED: Final = 1
CONSUMER: Final = -1
DENIED: Final = ErrorCode.TOPIC_AUTHORIZATION_FAILED
MOVED: Final = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)

Data = FetchResponse.PartitionData


class Fetch:
    """One request being served: read, perhaps wait and read again, answer. A DelayedFetch."""

    def __init__(self, node: Node, context: RequestContext, request: FetchRequest) -> None:
        self.node = node
        self.context = context
        self.request = request
        self.version = context.api_version
        self.replica_id = request.replica_id
        self.broker_epoch = -1
        if self.version >= 15:
            self.replica_id = request.replica_state.replica_id
            self.broker_epoch = request.replica_state.replica_epoch
        self.now_ms = node.clock.monotonic_ms()
        self.session = (
            node.sessions.context(request, self.version, self.now_ms)
            if context.fetch_session is None
            else node.sessions.resume(context.fetch_session)
        )
        self.bytes_max = min(request.max_bytes, node.config["fetch.max.bytes"])
        self.min_bytes = min(request.min_bytes, self.bytes_max)
        self.done = False
        self.future: asyncio.Future[FetchResponse] | None = None
        self.said: dict[Key, Any] = {}
        self.hosted: dict[Key, Partition] = {}
        self.access = access_of(node, context)
        #: Topic, as it is named in the request -> why nothing of it may be read.
        self.refused_topics: dict[bytes | str, ErrorCode] = {}

    @property
    def follower(self) -> bool:
        """Whether a replica asks, not a consumer."""
        return self.replica_id >= 0

    # ------------------------------------------------------------------------------------ reading

    def read(self, cold: bool = False) -> tuple[int, bool, bool]:
        """Read every partition: (bytes, whether to answer in any case, whether pages are cold).

        Where a limit cut the read short, the bytes are the limit: only whole batches are returned,
        and who asks for as much as the limit must not wait for what cannot come.
        With `cold` it is in a worker thread and may wait for the disk; without, it stops at the
        first partition whose pages are not in memory.
        """
        self.said = {}
        self.hosted = {}
        left, total, readable, urgent = self.bytes_max, 0, 0, False
        for key, wanted in list(self.session.partitions.items()):
            data, partition = self.read_partition(key, wanted)
            if partition is not None:
                self.hosted[key] = partition
                limit = max(0, min(wanted.partition_max_bytes, left))
                if not cold and self.is_cold(partition, wanted, limit):
                    return readable, urgent, True
                data = self.read_log(key, partition, wanted, limit, total == 0, cold)
            self.said[key] = data
            size = len(data.records or b"")
            total += size
            left -= size
            readable += size
            if size and partition is not None:
                bound = partition.limit(self.request.isolation_level, self.follower)
                if data.records.next_offset < bound:
                    readable += max(0, limit - size)
            urgent = urgent or data.error_code != 0 or data.diverging_epoch.epoch >= 0
        return readable, urgent, False

    def is_cold(self, partition: Partition, wanted: SessionPartition, limit: int) -> bool:
        """Whether reading there would wait for the disk."""
        offset = wanted.fetch_offset
        if not partition.log_start_offset <= offset < partition.log_end_offset:
            return False
        cold: bool = partition.log.is_cold(offset, limit)
        return cold

    def ask_authorizer(self) -> None:
        """Note which topics the caller may not read: a replica takes CLUSTER_ACTION on the cluster,
        a consumer READ on the topic.

        Once: a fetch that waits is answered by what was allowed when it came.
        """
        by_id = self.node.image.topics_by_id
        names: dict[bytes | str, str | None] = {}
        for topic, _ in self.session.partitions:
            if isinstance(topic, str):
                names[topic] = topic
            else:
                names[topic] = by_id[topic].name if topic in by_id else None
        if self.follower:
            allowed = self.access.cluster(Operation.CLUSTER_ACTION)
            self.refused_topics = {} if allowed else dict.fromkeys(names, DENIED)
            return
        shown = self.access.topics(Operation.READ, filter(None, names.values()))
        self.refused_topics = {
            topic: ErrorCode.UNKNOWN_TOPIC_ID if name is None else DENIED
            for topic, name in names.items()
            if name not in shown
        }

    def read_partition(self, key: Key, wanted: SessionPartition) -> tuple[Any, Partition | None]:
        """The partition to read from, or what to say instead."""
        topic, index = key
        if self.refused_topics and topic in self.refused_topics:
            return refused(index, self.refused_topics[topic]), None
        replicas, image = self.node.replicas, self.node.image
        if isinstance(topic, bytes):
            known = image.topics_by_id.get(topic)
            partition = replicas.partition_by_id(topic, index)
            if known is None:
                return refused(index, ErrorCode.UNKNOWN_TOPIC_ID), None
        else:
            known = image.topics.get(topic)
            partition = replicas.partition(topic, index)
        if known is None or index not in known.partitions:
            return refused(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION), None
        if partition is None:
            return failed(index, ErrorCode.NOT_LEADER_OR_FOLLOWER), None
        error = partition.leader_error(wanted.current_leader_epoch)
        if not error and self.follower and self.replica_id not in partition.replicas:
            error = int(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if error == ErrorCode.KAFKA_STORAGE_ERROR and self.version <= 5:
            # Clients of that age take it for a final error; this one makes them look again.
            error = int(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if error:
            return failed(index, ErrorCode.of(error)), None
        if self.version < 10 and partition.log.config.compression == "zstd":
            return refused(index, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE), None
        return None, partition

    def read_log(
        self,
        key: Key,
        partition: Partition,
        wanted: SessionPartition,
        limit: int,
        at_least_one: bool,
        cold: bool,
    ) -> Any:
        """Read one log within its bounds."""
        isolation = self.request.isolation_level
        data = Data(
            partition_index=key[1],
            high_watermark=partition.high_watermark,
            last_stable_offset=partition.last_stable_offset,
            log_start_offset=partition.log_start_offset,
            aborted_transactions=[] if isolation == READ_COMMITTED else None,
            records=b"",
        )
        start, end = partition.log_start_offset, partition.log_end_offset
        log = partition.log
        try:
            if wanted.fetch_offset < start:
                raise OffsetOutOfRange(f"{wanted.fetch_offset} is below {start}")
            diverging = partition.diverging_epoch(wanted.last_fetched_epoch, wanted.fetch_offset)
            if diverging is not None:
                data.diverging_epoch = FetchResponse.EpochEndOffset(
                    epoch=diverging[0], end_offset=diverging[1]
                )
                return data
            if wanted.fetch_offset > end:
                raise OffsetOutOfRange(f"{wanted.fetch_offset} is above {end}")
            bound = partition.limit(isolation, self.follower)
            if wanted.fetch_offset < bound:
                read = log.read_cold if cold else log.read
                piece = read(
                    wanted.fetch_offset, limit, end_offset=bound, at_least_one=at_least_one
                )
                # The slice itself, so that a long one can be sent by sendfile.
                data.records = piece
                if isolation == READ_COMMITTED and len(piece):
                    data.aborted_transactions = aborted(partition, piece)
        except OffsetOutOfRange:
            return failed(key[1], ErrorCode.OFFSET_OUT_OF_RANGE)
        except KcoreError:
            if partition.log is not log and not partition.offline:
                # It moved to another log directory while a worker read.
                return self.read_log(key, partition, wanted, limit, at_least_one, cold)
            return failed(key[1], ErrorCode.KAFKA_STORAGE_ERROR)
        return data

    def note_follower(self) -> None:
        """A follower's fetch tells how far it is; the high watermark may move by it."""
        for key, partition in self.hosted.items():
            known = self.session.partitions.get(key)
            said = self.said[key]
            if known is None:
                # Forgotten by a later request of its session, while a worker read.
                continue
            if said.error_code or said.diverging_epoch.epoch >= 0:
                continue
            if partition.record_follower(
                self.replica_id,
                broker_epoch=self.broker_epoch,
                fetch_offset=known.fetch_offset,
                log_start_offset=known.reader_log_start_offset,
                now_ms=self.now_ms,
            ):
                self.node.replicas.progressed(partition)
                self.node.flusher.advanced(partition)
                said.high_watermark = partition.high_watermark

    # ------------------------------------------------------------------------------------ serving

    def serve(self) -> Any:
        """The response, or an awaitable of it."""
        error = self.session.error
        if self.request.isolation_level not in (0, READ_COMMITTED):
            error = ErrorCode.INVALID_REQUEST
        if error is not None:
            return FetchResponse(error_code=int(error), session_id=0)
        if not self.access.open:
            self.ask_authorizer()
        total, urgent, cold = self.read()
        if cold:
            return self.serve_cold()
        if self.follower:
            self.note_follower()
        if self.enough(total, urgent):
            return self.answer()
        return self.park()

    def enough(self, total: int, urgent: bool) -> bool:
        """Whether there is nothing to wait for."""
        return urgent or total >= self.min_bytes or self.request.max_wait_ms <= 0 or not self.hosted

    async def serve_cold(self) -> FetchResponse:
        """Let a worker thread wait for the disk."""
        total, urgent, _ = await self.node.in_worker(self.read, True)
        if self.follower:
            self.note_follower()
            self.node.touch()
        if self.enough(total, urgent):
            return self.answer()
        return await self.park()

    def park(self) -> asyncio.Future[FetchResponse]:
        """Wait for bytes or for the time to be up."""
        self.future = asyncio.get_running_loop().create_future()
        self.future.add_done_callback(self.leave)
        deadline_ms = self.now_ms + self.request.max_wait_ms
        self.node.replicas.fetches.watch(self, self.hosted.values(), deadline_ms)
        self.node.wake_at(deadline_ms)
        return self.future

    def leave(self, future: asyncio.Future[FetchResponse]) -> None:
        """Answered, or the connection is gone: nobody waits any more."""
        self.done = True

    def attempt(self) -> bool:
        """Something moved: answer if there is enough now."""
        if self.future is None or self.future.cancelled():
            self.done = True
            return True
        total, urgent, _ = self.read(cold=True)
        if not self.enough(total, urgent):
            return False
        self.finish()
        return True

    def expire(self) -> None:
        """Answer with what there is."""
        if self.future is not None and not self.future.cancelled():
            self.read(cold=True)
            self.finish()
        self.done = True

    def finish(self) -> None:
        """Answer whoever waits."""
        self.done = True
        if self.future is not None and not self.future.done():
            self.future.set_result(self.answer())

    # ---------------------------------------------------------------------------------- the answer

    def answer(self) -> FetchResponse:
        """The response to what was read."""
        session = self.session.session
        session_id = 0
        said: Any = self.said.items()
        if session is not None:
            session_id = session.id
            if session.epoch != next_epoch(self.request.session_epoch):
                # A later request has changed the session meanwhile: this one was sent twice.
                error = int(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
                return FetchResponse(error_code=error, session_id=session_id)
            said = only_news(session, said)
        elif self.session.full:
            session_id = self.node.sessions.begin(
                self.session, follower=self.follower, now_ms=self.now_ms
            )
            if session_id:
                for key, data in said:
                    self.session.partitions[key].has_news(data)
        response = FetchResponse(session_id=session_id, responses=by_topic(said))
        if self.version >= 16:
            self.name_leaders(response)
        return response

    def name_leaders(self, response: FetchResponse) -> None:
        """Who leads partitions that this broker does not, and for consumers where (KIP-951)."""
        brokers: dict[int, Any] = {}
        image = self.node.image
        for topic in response.responses:
            known = image.topics_by_id.get(topic.topic_id)
            for data in topic.partitions:
                if known is None or data.error_code not in MOVED:
                    continue
                partition = known.partitions.get(data.partition_index)
                if partition is None:
                    continue
                data.current_leader = FetchResponse.LeaderIdAndEpoch(
                    leader_id=partition.leader, leader_epoch=partition.leader_epoch
                )
                broker = image.brokers.get(partition.leader)
                endpoint = None if broker is None else broker.endpoint(self.context.listener)
                if broker is not None and endpoint is not None:
                    brokers[broker.id] = FetchResponse.NodeEndpoint(
                        node_id=broker.id, host=endpoint.host, port=endpoint.port, rack=broker.rack
                    )
        if not self.follower:
            response.node_endpoints = list(brokers.values())


def aborted(partition: Partition, piece: Any) -> list[FetchResponse.AbortedTransaction]:
    """The aborted transactions that a read_committed reader of these batches is told."""
    return [
        FetchResponse.AbortedTransaction(producer_id=one.producer_id, first_offset=one.first_offset)
        for one in partition.log.aborted_transactions_of(piece)
    ]


def refused(index: int, error: ErrorCode) -> Any:
    """What is said of a partition that the metadata does not know."""
    return Data(partition_index=index, error_code=int(error), high_watermark=-1, records=b"")


def failed(index: int, error: ErrorCode) -> Any:
    """What is said of a partition that could not be read."""
    data = refused(index, error)
    data.aborted_transactions = None
    return data


def by_topic(said: Any) -> list[FetchResponse.FetchableTopicResponse]:
    """Partitions grouped by topic as long as they follow each other, as Kafka does."""
    found: list[FetchResponse.FetchableTopicResponse] = []
    last: bytes | str | None = None
    for (topic, _), data in said:
        if not found or topic != last:
            by_id = isinstance(topic, bytes)
            found.append(
                FetchResponse.FetchableTopicResponse(
                    topic="" if by_id else topic,
                    topic_id=topic if by_id else ZERO_UUID,
                    partitions=[],
                )
            )
            last = topic
        found[-1].partitions.append(data)
    return found


@handles(ApiKey.FETCH, versions=(4, 18))
def fetch(node: Node, context: RequestContext, request: FetchRequest) -> Any:
    """Serve one fetch; an awaitable while it waits for bytes or for the disk."""
    return Fetch(node, context, request).serve()
