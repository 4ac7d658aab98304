"""Access control lists: what the three APIs answer, and what every other API says to whom.

On PLAINTEXT everybody is ``User:ANONYMOUS``, Apache's own broker as well. What tells callers apart
here is where they connect from: the host from 127.0.0.1 may do everything, what the guest from
127.0.0.2 may do is the question.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from kafka_py.protocol.acl_types import Operation as Op
from kafka_py.protocol.acl_types import PatternType, Permission, ResourceType
from kafka_py.protocol.registry import ApiKey
from tests.oracle.raw import Recorder

HOST, GUEST = "127.0.0.1", "127.0.0.2"
PRINCIPAL = "User:ANONYMOUS"
TOPIC, GROUP, CLUSTER, TXN = (
    *(ResourceType.TOPIC, ResourceType.GROUP, ResourceType.CLUSTER),
    ResourceType.TRANSACTIONAL_ID,
)
LITERAL, PREFIXED = PatternType.LITERAL, PatternType.PREFIXED
ALLOW, DENY = Permission.ALLOW, Permission.DENY
ANY_FILTER = {
    "resource_type_filter": 1,
    "resource_name_filter": None,
    "pattern_type_filter": 1,
    "principal_filter": None,
    "host_filter": None,
    "operation": 1,
    "permission_type": 1,
}


def creation(
    kind: int,
    name: str,
    operation: int,
    *,
    pattern: int = LITERAL,
    permission: int = ALLOW,
    principal: str = PRINCIPAL,
    host: str = GUEST,
) -> dict[str, Any]:
    """One entry of a CreateAcls request."""
    return {
        "resource_type": int(kind),
        "resource_name": name,
        "resource_pattern_type": int(pattern),
        "principal": principal,
        "host": host,
        "operation": int(operation),
        "permission_type": int(permission),
    }


def let_the_host_in(r: Recorder) -> None:
    """Entries by which the host may do everything, and nobody else anything."""
    kinds = ((CLUSTER, "kafka-cluster"), (TOPIC, "*"), (GROUP, "*"), (TXN, "*"))
    rows = [creation(kind, name, Op.ALL, host=HOST) for kind, name in kinds]
    reply = r.quiet(ApiKey.CREATE_ACLS, creations=rows)
    assert not any(row.error_code for row in reply.results), reply
    settle(r, len(rows))


def settle(r: Recorder, count: int, host: str = HOST) -> None:
    """Wait until the broker knows that many entries for a host."""
    deadline = time.monotonic() + 15
    while True:
        found = r.quiet(ApiKey.DESCRIBE_ACLS, **{**ANY_FILTER, "host_filter": host})
        if sum(len(resource.acls) for resource in found.resources) == count:
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    r.settle()


def grant(r: Recorder, rows: list[dict[str, Any]]) -> None:
    """Give the guest these rights and no others."""
    wanted = {**ANY_FILTER, "host_filter": GUEST}
    r.quiet(ApiKey.DELETE_ACLS, filters=[wanted])
    if rows:
        reply = r.quiet(ApiKey.CREATE_ACLS, creations=rows)
        assert not any(row.error_code for row in reply.results), reply
    settle(r, len(rows), GUEST)


# ------------------------------------------------------------------------------- the three APIs


def acl_apis(r: Recorder) -> None:
    """Create, describe and delete, in every version, with everything that can be wrong."""
    good = [
        creation(TOPIC, "a", Op.READ, principal="User:alice", host="*"),
        creation(TOPIC, "a", Op.READ, principal="User:alice", host="*"),
        creation(TOPIC, "a", Op.WRITE, principal="User:bob", permission=DENY, host="10.0.0.1"),
        creation(TOPIC, "a", Op.READ, principal="User:alice", host="*", pattern=PREFIXED),
        creation(TOPIC, "ab", Op.ALL, principal="Group:x", host="*", pattern=PREFIXED),
        creation(TOPIC, "*", Op.DESCRIBE, principal="User:*", host="*"),
        creation(GROUP, "g", Op.READ, principal="User:alice", host="*"),
        creation(CLUSTER, "kafka-cluster", Op.IDEMPOTENT_WRITE, principal="User:a", host="*"),
        creation(TXN, "t", Op.TWO_PHASE_COMMIT, principal="User:a", host="*"),
        creation(ResourceType.DELEGATION_TOKEN, "t", Op.DESCRIBE, principal="User:a", host="*"),
        creation(ResourceType.USER, "User:u", Op.CREATE_TOKENS, principal="User:a", host="*"),
    ]
    r.ask_all(ApiKey.CREATE_ACLS, creations=good)
    bad = [
        creation(CLUSTER, "other", Op.ALTER, principal="User:a"),
        creation(CLUSTER, "*", Op.ALTER, principal="User:a"),
        creation(TOPIC, "", Op.READ, principal="User:a"),
        creation(TOPIC, "b", Op.READ, principal="nobody"),
        creation(TOPIC, "b", Op.READ, principal=""),
        creation(TOPIC, "b", 99, principal="User:a"),
        creation(99, "b", Op.READ, principal="User:a"),
        creation(TOPIC, "b", Op.READ, principal="User:a", pattern=99),
        creation(TOPIC, "b", Op.READ, principal="User:a", permission=99),
        creation(TOPIC, "b", Op.CREATE_TOKENS, principal="User:", host=""),
    ]
    r.ask_all(ApiKey.CREATE_ACLS, creations=bad)
    for changed in (
        {"operation": 1},
        {"resource_type": 1},
        {"resource_pattern_type": 1},
        {"resource_pattern_type": 2},
        {"permission_type": 1},
        {"operation": 0},
        {"resource_type": 0},
        {"resource_pattern_type": 0},
        {"permission_type": 0},
    ):
        rows = [good[0], {**creation(TOPIC, "never", Op.READ), **changed}]
        r.ask(ApiKey.CREATE_ACLS, creations=rows)
    r.ask(ApiKey.CREATE_ACLS, creations=[])
    r.settle()
    describe_and_delete(r)


def filters() -> Iterator[dict[str, Any]]:
    """Filters of every kind."""
    yield ANY_FILTER
    for name in ("a", "ab", "abc", "*", "x", ""):
        for pattern in (1, 2, 3, 4):
            yield {
                **ANY_FILTER,
                "resource_type_filter": 2,
                "resource_name_filter": name,
                "pattern_type_filter": pattern,
            }
    yield {**ANY_FILTER, "principal_filter": "User:alice"}
    yield {**ANY_FILTER, "principal_filter": "User:*"}
    yield {**ANY_FILTER, "host_filter": "10.0.0.1"}
    yield {**ANY_FILTER, "host_filter": "*"}
    for operation in (2, 3, 8, 15, 99):
        yield {**ANY_FILTER, "operation": operation}
    for permission in (2, 3, 99):
        yield {**ANY_FILTER, "permission_type": permission}
    for kind in (3, 4, 5, 6, 7, 99):
        yield {**ANY_FILTER, "resource_type_filter": kind}
    yield {**ANY_FILTER, "pattern_type_filter": 99}
    for name in ("operation", "permission_type", "resource_type_filter", "pattern_type_filter"):
        yield {**ANY_FILTER, name: 0}


def describe_and_delete(r: Recorder) -> None:
    """The same filters for both, so that what is deleted is what was described."""
    for wanted in filters():
        r.ask(ApiKey.DESCRIBE_ACLS, **wanted)
    r.ask_all(ApiKey.DESCRIBE_ACLS, **ANY_FILTER)
    not_all = [one for one in filters() if one["host_filter"] or one["resource_name_filter"]]
    for wanted in not_all[:8]:
        r.ask(ApiKey.DELETE_ACLS, filters=[wanted])
    r.settle()
    r.ask(ApiKey.DESCRIBE_ACLS, **ANY_FILTER)
    by_user = {**ANY_FILTER, "principal_filter": "User:a"}
    wrong = {**ANY_FILTER, "operation": 99}
    r.ask_all(ApiKey.DELETE_ACLS, filters=[by_user, by_user, wrong])
    r.ask(ApiKey.DELETE_ACLS, filters=[{**ANY_FILTER, "resource_type_filter": 99}])
    r.ask(ApiKey.DELETE_ACLS, filters=[{**ANY_FILTER, "operation": 0}])
    r.ask(ApiKey.DELETE_ACLS, filters=[])
    r.settle()
    r.ask(ApiKey.DESCRIBE_ACLS, **ANY_FILTER)
    for host in ("*", "10.0.0.1", ""):
        r.ask(ApiKey.DELETE_ACLS, filters=[{**ANY_FILTER, "host_filter": host}])
    r.settle()
    r.ask(ApiKey.DESCRIBE_ACLS, **ANY_FILTER)
