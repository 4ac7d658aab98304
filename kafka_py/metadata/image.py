"""MetadataImage: what the metadata log says, by one replay for controller and brokers alike.

An image is either *working* or *published*.  A working image changes by `apply(record)` alone,
which is total over Kafka's metadata records (a record that contradicts the image is a broken
invariant: `ImageError`), reads no clock and draws no random number.  `publish()` gives an
immutable copy that shares everything: tables are `PersistentMap`s, rows are immutable values, and
a topic's partition dict is copied on its first change after a publication.

Records between BeginTransactionRecord and EndTransactionRecord (KIP-868) show together at the end
or, after AbortTransactionRecord, never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kafka_py.metadata.persistent_map import PersistentMap
from kafka_py.metadata.types import (
    DIRECTORY_MIGRATING,
    EMPTY,
    Acl,
    BrokerRegistration,
    ChangedMetadata,
    ConfigResource,
    ControllerRegistration,
    DelegationToken,
    Endpoint,
    PartitionImage,
    ScramCredential,
    TopicImage,
    VersionRange,
)
from kafka_py.protocol import records_metadata as r

__all__ = ["ImageError", "MetadataImage", "QuotaEntity"]

#: A quota's entity: sorted (type, name) pairs; name None means the default of that type.
QuotaEntity = tuple[tuple[str, str | None], ...]

_NO_LEADER_CHANGE = -2
_FEATURE_METADATA_VERSION = "metadata.version"

T = TypeVar("T")


class ImageError(AssertionError):
    """A record contradicts the image: the log is not one that a Kafka controller wrote."""


class MetadataImage:
    """Everything that a node knows of its cluster, at one offset of the metadata log.

    Attributes (read only; change them by `apply`):
      features            {feature name: finalized level}; level 0 is absent
      brokers             {id: BrokerRegistration}
      controllers         {id: ControllerRegistration}
      topics              {name: TopicImage}
      topics_by_id        {16-byte id: TopicImage}
      configs             {(resource type, resource name): {key: value}}
      quotas              {QuotaEntity: {key: float}}
      acls                {16-byte id: Acl}
      scram               {(mechanism, user): ScramCredential}
      delegation_tokens   {token id: DelegationToken}
      producer_ids_next   the first producer id of the next block
      offset, epoch       of the last record applied; -1 before the first
      in_transaction      a metadata transaction is open
    """

    __slots__ = (
        "_changed",
        "_owner",
        "_pending",
        "acls",
        "brokers",
        "configs",
        "controllers",
        "delegation_tokens",
        "epoch",
        "features",
        "frozen",
        "offset",
        "producer_ids_next",
        "quotas",
        "scram",
        "topics",
        "topics_by_id",
        "transaction_name",
    )

    def __init__(self) -> None:
        self.features: PersistentMap[str, int] = PersistentMap()
        self.brokers: PersistentMap[int, BrokerRegistration] = PersistentMap()
        self.controllers: PersistentMap[int, ControllerRegistration] = PersistentMap()
        self.topics: PersistentMap[str, TopicImage] = PersistentMap()
        self.topics_by_id: PersistentMap[bytes, TopicImage] = PersistentMap()
        self.configs: PersistentMap[tuple[int, str], Mapping[str, str | None]] = PersistentMap()
        self.quotas: PersistentMap[QuotaEntity, Mapping[str, float]] = PersistentMap()
        self.acls: PersistentMap[bytes, Acl] = PersistentMap()
        self.scram: PersistentMap[tuple[int, str], ScramCredential] = PersistentMap()
        self.delegation_tokens: PersistentMap[str, DelegationToken] = PersistentMap()
        self.producer_ids_next = 0
        self.offset = -1
        self.epoch = -1
        self.frozen = False
        self.transaction_name: str | None = None
        self._pending: list[Any] | None = None
        self._owner: object = object()
        self._changed = ChangedMetadata()

    # -- reading ---------------------------------------------------------------------------------

    @property
    def metadata_version(self) -> int:
        """The finalized level of metadata.version; 0 before the first record."""
        return self.features.get(_FEATURE_METADATA_VERSION, 0)  # type: ignore[no-any-return]

    @property
    def in_transaction(self) -> bool:
        """Whether records are waiting for the end of a metadata transaction."""
        return self._pending is not None

    def topic_config(self, name: str) -> Mapping[str, str | None]:
        """The dynamic configs of that topic."""
        return self.configs.get((int(ConfigResource.TOPIC), name), EMPTY)  # type: ignore[no-any-return]

    def broker_config(self, broker_id: int | None) -> Mapping[str, str | None]:
        """The dynamic configs of that broker; None for the cluster-wide default."""
        name = "" if broker_id is None else str(broker_id)
        return self.configs.get((int(ConfigResource.BROKER), name), EMPTY)  # type: ignore[no-any-return]

    def partition(self, topic: str, index: int) -> PartitionImage | None:
        """That partition, or None."""
        image = self.topics.get(topic)
        return None if image is None else image.partitions.get(index)

    def partition_by_id(self, topic_id: bytes, index: int) -> PartitionImage | None:
        """That partition, or None."""
        image = self.topics_by_id.get(topic_id)
        return None if image is None else image.partitions.get(index)

    def __eq__(self, other: object) -> bool:
        """Same content; provenance (offset, epoch) and unpublished changes do not count."""
        if not isinstance(other, MetadataImage):
            return NotImplemented
        return self.producer_ids_next == other.producer_ids_next and all(
            getattr(self, table) == getattr(other, table) for table in _TABLES
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def changed(self) -> bool:
        """Whether anything changed since the last `publish`."""
        return bool(self._changed)

    # -- publication -----------------------------------------------------------------------------

    def publish(self) -> tuple[MetadataImage, ChangedMetadata]:
        """An immutable copy, and what changed since the previous call. O(1)."""
        changed, self._changed = self._changed, ChangedMetadata()
        self._owner = object()
        return self._copy(frozen=True), changed

    def thaw(self) -> MetadataImage:
        """A working copy; neither notices the other's changes. O(1)."""
        self._owner = object()
        return self._copy(frozen=False)

    def _copy(self, *, frozen: bool) -> MetadataImage:
        copy = MetadataImage.__new__(MetadataImage)
        for table in _TABLES:
            source = getattr(self, table)
            setattr(copy, table, source.freeze() if frozen else source.thaw())
        copy.producer_ids_next = self.producer_ids_next
        copy.offset = self.offset
        copy.epoch = self.epoch
        copy.frozen = frozen
        copy.transaction_name = self.transaction_name
        copy._pending = None if self._pending is None else list(self._pending)
        copy._owner = object()
        copy._changed = ChangedMetadata()
        return copy

    def mark_everything_changed(self) -> None:
        """Make the next `publish` say so: a snapshot took the place of the previous content."""
        self._changed = ChangedMetadata(everything=True)

    # -- the only mutator ------------------------------------------------------------------------

    def apply(self, record: Any) -> None:
        """Apply one metadata record.  Raises ImageError when it contradicts the image."""
        if self.frozen:
            raise TypeError("a published metadata image cannot be changed")
        kind = type(record)
        if kind is r.BeginTransactionRecord:
            self._begin_transaction(record)
        elif kind is r.EndTransactionRecord:
            self._end_transaction()
        elif kind is r.AbortTransactionRecord:
            self._abort_transaction()
        elif self._pending is not None:
            self._pending.append(record)
        else:
            self._apply_now(record)

    def _apply_now(self, record: Any) -> None:
        apply = _APPLY.get(type(record))
        if apply is None:
            raise ImageError(f"{type(record).__name__} is not a metadata record")
        apply(self, record)

    def _begin_transaction(self, record: Any) -> None:
        if self._pending is not None:
            raise ImageError("a metadata transaction begins inside another one")
        self._pending = []
        self.transaction_name = record.name

    def _end_transaction(self) -> None:
        if self._pending is None:
            raise ImageError("a metadata transaction ends that never began")
        pending, self._pending = self._pending, None
        self.transaction_name = None
        for record in pending:
            self._apply_now(record)

    def _abort_transaction(self) -> None:
        if self._pending is None:
            raise ImageError("a metadata transaction is aborted that never began")
        self._pending = None
        self.transaction_name = None

    # -- brokers and controllers -----------------------------------------------------------------

    def _register_broker(self, record: r.RegisterBrokerRecord) -> None:
        self.brokers[record.broker_id] = BrokerRegistration(
            id=record.broker_id,
            epoch=record.broker_epoch,
            incarnation_id=record.incarnation_id,
            endpoints=_endpoints(record.end_points),
            features=_features(record.features),
            rack=record.rack,
            fenced=record.fenced,
            in_controlled_shutdown=record.in_controlled_shutdown,
            directories=tuple(record.log_dirs or ()),
            cordoned_directories=tuple(record.cordoned_log_dirs or ()),
            is_migrating_zk_broker=record.is_migrating_zk_broker,
        )
        self._changed.brokers.add(record.broker_id)

    def _unregister_broker(self, record: r.UnregisterBrokerRecord) -> None:
        self._broker(record.broker_id, record.broker_epoch, "unregister")
        del self.brokers[record.broker_id]
        self._changed.brokers.add(record.broker_id)

    def _broker(self, broker_id: int, epoch: int, action: str) -> BrokerRegistration:
        broker: BrokerRegistration | None = self.brokers.get(broker_id)
        if broker is None:
            raise ImageError(f"cannot {action} broker {broker_id}: it is not registered")
        if broker.epoch != epoch:
            raise ImageError(
                f"cannot {action} broker {broker_id}: the record's epoch is {epoch}, "
                f"the broker's {broker.epoch}"
            )
        return broker

    def _set_broker(self, broker: BrokerRegistration) -> None:
        if self.brokers.get(broker.id) != broker:
            self.brokers[broker.id] = broker
            self._changed.brokers.add(broker.id)

    def _fence_broker(self, record: r.FenceBrokerRecord) -> None:
        self._set_broker(self._broker(record.id, record.epoch, "fence")._replace(fenced=True))

    def _unfence_broker(self, record: r.UnfenceBrokerRecord) -> None:
        self._set_broker(self._broker(record.id, record.epoch, "unfence")._replace(fenced=False))

    def _change_broker(self, record: r.BrokerRegistrationChangeRecord) -> None:
        broker = self._broker(record.broker_id, record.broker_epoch, "change")
        if record.fenced not in (-1, 0, 1) or record.in_controlled_shutdown not in (0, 1):
            raise ImageError(f"unknown state in a change of broker {record.broker_id}")
        if record.fenced:
            broker = broker._replace(fenced=record.fenced > 0)
        if record.in_controlled_shutdown:
            broker = broker._replace(in_controlled_shutdown=True)
        if record.log_dirs:
            broker = broker._replace(directories=tuple(record.log_dirs))
        if record.cordoned_log_dirs is not None:
            broker = broker._replace(cordoned_directories=tuple(record.cordoned_log_dirs))
        self._set_broker(broker)

    def _register_controller(self, record: r.RegisterControllerRecord) -> None:
        self.controllers[record.controller_id] = ControllerRegistration(
            id=record.controller_id,
            incarnation_id=record.incarnation_id,
            endpoints=_endpoints(record.end_points),
            features=_features(record.features),
            zk_migration_ready=record.zk_migration_ready,
        )
        self._changed.controllers.add(record.controller_id)

    def _unregister_controller(self, record: r.UnregisterControllerRecord) -> None:
        self.controllers.pop(record.controller_id)
        self._changed.controllers.add(record.controller_id)

    # -- topics ----------------------------------------------------------------------------------

    def _add_topic(self, record: r.TopicRecord) -> None:
        if record.topic_id in self.topics_by_id or record.name in self.topics:
            raise ImageError(f"topic {record.name} is created twice")
        topic = TopicImage(record.name, record.topic_id, owner=self._owner)
        self.topics[record.name] = topic
        self.topics_by_id[record.topic_id] = topic
        self._changed.topics[record.topic_id] = set()

    def _remove_topic(self, record: r.RemoveTopicRecord) -> None:
        topic = self.topics_by_id.pop(record.topic_id)
        if topic is None:
            raise ImageError(f"topic {record.topic_id.hex()} is deleted but does not exist")
        del self.topics[topic.name]
        key = (int(ConfigResource.TOPIC), topic.name)
        if self.configs.pop(key) is not None:
            self._changed.configs.add(key)
        self._changed.topics.pop(record.topic_id, None)
        self._changed.topics_deleted[record.topic_id] = topic

    def _set_partition(self, topic_id: bytes, index: int, partition: PartitionImage) -> None:
        topic = self.topics_by_id.get(topic_id)
        if topic is None:
            raise ImageError(f"a partition of topic {topic_id.hex()}, which does not exist")
        if topic._owner is not self._owner:
            topic = TopicImage(topic.name, topic.id, dict(topic.partitions), self._owner)
            self.topics[topic.name] = topic
            self.topics_by_id[topic_id] = topic
        topic.partitions[index] = partition
        self._changed.topics.setdefault(topic_id, set()).add(index)

    def _add_partition(self, record: r.PartitionRecord) -> None:
        replicas = tuple(record.replicas)
        partition = PartitionImage(
            replicas=replicas,
            isr=tuple(record.isr),
            leader=record.leader,
            leader_epoch=record.leader_epoch,
            partition_epoch=record.partition_epoch,
            directories=_directories(record.directories, replicas),
            elr=tuple(record.eligible_leader_replicas or ()),
            last_known_elr=tuple(record.last_known_elr or ()),
            removing_replicas=tuple(record.removing_replicas or ()),
            adding_replicas=tuple(record.adding_replicas or ()),
            leader_recovery_state=record.leader_recovery_state,
        )
        self._set_partition(record.topic_id, record.partition_id, partition)

    def _change_partition(self, record: r.PartitionChangeRecord) -> None:
        old = self.partition_by_id(record.topic_id, record.partition_id)
        if old is None:
            raise ImageError(
                f"partition {record.topic_id.hex()}-{record.partition_id} is changed "
                "but does not exist"
            )
        replicas = _or(record.replicas, old.replicas)
        directories: Any = record.directories
        if directories is None:
            directories = old.directories if len(replicas) == len(old.replicas) else ()
        same_leader = record.leader == _NO_LEADER_CHANGE
        recovery = record.leader_recovery_state
        partition = PartitionImage(
            replicas=replicas,
            isr=_or(record.isr, old.isr),
            leader=old.leader if same_leader else record.leader,
            leader_epoch=old.leader_epoch if same_leader else old.leader_epoch + 1,
            partition_epoch=old.partition_epoch + 1,
            directories=_directories(directories, replicas),
            elr=_or(record.eligible_leader_replicas, old.elr),
            last_known_elr=_or(record.last_known_elr, old.last_known_elr),
            removing_replicas=_or(record.removing_replicas, old.removing_replicas),
            adding_replicas=_or(record.adding_replicas, old.adding_replicas),
            leader_recovery_state=old.leader_recovery_state if recovery < 0 else recovery,
        )
        self._set_partition(record.topic_id, record.partition_id, partition)

    def _clear_elr(self, record: r.ClearElrRecord) -> None:
        if record.topic_name and record.topic_name not in self.topics:
            raise ImageError(f"topic {record.topic_name} has its ELR cleared but does not exist")
        names = [record.topic_name] if record.topic_name else list(self.topics)
        for topic in [self.topics[name] for name in names]:
            for index, old in list(topic.partitions.items()):
                if old.elr or old.last_known_elr:
                    new = old._replace(
                        elr=(), last_known_elr=(), partition_epoch=old.partition_epoch + 1
                    )
                    self._set_partition(topic.id, index, new)

    # -- configs, features, quotas ---------------------------------------------------------------

    def _config(self, record: r.ConfigRecord) -> None:
        key = (int(record.resource_type), record.resource_name)
        self._put_or_remove(self.configs, key, record.name, record.value)
        self._changed.configs.add(key)

    def _feature(self, record: r.FeatureLevelRecord) -> None:
        if record.feature_level == 0 and record.name != _FEATURE_METADATA_VERSION:
            self.features.pop(record.name)
        else:
            self.features[record.name] = record.feature_level
        self._changed.features.add(record.name)

    def _quota(self, record: r.ClientQuotaRecord) -> None:
        entity = tuple(sorted((e.entity_type, e.entity_name) for e in record.entity))
        value = None if record.remove else record.value
        self._put_or_remove(self.quotas, entity, record.key, value)
        self._changed.quotas = True

    @staticmethod
    def _put_or_remove(
        table: PersistentMap[Any, Mapping[str, Any]], row: object, key: str, value: Any
    ) -> None:
        """Set `key` of a row, or remove it when `value` is None; an empty row goes."""
        values = dict(table.get(row, EMPTY))
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
        if values:
            table[row] = values
        else:
            table.pop(row)

    def _producer_ids(self, record: r.ProducerIdsRecord) -> None:
        if record.next_producer_id < self.producer_ids_next:
            raise ImageError(
                f"the next producer id goes back from {self.producer_ids_next} "
                f"to {record.next_producer_id}"
            )
        self.producer_ids_next = record.next_producer_id
        self._changed.producer_ids = True

    # -- security --------------------------------------------------------------------------------

    def _acl(self, record: r.AccessControlEntryRecord) -> None:
        self.acls[record.id] = Acl(
            record.resource_type,
            record.resource_name,
            record.pattern_type,
            record.principal,
            record.host,
            record.operation,
            record.permission_type,
        )
        self._changed.acls.add(record.id)

    def _remove_acl(self, record: r.RemoveAccessControlEntryRecord) -> None:
        if self.acls.pop(record.id) is None:
            raise ImageError(f"ACL {record.id.hex()} is removed but does not exist")
        self._changed.acls.add(record.id)

    def _scram(self, record: r.UserScramCredentialRecord) -> None:
        self.scram[(record.mechanism, record.name)] = ScramCredential(
            bytes(record.salt),
            bytes(record.stored_key),
            bytes(record.server_key),
            record.iterations,
        )
        self._changed.scram = True

    def _remove_scram(self, record: r.RemoveUserScramCredentialRecord) -> None:
        self.scram.pop((record.mechanism, record.name))
        self._changed.scram = True

    def _delegation_token(self, record: r.DelegationTokenRecord) -> None:
        self.delegation_tokens[record.token_id] = DelegationToken(
            record.token_id,
            record.owner,
            record.requester,
            tuple(record.renewers),
            record.issue_timestamp,
            record.max_timestamp,
            record.expiration_timestamp,
        )
        self._changed.delegation_tokens = True

    def _remove_delegation_token(self, record: r.RemoveDelegationTokenRecord) -> None:
        self.delegation_tokens.pop(record.token_id)
        self._changed.delegation_tokens = True

    def _nothing(self, record: object) -> None:
        """NoOpRecord, and the ZooKeeper migration state, which 4.x only reads over."""


