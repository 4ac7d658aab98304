"""What ``kafka-py groups describe`` prints."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from kafka_py.cli.groups import host
from kafka_py.cli.output import BOLD, Column, count, print_json, print_table, runs, styled
from kafka_py.client.admin import Admin
from kafka_py.client.group_types import CONSUMER, GroupDescription, GroupMember
from kafka_py.client.types import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    OffsetAndMetadata,
    TopicPartition,
    by_topic,
)


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of a group; None where there is no such offset."""

    partition: TopicPartition
    committed: OffsetAndMetadata | None
    log_start: int | None
    log_end: int | None

    @property
    def offset(self) -> int | None:
        """The committed offset."""
        return None if self.committed is None else self.committed.offset

    @property
    def lag(self) -> int | None:
        """Records not yet consumed; None where one of the two ends is not known."""
        if self.offset is None or self.log_end is None:
            return None
        return max(self.log_end - self.offset, 0)


async def log_ends(
    admin: Admin, partitions: list[TopicPartition]
) -> dict[TopicPartition, tuple[int, int]]:
    """First offset and end of those partitions that exist and have a leader."""
    topics = await admin.topics({each.topic for each in partitions}) if partitions else {}
    there = {
        TopicPartition(topic.name, row.number)
        for topic in topics.values()
        if not topic.error_code
        for row in topic.partitions
        if row.leader >= 0
    }
    wanted = [each for each in partitions if each in there]
    if not wanted:
        return {}
    starts, ends = await asyncio.gather(
        admin.list_offsets(dict.fromkeys(wanted, EARLIEST_TIMESTAMP)),
        admin.list_offsets(dict.fromkeys(wanted, LATEST_TIMESTAMP)),
    )
    return {each: (starts[each].offset, ends[each].offset) for each in wanted}


async def offsets_of(admin: Admin, group: GroupDescription) -> list[PartitionLag]:
    """Every partition that the group has committed or one of its members has."""
    committed = await admin.group_offsets(group.group)
    assigned = {each for member in group.members for each in member.assignment}
    partitions = sorted(committed.keys() | assigned)
    ends = await log_ends(admin, partitions)
    return [
        PartitionLag(each, committed.get(each), *ends.get(each, (None, None)))
        for each in partitions
    ]


Described = list[tuple[GroupDescription, list[PartitionLag]]]


def print_groups(groups: Described, arguments: argparse.Namespace) -> None:
    """Print groups in the form asked for."""
    if arguments.json:
        print_json({"groups": [as_json(group, lags) for group, lags in groups]})
    elif arguments.state:
        if groups:
            print_states(groups)
    else:
        for place, (group, lags) in enumerate(groups):
            if place:
                print()
            print_heading(group, lags)
            if arguments.members:
                print_members(group)
            else:
                print_offsets(group, lags)


def total_lag(lags: list[PartitionLag]) -> int | None:
    """The lag of all partitions together, as far as known; None where none is."""
    known = [each.lag for each in lags if each.lag is not None]
    return sum(known) if known else None


def print_heading(group: GroupDescription, lags: list[PartitionLag]) -> None:
    """Two lines that say what the group is and how it is."""
    lag = total_lag(lags)
    facts = [group.state, count(len(group.members), "member") if group.members else "no members"]
    if lag is not None:
        facts.append(f"lag {lag}")
    print(f"{styled(group.group, BOLD, sys.stdout)}: {', '.join(facts)}")
    kind = [f"{group.type} group"]
    if group.protocol_type not in ("", "consumer"):
        kind.append(f"protocol type {group.protocol_type}")
    if group.assignor:
        kind.append(f"assignor {group.assignor}")
    if group.epoch >= 0:
        kind.append(f"epoch {group.epoch}")
    kind.append(f"coordinator {group.coordinator} (node {group.coordinator.node_id})")
    print(", ".join(kind))


def print_offsets(group: GroupDescription, lags: list[PartitionLag]) -> None:
    """One line a partition, and one for each member that has none."""
    columns = (
        Column("TOPIC"),
        Column("PARTITION", right=True),
        Column("COMMITTED", right=True),
        Column("LOG END", right=True),
        Column("LAG", right=True),
        Column("MEMBER"),
        Column("HOST"),
        Column("CLIENT ID"),
    )
    rows: list[tuple[object, ...]] = [
        (*each.partition, each.offset, each.log_end, each.lag, *who(group, each)) for each in lags
    ]
    rows += [
        (None, None, None, None, None, member.member_id, host(member.host), member.client_id)
        for member in group.members
        if not member.assignment
    ]
    if rows:
        print_table(columns, rows)
    else:
        print("No committed offsets.")


