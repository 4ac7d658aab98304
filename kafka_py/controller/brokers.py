"""Brokers come, are heard of, and go: registration, heartbeats, fencing, shutdown."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from kafka_py.controller.partitions import (
    Election,
    Target,
    acceptable_leader,
    change_partition,
)
from kafka_py.controller.result import Result, View
from kafka_py.metadata.types import BrokerRegistration, PartitionImage, TopicImage
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.brokers import (
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
    ControllerRegistrationRequest,
    ControllerRegistrationResponse,
    UnregisterBrokerRequest,
    UnregisterBrokerResponse,
)
from kafka_py.protocol.errors import ApiError, ErrorCode

__all__ = [
    "check_broker_epoch",
    "fence_stale_broker",
    "heartbeat",
    "register_broker",
    "register_controller",
    "unregister_broker",
]

_FENCE, _UNFENCE = 1, -1


def check_broker_epoch(view: View, broker_id: int, epoch: int) -> BrokerRegistration:
    """The broker's registration. Raises ApiError(STALE_BROKER_EPOCH) for another incarnation."""
    broker = view.image.brokers.get(broker_id)
    if broker is None:
        raise ApiError(
            ErrorCode.STALE_BROKER_EPOCH, f"No broker registration found for broker id {broker_id}"
        )
    if broker.epoch != epoch:
        raise ApiError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"Expected broker epoch {epoch}, but got broker epoch {broker.epoch}",
        )
    registration: BrokerRegistration = broker
    return registration


# -- registration ----------------------------------------------------------------------------------


def register_broker(view: View, request: BrokerRegistrationRequest) -> Result:
    """A broker starts, or amends what it said. Raises ApiError when it may not."""
    if request.cluster_id != view.cluster_id:
        raise ApiError(
            ErrorCode.INCONSISTENT_CLUSTER_ID,
            f"Expected cluster ID {view.cluster_id}, but got cluster ID {request.cluster_id}",
        )
    broker_id = request.broker_id
    existing: BrokerRegistration | None = view.image.brokers.get(broker_id)
    same = existing is not None and existing.incarnation_id == request.incarnation_id
    if existing is not None and not same and view.heartbeats.has_session(broker_id, view.now_ms):
        raise ApiError(
            ErrorCode.DUPLICATE_BROKER_REGISTRATION,
            "Another broker is registered with that broker id.",
        )
    if request.is_migrating_zk_broker:
        raise ApiError(
            ErrorCode.BROKER_ID_NOT_REGISTERED,
            "Controller does not support registering ZK brokers.",
        )
    if view.image.metadata_version >= 17:
        _check_directories(view, request)
    record = r.RegisterBrokerRecord(
        broker_id=broker_id,
        incarnation_id=request.incarnation_id,
        end_points=[
            r.RegisterBrokerRecord.BrokerEndpoint(
                name=one.name,
                host=one.host,
                port=one.port,
                security_protocol=one.security_protocol,
            )
            for one in request.listeners
        ],
        features=_registered_features(view, request),
        rack=request.rack,
        fenced=True,
        in_controlled_shutdown=False,
    )
    if view.image.metadata_version >= 17:
        record.log_dirs = list(request.log_dirs)
    records: list[Any] = []
    if existing is not None and same:
        record.fenced = existing.fenced
        record.in_controlled_shutdown = existing.in_controlled_shutdown
        record.broker_epoch = existing.epoch
    else:
        if _stopped_uncleanly(view, request, existing):
            records += _without_broker(view, broker_id, unclean=True)
        record.broker_epoch = view.next_offset + len(records)
        view.heartbeats.remove(broker_id)
    records.append(record)
    view.heartbeats.register(broker_id, fenced=record.fenced, now_ms=view.now_ms)
    return Result(records, BrokerRegistrationResponse(broker_epoch=record.broker_epoch))


def _stopped_uncleanly(
    view: View, request: BrokerRegistrationRequest, existing: BrokerRegistration | None
) -> bool:
    """Whether the broker may have lost a tail: it cannot name its last epoch (KIP-966)."""
    if not view.elr_enabled:
        return False
    if view.api_version < 3:
        return existing is not None
    return existing is not None and request.previous_broker_epoch != existing.epoch


def _check_directories(view: View, request: BrokerRegistrationRequest) -> None:
    directories = request.log_dirs

    def refused(reason: str) -> ApiError:
        return ApiError(ErrorCode.INVALID_REGISTRATION, reason)

    if not directories:
        raise refused("No directories specified in request")
    if any(not any(one[:15]) and one[15] < 100 for one in directories):
        raise refused("Reserved directory ID in request")
    if len(set(directories)) != len(directories):
        raise refused("Duplicate directory ID in request")
    for broker in view.image.brokers.values():
        if broker.id == request.broker_id:
            continue
        for directory in directories:
            if directory in broker.directories:
                from kafka_py.protocol.types import uuid_to_text

                raise refused(
                    f"Broker {broker.id} is already registered with directory "
                    f"{uuid_to_text(directory)}"
                )


