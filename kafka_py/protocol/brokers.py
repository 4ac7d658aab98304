"""What brokers and controllers say to the active controller."""

from __future__ import annotations

from kafka_py.protocol.schema import Blob, Request, Response, Struct, field
from kafka_py.protocol.types import ZERO_UUID, int8, int16, int32, int64, uint16, uuid


class BrokerRegistrationRequest(
    Request, key=62, versions=(0, 4), flexible=0, listeners="controller"
):
    """Register a broker incarnation."""

    class Listener(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0
        security_protocol: int16 = 0

    class Feature(Struct):
        name: str = ""
        min_supported_version: int16 = 0
        max_supported_version: int16 = 0

    broker_id: int32 = 0
    cluster_id: str = ""
    incarnation_id: uuid = ZERO_UUID
    listeners: list[Listener] = []
    features: list[Feature] = []
    rack: str | None = ""
    is_migrating_zk_broker: bool = field("1+")
    log_dirs: list[uuid] = field("2+", ignorable=True)  # KIP-858
    previous_broker_epoch: int64 = field("3+", -1, ignorable=True)  # KIP-966


class BrokerRegistrationResponse(Response, key=62, versions=(0, 4), flexible=0):
    """The broker epoch."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    broker_epoch: int64 = -1


class BrokerHeartbeatRequest(Request, key=63, versions=(0, 2), flexible=0, listeners="controller"):
    """Keep a broker registered, and ask to be fenced, unfenced or stopped."""

    broker_id: int32 = 0
    broker_epoch: int64 = -1
    current_metadata_offset: int64 = 0
    want_fence: bool = False
    want_shut_down: bool = False
    offline_log_dirs: list[uuid] = field("1+", tag=0)
    cordoned_log_dirs: list[uuid] | None = field("2+", None, tag=1)


class BrokerHeartbeatResponse(Response, key=63, versions=(0, 2), flexible=0):
    """The state in which the controller sees the broker."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    is_caught_up: bool = False
    is_fenced: bool = True
    should_shut_down: bool = False


class UnregisterBrokerRequest(
    Request, key=64, versions=(0, 0), flexible=0, listeners="broker controller"
):
    """Remove a broker's registration."""

    broker_id: int32 = 0


class UnregisterBrokerResponse(Response, key=64, versions=(0, 0), flexible=0):
    """Answer to `UnregisterBrokerRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""


class ControllerRegistrationRequest(
    Request, key=70, versions=(0, 0), flexible=0, listeners="controller"
):
    """Register a controller incarnation (KIP-919)."""

    class Listener(Struct):
        name: str = ""
        host: str = ""
        port: uint16 = 0
        security_protocol: int16 = 0

    class Feature(Struct):
        name: str = ""
        min_supported_version: int16 = 0
        max_supported_version: int16 = 0

    controller_id: int32 = 0
    incarnation_id: uuid = ZERO_UUID
    zk_migration_ready: bool = False
    listeners: list[Listener] = []
    features: list[Feature] = []


class ControllerRegistrationResponse(Response, key=70, versions=(0, 0), flexible=0):
    """Answer to `ControllerRegistrationRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""


class UnregisterControllerRequest(
    Request, key=94, versions=(0, 0), flexible=0, listeners="broker controller"
):
    """Remove a controller's registration (since 4.4)."""

    controller_id: int32 = 0


class UnregisterControllerResponse(Response, key=94, versions=(0, 0), flexible=0):
    """Answer to `UnregisterControllerRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""


class AllocateProducerIdsRequest(
    Request, key=67, versions=(0, 0), flexible=0, listeners="controller"
):
    """Get a block of producer ids."""

    broker_id: int32 = 0
    broker_epoch: int64 = -1


class AllocateProducerIdsResponse(Response, key=67, versions=(0, 0), flexible=0):
    """A block of producer ids."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    producer_id_start: int64 = 0
    producer_id_len: int32 = 0


class AlterPartitionRequest(Request, key=56, versions=(2, 3), flexible=2, listeners="controller"):
    """Change the in-sync replicas of partitions, as their leader."""

    class BrokerState(Struct):
        broker_id: int32 = 0
        broker_epoch: int64 = -1

    class PartitionData(Struct):
        partition_index: int32 = 0
        leader_epoch: int32 = 0
        new_isr: list[int32] = field("0-2")
        new_isr_with_epochs: list[AlterPartitionRequest.BrokerState] = field("3+")  # KIP-903
        leader_recovery_state: int8 = 0
        partition_epoch: int32 = 0

    class TopicData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[AlterPartitionRequest.PartitionData] = []

    broker_id: int32 = 0
    broker_epoch: int64 = -1
    topics: list[TopicData] = []


class AlterPartitionResponse(Response, key=56, versions=(2, 3), flexible=2):
    """The partitions' state after the change."""

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0
        leader_id: int32 = 0
        leader_epoch: int32 = 0
        isr: list[int32] = []
        leader_recovery_state: int8 = 0
        partition_epoch: int32 = 0

    class TopicData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[AlterPartitionResponse.PartitionData] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    topics: list[TopicData] = []


class AssignReplicasToDirsRequest(
    Request, key=73, versions=(0, 0), flexible=0, listeners="controller"
):
    """Report in which log directory replicas live (KIP-858)."""

    class PartitionData(Struct):
        partition_index: int32 = 0

    class TopicData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[AssignReplicasToDirsRequest.PartitionData] = []

    class DirectoryData(Struct):
        id: uuid = ZERO_UUID
        topics: list[AssignReplicasToDirsRequest.TopicData] = []

    broker_id: int32 = 0
    broker_epoch: int64 = -1
    directories: list[DirectoryData] = []


class AssignReplicasToDirsResponse(Response, key=73, versions=(0, 0), flexible=0):
    """Answer to `AssignReplicasToDirsRequest`."""

    class PartitionData(Struct):
        partition_index: int32 = 0
        error_code: int16 = 0

    class TopicData(Struct):
        topic_id: uuid = ZERO_UUID
        partitions: list[AssignReplicasToDirsResponse.PartitionData] = []

    class DirectoryData(Struct):
        id: uuid = ZERO_UUID
        topics: list[AssignReplicasToDirsResponse.TopicData] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    directories: list[DirectoryData] = []


class EnvelopeRequest(Request, key=58, versions=(0, 0), flexible=0, listeners="controller"):
    """Forward a client's request, with its principal, to the controller (KIP-590)."""

    request_data: bytes = field(secret=True)
    request_principal: bytes | None = b""
    client_host_address: bytes = b""


class EnvelopeResponse(Response, key=58, versions=(0, 0), flexible=0):
    """The forwarded request's response."""

    response_data: bytes | None = None
    error_code: int16 = 0


class DefaultPrincipalData(Blob, versions=(0, 0), flexible=0):
    """The principal inside an Envelope."""

    type: str = ""
    name: str = ""
    token_authenticated: bool = False
