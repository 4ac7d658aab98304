"""Questions about committed offsets, put to both brokers."""

from __future__ import annotations

import time
from typing import Any

from kafka_py.protocol.registry import ApiKey
from tests.oracle.group_peers import Stage, admit, join_and_sync, join_fields
from tests.oracle.raw import UNKNOWN_ID, Recorder

COMMIT, FETCH, FORGET = ApiKey.OFFSET_COMMIT, ApiKey.OFFSET_FETCH, ApiKey.OFFSET_DELETE


def rows(
    topic: str, *offsets: tuple[int, int], topic_id: str = UNKNOWN_ID, **more: Any
) -> list[dict[str, Any]]:
    """Partitions and offsets of one topic, as OffsetCommit takes them."""
    words = {"committed_leader_epoch": -1, "committed_metadata": "", **more}
    found = [{"partition_index": p, "committed_offset": o, **words} for p, o in offsets]
    return [{"name": topic, "topic_id": topic_id, "partitions": found}]


def simple(group: str, topics: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A commit by nobody in particular."""
    words = {"group_id": group, "generation_id_or_member_epoch": -1, "member_id": ""}
    return {**words, "group_instance_id": None, "retention_time_ms": -1, "topics": topics, **more}


def fetch(s: Stage, version: int, group: str, asked: list[dict[str, Any]] | None, **more: Any):
    """OffsetFetch of one group, in the shape of the version."""
    require = more.pop("require_stable", False)
    one = {"group_id": group, "topics": asked, "member_id": None, "member_epoch": -1, **more}
    if version < 8:
        if version == 1 and asked is None:
            asked = []
        by_name = asked and [{k: v for k, v in row.items() if k != "topic_id"} for row in asked]
        one = {"group_id": group, "topics": by_name}
        return s.ask(FETCH, version, **one, require_stable=require)
    return s.ask(FETCH, version, groups=[one], require_stable=require)


def commit_every_version(r: Recorder) -> None:
    """Each version commits, each reads all of it back."""
    topic_id = r.create("offsets-a", 3)
    with Stage(r) as s:
        for version in range(2, 11):
            group = f"oc-v{version}"
            more = {"committed_metadata": f"text {version}", "committed_leader_epoch": 0}
            topics = rows("offsets-a", (0, 10 + version), (2, 5), topic_id=topic_id, **more)
            s.ask(COMMIT, version, **simple(group, topics))
            null = rows("offsets-a", (1, 7), topic_id=topic_id, committed_metadata=None)
            s.ask(COMMIT, version, **simple(group, null))
            for reader in range(1, 11):
                indexes = [0, 1, 2, 9]
                known = {"name": "offsets-a", "topic_id": topic_id, "partition_indexes": indexes}
                fetch(s, reader, group, [known])
            for reader in (2, 7, 8, 9, 10):
                fetch(s, reader, group, None)
        s.describe("oc-v2", "oc-v10")
        later = rows("offsets-a", (0, 3), topic_id=topic_id)
        s.ask(COMMIT, 4, **simple("oc-v2", later, retention_time_ms=100_000))
        fetch(s, 8, "oc-v2", None)


def commit_refused(r: Recorder) -> None:
    """Unknown topics and partitions, too much metadata, wrong members, empty requests."""
    topic_id = r.create("offsets-a", 3)
    with Stage(r) as s:
        group = "oc-refused"
        for version in (2, 9, 10):
            for topics in (
                rows("offsets-nope", (0, 1)),
                rows("offsets-a", (0, 1), topic_id="AAAAAAAAAAAAAAAAAAAAAA"),
                rows("offsets-a", (99, 1), (1, 4), topic_id=topic_id),
                rows("offsets-a", (-1, 1), topic_id=topic_id),
                rows("offsets-a", (0, -1), topic_id=topic_id),
                rows("offsets-a", (0, -5), topic_id=topic_id),
                rows("offsets-a", (0, 1), (1, 1), topic_id=topic_id, committed_metadata="x" * 4097),
                rows("offsets-a", (0, 1), topic_id=topic_id, committed_metadata="x" * 4096),
                rows("offsets-a", (0, 1), (0, 2), topic_id=topic_id),
                rows("offsets-a", (0, 9), topic_id=topic_id) + rows("offsets-nope", (0, 1)),
                rows("offsets-a", topic_id=topic_id),
                [],
            ):
                s.ask(COMMIT, version, **simple(group, topics))
                fetch(s, 8, group, None)
            good = rows("offsets-a", (0, 1), topic_id=topic_id)
            for more in (
                {"generation_id_or_member_epoch": 3},
                {"member_id": "nobody"},
                {"member_id": "nobody", "generation_id_or_member_epoch": 3},
                {"group_instance_id": "x"},
                {"group_instance_id": "x", "generation_id_or_member_epoch": 3, "member_id": "n"},
            ):
                s.ask(COMMIT, version, **{**simple("oc-nowhere", good), **more})
                s.ask(COMMIT, version, **{**simple(group, good), **more})
            s.ask(COMMIT, version, **simple("", good))
        s.describe("oc-nowhere", group)


def commit_as_member(r: Recorder) -> None:
    """In a stable group, while it rebalances, as a stranger, of another generation."""
    topic_id = r.create("groups-a", 4)
    group = "oc-member"
    good = rows("groups-a", (0, 5), topic_id=topic_id)
    with Stage(r) as s:
        a, b = s.peer(), s.peer()
        ma, generation = join_and_sync(s, a, group, "A")

        def commits(generation: int) -> None:
            for version in (2, 8, 9, 10):
                for member, epoch in (
                    (ma, generation),
                    (ma, generation - 1),
                    (ma, generation + 1),
                    ("nobody", generation),
                    ("", -1),
                    ("", generation),
                    (ma, -1),
                ):
                    words = {"member_id": member, "generation_id_or_member_epoch": epoch}
                    s.ask(COMMIT, version, **{**simple(group, good), **words})
            for member, epoch in (
                (ma, generation),
                (ma, generation + 1),
                ("nobody", 0),
                (None, -1),
                ("", -1),
            ):
                asked = [{"name": "groups-a", "topic_id": topic_id, "partition_indexes": [0]}]
                fetch(s, 9, group, asked, member_id=member, member_epoch=epoch)
                fetch(s, 10, group, asked, member_id=member, member_epoch=epoch)

        commits(generation)
        mb = admit(s, b, group, "B")
        b.send(ApiKey.JOIN_GROUP, 9, **join_fields(group, mb))
        b.parked()
        commits(generation)
        a.ask(ApiKey.JOIN_GROUP, 9, **join_fields(group, ma))
        generation = b.take().generation_id
        commits(generation)


def fetch_shapes(r: Recorder) -> None:
    """Many groups at once, unknown topics, groups, ids; stable or not."""
    topic_id = r.create("offsets-a", 3)
    with Stage(r) as s:
        s.ask(COMMIT, 9, **simple("of-a", rows("offsets-a", (0, 1), (1, 2))))
        s.ask(COMMIT, 9, **simple("of-b", rows("offsets-a", (2, 3))))
        for version in (8, 9, 10):
            for require in (False, True):
                known = {"name": "offsets-a", "topic_id": topic_id, "partition_indexes": [0, 1, 7]}
                groups = [
                    {"group_id": "of-a", "topics": None},
                    {"group_id": "of-b", "topics": [known]},
                    {"group_id": "of-nope", "topics": [known]},
                    {"group_id": "of-nope2", "topics": None},
                    {"group_id": "of-a", "topics": []},
                    {"group_id": "", "topics": None},
                ]
                groups = [{"member_id": None, "member_epoch": -1, **g} for g in groups]
                s.ask(FETCH, version, groups=groups, require_stable=require)
            s.ask(FETCH, version, groups=[])
        for version in range(1, 11):
            for name, number in (("offsets-nope", UNKNOWN_ID), ("", "AAAAAAAAAAAAAAAAAAAAAA")):
                asked = [{"name": name, "topic_id": number, "partition_indexes": [0, 5]}]
                fetch(s, version, "of-a", asked)
                fetch(s, version, "of-nope", asked)
            fetch(s, version, "of-nope", None)
            fetch(s, version, "", None)
        for member, epoch in (("nobody", 0), ("nobody", 5), ("", 0), ("nobody", -1)):
            fetch(s, 9, "of-a", None, member_id=member, member_epoch=epoch)
            fetch(s, 9, "of-nope", None, member_id=member, member_epoch=epoch)


def deleted_topics(r: Recorder) -> None:
    """The offsets of a topic that goes; of one that comes back under the same name."""
    topic_id = r.create("offsets-gone", 2)
    with Stage(r) as s:
        good = rows("offsets-gone", (0, 1), (1, 2), topic_id=topic_id)
        s.ask(COMMIT, 10, **simple("od-gone", good))
        gone = r.quiet(ApiKey.DELETE_TOPICS, 5, topic_names=["offsets-gone"], timeout_ms=9000)
        assert gone.responses[0].error_code == 0
        deadline = time.monotonic() + 10
        asked = {"groups": [{"group_id": "od-gone", "topics": None}]}
        while r.quiet(FETCH, 8, **asked).groups[0].topics and time.monotonic() < deadline:
            time.sleep(0.02)
        s.describe("od-gone")
        for version in (7, 9, 10):
            indexes = {"name": "offsets-gone", "topic_id": topic_id, "partition_indexes": [0]}
            fetch(s, version, "od-gone", [indexes])
            fetch(s, version, "od-gone", None)
        s.ask(COMMIT, 10, **simple("od-gone", good))
        new_id = r.create("offsets-gone", 1)
        for number in (topic_id, new_id):
            indexes = {"name": "offsets-gone", "topic_id": number, "partition_indexes": [0]}
            fetch(s, 10, "od-gone", [indexes])


def offset_delete(r: Recorder) -> None:
    """OffsetDelete in empty and live groups, of what is and is not there."""
    r.create("groups-a", 4)
    r.create("offsets-a", 3)

    def asked(topic: str, *partitions: int) -> dict[str, Any]:
        return {"name": topic, "partitions": [{"partition_index": p} for p in partitions]}

    with Stage(r) as s:
        group = "od-simple"
        s.ask(COMMIT, 9, **simple(group, rows("offsets-a", (0, 1), (1, 2), (2, 3))))
        for topics in (
            [asked("offsets-a", 0)],
            [asked("offsets-a", 0, 1)],
            [asked("offsets-a", 9)],
            [asked("offsets-nope", 0)],
            [asked("groups-a", 0)],
            [asked("offsets-a")],
            [],
        ):
            s.ask(FORGET, group_id=group, topics=topics)
            fetch(s, 8, group, None)
        s.ask(FORGET, group_id="od-nope", topics=[asked("offsets-a", 0)])
        s.ask(FORGET, group_id="", topics=[asked("offsets-a", 0)])
        a, c = s.peer(), s.peer()
        group = "od-live"
        ma, generation = join_and_sync(s, a, group, "A")
        both = rows("groups-a", (0, 1)) + rows("offsets-a", (0, 1))
        words = {"member_id": ma, "generation_id_or_member_epoch": generation}
        s.ask(COMMIT, 9, **{**simple(group, both), **words})
        s.ask(FORGET, group_id=group, topics=[asked("groups-a", 0), asked("offsets-a", 0, 1)])
        fetch(s, 8, group, None)
        # A group of another kind is refused as a whole while it has members.
        words = {"protocol_type": "connect", "protocols": [{"name": "c", "metadata": "00"}]}
        mc, generation = join_and_sync(s, c, "od-connect", "C", **words)
        words = {"member_id": mc, "generation_id_or_member_epoch": generation}
        s.ask(COMMIT, 9, **{**simple("od-connect", rows("offsets-a", (0, 1))), **words})
        s.ask(FORGET, group_id="od-connect", topics=[asked("offsets-a", 0)])
        c.ask(ApiKey.LEAVE_GROUP, 5, group_id="od-connect", members=[{"member_id": mc}])
        s.ask(FORGET, group_id="od-connect", topics=[asked("offsets-a", 0)])


SCENARIOS = (
    commit_every_version,
    commit_refused,
    commit_as_member,
    fetch_shapes,
    deleted_topics,
    offset_delete,
)
