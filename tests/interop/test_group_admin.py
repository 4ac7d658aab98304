"""The admin clients' group calls: what they list, describe, alter, delete and remove."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.groups.admins import ADMINS, Described, GroupAdmin
from tests.interop.groups.scenario import Kind, Scenario, scenario
from tests.oracle.node import Node
from tests.oracle.under_test import require

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(120)]

KINDS = {
    "classic": Kind("librdkafka", "classic", "range"),
    "consumer": Kind("librdkafka", "consumer", "uniform"),
}
UNKNOWN_TOPIC_OR_PARTITION = 3
UNKNOWN_MEMBER_ID = 25
NON_EMPTY_GROUP = 68
GROUP_ID_NOT_FOUND = 69
GROUP_SUBSCRIBED_TO_TOPIC = 86


@pytest.fixture(params=list(ADMINS))
def admin(request: pytest.FixtureRequest, node: Node) -> Iterator[GroupAdmin]:
    """Each admin client."""
    kind = ADMINS[request.param]
    require(kind.missing())
    made = kind(node.bootstrap)
    yield made
    made.close()


def _until(one: Scenario, admin: GroupAdmin, protocol: str, state: str) -> Described:
    one.wait(lambda: admin.describe(one.group, protocol).state == state, state, 20)
    return admin.describe(one.group, protocol)


@pytest.mark.parametrize("protocol", list(KINDS))
def test_a_groups_life(admin: GroupAdmin, protocol: str, node: Node) -> None:
    """Of a group with members, of the same without, and of none."""
    name = f"admin-{admin.name}-{protocol}"
    with scenario(node.bootstrap, KINDS[protocol], name, partitions=4) as one:
        a = one.start("a", instance="static-a")
        b = one.start("b")
        one.settle(a, b)
        if protocol == "consumer" and admin.name == "kafka-python":
            _consumer_group_by_describe_groups(one, admin)
        else:
            described = _until(one, admin, protocol, "Stable")
            assert described.assignor == one.kind.assignor
            assert described.members == {
                "a": ("static-a", frozenset(a.owned)),
                "b": (None, frozenset(b.owned)),
            }
        _listed(one, admin, protocol, "Stable", "Empty")
        _refused(one, admin)
        one.producer.stop()
        one.caught_up()
        ends = dict(one.producer.ends)
        assert {p: o for p, (o, _) in admin.offsets(one.group).items()} == ends
        assert b.leave() == 0
        a.kill()
        _remove(one, admin)
        _listed(one, admin, protocol, "Empty", "Stable")
        _empty(one, admin)
        assert admin.delete_groups([one.group]) == {one.group: 0}
        _missing(one, admin, protocol)


def _consumer_group_by_describe_groups(one: Scenario, admin: GroupAdmin) -> None:
    """DescribeGroups does not know groups of the consumer protocol."""
    assert admin.describe(one.group, "consumer") == Described(GROUP_ID_NOT_FOUND)


def _listed(one: Scenario, admin: GroupAdmin, protocol: str, state: str, other: str) -> None:
    """By state and by type, and not by another."""
    one.wait(lambda: admin.groups()[one.group][0] == state, f"listed as {state}", 20)
    assert admin.groups()[one.group][1] in (protocol.capitalize(), None)
    assert one.group in admin.groups(states=[state])
    assert one.group not in admin.groups(states=[other])
    assert one.group in admin.groups(types=[protocol])
    absent = "classic" if protocol == "consumer" else "consumer"
    assert one.group not in admin.groups(types=[absent])


def _refused(one: Scenario, admin: GroupAdmin) -> None:
    """What may not be done to a group with members."""
    place = (one.topic, 0)
    assert admin.delete_groups([one.group]) == {one.group: NON_EMPTY_GROUP}
    assert admin.alter(one.group, {place: (0, "")}) == {place: UNKNOWN_MEMBER_ID}
    if admin.name != "librdkafka":
        assert admin.delete_offsets(one.group, [place]) == {place: GROUP_SUBSCRIBED_TO_TOPIC}


def _remove(one: Scenario, admin: GroupAdmin) -> None:
    """The static member that was killed: removed by its instance id, or after its session."""
    if admin.removes_static:
        found = admin.remove_members(one.group, ["static-a", "never-there"])
        assert found == {"static-a": 0, "never-there": UNKNOWN_MEMBER_ID}
        assert admin.groups()[one.group][0] == "Empty"


def _empty(one: Scenario, admin: GroupAdmin) -> None:
    """Offsets of a group without members are altered and deleted."""
    first, second = (one.topic, 0), (one.topic, 1)
    wanted = {first: (3, "by the admin"), second: (0, "")}
    assert admin.alter(one.group, wanted) == {first: 0, second: 0}
    found = admin.offsets(one.group)
    assert {place: found[place] for place in wanted} == wanted
    absent = ("not-a-topic", 0)
    assert admin.alter(one.group, {absent: (0, "")}) == {absent: UNKNOWN_TOPIC_OR_PARTITION}
    if admin.name != "librdkafka":
        codes = admin.delete_offsets(one.group, [first, absent])
        assert codes == {first: 0, absent: UNKNOWN_TOPIC_OR_PARTITION}
        left = admin.offsets(one.group)
        assert first not in left
        assert left == {p: o for p, o in found.items() if p != first}


def _missing(one: Scenario, admin: GroupAdmin, protocol: str) -> None:
    """What is said of a group that is no more."""
    place = (one.topic, 0)
    assert admin.delete_groups([one.group]) == {one.group: GROUP_ID_NOT_FOUND}
    assert one.group not in admin.groups()
    assert admin.describe(one.group, protocol) == admin.describes_missing
    assert admin.offsets(one.group) == {}
    if admin.name != "librdkafka":
        assert admin.delete_offsets(one.group, [place]) == {place: GROUP_ID_NOT_FOUND}
    # Offsets can be committed without members: that makes a group of no protocol.
    assert admin.alter(one.group, {place: (1, "")}) == {place: 0}
    assert admin.offsets(one.group) == {place: (1, "")}
    assert admin.delete_groups([one.group]) == {one.group: 0}


@pytest.mark.parametrize("protocol", list(KINDS))
def test_all_members_removed(protocol: str, node: Node) -> None:
    """The Java Admin removes whoever is there; the members find out, and come again."""
    kind = ADMINS["java"]
    require(kind.missing())
    admin = kind(node.bootstrap)
    try:
        name = f"admin-remove-all-{protocol}"
        with scenario(node.bootstrap, KINDS[protocol], name, partitions=4) as one:
            a, b = one.start("a"), one.start("b")
            one.settle(a, b)
            assert admin.remove_members(one.group, None) == {"": 0}
            one.wait(lambda: bool(a.said("lost") and b.said("lost")), "both removed")
            one.settle(a, b)
            one.committed_since_now()
            one.producer.stop()
            one.caught_up()
    finally:
        admin.close()
