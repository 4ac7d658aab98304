"""Reading partitions: one fetch in flight a leader, while what came is looked at."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from kafka_py.client.admin import READ_COMMITTED, READ_UNCOMMITTED, list_offsets
from kafka_py.client.cluster import METADATA_ERRORS, Cluster
from kafka_py.client.errors import BrokerError, ClientError, NoOffset
from kafka_py.client.records import PartitionRecords, readable
from kafka_py.client.types import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    Node,
    TopicPartition,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.types import ZERO_UUID

EARLIEST, LATEST, NONE = "earliest", "latest", "none"
"""Where to begin without a position: at the first record, behind the last, or not at all."""
RESET_TIMESTAMPS: Final = {EARLIEST: EARLIEST_TIMESTAMP, LATEST: LATEST_TIMESTAMP}
FETCH_LANE: Final = "fetch"
BY_NAME_FETCH_HIGHEST: Final = 12
"""The last version of Fetch that names topics by name."""


class FetchSettings(NamedTuple):
    """How a consumer fetches; Kafka's names and defaults."""

    fetch_max_wait_ms: int = 500
    fetch_min_bytes: int = 1
    fetch_max_bytes: int = 50 * 1024 * 1024
    max_partition_fetch_bytes: int = 1024 * 1024
    isolation: int = READ_UNCOMMITTED
    auto_offset_reset: str = LATEST


