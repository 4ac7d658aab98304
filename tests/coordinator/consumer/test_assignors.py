"""The server-side assignors: what holds of every assignment, and a few that are written out.

That they equal Java's is for `tests/oracle/test_assignors.py`.
"""

from __future__ import annotations

import time
from collections import Counter

import pytest

from kafka_py.coordinator.consumer.assignor_order import (
    Draft,
    collection_capacity,
    grown_capacity,
    int_order,
    java_order,
    sorted_names,
    string_hash,
    table_capacity,
    timeline_order,
    topic_hash,
)
from kafka_py.coordinator.consumer.assignors import ASSIGNORS
from kafka_py.coordinator.consumer.specs import Assignment, AssignorError, MemberSpec, TopicsSpec
from tests.coordinator.consumer.groups_at_random import Case, cases, owners

T, U = bytes([1] * 16), bytes([2] * 16)
SEEDS = range(60)


def member(*topics: bytes, instance: str | None = None, **had: tuple[int, ...]) -> MemberSpec:
    assigned = {{"T": T, "U": U}[name]: partitions for name, partitions in had.items()}
    return MemberSpec(instance, None, frozenset(topics or (T,)), assigned)


def assigned(
    assignor: str, members: dict[str, MemberSpec], alike: bool = True, **counts: int
) -> dict[str, Assignment]:
    topics = TopicsSpec({{"T": T, "U": U}[name]: n for name, n in counts.items()}, alike)
    return {
        member_id: {topic_id: tuple(sorted(parts)) for topic_id, parts in target.items()}
        for member_id, target in ASSIGNORS[assignor].assign(members, topics).items()
    }


# -- every assignment ------------------------------------------------------------------------------


def random_cases(assignor: str) -> list[Case]:
    return [case for seed in SEEDS for case in cases(seed, 8) if case.assignor == assignor]


@pytest.mark.parametrize("assignor", ["uniform", "range"])
def test_each_partition_has_one_member_that_wants_it(assignor: str) -> None:
    for case in random_cases(assignor):
        made = dict(ASSIGNORS[assignor].assign(case.members, case.topics))
        found = owners(made)
        for (topic_id, _), member_id in found.items():
            assert topic_id in case.members[member_id].subscribed_topic_ids
        wanted = {t for spec in case.members.values() for t in spec.subscribed_topic_ids}
        every = {(t, p) for t in wanted for p in range(case.topics.partition_counts[t])}
        assert set(found) == every


def test_uniform_is_balanced() -> None:
    checked = 0
    for case in random_cases("uniform"):
        made = ASSIGNORS["uniform"].assign(case.members, case.topics)
        sizes = {m: sum(map(len, made.get(m, {}).values())) for m in case.members}
        if case.topics.homogeneous:
            assert max(sizes.values()) - min(sizes.values()) <= 1
            checked += 1
    assert checked > 50


def test_uniform_alike_moves_no_more_than_it_has_to() -> None:
    """Who loses partitions is over its share; and what is balanced stays."""
    for case in random_cases("uniform"):
        if not case.topics.homogeneous:
            continue
        made = ASSIGNORS["uniform"].assign(case.members, case.topics)
        wanted = {t for spec in case.members.values() for t in spec.subscribed_topic_ids}
        total = sum(case.topics.partition_counts[t] for t in wanted)
        share = total // len(case.members)
        for member_id, spec in case.members.items():
            had = {(t, p) for t, parts in spec.assigned.items() for p in parts if t in wanted}
            has = {(t, p) for t, parts in made.get(member_id, {}).items() for p in parts}
            lost = had - has
            assert not lost or len(had) > share
            assert len(had & has) >= min(len(had), share)


@pytest.mark.parametrize("assignor", ["uniform", "range"])
def test_what_was_made_is_made_again(assignor: str) -> None:
    """A second assignment of the same group moves nothing, and keeps the very objects."""
    for case in random_cases(assignor):
        if not case.topics.homogeneous:
            continue
        made = ASSIGNORS[assignor].assign(case.members, case.topics)
        again = {m: s._replace(assigned=made.get(m, {})) for m, s in case.members.items()}
        remade = ASSIGNORS[assignor].assign(again, case.topics)
        assert owners(dict(remade)) == owners(dict(made))
        if assignor == "uniform":
            assert all(remade[m] is made[m] for m in made)


def test_range_gives_ranges() -> None:
    for case in random_cases("range"):
        for target in ASSIGNORS["range"].assign(case.members, case.topics).values():
            for partitions in target.values():
                assert list(partitions) == list(range(partitions[0], partitions[-1] + 1))


# -- written out -----------------------------------------------------------------------------------


def test_range_sorts_static_members_first() -> None:
    members = {
        "b": member(T, U),
        "a": member(T, U),
        "z": member(T, U, instance="i2"),
        "y": member(T, U, instance="i1"),
    }
    assert assigned("range", members, T=5, U=5) == {
        "y": {T: (0, 1), U: (0, 1)},
        "z": {T: (2,), U: (2,)},
        "a": {T: (3,), U: (3,)},
        "b": {T: (4,), U: (4,)},
    }


