"""The cluster as a whole: its nodes, features and log directories."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int8, int16, int32, int64


class DescribeClusterRequest(
    Request, key=60, versions=(0, 2), flexible=0, listeners="broker controller"
):
    """Ask for the nodes of the cluster."""

    include_cluster_authorized_operations: bool = False
    endpoint_type: int8 = field("1+", 1)  # KIP-919
    include_fenced_brokers: bool = field("2+")  # KIP-1073


class DescribeClusterResponse(Response, key=60, versions=(0, 2), flexible=0):
    """Answer to `DescribeClusterRequest`."""

    class DescribeClusterBroker(Struct):
        broker_id: int32 = 0
        host: str = ""
        port: int32 = 0
        rack: str | None = None
        is_fenced: bool = field("2+")  # KIP-1073

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = None
    endpoint_type: int8 = field("1+", 1)
    cluster_id: str = ""
    controller_id: int32 = -1
    brokers: list[DescribeClusterBroker] = []
    cluster_authorized_operations: int32 = -2147483648


class UpdateFeaturesRequest(
    Request, key=57, versions=(0, 2), flexible=0, listeners="broker controller"
):
    """Change finalized feature levels (KIP-584)."""

    class FeatureUpdateKey(Struct):
        feature: str = ""
        max_version_level: int16 = 0
        allow_downgrade: bool = field("0")
        upgrade_type: int8 = field("1+", 1)

    timeout_ms: int32 = 60000
    feature_updates: list[FeatureUpdateKey] = []
    validate_only: bool = field("1+")


class UpdateFeaturesResponse(Response, key=57, versions=(0, 2), flexible=0):
    """Answer to `UpdateFeaturesRequest`."""

    class UpdatableFeatureResult(Struct):
        feature: str = ""
        error_code: int16 = 0
        error_message: str | None = ""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""
    results: list[UpdatableFeatureResult] = field("0-1", ignorable=True)


class DescribeLogDirsRequest(Request, key=35, versions=(1, 5), flexible=2):
    """Ask for log directories and the replicas in them."""

    class DescribableLogDirTopic(Struct):
        topic: str = ""
        partitions: list[int32] = []

    topics: list[DescribableLogDirTopic] | None = []


class DescribeLogDirsResponse(Response, key=35, versions=(1, 5), flexible=2):
    """Answer to `DescribeLogDirsRequest`."""

    class DescribeLogDirsPartition(Struct):
        partition_index: int32 = 0
        partition_size: int64 = 0
        offset_lag: int64 = 0
        is_future_key: bool = False

    class DescribeLogDirsTopic(Struct):
        name: str = ""
        partitions: list[DescribeLogDirsResponse.DescribeLogDirsPartition] = []

    class DescribeLogDirsResult(Struct):
        error_code: int16 = 0
        log_dir: str = ""
        topics: list[DescribeLogDirsResponse.DescribeLogDirsTopic] = []
        total_bytes: int64 = field("4+", -1, ignorable=True)
        usable_bytes: int64 = field("4+", -1, ignorable=True)
        is_cordoned: bool = field("5+", ignorable=True)

    throttle_time_ms: int32 = 0
    error_code: int16 = field("3+", ignorable=True)
    results: list[DescribeLogDirsResult] = []


class AlterReplicaLogDirsRequest(Request, key=34, versions=(1, 2), flexible=2):
    """Move replicas between log directories of a broker."""

    class AlterReplicaLogDirTopic(Struct):
        name: str = ""
        partitions: list[int32] = []

    class AlterReplicaLogDir(Struct):
        path: str = ""
        topics: list[AlterReplicaLogDirsRequest.AlterReplicaLogDirTopic] = []

    dirs: list[AlterReplicaLogDir] = []


class AlterReplicaLogDirsResponse(Response, key=34, versions=(1, 2), flexible=2):
    """Answer to `AlterReplicaLogDirsRequest`."""

    class AlterReplicaLogDirPartitionResult(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0

    class AlterReplicaLogDirTopicResult(Struct):
        topic_name: str = ""
        partitions: list[AlterReplicaLogDirsResponse.AlterReplicaLogDirPartitionResult] = []

    throttle_time_ms: int32 = 0
    results: list[AlterReplicaLogDirTopicResult] = []
