"""DescribeLogDirs (key 35), versions 1-5: log directories and the replicas in them.

Behaviour: as Apache Kafka 4.3.1. Null asks for every partition, an empty list for the directories
alone. A directory that failed is answered with KAFKA_STORAGE_ERROR and without partitions. Space
(4+, KIP-827) is that of the file system the directory is on. Takes DESCRIBE on the cluster.

Known differences: none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.cluster import DescribeLogDirsRequest, DescribeLogDirsResponse
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
    cordoned = node.config["cordoned.log.dirs"] or ()
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
                is_cordoned=context.api_version >= 5
                and any(name in ("*", str(directory.path), path) for name in cordoned),
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
    """The replicas in a directory, by topic and index; ``wanted`` None stands for all."""
    topics: dict[str, list[Partition]] = {}
    for partition in node.replicas.partitions():
        log = partition.log
        if log is None or partition.directory is not directory:
            continue
        if wanted is not None and (partition.topic, partition.index) not in wanted:
            continue
        topics.setdefault(partition.topic, []).append(
            Partition(
                partition_index=partition.index,
                partition_size=log.size_bytes,
                offset_lag=max(partition.high_watermark - log.log_end_offset, 0),
            )
        )
    return [
        Topic(name=name, partitions=sorted(topics[name], key=lambda p: p.partition_index))
        for name in sorted(topics)
    ]
