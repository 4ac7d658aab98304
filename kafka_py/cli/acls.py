"""``kafka-py acls``: list, add and remove access control entries."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from kafka_py.cli.failures import USER, Failure
from kafka_py.cli.output import Column, complain, print_json, print_table, tell
from kafka_py.protocol.acl_types import (
    CLUSTER_NAME,
    SUPPORTED_OPERATIONS,
    WILDCARD,
    Operation,
    PatternType,
    Permission,
    ResourceType,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kafka_py.client.acl_types import AclBinding, AclFilter
    from kafka_py.client.admin import Admin

COLUMNS = (
    *(Column("RESOURCE"), Column("NAME"), Column("PATTERN"), Column("PRINCIPAL"), Column("HOST")),
    *(Column("OPERATION"), Column("PERMISSION")),
)
PATTERNS = {
    "any": PatternType.ANY,
    "match": PatternType.MATCH,
    "literal": PatternType.LITERAL,
    "prefixed": PatternType.PREFIXED,
}


def add_commands(commands: Any) -> None:
    """Add this module's commands to a parser."""
    from kafka_py.cli.cluster import add_cluster_arguments, add_json_argument

    acls = commands.add_parser("acls", help="look at access control lists and change them")
    actions = acls.add_subparsers(dest="action", metavar="ACTION", required=True)

    shown = actions.add_parser("list", help="the entries on a resource, or all")
    add_resource_arguments(shown, "any")
    shown.add_argument("--principal", help="only of this one, such as User:alice")
    shown.set_defaults(run=run_list)

    add = actions.add_parser("add", help="allow or deny something")
    add_resource_arguments(add, "literal")
    add_entry_arguments(add, entries=True)
    add.set_defaults(run=run_add)

    remove = actions.add_parser("remove", help="remove entries from a resource, or all of its")
    add_resource_arguments(remove, "literal")
    add_entry_arguments(remove, entries=False)
    remove.set_defaults(run=run_remove)
    for parser in (shown, add, remove):
        add_cluster_arguments(parser)
        add_json_argument(parser)


def add_resource_arguments(parser: argparse.ArgumentParser, pattern: str) -> None:
    """The arguments that say which resources are meant."""
    which = parser.add_argument_group("resources")
    which.add_argument("--topic", action="append", help="a topic, or * for all; may be repeated")
    which.add_argument("--group", action="append", help="a group, or * for all")
    which.add_argument("--transactional-id", action="append", help="a transactional id, or *")
    which.add_argument("--cluster", action="store_true", help="the cluster itself")
    choices = ("literal", "prefixed") if pattern == "literal" else tuple(PATTERNS)
    which.add_argument(
        "--pattern",
        choices=choices,
        default=pattern,
        help=f"what the names stand for ({pattern}); match: every entry that applies to the name"
        if "match" in choices
        else f"what the names stand for ({pattern})",
    )


def add_entry_arguments(parser: argparse.ArgumentParser, *, entries: bool) -> None:
    """The arguments that say who may, or may not, do what from where."""
    who = "such as User:alice, or User:* for everybody; may be repeated"
    parser.add_argument("--allow", action="append", metavar="PRINCIPAL", help=f"who may, {who}")
    parser.add_argument("--deny", action="append", metavar="PRINCIPAL", help=f"who may not, {who}")
    host = "* for any" if entries else "by default whatever it is"
    parser.add_argument("--host", action="append", help=f"from which address, {host}")
    parser.add_argument(
        "--operation",
        action="append",
        type=operation,
        metavar="OPERATION",
        help="Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, "
        "AlterConfigs, IdempotentWrite, TwoPhaseCommit or All",
    )


def operation(text: str) -> Operation:
    """A type for argparse: an operation by its name in any case."""
    try:
        found = Operation.named(text)
    except ValueError:
        found = Operation.UNKNOWN
    if found in (Operation.UNKNOWN, Operation.ANY):
        names = ", ".join(one.title for one in Operation if one > Operation.ANY)
        raise argparse.ArgumentTypeError(f"{text} is none of {names}")
    return found


def resources(arguments: argparse.Namespace) -> list[tuple[ResourceType, str]]:
    """The resources of a command line."""
    found = [(ResourceType.TOPIC, name) for name in arguments.topic or ()]
    found += [(ResourceType.GROUP, name) for name in arguments.group or ()]
    found += [(ResourceType.TRANSACTIONAL_ID, name) for name in arguments.transactional_id or ()]
    if arguments.cluster:
        found.append((ResourceType.CLUSTER, CLUSTER_NAME))
    return found


