"""Range and roundrobin as Kafka's documentation gives them."""

import pytest

from kafka_py.client.assignors import Subscriber, range_assignor, roundrobin_assignor


def members(**topics):
    """Subscribers by id."""
    return [Subscriber(name, None, tuple(of)) for name, of in topics.items()]


def plain(assignment):
    """Partitions as text."""
    return {name: [str(each) for each in mine] for name, mine in assignment.items()}


def test_range_divides_each_topic_by_itself():
    found = range_assignor(members(b=["t", "u"], a=["t", "u"]), {"t": 3, "u": 3})
    assert plain(found) == {"a": ["t-0", "t-1", "u-0", "u-1"], "b": ["t-2", "u-2"]}


def test_roundrobin_goes_on_over_topics():
    found = roundrobin_assignor(members(a=["t", "u"], b=["t", "u"]), {"t": 3, "u": 3})
    assert plain(found) == {"a": ["t-0", "t-2", "u-1"], "b": ["t-1", "u-0", "u-2"]}


def test_roundrobin_passes_over_who_did_not_subscribe():
    found = roundrobin_assignor(
        members(a=["t"], b=["t", "u"], c=["t", "u", "v"]), {"t": 1, "u": 2, "v": 3}
    )
    assert plain(found) == {"a": ["t-0"], "b": ["u-0"], "c": ["u-1", "v-0", "v-1", "v-2"]}


@pytest.mark.parametrize("assignor", [range_assignor, roundrobin_assignor])
def test_static_members_keep_their_place_and_topics_may_be_missing(assignor):
    static = Subscriber("z", "a-instance", ("t", "missing"))
    dynamic = Subscriber("a", None, ("t",))
    assert plain(assignor([dynamic, static], {"t": 1})) == {"z": ["t-0"], "a": []}
