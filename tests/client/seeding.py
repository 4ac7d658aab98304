"""Topics and records for tests of the client side."""

import asyncio

import kcore
from kafka_py.client.cluster import Cluster
from kafka_py.protocol.produce import ProduceRequest, ProduceResponse
from kafka_py.protocol.topics import CreateTopicsRequest, CreateTopicsResponse

SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "100",
    "group.consumer.min.session.timeout.ms": "500",
    "group.consumer.session.timeout.ms": "3000",
    "offsets.topic.num.partitions": "2",
}
"""Of a broker whose groups are quick."""
NOW_MS = 1_790_000_000_000


async def create(cluster, topic, partitions):
    """Create a topic and wait until it has leaders."""
    connection = await cluster.any_connection()
    row = CreateTopicsRequest.CreatableTopic
    reply = await connection.call(
        CreateTopicsRequest(
            topics=[row(name=topic, num_partitions=partitions, replication_factor=1)],
            timeout_ms=10_000,
        ),
        CreateTopicsResponse,
    )
    assert [each.error_code for each in reply.topics] == [0]
    while True:
        found = (await cluster.refresh([topic]))[topic]
        if len(found.partitions) == partitions and all(p.leader >= 0 for p in found.partitions):
            return
        await asyncio.sleep(0.01)


async def produce(cluster, topic, partition, records, **options):
    """Append one batch of (key, value[, headers[, timestamp]])."""
    await append(cluster, topic, partition, kcore.build(records, **options))


async def append(cluster, topic, partition, batch):
    """Append one batch as it is."""
    connection = await cluster.any_connection()
    part = ProduceRequest.PartitionProduceData(index=partition, records=batch)
    reply = await connection.call(
        ProduceRequest(
            acks=-1,
            timeout_ms=10_000,
            topic_data=[ProduceRequest.TopicProduceData(name=topic, partition_data=[part])],
        ),
        ProduceResponse,
        highest=9,
    )
    assert reply.responses[0].partition_responses[0].error_code == 0


def seed(bootstrap, topic, partitions, each=10):
    """A topic with so many records in each partition, a second apart from `NOW_MS` on."""

    async def run():
        async with Cluster(bootstrap) as cluster:
            await create(cluster, topic, partitions)
            for number in range(partitions):
                records = [
                    (b"key %d" % i, b"value %d" % i, {"n": b"%d" % i}, NOW_MS + 1000 * i)
                    for i in range(each)
                ]
                if records:
                    await produce(cluster, topic, number, records)

    asyncio.run(run())
