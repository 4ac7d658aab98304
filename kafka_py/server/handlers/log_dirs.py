"""DescribeLogDirs (key 35), versions 1-5, and AlterReplicaLogDirs (key 34), versions 1-2.

Behaviour: as Apache Kafka 4.3.1. AlterReplicaLogDirs begins moves of replicas between directories,
or gives them up, and answers at once (KIP-113); a partition that two directories are named for goes
to the latter. A partition that is not there yet is an error and will be made in that directory.
Takes ALTER on the cluster.

DescribeLogDirs: null asks for every partition, an empty list for the directories
alone. A directory that failed is answered with KAFKA_STORAGE_ERROR and without partitions. Space
(4+, KIP-827) is that of the file system the directory is on. Takes DESCRIBE on the cluster.

Known differences: none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.cluster import (
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node

Result = DescribeLogDirsResponse.DescribeLogDirsResult
Topic = DescribeLogDirsResponse.DescribeLogDirsTopic
Partition = DescribeLogDirsResponse.DescribeLogDirsPartition


@handles(ApiKey.DESCRIBE_LOG_DIRS)
def describe_log_dirs(
    node: Node, context: RequestContext, request: DescribeLogDirsRequest
) -> DescribeLogDirsResponse:
    """Answer for every directory of this broker."""
    if not access_of(node, context).cluster(Operation.DESCRIBE):
        denied = int(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        return DescribeLogDirsResponse(error_code=denied if context.api_version >= 3 else 0)
    wanted: set[tuple[str, int]] | None = None
    if request.topics is not None:
        wanted = {(topic.topic, index) for topic in request.topics for index in topic.partitions}
    results = []
    for directory in node.replicas.log_dirs:
        path = os.path.abspath(directory.path)
        if directory.offline:
            results.append(Result(error_code=ErrorCode.KAFKA_STORAGE_ERROR, log_dir=path))
            continue
        total, usable = space_bytes(path)
        results.append(
            Result(
                log_dir=path,
                topics=replicas_in(node, directory, wanted),
                total_bytes=total,
                usable_bytes=usable,
                is_cordoned=context.api_version >= 5 and node.replicas.moves.is_cordoned(directory),
            )
        )
    return DescribeLogDirsResponse(results=results)


def space_bytes(path: str) -> tuple[int, int]:
    """(size, what is left for us) of the file system; -1 where it cannot be asked."""
    try:
        found = os.statvfs(path)
    except OSError:
        return -1, -1
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


def replicas_in(node: Node, directory: object, wanted: set[tuple[str, int]] | None) -> list[Topic]:
    """The replicas in a directory, by topic and index; ``wanted`` None stands for all.

    A future replica lags behind the end of the one that it is copied from.
    """
    topics: dict[str, list[Partition]] = {}

    def add(key: tuple[str, int], log: Any, lag: int, *, future: bool) -> None:
        if wanted is None or key in wanted:
            topics.setdefault(key[0], []).append(
                Partition(
                    partition_index=key[1],
                    partition_size=log.size_bytes,
                    offset_lag=lag,
                    is_future_key=future,
                )
            )

    for one in node.replicas.partitions():
        if one.log is not None and one.directory is directory:
            lag = max(one.high_watermark - one.log.log_end_offset, 0)
            add((one.topic, one.index), one.log, lag, future=False)
    for move in node.replicas.moves:
        if move.directory is directory:
            add(move.key, move.log, move.lag, future=True)
    return [
        Topic(name=name, partitions=sorted(topics[name], key=lambda p: p.partition_index))
        for name in sorted(topics)
    ]


@handles(ApiKey.ALTER_REPLICA_LOG_DIRS, cluster=Operation.ALTER)
def alter_replica_log_dirs(
    node: Node, context: RequestContext, request: AlterReplicaLogDirsRequest
) -> AlterReplicaLogDirsResponse:
    """Begin, or give up, a move for each partition that is named."""
    paths = {
        (topic.name, index): one.path
        for one in request.dirs
        for topic in one.topics
        for index in topic.partitions
    }
    replicas = node.replicas
    results: dict[str, list[Any]] = {}
    for key, path in paths.items():
        error = replicas.moves.alter(
            key, path, replicas.partition(*key), node.image, now_ms=context.now_ms
        )
        results.setdefault(key[0], []).append(
            AlterReplicaLogDirsResponse.AlterReplicaLogDirPartitionResult(
                partition_index=key[1], error_code=error
            )
        )
    return AlterReplicaLogDirsResponse(
        results=[
            AlterReplicaLogDirsResponse.AlterReplicaLogDirTopicResult(
                topic_name=name, partitions=rows
            )
            for name, rows in results.items()
        ]
    )
