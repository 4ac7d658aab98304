"""What the members of a group say, and whether it is right: one checker for all clients.

A member prints lines of JSON, each with ``t`` (seconds since the epoch) and ``event``:

- ``waiting`` (to be told to join, if the spec has ``waits``), ``started``, ``closed``,
  ``sleeping``, ``woke``; ``error`` when the client gave up;
- ``assigned`` (printed when the callback begins), ``revoked`` and ``lost`` (printed when it ends),
  with ``partitions``: [topic, partition] each. So an ownership is never printed shorter than it is;
- ``restored`` after assigned, if it seeks: ``offsets``: [topic, partition, sought, committed];
- ``records``: ``topic``, ``partition``, ``first``, ``last``, ``count``; before their commit;
- ``committed`` after a commit, ``offsets``: [topic, partition, offset]; ``commit_failed``.

The test adds what it did to a member: ``paused`` and ``resumed`` (signals), ``killed``, and
``replaced`` when another is about to come with its instance id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Place = tuple[str, int]

#: Events of two processes of one machine by one clock, printed in another order than they were.
CLOCK_SLACK_S = 0.02


@dataclass(frozen=True)
class Event:
    """One event. ``data`` holds its other fields as JSON had them."""

    t: float
    member: str
    name: str
    data: Mapping[str, Any]

    @property
    def places(self) -> list[Place]:
        """The partitions of assigned, revoked and lost."""
        return [(t, p) for t, p in self.data["partitions"]]


@dataclass
class Ownership:
    """One partition with one member, from assigned to revoked, lost, or the end of the member.

    ``exclusive_until`` is ``end``, or earlier where the group may give the partition to another
    without the member's knowledge: when it could not heartbeat, or did not poll. ``doubt``: it was
    told of the assignment while it did not know yet whether the group had gone on without it.
    """

    member: str
    place: Place
    start: float
    end: float
    exclusive_until: float
    ranges: list[Event] = field(default_factory=list)
    restored: int | None = None
    lost: bool = False
    doubt: bool = False


@dataclass(frozen=True)
class Timing:
    """Seconds. What a member may miss before the group goes on without it; slack on one machine."""

    session_s: float
    heartbeat_s: float
    max_poll_s: float

    def silent_until(self, since: float) -> float:
        """No earlier may a member that heartbeats no longer be replaced."""
        return since + self.session_s - self.heartbeat_s - 0.7

    def idle_until(self, since: float) -> float:
        """No earlier may a member that polls no longer be replaced."""
        return since + self.max_poll_s - 1.5


def ownerships(events: Iterable[Event], timing: Timing) -> list[Ownership]:
    """All of them, from the events of all members in any order."""
    done: list[Ownership] = []
    by_member: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda e: e.t):
        by_member.setdefault(event.member, []).append(event)
    for member, rows in by_member.items():
        held: dict[Place, Ownership] = {}
        doubt = False
        for event in rows:
            if event.name == "assigned":
                for place in event.places:
                    if place not in held:
                        end = float("inf")
                        held[place] = Ownership(member, place, event.t, end, end, doubt=doubt)
            elif event.name in ("revoked", "lost"):
                done += [_end(held.pop(place), event) for place in event.places if place in held]
                doubt = False
            elif event.name == "restored":
                for topic, partition, sought, _ in event.data["offsets"]:
                    held[topic, partition].restored = sought
            elif event.name == "records":
                place = (event.data["topic"], event.data["partition"])
                assert place in held, f"{member} got records of {place}, which it does not own"
                held[place].ranges.append(event)
            elif event.name == "committed":
                doubt = False
            elif event.name in ("paused", "sleeping"):
                doubt = True
                limit = timing.silent_until if event.name == "paused" else timing.idle_until
                for one in held.values():
                    one.exclusive_until = min(one.exclusive_until, limit(event.t))
            elif event.name == "replaced":
                for one in held.values():
                    one.exclusive_until = event.t
            elif event.name in ("killed", "closed", "error"):
                for one in held.values():
                    if event.name != "closed":
                        one.exclusive_until = min(one.exclusive_until, timing.silent_until(event.t))
                    one.end = event.t
                done += list(held.values())
                held = {}
        done += held.values()
    return done


def _end(one: Ownership, event: Event) -> Ownership:
    one.end = event.t
    one.lost = event.name == "lost"
    # An ownership that outlasts the pause was never in doubt: revoked in order, it ends there.
    if event.name == "revoked" and event.t < one.exclusive_until:
        one.exclusive_until = event.t
    one.exclusive_until = min(one.exclusive_until, event.t)
    if one.lost and one.doubt:
        one.exclusive_until = one.start
    return one


def check_exclusive(owned: Iterable[Ownership]) -> None:
    """No partition with two members at once."""
    by_place: dict[Place, list[Ownership]] = {}
    for one in owned:
        by_place.setdefault(one.place, []).append(one)
    for place, rows in by_place.items():
        rows = sorted((o for o in rows if o.exclusive_until > o.start), key=lambda o: o.start)
        for i, first in enumerate(rows):
            for second in rows[i + 1 :]:
                overlap = first.exclusive_until - second.start
                assert overlap <= CLOCK_SLACK_S, (
                    f"{place} was {first.member}'s until {first.exclusive_until:.3f} and "
                    f"{second.member}'s from {second.start:.3f}"
                )


def check_order(owned: list[Ownership], events: Iterable[Event]) -> None:
    """Within an ownership no record is missing or twice; each begins where a commit left off."""
    commits: dict[Place, list[tuple[float, int]]] = {}
    restored = {(o.member, o.place) for o in owned if o.restored is not None}
    for event in sorted(events, key=lambda e: e.t):
        if event.name == "committed":
            for topic, partition, offset in event.data["offsets"]:
                rows = commits.setdefault((topic, partition), [])
                # Who restores an older state goes back by its own will, and says so.
                if rows and (event.member, (topic, partition)) not in restored:
                    assert offset >= rows[-1][1], f"{topic}-{partition} went back: {rows} {event}"
                rows.append((event.t, offset))
    for one in owned:
        expected: int | None = one.restored
        for event in one.ranges:
            first, last = event.data["first"], event.data["last"]
            assert last - first + 1 == event.data["count"], (one.place, event)
            if expected is None:
                known = [o for t, o in commits.get(one.place, ()) if t < one.start]
                committed = max(known, default=0)
                assert first >= committed, (
                    f"{one.member} began {one.place} at {first}, before the committed {committed}"
                )
            else:
                assert first == expected, f"{one.member} {one.place}: {first}, not {expected}"
            expected = last + 1


def check_restored(events: Iterable[Event]) -> None:
    """Who restores on assigned finds the newest commit: that of the member before."""
    newest: dict[Place, int] = {}
    for event in sorted(events, key=lambda e: e.t):
        if event.name == "committed":
            for topic, partition, offset in event.data["offsets"]:
                newest[topic, partition] = offset
        elif event.name == "restored":
            for topic, partition, sought, committed in event.data["offsets"]:
                assert committed >= newest.get((topic, partition), -1), (topic, partition, event)
                assert sought <= max(committed, 0), (topic, partition, event)


def check_seen(events: Iterable[Event], ends: Mapping[Place, int]) -> None:
    """Every record of every partition was seen by somebody."""
    seen: dict[Place, set[int]] = {place: set() for place in ends}
    for event in events:
        if event.name == "records":
            place = (event.data["topic"], event.data["partition"])
            seen[place].update(range(event.data["first"], event.data["last"] + 1))
    for place, end in ends.items():
        missed = set(range(end)) - seen[place]
        assert not missed, f"{place}: nobody saw {sorted(missed)[:20]} of {end}"
        assert max(seen[place], default=-1) < end, f"{place}: records beyond the end"


def commits_in_time(events: Iterable[Event]) -> list[Event]:
    """The events by time; a commit acknowledged before a pause and printed after it, before it."""
    out: list[Event] = []
    paused: dict[str, float] = {}
    for event in sorted(events, key=lambda e: e.t):
        if event.name == "paused":
            paused[event.member] = event.t
        elif event.name in ("committed", "commit_failed", "records") and event.member in paused:
            at = paused.pop(event.member)
            if event.name == "committed":
                event = replace(event, t=at - 1e-6)
        out.append(event)
    return sorted(out, key=lambda e: e.t)


def check(events: list[Event], ends: Mapping[Place, int], timing: Timing) -> list[Ownership]:
    """All of the above. ``ends``: the log end offsets after the last record."""
    events = commits_in_time(events)
    owned = ownerships(events, timing)
    check_exclusive(owned)
    check_order(owned, events)
    check_restored(events)
    check_seen(events, ends)
    return owned
