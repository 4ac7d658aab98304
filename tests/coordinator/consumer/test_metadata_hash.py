"""The hash of a group's topics, against what Apache Kafka 4.3.1 and its hash library gave."""

from __future__ import annotations

import pytest

from kafka_py.coordinator.consumer.topics import TopicWatch, group_hash, topic_hash, topic_ids
from kafka_py.coordinator.consumer.xxh3 import xxh3_64
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.records_metadata import (
    PartitionRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
)

#: What hash4j 0.22 answers, signed.
HASHES = {
    b"": 3244421341483603138,
    b"a": -1817709641818812897,
    b"foo": -6093828362558603894,
    "é€".encode(): -7399659106017390576,
    b"some-topic-name": 1214058125563684697,
    b"x" * 60: 5816780627417999141,
    b"y" * 100: 3565472248861072309,
    b"z" * 130: -6412401918096686665,
    b"w" * 600: -329632649263421855,
    b"v" * 3000: -9038047660240710338,
}

#: Topics of a broker whose rack was this, and what it wrote for a group that read the first, and
#: for one that read all three.
RACK = "rÃ¤ck-A"
TOPICS = (
    ("vec-0-1795531073", "afa92ff07f9547ffb29535cd71631dda", 1),
    ("vec-1-1795531073", "1ec0d0b3727a452fbd1b4778b937669d", 3),
    ("vec-2-1795531073", "7e9681538c8449d3be8f5f8e7d8ac11c", 40),
)
FIRST_HASH = -2998037040803292047
ALL_HASH = -5112684105780163787


def unsigned(value: int) -> int:
    return value & (1 << 64) - 1


@pytest.mark.parametrize("data", HASHES, ids=len)
def test_xxh3(data: bytes) -> None:
    assert xxh3_64(data) == unsigned(HASHES[data])


def an_image() -> MetadataImage:
    image = MetadataImage()
    image.apply(RegisterBrokerRecord(broker_id=1, rack=RACK))
    for name, topic_id, partitions in TOPICS:
        image.apply(TopicRecord(name=name, topic_id=bytes.fromhex(topic_id)))
        for index in range(partitions):
            image.apply(
                PartitionRecord(
                    topic_id=bytes.fromhex(topic_id),
                    partition_id=index,
                    replicas=[1],
                    isr=[1],
                    leader=1,
                    directories=[bytes(16)],
                )
            )
    return image


def test_hashes_that_apache_wrote() -> None:
    image = an_image()
    watch = TopicWatch(image)
    names = [name for name, _, _ in TOPICS]
    assert watch.hash_of(names[:1], image) == FIRST_HASH
    assert watch.hash_of(reversed(names), image) == ALL_HASH
    assert watch.hash_of([*names, "not there"], image) == ALL_HASH
    assert group_hash([topic_hash(image.topics[names[0]], image)]) == FIRST_HASH


def test_no_topics() -> None:
    image = MetadataImage()
    assert TopicWatch(image).hash_of(["x"], image) == 0
    assert topic_ids(["x"], image) == frozenset()


def test_racks_count_and_brokers_without_one_do_not() -> None:
    image = an_image()
    topic = image.topics[TOPICS[1][0]]
    with_racks = topic_hash(topic, image)
    bare = an_image()
    bare.apply(RegisterBrokerRecord(broker_id=1, rack=None))
    without = topic_hash(topic, bare)
    assert without != with_racks
    nobody = MetadataImage()
    assert topic_hash(topic, nobody) == without


def test_new_topics_are_noticed() -> None:
    image = an_image()
    image.offset = 7
    watch = TopicWatch(image.publish()[0])
    assert watch.new_topics_version == 7
    name, topic_id, _ = TOPICS[0]
    before = watch.hash_of([name], image)

    image.offset = 8
    image.apply(PartitionRecord(topic_id=bytes.fromhex(topic_id), partition_id=1, replicas=[1]))
    grown = image.publish()[0]
    watch.changed(grown, [name])
    assert watch.new_topics_version == 7
    assert watch.hash_of([name], grown) != before

    image.offset = 9
    image.apply(RemoveTopicRecord(topic_id=bytes.fromhex(topic_id)))
    gone = image.publish()[0]
    watch.changed(gone, [name])
    assert watch.new_topics_version == 7
    assert watch.hash_of([name], gone) == 0

    image.offset = 10
    image.apply(TopicRecord(name=name, topic_id=b"n" * 16))
    again = image.publish()[0]
    watch.changed(again, [name])
    assert watch.new_topics_version == 10
