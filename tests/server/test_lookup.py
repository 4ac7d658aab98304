"""Which partition a request names: always the hosted one, however many there are."""

from __future__ import annotations

import gc
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from kafka_py.server.lookup import Lookup

from kafka_py.replication.partition import Partition


def partition(topic: str, index: int) -> Partition:
    return Partition(topic, bytes(16), index, broker_id=1)


def table(topics: int, each: int) -> tuple[Any, dict[bytes, dict[int, Partition]]]:
    hosted = {
        name.encode(): {i: partition(name, i) for i in range(each)}
        for name in (f"topic-{t}" for t in range(topics))
    }
    return Lookup(SimpleNamespace(by_name=hosted, by_id={})), hosted


def look_at_all(lookup: Any, hosted: dict[bytes, dict[int, Partition]], *, rounds: int) -> None:
    """In turns; each is found."""
    for _ in range(rounds):
        for name, partitions in hosted.items():
            for index, one in partitions.items():
                assert lookup.of(name, index) is one


@pytest.mark.parametrize(("topics", "each"), [(1, 1), (1, 500), (500, 1), (60, 60)])
def test_each_is_found_and_found_again(topics: int, each: int) -> None:
    lookup, hosted = table(topics, each)
    for _ in range(5):
        for name, partitions in hosted.items():
            for index, one in partitions.items():
                assert lookup.of(name, index) is one
        assert lookup.of(b"topic-0", each) is None
        assert lookup.of(b"topic-x", 0) is None
        assert lookup.of(b"topic-0", 0, True) is None
    # Most of its slots are free once it has seen them all a few times, or it has not grown.
    assert lookup.slots_count == 64 or lookup.slots_count >= topics * each
    assert lookup.slots_count <= 16 * max(64, topics * each)


def test_it_stays_below_its_limit_and_finds_all() -> None:
    lookup, hosted = table(4, 20_000)
    look_at_all(lookup, hosted, rounds=6)
    assert lookup.slots_count == 65_536


def test_nearly_all_of_10_000_keep_their_slots() -> None:
    """Who has none is looked for in the dicts each time: two lookups of cold memory."""
    lookup, hosted = table(100, 100)
    look_at_all(lookup, hosted, rounds=3)
    for partitions in hosted.values():
        partitions.clear()
    kept = sum(lookup.of(name, index) is not None for name in hosted for index in range(100))
    assert kept >= 9_990


def test_a_partition_that_came_back_is_the_new_one_once_the_old_is_offline() -> None:
    lookup, hosted = table(1, 2)
    old = lookup.of(b"topic-0", 1)
    old.offline = True
    made = hosted[b"topic-0"][1] = partition("topic-0", 1)
    assert lookup.of(b"topic-0", 1) is made
    assert lookup.of(b"topic-0", 1) is made


def test_names_and_ids_are_told_apart() -> None:
    name = b"0123456789abcdef"
    by_name, by_id = partition("a", 0), partition("b", 0)
    lookup = Lookup(SimpleNamespace(by_name={name: {0: by_name}}, by_id={name: {0: by_id}}))
    for _ in range(3):
        assert lookup.of(name, 0) is by_name
        assert lookup.of(name, 0, True) is by_id


def test_references_are_given_back() -> None:
    lookup, hosted = table(3, 300)
    one = hosted[b"topic-1"][7]
    before = sys.getrefcount(one)
    for _ in range(3):
        for name, partitions in hosted.items():
            for index in partitions:
                lookup.of(name, index)
    assert sys.getrefcount(one) <= before + 1
    del lookup
    gc.collect()
    assert sys.getrefcount(one) == before
