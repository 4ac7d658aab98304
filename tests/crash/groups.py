"""kill -9 while group members commit offsets: ``python -m tests.crash.groups --cycles N``.

Two groups, one by each protocol, of three members each; every member commits ever higher offsets
of the partitions that it owns. A cycle: all members are seen to commit, perhaps one leaves and
another comes, SIGKILL, restart (in one of five cycles killed again while it starts), committed
offsets are fetched and judged: at least what was acknowledged, at most what was sent, never lower
than at the cycle before, with the metadata that was sent. The members live through all of it and
must own and commit again. Every 50 cycles a new directory, and a line in the ledger.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from kafka_py.client.cluster import Cluster, Limits
from kafka_py.client.errors import ClientError
from kafka_py.client.group_consumer import CommitSettings, GroupConsumer
from kafka_py.client.membership import GroupSettings
from kafka_py.client.types import OffsetAndMetadata, TopicPartition
from tests.crash import campaign, ledger, wire
from tests.crash.kill import PROPERTIES as KILL_PROPERTIES
from tests.crash.load import Violation
from tests.oracle import apache
from tests.oracle.node import Node

ROW = "groups"
CYCLES_PER_BATCH = 50
TOPIC, PARTITIONS, MEMBERS = "groups", 6, 3
PROTOCOLS = ("classic", "consumer")
USABLE_WITHIN_S = 30.0
PROPERTIES = {
    **KILL_PROPERTIES,
    "offsets.topic.num.partitions": "5",
    "offsets.topic.replication.factor": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "200",
}
LIMITS = Limits(2000, 5000, 10_000, 50, 200, 300_000)


class History:
    """What one group was told to commit, and what of it was acknowledged, by partition."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.sent = dict.fromkeys(range(PARTITIONS), 0)
        self.acknowledged = dict.fromkeys(range(PARTITIONS), 0)
        self.seen = dict.fromkeys(range(PARTITIONS), 0)
        self.commits = 0

    def judge(self, floor: Mapping[int, int], found: Mapping[int, tuple[int, str]]) -> None:
        """Compare what was fetched with what was acknowledged before. Raises Violation."""
        for number in range(PARTITIONS):
            offset, metadata = found.get(number, (-1, ""))
            offset = max(offset, 0)
            where = f"group {self.group} partition {number}"
            if offset < floor[number]:
                raise Violation(
                    f"{where}: LOST: committed {offset}, acknowledged were {floor[number]}"
                )
            if offset < self.seen[number]:
                raise Violation(f"{where}: went back from {self.seen[number]} to {offset}")
            if offset > self.sent[number]:
                raise Violation(f"{where}: committed {offset}, only {self.sent[number]} was sent")
            if offset and metadata != told(self.group, offset):
                raise Violation(f"{where}: offset {offset} has metadata {metadata!r}")
            self.seen[number] = offset


def told(group: str, offset: int) -> str:
    """The metadata that goes with an offset."""
    return f"{group}:{offset}"


class Member:
    """One member that commits whatever it owns until it is told to leave."""

    def __init__(self, port: int, protocol: str, history: History) -> None:
        self.history = history
        self.protocol = protocol
        self.commits = 0
        self.error: BaseException | None = None
        self._leaving = False
        self._cluster = Cluster(f"127.0.0.1:{port}", limits=LIMITS, client_id="crash")
        self.consumer: GroupConsumer | None = None
        self._task = asyncio.ensure_future(self._live())

    @property
    def owned(self) -> set[int]:
        """The numbers of its partitions."""
        owned = set() if self.consumer is None else self.consumer.owned
        return {each.partition for each in owned}

    async def _live(self) -> None:
        try:
            async with self._cluster:
                while not self._leaving:
                    try:
                        await self._consume()
                    except ClientError as error:
                        if not error.retriable:
                            raise
                        await asyncio.sleep(0.05)
        except Exception as error:
            self.error = error

    async def _consume(self) -> None:
        settings = GroupSettings(
            self.history.group, (TOPIC,), session_timeout_ms=6000, heartbeat_interval_ms=200
        )
        self.consumer = GroupConsumer(
            self._cluster,
            settings,
            commits=CommitSettings(enable_auto_commit=False),
            protocol=self.protocol,
        )
        async with self.consumer as consumer:
            while not self._leaving:
                await consumer.poll(20)
                for partition in sorted(consumer.owned):
                    if partition in consumer.owned:
                        await self._commit(consumer, partition)

    async def _commit(self, consumer: GroupConsumer, partition: TopicPartition) -> None:
        history = self.history
        offset = history.sent[partition.partition] + 1
        history.sent[partition.partition] = offset
        try:
            await consumer.commit(
                {partition: OffsetAndMetadata(offset, -1, told(history.group, offset))}
            )
        except ClientError:
            # Not acknowledged: it may be there or not. Who was put out learns it at the next poll.
            return
        history.acknowledged[partition.partition] = max(
            history.acknowledged[partition.partition], offset
        )
        history.commits += 1
        self.commits += 1

    async def leave(self) -> None:
        """Leave the group."""
        self._leaving = True
        await self._task

    async def vanish(self) -> None:
        """Be gone without a word, as a killed client is."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def committed(port: int, group: str) -> dict[int, tuple[int, str]]:
    """The group's committed offsets by OffsetFetch v1, once its coordinator answers."""
    deadline = time.monotonic() + USABLE_WITHIN_S
    while True:
        try:
            with wire.Connection(port) as conn:
                found = wire.committed_offsets(conn, group, TOPIC, PARTITIONS)
        except OSError as error:
            found, errors = {}, {str(error)}
        else:
            errors = {row[2] for row in found.values() if row[2]}
        if not errors:
            return {number: row[:2] for number, row in found.items()}
        if time.monotonic() > deadline:
            raise Violation(f"group {group}: committed offsets cannot be fetched: {errors}")
        time.sleep(0.02)