def _or(new: list[T] | None, old: tuple[T, ...]) -> tuple[T, ...]:
    return old if new is None else tuple(new)


def _directories(directories: Any, replicas: tuple[int, ...]) -> tuple[bytes, ...]:
    """The directory of each replica; unknown ones (records before KIP-858) are MIGRATING."""
    if not directories:
        return (DIRECTORY_MIGRATING,) * len(replicas)
    if len(directories) != len(replicas):
        raise ImageError(f"{len(directories)} directories for {len(replicas)} replicas")
    return tuple(directories)


def _endpoints(end_points: list[Any]) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(e.name, e.host, e.port, e.security_protocol) for e in end_points)


def _features(features: list[Any]) -> dict[str, VersionRange]:
    return {
        f.name: VersionRange(f.min_supported_version, f.max_supported_version) for f in features
    }


_TABLES = (
    "features",
    "brokers",
    "controllers",
    "topics",
    "topics_by_id",
    "configs",
    "quotas",
    "acls",
    "scram",
    "delegation_tokens",
)

_APPLY: dict[type, Callable[[MetadataImage, Any], None]] = {
    r.RegisterBrokerRecord: MetadataImage._register_broker,
    r.UnregisterBrokerRecord: MetadataImage._unregister_broker,
    r.TopicRecord: MetadataImage._add_topic,
    r.PartitionRecord: MetadataImage._add_partition,
    r.ConfigRecord: MetadataImage._config,
    r.PartitionChangeRecord: MetadataImage._change_partition,
    r.FenceBrokerRecord: MetadataImage._fence_broker,
    r.UnfenceBrokerRecord: MetadataImage._unfence_broker,
    r.RemoveTopicRecord: MetadataImage._remove_topic,
    r.DelegationTokenRecord: MetadataImage._delegation_token,
    r.UserScramCredentialRecord: MetadataImage._scram,
    r.FeatureLevelRecord: MetadataImage._feature,
    r.ClientQuotaRecord: MetadataImage._quota,
    r.ProducerIdsRecord: MetadataImage._producer_ids,
    r.BrokerRegistrationChangeRecord: MetadataImage._change_broker,
    r.AccessControlEntryRecord: MetadataImage._acl,
    r.RemoveAccessControlEntryRecord: MetadataImage._remove_acl,
    r.NoOpRecord: MetadataImage._nothing,
    r.ZkMigrationStateRecord: MetadataImage._nothing,
    r.RemoveUserScramCredentialRecord: MetadataImage._remove_scram,
    r.RemoveDelegationTokenRecord: MetadataImage._remove_delegation_token,
    r.RegisterControllerRecord: MetadataImage._register_controller,
    r.ClearElrRecord: MetadataImage._clear_elr,
    r.UnregisterControllerRecord: MetadataImage._unregister_controller,
}
