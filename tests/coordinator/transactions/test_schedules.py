"""Seeded random schedules of producers, time, failures and restarts, with what must always hold.

Checked of the committed records: states follow the arrows that there are, so that nothing that was
decided one way ends the other; producer ids and epochs never go back; nobody was told of a decision
that is not there. Of the markers: only for what is decided and committed, and all of them before a
transaction is complete. Of a restart: the machine knows what the committed records say. At the end
every transaction that was decided is complete.
"""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from kafka_py.coordinator.runtime import Ask
from kafka_py.coordinator.transactions.markers import MarkerJob
from kafka_py.coordinator.transactions.requests import AddPartitions
from kafka_py.coordinator.transactions.transaction import PREPARED, State, TopicPartition
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records_transaction import TransactionLogValue
from kafka_py.protocol.transactions import EndTxnRequest, InitProducerIdRequest
from tests.coordinator.transactions.world import World

SEEDS = range(60)
STEPS = 250
NAMES = ("a", "b", "c")
PARTITIONS: tuple[TopicPartition, ...] = tuple(("t", index) for index in range(4))

ARROWS: dict[State | None, set[State | None]] = {
    None: {State.Empty},
    State.Empty: {State.Empty, State.Ongoing, State.PrepareAbort, None},
    State.Ongoing: {State.Ongoing, State.PrepareCommit, State.PrepareAbort},
    State.PrepareCommit: {State.CompleteCommit},
    State.PrepareAbort: {State.CompleteAbort},
    State.CompleteCommit: {State.Empty, State.Ongoing, State.PrepareAbort, None},
    State.CompleteAbort: {State.Empty, State.Ongoing, State.PrepareAbort, None},
}
RETRIED = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.KAFKA_STORAGE_ERROR,
)


def partitions_of(value: TransactionLogValue) -> set[TopicPartition]:
    """The partitions that a record names."""
    topics = value.transaction_partitions or ()
    return {(topic.topic, index) for topic in topics for index in topic.partition_ids}


