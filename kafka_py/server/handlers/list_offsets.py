"""ListOffsets (key 2), versions 1-11: offsets by timestamp, and the ends of partitions.

Behaviour: as Apache Kafka 4.3.1. Special timestamps: -1 latest (the high watermark, or the last
stable offset for read_committed), -2 earliest, -3 the record with the largest timestamp (KIP-734),
-4 earliest local, -5 latest tiered (KIP-1005), -6 earliest pending upload (KIP-1023); those that
the version does not know are UNSUPPORTED_VERSION. Lookups that search the log run in a worker
thread. Topics take DESCRIBE.

Known differences: there is no tiered storage, so that the earliest local offset is the earliest
one, and there is none for -5 and -6: offset -1, as Apache answers without remote storage.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.offsets import ListOffsetsRequest, ListOffsetsResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.replication.partition import Partition
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles
from kcore.errors import KcoreError

if TYPE_CHECKING:
    from kafka_py.server.node import Node

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
EARLIEST_LOCAL: Final = -4
LATEST_TIERED: Final = -5
EARLIEST_PENDING_UPLOAD: Final = -6
#: Special timestamp -> the first version that knows it.
SINCE_VERSION: Final = {
    LATEST: 1,
    EARLIEST: 1,
    MAX_TIMESTAMP: 7,
    EARLIEST_LOCAL: 8,
    LATEST_TIERED: 9,
    EARLIEST_PENDING_UPLOAD: 11,
}
CONSUMER: Final = -1
DEBUGGER: Final = -2
READ_COMMITTED: Final = 1

Said = ListOffsetsResponse.ListOffsetsPartitionResponse
Asked = ListOffsetsRequest.ListOffsetsPartition


@handles(ApiKey.LIST_OFFSETS, versions=(1, 11))
async def list_offsets(
    node: Node, context: RequestContext, request: ListOffsetsRequest
) -> ListOffsetsResponse:
    """Look every partition's offset up."""
    counts = Counter(
        (topic.name, one.partition_index) for topic in request.topics for one in topic.partitions
    )
    response = ListOffsetsResponse()
    allowed = access_of(node, context).topics(Operation.DESCRIBE, (t.name for t in request.topics))
    for topic in request.topics:
        said = ListOffsetsResponse.ListOffsetsTopicResponse(name=topic.name, partitions=[])
        response.topics.append(said)
        if topic.name not in allowed:
            denied = ErrorCode.TOPIC_AUTHORIZATION_FAILED
            said.partitions += [failed(one, denied) for one in topic.partitions]
            continue
        for one in {one.partition_index: one for one in topic.partitions}.values():
            if counts[topic.name, one.partition_index] > 1:
                # Answered once, however often it was asked for.
                found = failed(one, ErrorCode.INVALID_REQUEST)
            else:
                found = await look_up(node, context, request, topic.name, one)
            if context.api_version < 4:
                # Older versions cannot say under which leader epoch a record was written.
                found.leader_epoch = -1
            said.partitions.append(found)
    return response


async def look_up(
    node: Node, context: RequestContext, request: ListOffsetsRequest, topic: str, asked: Asked
) -> Said:
    """One partition's answer."""
    timestamp = asked.timestamp
    if timestamp < 0 and context.api_version < SINCE_VERSION.get(timestamp, 1 << 15):
        return failed(asked, ErrorCode.UNSUPPORTED_VERSION)
    known = node.image.topics.get(topic)
    if known is None or asked.partition_index not in known.partitions:
        return failed(asked, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    partition = node.replicas.partition(topic, asked.partition_index)
    if partition is None:
        return failed(asked, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    error = epoch_or_leader_error(partition, asked.current_leader_epoch, request.replica_id)
    if error:
        return failed(asked, ErrorCode.of(error))
    bound = partition.log_end_offset
    lagging = None
    if request.replica_id == CONSUMER:
        lagging = behind_its_epoch(partition, context.api_version)
        committed = request.isolation_level == READ_COMMITTED
        bound = partition.last_stable_offset if committed else partition.high_watermark
    try:
        if timestamp >= 0 or timestamp == MAX_TIMESTAMP:
            hit = await search(node, partition, asked, bound)
            return hit if hit.offset >= 0 or lagging is None else failed(asked, lagging)
        if timestamp == LATEST and lagging is not None:
            return failed(asked, lagging)
        return at_an_end(partition, asked, bound)
    except KcoreError:
        return failed(asked, ErrorCode.KAFKA_STORAGE_ERROR)


def epoch_or_leader_error(partition: Partition, leader_epoch: int, replica_id: int) -> int:
    """The wire's error for who asks here, else 0; debugging tools may ask a follower."""
    if replica_id != DEBUGGER:
        return partition.leader_error(leader_epoch)
    error = partition.epoch_error(leader_epoch)
    return error or (int(ErrorCode.KAFKA_STORAGE_ERROR) if partition.offline else 0)


def behind_its_epoch(partition: Partition, version: int) -> ErrorCode | None:
    """A new leader knows no end for consumers before its own first offset is replicated (KIP-207).

    Otherwise they would see the high watermark go back.
    """
    if partition.leader_epoch_start_offset <= partition.high_watermark:
        return None
    return ErrorCode.OFFSET_NOT_AVAILABLE if version >= 5 else ErrorCode.LEADER_NOT_AVAILABLE


def at_an_end(partition: Partition, asked: Asked, bound: int) -> Said:
    """The special timestamps that need no search."""
    if asked.timestamp == LATEST:
        return found(asked, -1, bound, partition.leader_epoch)
    if asked.timestamp in (EARLIEST, EARLIEST_LOCAL):
        start = partition.log_start_offset
        earliest = partition.log.leader_epochs.earliest
        epoch = earliest.epoch if earliest is not None and earliest.start_offset <= start else -1
        return found(asked, -1, start, epoch)
    return found(asked, -1, -1, -1)


async def search(node: Node, partition: Partition, asked: Asked, bound: int) -> Said:
    """The first record at or after a timestamp, or the one with the largest; below the bound."""
    log = partition.log

    def work() -> Any:
        if asked.timestamp == MAX_TIMESTAMP:
            return log.max_timestamp()
        return log.offset_for_timestamp(asked.timestamp)

    try:
        hit = await node.in_worker(work)
    except KcoreError:
        if partition.log is log or partition.offline:
            raise
        # It moved to another log directory meanwhile.
        return await search(node, partition, asked, bound)
    if hit is None or hit.offset >= bound:
        return found(asked, -1, -1, -1)
    return found(asked, hit.timestamp_ms, hit.offset, hit.leader_epoch)


def found(asked: Asked, timestamp: int, offset: int, epoch: int) -> Said:
    """An answer."""
    return Said(
        partition_index=asked.partition_index,
        timestamp=timestamp,
        offset=offset,
        leader_epoch=epoch,
    )


def failed(asked: Asked, error: ErrorCode) -> Said:
    """An error instead of an answer."""
    return Said(partition_index=asked.partition_index, error_code=int(error))
