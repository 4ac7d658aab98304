"""Records of `__share_group_state`."""

from __future__ import annotations

from kafka_py.protocol.schema import Record, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int8, int16, int32, int64, uuid


class ShareSnapshotKey(Record, key=0, versions=(0, 0)):
    """Key: a whole state of a share partition."""

    group_id: str = ""
    topic_id: uuid = ZERO_UUID
    partition: int32 = 0


class ShareSnapshotValue(Record, key=0, versions=(0, 0), flexible=0):
    """Start offset, epochs and the batches in flight."""

    class StateBatch(Struct):
        first_offset: int64 = 0
        last_offset: int64 = 0
        delivery_state: int8 = 0
        delivery_count: int16 = 0

    snapshot_epoch: int32 = 0
    state_epoch: int32 = 0
    leader_epoch: int32 = 0
    start_offset: int64 = 0
    delivery_complete_count: int32 = field(default=-1, tag=0)
    create_timestamp: int64 = 0
    write_timestamp: int64 = 0
    state_batches: list[StateBatch] = []


class ShareUpdateKey(Record, key=1, versions=(0, 0)):
    """Key: a change of a share partition's state."""

    group_id: str = ""
    topic_id: uuid = ZERO_UUID
    partition: int32 = 0


class ShareUpdateValue(Record, key=1, versions=(0, 0), flexible=0):
    """What changed since the last snapshot or update."""

    class StateBatch(Struct):
        first_offset: int64 = 0
        last_offset: int64 = 0
        delivery_state: int8 = 0
        delivery_count: int16 = 0

    snapshot_epoch: int32 = 0
    leader_epoch: int32 = 0
    start_offset: int64 = 0
    delivery_complete_count: int32 = field(default=-1, tag=0)
    state_batches: list[StateBatch] = []
