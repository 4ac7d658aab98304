"""``kafka-py groups``: list, describe, delete, delete-offsets (and reset-offsets, next door)."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any, Final

from kafka_py.cli.failures import USER, Failure
from kafka_py.cli.output import Column, complain, count, print_json, print_table, runs

if TYPE_CHECKING:
    from kafka_py.client.admin import Admin
    from kafka_py.client.group_types import GroupDescription, GroupMember
    from kafka_py.client.types import TopicPartition

STATES: Final = (
    "Assigning",
    "CompletingRebalance",
    "Dead",
    "Empty",
    "NotReady",
    "PreparingRebalance",
    "Reconciling",
    "Stable",
)
TYPES: Final = ("Classic", "Consumer", "Share", "Streams")
SHOWN_MEMBERS_MAX: Final = 5


def add_commands(commands: Any) -> None:
    """Add this module's commands to a parser."""
    from kafka_py.cli import groups_reset
    from kafka_py.cli.cluster import add_cluster_arguments, add_json_argument

    groups = commands.add_parser("groups", help="look at consumer groups and change their offsets")
    actions = groups.add_subparsers(dest="action", metavar="ACTION", required=True)

    shown = actions.add_parser("list", help="all groups")
    shown.add_argument("--state", action="append", type=named(STATES), help="only in this state")
    shown.add_argument("--type", action="append", type=named(TYPES), help="only of this type")
    shown.set_defaults(run=run_list)

    describe = actions.add_parser("describe", help="offsets, lag and members of groups")
    describe.add_argument("group", nargs="*", metavar="GROUP")
    describe.add_argument("--all", action="store_true", help="every group")
    views = describe.add_mutually_exclusive_group()
    views.add_argument("--members", action="store_true", help="who is in it and has what")
    views.add_argument("--state", action="store_true", help="one line a group")
    describe.set_defaults(run=run_describe)

    delete = actions.add_parser("delete", help="delete groups that have no members")
    delete.add_argument("group", nargs="+", metavar="GROUP")
    delete.set_defaults(run=run_delete)

    forget = actions.add_parser("delete-offsets", help="delete committed offsets of topics")
    forget.add_argument("group", metavar="GROUP")
    forget.add_argument(
        "--topic",
        action="append",
        required=True,
        metavar="TOPIC[:PARTITIONS]",
        help="which, such as orders or orders:0,2; may be repeated",
    )
    forget.set_defaults(run=run_delete_offsets)

    reset = groups_reset.add_command(actions)
    for parser in (shown, describe, reset, delete, forget):
        add_cluster_arguments(parser)
        add_json_argument(parser)


def named(names: tuple[str, ...]) -> Any:
    """A type for argparse: one of these names in any case, as brokers spell it."""

    def parse(text: str) -> str:
        for name in names:
            if name.lower() == text.lower():
                return name
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(names)}")

    return parse


def run_list(arguments: argparse.Namespace) -> int:
    """Print the groups there are."""
    from kafka_py.cli.cluster import administer

    async def work(admin: Admin) -> int:
        rows = await admin.list_groups(states=arguments.state or (), types=arguments.type or ())
        if arguments.json:
            fields = ("group", "type", "state", "protocol_type")
            print_json({"groups": [{f: getattr(row, f) for f in fields} for row in rows]})
        elif rows:
            columns = (Column("GROUP"), Column("TYPE"), Column("STATE"), Column("PROTOCOL TYPE"))
            print_table(columns, [(r.group, r.type, r.state, r.protocol_type) for r in rows])
        else:
            complain("no such groups" if arguments.state or arguments.type else "no groups")
        return 0

    return administer(arguments, work)


def run_describe(arguments: argparse.Namespace) -> int:
    """Print groups; status 1 where one does not exist."""
    from kafka_py.cli import groups_describe
    from kafka_py.cli.cluster import administer

    if bool(arguments.group) == arguments.all:
        raise Failure("groups describe: name one or more groups, or say --all", USER)

    async def work(admin: Admin) -> int:
        names: list[str] = arguments.group
        if arguments.all:
            listed = await admin.list_groups()
            names = [row.group for row in listed if row.type in ("", "Classic", "Consumer")]
        found = await admin.describe_groups(names)
        groups = [group for group in found.values() if group is not None]
        lags = await asyncio.gather(*(groups_describe.offsets_of(admin, g) for g in groups))
        groups_describe.print_groups(list(zip(groups, lags, strict=True)), arguments)
        missing = [name for name, group in found.items() if group is None]
        for name in missing:
            complain(unknown(name))
        if not names:
            complain("no groups")
        return 1 if missing else 0

    return administer(arguments, work)


