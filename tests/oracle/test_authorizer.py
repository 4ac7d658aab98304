"""Our authorizer against Kafka's own StandardAuthorizer, on thousands of random sets of entries."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from kafka_py.metadata.authorizer import Authorizer
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol import records_metadata as r
from tests.metadata.acls_at_random import Case, case

ORACLE = Path(__file__).parent / "java" / "AuthorizerOracle.java"
CASES = 4000
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"


def asked(one: Case) -> dict[str, Any]:
    """A case as the oracle takes it."""
    return {
        "super": ";".join(one.super_users),
        "everyone": "true" if one.allow_if_no_acl else "false",
        "acls": [
            [
                *(acl.resource_type, acl.resource_name, acl.pattern_type, acl.principal),
                *(acl.host, acl.operation, acl.permission_type),
            ]
            for acl in one.acls
        ],
        "asks": [[s.principal, s.host, op, kind, name] for s, op, kind, name in one.asks],
        "any": [[s.principal, s.host, op, kind] for s, op, kind in one.asks_any],
    }


def answered(one: Case) -> dict[str, Any]:
    """What ours answers, with the entries from records, as a node gets them."""
    image = MetadataImage()
    for number, acl in enumerate(one.acls):
        entry_id = number.to_bytes(16, "big")
        image.apply(r.AccessControlEntryRecord(id=entry_id, **acl._asdict()))
    authorizer = Authorizer(
        super_users=frozenset(one.super_users), allow_if_no_acl=one.allow_if_no_acl
    )
    authorizer.follow(image)
    return {
        "asks": [authorizer.allows(*ask) for ask in one.asks],
        "any": [authorizer.allows_any(*ask) for ask in one.asks_any],
    }


def test_everything_is_decided_as_java_decides_it(oracle_classpath: str) -> None:
    """Single resources, and any resource of a type."""
    every = [case(seed) for seed in range(CASES)]
    done = subprocess.run(
        ["java", QUIET, "-cp", oracle_classpath, str(ORACLE)],
        input="".join(json.dumps(asked(one)) + "\n" for one in every).encode(),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert len(answers) == CASES
    allowed = 0
    for seed, (one, expected) in enumerate(zip(every, answers, strict=True)):
        found = answered(one)
        for kind, asks in (("asks", one.asks), ("any", one.asks_any)):
            for ask, theirs, ours in zip(asks, expected[kind], found[kind], strict=True):
                assert ours == theirs, f"seed {seed}: {ask} is {theirs} in Java, of {one.acls}"
        allowed += sum(expected["asks"])
    # Neither answer is rare, so that a wrong one would show.
    assert 0.05 < allowed / (CASES * 30) < 0.95
