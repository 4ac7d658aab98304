"""MetadataImage: every record type, transactions, publication, copy on write."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kafka_py.metadata.image import ImageError, MetadataImage
from kafka_py.metadata.snapshot import image_of, image_records
from kafka_py.metadata.types import (
    DIRECTORY_MIGRATING,
    BrokerRegistration,
    Endpoint,
    ScramCredential,
    VersionRange,
)
from kafka_py.protocol import records_metadata as r

TOPIC = b"t" * 16
DIR = b"d" * 16


def image_with_topic(partitions: int = 2) -> MetadataImage:
    image = MetadataImage()
    image.apply(r.FeatureLevelRecord(name="metadata.version", feature_level=30))
    image.apply(r.TopicRecord(name="foo", topic_id=TOPIC))
    for index in range(partitions):
        image.apply(partition(index))
    return image


def partition(index: int, topic_id: bytes = TOPIC, **fields: Any) -> r.PartitionRecord:
    values: dict[str, Any] = {
        "partition_id": index,
        "topic_id": topic_id,
        "replicas": [1, 2],
        "isr": [1, 2],
        "leader": 1,
        "leader_epoch": 0,
        "partition_epoch": 0,
        "directories": [DIR, DIR],
    }
    return r.PartitionRecord(**{**values, **fields})


def broker(broker_id: int = 1, epoch: int = 5, **fields: Any) -> r.RegisterBrokerRecord:
    record = r.RegisterBrokerRecord
    return record(
        broker_id=broker_id,
        broker_epoch=epoch,
        incarnation_id=b"i" * 16,
        end_points=[record.BrokerEndpoint(name="P", host="h", port=9092, security_protocol=0)],
        features=[
            record.BrokerFeature(
                name="metadata.version", min_supported_version=7, max_supported_version=30
            )
        ],
        rack=None,
        log_dirs=[DIR],
        **fields,
    )


def test_topic_and_partitions() -> None:
    image = image_with_topic()
    topic = image.topics["foo"]
    assert topic is image.topics_by_id[TOPIC]
    assert sorted(topic.partitions) == [0, 1]
    first = image.partition("foo", 0)
    assert first is not None
    assert (first.replicas, first.isr, first.leader) == ((1, 2), (1, 2), 1)
    assert first.directory(2) == DIR
    assert image.partition("foo", 7) is None
    assert image.partition_by_id(b"x" * 16, 0) is None


def test_partition_change_raises_epochs_only_where_it_should() -> None:
    image = image_with_topic()
    image.apply(r.PartitionChangeRecord(partition_id=0, topic_id=TOPIC, isr=[1]))
    changed = image.partition("foo", 0)
    assert changed is not None
    assert (changed.isr, changed.leader, changed.leader_epoch) == ((1,), 1, 0)
    assert changed.partition_epoch == 1
    image.apply(
        r.PartitionChangeRecord(
            partition_id=0,
            topic_id=TOPIC,
            leader=-1,
            isr=[],
            eligible_leader_replicas=[1],
            last_known_elr=[1],
            leader_recovery_state=1,
        )
    )
    changed = image.partition("foo", 0)
    assert changed is not None
    assert (changed.leader, changed.leader_epoch, changed.partition_epoch) == (-1, 1, 2)
    assert (changed.elr, changed.last_known_elr, changed.leader_recovery_state) == ((1,), (1,), 1)
    other = image.partition("foo", 1)
    assert other is not None
    assert other.partition_epoch == 0


def test_partition_records_of_before_directories_are_migrating() -> None:
    image = image_with_topic(0)
    image.apply(partition(0, directories=[]))
    row = image.partition("foo", 0)
    assert row is not None
    assert row.directories == (DIRECTORY_MIGRATING, DIRECTORY_MIGRATING)
    with pytest.raises(ImageError, match="1 directories for 2 replicas"):
        image.apply(partition(1, directories=[DIR]))


def test_clear_elr_of_one_topic_and_of_all() -> None:
    image = image_with_topic(0)
    image.apply(partition(0, eligible_leader_replicas=[2], last_known_elr=[1]))
    image.apply(r.ClearElrRecord(topic_name="foo"))
    row = image.partition("foo", 0)
    assert row is not None
    assert (row.elr, row.last_known_elr, row.partition_epoch) == ((), (), 1)
    image.apply(r.ClearElrRecord(topic_name=""))
    assert image.partition("foo", 0) == row
    with pytest.raises(ImageError):
        image.apply(r.ClearElrRecord(topic_name="nobody"))


def test_removing_a_topic_removes_its_configs() -> None:
    image = image_with_topic()
    image.apply(r.ConfigRecord(resource_type=2, resource_name="foo", name="k", value="v"))
    assert image.topic_config("foo") == {"k": "v"}
    image.publish()
    image.apply(r.RemoveTopicRecord(topic_id=TOPIC))
    published, changed = image.publish()
    assert not published.topics
    assert not published.configs
    assert list(changed.topics_deleted) == [TOPIC]
    assert changed.topics_deleted[TOPIC].name == "foo"
    assert changed.configs == {(2, "foo")}


def test_brokers_come_change_and_go() -> None:
    image = MetadataImage()
    image.apply(broker())
    assert image.brokers[1] == BrokerRegistration(
        id=1,
        epoch=5,
        incarnation_id=b"i" * 16,
        endpoints=(Endpoint("P", "h", 9092, 0),),
        features={"metadata.version": VersionRange(7, 30)},
        rack=None,
        fenced=True,
        in_controlled_shutdown=False,
        directories=(DIR,),
    )
    change = r.BrokerRegistrationChangeRecord
    image.apply(change(broker_id=1, broker_epoch=5, fenced=-1))
    assert image.brokers[1].active
    image.apply(change(broker_id=1, broker_epoch=5, in_controlled_shutdown=1))
    assert not image.brokers[1].active
    image.apply(change(broker_id=1, broker_epoch=5, log_dirs=[TOPIC], cordoned_log_dirs=[TOPIC]))
    assert image.brokers[1].directories == (TOPIC,)
    assert image.brokers[1].cordoned_directories == (TOPIC,)
    image.apply(r.FenceBrokerRecord(id=1, epoch=5))
    assert image.brokers[1].fenced
    image.apply(r.UnfenceBrokerRecord(id=1, epoch=5))
    assert not image.brokers[1].fenced
    with pytest.raises(ImageError, match="the record's epoch is 4"):
        image.apply(change(broker_id=1, broker_epoch=4, fenced=1))
    image.apply(r.UnregisterBrokerRecord(broker_id=1, broker_epoch=5))
    assert not image.brokers
    with pytest.raises(ImageError, match="not registered"):
        image.apply(r.FenceBrokerRecord(id=1, epoch=5))


def test_the_small_tables() -> None:
    image = MetadataImage()
    for record in one_of_each():
        image.apply(record)
    assert image.features == {"metadata.version": 30, "group.version": 1}
    assert image.quotas == {(("client-id", None), ("user", "u")): {"rate": 1.5}}
    assert image.scram[(1, "u")] == ScramCredential(b"s", b"k", b"v", 4096)
    assert image.delegation_tokens["id"].renewers == ("a",)
    assert image.producer_ids_next == 1000
    assert image.controllers[3].endpoints == (Endpoint("C", "h", 1, 0),)
    assert len(image.acls) == 1
    image.apply(r.FeatureLevelRecord(name="group.version", feature_level=0))
    assert image.features == {"metadata.version": 30}
    image.apply(r.UnregisterControllerRecord(controller_id=3))
    assert not image.controllers
    image.apply(r.RemoveUserScramCredentialRecord(name="u", mechanism=1))
    image.apply(r.RemoveDelegationTokenRecord(token_id="id"))
    image.apply(r.RemoveAccessControlEntryRecord(id=b"a" * 16))
    assert not image.scram
    assert not image.delegation_tokens
    assert not image.acls
    with pytest.raises(ImageError, match="does not exist"):
        image.apply(r.RemoveAccessControlEntryRecord(id=b"a" * 16))
    with pytest.raises(ImageError, match="goes back"):
        image.apply(r.ProducerIdsRecord(next_producer_id=999))
    quota = r.ClientQuotaRecord
    entity = [
        quota.EntityData(entity_type="user", entity_name="u"),
        quota.EntityData(entity_type="client-id", entity_name=None),
    ]
    image.apply(quota(entity=entity, key="rate", remove=True))
    assert not image.quotas
    image.apply(r.ConfigRecord(resource_type=4, resource_name="", name="k", value=None))
    assert not image.configs


def one_of_each() -> list[Any]:
    """One record of (nearly) every kind that adds something."""
    quota, controller = r.ClientQuotaRecord, r.RegisterControllerRecord
    return [
        r.FeatureLevelRecord(name="metadata.version", feature_level=30),
        r.FeatureLevelRecord(name="group.version", feature_level=1),
        r.NoOpRecord(),
        r.ZkMigrationStateRecord(zk_migration_state=0),
        broker(fenced=False),
        controller(
            controller_id=3,
            incarnation_id=b"c" * 16,
            end_points=[
                controller.ControllerEndpoint(name="C", host="h", port=1, security_protocol=0)
            ],
            features=[],
        ),
        r.TopicRecord(name="foo", topic_id=TOPIC),
        partition(0),
        partition(1, eligible_leader_replicas=[2], isr=[1], removing_replicas=[2]),
        r.ConfigRecord(resource_type=4, resource_name="", name="k", value="v"),
        quota(
            entity=[
                quota.EntityData(entity_type="user", entity_name="u"),
                quota.EntityData(entity_type="client-id", entity_name=None),
            ],
            key="rate",
            value=1.5,
        ),
        r.ProducerIdsRecord(broker_id=1, broker_epoch=5, next_producer_id=1000),
        r.AccessControlEntryRecord(
            id=b"a" * 16,
            resource_type=2,
            resource_name="foo",
            pattern_type=3,
            principal="User:x",
            host="*",
            operation=2,
            permission_type=3,
        ),
        r.UserScramCredentialRecord(
            name="u", mechanism=1, salt=b"s", stored_key=b"k", server_key=b"v", iterations=4096
        ),
        r.DelegationTokenRecord(
            owner="o",
            requester="q",
            renewers=["a"],
            issue_timestamp=1,
            max_timestamp=2,
            expiration_timestamp=3,
            token_id="id",
        ),
    ]


def test_every_metadata_record_is_known() -> None:
    transactions = {
        r.BeginTransactionRecord,
        r.EndTransactionRecord,
        r.AbortTransactionRecord,
    }
    from kafka_py.metadata import image as module

    known = set(module._APPLY) | transactions
    every = {
        value
        for value in vars(r).values()
        if isinstance(value, type) and issubclass(value, r.Record) and value is not r.Record
    }
    assert every == known
    assert len(every) == 27  # the 26 of Kafka 4.3, and 4.4's UnregisterControllerRecord


def test_snapshot_records_rebuild_the_image() -> None:
    image = MetadataImage()
    for record in one_of_each():
        image.apply(record)
    records = list(image_records(image))
    encoded = [r.encode_record(record, _version(record)) for record in records]
    again = image_of((r.decode_record(value)[0] for value in encoded), 10, 2)
    assert again == image
    assert list(image_records(again)) == records
    assert (again.offset, again.epoch) == (10, 2)
    assert records[0] == r.FeatureLevelRecord(name="metadata.version", feature_level=30)


def _version(record: Any) -> int:
    from kafka_py.metadata.features import record_version

    return record_version(record, 30)


def test_a_transaction_shows_at_its_end_or_never() -> None:
    image = MetadataImage()
    image.apply(r.BeginTransactionRecord(name="t"))
    image.apply(r.TopicRecord(name="foo", topic_id=TOPIC))
    assert image.in_transaction
    assert not image.topics
    copy = image.thaw()
    copy.apply(r.AbortTransactionRecord(reason="why"))
    assert not copy.in_transaction
    assert not copy.topics
    image.apply(r.EndTransactionRecord())
    assert "foo" in image.topics
    with pytest.raises(ImageError):
        image.apply(r.EndTransactionRecord())
    with pytest.raises(ImageError):
        image.apply(r.AbortTransactionRecord())


def test_published_images_never_change() -> None:
    image = image_with_topic()
    before, changed = image.publish()
    assert changed.topics == {TOPIC: {0, 1}}
    assert changed.features == {"metadata.version"}
    image.apply(r.PartitionChangeRecord(partition_id=0, topic_id=TOPIC, isr=[1]))
    image.apply(r.TopicRecord(name="bar", topic_id=b"b" * 16))
    after, changed = image.publish()
    assert changed.topics == {TOPIC: {0}, b"b" * 16: set()}
    old, new = before.partition("foo", 0), after.partition("foo", 0)
    assert old is not None
    assert new is not None
    assert (old.isr, new.isr) == ((1, 2), (1,))
    assert "bar" not in before.topics
    assert before.topics["foo"] is before.topics_by_id[TOPIC]
    with pytest.raises(TypeError):
        before.apply(r.NoOpRecord())
    assert not image.publish()[1]


def test_a_thawed_copy_goes_its_own_way() -> None:
    image = image_with_topic()
    copy = image.thaw()
    copy.apply(r.PartitionChangeRecord(partition_id=0, topic_id=TOPIC, isr=[2]))
    image.apply(r.PartitionChangeRecord(partition_id=0, topic_id=TOPIC, isr=[1]))
    mine, its = image.partition("foo", 0), copy.partition("foo", 0)
    assert mine is not None
    assert its is not None
    assert (mine.isr, its.isr) == ((1,), (2,))


def test_a_topic_among_ten_thousand_is_cheap() -> None:
    image = MetadataImage()
    for number in range(10_000):
        topic_id = number.to_bytes(16, "big")
        image.apply(r.TopicRecord(name=f"topic-{number}", topic_id=topic_id))
        image.apply(partition(0, topic_id))
    image.publish()
    best = 1.0
    for number in range(10_000, 10_020):
        start = time.thread_time()
        topic_id = number.to_bytes(16, "big")
        image.apply(r.TopicRecord(name=f"topic-{number}", topic_id=topic_id))
        image.apply(partition(0, topic_id))
        image.publish()
        best = min(best, time.thread_time() - start)
    # Copying 10,000 entries would take several times as long.
    assert best < 0.0002
    assert len(image.topics) == 10_020