def run_delete(arguments: argparse.Namespace) -> int:
    """Delete groups; status 1 where one stays."""
    from kafka_py.cli.cluster import administer

    async def work(admin: Admin) -> int:
        failed = await admin.delete_groups(arguments.group)
        deleted = [name for name in dict.fromkeys(arguments.group) if name not in failed]
        reasons = {name: await why_not(admin, name, error) for name, error in failed.items()}
        if arguments.json:
            print_json(
                {
                    "deleted": deleted,
                    "failed": [
                        {"group": name, "error": failed[name].code.name, "message": reason}
                        for name, reason in reasons.items()
                    ],
                }
            )
        else:
            for name in deleted:
                print(f"deleted group {name}")
        for reason in reasons.values():
            complain(reason)
        return 1 if failed else 0

    return administer(arguments, work)


def run_delete_offsets(arguments: argparse.Namespace) -> int:
    """Delete committed offsets; status 1 where one stays."""
    from kafka_py.cli.cluster import administer, parse_topic
    from kafka_py.client.errors import BrokerError
    from kafka_py.client.types import TopicPartition

    group: str = arguments.group
    wanted = dict(map(parse_topic, arguments.topic))

    async def work(admin: Admin) -> int:
        committed = await admin.group_offsets(group)
        partitions: list[TopicPartition] = []
        for topic, numbers in wanted.items():
            mine = sorted(each for each in committed if each.topic == topic)
            if numbers is not None:
                mine = [TopicPartition(topic, number) for number in numbers]
            partitions += mine
        try:
            if not partitions:
                # An empty request still tells whether the group exists.
                await admin.delete_offsets(group, [])
                raise Failure(f"group {group} has no committed offsets of {', '.join(wanted)}")
            failed = await admin.delete_offsets(group, partitions)
        except BrokerError as error:
            raise Failure(await why_not(admin, group, error)) from None
        deleted = [each for each in partitions if each in committed and each not in failed]
        report_deleted(arguments, deleted, failed)
        return 1 if failed else 0

    return administer(arguments, work)


def report_deleted(
    arguments: argparse.Namespace, deleted: list[TopicPartition], failed: dict[TopicPartition, Any]
) -> None:
    """Tell which offsets are gone and which are not."""
    if arguments.json:
        print_json(
            {
                "group": arguments.group,
                "deleted": [each._asdict() for each in deleted],
                "failed": [
                    {**each._asdict(), "error": code.name, "message": code.message}
                    for each, code in failed.items()
                ],
            }
        )
    else:
        for each in deleted:
            print(f"deleted the offset of {each.topic} partition {each.partition}")
        if not deleted and not failed:
            complain(f"group {arguments.group} had no committed offsets there")
    reasons: dict[str, list[int]] = {}
    for each, code in failed.items():
        what = code.message
        if code.name == "GROUP_SUBSCRIBED_TO_TOPIC":
            what = f"members of group {arguments.group} read this topic; stop them first"
        elif code.name == "UNKNOWN_TOPIC_OR_PARTITION":
            what = "there is no such partition"
        reasons.setdefault(f"{each.topic} partition {{}}: {what}", []).append(each.partition)
    for reason, numbers in reasons.items():
        complain(reason.format(runs(numbers)))


def unknown(group: str) -> str:
    """What to say of a group that is not there."""
    return f"group {group} does not exist: kafka-py groups list shows those that do"


async def why_not(admin: Admin, group: str, error: Any) -> str:
    """What to say of a change that the broker refused because of the group itself."""
    name = error.code.name
    if name == "GROUP_ID_NOT_FOUND":
        return unknown(group)
    if name in ("NON_EMPTY_GROUP", "UNKNOWN_MEMBER_ID"):
        description = (await admin.describe_groups([group]))[group]
        return has_members(group, () if description is None else description.members)
    return f"group {group}: {error}"


def has_members(group: str, members: tuple[GroupMember, ...]) -> str:
    """What to say of a group that must not have members and has."""
    shown = [f"{m.client_id or m.member_id} at {host(m.host)}" for m in members]
    more = len(shown) - SHOWN_MEMBERS_MAX
    text = ", ".join(shown[:SHOWN_MEMBERS_MAX]) + (f" and {more} more" if more > 0 else "")
    who = f" ({text})" if text else ""
    return f"group {group} has {count(len(members), 'active member')}{who}: stop them first"


def host(text: str) -> str:
    """A member's host without the slash that Java puts before addresses."""
    return text.removeprefix("/")


def require_no_members(group: str, description: GroupDescription | None) -> None:
    """Raise ``Failure`` where a group has members."""
    if description is not None and description.members:
        raise Failure(has_members(group, description.members))