def test_range_counts_the_subscribers_of_each_topic() -> None:
    members = {"a": member(T), "b": member(T, U), "c": member(U)}
    assert assigned("range", members, alike=False, T=3, U=1) == {
        "a": {T: (0, 1)},
        "b": {T: (2,), U: (0,)},
        "c": {},
    }


def test_uniform_keeps_and_fills_up() -> None:
    members = {"a": member(T, T=(0, 1, 2, 3, 4, 5)), "b": member(T), "c": member(T)}
    assert assigned("uniform", members, T=6) == {
        "a": {T: (0, 1)},
        "b": {T: (2, 3)},
        "c": {T: (4, 5)},
    }


def test_uniform_gives_up_what_is_not_wanted_any_more() -> None:
    members = {"a": member(U, T=(0, 1), U=(0,)), "b": member(U)}
    assert assigned("uniform", members, U=2) == {"a": {U: (0,)}, "b": {U: (1,)}}


def test_the_extra_partition_stays_with_who_has_it() -> None:
    members = {"a": member(T, T=(0,)), "b": member(T, T=(1, 2))}
    assert assigned("uniform", members, T=3) == {"a": {T: (0,)}, "b": {T: (1, 2)}}


def test_uniform_mixed_levels_what_overlapping_subscriptions_left_uneven() -> None:
    members = {"a": member(T, U, T=(0, 1), U=(0, 1)), "b": member(U), "c": member(T)}
    made = assigned("uniform", members, alike=False, T=2, U=2)
    assert sorted(sum(map(len, target.values())) for target in made.values()) == [1, 1, 2]


@pytest.mark.parametrize("assignor", ["uniform", "range"])
@pytest.mark.parametrize("alike", [True, False])
def test_nobody_and_nothing(assignor: str, alike: bool) -> None:
    assert not assigned(assignor, {}, alike)
    none = MemberSpec(None, None, frozenset(), {})
    assert not any(assigned(assignor, {"a": none}, alike).values())


@pytest.mark.parametrize("assignor", ["uniform", "range"])
@pytest.mark.parametrize("alike", [True, False])
def test_a_topic_that_does_not_exist(assignor: str, alike: bool) -> None:
    with pytest.raises(AssignorError):
        assigned(assignor, {"a": member(T), "b": member(T, U)}, alike, U=1)


# -- order -----------------------------------------------------------------------------------------


def test_hashes_are_javas() -> None:
    assert string_hash("") == 0
    assert string_hash("hello") == 99162322
    assert string_hash("\U0001f600") == 55357 * 31 + 56832
    assert topic_hash(bytes(range(16))) == 0x00010203 ^ 0x04050607 ^ 0x08090A0B ^ 0x0C0D0E0F


def test_sizes_of_tables() -> None:
    assert [table_capacity(n) for n in (0, 1, 2, 3, 4, 5, 16, 17)] == [1, 1, 2, 4, 4, 8, 16, 32]
    assert [grown_capacity(n) for n in (0, 12, 13, 24, 25)] == [16, 16, 32, 32, 64]
    assert [grown_capacity(n, 1) for n in (0, 1, 2, 3, 4)] == [1, 2, 4, 4, 8]
    assert [collection_capacity(n) for n in (0, 11, 12, 23, 24)] == [16, 16, 32, 32, 64]


def test_orders_of_tables() -> None:
    assert int_order([17, 1, 16, 0], 16) == [16, 0, 17, 1]
    assert java_order(["Aa", "BB", "b"], string_hash, 16) == ["Aa", "BB", "b"]
    # In a timeline table the last one of a slot comes first.
    assert timeline_order(["Aa", "BB"]) == ["BB", "Aa"]
    # A table of two slots has both in one; one that was larger once keeps its four.
    patterns = [f"{start}[.]5[.]1795958247046579041" for start in ("..", "(a1|b1)")]
    assert timeline_order(patterns) == patterns[::-1]
    assert timeline_order(patterns, most=3) == patterns
    assert sorted_names(["\uffee", "\U0001f600", "a"]) == ["a", "\U0001f600", "\uffee"]


def test_a_draft_is_as_java_changes_a_map_of_sets() -> None:
    draft = Draft({T: (3, 1), U: (0,)})
    draft.remove(U, 0)
    draft.add(T, 17)
    assert draft.finished() == {T: (1, 17, 3)}
    draft.remove_topic(T)
    assert draft.finished() == {}


def test_a_thousand_members_and_partitions() -> None:
    """Measured 20 ms of the processor; the bound leaves room for a slower one."""
    members = {f"consumer-app-{n}-0123456789abcdef{n:04}": member(T) for n in range(1000)}
    topics = TopicsSpec({T: 1000})
    for assignor in ("uniform", "range"):
        best = min(_taken_s(assignor, members, topics) for _ in range(3))
        assert best < 0.5
    made = ASSIGNORS["uniform"].assign(members, topics)
    assert Counter(map(len, owners(dict(made)))) == {2: 1000}


def _taken_s(assignor: str, members: dict[str, MemberSpec], topics: TopicsSpec) -> float:
    start = time.thread_time()
    ASSIGNORS[assignor].assign(members, topics)
    return time.thread_time() - start
