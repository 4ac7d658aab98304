"""The server-side assignors against Kafka's own classes, on thousands of random groups.

The same targets, in the same order of topics and partitions, and the same order of records.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kafka_py.coordinator.consumer.assignor_order import grown_capacity, java_order, string_hash
from kafka_py.coordinator.consumer.assignors import ASSIGNORS
from kafka_py.coordinator.consumer.regex import InvalidPattern, compile_pattern
from kafka_py.coordinator.consumer.specs import Assignment, AssignorError
from kafka_py.protocol.types import uuid_from_text, uuid_to_text
from tests.coordinator.consumer.groups_at_random import Case, cases

ORACLE = Path(__file__).parent / "java" / "AssignorOracle.java"
GROUPS = 500
STEPS = 12


def ask(classpath: str, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The oracle's answers, in one run of Java."""
    done = subprocess.run(
        ["java", "-cp", classpath, str(ORACLE)],
        input="".join(json.dumps(question) + "\n" for question in questions).encode(),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert len(answers) == len(questions)
    return answers


def listed(assignment: Assignment) -> list[Any]:
    """An assignment as JSON has it, in its order."""
    return [[uuid_to_text(topic_id), list(parts)] for topic_id, parts in assignment.items()]


def asked(case: Case) -> dict[str, Any]:
    names, counts = case.topics.names, case.topics.partition_counts
    return {
        "assignor": case.assignor,
        "homogeneous": case.topics.homogeneous,
        "topics": {
            names[topic_id]: [uuid_to_text(topic_id), counts[topic_id]] for topic_id in counts
        },
        "members": [
            {
                "id": member_id,
                "instance": member.instance_id,
                "rack": member.rack_id,
                "names": sorted(
                    (names[topic_id] for topic_id in member.subscribed_topic_ids),
                    key=lambda name: name.encode("utf-16-be"),
                ),
                "assigned": listed(member.assigned),
            }
            for member_id, member in case.members.items()
        ],
    }


def test_every_random_group_is_assigned_as_java_assigns_it(oracle_classpath: str) -> None:
    every = [case for seed in range(GROUPS) for case in cases(seed, STEPS)]
    homogeneous = sum(case.topics.homogeneous for case in every)
    assert len(every) == GROUPS * STEPS
    assert GROUPS < homogeneous < GROUPS * (STEPS - 1)
    for case, answer in zip(every, ask(oracle_classpath, list(map(asked, every))), strict=True):
        check(case, answer)


def check(case: Case, answer: dict[str, Any]) -> None:
    """Our answer to the case is Java's."""
    if "error" in answer:
        with pytest.raises(AssignorError) as caught:
            ASSIGNORS[case.assignor].assign(case.members, case.topics)
        assert answer == {"error": str(caught.value)}, case
        return
    made = ASSIGNORS[case.assignor].assign(case.members, case.topics)
    assert sorted(made) == sorted(answer["targets"]), case
    changed = []
    for member_id in java_order(case.members, string_hash, grown_capacity(len(case.members))):
        target, had = made.get(member_id, {}), case.members[member_id].assigned
        if as_sets(target) != as_sets(had):
            changed.append(member_id)
            # Written in a record, so the order is to be the same as well.
            assert listed(target) == (answer["targets"].get(member_id) or []), case
        else:
            theirs = answer["targets"].get(member_id, [])
            assert as_sets(target) == as_sets({uuid_from_text(t): parts for t, parts in theirs})
    assert answer["changed"] == changed, case


def as_sets(assignment: Assignment) -> dict[bytes, frozenset[int]]:
    return {topic_id: frozenset(parts) for topic_id, parts in assignment.items()}


PATTERNS = [
    "foo.*",
    "(abc",
    "abc)",
    "[abc",
    "a**",
    "*abc",
    "+",
    "a{2,1}",
    "a{1001}",
    "a{1,1001}",
    "[b-a]",
    "\\",
    "\\8",
    "\\x",
    "\\x{110000}",
    "(?i",
    "(?P<n>a)(?P<n>b)",
    "(?P<n",
    "(?P<>a)",
    "(?P=n)",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?<n>a)",
    "(?<n",
    "a\\Qb",
    "[[:foo:]]",
    "[[:alpha:]]+",
    "\\pN",
    "\\p{Foo}",
    "\\p",
    "\\p{Greek}",
    "[a-\\d]",
    "[\\d-a]",
    "a{,2}",
    "a{2",
    "(?z)",
    "(?i-)",
    "",
    "^foo$",
    "\\C",
    "\\1",
    "[]a]",
    "[]",
    "[^]",
    "x{2}{3}",
    "a???",
    "a??",
    "a+*",
    "a++",
    "((((a",
    "\\z",
    "\\Z",
    "\\b",
    "\\e",
    "\\_",
    "(?U)a+",
    "\\07",
    "\\123",
    "é+",
    "(?i:Foo)",
    "[[:word:]",
    "\\R",
    "(?P<n-m>a)",
    "(?#c)",
    "(?>a)",
    "a{0}",
    "a{99999999999}",
    "\\p{^Lu}",
    "\\pL+",
    "[(?P<n>a)(?P<n>b)]",
    "\\Q(?P<n>)(?P<n>)\\E",
    "\\\\C",
    "bar-[[:digit:]]{1,2}",
    "(?i)BAR-1",
    "a.b",
    ".*",
]
NAMES = ["foo", "foobar", "bar-1", "bar-12", "Bar-1", "__consumer_offsets", "a.b", "a-b", "aa"]


def test_patterns_are_judged_and_matched_as_java_does(oracle_classpath: str) -> None:
    patterns = [*PATTERNS, "foo|bar-1", "a|*", "(a*)*b|aa"]
    answers = ask(oracle_classpath, [{"regex": text, "texts": NAMES} for text in patterns])
    assert sum("error" in answer for answer in answers) > 30
    for text, answer in zip(patterns, answers, strict=True):
        try:
            pattern = compile_pattern(text)
        except InvalidPattern as error:
            made = {"error": str(error)}
        else:
            made = {"matched": list(filter(pattern.matches, NAMES))}
        assert made == answer, text
