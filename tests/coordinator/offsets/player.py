"""The commands of an offsets transcript, and what came of each: records written, answers given.

topics NAME=ID ...                   a new metadata image with these topics; ID is a number
commit vN GROUP TOPIC-P=OFFSET[/METADATA] ... [retention=MS] [member=M] [epoch=E] [leader=E]
fetch vN GROUP TOPIC-P ... | all     [stable] [member=M] [epoch=E] [id]
delete GROUP TOPIC-P ...
drop GROUP                           the tombstones that the deletion of a group takes
pend PRODUCER GROUP TOPIC-P=OFFSET   a record of an open transaction
end PRODUCER commit|abort            its marker
wait MS                              time passes
restart                              another shard is loaded from the log
groups                               the groups and their states
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from kafka_py.coordinator.machine import CoordinatorRecord
from kafka_py.coordinator.offsets import delete_all
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import (
    OffsetCommitRequest,
    OffsetDeleteRequest,
    OffsetFetchRequest,
)
from kafka_py.protocol.records_group import OffsetCommitKey, OffsetCommitValue
from tests.coordinator.offsets.driver import NO_ID, WALL_MS, OffsetsDriver


def place(word: str) -> tuple[str, int]:
    """TOPIC-P."""
    topic, _, index = word.rpartition("-")
    return topic, int(index)


class Player:
    """Plays commands on one driver."""

    def __init__(self, driver: OffsetsDriver) -> None:
        self.driver = driver
        self.seen = 0

    def play(self, line: str) -> str:
        """What a command led to."""
        verb, *words = line.split()
        plain = [word for word in words if "=" not in word or "-" in word.partition("=")[0]]
        options = dict(word.split("=", 1) for word in words if word not in plain)
        lines = getattr(self, f"do_{verb}")(plain, options) or []
        written = self.driver.written[self.seen :]
        self.seen = len(self.driver.written)
        return "\n".join([*map(record_text, written), *lines])

    def do_topics(self, plain: list[str], options: dict[str, str]) -> None:
        self.driver.topics(**{name: int(number) for name, number in options.items()})

    def do_commit(self, plain: list[str], options: dict[str, str]) -> list[str]:
        version, group, *places = plain
        request = OffsetCommitRequest(
            group_id=group,
            generation_id_or_member_epoch=int(options.get("epoch", -1)),
            member_id=options.get("member", ""),
            retention_time_ms=int(options.get("retention", -1)),
        )
        wanted = []
        for word in places:
            where, _, what = word.partition("=")
            offset, _, metadata = what.partition("/")
            wanted.append((*place(where), int(offset), metadata))
        for topic, rows in groupby(wanted, key=lambda row: row[0]):
            request.topics.append(
                OffsetCommitRequest.OffsetCommitRequestTopic(
                    name=topic,
                    partitions=[
                        OffsetCommitRequest.OffsetCommitRequestPartition(
                            partition_index=index,
                            committed_offset=offset,
                            committed_leader_epoch=int(options.get("leader", -1)),
                            committed_metadata=metadata,
                        )
                        for _, index, offset, metadata in rows
                    ],
                )
            )
        response = self.driver.ask(request, int(version[1:]))
        return answers(response.topics)

    def do_fetch(self, plain: list[str], options: dict[str, str]) -> list[str]:
        version, group, *places = plain
        number = int(version[1:])
        stable = "stable" in places
        by_id = "id" in places
        wanted = [place(word) for word in places if word not in ("stable", "all", "id")]
        topics: list[Any] | None = None
        if "all" not in places:
            topics = []
            for topic, rows in groupby(wanted, key=lambda row: row[0]):
                kind: Any = (
                    OffsetFetchRequest.OffsetFetchRequestTopics
                    if number >= 8
                    else OffsetFetchRequest.OffsetFetchRequestTopic
                )
                made = kind(name=topic, partition_indexes=[index for _, index in rows])
                if by_id:
                    made.topic_id = self.driver.image.topics[topic].id
                topics.append(made)
        if number >= 8:
            request = OffsetFetchRequest(
                groups=[
                    OffsetFetchRequest.OffsetFetchRequestGroup(
                        group_id=group,
                        member_id=options.get("member"),
                        member_epoch=int(options.get("epoch", -1)),
                        topics=topics,
                    )
                ],
                require_stable=stable,
            )
            answer = self.driver.ask(request, number).groups[0]
            error, found = answer.error_code, answer.topics
        else:
            request = OffsetFetchRequest(group_id=group, topics=topics, require_stable=stable)
            response = self.driver.ask(request, number)
            error, found = response.error_code, response.topics
        lines = [ErrorCode.of(error).name] if error else []
        return lines + [
            f"{topic.name or topic.topic_id.hex()[-2:]}-{row.partition_index}: "
            + (
                ErrorCode.of(row.error_code).name
                if row.error_code
                else f"{row.committed_offset} epoch {row.committed_leader_epoch} {row.metadata!r}"
            )
            for topic in found
            for row in topic.partitions
        ]

    def do_delete(self, plain: list[str], options: dict[str, str]) -> list[str]:
        group, *places = plain
        request = OffsetDeleteRequest(group_id=group)
        for topic, rows in groupby(map(place, places), key=lambda row: row[0]):
            request.topics.append(
                OffsetDeleteRequest.OffsetDeleteRequestTopic(
                    name=topic,
                    partitions=[
                        OffsetDeleteRequest.OffsetDeleteRequestPartition(partition_index=index)
                        for _, index in rows
                    ],
                )
            )
        response = self.driver.ask(request, 0)
        if response.error_code:
            return [ErrorCode.of(response.error_code).name]
        return answers(response.topics)

    def do_drop(self, plain: list[str], options: dict[str, str]) -> None:
        self.driver.append(delete_all(self.driver.shard, plain[0]))

    def do_pend(self, plain: list[str], options: dict[str, str]) -> None:
        producer_id, group, word = plain
        where, _, offset = word.partition("=")
        topic, index = place(where)
        record = CoordinatorRecord(
            OffsetCommitKey(group=group, topic=topic, partition=index),
            OffsetCommitValue(offset=int(offset), commit_timestamp=self.driver.now.wall_ms),
            4,
        )
        self.driver.append(
            [record],
            producer_id=int(producer_id),
            producer_epoch=0,
            base_sequence=0,
            transactional=True,
        )

    def do_end(self, plain: list[str], options: dict[str, str]) -> None:
        self.driver.end_transaction(int(plain[0]), plain[1] == "commit")

    def do_wait(self, plain: list[str], options: dict[str, str]) -> None:
        self.driver.advance(int(plain[0]))

    def do_restart(self, plain: list[str], options: dict[str, str]) -> None:
        self.driver.restart()

    def do_groups(self, plain: list[str], options: dict[str, str]) -> list[str]:
        groups = self.driver.shard.groups
        return [f"{name} {group.kind} {group.state}" for name, group in sorted(groups.items())]


def answers(topics: list[Any]) -> list[str]:
    """Topics and partitions with their error codes."""
    return [
        f"{topic.name or topic.topic_id.hex()[-2:]}-{row.partition_index}: "
        f"{ErrorCode.of(row.error_code).name}"
        for topic in topics
        for row in topic.partitions
    ]


def record_text(record: CoordinatorRecord) -> str:
    """A record, its times counted from the clock's start."""
    key, value, version = record
    if not isinstance(key, OffsetCommitKey):
        return f"| {key} -> {value}"
    name = f"| {key.group} {key.topic}-{key.partition}"
    if value is None:
        return f"{name} tombstone"
    parts = [f"v{version} {value.offset}", f"at {value.commit_timestamp - WALL_MS}"]
    if value.leader_epoch != -1:
        parts.append(f"epoch {value.leader_epoch}")
    if value.metadata:
        parts.append(repr(value.metadata))
    if value.expire_timestamp != -1:
        parts.append(f"expires {value.expire_timestamp - WALL_MS}")
    if value.topic_id != NO_ID:
        parts.append(f"id {value.topic_id.hex()[-2:]}")
    return f"{name} {', '.join(parts)}"
