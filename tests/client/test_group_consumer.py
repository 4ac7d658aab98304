"""Members of both protocols against our broker: sharing, leaving, being put out, restarts."""

import asyncio

import pytest

import kafka_py
from kafka_py.client.admin import Admin
from kafka_py.client.cluster import Cluster, Limits
from kafka_py.client.errors import BrokerError, NotReachable
from kafka_py.client.fetching import FetchSettings
from kafka_py.client.group_consumer import CommitSettings, GroupConsumer, RebalanceListener
from kafka_py.client.membership import GroupSettings
from kafka_py.client.types import OffsetAndMetadata, TopicPartition
from tests.client.seeding import SETTINGS, create, produce

TOPIC = "orders"
EARLIEST = FetchSettings(auto_offset_reset="earliest", fetch_max_wait_ms=50)
PROTOCOLS = pytest.mark.parametrize("protocol", ["classic", "consumer"])


class Calls(RebalanceListener):
    """Writes down what it is told."""

    def __init__(self):
        self.calls = []

    async def assigned(self, partitions):
        self.calls.append(("assigned", {each.partition for each in partitions}))

    async def revoked(self, partitions):
        self.calls.append(("revoked", {each.partition for each in partitions}))

    async def lost(self, partitions):
        self.calls.append(("lost", {each.partition for each in partitions}))


def member(cluster, protocol, *, listener=None, commits=None, **settings):
    """A member of the group."""
    given = {"session_timeout_ms": 3000, "heartbeat_interval_ms": 100, **settings}
    return GroupConsumer(
        cluster,
        GroupSettings("g", (TOPIC,), **given),
        fetch=EARLIEST,
        protocol=protocol,
        listener=listener,
        commits=commits,
    )


async def until(condition, *consumers, timeout_s=10):
    """Poll all until it is so; the records that came, by partition."""
    seen = []
    async with asyncio.timeout(timeout_s):
        while not condition():
            for chunk in await asyncio.gather(*(each.poll(20) for each in consumers)):
                seen += [(r.partition, r.offset) for records in chunk for r in records]
    return seen


async def seeded(cluster, partitions=4, each=10):
    """The topic with its records."""
    await create(cluster, TOPIC, partitions)
    for number in range(partitions):
        await produce(cluster, TOPIC, number, [(None, b"%d" % i) for i in range(each)])


async def two_members(protocol):
    """One reads all, another comes and goes; nothing twice, nothing left out, all committed."""
    async with kafka_py.Broker(SETTINGS) as broker, Cluster(broker.bootstrap_servers) as cluster:
        await seeded(cluster)
        first, second = Calls(), Calls()
        a = member(cluster, protocol, listener=first)
        seen = []
        while len(seen) < 40:
            seen += await until_some(a)
        assert sorted(seen) == [(p, o) for p in range(4) for o in range(10)]
        async with Cluster(broker.bootstrap_servers) as other:
            b = member(other, protocol, listener=second)
            await until(lambda: len(a.owned) == len(b.owned) == 2, a, b)
            assert a.owned | b.owned == {TopicPartition(TOPIC, n) for n in range(4)}
            await b.close()
        await until(lambda: len(a.owned) == 4, a)
        for number in range(4):
            await produce(cluster, TOPIC, number, [(None, b"late")])
        late = []
        while len(late) < 4:
            late += await until_some(a)
        assert sorted(late) == [(p, 10) for p in range(4)]
        await a.close()
        offsets = await Admin(cluster).group_offsets("g")
        assert {each.partition: o.offset for each, o in offsets.items()} == dict.fromkeys(
            range(4), 11
        )
        assert first.calls[0] == ("assigned", {0, 1, 2, 3})
        assert first.calls[-1] == ("revoked", {0, 1, 2, 3})
        assert second.calls[-1][0] == "revoked"
        assert not any(kind == "lost" for kind, _ in first.calls + second.calls)


async def until_some(consumer):
    """The records of one poll."""
    chunk = await consumer.poll(100)
    return [(r.partition, r.offset) for records in chunk for r in records]


@PROTOCOLS
def test_two_members(protocol):
    asyncio.run(two_members(protocol))


@PROTOCOLS
def test_who_does_not_poll_is_put_out_and_may_come_back(protocol):
    async def run():
        async with (
            kafka_py.Broker(SETTINGS) as broker,
            Cluster(broker.bootstrap_servers) as cluster,
        ):
            await seeded(cluster)
            calls = Calls()
            a = member(cluster, protocol, listener=calls, max_poll_interval_ms=600)
            await until(lambda: len(a.positions) == 4, a)
            admin = Admin(cluster)
            while (await admin.describe_groups(["g"]))["g"].members:
                await asyncio.sleep(0.05)  # At most until the test's own time is up.
            with pytest.raises(BrokerError):
                await a.commit({TopicPartition(TOPIC, 0): OffsetAndMetadata(3)})
            await until(lambda: ("lost", {0, 1, 2, 3}) in calls.calls, a)
            await until(lambda: len(a.owned) == 4, a)
            await a.close()

    asyncio.run(run())


@PROTOCOLS
def test_commits_by_hand_and_where_the_next_one_goes_on(protocol):
    async def run():
        async with (
            kafka_py.Broker(SETTINGS) as broker,
            Cluster(broker.bootstrap_servers) as cluster,
        ):
            await seeded(cluster, partitions=1)
            by_hand = CommitSettings(enable_auto_commit=False)
            partition = TopicPartition(TOPIC, 0)
            async with member(cluster, protocol, commits=by_hand) as a:
                await until(lambda: a.positions.get(partition, 0) == 10, a)
                await a.commit({partition: OffsetAndMetadata(4, 0, "by hand")})
            found = await Admin(cluster).group_offsets("g")
            assert found == {partition: OffsetAndMetadata(4, 0, "by hand")}
            async with member(cluster, protocol, commits=by_hand) as b:
                seen = []
                while len(seen) < 6:
                    chunk = await b.poll(100, records_max=2)
                    assert sum(map(len, chunk)) <= 2
                    seen += [r.offset for records in chunk for r in records]
                assert seen == [4, 5, 6, 7, 8, 9]
                b.seek(partition, 8)
                await until(lambda: b.positions.get(partition) == 10, b)
            assert await Admin(cluster).group_offsets("g") == found

    asyncio.run(run())


def test_a_broker_that_is_not_there():
    async def run():
        async with Cluster("127.0.0.1:1", limits=Limits(timeout_ms=5000)) as cluster:
            with pytest.raises(NotReachable, match=r"127\.0\.0\.1:1: Connection refused"):
                await Admin(cluster).list_groups()

    asyncio.run(run())
