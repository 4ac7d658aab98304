"""An image as the records that rebuild it: the content of a metadata snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kafka_py.metadata.features import METADATA_VERSION
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import BrokerRegistration, ControllerRegistration, TopicImage
from kafka_py.protocol import records_metadata as r

__all__ = ["image_of", "image_records"]


def image_records(image: MetadataImage) -> Iterator[Any]:
    """The records of a snapshot, in Kafka's order; within a kind sorted, so that equal images give
    equal records. metadata.version comes first: it says how to read what follows."""
    yield r.FeatureLevelRecord(name=METADATA_VERSION, feature_level=image.metadata_version)
    for name in sorted(image.features):
        if name != METADATA_VERSION:
            yield r.FeatureLevelRecord(name=name, feature_level=image.features[name])
    for broker_id in sorted(image.brokers):
        yield _broker(image.brokers[broker_id])
    for node_id in sorted(image.controllers):
        yield _controller(image.controllers[node_id])
    for topic_name in sorted(image.topics):
        yield from _topic(image.topics[topic_name])
    for kind, name in sorted(image.configs):
        values = image.configs[(kind, name)]
        for key in sorted(values):
            yield r.ConfigRecord(
                resource_type=kind, resource_name=name, name=key, value=values[key]
            )
    yield from _quotas(image)
    if image.producer_ids_next > 0:
        yield r.ProducerIdsRecord(
            broker_id=-1, broker_epoch=-1, next_producer_id=image.producer_ids_next
        )
    yield from _security(image)


def image_of(records: Iterable[Any], offset: int, epoch: int) -> MetadataImage:
    """The image that these records make: everything below `offset + 1`."""
    image = MetadataImage()
    for record in records:
        image.apply(record)
    image.offset = offset
    image.epoch = epoch
    image.mark_everything_changed()
    return image


def _broker(broker: BrokerRegistration) -> r.RegisterBrokerRecord:
    record = r.RegisterBrokerRecord
    return record(
        broker_id=broker.id,
        is_migrating_zk_broker=broker.is_migrating_zk_broker,
        incarnation_id=broker.incarnation_id,
        broker_epoch=broker.epoch,
        end_points=[
            record.BrokerEndpoint(
                name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol
            )
            for e in broker.endpoints
        ],
        features=[
            record.BrokerFeature(
                name=name, min_supported_version=span.min, max_supported_version=span.max
            )
            for name, span in broker.features.items()
        ],
        rack=broker.rack,
        fenced=broker.fenced,
        in_controlled_shutdown=broker.in_controlled_shutdown,
        log_dirs=list(broker.directories),
        cordoned_log_dirs=list(broker.cordoned_directories) or None,
    )


def _controller(controller: ControllerRegistration) -> r.RegisterControllerRecord:
    record = r.RegisterControllerRecord
    return record(
        controller_id=controller.id,
        incarnation_id=controller.incarnation_id,
        zk_migration_ready=controller.zk_migration_ready,
        end_points=[
            record.ControllerEndpoint(
                name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol
            )
            for e in controller.endpoints
        ],
        features=[
            record.ControllerFeature(
                name=name, min_supported_version=span.min, max_supported_version=span.max
            )
            for name, span in controller.features.items()
        ],
    )


def _topic(topic: TopicImage) -> Iterator[Any]:
    yield r.TopicRecord(name=topic.name, topic_id=topic.id)
    for index in sorted(topic.partitions):
        partition = topic.partitions[index]
        yield r.PartitionRecord(
            partition_id=index,
            topic_id=topic.id,
            replicas=list(partition.replicas),
            isr=list(partition.isr),
            removing_replicas=list(partition.removing_replicas),
            adding_replicas=list(partition.adding_replicas),
            leader=partition.leader,
            leader_recovery_state=partition.leader_recovery_state,
            leader_epoch=partition.leader_epoch,
            partition_epoch=partition.partition_epoch,
            directories=list(partition.directories),
            eligible_leader_replicas=list(partition.elr) or None,
            last_known_elr=list(partition.last_known_elr) or None,
        )


def _quotas(image: MetadataImage) -> Iterator[Any]:
    record = r.ClientQuotaRecord
    rows = sorted(image.quotas, key=lambda entity: [(kind, name or "") for kind, name in entity])
    for entity in rows:
        for key, value in sorted(image.quotas[entity].items()):
            yield record(
                entity=[
                    record.EntityData(entity_type=kind, entity_name=name) for kind, name in entity
                ],
                key=key,
                value=value,
                remove=False,
            )


def _security(image: MetadataImage) -> Iterator[Any]:
    for acl_id in sorted(image.acls):
        acl = image.acls[acl_id]
        yield r.AccessControlEntryRecord(
            id=acl_id,
            resource_type=acl.resource_type,
            resource_name=acl.resource_name,
            pattern_type=acl.pattern_type,
            principal=acl.principal,
            host=acl.host,
            operation=acl.operation,
            permission_type=acl.permission_type,
        )
    for mechanism, user in sorted(image.scram):
        credential = image.scram[(mechanism, user)]
        yield r.UserScramCredentialRecord(
            name=user,
            mechanism=mechanism,
            salt=credential.salt,
            stored_key=credential.stored_key,
            server_key=credential.server_key,
            iterations=credential.iterations,
        )
    for token_id in sorted(image.delegation_tokens):
        token = image.delegation_tokens[token_id]
        yield r.DelegationTokenRecord(
            owner=token.owner,
            requester=token.requester,
            renewers=list(token.renewers),
            issue_timestamp=token.issue_timestamp_ms,
            max_timestamp=token.max_timestamp_ms,
            expiration_timestamp=token.expiry_timestamp_ms,
            token_id=token.token_id,
        )
