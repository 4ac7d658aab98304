"""Random groups for the assignors: members come and go, subscriptions change, topics grow."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from kafka_py.coordinator.consumer.assignors import ASSIGNORS
from kafka_py.coordinator.consumer.specs import Assignment, MemberSpec, TopicsSpec

__all__ = ["Case", "cases", "is_homogeneous", "owners"]

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789._-"
WORDS = ("orders", "clicks", "t", "a.b", "Üb", "pay-", "\U0001f600x", "\uffeez")


class Case(NamedTuple):
    """One question to an assignor."""

    assignor: str
    members: dict[str, MemberSpec]
    topics: TopicsSpec


def is_homogeneous(members: dict[str, MemberSpec]) -> bool:
    """Whether all members subscribe to the same topics."""
    return len({member.subscribed_topic_ids for member in members.values()}) < 2


def cases(seed: int, steps: int) -> Iterator[Case]:
    """The life of one group: each step's targets are what the members had at the next."""
    rng = random.Random(seed)
    assignor = rng.choice(("uniform", "uniform", "range"))
    names: dict[bytes, str] = {}
    counts: dict[bytes, int] = {}
    largest = rng.choice((3, 20, 70, 300))
    for _ in range(rng.randint(1, rng.choice((2, 5, 20)))):
        _add_topic(rng, names, counts, largest)
    alike = rng.random() < 0.5
    members: dict[str, MemberSpec] = {}
    for _ in range(steps):
        if rng.random() < 0.2:
            _change_topics(rng, names, counts, largest)
        members = _change_members(rng, members, counts, alike, rng.choice((1, 2, 10)))
        topics = TopicsSpec(dict(counts), alike or is_homogeneous(members), dict(names))
        yield Case(assignor, members, topics)
        if rng.random() < 0.05:
            assignor = "range" if assignor == "uniform" else "uniform"
        made = ASSIGNORS[assignor].assign(members, topics)
        members = {
            member_id: member._replace(assigned=dict(made.get(member_id, {})))
            for member_id, member in members.items()
        }


def _add_topic(
    rng: random.Random, names: dict[bytes, str], counts: dict[bytes, int], largest: int
) -> None:
    topic_id = rng.randbytes(16)
    names[topic_id] = f"{rng.choice(WORDS)}{len(names)}-{''.join(rng.choices(LETTERS, k=4))}"
    counts[topic_id] = rng.randint(1, largest)


def _change_topics(
    rng: random.Random, names: dict[bytes, str], counts: dict[bytes, int], largest: int
) -> None:
    what = rng.random()
    if what < 0.4 or len(counts) == 1:
        _add_topic(rng, names, counts, largest)
    elif what < 0.6:
        gone = rng.choice(list(counts))
        del names[gone], counts[gone]
    else:
        counts[rng.choice(list(counts))] += rng.randint(1, 10)


def _change_members(
    rng: random.Random,
    members: dict[str, MemberSpec],
    counts: dict[bytes, int],
    alike: bool,
    comers: int,
) -> dict[str, MemberSpec]:
    everything = frozenset(counts)
    changed: dict[str, MemberSpec] = {}
    for member_id, member in members.items():
        if rng.random() < 0.15:
            continue
        wanted = member.subscribed_topic_ids & everything
        if alike or not wanted:
            wanted = everything
        elif rng.random() < 0.1:
            wanted = _some(rng, everything)
        changed[member_id] = member._replace(subscribed_topic_ids=wanted)
    for _ in range(rng.randint(not changed, comers)):
        member_id = "".join(rng.choices(LETTERS + "\u00e9\uffee\U0001f600", k=rng.randint(1, 30)))
        changed[member_id] = MemberSpec(
            instance_id=f"i{rng.randbytes(4).hex()}" if rng.random() < 0.3 else None,
            rack_id=rng.choice((None, "r1", "r2")),
            subscribed_topic_ids=everything if alike else _some(rng, everything),
            assigned=dict[bytes, tuple[int, ...]](),
        )
    if alike and rng.random() < 0.1:
        fewer = _some(rng, everything)
        changed = {m: s._replace(subscribed_topic_ids=fewer) for m, s in changed.items()}
    return changed


def _some(rng: random.Random, everything: frozenset[bytes]) -> frozenset[bytes]:
    least = 0 if rng.random() < 0.1 else 1
    return frozenset(rng.sample(sorted(everything), rng.randint(least, len(everything))))


def owners(assignment: dict[str, Assignment]) -> dict[tuple[bytes, int], str]:
    """Who has each partition; nobody may share one."""
    found: dict[tuple[bytes, int], str] = {}
    for member_id, topics in assignment.items():
        for topic_id, partitions in topics.items():
            assert partitions, "a topic without partitions"
            for partition in partitions:
                assert found.setdefault((topic_id, partition), member_id) == member_id
    return found
