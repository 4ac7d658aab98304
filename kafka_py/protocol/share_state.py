"""Persisted state of share groups, between brokers."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int8, int16, int32, int64, uuid


class InitializeShareGroupStateRequest(Request, key=83, versions=(0, 0), flexible=0):
    """Create the state of share partitions."""

    class PartitionData(Struct):
        partition: int32 = 0
        state_epoch: int32 = 0
        start_offset: int64 = 0

    class InitializeStateData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[InitializeShareGroupStateRequest.PartitionData] = []

    group_id: str = ""
    topics: list[InitializeStateData] = []


class InitializeShareGroupStateResponse(Response, key=83, versions=(0, 0), flexible=0):
    """Answer to `InitializeShareGroupStateRequest`."""

    class PartitionResult(Struct):
        partition: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None

    class InitializeStateResult(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[InitializeShareGroupStateResponse.PartitionResult] = []

    results: list[InitializeStateResult] = []


class ReadShareGroupStateRequest(Request, key=84, versions=(0, 0), flexible=0):
    """Read the state of share partitions."""

    class PartitionData(Struct):
        partition: int32 = 0
        leader_epoch: int32 = 0

    class ReadStateData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[ReadShareGroupStateRequest.PartitionData] = []

    group_id: str = ""
    topics: list[ReadStateData] = []


class ReadShareGroupStateResponse(Response, key=84, versions=(0, 0), flexible=0):
    """Answer to `ReadShareGroupStateRequest`."""

    class StateBatch(Struct):
        first_offset: int64 = 0
        last_offset: int64 = 0
        delivery_state: int8 = 0
        delivery_count: int16 = 0

    class PartitionResult(Struct):
        partition: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None
        state_epoch: int32 = 0
        start_offset: int64 = 0
        state_batches: list[ReadShareGroupStateResponse.StateBatch] = []

    class ReadStateResult(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[ReadShareGroupStateResponse.PartitionResult] = []

    results: list[ReadStateResult] = []


class WriteShareGroupStateRequest(Request, key=85, versions=(0, 1), flexible=0):
    """Change the state of share partitions."""

    class StateBatch(Struct):
        first_offset: int64 = 0
        last_offset: int64 = 0
        delivery_state: int8 = 0
        delivery_count: int16 = 0

    class PartitionData(Struct):
        partition: int32 = 0
        state_epoch: int32 = 0
        leader_epoch: int32 = 0
        start_offset: int64 = 0
        delivery_complete_count: int32 = field("1+", -1, ignorable=True)  # KIP-1226
        state_batches: list[WriteShareGroupStateRequest.StateBatch] = []

    class WriteStateData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[WriteShareGroupStateRequest.PartitionData] = []

    group_id: str = ""
    topics: list[WriteStateData] = []


class WriteShareGroupStateResponse(Response, key=85, versions=(0, 1), flexible=0):
    """Answer to `WriteShareGroupStateRequest`."""

    class PartitionResult(Struct):
        partition: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None

    class WriteStateResult(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[WriteShareGroupStateResponse.PartitionResult] = []

    results: list[WriteStateResult] = []


class DeleteShareGroupStateRequest(Request, key=86, versions=(0, 0), flexible=0):
    """Delete the state of share partitions."""

    class PartitionData(Struct):
        partition: int32 = 0

    class DeleteStateData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[DeleteShareGroupStateRequest.PartitionData] = []

    group_id: str = ""
    topics: list[DeleteStateData] = []


class DeleteShareGroupStateResponse(Response, key=86, versions=(0, 0), flexible=0):
    """Answer to `DeleteShareGroupStateRequest`."""

    class PartitionResult(Struct):
        partition: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None

    class DeleteStateResult(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[DeleteShareGroupStateResponse.PartitionResult] = []

    results: list[DeleteStateResult] = []


class ReadShareGroupStateSummaryRequest(Request, key=87, versions=(0, 1), flexible=0):
    """Read the offsets, without the batches, of share partitions."""

    class PartitionData(Struct):
        partition: int32 = 0
        leader_epoch: int32 = 0

    class ReadStateSummaryData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[ReadShareGroupStateSummaryRequest.PartitionData] = []

    group_id: str = ""
    topics: list[ReadStateSummaryData] = []


class ReadShareGroupStateSummaryResponse(Response, key=87, versions=(0, 1), flexible=0):
    """Answer to `ReadShareGroupStateSummaryRequest`."""

    class PartitionResult(Struct):
        partition: int32 = 0
        error_code: int16 = 0
        error_message: str | None = None
        state_epoch: int32 = 0
        leader_epoch: int32 = 0
        start_offset: int64 = 0
        delivery_complete_count: int32 = field("1+", -1, ignorable=True)  # KIP-1226

    class ReadStateSummaryResult(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[ReadShareGroupStateSummaryResponse.PartitionResult] = []

    results: list[ReadStateSummaryResult] = []