def who(group: GroupDescription, lag: PartitionLag) -> tuple[object, ...]:
    """The member columns of a partition."""
    member = group.owner(lag.partition)
    if member is None:
        return (None, None, None)
    return (member.member_id, host(member.host), member.client_id)


def print_members(group: GroupDescription) -> None:
    """One line a member."""
    if not group.members:
        print("No members.")
        return
    static = any(member.instance_id for member in group.members)
    epochs = group.type == CONSUMER
    mixed = len({member.type for member in group.members}) > 1
    columns = [Column("MEMBER"), Column("HOST"), Column("CLIENT ID")]
    columns += [Column("INSTANCE ID")] * static
    columns += [Column("EPOCH", right=True)] * epochs
    columns += [Column("PROTOCOL")] * mixed
    columns += [Column("PARTITIONS", right=True), Column("ASSIGNMENT")]
    rows = []
    for member in group.members:
        row: list[object] = [member.member_id, host(member.host), member.client_id]
        row += [member.instance_id] * static
        row += [member.epoch] * epochs
        row += [member.type] * mixed
        rows.append([*row, len(member.assignment), assignment_text(member)])
    print_table(columns, rows)


def assignment_text(member: GroupMember) -> str:
    """``orders:0-2 payments:1``, and what is still to come or to go."""
    text = partitions_text(member.assignment)
    if member.target is not None and set(member.target) != set(member.assignment):
        text = f"{text or 'none'} -> {partitions_text(member.target) or 'none'}"
    return text


def partitions_text(partitions: tuple[TopicPartition, ...]) -> str:
    """Partitions in short."""
    return " ".join(
        f"{topic}:{runs(numbers)}" for topic, numbers in by_topic(list(partitions)).items()
    )


def print_states(groups: Described) -> None:
    """One line a group."""
    columns = (
        Column("GROUP"),
        Column("TYPE"),
        Column("STATE"),
        Column("ASSIGNOR"),
        Column("COORDINATOR"),
        Column("MEMBERS", right=True),
        Column("LAG", right=True),
    )
    print_table(
        columns,
        [
            (
                group.group,
                group.type,
                group.state,
                group.assignor,
                f"{group.coordinator} (node {group.coordinator.node_id})",
                len(group.members),
                total_lag(lags),
            )
            for group, lags in groups
        ],
    )


def as_json(group: GroupDescription, lags: list[PartitionLag]) -> dict[str, Any]:
    """Everything about a group."""
    return {
        "group": group.group,
        "type": group.type,
        "state": group.state,
        "protocol_type": group.protocol_type,
        "assignor": group.assignor or None,
        "epoch": group.epoch if group.epoch >= 0 else None,
        "assignment_epoch": group.assignment_epoch if group.assignment_epoch >= 0 else None,
        "coordinator": group.coordinator._asdict(),
        "lag": total_lag(lags),
        "offsets": [offset_as_json(group, each) for each in lags],
        "members": [member_as_json(member) for member in group.members],
    }


def offset_as_json(group: GroupDescription, lag: PartitionLag) -> dict[str, Any]:
    """One partition."""
    member = group.owner(lag.partition)
    return {
        **lag.partition._asdict(),
        "committed": lag.offset,
        "leader_epoch": None if lag.committed is None else lag.committed.leader_epoch,
        "metadata": None if lag.committed is None else lag.committed.metadata,
        "log_start": lag.log_start,
        "log_end": lag.log_end,
        "lag": lag.lag,
        "member_id": None if member is None else member.member_id,
    }


def member_as_json(member: GroupMember) -> dict[str, Any]:
    """One member."""
    return {
        "member_id": member.member_id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "host": host(member.host),
        "rack": member.rack,
        "protocol": member.type,
        "epoch": member.epoch if member.epoch >= 0 else None,
        "topics": list(member.topics),
        "topic_regex": member.topic_regex,
        "assignment": by_topic(list(member.assignment)),
        "target": None if member.target is None else by_topic(list(member.target)),
    }