class GroupsRun:
    """Cycles on one directory, all decided by one seed."""

    def __init__(self, node: Node, seed: int) -> None:
        """``node`` is started by ``run``."""
        self.node = node
        self.random = random.Random(seed)
        self.histories = {protocol: History(f"crash-{protocol}") for protocol in PROTOCOLS}
        self.members: list[Member] = []
        self.faults = {"kill": 0, "kill_while_starting": 0, "left": 0, "vanished": 0}
        self.cycles_done = 0

    @property
    def commits(self) -> int:
        """Acknowledged commits."""
        return sum(history.commits for history in self.histories.values())

    def run(self, cycles: int) -> None:
        """So many cycles, then a clean stop and a last look. Raises Violation."""
        asyncio.run(self._run(cycles))

    async def _run(self, cycles: int) -> None:
        await asyncio.to_thread(self.node.start)
        with wire.Connection(self.node.port) as conn:
            error = wire.create_topic(conn, TOPIC, PARTITIONS, {})
        if error:
            raise Violation(f"CreateTopics answered error {error}")
        try:
            for protocol in PROTOCOLS:
                for _ in range(MEMBERS):
                    self._join(protocol)
            for _ in range(cycles):
                await self._cycle()
            await self._usable()
        finally:
            await asyncio.gather(*(member.vanish() for member in self.members))
        before = {name: self._fetched(name) for name in PROTOCOLS}
        await asyncio.to_thread(self.node.stop)
        await asyncio.to_thread(self.node.start)
        if {name: self._fetched(name) for name in PROTOCOLS} != before:
            raise Violation("a clean stop changed committed offsets")
        await asyncio.to_thread(self.node.stop)
        if self.commits < cycles * 20:
            raise Violation(f"only {self.commits} commits in {cycles} cycles: no load")

    def _fetched(self, protocol: str) -> dict[int, tuple[int, str]]:
        return committed(self.node.port, self.histories[protocol].group)

    def _join(self, protocol: str) -> None:
        self.members.append(Member(self.node.port, protocol, self.histories[protocol]))

    async def _cycle(self) -> None:
        """One kill and all that follows."""
        await self._usable()
        await self._change()
        await asyncio.sleep(self.random.uniform(0.0, 0.4))
        await asyncio.to_thread(self.node.kill)
        self.faults["kill"] += 1
        while self.random.random() < 0.2:
            await asyncio.to_thread(self.node.launch)
            await asyncio.sleep(self.random.uniform(0.0, 0.8))
            await asyncio.to_thread(self.node.kill)
            self.faults["kill_while_starting"] += 1
        await asyncio.to_thread(self.node.start)
        for history in self.histories.values():
            floor = dict(history.acknowledged)
            found = await asyncio.to_thread(committed, self.node.port, history.group)
            history.judge(floor, found)
        self.cycles_done += 1

    async def _change(self) -> None:
        """Now and then one member goes, with or without a word, and another one comes."""
        chance = self.random.random()
        if chance < 0.3:
            gone = self.members.pop(self.random.randrange(len(self.members)))
            word = "vanished" if chance < 0.03 else "left"
            await (gone.vanish() if word == "vanished" else gone.leave())
            self.faults[word] += 1
            if gone.error is not None:
                raise gone.error
            self._join(gone.protocol)

    async def _usable(self) -> None:
        """Wait until every member commits and every partition is owned once. Raises Violation."""
        before = {member: member.commits for member in self.members}
        deadline = time.monotonic() + USABLE_WITHIN_S
        while True:
            for member in self.members:
                if member.error is not None:
                    raise member.error
            if all(map(self._whole, PROTOCOLS)) and all(
                member.commits > count for member, count in before.items()
            ):
                return
            if time.monotonic() > deadline:
                state = [
                    (member.protocol, sorted(member.owned), member.commits - before[member])
                    for member in self.members
                ]
                raise Violation(f"members do not commit again in {USABLE_WITHIN_S} s: {state}")
            await asyncio.sleep(0.02)

    def _whole(self, protocol: str) -> bool:
        owned = [
            number
            for member in self.members
            if member.protocol == protocol
            for number in member.owned
        ]
        return sorted(owned) == list(range(PARTITIONS))


def batch(seed: int, cycles: int, properties: Mapping[str, str]) -> dict[str, object]:
    """One ledger line; its result is ``ok`` or the violation, then with the kept directory."""
    cpu, started = ledger.cpu_s(), time.monotonic()
    with apache.temporary_directory("groups") as directory:
        run = GroupsRun(apache.node_under_test(directory, {**PROPERTIES, **properties}), seed)
        result = "ok"
        try:
            run.run(cycles)
        except Exception as e:
            result = f"{type(e).__name__}: {e}"
            kept = Path(f"{directory}.failed")
            run.node.kill()
            directory.rename(kept)
            print(f"seed {seed}: {result}\nkept: {kept}", file=sys.stderr)
        finally:
            run.node.kill()
    return {
        "row": ROW,
        "against": apache.against(),
        "commit": ledger.commit(),
        "seeds": [seed, seed],
        "cycles": run.cycles_done,
        "ops": run.commits,
        "faults": run.faults,
        "properties": dict(properties),
        "result": result,
        "wall_s": round(time.monotonic() - started, 1),
        "cpu_s": round(ledger.cpu_s() - cpu, 1),
    }


def main() -> int:
    """The command line."""
    return campaign.run(__doc__, ROW, batch, cycles_per_batch=CYCLES_PER_BATCH)


if __name__ == "__main__":
    sys.exit(main())
