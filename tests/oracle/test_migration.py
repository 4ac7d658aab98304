"""Online migration between the group protocols, the same steps on Apache's broker and on ours.

Every reply and every record in ``__consumer_offsets`` agrees; see `migrating` for how.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable

import pytest

from tests.oracle.conftest import Pair
from tests.oracle.migrating import Group
from tests.oracle.raw import Recorder, differences


def up_and_down(group: Group) -> None:
    """Two classic members; one of the consumer protocol comes, then goes."""
    a, b, c, d = map(group.member, "abcd")
    group.rebalance(a, [])
    b.send_join()
    b.id = b.take().member_id
    b.send_join()
    time.sleep(0.1)
    a.beat()
    a.send_join()
    joined = {b: b.take_join(), a: a.take_join()}
    parts = {a: {"t": list(range(0, 12, 2))}, b: {"t": list(range(1, 12, 2))}}
    for member, answer in joined.items():
        member.send_sync(parts if answer.leader == member.id else {})
    for member in joined:
        member.take_sync()
    group.describe()
    c.id = "consumer-c"
    group.ids[c.id] = "c"
    c.consume()
    group.describe()
    group.settle([a, b], [c])
    group.describe()
    # What a classic member may not do.
    a.beat(generation_id=a.epoch + 1)
    a.beat(member_id="nobody")
    a.beat(member_id=c.id)
    a.sync(generation_id=a.epoch - 1)
    a.sync(protocol_name="roundrobin")
    a.sync(protocol_type="connect")
    a.sync(protocol_type=None)
    a.sync(member_id="nobody")
    d.send_join(protocols="roundrobin")
    d.take()
    d.send_join(protocol_type="connect")
    d.take()
    # The last one of the consumer protocol goes.
    c.consume(member_epoch=-1)
    group.describe()
    a.beat()
    b.beat()
    group.unseen = {"leader", "members"}
    a.send_join()
    b.send_join()
    joined = {b: b.take_join(), a: a.take_join()}
    for member, answer in joined.items():
        member.send_sync(parts if answer.leader == member.id else {})
    for member in joined:
        member.take_sync()
    a.beat()
    group.describe()


def known_ids(group: Group) -> None:
    """Classic members come to a consumer group under ids of their own: all is determined."""
    group.in_order = True
    c, d, e, f = map(group.member, "cdef")
    for member in (c, d, e, f):
        member.id = f"member-{member.name}"
        group.ids[member.id] = member.name
    c.consume()
    group.describe()
    d.join()
    d.sync()
    group.settle([d], [c])
    e.join(protocols="range,roundrobin")
    e.sync()
    f.join(protocols="sticky,range")
    f.sync(protocol_name="sticky")
    f.beat()
    group.settle([d, e], [c])
    group.describe()
    f.leave()
    f.leave()
    group.settle([d, e], [c])
    group.describe()
    # The topics change; then the last one of the consumer protocol goes.
    e.beat()
    c.consume(member_epoch=-1)
    group.describe()
    e.beat()
    d.beat()
    d.send_join()
    e.send_join()
    joined = {d: d.take_join(), e: e.take_join()}
    for member, answer in joined.items():
        parts = {d: {"t": [0, 1]}, e: {"t": [2]}} if answer.leader == member.id else {}
        member.send_sync(parts)
    for member in joined:
        member.take_sync()
    # And up again.
    c.epoch = 0
    c.consume()
    group.settle([d, e], [c])
    group.describe()
    d.leave()
    e.leave()
    group.settle([], [c])
    group.describe()


def static_members(group: Group) -> None:
    """A static member is rolled from the one protocol to the other, and back."""
    a, b = group.member("a", "i"), group.member("b", "j")
    a.send_join()
    a.take_join()
    a.send_sync({a: {"t": list(range(12))}})
    a.take_sync()
    b.send_join()
    time.sleep(0.1)
    a.beat()
    a.send_join()
    joined = {b: b.take_join(), a: a.take_join()}
    parts = {a: {"t": list(range(6))}, b: {"t": list(range(6, 12))}}
    for member, answer in joined.items():
        member.send_sync(parts if answer.leader == member.id else {})
    for member in joined:
        member.take_sync()
    # b restarts as a member of the consumer protocol, without having left.
    up = group.member("up", "j")
    up.id = "up-member"
    group.ids[up.id] = "up"
    up.consume()
    b.beat()
    group.settle([a], [up])
    group.describe()
    # It restarts once more, as a classic one: nobody of the consumer protocol is left.
    up.consume(member_epoch=-2)
    down = group.member("down", "j")
    down.join()
    group.describe()
    down.beat()
    down.sync(protocol_name=None)
    a.beat()
    up.consume()
    group.describe()


def replaced_while_stale(group: Group) -> None:
    """The static member that comes back as a classic one wants other topics: a rebalance."""
    a = group.member("a")
    a.send_join()
    a.take_join()
    a.send_sync({a: {"t": list(range(12))}})
    a.take_sync()
    up = group.member("up", "j")
    up.id = "up-member"
    group.ids[up.id] = "up"
    up.consume()
    group.settle([a], [up])
    down = group.member("down", "j")
    group.topics = []
    down.send_join()
    time.sleep(0.2)
    down.take_join()
    group.topics = ["t"]
    group.describe()
    a.beat()
    down.beat()
    group.describe()


def before_an_assignment(group: Group) -> None:
    """A classic member that was assigned nothing yet is taken over without partitions."""
    # Who gets which half goes by the members' ids.
    group.unseen = {"partitions", "assignment", "member_assignment"}
    a = group.member("a")
    a.send_join()
    a.take_join()
    c = group.member("c")
    c.id = "consumer-c"
    group.ids[c.id] = "c"
    c.consume()
    a.beat()
    group.describe()
    c.consume(member_epoch=-1)
    group.describe()


def custom_assignor(group: Group) -> None:
    """User data would be lost."""
    group.user_data = b"mine"
    a = group.member("a")
    a.send_join()
    a.take_join()
    a.send_sync({a: {"t": list(range(12))}})
    a.take_sync()
    c = group.member("c")
    c.id = "consumer-c"
    group.ids[c.id] = "c"
    c.consume()
    a.beat()
    group.describe()


def another_kind(group: Group) -> None:
    """A group of Connect's workers."""
    a = group.member("a")
    a.send_join(protocol_type="connect")
    a.id = a.take().member_id
    a.send_join(protocol_type="connect")
    response = a.take()
    a.epoch = response.generation_id
    a.send_sync({}, protocol_type="connect")
    a.take()
    c = group.member("c")
    c.id = "consumer-c"
    group.ids[c.id] = "c"
    c.consume()
    group.describe()


@pytest.mark.parametrize(
    "scenario",
    [
        up_and_down,
        known_ids,
        static_members,
        replaced_while_stale,
        before_an_assignment,
        custom_assignor,
        another_kind,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_same_answers_and_records(scenario: Callable[[Group], None], pair: Pair) -> None:
    """Step by step."""
    groups = []
    for node in (pair.apache, pair.ours):
        recorder = Recorder(node.port, pair.first_timestamp)
        with contextlib.closing(recorder):
            group = Group(recorder, f"migration-{scenario.__name__}", {"t": 12})
            with contextlib.closing(group):
                scenario(group)
            recorder.note("records", group.log())
        groups.append(group)
    theirs, ours = (group.recorder.answers for group in groups)
    found = []
    for their, our in itertools.zip_longest(theirs, ours):
        if their is None or our is None or their.question != our.question:
            found.append(f"{their and their.question} here, {our and our.question} there")
            break
        lines = differences(their.answer, our.answer)
        if lines:
            found.append("\n    ".join([their.question, *lines]))
    assert not found, "\n".join(found)
