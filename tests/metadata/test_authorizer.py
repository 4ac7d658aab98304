"""The authorizer: rules one by one, against a plain model, and as entries come and go."""

from __future__ import annotations

import pytest

from kafka_py.metadata.authorizer import Authorizer, Subject
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import Acl, ChangedMetadata
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.acl_types import Operation as Op
from kafka_py.protocol.acl_types import PatternType, Permission, ResourceType
from tests.metadata.acls_at_random import Case, case

ALICE = Subject("User:alice", "10.0.0.1")
TOPIC, CLUSTER = ResourceType.TOPIC, ResourceType.CLUSTER


def acl(
    name="t",
    operation=Op.READ,
    *,
    kind=TOPIC,
    pattern=PatternType.LITERAL,
    principal="User:alice",
    host="*",
    permission=Permission.ALLOW,
):
    """An entry, by default that alice may read t."""
    numbers = (int(kind), name, int(pattern), principal, host, int(operation), int(permission))
    return Acl(*numbers)


def authorizer(*acls, super_users=(), allow_if_no_acl=False):
    """One that knows these entries."""
    made = Authorizer(super_users=frozenset(super_users), allow_if_no_acl=allow_if_no_acl)
    image = MetadataImage()
    for number, entry in enumerate(acls):
        image.apply(record(number, entry))
    made.follow(image)
    return made


def record(number, entry):
    """The record of an entry, its id made of a number."""
    return r.AccessControlEntryRecord(id=bytes([number]) * 16, **entry._asdict())


def test_without_entries_only_super_users_may():
    one = authorizer(super_users=["User:root"])
    assert not one.allows(ALICE, Op.READ, TOPIC, "t")
    root = Subject("User:root", "1.1.1.1")
    assert one.decide(root, Op.READ, TOPIC, "t") == (True, "SuperUser")
    assert one.decide(ALICE, Op.READ, TOPIC, "t") == (False, "DefaultDeny")


def test_everybody_may_where_no_pattern_fits_at_all():
    one = authorizer(acl("t", principal="User:bob"), allow_if_no_acl=True)
    assert one.decide(ALICE, Op.READ, TOPIC, "other") == (True, "DefaultAllow")
    assert not one.allows(ALICE, Op.READ, TOPIC, "t")
    assert one.allows(ALICE, Op.READ, ResourceType.GROUP, "t")


def test_a_deny_outweighs_every_allow_but_not_a_super_user():
    deny = acl(principal="User:*", permission=Permission.DENY)
    one = authorizer(acl(), acl(operation=Op.ALL), deny, super_users=["User:root"])
    assert not one.allows(ALICE, Op.READ, TOPIC, "t")
    assert one.allows(ALICE, Op.WRITE, TOPIC, "t")
    assert one.allows(Subject("User:root", "x"), Op.READ, TOPIC, "t")
    assert "permissionType=DENY" in one.decide(ALICE, Op.READ, TOPIC, "t").rule


@pytest.mark.parametrize("operation", [Op.READ, Op.WRITE, Op.DELETE, Op.ALTER, Op.DESCRIBE])
def test_who_may_do_something_may_describe(operation):
    one = authorizer(acl(operation=operation))
    assert one.allows(ALICE, Op.DESCRIBE, TOPIC, "t")
    denied = authorizer(
        acl(operation=Op.DESCRIBE), acl(operation=operation, permission=Permission.DENY)
    )
    assert denied.allows(ALICE, Op.DESCRIBE, TOPIC, "t") == (operation is not Op.DESCRIBE)


def test_what_implies_nothing():
    one = authorizer(acl(operation=Op.CREATE), acl(operation=Op.ALTER_CONFIGS))
    assert not one.allows(ALICE, Op.DESCRIBE, TOPIC, "t")
    assert one.allows(ALICE, Op.DESCRIBE_CONFIGS, TOPIC, "t")
    assert not one.allows(ALICE, Op.READ, TOPIC, "t")


def test_patterns():
    prefixed = acl("foo", pattern=PatternType.PREFIXED)
    one = authorizer(prefixed, acl("*", Op.WRITE), acl("*", Op.ALTER, pattern=PatternType.PREFIXED))
    for name in ("foo", "foobar"):
        assert one.allows(ALICE, Op.READ, TOPIC, name)
    assert not one.allows(ALICE, Op.READ, TOPIC, "fo")
    assert one.allows(ALICE, Op.WRITE, TOPIC, "anything")
    assert not one.allows(ALICE, Op.ALTER, TOPIC, "anything")
    assert one.allows(ALICE, Op.ALTER, TOPIC, "*x")


