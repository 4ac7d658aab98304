"""``kafka-py groups reset-offsets``: where a group goes on, planned first, written on --execute."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kafka_py.cli.failures import USER, Failure
from kafka_py.cli.output import Column, complain, print_json, print_table, tell

if TYPE_CHECKING:
    from kafka_py.client.admin import Admin
    from kafka_py.client.group_types import GroupDescription
    from kafka_py.client.types import OffsetAndMetadata, TopicPartition

DURATION: Final = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)


class Planned(NamedTuple):
    """One partition of a plan. `before`: None without a committed offset."""

    partition: TopicPartition
    before: int | None
    after: int
    log_start: int
    log_end: int

    def lag(self, offset: int | None) -> int | None:
        """The lag at an offset."""
        return None if offset is None else max(self.log_end - offset, 0)


def parse_duration_ms(text: str) -> int:
    """An ISO 8601 duration, such as PT1H30M or P2D, in milliseconds. Raises ArgumentTypeError."""
    found = DURATION.fullmatch(text)
    if found is None or not any(found.groupdict().values()):
        raise argparse.ArgumentTypeError(
            f"{text} is no ISO 8601 duration, such as PT1H30M (90 minutes) or P2D (two days)"
        )
    parts = {name: float(value) for name, value in found.groupdict().items() if value}
    return round(timedelta(**parts).total_seconds() * 1000)


def parse_datetime_ms(text: str) -> int:
    """An ISO 8601 date and time, UTC unless it says otherwise, in milliseconds since 1970. Raises
    ArgumentTypeError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} is no ISO 8601 time, such as 2026-11-24T14:00:00 (UTC) or "
            "2026-11-24T14:00:00+01:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def parse_offset(text: str) -> int:
    """An offset. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is no offset: 0 or more is wanted")
    return int(text)


def add_command(actions: Any) -> argparse.ArgumentParser:
    """Add the command to ``groups``; its parser."""
    reset: argparse.ArgumentParser = actions.add_parser(
        "reset-offsets",
        help="move a group's committed offsets",
        description="Prints where the group would go on. Writes nothing without --execute.",
    )
    reset.add_argument("group", metavar="GROUP")
    reset.add_argument(
        "--topic",
        action="append",
        metavar="TOPIC[:PARTITIONS]",
        help="which, such as orders or orders:0,2; may be repeated",
    )
    reset.add_argument(
        "--all-topics", action="store_true", help="all that the group has committed offsets of"
    )
    to = reset.add_mutually_exclusive_group(required=True)
    to.add_argument("--to-earliest", action="store_true", help="the first record there is")
    to.add_argument("--to-latest", action="store_true", help="behind the last record")
    to.add_argument("--to-current", action="store_true", help="what is committed, written again")
    to.add_argument("--to-offset", type=parse_offset, metavar="N", help="this offset")
    to.add_argument(
        "--shift-by", type=int, metavar="N", help="N records further, or back where N is negative"
    )
    to.add_argument(
        "--to-datetime",
        type=parse_datetime_ms,
        metavar="TIME",
        help="the first record of this time or later, such as 2026-11-24T14:00:00 (UTC)",
    )
    to.add_argument(
        "--by-duration",
        type=parse_duration_ms,
        metavar="DURATION",
        help="the first record not older than this, such as PT1H30M or P2D",
    )
    execution = reset.add_mutually_exclusive_group()
    execution.add_argument("--execute", action="store_true", help="write the offsets")
    execution.add_argument("--dry-run", action="store_true", help="only print them (the default)")
    reset.set_defaults(run=run)
    return reset


def run(arguments: argparse.Namespace) -> int:
    """Print the plan, carry it out where that is asked for; the exit status."""
    from kafka_py.cli.cluster import administer

    if bool(arguments.topic) == arguments.all_topics:
        raise Failure("groups reset-offsets: say which offsets, by --topic or --all-topics", USER)

    async def work(admin: Admin) -> int:
        from kafka_py.cli.groups import require_no_members

        group: str = arguments.group
        description = (await admin.describe_groups([group]))[group]
        if arguments.execute:
            require_no_members(group, description)
        committed = await admin.group_offsets(group)
        partitions = await chosen(admin, arguments, committed)
        plan = await planned(admin, arguments, partitions, committed)
        failed = await carry_out(admin, group, plan) if arguments.execute else {}
        report(arguments, plan, failed, description)
        return 1 if failed else 0

    return administer(arguments, work)


async def chosen(
    admin: Admin, arguments: argparse.Namespace, committed: dict[TopicPartition, OffsetAndMetadata]
) -> list[TopicPartition]:
    """The partitions meant. Raises ``Failure`` where there are none."""
    from kafka_py.cli.cluster import existing_partitions, parse_topic

    if arguments.topic:
        topics: dict[str, list[int] | None] = {}
        for text in arguments.topic:
            topic, numbers = parse_topic(text)
            already = topics.get(topic, [])
            topics[topic] = None if numbers is None or already is None else [*already, *numbers]
        return await existing_partitions(admin, topics)
    there = await admin.topics({each.topic for each in committed}) if committed else {}
    found = [
        each
        for each in sorted(committed)
        if each in there[each.topic].all_partitions() and not there[each.topic].error_code
    ]
    if not found:
        raise Failure(
            f"group {arguments.group} has no committed offsets of topics that exist: name topics "
            "with --topic"
        )
    return found


async def planned(
    admin: Admin,
    arguments: argparse.Namespace,
    partitions: list[TopicPartition],
    committed: dict[TopicPartition, OffsetAndMetadata],
) -> list[Planned]:
    """Where each partition would go on; always within the log. Raises ``Failure``."""
    from kafka_py.cli.groups_describe import log_ends

    ends = await log_ends(admin, partitions)
    leaderless = [str(each) for each in partitions if each not in ends]
    if leaderless:
        raise Failure(f"no leader, so no offsets, for {', '.join(leaderless)}: try again later")
    if arguments.shift_by is not None:
        without = [str(each) for each in partitions if each not in committed]
        if without:
            raise Failure(
                f"--shift-by: group {arguments.group} has no committed offset of "
                f"{', '.join(without)} to count from"
            )
    at_ms = moment_ms(admin, arguments)
    timed = {}
    if at_ms is not None:
        timed = await admin.list_offsets(dict.fromkeys(partitions, at_ms))
    plan = []
    for each in partitions:
        start, end = ends[each]
        before = committed[each].offset if each in committed else None
        if at_ms is not None:
            wanted = timed[each].offset if timed[each].offset >= 0 else end
        elif arguments.to_earliest:
            wanted = start
        elif arguments.to_offset is not None:
            wanted = arguments.to_offset
        elif arguments.shift_by is not None:
            wanted = committed[each].offset + arguments.shift_by
        elif arguments.to_current and before is not None:
            wanted = before
        else:
            wanted = end
        after = min(max(wanted, start), end)
        if after != wanted and not arguments.to_current:
            side = "before the first" if wanted < start else "behind the last"
            complain(f"{each}: offset {wanted} is {side} record; {after} is taken instead")
        plan.append(Planned(each, before, wanted if arguments.to_current else after, start, end))
    return plan


def moment_ms(admin: Admin, arguments: argparse.Namespace) -> int | None:
    """The time to go to; None where the offsets are not chosen by time."""
    if arguments.to_datetime is not None:
        at_ms: int = arguments.to_datetime
        return at_ms
    if arguments.by_duration is not None:
        return max(admin.cluster.clock.now_ms() - int(arguments.by_duration), 0)
    return None


async def carry_out(admin: Admin, group: str, plan: list[Planned]) -> dict[TopicPartition, Any]:
    """Write the offsets; those that failed. Raises ``Failure`` when a member has joined."""
    from kafka_py.cli.groups import why_not
    from kafka_py.client.errors import BrokerError
    from kafka_py.client.types import OffsetAndMetadata

    try:
        return dict(
            await admin.alter_offsets(
                group, {row.partition: OffsetAndMetadata(row.after) for row in plan}
            )
        )
    except BrokerError as error:
        raise Failure(await why_not(admin, group, error)) from None


def report(
    arguments: argparse.Namespace,
    plan: list[Planned],
    failed: dict[TopicPartition, Any],
    description: GroupDescription | None,
) -> None:
    """Print the plan, and what became of it."""
    if arguments.json:
        print_json(
            {
                "group": arguments.group,
                "executed": arguments.execute,
                "offsets": [as_json(row, failed) for row in plan],
            }
        )
    else:
        print_plan(plan)
    for partition, code in failed.items():
        complain(f"{partition}: not written: {code.message}")
    if arguments.execute:
        if len(failed) < len(plan):
            tell(f"written: {len(plan) - len(failed)} of {len(plan)} offsets")
        return
    notes = ["nothing is written yet: say --execute to write these offsets"]
    if description is None:
        notes.append(f"group {arguments.group} does not exist; writing creates it")
    elif description.members:
        from kafka_py.cli.groups import has_members

        notes.append(has_members(arguments.group, description.members))
    for note in notes:
        tell(note)


def print_plan(plan: list[Planned]) -> None:
    """One line a partition."""
    print_table(
        (
            Column("TOPIC"),
            Column("PARTITION", right=True),
            Column("BEFORE", right=True),
            Column("AFTER", right=True),
            Column("LOG START", right=True),
            Column("LOG END", right=True),
            Column("LAG BEFORE", right=True),
            Column("LAG AFTER", right=True),
        ),
        [
            (
                *row.partition,
                row.before,
                row.after,
                row.log_start,
                row.log_end,
                row.lag(row.before),
                row.lag(row.after),
            )
            for row in plan
        ],
    )


def as_json(row: Planned, failed: dict[TopicPartition, Any]) -> dict[str, Any]:
    """One partition of the plan."""
    error = failed.get(row.partition)
    return {
        **row.partition._asdict(),
        "before": row.before,
        "after": row.after,
        "log_start": row.log_start,
        "log_end": row.log_end,
        "lag_before": row.lag(row.before),
        "lag_after": row.lag(row.after),
        "error": None if error is None else error.name,
    }