def _registered_features(view: View, request: BrokerRegistrationRequest) -> list[Any]:
    """The broker's features, when they allow every finalized level."""
    row = r.RegisterBrokerRecord.BrokerFeature
    rows = []
    unverified = dict(view.image.features)
    for feature in request.features:
        low, high = feature.min_supported_version, feature.max_supported_version
        _check_finalized(view, feature.name, low, high)
        unverified.pop(feature.name, None)
        rows.append(row(name=feature.name, min_supported_version=low, max_supported_version=high))
    if "metadata.version" in unverified:
        del unverified["metadata.version"]
        _check_finalized(view, "metadata.version", 1, 1)
        rows.append(row(name="metadata.version", min_supported_version=1, max_supported_version=1))
    for name, level in unverified.items():
        if level:
            _check_finalized(view, name, 0, 0)
    return rows


def _check_finalized(view: View, name: str, low: int, high: int) -> None:
    finalized = view.image.features.get(name, 1 if name == "metadata.version" else 0)
    if not low <= finalized <= high:
        raise ApiError(
            ErrorCode.UNSUPPORTED_VERSION,
            "Unable to register because the broker does not support finalized version "
            f"{finalized} of {name}. The broker wants a version between {low} and {high}, "
            "inclusive.",
        )


def register_controller(view: View, request: ControllerRegistrationRequest) -> Result:
    """A controller says where it listens and what it supports (KIP-919)."""
    if view.image.metadata_version < 15:
        raise ApiError(
            ErrorCode.UNSUPPORTED_VERSION,
            "The current MetadataVersion is too old to support controller registrations.",
        )
    record = r.RegisterControllerRecord(
        controller_id=request.controller_id,
        incarnation_id=request.incarnation_id,
        zk_migration_ready=False,
        end_points=[
            r.RegisterControllerRecord.ControllerEndpoint(
                name=one.name,
                host=one.host,
                port=one.port,
                security_protocol=one.security_protocol,
            )
            for one in request.listeners
        ],
        features=[
            r.RegisterControllerRecord.ControllerFeature(
                name=one.name,
                min_supported_version=one.min_supported_version,
                max_supported_version=one.max_supported_version,
            )
            for one in request.features
        ],
    )
    return Result([record], ControllerRegistrationResponse(error_message=None))


# -- heartbeats and fencing ------------------------------------------------------------------------


class _Control(Enum):
    """What a broker is to the controller."""

    FENCED = 0
    UNFENCED = 1
    CONTROLLED_SHUTDOWN = 2
    SHUTDOWN_NOW = 3


def heartbeat(view: View, request: BrokerHeartbeatRequest) -> Result:
    """A broker lives, and may want to be unfenced, fenced or to stop."""
    broker = check_broker_epoch(view, request.broker_id, request.broker_epoch)
    now, following = _next_control(view, broker, request)
    records: list[Any] = []
    if following is not now:
        if following in (_Control.FENCED, _Control.SHUTDOWN_NOW):
            records += _fence(view, broker)
        elif following is _Control.UNFENCED:
            records += _unfence(view, broker)
        else:
            records += _control_shutdown(view, broker)
    fenced = following in (_Control.FENCED, _Control.SHUTDOWN_NOW)
    view.heartbeats.touch(
        broker.id,
        fenced=fenced,
        metadata_offset=request.current_metadata_offset,
        now_ms=view.now_ms,
    )
    if following is _Control.SHUTDOWN_NOW:
        view.heartbeats.presume_gone(broker.id)
    if following is _Control.CONTROLLED_SHUTDOWN:
        view.heartbeats.begin_controlled_shutdown(broker.id, view.next_offset)
    if view.image.metadata_version >= 17:
        records += _directories_offline(view, broker, request.offline_log_dirs)
    if view.image.metadata_version >= 30 and request.cordoned_log_dirs is not None:
        records += _cordon(broker, request.cordoned_log_dirs)
    reply = BrokerHeartbeatResponse(
        is_caught_up=request.current_metadata_offset >= broker.epoch,
        is_fenced=fenced,
        should_shut_down=following is _Control.SHUTDOWN_NOW,
    )
    return Result(records, reply)


def _next_control(
    view: View, broker: BrokerRegistration, request: BrokerHeartbeatRequest
) -> tuple[_Control, _Control]:
    if broker.fenced:
        now = _Control.FENCED
        if request.want_shut_down:
            return now, _Control.SHUTDOWN_NOW
        caught_up = request.current_metadata_offset >= broker.epoch
        return now, _Control.UNFENCED if not request.want_fence and caught_up else now
    if broker.in_controlled_shutdown:
        now = _Control.CONTROLLED_SHUTDOWN
        stays = _leads_any(view, broker.id) or not view.heartbeats.may_shut_down(broker.id)
        return now, now if stays else _Control.SHUTDOWN_NOW
    now = _Control.UNFENCED
    if request.want_fence:
        return now, _Control.SHUTDOWN_NOW if request.want_shut_down else _Control.FENCED
    if request.want_shut_down:
        if _leads_any(view, broker.id):
            return now, _Control.CONTROLLED_SHUTDOWN
        return now, _Control.SHUTDOWN_NOW
    return now, now


