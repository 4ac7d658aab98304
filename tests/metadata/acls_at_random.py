"""Access control entries and questions at random, from few names, so that most of them meet."""

from __future__ import annotations

import random
from typing import NamedTuple

from kafka_py.metadata.authorizer import Subject
from kafka_py.metadata.types import Acl

PRINCIPALS = ("User:alice", "User:bob", "User:*", "Group:alice", "User:ANONYMOUS")
HOSTS = ("*", "10.0.0.1", "10.0.0.2", "0:0:0:0:0:0:0:1")
NAMES = ("*", "a", "aa", "aab", "ab", "abc", "b", "ba", "foo", "foob", "foobar", "hardcode")
TYPES = (2, 3, 4, 5, 7)
OPERATIONS = tuple(range(2, 16))


class Case(NamedTuple):
    """A set of entries and settings, and what is asked of it."""

    super_users: tuple[str, ...]
    allow_if_no_acl: bool
    acls: list[Acl]
    #: (subject, operation, resource type, name)
    asks: list[tuple[Subject, int, int, str]]
    #: (subject, operation, resource type)
    asks_any: list[tuple[Subject, int, int]]


def case(seed: int, asks: int = 30) -> Case:
    """One case; the same for the same seed."""
    rng = random.Random(seed)
    types = rng.sample(TYPES, rng.randint(1, 2))
    acls = {
        Acl(
            resource_type=rng.choice(types),
            resource_name=rng.choice(NAMES),
            pattern_type=rng.choice((3, 4)),
            principal=rng.choice(PRINCIPALS),
            host=rng.choice(HOSTS),
            operation=rng.choice(OPERATIONS[:8] if rng.random() < 0.7 else OPERATIONS),
            permission_type=3 if rng.random() < 0.75 else 2,
        )
        for _ in range(rng.choice((0, 1, 2, 5, 12, 40)))
    }

    def subject() -> Subject:
        # Nobody is called "User:*": Java would raise.
        who = rng.choice([name for name in PRINCIPALS if name != "User:*"])
        return Subject(who, rng.choice(HOSTS[1:]))

    def operation() -> int:
        return rng.choice(OPERATIONS[1:])

    return Case(
        super_users=("User:root", "User:bob")[: rng.choice((0, 0, 1, 2))],
        allow_if_no_acl=rng.random() < 0.3,
        acls=sorted(acls),
        asks=[
            (subject(), operation(), rng.choice(types), rng.choice((*NAMES, "foobarbaz", "z")))
            for _ in range(asks)
        ],
        asks_any=[(subject(), operation(), rng.choice(types)) for _ in range(asks // 3)],
    )