def named_resources(arguments: argparse.Namespace) -> list[tuple[ResourceType, str]]:
    """The same, where there has to be one."""
    found = resources(arguments)
    if not found:
        raise Failure(
            f"acls {arguments.action}: name a resource: --topic, --group, --transactional-id or "
            "--cluster",
            USER,
        )
    return found


def subjects(arguments: argparse.Namespace) -> Iterator[tuple[Permission, str]]:
    """Who is allowed, and who denied. Raises ``Failure`` for what is no principal."""
    for permission, names in (
        (Permission.ALLOW, arguments.allow),
        (Permission.DENY, arguments.deny),
    ):
        for name in names or ():
            kind, colon, rest = name.partition(":")
            if not (kind and colon and rest):
                raise Failure(f"{name} is no principal: write User:{name}", USER)
            yield permission, name


def check_operation(kind: ResourceType, wanted: Operation) -> None:
    """Raise ``Failure`` for an operation that there is not on such a resource."""
    known = SUPPORTED_OPERATIONS[kind]
    if wanted is not Operation.ALL and wanted not in known:
        names = ", ".join(one.title for one in known)
        raise Failure(f"{wanted.title} is nothing to do to a {kind.title}: {names} or All", USER)


def run_list(arguments: argparse.Namespace) -> int:
    """Print entries."""
    from kafka_py.cli.cluster import administer
    from kafka_py.client.acl_types import AclFilter

    pattern, principal = PATTERNS[arguments.pattern], arguments.principal
    wanted = [
        AclFilter(kind, name, pattern, principal=principal) for kind, name in resources(arguments)
    ] or [AclFilter(pattern=pattern, principal=principal)]

    async def work(admin: Admin) -> int:
        found: dict[AclBinding, None] = {}
        for one in wanted:
            found.update(dict.fromkeys(await admin.list_acls(one)))
        print_entries(sorted(found), arguments, "acls")
        if not found and not arguments.json:
            complain("no entries")
        return 0

    return administer(arguments, work)


def run_add(arguments: argparse.Namespace) -> int:
    """Create entries; status 1 where one was refused."""
    from kafka_py.cli.cluster import administer
    from kafka_py.client.acl_types import AclBinding

    pattern = PATTERNS[arguments.pattern]
    who = list(subjects(arguments))
    if not who:
        raise Failure("acls add: say who, with --allow or --deny", USER)
    bindings = []
    for kind, name in named_resources(arguments):
        for one in arguments.operation or (Operation.ALL,):
            check_operation(kind, one)
            bindings += [
                AclBinding(kind, name, pattern, principal, host, one, permission)
                for permission, principal in who
                for host in arguments.host or (WILDCARD,)
            ]

    async def work(admin: Admin) -> int:
        failed = await admin.create_acls(bindings)
        print_entries([one for one in bindings if one not in failed], arguments, "added")
        for binding, error in failed.items():
            complain(f"{binding.resource_type.title} {binding.name}: {error}")
        return 1 if failed else 0

    return administer(arguments, work)


def run_remove(arguments: argparse.Namespace) -> int:
    """Delete the entries that a command line fits, and print them."""
    from kafka_py.cli.cluster import administer

    filters = list(removals(arguments))

    async def work(admin: Admin) -> int:
        removed: dict[AclBinding, None] = {}
        for one in filters:
            removed.update(dict.fromkeys(await admin.delete_acls(one)))
        print_entries(sorted(removed), arguments, "removed")
        if not arguments.json:
            tell("removed 1 entry" if len(removed) == 1 else f"removed {len(removed)} entries")
        return 0

    return administer(arguments, work)


def removals(arguments: argparse.Namespace) -> Iterator[AclFilter]:
    """The filters of a ``remove``."""
    from kafka_py.client.acl_types import AclFilter

    pattern = PATTERNS[arguments.pattern]
    who: Sequence[tuple[Permission, str | None]] = list(subjects(arguments))
    for kind, name in named_resources(arguments):
        for one in arguments.operation or (Operation.ANY,):
            if one is not Operation.ANY:
                check_operation(kind, one)
            for permission, principal in who or ((Permission.ANY, None),):
                for host in arguments.host or (None,):
                    yield AclFilter(kind, name, pattern, principal, host, one, permission)


def print_entries(entries: Sequence[AclBinding], arguments: argparse.Namespace, title: str) -> None:
    """Entries as a table, or as JSON under a title."""
    rows = [
        (
            entry.resource_type.title,
            entry.name,
            entry.pattern.title,
            entry.principal,
            entry.host,
            entry.operation.title,
            entry.permission.title,
        )
        for entry in entries
    ]
    if arguments.json:
        names = ("resource", "name", "pattern", "principal", "host", "operation", "permission")
        print_json({title: [dict(zip(names, row, strict=True)) for row in rows]})
    elif rows:
        print_table(COLUMNS, rows)
