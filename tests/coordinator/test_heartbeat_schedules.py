"""Compiled heartbeats of consumer groups under random schedules: what they answer, and what they do
to the session, is what the general path would have answered and done; else they are declined."""

from __future__ import annotations

import pytest

from kafka_py.coordinator.batch import PendingBatch
from kafka_py.coordinator.consumer.fencing import SESSION
from kafka_py.coordinator.machine import Caller, Moment
from kafka_py.coordinator.offsets.commit_path import CommitPath
from kafka_py.protocol.groups import ConsumerGroupHeartbeatRequest
from tests.coordinator.consumer.driver import Ask
from tests.coordinator.consumer.schedules import GROUP, Schedule

HOST = "/10.0.0.1"
CONFIGS = {
    "consumer.session.timeout.ms": (None, "50000", "60000", "45000"),
    "consumer.heartbeat.interval.ms": (None, "6000", "15000"),
}


class Beats(Schedule):
    """A schedule in which members also send what has nothing new in it, to both paths."""

    def __init__(self, seed: int, *, regexes: bool) -> None:
        super().__init__(seed, regexes=regexes)
        self.steps[self.configure] = 2
        self.shard = self.driver.shard
        self.image = self.driver.published
        self.pending = PendingBatch(lambda: None)
        self.path = CommitPath(
            lambda _: (self.driver.shard, self.pending, lambda: not self.driver.holding),
            lambda: Moment(*self.driver.now),
            lambda: self.driver.now.ms,
            self.image,
            4096,
        )
        self.path.modern = True
        self.declined = 0

    def configure(self) -> None:
        """The group is given a setting of its own, or loses it."""
        name = self.random.choice(list(CONFIGS))
        self.driver.set_group_config(GROUP, name, self.random.choice(CONFIGS[name]))

    def follow(self) -> None:
        """What the broker tells the path of."""
        if self.driver.shard is not self.shard:
            self.shard, self.pending.closed = self.driver.shard, True
            self.pending = PendingBatch(lambda: None)
            self.path.groups_moved()
        if self.driver.published is not self.image:
            before, self.image = self.image, self.driver.published
            self.path.image_changed(self.image, dict(before.configs) != dict(self.image.configs))

    def check(self) -> None:
        """After every step: some of those who are alive say that they are."""
        self.follow()
        if self.group is None:
            return
        for member_id in ["stranger", *(consumer.member_id for consumer in self.consumers)]:
            member = self.group.members.get(member_id)
            epoch = self.random.choice((-1, 0, 0, 0, 0, 0, 1)) + (member.epoch if member else 3)
            client = self.random.choice(("client", "client", "client", "another"))
            self.compare(member_id, epoch, client)

    def compare(self, member_id: str, epoch: int, client: str) -> None:
        """The compiled path, and where it answers the general one."""
        driver, key = self.driver, (SESSION, GROUP, member_id)
        request = ConsumerGroupHeartbeatRequest(
            group_id=GROUP,
            member_id=member_id,
            member_epoch=epoch,
            subscribed_topic_names=None,
            topic_partitions=None,
        )
        before = driver.shard.deadlines.get(key)
        frame = self.path.beat(request.encode(1), 1, 77, driver.now.wall_ms, client, HOST)
        quick = driver.shard.deadlines.get(key)
        if frame is None:
            assert quick == before
            self.declined += 1
            return
        assert not driver.holding
        ask = Ask(request, Caller(client, HOST, 1))
        result = driver.shard.handle(request, ask.caller, driver.now, ask)
        assert not result.records
        assert result.then is None
        assert [reply for reply, _ in result.replies] == [ask]
        assert frame[4:9] == (77).to_bytes(4, "big") + b"\0"
        assert frame[9:] == result.replies[0].response.encode(1)
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        assert driver.shard.deadlines.get(key) == quick


@pytest.mark.parametrize("block", range(8))
def test_schedules(block: int) -> None:
    answered = declined = 0
    for seed in range(block * 20, block * 20 + 20):
        beats = Beats(seed, regexes=seed % 4 == 0)
        beats.run(150)
        answered += beats.path.heartbeats
        declined += beats.declined
    assert answered > 300
    assert declined > 1000