class Fetcher:
    """Positions of partitions (with the leader epochs of the records before them, where known) and
    the records fetched from there.

    A partition is fetched while it is assigned, has a position, and nothing fetched of it waits.
    """

    def __init__(self, cluster: Cluster, settings: FetchSettings) -> None:
        self.cluster = cluster
        self.settings = settings
        self.positions: dict[TopicPartition, int] = {}
        self.epochs: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self._unplaced: set[TopicPartition] = set()
        self._ready: deque[PartitionRecords] = deque()
        self._flights: dict[int, asyncio.Task[None]] = {}
        self._arrived = asyncio.Event()
        self._failure: Exception | None = None
        self._not_before_ms: dict[TopicPartition, int] = {}

    @property
    def assigned(self) -> set[TopicPartition]:
        """All partitions that are read."""
        return self.positions.keys() | self._unplaced

    def assign(self, partition: TopicPartition, position: int | None) -> None:
        """Read a partition from a position; None: where the reset policy says."""
        self._forget(partition)
        if position is None:
            self._unplaced.add(partition)
        else:
            self.positions[partition] = position

    def unassign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these no more; what was fetched of them is dropped."""
        for partition in partitions:
            self._forget(partition)
            self.paused.discard(partition)

    def _forget(self, partition: TopicPartition) -> None:
        self.positions.pop(partition, None)
        self.epochs.pop(partition, None)
        self._unplaced.discard(partition)
        self._not_before_ms.pop(partition, None)
        self._ready = deque(each for each in self._ready if each.partition != partition)

    async def close(self) -> None:
        """Wait for no fetch any more."""
        for flight in self._flights.values():
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        self._flights.clear()

    def wake(self) -> None:
        """Let `wait` return."""
        self._arrived.set()

    def take(self, records_max: int) -> list[PartitionRecords]:
        """Up to so many records of those that are there; positions move behind them."""
        found: list[PartitionRecords] = []
        left = records_max
        while self._ready and left > 0:
            records = self._ready.popleft()
            rest = None
            if len(records) > left:
                records, rest = records.split(left)
            if rest is not None:
                self._ready.appendleft(rest)
            self.positions[records.partition] = records.end
            if records.batches:
                self.epochs[records.partition] = records.batches[-1].leader_epoch
            left -= len(records)
            if len(records):
                found.append(records)
        return found

    async def wait(self, timeout_ms: int) -> None:
        """Fetch what is to be fetched, and wait until something came, failed, or `wake`.

        Raises the failure: `NoOffset`, `BrokerError` (not retriable), kcore's errors for damage.
        """
        if not self._ready:
            self._arrived.clear()
        await self._place()
        await self._launch()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._arrived.wait()
        except TimeoutError:
            pass
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def _place(self) -> None:
        """Find the positions of partitions that have none."""
        if not self._unplaced:
            return
        policy = self.settings.auto_offset_reset
        if policy not in RESET_TIMESTAMPS:
            names = ", ".join(map(str, sorted(self._unplaced)))
            raise NoOffset(f"no committed offset, and no reset policy, for {names}")
        wanted = dict.fromkeys(self._unplaced, RESET_TIMESTAMPS[policy])
        try:
            found = await list_offsets(
                self.cluster, wanted, isolation=self.settings.isolation, timeout_ms=0
            )
        except ClientError as error:
            if not error.retriable:
                raise
            await self._pause()
            return
        for partition, listed in found.items():
            if partition in self._unplaced:
                self._unplaced.discard(partition)
                self.positions[partition] = listed.offset

    async def _launch(self) -> None:
        waiting = {records.partition for records in self._ready}
        now_ms = self.cluster.clock.monotonic_ms()
        wanted = [
            partition
            for partition in self.positions
            if partition not in waiting
            and partition not in self.paused
            and self._not_before_ms.get(partition, 0) <= now_ms
        ]
        if not wanted:
            return
        try:
            leaders = await self.cluster.by_leader(wanted)
        except ClientError as error:
            if not error.retriable:
                raise
            self._back_off(wanted)
            await self._pause()
            return
        for node, partitions in leaders.items():
            if node.node_id not in self._flights:
                flight = asyncio.ensure_future(self._fly(node, partitions))
                self._flights[node.node_id] = flight

    async def _pause(self) -> None:
        await asyncio.sleep(self.cluster.limits.backoff_ms / 1000)
        self._arrived.set()

    def _back_off(self, partitions: Iterable[TopicPartition]) -> None:
        later_ms = self.cluster.clock.monotonic_ms() + self.cluster.limits.backoff_ms
        self._not_before_ms.update(dict.fromkeys(partitions, later_ms))

    async def _fly(self, node: Node, partitions: list[TopicPartition]) -> None:
        asked = {partition: self.positions[partition] for partition in partitions}
        try:
            await self._fetch(node, asked)
        except ClientError as error:
            if error.retriable:
                self.cluster.forget_leaders({partition.topic for partition in partitions})
                self._back_off(partitions)
                await self._pause()
            else:
                self._failure = error
        except Exception as error:
            self._failure = error
        finally:
            self._flights.pop(node.node_id, None)
            self._arrived.set()

    async def _fetch(self, node: Node, asked: dict[TopicPartition, int]) -> None:
        connection = await self.cluster.connection(node, FETCH_LANE)
        settings = self.settings
        ids = {p.topic: self.cluster.topics[p.topic].topic_id for p in asked}
        by_id = connection.knows(ApiKey.FETCH, 13) and ZERO_UUID not in ids.values()
        reply = await connection.call(
            FetchRequest(
                max_wait_ms=settings.fetch_max_wait_ms,
                min_bytes=settings.fetch_min_bytes,
                max_bytes=settings.fetch_max_bytes,
                isolation_level=settings.isolation,
                topics=[
                    FetchRequest.FetchTopic(
                        topic=topic,
                        topic_id=topic_id,
                        partitions=[
                            FetchRequest.FetchPartition(
                                partition=partition.partition,
                                current_leader_epoch=self.cluster.leader_epoch(partition),
                                fetch_offset=position,
                                partition_max_bytes=settings.max_partition_fetch_bytes,
                            )
                            for partition, position in asked.items()
                            if partition.topic == topic
                        ],
                    )
                    for topic, topic_id in ids.items()
                ],
            ),
            FetchResponse,
            highest=0x7FFF if by_id else BY_NAME_FETCH_HIGHEST,
            timeout_ms=settings.fetch_max_wait_ms + self.cluster.limits.request_timeout_ms,
        )
        if reply.error_code:
            raise BrokerError(reply.error_code, what=f"fetch from {node}")
        names = {topic_id: topic for topic, topic_id in ids.items()}
        for answer in reply.responses:
            name = names[answer.topic_id] if by_id else answer.topic
            for row in answer.partitions:
                partition = TopicPartition(name, row.partition_index)
                self._arrive(partition, asked[partition], row)

    def _arrive(
        self, partition: TopicPartition, asked: int, row: FetchResponse.PartitionData
    ) -> None:
        """Take one partition's part of a reply, unless it was moved or unassigned meanwhile."""
        if self.positions.get(partition) != asked:
            return
        code = ErrorCode.of(row.error_code)
        if code == ErrorCode.OFFSET_OUT_OF_RANGE:
            if self.settings.auto_offset_reset not in RESET_TIMESTAMPS:
                raise NoOffset(f"{partition} has no offset {asked} (any more)")
            self.assign(partition, None)
        elif code in METADATA_ERRORS:
            self.cluster.forget_leaders([partition.topic])
            self._back_off([partition])
        elif code != ErrorCode.NONE:
            raise BrokerError(code, what=f"fetch of {partition}")
        elif row.records:
            aborted = []
            if self.settings.isolation == READ_COMMITTED:
                aborted = [(a.first_offset, a.producer_id) for a in row.aborted_transactions or ()]
            records = readable(partition, row.records, asked, aborted)
            if records.end == asked:
                # A batch that did not fit would be given whole; nothing whole means damage.
                raise BrokerError(ErrorCode.CORRUPT_MESSAGE, what=f"fetch of {partition}")
            self._ready.append(records)
