"""Every message and version against Java's own generated classes.

Bytes, field names, defaults, and what a version drops or refuses.
"""

from __future__ import annotations

import base64
import json
import random
import re
import struct
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kafka_py.protocol.arbitrary import NO_CHOICE, Arbitrary, versions
from kafka_py.protocol.errors import EncodeError, ErrorCode
from kafka_py.protocol.registry import all_messages
from kafka_py.protocol.schema import Field, FieldType, Message, Struct
from kafka_py.protocol.types import uuid_to_text

ORACLE = Path(__file__).parent / "java" / "ProtocolOracle.java"
ROUNDS = 12

# What the oracle's Kafka (4.3) does not have: messages and versions of 4.4.
SINCE_4_4 = {
    ("AbortedTxn", 0),
    ("ApiVersionsRequest", 5),
    ("ApiVersionsResponse", 5),
    ("DeleteGroupsRequest", 3),
    ("DeleteGroupsResponse", 3),
    ("StreamsGroupDescribeRequest", 1),
    ("StreamsGroupDescribeResponse", 1),
    ("StreamsGroupHeartbeatRequest", 1),
    ("StreamsGroupHeartbeatResponse", 1),
    ("StreamsGroupTopologyDescriptionUpdateRequest", 0),
    ("StreamsGroupTopologyDescriptionUpdateResponse", 0),
    ("TxnOffsetCommitRequest", 6),
    ("TxnOffsetCommitResponse", 6),
    ("UnregisterControllerRecord", 0),
    ("UnregisterControllerRequest", 0),
    ("UnregisterControllerResponse", 0),
}

RENAMED_BY_4_4 = {
    ("StreamsGroupHeartbeatResponse", "acceptable_recovery_lag_legacy"): "acceptableRecoveryLag",
    ("TxnOffsetCommitRequest", "generation_id_or_member_epoch"): "generationId",
}
TAGS_SINCE_4_4 = {"stored_description_topology_epoch", "failed_description_topology_epoch"}


class Answer(NamedTuple):
    status: int
    data: bytes
    json: str


class Question(NamedTuple):
    cls: type[Message]
    read: int
    write: int
    message: Message | None  # None: a new object


def asked(name: str, read: int, write: int, body: bytes | None) -> bytes:
    """A question on the wire; without a body it is about a new object."""
    size = -1 if body is None else len(body)
    head = struct.pack(">H", len(name)) + name.encode() + struct.pack(">hhi", read, write, size)
    return head + (body or b"")


def ask(classpath: str, questions: list[Question]) -> list[Answer]:
    """The oracle's answers, in one run of Java."""
    parts = [
        asked(q.cls.__name__, q.read, q.write, q.message and q.message.encode(q.read))
        for q in questions
    ]
    return run(classpath, parts)


def run(classpath: str, parts: list[bytes]) -> list[Answer]:
    """One run of Java over the questions."""
    done = subprocess.run(
        ["java", "-cp", classpath, str(ORACLE)],
        input=b"".join(parts),
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    answers, at = [], 0
    while at < len(done.stdout):
        status, size = struct.unpack_from(">bi", done.stdout, at)
        data = done.stdout[at + 5 : at + 5 + size]
        at += 5 + size
        (size,) = struct.unpack_from(">i", done.stdout, at)
        answers.append(Answer(status, data, done.stdout[at + 4 : at + 4 + size].decode()))
        at += 4 + size
    assert len(answers) == len(parts)
    return answers


def camel(name: str) -> str:
    """Kafka's spelling of a field name, in JSON."""
    special = {
        "enable_2pc": "enable2Pc",
        "kraft_version": "kRaftVersion",
        "kraft_version_feature": "kRaftVersionFeature",
    }
    return special.get(name) or re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name)


def rendered(kind: FieldType, value: Any, version: int) -> Any:
    """A value as Kafka's JSON converters render it."""
    if value is None:
        return None
    if kind.element is not None:
        return [rendered(kind.element, item, version) for item in value]
    if kind.struct is not None:
        return rendered_struct(value, version)
    if kind.name == "uuid":
        return uuid_to_text(value)
    if kind.name == "bytes":
        return base64.b64encode(value).decode()
    return value