def _leads_any(view: View, broker_id: int) -> bool:
    return any(
        partition.leader == broker_id
        for topic in view.image.topics.values()
        for partition in topic.partitions.values()
    )


def _registration_change(broker: BrokerRegistration, **what: Any) -> Any:
    return r.BrokerRegistrationChangeRecord(broker_id=broker.id, broker_epoch=broker.epoch, **what)


def _fence(view: View, broker: BrokerRegistration) -> list[Any]:
    return [
        *_without_broker(view, broker.id),
        _registration_change(broker, fenced=_FENCE),
    ]


def _unfence(view: View, broker: BrokerRegistration) -> list[Any]:
    """Besides, partitions without a leader may be led by it."""
    records: list[Any] = [_registration_change(broker, fenced=_UNFENCE)]
    leaderless = (
        (topic, index, partition)
        for topic, index, partition in _partitions(view)
        if partition.leader == -1
    )
    return records + _changes(view, leaderless, plus=broker.id)


def _control_shutdown(view: View, broker: BrokerRegistration) -> list[Any]:
    if not broker.in_controlled_shutdown and view.image.metadata_version >= 7:
        change = [_registration_change(broker, in_controlled_shutdown=1)]
    else:
        change = []
    return change + _without_broker(view, broker.id)


def _partitions(view: View) -> Iterable[tuple[TopicImage, int, PartitionImage]]:
    """All partitions, by topic name, so that equal images lead to equal records."""
    for name in sorted(view.image.topics):
        topic = view.image.topics[name]
        for index in sorted(topic.partitions):
            yield topic, index, topic.partitions[index]


def _without_broker(view: View, broker_id: int, *, unclean: bool = False) -> list[Any]:
    """The broker leaves every ISR (and ELR, when it stopped uncleanly) and leads nothing."""
    concerned = (
        (topic, index, partition)
        for topic, index, partition in _partitions(view)
        if broker_id in partition.isr or (unclean and broker_id in partition.elr)
    )
    return _changes(view, concerned, without=broker_id, unclean=unclean)


def _changes(
    view: View,
    partitions: Iterable[tuple[TopicImage, int, PartitionImage]],
    *,
    without: int = -1,
    plus: int = -1,
    unclean: bool = False,
) -> list[Any]:
    records = []
    for topic, index, partition in partitions:
        target = Target(
            isr=tuple(broker for broker in partition.isr if broker != without),
            unclean_shutdown=without if unclean else None,
        )
        if view.unclean_election_allowed(topic.name):
            target.election = Election.UNCLEAN
        can_lead = acceptable_leader(view, partition, without=without, plus=plus)
        record = change_partition(
            view, topic.name, topic.id, index, partition, target, can_lead=can_lead
        )
        if record is not None:
            records.append(record)
    return records


def _directories_offline(view: View, broker: BrokerRegistration, offline: list[bytes]) -> list[Any]:
    """Replicas in directories that the broker lost leave their ISR."""
    lost = [directory for directory in offline if directory in broker.directories]
    if not lost:
        return []
    concerned = (
        (topic, index, partition)
        for topic, index, partition in _partitions(view)
        if broker.id in partition.isr and partition.directory(broker.id) in lost
    )
    left = [directory for directory in broker.directories if directory not in lost]
    records = _changes(view, concerned, without=broker.id)
    return [*records, _registration_change(broker, log_dirs=left)]


def _cordon(broker: BrokerRegistration, cordoned: list[bytes]) -> list[Any]:
    """Directories that take no new replicas (KIP-1066)."""
    wanted = [directory for directory in cordoned if directory in broker.directories]
    if tuple(wanted) == broker.cordoned_directories:
        return []
    return [_registration_change(broker, cordoned_log_dirs=wanted)]


def fence_stale_broker(view: View) -> Result:
    """Fence one broker whose session is over; no records when there is none."""
    broker_id = view.heartbeats.stale(view.now_ms)
    if broker_id is None:
        return Result()
    view.heartbeats.fence(broker_id)
    broker = view.image.brokers.get(broker_id)
    if broker is None or broker.fenced:
        return Result()
    return Result(_fence(view, broker))


def unregister_broker(view: View, request: UnregisterBrokerRequest) -> Result:
    """Forget a broker: it leaves every ISR and ELR."""
    broker = view.image.brokers.get(request.broker_id)
    if broker is None:
        raise ApiError(
            ErrorCode.BROKER_ID_NOT_REGISTERED,
            f"Broker ID {request.broker_id} is not currently registered",
        )
    records = _without_broker(view, broker.id, unclean=True)
    records.append(r.UnregisterBrokerRecord(broker_id=broker.id, broker_epoch=broker.epoch))
    view.heartbeats.remove(broker.id)
    return Result(records, UnregisterBrokerResponse(error_message=None))