class Producer:
    """A client that does what it is told it may, and sometimes what it may not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.id = -1
        self.epoch = -1
        self.bumps = False


class Schedule:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World(
            version=self.random.choice((2, 2, 1)),
            at_once=False,
            **{
                "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
                "transaction.remove.expired.transaction.cleanup.interval.ms": 5000,
                "transactional.id.expiration.ms": 20_000,
            },
        )
        # Two producers of each name, so that they fence each other.
        self.producers = [Producer(name) for name in NAMES for _ in range(2)]
        self.asked: list[tuple[Producer, Ask]] = []
        #: Markers that are in the partitions: (id, producer id, epoch, commit, partition).
        self.markers: set[tuple[str, int, int, bool, TopicPartition]] = set()
        self.told: list[tuple[str, State, int]] = []

    def run(self) -> None:
        steps = (
            *(self.init, self.add, self.add, self.end, self.end),
            *(self.commit, self.commit, self.markers_out, self.markers_out, self.wait),
        )
        for _ in range(STEPS):
            if self.random.random() < 0.02:
                self.rare()
            else:
                self.random.choice(steps)()
            self.collect()
            self.check_jobs()
        self.finish()
        self.check_log()

    # ---------------------------------------------------------------------------------- the steps

    def init(self) -> None:
        one = self.random.choice(self.producers)
        keep = one.id >= 0 and self.random.random() < 0.5
        request = InitProducerIdRequest(
            transactional_id=one.name,
            transaction_timeout_ms=self.random.choice((2000, 60_000)),
            producer_id=one.id if keep else -1,
            producer_epoch=one.epoch if keep else -1,
        )
        one.bumps = self.world.version == 2 and self.random.random() < 0.7
        self.asked.append((one, self.world.ask(request, 5)))

    def add(self) -> None:
        one = self.random.choice(self.producers)
        some = self.random.sample(PARTITIONS, self.random.randint(1, 3))
        client = 2 if one.bumps else 0
        request = AddPartitions(
            one.name, one.id, one.epoch, tuple(some), self.random.random() < 0.2, client
        )
        self.asked.append((one, self.world.ask(request, 5)))

    def end(self) -> None:
        one = self.random.choice(self.producers)
        request = EndTxnRequest(
            transactional_id=one.name,
            producer_id=one.id,
            producer_epoch=one.epoch - (self.random.random() < 0.1),
            committed=self.random.random() < 0.5,
        )
        self.asked.append((one, self.world.ask(request, 5 if one.bumps else 4)))

    def commit(self) -> None:
        self.world.commit()

    def markers_out(self) -> None:
        if not self.world.jobs:
            return
        job = self.random.choice(self.world.jobs)
        errors = {}
        if self.random.random() < 0.3:
            some = self.random.sample(job.partitions, self.random.randint(1, len(job.partitions)))
            errors = {partition: self.random.choice(RETRIED) for partition in some}
        self.write(job, errors)

    def write(self, job: MarkerJob, errors: dict[TopicPartition, ErrorCode]) -> None:
        for partition in set(job.partitions) - set(errors):
            row = (job.transactional_id, job.producer_id, job.producer_epoch, job.commit, partition)
            self.markers.add(row)
        self.world.written(job, errors)

    def wait(self) -> None:
        self.world.advance(self.random.choice((10, 100, 1500, 6000)))

    def rare(self) -> None:
        what = self.random.randrange(5)
        if what == 0:
            self.world.log.time_out()
            self.world.settle()
        elif what == 1:
            self.world.log.error = ErrorCode.NOT_ENOUGH_REPLICAS
            self.end()
            self.world.settle()
            self.crash()
        elif what == 2:
            # Markers are written, and nobody hears of it.
            for job in self.world.jobs:
                for partition in job.partitions[:1]:
                    self.markers.add(
                        (job.transactional_id, job.producer_id, job.producer_epoch, job.commit)
                        + (partition,)
                    )
            self.crash()
        else:
            self.crash()

    def crash(self) -> None:
        self.world.crash()
        assert self.world.loaded == self.world.committed_state()

    # ------------------------------------------------------------------------------- what is heard

    def collect(self) -> None:
        """Take the answers; whoever's coordinator died asks no more about it."""
        waiting = []
        for one, ask in self.asked:
            if not ask.done:
                waiting.append((one, ask))
                continue
            response = ask.response
            if isinstance(ask.request, AddPartitions) or response.error_code:
                continue
            if isinstance(ask.request, InitProducerIdRequest):
                one.id, one.epoch = response.producer_id, response.producer_epoch
                continue
            state = State.PrepareCommit if ask.request.committed else State.PrepareAbort
            self.told.append((one.name, state, len(list(self.world.log.rows(committed=True)))))
            if ask.caller.api_version >= 5:
                one.id, one.epoch = response.producer_id, response.producer_epoch
        self.asked = waiting

    def check_jobs(self) -> None:
        """Markers are asked for by what the committed records say, and by nothing else."""
        if not self.world.jobs:
            return
        known = self.world.committed_state()
        for job in self.world.jobs:
            found = known[job.transactional_id]
            assert found.state in PREPARED, (job, found)
            assert job.commit == (found.state is State.PrepareCommit)
            assert (job.producer_id, job.producer_epoch) == (
                found.producer_id,
                found.producer_epoch,
            )
            assert set(job.partitions) <= found.partitions
            assert job.coordinator_epoch == self.world.coordinator_epoch

    def finish(self) -> None:
        """Let everything come to its end."""
        self.world.at_once = True
        self.world.commit()
        for _ in range(50):
            for job in list(self.world.jobs):
                self.write(job, {})
            self.world.advance(200)
            self.collect()
        left = [one for one in self.world.shard.transactions.values() if one.state in PREPARED]
        assert not left
        assert not self.world.shard.remaining
        assert self.world.known() == self.world.committed_state()

    def check_log(self) -> None:
        state: dict[str, State | None] = defaultdict(lambda: None)
        epoch: dict[int, int] = {}
        decided: dict[str, list[tuple[int, State]]] = defaultdict(list)
        before: dict[str, TransactionLogValue] = {}
        for number, (name, value, _) in enumerate(self.world.log.rows(committed=True), 1):
            new = None if value is None else State(value.transaction_status)
            assert new in ARROWS[state[name]], (name, state[name], new)
            state[name] = new
            if value is None:
                continue
            assert value.producer_epoch >= epoch.get(value.producer_id, -1), (name, value)
            epoch[value.producer_id] = value.producer_epoch
            if new in PREPARED:
                decided[name].append((number, new))
            if new in (State.CompleteCommit, State.CompleteAbort):
                prepared = before[name]
                for partition in partitions_of(prepared):
                    row = (name, prepared.producer_id, prepared.producer_epoch)
                    assert (*row, new is State.CompleteCommit, partition) in self.markers
            before[name] = value
        for name, wanted, rows in self.told:
            # The latest decision by then is the one that was told.
            assert [found for number, found in decided[name] if number <= rows][-1] is wanted


@pytest.mark.parametrize("seed", SEEDS)
def test_schedule(seed: int) -> None:
    Schedule(seed).run()
