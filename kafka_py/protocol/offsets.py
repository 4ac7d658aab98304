"""Looking up offsets by time and by leader epoch."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int8, int16, int32, int64


class ListOffsetsRequest(Request, key=2, versions=(1, 11), flexible=6):
    """Find offsets by timestamp, or the ends of partitions."""

    class ListOffsetsPartition(Struct):
        partition_index: int32 = 0
        current_leader_epoch: int32 = field("4+", -1, ignorable=True)
        timestamp: int64 = 0

    class ListOffsetsTopic(Struct):
        name: str = ""
        partitions: list[ListOffsetsRequest.ListOffsetsPartition] = []

    replica_id: int32 = 0
    isolation_level: int8 = field("2+")
    topics: list[ListOffsetsTopic] = []
    timeout_ms: int32 = field("10+", ignorable=True)  # KIP-1075


class ListOffsetsResponse(Response, key=2, versions=(1, 11), flexible=6):
    """Offsets found."""

    class ListOffsetsPartitionResponse(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        timestamp: int64 = -1
        offset: int64 = -1
        leader_epoch: int32 = field("4+", -1)

    class ListOffsetsTopicResponse(Struct):
        name: str = ""
        partitions: list[ListOffsetsResponse.ListOffsetsPartitionResponse] = []

    throttle_time_ms: int32 = field("2+", ignorable=True)
    topics: list[ListOffsetsTopicResponse] = []


class OffsetForLeaderEpochRequest(Request, key=23, versions=(2, 4), flexible=4):
    """Ask where a leader epoch ended (KIP-101, KIP-320)."""

    class OffsetForLeaderPartition(Struct):
        partition: int32 = 0
        current_leader_epoch: int32 = -1
        leader_epoch: int32 = 0

    class OffsetForLeaderTopic(Struct):
        topic: str = ""
        partitions: list[OffsetForLeaderEpochRequest.OffsetForLeaderPartition] = []

    replica_id: int32 = field("3+", -2, ignorable=True)
    topics: list[OffsetForLeaderTopic] = []


class OffsetForLeaderEpochResponse(Response, key=23, versions=(2, 4), flexible=4):
    """End offsets of epochs."""

    class EpochEndOffset(Struct):
        error_code: int16 = 0
        partition: int32 = 0
        leader_epoch: int32 = -1
        end_offset: int64 = -1

    class OffsetForLeaderTopicResult(Struct):
        topic: str = ""
        partitions: list[OffsetForLeaderEpochResponse.EpochEndOffset] = []

    throttle_time_ms: int32 = 0
    topics: list[OffsetForLeaderTopicResult] = []
