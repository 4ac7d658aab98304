"""Committed offsets of groups."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int16, int32, int64, uuid


class OffsetCommitRequest(Request, key=8, versions=(2, 10), flexible=8):
    """Commit offsets of a group."""

    class OffsetCommitRequestPartition(Struct):
        partition_index: int32 = 0
        committed_offset: int64 = 0
        committed_leader_epoch: int32 = field("6+", -1, ignorable=True)
        committed_metadata: str | None = ""

    class OffsetCommitRequestTopic(Struct):
        name: str = field("0-9", ignorable=True)
        topic_id: uuid = field("10+", ignorable=True)  # KIP-848
        partitions: list[OffsetCommitRequest.OffsetCommitRequestPartition] = []

    group_id: str = ""
    generation_id_or_member_epoch: int32 = -1
    member_id: str = ""
    group_instance_id: str | None = field("7+", None)
    retention_time_ms: int64 = field("2-4", -1, ignorable=True)
    topics: list[OffsetCommitRequestTopic] = []


class OffsetCommitResponse(Response, key=8, versions=(2, 10), flexible=8):
    """Answer to `OffsetCommitRequest`."""

    class OffsetCommitResponsePartition(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0

    class OffsetCommitResponseTopic(Struct):
        name: str = field("0-9", ignorable=True)
        topic_id: uuid = field("10+", ignorable=True)  # KIP-848
        partitions: list[OffsetCommitResponse.OffsetCommitResponsePartition] = []

    throttle_time_ms: int32 = field("3+", ignorable=True)
    topics: list[OffsetCommitResponseTopic] = []


class OffsetFetchRequest(Request, key=9, versions=(1, 10), flexible=6):
    """Read committed offsets of groups."""

    class OffsetFetchRequestTopic(Struct):
        name: str = ""
        partition_indexes: list[int32] = []

    class OffsetFetchRequestTopics(Struct):
        name: str = field("8-9", ignorable=True)
        topic_id: uuid = field("10+", ignorable=True)  # KIP-848
        partition_indexes: list[int32] = []

    class OffsetFetchRequestGroup(Struct):
        group_id: str = ""
        member_id: str | None = field("9+", None, ignorable=True)  # KIP-848
        member_epoch: int32 = field("9+", -1, ignorable=True)  # KIP-848
        topics: list[OffsetFetchRequest.OffsetFetchRequestTopics] | None = []

    group_id: str = field("0-7")
    topics: list[OffsetFetchRequestTopic] | None = field("0-7", nullable="2-7")
    groups: list[OffsetFetchRequestGroup] = field("8+")
    require_stable: bool = field("7+")


class OffsetFetchResponse(Response, key=9, versions=(1, 10), flexible=6):
    """Committed offsets."""

    class OffsetFetchResponsePartition(Struct):
        partition_index: int32 = 0
        committed_offset: int64 = 0
        committed_leader_epoch: int32 = field("5-7", -1, ignorable=True)
        metadata: str | None = ""
        error_code: int16 = 0

    class OffsetFetchResponseTopic(Struct):
        name: str = ""
        partitions: list[OffsetFetchResponse.OffsetFetchResponsePartition] = []

    class OffsetFetchResponsePartitions(Struct):
        partition_index: int32 = 0
        committed_offset: int64 = 0
        committed_leader_epoch: int32 = -1
        metadata: str | None = ""
        error_code: int16 = 0

    class OffsetFetchResponseTopics(Struct):
        name: str = field("8-9", ignorable=True)
        topic_id: uuid = field("10+", ignorable=True)  # KIP-848
        partitions: list[OffsetFetchResponse.OffsetFetchResponsePartitions] = []

    class OffsetFetchResponseGroup(Struct):
        group_id: str = ""
        topics: list[OffsetFetchResponse.OffsetFetchResponseTopics] = []
        error_code: int16 = 0

    throttle_time_ms: int32 = field("3+", ignorable=True)
    topics: list[OffsetFetchResponseTopic] = field("0-7")
    error_code: int16 = field("2-7", ignorable=True)
    groups: list[OffsetFetchResponseGroup] = field("8+")


class OffsetDeleteRequest(Request, key=47, versions=(0, 0)):
    """Delete committed offsets of a group."""

    class OffsetDeleteRequestPartition(Struct):
        partition_index: int32 = 0

    class OffsetDeleteRequestTopic(Struct):
        name: str = ""
        partitions: list[OffsetDeleteRequest.OffsetDeleteRequestPartition] = []

    group_id: str = ""
    topics: list[OffsetDeleteRequestTopic] = []


class OffsetDeleteResponse(Response, key=47, versions=(0, 0)):
    """Answer to `OffsetDeleteRequest`."""

    class OffsetDeleteResponsePartition(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0

    class OffsetDeleteResponseTopic(Struct):
        name: str = ""
        partitions: list[OffsetDeleteResponse.OffsetDeleteResponsePartition] = []

    error_code: int16 = 0
    throttle_time_ms: int32 = 0
    topics: list[OffsetDeleteResponseTopic] = []