def test_hosts_and_principals():
    one = authorizer(acl(host="10.0.0.1"), acl("u", principal="User:*"))
    assert one.allows(ALICE, Op.READ, TOPIC, "t")
    assert not one.allows(ALICE._replace(host="10.0.0.2"), Op.READ, TOPIC, "t")
    assert one.allows(Subject("User:x", "1.1.1.1"), Op.READ, TOPIC, "u")
    assert one.allows(Subject("Group:x", "1.1.1.1"), Op.READ, TOPIC, "u")


def test_any_resource_of_a_type():
    write = acl("orders-", Op.WRITE, pattern=PatternType.PREFIXED)
    deny = acl("orders", Op.WRITE, pattern=PatternType.PREFIXED, permission=Permission.DENY)
    assert authorizer(write).allows_any(ALICE, Op.WRITE, TOPIC)
    assert not authorizer(write).allows_any(ALICE, Op.READ, TOPIC)
    assert not authorizer(write).allows_any(ALICE, Op.WRITE, CLUSTER)
    assert not authorizer(write, deny).allows_any(ALICE, Op.WRITE, TOPIC)
    everything = acl("*", Op.WRITE, permission=Permission.DENY)
    assert not authorizer(write, everything).allows_any(ALICE, Op.WRITE, TOPIC)
    assert authorizer(allow_if_no_acl=True).allows_any(ALICE, Op.WRITE, TOPIC)


def test_entries_come_and_go():
    working = MetadataImage()
    one = authorizer()
    steps = [record(1, acl()), record(2, acl("p", pattern=PatternType.PREFIXED)), record(3, acl())]
    for step in steps:
        working.apply(step)
        one.follow(*working.publish())
    before = one.version
    assert one.allows(ALICE, Op.READ, TOPIC, "t")
    working.apply(r.RemoveAccessControlEntryRecord(id=bytes([1]) * 16))
    one.follow(*working.publish())
    assert one.allows(ALICE, Op.READ, TOPIC, "t")
    working.apply(r.RemoveAccessControlEntryRecord(id=bytes([3]) * 16))
    working.apply(r.RemoveAccessControlEntryRecord(id=bytes([2]) * 16))
    one.follow(*working.publish())
    assert not one.allows(ALICE, Op.READ, TOPIC, "t")
    assert not one.allows(ALICE, Op.READ, TOPIC, "pp")
    assert not one.acls
    assert one.version > before
    unchanged = one.version
    one.follow(working.publish()[0], ChangedMetadata(configs={(2, "t")}))
    assert one.version == unchanged


def model(one: Case, subject: Subject, operation: int, kind: int, name: str) -> bool:
    """The rules once more, without an index."""
    if subject.principal in one.super_users:
        return True
    fits = [
        entry
        for entry in one.acls
        if entry.resource_type == kind
        and (
            name.startswith(entry.resource_name)
            if entry.pattern_type == PatternType.PREFIXED
            else entry.resource_name in (name, "*")
        )
    ]
    mine = [
        entry
        for entry in fits
        if entry.principal in ("User:*", subject.principal) and entry.host in ("*", subject.host)
    ]
    implied = {Op.DESCRIBE: (3, 4, 6, 7), Op.DESCRIBE_CONFIGS: (11,)}.get(Op(operation), ())
    if any(e.permission_type == 2 and e.operation in (2, operation) for e in mine):
        return False
    if any(e.permission_type == 3 and e.operation in (2, operation, *implied) for e in mine):
        return True
    return not fits and one.allow_if_no_acl


def test_the_index_answers_as_the_model():
    answers = []
    for seed in range(300):
        one = case(seed)
        found = authorizer(
            *one.acls, super_users=one.super_users, allow_if_no_acl=one.allow_if_no_acl
        )
        for ask in one.asks:
            answers.append(found.allows(*ask))
            assert answers[-1] == model(one, *ask), (seed, ask)
    assert 0.05 < sum(answers) / len(answers) < 0.95


def test_entries_that_change_leave_the_index_as_if_it_were_new():
    one = case(7).acls + case(8).acls + case(9).acls
    working = MetadataImage()
    changing = authorizer()
    for number, entry in enumerate(one):
        working.apply(record(number, entry))
    changing.follow(*working.publish())
    for number in range(0, len(one), 2):
        working.apply(r.RemoveAccessControlEntryRecord(id=bytes([number]) * 16))
        changing.follow(*working.publish())
    fresh = authorizer()
    fresh.follow(working.publish()[0])
    for seed in range(40):
        for ask in case(seed).asks:
            assert changing.allows(*ask) == fresh.allows(*ask)
