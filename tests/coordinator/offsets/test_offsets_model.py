"""Random commits, deletions, transactions and restarts against a model of a few lines.

After every step the shard, and another that loads the log, hold what the model holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from kafka_py.coordinator.machine import CoordinatorRecord
from kafka_py.coordinator.offsets.commits import simple_group
from kafka_py.coordinator.offsets.deletions import tombstone
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
from tests.coordinator.offsets.driver import OffsetsDriver

Place = tuple[str, str, int]


class Model:
    """Every write has a number; a transaction's count when it commits, unless a later one does."""

    def __init__(self) -> None:
        self.order = 0
        self.counting: dict[Place, tuple[int, int]] = {}
        self.pending: dict[int, dict[Place, tuple[int, int]]] = {}

    def write(self, place: Place, offset: int, producer_id: int) -> None:
        self.order += 1
        if producer_id == -1:
            self.counting[place] = self.order, offset
        else:
            self.pending.setdefault(producer_id, {})[place] = self.order, offset

    def remove(self, place: Place) -> None:
        self.counting.pop(place, None)
        for offsets in self.pending.values():
            offsets.pop(place, None)

    def end(self, producer_id: int, committed: bool) -> None:
        for place, entry in self.pending.pop(producer_id, {}).items():
            if committed and entry > self.counting.get(place, (0, 0)):
                self.counting[place] = entry


def content(driver: OffsetsDriver) -> dict[Place, int]:
    offsets = driver.shard.offsets
    return {
        (group, topic, partition): committed.offset
        for group in offsets.group_ids()
        for topic, partitions in offsets.of_group(group).items()
        for partition, committed in partitions.items()
    }


@pytest.mark.parametrize("seed", range(25))
def test_the_shard_holds_what_the_model_holds(
    seed: int, make_driver: Callable[..., OffsetsDriver]
) -> None:
    rng = random.Random(seed)
    driver = make_driver()
    model = Model()
    places = [(g, t, p) for g in ("a", "b") for t in ("t", "u") for p in range(2)]
    for step in range(120):
        place = rng.choice(places)
        producer_id = rng.choice((1, 2, 3))
        action = rng.random()
        if action < 0.45:
            who = rng.choice((-1, producer_id))
            options = (
                {}
                if who == -1
                else {"producer_id": who, "producer_epoch": 0, "transactional": True}
            )
            if options:
                options["base_sequence"] = driver.sequences[who]
                driver.sequences[who] += 1
            group, topic, partition = place
            record = CoordinatorRecord(
                OffsetCommitKey(group=group, topic=topic, partition=partition),
                OffsetCommitValue(offset=step, commit_timestamp=driver.now.wall_ms),
                rng.choice((0, 1, 2, 3, 4)),
            )
            if who != -1:
                simple_group(driver.shard, group)
            driver.append([record], **options)
            model.write(place, step, who)
        elif action < 0.6:
            driver.append([tombstone(*place)])
            model.remove(place)
        elif action < 0.85:
            committed = rng.random() < 0.6
            driver.end_transaction(producer_id, committed)
            model.end(producer_id, committed)
        elif action < 0.9:
            driver.restart()
        counting = {place: offset for place, (_, offset) in model.counting.items()}
        assert content(driver) == counting
        assert driver.shard.offsets.count == len(counting)
        for place in places:
            held = any(place in offsets for offsets in model.pending.values())
            assert driver.shard.offsets.is_pending(*place) == held
        if step % 10 == 0:
            replayed = driver.replayed()
            assert replayed.offsets == driver.shard.offsets
            assert replayed.groups.keys() == driver.shard.groups.keys()
