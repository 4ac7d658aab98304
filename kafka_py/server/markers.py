"""Writes the markers that end transactions into the partitions that this node leads (KIP-98).

A marker is appended as its coordinator says, in turn with what waits for a worker thread, and told
of once it is committed: replicated, and on disk where acks=all waits for that. A partition of
``__consumer_offsets`` gets its marker from its group coordinator, which lets the transaction's
offsets take effect, or go, with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from kafka_py.coordinator.machine import TransactionEnd
from kafka_py.protocol.errors import ErrorCode
from kafka_py.replication.partition import Partition
from kafka_py.server.coordinator_partitions import Committed, append_end
from kafka_py.server.coordinators import OFFSETS_TOPIC
from kafka_py.server.produce_errors import error_code
from kafka_py.server.transactions_seam import Answer, Outcome, TopicPartition
from kcore.errors import KcoreError

if TYPE_CHECKING:
    from kafka_py.server.node import Node

__all__ = ["Markers"]

Tell = Callable[[ErrorCode], None]


class Markers:
    """A `MarkerWriter` (see `kafka_py.server.transactions_seam`) of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def write(
        self,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        committed: bool,
        partitions: Sequence[TopicPartition],
        transaction_version: int,
    ) -> Answer:
        """See `MarkerWriter.write`."""
        end = TransactionEnd(
            producer_id, producer_epoch, coordinator_epoch, committed, transaction_version
        )
        outcome: Outcome = {}
        waiting: asyncio.Future[Outcome] | None = None

        def tell(place: TopicPartition, error: ErrorCode) -> None:
            outcome[place] = error
            if waiting is not None and len(outcome) == len(wanted) and not waiting.done():
                waiting.set_result(outcome)

        wanted = dict.fromkeys(partitions)
        for place in wanted:
            self._write_one(end, place, partial(tell, place))
        self._node.touch()
        if len(outcome) == len(wanted):
            return outcome
        waiting = self._node.loop.create_future()
        return waiting

    def _write_one(self, end: TransactionEnd, place: TopicPartition, tell: Tell) -> None:
        topic, index = place
        partition = self._node.replicas.partition(topic, index)
        if partition is None or partition.offline:
            tell(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        elif topic == OFFSETS_TOPIC:
            self._node.groups.end_transaction(index, end, tell)
        elif partition.queued_append is not None:
            self._node.spawn(self._append_in_turn(end, partition, tell))
        else:
            self._append(end, partition, tell)

    async def _append_in_turn(self, end: TransactionEnd, partition: Partition, tell: Tell) -> None:
        """Append behind what a worker thread is about to append there."""
        earlier = partition.queued_append
        place = partition.queued_append = self._node.loop.create_future()
        try:
            if earlier is not None:
                await asyncio.wait((earlier,))
            self._append(end, partition, tell)
        finally:
            place.set_result(None)
            if partition.queued_append is place:
                partition.queued_append = None
        self._node.touch()

    def _append(self, end: TransactionEnd, partition: Partition, tell: Tell) -> None:
        node = self._node
        if error := partition.leader_error(-1):
            tell(ErrorCode.of(error))
            return
        if partition.under_min_isr:
            tell(ErrorCode.NOT_ENOUGH_REPLICAS)
            return
        try:
            end_offset = append_end(partition, end, node.clock.now_ms())
        except KcoreError as problem:
            tell(error_code(problem))
            return
        if partition.advance():
            node.replicas.progressed(partition)
        unflushed = node.flusher.waits and partition.log.recovery_point < end_offset
        if partition.high_watermark >= end_offset and not unflushed:
            tell(ErrorCode.NONE)
            return
        deadline_ms = node.clock.monotonic_ms() + node.config["request.timeout.ms"]
        node.replicas.appends.watch(Committed(deadline_ms, tell), partition, end_offset)
        node.flusher.appended(partition)
