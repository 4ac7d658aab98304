"""The transaction coordinators of this node: one for every partition of __transaction_state that it
leads.

How they are loaded, dropped and timed is `kafka_py.server.coordinator_partitions`; here are what
producers' partitions ask (`transactions_seam`), and the way of the markers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from kafka_py.coordinator.machine import Caller
from kafka_py.coordinator.transactions.requests import AddPartitions
from kafka_py.protocol.errors import ErrorCode
from kafka_py.replication.partition import Partition
from kafka_py.server.coordinator_partitions import Coordinators, Led
from kafka_py.server.transactions_seam import Answer, MarkerWriter, Outcome, TopicPartition

if TYPE_CHECKING:
    from kafka_py.coordinator.transactions.markers import MarkerJob
    from kafka_py.coordinator.transactions.shard import TransactionShard
    from kafka_py.server.node import Node

__all__ = ["TRANSACTIONS_TOPIC", "BrokerTransactionCoordinators", "transaction_version"]

log = logging.getLogger("kafka_py.server")

TRANSACTIONS_TOPIC: Final = "__transaction_state"
#: Who asks for partitions: a broker, with a request that no client sends.
BROKER: Final = Caller("", "", 5)
NO_LEADER: Final = -1


def transaction_version(node: Node) -> int:
    """The finalized level of transaction.version: 0, 1 (flexible records) or 2 (KIP-890)."""
    level: int = node.image.features.get("transaction.version", 0)
    return level


class BrokerTransactionCoordinators(Coordinators["TransactionShard"]):
    """Finds the coordinator of a transactional id; is `transactions_seam.TransactionCoordinators`.

    `other_broker` gives the writer of markers for another broker's partitions, where there is one.
    """

    topic: ClassVar[str] = TRANSACTIONS_TOPIC
    timeout: ClassVar[str] = "request.timeout.ms"
    base_sequence: ClassVar[int] = -1

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(node, loop)
        self.other_broker: Callable[[int], MarkerWriter | None] = lambda _broker_id: None
        self._jobs: list[tuple[int, TransactionShard, MarkerJob]] = []
        #: Transactional id -> who waits for the end of its transaction.
        self._awaiting: dict[str, list[asyncio.Future[None]]] = {}

    def _machine(self, index: int, partition: Partition) -> TransactionShard:
        # The machine is loaded by who leads a partition, not by every start.
        from kafka_py.coordinator.transactions.shard import TransactionShard

        node = self._node
        sender = _Sender(self, index)
        sender.shard = shard = TransactionShard(
            coordinator_epoch=partition.leader_epoch,
            settings=node.config,
            transaction_version=lambda: transaction_version(node),
            new_producer_id=node.take_producer_id,
            sender=sender,
        )
        return shard

    def _load_from(self, opened: Any, machine: TransactionShard, end_offset: int) -> int:
        from kafka_py.coordinator.transactions.load import replay

        return replay(opened, machine, end_offset)

    def _outdated(self, led: Led[TransactionShard]) -> bool:
        """Markers carry the leader epoch, so a new one is a new coordinator."""
        return led.epoch != led.partition.leader_epoch

    # -------------------------------------------------------------------------- what partitions ask

    def verify(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Sequence[TopicPartition],
    ) -> Answer:
        """Whether the partitions are in the producer's ongoing transaction."""
        request = AddPartitions(
            transactional_id, producer_id, producer_epoch, tuple(partitions), verify_only=True
        )
        return self._ask_for(request, BROKER)

    def add(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Sequence[TopicPartition],
    ) -> Answer:
        """Add the partitions to the producer's transaction; it is begun if need be."""
        request = AddPartitions(
            transactional_id, producer_id, producer_epoch, tuple(partitions), client_version=2
        )
        return self.add_patiently(request, BROKER)

    def add_patiently(self, request: AddPartitions, caller: Caller) -> Answer:
        """Ask; while the transaction before is being ended wait for that, and ask again.

        No longer than add.partitions.to.txn.retry.backoff.max.ms. Kafka does this for what its
        brokers add (KIP-890), and lets other producers come back after 20 ms.
        """
        answer = self._ask_for(request, caller)
        if not isawaitable(answer) and ErrorCode.CONCURRENT_TRANSACTIONS not in answer.values():
            return answer
        return self._patiently(request, caller, answer)

    def _ask_for(self, request: AddPartitions, caller: Caller) -> Answer:
        if not request.transactional_id:
            return dict.fromkeys(request.partitions, ErrorCode.INVALID_REQUEST)
        answer: Answer = self.ask(request.transactional_id, request, caller)
        return answer

    async def _patiently(self, request: AddPartitions, caller: Caller, answer: Answer) -> Outcome:
        config = self._node.config
        until_s = self._loop.time() + config["add.partitions.to.txn.retry.backoff.max.ms"] / 1000
        while True:
            outcome = await answer if isawaitable(answer) else answer
            left_s = until_s - self._loop.time()
            busy = ErrorCode.CONCURRENT_TRANSACTIONS in outcome.values()
            if not busy or left_s <= 0 or self._stopping:
                return outcome
            pause_s = config["add.partitions.to.txn.retry.backoff.ms"] / 1000
            await self._await_end(request.transactional_id, min(left_s, pause_s))
            answer = self._ask_for(request, caller)

    async def _await_end(self, transactional_id: str, timeout_s: float) -> None:
        """Until markers of that transactional id were written, or some time has passed."""
        ended: asyncio.Future[None] = self._loop.create_future()
        self._awaiting.setdefault(transactional_id, []).append(ended)
        try:
            await asyncio.wait([ended], timeout=timeout_s)
        finally:
            waiting = self._awaiting.get(transactional_id, [])
            if ended in waiting:
                waiting.remove(ended)
                if not waiting:
                    del self._awaiting[transactional_id]

    # -------------------------------------------------------------------------------------- markers

    def take_job(self, index: int, shard: TransactionShard, job: MarkerJob) -> None:
        """Write markers, a little later: a coordinator that asks is in the middle of something."""
        if not self._jobs:
            self._loop.call_soon(self._work_off)
        self._jobs.append((index, shard, job))

    def _work_off(self) -> None:
        jobs, self._jobs = self._jobs, []
        for index, shard, job in jobs:
            led = self._led.get(index)
            if led is not None and led.machine is shard and not self._stopping:
                self._write(index, shard, job)

    def _write(self, index: int, shard: TransactionShard, job: MarkerJob) -> None:
        outcome: Outcome = {}
        by_leader: dict[int, list[TopicPartition]] = {}
        for one in job.partitions:
            leader = self._leader(one)
            if leader is None:
                log.info("%s: %s-%d is gone and needs no marker", job.transactional_id, *one)
                outcome[one] = ErrorCode.NONE
            else:
                by_leader.setdefault(leader, []).append(one)
        later = []
        for leader, partitions in by_leader.items():
            writer = self._node.markers
            if leader != self._node.node_id:
                found = None if leader == NO_LEADER else self.other_broker(leader)
                if found is None:
                    outcome.update(dict.fromkeys(partitions, ErrorCode.NOT_LEADER_OR_FOLLOWER))
                    continue
                writer = found
            answer = writer.write(
                job.producer_id,
                job.producer_epoch,
                job.coordinator_epoch,
                job.commit,
                partitions,
                job.transaction_version,
            )
            if isawaitable(answer):
                later.append(answer)
            else:
                outcome.update(answer)
        if not later:
            self._written(index, shard, job, outcome)
            return

        async def wait() -> None:
            for part in await asyncio.gather(*later):
                outcome.update(part)
            self._written(index, shard, job, outcome)

        self._node.spawn(wait())

    def _leader(self, one: TopicPartition) -> int | None:
        """The leader's id; -1 while there is none, None for a partition that does not exist."""
        topic = self._node.image.topics.get(one[0])
        partition = None if topic is None else topic.partitions.get(one[1])
        return None if partition is None else partition.leader

    def _written(
        self, index: int, shard: TransactionShard, job: MarkerJob, outcome: Outcome
    ) -> None:
        led = self._led.get(index)
        if led is None or led.machine is not shard or led.runtime is None:
            return
        led.runtime.take_all(lambda now: shard.markers_written(job, outcome, now))
        for waiting in self._awaiting.pop(job.transactional_id, ()):
            if not waiting.done():
                waiting.set_result(None)


class _Sender:
    """What a machine hands its jobs to; see `kafka_py.coordinator.transactions.markers`."""

    __slots__ = ("_coordinators", "_index", "shard")

    def __init__(self, coordinators: BrokerTransactionCoordinators, index: int) -> None:
        self._coordinators = coordinators
        self._index = index
        self.shard: TransactionShard

    def send(self, job: MarkerJob) -> None:
        """Begin."""
        self._coordinators.take_job(self._index, self.shard, job)