def rendered_struct(message: Struct, version: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for f in type(message).__fields__:
        value = getattr(message, f.name)
        if not f.present(version) or (f.tag is not None and value == f.new_default()):
            continue
        if f.name in TAGS_SINCE_4_4:
            continue  # an unknown tagged field to the oracle: in the bytes, but not in the JSON
        if f.type.name == "records":
            plain[camel(f.name)] = None if value is None else ""  # the converters leave records out
        else:
            name = RENAMED_BY_4_4.get((type(message).__name__, f.name)) or camel(f.name)
            plain[name] = rendered(f.type, value, version)
    return plain


def messages(seed: int, unknown_tags: bool) -> list[Question]:
    made = []
    arbitrary = Arbitrary(random.Random(seed), unknown_tags=unknown_tags)
    for cls in all_messages():
        for version in versions(cls):
            made += [
                Question(cls, version, version, arbitrary.message(cls, version))
                for _ in range(ROUNDS)
            ]
    return made


@pytest.mark.parametrize("unknown_tags", [False, True])
def test_java_decodes_our_bytes_and_encodes_the_same(
    oracle_classpath: str, unknown_tags: bool
) -> None:
    questions = messages(20 + unknown_tags, unknown_tags)
    missing = set()
    for q, answer in zip(questions, ask(oracle_classpath, questions), strict=True):
        assert q.message is not None
        where = f"{q.cls.__name__} v{q.read}: {q.message}"
        if answer.status == 1:
            missing.add((q.cls.__name__, q.read))
            continue
        assert answer.status == 0, f"{where}: {answer.data.decode()}"
        assert answer.data == q.message.encode(q.write), where
        assert rendered_struct(q.message, q.read) == json.loads(answer.json), where[:600]
    assert missing == SINCE_4_4


ERRORS_SINCE_4_4 = {134, 135, 136}
REWORDED_BY_4_4 = {124}


def test_error_codes_are_javas(oracle_classpath: str) -> None:
    (answer,) = run(oracle_classpath, [asked("Errors", 0, 0, None)])
    theirs = [line.split("\t") for line in answer.data.decode().splitlines()]
    ours = [
        [str(int(code)), code.name, str(code.retriable).lower(), code.message]
        for code in ErrorCode
        if code not in ERRORS_SINCE_4_4
    ]
    assert len(ours) == len(theirs)
    for mine, his in zip(ours, theirs, strict=True):
        assert mine[:3] == his[:3]
        assert mine[3] == his[3] or int(mine[0]) in REWORDED_BY_4_4


def test_defaults_are_javas(oracle_classpath: str) -> None:
    questions = [Question(cls, v, v, None) for cls in all_messages() for v in versions(cls)]
    for q, answer in zip(questions, ask(oracle_classpath, questions), strict=True):
        if answer.status == 1:
            assert (q.cls.__name__, q.read) in SINCE_4_4
            continue
        where = f"{q.cls.__name__} v{q.write}: {answer.data.decode(errors='replace')}"
        try:
            ours = q.cls().encode(q.write)
        except EncodeError:
            assert answer.status == 3, where
        else:
            assert answer.status == 0, where
            assert answer.data == ours, where


def test_a_message_written_in_another_version(oracle_classpath: str) -> None:
    """What is dropped as ignorable and what is refused, from every version to every other."""
    arbitrary = Arbitrary(random.Random(7), choose=mostly_default)
    questions = []
    for cls in all_messages():
        shared = [v for v in versions(cls) if (cls.__name__, v) not in SINCE_4_4]
        questions += [
            Question(cls, read, write, arbitrary.message(cls, read))
            for read in shared
            for write in shared
            for _ in range(3)
            if read != write
        ]
    refused = 0
    for q, answer in zip(questions, ask(oracle_classpath, questions), strict=True):
        assert q.message is not None
        where = f"{q.cls.__name__} v{q.read} to v{q.write}: {q.message} {answer.data[:300]!r}"
        decoded = q.cls.decode(q.message.encode(q.read), q.read)
        try:
            ours = decoded.encode(q.write)
        except EncodeError:
            refused += 1
            assert answer.status == 3, where
        else:
            assert answer.status == 0, where
            assert answer.data == ours, where
    assert len(questions) // 20 < refused < len(questions) // 2


CHANCE = random.Random(8)


def mostly_default(_struct: type[Struct], f: Field) -> Any:
    """Keep most fields of limited versions at their default, so that not all is refused."""
    limited = f.versions[0] > 0 or f.versions[1] < 32767
    return f.new_default() if limited and CHANCE.random() < 0.7 else NO_CHOICE
