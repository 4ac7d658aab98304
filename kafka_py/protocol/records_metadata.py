"""Records of the metadata log (`__cluster_metadata`); framed by `records`."""

from __future__ import annotations

from kafka_py.protocol.codegen import uvarint_bytes, uvarint_rest
from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.schema import Record, Struct, field
from kafka_py.protocol.types import ZERO_UUID, float64, int8, int16, int32, int64, uint16, uuid


class RegisterBrokerRecord(Record, key=0, versions=(0, 4), flexible=0):
    """A broker incarnation registered."""

    class BrokerEndpoint(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0
        security_protocol: int16 = 0

    class BrokerFeature(Struct):
        name: str = ""
        min_supported_version: int16 = 0
        max_supported_version: int16 = 0

    broker_id: int32 = 0
    is_migrating_zk_broker: bool = field("2+")
    incarnation_id: uuid = ZERO_UUID
    broker_epoch: int64 = 0
    end_points: list[BrokerEndpoint] = []
    features: list[BrokerFeature] = []
    rack: str | None = ""
    fenced: bool = True
    in_controlled_shutdown: bool = field("1+")
    log_dirs: list[uuid] = field("3+", tag=0)
    cordoned_log_dirs: list[uuid] | None = field("4+", None, tag=1)


class UnregisterBrokerRecord(Record, key=1, versions=(0, 0), flexible=0):
    """A broker's registration removed."""

    broker_id: int32 = 0
    broker_epoch: int64 = 0


class TopicRecord(Record, key=2, versions=(0, 0), flexible=0):
    """A topic created."""

    name: str = ""
    topic_id: uuid = ZERO_UUID


class PartitionRecord(Record, key=3, versions=(0, 2), flexible=0):
    """A partition created."""

    partition_id: int32 = -1
    topic_id: uuid = ZERO_UUID
    replicas: list[int32] = []
    isr: list[int32] = []
    removing_replicas: list[int32] = []
    adding_replicas: list[int32] = []
    leader: int32 = -1
    leader_recovery_state: int8 = field(tag=0)
    leader_epoch: int32 = -1
    partition_epoch: int32 = -1
    directories: list[uuid] = field("1+")  # KIP-858
    eligible_leader_replicas: list[int32] | None = field("2+", None, tag=1)  # KIP-966
    last_known_elr: list[int32] | None = field("2+", None, tag=2)  # KIP-966


class ConfigRecord(Record, key=4, versions=(0, 0), flexible=0):
    """A configuration set, or deleted by a null value."""

    resource_type: int8 = 0
    resource_name: str = ""
    name: str = ""
    value: str | None = field(secret=True)


class PartitionChangeRecord(Record, key=5, versions=(0, 2), flexible=0):
    """What changed in a partition; fields at their default did not."""

    partition_id: int32 = -1
    topic_id: uuid = ZERO_UUID
    isr: list[int32] | None = field(default=None, tag=0)
    leader: int32 = field(default=-2, tag=1)
    replicas: list[int32] | None = field(default=None, tag=2)
    removing_replicas: list[int32] | None = field(default=None, tag=3)
    adding_replicas: list[int32] | None = field(default=None, tag=4)
    leader_recovery_state: int8 = field(default=-1, tag=5)
    directories: list[uuid] | None = field("1+", None, tag=8)  # KIP-858
    eligible_leader_replicas: list[int32] | None = field("2+", None, tag=6)  # KIP-966
    last_known_elr: list[int32] | None = field("2+", None, tag=7)  # KIP-966


class FenceBrokerRecord(Record, key=7, versions=(0, 0), flexible=0):
    """A broker fenced; superseded by BrokerRegistrationChangeRecord."""

    id: int32 = 0
    epoch: int64 = 0


class UnfenceBrokerRecord(Record, key=8, versions=(0, 0), flexible=0):
    """A broker unfenced; superseded likewise."""

    id: int32 = 0
    epoch: int64 = 0


class RemoveTopicRecord(Record, key=9, versions=(0, 0), flexible=0):
    """A topic deleted."""

    topic_id: uuid = ZERO_UUID


class DelegationTokenRecord(Record, key=10, versions=(0, 0), flexible=0):
    """A delegation token created or renewed."""

    owner: str = ""
    requester: str = ""
    renewers: list[str] = []
    issue_timestamp: int64 = 0
    max_timestamp: int64 = 0
    expiration_timestamp: int64 = 0
    token_id: str = ""


class UserScramCredentialRecord(Record, key=11, versions=(0, 0), flexible=0):
    """A SCRAM credential set."""

    name: str = ""
    mechanism: int8 = 0
    salt: bytes = field(secret=True)
    stored_key: bytes = field(secret=True)
    server_key: bytes = field(secret=True)
    iterations: int32 = 0


class FeatureLevelRecord(Record, key=12, versions=(0, 0), flexible=0):
    """A feature level finalized; level 0 removes the feature."""

    name: str = ""
    feature_level: int16 = 0


class ClientQuotaRecord(Record, key=14, versions=(0, 0), flexible=0):
    """A quota set or removed."""

    class EntityData(Struct):
        entity_type: str = ""
        entity_name: str | None = ""

    entity: list[EntityData] = []
    key: str = ""
    value: float64 = 0.0
    remove: bool = False


class ProducerIdsRecord(Record, key=15, versions=(0, 0), flexible=0):
    """A block of producer ids given to a broker."""

    broker_id: int32 = 0
    broker_epoch: int64 = -1
    next_producer_id: int64 = 0


class BrokerRegistrationChangeRecord(Record, key=17, versions=(0, 3), flexible=0):
    """What changed in a broker's registration; fields at their default did not."""

    broker_id: int32 = 0
    broker_epoch: int64 = 0
    fenced: int8 = field(tag=0)
    in_controlled_shutdown: int8 = field("1+", tag=1)
    log_dirs: list[uuid] = field("2+", tag=2)
    cordoned_log_dirs: list[uuid] | None = field("3+", None, tag=3)


class AccessControlEntryRecord(Record, key=18, versions=(0, 0), flexible=0):
    """An access control entry created."""

    id: uuid = ZERO_UUID
    resource_type: int8 = 0
    resource_name: str = ""
    pattern_type: int8 = 0
    principal: str = ""
    host: str = ""
    operation: int8 = 0
    permission_type: int8 = 0


class RemoveAccessControlEntryRecord(Record, key=19, versions=(0, 0), flexible=0):
    """An access control entry deleted."""

    id: uuid = ZERO_UUID


class NoOpRecord(Record, key=20, versions=(0, 0), flexible=0):
    """Nothing; moves the high watermark."""


class ZkMigrationStateRecord(Record, key=21, versions=(0, 0), flexible=0):
    """State of a migration from ZooKeeper."""

    zk_migration_state: int8 = 0


class RemoveUserScramCredentialRecord(Record, key=22, versions=(0, 0), flexible=0):
    """A SCRAM credential deleted."""

    name: str = ""
    mechanism: int8 = 0


class BeginTransactionRecord(Record, key=23, versions=(0, 0), flexible=0):
    """What follows is applied at EndTransactionRecord (KIP-868)."""

    name: str | None = field(default=None, tag=0)


class EndTransactionRecord(Record, key=24, versions=(0, 0), flexible=0):
    """The metadata transaction is complete."""


class AbortTransactionRecord(Record, key=25, versions=(0, 0), flexible=0):
    """The metadata transaction is void."""

    reason: str | None = field(default=None, tag=0)


class RemoveDelegationTokenRecord(Record, key=26, versions=(0, 0), flexible=0):
    """A delegation token removed."""

    token_id: str = ""


class RegisterControllerRecord(Record, key=27, versions=(0, 0), flexible=0):
    """A controller incarnation registered."""

    class ControllerEndpoint(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0
        security_protocol: int16 = 0

    class ControllerFeature(Struct):
        name: str = ""
        min_supported_version: int16 = 0
        max_supported_version: int16 = 0

    controller_id: int32 = 0
    incarnation_id: uuid = ZERO_UUID
    zk_migration_ready: bool = False
    end_points: list[ControllerEndpoint] = []
    features: list[ControllerFeature] = []


class ClearElrRecord(Record, key=28, versions=(0, 0), flexible=0):
    """Eligible leader replicas of a topic (or, with an empty name, of all) cleared."""

    topic_name: str = ""


class UnregisterControllerRecord(Record, key=29, versions=(0, 0), flexible=0):
    """A controller's registration removed (since 4.4)."""

    controller_id: int32 = 0


FRAME_VERSION = 1
"""The only version of the frame around metadata records."""

RECORD_TYPES: dict[int, type[Record]] = {
    record.KEY: record
    for record in list(globals().values())
    if isinstance(record, type) and issubclass(record, Record) and record.KEY is not None
}
"""Record type -> class, of all metadata records."""


def encode_record(record: Record, version: int) -> bytes:
    """A value of the metadata log: frame version, type and version as varints, body."""
    assert record.KEY is not None
    head = uvarint_bytes(FRAME_VERSION) + uvarint_bytes(record.KEY) + uvarint_bytes(version)
    return head + record.encode(version)


def decode_record(value: bytes | memoryview) -> tuple[Record, int]:
    """The record in a value of the metadata log, and its version.

    Raises MalformedRequest for a frame version, type or version that is unknown, and for damage.
    """
    numbers = []
    position = 0
    try:
        for _ in range(3):
            number = value[position]
            position += 1
            if number > 127:
                number, position = uvarint_rest(value, position, number)
            numbers.append(number)
    except IndexError:
        raise MalformedRequest("a metadata record ends within its frame") from None
    frame_version, record_type, version = numbers
    if frame_version != FRAME_VERSION:
        raise MalformedRequest(f"metadata frame version {frame_version} is unknown")
    found = RECORD_TYPES.get(record_type)
    if found is None:
        raise MalformedRequest(f"metadata record type {record_type} is unknown")
    if not found.VERSIONS[0] <= version <= found.VERSIONS[1]:
        raise MalformedRequest(f"{found.__name__} has no version {version}")
    record, end = found.decode_from(value, position, version)
    if end != len(value):
        raise MalformedRequest(f"{found.__name__} v{version}: {len(value) - end} bytes left over")
    return record, version
