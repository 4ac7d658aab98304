"""Tells the controller in which of its directories a broker's replicas lie (KIP-858)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from kafka_py.protocol.brokers import AssignReplicasToDirsRequest
from kafka_py.protocol.errors import ErrorCode
from kafka_py.replication.partition import Partition

if TYPE_CHECKING:
    from kafka_py.server.node import Node

__all__ = ["Assignments"]

log = logging.getLogger("kafka_py.server")

#: Replicas in one request; Kafka's number.
ASSIGNMENTS_MAX: Final = 2250
RETRY_S: Final = 0.1
RETRY_MAX_S: Final = 10.0
#: metadata.version from which on records carry directories (3.7-IV2).
SINCE_METADATA_VERSION: Final = 17

Key = tuple[bytes, int]


class Wanted(NamedTuple):
    """Where a replica is, or will be, and who waits for the controller to know it."""

    directory_id: bytes
    known: asyncio.Future[bool]


class Assignments:
    """One request at a time, repeated until the controller takes it. On the node's event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._wanted: dict[Key, Wanted] = {}
        self._sending: asyncio.Task[None] | None = None

    def lies_where_it_is(self, partition: Partition) -> None:
        """The controller shall know in which directory the partition is."""
        if partition.directory is not None:
            self.assign(partition, partition.directory.directory_id)

    def assign(self, partition: Partition, directory_id: bytes) -> asyncio.Future[bool]:
        """Say that the replica is in that directory (or is about to be).

        True once the metadata has it; False when something else is said of the replica meanwhile,
        or it is not ours any more.
        """
        known: asyncio.Future[bool] = self._node.loop.create_future()
        if self._node.image.metadata_version < SINCE_METADATA_VERSION:
            known.set_result(True)
            return known
        key = (partition.topic_id, partition.index)
        before = self._wanted.get(key)
        if before is not None and not before.known.done():
            before.known.set_result(False)
        self._wanted[key] = Wanted(directory_id, known)
        if self._sending is None:
            self._sending = self._node.spawn(self._send_all())
        return known

    async def _send_all(self) -> None:
        delay_s = RETRY_S
        try:
            while self._wanted:
                if self._node.broker_epoch < 0:
                    await asyncio.sleep(RETRY_S)
                    continue
                # No sooner and no later than the loop's next iteration: what is said together goes
                # together, and before the heartbeat that tells of a failed directory.
                if await self._send(self._next()):
                    delay_s = RETRY_S
                else:
                    await asyncio.sleep(delay_s)
                    delay_s = min(2 * delay_s, RETRY_MAX_S)
        finally:
            self._sending = None

    def _next(self) -> dict[Key, Wanted]:
        """What the next request says; what the metadata does not place here is dropped."""
        image = self._node.image
        sent: dict[Key, Wanted] = {}
        for key, wanted in list(self._wanted.items()):
            topic = image.topics_by_id.get(key[0])
            partition = None if topic is None else topic.partitions.get(key[1])
            if partition is None or self._node.node_id not in partition.replicas:
                self._done(key, wanted, False)
            elif len(sent) < ASSIGNMENTS_MAX:
                sent[key] = wanted
        return sent

    def _done(self, key: Key, wanted: Wanted, known: bool) -> None:
        if self._wanted.get(key) is wanted:
            del self._wanted[key]
        if not wanted.known.done():
            wanted.known.set_result(known)

    async def _send(self, sent: dict[Key, Wanted]) -> bool:
        """Send once; whether the controller took it all."""
        if not sent:
            return True
        response = await self._node.submit(self._request(sent))
        if response.error_code:
            log.warning(
                "the controller refuses to place %d replicas: %s",
                len(sent),
                ErrorCode.of(response.error_code).name,
            )
            return False
        taken = True
        for directory in response.directories:
            for topic in directory.topics:
                for row in topic.partitions:
                    key = (topic.topic_id, row.partition_index)
                    if row.error_code:
                        log.warning(
                            "the controller refuses to place %s-%d: %s",
                            key[0].hex(),
                            key[1],
                            ErrorCode.of(row.error_code).name,
                        )
                        taken = False
                    elif key in sent:
                        self._done(key, sent[key], True)
        return taken

    def _request(self, sent: dict[Key, Wanted]) -> AssignReplicasToDirsRequest:
        request = AssignReplicasToDirsRequest
        places: dict[bytes, dict[bytes, list[int]]] = {}
        for (topic_id, index), wanted in sent.items():
            places.setdefault(wanted.directory_id, {}).setdefault(topic_id, []).append(index)
        return request(
            broker_id=self._node.node_id,
            broker_epoch=self._node.broker_epoch,
            directories=[
                request.DirectoryData(
                    id=directory_id,
                    topics=[
                        request.TopicData(
                            topic_id=topic_id,
                            partitions=[request.PartitionData(partition_index=i) for i in indexes],
                        )
                        for topic_id, indexes in topics.items()
                    ],
                )
                for directory_id, topics in places.items()
            ],
        )
